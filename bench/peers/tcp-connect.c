/*
 * Opens TCP connections, a number of them at a time, and measures how long each takes: from connect to the arrival of the
 * SYN+ACK. A connection is ended with an RST (linger 0) as soon as it is there, so that neither end keeps a TIME_WAIT and
 * source ports do not run out. One that does not come within a second has failed.
 */
#define _GNU_SOURCE
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_CONCURRENCY 1024
#define TIMEOUT_NS 1000000000u
#define MAX_LATENCIES 4000000u

struct attempt {
  int fd; /* -1: not in use */
  uint64_t started_ns;
};

struct run {
  struct sockaddr_in to;
  uint64_t ports;
  int epoll;
  uint64_t started, opened, failed;
  struct latencies latencies;
  struct attempt attempts[MAX_CONCURRENCY];
};

static void start_attempt(struct run *run, unsigned slot) {
  const struct linger linger = {1, 0};
  struct sockaddr_in to = run->to;
  struct attempt *attempt = &run->attempts[slot];
  to.sin_port = htons((uint16_t)(ntohs(to.sin_port) + run->started % run->ports));
  run->started++;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) != 0) die("socket");
  struct epoll_event event = {EPOLLOUT | EPOLLONESHOT, {.u32 = slot}};
  attempt->started_ns = now_ns();
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
    /* No free port at the moment. */
    close(fd);
    run->failed++;
    return;
  }
  if (epoll_ctl(run->epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
  attempt->fd = fd;
}

static void end_attempt(struct run *run, unsigned slot, bool measure) {
  struct attempt *attempt = &run->attempts[slot];
  uint64_t now = now_ns();
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &error, &length);
  close(attempt->fd);
  attempt->fd = -1;
  if (error != 0 || !measure) {
    run->failed++;
    return;
  }
  run->opened++;
  latencies_add(&run->latencies, now - attempt->started_ns);
}

int main(int argc, char **argv) {
  static struct run run = {.ports = 1};
  uint64_t concurrency = 1, ms = 1000, interval_us = 0;
  const struct tool_option options[] = {
      {"to", "ADDRESS:PORT", OPTION_ENDPOINT, &run.to, 0, 0},
      {"ports", "how many ports from there on, in turn (1)", OPTION_NUMBER, &run.ports, 1, 1000},
      {"concurrency", "connections that are being opened at a time (1)", OPTION_NUMBER, &concurrency, 1, MAX_CONCURRENCY},
      {"ms", "for how long, in ms (1000)", OPTION_NUMBER, &ms, 1, 600000},
      {"interval-us", "pause after each connection, with a concurrency of 1 (0)", OPTION_NUMBER, &interval_us, 0, 1000000},
      {0},
  };
  tool_options(argc, argv, "opens TCP connections and measures how long that takes", options);
  if (run.to.sin_family == 0) {
    fprintf(stderr, "--to is needed\n");
    return 2;
  }
  run.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (run.epoll < 0) die("epoll_create1");
  latencies_init(&run.latencies, MAX_LATENCIES);
  for (unsigned slot = 0; slot < MAX_CONCURRENCY; slot++) run.attempts[slot].fd = -1;
  const uint64_t start = now_ns(), end = start + ms * 1000000;
  uint64_t next_ns = start;
  bool waiting = true;
  while (now_ns() < end || waiting) {
    uint64_t now = now_ns();
    waiting = false;
    for (unsigned slot = 0; slot < concurrency; slot++) {
      struct attempt *attempt = &run.attempts[slot];
      if (attempt->fd >= 0 && now - attempt->started_ns > TIMEOUT_NS) end_attempt(&run, slot, false);
      if (attempt->fd < 0 && now < end && now >= next_ns) {
        start_attempt(&run, slot);
        next_ns = interval_us == 0 ? next_ns : now + interval_us * 1000;
      }
      if (attempt->fd >= 0) waiting = true;
    }
    if (!waiting) {
      sleep_until(next_ns > now ? next_ns : now + 100000);
      continue;
    }
    struct epoll_event events[MAX_CONCURRENCY];
    int count = epoll_wait(run.epoll, events, MAX_CONCURRENCY, 100);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) end_attempt(&run, events[i].data.u32, true);
  }
  printf("{\"opened\":%lu,\"failed\":%lu,\"seconds\":%.6f,", run.opened, run.failed, (double)(now_ns() - start) / 1e9);
  latencies_print(&run.latencies);
  puts("}");
  return 0;
}
