/* Arguments from JavaScript, checked, and errors to JavaScript, with the errno's name as their code. */
#define _GNU_SOURCE
#include "tunwall.h"

#include <errno.h>
#include <linux/if.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *errno_name(int error) {
  const char *name = strerrorname_np(error);
  return name != NULL ? name : "EUNKNOWN";
}

bool throw_errno(napi_env env, const char *syscall, int error) {
  char text[160];
  napi_value code, message, name, object, number;
  snprintf(text, sizeof text, "%s: %s (%s)", syscall, strerror(error), errno_name(error));
  if (napi_create_string_utf8(env, errno_name(error), NAPI_AUTO_LENGTH, &code) != napi_ok ||
      napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &message) != napi_ok ||
      napi_create_error(env, code, message, &object) != napi_ok ||
      napi_create_int32(env, error, &number) != napi_ok ||
      napi_set_named_property(env, object, "errno", number) != napi_ok ||
      napi_create_string_utf8(env, syscall, NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_set_named_property(env, object, "syscall", name) != napi_ok) {
    return throw_type(env, "cannot make an error object");
  }
  napi_throw(env, object);
  return false;
}

bool throw_range(napi_env env, const char *what) {
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", what);
  return false;
}

bool throw_type(napi_env env, const char *what) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", what);
  return false;
}

bool get_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *arguments, napi_value *self) {
  size_t given = count;
  if (napi_get_cb_info(env, info, &given, arguments, self, NULL) != napi_ok || given < count) {
    return throw_type(env, "too few arguments");
  }
  return true;
}

bool get_integer(napi_env env, napi_value value, const char *what, int64_t min, int64_t max, int64_t *result) {
  char text[120];
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok) {
    snprintf(text, sizeof text, "%s must be a number", what);
    return throw_type(env, text);
  }
  if (!(number >= (double)min && number <= (double)max) || number != floor(number)) {
    snprintf(text, sizeof text, "%s must be a whole number from %lld to %lld", what, (long long)min, (long long)max);
    return throw_range(env, text);
  }
  *result = (int64_t)number;
  return true;
}

bool get_device_name(napi_env env, napi_value value, char *name) {
  size_t length;
  /* One byte more than fits, to tell a name that is too long. */
  char text[IFNAMSIZ + 1];
  if (napi_get_value_string_utf8(env, value, text, sizeof text, &length) != napi_ok) {
    return throw_type(env, "the device name must be a string");
  }
  if (length == 0 || length >= IFNAMSIZ || strlen(text) != length) {
    return throw_range(env, "a device name has 1 to 15 bytes");
  }
  memcpy(name, text, length + 1);
  return true;
}

napi_value make_undefined(napi_env env) {
  napi_value value = NULL;
  napi_get_undefined(env, &value);
  return value;
}

napi_value make_uint32(napi_env env, uint32_t number) {
  napi_value value = NULL;
  napi_create_uint32(env, number, &value);
  return value;
}
