/* The n-ary fold with vectors whose length the program does not know, and what all files of kernels need for
 * it. VLEN may be anything: each turn of the loop asks how many elements it may have.
 *
 * Memory is read and written as bytes, for vector accesses to wider elements may have to be aligned.
 * Instructions are named as in the RISC-V vector intrinsics, version 1.0. */
#ifndef UNI_KERNELS_RISCV_FOLD_H
#define UNI_KERNELS_RISCV_FOLD_H

#include <riscv_vector.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/install.h"

#define INLINE static inline __attribute__((always_inline))

INLINE const uint8_t *input(const void *const *in, size_t j, size_t at) {
  return (const uint8_t *)in[j] + at;
}
INLINE uint8_t *output(void *const *out, size_t k, size_t at) {
  return (uint8_t *)out[k] + at;
}

/* Defines OP_TYPE. BEGIN(count) is how many elements of at most `count` go into a vector of type VECTOR, LOAD
 * and STORE move them, and FINISH makes the result of the n_in inputs that COMBINE has folded. */
#define KERNEL(OP, TYPE, ELEMENT_BYTES, VECTOR, BEGIN, LOAD, COMBINE, FINISH, STORE)                         \
  static void OP##_##TYPE(void *const *out, size_t n_out, const void *const *in, size_t n_in,                \
                          size_t count) {                                                                    \
    for (size_t at = 0, bytes = (ELEMENT_BYTES)*count, n; at < bytes; at += (ELEMENT_BYTES)*n) {             \
      n = BEGIN((bytes - at) / (ELEMENT_BYTES));                                                             \
      VECTOR acc = LOAD(input(in, 0, at), n);                                                                \
      for (size_t j = 1; j < n_in; j++)                                                                      \
        acc = COMBINE(acc, LOAD(input(in, j, at), n), n);                                                    \
      acc = FINISH(acc, n_in, n);                                                                            \
      for (size_t k = 0; k < n_out; k++)                                                                     \
        STORE(output(out, k, at), acc, n);                                                                   \
    }                                                                                                        \
  }

/* ------------------------------------------------------------------------------------- floats */

/* IEEE 754-2019 minimum and maximum: the instructions order zeros by sign, but prefer a number to a NaN. Of
 * two NaNs they make the canonical one, which is the one that results have. */
#define FLOAT_FUNCTIONS(TYPE, VECTOR, MASK, C_TYPE, NAN_VALUE)                                               \
  INLINE MASK unordered_##TYPE(VECTOR a, VECTOR b, size_t n) {                                               \
    return __riscv_vmor(__riscv_vmfne(a, a, n), __riscv_vmfne(b, b, n), n);                                  \
  }                                                                                                          \
  INLINE VECTOR minimum_##TYPE(VECTOR a, VECTOR b, size_t n) {                                               \
    return __riscv_vfmerge(__riscv_vfmin(a, b, n), NAN_VALUE, unordered_##TYPE(a, b, n), n);                 \
  }                                                                                                          \
  INLINE VECTOR maximum_##TYPE(VECTOR a, VECTOR b, size_t n) {                                               \
    return __riscv_vfmerge(__riscv_vfmax(a, b, n), NAN_VALUE, unordered_##TYPE(a, b, n), n);                 \
  }                                                                                                          \
  INLINE VECTOR result_##TYPE(VECTOR a, size_t n_in, size_t n) {                                             \
    (void)n_in;                                                                                              \
    return __riscv_vfmin(a, a, n);                                                                           \
  }                                                                                                          \
  INLINE VECTOR average_##TYPE(VECTOR a, size_t n_in, size_t n) {                                            \
    return __riscv_vfdiv(a, (C_TYPE)n_in, n);                                                                \
  }

FLOAT_FUNCTIONS(float32, vfloat32m4_t, vbool8_t, float, __builtin_nanf(""))
FLOAT_FUNCTIONS(float64, vfloat64m4_t, vbool16_t, double, __builtin_nan(""))

/* VALUE is the type in which the elements are folded. */
#define FLOAT_KERNELS(TYPE, ELEMENT_BYTES, VALUE, VECTOR, BEGIN)                                             \
  KERNEL(sum, TYPE, ELEMENT_BYTES, VECTOR, BEGIN, load_##TYPE, __riscv_vfadd, result_##VALUE, store_##TYPE)  \
  KERNEL(prod, TYPE, ELEMENT_BYTES, VECTOR, BEGIN, load_##TYPE, __riscv_vfmul, result_##VALUE, store_##TYPE) \
  KERNEL(min, TYPE, ELEMENT_BYTES, VECTOR, BEGIN, load_##TYPE, minimum_##VALUE, result_##VALUE,              \
         store_##TYPE)                                                                                       \
  KERNEL(max, TYPE, ELEMENT_BYTES, VECTOR, BEGIN, load_##TYPE, maximum_##VALUE, result_##VALUE,              \
         store_##TYPE)                                                                                       \
  KERNEL(avg, TYPE, ELEMENT_BYTES, VECTOR, BEGIN, load_##TYPE, __riscv_vfadd, average_##VALUE, store_##TYPE)

/* The 16-bit floats are folded in float32; these are their bits. */
#define FLOAT16_KERNELS(TYPE) FLOAT_KERNELS(TYPE, 2, float32, vfloat32m4_t, __riscv_vsetvl_e32m4)

INLINE vuint16m2_t load_half(const uint8_t *from, size_t n) {
  return __riscv_vreinterpret_u16m2(__riscv_vle8_v_u8m2(from, 2 * n));
}

INLINE void store_half(uint8_t *to, vuint16m2_t v, size_t n) {
  __riscv_vse8(to, __riscv_vreinterpret_u8m2(v), 2 * n);
}

#endif
