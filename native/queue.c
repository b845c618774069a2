/*
 * A queue of a TUN device, bound to a batch: read fills it, write empties it, each with one crossing from JavaScript.
 *
 * A packet is one read or write system call: a TUN has no other. Packets are laid densely into the arena, each virtio header
 * at 64k + 6, so that a batch of small packets stays in the cache and every IPv4 header is aligned.
 *
 * The batch belongs to JavaScript, which may detach or resize it at any time between two calls: its address and length are
 * fetched anew on every call and compared with what was bound.
 */
#include "tunwall.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const napi_type_tag QUEUE_TAG = {0x74756e77616c6c00u, 0x7175657565000001u};

struct queue {
  int tun_fd;
  int wake_fd;
  uint32_t slots;
  uint32_t read_slots;
  uint32_t read_bytes; /* the part of the arena that reads fill */
  size_t length;       /* of the batch when it was bound */
  struct batch_layout layout;
  napi_ref batch;
};

/* A batch in the middle of a call. */
struct view {
  uint8_t *bytes;
  uint32_t *control;
  uint32_t *offsets;
  uint32_t *lengths;
  uint8_t *verdicts;
};

struct batch_layout batch_layout_of(uint32_t slots) {
  struct batch_layout layout = {.slots = slots};
  layout.offsets = CONTROL_WORDS * sizeof(uint32_t);
  layout.lengths = layout.offsets + slots * sizeof(uint32_t);
  layout.verdicts = layout.lengths + slots * sizeof(uint32_t);
  layout.arena = (layout.verdicts + slots + PACKET_ALIGNMENT - 1) / PACKET_ALIGNMENT * PACKET_ALIGNMENT;
  return layout;
}

static void queue_finalize(napi_env env, void *data, void *hint) {
  struct queue *queue = data;
  (void)hint;
  if (queue->batch != NULL) napi_delete_reference(env, queue->batch);
  free(queue);
}

static bool view_of(napi_env env, const struct queue *queue, struct view *view) {
  napi_value buffer;
  void *data = NULL;
  size_t length = 0;
  if (napi_get_reference_value(env, queue->batch, &buffer) != napi_ok || buffer == NULL ||
      napi_get_arraybuffer_info(env, buffer, &data, &length) != napi_ok) {
    return throw_type(env, "the batch is gone");
  }
  if (data == NULL || length != queue->length) {
    return throw_type(env, "the batch was detached or resized");
  }
  view->bytes = data;
  view->control = data;
  view->offsets = (uint32_t *)(void *)(view->bytes + queue->layout.offsets);
  view->lengths = (uint32_t *)(void *)(view->bytes + queue->layout.lengths);
  view->verdicts = view->bytes + queue->layout.verdicts;
  return true;
}

static bool unwrap(napi_env env, napi_value self, struct queue **queue) {
  bool tagged = false;
  void *data = NULL;
  if (napi_check_object_type_tag(env, self, &QUEUE_TAG, &tagged) != napi_ok || !tagged ||
      napi_unwrap(env, self, &data) != napi_ok) {
    return throw_type(env, "not a Queue");
  }
  *queue = data;
  return true;
}

