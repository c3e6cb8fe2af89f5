/* Sending: small messages go on the ring at once, large ones are announced and wait for the receiver. */
#include "comm.h"
#include "p2p/state.h"
#include "shm/wait.h"

static bool put_small(unisono_comm *comm, struct uni_transfer *send) {
  struct uni_envelope envelope = {
      .kind = UNI_EAGER, .dtype = (uint8_t)send->dtype, .tag = send->tag, .count = send->count};
  return uni_outlet_put(comm, send->peer, &envelope, send->buffer, send->own.bytes);
}

/* Where the receiver can read the whole buffer; not where part of it is private. */
static struct uni_ref ref_of(unisono_comm *comm, const struct uni_transfer *send) {
  struct uni_ref none = {.segment = UNI_PRIVATE};
  if (send->peer == comm->rank)
    return none;
  struct uni_ref ref;
  uni_memory_resolve(comm->world, send->buffer, send->own.bytes, &ref);
  return ref.head || ref.tail ? none : ref;
}

static bool announce(unisono_comm *comm, struct uni_transfer *send) {
  struct uni_sending *to = &comm->p2p->sending[send->peer];
  struct uni_ref ref = ref_of(comm, send);
  struct uni_envelope envelope = {.kind = UNI_ANNOUNCED,
                                  .dtype = (uint8_t)send->dtype,
                                  .tag = send->tag,
                                  .count = send->count,
                                  .ticket = to->tickets + 1};
  if (!uni_outlet_put(comm, send->peer, &envelope, &ref, sizeof ref))
    return false;
  send->own.ticket = ++to->tickets;
  return true;
}

/* Puts what waits on the ring, in order, as far as there is room. */
static void put_waiting(unisono_comm *comm, struct uni_sending *to) {
  struct uni_transfer *send;
  while ((send = to->waiting.first)) {
    bool small = send->own.bytes <= uni_eager_max(comm);
    if (!(small ? put_small(comm, send) : announce(comm, send)))
      return;
    uni_list_take(&to->waiting, &to->waiting.first);
    if (small)
      uni_p2p_finish(comm->p2p, send, UNISONO_OK);
    else
      uni_list_append(&to->announced, send);
  }
}

static struct uni_transfer **find(struct uni_sending *to, uint64_t ticket) {
  struct uni_transfer **at = &to->announced.first;
  while (*at && (*at)->own.ticket != ticket)
    at = &(*at)->next;
  return at;
}

/* Ends the large messages that have been received, and notes which ones the receiver asks the data of. */
static void hear_answers(unisono_comm *comm, int peer, struct uni_sending *to) {
  enum uni_answer answer;
  uint64_t ticket, heard = to->outlet.heard;
  while (uni_outlet_hear(comm, peer, &answer, &ticket)) {
    struct uni_transfer **at = find(to, ticket);
    if (!*at)
      uni_p2p_corrupt(comm, peer, "it answers what was not announced");
    else if (answer == UNI_WANTED)
      (*at)->own.stage = UNI_STREAMS;
    else
      uni_p2p_finish(comm->p2p, uni_list_take(&to->announced, at), UNISONO_OK);
  }
  if (to->outlet.heard != heard)
    uni_wake_rank(comm, peer); /* it may wait to say more */
}

/* Puts as much of its data on the ring as there is room for; false: there is none left. */
static bool stream(unisono_comm *comm, struct uni_transfer *send) {
  size_t most = uni_fragment(comm);
  while (send->own.moved < send->own.bytes) {
    size_t rest = send->own.bytes - send->own.moved, n = rest < most ? rest : most;
    struct uni_envelope envelope = {.kind = UNI_DATA, .count = n, .ticket = send->own.ticket};
    if (!uni_outlet_put(comm, send->peer, &envelope, (const char *)send->buffer + send->own.moved, n))
      return false;
    send->own.moved += n;
  }
  return true;
}

void uni_send_progress(unisono_comm *comm, int peer) {
  struct uni_sending *to = &comm->p2p->sending[peer];
  uint64_t head = to->outlet.head;
  if (to->announced.first)
    hear_answers(comm, peer, to);
  put_waiting(comm, to);
  bool room = true;
  for (struct uni_transfer *send = to->announced.first; send && room; send = send->next)
    if (send->own.stage == UNI_STREAMS)
      room = stream(comm, send);
  if (to->outlet.head != head)
    uni_wake_rank(comm, peer);
  if (!to->waiting.first && !to->announced.first)
    uni_bitmap_clear(&comm->p2p->receivers, (size_t)peer);
}

void uni_send_start(unisono_comm *comm, struct uni_transfer *send) {
  uni_list_append(&comm->p2p->sending[send->peer].waiting, send);
  uni_bitmap_set(&comm->p2p->receivers, (size_t)send->peer);
  uni_send_progress(comm, send->peer);
}
