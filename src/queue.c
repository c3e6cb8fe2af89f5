#include "queue.h"

#include <stdio.h>
#include <stdlib.h>

#include "collectives/drive.h"
#include "comm.h"
#include "error.h"
#include "helper.h"

unisono_status uni_queue_open(unisono_comm *comm) {
  struct uni_queue *q = calloc(1, sizeof *q);
  if (!q)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a queue of operations");
  pthread_mutex_init(&q->list, NULL);
  pthread_mutex_init(&q->moving, NULL);
  comm->queue = q;
  return UNISONO_OK;
}

void uni_queue_close(unisono_comm *comm) {
  pthread_mutex_destroy(&comm->queue->list);
  pthread_mutex_destroy(&comm->queue->moving);
  free(comm->queue);
}

/* The request is no longer in a list: tells its owner. */
static void finish(unisono_comm *comm, unisono_request *request, unisono_status status) {
  request->status = status;
  if (status)
    snprintf(request->text, sizeof request->text, "%s", unisono_last_error());
  else if (request->is_transfer && request->message)
    *request->message = request->transfer.got;
  atomic_fetch_sub_explicit(&comm->queue->pending, 1, memory_order_relaxed);
  /* release: the buffers, status and text are there for who sees it done, and the library is through with
   * both */
  atomic_store_explicit(&request->done, true, memory_order_release);
  uni_wake_rank(comm, comm->rank); /* its owner may sleep while another thread has moved it on */
}

/* ---- collectives */

static unisono_request *front(struct uni_queue *q) {
  pthread_mutex_lock(&q->list);
  unisono_request *first = q->first;
  pthread_mutex_unlock(&q->list);
  return first;
}

static void pop_front(unisono_comm *comm, unisono_status status) {
  struct uni_queue *q = comm->queue;
  pthread_mutex_lock(&q->list);
  unisono_request *first = q->first;
  q->first = first->next;
  if (!q->first)
    q->last = NULL;
  pthread_mutex_unlock(&q->list);
  finish(comm, first, status);
  /* release: the run is at rest for who finds no collective before its own */
  atomic_fetch_sub_explicit(&q->collectives, 1, memory_order_release);
}

/* True: the collective has ended. */
static bool move_collective(unisono_comm *comm, unisono_request *request, unisono_status *status) {
  struct uni_queue *q = comm->queue;
  if (!request->begun) {
    if (uni_comm_is_broken(comm)) {
      *status = uni_comm_failure(comm);
      return true;
    }
    uni_run_begin(comm, &request->call);
    q->wait = uni_drive_wait(comm);
    request->begun = true;
  }
  *status = UNISONO_OK;
  if (uni_run_step(comm))
    return true;
  *status = uni_wait_check(&q->wait);
  return uni_drive_judge(comm, &q->wait, status);
}

/* True: something moved. */
static bool move_collectives(unisono_comm *comm) {
  bool moved = false;
  for (unisono_request *r = front(comm->queue); r; r = front(comm->queue)) {
    unisono_status status;
    if (!move_collective(comm, r, &status))
      return uni_drive_has_moved(comm, &comm->queue->wait) || moved;
    pop_front(comm, status);
    moved = true;
  }
  return moved;
}

/* ---- transfers */

/* A transfer that is not done: may it go on waiting? */
static void check_transfer(unisono_comm *comm, unisono_request *r) {
  unisono_status status = uni_wait_check(&r->wait);
  if (!status)
    return;
  uni_p2p_progress(comm); /* data that is complete counts */
  if (atomic_load_explicit(&r->transfer.done, memory_order_acquire))
    return;
  status = uni_wait_failed(&r->wait, status, r->transfer.is_send ? "send" : "recv");
  uni_p2p_fail_all(comm, status);
}

static void finish_transfer(unisono_comm *comm, unisono_request *r) {
  unisono_status status = r->transfer.status;
  if (status && uni_comm_is_broken(comm))
    status = uni_comm_failure(comm);
  finish(comm, r, status);
}

