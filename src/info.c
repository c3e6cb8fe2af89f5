#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "engines/engine.h"
#include "error.h"
#include "kernels/reduce.h"
#include "memory_limit.h"
#include "processors.h"

unisono_status unisono_get_info(unisono_info *info) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static char engines[1024];
  static char limit[256]; /* under the lock; the text stays the same as long as the machine does */
  if (!info || info->struct_size < offsetof(unisono_info, engines)) /* which came later */
    return uni_fail(UNISONO_ERROR_INVALID, "unisono_get_info: info is NULL or its struct_size is not set");
  const struct uni_kernels *kernels = uni_kernels();
  pthread_mutex_lock(&lock);
  size_t size = info->struct_size < sizeof *info ? info->struct_size : sizeof *info;
  unisono_info all = {.struct_size = size,
                      .processor = kernels->features,
                      .isa = kernels->isa,
                      .isa_reason = kernels->reason,
                      .processors = uni_processors(),
                      .memory_available = uni_memory_available(limit, sizeof limit),
                      .memory_limit = limit,
                      .engines = engines};
  if (size == sizeof *info)
    uni_engines_describe(engines, sizeof engines);
  memcpy(info, &all, size);
  pthread_mutex_unlock(&lock);
  return UNISONO_OK;
}
