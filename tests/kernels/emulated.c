/* The AVX-512 kernels from their own source, for processors that lack AVX-512: the compiler divides the
 * 64-byte vectors, and the instructions that the source names are put together here from AVX2's. */
#include <immintrin.h>
#include <string.h>

#include "kernels.h"

#if defined(__AVX512F__)
#error "compile this for AVX2: the compiler must not know the real instructions"
#endif

/* Defined by the included source, under a name of its own. */
#define uni_install_avx512_base uni_install_emulated_avx512

/* These two are macros for some compilers. */
#undef _mm512_cvt_roundph_ps
#undef _mm512_cvtps_ph
#define _mm512_cvt_roundph_ps(v, exceptions) emulated_cvtph_ps(v)
#define _mm512_cvtps_ph(v, rounding) emulated_cvtps_ph(v)
#define _mm512_maskz_loadu_epi8 emulated_maskz_loadu_epi8
#define _mm512_mask_storeu_epi8 emulated_mask_storeu_epi8
#define _mm512_stream_si512 emulated_stream_si512
#undef _mm512_cmp_ps_mask
#define _mm512_cmp_ps_mask(a, b, predicate) emulated_unordered_mask(a, b)

#define EMULATED static inline __attribute__((always_inline))

EMULATED __m512 emulated_cvtph_ps(__m256i v) {
  __m512 result;
  __m256 halves[2] = {_mm256_cvtph_ps(_mm256_castsi256_si128(v)),
                      _mm256_cvtph_ps(_mm256_extracti128_si256(v, 1))};
  memcpy(&result, halves, sizeof result);
  return result;
}

EMULATED __m256i emulated_cvtps_ph(__m512 v) {
  __m256 halves[2];
  memcpy(halves, &v, sizeof halves);
  return _mm256_set_m128i(_mm256_cvtps_ph(halves[1], 0), _mm256_cvtps_ph(halves[0], 0));
}

EMULATED __m512i emulated_maskz_loadu_epi8(__mmask64 mask, const char *from) {
  char bytes[64] = {0};
  __m512i result;
  for (int i = 0; i < 64; i++)
    if (mask >> i & 1)
      bytes[i] = from[i];
  memcpy(&result, bytes, sizeof result);
  return result;
}

EMULATED void emulated_mask_storeu_epi8(char *to, __mmask64 mask, __m512i v) {
  char bytes[64];
  memcpy(bytes, &v, sizeof bytes);
  for (int i = 0; i < 64; i++)
    if (mask >> i & 1)
      to[i] = bytes[i];
}

EMULATED __mmask16 emulated_unordered_mask(__m512 a, __m512 b) {
  float x[16], y[16];
  __mmask16 mask = 0;
  memcpy(x, &a, sizeof x);
  memcpy(y, &b, sizeof y);
  for (int i = 0; i < 16; i++)
    mask |= (__mmask16)(__builtin_isunordered(x[i], y[i]) << i);
  return mask;
}

EMULATED void emulated_stream_si512(void *to, __m512i v) {
  memcpy(to, &v, sizeof v);
}

#include "kernels/x86/avx512.c"

void install_emulated_avx512(struct uni_kernels *table) {
  INSTALL_ALL();
  table->stream = stream;
}
