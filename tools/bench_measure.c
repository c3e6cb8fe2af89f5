/* Measuring one size: write the buffers, meet, time the calls, check what they gave; the same with memcpy in
 * turn. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_CALLS = 32, MOST_SAMPLES = 10000, FEWEST_SAMPLES = 3, LARGE = 1 << 20 };

const struct summary_point summary_points[SUMMARY_VALUES] = {
    {"min", 0},  {"p1", 1},   {"p5", 5},   {"p25", 25}, {"p50", 50},
    {"p75", 75}, {"p90", 90}, {"p95", 95}, {"p99", 99}, {"max", 100}};

static double microseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

_Noreturn void bench_fail(const struct bench *bench, const char *what) {
  bench_progress_clear();
  fprintf(stderr, "unisono bench: rank %d: %s: %s\n", bench->rank, what, unisono_last_error());
  exit(1);
}

static void must(const struct bench *bench, const char *what, unisono_status status) {
  if (status != UNISONO_OK)
    bench_fail(bench, what);
}

bool bench_agree(struct bench *bench, bool fine) {
  int mine = fine, all = 0;
  must(bench, "all_reduce", unisono_all_reduce(&mine, &all, 1, UNISONO_INT32, UNISONO_MIN, bench->comm));
  return all != 0;
}

/* The slowest rank's times, on every rank. */
void bench_slowest(struct bench *bench, double *times, size_t n) {
  must(bench, "all_reduce", unisono_all_reduce(times, times, n, UNISONO_FLOAT64, UNISONO_MAX, bench->comm));
}

struct shape bench_shape(const struct bench *bench, size_t bytes) {
  const struct operation *operation = bench->options->operation;
  size_t ranks = (size_t)bench->size, elements = bytes / bench->element;
  if (operation->divides)
    elements = elements < ranks ? ranks : elements / ranks * ranks;
  if (elements == 0)
    elements = 1;
  if (operation->sends == NOTHING)
    elements = 0;
  struct shape shape = {.elements = elements, .bytes = elements * bench->element};
  shape.stride = (shape.bytes + 63) / 64 * 64;
  shape.calls = shape.bytes > 4096 ? 1 : shape.bytes > 1024 ? (int)(32768 / shape.bytes) : MOST_CALLS;
  return shape;
}

/* ---------------------------------------------------------------------------------------- samples */

static struct call make_call(struct bench *bench, const struct shape *shape, int k, long sample) {
  size_t share = shape->elements / (size_t)bench->size, at = (size_t)bench->rank * share * bench->element;
  struct call call = {.bench = bench,
                      .send = bench->send + (size_t)k * shape->stride,
                      .recv = bench->recv + (size_t)k * shape->stride,
                      .elements = shape->elements,
                      .share = share,
                      .sample = (size_t)sample * (size_t)shape->calls + (size_t)k};
  if (!bench->options->in_place)
    return call;
  if (bench->options->operation->in_place == SEND_IN_RECV)
    call.send = call.recv + at;
  else
    call.recv = call.send + (bench->options->operation->in_place == RECV_IN_SEND ? at : 0);
  return call;
}

/* One sample of the operation, in µs a call. All are through before anyone checks: of ranks that share a
 * processor the one that ends first would keep it from the other, whose time would be that of the checks. */
double bench_time(struct bench *bench, const struct shape *shape, long sample) {
  const struct operation *operation = bench->options->operation;
  struct call calls[MOST_CALLS];
  for (int k = 0; k < shape->calls; k++) {
    calls[k] = make_call(bench, shape, k, sample);
    bench_fill(bench, calls[k].send, bench_sent(bench, shape), calls[k].sample);
  }
  must(bench, "barrier", unisono_barrier(bench->comm));
  double start = microseconds();
  for (int k = 0; k < shape->calls; k++)
    must(bench, operation->name, operation->run(&calls[k]));
  double time = microseconds() - start;
  must(bench, "barrier", unisono_barrier(bench->comm));
  for (int k = 0; k < shape->calls; k++)
    if (!operation->check(&calls[k]))
      break;
  return time / shape->calls / operation->trips;
}

/* One sample of memcpy of as many bytes, from memory as freshly written and on all ranks at once. */
static double time_copy(struct bench *bench, const struct shape *shape, long sample) {
  for (int k = 0; k < shape->calls; k++)
    bench_fill(bench, bench->send + (size_t)k * shape->stride, shape->elements, (size_t)(sample + k));
  must(bench, "barrier", unisono_barrier(bench->comm));
  double start = microseconds();
  for (int k = 0; k < shape->calls; k++) {
    memcpy(bench->recv + (size_t)k * shape->stride, bench->send + (size_t)k * shape->stride, shape->bytes);
    __asm__ volatile("" : : "r"(bench->recv) : "memory"); /* the copy is not to be optimised away */
  }
  double time = microseconds() - start;
  must(bench, "barrier", unisono_barrier(bench->comm));
  return time / shape->calls;
}

/* Runs what is not counted; µs that one pair of samples takes on the slowest rank, writing and checking
 * included. */
static double warm_up(struct bench *bench, const struct shape *shape) {
  long samples = bench->options->warmup ? bench->options->warmup : shape->bytes > LARGE ? 2 : 10;
  double start = 0;
  for (long i = 0; i < samples; i++) {
    start = microseconds();
    bench_time(bench, shape, i);
    time_copy(bench, shape, i);
  }
  double time = microseconds() - start;
  bench_slowest(bench, &time, 1);
  return time;
}

static long count_samples(const struct bench *bench, double pair) {
  if (bench->options->iterations)
    return bench->options->iterations;
  double fitting = 1e6 * bench->options->seconds / pair;
  if (fitting > (double)MOST_SAMPLES)
    return MOST_SAMPLES;
  return fitting < (double)FEWEST_SAMPLES ? FEWEST_SAMPLES : (long)fitting;
}

/* ---------------------------------------------------------------------------------------- summary */

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Percentiles by linear interpolation between the two nearest samples. */
static struct summary summarize(double *times, long n) {
  struct summary summary = {.mean = 0};
  qsort(times, (size_t)n, sizeof *times, compare);
  for (int i = 0; i < SUMMARY_VALUES; i++) {
    double at = summary_points[i].percent / 100 * (double)(n - 1);
    long below = (long)at, above = below + 1 < n ? below + 1 : below;
    summary.at[i] = times[below] + (at - (double)below) * (times[above] - times[below]);
  }
  for (long i = 0; i < n; i++)
    summary.mean += times[i] / (double)n;
  return summary;
}

void bench_measure(struct bench *bench, const struct shape *shape, struct result *result) {
  bench_prepare(bench, shape);
  bench_progress(bench, shape, 0, 1);
  long samples = count_samples(bench, warm_up(bench, shape));
  double *times = malloc(2 * (size_t)samples * sizeof *times), *copies = times + samples;
  if (!bench_agree(bench, times != NULL)) {
    fprintf(stderr, "unisono bench: not enough memory for %ld samples\n", samples);
    exit(1);
  }
  for (long i = 0; i < samples; i++) {
    times[i] = bench_time(bench, shape, i);
    copies[i] = time_copy(bench, shape, i);
    bench_progress(bench, shape, i + 1, samples);
  }
  bench_slowest(bench, times, 2 * (size_t)samples);
  result->shape = *shape;
  result->samples = samples;
  result->time = summarize(times, samples);
  result->copy = summarize(copies, samples);
  free(times);
}
