/* The messages of a communicator under way, and what the files of p2p/ do for each other. Everything here is
 * called with the lock held. */
#ifndef UNI_P2P_STATE_H
#define UNI_P2P_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "p2p/channel.h"
#include "p2p/p2p.h"
#include "shm/bitmap.h"

/* Where a large message is. */
enum uni_stage {
  UNI_SILENT,  /* announced (send); cut off by a failure (receive) */
  UNI_TO_OPEN, /* the receiver wants to tell the sender that the data may come */
  UNI_STREAMS, /* data comes through the ring */
  UNI_TO_CLOSE /* the receiver wants to tell the sender that it has the data */
};

/* Transfers in the order of their start. */
struct uni_list {
  struct uni_transfer *first, **end;
};

/* What this rank sends to one peer. */
struct uni_sending {
  struct uni_outlet outlet;
  struct uni_list waiting;   /* not on the ring yet */
  struct uni_list announced; /* large messages not received yet */
  uint64_t tickets;          /* given to large messages */
};

/* What this rank receives from one peer. */
struct uni_receiving {
  struct uni_inlet inlet;
  int awaited; /* receives that name this peer, or that more data has to come for */
};

/* A message that came before its receive. */
struct uni_kept {
  struct uni_kept *next;
  struct uni_packet packet;
  char payload[];
};

struct uni_p2p {
  pthread_mutex_t lock; /* guards all of it but `busy` */
  bool stopped;         /* the communicator is broken, and everything on the channels void */
  uint64_t events;      /* counts what has moved */
  _Atomic int busy;     /* transfers under way */

  struct uni_sending *sending;     /* by peer */
  struct uni_bitmap receivers;     /* peers that something is being sent to */
  struct uni_receiving *receiving; /* by peer */
  struct uni_bitmap senders;       /* peers that are awaited */
  int awaited_any;                 /* posted receives from any rank */
  int turn;                        /* where those begin to look, so that each peer comes first at times */

  struct uni_list posted;  /* receives that no message has come for */
  struct uni_list matched; /* receives whose message is on its way */
  int unanswered;          /* of these, the ones whose sender has to be told something */
  struct uni_kept *kept;   /* messages that came before their receives, in the order they came */
  struct uni_kept **kept_end;
};

/* ---- p2p.c */

void uni_list_append(struct uni_list *list, struct uni_transfer *transfer);
struct uni_transfer *uni_list_take(struct uni_list *list, struct uni_transfer **at); /* takes *at out */

/* Ends the transfer, which may be gone when this returns. */
void uni_p2p_finish(struct uni_p2p *p2p, struct uni_transfer *transfer, unisono_status status);

/* ---- send.c */

void uni_send_start(unisono_comm *comm, struct uni_transfer *send);
void uni_send_progress(unisono_comm *comm, int peer);

/* ---- match.c */

/* Takes out the first receive posted that this message is for; NULL: there is none. */
struct uni_transfer *uni_match_posted(struct uni_p2p *p2p, int peer, int tag);
void uni_match_post(struct uni_p2p *p2p, struct uni_transfer *receive);

/* Takes out the first message kept that is for this receive; NULL: there is none. Its caller frees it. */
struct uni_kept *uni_match_kept(struct uni_p2p *p2p, const struct uni_transfer *receive);
unisono_status uni_match_keep(struct uni_p2p *p2p, const struct uni_packet *packet);

void uni_match_await(struct uni_p2p *p2p, int peer);   /* something has to come from `peer` or UNI_ANY */
void uni_match_awaited(struct uni_p2p *p2p, int peer); /* it has come */

/* ---- receive.c */

void uni_receive_start(unisono_comm *comm, struct uni_transfer *receive);
void uni_receive_progress(unisono_comm *comm);

#endif
