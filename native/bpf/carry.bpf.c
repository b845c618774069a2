/*
 * The fast path: carries packets of flows that the judge (the engine behind the TUN) has handed over, from the interface where
 * they come in to the one where they leave. Attached to tc ingress of every interface that the gateway sends to its device.
 *
 * It carries only what cannot be wrong, and leaves all else to the judge by returning TC_ACT_OK. A flow lies in one slot of
 * the map `carried`, at any moment owned by the judge, by the kernel, or by nobody (see OWNER_). What a segment teaches
 * about its connection is what src/dataplane/flow/tcp-window.ts would have learned from it, in the same words of the record.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET 2

#define OWNER_NOBODY 0  /* the slot is free, or its flow is judged */
#define OWNER_CARRIED 1 /* packets of the flow are carried */
#define OWNER_KERNEL 2  /* a packet of it is being carried right now */
#define OWNER_JUDGE 3   /* the judge reads what was carried */

/* Bits of Hot.tcp (flow-record.ts). Those of a direction are shifted by it. */
#define TCP_SCALE_MASK 0xf
#define TCP_SCALE_SHIFT 4
#define TCP_SACK_PERMITTED 0x100
#define TCP_UNACKNOWLEDGED 0x1000
#define TCP_MAX_ACK_SET 0x4000
#define TCP_LAST_DIRECTION_SHIFT 23
#define TCP_LAST_DIRECTION 0x800000
#define TCP_RETRANSMITS_SHIFT 24
#define TCP_RETRANSMITS 0x3000000

#define MINIMUM_ACK_WINDOW 66000

#define WAYS 4
#define FRAGMENT_BITS 0xbfff /* all but "do not fragment" */
#define FLAGS_CARRIED 0xd8   /* ACK, PSH, ECE, CWR */
#define FLAG_ACK 0x10

/* NOP, NOP, timestamps of ten bytes (RFC 7323 appendix A): the options of nearly every segment. */
#define TIMESTAMPS 0x0101080a
#define TIMESTAMP_WORDS 3
/* NOP, NOP, SACK: its length stands in the lowest byte, and names at most four blocks. */
#define SACK 0x01010500
#define MOST_SACK_BLOCKS 4

/* Flag of bpf_fib_lookup since Linux 6.4. */
#define FIB_LOOKUP_SKIP_NEIGHBOUR 4

/* What the driver, or the sender on this host, says of a packet's checksum: enum in linux/skbuff.h. */
#define CHECKSUM_NONE 0
#define CHECKSUM_UNNECESSARY 1
#define CHECKSUM_COMPLETE 2
#define CHECKSUM_PARTIAL 3

/* Hooks of netfilter for packets that come in, are forwarded, and leave: enum in linux/netfilter.h. */
#define HOOK_PREROUTING 0
#define HOOK_FORWARD 2
#define HOOK_POSTROUTING 4
#define HOOKS 5
#define MOST_AT_A_HOOK 8

/* The sysctl `forwarding` of an interface: IPV4_DEVCONF_FORWARDING less one. */
#define CONF_FORWARDING 0

/* What `gateway up` has said of the fingerprint. */
#define APPROVED_NONE 0
#define APPROVED_ANY 1

/* The loopback has this index in every namespace. */
#define LOOPBACK 1

