#include "algorithms/steps.h"

#include <string.h>
#include <sys/mman.h>

#include "collectives/refs.h"
#include "collectives/select.h"
#include "comm.h"

enum { POPULATE_WRITE = 23 }; /* MADV_POPULATE_WRITE, which older headers do not know */

void uni_stage_map(unisono_comm *comm) {
  char *stages = uni_comm_stage(comm, 0, 0, UNI_STAGE_IN);
  comm->run.stages_mapped = true;
  madvise(stages, comm->layout.total - comm->layout.stages,
          POPULATE_WRITE); /* before Linux 5.14: as they come */
}

void uni_stage_begin(unisono_comm *comm, size_t room) {
  struct uni_run *run = &comm->run;
  if (!run->stages_mapped)
    uni_stage_map(comm);
  enum { ROOM_LEAST = 4096 }; /* what the processor fetches ahead is the operation's own */
  run->plan.room = (room + ROOM_LEAST - 1) / ROOM_LEAST * ROOM_LEAST;
  run->plan.turns = uni_select_ring(comm, run->plan.room) / run->plan.room;
  run->plan.turn = (run->staged + run->plan.room - 1) / run->plan.room % run->plan.turns;
}

static size_t turn_of(const struct uni_plan *plan, uint64_t chunk) {
  uint64_t turn = plan->turn + chunk;
  return turn < plan->turns ? turn : turn % plan->turns;
}

char *uni_stage_place(const unisono_comm *comm, int rank, uint32_t lane, int which, uint64_t chunk) {
  const struct uni_plan *plan = &comm->run.plan;
  return uni_comm_stage(comm, rank, lane, which) + turn_of(plan, chunk) * plan->room;
}

char *uni_stage_part(const unisono_comm *comm, const struct uni_lane *lane, const struct uni_chunk *chunk,
                     int sender, int reader, const struct uni_part *part) {
  const struct uni_run *run = &comm->run;
  uint32_t index = (uint32_t)(lane - run->lanes);
  if (!run->plan.trades)
    return uni_stage_place(comm, sender, index, UNI_STAGE_IN, chunk->index) + part->stage;
  uint64_t which = chunk->index % UNI_TRADED_ROOMS;
  bool is_other_side = (run->traded[which] + chunk->index / UNI_TRADED_ROOMS) % 2;
  char *room = is_other_side ? uni_comm_traded(comm, reader, index, sender, which)
                             : uni_comm_traded(comm, sender, index, reader, which);
  return room + (uni_kind_shares_result(run->call.kind) ? part->stage : 0); /* a slice of the whole */
}

/* A peer may still read the last chunk, where this rank wrote it: the next operation begins behind it, or on
 * the other side. */
void uni_stage_advance(unisono_comm *comm) {
  struct uni_run *run = &comm->run;
  uint64_t chunks = run->lanes[0].chunks;
  if (run->plan.algorithm != UNI_STAGED && run->plan.algorithm != UNI_ONE_SHOT &&
      run->plan.algorithm != UNI_BY_LEVELS)
    return;
  run->staged = (turn_of(&run->plan, chunks - 1) + 1) * run->plan.room;
  for (uint64_t which = 0; which < UNI_TRADED_ROOMS && run->plan.trades; which++)
    run->traded[which] += (chunks + UNI_TRADED_ROOMS - 1 - which) / UNI_TRADED_ROOMS;
}

static void stage_part(const unisono_comm *comm, struct uni_lane *lane, char *to,
                       const struct uni_part *part) {
  const struct uni_run *run = &comm->run;
  const char *from = (const char *)run->call.send + part->from;
  if (run->plan.trades)
    memcpy(to, from, part->bytes); /* the lines are this rank's */
  else if (run->plan.hands_over)
    uni_handover_write(run->handover, lane == run->lanes, comm->kernels->stream, to, from, part->bytes,
                       &comm->places[1 - comm->rank].reads);
  else
    uni_outflow_copy(lane->outflow.copies, comm->kernels->stream, to, from, part->bytes);
}

void uni_stage_chunk(const unisono_comm *comm, struct uni_lane *lane, const struct uni_chunk *chunk) {
  const struct uni_run *run = &comm->run;
  for (int reader = 0; reader < comm->size; reader++) {
    if (reader == comm->rank)
      continue;
    struct uni_part part = uni_part_of(comm, chunk, comm->rank, reader);
    if (part.bytes == 0)
      continue;
    if (!uni_view_covers(&run->send[comm->rank], part.from, part.bytes))
      stage_part(comm, lane, uni_stage_part(comm, lane, chunk, comm->rank, reader, &part), &part);
    if (!run->plan.trades && (chunk->whole || uni_parts_are_alike(run->call.kind)))
      break; /* all read it in one place */
  }
}
