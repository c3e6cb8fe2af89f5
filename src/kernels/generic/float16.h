/* The 16-bit floats and float32, one value at a time. Narrowing rounds to nearest even; a NaN becomes the
 * quiet NaN without payload. */
#ifndef UNI_KERNELS_FLOAT16_H
#define UNI_KERNELS_FLOAT16_H

#include <stdint.h>
#include <string.h>

static inline float float32_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline uint32_t bits_of_float32(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float float32_of_bfloat16(uint16_t bits) {
  return float32_of_bits((uint32_t)bits << 16);
}

static inline uint16_t bfloat16_of_float32(float value) {
  if (value != value)
    return 0x7fc0;
  uint32_t bits = bits_of_float32(value), odd = bits >> 16 & 1;
  return (uint16_t)((bits + 0x7fff + odd) >> 16); /* a carry goes into the exponent, and on to infinity */
}

/* What float32 adds to an exponent's field, less what float16 adds. */
enum { FLOAT16_REBIAS = 127 - 15 };

static inline float float32_of_float16(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = bits >> 10 & 0x1f, fraction = bits & 0x3ff;
  uint32_t magnitude;
  if (exponent == 0) /* zero or subnormal, a multiple of 2^-24: normal in float32 */
    magnitude = bits_of_float32((float)fraction * 0x1p-24f);
  else if (exponent == 0x1f) /* infinity or NaN */
    magnitude = 0x7f800000 | fraction << 13;
  else
    magnitude = (exponent + FLOAT16_REBIAS) << 23 | fraction << 13;
  return float32_of_bits(sign | magnitude);
}

static inline uint16_t float16_of_float32(float value) {
  uint32_t bits = bits_of_float32(value), magnitude = bits & 0x7fffffff, result;
  if (magnitude > 0x7f800000)
    return 0x7e00;
  if (magnitude >= 0x477ff000) /* 65520, halfway between the greatest float16 and 2^16 */
    result = 0x7c00;
  else if (magnitude < 0x38800000) /* below 2^-14; 0.5's last place is 2^-24, a subnormal's unit */
    result = bits_of_float32(float32_of_bits(magnitude) + 0.5f) - bits_of_float32(0.5f);
  else
    result = ((magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13) - ((uint32_t)FLOAT16_REBIAS << 10);
  return (uint16_t)((bits >> 16 & 0x8000) | result);
}

#endif
