/*
 * How packets come from the device into a batch and go back: by system calls (plain-io.c) or by io_uring (ring-io.c). Both do the
 * same to the batch; queue.c has checked it before.
 */
#ifndef IO_H
#define IO_H

#include "tunwall.h"

#include <errno.h>
#include <linux/virtio_net.h>

/* VIRTIO_NET_HDR_GSO_UDP_L4, which the headers of kernels before 6.2 do not have. */
#define GSO_UDP_L4 5

/* A batch in memory (tunwall.h), and how large it is. */
struct batch {
  uint8_t *bytes;
  uint32_t *control;
  uint32_t *offsets;
  uint32_t *lengths;
  uint8_t *verdicts;
  uint32_t arena; /* its offset */
  uint32_t slots;
  uint32_t read_slots;
  uint32_t read_bytes; /* the part of the arena that reads fill */
};

struct io;

struct io_operations {
  /* Fills the first slots; if there is nothing, waits for a packet or a wake-up, at most so long. Returns how many, or -errno. */
  int (*read)(struct io *io, struct batch *batch, int timeout_ms);
  /* Writes the slots below count whose verdict is 1, or has them written by the next read. Returns how many, or -errno. */
  int (*write)(struct io *io, struct batch *batch, uint32_t count);
  /* Takes no more packets from the device: from now on read gives those that were taken before, and does not wait. */
  void (*finish)(struct io *io, struct batch *batch);
  /* Completes the writes if there is a batch, lets go of the device, and frees. */
  void (*close)(struct io *io, struct batch *batch);
};

struct io {
  const struct io_operations *operations;
};

/* Both return NULL, and the errno in error. The descriptors are the caller's. */
struct io *plain_io_open(int tun_fd, int wake_fd, int *error);
/* EPERM, ENOSYS, EINVAL, EOPNOTSUPP and the like where io_uring is refused or too old. Until it is closed the TUN's descriptor is a blocking one. */
struct io *ring_io_open(int tun_fd, int wake_fd, const struct batch *batch, int *error);

/* Whether an error of a read or write says that the device is gone. */
static inline bool io_is_gone(int error) { return error == EBADF || error == EBADFD || error == ENODEV; }

/* Counts a packet that the device did not take. */
static inline void io_note_failure(const struct batch *batch, uint32_t offset, int error) {
  batch->control[CONTROL_WRITE_FAILURES]++;
  batch->control[CONTROL_LAST_ERRNO] = (uint32_t)error;
  /* The second byte of the virtio header is the GSO type, with a bit for ECN. */
  const uint8_t type = batch->bytes[offset + 1] & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
  if (error != EINVAL || type == VIRTIO_NET_HDR_GSO_NONE) return;
  batch->control[type == GSO_UDP_L4 ? CONTROL_UDP_REFUSED : CONTROL_TCP_REFUSED]++;
}

#endif
