/* The reduction kernels: a table of functions, type x op.
 *
 * A kernel folds the n_in inputs in their order, element by element, and writes the result to each of the
 * n_out outputs:  out[k][i] = ((in[0][i] op in[1][i]) op in[2][i]) ...  for 0 <= i < count.
 * 16-bit floats are folded in float32 and rounded once, to nearest even. UNISONO_AVG is the sum divided by
 * n_in (in float32 or float64). A NaN result is always the same quiet NaN (positive, payload 0), so that the
 * bits do not depend on who computed them.
 *
 * An output may be one of the inputs (the same address), else they do not overlap. Buffers are aligned to
 * the element's size or not at all. n_in >= 1, n_out >= 1. The floating-point environment must be the default
 * one: see fpenv.h. */
#ifndef UNI_KERNELS_REDUCE_H
#define UNI_KERNELS_REDUCE_H

#include "unisono.h"

enum { UNI_DTYPES = UNISONO_FLOAT64 + 1, UNI_OPS = UNISONO_BXOR + 1, UNI_FEW_BYTES = 32 };

typedef void (*uni_fold_fn)(void *const *out, size_t n_out, const void *const *in, size_t n_in, size_t count);

/* Copies to memory that another processor reads next, past this one's caches. Where a store would wait until
 * the reader's copy of the old line is given up, this does not. What it wrote is there for who sees a release
 * store that follows. */
typedef void (*uni_stream_fn)(void *to, const void *from, size_t bytes);

struct uni_kernels {
  uni_fold_fn fold[UNI_DTYPES][UNI_OPS]; /* NULL where the type has no such op */
  const struct uni_kernels *few;         /* the table for UNI_FEW_BYTES: a vector or two, not a part of one */
  uni_stream_fn stream;                  /* NULL: none, memcpy does */
  const char *isa;                       /* "scalar", "avx2", "avx512", ... */
  const char *reason;                    /* why this one, in words */
  const char *features;                  /* what the processor has, as "avx2 f16c avx512f" */
};

/* The table for this processor, capped by UNISONO_ISA; made once, at the first call. Thread-safe. */
const struct uni_kernels *uni_kernels(void);

/* The table for one instruction set by name; NULL when this processor or this build has it not. For tests. */
const struct uni_kernels *uni_kernels_for(const char *isa);

/* Size of one element in bytes; 0 for a value that is no type. */
extern const unsigned char uni_dtype_sizes[UNI_DTYPES];
static inline size_t uni_dtype_size(unisono_dtype dtype) {
  return (unsigned)dtype < UNI_DTYPES ? uni_dtype_sizes[dtype] : 0;
}
const char *uni_dtype_name(unisono_dtype dtype); /* "float32" */
const char *uni_op_name(unisono_op op);          /* "sum" */

#endif
