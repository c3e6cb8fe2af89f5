/* A machine: its ranks wait for each other, and pass the time that their collective would take. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <simgrid/actor.h>
#include <simgrid/barrier.h>

#include "comm.h"
#include "simulated.h"

/* ---- how long things take */

enum { OPERATIONS = 5, POINTS = 32 };

static struct times {
  const char *operation;
  int n;
  double bytes[POINTS], us[POINTS];
} times[OPERATIONS] = {{"all_gather", 0, {0}, {0}},
                       {"broadcast", 0, {0}, {0}},
                       {"reduce", 0, {0}, {0}},
                       {"reduce_scatter", 0, {0}, {0}},
                       {"fold", 0, {0}, {0}}};

static struct times *times_of(const char *operation) {
  for (int i = 0; i < OPERATIONS; i++)
    if (strcmp(times[i].operation, operation) == 0)
      return &times[i];
  simulated_fail("no times of %s", operation);
}

void simulated_read_times(const char *path) {
  char operation[32];
  double bytes, us;
  FILE *file = fopen(path, "re");
  if (!file)
    simulated_fail("%s cannot be read", path);
  for (int i = 0; i < OPERATIONS; i++)
    times[i].n = 0;
  while (fscanf(file, "%31s %lf %lf", operation, &bytes, &us) == 3) {
    struct times *t = times_of(operation);
    if (t->n == POINTS || (t->n && bytes <= t->bytes[t->n - 1]))
      simulated_fail("%s: too many lines of %s, or not ascending", path, operation);
    t->bytes[t->n] = bytes;
    t->us[t->n++] = us;
  }
  fclose(file);
  for (int i = 0; i < OPERATIONS; i++)
    if (times[i].n < 2)
      simulated_fail("%s: fewer than two lines of %s", path, times[i].operation);
}

/* Between two points, and beyond the last ones, a straight line; below the first nothing changes. */
static double interpolate(const struct times *t, double bytes) {
  int i = 1;
  if (bytes <= t->bytes[0])
    return t->us[0];
  while (i < t->n - 1 && bytes > t->bytes[i])
    i++;
  double slope = (t->us[i] - t->us[i - 1]) / (t->bytes[i] - t->bytes[i - 1]);
  return t->us[i - 1] + slope * (bytes - t->bytes[i - 1]);
}

/* A part of a large buffer is in the caches no more than all of it. */
static double seconds_of(const char *operation, size_t size) {
  const struct times *t = times_of(operation);
  double bytes = (double)size, whole = (double)simulated.bytes, us = interpolate(t, bytes), share = 0;
  if (whole > bytes)
    share = interpolate(t, whole) * bytes / whole;
  return (share > us ? share : us) * 1e-6;
}

void simulated_fold(size_t bytes) {
  sg_actor_sleep_for(seconds_of("fold", bytes));
}

/* ---- ranks that meet in a collective */

struct member {
  unisono_comm comm; /* first: what the library holds is this */
  struct machine *machine;
  const char *send;
};

struct machine {
  sg_bar_t barrier;
  struct uni_header header;
  struct member *members; /* simulated.ranks of them */
};

static struct machine *machine_of(int number) {
  static struct machine **machines;
  if (!machines)
    machines = calloc((size_t)simulated.machines, sizeof *machines);
  if (!machines[number]) {
    struct machine *m = machines[number] = calloc(1, sizeof *m);
    m->barrier = sg_barrier_init((unsigned)simulated.ranks);
    m->members = calloc((size_t)simulated.ranks, sizeof *m->members);
  }
  return machines[number];
}

unisono_comm *simulated_machine(int machine, int local) {
  struct machine *m = machine_of(machine);
  m->members[local] = (struct member){.machine = m};
  m->members[local].comm.size = simulated.ranks;
  m->members[local].comm.rank = local;
  m->members[local].comm.header = &m->header;
  return &m->members[local].comm;
}

/* The elements that are no bytes of the library's own are the payload. */
static bool is_there(unisono_dtype dtype) {
  return simulated.has_data || dtype != UNISONO_INT32;
}

/* All have come, and the time has passed: from then on each reads what the others send, until it leaves. */
static struct machine *meet(unisono_comm *comm, const void *send, const char *operation, size_t bytes) {
  struct member *me = (struct member *)comm;
  me->send = send;
  sg_barrier_wait(me->machine->barrier);
  sg_actor_sleep_for(seconds_of(operation, bytes));
  return me->machine;
}

