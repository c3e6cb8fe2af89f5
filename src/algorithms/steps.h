/* What a rank does with a chunk, in the order of the steps:
 *   stage   puts into its stage what the others read of it and cannot reach in its buffer;
 *   copy    (collectives that only move data) fetches what is its own;
 *   fold    (reductions) folds its slice and puts the result where it belongs, as far as it can reach;
 *   gather  fetches the results that could not be put into its buffer.
 * A stage is a double buffer: a chunk is staged one step before it is read. */
#ifndef UNI_ALGORITHMS_STEPS_H
#define UNI_ALGORITHMS_STEPS_H

#include "algorithms/part.h"

void uni_stage_chunk(const unisono_comm *comm, const struct uni_lane *lane, const struct uni_chunk *chunk);
void uni_copy_chunk(const unisono_comm *comm, const struct uni_lane *lane, const struct uni_chunk *chunk);
void uni_fold_chunk(const unisono_comm *comm, const struct uni_lane *lane, const struct uni_chunk *chunk);
void uni_gather_chunk(const unisono_comm *comm, const struct uni_lane *lane, const struct uni_chunk *chunk);

#endif
