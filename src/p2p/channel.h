/* The two ends of a channel: a ring of lines on which one rank puts packets and another takes them off. */
#ifndef UNI_P2P_CHANNEL_H
#define UNI_P2P_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/layout.h"
#include "unisono.h"

enum uni_packet_kind {
  UNI_EAGER = 1, /* a small message: its elements */
  UNI_ANNOUNCED, /* a large message: where its buffer is (struct uni_ref) */
  UNI_DATA       /* the next bytes of a large message that the receiver has opened */
};

enum uni_answer {
  UNI_WANTED, /* the message has found its receive, which waits for the data */
  UNI_TAKEN   /* the data is there */
};

/* What a packet begins with. */
struct uni_envelope {
  uint8_t kind, dtype;
  uint16_t unused;
  int32_t tag;
  uint64_t count;  /* elements of the message; of data: bytes in this packet */
  uint64_t ticket; /* names a large message */
};

/* The sender's end. */
struct uni_outlet {
  uint64_t head, tail; /* lines written; lines read, as last seen */
  uint64_t heard;      /* answers read */
};

/* The receiver's end. */
struct uni_inlet {
  uint64_t tail; /* lines read */
  uint64_t said; /* answers written */
};

/* Bytes on a ring or elsewhere: `first` of them at `start`, the others at `rest`, where the ring goes on. */
struct uni_span {
  const char *start, *rest;
  size_t first;
};

/* A packet that has come. The envelope is a copy, and checked; the payload is still where it was. */
struct uni_packet {
  int peer;
  struct uni_envelope envelope;
  size_t bytes; /* of the payload */
  struct uni_span payload;
};

void uni_span_copy(void *to, struct uni_span from, size_t bytes);

/* Bytes of a message that need not wait for its receive. */
size_t uni_eager_max(const unisono_comm *comm);

/* Bytes of streamed data in a packet; four of them fill the ring. */
size_t uni_fragment(const unisono_comm *comm);

/* Puts a packet on the ring; false: there is no room now. Who has put packets wakes the peer. */
bool uni_outlet_put(unisono_comm *comm, int peer, const struct uni_envelope *envelope, const void *payload,
                    size_t bytes);

/* Takes the next answer; false: there is none. Who has taken answers wakes the peer. */
bool uni_outlet_hear(unisono_comm *comm, int peer, enum uni_answer *answer, uint64_t *ticket);

/* Lines that `peer` has written. */
uint64_t uni_inlet_head(unisono_comm *comm, int peer);

/* Looks at the next packet before `head`; false: what is there is none, and the communicator is broken. */
bool uni_inlet_look(unisono_comm *comm, int peer, uint64_t head, struct uni_packet *packet);

/* Takes it off the ring; its payload is gone. */
void uni_inlet_drop(unisono_comm *comm, const struct uni_packet *packet);

/* Answers a large message; false: the sender has to read other answers first. Who has answered wakes the
 * peer. */
bool uni_inlet_say(unisono_comm *comm, int peer, enum uni_answer answer, uint64_t ticket);

/* Copies what a peer may change meanwhile: what is checked later is this copy. */
void uni_copy_once(void *to, const void *from, size_t bytes);

/* Breaks the communicator, because what `peer` has written cannot be. */
void uni_p2p_corrupt(unisono_comm *comm, int peer, const char *what);

#endif
