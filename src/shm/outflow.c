#include "shm/outflow.h"

#include <stdatomic.h>
#include <string.h>

#include "clock.h"

enum {
  TIME_EVERY = 8,    /* uses */
  PROBE_EVERY = 128, /* uses: how often the other way is tried */
  PROBE_AT = 8,      /* use: where in them */
  PROBE_LENGTH = 4,  /* uses in a row */
  DEAR = 115, /* picoseconds a byte: plain stores that cost less mean that the cache is shared, and then a
                 reader loses more on what was streamed than the writer wins */
  GAIN = 20   /* picoseconds a byte: less is not worth the fence */
};

int uni_outflow_class(size_t bytes) {
  int power = __builtin_clzl(UNI_OUTFLOW_LEAST) - __builtin_clzl(bytes);
  return power < UNI_OUTFLOW_CLASSES ? power : UNI_OUTFLOW_CLASSES - 1;
}

struct uni_outflow_costs *uni_outflow_of(struct uni_outflow_costs classes[UNI_OUTFLOW_CLASSES],
                                         size_t bytes) {
  return &classes[uni_outflow_class(bytes)];
}

/* Falls at once and rises slowly: what delays a copy now and then is not its cost. */
void uni_outflow_learn(uint32_t *cost, int64_t began, size_t bytes) {
  uint64_t measured = (uint64_t)(uni_now() - began) * 1000 / bytes;
  if (measured > UINT32_MAX / 2)
    return;
  if (*cost == 0 || measured < *cost)
    *cost = (uint32_t)measured + 1;
  else
    *cost += (uint32_t)(measured - *cost) / 8;
}

bool uni_outflow_prefers_stream(uint32_t plain, uint32_t stream) {
  return plain > DEAR && plain > stream + GAIN;
}

static void choose(struct uni_outflow_costs *costs) {
  uint32_t plain = costs->cost[UNI_OUTFLOW_PLAIN], stream = costs->cost[UNI_OUTFLOW_STREAM];
  if (plain && stream)
    costs->streams = uni_outflow_prefers_stream(plain, stream);
}

/* The other way is tried several times in a row, and only the last one counts: what the one way left behind
 * in the caches is not the other's cost. Ranks that do the same try at the same time, as it depends on both.
 */
struct uni_outflow_turn uni_outflow_begin(struct uni_outflow_costs *costs) {
  uint32_t turn = costs->turns++ % PROBE_EVERY;
  struct uni_outflow_turn t = {.streams = costs->streams, .timed = turn % TIME_EVERY == TIME_EVERY - 1};
  if (turn >= PROBE_AT && turn < PROBE_AT + PROBE_LENGTH) {
    t.streams = !t.streams;
    t.timed = turn == PROBE_AT + PROBE_LENGTH - 1;
  }
  t.began = t.timed ? uni_now() : 0;
  return t;
}

void uni_outflow_end(struct uni_outflow_costs *costs, const struct uni_outflow_turn *turn, size_t bytes) {
  if (!turn->timed)
    return;
  atomic_thread_fence(memory_order_seq_cst); /* the stores have left the processor, not only its sight */
  uni_outflow_learn(&costs->cost[turn->streams], turn->began, bytes);
  choose(costs);
}

void uni_outflow_copy(struct uni_outflow *flow, uni_stream_fn stream, void *to, const void *from,
                      size_t bytes) {
  if (!stream || bytes < UNI_OUTFLOW_LEAST) {
    memcpy(to, from, bytes);
    return;
  }
  struct uni_outflow_costs *costs = uni_outflow_of(flow->copies, bytes);
  struct uni_outflow_turn turn = uni_outflow_begin(costs);
  if (turn.streams)
    stream(to, from, bytes);
  else
    memcpy(to, from, bytes);
  uni_outflow_end(costs, &turn, bytes);
}

bool uni_outflow_streams(struct uni_outflow *flow, size_t bytes) {
  return bytes >= UNI_OUTFLOW_LEAST && uni_outflow_of(flow->copies, bytes)->streams;
}