static unisono_status leave(struct machine *m) {
  sg_barrier_wait(m->barrier);
  return UNISONO_OK;
}

static void sum_up(const struct machine *m, size_t from, int32_t *to, size_t n) {
  for (size_t i = 0; i < n; i++) {
    int32_t sum = 0;
    for (int r = 0; r < simulated.ranks; r++)
      sum += ((const int32_t *)(const void *)m->members[r].send)[from + i];
    to[i] = sum;
  }
}

unisono_status unisono_barrier(unisono_comm *comm) {
  return leave(meet(comm, NULL, "all_gather", 0));
}

unisono_status unisono_all_gather(const void *send, void *recv, size_t count, unisono_dtype dtype,
                                  unisono_comm *comm) {
  size_t block = count * uni_dtype_size(dtype);
  struct machine *m = meet(comm, send, "all_gather", block * (size_t)comm->size);
  for (int r = 0; r < comm->size && is_there(dtype); r++)
    memcpy((char *)recv + (size_t)r * block, m->members[r].send, block);
  return leave(m);
}

unisono_status unisono_all_gatherv(const void *send, size_t count, void *recv, const size_t *counts,
                                   const size_t *displs, unisono_dtype dtype, unisono_comm *comm) {
  size_t element = uni_dtype_size(dtype), total = 0;
  for (int r = 0; r < comm->size; r++)
    total += counts[r] * element;
  if (count != counts[comm->rank])
    simulated_fail("rank %d sends %zu elements and awaits %zu", comm->rank, count, counts[comm->rank]);
  struct machine *m = meet(comm, send, "all_gather", total);
  for (int r = 0; r < comm->size && is_there(dtype); r++)
    memmove((char *)recv + displs[r] * element, m->members[r].send, counts[r] * element);
  return leave(m);
}

unisono_status unisono_broadcast(void *buffer, size_t count, unisono_dtype dtype, int root,
                                 unisono_comm *comm) {
  size_t bytes = count * uni_dtype_size(dtype);
  struct machine *m = meet(comm, buffer, "broadcast", bytes);
  if (comm->rank != root && is_there(dtype))
    memcpy(buffer, m->members[root].send, bytes);
  return leave(m);
}

unisono_status unisono_reduce(const void *send, void *recv, size_t count, unisono_dtype dtype, unisono_op op,
                              int root, unisono_comm *comm) {
  struct machine *m = meet(comm, send, "reduce", count * uni_dtype_size(dtype));
  if (dtype != UNISONO_INT32 || op != UNISONO_SUM)
    simulated_fail("only sums of int32 are simulated");
  if (comm->rank == root && is_there(dtype))
    sum_up(m, 0, recv, count);
  return leave(m);
}

unisono_status unisono_reduce_scatter(const void *send, void *recv, size_t count, unisono_dtype dtype,
                                      unisono_op op, unisono_comm *comm) {
  struct machine *m = meet(comm, send, "reduce_scatter", count * uni_dtype_size(dtype) * (size_t)comm->size);
  if (dtype != UNISONO_INT32 || op != UNISONO_SUM)
    simulated_fail("only sums of int32 are simulated");
  if (is_there(dtype))
    sum_up(m, (size_t)comm->rank * count, recv, count);
  return leave(m);
}

unisono_status unisono_all_to_allv(const void *send, const size_t *send_counts, const size_t *send_displs,
                                   void *recv, const size_t *recv_counts, const size_t *recv_displs,
                                   unisono_dtype dtype, unisono_comm *comm) {
  (void)send, (void)send_counts, (void)send_displs, (void)recv, (void)recv_counts, (void)recv_displs,
      (void)dtype;
  simulated_fail("rank %d: all_to_allv is not simulated", comm->rank);
}

unisono_status unisono_gather(const void *send, void *recv, size_t count, unisono_dtype dtype, int root,
                              unisono_comm *comm) {
  (void)send, (void)recv, (void)count, (void)dtype, (void)root;
  simulated_fail("rank %d: gather is not simulated", comm->rank);
}

unisono_status unisono_scatter(const void *send, void *recv, size_t count, unisono_dtype dtype, int root,
                               unisono_comm *comm) {
  (void)send, (void)recv, (void)count, (void)dtype, (void)root;
  simulated_fail("rank %d: scatter is not simulated", comm->rank);
}
