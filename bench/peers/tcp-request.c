/*
 * Sends requests on one TCP connection and waits for each answer (tcp-serve echoes); measures how long that takes.
 */
#define _GNU_SOURCE
#include "tool.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define MAX_LATENCIES 4000000u

/* Returns false when the answer does not come. */
static bool exchange(int fd, char *buffer, size_t size) {
  if (write(fd, buffer, size) != (ssize_t)size) return false;
  for (size_t got = 0; got < size;) {
    ssize_t length = read(fd, buffer, size - got);
    if (length <= 0) return false;
    got += (size_t)length;
  }
  return true;
}

int main(int argc, char **argv) {
  static char buffer[16384];
  struct sockaddr_in to = {0};
  uint64_t ms = 1000, size = 64, interval_us = 200;
  const struct tool_option options[] = {
      {"to", "ADDRESS:PORT", OPTION_ENDPOINT, &to, 0, 0},
      {"ms", "for how long, in ms (1000)", OPTION_NUMBER, &ms, 1, 600000},
      {"size", "bytes of a request and its answer (64)", OPTION_NUMBER, &size, 1, sizeof buffer},
      {"interval-us", "pause after each answer (200)", OPTION_NUMBER, &interval_us, 0, 1000000},
      {0},
  };
  tool_options(argc, argv, "sends requests on one TCP connection and measures the time to the answer", options);
  if (to.sin_family == 0) {
    fprintf(stderr, "--to is needed\n");
    return 2;
  }
  const int on = 1;
  const struct timeval patience = {2, 0};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0) die("socket");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) die("connect");
  struct latencies latencies;
  latencies_init(&latencies, MAX_LATENCIES);
  const uint64_t start = now_ns(), end = start + ms * 1000000;
  uint64_t failed = 0;
  while (failed == 0 && now_ns() < end) {
    uint64_t sent = now_ns();
    if (exchange(fd, buffer, size)) {
      latencies_add(&latencies, now_ns() - sent);
    } else {
      failed++;
    }
    if (interval_us > 0) sleep_until(now_ns() + interval_us * 1000);
  }
  printf("{\"answered\":%zu,\"failed\":%lu,", latencies.count, failed);
  latencies_print(&latencies);
  puts("}");
  return 0;
}
