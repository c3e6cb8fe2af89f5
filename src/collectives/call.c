#include "collectives/call.h"

static const char *const kind_names[UNI_KINDS] = {"barrier",    "all_reduce",  "reduce",     "reduce_scatter",
                                                  "broadcast",  "all_gather",  "gather",     "scatter",
                                                  "all_to_all", "all_to_allv", "all_gatherv"};

const char *uni_kind_name(enum uni_kind kind) {
  return (unsigned)kind < UNI_KINDS ? kind_names[kind] : "?";
}

/* The bytes from the first to the last element of blocks that lie anywhere. */
static size_t extent(const size_t *counts, const size_t *displs, int n, size_t element) {
  size_t end = 0;
  for (int i = 0; i < n; i++)
    if (counts[i] && displs[i] + counts[i] > end)
      end = displs[i] + counts[i];
  return end * element;
}

size_t uni_call_send_bytes(const struct uni_call *call, int size, int rank) {
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
    return extent(call->send_counts, call->send_displs, size, call->element);
  default:
    return call->block;
  }
}

size_t uni_call_recv_bytes(const struct uni_call *call, int size, int rank) {
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
    return extent(call->recv_counts, call->recv_displs, size, call->element);
  default:
    return call->block;
  }
}
