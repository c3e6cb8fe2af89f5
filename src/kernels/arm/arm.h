/* The kernels for 64-bit Arm. */
#ifndef UNI_KERNELS_ARM_H
#define UNI_KERNELS_ARM_H

#include <stdbool.h>

#include "kernels/reduce.h"

/* NULL: these can run here; else the reason why not, as "the processor has no bf16". */
const char *uni_lacks_fp16(void);
const char *uni_lacks_bf16(void);

/* Each overwrites the entries of the table that it has kernels for: all; some of float16's; bfloat16's. To be
 * called only where the kernels can run. */
void uni_install_neon(struct uni_kernels *table);
void uni_install_fp16(struct uni_kernels *table);
void uni_install_bf16(struct uni_kernels *table);

/* The best of them for this processor. */
void uni_install_arm(struct uni_kernels *table);

/* Writes what the processor has and the system lets programs use, as "neon fp16 bf16". */
void uni_arm_features(char *text, size_t size);

#endif
