/* A line of JSON a size. */
#ifndef REPORT_H
#define REPORT_H

#include "contestants.h"

struct outcome {
  size_t bytes; /* of the larger buffer */
  size_t rounds;
  int line_up[CONTESTANTS];   /* who took part */
  int count;                  /* how many */
  double *times[CONTESTANTS]; /* µs a call, round by round */
};

void report(const struct call *call, const struct outcome *outcome);

#endif
