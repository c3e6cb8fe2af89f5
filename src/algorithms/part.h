/* What one rank reads of another's send buffer: the one place that knows how the collectives differ.
 *
 * A chunk is the bytes [from, to) of a block (of the whole buffer, where there is only one). */
#ifndef UNI_ALGORITHMS_PART_H
#define UNI_ALGORITHMS_PART_H

#include "collectives/run.h"

struct uni_chunk {
  uint64_t index; /* within its lane */
  size_t from, to;
  size_t room;  /* bytes of a stage that belong to each reader, where readers read different things */
  size_t slice; /* bytes that each rank folds, where they share the result; the last ones' may be less */
  bool whole;   /* each rank folds all of it, for itself */
};

struct uni_part {
  size_t from;  /* in the sender's send buffer */
  size_t bytes; /* 0: nothing */
  size_t stage; /* in the sender's stage */
  size_t to;    /* in the reader's receive buffer */
};

/* All of a lane whose ranks share the result; the chunk `index` of a lane. */
struct uni_chunk uni_chunk_of_lane(const unisono_comm *comm, const struct uni_lane *lane);
struct uni_chunk uni_chunk_of(const unisono_comm *comm, const struct uni_lane *lane, uint64_t index);

/* What `reader` reads of `sender` in this chunk. For v-collectives one of the two is this rank. */
struct uni_part uni_part_of(const unisono_comm *comm, const struct uni_chunk *chunk, int sender, int reader);

/* Do all readers read the same of a sender? */
bool uni_parts_are_alike(enum uni_kind kind);

/* Does this rank read the sender's part in the sender's stage? */
bool uni_part_is_staged(const unisono_comm *comm, int sender, const struct uni_part *part);

/* Where the reader (this rank) finds the sender's part: in its buffer or its stage. */
const void *uni_part_source(const unisono_comm *comm, const struct uni_lane *lane,
                            const struct uni_chunk *chunk, int sender, const struct uni_part *part);

#endif
