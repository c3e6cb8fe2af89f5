/* A process of the simulation. usage: smpirun ... simulate MACHINES RANKS TIMES {ALGORITHM BYTES}...
 *
 * An all_reduce of int32 for each pair; prints a line of JSON. ALGORITHM is unisono (the library, between
 * machines that are simulated), unisono_progress (its engine has a thread of its own), check (as unisono,
 * with data, whose sums are looked at), or, in another start, a flat one. With the library there are two
 * processes a rank: see engine.c. */
#include <stdlib.h>
#include <string.h>

#include <simgrid/barrier.h>
#include <simgrid/engine.h>
#include <smpi/smpi.h>

#include "comm.h"
#include "machines/across.h"
#include "simulated.h"

static double slowest; /* of all ranks */

static void by_library(struct uni_span *span, int32_t *data, size_t count) {
  struct uni_call call = {.kind = UNI_ALL_REDUCE,
                          .dtype = UNISONO_INT32,
                          .op = UNISONO_SUM,
                          .send = data,
                          .recv = data,
                          .count = count,
                          .block = count * sizeof *data,
                          .element = sizeof *data};
  if (uni_across(span, &call))
    simulated_fail("%s", unisono_last_error());
}

/* Rank r's element i is r + i. */
static void fill(int32_t *data, size_t count, int rank) {
  for (size_t i = 0; i < count; i++)
    data[i] = (int32_t)i + rank;
}

static void check(const int32_t *data, size_t count, int size) {
  for (size_t i = 0; i < count; i++)
    if (data[i] != (int32_t)i * size + size * (size - 1) / 2)
      simulated_fail("a wrong sum: element %zu of %zu is %d", i, count, data[i]);
}

static void run(struct uni_span *span, int rank, const char *algorithm, size_t bytes, sg_bar_t all) {
  size_t count = bytes / sizeof(int32_t);
  int32_t *data = simulated.has_data ? malloc(bytes) : simulated_nothing();
  if (simulated.has_data)
    fill(data, count, rank);
  slowest = 0;
  simulated.bytes = bytes;
  simulated.has_progress = strcmp(algorithm, "unisono_progress") == 0;
  sg_barrier_wait(all);
  double began = simgrid_get_clock();
  if (span)
    by_library(span, data, count);
  else if (!simulated_flat(algorithm, count))
    simulated_fail("%s is no algorithm", algorithm);
  double took = simgrid_get_clock() - began;
  slowest = took > slowest ? took : slowest;
  sg_barrier_wait(all);
  if (simulated.has_data) {
    check(data, count, simulated.machines * simulated.ranks);
    free(data);
  }
  if (rank == 0)
    printf("{\"algorithm\": \"%s\", \"machines\": %d, \"ranks\": %d, \"bytes\": %zu, \"us\": %.3f}\n",
           algorithm, simulated.machines, simulated.ranks, bytes, slowest * 1e6);
  fflush(stdout);
  sg_barrier_wait(all); /* what all have in common is the next call's from here on */
}

static void be_rank(int rank, bool has_library, char **calls, int n) {
  static sg_bar_t all;
  if (!all)
    all = sg_barrier_init((unsigned)(simulated.machines * simulated.ranks));
  struct uni_span *span = has_library ? simulated_meet(rank)->span : NULL;
  for (int i = 0; i + 1 < n; i += 2)
    run(span, rank, calls[i], strtoul(calls[i + 1], NULL, 10), all);
  if (has_library)
    simulated_end_second(rank);
}

static bool is_of_library(const char *algorithm) {
  return strncmp(algorithm, "unisono", strlen("unisono")) == 0 || strcmp(algorithm, "check") == 0;
}

int main(int argc, char **argv) {
  enum { CALLS = 4 };
  int rank, processes;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &processes);
  if (argc < CALLS + 2)
    simulated_fail("usage: simulate MACHINES RANKS TIMES {ALGORITHM BYTES}...");
  bool has_library = is_of_library(argv[CALLS]);
  if (!simulated.machines)
    simulated_read_times(argv[3]);
  simulated.machines = atoi(argv[1]);
  simulated.ranks = atoi(argv[2]);
  simulated.has_data = strcmp(argv[CALLS], "check") == 0;
  int size = simulated.machines * simulated.ranks;
  if (processes != (has_library ? 2 * size : size))
    simulated_fail("%d processes were started for %s machines of %s ranks", processes, argv[1], argv[2]);
  if (rank < size)
    be_rank(rank, has_library, argv + CALLS, argc - CALLS);
  else
    simulated_second(rank - size);
  MPI_Finalize();
  return 0;
}
