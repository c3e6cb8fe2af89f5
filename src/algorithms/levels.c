#include "algorithms/levels.h"

#include <string.h>

#include "algorithms/steps.h"
#include "comm.h"

/* ---- places */

static int group_of(const unisono_comm *comm, int rank) {
  return rank / comm->groups.size;
}

static int index_of(const unisono_comm *comm, int rank) {
  return rank % comm->groups.size;
}

static int rank_of(const unisono_comm *comm, int group, int index) {
  return group * comm->groups.size + index;
}

/* The slice of a chunk that the ranks of an index care for. */
struct slice {
  size_t at, bytes; /* in the chunk */
};

static struct slice slice_of(const unisono_comm *comm, const struct uni_chunk *chunk, int index) {
  size_t n = (size_t)comm->groups.size, bytes = chunk->to - chunk->from;
  size_t each = ((bytes + n - 1) / n + UNI_LINE - 1) / UNI_LINE * UNI_LINE, at = each * (size_t)index;
  if (at >= bytes)
    return (struct slice){bytes, 0};
  return (struct slice){at, bytes - at < each ? bytes - at : each};
}

static char *stage_of(const unisono_comm *comm, const struct uni_lane *lane, const struct uni_chunk *chunk,
                      int rank, int which) {
  return uni_stage_place(comm, rank, (uint32_t)(lane - comm->run.lanes), which, chunk->index);
}

static char *recv_at(const unisono_comm *comm, const struct uni_chunk *chunk, size_t at) {
  return (char *)comm->run.call.recv + chunk->from + at;
}

/* From another group, for this one. */
static void fetch(char *recv, char *stage, const char *from, size_t bytes) {
  memcpy(recv, from, bytes);
  memcpy(stage, recv, bytes);
}

/* ---- all_reduce */

static void fold(const unisono_comm *comm, const struct uni_lane *lane, const struct uni_chunk *chunk) {
  size_t index = (size_t)(lane - comm->run.lanes), n = 0;
  int group = group_of(comm, comm->rank), mine = index_of(comm, comm->rank);
  struct slice slice = slice_of(comm, chunk, mine);
  const void **inputs = comm->run.inputs + index * (size_t)comm->size;
  char *stage = stage_of(comm, lane, chunk, comm->rank, UNI_STAGE_OUT) + slice.at;
  bool is_last = group + 1 == comm->groups.count;
  void *out[2] = {is_last ? recv_at(comm, chunk, slice.at) : stage, stage};
  if (slice.bytes == 0)
    return;
  if (group > 0) /* what the groups before have come to */
    inputs[n++] = stage_of(comm, lane, chunk, rank_of(comm, group - 1, mine), UNI_STAGE_OUT) + slice.at;
  for (int i = 0; i < comm->groups.size; i++) {
    int rank = rank_of(comm, group, i);
    inputs[n++] = rank == comm->rank ? (const char *)comm->run.call.send + chunk->from + slice.at
                                     : stage_of(comm, lane, chunk, rank, UNI_STAGE_IN) + slice.at;
  }
  uni_fold_call(&comm->run.call, out, is_last ? 2 : 1, inputs, n, slice.bytes);
}

static void fetch_result(const unisono_comm *comm, const struct uni_lane *lane,
                         const struct uni_chunk *chunk) {
  int mine = index_of(comm, comm->rank), last = comm->groups.count - 1;
  struct slice slice = slice_of(comm, chunk, mine);
  if (group_of(comm, comm->rank) == last)
    return;
  fetch(recv_at(comm, chunk, slice.at), stage_of(comm, lane, chunk, comm->rank, UNI_STAGE_OUT) + slice.at,
        stage_of(comm, lane, chunk, rank_of(comm, last, mine), UNI_STAGE_OUT) + slice.at, slice.bytes);
}

/* What the others of this group hold. */
static void gather_slices(const unisono_comm *comm, const struct uni_lane *lane,
                          const struct uni_chunk *chunk) {
  int group = group_of(comm, comm->rank), mine = index_of(comm, comm->rank);
  for (int i = 1; i < comm->groups.size; i++) {
    int index = (mine + i) % comm->groups.size;
    struct slice slice = slice_of(comm, chunk, index);
    memcpy(recv_at(comm, chunk, slice.at),
           stage_of(comm, lane, chunk, rank_of(comm, group, index), UNI_STAGE_OUT) + slice.at, slice.bytes);
  }
}

