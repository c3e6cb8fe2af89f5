/* What `unisono bench` prints: the header, a row a size, and the progress line on a terminal. */
#include "bench.h"
#include "machine.h"

#include <time.h>
#include <unistd.h>

double bench_algorithm_bandwidth(const struct result *result) {
  return 1e-3 * (double)result->shape.bytes / result->time.at[SUMMARY_MEDIAN];
}

void bench_size_text(size_t bytes, char text[16]) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double size = (double)bytes;
  int unit = 0;
  for (; size >= 1024 && unit < 4; unit++)
    size /= 1024;
  snprintf(text, 16, "%.4g %s", size, units[unit]);
}

void bench_table_header(const struct bench *bench) {
  const struct bench_options *options = bench->options;
  struct machine machine;
  machine_read(&machine);
  printf("# unisono %s, %s, %d rank%s", unisono_version(), options->operation->name, bench->size,
         bench->size == 1 ? "" : "s");
  if (options->threads > 1)
    printf(" of %d threads", options->threads);
  if (options->operation->sends != NOTHING)
    printf(", %s", bench_dtype_name(options->dtype));
  if (options->operation->reduces)
    printf(", %s", bench_op_name(options->op));
  printf(", %s memory%s; %s, %d processors, isa %s\n", options->shared ? "shared" : "private",
         options->in_place ? ", in place" : "", machine.model, machine.processors, machine.library.isa);
  printf("# times are of the slowest rank; bandwidths in GB/s (10^9 bytes) as in nccl-tests; every result is "
         "checked\n");
  printf("%12s %12s %12s %10s %10s %12s %8s %6s\n", "bytes", "median us", "p99 us", "algbw", "busbw",
         "time/memcpy", "samples", "calls");
  fflush(stdout);
}

void bench_table_row(const struct bench *bench, const struct result *result) {
  double median = result->time.at[SUMMARY_MEDIAN], algorithm = bench_algorithm_bandwidth(result);
  printf("%12zu %12.2f %12.2f", result->shape.bytes, median, result->time.at[SUMMARY_P99]);
  if (result->shape.bytes)
    printf(" %10.2f %10.2f %12.2f", algorithm, algorithm * bench->options->operation->bus_factor(bench->size),
           median / result->copy.at[SUMMARY_MEDIAN]);
  else
    printf(" %10s %10s %12s", "-", "-", "-");
  printf(" %8ld %6d\n", result->samples, result->shape.calls);
  fflush(stdout);
}

/* --------------------------------------------------------------------------------------- progress */

static bool progress_shown; /* a progress line stands on the terminal */

void bench_progress(const struct bench *bench, const struct shape *shape, long done, long samples) {
  static struct timespec last;
  struct timespec now;
  char size[16];
  if (bench->rank != 0 || !isatty(STDERR_FILENO))
    return;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  double since = (double)(now.tv_sec - last.tv_sec) + 1e-9 * (double)(now.tv_nsec - last.tv_nsec);
  if (since < 0.1)
    return;
  last = now;
  bench_size_text(shape->bytes, size);
  fprintf(stderr, "\r\033[Kmeasuring %s of %s, %ld%%", bench->options->operation->name, size,
          100 * done / samples);
  progress_shown = true;
}

void bench_progress_clear(void) {
  if (progress_shown)
    fputs("\r\033[K", stderr);
  progress_shown = false;
}
