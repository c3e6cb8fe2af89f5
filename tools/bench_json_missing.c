/* In the place of bench_json.c, where the command was built without jansson. */
#include "bench.h"

bool bench_json_possible(void) {
  fputs("unisono bench: --json needs jansson, without which this command was built; build it with jansson's "
        "development files (libjansson-dev)\n",
        stderr);
  return false;
}

bool bench_json_write(const struct bench *bench, const struct result *results, size_t n) {
  (void)bench, (void)results, (void)n;
  return false;
}
