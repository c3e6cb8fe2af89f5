#include "shm/handover.h"

#include "clock.h"
#include "shm/touch.h"

enum { GAIN = 10 }; /* picoseconds a byte: less is not worth a change */

/* Only an operation that stages something takes a turn: else a try might always meet one that does not. */
void uni_handover_begin(struct uni_handover *h, size_t block, bool writes) {
  h->class = uni_trial_class(block < UNI_TRIAL_LEAST ? UNI_TRIAL_LEAST : block);
  h->peer = (struct uni_turn){.way = UNI_OUTFLOW_PLAIN};
  h->turn = writes ? uni_trial_begin(&h->writes[h->class]) : h->peer;
}

/* What both ranks have to do together decides. */
static void choose(struct uni_trial *writes, const _Atomic uint32_t *theirs) {
  uint64_t both[UNI_WAYS];
  for (int way = 0; way < UNI_WAYS; way++) {
    uint32_t read = atomic_load_explicit(&theirs[way], memory_order_relaxed); /* a hint: orders nothing */
    if (!writes->cost[way].ps || !read)
      return;
    both[way] = (uint64_t)writes->cost[way].ps + read;
  }
  if (both[writes->way] > both[1 - writes->way] + GAIN)
    writes->way = 1 - writes->way;
}

void uni_handover_write(struct uni_handover *h, bool is_timed, uni_stream_fn stream, void *to,
                        const void *from, size_t bytes, const struct uni_handover_reads *theirs) {
  is_timed = is_timed && h->turn.timed && bytes >= UNI_TRIAL_LEAST;
  int64_t began = is_timed ? uni_now() : 0;
  uni_copy_by(h->turn.way == UNI_OUTFLOW_STREAM ? stream : NULL, to, from, bytes);
  if (!is_timed)
    return;
  atomic_thread_fence(memory_order_seq_cst); /* the stores have left the processor, not only its sight */
  uni_trial_learn(&h->writes[h->class].cost[h->turn.way], began, bytes);
  choose(&h->writes[h->class], theirs->ps[h->class]);
}

static void note(struct uni_handover *h, int64_t began, size_t bytes, struct uni_handover_reads *mine) {
  struct uni_sample *cost = &h->reads[h->class][h->peer.way];
  if (!began || bytes < UNI_TRIAL_LEAST)
    return;
  uni_trial_learn(cost, began, bytes);
  atomic_store_explicit(&mine->ps[h->class][h->peer.way], cost->ps, memory_order_relaxed);
}

void uni_handover_read(struct uni_handover *h, bool is_timed, uni_stream_fn stream, void *to, void *block,
                       size_t bytes, struct uni_handover_reads *mine) {
  enum { PIECE = 4 << 10 }; /* is touched while it is in the nearest cache */
  int64_t began = is_timed && h->peer.timed ? uni_now() : 0;
  if (h->peer.way == UNI_OUTFLOW_STREAM)
    uni_copy_by(stream, to, block, bytes);
  else
    for (size_t at = 0, n; at < bytes; at += n) {
      n = bytes - at < PIECE ? bytes - at : PIECE;
      uni_copy_by(stream, (char *)to + at, (char *)block + at, n);
      uni_touch((char *)block + at, n);
    }
  note(h, began, bytes, mine);
}
