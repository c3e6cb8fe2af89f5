/* Messages between two ranks of a communicator.
 *
 * Every pair of ranks has, for each direction, a channel in the communicator's segment: a ring of lines, and
 * a line of counters for each side. A message is a packet on the ring: a small one has its payload with it
 * (eager), a large one waits until the receiver has found its receive (rendezvous), and is then copied by the
 * receiver straight from the sender's buffer where that is shared, else streamed through the ring. The
 * receiver takes packets off the ring as they come and keeps the messages that nobody has asked for yet, so
 * that messages under other tags overtake them. What nobody receives from at all stays on its ring, and its
 * sender waits. */
#ifndef UNI_P2P_P2P_H
#define UNI_P2P_P2P_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unisono.h"

enum { UNI_ANY = -1 };

/* A send or a receive under way. */
struct uni_transfer {
  unisono_comm *comm;
  bool is_send;
  void *buffer; /* of a send: only read */
  size_t count, element;
  unisono_dtype dtype;
  int peer, tag; /* UNI_ANY: any, for receives */
  /* filled in as it proceeds */
  unisono_message got;
  unisono_status status; /* set before done */
  _Atomic bool done;
  struct uni_transfer *next; /* in p2p's lists */
  struct {                   /* p2p's own */
    size_t bytes, moved;     /* of the message; of these, through the ring already */
    uint64_t ticket;         /* names a large message on its channel */
    unsigned stage;          /* of a large message: enum uni_stage */
    _Atomic int awaits;      /* the peer, or UNI_ANY */
  } own;
};

unisono_status uni_p2p_open(unisono_comm *comm);
void uni_p2p_close(unisono_comm *comm); /* transfers still under way end with PEER_LOST */

/* Starts a transfer and does what can be done at once. It must stay where it is until it is done. */
void uni_p2p_start(unisono_comm *comm, struct uni_transfer *transfer);

/* Does what can be done now for all transfers of the communicator; true: something has moved, so that more of
 * it may follow soon. Thread-safe; never waits for peers. */
bool uni_p2p_progress(unisono_comm *comm);

/* Ends every transfer that is still under way with this status (the communicator is broken). */
void uni_p2p_fail_all(unisono_comm *comm, unisono_status status);

/* Is the transfer, not done yet, waiting for this rank? */
bool uni_p2p_misses(const struct uni_transfer *transfer, int rank);

#endif
