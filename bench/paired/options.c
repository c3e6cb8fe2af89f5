#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const operation_names[OPERATIONS] = {"all_reduce",     "broadcast",  "all_gather",
                                                 "reduce_scatter", "all_to_all", "barrier"};

static void usage(void) {
  fputs("usage: paired --operations NAME,... --sizes BYTES,... [--dtype float32|bfloat16] [--seconds S]\n"
        "              [--out-of-place] [--machines]\n"
        "Times collectives of unisono and of the peer it was built with, in turn; rank 0 prints a line of "
        "JSON a\n"
        "size. To be started as ranks, by mpirun or `unisono run`. --machines: they are on several.\n",
        stderr);
  exit(2);
}

static void parse_operations(char *names, struct options *options) {
  for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
    int i = 0;
    while (i < OPERATIONS && strcmp(name, operation_names[i]) != 0)
      i++;
    if (i == OPERATIONS)
      usage();
    options->operations[i] = true;
  }
}

static void parse_sizes(char *sizes, struct options *options) {
  for (char *size = strtok(sizes, ","); size && options->sizes_count < MOST_SIZES; size = strtok(NULL, ","))
    options->sizes[options->sizes_count++] = strtoull(size, NULL, 10);
}

static unisono_dtype parse_dtype(const char *name) {
  if (strcmp(name, "float32") == 0)
    return UNISONO_FLOAT32;
  if (strcmp(name, "bfloat16") != 0)
    usage();
  return UNISONO_BFLOAT16;
}

void options_parse(int argc, char **argv, struct options *options) {
  static const struct option known[] = {{"operations", required_argument, NULL, 'o'},
                                        {"sizes", required_argument, NULL, 'n'},
                                        {"dtype", required_argument, NULL, 't'},
                                        {"seconds", required_argument, NULL, 's'},
                                        {"out-of-place", no_argument, NULL, 'p'},
                                        {"machines", no_argument, NULL, 'm'},
                                        {NULL, 0, NULL, 0}};
  *options = (struct options){.dtype = UNISONO_FLOAT32, .seconds = 0.5};
  for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
    if (c == 'o')
      parse_operations(optarg, options);
    else if (c == 'n')
      parse_sizes(optarg, options);
    else if (c == 't')
      options->dtype = parse_dtype(optarg);
    else if (c == 's')
      options->seconds = atof(optarg);
    else if (c == 'p')
      options->out_of_place = true;
    else if (c == 'm')
      options->machines = true;
    else
      usage();
  }
  if (options->sizes_count == 0 || optind != argc)
    usage();
}
