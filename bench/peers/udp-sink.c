/*
 * Counts the datagrams that arrive at a UDP port, until SIGTERM.
 *
 * It shares its core with the sender, so it disturbs as little as it can: it looks at the socket only every now and then,
 * copies no payload, and the socket's buffer is large enough for what comes in between. What the buffer did not hold is counted
 * separately (`overflow`): it reached the host. A datagram that asks (ASK) is answered: from then on its flow is established. With --gaps every datagram has the kernel's time stamp of its arrival.
 */
#define _GNU_SOURCE
#include "tool.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 256
#define BUFFER_BYTES (512 << 20)

struct tally {
  uint64_t messages, bytes;
  uint64_t first_ns, last_ns, longest_gap_ns;
};

static int open_socket(uint16_t port, bool gaps) {
  const int on = 1, buffer = BUFFER_BYTES / 2;
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port)};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof here) != 0) die("bind");
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) != 0) die("setsockopt SO_RCVBUFFORCE");
  if (setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) != 0) die("setsockopt UDP_GRO");
  if (gaps && setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) != 0) die("setsockopt SO_TIMESTAMPNS");
  return fd;
}

static void note_arrival(struct tally *tally, struct msghdr *header) {
  for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control != NULL; control = CMSG_NXTHDR(header, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_TIMESTAMPNS) continue;
    struct timespec stamp;
    memcpy(&stamp, CMSG_DATA(control), sizeof stamp);
    uint64_t at = (uint64_t)stamp.tv_sec * 1000000000u + (uint64_t)stamp.tv_nsec;
    if (tally->first_ns == 0) tally->first_ns = at;
    if (tally->last_ns != 0 && at > tally->last_ns && at - tally->last_ns > tally->longest_gap_ns) {
      tally->longest_gap_ns = at - tally->last_ns;
    }
    tally->last_ns = at;
  }
}

/* Takes what the socket has. */
static void drain(int fd, struct tally *tally, bool gaps) {
  static char payloads[BATCH][8], controls[BATCH][128];
  static struct sockaddr_in senders[BATCH];
  struct mmsghdr messages[BATCH];
  struct iovec vectors[BATCH];
  for (;;) {
    memset(messages, 0, sizeof messages);
    for (size_t i = 0; i < BATCH; i++) {
      vectors[i] = (struct iovec){payloads[i], sizeof payloads[i]};
      messages[i].msg_hdr.msg_name = &senders[i];
      messages[i].msg_hdr.msg_namelen = sizeof senders[i];
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_control = controls[i];
      messages[i].msg_hdr.msg_controllen = sizeof controls[i];
    }
    /* MSG_TRUNC: the length is that of the datagram. */
    int count = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
    if (count < 0) {
      if (errno == EAGAIN) return;
      if (errno == EINTR || errno == ECONNREFUSED) continue;
      die("recvmmsg");
    }
    for (int i = 0; i < count; i++) {
      tally->messages++;
      tally->bytes += messages[i].msg_len;
      if (gaps) note_arrival(tally, &messages[i].msg_hdr);
      /* An answer that does not get through is asked for again. */
      if (payloads[i][0] == ASK) (void)!sendto(fd, "", 1, 0, (struct sockaddr *)&senders[i], sizeof senders[i]);
    }
    if (count < BATCH) return;
  }
}

int main(int argc, char **argv) {
  uint64_t port = 9, size = 18, seconds = 600, period_us = 2000;
  bool gaps = false;
  const struct tool_option options[] = {
      {"port", "UDP port (9)", OPTION_NUMBER, &port, 1, 65535},
      {"size", "bytes of payload of a datagram (18): super-packets are counted in these", OPTION_NUMBER, &size, 1, 65507},
      {"gaps", "measure the longest time between two arrivals", OPTION_FLAG, &gaps, 0, 0},
      {"period-us", "how often it looks at the socket (2000)", OPTION_NUMBER, &period_us, 10, 1000000},
      {"seconds", "end after so long at the latest (600)", OPTION_NUMBER, &seconds, 1, 3600},
      {0},
  };
  tool_options(argc, argv, "counts UDP datagrams until SIGTERM", options);
  stop_on_signal();
  int fd = open_socket((uint16_t)port, gaps);
  struct tally tally = {0};
  puts("ready");
  fflush(stdout);
  const uint64_t end = now_ns() + seconds * 1000000000u;
  while (!tool_stopped && now_ns() < end) {
    sleep_until(now_ns() + period_us * 1000);
    drain(fd, &tally, gaps);
  }
  drain(fd, &tally, gaps);
  uint32_t memory[SK_MEMINFO_VARS] = {0};
  socklen_t length = sizeof memory;
  if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &length) != 0) die("getsockopt SO_MEMINFO");
  printf("{\"received\":%lu,\"bytes\":%lu,\"overflow\":%u,\"spanSeconds\":%.6f,\"longestGapMs\":%.3f}\n",
         tally.bytes / size, tally.bytes, memory[SK_MEMINFO_DROPS], (double)(tally.last_ns - tally.first_ns) / 1e9,
         (double)tally.longest_gap_ns / 1e6);
  return 0;
}
