/* Groups of ranks that share a cache, or a socket, and what follows for collectives that go by levels
 * (algorithms/levels.h). */
#ifndef UNI_COLLECTIVES_GROUPS_H
#define UNI_COLLECTIVES_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectives/call.h"

/* How the ranks of a communicator are grouped: `count` groups of `size` ranks that follow each other. One
 * group: they are not, or it is not known. */
struct uni_groups {
  int count, size;
};

/* Finds the groups of comm->places from what the ranks have said of where they are (struct uni_place). */
void uni_groups_find(unisono_comm *comm);

/* Can this call be run by levels, with the same bits? */
bool uni_levels_serve(const unisono_comm *comm, const struct uni_call *call);

/* The chunks that may be in the stages at a time, and what a chunk takes of a stage, in chunks. */
size_t uni_levels_alive(const unisono_comm *comm, enum uni_kind kind);
size_t uni_levels_rooms(const unisono_comm *comm, enum uni_kind kind);

/* The steps in which the groups fold one after the other. */
uint64_t uni_levels_folds(const unisono_comm *comm, enum uni_kind kind);

/* The steps that follow the one in which the last chunk is staged. */
uint64_t uni_levels_steps(const unisono_comm *comm, enum uni_kind kind);

#endif