/* The kernel's own view; where its fields lie is known when the program is loaded. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct nf_hook_entry {
  void *hook;
  void *priv;
};
struct nf_hook_entries {
  __u16 num_hook_entries;
  struct nf_hook_entry hooks[];
};
struct netns_nf {
  struct nf_hook_entries *hooks_ipv4[HOOKS];
};
struct netns_xfrm {
  unsigned int policy_count[6];
};
struct net {
  struct netns_nf nf;
  struct netns_xfrm xfrm;
};
typedef struct {
  struct net *net;
} possible_net_t;
struct ipv4_devconf {
  int data[1];
};
struct in_device {
  struct ipv4_devconf cnf;
};
struct net_device {
  possible_net_t nd_net;
  struct in_device *ip_ptr;
  struct nf_hook_entries *nf_hooks_ingress;
};
struct sk_buff {
  struct net_device *dev;
  __u8 ip_summed : 2;
  __u8 encapsulation : 1;
  __u32 csum;
};
#pragma clang attribute pop
extern void *bpf_cast_to_kern_ctx(void *context) __ksym;

struct flow {
  __u32 owner;
  __u32 epoch;
  __u32 source; /* of the original direction, host order, as all that follows */
  __u32 destination;
  __u32 ports;
  __u32 protocol;
  __u32 tcp;
  __u32 end[2];
  __u32 max_end[2];
  __u32 max_window[2];
  __u32 max_ack[2];
  __u32 last_sequence;
  __u32 last_ack;
  __u32 last_extent;
  __u32 seen_ms;
  __u32 index;
  __u32 packets[2]; /* since the judge looked last */
  __u64 bytes[2];
  __u32 unused[6];
};

struct control {
  __u64 lease_ns; /* nothing is carried from this moment of CLOCK_MONOTONIC on */
  __u32 epoch;    /* of the policy in force: flows of another one are not carried */
  __u32 paused;   /* not 0: nothing is carried */
  __u32 hash_key;
  __u32 hash_shift;
  __u32 device; /* the gateway's TUN device: what it judged is routed as if it came from there */
  union {
    __u32 changed; /* written here: 1 = not carried, because hooks are not those that were approved */
    __u32 test_ms; /* with CARRY_TEST: the clock */
  };
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1 << 16);
  __type(key, __u32);
  __type(value, struct flow);
} carried SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct control);
} carry_control SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} carry_approved SEC(".maps");

struct packet {
  __u32 source;
  __u32 destination;
  __u32 ports;
  __u32 protocol;
  __u32 length; /* of the IP packet */
  __u32 segment_length; /* of the largest one that leaves */
  __u32 sequence;
  __u32 ack;
  __u32 highest_sack; /* highest right edge of a SACK block, or the acknowledgment */
  __u32 window;
  __u32 payload;
  __u8 tos;
};

static __always_inline int is_after(__u32 a, __u32 b) { return (__s32)(a - b) > 0; }

static __always_inline __u32 set_of(const struct packet *p, const struct control *control) {
  __u32 hash = (p->source ^ p->destination ^ control->hash_key) * 0x9e3779b1u;
  hash ^= hash >> 15;
  hash += ((p->ports >> 16) ^ (p->ports & 0xffff)) << 8 | p->protocol;
  hash *= 0x85ebca6bu;
  return hash >> (control->hash_shift & 31);
}

/*
 * Reads the options of a segment; 0 = they are not of the usual kinds, and the judge looks at them.
 * words: their length.
 */
static __always_inline int read_options(struct packet *p, const __u32 *options, __u32 words, const void *end) {
  p->highest_sack = p->ack;
  if (words == 0) return 1;
  if ((void *)(options + 1) > end) return 0;
  if (*options == bpf_htonl(TIMESTAMPS)) {
    if (words == TIMESTAMP_WORDS) return 1;
    if (words < TIMESTAMP_WORDS) return 0;
    options += TIMESTAMP_WORDS;
    words -= TIMESTAMP_WORDS;
    if ((void *)(options + 1) > end) return 0;
  }
  const __u32 blocks = (words - 1) / 2;
  if ((words & 1) == 0 || blocks == 0 || blocks > MOST_SACK_BLOCKS) return 0;
  if (*options != bpf_htonl(SACK | (2 + 8 * blocks))) return 0;
  for (__u32 block = 0; block < blocks; block++) {
    const __u32 *right = options + 2 + 2 * block;
    if ((void *)(right + 1) > end) return 0;
    const __u32 edge = bpf_ntohl(*right);
    if (is_after(edge, p->highest_sack)) p->highest_sack = edge;
  }
  return 1;
}

