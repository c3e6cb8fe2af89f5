/* The public collectives: each names its call; checking, choosing and running are the same for all. */
#include "collectives/check.h"
#include "collectives/match.h"
#include "collectives/quick.h"
#include "comm.h"
#include "error.h"
#include "request.h"

static unisono_status check_request_place(const unisono_comm *comm, const char *function,
                                          unisono_request **request) {
  if (request)
    *request = NULL;
  unisono_status status = uni_comm_check(comm, function);
  if (!status && !request)
    status = uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: request is NULL; give a place for it", function,
                      comm->rank);
  return status;
}

static unisono_status run_by_machine(unisono_comm *comm, struct uni_call call) {
  return uni_submit(comm, &call, NULL);
}

/* Becomes part of each function below, where the kind is a constant. */
__attribute__((always_inline)) static inline unisono_status run(unisono_comm *comm, const char *function,
                                                                struct uni_call call) {
  unisono_status status = uni_check_call(comm, function, &call);
  if (status)
    return status;
  return uni_is_quick(comm, &call) ? uni_quick(comm, &call) : run_by_machine(comm, call);
}

static unisono_status start(unisono_comm *comm, const char *function, struct uni_call call,
                            unisono_request **request) {
  unisono_status status = check_request_place(comm, function, request);
  if (!status)
    status = uni_check_call(comm, function, &call);
  return status ? status : uni_submit(comm, &call, request);
}

unisono_status unisono_barrier(unisono_comm *comm) {
  return run(comm, "unisono_barrier", (struct uni_call){.kind = UNI_BARRIER});
}

unisono_status unisono_barrier_async(unisono_comm *comm, unisono_request **request) {
  return start(comm, "unisono_barrier_async", (struct uni_call){.kind = UNI_BARRIER}, request);
}

unisono_status unisono_all_reduce(const void *send, void *recv, size_t count, unisono_dtype dtype,
                                  unisono_op op, unisono_comm *comm) {
  return run(
      comm, "unisono_all_reduce",
      (struct uni_call){
          .kind = UNI_ALL_REDUCE, .send = send, .recv = recv, .count = count, .dtype = dtype, .op = op});
}

unisono_status unisono_all_reduce_async(const void *send, void *recv, size_t count, unisono_dtype dtype,
                                        unisono_op op, unisono_comm *comm, unisono_request **request) {
  return start(
      comm, "unisono_all_reduce_async",
      (struct uni_call){
          .kind = UNI_ALL_REDUCE, .send = send, .recv = recv, .count = count, .dtype = dtype, .op = op},
      request);
}

unisono_status unisono_reduce(const void *send, void *recv, size_t count, unisono_dtype dtype, unisono_op op,
                              int root, unisono_comm *comm) {
  return run(comm, "unisono_reduce",
             (struct uni_call){.kind = UNI_REDUCE,
                               .send = send,
                               .recv = recv,
                               .count = count,
                               .dtype = dtype,
                               .op = op,
                               .root = root});
}

unisono_status unisono_reduce_async(const void *send, void *recv, size_t count, unisono_dtype dtype,
                                    unisono_op op, int root, unisono_comm *comm, unisono_request **request) {
  return start(comm, "unisono_reduce_async",
               (struct uni_call){.kind = UNI_REDUCE,
                                 .send = send,
                                 .recv = recv,
                                 .count = count,
                                 .dtype = dtype,
                                 .op = op,
                                 .root = root},
               request);
}

unisono_status unisono_reduce_scatter(const void *send, void *recv, size_t recv_count, unisono_dtype dtype,
                                      unisono_op op, unisono_comm *comm) {
  return run(comm, "unisono_reduce_scatter",
             (struct uni_call){.kind = UNI_REDUCE_SCATTER,
                               .send = send,
                               .recv = recv,
                               .count = recv_count,
                               .dtype = dtype,
                               .op = op});
}

