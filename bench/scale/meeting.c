/* The meeting: everybody knows everybody, and which machine each is on. What span.c and across.c ask of the
 * rest of the library is answered here, as on machines where nothing is ever lost. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/arrive.h"
#include "collectives/match.h"
#include "error.h"
#include "log.h"
#include "machines/line.h"
#include "machines/span.h"
#include "queue.h"
#include "simulated.h"

struct simulated simulated;

void simulated_fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  _exit(1);
}

/* ---- what all ranks have in common */

static int *machine_of_ranks(void) {
  static int *machine;
  int size = simulated.machines * simulated.ranks;
  if (!machine) {
    machine = calloc((size_t)size, sizeof *machine);
    for (int r = 0; r < size; r++)
      machine[r] = r / simulated.ranks;
  }
  return machine;
}

static void fold(void *const *out, size_t n_out, const void *const *in, size_t n_in, size_t count) {
  int32_t *to = out[0];
  for (size_t i = 0; i < count; i++) {
    int32_t sum = 0;
    for (size_t k = 0; k < n_in; k++)
      sum += ((const int32_t *)in[k])[i];
    to[i] = sum;
  }
  for (size_t k = 1; k < n_in; k++)
    simulated_fold(count * sizeof *to);
  if (n_out != 1)
    simulated_fail("one output only is simulated");
}

const unsigned char uni_dtype_sizes[UNI_DTYPES] = {
    [UNISONO_UINT8] = 1, [UNISONO_INT32] = 4, [UNISONO_UINT64] = 8};

static const struct uni_kernels kernels = {.fold[UNISONO_INT32][UNISONO_SUM] = fold};

static _Atomic bool *nobody_is_gone(void) {
  static _Atomic bool *gone;
  if (!gone)
    gone = calloc((size_t)(simulated.machines * simulated.ranks), sizeof *gone);
  return gone;
}

unisono_comm *simulated_meet(int rank) {
  struct uni_world *world = calloc(1, sizeof *world);
  struct uni_roster roster = {.size = simulated.machines * simulated.ranks,
                              .rank = rank,
                              .machines = simulated.machines,
                              .machine = machine_of_ranks(),
                              .session = "of the simulation"};
  struct uni_birth birth = {.timeout_ms = -1};
  unisono_comm *comm = NULL;
  world->size = simulated.ranks;
  world->rank = rank;
  world->settings.costs = (struct uni_costs){{150000, 450000, 2500, 4000, 300}}; /* those built in */
  if (uni_span_open(world, &roster, NULL, &birth, &comm))
    simulated_fail("rank %d: %s", rank, unisono_last_error());
  return comm;
}

unisono_status uni_comm_new(struct uni_world *world, const struct uni_birth *birth, unisono_comm **comm) {
  *comm = simulated_machine(world->rank / simulated.ranks, world->rank % simulated.ranks);
  (*comm)->world = world;
  (*comm)->timeout_ms = birth->timeout_ms;
  (*comm)->kernels = &kernels;
  return UNISONO_OK;
}

unisono_status uni_engine_find(const char *name, const struct uni_engine **engine) {
  (void)name;
  *engine = &simulated_engine;
  return UNISONO_OK;
}

unisono_status uni_cluster_open(struct uni_roster *roster, struct uni_cluster **cluster) {
  *cluster = calloc(1, sizeof **cluster);
  (*cluster)->roster = *roster;
  (*cluster)->gone = nobody_is_gone();
  return UNISONO_OK;
}

unisono_status uni_queue_open(unisono_comm *comm) {
  comm->queue = calloc(1, sizeof *comm->queue);
  return UNISONO_OK;
}

/* ---- what does not happen */

unisono_status uni_comm_break(unisono_comm *comm, unisono_status status, const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  simulated_fail("rank %d of its machine: %s: %s", comm->rank, unisono_status_string(status), text);
}

unisono_status uni_comm_failure(unisono_comm *comm) {
  simulated_fail("rank %d of its machine: a failure", comm->rank);
}

bool uni_cluster_break(struct uni_cluster *cluster, uint64_t id, unisono_status status, const char *text) {
  (void)cluster, (void)id, (void)status, (void)text;
  return false;
}

/* What the environment says, which is the same for all: rank 0's words are as good as any. */
unisono_status uni_cluster_exchange(struct uni_cluster *cluster, const void *mine, size_t bytes,
                                    int64_t deadline, unsigned char **all, size_t *all_bytes) {
  uint32_t length = (uint32_t)bytes;
  (void)cluster, (void)deadline;
  *all_bytes = sizeof length + bytes;
  *all = malloc(*all_bytes);
  if (!*all)
    return UNISONO_ERROR_MEMORY;
  memcpy(*all, &length, sizeof length);
  memcpy(*all + sizeof length, mine, bytes);
  return UNISONO_OK;
}

unisono_status unisono_comm_create(unisono_comm *parent, const int *ranks, int n, unisono_comm **comm) {
  (void)parent, (void)ranks, (void)n, (void)comm;
  simulated_fail("there is one communicator");
}

void uni_line_describe(uint64_t call, uint64_t count, uint64_t match, char *text, size_t n) {
  (void)match;
  snprintf(text, n, "call %llx with %llu elements", (unsigned long long)call, (unsigned long long)count);
}

bool uni_comm_lost(unisono_comm *comm, int rank) {
  (void)comm, (void)rank;
  return false;
}

const char *uni_env_engine_algorithm(void) {
  return NULL;
}

unisono_status uni_env_partials(bool *narrow) {
  *narrow = false;
  return UNISONO_OK;
}

/* the network is measured, in its own time */
unisono_status uni_env_tune(enum uni_tune *tune) {
  *tune = UNI_TUNE_ALWAYS;
  return UNISONO_OK;
}

/* select.c asks for it in a part that is of one machine */
void uni_stage_begin(unisono_comm *comm, size_t room) {
  (void)comm, (void)room;
  simulated_fail("stages are not simulated");
}

/* ---- nothing to be done */

void uni_cluster_put(struct uni_cluster *cluster) {
  (void)cluster;
}

void uni_cluster_listen(struct uni_cluster *cluster, struct uni_listener *listener) {
  (void)cluster, (void)listener;
}

void uni_cluster_forget(struct uni_cluster *cluster, struct uni_listener *listener) {
  (void)cluster, (void)listener;
}

void uni_world_look(struct uni_world *world, bool now) {
  (void)world, (void)now;
}

unisono_status uni_line_open(struct uni_span *span) {
  (void)span;
  return UNISONO_OK;
}

void uni_line_close(struct uni_span *span) {
  (void)span;
}

void uni_line_move_transfers(struct uni_span *span) {
  (void)span;
}

void uni_log(enum uni_log_level level, const char *format, ...) {
  (void)level, (void)format;
}

void uni_match_clear(unisono_comm *comm) {
  (void)comm;
}

void uni_queue_close(unisono_comm *comm) {
  free(comm->queue);
}

unisono_status unisono_comm_destroy(unisono_comm *comm) {
  (void)comm;
  return UNISONO_OK;
}
