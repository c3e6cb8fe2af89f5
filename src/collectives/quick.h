/* A small blocking collective in a straight line, as part of its function of the API: what run.c does for an
 * inline operation, without the machine. Where its peers let it wait the machine takes over. */
#ifndef UNI_COLLECTIVES_QUICK_H
#define UNI_COLLECTIVES_QUICK_H

#include "algorithms/inline.h"
#include "collectives/arrive.h"
#include "collectives/drive.h"
#include "comm.h"
#include "queue.h"

/* Looks at a peer's line, with a pause between them, before the machine goes on with waiting in its ways. */
enum { UNI_QUICK_LOOKS = 200 };

/* May `call` be run at once, and in this way? */
UNI_STRAIGHT bool uni_is_quick(unisono_comm *comm, const struct uni_call *call) {
  const struct uni_run *run = &comm->run;
  /* acquire: the helper is through with the run */
  return call->block < run->inline_ends[call->kind] &&
         atomic_load_explicit(&comm->queue->collectives, memory_order_acquire) == 0 &&
         !uni_comm_is_broken(comm) &&
         (uni_may_arrive(comm, call, run->sequence + 1) || uni_meet_arrivals(comm, run->sequence));
}

/* Is the rank's line there, and does it say what this rank says? */
UNI_STRAIGHT bool uni_quick_sees(const unisono_comm *comm, const struct uni_call *call, int rank,
                                 uint64_t sequence, int looks) {
  const struct uni_arrival *line = uni_line_of(comm, rank, sequence);
  while (!uni_has_arrived(comm, rank, sequence)) {
    if (--looks < 0)
      return false;
    uni_relax();
  }
  return line->call == uni_line_call(call) && line->count == call->count && line->match == call->match;
}

/* Are all lines there of the operation before, whose root this rank was? */
static inline bool uni_quick_meets_last(unisono_comm *comm, int looks) {
  while (!uni_meet_arrivals(comm, comm->run.sequence - 1)) {
    if (--looks < 0 || uni_comm_is_broken(comm))
      return false;
    uni_relax();
  }
  return true;
}

UNI_STRAIGHT unisono_status uni_quick(unisono_comm *comm, const struct uni_call *call) {
  struct uni_run *run = &comm->run;
  uint64_t sequence = ++run->sequence;
  uni_inline_put(comm, call, sequence);
  uni_publish_line(comm, call, call->count, uni_line_of(comm, comm->rank, sequence), sequence);
  struct uni_inline_fold fold;
  uni_inline_prepare(comm, call, sequence, &fold);
  int looks = comm->world->settings.crowded ? 0 : UNI_QUICK_LOOKS;
  bool is_one_sided = uni_inline_is_one_sided(comm, call);
  if (looks && !is_one_sided && uni_inline_bytes(comm, call) > UNI_HEADER_PAYLOAD)
    uni_relax(); /* a look too early would take lines away from who is about to write to them */
  if (run->met + 1 != sequence && !uni_quick_meets_last(comm, looks))
    return uni_drive_on(comm, *call, run->cursor);
  if (!is_one_sided) {
    for (int r = 0; r < comm->size; r++)
      if (r != comm->rank && !uni_quick_sees(comm, call, r, sequence, looks))
        return uni_drive_on(comm, *call, r);
    run->met = sequence;
  }
  uni_inline_deliver(comm, call, sequence, &fold);
  return UNISONO_OK;
}

#endif
