/*
 * Queues of a TUN device, its offloads, and the eventfd that wakes the thread that waits on it.
 *
 * Descriptors travel as numbers, as in node:fs; the opener closes them. Everything is close-on-exec.
 */
#include "tunwall.h"

#include <errno.h>
#include <limits.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

/*
 * attach(fd, name): an open /dev/net/tun becomes a queue of the device, or makes the device if there is none and the caller may.
 * Without privileges this works for a persistent device that the user owns.
 */
napi_value tun_attach(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  int64_t fd;
  struct ifreq request = {0};
  if (!get_arguments(env, info, 2, arguments, NULL)) return NULL;
  if (!get_integer(env, arguments[0], "fd", 0, INT_MAX, &fd)) return NULL;
  if (!get_device_name(env, arguments[1], request.ifr_name)) return NULL;
  request.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE);
  if (ioctl((int)fd, TUNSETIFF, &request) != 0) {
    throw_errno(env, "ioctl TUNSETIFF", errno);
    return NULL;
  }
  return make_undefined(env);
}

/*
 * deviceOf(fd) -> { name, enabled }: the device that an open /dev/net/tun is a queue of, and whether that queue takes packets;
 * undefined: of none.
 */
napi_value tun_device_of(napi_env env, napi_callback_info info) {
  napi_value argument, object, name, enabled;
  int64_t fd;
  struct ifreq request = {0};
  if (!get_arguments(env, info, 1, &argument, NULL)) return NULL;
  if (!get_integer(env, argument, "fd", 0, INT_MAX, &fd)) return NULL;
  if (ioctl((int)fd, TUNGETIFF, &request) != 0) {
    if (errno == EBADFD) return make_undefined(env);
    throw_errno(env, "ioctl TUNGETIFF", errno);
    return NULL;
  }
  const bool detached = (request.ifr_flags & IFF_DETACH_QUEUE) != 0;
  if (napi_create_object(env, &object) != napi_ok ||
      napi_create_string_utf8(env, request.ifr_name, NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_get_boolean(env, !detached, &enabled) != napi_ok ||
      napi_set_named_property(env, object, "name", name) != napi_ok ||
      napi_set_named_property(env, object, "enabled", enabled) != napi_ok) {
    return NULL;
  }
  return object;
}

/* enableQueue(fd, enabled): whether a queue takes packets. One that takes none loses those that wait in it. */
napi_value tun_enable_queue(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  int64_t fd;
  bool enabled;
  struct ifreq request = {0};
  if (!get_arguments(env, info, 2, arguments, NULL)) return NULL;
  if (!get_integer(env, arguments[0], "fd", 0, INT_MAX, &fd)) return NULL;
  if (napi_get_value_bool(env, arguments[1], &enabled) != napi_ok) {
    throw_type(env, "enabled must be a boolean");
    return NULL;
  }
  request.ifr_flags = (short)(enabled ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE);
  if (ioctl((int)fd, TUNSETQUEUE, &request) != 0) {
    throw_errno(env, "ioctl TUNSETQUEUE", errno);
    return NULL;
  }
  return make_undefined(env);
}

/* setOffload(fd, bits): TUNSETOFFLOAD; unknown bits give EINVAL, so the caller probes downwards. */
napi_value tun_set_offload(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  int64_t fd, bits;
  if (!get_arguments(env, info, 2, arguments, NULL)) return NULL;
  if (!get_integer(env, arguments[0], "fd", 0, INT_MAX, &fd)) return NULL;
  if (!get_integer(env, arguments[1], "offload bits", 0, 0xffff, &bits)) return NULL;
  if (ioctl((int)fd, TUNSETOFFLOAD, (unsigned long)bits) != 0) {
    throw_errno(env, "ioctl TUNSETOFFLOAD", errno);
    return NULL;
  }
  return make_undefined(env);
}

/* createWake() -> fd of an eventfd. */
napi_value wake_create(napi_env env, napi_callback_info info) {
  (void)info;
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) {
    throw_errno(env, "eventfd", errno);
    return NULL;
  }
  return make_uint32(env, (uint32_t)fd);
}

/* signalWake(fd): ends the wait of the queue that is bound to this eventfd; from any thread. */
napi_value wake_signal(napi_env env, napi_callback_info info) {
  napi_value argument;
  int64_t fd;
  const uint64_t one = 1;
  if (!get_arguments(env, info, 1, &argument, NULL)) return NULL;
  if (!get_integer(env, argument, "fd", 0, INT_MAX, &fd)) return NULL;
  /* EAGAIN: the counter is at its limit, so the wake-up is pending anyway. */
  if (write((int)fd, &one, sizeof one) != (ssize_t)sizeof one && errno != EAGAIN) {
    throw_errno(env, "write eventfd", errno);
    return NULL;
  }
  return make_undefined(env);
}

napi_value fd_close(napi_env env, napi_callback_info info) {
  napi_value argument;
  int64_t fd;
  if (!get_arguments(env, info, 1, &argument, NULL)) return NULL;
  if (!get_integer(env, argument, "fd", 3, INT_MAX, &fd)) return NULL;
  if (close((int)fd) != 0) {
    throw_errno(env, "close", errno);
    return NULL;
  }
  return make_undefined(env);
}
