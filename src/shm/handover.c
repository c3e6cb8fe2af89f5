#include "shm/handover.h"

#include <string.h>

#include "clock.h"
#include "shm/touch.h"

enum {
  GAIN = 10,              /* picoseconds a byte: less is not worth a change */
  TOUCHED_MOST = 64 << 10 /* bytes: of larger ones the lines leave the nearest caches by themselves */
};

void uni_handover_begin(struct uni_handover *h, size_t chunk) {
  h->class = uni_trial_class(chunk < UNI_TRIAL_LEAST ? UNI_TRIAL_LEAST : chunk);
  h->turn = uni_trial_begin(&h->writes[h->class]);
}

/* What both ranks have to do together decides. */
static void choose(struct uni_trial *writes, const _Atomic uint32_t *theirs) {
  uint64_t both[UNI_WAYS];
  for (int way = 0; way < UNI_WAYS; way++) {
    uint32_t read = atomic_load_explicit(&theirs[way], memory_order_relaxed); /* a hint: orders nothing */
    if (!writes->cost[way] || !read)
      return;
    both[way] = (uint64_t)writes->cost[way] + read;
  }
  if (both[writes->way] > both[1 - writes->way] + GAIN)
    writes->way = 1 - writes->way;
}

void uni_handover_write(struct uni_handover *h, bool is_timed, uni_stream_fn stream, void *to,
                        const void *from, size_t bytes, const struct uni_handover_reads *theirs) {
  is_timed = is_timed && h->turn.timed;
  int64_t began = is_timed ? uni_now() : 0;
  if (h->turn.way == UNI_OUTFLOW_STREAM && stream)
    stream(to, from, bytes);
  else
    memcpy(to, from, bytes);
  if (!is_timed)
    return;
  atomic_thread_fence(memory_order_seq_cst); /* the stores have left the processor, not only its sight */
  uni_trial_learn(&h->writes[h->class].cost[h->turn.way], began, bytes);
  choose(&h->writes[h->class], theirs->ps[h->class]);
}

static bool touches(const struct uni_handover *h, size_t bytes) {
  return h->peer_way == UNI_OUTFLOW_PLAIN && bytes <= TOUCHED_MOST;
}

static void note(struct uni_handover *h, int64_t began, size_t bytes, struct uni_handover_reads *mine) {
  uint32_t *cost = &h->reads[h->class][h->peer_way];
  if (!began)
    return;
  uni_trial_learn(cost, began, bytes);
  atomic_store_explicit(&mine->ps[h->class][h->peer_way], *cost, memory_order_relaxed);
}

int64_t uni_handover_read_begins(const struct uni_handover *h, bool is_timed) {
  return is_timed && h->turn.timed ? uni_now() : 0;
}

void uni_handover_read_ends(struct uni_handover *h, int64_t began, void *block, size_t bytes,
                            struct uni_handover_reads *mine) {
  if (touches(h, bytes))
    uni_touch(block, bytes);
  note(h, began, bytes, mine);
}

void uni_handover_read(struct uni_handover *h, bool is_timed, void *to, void *block, size_t bytes,
                       struct uni_handover_reads *mine) {
  enum { PIECE = 4 << 10 }; /* is touched while it is in the nearest cache */
  int64_t began = uni_handover_read_begins(h, is_timed);
  if (!touches(h, bytes))
    memcpy(to, block, bytes);
  else
    for (size_t at = 0, n; at < bytes; at += n) {
      n = bytes - at < PIECE ? bytes - at : PIECE;
      memcpy((char *)to + at, (char *)block + at, n);
      uni_touch((char *)block + at, n);
    }
  note(h, began, bytes, mine);
}
