/* The choice of the algorithm, and what follows from it. Every rank chooses alike: the choice rests on what
 * all of them know. */
#ifndef UNI_COLLECTIVES_SELECT_H
#define UNI_COLLECTIVES_SELECT_H

#include "collectives/run.h"

/* Before the arrival: the payload rides with the line where a block is smaller than ends[kind]. Worked out
 * once for a communicator, as it is the first thing that a call looks at. */
void uni_select_inline(const unisono_comm *comm, size_t ends[UNI_KINDS]);

/* How many lanes share the bytes. */
uint32_t uni_select_lanes(const unisono_comm *comm, size_t total);

/* Do results go back into the stages that their inputs came from? A line that is read, written and read again
 * by two ranks in turn goes from one cache to the other, and its store waits for nobody. */
bool uni_select_returns(const unisono_comm *comm);

/* The bytes of a stage that an operation with rooms of this size uses. Lines that go to and fro are best kept
 * in the nearest caches, others are best out of them when their turn comes again: see layout.c. */
size_t uni_select_ring(const unisono_comm *comm, size_t room);

/* How many peers' parts of a chunk lie side by side in a stage. */
size_t uni_select_rooms(const unisono_comm *comm, enum uni_kind kind);

/* The size of a chunk where some rank stages what it sends. */
size_t uni_select_staged_chunk(const unisono_comm *comm, const struct uni_call *call);

/* Does each rank fold everything for itself, where all data is staged? */
bool uni_select_one_shot(const unisono_comm *comm, const struct uni_call *call);

/* Does data go from group to group of ranks, where all of it is staged? */
bool uni_select_by_levels(const unisono_comm *comm, const struct uni_call *call);

/* Is what is staged read by one rank only, on a processor of its own? */
bool uni_select_hands_over(const unisono_comm *comm, enum uni_kind kind);

/* How many ranks of each machine carry `bytes` between the machines, of `most` that can. */
int uni_select_columns(size_t bytes, int most);

/* After the arrival, when run->send and run->recv say where every buffer is: fills in run->plan, whose total
 * and lanes are set. */
void uni_select_plan(unisono_comm *comm);

#endif
