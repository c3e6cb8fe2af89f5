/* Fill `table` from the includer's functions, which are named op_type, as sum_uint8. Where the sign makes no
 * difference, the signed type has the unsigned type's kernel. */
#ifndef UNI_KERNELS_INSTALL_H
#define UNI_KERNELS_INSTALL_H

#include "kernels/reduce.h"

#define INSTALL(TYPE, OP, KERNEL) table->fold[UNISONO_##TYPE][UNISONO_##OP] = KERNEL

#define INSTALL_INTEGER(TYPE, NAME, UNSIGNED)                                                                \
  do {                                                                                                       \
    INSTALL(TYPE, SUM, sum_##UNSIGNED);                                                                      \
    INSTALL(TYPE, PROD, prod_##UNSIGNED);                                                                    \
    INSTALL(TYPE, MIN, min_##NAME);                                                                          \
    INSTALL(TYPE, MAX, max_##NAME);                                                                          \
    INSTALL(TYPE, BAND, band_##UNSIGNED);                                                                    \
    INSTALL(TYPE, BOR, bor_##UNSIGNED);                                                                      \
    INSTALL(TYPE, BXOR, bxor_##UNSIGNED);                                                                    \
  } while (0)

#define INSTALL_FLOAT(TYPE, NAME)                                                                            \
  do {                                                                                                       \
    INSTALL(TYPE, SUM, sum_##NAME);                                                                          \
    INSTALL(TYPE, PROD, prod_##NAME);                                                                        \
    INSTALL(TYPE, MIN, min_##NAME);                                                                          \
    INSTALL(TYPE, MAX, max_##NAME);                                                                          \
    INSTALL(TYPE, AVG, avg_##NAME);                                                                          \
  } while (0)

#define INSTALL_ALL()                                                                                        \
  do {                                                                                                       \
    INSTALL_INTEGER(INT8, int8, uint8);                                                                      \
    INSTALL_INTEGER(UINT8, uint8, uint8);                                                                    \
    INSTALL_INTEGER(INT16, int16, uint16);                                                                   \
    INSTALL_INTEGER(UINT16, uint16, uint16);                                                                 \
    INSTALL_INTEGER(INT32, int32, uint32);                                                                   \
    INSTALL_INTEGER(UINT32, uint32, uint32);                                                                 \
    INSTALL_INTEGER(INT64, int64, uint64);                                                                   \
    INSTALL_INTEGER(UINT64, uint64, uint64);                                                                 \
    INSTALL_FLOAT(FLOAT16, float16);                                                                         \
    INSTALL_FLOAT(BFLOAT16, bfloat16);                                                                       \
    INSTALL_FLOAT(FLOAT32, float32);                                                                         \
    INSTALL_FLOAT(FLOAT64, float64);                                                                         \
  } while (0)

#endif
