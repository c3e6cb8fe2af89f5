#include "rendezvous/demand.h"

#include <string.h>

#include "processors.h"

void uni_demand_here(int threads, struct uni_demand *demand) {
  memset(demand, 0, sizeof *demand);
  demand->threads = (uint64_t)threads;
  demand->processors = (uint64_t)uni_processors();
  if (sched_getaffinity(0, sizeof demand->allowed, &demand->allowed) != 0)
    CPU_ZERO(&demand->allowed);
}

uint64_t uni_demands_lanes(const struct uni_demand *demands, int n) {
  uint64_t lanes = demands[0].threads;
  for (int i = 1; i < n; i++)
    lanes = demands[i].threads < lanes ? demands[i].threads : lanes;
  return lanes;
}

uint64_t uni_demands_processors(const struct uni_demand *demands, int n) {
  cpu_set_t all;
  CPU_ZERO(&all);
  uint64_t quota = 0;
  for (int i = 0; i < n; i++) {
    CPU_OR(&all, &all, &demands[i].allowed);
    quota = demands[i].processors > quota ? demands[i].processors : quota;
  }
  uint64_t processors = (uint64_t)CPU_COUNT(&all);
  /* pinned ranks see one processor each: their union counts; else the quota of a cgroup may be the limit */
  if (CPU_EQUAL(&all, &demands[0].allowed) && quota && (quota < processors || processors == 0))
    processors = quota;
  return processors;
}

bool uni_demands_crowd(const struct uni_demand *demands, int n) {
  uint64_t processors = uni_demands_processors(demands, n);
  return processors && uni_demands_lanes(demands, n) * (uint64_t)n > processors;
}
