/* What the parts of the kernels' test share. */
#ifndef TEST_KERNELS_H
#define TEST_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/reduce.h"

enum { MAX_IN = 16, MAX_OUT = 5 };

/* ------------------------------------------------------------------------------------- values.c */

/* The same sequence in every run with the same seed. */
void seed_random(uint64_t seed);
uint64_t random_bits(void);
size_t random_below(size_t n);

struct float_format {
  int exponent_bits, fraction_bits;
};

bool is_float(unisono_dtype dtype);
struct float_format format_of(unisono_dtype dtype);

/* Elements as integers, whatever the type. */
uint64_t get_element(const void *array, size_t i, size_t size);
void set_element(void *array, size_t i, size_t size, uint64_t bits);

/* Zeros, subnormals, the greatest and smallest values, infinities and NaNs of a type, or the integers' ends:
 * special_bits(dtype, i) for 0 <= i < SPECIALS. */
enum { SPECIALS = 26 };
uint64_t special_bits(unisono_dtype dtype, size_t i);

/* Fills an array, which need not be aligned, with one of several mixes of values, chosen at random. */
void fill_random(void *array, unisono_dtype dtype, size_t count);

/* ---------------------------------------------------------------------- compare.c, reference.c */

/* Each returns the number of failures, and prints the first of them. */
int compare_with_plain_c(const struct uni_kernels *table);
int compare_with_reference(const struct uni_kernels *plain);

/* -------------------------------------------------------------------------------------- bench.c */

void bench_kernels(const struct uni_kernels *table);

/* -------------------------------------------------------------------------------------- parts.c */

/* The kernels of one extension alone, as "rvv-zvfhmin"; NULL: none of that name, or not on this processor. */
const struct uni_kernels *part_for(const char *isa);

/* ----------------------------------------------------------------------------------- emulated.c */

/* The AVX-512 kernels with that set's own instructions put together from AVX2's. */
void install_emulated_avx512(struct uni_kernels *table);

#endif
