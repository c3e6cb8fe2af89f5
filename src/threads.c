#include "threads.h"

void uni_openmp_for(void *pool, size_t n, void (*body)(void *arg, size_t i), void *arg) {
  (void)pool;
#ifdef _OPENMP
#pragma omp parallel for num_threads((int)n) schedule(static, 1)
#endif
  for (size_t i = 0; i < n; i++)
    body(arg, i);
}
