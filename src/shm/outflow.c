#include "shm/outflow.h"

#include <stdatomic.h>
#include <string.h>

#include "clock.h"

enum {
  LARGE = 12 << 10, /* bytes: from here on the copy's two sides fill the nearest cache */
  TIME_EVERY = 8,   /* copies */
  PROBE_EVERY = 64, /* copies: how often the other way is tried */
  DEAR = 115, /* picoseconds a byte: plain stores that cost less mean that the cache is shared, and then a
                 reader loses more on what was streamed than the writer wins */
  GAIN = 20   /* picoseconds a byte: less is not worth the fence */
};

static void copy(bool streamed, uni_stream_fn stream, void *to, const void *from, size_t bytes) {
  if (streamed)
    stream(to, from, bytes);
  else
    memcpy(to, from, bytes);
}

/* Falls at once and rises slowly: what delays a copy now and then is not its cost. */
static void learn(uint32_t *cost, uint64_t measured) {
  if (measured > UINT32_MAX / 2)
    return;
  if (*cost == 0 || measured < *cost)
    *cost = (uint32_t)measured + 1;
  else
    *cost += (uint32_t)(measured - *cost) / 4;
}

static void choose(struct uni_outflow_costs *costs) {
  uint32_t plain = costs->cost[UNI_OUTFLOW_PLAIN], stream = costs->cost[UNI_OUTFLOW_STREAM];
  if (plain && stream)
    costs->streams = plain > DEAR && plain > stream + GAIN;
}

static void copy_timed(struct uni_outflow_costs *costs, bool streamed, uni_stream_fn stream, void *to,
                       const void *from, size_t bytes) {
  int64_t began = uni_now();
  copy(streamed, stream, to, from, bytes);
  atomic_thread_fence(memory_order_seq_cst); /* the stores have left the processor, not only its sight */
  learn(&costs->cost[streamed], (uint64_t)(uni_now() - began) * 1000 / bytes);
  choose(costs);
}

void uni_outflow_copy(struct uni_outflow *flow, uni_stream_fn stream, void *to, const void *from,
                      size_t bytes) {
  struct uni_outflow_costs *costs = bytes < LARGE ? &flow->small : &flow->large;
  if (!stream || bytes < UNI_OUTFLOW_LEAST) {
    memcpy(to, from, bytes);
    return;
  }
  uint32_t turn = costs->copies++;
  bool is_probe = turn % PROBE_EVERY == TIME_EVERY - 1;
  if (turn % TIME_EVERY == TIME_EVERY - 1)
    copy_timed(costs, costs->streams != is_probe, stream, to, from, bytes);
  else
    copy(costs->streams, stream, to, from, bytes);
}

bool uni_outflow_streams(const struct uni_outflow *flow, size_t bytes) {
  return bytes >= UNI_OUTFLOW_LEAST && (bytes < LARGE ? flow->small.streams : flow->large.streams);
}
