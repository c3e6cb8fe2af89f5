/* Builds the tables, a rung of the ladder each, and picks one. */
#include "kernels/reduce.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/generic/fold.h"
#include "log.h"
#if defined(UNI_KERNELS_X86)
#include "kernels/x86/x86.h"
#elif defined(UNI_KERNELS_ARM)
#include "kernels/arm/arm.h"
#elif defined(UNI_KERNELS_RISCV)
#include "kernels/riscv/riscv.h"
#endif

struct rung {
  const char *isa;
  const char *(*lacks)(void); /* NULL: can run here; else the reason why not */
  void (*install)(struct uni_kernels *table);
  bool is_wide; /* its vectors are longer than UNI_FEW_BYTES */
};

static const char *lacks_nothing(void) {
  return NULL;
}

/* From the slowest to the fastest: each overwrites the entries of the one before. */
static const struct rung ladder[] = {
    {"scalar", lacks_nothing, uni_install_generic, false},
#if defined(UNI_KERNELS_X86)
    {"avx2", uni_lacks_avx2, uni_install_avx2, false},
    {"avx512", uni_lacks_avx512, uni_install_avx512, true},
#elif defined(UNI_KERNELS_ARM)
    {"neon", lacks_nothing, uni_install_arm, false},
#elif defined(UNI_KERNELS_RISCV)
    {"rvv", uni_lacks_rvv, uni_install_riscv, false},
#endif
};

enum { RUNGS = sizeof ladder / sizeof *ladder };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct uni_kernels tables[RUNGS];
static int available; /* tables, counted from the bottom */
static const struct uni_kernels *picked;
static char features[128], best_reason[128], picked_reason[160];

static void find_features(void) {
#if defined(UNI_KERNELS_X86)
  uni_x86_features(features, sizeof features);
#elif defined(UNI_KERNELS_ARM)
  uni_arm_features(features, sizeof features);
#elif defined(UNI_KERNELS_RISCV)
  uni_riscv_features(features, sizeof features);
#endif
}

static void build_tables(void) {
  const char *lack = NULL;
  while (available < RUNGS && !(lack = ladder[available].lacks())) {
    struct uni_kernels *table = &tables[available];
    if (available > 0)
      *table = tables[available - 1];
    ladder[available].install(table);
    table->few = ladder[available].is_wide ? table - 1 : table;
    table->isa = ladder[available++].isa;
  }
  if (available < RUNGS)
    snprintf(best_reason, sizeof best_reason, "the best here: for %s, %s", ladder[available].isa, lack);
  else
    snprintf(best_reason, sizeof best_reason, "the best that this build has");
  for (int i = 0; i < available; i++) {
    tables[i].features = features;
    tables[i].reason = "asked for by name";
  }
}

static struct uni_kernels *find_table(const char *isa) {
  for (int i = 0; i < available; i++)
    if (strcmp(isa, tables[i].isa) == 0)
      return &tables[i];
  return NULL;
}

static void warn_of_cap(const char *cap, const char *instead) {
  char names[64] = "";
  for (int i = 0; i < available; i++) {
    size_t used = strlen(names);
    snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", tables[i].isa);
  }
  uni_log(UNI_LOG_WARN, "UNISONO_ISA=%s is not available here (%s are); using %s", cap, names, instead);
}

static void build_and_pick(void) {
  find_features();
  build_tables();
  struct uni_kernels *best = &tables[available - 1], *table = best;
  const char *cap = getenv("UNISONO_ISA");
  if (cap && *cap) {
    table = find_table(cap);
    if (!table)
      warn_of_cap(cap, best->isa);
  }
  if (!table || table == best)
    snprintf(picked_reason, sizeof picked_reason, "%s", best_reason);
  else
    snprintf(picked_reason, sizeof picked_reason, "UNISONO_ISA=%s", cap);
  picked = table ? table : best;
  tables[picked - tables].reason = picked_reason;
}

const struct uni_kernels *uni_kernels(void) {
  pthread_once(&once, build_and_pick);
  return picked;
}

const struct uni_kernels *uni_kernels_for(const char *isa) {
  pthread_once(&once, build_and_pick);
  return find_table(isa);
}

static const char *const dtype_names[UNI_DTYPES] = {
    [UNISONO_INT8] = "int8",         [UNISONO_UINT8] = "uint8",     [UNISONO_INT16] = "int16",
    [UNISONO_UINT16] = "uint16",     [UNISONO_INT32] = "int32",     [UNISONO_UINT32] = "uint32",
    [UNISONO_INT64] = "int64",       [UNISONO_UINT64] = "uint64",   [UNISONO_FLOAT16] = "float16",
    [UNISONO_BFLOAT16] = "bfloat16", [UNISONO_FLOAT32] = "float32", [UNISONO_FLOAT64] = "float64",
};

const unsigned char uni_dtype_sizes[UNI_DTYPES] = {
    [UNISONO_INT8] = 1,    [UNISONO_UINT8] = 1,    [UNISONO_INT16] = 2,   [UNISONO_UINT16] = 2,
    [UNISONO_INT32] = 4,   [UNISONO_UINT32] = 4,   [UNISONO_INT64] = 8,   [UNISONO_UINT64] = 8,
    [UNISONO_FLOAT16] = 2, [UNISONO_BFLOAT16] = 2, [UNISONO_FLOAT32] = 4, [UNISONO_FLOAT64] = 8,
};

static const char *const op_names[UNI_OPS] = {
    [UNISONO_SUM] = "sum", [UNISONO_PROD] = "prod", [UNISONO_MIN] = "min", [UNISONO_MAX] = "max",
    [UNISONO_AVG] = "avg", [UNISONO_BAND] = "band", [UNISONO_BOR] = "bor", [UNISONO_BXOR] = "bxor",
};

const char *uni_dtype_name(unisono_dtype dtype) {
  return (unsigned)dtype < UNI_DTYPES ? dtype_names[dtype] : "unknown type";
}

const char *uni_op_name(unisono_op op) {
  return (unsigned)op < UNI_OPS ? op_names[op] : "unknown operation";
}
