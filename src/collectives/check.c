#include "collectives/check.h"

#include <string.h>

#include "error.h"

unisono_status uni_fault_dtype(const unisono_comm *comm, const char *function, unisono_dtype dtype) {
  return uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: dtype %d is no unisono_dtype", function, comm->rank,
                  (int)dtype);
}

unisono_status uni_fault_op(const unisono_comm *comm, const char *function, struct uni_call call) {
  if ((unsigned)call.op >= UNI_OPS)
    return uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: op %d is no unisono_op", function, comm->rank,
                    (int)call.op);
  return uni_fail(UNISONO_ERROR_INVALID,
                  "%s, rank %d: op %s is not defined for %s (avg: floats only; bitwise: integers only)",
                  function, comm->rank, uni_op_name(call.op), uni_dtype_name(call.dtype));
}

unisono_status uni_fault_root(const unisono_comm *comm, const char *function, int root) {
  return uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: root %d is not a rank; ranks are 0 to %d", function,
                  comm->rank, root, comm->size - 1);
}

unisono_status uni_fault_count(const unisono_comm *comm, const char *function) {
  return uni_fail(UNISONO_ERROR_INVALID,
                  "%s, rank %d: count is too large: the buffers would exceed SIZE_MAX bytes", function,
                  comm->rank);
}

unisono_status uni_fault_null(const unisono_comm *comm, const char *function, struct uni_call call,
                              const char *which, size_t bytes) {
  return uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: %s is NULL; give %zu bytes", function, comm->rank,
                  call.kind == UNI_BROADCAST ? "buffer" : which, bytes);
}

unisono_status uni_fault_overlap(const unisono_comm *comm, const char *function) {
  return uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: send and recv overlap, but not as in-place buffers do",
                  function, comm->rank);
}

/* ---- v-collectives */

static unisono_status check_v(const unisono_comm *comm, const char *function, const size_t *counts,
                              const size_t *displs, const char *which, size_t element) {
  if (!counts || !displs)
    return uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: %s_%s is NULL; give one entry for each rank",
                    function, comm->rank, which, counts ? "displs" : "counts");
  for (int r = 0; r < comm->size; r++)
    if (counts[r] && (displs[r] > SIZE_MAX - counts[r] || displs[r] + counts[r] > SIZE_MAX / element))
      return uni_fail(UNISONO_ERROR_INVALID,
                      "%s, rank %d: %s_counts[%d] and %s_displs[%d] are too large: the buffer would exceed "
                      "SIZE_MAX bytes",
                      function, comm->rank, which, r, which, r);
  return UNISONO_OK;
}

unisono_status uni_check_arrays(const unisono_comm *comm, const char *function, struct uni_call call) {
  unisono_status status = UNISONO_OK;
  if (call.kind == UNI_ALL_TO_ALLV)
    status = check_v(comm, function, call.send_counts, call.send_displs, "send", call.element);
  return status ? status : check_v(comm, function, call.recv_counts, call.recv_displs, "recv", call.element);
}

static bool same_arrays(const unisono_comm *comm, const struct uni_call *call) {
  size_t n = (size_t)comm->size * sizeof(size_t);
  return memcmp(call->send_counts, call->recv_counts, n) == 0 &&
         memcmp(call->send_displs, call->recv_displs, n) == 0;
}

bool uni_call_is_in_place(const unisono_comm *comm, struct uni_call call) {
  const char *send = call.send, *recv = call.recv;
  size_t mine = call.block * (size_t)comm->rank;
  switch (call.kind) {
  case UNI_ALL_GATHER:
  case UNI_GATHER:
    return send == recv + mine;
  case UNI_REDUCE_SCATTER:
  case UNI_SCATTER:
    return recv == send + mine;
  case UNI_ALL_GATHERV:
    return send == recv + call.recv_displs[comm->rank] * call.element;
  case UNI_ALL_TO_ALLV:
    return send == recv && same_arrays(comm, &call);
  default:
    return send == recv;
  }
}