unisono_status unisono_reduce_scatter_async(const void *send, void *recv, size_t recv_count,
                                            unisono_dtype dtype, unisono_op op, unisono_comm *comm,
                                            unisono_request **request) {
  return start(comm, "unisono_reduce_scatter_async",
               (struct uni_call){.kind = UNI_REDUCE_SCATTER,
                                 .send = send,
                                 .recv = recv,
                                 .count = recv_count,
                                 .dtype = dtype,
                                 .op = op},
               request);
}

unisono_status unisono_broadcast(void *buffer, size_t count, unisono_dtype dtype, int root,
                                 unisono_comm *comm) {
  return run(comm, "unisono_broadcast",
             (struct uni_call){.kind = UNI_BROADCAST,
                               .send = buffer,
                               .recv = buffer,
                               .count = count,
                               .dtype = dtype,
                               .root = root});
}

unisono_status unisono_broadcast_async(void *buffer, size_t count, unisono_dtype dtype, int root,
                                       unisono_comm *comm, unisono_request **request) {
  return start(comm, "unisono_broadcast_async",
               (struct uni_call){.kind = UNI_BROADCAST,
                                 .send = buffer,
                                 .recv = buffer,
                                 .count = count,
                                 .dtype = dtype,
                                 .root = root},
               request);
}

unisono_status unisono_all_gather(const void *send, void *recv, size_t send_count, unisono_dtype dtype,
                                  unisono_comm *comm) {
  return run(comm, "unisono_all_gather",
             (struct uni_call){
                 .kind = UNI_ALL_GATHER, .send = send, .recv = recv, .count = send_count, .dtype = dtype});
}

unisono_status unisono_all_gather_async(const void *send, void *recv, size_t send_count, unisono_dtype dtype,
                                        unisono_comm *comm, unisono_request **request) {
  return start(comm, "unisono_all_gather_async",
               (struct uni_call){
                   .kind = UNI_ALL_GATHER, .send = send, .recv = recv, .count = send_count, .dtype = dtype},
               request);
}

unisono_status unisono_gather(const void *send, void *recv, size_t send_count, unisono_dtype dtype, int root,
                              unisono_comm *comm) {
  return run(
      comm, "unisono_gather",
      (struct uni_call){
          .kind = UNI_GATHER, .send = send, .recv = recv, .count = send_count, .dtype = dtype, .root = root});
}

unisono_status unisono_gather_async(const void *send, void *recv, size_t send_count, unisono_dtype dtype,
                                    int root, unisono_comm *comm, unisono_request **request) {
  return start(
      comm, "unisono_gather_async",
      (struct uni_call){
          .kind = UNI_GATHER, .send = send, .recv = recv, .count = send_count, .dtype = dtype, .root = root},
      request);
}

unisono_status unisono_scatter(const void *send, void *recv, size_t recv_count, unisono_dtype dtype, int root,
                               unisono_comm *comm) {
  return run(comm, "unisono_scatter",
             (struct uni_call){.kind = UNI_SCATTER,
                               .send = send,
                               .recv = recv,
                               .count = recv_count,
                               .dtype = dtype,
                               .root = root});
}

unisono_status unisono_scatter_async(const void *send, void *recv, size_t recv_count, unisono_dtype dtype,
                                     int root, unisono_comm *comm, unisono_request **request) {
  return start(
      comm, "unisono_scatter_async",
      (struct uni_call){
          .kind = UNI_SCATTER, .send = send, .recv = recv, .count = recv_count, .dtype = dtype, .root = root},
      request);
}

unisono_status unisono_all_to_all(const void *send, void *recv, size_t count, unisono_dtype dtype,
                                  unisono_comm *comm) {
  return run(
      comm, "unisono_all_to_all",
      (struct uni_call){.kind = UNI_ALL_TO_ALL, .send = send, .recv = recv, .count = count, .dtype = dtype});
}

unisono_status unisono_all_to_all_async(const void *send, void *recv, size_t count, unisono_dtype dtype,
                                        unisono_comm *comm, unisono_request **request) {
  return start(
      comm, "unisono_all_to_all_async",
      (struct uni_call){.kind = UNI_ALL_TO_ALL, .send = send, .recv = recv, .count = count, .dtype = dtype},
      request);
}

