/*
 * Large pages under memory, and memory that outlives the process: a file's pages in the place of a buffer's, and what a file
 * must say to belong here.
 *
 * Node-API 8 cannot make a SharedArrayBuffer of foreign memory. But V8 takes a buffer that could grow in whole pages, which a
 * mapping can replace: all threads see it, futexes work, and V8 unmaps it when it collects the buffer.
 */
#include "tunwall.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Linux 5.14. */
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* Linux 6.1. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* A large page of x86-64, and of ARM64 with small ones of 4 KiB. */
#define LARGE_PAGE ((size_t)2 << 20)

/*
 * Has the kernel keep the whole large pages of a part of a file in memory as such, if it can: they are allocated at a fraction of
 * the time, and the flow table misses the TLB less often. What does not work stays as it is.
 */
static void use_large_pages(int fd, int64_t offset, size_t length) {
  const size_t from = ((size_t)offset + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
  const size_t to = ((size_t)offset + length) / LARGE_PAGE * LARGE_PAGE;
  struct stat found;
  if (to <= from || fstat(fd, &found) != 0) return;
  if (found.st_size < (off_t)to && ftruncate(fd, (off_t)to) != 0) return;
  const size_t reserved = to - from + LARGE_PAGE;
  void *area = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (area == MAP_FAILED) return;
  char *aligned = (char *)(((uintptr_t)area + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE);
  if (mmap(aligned, to - from, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (off_t)from) == aligned) {
    for (size_t at = from; at < to; at += LARGE_PAGE) {
      /* The kernel collapses only where some page is: one that is allocated first, so that a full file system is no SIGBUS. */
      if (posix_fallocate(fd, (off_t)at, 1) != 0) break;
      if (madvise(aligned + (at - from), LARGE_PAGE, MADV_COLLAPSE) != 0) break;
    }
  }
  munmap(area, reserved);
}

/*
 * useLargePages(memory): has the kernel back the whole large pages of a typed array's memory by such, if it can, from the first
 * write on. What does not work stays as it is.
 */
napi_value memory_use_large_pages(napi_env env, napi_callback_info info) {
  napi_value argument, buffer;
  napi_typedarray_type type;
  size_t length = 0, at;
  void *data = NULL;
  if (!get_arguments(env, info, 1, &argument, NULL)) return NULL;
  if (napi_get_typedarray_info(env, argument, &type, &length, &data, &buffer, &at) != napi_ok ||
      type != napi_int32_array) {
    throw_type(env, "the memory must be an Int32Array");
    return NULL;
  }
  const uintptr_t from = ((uintptr_t)data + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
  const uintptr_t to = ((uintptr_t)data + length * sizeof(int32_t)) / LARGE_PAGE * LARGE_PAGE;
  if (to > from) (void)madvise((void *)from, to - from, MADV_HUGEPAGE);
  return NULL;
}

/*
 * returnFreedMemory(): from now on the C library gives large blocks back to the kernel when they are freed. By itself it keeps them
 * once it has seen one, and has a heap for each thread: a hundred megabytes after some changes of a large configuration.
 */
napi_value memory_return_freed(napi_env env, napi_callback_info info) {
  (void)env;
  (void)info;
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
  mallopt(M_ARENA_MAX, 2);
#endif
  return NULL;
}

/*
 * mapFile(fd, offset, bytes) -> offset: the file from some page on, at or behind an offset, becomes the memory behind a Uint8Array
 * on a growable SharedArrayBuffer, which has the file's content from then on. It is the first page from which large pages of
 * the file are such of the memory; with `exact` as a fourth argument it is the offset itself, and the file's pages stay as they
 * are. The space is allocated first: a full file system is an error here, not a SIGBUS later. Throws a RangeError for memory
 * that does not begin on a page, or ends within one before its buffer does.
 */
napi_value file_map(napi_env env, napi_callback_info info) {
  napi_value arguments[4], buffer, result;
  napi_typedarray_type type;
  int64_t fd, offset;
  bool exact;
  size_t length = 0, at;
  void *data = NULL;
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (!get_arguments(env, info, 4, arguments, NULL)) return NULL;
  if (!get_integer(env, arguments[0], "descriptor", 0, INT_MAX, &fd)) return NULL;
  if (!get_integer(env, arguments[1], "offset", 0, INT64_C(1) << 40, &offset)) return NULL;
  if (napi_get_value_bool(env, arguments[3], &exact) != napi_ok) {
    throw_type(env, "whether the offset is exact must be a boolean");
    return NULL;
  }
  if (napi_get_typedarray_info(env, arguments[2], &type, &length, &data, &buffer, &at) != napi_ok ||
      type != napi_uint8_array) {
    throw_type(env, "the memory must be a Uint8Array");
    return NULL;
  }
  /* V8 has reserved whole pages; behind a part of a buffer may be more of it. */
  const bool ends = at == 0 || length % page == 0;
  if (length == 0 || !ends || (uintptr_t)data % page != 0 || (uint64_t)offset % page != 0) {
    throw_range(env, "memory and file must begin on a page");
    return NULL;
  }
  const size_t whole = (length + page - 1) / page * page;
  if (!exact && whole >= 2 * LARGE_PAGE) {
    offset += (int64_t)(((uintptr_t)data - (size_t)offset) % LARGE_PAGE);
    use_large_pages((int)fd, offset, whole);
  }
  int error = posix_fallocate((int)fd, offset, (off_t)whole);
  if (error != 0) {
    throw_errno(env, "fallocate", error);
    return NULL;
  }
  if (mmap(data, whole, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, (int)fd, offset) != data) {
    throw_errno(env, "mmap", errno);
    return NULL;
  }
  napi_create_int64(env, offset, &result);
  return result;
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
