/* Every reduction kernel of one instruction set against the plain C ones, bit by bit.
 *
 *   test_reduce [--bench] [--seed N] [ISA]
 *
 * ISA is scalar (then plain C itself is tested, against a reference), avx2, neon, rvv, ..., or a part of one
 * as neon-bf16; without it, the set that the library picks. Exit status: 0, 1 after a failure, 77 when the
 * ISA is not available. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

enum { SKIPPED = 77 };

struct options {
  const char *isa;
  uint64_t seed;
  bool bench;
};

static bool parse(int argc, char **argv, struct options *options) {
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--bench") == 0)
      options->bench = true;
    else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
      options->seed = strtoull(argv[++i], NULL, 0);
    else if (argv[i][0] != '-' && !options->isa)
      options->isa = argv[i];
    else
      return false;
  }
  return true;
}

static const struct uni_kernels *find_table(const char *isa) {
  if (!isa)
    return uni_kernels();
  const struct uni_kernels *table = uni_kernels_for(isa);
  return table ? table : part_for(isa);
}

int main(int argc, char **argv) {
  struct options options = {.seed = 1};
  if (!parse(argc, argv, &options)) {
    fprintf(stderr, "usage: test_reduce [--bench] [--seed N] [ISA]\n");
    return 1;
  }
  const struct uni_kernels *table = find_table(options.isa), *picked = uni_kernels();
  if (!table) {
    printf("skipped: no %s kernels here; the library picks %s (%s); the processor has: %s\n", options.isa,
           picked->isa, picked->reason, picked->features);
    return SKIPPED;
  }
  if (options.bench) {
    bench_kernels(table);
    return 0;
  }
  seed_random(options.seed);
  int failures = compare_with_plain_c(table);
  if (strcmp(table->isa, "scalar") == 0)
    failures += compare_with_reference(table);
  printf("%s: %d failures\n", table->isa, failures);
  return failures > 0;
}
