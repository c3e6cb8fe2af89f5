#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "costs/costs.h"
#include "engines/engine.h"
#include "error.h"
#include "kernels/reduce.h"
#include "memory_limit.h"
#include "processors.h"

unisono_status unisono_get_info(unisono_info *info) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  /* under the lock; they stay the same as long as the machine does */
  static char limit[256], costs[512], engines[1200];
  if (!info || info->struct_size < offsetof(unisono_info, costs)) /* which came later, as what follows it */
    return uni_fail(UNISONO_ERROR_INVALID, "unisono_get_info: info is NULL or its struct_size is not set");
  const struct uni_kernels *kernels = uni_kernels();
  size_t size = info->struct_size < sizeof *info ? info->struct_size : sizeof *info;
  pthread_mutex_lock(&lock);
  uni_costs_describe(costs, sizeof costs);
  if (size == sizeof *info)
    uni_engines_describe(engines, sizeof engines);
  unisono_info all = {.struct_size = size,
                      .processor = kernels->features,
                      .isa = kernels->isa,
                      .isa_reason = kernels->reason,
                      .processors = uni_processors(),
                      .memory_available = uni_memory_available(limit, sizeof limit),
                      .memory_limit = limit,
                      .costs = costs,
                      .engines = engines};
  pthread_mutex_unlock(&lock);
  memcpy(info, &all, size);
  return UNISONO_OK;
}