/* new Queue(tunFd, wakeFd, batch, slots, readSlots, readBytes) */
static napi_value queue_new(napi_env env, napi_callback_info info) {
  napi_value arguments[6], self, target;
  int64_t tun_fd, wake_fd, slots, read_slots, read_bytes;
  void *data = NULL;
  size_t length = 0;
  if (napi_get_new_target(env, info, &target) != napi_ok || target == NULL) {
    throw_type(env, "Queue must be called with new");
    return NULL;
  }
  if (!get_arguments(env, info, 6, arguments, &self)) return NULL;
  if (!get_integer(env, arguments[0], "tunFd", 0, INT_MAX, &tun_fd)) return NULL;
  if (!get_integer(env, arguments[1], "wakeFd", 0, INT_MAX, &wake_fd)) return NULL;
  if (!get_integer(env, arguments[3], "slots", 1, MAX_SLOTS, &slots)) return NULL;
  if (!get_integer(env, arguments[4], "readSlots", 1, slots, &read_slots)) return NULL;
  if (!get_integer(env, arguments[5], "readBytes", MAX_PACKET + PACKET_ALIGNMENT, INT32_MAX, &read_bytes)) return NULL;
  if (napi_get_arraybuffer_info(env, arguments[2], &data, &length) != napi_ok) {
    throw_type(env, "the batch must be an ArrayBuffer");
    return NULL;
  }
  struct batch_layout layout = batch_layout_of((uint32_t)slots);
  if (data == NULL || length > UINT32_MAX || length < layout.arena + (size_t)read_bytes) {
    throw_range(env, "the batch is too small for its slots and arena, or larger than 4 GiB");
    return NULL;
  }
  struct queue *queue = calloc(1, sizeof *queue);
  if (queue == NULL) {
    throw_errno(env, "calloc", ENOMEM);
    return NULL;
  }
  queue->tun_fd = (int)tun_fd;
  queue->wake_fd = (int)wake_fd;
  queue->slots = (uint32_t)slots;
  queue->read_slots = (uint32_t)read_slots;
  queue->read_bytes = (uint32_t)read_bytes;
  queue->length = length;
  queue->layout = layout;
  if (napi_create_reference(env, arguments[2], 1, &queue->batch) != napi_ok) {
    free(queue);
    throw_type(env, "cannot hold the batch");
    return NULL;
  }
  if (napi_wrap(env, self, queue, queue_finalize, NULL, NULL) != napi_ok) {
    queue_finalize(env, queue, NULL);
    throw_type(env, "cannot wrap the queue");
    return NULL;
  }
  if (napi_type_tag_object(env, self, &QUEUE_TAG) != napi_ok) {
    throw_type(env, "cannot tag the queue");
    return NULL;
  }
  return self;
}

static uint32_t monotonic_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint32_t)((uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u);
}

/* Reads until the device is empty or the batch full. Returns the packets read, or -1 with errno. */
static int fill(const struct queue *queue, const struct view *view) {
  uint32_t at = (uint32_t)queue->layout.arena + PACKET_START;
  const uint32_t limit = (uint32_t)queue->layout.arena + queue->read_bytes - MAX_PACKET;
  uint32_t count = 0;
  while (count < queue->read_slots && at <= limit) {
    ssize_t length = read(queue->tun_fd, view->bytes + at, MAX_PACKET);
    if (length < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) break;
      /* What was read before the error is judged; the error comes back with the next call. */
      return count > 0 ? (int)count : -1;
    }
    /* A TUN gives no less than its header. What does is another file, whose end would be read for ever. */
    if (length < (ssize_t)VNET_HEADER_LENGTH) break;
    view->offsets[count] = at;
    view->lengths[count] = (uint32_t)length;
    count++;
    uint32_t next = at + (uint32_t)length + PACKET_ALIGNMENT - 1 - PACKET_START;
    at = next / PACKET_ALIGNMENT * PACKET_ALIGNMENT + PACKET_START;
  }
  return (int)count;
}

/* Waits for a packet or a wake-up. Returns false with errno when the device is gone. */
static bool wait_for_packets(const struct queue *queue, struct view *view, int timeout_ms) {
  struct pollfd descriptors[2] = {{queue->tun_fd, POLLIN, 0}, {queue->wake_fd, POLLIN, 0}};
  int ready = poll(descriptors, 2, timeout_ms);
  if (ready < 0) return errno == EINTR;
  if ((descriptors[1].revents & POLLIN) != 0) {
    uint64_t count;
    if (read(queue->wake_fd, &count, sizeof count) == (ssize_t)sizeof count) view->control[CONTROL_WOKEN] = 1;
  }
  if (((descriptors[0].revents | descriptors[1].revents) & POLLNVAL) != 0) {
    errno = EBADF;
    return false;
  }
  /* A device that was deleted reports POLLERR for ever: tell, do not spin. */
  if ((descriptors[0].revents & (POLLERR | POLLHUP)) != 0 && (descriptors[0].revents & POLLIN) == 0) {
    uint8_t probe[MAX_PACKET];
    if (read(queue->tun_fd, probe, sizeof probe) < 0 && errno != EAGAIN && errno != EINTR) return false;
    errno = ENODEV;
    return false;
  }
  return true;
}

