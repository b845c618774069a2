/*
 * Packets by io_uring: one system call hands over what was judged, and brings the next batch.
 *
 * Life of a buffer: free -> given to the kernel -> filled by a multishot read -> in a batch -> free again, when the next read has
 * completed the writes of that batch. Free buffers are a stack, and the kernel has no more than a few at a time, so that few
 * packets come to lie in few cache lines. When it has used up what it had, the read ends and is submitted again.
 *
 * A write is only submitted: the next read, or close, hands it over. Kernel and thread never work on the batch at the same time:
 * reads and writes are done in the thread's own calls (uring.c, DEFER_TASKRUN), and read does not return before the writes are
 * done.
 */
#include "io.h"
#include "uring.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

/* Buffers in all, at most: half of them can be in a batch and half with the kernel. */
#define MAX_BUFFERS 256u
/* What the kernel has at a time, at least; and in bytes of such packets as there are, at most: they stay in the cache. */
#define MIN_QUOTA 8u
#define QUOTA_BYTES (UINT64_C(1) << 20)
#define RING_ENTRIES 256u
/* How often writes are waited for, 100 ms each time, before something is wrong. */
#define MAX_TRIES 10u
#define TUN_FILE 0

/* What a completion is of, in the lowest bits of its user data. A write's length and offset follow. */
enum kind { KIND_READ, KIND_WAKE, KIND_WRITE };
#define KIND_BITS 2
#define LENGTH_BITS 20
#define KIND_MASK ((1u << KIND_BITS) - 1)
#define LENGTH_MASK ((1u << LENGTH_BITS) - 1)

struct filled {
  uint16_t buffer;
  uint32_t length;
};

struct ring_io {
  struct io io;
  int tun_fd;
  int tun_flags; /* of the descriptor, as they were */
  int wake_fd;
  struct uring ring;
  uint32_t buffers;
  uint32_t quota; /* what the kernel may have */
  uint32_t given; /* what it has */
  uint16_t free[MAX_BUFFERS];
  uint32_t free_count;
  uint16_t held[MAX_BUFFERS]; /* in the batch */
  uint32_t held_count;
  struct filled filled[MAX_BUFFERS]; /* not in a batch yet: a queue */
  uint32_t filled_first, filled_count;
  uint32_t writes;      /* under way */
  bool reading, waking; /* the read and the poll of the wake-up are under way */
  bool exhausted;       /* a read has ended for want of buffers */
  bool finished;        /* nothing is read from the device any more */
  int error;            /* of the device; reported with the packets before it */
};

static uint32_t buffer_offset(const struct batch *batch, uint32_t buffer) {
  return batch->arena + buffer * RING_BUFFER_STRIDE + PACKET_START;
}

static void note_read(struct ring_io *ring, int32_t result, uint32_t flags) {
  if ((flags & URING_CQE_MORE) == 0) ring->reading = false;
  if (result == -ENOBUFS) {
    ring->exhausted = true;
  } else if (result < 0) {
    if (!ring->finished || result != -ECANCELED) ring->error = -result;
  } else if ((flags & URING_CQE_BUFFER) != 0) {
    uint32_t last = (ring->filled_first + ring->filled_count) % MAX_BUFFERS;
    ring->filled[last] = (struct filled){(uint16_t)(flags >> URING_CQE_BUFFER_SHIFT), (uint32_t)result};
    ring->filled_count++;
    ring->given--;
  }
}

static void note_write(struct ring_io *ring, const struct batch *batch, uint64_t data, int32_t result) {
  const uint32_t length = (uint32_t)(data >> KIND_BITS) & LENGTH_MASK;
  ring->writes--;
  if (result == (int32_t)length) {
    batch->control[CONTROL_WRITTEN]++;
  } else if (result < 0 && io_is_gone(-result)) {
    ring->error = -result;
  } else {
    io_note_failure(batch, (uint32_t)(data >> (KIND_BITS + LENGTH_BITS)), result < 0 ? -result : EIO);
  }
}

static void note_wake(struct ring_io *ring, const struct batch *batch, uint32_t flags) {
  uint64_t count;
  if ((flags & URING_CQE_MORE) == 0) ring->waking = false;
  if (read(ring->wake_fd, &count, sizeof count) == (ssize_t)sizeof count) batch->control[CONTROL_WOKEN] = 1;
}

