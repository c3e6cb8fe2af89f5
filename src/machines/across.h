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

/* The same in parts, so that payload rides with the entries: first the ranks of a machine; then some columns,
 * each of which compares for itself, with all machines. Who is in none of these has to wait for one of its
 * machine that is, before it writes a receive buffer. Only where uni_select_rider is not 0. */
struct uni_entering {
  struct uni_entry mine;
  char *blocks; /* machine m's entry is at m * stride, and its payload UNI_HEAD behind that */
  size_t stride;
  struct uni_swap swap;
};
enum { UNI_HEAD = 64 };

/* With payload, if it is not NULL: every rank of the machine gets all of theirs, UNI_HEAD behind the blocks
 * of UNI_HERE bytes that begin at `all`. */
enum { UNI_HERE = 512 };
unisono_status uni_across_enter_here(struct uni_span *span, const struct uni_call *call,
                                     struct uni_entry *mine, const void *payload, size_t bytes, char *all);
unisono_status uni_across_enter_begin(struct uni_span *span, struct uni_entering *e, size_t payload);
unisono_status uni_across_enter_end(struct uni_span *span, const struct uni_call *call,
                                    struct uni_entering *e);

/* The most that can ride with an entry, and the bytes of a block with that much. */
size_t uni_across_most_riding(const struct uni_span *span);
size_t uni_across_block(const struct uni_span *span, size_t payload);

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
