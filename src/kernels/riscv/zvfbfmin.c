/* The kernels of bfloat16 for processors that convert it (Zvfbfmin). They keep subnormals, and make the
 * canonical NaN. */
#include "kernels/riscv/fold.h"
#include "kernels/riscv/riscv.h"

INLINE vfloat32m4_t load_bfloat16(const uint8_t *from, size_t n) {
  return __riscv_vfwcvtbf16_f(__riscv_vreinterpret_bf16m2(load_half(from, n)), n);
}

INLINE void store_bfloat16(uint8_t *to, vfloat32m4_t v, size_t n) {
  store_half(to, __riscv_vreinterpret_u16m2(__riscv_vfncvtbf16_f(v, n)), n);
}

FLOAT16_KERNELS(bfloat16)

void uni_install_zvfbfmin(struct uni_kernels *table) {
  INSTALL_FLOAT(BFLOAT16, bfloat16);
}
