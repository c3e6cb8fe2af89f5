/* What the library picks under UNISONO_ISA, and that the processor executes it: each value in a process of
 * its own, for the choice is made once. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/reduce.h"

/* An unknown instruction ends the process. */
static void call_all(const struct uni_kernels *table) {
  uint64_t in = 0, out;
  for (int dtype = 0; dtype < UNI_DTYPES; dtype++)
    for (int op = 0; op < UNI_OPS; op++)
      if (table->fold[dtype][op])
        table->fold[dtype][op]((void *[]){&out}, 1, (const void *[]){&in, &in}, 2, 1);
}

static bool is_right(const char *cap, const char *best) {
  bool available = cap && uni_kernels_for(cap);
  const struct uni_kernels *picked = uni_kernels();
  const char *wanted = available ? cap : best;
  printf("UNISONO_ISA %s: %s, %s\n", cap ? cap : "unset", picked->isa, picked->reason);
  fflush(stdout);
  call_all(picked);
  return strcmp(picked->isa, wanted) == 0 && picked == uni_kernels_for(wanted) && picked->reason[0] != '\0';
}

static int check(const char *cap, const char *best) {
  int status;
  pid_t child = fork();
  if (child == 0) {
    if (cap)
      setenv("UNISONO_ISA", cap, 1);
    else
      unsetenv("UNISONO_ISA");
    _exit(is_right(cap, best) ? 0 : 1);
  }
  if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) {
    printf("FAILED: UNISONO_ISA %s\n", cap ? cap : "unset");
    return 1;
  }
  return 0;
}

int main(void) {
  static const char *const caps[] = {NULL, "", "scalar", "avx2", "avx512", "neon", "rvv", "AVX2", "none"};
  static char best[16] = "scalar";
  int fd[2], failures = 0;
  if (pipe(fd) != 0)
    return 1;
  pid_t child = fork(); /* which is the best has to be asked in another process, too */
  if (child == 0) {
    unsetenv("UNISONO_ISA");
    const char *isa = uni_kernels()->isa;
    _exit(write(fd[1], isa, strlen(isa) + 1) < 0);
  }
  if (child < 0 || waitpid(child, NULL, 0) < 0 || read(fd[0], best, sizeof best) <= 0)
    return 1;
  for (size_t i = 0; i < sizeof caps / sizeof *caps; i++)
    failures += check(caps[i], best);
  return failures > 0;
}
