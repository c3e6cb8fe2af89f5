/* How a communicator begins: unique id, init, split, create. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "comm.h"
#include "error.h"
#include "hash.h"
#include "log.h"
#include "machines/span.h"
#include "rendezvous/find.h"
#include "rendezvous/launcher.h"
#include "request.h"
#include "threads.h"

enum { MOST_RANKS = 1 << 16, MOST_THREADS = 1024 };

unisono_status unisono_get_unique_id(unisono_unique_id *id) {
  struct uni_identity identity;
  if (!id)
    return uni_fail(UNISONO_ERROR_INVALID, "unisono_get_unique_id: id is NULL");
  unisono_status status = uni_identity_new(&identity);
  if (!status)
    uni_identity_pack(&identity, id);
  return status;
}

/* A copy of the caller's configuration, which may be shorter than this version's, with the defaults filled
 * in. */
static unisono_status read_config(const unisono_config *given, unisono_config *config) {
  *config = (unisono_config)UNISONO_CONFIG_INIT;
  if (given) {
    if (given->struct_size < offsetof(unisono_config, threads) || given->struct_size > sizeof *config)
      return uni_fail(UNISONO_ERROR_INVALID,
                      "config.struct_size is %zu; start from UNISONO_CONFIG_INIT of this version's header",
                      given->struct_size);
    memcpy(config, given, given->struct_size);
  }
  if (config->threads < 0 || config->threads > MOST_THREADS)
    return uni_fail(UNISONO_ERROR_INVALID, "config.threads is %d; use 0 (one) to %d", config->threads,
                    MOST_THREADS);
  if (config->threads == 0)
    config->threads = 1;
  if (!config->parallel_for)
    config->parallel_for = uni_openmp_for;
  return uni_env_timeout(config->timeout_ms, &config->timeout_ms);
}

/* The communicator of all who have met. */
static unisono_status birth_of_all(struct uni_world *world, struct uni_roster *roster,
                                   const unisono_config *config, unisono_comm **comm) {
  int *ranks = malloc((size_t)world->size * sizeof *ranks);
  if (!ranks) {
    uni_roster_free(roster);
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a list of %d ranks", world->size);
  }
  for (int i = 0; i < world->size; i++)
    ranks[i] = i;
  struct uni_birth birth = {.world_ranks = ranks,
                            .n = world->size,
                            .timeout_ms = config->timeout_ms,
                            .parallel_for = config->parallel_for,
                            .pool = config->pool};
  bool has_machines = roster->machines != 0;
  unisono_status status = roster->machines ? uni_span_open(world, roster, config->engine, &birth, comm)
                                           : uni_comm_new(world, &birth, comm);
  free(ranks);
  if (status || has_machines)
    return status;
  if (world->settings.rounds)
    status = uni_costs_measure(*comm, world->settings.rounds);
  if (!status && world->settings.tunes)
    status = uni_costs_measure_reach(*comm);
  if (status) {
    unisono_comm_destroy(*comm);
    *comm = NULL;
  }
  return status;
}

static unisono_status init(unisono_comm **comm, int size, int rank, const struct uni_identity *identity,
                           const unisono_config *config) {
  struct uni_world *world;
  struct uni_roster roster;
  unisono_status status =
      uni_find(identity, size, rank, config->threads, uni_deadline(config->timeout_ms), &world, &roster);
  if (status)
    return status;
  status = birth_of_all(world, &roster, config, comm);
  uni_world_put(world); /* the communicator has its own use of it */
  return status;
}

static unisono_status check_place(int size, int rank) {
  if (size < 1 || size > MOST_RANKS)
    return uni_fail(UNISONO_ERROR_INVALID, "unisono_comm_init: size is %d; it must be 1 to %d", size,
                    MOST_RANKS);
  if (rank < 0 || rank >= size)
    return uni_fail(UNISONO_ERROR_INVALID, "unisono_comm_init: rank is %d; with size %d it must be 0 to %d",
                    rank, size, size - 1);
  return UNISONO_OK;
}

static unisono_status check_out(unisono_comm **comm, const char *function) {
  if (!comm)
    return uni_fail(UNISONO_ERROR_INVALID, "%s: comm is NULL; give a place for the communicator", function);
  *comm = NULL;
  return UNISONO_OK;
}

unisono_status uni_check_part(const unisono_comm *comm, const char *function, unisono_comm **part,
                              const char *name) {
  if (part)
    *part = NULL;
  unisono_status status = uni_comm_check(comm, function);
  if (!status && !part)
    status = uni_fail(UNISONO_ERROR_INVALID, "%s, rank %d: %s is NULL; give a place for the communicator",
                      function, comm->rank, name);
  return status;
}

unisono_status unisono_comm_init(unisono_comm **comm, int size, int rank, const unisono_unique_id *id,
                                 const unisono_config *config) {
  unisono_config full;
  struct uni_identity identity;
  unisono_status status = check_out(comm, "unisono_comm_init");
  if (!status)
    status = check_place(size, rank);
  if (!status)
    status = uni_identity_unpack(id, &identity);
  if (!status)
    status = read_config(config, &full);
  if (!status && !uni_identity_use_once(&identity, rank))
    status = uni_fail(UNISONO_ERROR_INVALID,
                      "unisono_comm_init, rank %d: id was used before; a unique id serves one "
                      "communicator",
                      rank);
  uni_log_set_rank(rank);
  return status ? status : init(comm, size, rank, &identity, &full);
}

