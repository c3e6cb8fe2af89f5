/* Checks a collective's arguments: INVALID, with words that name the argument, the rank and the remedy. The
 * conditions are here, to become part of each function of the API with its kind of collective as a constant;
 * the words are in check.c. They take the call by value: its address given away, the compiler would have to
 * look up the kind again and again. */
#ifndef UNI_COLLECTIVES_CHECK_H
#define UNI_COLLECTIVES_CHECK_H

#include "collectives/call.h"
#include "comm.h"

/* The arrays of counts and displacements of v-collectives. */
unisono_status uni_check_arrays(const unisono_comm *comm, const char *function, struct uni_call call);

/* Is the overlap of the buffers one of those that mean "in place"? */
bool uni_call_is_in_place(const unisono_comm *comm, struct uni_call call);

UNI_COLD unisono_status uni_fault_dtype(const unisono_comm *comm, const char *function, unisono_dtype dtype);
UNI_COLD unisono_status uni_fault_op(const unisono_comm *comm, const char *function, struct uni_call call);
UNI_COLD unisono_status uni_fault_root(const unisono_comm *comm, const char *function, int root);
UNI_COLD unisono_status uni_fault_count(const unisono_comm *comm, const char *function);
UNI_COLD unisono_status uni_fault_null(const unisono_comm *comm, const char *function, struct uni_call call,
                                       const char *which, size_t bytes);
UNI_COLD unisono_status uni_fault_overlap(const unisono_comm *comm, const char *function);

static inline unisono_status uni_check_dtype(const unisono_comm *comm, const char *function,
                                             unisono_dtype dtype) {
  return uni_dtype_size(dtype) ? UNISONO_OK : uni_fault_dtype(comm, function, dtype);
}

/* Fills in call->element, call->block and call->fold as well. */
__attribute__((always_inline)) static inline unisono_status
uni_check_call(const unisono_comm *comm, const char *function, struct uni_call *call) {
  unisono_status status = uni_comm_check(comm, function);
  if (!status)
    status = uni_check_dtype(comm, function, call->dtype);
  if (status)
    return status;
  call->element = uni_dtype_size(call->dtype);
  call->fold = NULL;
  if (uni_kind_folds(call->kind)) {
    if ((unsigned)call->op >= UNI_OPS || !(call->fold = comm->kernels->fold[call->dtype][call->op]))
      return uni_fault_op(comm, function, *call);
  }
  if (uni_kind_has_root(call->kind) && (call->root < 0 || call->root >= comm->size))
    return uni_fault_root(comm, function, call->root);
  size_t all;
  if (__builtin_mul_overflow(call->count, call->element, &call->block) ||
      __builtin_mul_overflow(call->block, (size_t)comm->size, &all))
    return uni_fault_count(comm, function);
  if (uni_kind_is_v(call->kind) && (status = uni_check_arrays(comm, function, *call)))
    return status;
  size_t send = uni_call_send_bytes(call, comm->size, comm->rank);
  size_t recv = uni_call_recv_bytes(call, comm->size, comm->rank);
  if (send && !call->send)
    return uni_fault_null(comm, function, *call, "send", send);
  if (recv && !call->recv)
    return uni_fault_null(comm, function, *call, "recv", recv);
  uintptr_t s = (uintptr_t)call->send, r = (uintptr_t)call->recv;
  if (send && recv && s + send > r && r + recv > s && !uni_call_is_in_place(comm, *call))
    return uni_fault_overlap(comm, function);
  return UNISONO_OK;
}

#endif
