/* The ranks of a column swap blocks: each gets those of all machines. */
#ifndef UNI_MACHINES_SWAP_H
#define UNI_MACHINES_SWAP_H

#include "machines/span.h"

/* Up to so many machines everybody sends to everybody: one trip. With more the engine's all_gather does it.
 */
enum { UNI_SWAP_DIRECT = 8 };

/* Up to so many payload may ride with a call's entry. With more not even all entries are told to everybody.
 */
enum { UNI_MOST_RIDING = 128 };

struct uni_swap {
  uni_engine_request requests[2 * UNI_SWAP_DIRECT];
  int n; /* of them under way */
};

/* Machine m's block of `bytes` is at blocks + m * stride; this machine's is there. The blocks are the
 * engine's until the swap has ended. */
unisono_status uni_swap_begin(struct uni_span *span, char *blocks, size_t bytes, size_t stride,
                              struct uni_swap *swap);
unisono_status uni_swap_end(struct uni_span *span, struct uni_swap *swap, const char *what);

#endif
