#include <string.h>

#include "algorithms/steps.h"
#include "collectives/refs.h"
#include "comm.h"

void uni_stage_chunk(const unisono_comm *comm, const struct uni_lane *lane, const struct uni_chunk *chunk) {
  const struct uni_run *run = &comm->run;
  uint32_t index = (uint32_t)(lane - run->lanes);
  char *stage = uni_comm_stage(comm, comm->rank, index, UNI_STAGE_IN, run->chunks + chunk->index);
  for (int reader = 0; reader < comm->size; reader++) {
    if (reader == comm->rank)
      continue;
    struct uni_part part = uni_part_of(comm, chunk, comm->rank, reader);
    if (part.bytes == 0)
      continue;
    if (!uni_view_covers(&run->send[comm->rank], part.from, part.bytes))
      memcpy(stage + part.stage, (const char *)run->call.send + part.from, part.bytes);
    if (uni_parts_are_alike(run->call.kind))
      break;
  }
}
