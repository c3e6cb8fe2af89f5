#include <string.h>

#include "kernels.h"

static uint64_t state = 1;

void seed_random(uint64_t seed) {
  state = seed;
}

uint64_t random_bits(void) { /* splitmix64 */
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

size_t random_below(size_t n) {
  return random_bits() % n;
}

bool is_float(unisono_dtype dtype) {
  return dtype >= UNISONO_FLOAT16;
}

struct float_format format_of(unisono_dtype dtype) {
  switch (dtype) {
  case UNISONO_FLOAT16:
    return (struct float_format){5, 10};
  case UNISONO_BFLOAT16:
    return (struct float_format){8, 7};
  case UNISONO_FLOAT32:
    return (struct float_format){8, 23};
  default:
    return (struct float_format){11, 52};
  }
}

/* The machines that this runs on are little-endian. */
uint64_t get_element(const void *array, size_t i, size_t size) {
  uint64_t bits = 0;
  memcpy(&bits, (const char *)array + i * size, size);
  return bits;
}

void set_element(void *array, size_t i, size_t size, uint64_t bits) {
  memcpy((char *)array + i * size, &bits, size);
}

static uint64_t special_float(struct float_format f, size_t i) {
  uint64_t unit = (uint64_t)1 << f.fraction_bits; /* the exponent's last bit */
  uint64_t infinity = (((uint64_t)1 << f.exponent_bits) - 1) * unit;
  uint64_t one = ((uint64_t)1 << (f.exponent_bits - 1)) * unit - unit;
  const uint64_t magnitudes[SPECIALS / 2] = {
      0,                        /* zero */
      1,                        /* the least subnormal */
      unit / 2,                 /* a subnormal */
      unit - 1,                 /* the greatest subnormal */
      unit,                     /* the least normal */
      one,                      /* 1 */
      one + 1,                  /* the next one after 1 */
      one + unit / 2,           /* 1.5 */
      infinity - 1,             /* the greatest finite */
      infinity,                 /* infinity */
      infinity + unit / 2,      /* a quiet NaN */
      infinity + unit / 2 + 12, /* a quiet NaN with a payload */
      infinity + 1,             /* a signalling NaN */
  };
  uint64_t sign = (uint64_t)(i & 1) << (f.exponent_bits + f.fraction_bits);
  return sign | magnitudes[i / 2];
}

static uint64_t special_integer(size_t bits, size_t i) {
  uint64_t top = (uint64_t)1 << (bits - 1);
  switch (i % 6) {
  case 0:
    return 0;
  case 1:
    return 1;
  case 2:
    return top;
  case 3:
    return top - 1;
  case 4:
    return top + (top - 1); /* all ones */
  default:
    return i;
  }
}

uint64_t special_bits(unisono_dtype dtype, size_t i) {
  return is_float(dtype) ? special_float(format_of(dtype), i) : special_integer(8 * uni_dtype_size(dtype), i);
}

/* A value whose exponent is within 4 of 1's: sums and products round, and seldom overflow. */
static uint64_t moderate_bits(unisono_dtype dtype) {
  if (!is_float(dtype))
    return random_bits();
  struct float_format f = format_of(dtype);
  uint64_t exponent = ((uint64_t)1 << (f.exponent_bits - 1)) - 5 + random_below(9);
  uint64_t sign = random_bits() & 1;
  uint64_t fraction = random_bits() & (((uint64_t)1 << f.fraction_bits) - 1);
  return (sign << f.exponent_bits | exponent) << f.fraction_bits | fraction;
}

/* A value in or near the subnormals. */
static uint64_t tiny_bits(unisono_dtype dtype) {
  if (!is_float(dtype))
    return random_below(4);
  struct float_format f = format_of(dtype);
  uint64_t sign = random_bits() & 1;
  return sign << (f.exponent_bits + f.fraction_bits) |
         (random_bits() & (((uint64_t)4 << f.fraction_bits) - 1));
}

static uint64_t element_bits(unisono_dtype dtype, size_t mix) {
  switch (mix) {
  case 0:
    return random_bits();
  case 1:
    return moderate_bits(dtype);
  case 2:
    return special_bits(dtype, random_below(SPECIALS));
  case 3:
    return tiny_bits(dtype);
  default:
    return element_bits(dtype, random_below(8) ? 1 : random_below(4));
  }
}

void fill_random(void *array, unisono_dtype dtype, size_t count) {
  size_t size = uni_dtype_size(dtype), mix = random_below(5);
  for (size_t i = 0; i < count; i++)
    set_element(array, i, size, element_bits(dtype, mix));
}
