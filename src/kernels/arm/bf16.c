/* The kernels of bfloat16 for processors that convert it (BF16): BFCVTN rounds to nearest even and keeps
 * subnormals. The dot products of the same extension do neither, and are not used. */
#include "kernels/arm/neon.h"

#include "kernels/vector/template.h"

INLINE void load(vec *acc, const char *from, int vectors) {
  for (int u = 0; u < vectors; u++)
    acc[u] = (vec)vshll_n_u16((uint16x4_t)read_half(from + u * VECTOR_BYTES / 2), 16);
}

INLINE void store(char *to, const vec *acc, int vectors) {
  for (int u = 0; u < vectors; u++)
    write_half(to + u * VECTOR_BYTES / 2, (v_half)vcvt_bf16_f32((float32x4_t)acc[u]));
}

FLOAT_KERNELS(bfloat16, 2, float32, VECTOR_BYTES / 2, load, store)

void uni_install_bf16(struct uni_kernels *table) {
  INSTALL_FLOAT(BFLOAT16, bfloat16);
}
