#include <string.h>

#include "algorithms/steps.h"
#include "comm.h"

void uni_copy_chunk(const unisono_comm *comm, const struct uni_lane *lane, const struct uni_chunk *chunk) {
  for (int i = 0; i < comm->size; i++) { /* from itself on, so that not all read the same one at once */
    int sender = (comm->rank + i) % comm->size;
    struct uni_part part = uni_part_of(comm, chunk, sender, comm->rank);
    if (part.bytes == 0)
      continue;
    const void *source = uni_part_source(comm, lane, chunk, sender, &part);
    char *target = (char *)comm->run.call.recv + part.to;
    if (target != source) /* in place */
      memcpy(target, source, part.bytes);
  }
}
