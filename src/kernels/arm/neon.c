/* The kernels for NEON. */
#include "kernels/arm/neon.h"

#include "kernels/vector/kernels.h"

void uni_install_neon(struct uni_kernels *table) {
  INSTALL_ALL();
}
