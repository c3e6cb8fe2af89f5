/* What a rank asks of the processors that it runs on. */
#ifndef UNI_RENDEZVOUS_DEMAND_H
#define UNI_RENDEZVOUS_DEMAND_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

struct uni_demand {
  uint64_t threads;    /* that it may use */
  uint64_t processors; /* that its affinity and its control groups' quota leave it; 0: not known */
  cpu_set_t allowed;   /* by its affinity; empty: the machine has more than such a set can name */
};

/* This process's. */
void uni_demand_here(int threads, struct uni_demand *demand);

/* The threads that every rank may use: as many as the rank with the fewest has. */
uint64_t uni_demands_lanes(const struct uni_demand *demands, int n);

/* The processors that these ranks of one machine may use together; 0: not known. */
uint64_t uni_demands_processors(const struct uni_demand *demands, int n);

/* Are these ranks of one machine crowded: do all their threads not fit on the processors that they may use
 * together? Where that is not known, they are not. */
bool uni_demands_crowd(const struct uni_demand *demands, int n);

#endif
