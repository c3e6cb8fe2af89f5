/* The kernels of float16 for processors that calculate with it (FP16), where that gives the bits of the rule,
 * which is to accumulate in float32 and to round once: minimum and maximum, and what has only one step. The
 * sum of two float16 has the same bits when it is rounded to float32 in between (24 bits are enough for 11:
 * 24 >= 2*11 + 2; a subnormal sum is exact), and their product is exact in float32. A mean would be rounded
 * twice. */
#include "kernels/arm/neon.h"

#include "kernels/vector/template.h"

INLINE vec add_halves(vec a, vec b) {
  return (vec)vaddq_f16((float16x8_t)a, (float16x8_t)b);
}
INLINE vec multiply_halves(vec a, vec b) {
  return (vec)vmulq_f16((float16x8_t)a, (float16x8_t)b);
}
INLINE vec minimum_halves(vec a, vec b) {
  return (vec)vminq_f16((float16x8_t)a, (float16x8_t)b);
}
INLINE vec maximum_halves(vec a, vec b) {
  return (vec)vmaxq_f16((float16x8_t)a, (float16x8_t)b);
}

INLINE vec result_halves(vec a, size_t n_in) {
  (void)n_in;
  uint16x8_t numbers = vceqq_f16((float16x8_t)a, (float16x8_t)a);
  return (vec)vbslq_u16(numbers, (uint16x8_t)a, vdupq_n_u16(0x7e00));
}

#define HALVES_KERNEL(OP, TYPE, COMBINE)                                                                     \
  KERNEL(OP, TYPE, 2, VECTOR_BYTES, load_same, COMBINE, result_halves, never_final, store_same)

#define FLOAT32_KERNEL(OP, TYPE, COMBINE)                                                                    \
  KERNEL(OP, TYPE, 2, VECTOR_BYTES / 2, load_float16, COMBINE, result_float32, is_final_float32,             \
         store_float16)

#define ONE_STEP_KERNEL(OP, COMBINE)                                                                         \
  HALVES_KERNEL(OP, two, COMBINE##_halves)                                                                   \
  FLOAT32_KERNEL(OP, several, COMBINE##_float32)                                                             \
  static void OP##_float16(void *const *out, size_t n_out, const void *const *in, size_t n_in,               \
                           size_t count) {                                                                   \
    (n_in == 2 ? OP##_two : OP##_several)(out, n_out, in, n_in, count);                                      \
  }

ONE_STEP_KERNEL(sum, add)
ONE_STEP_KERNEL(prod, multiply)
HALVES_KERNEL(min, float16, minimum_halves)
HALVES_KERNEL(max, float16, maximum_halves)

void uni_install_fp16(struct uni_kernels *table) {
  INSTALL(FLOAT16, SUM, sum_float16);
  INSTALL(FLOAT16, PROD, prod_float16);
  INSTALL(FLOAT16, MIN, min_float16);
  INSTALL(FLOAT16, MAX, max_float16);
}
