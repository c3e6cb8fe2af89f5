/* Before an all_reduce whose results are pushed into the buffers of their receivers: does a rank first take
 * the lines of its receive buffer back from the rank that pushed into them last time?
 *
 * Where a rank has read its results, and processors share a cache, the pusher still owns the lines, and the
 * reader has a copy. Some processors (AMD's, Zen 4) take much longer to write to a line that they own and
 * others have copies of than to one that another cache has for itself. So the reader *touches* the lines that
 * it is to get: it writes a byte of each back, and then has it for itself. Where the lines are elsewhere that
 * is work for nothing. So both ways are timed (trial.h).
 *
 * It pays if both ranks do it. So rank 0 decides, and says in its arrival line what both do in the next
 * operation of such a size. */
#ifndef UNI_COLLECTIVES_RECLAIM_H
#define UNI_COLLECTIVES_RECLAIM_H

#include <stdbool.h>

#include "shm/trial.h"

struct unisono_comm;

enum uni_reclaim_way { UNI_RECLAIM_NOTHING, UNI_RECLAIM_LINES };

struct uni_reclaim {
  struct uni_trial trials[UNI_TRIAL_CLASSES]; /* rank 0's */
  struct uni_turn next[UNI_TRIAL_CLASSES];    /* of the next operation; its way is what rank 0 has said */
  /* of the operation */
  struct uni_turn turn;
  bool is_open;
  int class;
};

/* The operation begins, the lanes are set up: takes the lines back, if that is the way. */
void uni_reclaim_begin(struct unisono_comm *comm);

/* This rank has arrived, and has met the other: the time between is not the way's. */
void uni_reclaim_arrived(struct unisono_comm *comm);
void uni_reclaim_met(struct unisono_comm *comm);

void uni_reclaim_end(struct unisono_comm *comm);

#endif