unisono_status unisono_comm_init_env(unisono_comm **comm, const unisono_config *config) {
  unisono_config full;
  struct uni_launch launch;
  unisono_status status = check_out(comm, "unisono_comm_init_env");
  if (!status)
    status = read_config(config, &full);
  if (!status)
    status = uni_launch_read(&launch);
  if (!status)
    status = check_place(launch.size, launch.rank);
  if (status)
    return status;
  uni_log_set_rank(launch.rank);
  return init(comm, launch.size, launch.rank, &launch.identity, &full);
}

/* ---- from a communicator */

/* How often a communicator of these ranks was made from `comm` before. */
static unisono_status count_birth(unisono_comm *comm, const int *world_ranks, int n, uint32_t *times) {
  uint64_t members = uni_hash(world_ranks, (size_t)n * sizeof *world_ranks, 1);
  struct uni_births *b = comm->births;
  while (b && b->members != members)
    b = b->next;
  if (!b) {
    b = calloc(1, sizeof *b);
    if (!b)
      return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a new communicator");
    b->members = members;
    b->next = comm->births;
    comm->births = b;
  }
  *times = b->times++;
  return UNISONO_OK;
}

/* `ranks` are ranks of `comm`, checked. */
static unisono_status make_part(unisono_comm *comm, const int *ranks, int n, unisono_comm **part) {
  int *world_ranks = malloc((size_t)n * sizeof *world_ranks);
  if (!world_ranks)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a list of %d ranks", n);
  for (int i = 0; i < n; i++)
    world_ranks[i] = comm->span ? ranks[i] : comm->world_ranks[ranks[i]];
  struct uni_birth birth = {.world_ranks = world_ranks,
                            .n = n,
                            .parent = comm->id,
                            .timeout_ms = comm->timeout_ms,
                            .parallel_for = comm->parallel_for,
                            .pool = comm->pool};
  unisono_status status = count_birth(comm, world_ranks, n, &birth.times);
  if (!status && comm->span)
    status = uni_span_part(comm, ranks, n, birth.times, part);
  else if (!status)
    status = uni_comm_new(comm->world, &birth, part);
  free(world_ranks);
  return status;
}

static unisono_status check_list(const unisono_comm *comm, const int *ranks, int n) {
  bool mine = false;
  if (n < 1 || n > comm->size || !ranks)
    return uni_fail(UNISONO_ERROR_INVALID,
                    "unisono_comm_create, rank %d: n is %d, ranks %p; list 1 to %d ranks", comm->rank, n,
                    (const void *)ranks, comm->size);
  for (int i = 0; i < n; i++) {
    if (ranks[i] < 0 || ranks[i] >= comm->size)
      return uni_fail(UNISONO_ERROR_INVALID,
                      "unisono_comm_create, rank %d: ranks[%d] is %d; ranks are 0 to %d", comm->rank, i,
                      ranks[i], comm->size - 1);
    for (int j = 0; j < i; j++)
      if (ranks[j] == ranks[i])
        return uni_fail(UNISONO_ERROR_INVALID,
                        "unisono_comm_create, rank %d: ranks[%d] and ranks[%d] are both %d", comm->rank, j, i,
                        ranks[i]);
    mine |= ranks[i] == comm->rank;
  }
  if (!mine)
    return uni_fail(UNISONO_ERROR_INVALID,
                    "unisono_comm_create, rank %d: ranks does not list this rank; only the "
                    "listed ranks call it",
                    comm->rank);
  return UNISONO_OK;
}

unisono_status unisono_comm_create(unisono_comm *comm, const int *ranks, int n, unisono_comm **part) {
  unisono_status status = uni_check_part(comm, "unisono_comm_create", part, "part");
  if (!status)
    status = check_list(comm, ranks, n);
  if (!status && uni_comm_is_broken(comm))
    status = uni_comm_failure(comm);
  return status ? status : make_part(comm, ranks, n, part);
}

struct choice {
  int32_t color, key, rank;
};

static int by_key(const void *a, const void *b) {
  const struct choice *x = a, *y = b;
  if (x->key != y->key)
    return x->key < y->key ? -1 : 1;
  return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* Sorts the choices and lists the ranks of this rank's color. */
static int list_color(struct choice *choices, int size, int color, int *ranks) {
  int n = 0;
  qsort(choices, (size_t)size, sizeof *choices, by_key);
  for (int i = 0; i < size; i++)
    if (choices[i].color == color)
      ranks[n++] = choices[i].rank;
  return n;
}

unisono_status unisono_comm_split(unisono_comm *comm, int color, int key, unisono_comm **part) {
  unisono_status status = uni_check_part(comm, "unisono_comm_split", part, "part");
  if (status)
    return status;
  struct choice mine = {color, key, comm->rank};
  struct choice *choices = malloc((size_t)comm->size * sizeof *choices);
  int *ranks = malloc((size_t)comm->size * sizeof *ranks);
  if (!choices || !ranks)
    status = uni_fail(UNISONO_ERROR_MEMORY, "no memory for splitting %d ranks", comm->size);
  if (!status)
    status = unisono_all_gather(&mine, choices, sizeof mine / sizeof(int32_t), UNISONO_INT32, comm);
  if (!status && color >= 0)
    status = make_part(comm, ranks, list_color(choices, comm->size, color, ranks), part);
  free(choices);
  free(ranks);
  return status;
}
