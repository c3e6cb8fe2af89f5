#include "machines/reduction.h"

#include "kernels/fpenv.h"
#include "machines/narrow.h"

struct uni_reduction uni_reduction_of(struct uni_span *span, const struct uni_call *call) {
  bool narrow = call->dtype == UNISONO_FLOAT16 || call->dtype == UNISONO_BFLOAT16;
  unisono_dtype dtype = narrow ? UNISONO_FLOAT32 : call->dtype;
  return (struct uni_reduction){
      .span = span,
      .call = call,
      .total = call->kind == UNI_REDUCE_SCATTER ? call->count * (size_t)span->comm->size : call->count,
      .dtype = dtype,
      .element = uni_dtype_size(dtype),
      .op = call->op == UNISONO_AVG ? UNISONO_SUM : call->op,
      .narrow = narrow,
      .travels = narrow && span->carrier->narrow};
}

#define FINISH(type, quiet)                                                                                  \
  for (size_t i = 0; i < n; i++) {                                                                           \
    type value = ((const type *)sums)[i] / (type)divisor;                                                    \
    ((type *)sums)[i] = value != value ? quiet : value;                                                      \
  }

void uni_reduction_finish(const struct uni_reduction *r, void *sums, size_t n) {
  int divisor = r->call->op == UNISONO_AVG ? r->span->comm->size : 1;
  uint64_t fpenv = uni_fpenv_enter();
  if (r->dtype == UNISONO_FLOAT32)
    FINISH(float, __builtin_nanf(""))
  else if (r->dtype == UNISONO_FLOAT64)
    FINISH(double, __builtin_nan(""))
  if (r->narrow)
    uni_round_to_16(sums, sums, n, r->call->dtype);
  uni_fpenv_leave(fpenv);
}
