/*
 * What the traffic tools share: options, the clock, pacing, raw packets, and latencies.
 *
 * Every tool has one job, a bound on its time, a --help, and prints one line of JSON on its standard output. Errors go to
 * standard error and end it with 1; wrong usage ends it with 2.
 */
#ifndef TOOL_H
#define TOOL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One option with a value. A tool has an array of these, ended by one without a name. */
struct tool_option {
  const char *name;
  const char *help;
  enum { OPTION_NUMBER, OPTION_FLAG, OPTION_ENDPOINT, OPTION_ADDRESS, OPTION_TEXT } kind;
  void *value; /* uint64_t, bool, struct sockaddr_in, struct in_addr or const char * */
  uint64_t min, max;
};

/* Parses the command line; prints help or an error and ends the program where there is one. */
void tool_options(int argc, char **argv, const char *describe, const struct tool_option *options);

_Noreturn void die(const char *what);
uint64_t now_ns(void);
void sleep_until(uint64_t deadline_ns);
/* So that SIGTERM ends a loop on `tool_stopped` and interrupts what sleeps. */
void stop_on_signal(void);
extern volatile bool tool_stopped;

/*
 * Pacing on an absolute schedule. A sender that was not scheduled for a while does not make up for more than `slack` of it:
 * a burst at the sender's own speed would measure queues, not rates.
 */
/* First byte of a datagram that udp-sink answers. */
#define ASK 'A'

struct pacer {
  uint64_t rate; /* packets/s; 0: as fast as it goes */
  uint64_t next_ns;
};

void pacer_start(struct pacer *pacer, uint64_t rate);
/* Waits until `packets` may be sent. */
void pacer_wait(struct pacer *pacer, uint64_t packets);
/* How many packets to send at once: what is due in 100 us, at most `max`. */
unsigned pacer_batch(const struct pacer *pacer, unsigned max);

/* Latencies in ns, a bounded number of them. */
struct latencies {
  uint64_t *values;
  size_t count, capacity;
};

void latencies_init(struct latencies *latencies, size_t capacity);
void latencies_add(struct latencies *latencies, uint64_t ns);
/* Prints `"p50Us":…,"p99Us":…,"p999Us":…,"maxUs":…`; null where there are no values. */
void latencies_print(struct latencies *latencies);

/* The ones' complement sum of RFC 1071 over `length` bytes, added to `sum`, not folded. */
uint32_t checksum_add(uint32_t sum, const void *data, size_t length);
uint16_t checksum_fold(uint32_t sum);

/* splitmix64: the state is the seed. */
uint64_t next_random(uint64_t *state);

#endif
