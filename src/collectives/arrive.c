#include "collectives/arrive.h"

#include <stdio.h>

#include "algorithms/inline.h"
#include "algorithms/steps.h"
#include "collectives/refs.h"
#include "collectives/select.h"
#include "comm.h"
#include "kernels/reduce.h"
#include "shm/wait.h"

void uni_set_up_lanes(unisono_comm *comm) {
  struct uni_run *run = &comm->run;
  struct uni_plan *plan = &run->plan;
  size_t share = uni_whole_lines(plan->total / plan->lanes), from = 0;
  for (uint32_t i = 0; i < plan->lanes; i++) {
    struct uni_lane *lane = &run->lanes[i];
    size_t left = plan->total - from;
    lane->from = from;
    lane->bytes = i + 1 == plan->lanes || left < share ? left : share;
    lane->cursor = 0;
    atomic_store_explicit(&lane->step, 1, memory_order_relaxed);
    atomic_store_explicit(&lane->done, false, memory_order_relaxed);
    from += lane->bytes;
  }
}

/* What the peers cannot read in this rank's buffer goes to its stage already now. */
static void stage_first_chunk(unisono_comm *comm) {
  struct uni_run *run = &comm->run;
  size_t bytes = uni_call_send_bytes(&run->call, comm->size, comm->rank);
  run->plan.one_shot = uni_select_one_shot(comm, &run->call);
  run->plan.by_levels = uni_select_by_levels(comm, &run->call);
  run->plan.algorithm = run->plan.by_levels ? UNI_BY_LEVELS : UNI_STAGED;
  run->plan.trades = uni_select_trades(comm, &run->call);
  run->plan.chunk = uni_select_staged_chunk(comm, &run->call);
  uni_stage_begin(comm, run->plan.chunk * uni_select_rooms(comm, &run->call));
  run->plan.has_edges = false;
  run->plan.hands_over = uni_select_hands_over(comm, run->call.kind);
  bool stages = bytes > 0 && !uni_view_covers(&run->send[comm->rank], 0, bytes);
  if (run->plan.hands_over)
    uni_handover_begin(run->handover, run->call.block, stages);
  if (!stages)
    return;
  for (uint32_t i = 0; i < run->plan.lanes; i++) {
    struct uni_chunk chunk = uni_chunk_of(comm, &run->lanes[i], 0);
    uni_stage_chunk(comm, &run->lanes[i], &chunk);
  }
}

/* Finds this rank's buffers, and notes what of them peers may come to write. */
static void locate_buffers(unisono_comm *comm) {
  struct uni_run *run = &comm->run;
  const struct uni_call *call = &run->call;
  size_t send = uni_call_send_bytes(call, comm->size, comm->rank);
  size_t recv = uni_call_recv_bytes(call, comm->size, comm->rank);
  const struct uni_ref none = {.segment = UNI_PRIVATE};
  bool hides = uni_select_hides(comm, call), shows = uni_kind_is_pushed(call->kind) && !hides;
  run->send_ref = hides ? none : uni_ref_of(comm, call->send, send);
  if (call->send == call->recv && (call->kind == UNI_ALL_TO_ALL || call->kind == UNI_ALL_TO_ALLV))
    run->send_ref.segment =
        UNI_PRIVATE; /* exchanged in place: each chunk is staged before it is overwritten */
  run->recv_ref = shows ? uni_ref_of(comm, call->recv, recv) : none;
  uni_view_of(comm, comm->rank, run->send_ref, send, (void *)(uintptr_t)call->send, &run->send[comm->rank]);
  uni_view_of(comm, comm->rank, run->recv_ref, recv, call->recv, &run->recv[comm->rank]);
  const struct uni_view *view = &run->recv[comm->rank];
  run->exposed = view->push_to ? view->base + view->push_from : NULL;
  run->exposed_bytes = view->push_to - view->push_from;
}

static void publish_counts(unisono_comm *comm) {
  const struct uni_call *call = &comm->run.call;
  uint64_t *counts = uni_comm_counts(comm, comm->rank, UNI_SEND_COUNTS);
  uint64_t *displs = uni_comm_counts(comm, comm->rank, UNI_SEND_DISPLS);
  uint64_t *extent = uni_comm_counts(comm, comm->rank, UNI_SEND_EXTENT);
  for (int r = 0; r < comm->size; r++) {
    counts[r] = call->send_counts ? call->send_counts[r] : call->count;
    displs[r] = call->send_displs ? call->send_displs[r] : 0;
  }
  extent[0] = uni_call_send_bytes(call, comm->size, comm->rank);
}