/*
 * read(timeoutMs) -> packets. If there are none it waits for one, or for a wake-up, at most so long.
 */
static napi_value queue_read(napi_env env, napi_callback_info info) {
  napi_value argument, self;
  struct queue *queue;
  struct view view;
  int64_t timeout_ms;
  if (!get_arguments(env, info, 1, &argument, &self) || !unwrap(env, self, &queue)) return NULL;
  if (!get_integer(env, argument, "timeoutMs", 0, 3600000, &timeout_ms)) return NULL;
  if (!view_of(env, queue, &view)) return NULL;
  view.control[CONTROL_WOKEN] = 0;
  int count = fill(queue, &view);
  if (count == 0 && timeout_ms > 0) {
    if (!wait_for_packets(queue, &view, (int)timeout_ms)) {
      throw_errno(env, "poll tun", errno);
      return NULL;
    }
    count = fill(queue, &view);
  }
  if (count < 0) {
    throw_errno(env, "read tun", errno);
    return NULL;
  }
  view.control[CONTROL_NOW_MS] = monotonic_ms();
  return make_uint32(env, (uint32_t)count);
}

/*
 * write(count) -> packets written: the slots below count whose verdict is 1, in order. A packet that the device does not
 * take is counted, not thrown; a slot that points outside of the batch is an exception, and nothing is written.
 */
static napi_value queue_write(napi_env env, napi_callback_info info) {
  napi_value argument, self;
  struct queue *queue;
  struct view view;
  int64_t count;
  if (!get_arguments(env, info, 1, &argument, &self) || !unwrap(env, self, &queue)) return NULL;
  if (!get_integer(env, argument, "count", 0, queue->slots, &count)) return NULL;
  if (!view_of(env, queue, &view)) return NULL;
  for (int64_t slot = 0; slot < count; slot++) {
    if (view.verdicts[slot] != 1) continue;
    uint64_t end = (uint64_t)view.offsets[slot] + view.lengths[slot];
    if (view.offsets[slot] < queue->layout.arena || view.lengths[slot] < VNET_HEADER_LENGTH ||
        view.lengths[slot] > MAX_PACKET || end > queue->length) {
      throw_range(env, "a slot points outside of the batch");
      return NULL;
    }
  }
  uint32_t written = 0;
  for (int64_t slot = 0; slot < count; slot++) {
    if (view.verdicts[slot] != 1) continue;
    const uint8_t *packet = view.bytes + view.offsets[slot];
    ssize_t result;
    do {
      result = write(queue->tun_fd, packet, view.lengths[slot]);
    } while (result < 0 && errno == EINTR);
    if (result == (ssize_t)view.lengths[slot]) {
      written++;
      continue;
    }
    int error = result < 0 ? errno : EIO;
    if (error == EBADF || error == EBADFD || error == ENODEV) {
      throw_errno(env, "write tun", error);
      return NULL;
    }
    view.control[CONTROL_WRITE_FAILURES]++;
    view.control[CONTROL_LAST_ERRNO] = (uint32_t)error;
    /* packet[1] is the GSO type. */
    if (error == EINVAL && packet[1] != 0) view.control[CONTROL_GSO_REFUSED]++;
  }
  view.control[CONTROL_WRITTEN] += written;
  return make_uint32(env, written);
}

napi_value queue_define_class(napi_env env) {
  const napi_property_descriptor methods[] = {
      {"read", NULL, queue_read, NULL, NULL, NULL, napi_default_method, NULL},
      {"write", NULL, queue_write, NULL, NULL, NULL, napi_default_method, NULL},
  };
  napi_value class = NULL;
  napi_define_class(env, "Queue", NAPI_AUTO_LENGTH, queue_new, NULL, 2, methods, &class);
  return class;
}
