#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, size_t n) {
  qsort(values, n, sizeof *values, compare);
  return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

/* The median over the rounds of one's time divided by the other's in the same round, NULL: its median time.
 */
static double median_of(const double *times, const double *divisor, size_t rounds) {
  double *values = malloc(rounds * sizeof *values);
  if (!values)
    exit(1);
  for (size_t i = 0; i < rounds; i++)
    values[i] = divisor ? times[i] / divisor[i] : times[i];
  double middle = median(values, rounds);
  free(values);
  return middle;
}

static void print_ratios(const char *name, int of, const int *line_up, int count, double *const *times,
                         size_t rounds) {
  printf(", \"%s\": {", name);
  const char *comma = "";
  for (int i = 0; i < count; i++)
    if (line_up[i] != of) {
      printf("%s\"%s\": %.4f", comma, contestants[line_up[i]].name,
             median_of(times[line_up[i]], times[of], rounds));
      comma = ", ";
    }
  printf("}");
}

void report(const struct call *call, size_t bytes, size_t rounds, const int *line_up, int count,
            double *const *times) {
  printf(
      "{\"operation\": \"%s\", \"dtype\": \"%s\", \"ranks\": %d, \"bytes\": %zu, \"rounds\": %zu, \"us\": {",
      operation_names[call->operation], call->dtype == UNISONO_FLOAT32 ? "float32" : "bfloat16",
      call->world->size, bytes, rounds);
  for (int i = 0; i < count; i++)
    printf("%s\"%s\": %.4f", i ? ", " : "", contestants[line_up[i]].name,
           median_of(times[line_up[i]], NULL, rounds));
  printf("}");
  print_ratios("over_private", PRIVATE, line_up, count, times, rounds);
  if (call->operation != BARRIER)
    print_ratios("over_shared", SHARED, line_up, count, times, rounds);
  printf("}\n");
  fflush(stdout);
}
