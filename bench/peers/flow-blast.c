/*
 * Sends small UDP datagrams of many flows: flow number i has the source address --from + i / 60,000 and the source port
 * 1,024 + i % 60,000. In order, each flow once, or in random order.
 *
 * Raw packets, because a million sockets would measure the sender. The UDP checksum is 0, which is legal.
 */
#define _GNU_SOURCE
#include "tool.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define MAX_BATCH 64
#define PORTS 60000u
#define PAYLOAD 18u

struct packet {
  struct iphdr ip;
  struct udphdr udp;
  uint8_t payload[PAYLOAD];
};

int main(int argc, char **argv) {
  static struct packet packets[MAX_BATCH];
  static struct mmsghdr messages[MAX_BATCH];
  static struct iovec vectors[MAX_BATCH];
  struct sockaddr_in to = {0};
  struct in_addr from = {0};
  uint64_t flows = 1, rate = 0, limit_ms = 60000, seed = 1;
  bool random_order = false, ask = false;
  const struct tool_option options[] = {
      {"to", "ADDRESS:PORT", OPTION_ENDPOINT, &to, 0, 0},
      {"from", "first source address", OPTION_ADDRESS, &from, 0, 0},
      {"flows", "how many flows (1)", OPTION_NUMBER, &flows, 1, 16000000},
      {"rate", "datagrams a second; 0: as many as it can (0)", OPTION_NUMBER, &rate, 0, 100000000},
      {"ms", "for how long at most (60000); in order it ends after one of each flow", OPTION_NUMBER, &limit_ms, 1, 600000},
      {"random", "in random order, until the time is over", OPTION_FLAG, &random_order, 0, 0},
      {"ask", "datagrams that udp-sink answers", OPTION_FLAG, &ask, 0, 0},
      {"seed", "of the random order (1)", OPTION_NUMBER, &seed, 0, UINT64_MAX},
      {0},
  };
  tool_options(argc, argv, "sends UDP datagrams of many flows", options);
  if (to.sin_family == 0 || from.s_addr == 0) {
    fprintf(stderr, "--to and --from are needed\n");
    return 2;
  }
  int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
  if (fd < 0) die("socket");
  for (size_t i = 0; i < MAX_BATCH; i++) {
    packets[i].ip = (struct iphdr){
        .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP, .daddr = to.sin_addr.s_addr};
    packets[i].udp = (struct udphdr){.dest = to.sin_port, .len = htons(sizeof(struct udphdr) + PAYLOAD)};
    if (ask) packets[i].payload[0] = ASK;
    vectors[i] = (struct iovec){&packets[i], sizeof packets[i]};
    messages[i].msg_hdr = (struct msghdr){
        .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &vectors[i], .msg_iovlen = 1};
  }
  struct pacer pacer;
  pacer_start(&pacer, rate);
  const unsigned batch = pacer_batch(&pacer, MAX_BATCH);
  const uint64_t start = now_ns(), end = start + limit_ms * 1000000;
  uint64_t sent = 0, refused = 0;
  while (now_ns() < end && (random_order || sent < flows)) {
    unsigned wanted = batch;
    if (!random_order && flows - sent < wanted) wanted = (unsigned)(flows - sent);
    for (unsigned i = 0; i < wanted; i++) {
      uint64_t flow = random_order ? next_random(&seed) % flows : sent + i;
      packets[i].ip.saddr = htonl(ntohl(from.s_addr) + (uint32_t)(flow / PORTS));
      packets[i].udp.source = htons((uint16_t)(1024 + flow % PORTS));
    }
    pacer_wait(&pacer, wanted);
    int count = sendmmsg(fd, messages, wanted, 0);
    if (count > 0) {
      sent += (uint64_t)count;
    } else if (errno == ENOBUFS || errno == EHOSTUNREACH) {
      refused++;
    } else {
      die("sendmmsg");
    }
  }
  printf("{\"sent\":%lu,\"refused\":%lu,\"seconds\":%.6f}\n", sent, refused, (double)(now_ns() - start) / 1e9);
  return 0;
}
