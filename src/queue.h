/* The inside of a communicator's queue, for the helper thread. */
#ifndef UNI_QUEUE_H
#define UNI_QUEUE_H

#include <pthread.h>
#include <stdatomic.h>

#include "request.h"
#include "shm/wait.h"

struct unisono_request {
  unisono_comm *comm;
  bool is_transfer;
  struct uni_call call;
  size_t *counts; /* copies of a v-collective's arrays */
  struct uni_transfer transfer;
  unisono_message *message;
  struct uni_wait wait; /* of a transfer */
  bool begun;           /* a collective that is under way */
  unisono_status status;
  char text[320];
  _Atomic bool done; /* stored last, with release: status and text are there */
  unisono_request *next;
};

struct uni_queue {
  pthread_mutex_t list;          /* guards the lists; held for moments */
  pthread_mutex_t moving;        /* held by the thread that moves the operations on */
  unisono_request *first, *last; /* collectives, in order; only who holds `moving` takes from the front */
  unisono_request *transfers;
  _Atomic unsigned collectives; /* in the list */
  _Atomic unsigned pending;     /* all operations in both lists */
  _Atomic unsigned attended; /* threads that wait and so move things on: the helper keeps out of their way */
  struct uni_wait wait;      /* of the collective under way */
  unisono_comm *next_helped; /* the helper's list */
  _Atomic bool helped;       /* in that list; written with the helper's lock */
};

void uni_queue_append(struct uni_queue *q, unisono_request *request);

/* Moves the communicator's operations on until this one is done. */
void uni_queue_attend(unisono_comm *comm, unisono_request *request);

/* Moves the communicator's operations on, as far as that goes without waiting, unless another thread is at
 * it. True: something moved. */
bool uni_queue_move(unisono_comm *comm);

/* The same, after another thread that is at it. For the look before a sleep, which has to happen: the other
 * thread may have looked just before there was something to see. */
bool uni_queue_move_in_turn(unisono_comm *comm);

#endif
