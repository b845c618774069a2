/*
 * Memory that outlives the process: a file's pages in the place of a buffer's, and what a file must say to belong here.
 *
 * Node-API 8 cannot make a SharedArrayBuffer of foreign memory. But V8 takes a buffer that could grow in whole pages, which a
 * mapping can replace: all threads see it, futexes work, and V8 unmaps it when it collects the buffer.
 */
#include "tunwall.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Linux 5.14. */
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/*
 * mapFile(fd, offset, bytes): the file from offset on becomes the memory behind a Uint8Array on a growable SharedArrayBuffer,
 * which has the file's content from then on. The space is allocated first: a full file system is an error here, not a SIGBUS
 * later. Throws a RangeError for memory that does not begin on a page.
 */
napi_value file_map(napi_env env, napi_callback_info info) {
  napi_value arguments[3], buffer;
  napi_typedarray_type type;
  int64_t fd, offset;
  size_t length = 0, at;
  void *data = NULL;
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (!get_arguments(env, info, 3, arguments, NULL)) return NULL;
  if (!get_integer(env, arguments[0], "descriptor", 0, INT_MAX, &fd)) return NULL;
  if (!get_integer(env, arguments[1], "offset", 0, INT64_C(1) << 40, &offset)) return NULL;
  if (napi_get_typedarray_info(env, arguments[2], &type, &length, &data, &buffer, &at) != napi_ok ||
      type != napi_uint8_array) {
    throw_type(env, "the memory must be a Uint8Array");
    return NULL;
  }
  if (length == 0 || at != 0 || (uintptr_t)data % page != 0 || (uint64_t)offset % page != 0) {
    throw_range(env, "memory and file must begin on a page");
    return NULL;
  }
  /* V8 has reserved whole pages. */
  const size_t whole = (length + page - 1) / page * page;
  int error = posix_fallocate((int)fd, offset, (off_t)whole);
  if (error != 0) {
    throw_errno(env, "fallocate", error);
    return NULL;
  }
  if (mmap(data, whole, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, (int)fd, offset) != data) {
    throw_errno(env, "mmap", errno);
    return NULL;
  }
  return make_undefined(env);
}

/*
 * networkNamespace() -> text: the kernel's name of this process's network namespace, never given twice between two boots, as
 * the inode of the namespace is. Empty where the kernel has no such names.
 */
napi_value network_namespace(napi_env env, napi_callback_info info) {
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  char text[24] = "";
  napi_value result = NULL;
  (void)info;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd >= 0) {
    if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) == 0) {
      snprintf(text, sizeof text, "%llu", (unsigned long long)cookie);
    }
    close(fd);
  }
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &result);
  return result;
}
