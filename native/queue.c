/*
 * A queue of a TUN device, bound to a batch: functions that fill it and empty it, each with one crossing from JavaScript.
 *
 * The batch belongs to JavaScript, which may detach or resize it at any time between two calls: its address and length are
 * fetched anew on every call and compared with what was bound. The functions find their queue by the data that they were made
 * with; it lives as long as the last of them.
 */
#include "io.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>

struct queue {
  struct io *io; /* NULL: closed */
  struct batch batch;
  size_t length;
  napi_ref reference; /* keeps the batch */
  int functions;
};

static void function_finalize(napi_env env, void *data, void *hint) {
  struct queue *queue = data;
  (void)hint;
  if (--queue->functions > 0) return;
  if (queue->io != NULL) queue->io->operations->close(queue->io, NULL);
  if (queue->reference != NULL) napi_delete_reference(env, queue->reference);
  free(queue);
}

static uint32_t monotonic_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint32_t)((uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u);
}

/* The arguments of a call and its queue, open and with its batch in place. False after it has thrown. */
static bool enter(napi_env env, napi_callback_info info, size_t count, napi_value *arguments, struct queue **found) {
  napi_value buffer;
  void *address = NULL;
  size_t given = count, length = 0;
  void *data = NULL;
  if (napi_get_cb_info(env, info, &given, arguments, NULL, &data) != napi_ok || given < count) {
    return throw_type(env, "too few arguments");
  }
  struct queue *queue = data;
  if (napi_get_reference_value(env, queue->reference, &buffer) != napi_ok || buffer == NULL ||
      napi_get_arraybuffer_info(env, buffer, &address, &length) != napi_ok) {
    return throw_type(env, "the batch is gone");
  }
  if (address != queue->batch.bytes || length != queue->length) {
    return throw_type(env, "the batch was detached or resized");
  }
  if (queue->io == NULL) return throw_type(env, "the queue is closed");
  *found = queue;
  return true;
}

/* Writes the passing slots, or throws. A slot that points outside of the batch is an exception, and nothing is written. */
static bool write_slots(napi_env env, struct queue *queue, napi_value argument, int *written) {
  const struct batch *batch = &queue->batch;
  int64_t count;
  if (!get_integer(env, argument, "count", 0, batch->slots, &count)) return false;
  for (int64_t slot = 0; slot < count; slot++) {
    if (batch->verdicts[slot] != 1) continue;
    uint64_t end = (uint64_t)batch->offsets[slot] + batch->lengths[slot];
    if (batch->offsets[slot] < batch->arena || batch->lengths[slot] < VNET_HEADER_LENGTH ||
        batch->lengths[slot] > MAX_PACKET || end > queue->length) {
      return throw_range(env, "a slot points outside of the batch");
    }
  }
  *written = count == 0 ? 0 : queue->io->operations->write(queue->io, &queue->batch, (uint32_t)count);
  return *written >= 0 || throw_errno(env, "write tun", -*written);
}

/* write(count) -> packets handed to the device, at once or with the next exchange; what it does not take is counted. */
static napi_value queue_write(napi_env env, napi_callback_info info) {
  napi_value argument;
  struct queue *queue;
  int written;
  if (!enter(env, info, 1, &argument, &queue) || !write_slots(env, queue, argument, &written)) return NULL;
  return make_uint32(env, (uint32_t)written);
}

/*
 * exchange(count, timeoutMs) -> packets: writes the passing slots below count, and then reads the next batch. If there is
 * nothing it waits for a packet, or for a wake-up, at most so long.
 */
static napi_value queue_exchange(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  struct queue *queue;
  int64_t timeout_ms;
  int written;
  if (!enter(env, info, 2, arguments, &queue)) return NULL;
  if (!get_integer(env, arguments[1], "timeoutMs", 0, 3600000, &timeout_ms)) return NULL;
  if (!write_slots(env, queue, arguments[0], &written)) return NULL;
  queue->batch.control[CONTROL_WOKEN] = 0;
  int count = queue->io->operations->read(queue->io, &queue->batch, (int)timeout_ms);
  if (count < 0) {
    throw_errno(env, "read tun", -count);
    return NULL;
  }
  queue->batch.control[CONTROL_NOW_MS] = monotonic_ms();
  return make_uint32(env, (uint32_t)count);
}

/* finish(): takes no more packets from the device. exchange goes on until it has given those that were taken before, and then gives 0. */
static napi_value queue_finish(napi_env env, napi_callback_info info) {
  struct queue *queue;
  if (!enter(env, info, 0, NULL, &queue)) return NULL;
  queue->io->operations->finish(queue->io, &queue->batch);
  return make_undefined(env);
}

