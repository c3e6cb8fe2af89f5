/* The kernels in plain C. The other ones are tested against these, bit by bit. */
#include "kernels/generic/fold.h"

#include "kernels/generic/float16.h"

/* Elements of all inputs that are folded before any output is written: the compiler sees plain loops, and
 * an output may be an input. */
enum { BLOCK = 64 };

/* Defines OP_TYPE. LOAD makes a VALUE of an element, COMBINE(a, b) folds two, and STORE(value, n_in) makes
 * the element of the result. */
#define KERNEL(OP, TYPE, VALUE, LOAD, COMBINE, STORE)                                                        \
  static void OP##_##TYPE(void *const *out, size_t n_out, const void *const *in, size_t n_in,                \
                          size_t count) {                                                                    \
    VALUE acc[BLOCK];                                                                                        \
    for (size_t at = 0, n; at < count; at += n) {                                                            \
      n = count - at < BLOCK ? count - at : BLOCK;                                                           \
      const element_##TYPE *first = (const element_##TYPE *)in[0] + at;                                      \
      for (size_t i = 0; i < n; i++)                                                                         \
        acc[i] = LOAD(first[i]);                                                                             \
      for (size_t j = 1; j < n_in; j++) {                                                                    \
        const element_##TYPE *next = (const element_##TYPE *)in[j] + at;                                     \
        for (size_t i = 0; i < n; i++)                                                                       \
          acc[i] = (VALUE)COMBINE(acc[i], (LOAD(next[i])));                                                  \
      }                                                                                                      \
      for (size_t k = 0; k < n_out; k++) {                                                                   \
        element_##TYPE *result = (element_##TYPE *)out[k] + at;                                              \
        for (size_t i = 0; i < n; i++)                                                                       \
          result[i] = STORE(acc[i], n_in);                                                                   \
      }                                                                                                      \
    }                                                                                                        \
  }

/* The caller's arrays are of any type and any alignment. */
#define ELEMENT(TYPE, C_TYPE) typedef C_TYPE __attribute__((aligned(1), may_alias)) element_##TYPE

/* ------------------------------------------------------------------------------------ integers */

#define SAME(x) (x)
#define RESULT(x, n_in) (x)
#define WRAPPING_SUM(a, b) ((uint64_t)(a) + (b))
#define WRAPPING_PROD(a, b) ((uint64_t)(a) * (b))
#define LESSER(a, b) ((a) < (b) ? (a) : (b))
#define GREATER(a, b) ((a) > (b) ? (a) : (b))
#define AND(a, b) ((a) & (b))
#define OR(a, b) ((a) | (b))
#define XOR(a, b) ((a) ^ (b))

#define ORDER_KERNELS(TYPE)                                                                                  \
  ELEMENT(TYPE, TYPE##_t);                                                                                   \
  KERNEL(min, TYPE, TYPE##_t, SAME, LESSER, RESULT)                                                          \
  KERNEL(max, TYPE, TYPE##_t, SAME, GREATER, RESULT)

#define UNSIGNED_KERNELS(TYPE)                                                                               \
  ORDER_KERNELS(TYPE)                                                                                        \
  KERNEL(sum, TYPE, TYPE##_t, SAME, WRAPPING_SUM, RESULT)                                                    \
  KERNEL(prod, TYPE, TYPE##_t, SAME, WRAPPING_PROD, RESULT)                                                  \
  KERNEL(band, TYPE, TYPE##_t, SAME, AND, RESULT)                                                            \
  KERNEL(bor, TYPE, TYPE##_t, SAME, OR, RESULT)                                                              \
  KERNEL(bxor, TYPE, TYPE##_t, SAME, XOR, RESULT)

ORDER_KERNELS(int8)
ORDER_KERNELS(int16)
ORDER_KERNELS(int32)
ORDER_KERNELS(int64)
UNSIGNED_KERNELS(uint8)
UNSIGNED_KERNELS(uint16)
UNSIGNED_KERNELS(uint32)
UNSIGNED_KERNELS(uint64)

/* -------------------------------------------------------------------------------------- floats */

#define ADD(a, b) ((a) + (b))
#define MULTIPLY(a, b) ((a) * (b))

/* IEEE 754-2019 minimum and maximum, and the one NaN that results have. */
#define FLOAT_FUNCTIONS(TYPE, C_TYPE, NAN_VALUE)                                                             \
  static inline C_TYPE minimum_##TYPE(C_TYPE a, C_TYPE b) {                                                  \
    if (a != a || b != b)                                                                                    \
      return NAN_VALUE;                                                                                      \
    if (a == b)                                                                                              \
      return __builtin_signbit(a) ? a : b;                                                                   \
    return a < b ? a : b;                                                                                    \
  }                                                                                                          \
  static inline C_TYPE maximum_##TYPE(C_TYPE a, C_TYPE b) {                                                  \
    if (a != a || b != b)                                                                                    \
      return NAN_VALUE;                                                                                      \
    if (a == b)                                                                                              \
      return __builtin_signbit(a) ? b : a;                                                                   \
    return a > b ? a : b;                                                                                    \
  }                                                                                                          \
  static inline C_TYPE result_##TYPE(C_TYPE x) {                                                             \
    return x != x ? NAN_VALUE : x;                                                                           \
  }

FLOAT_FUNCTIONS(float32, float, __builtin_nanf(""))
FLOAT_FUNCTIONS(float64, double, __builtin_nan(""))

#define STORE_FLOAT32(x, n_in) result_float32(x)
#define STORE_FLOAT64(x, n_in) result_float64(x)
#define STORE_FLOAT16(x, n_in) float16_of_float32(x)
#define STORE_BFLOAT16(x, n_in) bfloat16_of_float32(x)
#define AVERAGE_FLOAT32(x, n_in) result_float32((x) / (float)(n_in))
#define AVERAGE_FLOAT64(x, n_in) result_float64((x) / (double)(n_in))
#define AVERAGE_FLOAT16(x, n_in) float16_of_float32((x) / (float)(n_in))
#define AVERAGE_BFLOAT16(x, n_in) bfloat16_of_float32((x) / (float)(n_in))

#define FLOAT_KERNELS(TYPE, VALUE, VALUE_NAME, LOAD, STORE, AVERAGE)                                         \
  KERNEL(sum, TYPE, VALUE, LOAD, ADD, STORE)                                                                 \
  KERNEL(prod, TYPE, VALUE, LOAD, MULTIPLY, STORE)                                                           \
  KERNEL(min, TYPE, VALUE, LOAD, minimum_##VALUE_NAME, STORE)                                                \
  KERNEL(max, TYPE, VALUE, LOAD, maximum_##VALUE_NAME, STORE)                                                \
  KERNEL(avg, TYPE, VALUE, LOAD, ADD, AVERAGE)

ELEMENT(float16, uint16_t);
ELEMENT(bfloat16, uint16_t);
ELEMENT(float32, float);
ELEMENT(float64, double);

FLOAT_KERNELS(float16, float, float32, float32_of_float16, STORE_FLOAT16, AVERAGE_FLOAT16)
FLOAT_KERNELS(bfloat16, float, float32, float32_of_bfloat16, STORE_BFLOAT16, AVERAGE_BFLOAT16)
FLOAT_KERNELS(float32, float, float32, SAME, STORE_FLOAT32, AVERAGE_FLOAT32)
FLOAT_KERNELS(float64, double, float64, SAME, STORE_FLOAT64, AVERAGE_FLOAT64)

#include "kernels/install.h"

void uni_install_generic(struct uni_kernels *table) {
  INSTALL_ALL();
}
