/* What this processor can do, as the kernel says it. NEON is a part of every one. */
#include <stdio.h>
#include <sys/auxv.h>

#include "kernels/arm/arm.h"

/* Of Linux's <asm/hwcap.h>, which older systems' headers do not have whole. */
static const unsigned long HAS_FP16 = 1 << 10, HAS_SVE = 1 << 22; /* in AT_HWCAP */
static const unsigned long HAS_SVE2 = 1 << 1, HAS_BF16 = 1 << 14; /* in AT_HWCAP2 */

const char *uni_lacks_fp16(void) {
  return getauxval(AT_HWCAP) & HAS_FP16 ? NULL : "the processor has no fp16";
}

const char *uni_lacks_bf16(void) {
  return getauxval(AT_HWCAP2) & HAS_BF16 ? NULL : "the processor has no bf16";
}

void uni_install_arm(struct uni_kernels *table) {
  uni_install_neon(table);
  if (!uni_lacks_fp16())
    uni_install_fp16(table);
  if (!uni_lacks_bf16())
    uni_install_bf16(table);
}

void uni_arm_features(char *text, size_t size) {
  snprintf(text, size, "neon%s%s%s%s", uni_lacks_fp16() ? "" : " fp16", uni_lacks_bf16() ? "" : " bf16",
           getauxval(AT_HWCAP) & HAS_SVE ? " sve" : "", getauxval(AT_HWCAP2) & HAS_SVE2 ? " sve2" : "");
}
