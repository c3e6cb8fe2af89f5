/* The library's own threads for a team: OpenMP's. */
#ifndef UNI_THREADS_H
#define UNI_THREADS_H

#include "unisono.h"

/* A unisono_parallel_for. Without OpenMP it runs everything in the caller's thread. */
void uni_openmp_for(void *pool, size_t n, void (*body)(void *arg, size_t i), void *arg);

#endif
