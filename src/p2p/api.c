/* The public sends and receives. */
#include "collectives/check.h"
#include "comm.h"
#include "error.h"
#include "kernels/reduce.h"
#include "request.h"

static unisono_status check_transfer(const unisono_comm *comm, const char *function, struct uni_transfer *t) {
  unisono_status status = uni_comm_check(comm, function);
  if (!status)
    status = uni_check_dtype(comm, function, t->dtype);
  if (status)
    return status;
  t->element = uni_dtype_size(t->dtype);
  int least = t->is_send ? 0 : UNI_ANY;
  if (t->peer < least || t->peer >= comm->size)
    return uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: peer %d is not a rank; ranks are 0 to %d%s",
                    function, comm->rank, t->peer, comm->size - 1, t->is_send ? "" : ", -1 is any");
  if (t->tag < least)
    return uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: tag %d is negative; tags are 0 and more%s", function,
                    comm->rank, t->tag, t->is_send ? "" : ", -1 is any");
  if (t->count > SIZE_MAX / t->element)
    return uni_fail(UNISONO_ERROR_INVALID,
                    "%s, rank %d: count is too large: the buffer would exceed SIZE_MAX bytes", function,
                    comm->rank);
  if (t->count && !t->buffer)
    return uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: buffer is NULL; give %zu bytes", function,
                    comm->rank, t->count * t->element);
  return UNISONO_OK;
}

static unisono_status run(unisono_comm *comm, const char *function, struct uni_transfer t,
                          unisono_message *message) {
  unisono_status status = check_transfer(comm, function, &t);
  return status ? status : uni_submit_transfer(comm, &t, message, NULL);
}

static unisono_status start(unisono_comm *comm, const char *function, struct uni_transfer t,
                            unisono_message *message, unisono_request **request) {
  if (request)
    *request = NULL;
  unisono_status status = check_transfer(comm, function, &t);
  if (!status && !request)
    status = uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: request is NULL; give a place for it", function,
                      comm->rank);
  return status ? status : uni_submit_transfer(comm, &t, message, request);
}

static struct uni_transfer sending(const void *buffer, size_t count, unisono_dtype dtype, int peer, int tag) {
  return (struct uni_transfer){.is_send = true,
                               .buffer = (void *)(uintptr_t)buffer,
                               .count = count,
                               .dtype = dtype,
                               .peer = peer,
                               .tag = tag};
}

static struct uni_transfer receiving(void *buffer, size_t count, unisono_dtype dtype, int peer, int tag) {
  return (struct uni_transfer){.buffer = buffer, .count = count, .dtype = dtype, .peer = peer, .tag = tag};
}

unisono_status unisono_send(const void *buffer, size_t count, unisono_dtype dtype, int peer, int tag,
                            unisono_comm *comm) {
  return run(comm, "unisono_send", sending(buffer, count, dtype, peer, tag), NULL);
}

unisono_status unisono_recv(void *buffer, size_t count, unisono_dtype dtype, int peer, int tag,
                            unisono_comm *comm) {
  return run(comm, "unisono_recv", receiving(buffer, count, dtype, peer, tag), NULL);
}

unisono_status unisono_recv_message(void *buffer, size_t count, unisono_dtype dtype, int peer, int tag,
                                    unisono_comm *comm, unisono_message *message) {
  return run(comm, "unisono_recv_message", receiving(buffer, count, dtype, peer, tag), message);
}

unisono_status unisono_send_async(const void *buffer, size_t count, unisono_dtype dtype, int peer, int tag,
                                  unisono_comm *comm, unisono_request **request) {
  return start(comm, "unisono_send_async", sending(buffer, count, dtype, peer, tag), NULL, request);
}

unisono_status unisono_recv_async(void *buffer, size_t count, unisono_dtype dtype, int peer, int tag,
                                  unisono_comm *comm, unisono_request **request) {
  return start(comm, "unisono_recv_async", receiving(buffer, count, dtype, peer, tag), NULL, request);
}

unisono_status unisono_recv_message_async(void *buffer, size_t count, unisono_dtype dtype, int peer, int tag,
                                          unisono_comm *comm, unisono_message *message,
                                          unisono_request **request) {
  return start(comm, "unisono_recv_message_async", receiving(buffer, count, dtype, peer, tag), message,
               request);
}