/* Takes all completions. */
static void collect(struct ring_io *ring, const struct batch *batch) {
  const struct uring_cqe *next;
  while ((next = uring_peek(&ring->ring)) != NULL) {
    const struct uring_cqe completion = *next;
    uring_take(&ring->ring);
    switch ((enum kind)(completion.user_data & KIND_MASK)) {
      case KIND_READ:
        note_read(ring, completion.result, completion.flags);
        break;
      case KIND_WRITE:
        note_write(ring, batch, completion.user_data, completion.result);
        break;
      case KIND_WAKE:
        note_wake(ring, batch, completion.flags);
        break;
    }
  }
}

/* A submission to fill in; the kernel takes some first if there is no room. NULL, and ring->error is set, if it does not. */
static struct uring_sqe *submission(struct ring_io *ring, const struct batch *batch) {
  struct uring_sqe *sqe = uring_next(&ring->ring);
  if (sqe != NULL) return sqe;
  int error = uring_enter(&ring->ring, 0, 0);
  collect(ring, batch);
  sqe = uring_next(&ring->ring);
  if (sqe == NULL) ring->error = error != 0 ? error : EAGAIN;
  return sqe;
}

/* Submits the read and the poll of the wake-up if they have ended, and sees to it that the kernel has buffers. */
static void prepare(struct ring_io *ring, const struct batch *batch) {
  if (ring->finished) return;
  while (ring->given < ring->quota && ring->free_count > 0) {
    uint16_t buffer = ring->free[--ring->free_count];
    uring_give(&ring->ring, buffer, batch->bytes + buffer_offset(batch, buffer), MAX_PACKET);
    ring->given++;
  }
  struct uring_sqe *sqe;
  if (!ring->waking && (sqe = submission(ring, batch)) != NULL) {
    sqe->opcode = URING_OP_POLL_ADD;
    sqe->fd = ring->wake_fd;
    sqe->length = URING_POLL_MULTISHOT;
    sqe->operation_flags = POLLIN;
    sqe->user_data = KIND_WAKE;
    ring->waking = true;
  }
  if (!ring->reading && (sqe = submission(ring, batch)) != NULL) {
    sqe->opcode = URING_OP_READ_MULTISHOT;
    sqe->flags = URING_SQE_FIXED_FILE | URING_SQE_BUFFER_SELECT;
    sqe->fd = TUN_FILE;
    sqe->offset = URING_NO_OFFSET;
    sqe->user_data = KIND_READ;
    ring->reading = true;
    ring->exhausted = false;
  }
}

/*
 * Hands over what was submitted. Waits for the writes; if wait says so, for a packet, a wake-up or the end of the time as well.
 * A TUN's write does not block, so they are done when the kernel has seen them; a second time is for signals.
 */
static void hand_over(struct ring_io *ring, const struct batch *batch, bool wait, int timeout_ms) {
  int error = uring_enter(&ring->ring, ring->writes + (wait ? 1 : 0), timeout_ms);
  collect(ring, batch);
  for (unsigned tries = 0; error == 0 && ring->writes > 0; tries++) {
    error = tries < MAX_TRIES ? uring_enter(&ring->ring, ring->writes, 100) : EIO;
    collect(ring, batch);
  }
  if (error != 0) ring->error = error;
}

/* Makes the batch of what was read, and tells how many bytes are in it. */
static uint32_t fill(struct ring_io *ring, const struct batch *batch, uint64_t *bytes) {
  while (ring->held_count > 0) ring->free[ring->free_count++] = ring->held[--ring->held_count];
  uint32_t count = 0;
  *bytes = 0;
  while (ring->filled_count > 0 && count < batch->read_slots) {
    const struct filled filled = ring->filled[ring->filled_first];
    ring->filled_first = (ring->filled_first + 1) % MAX_BUFFERS;
    ring->filled_count--;
    /* A TUN gives no less than its header. */
    if (filled.length < VNET_HEADER_LENGTH) {
      ring->free[ring->free_count++] = filled.buffer;
      continue;
    }
    ring->held[ring->held_count++] = filled.buffer;
    batch->offsets[count] = buffer_offset(batch, filled.buffer);
    batch->lengths[count] = filled.length;
    *bytes += filled.length;
    count++;
  }
  return count;
}

/*
 * The kernel gets more buffers when it has used up what it had, and less when it has left most of them. Of super-packets it
 * gets few: with room for a hundred each would come to lie in memory that is no longer in the cache.
 */
static void adapt(struct ring_io *ring, uint32_t count, uint64_t bytes) {
  uint64_t most = ring->buffers / 2;
  if (bytes > 0 && QUOTA_BYTES * count / bytes < most) most = QUOTA_BYTES * count / bytes;
  if (ring->exhausted && ring->quota * 2 <= most) ring->quota *= 2;
  else if ((count < ring->quota / 4 || ring->quota > most) && ring->quota > MIN_QUOTA) ring->quota /= 2;
}

