#include "shm/outflow.h"

#include <stdatomic.h>
#include <string.h>

enum {
  DEAR = 115, /* picoseconds a byte: plain stores that cost less mean that the cache is shared, and then a
                 reader loses more on what was streamed than the writer wins */
  GAIN = 20   /* picoseconds a byte: less is not worth the fence */
};

struct uni_trial *uni_outflow_of(struct uni_trial classes[UNI_TRIAL_CLASSES], size_t bytes) {
  return &classes[uni_trial_class(bytes)];
}

bool uni_outflow_prefers_stream(uint32_t plain, uint32_t stream) {
  return plain > DEAR && plain > stream + GAIN;
}

static void choose(struct uni_trial *trial) {
  uint32_t plain = trial->cost[UNI_OUTFLOW_PLAIN].ps, stream = trial->cost[UNI_OUTFLOW_STREAM].ps;
  if (plain && stream)
    trial->way = uni_outflow_prefers_stream(plain, stream) ? UNI_OUTFLOW_STREAM : UNI_OUTFLOW_PLAIN;
}

void uni_outflow_end(struct uni_trial *trial, const struct uni_turn *turn, size_t bytes) {
  if (!turn->timed)
    return;
  atomic_thread_fence(memory_order_seq_cst); /* the stores have left the processor, not only its sight */
  uni_trial_learn(&trial->cost[turn->way], turn->began, bytes);
  choose(trial);
}

void uni_outflow_copy(struct uni_trial classes[UNI_TRIAL_CLASSES], uni_stream_fn stream, void *to,
                      const void *from, size_t bytes) {
  if (!stream || bytes < UNI_TRIAL_LEAST) {
    memcpy(to, from, bytes);
    return;
  }
  struct uni_trial *trial = uni_outflow_of(classes, bytes);
  struct uni_turn turn = uni_trial_begin(trial);
  uni_copy_by(turn.way == UNI_OUTFLOW_STREAM ? stream : NULL, to, from, bytes);
  uni_outflow_end(trial, &turn, bytes);
}

bool uni_outflow_streams(struct uni_outflow *flow, size_t bytes) {
  return bytes >= UNI_TRIAL_LEAST && uni_outflow_of(flow->copies, bytes)->way == UNI_OUTFLOW_STREAM;
}
