/* Measuring one operation at one size. */
#ifndef MEASURE_H
#define MEASURE_H

#include "contestants.h"
#include "options.h"

struct buffers {
  char *private_send, *private_recv;
  char *shared_send, *shared_recv;
};

void buffers_make(const struct world *world, const struct options *options, struct buffers *buffers);
void buffers_free(const struct world *world, struct buffers *buffers);

/* Prints the result, on rank 0. */
void measure(const struct world *world, const struct options *options, const struct buffers *buffers,
             enum operation operation, size_t bytes);

#endif
