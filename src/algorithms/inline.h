/* Tiny operations: the payload rides with the arrival line, and every rank works out what it needs from the
 * lines it reads anyway. One trip.
 *
 * All of it is here, to become part of the functions of the API (collectives/quick.h) and of the machine that
 * serves started operations (collectives/run.c). */
#ifndef UNI_ALGORITHMS_INLINE_H
#define UNI_ALGORITHMS_INLINE_H

#include <string.h>

#include "collectives/arrive.h"
#include "comm.h"
#include "kernels/fpenv.h"

/* Of one sender; the same on every rank. */
static inline size_t uni_inline_bytes(const unisono_comm *comm, const struct uni_call *call) {
  return uni_kind_scatters(call->kind) ? call->block * (size_t)comm->size : call->block;
}

static inline unsigned char *uni_inline_payload(struct uni_slot *slot, size_t bytes) {
  return bytes <= UNI_HEADER_PAYLOAD ? slot->arrival.payload : slot->payload;
}

/* Writes this rank's payload into its slot, before the stamp. */
static inline void uni_inline_put(const unisono_comm *comm, const struct uni_call *call,
                                  struct uni_slot *slot) {
  if (uni_call_send_bytes(call, comm->size, comm->rank))
    memcpy(uni_inline_payload(slot, uni_inline_bytes(comm, call)), call->send, uni_inline_bytes(comm, call));
}

/* A root whose data the others only read need not wait for them. */
static inline bool uni_inline_is_one_sided(const unisono_comm *comm, const struct uni_call *call) {
  return (call->kind == UNI_BROADCAST || call->kind == UNI_SCATTER) && comm->rank == call->root;
}

static inline const unsigned char *uni_inline_of(const unisono_comm *comm, const struct uni_call *call,
                                                 uint64_t sequence, int rank) {
  return uni_inline_payload(uni_slot_of(comm, rank, sequence), uni_inline_bytes(comm, call));
}

/* Kernels are at their best with whole vectors, and there is always something to read behind a payload: so
 * what is less than a vector is folded as one, in a place of its own. */
static inline void uni_inline_fold(const unisono_comm *comm, const struct uni_call *call, uint64_t sequence) {
  enum { ROOM = 32 };
  char room[ROOM];
  bool is_small = call->block < ROOM;
  void *out = is_small ? room : call->recv;
  size_t count = is_small ? (size_t)ROOM >> __builtin_ctzl(call->element) : call->count;
  size_t from = call->kind == UNI_REDUCE_SCATTER ? call->block * (size_t)comm->rank : 0;
  if (call->kind == UNI_REDUCE && comm->rank != call->root)
    return;
  for (int r = 0; r < comm->size; r++)
    comm->run.inputs[r] = uni_inline_of(comm, call, sequence, r) + from;
  uint64_t environment = uni_fpenv_enter();
  call->fold(&out, 1, comm->run.inputs, (size_t)comm->size, count);
  uni_fpenv_leave(environment);
  if (is_small)
    memcpy(call->recv, room, call->block);
}

/* All needed lines are there: works out the result. */
static inline void uni_inline_deliver(const unisono_comm *comm, const struct uni_call *call,
                                      uint64_t sequence) {
  size_t mine = call->block * (size_t)comm->rank;
  if (call->block == 0)
    return;
  if (uni_kind_folds(call->kind)) {
    uni_inline_fold(comm, call, sequence);
  } else if (call->kind == UNI_BROADCAST) {
    if (comm->rank != call->root)
      memcpy(call->recv, uni_inline_of(comm, call, sequence, call->root), call->block);
  } else if (call->kind == UNI_SCATTER) {
    memcpy(call->recv, uni_inline_of(comm, call, sequence, call->root) + mine, call->block);
  } else if (call->kind != UNI_GATHER || comm->rank == call->root) {
    for (int r = 0; r < comm->size; r++)
      memcpy((char *)call->recv + call->block * (size_t)r,
             uni_inline_of(comm, call, sequence, r) + (call->kind == UNI_ALL_TO_ALL ? mine : 0), call->block);
  }
}

#endif
