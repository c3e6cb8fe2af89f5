/* What the collectives must give, by plain scalar code that has nothing in common with the library: folds in
 * rank order, 16-bit floats in float32 and rounded once, IEEE 754-2019 minimum and maximum, one quiet NaN. */
#ifndef TESTS_REFERENCE_H
#define TESTS_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include <unisono.h>

enum { DTYPES = UNISONO_FLOAT64 + 1, OPS = UNISONO_BXOR + 1 };

size_t reference_size(unisono_dtype dtype);
bool reference_is_float(unisono_dtype dtype);
bool reference_has_op(unisono_dtype dtype, unisono_op op);
const char *reference_dtype_name(unisono_dtype dtype);
const char *reference_op_name(unisono_op op);

/* out[i] = in[0][i] op ... op in[n-1][i]. Independent of the caller's floating-point environment. */
void reference_reduce(void *out, const void *const *in, int n, size_t count, unisono_dtype dtype,
                      unisono_op op);

/* A rank's input: random bits, ordinary numbers or special values, as the seed falls. Writes `count` elements
 * from the `first` one on. */
void reference_fill(void *out, size_t first, size_t count, unisono_dtype dtype, uint64_t seed, int rank);

#endif
