/* Kernels for extensions by themselves, whatever the library would pick: each can be tested on any processor
 * that executes it, though the system may not announce it. */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels.h"
#if defined(UNI_KERNELS_X86)
#include "kernels/x86/x86.h"
#elif defined(UNI_KERNELS_ARM)
#include "kernels/arm/arm.h"
#elif defined(UNI_KERNELS_RISCV)
#include "kernels/riscv/riscv.h"
#endif

static const struct part {
  const char *isa;
  void (*install)(struct uni_kernels *table);
} parts[] = {
#if defined(UNI_KERNELS_X86)
    {"avx512-base", uni_install_avx512_base},
    {"avx512-bf16", uni_install_avx512_bf16},
    {"avx512-emulated", install_emulated_avx512},
#elif defined(UNI_KERNELS_ARM)
    {"neon-base", uni_install_neon},
    {"neon-fp16", uni_install_fp16},
    {"neon-bf16", uni_install_bf16},
#elif defined(UNI_KERNELS_RISCV)
    {"rvv-base", uni_install_rvv},
    {"rvv-zvfhmin", uni_install_zvfhmin},
#if defined(UNI_KERNELS_ZVFBFMIN)
    {"rvv-zvfbfmin", uni_install_zvfbfmin},
#endif
#endif
    {NULL, NULL},
};

static void call_all(const struct uni_kernels *table) {
  uint64_t in = 0, out;
  for (int dtype = 0; dtype < UNI_DTYPES; dtype++)
    for (int op = 0; op < UNI_OPS; op++)
      if (table->fold[dtype][op])
        table->fold[dtype][op]((void *[]){&out}, 1, (const void *[]){&in}, 1, 1);
}

/* In a process of its own, which an unknown instruction ends. */
static bool executes(const struct uni_kernels *table) {
  int status;
  pid_t child = fork();
  if (child == 0) {
    call_all(table);
    _exit(0);
  }
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

const struct uni_kernels *part_for(const char *isa) {
  static struct uni_kernels table;
  for (const struct part *part = parts; part->isa; part++)
    if (strcmp(part->isa, isa) == 0) {
      table = (struct uni_kernels){.isa = part->isa};
      part->install(&table);
      return executes(&table) ? &table : NULL;
    }
  return NULL;
}
