/* What this processor can do: CPUID says what it has, XGETBV which registers the operating system saves when
 * it switches threads. Both are needed. */
#include <cpuid.h>
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "kernels/x86/x86.h"

enum { LEAF1_ECX, LEAF7_EBX, LEAF7_EDX, LEAF7_1_EAX, CPUID_WORDS };

/* State components in XCR0. */
enum { STATE_AVX = 0x06, STATE_AVX512 = 0xe6 };

struct feature {
  const char *name, *absent;
  int word;
  unsigned bit;
  uint32_t state;
};

#define FEATURE(NAME, WORD, BIT, STATE)                                                                      \
  { NAME, "the processor has no " NAME, WORD, BIT, STATE }

enum { AVX2, F16C, FMA, AVX512F, AVX512BW, AVX512VL, AVX512DQ, AVX512FP16, AVX512BF16, FEATURES };

static const struct feature features[FEATURES] = {
    [AVX2] = FEATURE("avx2", LEAF7_EBX, 5, STATE_AVX),
    [F16C] = FEATURE("f16c", LEAF1_ECX, 29, STATE_AVX),
    [FMA] = FEATURE("fma", LEAF1_ECX, 12, STATE_AVX),
    [AVX512F] = FEATURE("avx512f", LEAF7_EBX, 16, STATE_AVX512),
    [AVX512BW] = FEATURE("avx512bw", LEAF7_EBX, 30, STATE_AVX512),
    [AVX512VL] = FEATURE("avx512vl", LEAF7_EBX, 31, STATE_AVX512),
    [AVX512DQ] = FEATURE("avx512dq", LEAF7_EBX, 17, STATE_AVX512),
    [AVX512FP16] = FEATURE("avx512fp16", LEAF7_EDX, 23, STATE_AVX512),
    [AVX512BF16] = FEATURE("avx512_bf16", LEAF7_1_EAX, 5, STATE_AVX512),
};

static void read_cpuid(uint32_t words[CPUID_WORDS]) {
  uint32_t a, b, c, d;
  memset(words, 0, CPUID_WORDS * sizeof *words);
  if (__get_cpuid(1, &a, &b, &c, &d))
    words[LEAF1_ECX] = c;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    words[LEAF7_EBX] = b;
    words[LEAF7_EDX] = d;
  }
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d))
    words[LEAF7_1_EAX] = a;
}

/* Not inlined: XGETBV exists only where CPUID says OSXSAVE. */
__attribute__((target("xsave"), noinline)) static uint32_t read_xcr0(void) {
  return (uint32_t)_xgetbv(0);
}

/* The state components that the operating system saves. */
static uint32_t saved_states(const uint32_t words[CPUID_WORDS]) {
  return words[LEAF1_ECX] & bit_OSXSAVE ? read_xcr0() : 0;
}

/* NULL: the feature can be used; else the reason why not. */
static const char *lacks(const struct feature *feature) {
  uint32_t words[CPUID_WORDS];
  read_cpuid(words);
  if (!(words[feature->word] >> feature->bit & 1))
    return feature->absent;
  if ((saved_states(words) & feature->state) != feature->state)
    return "the operating system does not save its registers";
  return NULL;
}

static const char *lacks_any(const int *needed, size_t n) {
  const char *reason = NULL;
  for (size_t i = 0; i < n && !reason; i++)
    reason = lacks(&features[needed[i]]);
  return reason;
}

const char *uni_lacks_avx2(void) {
  static const int needed[] = {AVX2, F16C};
  return lacks_any(needed, sizeof needed / sizeof *needed);
}

const char *uni_lacks_avx512(void) {
  static const int needed[] = {AVX512F, AVX512BW, AVX512VL, AVX512DQ};
  return lacks_any(needed, sizeof needed / sizeof *needed);
}

const char *uni_lacks_avx512_bf16(void) {
  return lacks(&features[AVX512BF16]);
}

void uni_install_avx512(struct uni_kernels *table) {
  uni_install_avx512_base(table);
  if (!uni_lacks_avx512_bf16())
    uni_install_avx512_bf16(table);
}

void uni_x86_features(char *text, size_t size) {
  size_t used = 0;
  text[0] = '\0';
  for (int i = 0; i < FEATURES && used < size; i++)
    if (!lacks(&features[i]))
      used += (size_t)snprintf(text + used, size - used, "%s%s", used ? " " : "", features[i].name);
}