/* Reads the headers of a packet that may be carried; 0 = it may not. */
static __always_inline int parse(struct __sk_buff *skb, struct packet *p) {
  void *data = (void *)(long)skb->data;
  void *end = (void *)(long)skb->data_end;
  struct iphdr *ip = data + ETH_HLEN;
  if ((void *)(ip + 1) > end) return 0;
  if (*(__u8 *)ip != 0x45 || ip->ttl <= 1 || (ip->frag_off & bpf_htons(FRAGMENT_BITS))) return 0;
  p->length = bpf_ntohs(ip->tot_len);
  if (p->length + ETH_HLEN != skb->len) return 0;
  __u32 sum = 0;
  __u16 *words = (__u16 *)ip;
#pragma unroll
  for (int i = 0; i < 10; i++) sum += words[i];
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  if (sum != 0xffff) return 0;
  p->source = bpf_ntohl(ip->saddr);
  p->destination = bpf_ntohl(ip->daddr);
  p->protocol = ip->protocol;
  p->tos = ip->tos;
  __u32 header;
  if (p->protocol == IPPROTO_TCP) {
    struct tcphdr *tcp = (void *)(ip + 1);
    if ((void *)(tcp + 1) > end) return 0;
    const __u32 offset = tcp->doff;
    const __u8 flags = ((__u8 *)tcp)[13];
    if ((flags & ~FLAGS_CARRIED) || !(flags & FLAG_ACK) || (((__u8 *)tcp)[12] & 0xf)) return 0;
    header = sizeof *ip + offset * 4;
    if (offset < 5 || p->length < header) return 0;
    p->ports = (__u32)bpf_ntohs(tcp->source) << 16 | bpf_ntohs(tcp->dest);
    p->sequence = bpf_ntohl(tcp->seq);
    p->ack = bpf_ntohl(tcp->ack_seq);
    p->window = bpf_ntohs(tcp->window);
    p->payload = p->length - header;
    if (!read_options(p, (void *)(tcp + 1), offset - 5, end)) return 0;
  } else if (p->protocol == IPPROTO_UDP) {
    struct udphdr *udp = (void *)(ip + 1);
    if ((void *)(udp + 1) > end) return 0;
    header = sizeof *ip + sizeof *udp;
    if (p->length < header) return 0;
    if (!skb->gso_size && bpf_ntohs(udp->len) != p->length - sizeof *ip) return 0;
    p->ports = (__u32)bpf_ntohs(udp->source) << 16 | bpf_ntohs(udp->dest);
  } else {
    return 0;
  }
  p->segment_length = skb->gso_size ? header + skb->gso_size : p->length;
  return 1;
}

/* 0 or 1: the direction of the packet in the flow; -1: it is of another one. */
static __always_inline int direction_in(const struct flow *flow, const struct packet *p) {
  if (flow->protocol != p->protocol) return -1;
  if (flow->source == p->source && flow->destination == p->destination && flow->ports == p->ports) return 0;
  __u32 swapped = p->ports << 16 | p->ports >> 16;
  if (flow->source == p->destination && flow->destination == p->source && flow->ports == swapped) return 1;
  return -1;
}

/*
 * tcp-window.ts: conditions I to IV, then what an acceptable segment teaches. 0 = not acceptable, the judge decides; nothing was
 * changed.
 */
