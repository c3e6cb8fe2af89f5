/* Ranks in groups (collectives/groups.h): those of a group share a cache, or a socket, and every byte crosses
 * from group to group once.
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

/* What this rank does in a step, but for staging. */
void uni_levels_step(const unisono_comm *comm, struct uni_lane *lane, uint64_t step);

#endif
