/* The mechanics of uring.h. */
#define _GNU_SOURCE
#include "uring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same on every architecture that Node runs on; older headers lack them. */
#ifndef __NR_io_uring_setup
#define __NR_io_uring_setup 425
#define __NR_io_uring_enter 426
#define __NR_io_uring_register 427
#endif

#define SETUP_SUBMIT_ALL (1u << 7)
#define SETUP_SINGLE_ISSUER (1u << 12)
/* Work of the kernel's for this ring is done when the thread enters, and at no other time. */
#define SETUP_DEFER_TASKRUN (1u << 13)

#define FEATURE_SINGLE_MMAP (1u << 0)
#define FEATURE_EXT_ARG (1u << 8)

#define ENTER_GETEVENTS (1u << 0)
#define ENTER_EXT_ARG (1u << 3)

#define REGISTER_FILES 2
#define UNREGISTER_FILES 3
#define REGISTER_PROBE 8
#define REGISTER_BUFFER_RING 22
#define UNREGISTER_BUFFER_RING 23
#define REGISTER_SYNC_CANCEL 24

#define CANCEL_ANY (1u << 2)

#define OFFSET_RINGS 0
#define OFFSET_SQES 0x10000000

struct sq_offsets {
  uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, reserved;
  uint64_t user_address;
};

struct cq_offsets {
  uint32_t head, tail, ring_mask, ring_entries, overflow, cqes, flags, reserved;
  uint64_t user_address;
};

struct parameters {
  uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd, reserved[3];
  struct sq_offsets sq;
  struct cq_offsets cq;
};

struct probe {
  uint8_t last_operation, operations_length;
  uint16_t reserved;
  uint32_t reserved2[3];
  struct {
    uint8_t operation, reserved;
    uint16_t flags; /* bit 0: supported */
    uint32_t reserved2;
  } operations[URING_OP_READ_MULTISHOT + 1];
};

struct buffer_registration {
  uint64_t address;
  uint32_t entries;
  uint16_t group, flags;
  uint64_t reserved[3];
};

struct sync_cancel {
  uint64_t user_data;
  int32_t fd;
  uint32_t flags;
  int64_t timeout_s, timeout_ns;
  uint8_t opcode, reserved[7];
  uint64_t reserved2[3];
};

struct enter_argument {
  uint64_t signal_mask;
  uint32_t signal_mask_length, reserved;
  uint64_t timeout;
};

static int do_register(const struct uring *ring, unsigned operation, void *argument, unsigned count) {
  return syscall(__NR_io_uring_register, ring->fd, operation, argument, count) < 0 ? errno : 0;
}

static int map_rings(struct uring *ring, const struct parameters *made) {
  size_t sq_end = made->sq.array + made->sq_entries * sizeof(uint32_t);
  size_t cq_end = made->cq.cqes + made->cq_entries * sizeof(struct uring_cqe);
  ring->rings_length = sq_end > cq_end ? sq_end : cq_end;
  ring->sqes_length = made->sq_entries * sizeof(struct uring_sqe);
  void *rings = mmap(NULL, ring->rings_length, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, OFFSET_RINGS);
  if (rings == MAP_FAILED) return errno;
  ring->rings = rings;
  void *sqes = mmap(NULL, ring->sqes_length, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, OFFSET_SQES);
  if (sqes == MAP_FAILED) return errno;
  ring->sqes = sqes;

  uint8_t *base = rings;
  ring->sq_head = (uint32_t *)(void *)(base + made->sq.head);
  ring->sq_tail = (uint32_t *)(void *)(base + made->sq.tail);
  ring->cq_head = (uint32_t *)(void *)(base + made->cq.head);
  ring->cq_tail = (uint32_t *)(void *)(base + made->cq.tail);
  ring->cqes = (struct uring_cqe *)(void *)(base + made->cq.cqes);
  ring->sq_entries = made->sq_entries;
  ring->sq_mask = made->sq_entries - 1;
  ring->cq_mask = made->cq_entries - 1;
  /* Submissions are handed over in the order in which they lie. */
  uint32_t *array = (uint32_t *)(void *)(base + made->sq.array);
  for (uint32_t i = 0; i < made->sq_entries; i++) array[i] = i;
  return 0;
}

