/* What the cost model of collectives/select.c rests on: a few constants of the machine. All ranks of a world
 * have the same ones. Rank 0 reads them from the user's cache folder; where they are not there, the ranks
 * measure them when they have met, in some milliseconds, and rank 0 writes them down. They only choose
 * among algorithms that give the same bits. */
#ifndef UNI_COSTS_COSTS_H
#define UNI_COSTS_COSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unisono.h"

enum uni_cost {
  UNI_COST_EXCHANGE, /* two ranks' lines to get to each other: a barrier */
  UNI_COST_TURN,     /* a second exchange, with what an operation that is not inline has to work out */
  UNI_COST_WRITE,    /* 64 bytes into a stage */
  UNI_COST_READ,     /* 64 bytes out of a peer's stage */
  UNI_COST_FOLD,     /* 64 bytes of one input, in the nearest caches */
  UNI_COSTS
};

struct uni_costs {
  uint32_t ps[UNI_COSTS]; /* picoseconds */
};

/* 64 bytes out of the stage of a rank of the own group, and of another one (levels.h), while all ranks read
 * so; picoseconds. */
struct uni_reach {
  uint32_t near, far;
};

/* "exchange" */
const char *uni_cost_name(enum uni_cost cost);

/* Of a machine that nothing is known of: between those that were measured. */
extern const struct uni_costs uni_costs_default;

/* No machine is that far from the default: a measurement that was disturbed does no harm. */
void uni_costs_bound(struct uni_costs *costs);

/* ---- the file (file.c) */

/* Where the constants of this machine are kept: below XDG_CACHE_HOME, or .cache in the home folder. false:
 * there is no such place. */
bool uni_costs_path(char *path, size_t room);

/* false: there is no such file, or (with a warning) it is damaged or of another processor, kernel or version.
 */
bool uni_costs_load(const char *path, struct uni_costs *costs);

/* Replaces the file at once, so that no reader sees half of one. */
unisono_status uni_costs_save(const char *path, const struct uni_costs *costs);

/* The constants to begin with, and how many rounds of measuring are to follow, if the ranks can: none when
 * they are known, or not wanted. */
enum { UNI_COST_ROUNDS = 400 };
unisono_status uni_costs_find(struct uni_costs *costs, bool can_measure, int *rounds);

/* The constants that a world which meets now begins with, in words, and where they are from. */
void uni_costs_describe(char *text, size_t room);

/* Keeps what was measured for those who come; that it cannot is no failure. */
void uni_costs_keep(const struct uni_costs *costs);

/* ---- the measurement (measure.c) */

/* All ranks of `comm`, which has at least two and is at rest, call it; `rounds` measurements by its first
 * two, of which the best counts. From then on all communicators of the world go by the result. */
unisono_status uni_costs_measure(unisono_comm *comm, int rounds);

/* The same for the world's reach, where the ranks of `comm` are in groups: at each start, as it hangs on
 * where the ranks are. */
unisono_status uni_costs_measure_reach(unisono_comm *comm);

#endif
