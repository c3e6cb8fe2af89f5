/* The floating-point environment that the kernels need: round to nearest, subnormals kept, nothing trapped.
 * The caller's own (flush-to-zero as PyTorch sets it, a rounding mode) is put back afterwards. */
#ifndef UNI_KERNELS_FPENV_H
#define UNI_KERNELS_FPENV_H

#include <stdint.h>

/* Switches to the default environment where it is not; returns what uni_fpenv_leave needs. */
static inline uint64_t uni_fpenv_enter(void);
static inline void uni_fpenv_leave(uint64_t saved);

#if defined(__x86_64__)
#include <xmmintrin.h>
enum { UNI_MXCSR_DEFAULT = 0x1f80, UNI_MXCSR_FLAGS = 0x3f };

static inline uint64_t uni_fpenv_enter(void) {
  uint32_t saved = _mm_getcsr();
  if ((saved & ~(uint32_t)UNI_MXCSR_FLAGS) != UNI_MXCSR_DEFAULT)
    _mm_setcsr(UNI_MXCSR_DEFAULT);
  return saved;
}

static inline void uni_fpenv_leave(uint64_t saved) {
  if ((saved & ~(uint64_t)UNI_MXCSR_FLAGS) != UNI_MXCSR_DEFAULT)
    _mm_setcsr((uint32_t)saved);
}
#elif defined(__aarch64__)
static inline uint64_t uni_fpenv_enter(void) {
  uint64_t saved;
  __asm__ __volatile__("mrs %0, fpcr" : "=r"(saved));
  if (saved != 0)
    __asm__ __volatile__("msr fpcr, %0" ::"r"((uint64_t)0));
  return saved;
}

static inline void uni_fpenv_leave(uint64_t saved) {
  if (saved != 0)
    __asm__ __volatile__("msr fpcr, %0" ::"r"(saved));
}
#elif defined(__riscv)
static inline uint64_t uni_fpenv_enter(void) {
  uint64_t saved;
  __asm__ __volatile__("fsrmi %0, 0" : "=r"(saved));
  return saved;
}

static inline void uni_fpenv_leave(uint64_t saved) {
  __asm__ __volatile__("fsrm %0" ::"r"(saved));
}
#else
#include <fenv.h>
static inline uint64_t uni_fpenv_enter(void) {
  int saved = fegetround();
  fesetround(FE_TONEAREST);
  return (uint64_t)saved;
}

static inline void uni_fpenv_leave(uint64_t saved) {
  fesetround((int)saved);
}
#endif

#endif
