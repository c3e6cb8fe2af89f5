/* The kernels for RISC-V's vectors. */
#ifndef UNI_KERNELS_RISCV_H
#define UNI_KERNELS_RISCV_H

#include <stdbool.h>

#include "kernels/reduce.h"

/* NULL: these can run here; else the reason why not, as "the processor has no zvfhmin". */
const char *uni_lacks_rvv(void);
const char *uni_lacks_zvfhmin(void);
const char *uni_lacks_zvfbfmin(void);

/* Each overwrites the entries of the table that it has kernels for: all; float16's; bfloat16's. To be called
 * only where the kernels can run. */
void uni_install_rvv(struct uni_kernels *table);
void uni_install_zvfhmin(struct uni_kernels *table);
void uni_install_zvfbfmin(struct uni_kernels *table);

/* The best of them for this processor. */
void uni_install_riscv(struct uni_kernels *table);

/* On a processor that has vectors: are they those of version 1.0? */
bool uni_rvv_is_ratified(void);

/* Writes what the processor has and the system lets programs use, as "rvv zvfhmin". */
void uni_riscv_features(char *text, size_t size);

#endif
