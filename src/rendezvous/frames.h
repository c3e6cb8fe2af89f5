/* What rank 0 and the others tell each other over TCP while they meet. */
#ifndef UNI_RENDEZVOUS_FRAMES_H
#define UNI_RENDEZVOUS_FRAMES_H

#include "rendezvous/demand.h"
#include "unisono.h"

enum {
  UNI_FRAMES_VERSION = 2,
  UNI_REFUSAL_TEXT = 400,
  UNI_VERDICT_MS = 1000 /* rank 0 says at its time limit who is missing: the others wait so much longer */
};

/* Kinds of frames; those from UNI_CLUSTER_FRAMES on are the cluster's. */
enum { UNI_FRAME_CARD = 1, UNI_FRAME_ROSTER, UNI_FRAME_REFUSED, UNI_CLUSTER_FRAMES = 16 };

/* Where a rank is, and what it needs there. */
struct uni_resident {
  uint64_t kernel, place;
  struct uni_demand demand;
};

unisono_status uni_resident_here(int threads, struct uni_resident *who);

/* What a rank says of itself when it has connected. */
struct uni_card {
  uint32_t version, rank, size, unused;
  uint64_t left_ms; /* until it waits no longer; UINT64_MAX: never */
  struct uni_resident who;
};

struct uni_refusal {
  uint32_t status; /* unisono_status */
  char text[UNI_REFUSAL_TEXT];
};

#endif
