/*
 * Sends UDP datagrams of one flow at a given rate, for a time or until SIGTERM, in batches (sendmmsg), or as super-packets (UDP_SEGMENT).
 *
 * Prints what it has sent and how long that took, so that whoever reads it can tell a rate that the sender did not reach from
 * packets that were lost.
 */
#define _GNU_SOURCE
#include "tool.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define MAX_BATCH 64

/* Until the flow is established, for a second at most. */
static void until_answered(int fd, size_t size) {
  static char question[65536] = {ASK}, answer[8];
  const struct timeval patience = {.tv_usec = 50000};
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0) die("setsockopt SO_RCVTIMEO");
  for (int attempt = 0; attempt < 20; attempt++) {
    (void)!send(fd, question, size, 0);
    if (recv(fd, answer, sizeof answer, 0) >= 0) return;
  }
}

int main(int argc, char **argv) {
  static char payload[65536];
  struct sockaddr_in to = {0};
  uint64_t rate = 0, seconds_ms = 1000, size = 18, segments = 1;
  bool ask = false;
  const struct tool_option options[] = {
      {"to", "ADDRESS:PORT", OPTION_ENDPOINT, &to, 0, 0},
      {"rate", "datagrams a second; 0: as many as it can (0)", OPTION_NUMBER, &rate, 0, 100000000},
      {"ms", "for how long, in ms (1000)", OPTION_NUMBER, &seconds_ms, 1, 600000},
      {"size", "bytes of payload of a datagram (18)", OPTION_NUMBER, &size, 1, 60000},
      {"segments", "datagrams in a super-packet (1: none)", OPTION_NUMBER, &segments, 1, 64},
      {"ask", "begin when one datagram was answered (udp-sink does), or after a second", OPTION_FLAG, &ask, 0, 0},
      {0},
  };
  tool_options(argc, argv, "sends UDP datagrams of one flow", options);
  if (to.sin_family == 0 || size * segments > 65000) {
    fprintf(stderr, "--to is needed, and a super-packet has at most 65,000 bytes\n");
    return 2;
  }
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) die("connect");
  if (ask) until_answered(fd, (size_t)size);
  int segment_size = (int)size;
  if (segments > 1 && setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment_size, sizeof segment_size) != 0) {
    die("setsockopt UDP_SEGMENT");
  }

  struct iovec vector = {payload, size * segments};
  struct mmsghdr messages[MAX_BATCH];
  memset(messages, 0, sizeof messages);
  for (size_t i = 0; i < MAX_BATCH; i++) {
    messages[i].msg_hdr.msg_iov = &vector;
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  struct pacer pacer;
  pacer_start(&pacer, rate);
  const unsigned batch = segments > 1 ? 1 : pacer_batch(&pacer, MAX_BATCH);
  const uint64_t start = now_ns(), end = start + seconds_ms * 1000000;
  uint64_t sent = 0, refused = 0;
  stop_on_signal();
  while (!tool_stopped && now_ns() < end) {
    pacer_wait(&pacer, batch * segments);
    int count = sendmmsg(fd, messages, batch, 0);
    if (count > 0) {
      sent += (uint64_t)count * segments;
    } else if (errno == ENOBUFS || errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == EINTR) {
      refused += segments;
    } else {
      die("sendmmsg");
    }
  }
  struct timespec cpu;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
  printf("{\"sent\":%lu,\"refused\":%lu,\"seconds\":%.6f,\"cpuSeconds\":%.6f}\n", sent, refused,
         (double)(now_ns() - start) / 1e9, (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
  return 0;
}
