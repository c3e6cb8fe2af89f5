/* The values that ranks send, and what they must receive. They are small whole numbers, so that every sum is
 * exact in float32 and its rounding to 16 bits is known. */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PERIOD = 4093, SHIFT = 17 }; /* elements in a tile: a prime; how far a sample shifts them */

size_t bench_element_bytes(unisono_dtype dtype) {
  static const size_t bytes[] = {1, 1, 2, 2, 4, 4, 8, 8, 2, 2, 4, 8};
  return bytes[dtype];
}

/* ----------------------------------------------------------------------------------------- values */

static uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

static uint64_t value(const struct bench *bench, int rank, size_t i) {
  uint64_t random = mix((uint64_t)rank * PERIOD + i + 1);
  switch (bench->options->op) {
  case UNISONO_SUM:
  case UNISONO_AVG:
    return random & 7;
  case UNISONO_PROD: /* at most eight ranks have a 2: the product is exact in every type */
    return ((size_t)rank + i) % (size_t)bench->size < 8 ? 1 + (random & 1) : 1;
  case UNISONO_MIN:
  case UNISONO_MAX:
    return random & 127;
  default:
    return random;
  }
}

static uint64_t fold(unisono_op op, uint64_t a, uint64_t b) {
  switch (op) {
  case UNISONO_PROD:
    return a * b;
  case UNISONO_MIN:
    return a < b ? a : b;
  case UNISONO_MAX:
    return a > b ? a : b;
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

static uint32_t float_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

/* To nearest even; x is 0 or in the range of normal numbers, as all our values are. */
static uint16_t to_float16(float x) {
  uint32_t bits = float_bits(x);
  return bits ? (uint16_t)((bits - (112u << 23) + 0xfff + (bits >> 13 & 1)) >> 13) : 0;
}

static uint16_t to_bfloat16(float x) {
  uint32_t bits = float_bits(x);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Writes whole / parts as one element; parts is 1 but for AVG. */
static void store(char *to, unisono_dtype dtype, uint64_t whole, int parts) {
  float single = (float)whole / (float)parts;
  double real = (double)whole / parts;
  uint8_t byte = (uint8_t)whole;
  uint16_t half = dtype == UNISONO_FLOAT16    ? to_float16(single)
                  : dtype == UNISONO_BFLOAT16 ? to_bfloat16(single)
                                              : (uint16_t)whole;
  uint32_t word = dtype == UNISONO_FLOAT32 ? float_bits(single) : (uint32_t)whole;
  switch (bench_element_bytes(dtype)) {
  case 1:
    memcpy(to, &byte, sizeof byte);
    break;
  case 2:
    memcpy(to, &half, sizeof half);
    break;
  case 4:
    memcpy(to, &word, sizeof word);
    break;
  default:
    memcpy(to, dtype == UNISONO_FLOAT64 ? (const void *)&real : &whole, sizeof whole);
  }
}

/* ------------------------------------------------------------------------------------------ tiles */

static void make_reduced(struct bench *bench) {
  unisono_op op = bench->options->op;
  for (size_t i = 0; i < PERIOD; i++) {
    uint64_t result = value(bench, 0, i);
    for (int r = 1; r < bench->size; r++)
      result = fold(op, result, value(bench, r, i));
    store(bench->tiles.reduced + i * bench->element, bench->options->dtype, result,
          op == UNISONO_AVG ? bench->size : 1);
  }
}

bool bench_tiles_make(struct bench *bench) {
  struct tiles *tiles = &bench->tiles;
  tiles->of_rank = calloc((size_t)bench->size, sizeof *tiles->of_rank);
  tiles->reduced = malloc(PERIOD * bench->element);
  if (!tiles->of_rank || !tiles->reduced)
    return false;
  for (int r = 0; r < bench->size; r++) {
    if (!(tiles->of_rank[r] = malloc(PERIOD * bench->element)))
      return false;
    for (size_t i = 0; i < PERIOD; i++)
      store(tiles->of_rank[r] + i * bench->element, bench->options->dtype, value(bench, r, i), 1);
  }
  make_reduced(bench);
  return true;
}

void bench_tiles_free(struct bench *bench) {
  for (int r = 0; bench->tiles.of_rank && r < bench->size; r++)
    free(bench->tiles.of_rank[r]);
  free(bench->tiles.of_rank);
  free(bench->tiles.reduced);
}

/* Bytes of the longest run from element `index` on, and where it lies in the tile. */
static size_t run_at(size_t index, size_t sample, size_t elements, size_t element, size_t *offset) {
  size_t at = (index + sample * SHIFT) % PERIOD, run = PERIOD - at;
  *offset = at * element;
  return (run < elements ? run : elements) * element;
}

void bench_fill(const struct bench *bench, char *to, size_t elements, size_t sample) {
  for (size_t done = 0, offset, bytes; done < elements; done += bytes / bench->element) {
    bytes = run_at(done, sample, elements - done, bench->element, &offset);
    memcpy(to + done * bench->element, bench->tiles.of_rank[bench->rank] + offset, bytes);
  }
}

/* ------------------------------------------------------------------------------------------ check */

static long double load_half(const char *from, int fraction_bits) {
  uint16_t bits;
  memcpy(&bits, from, sizeof bits);
  int exponent_bits = 15 - fraction_bits, bias = (1 << (exponent_bits - 1)) - 1;
  int fraction = bits & ((1 << fraction_bits) - 1),
      exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1);
  double magnitude = exponent == (1 << exponent_bits) - 1
                         ? (fraction ? (double)NAN : (double)INFINITY)
                         : ldexp(exponent ? fraction + (1 << fraction_bits) : fraction,
                                 (exponent ? exponent : 1) - bias - fraction_bits);
  return bits >> 15 ? -magnitude : magnitude;
}

#define LOAD(type)                                                                                           \
  do {                                                                                                       \
    type loaded;                                                                                             \
    memcpy(&loaded, from, sizeof loaded);                                                                    \
    return (long double)loaded;                                                                              \
  } while (0)

static long double load(const char *from, unisono_dtype dtype) {
  switch (dtype) {
  case UNISONO_INT8:
    LOAD(int8_t);
  case UNISONO_UINT8:
    LOAD(uint8_t);
  case UNISONO_INT16:
    LOAD(int16_t);
  case UNISONO_UINT16:
    LOAD(uint16_t);
  case UNISONO_INT32:
    LOAD(int32_t);
  case UNISONO_UINT32:
    LOAD(uint32_t);
  case UNISONO_INT64:
    LOAD(int64_t);
  case UNISONO_UINT64:
    LOAD(uint64_t);
  case UNISONO_FLOAT16:
    return load_half(from, 10);
  case UNISONO_BFLOAT16:
    return load_half(from, 7);
  case UNISONO_FLOAT32:
    LOAD(float);
  default:
    LOAD(double);
  }
}

static void report(const struct call *call, size_t index, const char *got, const char *expected) {
  struct bench *bench = call->bench;
  if (!bench->wrong) {
    bench_progress_clear();
    fprintf(stderr,
            "unisono bench: rank %d: wrong result of %s, %zu elements, call %zu: element %zu is %.20Lg, not "
            "%.20Lg\n",
            bench->rank, bench->options->operation->name, call->elements, call->sample, index,
            load(got, bench->options->dtype), load(expected, bench->options->dtype));
  }
  bench->wrong = true;
}

static size_t first_difference(const char *a, const char *b, size_t element) {
  size_t i = 0;
  while (memcmp(a + i * element, b + i * element, element) == 0)
    i++;
  return i;
}

bool bench_expect(const struct call *call, size_t offset, size_t elements, int source, size_t start) {
  const struct bench *bench = call->bench;
  const char *tile = source == FROM_REDUCED ? bench->tiles.reduced : bench->tiles.of_rank[source];
  for (size_t done = 0, at, bytes; done < elements; done += bytes / bench->element) {
    bytes = run_at(start + done, call->sample, elements - done, bench->element, &at);
    const char *got = call->recv + (offset + done) * bench->element;
    if (memcmp(got, tile + at, bytes) != 0) {
      size_t wrong = first_difference(got, tile + at, bench->element);
      report(call, offset + done + wrong, got + wrong * bench->element, tile + at + wrong * bench->element);
      return false;
    }
  }
  return true;
}
