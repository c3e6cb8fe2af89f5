/* What the kernels' template wants to know of AVX-512 (F, BW, VL, DQ). */
#ifndef UNI_KERNELS_X86_AVX512_H
#define UNI_KERNELS_X86_AVX512_H

#include <immintrin.h>
#include <stdbool.h>

#include "kernels/x86/x86.h"

enum { VECTOR_BYTES = 64 };

#include "kernels/vector/vector.h"

/* This form, with an argument that changes no result, for clang 14: of the plain one it knows the meaning,
 * and would compare float16 lanes instead, one by one. */
INLINE vec widen_float16(v_half v) {
  return (vec)_mm512_cvt_roundph_ps((__m256i)v, _MM_FROUND_NO_EXC);
}

INLINE v_half narrow_float16(vec v) {
  return (v_half)_mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT);
}

/* Bytes that the mask leaves out are not accessed: no fault comes from them, nor is one written. */
#define HAVE_PARTS
INLINE __mmask64 first_bytes(size_t bytes) {
  return ~(__mmask64)0 >> (VECTOR_BYTES - bytes);
}

INLINE void read_part(char part[VECTOR_BYTES], const char *from, size_t bytes) {
  write_vec(part, (vec)_mm512_maskz_loadu_epi8(first_bytes(bytes), from));
}

INLINE void write_part(char *to, const char part[VECTOR_BYTES], size_t bytes) {
  _mm512_mask_storeu_epi8(to, first_bytes(bytes), (__m512i)read_vec(part));
}

INLINE bool any_nan(vec a, vec b) {
  return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_UNORD_Q) != 0;
}

#endif
