#include "rendezvous/join.h"

#include <string.h>

#include "clock.h"
#include "error.h"
#include "rendezvous/frames.h"

enum { GREETING_MS = 1000 };

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

static unisono_status await_roster(struct uni_wire *wire, int64_t deadline, struct uni_roster *roster) {
  struct uni_frame frame;
  switch (
      uni_wire_await(wire, &frame, deadline == UNI_NEVER ? deadline : deadline + UNI_VERDICT_MS * UNI_MS)) {
  case UNI_WIRE_FRAME:
    return read_answer(&frame, roster);
  case UNI_WIRE_NOTHING:
    return uni_fail(UNISONO_ERROR_TIMEOUT, "not all ranks came to the meeting in time: rank 0 still waits");
  case UNI_WIRE_STRANGER:
    return uni_fail(UNISONO_ERROR_INVALID,
                    "rank 0 has another secret than rank %d; start all ranks with the "
                    "same unique id or UNISONO_SECRET",
                    roster->rank);
  case UNI_WIRE_CLOSED:
    break;
  }
  return uni_fail(UNISONO_ERROR_PEER_LOST,
                  "rank 0 died, was cut off or refused rank %d while the ranks were meeting "
                  "(is UNISONO_SECRET the same on all ranks?)",
                  roster->rank);
}

unisono_status uni_join(struct uni_wire *wire, int size, int rank, int threads, int64_t deadline,
                        struct uni_roster *roster) {
  struct uni_card card = {.version = UNI_FRAMES_VERSION, .rank = (uint32_t)rank, .size = (uint32_t)size};
  card.left_ms = deadline == UNI_NEVER ? UINT64_MAX : (uint64_t)uni_ms_until(deadline, INT32_MAX);
  unisono_status status = uni_roster_new(size, rank, roster);
  if (status) {
    uni_wire_close(wire);
    return status;
  }
  roster->wires[0] = wire;
  status = uni_resident_here(threads, &card.who);
  if (!status) {
    uni_wire_send(wire, UNI_FRAME_CARD, &card, sizeof card, deadline);
    status = await_roster(wire, deadline, roster);
  }
  if (status)
    uni_roster_free(roster);
  else
    uni_iface_of(uni_wire_socket(wire), roster->iface);
  return status;
}
