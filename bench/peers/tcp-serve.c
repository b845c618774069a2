/* Accepts TCP connections on some ports and echoes what comes, until SIGTERM. One thread, epoll. */
#define _GNU_SOURCE
#include "tool.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256
/* Marks a listening socket in an event's data. */
#define LISTENING (UINT64_C(1) << 32)

static void listen_on(int epoll, uint16_t port) {
  const int on = 1;
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) die("socket");
  if (bind(fd, (struct sockaddr *)&here, sizeof here) != 0 || listen(fd, 65535) != 0) die("listen");
  struct epoll_event event = {EPOLLIN, {.u64 = LISTENING | (uint32_t)fd}};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

static void accept_all(int epoll, int listener) {
  const int on = 1;
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EAGAIN || errno == EMFILE || errno == ENFILE) return;
      if (errno == EINTR || errno == ECONNABORTED) continue;
      die("accept");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {EPOLLIN, {.u64 = (uint32_t)fd}};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
  }
}

static void echo(int fd) {
  char buffer[16384];
  ssize_t length = read(fd, buffer, sizeof buffer);
  if (length < 0 && errno == EAGAIN) return;
  if (length <= 0 || write(fd, buffer, (size_t)length) != length) close(fd);
}

int main(int argc, char **argv) {
  uint64_t port = 8000, ports = 1;
  const struct tool_option options[] = {
      {"port", "first port (8000)", OPTION_NUMBER, &port, 1, 65535},
      {"ports", "how many ports (1)", OPTION_NUMBER, &ports, 1, 1000},
      {0},
  };
  tool_options(argc, argv, "accepts TCP connections and echoes, until SIGTERM", options);
  stop_on_signal();
  struct rlimit files = {65536, 65536};
  setrlimit(RLIMIT_NOFILE, &files);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) die("epoll_create1");
  for (uint64_t i = 0; i < ports; i++) listen_on(epoll, (uint16_t)(port + i));
  puts("ready");
  fflush(stdout);
  while (!tool_stopped) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll, events, EVENTS, -1);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) {
      int fd = (int)(events[i].data.u64 & UINT32_MAX);
      if ((events[i].data.u64 & LISTENING) != 0) {
        accept_all(epoll, fd);
      } else {
        echo(fd);
      }
    }
  }
  return 0;
}
