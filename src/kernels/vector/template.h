/* What kernels are made of: how elements get in and out of vectors, and the macros that put steps together.
 * The includer has defined, in this order: VECTOR_BYTES, what kernels/vector/vector.h brings, and on its
 * types
 *
 *   vec widen_float16(v_half), v_half narrow_float16(vec):  float16 to float32 and, rounding to nearest
 *                                                           even, back
 *   bool any_nan(vec a, vec b):                             is any float32 of a or b a NaN?
 *
 * and, if it sets HAVE_PARTS, read_part and write_part of kernels/vector/fold.h. */
#ifndef UNI_KERNELS_VECTOR_TEMPLATE_H
#define UNI_KERNELS_VECTOR_TEMPLATE_H

#include "kernels/install.h"
#include "kernels/vector/fold.h"

INLINE void load_same(vec *acc, const char *from, int vectors) {
  for (int u = 0; u < vectors; u++)
    acc[u] = read_vec(from + u * VECTOR_BYTES);
}

INLINE void store_same(char *to, const vec *acc, int vectors) {
  for (int u = 0; u < vectors; u++)
    write_vec(to + u * VECTOR_BYTES, acc[u]);
}

INLINE void load_float16(vec *acc, const char *from, int vectors) {
  for (int u = 0; u < vectors; u++)
    acc[u] = widen_float16(read_half(from + u * VECTOR_BYTES / 2));
}

INLINE void store_float16(char *to, const vec *acc, int vectors) {
  for (int u = 0; u < vectors; u++)
    write_half(to + u * VECTOR_BYTES / 2, narrow_float16(acc[u]));
}

/* bfloat16 is the upper half of a float32. Where two vectors' worth is at hand, one takes the elements of
 * even number and one those of odd number, which needs no shuffling. */
INLINE void load_bfloat16(vec *acc, const char *from, int vectors) {
  if (vectors == 1)
    acc[0] = (vec)(__builtin_convertvector(read_half(from), v_uint32) << 16);
  for (int u = 0; u + 1 < vectors; u += 2) {
    v_uint32 both = (v_uint32)read_vec(from + u * VECTOR_BYTES / 2);
    acc[u] = (vec)(both << 16);
    acc[u + 1] = (vec)(both & 0xffff0000);
  }
}

/* Rounds to nearest even, in the upper half. By integers, as not every processor converts to bfloat16.
 * result_float32's NaN remains what it is. */
INLINE v_uint32 round_bfloat16(vec v) {
  v_uint32 bits = (v_uint32)v;
  return bits + 0x7fff + (bits >> 16 & 1);
}

INLINE void store_bfloat16(char *to, const vec *acc, int vectors) {
  if (vectors == 1)
    write_half(to, __builtin_convertvector(round_bfloat16(acc[0]) >> 16, v_half));
  for (int u = 0; u + 1 < vectors; u += 2) {
    v_uint32 even = round_bfloat16(acc[u]) >> 16, odd = round_bfloat16(acc[u + 1]) & 0xffff0000;
    write_vec(to + u * VECTOR_BYTES / 2, (vec)(even | odd));
  }
}

/* Results that are no NaN need no other bits: one look at two vectors says so. */
INLINE bool is_final_float32(const vec *acc, int vectors) {
  bool found = any_nan(acc[0], acc[vectors > 1]);
  for (int u = 2; u + 1 < vectors; u += 2)
    found |= any_nan(acc[u], acc[u + 1]);
  return __builtin_expect(!found, 1);
}

INLINE bool never_final(const vec *acc, int vectors) {
  (void)acc;
  (void)vectors;
  return false;
}

#define KERNEL(OP, TYPE, ELEMENT_BYTES, VECTOR_PART, LOAD, COMBINE, FINISH, IS_FINAL, STORE)                 \
  static void OP##_##TYPE(void *const *out, size_t n_out, const void *const *in, size_t n_in,                \
                          size_t count) {                                                                    \
    fold(out, n_out, in, n_in, (ELEMENT_BYTES)*count,                                                        \
         (struct steps){VECTOR_PART, LOAD, STORE, COMBINE, FINISH, IS_FINAL});                               \
  }

#define INTEGER_KERNEL(OP, TYPE, COMBINE)                                                                    \
  KERNEL(OP, TYPE, sizeof(TYPE##_t), VECTOR_BYTES, load_same, COMBINE, same_vec, never_final, store_same)

#define ORDER_KERNELS(TYPE)                                                                                  \
  INTEGER_KERNEL(min, TYPE, lesser_##TYPE)                                                                   \
  INTEGER_KERNEL(max, TYPE, greater_##TYPE)

#define UNSIGNED_KERNELS(TYPE)                                                                               \
  ORDER_KERNELS(TYPE)                                                                                        \
  INTEGER_KERNEL(sum, TYPE, add_##TYPE)                                                                      \
  INTEGER_KERNEL(prod, TYPE, multiply_##TYPE)                                                                \
  INTEGER_KERNEL(band, TYPE, and_vec)                                                                        \
  INTEGER_KERNEL(bor, TYPE, or_vec)                                                                          \
  INTEGER_KERNEL(bxor, TYPE, xor_vec)

/* VALUE is the type in which the elements are folded. */
#define FLOAT_KERNELS(TYPE, ELEMENT_BYTES, VALUE, VECTOR_PART, LOAD, STORE)                                  \
  KERNEL(sum, TYPE, ELEMENT_BYTES, VECTOR_PART, LOAD, add_##VALUE, result_##VALUE, is_final_##VALUE, STORE)  \
  KERNEL(prod, TYPE, ELEMENT_BYTES, VECTOR_PART, LOAD, multiply_##VALUE, result_##VALUE, is_final_##VALUE,   \
         STORE)                                                                                              \
  KERNEL(min, TYPE, ELEMENT_BYTES, VECTOR_PART, LOAD, minimum_##VALUE, result_##VALUE, is_final_##VALUE,     \
         STORE)                                                                                              \
  KERNEL(max, TYPE, ELEMENT_BYTES, VECTOR_PART, LOAD, maximum_##VALUE, result_##VALUE, is_final_##VALUE,     \
         STORE)                                                                                              \
  KERNEL(avg, TYPE, ELEMENT_BYTES, VECTOR_PART, LOAD, add_##VALUE, average_##VALUE, never_final, STORE)

#define is_final_float64 never_final

#endif