static int check_support(const struct uring *ring, uint32_t features) {
  struct probe probe = {0};
  const uint32_t needed = FEATURE_SINGLE_MMAP | FEATURE_EXT_ARG;
  if ((features & needed) != needed) return EOPNOTSUPP;
  int error = do_register(ring, REGISTER_PROBE, &probe, URING_OP_READ_MULTISHOT + 1);
  if (error != 0) return error;
  return (probe.operations[URING_OP_READ_MULTISHOT].flags & 1) != 0 ? 0 : EOPNOTSUPP;
}

static int register_buffers(struct uring *ring, uint32_t buffers) {
  ring->buffers_length = buffers * sizeof(struct uring_buffer);
  void *memory = mmap(NULL, ring->buffers_length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return errno;
  ring->buffers = memory;
  ring->buffer_mask = buffers - 1;
  struct buffer_registration registration = {.address = (uint64_t)(uintptr_t)memory, .entries = buffers};
  return do_register(ring, REGISTER_BUFFER_RING, &registration, 1);
}

int uring_open(struct uring *ring, uint32_t entries, uint32_t buffers, int file) {
  struct parameters made = {.flags = SETUP_SUBMIT_ALL | SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN};
  memset(ring, 0, sizeof *ring);
  ring->fd = (int)syscall(__NR_io_uring_setup, entries, &made);
  if (ring->fd < 0) return errno;
  int error = check_support(ring, made.features);
  if (error == 0) error = map_rings(ring, &made);
  if (error == 0) error = register_buffers(ring, buffers);
  if (error == 0) error = do_register(ring, REGISTER_FILES, &file, 1);
  if (error != 0) uring_close(ring);
  return error;
}

void uring_cancel(struct uring *ring) {
  struct sync_cancel cancel = {.fd = -1, .flags = CANCEL_ANY, .timeout_s = -1, .timeout_ns = -1};
  do_register(ring, REGISTER_SYNC_CANCEL, &cancel, 1);
}

void uring_close(struct uring *ring) {
  if (ring->fd < 0) return;
  /* Nothing is read into buffers from here on: their memory may belong to another object by now. */
  struct buffer_registration registration = {.group = 0};
  do_register(ring, UNREGISTER_BUFFER_RING, &registration, 1);
  /* The kernel frees a ring some time after it was closed; the file has to be free at once. */
  uring_cancel(ring);
  do_register(ring, UNREGISTER_FILES, NULL, 0);
  close(ring->fd);
  ring->fd = -1;
  if (ring->sqes != NULL) munmap(ring->sqes, ring->sqes_length);
  if (ring->rings != NULL) munmap(ring->rings, ring->rings_length);
  if (ring->buffers != NULL) munmap(ring->buffers, ring->buffers_length);
}

struct uring_sqe *uring_next(struct uring *ring) {
  uint32_t tail = *ring->sq_tail;
  if (tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE) == ring->sq_entries) return NULL;
  struct uring_sqe *sqe = &ring->sqes[tail & ring->sq_mask];
  memset(sqe, 0, sizeof *sqe);
  /* The kernel looks when it is entered, on this thread: it may be notified of entries that are filled in afterwards. */
  __atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
  ring->pending++;
  return sqe;
}

void uring_give(struct uring *ring, uint16_t id, void *address, uint32_t length) {
  struct uring_buffer *buffer = &ring->buffers[ring->buffer_tail & ring->buffer_mask];
  buffer->address = (uint64_t)(uintptr_t)address;
  buffer->length = length;
  buffer->id = id;
  ring->buffer_tail++;
  __atomic_store_n(&ring->buffers[0].tail, ring->buffer_tail, __ATOMIC_RELEASE);
}

int uring_enter(struct uring *ring, uint32_t completions, int timeout_ms) {
  struct {
    int64_t seconds, nanoseconds;
  } timeout = {timeout_ms / 1000, timeout_ms % 1000 * INT64_C(1000000)};
  struct enter_argument argument = {.timeout = (uint64_t)(uintptr_t)&timeout};
  for (;;) {
    long result = syscall(__NR_io_uring_enter, ring->fd, ring->pending, completions, ENTER_GETEVENTS | ENTER_EXT_ARG,
                          &argument, sizeof argument);
    if (result < 0) return errno == ETIME || errno == EINTR ? 0 : errno;
    ring->pending -= (uint32_t)result;
    if (ring->pending == 0 || result == 0) return 0;
  }
}
