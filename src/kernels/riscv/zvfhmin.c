/* The kernels of float16 for processors that convert it (Zvfhmin, a part of Zvfh). The arithmetic stays
 * float32's: Zvfh's own would round after every input. */
#include "kernels/riscv/fold.h"
#include "kernels/riscv/riscv.h"

INLINE vfloat32m4_t load_float16(const uint8_t *from, size_t n) {
  return __riscv_vfwcvt_f(__riscv_vreinterpret_f16m2(load_half(from, n)), n);
}

INLINE void store_float16(uint8_t *to, vfloat32m4_t v, size_t n) {
  store_half(to, __riscv_vreinterpret_u16m2(__riscv_vfncvt_f(v, n)), n);
}

FLOAT16_KERNELS(float16)

void uni_install_zvfhmin(struct uni_kernels *table) {
  INSTALL_FLOAT(FLOAT16, float16);
}
