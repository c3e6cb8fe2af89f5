#include "p2p/p2p.h"

#include <stdlib.h>

#include "comm.h"
#include "error.h"
#include "p2p/state.h"

/* ---- transfers */

static void make_empty(struct uni_list *list) {
  *list = (struct uni_list){NULL, &list->first};
}

void uni_list_append(struct uni_list *list, struct uni_transfer *transfer) {
  transfer->next = NULL;
  *list->end = transfer;
  list->end = &transfer->next;
}

struct uni_transfer *uni_list_take(struct uni_list *list, struct uni_transfer **at) {
  struct uni_transfer *transfer = *at;
  *at = transfer->next;
  if (!*at)
    list->end = at;
  return transfer;
}

void uni_p2p_finish(struct uni_p2p *p2p, struct uni_transfer *transfer, unisono_status status) {
  transfer->status = status;
  p2p->events++;
  /* relaxed: a count only */
  atomic_fetch_sub_explicit(&p2p->busy, 1, memory_order_relaxed);
  /* release: the status, what was received and the buffer are there for the waiter that sees it */
  atomic_store_explicit(&transfer->done, true, memory_order_release);
}

static void fail_list(struct uni_p2p *p2p, struct uni_list *list, unisono_status status) {
  while (list->first)
    uni_p2p_finish(p2p, uni_list_take(list, &list->first), status);
}

void uni_p2p_fail_all(unisono_comm *comm, unisono_status status) {
  struct uni_p2p *p2p = comm->p2p;
  pthread_mutex_lock(&p2p->lock);
  p2p->stopped = true;
  /* The buffers go back to their owners, who may write them while a peer still copies from them: release, so
   * that a peer that reads what they write sees before, why this rank has given up (see copy_shared). */
  atomic_thread_fence(memory_order_release);
  fail_list(p2p, &p2p->posted, status);
  fail_list(p2p, &p2p->matched, status);
  for (int peer = 0; peer < comm->size; peer++) {
    fail_list(p2p, &p2p->sending[peer].waiting, status);
    fail_list(p2p, &p2p->sending[peer].announced, status);
  }
  pthread_mutex_unlock(&p2p->lock);
}

bool uni_p2p_misses(const struct uni_transfer *transfer, int rank) {
  /* relaxed: whom it names has been awaited at some moment, which is enough to blame it */
  int peer = atomic_load_explicit(&transfer->own.awaits, memory_order_relaxed);
  return peer == UNI_ANY || peer == rank;
}

/* ---- the whole */

static void free_all(struct uni_p2p *p2p) {
  while (p2p->kept) {
    struct uni_kept *first = p2p->kept;
    p2p->kept = first->next;
    free(first);
  }
  uni_bitmap_free(&p2p->receivers);
  uni_bitmap_free(&p2p->senders);
  free(p2p->sending);
  free(p2p->receiving);
  pthread_mutex_destroy(&p2p->lock);
  free(p2p);
}

unisono_status uni_p2p_open(unisono_comm *comm) {
  size_t size = (size_t)comm->size;
  struct uni_p2p *p2p = calloc(1, sizeof *p2p);
  if (!p2p)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for the state of messages");
  pthread_mutex_init(&p2p->lock, NULL);
  p2p->sending = calloc(size, sizeof *p2p->sending);
  p2p->receiving = calloc(size, sizeof *p2p->receiving);
  if (!p2p->sending || !p2p->receiving || !uni_bitmap_init(&p2p->receivers, size) ||
      !uni_bitmap_init(&p2p->senders, size)) {
    free_all(p2p);
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for the state of messages between %d ranks", comm->size);
  }
  for (size_t peer = 0; peer < size; peer++) {
    make_empty(&p2p->sending[peer].waiting);
    make_empty(&p2p->sending[peer].announced);
  }
  make_empty(&p2p->posted);
  make_empty(&p2p->matched);
  p2p->kept_end = &p2p->kept;
  comm->p2p = p2p;
  return UNISONO_OK;
}

void uni_p2p_close(unisono_comm *comm) {
  uni_p2p_fail_all(comm, UNISONO_ERROR_PEER_LOST);
  free_all(comm->p2p);
  comm->p2p = NULL;
}

void uni_p2p_start(unisono_comm *comm, struct uni_transfer *transfer) {
  struct uni_p2p *p2p = comm->p2p;
  transfer->own.bytes = transfer->count * transfer->element;
  transfer->own.moved = 0;
  transfer->own.stage = UNI_SILENT;
  /* relaxed: nobody else knows the transfer yet */
  atomic_store_explicit(&transfer->own.awaits, transfer->peer, memory_order_relaxed);
  atomic_store_explicit(&transfer->done, false, memory_order_relaxed);
  pthread_mutex_lock(&p2p->lock);
  /* relaxed: a count only; see uni_p2p_progress */
  atomic_fetch_add_explicit(&p2p->busy, 1, memory_order_relaxed);
  if (p2p->stopped)
    uni_p2p_finish(p2p, transfer, uni_comm_failure(comm));
  else if (transfer->is_send)
    uni_send_start(comm, transfer);
  else
    uni_receive_start(comm, transfer);
  pthread_mutex_unlock(&p2p->lock);
}

bool uni_p2p_progress(unisono_comm *comm) {
  struct uni_p2p *p2p = comm->p2p;
  /* relaxed: who started a transfer sees it counted; the helper was told of it under its queue's lock */
  if (atomic_load_explicit(&p2p->busy, memory_order_relaxed) == 0)
    return false;
  pthread_mutex_lock(&p2p->lock);
  uint64_t before = p2p->events;
  for (size_t peer = (size_t)comm->size;
       peer > 0 && !p2p->stopped && uni_bitmap_at_or_below(&p2p->receivers, peer - 1, &peer);)
    uni_send_progress(comm, (int)peer);
  if (!p2p->stopped)
    uni_receive_progress(comm);
  bool moved = p2p->events != before;
  pthread_mutex_unlock(&p2p->lock);
  return moved;
}
