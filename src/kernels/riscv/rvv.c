/* The kernels for RISC-V's vectors (RVV 1.0, Zve64d at least). Conversions of 16-bit floats are by integers
 * here; zvfhmin.c and zvfbfmin.c have those for processors with instructions for them. */
#include "kernels/riscv/fold.h"
#include "kernels/riscv/riscv.h"

/* ----------------------------------------------------------------------------- loads and stores */

#define ELEMENT(TYPE, VECTOR, OF_BYTES, TO_BYTES)                                                            \
  INLINE VECTOR load_##TYPE(const uint8_t *from, size_t n) {                                                 \
    return OF_BYTES(__riscv_vle8_v_u8m4(from, sizeof(TYPE##_t) * n));                                        \
  }                                                                                                          \
  INLINE void store_##TYPE(uint8_t *to, VECTOR v, size_t n) {                                                \
    __riscv_vse8(to, TO_BYTES(v), sizeof(TYPE##_t) * n);                                                     \
  }

/* What the language has no one step for, in two: unsigned values of the width come between. */
#define SAME(v) (v)
#define INT16_OF(v) __riscv_vreinterpret_i16m4(__riscv_vreinterpret_u16m4(v))
#define INT32_OF(v) __riscv_vreinterpret_i32m4(__riscv_vreinterpret_u32m4(v))
#define INT64_OF(v) __riscv_vreinterpret_i64m4(__riscv_vreinterpret_u64m4(v))
#define FLOAT32_OF(v) __riscv_vreinterpret_f32m4(__riscv_vreinterpret_u32m4(v))
#define FLOAT64_OF(v) __riscv_vreinterpret_f64m4(__riscv_vreinterpret_u64m4(v))
#define BYTES_OF_16(v) __riscv_vreinterpret_u8m4(__riscv_vreinterpret_u16m4(v))
#define BYTES_OF_32(v) __riscv_vreinterpret_u8m4(__riscv_vreinterpret_u32m4(v))
#define BYTES_OF_64(v) __riscv_vreinterpret_u8m4(__riscv_vreinterpret_u64m4(v))

typedef float float32_t;
typedef double float64_t;

ELEMENT(int8, vint8m4_t, __riscv_vreinterpret_i8m4, __riscv_vreinterpret_u8m4)
ELEMENT(uint8, vuint8m4_t, SAME, SAME)
ELEMENT(int16, vint16m4_t, INT16_OF, BYTES_OF_16)
ELEMENT(uint16, vuint16m4_t, __riscv_vreinterpret_u16m4, __riscv_vreinterpret_u8m4)
ELEMENT(int32, vint32m4_t, INT32_OF, BYTES_OF_32)
ELEMENT(uint32, vuint32m4_t, __riscv_vreinterpret_u32m4, __riscv_vreinterpret_u8m4)
ELEMENT(int64, vint64m4_t, INT64_OF, BYTES_OF_64)
ELEMENT(uint64, vuint64m4_t, __riscv_vreinterpret_u64m4, __riscv_vreinterpret_u8m4)
ELEMENT(float32, vfloat32m4_t, FLOAT32_OF, BYTES_OF_32)
ELEMENT(float64, vfloat64m4_t, FLOAT64_OF, BYTES_OF_64)

/* ------------------------------------------------------------------------- 16-bit floats by integers */

INLINE vfloat32m4_t load_bfloat16(const uint8_t *from, size_t n) {
  vuint32m4_t bits = __riscv_vzext_vf2(load_half(from, n), n);
  return __riscv_vreinterpret_f32m4(__riscv_vsll(bits, 16, n));
}

/* Rounds to nearest even; the canonical NaN remains what it is. */
INLINE void store_bfloat16(uint8_t *to, vfloat32m4_t v, size_t n) {
  vuint32m4_t bits = __riscv_vreinterpret_u32m4(v);
  vuint32m4_t odd = __riscv_vand(__riscv_vsrl(bits, 16, n), 1, n);
  bits = __riscv_vadd(__riscv_vadd(bits, 0x7fff, n), odd, n);
  store_half(to, __riscv_vnsrl(bits, 16, n), n);
}

/* In float32's place the magnitude is 2^-112 times what it should be, subnormal or not; infinity and NaN get
 * float32's greatest exponent instead. */
INLINE vfloat32m4_t load_float16(const uint8_t *from, size_t n) {
  vuint32m4_t bits = __riscv_vzext_vf2(load_half(from, n), n);
  vuint32m4_t magnitude = __riscv_vand(bits, 0x7fff, n), sign = __riscv_vand(bits, 0x8000, n);
  vfloat32m4_t small = __riscv_vreinterpret_f32m4(__riscv_vsll(magnitude, 13, n));
  vuint32m4_t result = __riscv_vreinterpret_u32m4(__riscv_vfmul(small, 0x1p112f, n));
  vuint32m4_t special = __riscv_vor(result, 0x7f800000, n);
  result = __riscv_vmerge(result, special, __riscv_vmsgtu(magnitude, 0x7bff, n), n);
  return __riscv_vreinterpret_f32m4(__riscv_vor(result, __riscv_vsll(sign, 16, n), n));
}

/* As generic/float16.h does it: normal results by the bits, subnormal ones by an addition that puts their
 * unit into the last place, what is too large as infinity. */
INLINE vuint32m4_t narrow_magnitude(vuint32m4_t magnitude, size_t n) {
  enum { REBIAS = (127 - 15) << 10, HALF = 0x3f000000 };
  vuint32m4_t odd = __riscv_vand(__riscv_vsrl(magnitude, 13, n), 1, n);
  vuint32m4_t normal = __riscv_vadd(__riscv_vadd(magnitude, 0xfff, n), odd, n);
  normal = __riscv_vsub(__riscv_vsrl(normal, 13, n), REBIAS, n);
  vfloat32m4_t shifted = __riscv_vfadd(__riscv_vreinterpret_f32m4(magnitude), 0.5f, n);
  vuint32m4_t subnormal = __riscv_vsub(__riscv_vreinterpret_u32m4(shifted), HALF, n);
  vuint32m4_t result = __riscv_vmerge(normal, subnormal, __riscv_vmsltu(magnitude, 0x38800000, n), n);
  result = __riscv_vmerge(result, 0x7c00, __riscv_vmsgtu(magnitude, 0x477fefff, n), n);
  return __riscv_vmerge(result, 0x7e00, __riscv_vmsgtu(magnitude, 0x7f800000, n), n);
}

INLINE void store_float16(uint8_t *to, vfloat32m4_t v, size_t n) {
  vuint32m4_t bits = __riscv_vreinterpret_u32m4(v);
  vuint32m4_t sign = __riscv_vand(__riscv_vsrl(bits, 16, n), 0x8000, n);
  bits = __riscv_vor(narrow_magnitude(__riscv_vand(bits, 0x7fffffff, n), n), sign, n);
  store_half(to, __riscv_vnsrl(bits, 0, n), n);
}

/* --------------------------------------------------------------------------------------- kernels */

#define FOLDED(v, n_in, n) (v)

#define INTEGER_KERNEL(OP, TYPE, BITS, VECTOR, COMBINE)                                                      \
  KERNEL(OP, TYPE, sizeof(TYPE##_t), VECTOR, __riscv_vsetvl_e##BITS##m4, load_##TYPE, COMBINE, FOLDED,       \
         store_##TYPE)

#define SIGNED_KERNELS(TYPE, BITS, VECTOR)                                                                   \
  INTEGER_KERNEL(min, TYPE, BITS, VECTOR, __riscv_vmin)                                                      \
  INTEGER_KERNEL(max, TYPE, BITS, VECTOR, __riscv_vmax)

#define UNSIGNED_KERNELS(TYPE, BITS, VECTOR)                                                                 \
  INTEGER_KERNEL(min, TYPE, BITS, VECTOR, __riscv_vminu)                                                     \
  INTEGER_KERNEL(max, TYPE, BITS, VECTOR, __riscv_vmaxu)                                                     \
  INTEGER_KERNEL(sum, TYPE, BITS, VECTOR, __riscv_vadd)                                                      \
  INTEGER_KERNEL(prod, TYPE, BITS, VECTOR, __riscv_vmul)                                                     \
  INTEGER_KERNEL(band, TYPE, BITS, VECTOR, __riscv_vand)                                                     \
  INTEGER_KERNEL(bor, TYPE, BITS, VECTOR, __riscv_vor)                                                       \
  INTEGER_KERNEL(bxor, TYPE, BITS, VECTOR, __riscv_vxor)

SIGNED_KERNELS(int8, 8, vint8m4_t)
SIGNED_KERNELS(int16, 16, vint16m4_t)
SIGNED_KERNELS(int32, 32, vint32m4_t)
SIGNED_KERNELS(int64, 64, vint64m4_t)
UNSIGNED_KERNELS(uint8, 8, vuint8m4_t)
UNSIGNED_KERNELS(uint16, 16, vuint16m4_t)
UNSIGNED_KERNELS(uint32, 32, vuint32m4_t)
UNSIGNED_KERNELS(uint64, 64, vuint64m4_t)
FLOAT16_KERNELS(float16)
FLOAT16_KERNELS(bfloat16)
FLOAT_KERNELS(float32, 4, float32, vfloat32m4_t, __riscv_vsetvl_e32m4)
FLOAT_KERNELS(float64, 8, float64, vfloat64m4_t, __riscv_vsetvl_e64m4)

void uni_install_rvv(struct uni_kernels *table) {
  INSTALL_ALL();
}

/* Version 0.7.1, which some systems announce in the same way, has other bits in the vector type: this one it
 * calls invalid (the sign bit). So do vectors without elements of 64 bits. */
bool uni_rvv_is_ratified(void) {
  long type;
  size_t length;
  __asm__ __volatile__("vsetvli %1, x0, e64, m1, ta, ma\n\tcsrr %0, vtype"
                       : "=r"(type), "=r"(length)::"vl", "vtype");
  return type > 0;
}
