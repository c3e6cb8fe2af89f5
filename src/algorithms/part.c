#include "algorithms/part.h"

#include "algorithms/steps.h"
#include "collectives/refs.h"
#include "comm.h"

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

/* Whole lines, so that owners do not share any. */
static size_t slice_of(const unisono_comm *comm, size_t bytes) {
  size_t n = (size_t)comm->size;
  return uni_whole_lines((bytes + n - 1) / n);
}

struct uni_chunk uni_chunk_of_lane(const unisono_comm *comm, const struct uni_lane *lane) {
  return (struct uni_chunk){
      .from = lane->from, .to = lane->from + lane->bytes, .slice = slice_of(comm, lane->bytes)};
}

struct uni_chunk uni_chunk_of(const unisono_comm *comm, const struct uni_lane *lane, uint64_t index) {
  const struct uni_plan *plan = &comm->run.plan;
  struct uni_chunk chunk = {.index = index, .room = plan->chunk};
  if (plan->has_edges) {
    size_t bounds[4] = {0, plan->edges[0], plan->edges[1], plan->total};
    chunk.from = bounds[index];
    chunk.to = bounds[index + 1];
  } else {
    chunk.from = lane->from + least(lane->bytes, (size_t)index * plan->chunk);
    chunk.to = lane->from + least(lane->bytes, (size_t)index * plan->chunk + plan->chunk);
  }
  if (uni_kind_shares_result(comm->run.call.kind))
    chunk.slice = slice_of(comm, chunk.to - chunk.from);
  chunk.whole = plan->one_shot || plan->algorithm == UNI_BY_LEVELS;
  return chunk;
}

bool uni_parts_are_alike(enum uni_kind kind) {
  return kind == UNI_BROADCAST || kind == UNI_ALL_GATHER || kind == UNI_GATHER || kind == UNI_ALL_GATHERV;
}

/* What `owner` folds: its slice, or all of the chunk. */
static struct uni_part slice(const struct uni_chunk *chunk, int owner) {
  size_t bytes = chunk->to - chunk->from;
  size_t from = least(bytes, chunk->slice * (size_t)owner), to = least(bytes, from + chunk->slice);
  if (chunk->whole)
    from = 0, to = bytes;
  return (struct uni_part){
      .from = chunk->from + from, .bytes = to - from, .stage = from, .to = chunk->from + from};
}

/* Where the sender stages what the reader reads of it: what it sends itself has no room there. */
static size_t room_of(const struct uni_chunk *chunk, int sender, int reader) {
  return chunk->room * (size_t)(reader - (reader > sender));
}

/* The bytes of the chunk in a block that begins at `from` in the send buffer and at `to` in the receive
 * buffer. */
static struct uni_part in_block(const struct uni_chunk *chunk, size_t from, size_t bytes, size_t to,
                                size_t stage) {
  if (chunk->from >= bytes)
    return (struct uni_part){.bytes = 0};
  return (struct uni_part){.from = from + chunk->from,
                           .bytes = least(bytes, chunk->to) - chunk->from,
                           .stage = stage,
                           .to = to + chunk->from};
}

static struct uni_part in_v_block(const unisono_comm *comm, const struct uni_chunk *chunk, int sender,
                                  int reader) {
  const struct uni_call *call = &comm->run.call;
  struct uni_pair pair = comm->run.pairs[sender];
  size_t to = call->recv_displs[sender] * call->element, stage = 0;
  if (call->kind == UNI_ALL_TO_ALLV)
    stage = room_of(chunk, sender, reader);
  if (reader != comm->rank) { /* what this rank sends */
    pair = (struct uni_pair){0, call->block};
    if (call->kind == UNI_ALL_TO_ALLV)
      pair = (struct uni_pair){call->send_displs[reader] * call->element,
                               call->send_counts[reader] * call->element};
    to = 0;
  }
  return in_block(chunk, pair.from, pair.bytes, to, stage);
}

struct uni_part uni_part_of(const unisono_comm *comm, const struct uni_chunk *chunk, int sender, int reader) {
  const struct uni_call *call = &comm->run.call;
  size_t block = call->block, at_reader = block * (size_t)reader, at_sender = block * (size_t)sender;
  size_t room = room_of(chunk, sender, reader);
  bool reads = true;
  switch (call->kind) {
  case UNI_ALL_REDUCE:
  case UNI_REDUCE:
    return slice(chunk, reader);
  case UNI_REDUCE_SCATTER:
    return in_block(chunk, at_reader, block, 0, room);
  case UNI_BROADCAST:
    reads = sender == call->root && reader != call->root;
    return in_block(chunk, 0, reads ? block : 0, 0, 0);
  case UNI_GATHER:
    reads = reader == call->root;
    return in_block(chunk, 0, reads ? block : 0, at_sender, 0);
  case UNI_ALL_GATHER:
    return in_block(chunk, 0, block, at_sender, 0);
  case UNI_SCATTER:
    reads = sender == call->root;
    return in_block(chunk, at_reader, reads ? block : 0, 0, room);
  case UNI_ALL_TO_ALL:
    return in_block(chunk, at_reader, block, at_sender, room);
  case UNI_ALL_TO_ALLV:
  case UNI_ALL_GATHERV:
    return in_v_block(comm, chunk, sender, reader);
  default:
    return (struct uni_part){.bytes = 0};
  }
}

bool uni_part_is_staged(const unisono_comm *comm, int sender, const struct uni_part *part) {
  return sender != comm->rank && !uni_view_covers(&comm->run.send[sender], part->from, part->bytes);
}

const void *uni_part_source(const unisono_comm *comm, const struct uni_lane *lane,
                            const struct uni_chunk *chunk, int sender, const struct uni_part *part) {
  const struct uni_run *run = &comm->run;
  if (sender == comm->rank)
    return (const char *)run->call.send + part->from;
  if (!uni_part_is_staged(comm, sender, part))
    return run->send[sender].base + part->from;
  return uni_stage_part(comm, lane, chunk, sender, comm->rank, part);
}
