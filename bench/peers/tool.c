/* What the traffic tools share; tool.h tells what. */
#define _GNU_SOURCE
#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define NS_PER_S 1000000000u
/* How far behind its schedule a sender may fall before the schedule moves. */
#define PACER_SLACK_NS 1000000u

volatile bool tool_stopped;

_Noreturn void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static _Noreturn void usage_error(const char *what, const char *text) {
  fprintf(stderr, "%s: %s (--help tells more)\n", what, text);
  exit(2);
}

static void print_help(const char *program, const char *describe, const struct tool_option *options) {
  printf("%s: %s\n\n", program, describe);
  for (; options->name != NULL; options++) printf("  --%-14s %s\n", options->name, options->help);
}

static void set_option(const struct tool_option *option, const char *text) {
  char *end;
  switch (option->kind) {
    case OPTION_FLAG:
      *(bool *)option->value = true;
      return;
    case OPTION_TEXT:
      *(const char **)option->value = text;
      return;
    case OPTION_NUMBER: {
      errno = 0;
      uint64_t number = strtoull(text, &end, 10);
      if (errno != 0 || *text == '-' || *text == '\0' || *end != '\0' || number < option->min || number > option->max) {
        fprintf(stderr, "--%s: a number from %" PRIu64 " to %" PRIu64 "\n", option->name, option->min, option->max);
        exit(2);
      }
      *(uint64_t *)option->value = number;
      return;
    }
    case OPTION_ADDRESS:
      if (inet_pton(AF_INET, text, option->value) != 1) usage_error(option->name, "an IPv4 address");
      return;
    case OPTION_ENDPOINT: {
      struct sockaddr_in *endpoint = option->value;
      char address[INET_ADDRSTRLEN];
      const char *colon = strchr(text, ':');
      if (colon == NULL || (size_t)(colon - text) >= sizeof address) usage_error(option->name, "ADDRESS:PORT");
      memcpy(address, text, (size_t)(colon - text));
      address[colon - text] = '\0';
      unsigned long port = strtoul(colon + 1, &end, 10);
      if (inet_pton(AF_INET, address, &endpoint->sin_addr) != 1 || *end != '\0' || port == 0 || port > 65535) {
        usage_error(option->name, "ADDRESS:PORT");
      }
      endpoint->sin_family = AF_INET;
      endpoint->sin_port = htons((uint16_t)port);
    }
  }
}

void tool_options(int argc, char **argv, const char *describe, const struct tool_option *options) {
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0) {
      print_help(argv[0], describe, options);
      exit(0);
    }
    const struct tool_option *option = options;
    while (option->name != NULL && (strncmp(argv[i], "--", 2) != 0 || strcmp(argv[i] + 2, option->name) != 0)) option++;
    if (option->name == NULL) usage_error(argv[i], "no such option");
    if (option->kind == OPTION_FLAG) {
      set_option(option, "");
    } else if (++i < argc) {
      set_option(option, argv[i]);
    } else {
      usage_error(option->name, "needs a value");
    }
  }
}

uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void sleep_until(uint64_t deadline_ns) {
  struct timespec deadline = {(time_t)(deadline_ns / NS_PER_S), (long)(deadline_ns % NS_PER_S)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL) == EINTR && !tool_stopped) continue;
}

static void on_signal(int signal_number) {
  (void)signal_number;
  tool_stopped = true;
}

void stop_on_signal(void) {
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
}

void pacer_start(struct pacer *pacer, uint64_t rate) {
  /* Wake up when it is time, not up to 50 us later. */
  prctl(PR_SET_TIMERSLACK, 1);
  pacer->rate = rate;
  pacer->next_ns = now_ns();
}

void pacer_wait(struct pacer *pacer, uint64_t packets) {
  if (pacer->rate == 0) return;
  uint64_t now = now_ns();
  if (pacer->next_ns > now) {
    sleep_until(pacer->next_ns);
  } else if (now - pacer->next_ns > PACER_SLACK_NS) {
    pacer->next_ns = now - PACER_SLACK_NS;
  }
  pacer->next_ns += packets * NS_PER_S / pacer->rate;
}

unsigned pacer_batch(const struct pacer *pacer, unsigned max) {
  uint64_t due = pacer->rate == 0 ? max : pacer->rate / 10000;
  return due < 1 ? 1 : due > max ? max : (unsigned)due;
}

void latencies_init(struct latencies *latencies, size_t capacity) {
  latencies->values = malloc(capacity * sizeof *latencies->values);
  if (latencies->values == NULL) die("malloc");
  latencies->count = 0;
  latencies->capacity = capacity;
}

void latencies_add(struct latencies *latencies, uint64_t ns) {
  if (latencies->count < latencies->capacity) latencies->values[latencies->count++] = ns;
}

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static double at_rank(const struct latencies *latencies, double fraction) {
  return (double)latencies->values[(size_t)((double)(latencies->count - 1) * fraction)] / 1000;
}

void latencies_print(struct latencies *latencies) {
  if (latencies->count == 0) {
    printf("\"p50Us\":null,\"p99Us\":null,\"p999Us\":null,\"maxUs\":null");
    return;
  }
  qsort(latencies->values, latencies->count, sizeof *latencies->values, compare);
  printf("\"p50Us\":%.1f,\"p99Us\":%.1f,\"p999Us\":%.1f,\"maxUs\":%.1f", at_rank(latencies, 0.5),
         at_rank(latencies, 0.99), at_rank(latencies, 0.999), at_rank(latencies, 1));
}

uint32_t checksum_add(uint32_t sum, const void *data, size_t length) {
  const uint8_t *bytes = data;
  for (size_t i = 0; i + 1 < length; i += 2) sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
  if (length % 2 == 1) sum += (uint32_t)bytes[length - 1] << 8;
  return sum;
}

uint16_t checksum_fold(uint32_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return htons((uint16_t)~sum);
}

uint64_t next_random(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}