static int ring_read(struct io *io, struct batch *batch, int timeout_ms) {
  struct ring_io *ring = (struct ring_io *)io;
  prepare(ring, batch);
  /* What is left of the last read needs no call of the kernel. */
  if (ring->filled_count == 0 || ring->writes > 0 || ring->ring.pending > 0) {
    const bool wait = ring->filled_count == 0 && timeout_ms > 0 && !ring->finished;
    hand_over(ring, batch, wait, timeout_ms);
  }
  /* The kernel still has packets of this batch: no buffer of it may be used again. */
  if (ring->writes > 0) return -EIO;
  uint64_t bytes;
  uint32_t count = fill(ring, batch, &bytes);
  adapt(ring, count, bytes);
  /* What was read before the error is judged; the error comes back with the next call. */
  if (count > 0 || ring->error == 0) return (int)count;
  int error = ring->error;
  ring->error = 0;
  return -error;
}

static int ring_write(struct io *io, struct batch *batch, uint32_t count) {
  struct ring_io *ring = (struct ring_io *)io;
  int submitted = 0;
  for (uint32_t slot = 0; slot < count; slot++) {
    if (batch->verdicts[slot] != 1) continue;
    struct uring_sqe *sqe = submission(ring, batch);
    if (sqe == NULL) break;
    const uint32_t offset = batch->offsets[slot];
    const uint32_t length = batch->lengths[slot];
    sqe->opcode = URING_OP_WRITE;
    sqe->flags = URING_SQE_FIXED_FILE;
    sqe->fd = TUN_FILE;
    sqe->offset = URING_NO_OFFSET;
    sqe->address = (uint64_t)(uintptr_t)(batch->bytes + offset);
    sqe->length = length;
    sqe->user_data = KIND_WRITE | (uint64_t)length << KIND_BITS | (uint64_t)offset << (KIND_BITS + LENGTH_BITS);
    ring->writes++;
    submitted++;
  }
  return submitted;
}

static void ring_finish(struct io *io, struct batch *batch) {
  struct ring_io *ring = (struct ring_io *)io;
  ring->finished = true;
  /* What was read until now has completed when this returns, and waits to be collected. */
  uring_cancel(&ring->ring);
  hand_over(ring, batch, false, 0);
}

static void ring_close(struct io *io, struct batch *batch) {
  struct ring_io *ring = (struct ring_io *)io;
  if (batch != NULL && ring->writes > 0) hand_over(ring, batch, false, 0);
  uring_close(&ring->ring);
  /* It may be closed already, and then the number is nobody's or another's: who closes a queue does so before. */
  if (batch != NULL) fcntl(ring->tun_fd, F_SETFL, ring->tun_flags);
  free(ring);
}

struct io *ring_io_open(int tun_fd, int wake_fd, const struct batch *batch, int *error) {
  static const struct io_operations operations = {ring_read, ring_write, ring_finish, ring_close};
  const uint32_t room = batch->read_bytes / RING_BUFFER_STRIDE;
  const uint32_t buffers = room < MAX_BUFFERS ? room : MAX_BUFFERS;
  uint32_t entries = 1;
  while (entries < buffers) entries *= 2;
  if (buffers < 2 * batch->read_slots) {
    *error = ENOBUFS;
    return NULL;
  }
  struct ring_io *ring = calloc(1, sizeof *ring);
  if (ring == NULL) {
    *error = ENOMEM;
    return NULL;
  }
  ring->io.operations = &operations;
  ring->tun_fd = tun_fd;
  ring->wake_fd = wake_fd;
  ring->buffers = buffers;
  ring->quota = MIN_QUOTA;
  for (uint32_t i = 0; i < buffers; i++) ring->free[i] = (uint16_t)(buffers - 1 - i);
  ring->free_count = buffers;
  *error = uring_open(&ring->ring, RING_ENTRIES, entries, tun_fd);
  if (*error == 0) {
    /* A read that finds nothing has to wait in the ring, not to fail. */
    ring->tun_flags = fcntl(tun_fd, F_GETFL);
    if (ring->tun_flags < 0 || fcntl(tun_fd, F_SETFL, ring->tun_flags & ~O_NONBLOCK) != 0) *error = errno;
  }
  if (*error != 0) {
    uring_close(&ring->ring);
    free(ring);
    return NULL;
  }
  return &ring->io;
}
