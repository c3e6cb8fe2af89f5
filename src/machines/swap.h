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

struct uni_block {
  char *at;
  size_t bytes; /* 0: nothing */
};

/* Have all machines equally many ranks, and are they few enough for uni_swap_blocks? */
bool uni_swap_suits(const struct uni_span *span);

/* Sends out[m] to machine m's rank of the column and gets in[m] from it; its own are left alone. They are the
 * engine's until the swap has ended. */
unisono_status uni_swap_blocks(struct uni_span *span, const struct uni_block *out, const struct uni_block *in,
                               struct uni_swap *swap);

/* Machine m's block of `bytes` is at blocks + m * stride; this machine's is there. The blocks are the
 * engine's until the swap has ended. */
unisono_status uni_swap_begin(struct uni_span *span, char *blocks, size_t bytes, size_t stride,
                              struct uni_swap *swap);
unisono_status uni_swap_end(struct uni_span *span, struct uni_swap *swap, const char *what);

#endif
