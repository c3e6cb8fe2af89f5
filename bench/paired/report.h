/* A line of JSON a size. */
#ifndef REPORT_H
#define REPORT_H

#include "contestants.h"

/* times[contestant][round] in µs, for the `count` contestants in line_up. */
void report(const struct call *call, size_t bytes, size_t rounds, const int *line_up, int count,
            double *const *times);

#endif
