/* The kernels of bfloat16 for processors that convert to it (AVX512_BF16). The instruction rounds to nearest
 * even, but takes subnormals for zero: where there are any, it is done as everywhere else. */
#include "kernels/x86/avx512.h"

#include "kernels/vector/template.h"

INLINE bool any_subnormal(vec a, vec b) {
  enum { SUBNORMAL = 0x20 };
  return _mm512_fpclass_ps_mask((__m512)a, SUBNORMAL) | _mm512_fpclass_ps_mask((__m512)b, SUBNORMAL);
}

/* Elements of even and of odd number, as load_bfloat16 parts them, side by side again. */
INLINE vec interleave(vec even, vec odd) {
  static const uint16_t turns[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                     8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  __m512i halves = (__m512i)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
  return (vec)_mm512_permutexvar_epi16(_mm512_loadu_si512(turns), halves);
}

INLINE void store(char *to, const vec *acc, int vectors) {
  bool found = any_subnormal(acc[0], acc[vectors > 1]);
  for (int u = 2; u + 1 < vectors; u += 2)
    found |= any_subnormal(acc[u], acc[u + 1]);
  if (__builtin_expect(found, 0) || vectors == 1) {
    store_bfloat16(to, acc, vectors);
    return;
  }
  for (int u = 0; u + 1 < vectors; u += 2)
    write_vec(to + u * VECTOR_BYTES / 2, interleave(acc[u], acc[u + 1]));
}

FLOAT_KERNELS(bfloat16, 2, float32, VECTOR_BYTES / 2, load_bfloat16, store)

void uni_install_avx512_bf16(struct uni_kernels *table) {
  INSTALL_FLOAT(BFLOAT16, bfloat16);
}
