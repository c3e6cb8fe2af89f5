/* Tiny operations: the payload rides with the arrival line, and every rank works out what it needs from the
 * lines it reads anyway, or from the stages. One trip.
 *
 * All of it is here, to become part of the functions of the API (collectives/quick.h) and of the machine that
 * serves started operations (collectives/run.c). */
#ifndef UNI_ALGORITHMS_INLINE_H
#define UNI_ALGORITHMS_INLINE_H

#include <string.h>

#include "algorithms/steps.h"
#include "collectives/arrive.h"
#include "comm.h"
#include "kernels/fpenv.h"

#define UNI_STRAIGHT __attribute__((always_inline)) static inline

/* memcpy, without the call where there is little: the two halves overlap. */
UNI_STRAIGHT void uni_copy(void *to, const void *from, size_t bytes) {
  char *t = to;
  const char *f = from;
  uint64_t a[2], b[2];
  if (bytes > 32) {
    memcpy(t, f, bytes);
  } else if (bytes > 16) {
    memcpy(a, f, 16), memcpy(b, f + bytes - 16, 16);
    memcpy(t, a, 16), memcpy(t + bytes - 16, b, 16);
  } else if (bytes >= 8) {
    memcpy(a, f, 8), memcpy(b, f + bytes - 8, 8);
    memcpy(t, a, 8), memcpy(t + bytes - 8, b, 8);
  } else {
    for (size_t i = 0; i < bytes; i++)
      t[i] = f[i];
  }
}

/* Of one sender; the same on every rank. Who trades sends nothing but what is for the other. */
UNI_STRAIGHT size_t uni_inline_bytes(const unisono_comm *comm, const struct uni_call *call) {
  return uni_kind_scatters(call->kind) && !uni_comm_trades(comm, call->kind)
             ? call->block * (size_t)comm->size
             : call->block;
}

/* Where what is for `rank` begins in a send buffer. */
UNI_STRAIGHT size_t uni_inline_from(const struct uni_call *call, int rank) {
  return uni_kind_scatters(call->kind) ? call->block * (size_t)rank : 0;
}

/* A rank's payload: in its line, behind it in its slot, in a room, or in its stage. */
UNI_STRAIGHT unsigned char *uni_inline_of(const unisono_comm *comm, const struct uni_call *call,
                                          uint64_t sequence, int rank) {
  size_t bytes = uni_inline_bytes(comm, call);
  if (bytes <= UNI_HEADER_PAYLOAD)
    return uni_line_of(comm, rank, sequence)->payload;
  if (uni_comm_trades(comm, call->kind))
    return uni_traded_of(comm, rank, sequence)->payload;
  if (bytes <= UNI_SLOT_PAYLOAD)
    return comm->places[rank].slots[sequence % UNI_SLOTS].payload;
  if (bytes <= UNI_ROOM_PAYLOAD)
    return comm->places[rank].rooms[sequence % UNI_ROOMS].payload;
  return (unsigned char *)uni_comm_stage(comm, rank, 0, UNI_STAGE_IN) + comm->run.inline_at;
}

/* What `from` sends to this rank. */
UNI_STRAIGHT const unsigned char *uni_inline_to_me(const unisono_comm *comm, const struct uni_call *call,
                                                   uint64_t sequence, int from) {
  size_t at = uni_comm_trades(comm, call->kind) ? 0 : uni_inline_from(call, comm->rank);
  return uni_inline_of(comm, call, sequence, from) + at;
}

/* Takes room in the stages, the same on every rank, as the chunks of larger operations do: so a line has left
 * the nearest caches when it is written again (see layout.c). The line behind the payload is only ever read.
 */
UNI_STRAIGHT void uni_inline_take_room(unisono_comm *comm, size_t bytes) {
  struct uni_run *run = &comm->run;
  if (!run->stages_mapped)
    uni_stage_map(comm);
  size_t room = (bytes + UNI_LINE - 1) / UNI_LINE * UNI_LINE + UNI_LINE;
  run->inline_at = run->staged + room <= comm->layout.stage_ring ? run->staged : 0;
  run->staged = run->inline_at + room;
}

/* May this rank arrive at once? Where it was the last operation's root, and others may still be in the one
 * before, it must not yet write where they may be reading, in one of its rooms or its stage, or where the
 * other of a pair is about to write. */
UNI_STRAIGHT bool uni_may_arrive(const unisono_comm *comm, const struct uni_call *call, uint64_t sequence) {
  const struct uni_run *run = &comm->run;
  return run->met + 1 == sequence || (!comm->is_pair && call->block < run->inline_ends[call->kind] &&
                                      uni_inline_bytes(comm, call) <= UNI_SLOT_PAYLOAD);
}

