/* What the command line says: see usage() in options.c. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "paired.h"

enum { MOST_SIZES = 64 };

struct options {
  bool operations[OPERATIONS];
  unisono_dtype dtype;
  size_t sizes[MOST_SIZES]; /* bytes of the larger buffer, as nccl-tests count */
  size_t sizes_count;
  double seconds;    /* for each size; four times as many from 8 MiB on */
  bool out_of_place; /* all_reduce with two buffers */
  bool machines;     /* the ranks are on several */
};

extern const char *const operation_names[OPERATIONS];

void options_parse(int argc, char **argv, struct options *options);

#endif
