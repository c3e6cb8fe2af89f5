/* Speed of every kernel with two inputs and one output, in GB/s of the bytes read and written. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels.h"

static const size_t sizes[] = {4 << 10, 64 << 10, 1 << 20, 16 << 20};
enum { SIZES = sizeof sizes / sizeof *sizes, LARGEST = 16 << 20 };

static double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The best of several samples, each of some MiB. */
static double measure(uni_fold_fn fold, char *buffers[3], size_t bytes, size_t element) {
  const void *in[] = {buffers[0], buffers[1]};
  size_t calls = 1 + (4 << 20) / bytes;
  double best = 1e9;
  for (int sample = 0; sample < 5; sample++) {
    double start = seconds_now();
    for (size_t i = 0; i < calls; i++)
      fold((void *[]){buffers[2]}, 1, in, 2, bytes / element);
    double seconds = (seconds_now() - start) / (double)calls;
    best = seconds < best ? seconds : best;
  }
  return 3e-9 * (double)bytes / best;
}

static void bench_kernel(const struct uni_kernels *table, unisono_dtype dtype, unisono_op op,
                         char *buffers[3]) {
  printf("%-8s %-8s %-5s", table->isa, uni_dtype_name(dtype), uni_op_name(op));
  for (size_t i = 0; i < SIZES; i++)
    printf(" %9.1f", measure(table->fold[dtype][op], buffers, sizes[i], uni_dtype_size(dtype)));
  printf("\n");
}

void bench_kernels(const struct uni_kernels *table) {
  char *buffers[3];
  printf("GB/s read and written, two inputs, one output\n%-8s %-8s %-5s %9s %9s %9s %9s\n", "isa", "type",
         "op", "4 KiB", "64 KiB", "1 MiB", "16 MiB");
  for (int i = 0; i < 3; i++) {
    buffers[i] = aligned_alloc(4096, LARGEST);
    if (!buffers[i]) {
      perror("aligned_alloc");
      exit(1);
    }
    memset(buffers[i], 0x3f, LARGEST); /* near 1 in every float type: products stay normal numbers */
  }
  for (int dtype = 0; dtype < UNI_DTYPES; dtype++)
    for (int op = 0; op < UNI_OPS; op++)
      if (table->fold[dtype][op])
        bench_kernel(table, (unisono_dtype)dtype, (unisono_op)op, buffers);
  for (int i = 0; i < 3; i++)
    free(buffers[i]);
}
