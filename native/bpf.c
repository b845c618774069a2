/*
 * Maps of the kernel's program (bpf/carry.bpf.c), pinned by `gateway up`: opening one needs no more than the rights of its file, and
 * from then on its slots are shared memory.
 */
#define _GNU_SOURCE
#include "tunwall.h"

#include <errno.h>
#include <limits.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* openMap(path) -> descriptor of a pinned map. Throws the errno, or a RangeError for a path that is too long. */
napi_value bpf_open_map(napi_env env, napi_callback_info info) {
  napi_value argument, result = NULL;
  char path[PATH_MAX];
  size_t length;
  if (!get_arguments(env, info, 1, &argument, NULL)) return NULL;
  if (napi_get_value_string_utf8(env, argument, path, sizeof path, &length) != napi_ok) {
    throw_type(env, "the path must be a string");
    return NULL;
  }
  if (length == sizeof path - 1 || strlen(path) != length) {
    throw_range(env, "the path is too long, or has a zero");
    return NULL;
  }
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.pathname = (uint64_t)(uintptr_t)path;
  const long fd = syscall(SYS_bpf, BPF_OBJ_GET, &attributes, sizeof attributes);
  if (fd < 0) {
    throw_errno(env, "bpf", errno);
    return NULL;
  }
  napi_create_int64(env, fd, &result);
  return result;
}

/*
 * mapMap(fd, memory): the slots of an array map become the memory behind a Uint8Array on a growable SharedArrayBuffer. Throws a
 * RangeError for memory that does not begin on a page, and the errno if the map is smaller, or of a kind that cannot be mapped.
 */
napi_value bpf_map_map(napi_env env, napi_callback_info info) {
  napi_value arguments[2], buffer;
  napi_typedarray_type type;
  int64_t fd;
  size_t length = 0, at;
  void *data = NULL;
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (!get_arguments(env, info, 2, arguments, NULL)) return NULL;
  if (!get_integer(env, arguments[0], "descriptor", 0, INT_MAX, &fd)) return NULL;
  if (napi_get_typedarray_info(env, arguments[1], &type, &length, &data, &buffer, &at) != napi_ok ||
      type != napi_uint8_array) {
    throw_type(env, "the memory must be a Uint8Array");
    return NULL;
  }
  if (length == 0 || at != 0 || (uintptr_t)data % page != 0) {
    throw_range(env, "the memory must begin on a page");
    return NULL;
  }
  const size_t whole = (length + page - 1) / page * page;
  if (mmap(data, whole, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, (int)fd, 0) != data) {
    throw_errno(env, "mmap", errno);
    return NULL;
  }
  return make_undefined(env);
}

/*
 * runProgram(fd, frame, ifindex) -> what a tc program says to an Ethernet frame that comes in from an interface of this namespace; the
 * frame is not sent. For tests of the program. Throws the errno.
 */
napi_value bpf_run_program(napi_env env, napi_callback_info info) {
  napi_value arguments[3], buffer;
  napi_typedarray_type type;
  int64_t fd, ifindex;
  size_t length = 0, at;
  void *data = NULL;
  if (!get_arguments(env, info, 3, arguments, NULL)) return NULL;
  if (!get_integer(env, arguments[0], "descriptor", 0, INT_MAX, &fd)) return NULL;
  if (!get_integer(env, arguments[2], "interface index", 1, INT_MAX, &ifindex)) return NULL;
  if (napi_get_typedarray_info(env, arguments[1], &type, &length, &data, &buffer, &at) != napi_ok ||
      type != napi_uint8_array) {
    throw_type(env, "the frame must be a Uint8Array");
    return NULL;
  }
  struct __sk_buff context;
  memset(&context, 0, sizeof context);
  context.ifindex = (uint32_t)ifindex;
  context.ingress_ifindex = (uint32_t)ifindex;
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.test.prog_fd = (uint32_t)fd;
  attributes.test.data_in = (uint64_t)(uintptr_t)data;
  attributes.test.data_size_in = (uint32_t)length;
  attributes.test.ctx_in = (uint64_t)(uintptr_t)&context;
  attributes.test.ctx_size_in = sizeof context;
  if (syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attributes, sizeof attributes) != 0) {
    throw_errno(env, "bpf", errno);
    return NULL;
  }
  return make_uint32(env, attributes.test.retval);
}
