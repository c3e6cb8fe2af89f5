#include <string.h>

#include "algorithms/steps.h"
#include "collectives/refs.h"
#include "comm.h"

/* Bytes of a part, by where they are in it. */
struct range {
  size_t from, to;
};

static size_t clamp(size_t at, size_t from, size_t to) {
  return at < from ? from : at > to ? to : at;
}

/* What the sender of a part writes into the reader's buffer; the reader fetches the rest. Both work it out
 * alike. All of a rooted collective goes to or from its root: if it does one n-th of every copy, and the
 * other rank the rest, everybody has as much to do. */
static struct range helped_range(const unisono_comm *comm, int sender, int reader,
                                 const struct uni_part *part) {
  const struct uni_view *view = &comm->run.recv[reader];
  size_t roots = uni_whole_lines(part->bytes / (size_t)comm->size), end = part->to + part->bytes;
  size_t cut = sender == comm->run.call.root ? part->bytes - roots : roots;
  if (!comm->run.plan.helps || sender == reader || part->bytes < UNI_TRIAL_LEAST)
    return (struct range){0, 0};
  return (struct range){clamp(view->push_from, part->to + cut, end) - part->to,
                        clamp(view->push_to, part->to + cut, end) - part->to};
}

/* Into this rank's own buffer. */
static void fetch(const unisono_comm *comm, const struct uni_lane *lane, int sender,
                  const struct uni_part *part, const void *source) {
  const struct uni_run *run = &comm->run;
  char *target = (char *)run->call.recv + part->to;
  uni_stream_fn stream = run->plan.streams ? comm->kernels->stream : NULL;
  if (run->plan.hands_over && uni_part_is_staged(comm, sender, part))
    uni_handover_read(run->handover, lane == run->lanes, stream, target, (void *)(uintptr_t)source,
                      part->bytes, &comm->places[comm->rank].reads);
  else if (target != source) /* in place */
    uni_copy_by(stream, target, source, part->bytes);
}

/* The part without what its sender brings. */
static void fetch_rest(const unisono_comm *comm, const struct uni_lane *lane, int sender,
                       const struct uni_part *part, const char *source) {
  struct range helped = helped_range(comm, sender, comm->rank, part);
  struct uni_part before = *part, behind = *part;
  before.bytes = helped.from;
  behind.bytes -= helped.to;
  behind.from += helped.to;
  behind.to += helped.to;
  if (helped.from > 0)
    fetch(comm, lane, sender, &before, source);
  if (behind.bytes > 0)
    fetch(comm, lane, sender, &behind, source + helped.to);
}

/* What this rank brings the reader of a part. */
static void help(const unisono_comm *comm, struct uni_lane *lane, const struct uni_chunk *chunk, int reader) {
  const struct uni_run *run = &comm->run;
  struct uni_part part = uni_part_of(comm, chunk, comm->rank, reader);
  struct range helped = helped_range(comm, comm->rank, reader, &part);
  size_t bytes = helped.to - helped.from;
  char *target = run->recv[reader].base + part.to + helped.from;
  const char *source = (const char *)run->call.send + part.from + helped.from;
  if (bytes == 0)
    return;
  if (run->plan.streams)
    comm->kernels->stream(target, source, bytes);
  else
    uni_outflow_copy(lane->outflow.helps, comm->kernels->stream, target, source, bytes);
}

void uni_copy_chunk(const unisono_comm *comm, struct uni_lane *lane, const struct uni_chunk *chunk) {
  for (int i = 0; i < comm->size; i++) { /* from itself on, so that not all read the same one at once */
    int sender = (comm->rank + i) % comm->size;
    struct uni_part part = uni_part_of(comm, chunk, sender, comm->rank);
    if (part.bytes > 0)
      fetch_rest(comm, lane, sender, &part, uni_part_source(comm, lane, chunk, sender, &part));
  }
  for (int i = 1; i < comm->size && comm->run.plan.helps; i++)
    help(comm, lane, chunk, (comm->rank + i) % comm->size);
}
