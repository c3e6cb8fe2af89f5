/* Facts about the machine, for `unisono info` and for what `unisono bench` writes down. */
#ifndef MACHINE_H
#define MACHINE_H

#include <unisono.h>

struct machine {
  char model[128]; /* of the processor */
  int packages, numa_nodes, cores, processors;
  struct cache {
    int level, number, shared_by; /* how many there are; processors that share one */
    unsigned long long bytes;     /* of one */
  } caches[5];
  int cache_levels;
  unsigned long long memory; /* bytes in all */
  char kernel[128];
  const char *libc;
  unisono_info library; /* what the library found */
};

void machine_read(struct machine *machine);

/* The model, the caches, memory and the numbers: those that are not known stay 0. */
void machine_read_topology(struct machine *machine);

#endif
