/*
 * tunwall's native addon: a TUN device in batches, a wake-up for the thread that waits on it, memory in files, and a
 * lock.
 *
 * Plain C on Node-API 8, which is ABI-stable: one build serves every Node from 12.22 on. JavaScript is not trusted with
 * memory: every number is range-checked, every buffer is looked up and measured again on each call, and what is wrong
 * becomes an exception with a code. The addon keeps no global state, so that it can be loaded by several threads.
 */
#ifndef TUNWALL_H
#define TUNWALL_H

#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The batch: one ArrayBuffer that JavaScript owns and both sides work on.
 *
 *     control words   32 x u32, see enum control_word
 *     offsets         slots x u32, of virtio headers, from the start of the buffer
 *     lengths         slots x u32, virtio header included
 *     verdicts        slots x u8, 1 = write
 *     arena           packet data
 *
 * src/dataplane/tun/batch.ts lays it out the same way; a test compares the two.
 */
enum control_word {
  CONTROL_NOW_MS,         /* CLOCK_MONOTONIC in ms, modulo 2^32, taken after the last read */
  CONTROL_WOKEN,          /* 1 if the wake-up was signalled since the read before */
  CONTROL_WRITTEN,        /* packets written since the queue was made, modulo 2^32 */
  CONTROL_WRITE_FAILURES, /* packets that the device did not take */
  CONTROL_TCP_REFUSED,    /* of those, super-packets of TCP refused with EINVAL */
  CONTROL_UDP_REFUSED,    /* the same of UDP */
  CONTROL_LAST_ERRNO,     /* of the last write that failed */
  CONTROL_WORDS = 32,
};

#define VNET_HEADER_LENGTH 10u
/* Where in a 64-byte line a packet's virtio header starts: the IPv4 header behind it is then 16-aligned. */
#define PACKET_ALIGNMENT 64u
#define PACKET_START 6u
/* Largest read: virtio header and 65,535 bytes. */
#define MAX_PACKET (VNET_HEADER_LENGTH + 65535u)
#define MAX_SLOTS 65536u
/* With io_uring a packet has a buffer: room for the largest one, and each time another place within the page and the cache. */
#define RING_BUFFER_STRIDE (65536u + 2 * PACKET_ALIGNMENT)

/* values.c: arguments and errors. Each returns false after it has thrown. */
bool throw_errno(napi_env env, const char *syscall, int error);
bool throw_range(napi_env env, const char *what);
bool throw_type(napi_env env, const char *what);
bool get_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *arguments, napi_value *self);
/* A whole number from min to max. */
bool get_integer(napi_env env, napi_value value, const char *what, int64_t min, int64_t max, int64_t *result);
/* The name of a network interface, in a buffer of IFNAMSIZ bytes. */
bool get_device_name(napi_env env, napi_value value, char *name);
napi_value make_undefined(napi_env env);
napi_value make_uint32(napi_env env, uint32_t number);

/* tun.c: devices, wake-ups, descriptors. */
napi_value tun_attach(napi_env env, napi_callback_info info);
napi_value tun_device_of(napi_env env, napi_callback_info info);
napi_value tun_enable_queue(napi_env env, napi_callback_info info);
napi_value tun_set_offload(napi_env env, napi_callback_info info);
napi_value wake_create(napi_env env, napi_callback_info info);
napi_value wake_signal(napi_env env, napi_callback_info info);
napi_value fd_close(napi_env env, napi_callback_info info);

/* link.c: what the kernel says of a device. */
napi_value tun_attached_queues(napi_env env, napi_callback_info info);

/* parent.c: the process that this one was started by. */
napi_value end_with_parent(napi_env env, napi_callback_info info);

/* lock.c: locks on files. */
napi_value file_lock(napi_env env, napi_callback_info info);
napi_value file_unlock(napi_env env, napi_callback_info info);

/* map.c: memory that outlives the process. */
napi_value memory_use_large_pages(napi_env env, napi_callback_info info);
napi_value memory_return_freed(napi_env env, napi_callback_info info);
napi_value file_map(napi_env env, napi_callback_info info);

/* bpf.c */
napi_value link_interface_index(napi_env env, napi_callback_info info);
napi_value bpf_open_map(napi_env env, napi_callback_info info);
napi_value bpf_map_map(napi_env env, napi_callback_info info);
napi_value bpf_run_program(napi_env env, napi_callback_info info);
napi_value network_namespace(napi_env env, napi_callback_info info);

/* queue.c: batches. */
napi_value queue_bind(napi_env env, napi_callback_info info);

#endif
