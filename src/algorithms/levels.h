/* Ranks in groups: those of a group share a cache, or a socket, and every byte crosses from group to group
 * once.
 *
 * A reduction is passed on in rank order: the i-th rank of the first group folds the i-th slice of what its
 * group has, the i-th rank of the next group goes on from there, and the last group has the result, which the
 * i-th rank of each group fetches for its group. Nothing is regrouped, so the bits are those of all other
 * algorithms. In broadcast and all_gather the i-th rank of a group fetches the i-th slice of what comes from
 * outside, or what the i-th ranks of the other groups have, and the others of its group read it there.
 *
 * Source: two-level collectives for clusters of multi-cores (e.g. Mamidala, Kumar, De, Panda: MPI Collectives
 * on Modern Multicore Clusters, CCGRID 2008); that the partial is passed on instead of combined is for the
 * bits. */
#ifndef UNI_ALGORITHMS_LEVELS_H
#define UNI_ALGORITHMS_LEVELS_H

#include "algorithms/part.h"

/* How the ranks of a communicator are grouped: `count` groups of `size` ranks that follow each other. One
 * group: they are not, or it is not known. */
struct uni_groups {
  int count, size;
};

/* Finds the groups from what the ranks have said of where they are (struct uni_place). */
void uni_levels_group(unisono_comm *comm);

/* Can this call be run by levels, with the same bits? */
bool uni_levels_serve(const unisono_comm *comm, const struct uni_call *call);

/* The chunks that may be in the stages at a time, and what a chunk takes of a stage, in chunks. */
size_t uni_levels_alive(const unisono_comm *comm, enum uni_kind kind);
size_t uni_levels_rooms(const unisono_comm *comm, enum uni_kind kind);

/* The steps that follow the one in which the last chunk is staged. */
uint64_t uni_levels_steps(const unisono_comm *comm, enum uni_kind kind);

/* What this rank does in a step, but for staging. */
void uni_levels_step(const unisono_comm *comm, struct uni_lane *lane, uint64_t step);

#endif
