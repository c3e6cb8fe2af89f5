/* The kernels for AVX2 with F16C. */
#include <immintrin.h>
#include <stdbool.h>

#include "kernels/x86/x86.h"

enum { VECTOR_BYTES = 32 };

#include "kernels/vector/vector.h"

/* The empty statement hides where the value comes from: clang 14 would compare float16 lanes instead, one by
 * one. */
INLINE vec widen_float16(v_half v) {
  __m256 wide = _mm256_cvtph_ps((__m128i)v);
  __asm__("" : "+x"(wide));
  return (vec)wide;
}

INLINE v_half narrow_float16(vec v) {
  return (v_half)_mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT);
}

INLINE bool any_nan(vec a, vec b) {
  return _mm256_movemask_ps(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_UNORD_Q)) != 0;
}

#include "kernels/vector/kernels.h"

static inline void stream_vec(char *to, vec v) {
  _mm256_stream_si256((__m256i *)(void *)to, (__m256i)v);
}

#include "kernels/x86/stream.h"

void uni_install_avx2(struct uni_kernels *table) {
  INSTALL_ALL();
  table->stream = stream;
}
