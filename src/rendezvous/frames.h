/* What rank 0 and the others tell each other over TCP while they meet. */
#ifndef UNI_RENDEZVOUS_FRAMES_H
#define UNI_RENDEZVOUS_FRAMES_H

#include "rendezvous/demand.h"
#include "unisono.h"

enum {
  UNI_FRAMES_VERSION = 3,
  UNI_REFUSAL_TEXT = 400,
  UNI_VERDICT_MS = 1000, /* rank 0 says at its time limit who is missing: the others wait so much longer */
  /* A connection that breaks before the list is there can be made anew. The other side of a break may show by
   * keep-alive only, after a second. */
  UNI_RETURN_MS = 1000, /* rank 0 is looked for so long */
  UNI_AWAY_MS = 1500    /* and waits so long */
};

/* Kinds of frames; those from UNI_CLUSTER_FRAMES on are the cluster's. */
enum {
  UNI_FRAME_CARD = 1, /* to rank 0: who I am */
  UNI_FRAME_ROSTER,   /* from rank 0: who all are */
  UNI_FRAME_REFUSED,  /* or why there is no meeting */
  UNI_FRAME_READ,     /* to rank 0: I have the list */
  UNI_CLUSTER_FRAMES = 16
};

/* Where a rank is, and what it needs there. */
struct uni_resident {
  uint64_t kernel, place;
  struct uni_demand demand;
};

unisono_status uni_resident_here(int threads, struct uni_resident *who);

/* What a rank says of itself when it has connected. */
struct uni_card {
  uint32_t version, rank, size, unused;
  uint64_t process; /* random: who comes again is the one who was here */
  uint64_t left_ms; /* until it waits no longer; UINT64_MAX: never */
  struct uni_resident who;
};

struct uni_refusal {
  uint32_t status; /* unisono_status */
  char text[UNI_REFUSAL_TEXT];
};

#endif
