/* Letters: the small messages that ranks exchange over Unix sockets (SOCK_SEQPACKET), with descriptors. */
#ifndef UNI_RENDEZVOUS_LETTER_H
#define UNI_RENDEZVOUS_LETTER_H

#include <stdint.h>

#include "unisono.h"

enum uni_letter_kind {
  UNI_HELLO = 1, /* rank to rank 0: who I am; with its pidfd */
  UNI_WELCOME,   /* rank 0: all have come; the settings of the world, or why it failed */
  UNI_PEER,      /* rank 0: the socket to one peer, and its pidfd */
  UNI_SEGMENT,   /* owner to all: a segment of its memory */
  UNI_OFFER,     /* leader: the shared segment of a new communicator */
  UNI_REPLY,     /* member: I have mapped it, or why not */
  UNI_VERDICT,   /* leader: the communicator stands, or why not */
  UNI_ELSEWHERE  /* rank 0: there are other machines, come to the gathering */
};

enum { UNI_LETTER_WORDS = 10, UNI_LETTER_TEXT = 400, UNI_LETTER_FDS = 2 };

struct uni_letter {
  uint32_t kind;
  int32_t status; /* unisono_status */
  uint64_t words[UNI_LETTER_WORDS];
  char text[UNI_LETTER_TEXT]; /* zero-terminated where it is words for people */
  int fds[UNI_LETTER_FDS];    /* -1: none; owned by whoever holds the letter */
};

enum uni_delivery { UNI_DELIVERED, UNI_NOT_YET, UNI_CLOSED, UNI_FAILED };

void uni_letter_init(struct uni_letter *letter, enum uni_letter_kind kind);

/* Sends without waiting. UNI_NOT_YET: the peer's queue is full. The descriptors stay the caller's. */
enum uni_delivery uni_letter_send(int socket, const struct uni_letter *letter);

/* Sends, waiting for room until `deadline`. */
enum uni_delivery uni_letter_send_wait(int socket, const struct uni_letter *letter, int64_t deadline);

/* Receives without waiting. Anything that is no letter is UNI_FAILED. */
enum uni_delivery uni_letter_receive(int socket, struct uni_letter *letter);

/* Receives, waiting until `deadline` (UNI_NOT_YET: it passed). */
enum uni_delivery uni_letter_receive_wait(int socket, struct uni_letter *letter, int64_t deadline);

void uni_letter_close_fds(struct uni_letter *letter);

#endif
