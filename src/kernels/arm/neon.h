/* What the kernels' template wants to know of NEON. */
#ifndef UNI_KERNELS_ARM_NEON_H
#define UNI_KERNELS_ARM_NEON_H

#include <arm_neon.h>
#include <stdbool.h>

#include "kernels/arm/arm.h"

enum { VECTOR_BYTES = 16 };

#define HAVE_EXTREMES
#include "kernels/vector/vector.h"

/* Arm's minimum and maximum are IEEE 754-2019's: a NaN stays a NaN, and -0 is less than +0. */
INLINE vec minimum_float32(vec a, vec b) {
  return (vec)vminq_f32((float32x4_t)a, (float32x4_t)b);
}
INLINE vec maximum_float32(vec a, vec b) {
  return (vec)vmaxq_f32((float32x4_t)a, (float32x4_t)b);
}
INLINE vec minimum_float64(vec a, vec b) {
  return (vec)vminq_f64((float64x2_t)a, (float64x2_t)b);
}
INLINE vec maximum_float64(vec a, vec b) {
  return (vec)vmaxq_f64((float64x2_t)a, (float64x2_t)b);
}

/* Every processor converts float16; only arithmetic with it is an extension. */
INLINE vec widen_float16(v_half v) {
  return (vec)vcvt_f32_f16((float16x4_t)v);
}

INLINE v_half narrow_float16(vec v) {
  return (v_half)vcvt_f16_f32((float32x4_t)v);
}

INLINE bool any_nan(vec a, vec b) {
  uint32x4_t numbers =
      vandq_u32(vceqq_f32((float32x4_t)a, (float32x4_t)a), vceqq_f32((float32x4_t)b, (float32x4_t)b));
  return vminvq_u32(numbers) == 0;
}

#endif
