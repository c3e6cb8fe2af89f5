#include "algorithms/inline.h"

#include <string.h>

#include "comm.h"
#include "kernels/fpenv.h"
#include "kernels/reduce.h"

void uni_inline_put(const unisono_comm *comm, struct uni_slot *slot) {
  const struct uni_call *call = &comm->run.call;
  size_t bytes = uni_call_send_bytes(call, comm->size, comm->rank);
  if (bytes)
    memcpy(bytes <= UNI_HEADER_PAYLOAD ? slot->arrival.payload : slot->payload, call->send, bytes);
}

static const unsigned char *payload_of(const unisono_comm *comm, int rank) {
  const struct uni_call *call = &comm->run.call;
  const struct uni_slot *slot = &comm->places[rank].slots[comm->run.sequence % UNI_SLOTS];
  size_t blocks = uni_kind_scatters(call->kind) ? (size_t)comm->size : 1;
  return call->block * blocks <= UNI_HEADER_PAYLOAD ? slot->arrival.payload : slot->payload;
}

bool uni_inline_is_one_sided(const unisono_comm *comm) {
  const struct uni_call *call = &comm->run.call;
  return (call->kind == UNI_BROADCAST || call->kind == UNI_SCATTER) && comm->rank == call->root;
}

static void fold(const unisono_comm *comm) {
  const struct uni_call *call = &comm->run.call;
  size_t from = call->kind == UNI_REDUCE_SCATTER ? call->block * (size_t)comm->rank : 0;
  if (call->kind == UNI_REDUCE && comm->rank != call->root)
    return;
  for (int r = 0; r < comm->size; r++)
    comm->run.inputs[r] = payload_of(comm, r) + from;
  uint64_t environment = uni_fpenv_enter();
  uni_kernels()->fold[call->dtype][call->op](&call->recv, 1, comm->run.inputs, (size_t)comm->size,
                                             call->count);
  uni_fpenv_leave(environment);
}

static void take(const unisono_comm *comm, int sender, size_t from, size_t to) {
  const struct uni_call *call = &comm->run.call;
  memcpy((char *)call->recv + to, payload_of(comm, sender) + from, call->block);
}

void uni_inline_deliver(const unisono_comm *comm) {
  const struct uni_call *call = &comm->run.call;
  size_t block = call->block, mine = block * (size_t)comm->rank;
  if (block == 0)
    return;
  if (uni_kind_folds(call->kind)) {
    fold(comm);
  } else if (call->kind == UNI_BROADCAST) {
    if (comm->rank != call->root)
      take(comm, call->root, 0, 0);
  } else if (call->kind == UNI_SCATTER) {
    take(comm, call->root, mine, 0);
  } else if (call->kind != UNI_GATHER || comm->rank == call->root) {
    for (int r = 0; r < comm->size; r++)
      take(comm, r, call->kind == UNI_ALL_TO_ALL ? mine : 0, block * (size_t)r);
  }
}
