/* A collective of a communicator that spans machines. */
#ifndef UNI_MACHINES_ACROSS_H
#define UNI_MACHINES_ACROSS_H

#include "machines/span.h"
#include "machines/swap.h"

/* Runs it to its end; one at a time. */
unisono_status uni_across(struct uni_span *span, const struct uni_call *call);

/* Parts of it. */

enum { UNI_CHUNK = 1 << 20 };

/* How a rank enters: everybody compares everybody's. */
struct uni_entry {
  uint64_t sequence, call, count, match, counts;
};

/* All have come, with the same call. */
unisono_status uni_across_enter(struct uni_span *span, const struct uni_call *call);

/* The same in parts, so that payload travels meanwhile: first the ranks of a machine; then some columns, each
 * of which compares for itself, with all machines. Who is in none of these has to wait for one of its machine
 * that is, before it writes a receive buffer. Only where uni_select_rider is not 0. */
unisono_status uni_across_enter_here(struct uni_span *span, const struct uni_call *call);
unisono_status uni_across_enter_begin(struct uni_span *span, struct uni_swap *swap);
unisono_status uni_across_enter_end(struct uni_span *span, const struct uni_call *call,
                                    struct uni_swap *swap);

/* Room for uni_select_rider bytes of payload that a machine sends with its entry; from one machine's to the
 * next. */
char *uni_across_rider(const struct uni_span *span, int machine);
size_t uni_across_stride(const struct uni_span *span);

/* Tells a machine's ranks that its leader has come so far. */
unisono_status uni_across_tell(struct uni_span *span);

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
