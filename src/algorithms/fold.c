#include <string.h>

#include "algorithms/steps.h"
#include "collectives/refs.h"
#include "comm.h"
#include "kernels/fpenv.h"
#include "kernels/reduce.h"

void uni_fold_call(const struct uni_call *call, void *const *out, size_t n_out, const void *const *in,
                   size_t n_in, size_t bytes) {
  uint64_t environment = uni_fpenv_enter();
  call->fold(out, n_out, in, n_in, bytes / call->element);
  uni_fpenv_leave(environment);
}

static bool takes_result(const struct uni_call *call, int rank) {
  return call->kind != UNI_REDUCE || rank == call->root;
}

/* Can the owner write the result into this rank's buffer? */
static bool is_pushed(const unisono_comm *comm, int rank, const struct uni_part *part) {
  return comm->run.plan.algorithm != UNI_PULL && uni_view_takes(&comm->run.recv[rank], part->to, part->bytes);
}

/* Does the owner put the result where it read what this rank had staged for it? */
static bool is_returned(const unisono_comm *comm, int rank, const struct uni_part *part) {
  const struct uni_run *run = &comm->run;
  return run->plan.returns && !uni_view_covers(&run->send[rank], part->from, part->bytes);
}

/* Can the others read the owner's result in its own buffer? */
static bool is_readable(const unisono_comm *comm, int owner, const struct uni_part *part) {
  return takes_result(&comm->run.call, owner) &&
         uni_view_covers(&comm->run.recv[owner], part->to, part->bytes);
}

static char *stage_of(const unisono_comm *comm, const struct uni_lane *lane, const struct uni_chunk *chunk,
                      int rank, int which) {
  return uni_stage_place(comm, rank, (uint32_t)(lane - comm->run.lanes), which, chunk->index);
}

/* Where this rank's result goes to: its own buffer, and what other processors hold, the peers' buffers and
 * its stage for those who cannot be written to. */
struct places {
  void **out;
  size_t n, n_own;
  bool is_pushed, is_staged;
};

static struct places find_places(const unisono_comm *comm, const struct uni_lane *lane,
                                 const struct uni_chunk *chunk, const struct uni_part *part, void **room) {
  const struct uni_run *run = &comm->run;
  struct places to = {.out = room};
  bool is_shared = uni_kind_shares_result(run->call.kind) && !chunk->whole, is_missing = false;
  if (!is_shared || takes_result(&run->call, comm->rank))
    room[to.n++] = (char *)run->call.recv + part->to;
  to.n_own = to.n;
  for (int r = 0; r < comm->size && is_shared; r++) {
    if (r == comm->rank || !takes_result(&run->call, r))
      continue;
    if (is_pushed(comm, r, part)) {
      room[to.n++] = run->recv[r].base + part->to;
      to.is_pushed = true;
    } else if (is_returned(comm, r, part))
      room[to.n++] = stage_of(comm, lane, chunk, r, UNI_STAGE_IN) + part->stage;
    else
      is_missing = true;
  }
  to.is_staged = is_missing && !is_readable(comm, comm->rank, part);
  if (to.is_staged)
    room[to.n++] = stage_of(comm, lane, chunk, comm->rank, UNI_STAGE_OUT);
  return to;
}

static void move_on(void **pointers, size_t n, size_t bytes) {
  for (size_t i = 0; i < n; i++)
    pointers[i] = (char *)pointers[i] + bytes;
}

/* Streams the result to where other processors hold the lines, piece by piece, each while it is in the
 * nearest cache. */
static void fold_and_stream(const unisono_comm *comm, struct places to, const void **inputs, size_t bytes) {
  enum { PIECE = 8 << 10 };
  _Alignas(UNI_LINE) char piece[PIECE];
  void *only[1] = {piece}, **near = to.n_own ? to.out : only;
  size_t n;
  for (size_t at = 0; at < bytes; at += n) {
    n = bytes - at < PIECE ? bytes - at : PIECE;
    uni_fold_call(&comm->run.call, near, 1, inputs, (size_t)comm->size, n);
    for (size_t i = to.n_own; i < to.n; i++)
      comm->kernels->stream(to.out[i], near[0], n);
    move_on((void **)inputs, (size_t)comm->size, n);
    move_on(to.out, to.n, n);
  }
}

static void fold(const unisono_comm *comm, struct places to, const void **inputs, size_t bytes,
                 bool streams) {
  if (streams)
    fold_and_stream(comm, to, inputs, bytes);
  else
    uni_fold_call(&comm->run.call, to.out, to.n, inputs, (size_t)comm->size, bytes);
}

void uni_fold_chunk(const unisono_comm *comm, struct uni_lane *lane, const struct uni_chunk *chunk) {
  size_t index = (size_t)(lane - comm->run.lanes), n = (size_t)comm->size;
  const void **inputs = comm->run.inputs + index * n;
  struct uni_part mine = uni_part_of(comm, chunk, comm->rank, comm->rank);
  if (mine.bytes == 0)
    return;
  for (int r = 0; r < comm->size; r++) {
    struct uni_part part = uni_part_of(comm, chunk, r, comm->rank);
    inputs[r] = uni_part_source(comm, lane, chunk, r, &part);
  }
  struct places to = find_places(comm, lane, chunk, &mine, comm->run.outputs + index * (n + 1));
  if (to.is_pushed && comm->kernels->stream && mine.bytes >= UNI_TRIAL_LEAST) {
    struct uni_trial *trial = uni_outflow_of(lane->outflow.pushes[comm->run.reclaim->turn.way], mine.bytes);
    struct uni_turn turn = uni_trial_begin(trial);
    fold(comm, to, inputs, mine.bytes, turn.way == UNI_OUTFLOW_STREAM);
    uni_outflow_end(trial, &turn, mine.bytes);
  } else
    fold(comm, to, inputs, mine.bytes, to.is_staged && uni_outflow_streams(&lane->outflow, mine.bytes));
}

void uni_gather_chunk(const unisono_comm *comm, const struct uni_lane *lane, const struct uni_chunk *chunk) {
  const struct uni_run *run = &comm->run;
  if (!takes_result(&run->call, comm->rank))
    return;
  for (int i = 1; i < comm->size; i++) {
    int owner = (comm->rank + i) % comm->size;
    struct uni_part part = uni_part_of(comm, chunk, owner, owner);
    if (part.bytes == 0 || is_pushed(comm, comm->rank, &part))
      continue;
    const char *source = is_returned(comm, comm->rank, &part)
                             ? stage_of(comm, lane, chunk, comm->rank, UNI_STAGE_IN) + part.stage
                         : is_readable(comm, owner, &part)
                             ? run->recv[owner].base + part.to
                             : stage_of(comm, lane, chunk, owner, UNI_STAGE_OUT);
    memcpy((char *)run->call.recv + part.to, source, part.bytes);
  }
}
