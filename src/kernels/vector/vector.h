/* Operations on one vector of VECTOR_BYTES bytes, which the includer has defined, for any processor: they
 * are written with the compiler's vector types.
 *
 * A `vec` is a vector without a type. The functions' names say what they take it for. */
#ifndef UNI_KERNELS_VECTOR_H
#define UNI_KERNELS_VECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Every function here becomes part of a kernel, at whatever level the compiler optimises. */
#define INLINE static inline __attribute__((always_inline))

#define VECTOR_OF(C_TYPE) C_TYPE __attribute__((vector_size(VECTOR_BYTES)))

typedef VECTOR_OF(uint8_t) vec;
typedef VECTOR_OF(int8_t) v_int8;
typedef VECTOR_OF(uint8_t) v_uint8;
typedef VECTOR_OF(int16_t) v_int16;
typedef VECTOR_OF(uint16_t) v_uint16;
typedef VECTOR_OF(int32_t) v_int32;
typedef VECTOR_OF(uint32_t) v_uint32;
typedef VECTOR_OF(int64_t) v_int64;
typedef VECTOR_OF(uint64_t) v_uint64;
typedef VECTOR_OF(float) v_float32;
typedef VECTOR_OF(double) v_float64;

/* As many 16-bit values as a v_float32 has lanes. */
typedef uint16_t v_half __attribute__((vector_size(VECTOR_BYTES / 2)));

/* Lane by lane: a where the mask is all ones, b where it is all zeros. */
INLINE vec select_vec(vec mask, vec a, vec b) {
  return (mask & a) | (~mask & b);
}

INLINE vec and_vec(vec a, vec b) {
  return a & b;
}
INLINE vec or_vec(vec a, vec b) {
  return a | b;
}
INLINE vec xor_vec(vec a, vec b) {
  return a ^ b;
}

#define ARITHMETIC(TYPE)                                                                                     \
  INLINE vec add_##TYPE(vec a, vec b) {                                                                      \
    return (vec)((v_##TYPE)a + (v_##TYPE)b);                                                                 \
  }                                                                                                          \
  INLINE vec multiply_##TYPE(vec a, vec b) {                                                                 \
    return (vec)((v_##TYPE)a * (v_##TYPE)b);                                                                 \
  }

/* Of a and b: the lesser or greater one; b where neither is. */
#define ORDER(TYPE)                                                                                          \
  INLINE vec lesser_##TYPE(vec a, vec b) {                                                                   \
    return select_vec((vec)((v_##TYPE)a < (v_##TYPE)b), a, b);                                               \
  }                                                                                                          \
  INLINE vec greater_##TYPE(vec a, vec b) {                                                                  \
    return select_vec((vec)((v_##TYPE)a > (v_##TYPE)b), a, b);                                               \
  }

/* IEEE 754-2019 minimum and maximum. The two operand orders agree unless the operands are equal (then it is
 * the zero's sign that matters: OR and AND of the bits give it) or one is a NaN (then both are there: OR of
 * the bits is a NaN, for the maximum one is put in). Left out where the includer has instructions for them.
 */
#define EXTREMES(TYPE)                                                                                       \
  INLINE vec minimum_##TYPE(vec a, vec b) {                                                                  \
    return lesser_##TYPE(a, b) | lesser_##TYPE(b, a);                                                        \
  }                                                                                                          \
  INLINE vec maximum_##TYPE(vec a, vec b) {                                                                  \
    vec ordered = (vec)(((v_##TYPE)a == (v_##TYPE)a) & ((v_##TYPE)b == (v_##TYPE)b));                        \
    return (greater_##TYPE(a, b) & greater_##TYPE(b, a)) | ~ordered;                                         \
  }

/* The one NaN that results have. */
#define RESULT(TYPE, NAN_BITS, MASK)                                                                         \
  INLINE vec result_##TYPE(vec a, size_t n_in) {                                                             \
    (void)n_in;                                                                                              \
    return select_vec((vec)((v_##TYPE)a == (v_##TYPE)a), a, (vec)((MASK){0} + (NAN_BITS)));                  \
  }

ARITHMETIC(uint8)
ARITHMETIC(uint16)
ARITHMETIC(uint32)
ARITHMETIC(uint64)
ARITHMETIC(float32)
ARITHMETIC(float64)

ORDER(int8)
ORDER(uint8)
ORDER(int16)
ORDER(uint16)
ORDER(int32)
ORDER(uint32)
ORDER(int64)
ORDER(uint64)
ORDER(float32)
ORDER(float64)

#ifndef HAVE_EXTREMES
EXTREMES(float32)
EXTREMES(float64)
#endif
RESULT(float32, 0x7fc00000, v_uint32)
RESULT(float64, 0x7ff8000000000000, v_uint64)

INLINE vec average_float32(vec a, size_t n_in) {
  return result_float32((vec)((v_float32)a / (float)n_in), n_in);
}

INLINE vec average_float64(vec a, size_t n_in) {
  return result_float64((vec)((v_float64)a / (double)n_in), n_in);
}

INLINE vec same_vec(vec a, size_t n_in) {
  (void)n_in;
  return a;
}

INLINE vec read_vec(const char *from) {
  vec v;
  memcpy(&v, from, sizeof v);
  return v;
}

INLINE void write_vec(char *to, vec v) {
  memcpy(to, &v, sizeof v);
}

INLINE v_half read_half(const char *from) {
  v_half v;
  memcpy(&v, from, sizeof v);
  return v;
}

INLINE void write_half(char *to, v_half v) {
  memcpy(to, &v, sizeof v);
}

#endif