/* True: something moved. */
static bool move_transfers(unisono_comm *comm) {
  struct uni_queue *q = comm->queue;
  bool moved = uni_p2p_progress(comm);
  pthread_mutex_lock(&q->list);
  for (unisono_request **p = &q->transfers; *p;) {
    unisono_request *r = *p;
    /* acquire: the transfer's data, status and message are there */
    if (!atomic_load_explicit(&r->transfer.done, memory_order_acquire))
      check_transfer(comm, r);
    if (atomic_load_explicit(&r->transfer.done, memory_order_acquire)) {
      *p = r->next;
      finish_transfer(comm, r);
    } else {
      p = &r->next;
    }
  }
  pthread_mutex_unlock(&q->list);
  return moved;
}

/* With `moving` held; true: something moved. */
static bool move(unisono_comm *comm) {
  struct uni_queue *q = comm->queue;
  bool moved = false;
  if (atomic_load_explicit(&q->collectives, memory_order_relaxed))
    moved = move_collectives(comm);
  if (atomic_load_explicit(&q->pending, memory_order_relaxed) >
      atomic_load_explicit(&q->collectives, memory_order_relaxed))
    moved = move_transfers(comm) || moved;
  return moved;
}

bool uni_queue_move(unisono_comm *comm) {
  if (pthread_mutex_trylock(&comm->queue->moving) != 0)
    return false;
  bool moved = move(comm);
  pthread_mutex_unlock(&comm->queue->moving);
  return moved;
}

bool uni_queue_move_in_turn(unisono_comm *comm) {
  pthread_mutex_lock(&comm->queue->moving);
  bool moved = move(comm);
  pthread_mutex_unlock(&comm->queue->moving);
  return moved;
}

/* ---- starting and ending */

void uni_queue_append(struct uni_queue *q, unisono_request *request) {
  pthread_mutex_lock(&q->list);
  unisono_request **place = request->is_transfer ? &q->transfers : q->last ? &q->last->next : &q->first;
  while (request->is_transfer && *place)
    place = &(*place)->next;
  *place = request;
  atomic_fetch_add_explicit(&q->pending, 1, memory_order_relaxed);
  if (!request->is_transfer) {
    q->last = request;
    atomic_fetch_add_explicit(&q->collectives, 1, memory_order_relaxed);
  }
  pthread_mutex_unlock(&q->list);
}

void uni_queue_attend(unisono_comm *comm, unisono_request *request) {
  struct uni_queue *q = comm->queue;
  struct uni_wait wait = uni_wait_begin(comm, NULL, NULL);
  atomic_fetch_add_explicit(&q->attended, 1, memory_order_relaxed);
  for (;;) {
    if (wait.announced ? uni_queue_move_in_turn(comm) : uni_queue_move(comm))
      uni_wait_restart(&wait);
    if (atomic_load_explicit(&request->done, memory_order_acquire)) /* as finish() says */
      break;
    uni_wait_nap(&wait);
  }
  uni_wait_end(&wait);
  atomic_fetch_sub_explicit(&q->attended, 1, memory_order_relaxed);
  if (atomic_load_explicit(&q->pending, memory_order_relaxed))
    uni_helper_wake();
}

void uni_queue_stop(unisono_comm *comm) {
  struct uni_queue *q = comm->queue;
  uni_helper_forget(comm);
  pthread_mutex_lock(&q->moving);
  unisono_request *under_way = front(q);
  if (under_way && under_way->begun)
    uni_run_give_up(comm);
  uni_p2p_fail_all(comm, UNISONO_ERROR_PEER_LOST);
  uni_fail(UNISONO_ERROR_PEER_LOST, "the communicator was destroyed before the operation was done");
  while (q->first)
    pop_front(comm, UNISONO_ERROR_PEER_LOST);
  while (q->transfers) {
    unisono_request *r = q->transfers;
    q->transfers = r->next;
    finish(comm, r, r->transfer.status);
  }
  pthread_mutex_unlock(&q->moving);
}
