/* The caller's rounding mode and flush-to-zero change no bit of a result, and are the same after the call. */
#include <fenv.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "collectives/call.h"
#include "harness.h"

enum { MODES = 8 };

#if defined(__x86_64__)
enum { MXCSR_FLAGS = 0x3f }; /* exceptions seen: anybody may set them */
static unsigned controls(void) {
  return _mm_getcsr() & ~(unsigned)MXCSR_FLAGS;
}
static void flush_subnormals(bool flush) {
  _mm_setcsr((_mm_getcsr() & ~0x8040u) | (flush ? 0x8040u : 0));
}
#else
static unsigned controls(void) {
  return (unsigned)fegetround();
}
static void flush_subnormals(bool flush) {
  (void)flush;
}
#endif

static void set_mode(int mode) {
  static const int rounding[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
  fesetround(rounding[mode % 4]);
  flush_subnormals(mode / 4);
}

/* Prepared and checked in the default mode. */
static void run_in_mode(const struct call *call, unisono_comm *comm, int mode, bool async) {
  struct part part;
  unisono_request *request = NULL;
  call_prepare(&part, call, comm);
  set_mode(mode);
  unsigned before = controls();
  unisono_status status = call_issue(&part, async ? &request : NULL);
  if (!status && async)
    status = unisono_wait(&request);
  unsigned after = controls();
  set_mode(0);
  CHECK_OK(status);
  CHECK(before == after);
  call_check(&part);
  call_free(&part);
}

static void test_mode(void) {
  struct test_rank *self = test_self();
  static const enum collective reducing[] = {ALL_REDUCE, REDUCE, REDUCE_SCATTER, ALL_REDUCE_CACHED};
  uint64_t random = self->seed;
  for (int i = 0; i < (test_is_long() ? 5000 : 400); i++) {
    enum collective what = reducing[i % 4];
    struct call call = call_random(what, self->size, 1 << 17, &random);
    call.dtype = (unisono_dtype)(UNISONO_FLOAT16 + test_below(&random, 4));
    call.op = (unisono_op)test_below(&random, UNISONO_AVG + 1);
    bool ranks_agree = test_below(&random, 2), async = test_below(&random, 4) == 0;
    int mode = (int)(test_random(&random) + (ranks_agree ? 0 : (uint64_t)self->rank)) & (MODES - 1);
    run_in_mode(&call, self->comm, mode, async);
  }
}

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "rounding mode and flush-to-zero", .body = test_mode, .ranks = {1, 2, 3, 8}},
      {0},
  };
  return test_main(argc, argv, tests);
}
