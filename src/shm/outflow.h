/* Copies into memory that a peer has read before and will read next: the stages.
 *
 * By plain stores, or past the caches? A plain store waits until the reader's copy of the line is given up.
 * Where the two processors share a cache that is soon done; where they do not, streamed stores are several
 * times faster, but the reader fetches from memory. A virtual machine's processors move from the one state to
 * the other while it runs. So both ways are timed now and then, and the cheaper one is taken. */
#ifndef UNI_SHM_OUTFLOW_H
#define UNI_SHM_OUTFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/reduce.h"

enum {
  UNI_OUTFLOW_LEAST = 1 << 10
}; /* bytes: for less, the fence of streamed stores costs more than they bring */

enum { UNI_OUTFLOW_PLAIN, UNI_OUTFLOW_STREAM, UNI_OUTFLOW_WAYS };

/* Of one thread at a time. All zero at first. What fits into the nearest cache is looked at by itself. */
struct uni_outflow {
  struct uni_outflow_costs {
    bool streams; /* the way that is cheaper */
    uint32_t copies;
    uint32_t cost[UNI_OUTFLOW_WAYS]; /* picoseconds a byte; 0: not known yet */
  } small, large;
};

/* Is it better to stream so much? */
bool uni_outflow_streams(const struct uni_outflow *flow, size_t bytes);

/* stream: the kernels' function; NULL: there is none, and all copies are plain. */
void uni_outflow_copy(struct uni_outflow *flow, uni_stream_fn stream, void *to, const void *from,
                      size_t bytes);

#endif
