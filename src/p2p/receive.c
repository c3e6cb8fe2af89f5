/* Receiving: packets come off the rings, messages find their receives, and data its buffer. */
#include <stdlib.h>
#include <string.h>

#include "comm.h"
#include "error.h"
#include "kernels/reduce.h"
#include "p2p/state.h"
#include "shm/wait.h"

enum { COPY_STEP = 1 << 20 }; /* bytes between two looks at failures */

/* ---- answers to the senders of large messages */

static void finish_matched(struct uni_p2p *p2p, struct uni_transfer **at) {
  uni_p2p_finish(p2p, uni_list_take(&p2p->matched, at), UNISONO_OK);
}

/* Says what has to be said, as far as the senders have heard what was said before. */
static void answer_all(unisono_comm *comm) {
  struct uni_p2p *p2p = comm->p2p;
  for (struct uni_transfer **at = &p2p->matched.first; *at && p2p->unanswered;) {
    struct uni_transfer *receive = *at;
    enum uni_answer answer = receive->own.stage == UNI_TO_CLOSE ? UNI_TAKEN : UNI_WANTED;
    bool due = receive->own.stage == UNI_TO_OPEN || receive->own.stage == UNI_TO_CLOSE;
    if (!due || !uni_inlet_say(comm, receive->got.peer, answer, receive->own.ticket)) {
      at = &receive->next;
      continue;
    }
    p2p->unanswered--;
    uni_wake_rank(comm, receive->got.peer);
    receive->own.stage = UNI_STREAMS;
    if (answer == UNI_TAKEN)
      finish_matched(p2p, at);
  }
}

static void answer(unisono_comm *comm, struct uni_transfer *receive, enum uni_stage stage) {
  receive->own.stage = stage;
  comm->p2p->unanswered++;
  answer_all(comm);
}

/* ---- large messages */

/* The sender's buffer as mapped here; NULL: it cannot be read from here. */
static const char *shared_buffer(unisono_comm *comm, const struct uni_packet *packet, size_t bytes) {
  struct uni_ref ref;
  uni_span_copy(&ref, packet->payload, sizeof ref);
  atomic_signal_fence(memory_order_seq_cst); /* the copy is checked and used, not what the peer may change */
  if (ref.segment == UNI_PRIVATE || packet->peer == comm->rank)
    return NULL;
  struct uni_segment *segment = uni_world_segment(comm->world, comm->world_ranks[packet->peer], ref.segment);
  if (!segment)
    return NULL;
  if (ref.offset > segment->bytes || bytes > segment->bytes - ref.offset) {
    uni_p2p_corrupt(comm, packet->peer, "a buffer lies outside its memory");
    return NULL;
  }
  return segment->base + ref.offset;
}

/* Has the sender's call ended, so that its buffer may be changing? */
static bool has_given_up(unisono_comm *comm, int peer) {
  /* acquire: as in uni_comm_is_broken */
  return uni_comm_is_broken(comm) || atomic_load_explicit(&comm->places[peer].left, memory_order_acquire);
}

/* Copies the sender's buffer; false: the sender gave up meanwhile, and what was copied may be torn.
 * This is the reader of a seqlock. A sender that gives up sees or sets the failure (or that it has left)
 * first and then, behind the fence in uni_p2p_fail_all, writes its buffer; this rank reads the buffer first
 * and then, behind its own fence, looks for the failure. So if it has read anything that was written too
 * late, it sees the failure. */
static bool copy_shared(unisono_comm *comm, struct uni_transfer *receive, const char *buffer) {
  int peer = receive->got.peer;
  for (size_t done = 0; done < receive->own.bytes; done += COPY_STEP) {
    size_t rest = receive->own.bytes - done;
    if (has_given_up(comm, peer))
      return false;
    memcpy((char *)receive->buffer + done, buffer + done, rest < COPY_STEP ? rest : COPY_STEP);
  }
  atomic_thread_fence(memory_order_acquire);
  return !has_given_up(comm, peer);
}

static void receive_large(unisono_comm *comm, struct uni_transfer *receive, const struct uni_packet *packet) {
  receive->own.ticket = packet->envelope.ticket;
  receive->own.bytes = receive->got.count * receive->element;
  const char *buffer = shared_buffer(comm, packet, receive->own.bytes);
  bool copied = buffer && copy_shared(comm, receive, buffer);
  uni_list_append(&comm->p2p->matched, receive);
  if (copied) {
    answer(comm, receive, UNI_TO_CLOSE);
  } else if (!buffer && !comm->p2p->stopped) {
    uni_match_await(comm->p2p, packet->peer);
    answer(comm, receive, UNI_TO_OPEN);
  } /* else it stays as it is, until its waiter sees why */
}

static struct uni_transfer *find_stream(const struct uni_p2p *p2p, int peer, uint64_t ticket) {
  struct uni_transfer *t = p2p->matched.first;
  while (t && !(t->own.stage == UNI_STREAMS && t->got.peer == peer && t->own.ticket == ticket))
    t = t->next;
  return t;
}

