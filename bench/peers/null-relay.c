/*
 * The limit of a userspace firewall on a TUN: reads each packet and writes it back without looking at it.
 *
 * It opens the device as tunwall does (same flags, same offloads), and its loop is of the same kind: drain until the queue is
 * empty, then poll. One thread. What a packet costs here is the kernel's part, which no firewall on a TUN can avoid.
 */
#define _GNU_SOURCE
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Since Linux 6.2; older headers lack it. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define VNET_HEADER_LENGTH 10

static int open_tun(const char *name) {
  /* As in src/dataplane/tun/linux-tun.ts. */
  static const unsigned offloads[] = {
      TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6,
      TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN,
      TUN_F_CSUM | TUN_F_TSO4,
      TUN_F_CSUM,
      0,
  };
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE};
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) die("open /dev/net/tun");
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  if (ioctl(fd, TUNSETIFF, &request) != 0) die("ioctl TUNSETIFF");
  for (size_t i = 0; i < sizeof offloads / sizeof offloads[0]; i++) {
    if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)offloads[i]) == 0) return fd;
  }
  die("ioctl TUNSETOFFLOAD");
}

int main(int argc, char **argv) {
  static uint8_t packet[VNET_HEADER_LENGTH + 65535];
  const char *device = "fw0";
  bool discard = false;
  const struct tool_option options[] = {
      {"device", "TUN device (fw0)", OPTION_TEXT, &device, 0, 0},
      {"discard", "read only: the limit of a firewall that drops everything", OPTION_FLAG, &discard, 0, 0},
      {0},
  };
  tool_options(argc, argv, "reads each packet of a TUN device and writes it back, until SIGTERM", options);
  stop_on_signal();
  int fd = open_tun(device);
  uint64_t forwarded = 0, refused = 0;
  puts("ready");
  fflush(stdout);
  while (!tool_stopped) {
    ssize_t length = read(fd, packet, sizeof packet);
    if (length >= 0) {
      if (discard) continue;
      if (write(fd, packet, (size_t)length) == length) {
        forwarded++;
      } else {
        refused++;
      }
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) die("read");
    struct pollfd waiting = {fd, POLLIN, 0};
    /* As long as tunwall waits: a signal that comes before the wait must not be slept through. */
    if (poll(&waiting, 1, 100) < 0 && errno != EINTR) die("poll");
  }
  printf("{\"forwarded\":%lu,\"refused\":%lu}\n", forwarded, refused);
  return 0;
}