unisono_status unisono_all_to_allv(const void *send, const size_t *send_counts, const size_t *send_displs,
                                   void *recv, const size_t *recv_counts, const size_t *recv_displs,
                                   unisono_dtype dtype, unisono_comm *comm) {
  return run(comm, "unisono_all_to_allv",
             (struct uni_call){.kind = UNI_ALL_TO_ALLV,
                               .send = send,
                               .send_counts = send_counts,
                               .send_displs = send_displs,
                               .recv = recv,
                               .recv_counts = recv_counts,
                               .recv_displs = recv_displs,
                               .dtype = dtype});
}

unisono_status unisono_all_to_allv_async(const void *send, const size_t *send_counts,
                                         const size_t *send_displs, void *recv, const size_t *recv_counts,
                                         const size_t *recv_displs, unisono_dtype dtype, unisono_comm *comm,
                                         unisono_request **request) {
  return start(comm, "unisono_all_to_allv_async",
               (struct uni_call){.kind = UNI_ALL_TO_ALLV,
                                 .send = send,
                                 .send_counts = send_counts,
                                 .send_displs = send_displs,
                                 .recv = recv,
                                 .recv_counts = recv_counts,
                                 .recv_displs = recv_displs,
                                 .dtype = dtype},
               request);
}

unisono_status unisono_all_gatherv(const void *send, size_t send_count, void *recv, const size_t *recv_counts,
                                   const size_t *recv_displs, unisono_dtype dtype, unisono_comm *comm) {
  return run(comm, "unisono_all_gatherv",
             (struct uni_call){.kind = UNI_ALL_GATHERV,
                               .send = send,
                               .count = send_count,
                               .recv = recv,
                               .recv_counts = recv_counts,
                               .recv_displs = recv_displs,
                               .dtype = dtype});
}

unisono_status unisono_all_gatherv_async(const void *send, size_t send_count, void *recv,
                                         const size_t *recv_counts, const size_t *recv_displs,
                                         unisono_dtype dtype, unisono_comm *comm, unisono_request **request) {
  return start(comm, "unisono_all_gatherv_async",
               (struct uni_call){.kind = UNI_ALL_GATHERV,
                                 .send = send,
                                 .count = send_count,
                                 .recv = recv,
                                 .recv_counts = recv_counts,
                                 .recv_displs = recv_displs,
                                 .dtype = dtype},
               request);
}

/* ---- with a match id */

static unisono_status check_cached(unisono_comm *comm, const char *function, const char *match_id,
                                   struct uni_call *call) {
  unisono_status status = uni_check_call(comm, function, call);
  if (!status && !match_id)
    status =
        uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: match_id is NULL; give the same words on all ranks",
                 function, comm->rank);
  return status ? status : uni_match_enter(comm, match_id, call);
}

unisono_status unisono_all_reduce_cached(const void *send, void *recv, size_t count, unisono_dtype dtype,
                                         unisono_op op, const char *match_id, unisono_comm *comm) {
  struct uni_call call = {
      .kind = UNI_ALL_REDUCE, .send = send, .recv = recv, .count = count, .dtype = dtype, .op = op};
  unisono_status status = check_cached(comm, "unisono_all_reduce_cached", match_id, &call);
  return status ? status : uni_submit(comm, &call, NULL);
}

unisono_status unisono_all_reduce_cached_async(const void *send, void *recv, size_t count,
                                               unisono_dtype dtype, unisono_op op, const char *match_id,
                                               unisono_comm *comm, unisono_request **request) {
  struct uni_call call = {
      .kind = UNI_ALL_REDUCE, .send = send, .recv = recv, .count = count, .dtype = dtype, .op = op};
  unisono_status status = check_request_place(comm, "unisono_all_reduce_cached_async", request);
  if (!status)
    status = check_cached(comm, "unisono_all_reduce_cached_async", match_id, &call);
  return status ? status : uni_submit(comm, &call, request);
}
