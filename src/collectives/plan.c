/* From the arrival lines to the plan. */
#include <stdio.h>

#include "collectives/arrive.h"
#include "collectives/refs.h"
#include "collectives/select.h"
#include "error.h"

static size_t sent_bytes(const unisono_comm *comm, int rank) {
  const struct uni_call *call = &comm->run.call;
  if (uni_kind_is_v(call->kind))
    return (size_t)*uni_comm_counts(comm, rank, UNI_SEND_EXTENT);
  return uni_call_send_bytes(call, comm->size, rank);
}

static void report_unreachable(unisono_comm *comm, int rank) {
  char why[UNI_TEXT];
  snprintf(why, sizeof why, "%s", unisono_last_error());
  if (uni_comm_lost(comm, rank)) /* gone before it could tell where its memory is */
    uni_comm_break(comm, UNISONO_ERROR_PEER_LOST, "rank %d died or left, rank %d needed its memory", rank,
                   comm->rank);
  else
    uni_comm_break(comm, UNISONO_ERROR_SYSTEM, "rank %d: %s", comm->rank, why);
}

static bool view_peers(unisono_comm *comm) {
  struct uni_run *run = &comm->run;
  for (int r = 0; r < comm->size; r++) {
    run->send_bytes[r] = sent_bytes(comm, r);
    if (r == comm->rank)
      continue;
    const struct uni_arrival *line = uni_line_of(comm, r, run->sequence);
    size_t recv = uni_call_recv_bytes(&run->call, comm->size, r);
    struct uni_ref send_ref = line->send, recv_ref = line->recv; /* copied once, then checked */
    if (run->plan.hands_over)
      run->handover->peer = (struct uni_turn){.way = send_ref.way, .timed = send_ref.timed};
    if (!uni_view_of(comm, r, send_ref, run->send_bytes[r], NULL, &run->send[r]) ||
        !uni_view_of(comm, r, recv_ref, recv, NULL, &run->recv[r])) {
      report_unreachable(comm, r);
      return false;
    }
  }
  return true;
}

static uint64_t chunks_in(const struct uni_plan *plan, size_t bytes) {
  if (plan->has_edges)
    return 3;
  uint64_t n = plan->chunk ? (bytes + plan->chunk - 1) / plan->chunk : 0;
  return n ? n : 1;
}

bool uni_make_plan(unisono_comm *comm) {
  struct uni_run *run = &comm->run;
  uni_reclaim_met(comm);
  if (!view_peers(comm))
    return false;
  if (uni_kind_is_v(run->call.kind)) {
    run->plan.total = 0;
    for (int r = 0; r < comm->size; r++) {
      uint64_t count = r == comm->rank ? uni_said_in(comm, run->sequence)->count
                                       : uni_line_of(comm, r, run->sequence)->count;
      size_t most = (size_t)count * run->call.element;
      run->plan.total = most > run->plan.total ? most : run->plan.total;
    }
    uni_set_up_lanes(comm);
  }
  uni_select_plan(comm);
  uint64_t most = 0;
  for (uint32_t i = 0; i < run->plan.lanes; i++) {
    uint64_t n = chunks_in(&run->plan, run->lanes[i].bytes);
    most = n > most ? n : most;
  }
  for (uint32_t i = 0; i < run->plan.lanes; i++) { /* as many steps in each, so that counters stay alike */
    run->lanes[i].chunks = most;
    run->lanes[i].last_step = run->plan.algorithm == UNI_BY_LEVELS
                                  ? most - 1 + uni_levels_steps(comm, run->call.kind)
                                  : run->plan.lag + most + (run->plan.gathers ? 1 : 0);
  }
  if (!run->plan.helps && (run->plan.algorithm == UNI_PULL || !uni_kind_shares_result(run->call.kind)))
    run->exposed = NULL;
  return true;
}