static __always_inline int track_tcp(struct flow *flow, const struct packet *p, int reply) {
  const __u32 r = !reply;
  const __u32 d = !r;
  const __u32 end = p->sequence + p->payload;
  const __u32 sender_end = flow->end[d], sender_max_end = flow->max_end[d], sender_window = flow->max_window[d];
  const __u32 receiver_end = flow->end[r], receiver_window = flow->max_window[r];
  const __u32 ack_window = sender_window > MINIMUM_ACK_WINDOW ? sender_window : MINIMUM_ACK_WINDOW;
  __u32 tcp = flow->tcp;
  const __u32 sack = tcp & (TCP_SACK_PERMITTED << r) ? p->highest_sack : p->ack;

  if (sender_window == 0 || receiver_window == 0) return 0;
  if (is_after(p->sequence, sender_max_end)) return 0;
  if (is_after(sack, receiver_end)) return 0;
  if (!is_after(end, sender_end - receiver_window - 1)) return 0;
  if (!is_after(sack, receiver_end - ack_window - 1)) return 0;

  const __u32 window = p->window << ((tcp >> (d * TCP_SCALE_SHIFT)) & TCP_SCALE_MASK);
  const __u32 seen_window = window + (sack - p->ack);
  if (sender_window < seen_window) flow->max_window[d] = seen_window;
  if (is_after(end, sender_end)) {
    flow->end[d] = end;
    tcp |= TCP_UNACKNOWLEDGED << d;
  }
  if (!(tcp & (TCP_MAX_ACK_SET << d))) {
    flow->max_ack[d] = p->ack;
    tcp |= TCP_MAX_ACK_SET << d;
  } else if (is_after(p->ack, flow->max_ack[d])) {
    flow->max_ack[d] = p->ack;
  }
  if (is_after(end, sender_max_end)) flow->max_window[r] = receiver_window + (end - sender_max_end);
  const __u32 admits = sack + window;
  if (is_after(admits, flow->max_end[r] - 1)) flow->max_end[r] = window == 0 ? admits + 1 : admits;
  if (p->ack == receiver_end) tcp &= ~(TCP_UNACKNOWLEDGED << r);

  const __u32 extent = (end - p->sequence) << 16 | p->window;
  if ((tcp >> TCP_LAST_DIRECTION_SHIFT & 1) == d && flow->last_sequence == p->sequence && flow->last_ack == p->ack &&
      flow->last_extent == extent) {
    if ((tcp & TCP_RETRANSMITS) != TCP_RETRANSMITS) tcp += 1 << TCP_RETRANSMITS_SHIFT;
  } else {
    tcp &= ~(TCP_RETRANSMITS | TCP_LAST_DIRECTION);
    tcp |= d << TCP_LAST_DIRECTION_SHIFT;
    flow->last_sequence = p->sequence;
    flow->last_ack = p->ack;
    flow->last_extent = extent;
  }
  flow->tcp = tcp;
  return 1;
}

#ifdef CARRY_TEST
/* Comparisons with the judge: on its clock, without routes, and with frames of which no driver has said anything. */
#define now_ms(now, control) ((control)->test_ms)
#define is_approved(skb, control) 1
#define leaves_by_route(skb, control, fib, p) ((fib)->family = AF_INET, 1)
#define is_vouched(skb, p) 1
#else
#define now_ms(now, control) ((__u32)((now) / 1000000))

static __always_inline __u64 mixed(__u64 sum, __u64 value) {
  sum = (sum ^ value) * 0x9e3779b97f4a7c15ull;
  return sum ^ sum >> 29;
}

/* What stands at a hook, in order; 0: more than can be looked at. */
static __always_inline __u64 add_hook(__u64 sum, const struct nf_hook_entries *entries) {
  if (!entries) return mixed(sum, 0);
  const __u32 count = entries->num_hook_entries;
  if (count > MOST_AT_A_HOOK) return 0;
  sum = mixed(sum, count);
  /* Only constants are places in memory of the kernel. */
#define ADD_ENTRY(i) \
  if (i < count) sum = mixed(mixed(sum, (__u64)entries->hooks[i].hook), (__u64)entries->hooks[i].priv);
  ADD_ENTRY(0) ADD_ENTRY(1) ADD_ENTRY(2) ADD_ENTRY(3) ADD_ENTRY(4) ADD_ENTRY(5) ADD_ENTRY(6) ADD_ENTRY(7)
#undef ADD_ENTRY
  return sum;
}

/*
 * All that netfilter and IPsec do with forwarded packets of this namespace, in a number: chains of nftables, tables of iptables-legacy,
 * connection tracking, IPVS, IPsec policies. It changes when one of them comes or goes. Rules in a chain do not change it.
 */
