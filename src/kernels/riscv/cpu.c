/* What this processor can do: the system call riscv_hwprobe says it (Linux 6.5), on older systems the
 * auxiliary vector. */
#include <stdint.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernels/riscv/riscv.h"

/* Of Linux's <asm/hwprobe.h> and <linux/prctl.h>, which an older system's headers do not have. */
enum { HWPROBE = 258, KEY_EXTENSIONS = 4, GET_VECTOR_CONTROL = 70, VECTORS_OFF = 1, CONTROL_NOW = 3 };
static const uint64_t HAS_V = 1 << 2, HAS_ZVFH = UINT64_C(1) << 30, HAS_ZVFHMIN = UINT64_C(1) << 31,
                      HAS_ZVE64D = UINT64_C(1) << 41, HAS_ZVFBFMIN = UINT64_C(1) << 53;

static const char *const no_vectors = "the processor has no RVV 1.0";

/* What all processors have, as hwprobe says it. False: this system has no such call. */
static bool probe(uint64_t *extensions) {
  struct {
    int64_t key;
    uint64_t value;
  } pair = {KEY_EXTENSIONS, 0};
  if (syscall(HWPROBE, &pair, 1, 0, NULL, 0) != 0 || pair.key != KEY_EXTENSIONS)
    return false;
  *extensions = pair.value;
  return true;
}

static uint64_t find_extensions(void) {
  uint64_t extensions = 0;
  if (!probe(&extensions) && getauxval(AT_HWCAP) >> ('v' - 'a') & 1 && uni_rvv_is_ratified())
    extensions = HAS_V;
  return extensions;
}

/* The owner of the machine or of the process may have switched them off. */
static bool vectors_are_off(void) {
  int control = prctl(GET_VECTOR_CONTROL);
  return control > 0 && (control & CONTROL_NOW) == VECTORS_OFF;
}

const char *uni_lacks_rvv(void) {
  if (!(find_extensions() & (HAS_V | HAS_ZVE64D)))
    return no_vectors;
  return vectors_are_off() ? "the system does not let this process use vectors" : NULL;
}

static const char *lacks(uint64_t extension, const char *absent) {
  const char *lack = uni_lacks_rvv();
  return lack ? lack : find_extensions() & extension ? NULL : absent;
}

const char *uni_lacks_zvfhmin(void) {
  return lacks(HAS_ZVFHMIN | HAS_ZVFH, "the processor has no zvfhmin");
}

const char *uni_lacks_zvfbfmin(void) {
  return lacks(HAS_ZVFBFMIN, "the processor has no zvfbfmin");
}

#if !defined(UNI_KERNELS_ZVFBFMIN) /* the compiler does not know it yet */
void uni_install_zvfbfmin(struct uni_kernels *table) {
  (void)table;
}
#endif

void uni_install_riscv(struct uni_kernels *table) {
  uni_install_rvv(table);
  if (!uni_lacks_zvfhmin())
    uni_install_zvfhmin(table);
  if (!uni_lacks_zvfbfmin())
    uni_install_zvfbfmin(table);
}

void uni_riscv_features(char *text, size_t size) {
  snprintf(text, size, "%s%s%s", uni_lacks_rvv() ? "" : "rvv", uni_lacks_zvfhmin() ? "" : " zvfhmin",
           uni_lacks_zvfbfmin() ? "" : " zvfbfmin");
}
