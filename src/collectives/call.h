/* A collective as its caller asked for it, arguments checked. */
#ifndef UNI_COLLECTIVES_CALL_H
#define UNI_COLLECTIVES_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/reduce.h"
#include "unisono.h"

enum uni_kind {
  UNI_BARRIER,
  UNI_ALL_REDUCE,
  UNI_REDUCE,
  UNI_REDUCE_SCATTER,
  UNI_BROADCAST,
  UNI_ALL_GATHER,
  UNI_GATHER,
  UNI_SCATTER,
  UNI_ALL_TO_ALL,
  UNI_ALL_TO_ALLV,
  UNI_ALL_GATHERV,
  UNI_KINDS
};

struct uni_call {
  enum uni_kind kind;
  unisono_dtype dtype;
  unisono_op op;
  int root; /* 0 where there is none */
  const void *send;
  void *recv;
  size_t count; /* elements of one block: what a rank gives, or what it gets of each */
  size_t block; /* the same in bytes */
  size_t element;
  uni_fold_fn fold; /* the kernel; NULL for collectives that only copy */
  uint64_t match;   /* hash of the match id; 0: none */
  /* v-collectives, else NULL; for all_gatherv the send arrays are NULL too */
  const size_t *send_counts, *send_displs, *recv_counts, *recv_displs;
};

const char *uni_kind_name(enum uni_kind kind);

/* Does the kind fold (or else only copy)? */
static inline bool uni_kind_folds(enum uni_kind kind) {
  return kind == UNI_ALL_REDUCE || kind == UNI_REDUCE || kind == UNI_REDUCE_SCATTER;
}

/* Does each rank fold a slice for others, who take the whole? */
static inline bool uni_kind_shares_result(enum uni_kind kind) {
  return kind == UNI_ALL_REDUCE || kind == UNI_REDUCE;
}

/* Has the send buffer one block for each rank? */
static inline bool uni_kind_scatters(enum uni_kind kind) {
  return kind == UNI_REDUCE_SCATTER || kind == UNI_SCATTER || kind == UNI_ALL_TO_ALL ||
         kind == UNI_ALL_TO_ALLV;
}

static inline bool uni_kind_has_root(enum uni_kind kind) {
  return kind == UNI_REDUCE || kind == UNI_BROADCAST || kind == UNI_GATHER || kind == UNI_SCATTER;
}

/* Does the root have what the others want (or else they what the root wants)? */
static inline bool uni_kind_leaves_root(enum uni_kind kind) {
  return kind == UNI_BROADCAST || kind == UNI_SCATTER;
}

static inline bool uni_kind_is_v(enum uni_kind kind) {
  return kind == UNI_ALL_TO_ALLV || kind == UNI_ALL_GATHERV;
}

/* May peers write the receive buffers? With results that they fold for each other; and where all goes to or
 * from a root, whichever side has less to copy helps the other. */
static inline bool uni_kind_is_pushed(enum uni_kind kind) {
  return uni_kind_shares_result(kind) || uni_kind_has_root(kind);
}

/* The bytes from the first to the last element of blocks that lie anywhere. */
size_t uni_call_extent(const size_t *counts, const size_t *displs, int n, size_t element);

/* The bytes of a rank's send and receive buffer; 0 where its role uses none. For v-collectives: this rank's.
 * Here, as all that a small call goes through, so that the compiler can leave out what the kind rules out. */
static inline size_t uni_call_send_bytes(const struct uni_call *call, int size, int rank) {
  switch (call->kind) {
  case UNI_BARRIER:
    return 0;
  case UNI_BROADCAST:
    return rank == call->root ? call->block : 0;
  case UNI_SCATTER:
    return rank == call->root ? call->block * (size_t)size : 0;
  case UNI_REDUCE_SCATTER:
  case UNI_ALL_TO_ALL:
    return call->block * (size_t)size;
  case UNI_ALL_TO_ALLV:
    return uni_call_extent(call->send_counts, call->send_displs, size, call->element);
  default:
    return call->block;
  }
}

static inline size_t uni_call_recv_bytes(const struct uni_call *call, int size, int rank) {
  switch (call->kind) {
  case UNI_BARRIER:
    return 0;
  case UNI_BROADCAST:
    return rank == call->root ? 0 : call->block;
  case UNI_REDUCE:
    return rank == call->root ? call->block : 0;
  case UNI_GATHER:
    return rank == call->root ? call->block * (size_t)size : 0;
  case UNI_ALL_GATHER:
  case UNI_ALL_TO_ALL:
    return call->block * (size_t)size;
  case UNI_ALL_TO_ALLV:
  case UNI_ALL_GATHERV:
    return uni_call_extent(call->recv_counts, call->recv_displs, size, call->element);
  default:
    return call->block;
  }
}

#endif
