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

/* The bytes of a stage that an operation with rooms of this size uses. Lines that go to and fro are best kept
 * in the nearest caches, others are best out of them when their turn comes again: see layout.c. */
size_t uni_select_ring(const unisono_comm *comm, size_t room);

/* How many peers' parts of a chunk lie side by side in a stage. */
size_t uni_select_rooms(const unisono_comm *comm, const struct uni_call *call);

/* The size of a chunk where some rank stages what it sends. */
size_t uni_select_staged_chunk(const unisono_comm *comm, const struct uni_call *call);

/* Does each rank fold everything for itself, where all data is staged? */
bool uni_select_one_shot(const unisono_comm *comm, const struct uni_call *call);

/* Does data go from group to group of ranks, where all of it is staged? */
bool uni_select_by_levels(const unisono_comm *comm, const struct uni_call *call);

/* Is what is staged read by one rank only, on a processor of its own, which sends nothing back? */
bool uni_select_hands_over(const unisono_comm *comm, enum uni_kind kind);

/* Do pairs of ranks trade the rooms of what they stage for each other? */
bool uni_select_trades(const unisono_comm *comm, const struct uni_call *call);

/* Is it so little that a rank does not show its buffers, though they are shared? */
bool uni_select_hides(const unisono_comm *comm, const struct uni_call *call);

/* Is it tried to take back the lines of the receive buffer: see reclaim.h? */
bool uni_select_reclaims(const unisono_comm *comm, const struct uni_call *call);

/* ---- between machines */

struct uni_span;

/* What a machine may send with the entry of a call; 0: there are so many machines that nobody sees all
 * entries. */
size_t uni_select_rider(int machines);

/* How many ranks of each machine carry `bytes` between the machines. */
int uni_select_columns(const struct uni_span *span, size_t bytes);

/* A reduction: do the machines swap their sums, or does the engine reduce them? How many ranks of each
 * machine do their part of `bytes`, and how many bytes are done at a time? */
bool uni_select_swaps(const struct uni_span *span, size_t bytes);
int uni_select_reducers(const struct uni_span *span, size_t bytes, bool swaps);
size_t uni_select_piece(const struct uni_span *span, size_t bytes, bool swaps);

/* Of the machine of `local`: a step, and 64 bytes reduced or gathered; picoseconds. */
void uni_select_local_prices(const unisono_comm *local, uint64_t *turn, uint64_t *copy);

/* After the arrival, when run->send and run->recv say where every buffer is: fills in run->plan, whose total
 * and lanes are set. */
void uni_select_plan(unisono_comm *comm);

#endif
