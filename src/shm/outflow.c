#include "shm/outflow.h"

#include <string.h>

#include "clock.h"

enum {
  STREAM_LEAST = 1 << 10, /* bytes: for less, its fence costs more than it brings */
  LARGE = 12 << 10,       /* bytes: from here on the copy's two sides fill the nearest cache */
  TIME_EVERY = 8,         /* copies */
  PROBE_EVERY = 64,       /* copies: how often the other way is tried */
  READ_PENALTY = 40       /* picoseconds a byte that a reader loses on what was streamed, cache shared */
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
  const uint32_t *cost = costs->cost;
  if (cost[UNI_OUTFLOW_PLAIN] && cost[UNI_OUTFLOW_STREAM])
    costs->streams = cost[UNI_OUTFLOW_PLAIN] > cost[UNI_OUTFLOW_STREAM] + READ_PENALTY;
}

static void copy_timed(struct uni_outflow_costs *costs, bool streamed, uni_stream_fn stream, void *to,
                       const void *from, size_t bytes) {
  int64_t began = uni_now();
  copy(streamed, stream, to, from, bytes);
  learn(&costs->cost[streamed], (uint64_t)(uni_now() - began) * 1000 / bytes);
  choose(costs);
}

void uni_outflow_copy(struct uni_outflow *flow, uni_stream_fn stream, void *to, const void *from,
                      size_t bytes) {
  struct uni_outflow_costs *costs = bytes < LARGE ? &flow->small : &flow->large;
  if (!stream || bytes < STREAM_LEAST) {
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
  return bytes >= STREAM_LEAST && (bytes < LARGE ? flow->small.streams : flow->large.streams);
}