/* close(): completes what was written, and lets go of the device; the descriptors are the caller's to close. */
static napi_value queue_close(napi_env env, napi_callback_info info) {
  struct queue *queue;
  if (!enter(env, info, 0, NULL, &queue)) return NULL;
  queue->io->operations->close(queue->io, &queue->batch);
  queue->io = NULL;
  return make_undefined(env);
}

static bool bind_batch(napi_env env, const napi_value *arguments, struct queue *queue) {
  int64_t slots, read_slots, read_bytes;
  void *data = NULL;
  size_t length = 0;
  if (!get_integer(env, arguments[1], "slots", 1, MAX_SLOTS, &slots)) return false;
  if (!get_integer(env, arguments[2], "readSlots", 1, slots, &read_slots)) return false;
  if (!get_integer(env, arguments[3], "readBytes", MAX_PACKET + PACKET_ALIGNMENT, INT32_MAX, &read_bytes)) return false;
  if (napi_get_arraybuffer_info(env, arguments[0], &data, &length) != napi_ok) {
    return throw_type(env, "the batch must be an ArrayBuffer");
  }
  size_t offsets = CONTROL_WORDS * sizeof(uint32_t);
  size_t lengths = offsets + (size_t)slots * sizeof(uint32_t);
  size_t verdicts = lengths + (size_t)slots * sizeof(uint32_t);
  size_t arena = (verdicts + (size_t)slots + PACKET_ALIGNMENT - 1) / PACKET_ALIGNMENT * PACKET_ALIGNMENT;
  if (data == NULL || length > UINT32_MAX || length < arena + (size_t)read_bytes) {
    return throw_range(env, "the batch is too small for its slots and arena, or larger than 4 GiB");
  }
  queue->length = length;
  queue->batch = (struct batch){
      .bytes = data,
      .control = data,
      .offsets = (uint32_t *)(void *)((uint8_t *)data + offsets),
      .lengths = (uint32_t *)(void *)((uint8_t *)data + lengths),
      .verdicts = (uint8_t *)data + verdicts,
      .arena = (uint32_t)arena,
      .slots = (uint32_t)slots,
      .read_slots = (uint32_t)read_slots,
      .read_bytes = (uint32_t)read_bytes,
  };
  if (napi_create_reference(env, arguments[0], 1, &queue->reference) != napi_ok) {
    return throw_type(env, "cannot hold the batch");
  }
  return true;
}

static bool add_function(napi_env env, napi_value object, const char *name, napi_callback call, struct queue *queue) {
  napi_value function;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, call, queue, &function) != napi_ok ||
      napi_add_finalizer(env, function, queue, function_finalize, NULL, NULL) != napi_ok) {
    return throw_type(env, "cannot make the functions of a queue");
  }
  queue->functions++;
  return napi_set_named_property(env, object, name, function) == napi_ok || throw_type(env, "cannot make the queue");
}

/*
 * bindQueue(tunFd, wakeFd, batch, slots, readSlots, readBytes, ring) -> { exchange, write, finish, close }, to be used by this thread
 * only. With ring, by io_uring: throws an error of the system call io_uring where that cannot be used.
 */
napi_value queue_bind(napi_env env, napi_callback_info info) {
  napi_value arguments[7], object;
  int64_t tun_fd, wake_fd;
  bool ring;
  if (!get_arguments(env, info, 7, arguments, NULL)) return NULL;
  if (!get_integer(env, arguments[0], "tunFd", 0, INT_MAX, &tun_fd)) return NULL;
  if (!get_integer(env, arguments[1], "wakeFd", 0, INT_MAX, &wake_fd)) return NULL;
  if (napi_get_value_bool(env, arguments[6], &ring) != napi_ok) {
    throw_type(env, "ring must be a boolean");
    return NULL;
  }
  struct queue *queue = calloc(1, sizeof *queue);
  if (queue == NULL) {
    throw_errno(env, "calloc", ENOMEM);
    return NULL;
  }
  /* One for this function, until it returns. */
  queue->functions = 1;
  bool made = bind_batch(env, arguments + 2, queue);
  if (made) {
    int error = 0;
    queue->io = ring ? ring_io_open((int)tun_fd, (int)wake_fd, &queue->batch, &error)
                     : plain_io_open((int)tun_fd, (int)wake_fd, &error);
    made = queue->io != NULL || throw_errno(env, ring ? "io_uring" : "calloc", error);
  }
  made = made && napi_create_object(env, &object) == napi_ok && add_function(env, object, "exchange", queue_exchange, queue) &&
         add_function(env, object, "write", queue_write, queue) &&
         add_function(env, object, "finish", queue_finish, queue) && add_function(env, object, "close", queue_close, queue);
  function_finalize(env, queue, NULL);
  return made ? object : NULL;
}
