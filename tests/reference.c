#include "reference.h"

#include <fenv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *name;
  size_t size;
} dtypes[DTYPES] = {
    {"int8", 1},  {"uint8", 1},  {"int16", 2},   {"uint16", 2},   {"int32", 4},   {"uint32", 4},
    {"int64", 8}, {"uint64", 8}, {"float16", 2}, {"bfloat16", 2}, {"float32", 4}, {"float64", 8},
};

static const char *const ops[OPS] = {"sum", "prod", "min", "max", "avg", "band", "bor", "bxor"};

size_t reference_size(unisono_dtype dtype) {
  return dtypes[dtype].size;
}
const char *reference_dtype_name(unisono_dtype dtype) {
  return dtypes[dtype].name;
}
const char *reference_op_name(unisono_op op) {
  return ops[op];
}
bool reference_is_float(unisono_dtype dtype) {
  return dtype >= UNISONO_FLOAT16;
}

bool reference_has_op(unisono_dtype dtype, unisono_op op) {
  return reference_is_float(dtype) ? op <= UNISONO_AVG : op != UNISONO_AVG;
}

/* ------------------------------------------------------------------------------------- 16-bit floats */

static float float_from_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static uint32_t bits_of_float(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

/* sign, exponent and fraction of a float16, by their definition */
static float from_float16(uint16_t h) {
  int exponent = h >> 10 & 31;
  int fraction = h & 0x3ff;
  float magnitude;
  if (exponent == 31)
    magnitude = fraction ? NAN : INFINITY;
  else if (exponent == 0)
    magnitude = ldexpf((float)fraction, -24);
  else
    magnitude = ldexpf((float)(fraction + 1024), exponent - 25);
  return h & 0x8000 ? -magnitude : magnitude;
}

/* Counts the float16 steps in |x| in double, which is exact, and lets rint round to even. */
static uint16_t to_float16(float x) {
  uint16_t sign = signbit(x) ? 0x8000 : 0;
  int exponent;
  double magnitude = fabs((double)x);
  if (isnan(x))
    return 0x7e00;
  if (magnitude >= 65520) /* half a step above the largest: rounds to infinity */
    return (uint16_t)(sign | 0x7c00);
  frexp(magnitude, &exponent);                                       /* magnitude = [0.5, 1) * 2^exponent */
  int step = magnitude == 0 || exponent < -13 ? -24 : exponent - 11; /* log2 of the distance of neighbours */
  double steps = rint(ldexp(magnitude, -step));                      /* at most 2048 */
  return (uint16_t)(sign | (uint16_t)((step + 24) * 1024 + (int)steps));
}

static float from_bfloat16(uint16_t b) {
  return float_from_bits((uint32_t)b << 16);
}

static uint16_t to_bfloat16(float x) {
  uint32_t bits = bits_of_float(x);
  if (isnan(x))
    return 0x7fc0;
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* ------------------------------------------------------------------------------------- one operation */

static double minimum(double a, double b) {
  if (isnan(a) || isnan(b))
    return NAN;
  if (a == b)
    return signbit(a) ? a : b;
  return a < b ? a : b;
}

static double maximum(double a, double b) {
  return -minimum(-a, -b);
}

static float apply_float32(float a, float b, unisono_op op) {
  switch (op) {
  case UNISONO_PROD:
    return a * b;
  case UNISONO_MIN:
    return (float)minimum((double)a, (double)b);
  case UNISONO_MAX:
    return (float)maximum((double)a, (double)b);
  default:
    return a + b;
  }
}

static double apply_float64(double a, double b, unisono_op op) {
  switch (op) {
  case UNISONO_PROD:
    return a * b;
  case UNISONO_MIN:
    return minimum(a, b);
  case UNISONO_MAX:
    return maximum(a, b);
  default:
    return a + b;
  }
}

/* Integers of any width are extended to 64 bits: the low bits of sums and products do not depend on more. */
static uint64_t apply_integer(uint64_t a, uint64_t b, unisono_op op, bool is_signed) {
  bool less = is_signed ? (int64_t)a < (int64_t)b : a < b;
  switch (op) {
  case UNISONO_PROD:
    return a * b;
  case UNISONO_MIN:
    return less ? a : b;
  case UNISONO_MAX:
    return less ? b : a;
  case UNISONO_BAND:
    return a & b;
  case UNISONO_BOR:
    return a | b;
  case UNISONO_BXOR:
    return a ^ b;
  default:
    return a + b;
  }
}

static bool is_signed(unisono_dtype dtype) {
  return dtype < UNISONO_FLOAT16 && dtype % 2 == 0;
}

static uint64_t load_integer(const void *in, size_t i, unisono_dtype dtype) {
  uint64_t x = 0;
  size_t size = dtypes[dtype].size;
  memcpy(&x, (const char *)in + i * size, size);
  if (is_signed(dtype) && size < 8) {
    uint64_t top = (uint64_t)1 << (8 * size - 1);
    x = (x ^ top) - top;
  }
  return x;
}

/* ---------------------------------------------------------------------------------------- one element */

static void fold_integer(void *out, const void *const *in, int n, size_t i, unisono_dtype dtype,
                         unisono_op op) {
  uint64_t x = load_integer(in[0], i, dtype);
  for (int r = 1; r < n; r++)
    x = apply_integer(x, load_integer(in[r], i, dtype), op, is_signed(dtype));
  memcpy((char *)out + i * dtypes[dtype].size, &x, dtypes[dtype].size);
}

static void fold_float64(double *out, const void *const *in, int n, size_t i, unisono_op op) {
  double x = ((const double *)in[0])[i];
  for (int r = 1; r < n; r++)
    x = apply_float64(x, ((const double *)in[r])[i], op);
  if (op == UNISONO_AVG)
    x /= (double)n;
  out[i] = isnan(x) ? (double)NAN : x;
}

static float load_float32(const void *in, size_t i, unisono_dtype dtype) {
  if (dtype == UNISONO_FLOAT32)
    return ((const float *)in)[i];
  uint16_t half = ((const uint16_t *)in)[i];
  return dtype == UNISONO_FLOAT16 ? from_float16(half) : from_bfloat16(half);
}

static void fold_float32(void *out, const void *const *in, int n, size_t i, unisono_dtype dtype,
                         unisono_op op) {
  float x = load_float32(in[0], i, dtype);
  for (int r = 1; r < n; r++)
    x = apply_float32(x, load_float32(in[r], i, dtype), op);
  if (op == UNISONO_AVG)
    x /= (float)n;
  if (dtype == UNISONO_FLOAT32)
    ((float *)out)[i] = isnan(x) ? NAN : x;
  else
    ((uint16_t *)out)[i] = dtype == UNISONO_FLOAT16 ? to_float16(x) : to_bfloat16(x);
}

static void fold(void *out, const void *const *in, int n, size_t count, unisono_dtype dtype, unisono_op op) {
  for (size_t i = 0; i < count; i++)
    if (dtype == UNISONO_FLOAT64)
      fold_float64(out, in, n, i, op);
    else if (reference_is_float(dtype))
      fold_float32(out, in, n, i, dtype, op);
    else
      fold_integer(out, in, n, i, dtype, op);
}

void reference_reduce(void *out, const void *const *in, int n, size_t count, unisono_dtype dtype,
                      unisono_op op) {
  fenv_t callers;
  fegetenv(&callers);
  fesetenv(FE_DFL_ENV);
  fold(out, in, n, count, dtype, op);
  fesetenv(&callers);
}

/* ----------------------------------------------------------------------------------------------- input */

enum { FLAVOUR_BITS, FLAVOUR_ORDINARY, FLAVOUR_MIXED, FLAVOUR_SPECIAL };

static uint64_t mix(uint64_t x) {
  x = (x ^ x >> 31) * 0x7fb5d329728ea185u;
  x = (x ^ x >> 27) * 0x81dadef4bc2dd44du;
  return x ^ x >> 33;
}

/* The bits of a special value with `exponent_bits` and `fraction_bits` in its format. */
static uint64_t special(uint64_t random, int exponent_bits, int fraction_bits) {
  uint64_t fraction = ((uint64_t)1 << fraction_bits) - 1;
  uint64_t infinity = (((uint64_t)1 << exponent_bits) - 1) << fraction_bits;
  uint64_t one = (infinity >> 1) & ~fraction;
  const uint64_t values[16] = {
      0,   0,       1,       fraction,     fraction + 1, infinity, infinity + 1, infinity | fraction,
      one, one + 1, one - 1, infinity - 1, infinity - 1, one,      fraction / 3, fraction + 2};
  return values[random % 16] | (random >> 8 & 1) << (exponent_bits + fraction_bits);
}

/* A number of size around 1: products and sums of some dozen neither vanish nor overflow, and do round. */
static uint64_t ordinary(uint64_t random, int exponent_bits, int fraction_bits) {
  uint64_t bias = ((uint64_t)1 << (exponent_bits - 1)) - 1;
  uint64_t exponent = bias - 2 + random % 4;
  uint64_t fraction = random >> 2 & (((uint64_t)1 << fraction_bits) - 1);
  return fraction | exponent << fraction_bits | random >> 63 << (exponent_bits + fraction_bits);
}

static uint64_t float_bits(uint64_t random, unisono_dtype dtype, uint64_t flavour) {
  static const int exponents[] = {5, 8, 8, 11}, fractions[] = {10, 7, 23, 52};
  int k = (int)dtype - UNISONO_FLOAT16;
  bool is_ordinary = flavour == FLAVOUR_ORDINARY || (flavour == FLAVOUR_MIXED && random >> 60);
  return is_ordinary ? ordinary(random, exponents[k], fractions[k])
                     : special(random, exponents[k], fractions[k]);
}

/* Small whole numbers, whose sums and products are exact in whatever order they are folded: between machines
 * it is not the ranks' order. */
static uint64_t exact(uint64_t random, unisono_dtype dtype) {
  static const float values[] = {-3, -2, -1, 0, 1, 2, 3};
  float value = values[random % 7];
  double wide = value;
  uint64_t bits = 0;
  uint32_t narrow;
  memcpy(&narrow, &value, sizeof narrow);
  if (dtype == UNISONO_FLOAT64)
    memcpy(&bits, &wide, sizeof wide);
  else if (dtype == UNISONO_BFLOAT16)
    bits = narrow >> 16;
  else if (dtype == UNISONO_FLOAT16) /* the exponent's bias is 112 less */
    bits = value == 0 ? 0 : (narrow >> 16 & 0x8000) | (((narrow & 0x7fffffff) - (112u << 23)) >> 13);
  else
    bits = narrow;
  return bits;
}

void reference_fill(void *out, size_t first, size_t count, unisono_dtype dtype, uint64_t seed, int rank) {
  size_t size = dtypes[dtype].size;
  uint64_t flavour = mix(seed) % 4, start = mix(seed + (uint64_t)rank + 1);
  for (size_t i = 0; i < count; i++) {
    uint64_t x = mix(start + (first + i) * 0x9e3779b97f4a7c15u);
    if (reference_is_float(dtype) && getenv("TEST_MACHINES"))
      x = exact(x, dtype);
    else if (flavour != FLAVOUR_BITS && reference_is_float(dtype))
      x = float_bits(x, dtype, flavour);
    memcpy((char *)out + i * size, &x, size);
  }
}
