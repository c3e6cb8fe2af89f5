/* `unisono bench --algorithms`: what the library chooses beside every algorithm forced, call by call. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

const char *const bench_algorithms[BENCH_ALGORITHMS] = {"auto", "inline", "oneshot", "staged",
                                                        "pull", "push",   "levels"};

enum { SAMPLES = 400, WARM_UP = 20, SETTLING = 4 };

static int compare_times(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *times, long n) {
  qsort(times, (size_t)n, sizeof *times, compare_times);
  return times[n / 2];
}

/* What another algorithm has left in the caches is not this one's. */
static double settled_time(struct bench *bench, const struct shape *shape, long round) {
  for (int i = 1; i < SETTLING; i++)
    bench_time(bench, shape, round);
  return bench_time(bench, shape, round);
}

/* How many rounds fit into the time for a size; the same on every rank. */
static long count_rounds(struct bench *benches, const struct shape *shape) {
  const struct bench_options *options = benches->options;
  double round = 0;
  if (options->iterations)
    return options->iterations < SAMPLES ? options->iterations : SAMPLES;
  for (int warm = 0; warm < WARM_UP; warm++) {
    round = 0;
    for (int i = 0; i < BENCH_ALGORITHMS; i++)
      round += settled_time(&benches[i], shape, warm) * shape->calls * (int)SETTLING;
  }
  bench_slowest(benches, &round, 1);
  double fitting = 1e6 * options->seconds / (round * 2 + 1); /* the buffers are written, too */
  return fitting < 5 ? 5 : fitting > (double)SAMPLES ? SAMPLES : (long)fitting;
}

static void print_row(const struct bench *bench, const struct shape *shape, const double *times) {
  int best = 1;
  for (int i = 1; i < BENCH_ALGORITHMS; i++)
    best = times[i] < times[best] ? i : best;
  if (bench->rank != 0)
    return;
  printf("%12zu", shape->bytes);
  for (int i = 0; i < BENCH_ALGORITHMS; i++)
    printf(" %10.2f", times[i]);
  printf(" %10s %10.2f\n", bench_algorithms[best], times[0] / times[best]);
  fflush(stdout);
}

static void measure_size(struct bench *benches, const struct shape *shape) {
  static double times[BENCH_ALGORITHMS][SAMPLES];
  double medians[BENCH_ALGORITHMS];
  for (int i = 0; i < BENCH_ALGORITHMS; i++)
    bench_prepare(&benches[i], shape);
  long rounds = count_rounds(benches, shape);
  for (long round = 0; round < rounds; round++)
    for (int i = 0; i < BENCH_ALGORITHMS; i++)
      times[i][round] = settled_time(&benches[i], shape, round);
  for (int i = 0; i < BENCH_ALGORITHMS; i++) {
    bench_slowest(benches, times[i], (size_t)rounds);
    medians[i] = median(times[i], rounds);
  }
  print_row(benches, shape, medians);
}

static void print_header(const struct bench *bench) {
  if (bench->rank != 0)
    return;
  printf("# medians in us; a forced algorithm that an operation or its memory does not admit is the nearest "
         "that it does\n%12s",
         "bytes");
  for (int i = 0; i < BENCH_ALGORITHMS; i++)
    printf(" %10s", bench_algorithms[i]);
  printf(" %10s %10s\n", "best", "auto/best");
}

bool bench_compare(const struct bench_options *options, unisono_comm *const *comms) {
  struct bench benches[BENCH_ALGORITHMS];
  struct shape shapes[BENCH_SIZES];
  size_t room = 0, n = 0;
  bool right = true;
  for (int i = 0; i < BENCH_ALGORITHMS; i++) {
    benches[i] = (struct bench){.options = options,
                                .comm = comms[i],
                                .rank = unisono_comm_rank(comms[i]),
                                .size = unisono_comm_size(comms[i]),
                                .element = bench_element_bytes(options->dtype)};
    n = bench_plan(&benches[i], shapes, &room);
    if (!bench_make_buffers(&benches[i], room))
      return false;
  }
  print_header(benches);
  for (size_t i = 0; i < n; i++)
    measure_size(benches, &shapes[i]);
  for (int i = 0; i < BENCH_ALGORITHMS; i++) {
    right = bench_agree(&benches[i], !benches[i].wrong) && right;
    bench_free_buffers(&benches[i]);
  }
  return right;
}