/* Writes this rank's payload, before the stamp. */
UNI_STRAIGHT void uni_inline_put(unisono_comm *comm, const struct uni_call *call, uint64_t sequence) {
  size_t bytes = uni_inline_bytes(comm, call);
  bool trades = uni_comm_trades(comm, call->kind);
  if (bytes > UNI_ROOM_PAYLOAD && !trades)
    uni_inline_take_room(comm, bytes);
  if (uni_call_send_bytes(call, comm->size, comm->rank) == 0)
    return;
  unsigned char *to = uni_inline_of(comm, call, sequence, comm->rank);
  const char *from = (const char *)call->send + (trades ? uni_inline_from(call, 1 - comm->rank) : 0);
  if (bytes < UNI_TRIAL_LEAST || trades)
    uni_copy(to, from, bytes);
  else
    uni_outflow_copy(comm->run.lanes[0].outflow.copies, comm->kernels->stream, to, from, bytes);
}

/* A root whose data the others only read need not wait for them. */
UNI_STRAIGHT bool uni_inline_is_one_sided(const unisono_comm *comm, const struct uni_call *call) {
  return (call->kind == UNI_BROADCAST || call->kind == UNI_SCATTER) && comm->rank == call->root;
}

/* A fold of payloads, laid out before the peers' are there. */
struct uni_inline_fold {
  uni_fold_fn kernel; /* NULL: nothing to fold */
  size_t count;
  void *out;
  char mine[UNI_FEW_BYTES], result[UNI_FEW_BYTES];
};

/* Kernels are at their best with whole vectors, and there is always something to read behind a payload: so
 * what is less than a vector is folded as one, in a place of its own. What this rank sends is read from where
 * it comes from: its slot may still be on its way to this processor's cache, or streamed away from it. In the
 * straight line all this is before the wait: a vector is not read at once of what was written in smaller
 * pieces just before. */
UNI_STRAIGHT void uni_inline_prepare(const unisono_comm *comm, const struct uni_call *call, uint64_t sequence,
                                     struct uni_inline_fold *fold) {
  bool has_result = call->kind != UNI_REDUCE || comm->rank == call->root;
  bool is_small = call->block <= UNI_FEW_BYTES;
  fold->kernel = NULL;
  if (!uni_kind_folds(call->kind) || !has_result || call->block == 0)
    return;
  for (int r = 0; r < comm->size; r++)
    comm->run.inputs[r] = uni_inline_to_me(comm, call, sequence, r);
  const char *mine = (const char *)call->send + uni_inline_from(call, comm->rank);
  comm->run.inputs[comm->rank] = is_small ? fold->mine : mine;
  fold->out = is_small ? fold->result : call->recv;
  fold->count = is_small ? (size_t)UNI_FEW_BYTES >> __builtin_ctzl(call->element) : call->count;
  fold->kernel = is_small ? comm->kernels->few->fold[call->dtype][call->op] : call->fold;
  if (is_small) {
    memset(fold->mine, 0, UNI_FEW_BYTES);
    uni_copy(fold->mine, mine, call->block);
  }
}

UNI_STRAIGHT void uni_inline_fold(const unisono_comm *comm, const struct uni_call *call,
                                  struct uni_inline_fold *fold) {
  if (!fold->kernel)
    return;
  uint64_t environment = uni_fpenv_enter();
  fold->kernel(&fold->out, 1, comm->run.inputs, (size_t)comm->size, fold->count);
  uni_fpenv_leave(environment);
  if (call->block <= UNI_FEW_BYTES)
    uni_copy(call->recv, fold->result, call->block);
}

/* All needed lines are there: works out the result. */
UNI_STRAIGHT void uni_inline_deliver(const unisono_comm *comm, const struct uni_call *call, uint64_t sequence,
                                     struct uni_inline_fold *fold) {
  if (call->block == 0)
    return;
  if (uni_kind_folds(call->kind)) {
    uni_inline_fold(comm, call, fold);
  } else if (call->kind == UNI_BROADCAST) {
    if (comm->rank != call->root)
      uni_copy(call->recv, uni_inline_of(comm, call, sequence, call->root), call->block);
  } else if (call->kind == UNI_SCATTER) {
    const void *source = uni_inline_to_me(comm, call, sequence, call->root);
    if (comm->rank == call->root)
      source = (const char *)call->send + uni_inline_from(call, comm->rank);
    if (source != call->recv) /* in place */
      uni_copy(call->recv, source, call->block);
  } else if (call->kind != UNI_GATHER || comm->rank == call->root) {
    for (int r = 0; r < comm->size; r++) {
      char *to = (char *)call->recv + call->block * (size_t)r;
      const void *source = uni_inline_to_me(comm, call, sequence, r);
      if (r == comm->rank)
        source = (const char *)call->send + uni_inline_from(call, r);
      if (source != to) /* in place */
        uni_copy(to, source, call->block);
    }
  }
}

#endif
