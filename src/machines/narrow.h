/* Sums of 16-bit floats that travel between machines in 16 bits (UNISONO_PARTIALS=16bit), half of what they
 * take as float32: each machine rounds its own once, before it goes. */
#ifndef UNI_MACHINES_NARROW_H
#define UNI_MACHINES_NARROW_H

#include "machines/span.h"

enum { UNI_NARROW_FROM = 512 /* bytes of float32: less goes with the call */ };

struct uni_narrow {
  struct uni_span *span;
  unisono_dtype dtype; /* float16 or bfloat16 */
  unisono_op op;
  const char *what; /* the operation, for words */
  size_t n;         /* elements of the column's slice */
  size_t from, own; /* the piece that this machine's rank sums up */
  uint16_t *wire;   /* n: what is sent, then the results */
  uint16_t *come;   /* of every machine: its part of the piece */
  float *wide;      /* the same as float32 */
  float *sums;      /* the piece's */
};

/* Prepares for n elements. What the engine may still use is not freed. */
unisono_status uni_narrow_open(struct uni_narrow *narrow);
void uni_narrow_close(struct uni_narrow *narrow);

/* Every machine's rank gets all machines' sums of its piece and adds them up, in the machines' order: `sums`.
 */
unisono_status uni_narrow_scatter(struct uni_narrow *narrow, const float *mine);

/* Everybody's piece, rounded by who has it, to everybody: `wire`. */
unisono_status uni_narrow_gather(struct uni_narrow *narrow, const uint16_t *piece);

/* Between the two, and at the ends. */
void uni_widen(float *to, const uint16_t *from, size_t n, unisono_dtype dtype);
void uni_round_to_16(uint16_t *to, const float *from, size_t n, unisono_dtype dtype); /* also in place */

#endif
