/* The constants, measured by the first two ranks of a world while the others wait. Each is the best of some
 * rounds: what disturbs a measurement makes it longer. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "collectives/select.h"
#include "comm.h"
#include "costs/costs.h"
#include "error.h"
#include "kernels/fpenv.h"

enum { BLOCK = 64 << 10, CALLS = 16, HURRY_MS = 10, PATIENCE_MS = 3000 };

struct bench {
  unisono_comm *pair;
  float *mine, *result; /* a block each, in two halves */
  struct uni_costs best;
  uint32_t copy[UNI_WAYS]; /* picoseconds a byte */
};

static void note(struct bench *b, enum uni_cost cost, int64_t ns, int64_t times) {
  int64_t ps = ns * 1000 / times;
  if (ps > 0 && ps < (int64_t)b->best.ps[cost])
    b->best.ps[cost] = (uint32_t)ps;
}

static unisono_status time_exchange(struct bench *b) {
  unisono_status status = unisono_barrier(b->pair);
  int64_t began = uni_now();
  for (int i = 0; i < CALLS && !status; i++)
    status = unisono_barrier(b->pair);
  note(b, UNI_COST_EXCHANGE, uni_now() - began, CALLS);
  return status;
}

/* An all-gather of different counts is never inline, and has one exchange more: with next to no data it takes
 * an exchange and a turn. */
static unisono_status time_turn(struct bench *b) {
  static const size_t counts[2] = {1, 1}, displs[2] = {0, 1};
  unisono_status status = UNISONO_OK;
  int64_t began = uni_now();
  for (int i = 0; i < CALLS && !status; i++)
    status = unisono_all_gatherv(b->mine, 1, b->result, counts, displs, UNISONO_FLOAT32, b->pair);
  note(b, UNI_COST_TURN, uni_now() - began - (int64_t)b->best.ps[UNI_COST_EXCHANGE] * CALLS / 1000, CALLS);
  return status;
}

static void time_copy(struct bench *b, enum uni_outflow_way way, char *to, const char *from) {
  uni_stream_fn stream = b->pair->kernels->stream;
  int64_t began = uni_now();
  uni_copy_by(way == UNI_OUTFLOW_STREAM ? stream : NULL, to, from, BLOCK / 2);
  atomic_thread_fence(memory_order_seq_cst); /* the stores have left the processor */
  uint32_t ps = (uint32_t)((uni_now() - began) * 1000 / (BLOCK / 2));
  if (b->copy[way] == 0 || ps < b->copy[way])
    b->copy[way] = ps;
}

/* Each writes a block where the other has read one, half of it in each of the two ways, and reads the
 * other's. */
static unisono_status time_stage(struct bench *b) {
  unisono_comm *pair = b->pair;
  char *mine = uni_comm_stage(pair, pair->rank, 0, UNI_STAGE_IN);
  const char *data = (const char *)b->mine, *theirs = uni_comm_stage(pair, 1 - pair->rank, 0, UNI_STAGE_IN);
  unisono_status status = unisono_barrier(pair);
  if (status)
    return status;
  time_copy(b, UNI_OUTFLOW_PLAIN, mine, data);
  time_copy(b, UNI_OUTFLOW_STREAM, mine + BLOCK / 2, data + BLOCK / 2);
  status = unisono_barrier(pair); /* what the other wrote is there */
  if (status)
    return status;
  int64_t began = uni_now();
  memcpy(b->result, theirs, BLOCK);
  note(b, UNI_COST_READ, uni_now() - began, BLOCK / UNI_LINE);
  return UNISONO_OK;
}

static void time_fold(struct bench *b) {
  enum { HALF = BLOCK / 2 / sizeof(float) };
  const void *inputs[2] = {b->mine, b->mine + HALF};
  void *output = b->result;
  uint64_t environment = uni_fpenv_enter();
  int64_t began = uni_now();
  b->pair->kernels->fold[UNISONO_FLOAT32][UNISONO_SUM](&output, 1, inputs, 2, HALF);
  note(b, UNI_COST_FOLD, uni_now() - began, BLOCK / UNI_LINE);
  uni_fpenv_leave(environment);
}

static unisono_status run_round(struct bench *b) {
  unisono_status status = time_exchange(b);
  if (!status)
    status = time_turn(b);
  if (!status)
    status = time_stage(b);
  time_fold(b);
  return status;
}

/* Half of the rounds have to fit into the time, or the processors have other work, and the costs stay those
 * that are built in: nobody is to wait for what is only there to make him faster. */
static unisono_status run_rounds(struct bench *b, int rounds, bool *enough) {
  int64_t end = uni_now() + (rounds == UNI_COST_ROUNDS ? PATIENCE_MS : HURRY_MS) * UNI_MS;
  unisono_status status = UNISONO_OK;
  int done = 0;
  for (uint8_t late = 0; done < rounds && !status; done++) {
    uint8_t mine = uni_now() > end;
    status = unisono_all_reduce(&mine, &late, 1, UNISONO_UINT8, UNISONO_MAX, b->pair);
    if (late)
      break;
    if (!status)
      status = run_round(b);
  }
  *enough = done >= rounds / 2;
  uint32_t plain = b->copy[UNI_OUTFLOW_PLAIN], stream = b->copy[UNI_OUTFLOW_STREAM];
  b->best.ps[UNI_COST_WRITE] = UNI_LINE * (uni_outflow_prefers_stream(plain, stream) ? stream : plain);
  return status;
}

/* By the first two ranks of `comm`. */
static unisono_status measure_pair(unisono_comm *comm, int rounds, struct uni_costs *costs, bool *enough) {
  static const int both[2] = {0, 1};
  struct bench b = {.mine = calloc(2, BLOCK)};
  memset(&b.best, 0xff, sizeof b.best);
  if (!b.mine)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for measuring");
  b.result = b.mine + BLOCK / sizeof(float);
  unisono_status status = unisono_comm_create(comm, both, 2, &b.pair);
  if (!status)
    status = run_rounds(&b, rounds, enough);
  unisono_comm_destroy(b.pair);
  free(b.mine);
  uni_costs_bound(&b.best);
  if (*enough)
    *costs = b.best;
  return status;
}

unisono_status uni_costs_measure(unisono_comm *comm, int rounds) {
  struct uni_costs costs = uni_costs_default;
  unisono_status status = UNISONO_OK;
  bool enough = false;
  if (comm->rank < 2)
    status = measure_pair(comm, rounds, &costs, &enough);
  if (status && !uni_comm_is_broken(comm)) /* the others wait */
    uni_comm_break(comm, status, "rank %d, while the machine was measured: %s", comm->rank,
                   unisono_last_error());
  if (!status)
    status = unisono_broadcast(costs.ps, UNI_COSTS, UNISONO_UINT32, 0, comm);
  if (status)
    return status;
  comm->world->settings.costs = costs;
  uni_select_inline(comm, comm->run.inline_ends);
  if (comm->rank == 0 && enough)
    uni_costs_keep(&costs);
  return UNISONO_OK;
}
