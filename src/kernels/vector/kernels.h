/* All kernels for one instruction set. The includer has defined what kernels/vector/template.h wants;
 * INSTALL_ALL is then there to use. */
#ifndef UNI_KERNELS_VECTOR_KERNELS_H
#define UNI_KERNELS_VECTOR_KERNELS_H

#include "kernels/vector/template.h"

ORDER_KERNELS(int8)
ORDER_KERNELS(int16)
ORDER_KERNELS(int32)
ORDER_KERNELS(int64)
UNSIGNED_KERNELS(uint8)
UNSIGNED_KERNELS(uint16)
UNSIGNED_KERNELS(uint32)
UNSIGNED_KERNELS(uint64)
FLOAT_KERNELS(float16, 2, float32, VECTOR_BYTES / 2, load_float16, store_float16)
FLOAT_KERNELS(bfloat16, 2, float32, VECTOR_BYTES / 2, load_bfloat16, store_bfloat16)
FLOAT_KERNELS(float32, 4, float32, VECTOR_BYTES, load_same, store_same)
FLOAT_KERNELS(float64, 8, float64, VECTOR_BYTES, load_same, store_same)

#endif