/* ---- broadcast */

static void fetch_root(const unisono_comm *comm, const struct uni_lane *lane, const struct uni_chunk *chunk) {
  int root = comm->run.call.root;
  const char *from = stage_of(comm, lane, chunk, root, UNI_STAGE_IN);
  struct slice slice = slice_of(comm, chunk, index_of(comm, comm->rank));
  if (comm->rank == root)
    return;
  if (group_of(comm, comm->rank) == group_of(comm, root))
    memcpy(recv_at(comm, chunk, 0), from, chunk->to - chunk->from);
  else
    fetch(recv_at(comm, chunk, slice.at), stage_of(comm, lane, chunk, comm->rank, UNI_STAGE_OUT) + slice.at,
          from + slice.at, slice.bytes);
}

/* ---- all_gather */

static char *block_at(const unisono_comm *comm, const struct uni_chunk *chunk, int rank) {
  return recv_at(comm, chunk, comm->run.call.block * (size_t)rank);
}

/* The place in a stage for the block of one of the other groups. */
static char *slot_of(const unisono_comm *comm, const struct uni_lane *lane, const struct uni_chunk *chunk,
                     int rank, int group) {
  return stage_of(comm, lane, chunk, rank, UNI_STAGE_OUT) + (size_t)group * comm->run.plan.chunk;
}

static void fetch_blocks(const unisono_comm *comm, const struct uni_lane *lane,
                         const struct uni_chunk *chunk) {
  int group = group_of(comm, comm->rank), mine = index_of(comm, comm->rank);
  size_t bytes = chunk->to - chunk->from;
  const char *own = (const char *)comm->run.call.send + chunk->from;
  if (own != block_at(comm, chunk, comm->rank)) /* not in place */
    memcpy(block_at(comm, chunk, comm->rank), own, bytes);
  for (int i = 1; i < comm->groups.size; i++) {
    int rank = rank_of(comm, group, (mine + i) % comm->groups.size);
    memcpy(block_at(comm, chunk, rank), stage_of(comm, lane, chunk, rank, UNI_STAGE_IN), bytes);
  }
  for (int i = 1; i < comm->groups.count; i++) {
    int other = (group + i) % comm->groups.count, rank = rank_of(comm, other, mine);
    fetch(block_at(comm, chunk, rank), slot_of(comm, lane, chunk, comm->rank, other),
          stage_of(comm, lane, chunk, rank, UNI_STAGE_IN), bytes);
  }
}

static void gather_blocks(const unisono_comm *comm, const struct uni_lane *lane,
                          const struct uni_chunk *chunk) {
  int group = group_of(comm, comm->rank), mine = index_of(comm, comm->rank);
  for (int i = 1; i < comm->groups.size; i++)
    for (int k = 1; k < comm->groups.count; k++) {
      int index = (mine + i) % comm->groups.size, other = (group + k) % comm->groups.count;
      memcpy(block_at(comm, chunk, rank_of(comm, other, index)),
             slot_of(comm, lane, chunk, rank_of(comm, group, index), other), chunk->to - chunk->from);
    }
}

/* ---- steps */

typedef void work_fn(const unisono_comm *, const struct uni_lane *, const struct uni_chunk *);

/* The chunk that was staged so many steps before this one, if there is one. */
static void work_on(const unisono_comm *comm, const struct uni_lane *lane, uint64_t step, uint64_t after,
                    work_fn *work) {
  if (step < after || step - after >= lane->chunks)
    return;
  struct uni_chunk chunk = uni_chunk_of(comm, lane, step - after);
  work(comm, lane, &chunk);
}

void uni_levels_step(const unisono_comm *comm, struct uni_lane *lane, uint64_t step) {
  const struct uni_call *call = &comm->run.call;
  uint64_t folded = uni_levels_folds(comm, call->kind);
  bool gathers = call->kind != UNI_BROADCAST || group_of(comm, comm->rank) != group_of(comm, call->root);
  if (folded)
    work_on(comm, lane, step, 1 + (uint64_t)group_of(comm, comm->rank), fold);
  work_on(comm, lane, step, 1 + folded,
          folded                        ? fetch_result
          : call->kind == UNI_BROADCAST ? fetch_root
                                        : fetch_blocks);
  if (gathers)
    work_on(comm, lane, step, 2 + folded, call->kind == UNI_ALL_GATHER ? gather_blocks : gather_slices);
}
