#include <string.h>

#include "algorithms/steps.h"
#include "comm.h"

void uni_copy_own(unisono_comm *comm) {
  enum { MOST = 64 << 10 }; /* bytes: of more, each chunk is copied while it is near, having been staged */
  struct uni_run *run = &comm->run;
  const struct uni_chunk whole = {.to = run->call.block};
  run->own_copied =
      !uni_kind_folds(run->call.kind) && !uni_kind_is_v(run->call.kind) && run->call.block <= MOST;
  if (!run->own_copied)
    return;
  struct uni_part part = uni_part_of(comm, &whole, comm->rank, comm->rank);
  const char *source = (const char *)run->call.send + part.from;
  char *target = (char *)run->call.recv + part.to;
  if (part.bytes && target != source) /* in place */
    memcpy(target, source, part.bytes);
}

void uni_copy_chunk(const unisono_comm *comm, const struct uni_lane *lane, const struct uni_chunk *chunk) {
  for (int i = 0; i < comm->size; i++) { /* from itself on, so that not all read the same one at once */
    int sender = (comm->rank + i) % comm->size;
    struct uni_part part = uni_part_of(comm, chunk, sender, comm->rank);
    if (part.bytes == 0 || (sender == comm->rank && comm->run.own_copied))
      continue;
    const void *source = uni_part_source(comm, lane, chunk, sender, &part);
    char *target = (char *)comm->run.call.recv + part.to;
    if (target != source) /* in place */
      memcpy(target, source, part.bytes);
  }
}
