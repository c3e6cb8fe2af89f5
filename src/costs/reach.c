/* What lies between groups of ranks, measured by all of them at once: a link that all use is slower than it
 * is for one. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "comm.h"
#include "costs/costs.h"
#include "error.h"

enum { BLOCK_MOST = 64 << 10, ROUNDS = 8 };

/* Reads what `rank` has staged, after all have staged theirs and before any of them does so again. */
static unisono_status time_reading(unisono_comm *comm, char *to, size_t bytes, int rank, uint32_t *best) {
  char *mine = uni_comm_stage(comm, comm->rank, 0, UNI_STAGE_IN);
  memset(mine, comm->rank, bytes);
  unisono_status status = unisono_barrier(comm);
  if (status)
    return status;
  int64_t began = uni_now();
  memcpy(to, uni_comm_stage(comm, rank, 0, UNI_STAGE_IN), bytes);
  int64_t ps = (uni_now() - began) * 1000 / (int64_t)(bytes / UNI_LINE);
  if (ps < *best)
    *best = ps > 0 ? (uint32_t)ps : 1;
  return unisono_barrier(comm);
}

static unisono_status run_rounds(unisono_comm *comm, char *to, size_t bytes, uint32_t best[2]) {
  struct uni_groups groups = comm->groups;
  int group = comm->rank / groups.size, index = comm->rank % groups.size;
  int near = group * groups.size + (index + 1) % groups.size, far = (comm->rank + groups.size) % comm->size;
  unisono_status status = UNISONO_OK;
  for (int i = 0; i < ROUNDS && !status; i++) {
    status = time_reading(comm, to, bytes, near, &best[0]);
    if (!status)
      status = time_reading(comm, to, bytes, far, &best[1]);
  }
  return status;
}

unisono_status uni_costs_measure_reach(unisono_comm *comm) {
  size_t bytes = comm->layout.stage_bytes < BLOCK_MOST ? comm->layout.stage_bytes : BLOCK_MOST;
  uint32_t best[2] = {UINT32_MAX, UINT32_MAX}, worst[2];
  if (comm->groups.count < 2)
    return UNISONO_OK;
  char *to = malloc(bytes);
  unisono_status status = to ? run_rounds(comm, to, bytes, best)
                             : uni_comm_break(comm, UNISONO_ERROR_MEMORY, "no memory for measuring");
  free(to);
  if (!status) /* the slowest one is waited for */
    status = unisono_all_reduce(best, worst, 2, UNISONO_UINT32, UNISONO_MAX, comm);
  if (!status)
    comm->world->settings.reach = (struct uni_reach){worst[0], worst[1]};
  return status;
}
