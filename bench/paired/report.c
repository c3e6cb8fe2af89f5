#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The value below which the part of the sorted values is. */
static double quantile(const double *sorted, size_t n, double part) {
  double at = part * (double)(n - 1);
  size_t below = (size_t)at, above = below + 1 < n ? below + 1 : below;
  return sorted[below] + (at - (double)below) * (sorted[above] - sorted[below]);
}

/* Of one's times in the rounds; with a divisor, of its time divided by the other's in the same round. */
static double quantile_of(const double *times, const double *divisor, size_t rounds, double part) {
  double *values = malloc(rounds * sizeof *values);
  if (!values)
    exit(1);
  for (size_t i = 0; i < rounds; i++)
    values[i] = divisor ? times[i] / divisor[i] : times[i];
  qsort(values, rounds, sizeof *values, compare);
  double found = quantile(values, rounds, part);
  free(values);
  return found;
}

/* An object with a number a contestant: quantiles of times, or of ratios to contestant `of`. */
static void print_object(const char *name, const struct outcome *outcome, int of, double part) {
  printf(", \"%s\": {", name);
  const char *comma = "";
  for (int i = 0; i < outcome->count; i++) {
    int who = outcome->line_up[i];
    if (who == of)
      continue;
    const double *divisor = of < 0 ? NULL : outcome->times[of];
    printf("%s\"%s\": %.4f", comma, contestants[who].name,
           quantile_of(outcome->times[who], divisor, outcome->rounds, part));
    comma = ", ";
  }
  printf("}");
}

void report(const struct call *call, const struct outcome *outcome) {
  printf("{\"operation\": \"%s\", \"dtype\": \"%s\", \"ranks\": %d, \"bytes\": %zu, \"rounds\": %zu",
         operation_names[call->operation], call->dtype == UNISONO_FLOAT32 ? "float32" : "bfloat16",
         call->world->size, outcome->bytes, outcome->rounds);
  print_object("us", outcome, -1, 0.5);
  print_object("us_p10", outcome, -1, 0.1);
  print_object("over_private", outcome, PRIVATE, 0.5);
  if (call->operation != BARRIER && !call->world->apart)
    print_object("over_shared", outcome, SHARED, 0.5);
  printf("}\n");
  fflush(stdout);
}
