#include "collectives/groups.h"

#include "comm.h"
#include "log.h"

static uint32_t domain_of(const unisono_comm *comm, int rank, int level) {
  return comm->places[rank].domains[level];
}

/* Groups of this level; one: they are of different sizes, or not consecutive, or of one rank each. */
static struct uni_groups group_by(const unisono_comm *comm, int level) {
  const struct uni_groups none = {1, comm->size};
  int size = 1;
  while (size < comm->size && domain_of(comm, size, level) == domain_of(comm, 0, level))
    size++;
  if (size < 2 || comm->size % size != 0)
    return none;
  for (int r = 0; r < comm->size; r++) {
    uint32_t mine = domain_of(comm, r, level);
    if (mine == 0 || (r % size != 0 && mine != domain_of(comm, r - 1, level)))
      return none;
    for (int other = r % size; other < r && r % size == 0; other += size)
      if (mine == domain_of(comm, other, level))
        return none;
  }
  return (struct uni_groups){comm->size / size, size};
}

void uni_groups_find(unisono_comm *comm) {
  static const char *const shared[UNI_LEVELS] = {"last-level cache", "socket"};
  comm->groups = (struct uni_groups){1, comm->size};
  for (int level = 0; level < UNI_LEVELS && comm->groups.count == 1; level++) {
    comm->groups = group_by(comm, level);
    if (comm->groups.count > 1)
      uni_log(UNI_LOG_INFO, "communicator %llx: %d groups of %d ranks that share a %s",
              (unsigned long long)comm->id, comm->groups.count, comm->groups.size, shared[level]);
  }
}

/* ---- what can be done, and how long it takes */

/* A partial has to be exact: 16-bit sums and products are rounded once, at the end, and an average is divided
 * there. */
static bool passes_on(const struct uni_call *call) {
  bool is_half = call->dtype == UNISONO_FLOAT16 || call->dtype == UNISONO_BFLOAT16;
  return call->op != UNISONO_AVG && !(is_half && (call->op == UNISONO_SUM || call->op == UNISONO_PROD));
}

bool uni_levels_serve(const unisono_comm *comm, const struct uni_call *call) {
  if (comm->groups.count < 2)
    return false;
  return call->kind == UNI_BROADCAST || call->kind == UNI_ALL_GATHER ||
         (call->kind == UNI_ALL_REDUCE && passes_on(call));
}

uint64_t uni_levels_folds(const unisono_comm *comm, enum uni_kind kind) {
  return kind == UNI_ALL_REDUCE ? (uint64_t)comm->groups.count : 0;
}

uint64_t uni_levels_steps(const unisono_comm *comm, enum uni_kind kind) {
  return uni_levels_folds(comm, kind) + 2; /* the result is fetched for the group, and gathered within it */
}

size_t uni_levels_alive(const unisono_comm *comm, enum uni_kind kind) {
  return (size_t)uni_levels_steps(comm, kind) + 2;
}

size_t uni_levels_rooms(const unisono_comm *comm, enum uni_kind kind) {
  return kind == UNI_ALL_GATHER ? (size_t)comm->groups.count : 1;
}
