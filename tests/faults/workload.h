/* Operations to be disturbed: one kind, size and memory by chance, again and again. Nothing is checked but
 * the status. */
#ifndef TESTS_WORKLOAD_H
#define TESTS_WORKLOAD_H

#include "collectives/call.h"

struct workload {
  struct part part;
  bool started, is_ring; /* the started form; messages around the ring instead of a collective */
};

/* The same `seed` on all ranks. */
void workload_prepare(struct workload *w, unisono_comm *comm, uint64_t seed);

/* One operation. */
unisono_status workload_step(struct workload *w);

/* Until an operation fails: its status, and when it returned. */
unisono_status workload_run(struct workload *w, int64_t *returned_us);

/* Fails the test unless this communicator is broken: every operation returns `want` at once. */
void check_broken(unisono_comm *comm, unisono_status want);

void workload_free(struct workload *w);

/* Does something to this process from another thread after `us`. */
void disturb_later(void (*disturb)(void *arg), void *arg, int64_t us);

/* For that: posts the time to SLOT_TIME, then ends or stops the process. */
void kill_self(void *arg);
void stop_self(void *arg);

enum { SLOT_TIME = 200, SLOT_RETURNED, SLOT_GO_ON, SLOT_SETTLED };

#endif
