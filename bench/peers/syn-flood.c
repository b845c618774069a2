/*
 * Sends TCP SYNs from random addresses of a /16 and random ports, at a given rate: connections that are never completed.
 * For the lab: both the rate and the time are bounded, and it sends to private addresses only.
 */
#define _GNU_SOURCE
#include "tool.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define MAX_BATCH 64

struct packet {
  struct iphdr ip;
  struct tcphdr tcp;
};

static bool is_private(in_addr_t address) {
  uint32_t host = ntohl(address);
  return host >> 24 == 10 || host >> 20 == 0xac1 || host >> 16 == 0xc0a8;
}

static void set_checksum(struct packet *packet) {
  const uint8_t tail[4] = {0, IPPROTO_TCP, 0, sizeof packet->tcp};
  packet->tcp.check = 0;
  uint32_t sum = checksum_add(0, &packet->ip.saddr, 8);
  sum = checksum_add(sum, tail, sizeof tail);
  packet->tcp.check = checksum_fold(checksum_add(sum, &packet->tcp, sizeof packet->tcp));
}

int main(int argc, char **argv) {
  static struct packet packets[MAX_BATCH];
  static struct mmsghdr messages[MAX_BATCH];
  static struct iovec vectors[MAX_BATCH];
  struct sockaddr_in to = {0};
  struct in_addr from = {0};
  uint64_t rate = 10000, ms = 1000, seed = 1;
  const struct tool_option options[] = {
      {"to", "ADDRESS:PORT, a private address", OPTION_ENDPOINT, &to, 0, 0},
      {"from", "any address of the /16 that the sources are from", OPTION_ADDRESS, &from, 0, 0},
      {"rate", "SYNs a second (10000)", OPTION_NUMBER, &rate, 1, 1000000},
      {"ms", "for how long, in ms (1000)", OPTION_NUMBER, &ms, 1, 60000},
      {"seed", "of the addresses and ports (1)", OPTION_NUMBER, &seed, 0, UINT64_MAX},
      {0},
  };
  tool_options(argc, argv, "sends TCP SYNs from random sources", options);
  if (to.sin_family == 0 || from.s_addr == 0 || !is_private(to.sin_addr.s_addr)) {
    fprintf(stderr, "--to (a private address) and --from are needed\n");
    return 2;
  }
  int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
  if (fd < 0) die("socket");
  for (size_t i = 0; i < MAX_BATCH; i++) {
    packets[i].ip = (struct iphdr){
        .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP, .daddr = to.sin_addr.s_addr};
    packets[i].tcp = (struct tcphdr){.dest = to.sin_port, .doff = 5, .syn = 1, .window = htons(65535)};
    vectors[i] = (struct iovec){&packets[i], sizeof packets[i]};
    messages[i].msg_hdr = (struct msghdr){
        .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &vectors[i], .msg_iovlen = 1};
  }
  struct pacer pacer;
  pacer_start(&pacer, rate);
  const unsigned batch = pacer_batch(&pacer, MAX_BATCH);
  const uint64_t start = now_ns(), end = start + ms * 1000000;
  const uint32_t network = ntohl(from.s_addr) & 0xffff0000u;
  uint64_t sent = 0;
  while (now_ns() < end) {
    for (unsigned i = 0; i < batch; i++) {
      uint64_t random = next_random(&seed);
      packets[i].ip.saddr = htonl(network | (uint32_t)(random & 0xffff));
      packets[i].tcp.source = htons((uint16_t)(1024 + (random >> 16) % 60000));
      packets[i].tcp.seq = (uint32_t)(random >> 32);
      set_checksum(&packets[i]);
    }
    pacer_wait(&pacer, batch);
    int count = sendmmsg(fd, messages, batch, 0);
    if (count > 0) {
      sent += (uint64_t)count;
    } else if (errno != ENOBUFS && errno != EHOSTUNREACH) {
      die("sendmmsg");
    }
  }
  printf("{\"sent\":%lu,\"seconds\":%.6f}\n", sent, (double)(now_ns() - start) / 1e9);
  return 0;
}
