/*
 * Packets by system calls: a read or a write each, and a poll to wait.
 *
 * Packets are laid densely into the arena, each virtio header at 64k + 6, so that a batch of small packets stays in the cache and
 * every IPv4 header is aligned.
 */
#include "io.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

struct plain_io {
  struct io io;
  int tun_fd;
  int wake_fd;
  bool finished;
};

/* Reads until the device is empty or the batch full. Returns the packets read, or -errno. */
static int fill(const struct plain_io *plain, const struct batch *batch) {
  uint32_t at = batch->arena + PACKET_START;
  const uint32_t limit = batch->arena + batch->read_bytes - MAX_PACKET;
  uint32_t count = 0;
  while (count < batch->read_slots && at <= limit) {
    ssize_t length = read(plain->tun_fd, batch->bytes + at, MAX_PACKET);
    if (length < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) break;
      /* What was read before the error is judged; the error comes back with the next call. */
      return count > 0 ? (int)count : -errno;
    }
    /* A TUN gives no less than its header. What does is another file, whose end would be read for ever. */
    if (length < (ssize_t)VNET_HEADER_LENGTH) break;
    batch->offsets[count] = at;
    batch->lengths[count] = (uint32_t)length;
    count++;
    uint32_t next = at + (uint32_t)length + PACKET_ALIGNMENT - 1 - PACKET_START;
    at = next / PACKET_ALIGNMENT * PACKET_ALIGNMENT + PACKET_START;
  }
  return (int)count;
}

/* Waits for a packet or a wake-up. Returns 0, or -errno when the device is gone. */
static int wait_for_packets(const struct plain_io *plain, const struct batch *batch, int timeout_ms) {
  struct pollfd descriptors[2] = {{plain->tun_fd, POLLIN, 0}, {plain->wake_fd, POLLIN, 0}};
  int ready = poll(descriptors, 2, timeout_ms);
  if (ready < 0) return errno == EINTR ? 0 : -errno;
  if ((descriptors[1].revents & POLLIN) != 0) {
    uint64_t count;
    if (read(plain->wake_fd, &count, sizeof count) == (ssize_t)sizeof count) batch->control[CONTROL_WOKEN] = 1;
  }
  if (((descriptors[0].revents | descriptors[1].revents) & POLLNVAL) != 0) return -EBADF;
  /* A device that was deleted reports POLLERR for ever: tell, do not spin. */
  if ((descriptors[0].revents & (POLLERR | POLLHUP)) != 0 && (descriptors[0].revents & POLLIN) == 0) {
    uint8_t probe[MAX_PACKET];
    if (read(plain->tun_fd, probe, sizeof probe) < 0 && errno != EAGAIN && errno != EINTR) return -errno;
    return -ENODEV;
  }
  return 0;
}

static int plain_read(struct io *io, struct batch *batch, int timeout_ms) {
  const struct plain_io *plain = (const struct plain_io *)io;
  if (plain->finished) return 0;
  int count = fill(plain, batch);
  if (count != 0 || timeout_ms == 0) return count;
  int error = wait_for_packets(plain, batch, timeout_ms);
  return error != 0 ? error : fill(plain, batch);
}

static int plain_write(struct io *io, struct batch *batch, uint32_t count) {
  const struct plain_io *plain = (const struct plain_io *)io;
  int written = 0;
  for (uint32_t slot = 0; slot < count; slot++) {
    if (batch->verdicts[slot] != 1) continue;
    const uint32_t offset = batch->offsets[slot];
    ssize_t result;
    do {
      result = write(plain->tun_fd, batch->bytes + offset, batch->lengths[slot]);
    } while (result < 0 && errno == EINTR);
    if (result == (ssize_t)batch->lengths[slot]) {
      written++;
      batch->control[CONTROL_WRITTEN]++;
      continue;
    }
    int error = result < 0 ? errno : EIO;
    if (io_is_gone(error)) return -error;
    io_note_failure(batch, offset, error);
  }
  return written;
}

static void plain_finish(struct io *io, struct batch *batch) {
  (void)batch;
  ((struct plain_io *)io)->finished = true;
}

static void plain_close(struct io *io, struct batch *batch) {
  (void)batch;
  free(io);
}

struct io *plain_io_open(int tun_fd, int wake_fd, int *error) {
  static const struct io_operations operations = {plain_read, plain_write, plain_finish, plain_close};
  struct plain_io *plain = calloc(1, sizeof *plain);
  if (plain == NULL) {
    *error = ENOMEM;
    return NULL;
  }
  plain->io.operations = &operations;
  plain->tun_fd = tun_fd;
  plain->wake_fd = wake_fd;
  /* A process that was killed may have left it a blocking one (ring-io.c). */
  const int flags = fcntl(tun_fd, F_GETFL);
  if (flags >= 0) fcntl(tun_fd, F_SETFL, flags | O_NONBLOCK);
  return &plain->io;
}
