/* Writes into memory that other processors hold: copies into the stages, which peers have read before and
 * will read next, and results folded into the buffers of peers.
 *
 * By plain stores, or past the caches? A plain store waits until the others' copy of the line is given up.
 * Where the processors share a cache that is soon done; where they do not, streamed stores can be several
 * times faster, but the reader fetches from memory. It also depends on where the lines were left by what came
 * before, and a virtual machine's processors move from the one state to the other while it runs. So both ways
 * are timed now and then, for each power of two of bytes by itself, and the cheaper one is taken. */
#ifndef UNI_SHM_OUTFLOW_H
#define UNI_SHM_OUTFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/reduce.h"

enum {
  UNI_OUTFLOW_LEAST = 1 << 10, /* bytes: for less, the fence of streamed stores costs more than they bring */
  UNI_OUTFLOW_CLASSES = 16     /* powers of two from there on; the last one is for all that is more */
};

enum uni_outflow_way { UNI_OUTFLOW_PLAIN, UNI_OUTFLOW_STREAM, UNI_OUTFLOW_WAYS };

/* Is it better to stream where the two ways cost the writer so many picoseconds a byte? */
bool uni_outflow_prefers_stream(uint32_t plain, uint32_t stream);

/* What is known of one use, of one class. All zero at first. */
struct uni_outflow_costs {
  bool streams; /* the way that is cheaper */
  uint32_t turns;
  uint32_t cost[UNI_OUTFLOW_WAYS]; /* picoseconds a byte; 0: not known yet */
};

/* Of one thread at a time. */
struct uni_outflow {
  struct uni_outflow_costs copies[UNI_OUTFLOW_CLASSES], pushes[UNI_OUTFLOW_CLASSES];
};

/* What is learnt of a cost, in picoseconds a byte, from `bytes` whose work began then and is done. */
void uni_outflow_learn(uint32_t *cost, int64_t began, size_t bytes);

/* The class of so many bytes, which are UNI_OUTFLOW_LEAST at least. */
int uni_outflow_class(size_t bytes);

/* The costs, of the copies or the pushes, of so many bytes. */
struct uni_outflow_costs *uni_outflow_of(struct uni_outflow_costs classes[UNI_OUTFLOW_CLASSES], size_t bytes);

/* One use: which way it shall take, and when it began if it is timed. */
struct uni_outflow_turn {
  bool streams, timed;
  int64_t began;
};
struct uni_outflow_turn uni_outflow_begin(struct uni_outflow_costs *costs);
void uni_outflow_end(struct uni_outflow_costs *costs, const struct uni_outflow_turn *turn, size_t bytes);

/* Is it better to stream a copy of so much? */
bool uni_outflow_streams(struct uni_outflow *flow, size_t bytes);

/* Copies into a stage. stream: the kernels' function; NULL: there is none, and all copies are plain. */
void uni_outflow_copy(struct uni_outflow *flow, uni_stream_fn stream, void *to, const void *from,
                      size_t bytes);

#endif