static void receive_data(unisono_comm *comm, const struct uni_packet *packet) {
  struct uni_transfer *receive = find_stream(comm->p2p, packet->peer, packet->envelope.ticket);
  if (!receive || packet->bytes > receive->own.bytes - receive->own.moved) {
    uni_p2p_corrupt(comm, packet->peer, "data came that was not asked for");
    return;
  }
  uni_span_copy((char *)receive->buffer + receive->own.moved, packet->payload, packet->bytes);
  receive->own.moved += packet->bytes;
  if (receive->own.moved == receive->own.bytes) {
    uni_match_awaited(comm->p2p, packet->peer);
    answer(comm, receive, UNI_TO_CLOSE);
  }
}

/* ---- messages */

static bool agrees(unisono_comm *comm, const struct uni_transfer *receive, const struct uni_packet *packet) {
  const struct uni_envelope *e = &packet->envelope;
  if (e->dtype == (uint8_t)receive->dtype && e->count <= receive->count)
    return true;
  comm->p2p->stopped = true;
  uni_comm_break(comm, UNISONO_ERROR_MISMATCH,
                 "rank %d sent %llu %s under tag %d, rank %d asked for at most %zu %s", packet->peer,
                 (unsigned long long)e->count, uni_dtype_name((unisono_dtype)e->dtype), e->tag, comm->rank,
                 receive->count, uni_dtype_name(receive->dtype));
  return false;
}

/* A message has found its receive, which is in no list now. */
static void receive_message(unisono_comm *comm, struct uni_transfer *receive,
                            const struct uni_packet *packet) {
  /* relaxed: it tells waiters whom to blame, no more */
  atomic_store_explicit(&receive->own.awaits, packet->peer, memory_order_relaxed);
  if (!agrees(comm, receive, packet)) {
    uni_list_append(&comm->p2p->matched, receive);
    return;
  }
  receive->got = (unisono_message){packet->peer, packet->envelope.tag, (size_t)packet->envelope.count};
  if (packet->envelope.kind == UNI_ANNOUNCED) {
    receive_large(comm, receive, packet);
    return;
  }
  uni_span_copy(receive->buffer, packet->payload, packet->bytes);
  uni_p2p_finish(comm->p2p, receive, UNISONO_OK);
}

static void take_in(unisono_comm *comm, const struct uni_packet *packet) {
  if (packet->envelope.kind == UNI_DATA) {
    receive_data(comm, packet);
    return;
  }
  struct uni_transfer *receive = uni_match_posted(comm->p2p, packet->peer, packet->envelope.tag);
  if (receive) {
    receive_message(comm, receive, packet);
  } else if (uni_match_keep(comm->p2p, packet)) {
    comm->p2p->stopped = true;
    uni_comm_break(comm, UNISONO_ERROR_MEMORY, "rank %d: %s", comm->rank, unisono_last_error());
  }
}

/* Takes in what has come from one peer, as long as something is awaited of it: what nobody asks for stays on
 * the ring, so that its sender waits. */
static void drain(unisono_comm *comm, int peer) {
  struct uni_p2p *p2p = comm->p2p;
  struct uni_receiving *from = &p2p->receiving[peer];
  uint64_t head = uni_inlet_head(comm, peer);
  if (head == from->inlet.tail)
    return;
  struct uni_packet packet;
  while (head != from->inlet.tail && (from->awaited || p2p->awaited_any) &&
         uni_inlet_look(comm, peer, head, &packet)) {
    take_in(comm, &packet);
    uni_inlet_drop(comm, &packet);
    if (p2p->stopped)
      break;
  }
  uni_wake_rank(comm, peer); /* it may wait for room */
}

static void drain_all(unisono_comm *comm) {
  struct uni_p2p *p2p = comm->p2p;
  for (int i = 0; i < comm->size && p2p->awaited_any && !p2p->stopped; i++) {
    drain(comm, p2p->turn);
    p2p->turn = p2p->turn + 1 < comm->size ? p2p->turn + 1 : 0;
  }
}

void uni_receive_progress(unisono_comm *comm) {
  struct uni_p2p *p2p = comm->p2p;
  if (p2p->unanswered)
    answer_all(comm);
  drain_all(comm);
  for (size_t peer = (size_t)comm->size;
       peer > 0 && !p2p->stopped && uni_bitmap_at_or_below(&p2p->senders, peer - 1, &peer);)
    drain(comm, (int)peer);
}

void uni_receive_start(unisono_comm *comm, struct uni_transfer *receive) {
  struct uni_kept *kept = uni_match_kept(comm->p2p, receive);
  if (kept) {
    receive_message(comm, receive, &kept->packet);
    free(kept);
    return;
  }
  uni_match_post(comm->p2p, receive);
  if (receive->peer == UNI_ANY)
    drain_all(comm);
  else
    drain(comm, receive->peer);
}
