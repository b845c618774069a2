/*
 * What the kernel says of a TUN device, asked through a socket: that is the network namespace of this process, also where
 * /sys is still another one's, as behind `nsenter --net`. Needs no privilege.
 */
#include "tunwall.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int ask_ethtool(int fd, const char *name, void *question) {
  struct ifreq request = {0};
  memcpy(request.ifr_name, name, strlen(name));
  request.ifr_data = question;
  return ioctl(fd, SIOCETHTOOL, &request) == 0 ? 0 : errno;
}

/* EOPNOTSUPP from a device that knows no ethtool, EINVAL from one that is no multi-queue TUN. */
static int attached_queues(const char *name, uint32_t *attached) {
  struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
  struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  int error = ask_ethtool(fd, name, &driver);
  if (error == 0) error = ask_ethtool(fd, name, &channels);
  close(fd);
  if (error != 0) return error;
  if (strcmp(driver.driver, "tun") != 0 || strcmp(driver.bus_info, "tun") != 0) return EINVAL;
  if (channels.max_combined < 2) return EINVAL;
  *attached = channels.combined_count;
  return 0;
}

/* interfaceIndex(name): 0 = there is none. */
napi_value link_interface_index(napi_env env, napi_callback_info info) {
  napi_value argument;
  char name[IFNAMSIZ];
  if (!get_arguments(env, info, 1, &argument, NULL)) return NULL;
  if (!get_device_name(env, argument, name)) return NULL;
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    throw_errno(env, "socket", errno);
    return NULL;
  }
  struct ifreq request = {0};
  memcpy(request.ifr_name, name, strlen(name));
  const int answer = ioctl(fd, SIOCGIFINDEX, &request);
  close(fd);
  return make_uint32(env, answer == 0 ? (uint32_t)request.ifr_ifindex : 0);
}

/* attachedQueues(name): how many queues of a multi-queue TUN device are open, in all processes together. */
napi_value tun_attached_queues(napi_env env, napi_callback_info info) {
  napi_value argument;
  char name[IFNAMSIZ];
  uint32_t attached = 0;
  if (!get_arguments(env, info, 1, &argument, NULL)) return NULL;
  if (!get_device_name(env, argument, name)) return NULL;
  int error = attached_queues(name, &attached);
  if (error != 0) {
    throw_errno(env, "ioctl SIOCETHTOOL", error == EOPNOTSUPP ? EINVAL : error);
    return NULL;
  }
  return make_uint32(env, attached);
}
