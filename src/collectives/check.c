#include "collectives/check.h"

#include <string.h>

#include "comm.h"
#include "error.h"
#include "kernels/reduce.h"

unisono_status uni_check_dtype(const unisono_comm *comm, const char *function, unisono_dtype dtype) {
  if (uni_dtype_size(dtype) == 0)
    return uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: dtype %d is no unisono_dtype", function, comm->rank,
                    (int)dtype);
  return UNISONO_OK;
}

static unisono_status check_op(const unisono_comm *comm, const char *function, const struct uni_call *call) {
  if ((unsigned)call->op >= UNI_OPS)
    return uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: op %d is no unisono_op", function, comm->rank,
                    (int)call->op);
  if (!uni_kernels()->fold[call->dtype][call->op])
    return uni_fail(UNISONO_ERROR_INVALID,
                    "%s, rank %d: op %s is not defined for %s (avg: floats only; bitwise: "
                    "integers only)",
                    function, comm->rank, uni_op_name(call->op), uni_dtype_name(call->dtype));
  return UNISONO_OK;
}

static unisono_status check_root(const unisono_comm *comm, const char *function, int root) {
  if (root < 0 || root >= comm->size)
    return uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: root %d is not a rank; ranks are 0 to %d", function,
                    comm->rank, root, comm->size - 1);
  return UNISONO_OK;
}

static unisono_status too_large(const unisono_comm *comm, const char *function) {
  return uni_fail(UNISONO_ERROR_INVALID,
                  "%s, rank %d: count is too large: the buffers would exceed SIZE_MAX bytes", function,
                  comm->rank);
}

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

static unisono_status check_sizes(const unisono_comm *comm, const char *function, struct uni_call *call) {
  if (call->count > SIZE_MAX / call->element / (size_t)comm->size)
    return too_large(comm, function);
  call->block = call->count * call->element;
  unisono_status status = UNISONO_OK;
  if (call->kind == UNI_ALL_TO_ALLV)
    status = check_v(comm, function, call->send_counts, call->send_displs, "send", call->element);
  if (!status && uni_kind_is_v(call->kind))
    status = check_v(comm, function, call->recv_counts, call->recv_displs, "recv", call->element);
  return status;
}

static unisono_status check_pointers(const unisono_comm *comm, const char *function,
                                     const struct uni_call *call, size_t send, size_t recv) {
  if (send && !call->send)
    return uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: %s is NULL; give %zu bytes", function, comm->rank,
                    call->kind == UNI_BROADCAST ? "buffer" : "send", send);
  if (recv && !call->recv)
    return uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: %s is NULL; give %zu bytes", function, comm->rank,
                    call->kind == UNI_BROADCAST ? "buffer" : "recv", recv);
  return UNISONO_OK;
}

static bool same_arrays(const unisono_comm *comm, const struct uni_call *call) {
  size_t n = (size_t)comm->size * sizeof(size_t);
  return memcmp(call->send_counts, call->recv_counts, n) == 0 &&
         memcmp(call->send_displs, call->recv_displs, n) == 0;
}

/* Is the overlap one of those that mean "in place"? */
static bool is_in_place(const unisono_comm *comm, const struct uni_call *call) {
  const char *send = call->send, *recv = call->recv;
  size_t mine = call->block * (size_t)comm->rank;
  switch (call->kind) {
  case UNI_ALL_GATHER:
  case UNI_GATHER:
    return send == recv + mine;
  case UNI_REDUCE_SCATTER:
  case UNI_SCATTER:
    return recv == send + mine;
  case UNI_ALL_GATHERV:
    return send == recv + call->recv_displs[comm->rank] * call->element;
  case UNI_ALL_TO_ALLV:
    return send == recv && same_arrays(comm, call);
  default:
    return send == recv;
  }
}

static unisono_status check_overlap(const unisono_comm *comm, const char *function,
                                    const struct uni_call *call, size_t send, size_t recv) {
  uintptr_t s = (uintptr_t)call->send, r = (uintptr_t)call->recv;
  if (send == 0 || recv == 0 || s + send <= r || r + recv <= s || is_in_place(comm, call))
    return UNISONO_OK;
  return uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: send and recv overlap, but not as in-place buffers do",
                  function, comm->rank);
}

unisono_status uni_check_call(const unisono_comm *comm, const char *function, struct uni_call *call) {
  unisono_status status = uni_comm_check(comm, function);
  if (!status)
    status = uni_check_dtype(comm, function, call->dtype);
  if (status)
    return status;
  call->element = uni_dtype_size(call->dtype);
  if (uni_kind_folds(call->kind))
    status = check_op(comm, function, call);
  if (!status && uni_kind_has_root(call->kind))
    status = check_root(comm, function, call->root);
  if (!status)
    status = check_sizes(comm, function, call);
  if (status)
    return status;
  size_t send = uni_call_send_bytes(call, comm->size, comm->rank);
  size_t recv = uni_call_recv_bytes(call, comm->size, comm->rank);
  status = check_pointers(comm, function, call, send, recv);
  return status ? status : check_overlap(comm, function, call, send, recv);
}
