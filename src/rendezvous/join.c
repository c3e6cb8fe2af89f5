#include "rendezvous/join.h"

#include <string.h>

#include "clock.h"
#include "error.h"
#include "rendezvous/frames.h"
#include "rendezvous/seal.h"

enum { GREETING_MS = 1000, PAUSE_FIRST_MS = 20, PAUSE_MOST_MS = 200 };

unisono_status uni_join_connect(const struct uni_identity *identity, unsigned attempt, int patience_ms,
                                int64_t deadline, struct uni_wire **wire) {
  unsigned char key[UNI_WIRE_SECRET];
  int fd;
  *wire = NULL;
  unisono_status status =
      uni_connect(&identity->addresses, attempt, uni_ms_until(deadline, patience_ms), &fd);
  if (status || fd < 0)
    return status;
  uni_identity_key(identity, key, sizeof key);
  status = uni_wire_open(fd, false, key, wire);
  int64_t patience = uni_deadline(GREETING_MS);
  if (!status && uni_wire_greet(*wire, patience < deadline ? patience : deadline) != UNI_WIRE_FRAME) {
    uni_wire_close(*wire); /* somebody else's port */
    *wire = NULL;
  }
  return status;
}

static unisono_status read_answer(const struct uni_frame *frame, struct uni_roster *roster) {
  struct uni_refusal refusal;
  if (frame->kind == UNI_FRAME_REFUSED && frame->bytes == sizeof refusal) {
    memcpy(&refusal, frame->body, sizeof refusal);
    refusal.text[UNI_REFUSAL_TEXT - 1] = 0;
    return uni_fail((unisono_status)refusal.status, "%s", refusal.text);
  }
  if (frame->kind != UNI_FRAME_ROSTER || !uni_roster_unpack(frame->body, frame->bytes, roster))
    return uni_fail(UNISONO_ERROR_SYSTEM, "rank 0 sent something out of order while meeting");
  return UNISONO_OK;
}

/* What came instead of a frame. */
static unisono_status name_failure(enum uni_wire_event event, int rank) {
  switch (event) {
  case UNI_WIRE_NOTHING:
    return uni_fail(UNISONO_ERROR_TIMEOUT, "not all ranks came to the meeting in time: rank 0 still waits");
  case UNI_WIRE_STRANGER:
    return uni_fail(UNISONO_ERROR_INVALID,
                    "rank 0 has another secret than rank %d; start all ranks with the "
                    "same unique id or UNISONO_SECRET",
                    rank);
  default:
    return uni_fail(UNISONO_ERROR_PEER_LOST,
                    "rank 0 died, was cut off or refused rank %d while the ranks were meeting "
                    "(is UNISONO_SECRET the same on all ranks?)",
                    rank);
  }
}

/* Over one connection. CLOSED: it broke before rank 0 knows that the list is here. */
static enum uni_wire_event ask(struct uni_wire *wire, const struct uni_guest *guest, struct uni_card *card,
                               struct uni_roster *roster, unisono_status *status) {
  int64_t deadline = guest->deadline;
  struct uni_frame frame;
  card->left_ms = deadline == UNI_NEVER ? UINT64_MAX : (uint64_t)uni_ms_until(deadline, INT32_MAX);
  if (!uni_wire_send(wire, UNI_FRAME_CARD, card, sizeof *card, deadline))
    return UNI_WIRE_CLOSED;
  enum uni_wire_event e =
      uni_wire_await(wire, &frame, deadline == UNI_NEVER ? deadline : deadline + UNI_VERDICT_MS * UNI_MS);
  if (e != UNI_WIRE_FRAME)
    return e;
  *status = read_answer(&frame, roster);
  if (!*status && !uni_wire_send(wire, UNI_FRAME_READ, NULL, 0, uni_deadline(UNI_RETURN_MS)))
    return UNI_WIRE_CLOSED;
  return e;
}

struct absence { /* since a connection broke that had stood for a while */
  int64_t end;
  int pause_ms;
};

/* Rank 0 has not moved. While its machine says that nobody listens, it is asked again and again; one that
 * says nothing may not have noticed the break yet, which takes it UNI_WIRE_SILENCE_MS. */
static unisono_status come_back(const struct uni_guest *guest, struct absence *absence,
                                struct uni_wire **wire) {
  unisono_status status = UNISONO_OK;
  *wire = NULL;
  while (!status && !*wire && uni_now() < absence->end) {
    uni_sleep_ms(absence->pause_ms);
    absence->pause_ms = 2 * absence->pause_ms < PAUSE_MOST_MS ? 2 * absence->pause_ms : PAUSE_MOST_MS;
    status = uni_join_connect(guest->identity, guest->attempt, UNI_WIRE_SILENCE_MS, guest->deadline, wire);
  }
  return status;
}

/* Over one connection after another, as they break. */
static unisono_status ask_on(struct uni_wire *wire, const struct uni_guest *guest, struct uni_card *card,
                             struct uni_roster *roster) {
  struct absence absence = {0};
  for (;;) {
    unisono_status status = UNISONO_OK;
    int64_t began = uni_now();
    roster->wires[0] = wire;
    enum uni_wire_event e = ask(wire, guest, card, roster, &status);
    if (e == UNI_WIRE_FRAME)
      return status;
    if (e != UNI_WIRE_CLOSED)
      return name_failure(e, guest->rank);
    if (!absence.end || uni_now() - began > UNI_RETURN_MS * UNI_MS)
      absence = (struct absence){uni_deadline(UNI_RETURN_MS), PAUSE_FIRST_MS};
    uni_wire_close(wire);
    roster->wires[0] = NULL;
    status = come_back(guest, &absence, &wire);
    if (status || !wire)
      return status ? status : name_failure(UNI_WIRE_CLOSED, guest->rank);
  }
}

unisono_status uni_join(struct uni_wire *wire, const struct uni_guest *guest, struct uni_roster *roster) {
  struct uni_card card = {
      .version = UNI_FRAMES_VERSION, .rank = (uint32_t)guest->rank, .size = (uint32_t)guest->size};
  unisono_status status = uni_roster_new(guest->size, guest->rank, roster);
  if (status) {
    uni_wire_close(wire);
    return status;
  }
  roster->wires[0] = wire;
  uni_seal_random(&card.process, sizeof card.process);
  status = uni_resident_here(guest->threads, &card.who);
  if (!status)
    status = ask_on(wire, guest, &card, roster);
  if (status)
    uni_roster_free(roster);
  else
    uni_iface_of(uni_wire_socket(roster->wires[0]), roster->iface);
  return status;
}
