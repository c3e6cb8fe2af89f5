#ifndef UNI_KERNELS_GENERIC_FOLD_H
#define UNI_KERNELS_GENERIC_FOLD_H

#include "kernels/reduce.h"

/* Sets every entry of the table to the kernel in plain C, NULL where the type has no such operation. */
void uni_install_generic(struct uni_kernels *table);

#endif
