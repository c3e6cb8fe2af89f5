#include "costs/costs.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "env.h"
#include "error.h"
#include "log.h"

enum { FIRST_USE_ROUNDS = 16 };

static const char *const names[UNI_COSTS] = {"exchange", "turn", "write", "read", "fold"};

const struct uni_costs uni_costs_default = {{150000, 450000, 2500, 4000, 300}};

const char *uni_cost_name(enum uni_cost cost) {
  return names[cost];
}

void uni_costs_bound(struct uni_costs *costs) {
  enum { FARTHEST = 8 };
  for (int i = 0; i < UNI_COSTS; i++) {
    uint32_t usual = uni_costs_default.ps[i];
    if (costs->ps[i] < usual / FARTHEST)
      costs->ps[i] = usual / FARTHEST;
    if (costs->ps[i] > usual * FARTHEST)
      costs->ps[i] = usual * FARTHEST;
  }
}

unisono_status uni_costs_find(struct uni_costs *costs, bool can_measure, int *rounds) {
  enum uni_tune tune;
  char path[PATH_MAX];
  *costs = uni_costs_default;
  *rounds = 0;
  unisono_status status = uni_env_tune(&tune);
  if (status || tune == UNI_TUNE_NEVER)
    return status;
  bool is_known = tune == UNI_TUNE_ONCE && uni_costs_path(path, sizeof path) && uni_costs_load(path, costs);
  if (can_measure && !is_known)
    *rounds = tune == UNI_TUNE_ALWAYS ? UNI_COST_ROUNDS : FIRST_USE_ROUNDS;
  return UNISONO_OK;
}

void uni_costs_describe(char *text, size_t room) {
  enum uni_tune tune;
  struct uni_costs costs = uni_costs_default;
  char path[PATH_MAX];
  bool is_kept = !uni_env_tune(&tune) && tune != UNI_TUNE_NEVER && uni_costs_path(path, sizeof path) &&
                 uni_costs_load(path, &costs);
  size_t n = 0;
  for (int i = 0; i < UNI_COSTS && n < room; i++)
    n += (size_t)snprintf(text + n, room - n, "%s %.1f, ", names[i], costs.ps[i] / 1e3);
  if (n < room)
    snprintf(text + n, room - n, is_kept ? "in ns; from %s" : "in ns; built in: not measured yet", path);
}

void uni_costs_keep(const struct uni_costs *costs) {
  char path[PATH_MAX];
  if (uni_costs_path(path, sizeof path) && uni_costs_save(path, costs))
    uni_log(UNI_LOG_INFO, "the machine's costs are not kept: %s", unisono_last_error());
}
