/* What MPI libraries do without regard to machines, in messages: SMPI's own ones copy more than memory would
 * hold. */
#include <string.h>

#include <smpi/smpi.h>

#include "simulated.h"

enum { UP, DOWN };

void *simulated_nothing(void) {
  static void *nothing;
  if (!nothing)
    nothing = SMPI_SHARED_MALLOC((size_t)64 << 20);
  return nothing;
}

static void send(int n, int to, int tag) {
  MPI_Send(simulated_nothing(), n, MPI_INT, to, tag, MPI_COMM_WORLD);
}

static void receive(int n, int from, int tag) {
  MPI_Recv(simulated_nothing(), n, MPI_INT, from, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static void trade(int n, int to, int from) {
  MPI_Sendrecv(simulated_nothing(), n, MPI_INT, to, UP, simulated_nothing(), n, MPI_INT, from, UP,
               MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static void fold(int n) {
  simulated_fold((size_t)n * sizeof(int));
}

/* Every part goes around once to be summed up, and once more to be known. */
static void ring(int rank, int size, int n) {
  int part = (n + size - 1) / size, next = (rank + 1) % size, before = (rank + size - 1) % size;
  for (int step = 0; step < 2 * (size - 1); step++) {
    trade(part, next, before);
    if (step < size - 1)
      fold(part);
  }
}

/* Reduced along a binomial tree, and broadcast back. */
static void tree(int rank, int size, int n) {
  int mask = 1;
  for (; mask < size && !(rank & mask); mask *= 2)
    if (rank + mask < size) {
      receive(n, rank + mask, UP);
      fold(n);
    }
  if (rank != 0) {
    send(n, rank - mask, UP);
    receive(n, rank - mask, DOWN);
  }
  for (mask /= 2; mask; mask /= 2)
    if (rank + mask < size)
      send(n, rank + mask, DOWN);
}

static void recursive_doubling(int rank, int size, int n) {
  for (int mask = 1; mask < size; mask *= 2) {
    trade(n, rank ^ mask, rank ^ mask);
    fold(n);
  }
}

bool simulated_flat(const char *algorithm, size_t count) {
  static const struct {
    const char *name;
    void (*run)(int rank, int size, int n);
  } algorithms[] = {{"ring", ring}, {"tree", tree}, {"recursive_doubling", recursive_doubling}};
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  for (int i = 0; i < 3; i++)
    if (strcmp(algorithm, algorithms[i].name) == 0) {
      algorithms[i].run(rank, size, (int)count);
      return true;
    }
  return false;
}
