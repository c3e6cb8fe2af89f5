/* The plain C kernels against arithmetic written another way: integers in 128 bits, floats in double and
 * with tables, minimum and maximum on sign and magnitude. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels.h"
#include "kernels/generic/float16.h"

enum { COUNT = 2000, MAX_PRINTED = 10 };

static int printed;

static int fail(unisono_dtype dtype, unisono_op op, uint64_t a, uint64_t b, uint64_t got, uint64_t wanted) {
  if (printed++ < MAX_PRINTED)
    printf("plain C %s %s of %#llx and %#llx: %#llx, not %#llx\n", uni_dtype_name(dtype), uni_op_name(op),
           (unsigned long long)a, (unsigned long long)b, (unsigned long long)got, (unsigned long long)wanted);
  return 1;
}

/* ------------------------------------------------------------------------------------ integers */

__extension__ typedef __int128 wide;
__extension__ typedef unsigned __int128 unsigned_wide;

static wide widen(uint64_t bits, unisono_dtype dtype) {
  size_t unused = 64 - 8 * uni_dtype_size(dtype);
  bool is_signed = dtype % 2 == 0; /* int8, uint8, int16, ... */
  return is_signed ? (wide)((int64_t)(bits << unused) >> unused) : (wide)bits;
}

static uint64_t narrow(wide value, unisono_dtype dtype) {
  size_t unused = 64 - 8 * uni_dtype_size(dtype);
  return (uint64_t)value << unused >> unused;
}

static uint64_t combine_integers(uint64_t a, uint64_t b, unisono_dtype dtype, unisono_op op) {
  wide x = widen(a, dtype), y = widen(b, dtype);
  switch (op) {
  case UNISONO_SUM:
    return narrow(x + y, dtype);
  case UNISONO_PROD: /* only the low bits count, which are the same for either sign */
    return narrow((wide)((unsigned_wide)x * (unsigned_wide)y), dtype);
  case UNISONO_MIN:
    return x < y ? a : b;
  case UNISONO_MAX:
    return x < y ? b : a;
  case UNISONO_BAND:
    return a & b;
  case UNISONO_BOR:
    return a | b;
  default:
    return a ^ b;
  }
}

/* -------------------------------------------------------------------------------------- floats */

static double value_of(uint64_t bits, struct float_format f) {
  uint64_t sign = bits >> (f.exponent_bits + f.fraction_bits);
  uint64_t ones = ((uint64_t)1 << f.exponent_bits) - 1;
  uint64_t exponent = bits >> f.fraction_bits & ones;
  uint64_t fraction = bits & (((uint64_t)1 << f.fraction_bits) - 1);
  int bias = (1 << (f.exponent_bits - 1)) - 1;
  double magnitude;
  if (exponent == ones)
    magnitude = fraction ? (double)NAN : HUGE_VAL;
  else if (exponent == 0)
    magnitude = ldexp((double)fraction, 1 - bias - f.fraction_bits);
  else
    magnitude =
        ldexp((double)(fraction + ((uint64_t)1 << f.fraction_bits)), (int)exponent - bias - f.fraction_bits);
  return sign ? -magnitude : magnitude;
}

static uint64_t infinity_of(struct float_format f) {
  return (((uint64_t)1 << f.exponent_bits) - 1) << f.fraction_bits;
}

static uint64_t nan_of(struct float_format f) {
  return infinity_of(f) | (uint64_t)1 << (f.fraction_bits - 1);
}

/* What infinity stands for when its distance to the greatest finite value is asked: the next power of 2. */
static double limit_of(struct float_format f) {
  return ldexp(1, 1 << (f.exponent_bits - 1));
}

/* The 16-bit value next to a float32 value, the even one of two, by search in their order. */
static uint64_t round_to_16_bits(double value, struct float_format f) {
  if (isnan(value))
    return nan_of(f);
  double magnitude = fabs(value);
  uint64_t low = 0, high = infinity_of(f);
  while (high - low > 1) {
    uint64_t middle = (low + high) / 2;
    *(value_of(middle, f) <= magnitude ? &low : &high) = middle;
  }
  double above = high == infinity_of(f) ? limit_of(f) : value_of(high, f);
  double to_low = magnitude - value_of(low, f), to_high = above - magnitude;
  uint64_t nearest = to_low < to_high || (to_low == to_high && low % 2 == 0) ? low : high;
  return (signbit(value) ? (uint64_t)0x8000 : 0) | nearest;
}