static __always_inline __u32 fingerprint(struct __sk_buff *skb) {
  const struct sk_buff *kernel = bpf_cast_to_kern_ctx(skb);
  const struct net *net = kernel->dev->nd_net.net;
  __u64 sum = 0x7475;
  sum = add_hook(sum, net->nf.hooks_ipv4[HOOK_PREROUTING]);
  if (sum) sum = add_hook(sum, net->nf.hooks_ipv4[HOOK_FORWARD]);
  if (sum) sum = add_hook(sum, net->nf.hooks_ipv4[HOOK_POSTROUTING]);
  if (!sum) return APPROVED_NONE;
  if (bpf_core_field_exists(net->xfrm)) {
#pragma unroll
    for (int i = 0; i < 6; i++) sum = mixed(sum, net->xfrm.policy_count[i]);
  }
  return sum >> 32 | 2;
}

/*
 * Whether nothing of others is bypassed, as far as `gateway up` or its watch have looked, and the interface may forward at all. What
 * changes later they have not seen: it is the judge's until they have.
 */
static __always_inline int is_approved(struct __sk_buff *skb, struct control *control) {
  const __u32 zero = 0;
  const __u32 *approved = bpf_map_lookup_elem(&carry_approved, &zero);
  if (!approved || *approved == APPROVED_NONE) return 0;
  const struct sk_buff *kernel = bpf_cast_to_kern_ctx(skb);
  const struct in_device *in = kernel->dev->ip_ptr;
  if (!in || !in->cnf.data[CONF_FORWARDING]) return 0;
  if (*approved == APPROVED_ANY) return 1;
  const __u32 same = !kernel->dev->nf_hooks_ingress && fingerprint(skb) == *approved;
  if (control->changed == same) control->changed = !same;
  return same;
}

static __always_inline __u32 folded(__u64 sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (sum & 0xffff) + (sum >> 16);
}

/*
 * Whether the transport checksum is right, or is still to be filled in. A sum over the whole packet says it as well: the one of the IP
 * header is zero, which leaves that of the segment. A checksum that nobody has looked at is the judge's to verify. So are
 * super-packets of tunnels: how long their segments become does not stand in their headers.
 */
static __always_inline int is_vouched(struct __sk_buff *skb, const struct packet *p) {
  const struct sk_buff *kernel = bpf_cast_to_kern_ctx(skb);
  if (skb->gso_size && BPF_CORE_READ_BITFIELD(kernel, encapsulation)) return 0;
  const __u32 summed = BPF_CORE_READ_BITFIELD(kernel, ip_summed);
  if (summed == CHECKSUM_UNNECESSARY || summed == CHECKSUM_PARTIAL) return 1;
  if (summed != CHECKSUM_COMPLETE) return 0;
  const __u64 pseudo = (__u64)bpf_htonl(p->source) + bpf_htonl(p->destination) + bpf_htons(p->protocol) +
                       bpf_htons(p->length - sizeof(struct iphdr));
  return folded(kernel->csum + pseudo) == 0xffff;
}

/* Where the kernel would send what comes from `source` to `destination` and was judged; not 0: nowhere by itself. */
static __always_inline long route(struct __sk_buff *skb, const struct control *control, struct bpf_fib_lookup *fib,
                                  const struct packet *p, int backward, __u32 flags) {
  const __u32 ports = backward ? p->ports << 16 | p->ports >> 16 : p->ports;
  __builtin_memset(fib, 0, sizeof *fib);
  fib->family = AF_INET;
  fib->l4_protocol = p->protocol;
  fib->sport = bpf_htons(ports >> 16);
  fib->dport = bpf_htons(ports & 0xffff);
  fib->tot_len = backward ? 0 : p->segment_length;
  fib->ifindex = control->device;
  fib->tos = p->tos;
  fib->ipv4_src = bpf_htonl(backward ? p->destination : p->source);
  fib->ipv4_dst = bpf_htonl(backward ? p->source : p->destination);
  return bpf_fib_lookup(skb, fib, sizeof *fib, flags);
}

/*
 * Strict reverse path first: it must come from where its answers go. Then the way out, within the MTU and to a neighbour that is known:
 * an error to the sender, or a question for the neighbour, is the kernel's on the way through the judge.
 */
