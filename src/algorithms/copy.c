#include <string.h>

#include "algorithms/steps.h"
#include "comm.h"

static void copy_part(const unisono_comm *comm, const struct uni_lane *lane, int sender, char *target,
                      const void *source, const struct uni_part *part) {
  const struct uni_run *run = &comm->run;
  if (run->plan.hands_over && uni_part_is_staged(comm, sender, part))
    uni_handover_read(run->handover, lane == run->lanes, target, (void *)(uintptr_t)source, part->bytes,
                      &comm->places[comm->rank].reads);
  else if (target != source) /* in place */
    memcpy(target, source, part->bytes);
}

void uni_copy_chunk(const unisono_comm *comm, const struct uni_lane *lane, const struct uni_chunk *chunk) {
  for (int i = 0; i < comm->size; i++) { /* from itself on, so that not all read the same one at once */
    int sender = (comm->rank + i) % comm->size;
    struct uni_part part = uni_part_of(comm, chunk, sender, comm->rank);
    if (part.bytes == 0)
      continue;
    const void *source = uni_part_source(comm, lane, chunk, sender, &part);
    char *target = (char *)comm->run.call.recv + part.to;
    copy_part(comm, lane, sender, target, source, &part);
  }
}
