/* Starting operations and waiting for them: what the callers see of the queue. */
#include "request.h"

#include <stdlib.h>
#include <string.h>

#include "collectives/drive.h"
#include "comm.h"
#include "error.h"
#include "helper.h"
#include "machines/line.h"
#include "queue.h"

/* ---- starting */

static unisono_status start_across(unisono_comm *comm, unisono_request *request) {
  if (request->is_transfer)
    return uni_line_transfer(comm->span, &request->transfer, NULL, request);
  return uni_line_submit(comm->span, &request->call, request);
}

static unisono_status start(unisono_comm *comm, unisono_request *request, unisono_request **out) {
  request->comm = comm;
  unisono_status status = comm->span ? start_across(comm, request) : uni_helper_help(comm);
  if (status) {
    free(request->counts);
    free(request);
    return status;
  }
  *out = request;
  if (comm->span)
    return UNISONO_OK;
  if (request->is_transfer)
    uni_p2p_start(comm, &request->transfer);
  uni_queue_append(comm->queue, request);
  uni_queue_move(comm);
  if (!atomic_load_explicit(&request->done, memory_order_acquire)) /* as finish() says */
    uni_helper_wake();
  return UNISONO_OK;
}

/* The caller's arrays need not outlive the start. */
static bool copy_counts(struct uni_call *call, size_t n, size_t **copies) {
  const size_t **arrays[4] = {&call->send_counts, &call->send_displs, &call->recv_counts, &call->recv_displs};
  *copies = malloc(4 * n * sizeof **copies);
  if (!*copies)
    return false;
  for (size_t i = 0; i < 4; i++)
    if (*arrays[i]) {
      memcpy(*copies + i * n, *arrays[i], n * sizeof **copies);
      *arrays[i] = *copies + i * n;
    }
  return true;
}

unisono_status uni_submit(unisono_comm *comm, const struct uni_call *call, unisono_request **request) {
  struct uni_queue *q = comm->queue;
  /* acquire: the helper is through with the run */
  if (!request && atomic_load_explicit(&q->collectives, memory_order_acquire) == 0)
    return uni_drive(comm, call);
  if (!request && comm->span)
    return uni_line_submit(comm->span, call, NULL);
  if (!request) { /* behind those that were started before */
    unisono_request here = {.comm = comm, .call = *call};
    uni_queue_append(q, &here);
    uni_queue_attend(comm, &here);
    return here.status ? uni_fail(here.status, "%s", here.text) : UNISONO_OK;
  }
  unisono_request *r = calloc(1, sizeof *r);
  if (!r)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a request");
  r->call = *call;
  if (uni_kind_is_v(call->kind) && !copy_counts(&r->call, (size_t)comm->size, &r->counts)) {
    free(r);
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a request's counts");
  }
  return start(comm, r, request);
}

static bool all_have_left(unisono_comm *comm) {
  for (int r = 0; r < comm->size; r++)
    if (r != comm->rank && !uni_comm_has_left(comm, r))
      return false;
  return true;
}

/* A receive from any rank does not need those that have left in order, as long as there are others. */
static uint64_t misses(void *what, int rank) {
  const struct uni_transfer *t = what;
  if (!uni_p2p_misses(t, rank))
    return 0;
  bool may_come = t->is_send || t->peer != UNI_ANY || !uni_comm_has_left(t->comm, rank);
  return may_come || all_have_left(t->comm);
}

/* A blocking transfer moves itself on; what else is under way is the helper's. */
static unisono_status drive_transfer(unisono_comm *comm, struct uni_transfer *t) {
  struct uni_wait wait = uni_wait_begin(comm, misses, t);
  uni_p2p_start(comm, t);
  while (!atomic_load_explicit(&t->done, memory_order_acquire)) { /* its data, status and message are there */
    unisono_status status = uni_wait_pause(&wait);
    if (uni_p2p_progress(comm))
      uni_wait_restart(&wait);
    if (!status || atomic_load_explicit(&t->done, memory_order_acquire))
      continue;
    status = uni_wait_failed(&wait, status, t->is_send ? "send" : "recv");
    uni_p2p_fail_all(comm, status);
  }
  uni_wait_end(&wait);
  return t->status && uni_comm_is_broken(comm) ? uni_comm_failure(comm) : t->status;
}

unisono_status uni_submit_transfer(unisono_comm *comm, const struct uni_transfer *transfer,
                                   unisono_message *message, unisono_request **request) {
  if (uni_comm_is_broken(comm))
    return uni_comm_failure(comm);
  if (!request && comm->span)
    return uni_line_transfer(comm->span, transfer, message, NULL);
  if (!request) {
    struct uni_transfer here = *transfer;
    here.comm = comm;
    unisono_status status = drive_transfer(comm, &here);
    if (!status && message)
      *message = here.got;
    return status;
  }
  unisono_request *r = calloc(1, sizeof *r);
  if (!r)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a request");
  r->is_transfer = true;
  r->transfer = *transfer;
  r->transfer.comm = comm;
  r->message = message;
  r->wait = uni_wait_begin(comm, misses, &r->transfer);
  return start(comm, r, request);
}

/* ---- public */

static unisono_status check_request(const unisono_request *request, const char *function) {
  if (!request)
    return uni_fail(UNISONO_ERROR_INVALID, "%s: request is NULL", function);
  return UNISONO_OK;
}

static void move_on(unisono_comm *comm) {
  if (comm->span)
    uni_line_move_transfers(comm->span);
  else
    uni_queue_move(comm);
}

static void attend(unisono_comm *comm, unisono_request *request) {
  if (comm->span)
    uni_line_attend(comm->span, request);
  else
    uni_queue_attend(comm, request);
}

static unisono_status outcome(const unisono_request *request) {
  return request->status ? uni_fail(request->status, "%s", request->text) : UNISONO_OK;
}

unisono_status unisono_test(unisono_request *request, int *done) {
  unisono_status status = check_request(request, "unisono_test");
  if (!status && !done)
    status = uni_fail(UNISONO_ERROR_INVALID, "unisono_test: done is NULL");
  if (status)
    return status;
  bool is_done = atomic_load_explicit(&request->done, memory_order_acquire); /* as finish() says */
  if (!is_done) {
    move_on(request->comm);
    is_done = atomic_load_explicit(&request->done, memory_order_acquire);
  }
  *done = is_done;
  return is_done ? outcome(request) : UNISONO_OK;
}

unisono_status unisono_request_message(unisono_request *request, unisono_message *message) {
  unisono_status status = check_request(request, "unisono_request_message");
  if (status)
    return status;
  if (!message)
    return uni_fail(UNISONO_ERROR_INVALID, "unisono_request_message: message is NULL");
  if (!request->is_transfer || request->transfer.is_send)
    return uni_fail(UNISONO_ERROR_INVALID, "unisono_request_message: request is not a receive");
  if (!atomic_load_explicit(&request->done, memory_order_acquire)) /* as finish() says */
    return uni_fail(UNISONO_ERROR_INVALID,
                    "unisono_request_message: the receive is not done yet; unisono_test it first");
  *message = request->transfer.got;
  return outcome(request);
}

unisono_status unisono_wait(unisono_request **request) {
  if (!request)
    return uni_fail(UNISONO_ERROR_INVALID, "unisono_wait: request is NULL");
  unisono_request *r = *request;
  if (!r)
    return UNISONO_OK;
  if (!atomic_load_explicit(&r->done, memory_order_acquire)) /* as finish() says */
    attend(r->comm, r);
  unisono_status status = outcome(r);
  free(r->counts);
  free(r);
  *request = NULL;
  return status;
}
