/* The kernels for x86-64, each set with the question that comes before it. */
#ifndef UNI_KERNELS_X86_H
#define UNI_KERNELS_X86_H

#include "kernels/reduce.h"

/* NULL: these kernels can run here; else the reason why not, as "the processor has no avx512bw". */
const char *uni_lacks_avx2(void);
const char *uni_lacks_avx512(void);
const char *uni_lacks_avx512_bf16(void);

/* Overwrite the table's entries. To be called only where the kernels can run. */
void uni_install_avx2(struct uni_kernels *table);
void uni_install_avx512_base(struct uni_kernels *table);
void uni_install_avx512_bf16(struct uni_kernels *table); /* bfloat16 only */

/* Both, where the processor has both. */
void uni_install_avx512(struct uni_kernels *table);

/* Writes what the processor has and the operating system lets programs use, as "avx2 f16c". */
void uni_x86_features(char *text, size_t size);

#endif