static __always_inline int leaves_by_route(struct __sk_buff *skb, const struct control *control, struct bpf_fib_lookup *fib,
                                           const struct packet *p) {
  if (route(skb, control, fib, p, 1, FIB_LOOKUP_SKIP_NEIGHBOUR) != BPF_FIB_LKUP_RET_SUCCESS) return 0;
  if (fib->ifindex != skb->ingress_ifindex) return 0;
  if (route(skb, control, fib, p, 0, 0) != BPF_FIB_LKUP_RET_SUCCESS) return 0;
  return fib->ifindex != control->device && fib->family == AF_INET;
}
#endif

/* Takes the padding of a short frame off, as the kernel does before it routes. */
static __always_inline void trim(struct __sk_buff *skb) {
  void *data = (void *)(long)skb->data;
  void *end = (void *)(long)skb->data_end;
  struct iphdr *ip = data + ETH_HLEN;
  if (skb->len > ETH_ZLEN || (void *)(ip + 1) > end) return;
  const __u32 length = ETH_HLEN + bpf_ntohs(ip->tot_len);
  if (length < ETH_HLEN + sizeof *ip || length >= skb->len) return;
  bpf_skb_change_tail(skb, length, 0);
}

/* Attached to interfaces with Ethernet. `gateway up` runs it on the loopback, to learn the fingerprint; there it changes nothing. */
SEC("classifier")
int tunwall_carry(struct __sk_buff *skb) {
  struct packet p;
  struct bpf_fib_lookup fib = {};
  __u32 zero = 0;
#ifndef CARRY_TEST
  if (skb->ifindex == LOOPBACK) return fingerprint(skb);
#endif
  struct control *control = bpf_map_lookup_elem(&carry_control, &zero);
  if (!control || control->paused || skb->protocol != bpf_htons(ETH_P_IP) || skb->pkt_type != 0 || skb->vlan_present) {
    return TC_ACT_OK;
  }
  __u64 now = bpf_ktime_get_ns();
  if (now >= control->lease_ns) return TC_ACT_OK;
  trim(skb);
  if (!parse(skb, &p)) return TC_ACT_OK;

  struct flow *flow = 0;
  int direction = -1;
  const __u32 first = set_of(&p, control) * WAYS;
#pragma unroll
  for (__u32 way = 0; way < WAYS; way++) {
    const __u32 slot = first + way;
    flow = bpf_map_lookup_elem(&carried, &slot);
    if (!flow) return TC_ACT_OK;
    direction = direction_in(flow, &p);
    if (direction >= 0) break;
  }
  if (direction < 0 || flow->epoch != control->epoch) return TC_ACT_OK;

  if (!is_approved(skb, control)) return TC_ACT_OK;
  if (!is_vouched(skb, &p) || !leaves_by_route(skb, control, &fib, &p)) return TC_ACT_OK;

  if (__sync_val_compare_and_swap(&flow->owner, OWNER_CARRIED, OWNER_KERNEL) != OWNER_CARRIED) return TC_ACT_OK;
  /* The slot may be another flow's by now. */
  int ours = direction_in(flow, &p) == direction && flow->epoch == control->epoch;
  if (ours && p.protocol == IPPROTO_TCP) ours = track_tcp(flow, &p, direction);
  if (ours) {
    const __u32 d = direction & 1;
    flow->seen_ms = now_ms(now, control);
    flow->packets[d] += 1;
    flow->bytes[d] += p.length;
  }
  __sync_lock_test_and_set(&flow->owner, OWNER_CARRIED);
  if (!ours) return TC_ACT_OK;

  void *data = (void *)(long)skb->data;
  void *end = (void *)(long)skb->data_end;
  struct iphdr *ip = data + ETH_HLEN;
  if ((void *)(ip + 1) > end) return TC_ACT_SHOT;
  const __u32 check = ip->check + bpf_htons(0x100);
  ip->check = check + (check >= 0xffff);
  ip->ttl--;
  /* By the kernel's table of neighbours, which asks again for those that have been silent. */
  struct bpf_redir_neigh neighbour = {.nh_family = AF_INET, .ipv4_nh = fib.ipv4_dst};
  return bpf_redirect_neigh(fib.ifindex, &neighbour, sizeof neighbour, 0);
}

char _license[] SEC("license") = "GPL";
