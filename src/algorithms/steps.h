/* What a rank does with a chunk, in the order of the steps:
 *   stage   puts into its stage what the others read of it and cannot reach in its buffer;
 *   copy    (collectives that only move data) fetches what is its own;
 *   fold    (reductions) folds its slice and puts the result where it belongs, as far as it can reach;
 *   gather  fetches the results that could not be put into its buffer.
 * A chunk is staged one step before it is read, so two chunks are alive at a time; where only the ends of a
 * copy wait for each other (plan.flows), as many as a stage has room for. */
#ifndef UNI_ALGORITHMS_STEPS_H
#define UNI_ALGORITHMS_STEPS_H

#include "algorithms/part.h"

/* A stage is a ring of chunks. Each operation has its own room for a chunk, so that small ones take little,
 * and begins behind the last chunk of the one before: all ranks alike. A room is a quarter of the ring at
 * most: then neighbouring chunks of different rooms do not overlap where the ring ends either.
 *
 * The first operation that needs the stages maps all their pages at once, which takes a tenth of the time
 * that as many page faults take. */
void uni_stage_map(unisono_comm *comm);
void uni_stage_begin(unisono_comm *comm, size_t room);
void uni_stage_advance(unisono_comm *comm);
char *uni_stage_place(const unisono_comm *comm, int rank, uint32_t lane, int which, uint64_t chunk);

/* Where the sender stages its part for the reader. Two ranks that send each other something trade rooms: a
 * rank writes where it has read last, so the lines are in its caches, and nobody else is to read them any
 * more. Chunks use the rooms in turn, and with each use a room changes hands. Rooms are where they are for
 * every size of chunks: so what was read and written there before is known. */
char *uni_stage_part(const unisono_comm *comm, const struct uni_lane *lane, const struct uni_chunk *chunk,
                     int sender, int reader, const struct uni_part *part);

void uni_stage_chunk(const unisono_comm *comm, struct uni_lane *lane, const struct uni_chunk *chunk);
void uni_copy_chunk(const unisono_comm *comm, struct uni_lane *lane, const struct uni_chunk *chunk);
void uni_fold_chunk(const unisono_comm *comm, struct uni_lane *lane, const struct uni_chunk *chunk);
/* One call of the kernel: `bytes` of n_in inputs, folded in their order, to each of n_out places. */
void uni_fold_call(const struct uni_call *call, void *const *out, size_t n_out, const void *const *in,
                   size_t n_in, size_t bytes);
void uni_gather_chunk(const unisono_comm *comm, const struct uni_lane *lane, const struct uni_chunk *chunk);

#endif
