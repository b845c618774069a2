/*
 * io_uring without a library: a ring for one thread, with multishot reads into provided buffers.
 *
 * The kernel's interface is declared here, as much of it as is used (include/uapi/linux/io_uring.h): a distribution's headers are
 * older than the kernels that it runs on. What is used needs Linux 6.7.
 */
#ifndef URING_H
#define URING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum uring_opcode {
  URING_OP_POLL_ADD = 6,
  URING_OP_WRITE = 23,
  URING_OP_READ_MULTISHOT = 49,
};

/* Flags of a submission: the descriptor is an index of the registered files; the kernel chooses a buffer of the group. */
#define URING_SQE_FIXED_FILE (1u << 0)
#define URING_SQE_BUFFER_SELECT (1u << 5)
/* len of a poll that goes on after its first event. */
#define URING_POLL_MULTISHOT 1u
/* Offset of a file that has none. */
#define URING_NO_OFFSET UINT64_MAX

struct uring_sqe {
  uint8_t opcode;
  uint8_t flags;
  uint16_t io_priority;
  int32_t fd;
  uint64_t offset;
  uint64_t address;
  uint32_t length;
  uint32_t operation_flags; /* of a poll: its events */
  uint64_t user_data;
  uint16_t buffer_group;
  uint16_t personality;
  uint32_t file_index;
  uint64_t reserved[2];
};

/* Flags of a completion: a buffer was filled, and which; more will come of the same submission. */
#define URING_CQE_BUFFER (1u << 0)
#define URING_CQE_MORE (1u << 1)
#define URING_CQE_BUFFER_SHIFT 16

struct uring_cqe {
  uint64_t user_data;
  int32_t result;
  uint32_t flags;
};

struct uring_buffer {
  uint64_t address;
  uint32_t length;
  uint16_t id;
  uint16_t tail; /* of the first one: how many buffers were ever given */
};

struct uring {
  int fd;
  uint32_t *sq_head, *sq_tail, *cq_head, *cq_tail;
  uint32_t sq_entries, sq_mask, cq_mask;
  struct uring_sqe *sqes;
  struct uring_cqe *cqes;
  struct uring_buffer *buffers;
  uint32_t buffer_mask;
  uint16_t buffer_tail;
  uint32_t pending; /* submissions that the kernel has not seen */
  void *rings;
  size_t rings_length, sqes_length, buffers_length;
};

/*
 * Makes a ring with one registered file, index 0, and an empty group of buffers, number 0. Sizes are powers of two. The thread
 * that calls it is the only one that may use it. Returns 0 or an errno: EPERM, ENOSYS, EINVAL or EOPNOTSUPP where io_uring is
 * refused or too old.
 */
int uring_open(struct uring *ring, uint32_t entries, uint32_t buffers, int file);

/* Ends all that is under way. What it has done until then can be taken after the next uring_enter. */
void uring_cancel(struct uring *ring);

/* Cancels what is under way, and lets go of the file. Does nothing the second time. */
void uring_close(struct uring *ring);

/* A submission to fill in, all zero; NULL when the kernel has to take some first (uring_enter). */
struct uring_sqe *uring_next(struct uring *ring);

/* Lets the kernel have a buffer. It is its own until a completion names it. */
void uring_give(struct uring *ring, uint16_t id, void *address, uint32_t length);

/*
 * Hands over all submissions, lets what is under way go on, and waits until there are so many completions, or for so many ms.
 * Returns 0, also when the time is up or a signal came, or an errno.
 */
int uring_enter(struct uring *ring, uint32_t completions, int timeout_ms);

/* The oldest completion that was not taken, or NULL. */
static inline const struct uring_cqe *uring_peek(const struct uring *ring) {
  uint32_t head = *ring->cq_head;
  if (head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE)) return NULL;
  return &ring->cqes[head & ring->cq_mask];
}

/* Takes it. */
static inline void uring_take(struct uring *ring) {
  __atomic_store_n(ring->cq_head, *ring->cq_head + 1, __ATOMIC_RELEASE);
}

#endif