/* The most elements that this rank sends to one other: with the others' it decides on the chunks. */
static size_t line_count(const unisono_comm *comm) {
  const struct uni_call *call = &comm->run.call;
  size_t most = call->count;
  for (int r = 0; r < comm->size && call->send_counts; r++)
    most = call->send_counts[r] > most ? call->send_counts[r] : most;
  return most;
}

static void arrive_with_buffers(unisono_comm *comm, struct uni_arrival *line) {
  struct uni_run *run = &comm->run;
  locate_buffers(comm);
  if (uni_kind_is_v(run->call.kind))
    publish_counts(comm);
  run->plan.total = run->call.send_counts ? line_count(comm) * run->call.element : run->call.block;
  run->plan.lanes = uni_kind_is_v(run->call.kind) ? 1 : uni_select_lanes(comm, run->plan.total);
  uni_set_up_lanes(comm);
  stage_first_chunk(comm);
  uni_reclaim_begin(comm);
  if (run->plan.hands_over) {
    run->send_ref.way = run->handover->turn.way == UNI_OUTFLOW_STREAM;
    run->send_ref.timed = run->handover->turn.timed;
  }
  line->send = run->send_ref;
  line->recv = run->recv_ref;
}

void uni_arrive(unisono_comm *comm) {
  struct uni_run *run = &comm->run;
  struct uni_arrival *line = uni_line_of(comm, comm->rank, run->sequence);
  if (run->is_inline)
    uni_inline_put(comm, &run->call, run->sequence);
  else
    arrive_with_buffers(comm, line);
  uni_publish_line(comm, &run->call, line_count(comm), line, run->sequence);
  if (!run->is_inline)
    uni_reclaim_arrived(comm);
}

/* ---- meeting the others */

void uni_line_describe(uint64_t call, uint64_t count, uint64_t match, char *text, size_t n) {
  enum uni_kind kind = (enum uni_kind)(call & 0xff);
  int used = snprintf(text, n, "%s with count %llu", uni_kind_name(kind), (unsigned long long)count);
  if (kind != UNI_BARRIER)
    used +=
        snprintf(text + used, n - (size_t)used, ", %s", uni_dtype_name((unisono_dtype)(call >> 8 & 0xff)));
  if (uni_kind_folds(kind))
    used += snprintf(text + used, n - (size_t)used, ", %s", uni_op_name((unisono_op)(call >> 16 & 0xff)));
  if (uni_kind_has_root(kind))
    used += snprintf(text + used, n - (size_t)used, ", root %u", (unsigned)(call >> 32));
  if (match)
    snprintf(text + used, n - (size_t)used, ", match id %016llx", (unsigned long long)match);
}

UNI_COLD static void report_mismatch(unisono_comm *comm, int rank, const struct uni_arrival *theirs,
                                     const struct uni_said *mine) {
  char a[128], b[128];
  uni_line_describe(theirs->call, theirs->count, theirs->match, a, sizeof a);
  uni_line_describe(mine->call, mine->count, mine->match, b, sizeof b);
  uni_comm_break(comm, UNISONO_ERROR_MISMATCH, "rank %d called %s, rank %d %s", rank, a, comm->rank, b);
}

static bool meet(unisono_comm *comm, uint64_t sequence) {
  struct uni_run *run = &comm->run;
  const struct uni_said *mine = uni_said_in(comm, sequence);
  for (; run->cursor < comm->size; run->cursor++) {
    if (run->cursor == comm->rank)
      continue;
    const struct uni_arrival *line = uni_line_of(comm, run->cursor, sequence);
    if (!uni_has_arrived(comm, run->cursor, sequence))
      return false;
    if (!uni_lines_agree(line, mine)) {
      report_mismatch(comm, run->cursor, line, mine);
      return false;
    }
  }
  run->cursor = 0;
  return true;
}

bool uni_meet_arrivals(unisono_comm *comm, uint64_t sequence) {
  struct uni_run *run = &comm->run;
  for (; run->met < sequence; run->met++)
    if (!meet(comm, run->met + 1))
      return false;
  return true;
}