static uint64_t bits_of(double value, unisono_dtype dtype) {
  struct float_format f = format_of(dtype);
  uint64_t bits = 0;
  float single = (float)value;
  if (isnan(value))
    return nan_of(f);
  if (uni_dtype_size(dtype) == 2)
    return round_to_16_bits(value, f);
  if (dtype == UNISONO_FLOAT32)
    memcpy(&bits, &single, sizeof single);
  else
    memcpy(&bits, &value, sizeof value);
  return bits;
}

/* Sign and magnitude as one number in the order of the values, -0 before +0. */
static int64_t order_of(uint64_t bits, struct float_format f) {
  int64_t magnitude = (int64_t)(bits & (((uint64_t)1 << (f.exponent_bits + f.fraction_bits)) - 1));
  return bits >> (f.exponent_bits + f.fraction_bits) ? -1 - magnitude : magnitude;
}

static uint64_t extreme_of(const uint64_t *elements, size_t n_in, unisono_dtype dtype, unisono_op op) {
  struct float_format f = format_of(dtype);
  uint64_t best = elements[0];
  for (size_t j = 0; j < n_in; j++) {
    if (isnan(value_of(elements[j], f)))
      return nan_of(f);
    bool lower = order_of(elements[j], f) < order_of(best, f);
    best = lower == (op == UNISONO_MIN) ? elements[j] : best;
  }
  return best;
}

/* double is wide enough for float32's operations to be rounded once only, by the conversion to float. */
static double rounded(double value, unisono_dtype dtype) {
  return dtype == UNISONO_FLOAT64 ? value : (double)(float)value;
}

static uint64_t fold_floats(const uint64_t *elements, size_t n_in, unisono_dtype dtype, unisono_op op) {
  struct float_format f = format_of(dtype);
  if (op == UNISONO_MIN || op == UNISONO_MAX)
    return extreme_of(elements, n_in, dtype, op);
  double acc = value_of(elements[0], f);
  for (size_t j = 1; j < n_in; j++) {
    double next = value_of(elements[j], f);
    acc = rounded(op == UNISONO_PROD ? acc * next : acc + next, dtype);
  }
  if (op == UNISONO_AVG)
    acc = rounded(acc / (double)n_in, dtype);
  return bits_of(acc, dtype);
}

/* --------------------------------------------------------------------------------------- tests */

static uint64_t fold_one(const uint64_t *elements, size_t n_in, unisono_dtype dtype, unisono_op op) {
  if (is_float(dtype))
    return fold_floats(elements, n_in, dtype, op);
  uint64_t acc = elements[0];
  for (size_t j = 1; j < n_in; j++)
    acc = combine_integers(acc, elements[j], dtype, op);
  return acc;
}

static int check_arrays(uni_fold_fn fold, unisono_dtype dtype, unisono_op op, char in[][8 * COUNT],
                        size_t n_in, size_t count) {
  static char result[8 * COUNT];
  size_t size = uni_dtype_size(dtype);
  const void *inputs[MAX_IN];
  for (size_t j = 0; j < n_in; j++)
    inputs[j] = in[j];
  fold((void *[]){result}, 1, inputs, n_in, count);
  int failures = 0;
  for (size_t i = 0; i < count; i++) {
    uint64_t elements[MAX_IN], got = get_element(result, i, size);
    for (size_t j = 0; j < n_in; j++)
      elements[j] = get_element(in[j], i, size);
    uint64_t wanted = fold_one(elements, n_in, dtype, op);
    if (got != wanted)
      failures += fail(dtype, op, elements[0], elements[n_in > 1], got, wanted);
  }
  return failures;
}

static char in[MAX_IN][8 * COUNT];

