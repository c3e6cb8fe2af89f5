/* A reduction across machines. What is summed up between them is float32 where the elements are 16-bit
 * floats, and the whole is rounded once, at the end, by the one rank that has the sum: so all ranks get the
 * same bits. (narrow.h: where it is to travel in 16 bits.) */
#ifndef UNI_MACHINES_REDUCTION_H
#define UNI_MACHINES_REDUCTION_H

#include "machines/span.h"

/* As it is done here. */
struct uni_reduction {
  struct uni_span *span;
  const struct uni_call *call;
  size_t total;        /* elements in all */
  unisono_dtype dtype; /* of the sums */
  size_t element;
  unisono_op op; /* an average is a sum until the end */
  bool narrow;   /* the elements are 16-bit floats, */
  bool travels;  /* and sums of them travel as such */
};

struct uni_reduction uni_reduction_of(struct uni_span *span, const struct uni_call *call);

/* Sums to results, in place. Which NaN the engine made depends on who added to whom: there is one only. */
void uni_reduction_finish(const struct uni_reduction *r, void *sums, size_t n);

#endif
