/* All_reduce of float32 over several machines: unisono beside the MPI that carries its data, in turns, in one
 * program. Prints a line of JSON a size. usage: mpirun ... beside_mpi MIN MAX SECONDS */
#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unisono.h>

enum { LEAST = 5, MOST = 400, SMALL = 4096, BACK_TO_BACK = 8 };

static int rank, size;
static unisono_comm *comm;

static void fail(const char *what) {
  fprintf(stderr, "rank %d: %s: %s\n", rank, what, unisono_last_error());
  MPI_Abort(MPI_COMM_WORLD, 1);
}

static void by_mpi(float *data, size_t count) {
  if (MPI_Allreduce(MPI_IN_PLACE, data, (int)count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD) != MPI_SUCCESS)
    fail("MPI_Allreduce");
}

static void by_unisono(float *data, size_t count) {
  if (unisono_all_reduce(data, data, count, UNISONO_FLOAT32, UNISONO_SUM, comm) != UNISONO_OK)
    fail("unisono_all_reduce");
}

/* The slowest rank's time of a call, in us. */
static double sample(void (*call)(float *, size_t), float *data, size_t count) {
  int calls = count * sizeof *data <= SMALL ? BACK_TO_BACK : 1;
  for (size_t i = 0; i < count; i++)
    data[i] = (float)(rank + 1);
  MPI_Barrier(MPI_COMM_WORLD);
  double start = MPI_Wtime(), mine, slowest;
  for (int i = 0; i < calls; i++)
    call(data, count);
  mine = (MPI_Wtime() - start) * 1e6 / calls;
  if (calls == 1 && data[count - 1] != (float)(size * (size + 1)) / 2)
    fail("a wrong sum");
  MPI_Allreduce(&mine, &slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return slowest;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double median(double *values, int n) {
  qsort(values, (size_t)n, sizeof *values, compare);
  return values[n / 2];
}

static void measure(size_t bytes, double seconds, float *data) {
  static double mpi[MOST], ours[MOST], ratio[MOST];
  size_t count = bytes / sizeof *data;
  int n = 0, on = 1;
  sample(by_mpi, data, count);
  sample(by_unisono, data, count);
  for (double end = MPI_Wtime() + seconds; on; n++) {
    bool first = n % 2; /* takes turns in going first */
    double a = first ? sample(by_mpi, data, count) : 0, b = sample(by_unisono, data, count);
    mpi[n] = first ? a : sample(by_mpi, data, count);
    ours[n] = b;
    ratio[n] = mpi[n] / b;
    on = n + 1 < LEAST || (MPI_Wtime() < end && n + 1 < MOST);
    MPI_Bcast(&on, 1, MPI_INT, 0, MPI_COMM_WORLD);
  }
  if (rank == 0) {
    double times = median(ratio, n);
    printf("{\"bytes\": %zu, \"alone_us\": %.1f, \"unisono_us\": %.1f, \"ratio\": %.2f, \"rounds\": %d}\n",
           bytes, median(mpi, n), median(ours, n), times, n);
    fflush(stdout);
  }
}

int main(int argc, char **argv) {
  int level;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (argc != 4 || unisono_comm_init_env(&comm, NULL) != UNISONO_OK)
    fail("usage: beside_mpi MIN MAX SECONDS");
  size_t min = strtoul(argv[1], NULL, 10), max = strtoul(argv[2], NULL, 10);
  float *data = malloc(max);
  for (size_t bytes = min; data && bytes <= max; bytes *= 8)
    measure(bytes, atof(argv[3]), data);
  free(data);
  unisono_comm_destroy(comm);
  MPI_Finalize();
  return 0;
}
