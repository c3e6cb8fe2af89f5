/* What the library finds in the simulator in the place of what it has on a machine: the meeting, the
 * collectives of one machine's ranks, the engine. All ranks are actors of one process, one of which runs at a
 * time, so what is static is common to all of them. */
#ifndef SCALE_SIMULATED_H
#define SCALE_SIMULATED_H

#include <stdbool.h>
#include <stddef.h>

#include "engines/engine.h"
#include "unisono.h"

struct simulated {
  int machines, ranks; /* of each machine */
  bool has_data;       /* else the payload is not there, and only time counts: memory would not suffice */
  size_t bytes;        /* of the collective that is simulated now */
  bool has_progress;   /* the engine has a thread of its own */
};
extern struct simulated simulated;

/* Ends the simulation, with words. */
_Noreturn void simulated_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- meeting.c */

/* The communicator of all ranks, as span.c makes it. */
unisono_comm *simulated_meet(int rank);

/* ---- machine.c: the collectives of one machine's ranks take the times that were measured on one */

/* Lines "operation bytes microseconds", by operation and ascending bytes. */
void simulated_read_times(const char *path);

/* The communicator of a machine's ranks; `local` is this rank's number among them. */
unisono_comm *simulated_machine(int machine, int local);

/* The time that it takes to fold these bytes into others passes. */
void simulated_fold(size_t bytes);

/* ---- engine.c: what the engine is, MPI as SMPI simulates it */

extern const struct uni_engine simulated_engine;

/* Of the second process of a rank, until it is told that all is over. */
void simulated_second(int rank);
void simulated_end_second(int rank);

/* ---- flat.c: all ranks alike, without the library and without data */

/* "ring", "tree" or "recursive_doubling"; false: none of these. */
bool simulated_flat(const char *algorithm, size_t count);

/* 64 MiB of payload that is not there: SMPI copies nothing to or from it. */
void *simulated_nothing(void);

#endif
