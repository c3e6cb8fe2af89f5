/* A collective of a communicator that spans machines. */
#ifndef UNI_MACHINES_ACROSS_H
#define UNI_MACHINES_ACROSS_H

#include "machines/span.h"

/* Runs it to its end; one at a time. */
unisono_status uni_across(struct uni_span *span, const struct uni_call *call);

/* Parts of it. */

enum { UNI_RIDER = 512, UNI_CHUNK = 1 << 20 };

/* How a rank enters: everybody compares everybody's. A small payload rides with it. */
struct uni_entry {
  uint64_t sequence, call, count, match, counts;
  unsigned char rider[UNI_RIDER];
};

/* Writes this machine's rider on its leader; all ranks of the machine take part. */
typedef unisono_status (*uni_rider_fn)(struct uni_span *span, const struct uni_call *call, void *rider);

/* All have come, with the same call. With `fill`, every rank gets the riders of all machines: *entries, one a
 * machine. */
unisono_status uni_across_enter(struct uni_span *span, const struct uni_call *call, uni_rider_fn fill,
                                const struct uni_entry **entries);

unisono_status uni_across_reduce(struct uni_span *span, const struct uni_call *call);
unisono_status uni_across_broadcast(struct uni_span *span, const struct uni_call *call);
unisono_status uni_across_gather(struct uni_span *span,
                                 const struct uni_call *call); /* all_gather and all_gatherv */
unisono_status uni_across_exchange(struct uni_span *span,
                                   const struct uni_call *call); /* all others that copy */

/* The operation's own deadline goes for its phases on this machine; those that wait for other machines get a
 * moment more, as the leader says what went wrong. */
void uni_across_limit(struct uni_span *span, bool waits_for_others);

/* How a block of `total` is divided among the columns: the i-th column's share. */
static inline void uni_across_share(size_t total, int columns, int i, size_t *from, size_t *n) {
  size_t each = (total + (size_t)columns - 1) / (size_t)columns;
  *from = (size_t)i * each < total ? (size_t)i * each : total;
  *n = *from + each < total ? each : total - *from;
}

#endif