static int check_random(uni_fold_fn fold, unisono_dtype dtype, unisono_op op) {
  int failures = 0;
  for (size_t i = 0; i < 40; i++) {
    size_t n_in = i % 10 == 9 ? MAX_IN : 1 + i % 10;
    for (size_t j = 0; j < n_in; j++)
      fill_random(in[j], dtype, COUNT);
    failures += check_arrays(fold, dtype, op, in, n_in, COUNT);
  }
  return failures;
}

static int check_special_pairs(uni_fold_fn fold, unisono_dtype dtype, unisono_op op) {
  size_t size = uni_dtype_size(dtype);
  for (size_t i = 0; i < SPECIALS * SPECIALS; i++) {
    set_element(in[0], i, size, special_bits(dtype, i / SPECIALS));
    set_element(in[1], i, size, special_bits(dtype, i % SPECIALS));
  }
  return check_arrays(fold, dtype, op, in, 2, SPECIALS * SPECIALS);
}

/* Every 16-bit value alone. */
static int check_all_16_bits(uni_fold_fn fold, unisono_dtype dtype, unisono_op op) {
  int failures = 0;
  for (uint64_t start = 0; start < 1 << 16; start += 1 << 10) {
    for (uint64_t i = 0; i < 1 << 10; i++)
      set_element(in[0], i, 2, start + i);
    failures += check_arrays(fold, dtype, op, in, 1, 1 << 10);
  }
  return failures;
}

static uint16_t narrow_float(float value, unisono_dtype dtype) {
  return dtype == UNISONO_FLOAT16 ? float16_of_float32(value) : bfloat16_of_float32(value);
}

static int check_narrowing_of(float value, unisono_dtype dtype) {
  uint64_t got = narrow_float(value, dtype), wanted = round_to_16_bits((double)value, format_of(dtype));
  return got == wanted ? 0 : fail(dtype, UNISONO_SUM, bits_of_float32(value), 0, got, wanted);
}

/* Rounding at every value, at every middle between two values, and one float32 step beside them. */
static int check_narrowing(unisono_dtype dtype) {
  struct float_format f = format_of(dtype);
  int failures = 0;
  for (uint64_t i = 0; i < infinity_of(f); i++) {
    double above = i + 1 == infinity_of(f) ? limit_of(f) : value_of(i + 1, f);
    float value = (float)value_of(i, f), middle = (float)((value_of(i, f) + above) / 2);
    const float points[] = {value,  nextafterf(value, INFINITY),  nextafterf(value, -INFINITY),
                            middle, nextafterf(middle, INFINITY), nextafterf(middle, -INFINITY)};
    for (size_t p = 0; p < sizeof points / sizeof *points; p++)
      failures += check_narrowing_of(points[p], dtype) + check_narrowing_of(-points[p], dtype);
  }
  return failures;
}

static bool is_defined(unisono_dtype dtype, unisono_op op) {
  return op < UNISONO_AVG || is_float(dtype) == (op == UNISONO_AVG);
}

static int check_kernel(uni_fold_fn fold, unisono_dtype dtype, unisono_op op) {
  if (is_defined(dtype, op) != (fold != NULL)) {
    printf("plain C %s %s: defined or not, against the rule\n", uni_dtype_name(dtype), uni_op_name(op));
    return 1;
  }
  if (!fold)
    return 0;
  int failures = check_random(fold, dtype, op) + check_special_pairs(fold, dtype, op);
  if (is_float(dtype) && uni_dtype_size(dtype) == 2)
    failures += check_all_16_bits(fold, dtype, op);
  return failures;
}

int compare_with_reference(const struct uni_kernels *plain) {
  int failures = check_narrowing(UNISONO_FLOAT16) + check_narrowing(UNISONO_BFLOAT16);
  for (int dtype = 0; dtype < UNI_DTYPES; dtype++)
    for (int op = 0; op < UNI_OPS; op++)
      failures += check_kernel(plain->fold[dtype][op], (unisono_dtype)dtype, (unisono_op)op);
  return failures;
}
