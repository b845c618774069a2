/* flock(2), which Node does not have: the lock that goes with its holder, in whatever namespaces that lives. */
#include "tunwall.h"

#include <errno.h>
#include <sys/file.h>

/* lockFile(fd): true if this open file has the exclusive lock now, false if another one has it. Never waits. */
napi_value file_lock(napi_env env, napi_callback_info info) {
  napi_value argument, result = NULL;
  int64_t fd;
  int status;
  if (!get_arguments(env, info, 1, &argument, NULL)) return NULL;
  if (!get_integer(env, argument, "descriptor", 0, INT32_MAX, &fd)) return NULL;
  do {
    status = flock((int)fd, LOCK_EX | LOCK_NB);
  } while (status != 0 && errno == EINTR);
  if (status != 0 && errno != EWOULDBLOCK) {
    throw_errno(env, "flock", errno);
    return NULL;
  }
  napi_get_boolean(env, status == 0, &result);
  return result;
}

/* unlockFile(fd): lets go of it. Memory that a file is mapped to keeps the file open, and with it its lock. */
napi_value file_unlock(napi_env env, napi_callback_info info) {
  napi_value argument;
  int64_t fd;
  if (!get_arguments(env, info, 1, &argument, NULL)) return NULL;
  if (!get_integer(env, argument, "descriptor", 0, INT32_MAX, &fd)) return NULL;
  if (flock((int)fd, LOCK_UN) != 0) {
    throw_errno(env, "flock", errno);
    return NULL;
  }
  return make_undefined(env);
}
