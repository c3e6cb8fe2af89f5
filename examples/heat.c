/* heat: how heat spreads in a square plate until nothing changes any more.
 *
 *     unisono run -n 4 ./heat [--grid N] [--tolerance T] [--steps MAX]
 *
 * The edges are held at 0, the last row at sin(pi x). Then the steady state is known:
 *     u(x, y) = sin(pi x) sinh(pi y) / sinh(pi).
 * The rows are divided between the ranks. Before a step each rank needs its neighbours' nearest rows (the
 * halo): it starts sending and receiving, computes the rows that do not need them meanwhile, then the others.
 *
 * Shows: send_async and recv_async that overlap with work, and results that do not depend on the number of
 * ranks: a cell is always computed alike, and MAX and BXOR are exact in any order. */
#define _POSIX_C_SOURCE 200809L

#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unisono.h>

enum { CHECK_EVERY = 20 };  /* steps between two looks at the residual */
enum { TO_LAST, TO_FIRST }; /* tags: a message to a later or an earlier rank */

/* A rank's part of the plate: `rows` rows of `grid` cells, framed by a halo row or edge at each side. */
struct plate {
  size_t grid, first, rows; /* `first`: row 1 here is row first + 1 of the whole plate */
  size_t width;             /* grid + 2: cells from one row to the next */
  double *now, *next;
};

struct options {
  size_t grid;
  int steps;
  double tolerance;
};

/* Leaving without unisono_comm_destroy is fine: the peers' operations end with "peer lost". */
static void check(unisono_status status) {
  if (status == UNISONO_OK)
    return;
  fprintf(stderr, "heat: %s: %s\n", unisono_status_string(status), unisono_last_error());
  exit(EXIT_FAILURE);
}

/* Ends this rank after the others have come this far, too: `unisono run` ends all when one fails. */
_Noreturn static void leave(unisono_comm *comm, int status) {
  fflush(stdout);
  check(unisono_barrier(comm));
  check(unisono_comm_destroy(comm));
  exit(status);
}

/* -------------------------------------------------------------------------------------------------- plate */

static double steady_state(const struct plate *plate, size_t row, size_t column) {
  const double pi = 3.14159265358979323846, h = 1.0 / (double)(plate->grid + 1);
  double x = (double)column * h, y = (double)(plate->first + row) * h;
  return sin(pi * x) * sinh(pi * y) / sinh(pi);
}

static double *new_cells(const struct plate *plate) {
  double *cells = calloc((plate->rows + 2) * plate->width, sizeof *cells);
  if (!cells) {
    perror("heat");
    exit(EXIT_FAILURE);
  }
  if (plate->first + plate->rows == plate->grid) /* below is the warm edge */
    for (size_t column = 1; column <= plate->grid; column++)
      cells[(plate->rows + 1) * plate->width + column] = steady_state(plate, plate->rows + 1, column);
  return cells;
}

static struct plate new_plate(size_t grid, unisono_comm *comm) {
  size_t rank = (size_t)unisono_comm_rank(comm), size = (size_t)unisono_comm_size(comm);
  struct plate plate = {.grid = grid, .width = grid + 2, .first = grid * rank / size};
  plate.rows = grid * (rank + 1) / size - plate.first;
  plate.now = new_cells(&plate);
  plate.next = new_cells(&plate);
  return plate;
}

/* --------------------------------------------------------------------------------------------------- step */

/* Computes one row of the next state (explicit Euler, the largest stable step); returns its largest change.
 */
static double step_row(const struct plate *plate, size_t row) {
  const double *here = plate->now + row * plate->width;
  const double *above = here - plate->width, *below = here + plate->width;
  double *next = plate->next + row * plate->width, largest = 0;
  for (size_t i = 1; i <= plate->grid; i++) {
    next[i] = 0.25 * ((above[i] + below[i]) + (here[i - 1] + here[i + 1]));
    largest = fmax(largest, fabs(next[i] - here[i]));
  }
  return largest;
}

/* Starts the exchange of the row at the border to `peer` with the halo row behind it. */
static void start_exchange(const struct plate *plate, size_t border, size_t halo, int peer,
                           unisono_comm *comm, unisono_request *requests[2]) {
  int out = peer > unisono_comm_rank(comm) ? TO_LAST : TO_FIRST, in = out == TO_LAST ? TO_FIRST : TO_LAST;
  const double *border_row = plate->now + border * plate->width;
  double *halo_row = plate->now + halo * plate->width;
  check(unisono_recv_async(halo_row, plate->width, UNISONO_FLOAT64, peer, in, comm, &requests[0]));
  check(unisono_send_async(border_row, plate->width, UNISONO_FLOAT64, peer, out, comm, &requests[1]));
}

/* One step; returns the largest change of this rank's cells. */
static double step(struct plate *plate, unisono_comm *comm) {
  int rank = unisono_comm_rank(comm), size = unisono_comm_size(comm);
  size_t last = plate->rows;
  unisono_request *requests[4] = {
      NULL}; /* waiting for NULL is fine: the first and last rank have one neighbour */
  if (rank > 0)
    start_exchange(plate, 1, 0, rank - 1, comm, requests);
  if (rank + 1 < size)
    start_exchange(plate, last, last + 1, rank + 1, comm, requests + 2);

  double largest = 0;
  for (size_t row = 2; row < last; row++)
    largest = fmax(largest, step_row(plate, row));
  for (int i = 0; i < 4; i++)
    check(unisono_wait(&requests[i]));
  largest = fmax(largest, fmax(step_row(plate, 1), step_row(plate, last)));

  double *swapped = plate->now;
  plate->now = plate->next;
  plate->next = swapped;
  return largest;
}

/* Steps until no cell of any rank changes by more than the tolerance; returns the number of steps. */
static int run(struct plate *plate, const struct options *options, unisono_comm *comm, double *residual) {
  int steps = 0;
  do {
    *residual = step(plate, comm);
    steps++;
    if (steps % CHECK_EVERY == 0 || steps == options->steps)
      check(unisono_all_reduce(residual, residual, 1, UNISONO_FLOAT64, UNISONO_MAX, comm));
    else
      *residual = INFINITY; /* not known */
  } while (*residual > options->tolerance && steps < options->steps);
  return steps;
}

/* ------------------------------------------------------------------------------------------------ results */

/* The largest difference from the steady state; part of it is the grid's coarseness. */
static double largest_error(const struct plate *plate, unisono_comm *comm) {
  double largest = 0;
  for (size_t row = 1; row <= plate->rows; row++)
    for (size_t i = 1; i <= plate->grid; i++)
      largest = fmax(largest, fabs(plate->now[row * plate->width + i] - steady_state(plate, row, i)));
  check(unisono_all_reduce(&largest, &largest, 1, UNISONO_FLOAT64, UNISONO_MAX, comm));
  return largest;
}

/* FNV-1a of each row and its number, rows combined by exclusive or: so it does not matter who has which row.
 */
static uint64_t checksum(const struct plate *plate, unisono_comm *comm) {
  uint64_t all = 0;
  for (size_t row = 1; row <= plate->rows; row++) {
    uint64_t sum = UINT64_C(0xcbf29ce484222325) ^ (plate->first + row);
    const unsigned char *bytes = (const unsigned char *)(plate->now + row * plate->width);
    for (size_t i = 0; i < plate->width * sizeof(double); i++)
      sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    all ^= sum;
  }
  check(unisono_all_reduce(&all, &all, 1, UNISONO_UINT64, UNISONO_BXOR, comm));
  return all;
}

/* 0: go on; else what getopt_long found: '?' a mistake, 'h' a call for help. */
static int read_options(int argc, char **argv, struct options *options) {
  static const struct option known[] = {{"grid", required_argument, NULL, 'g'},
                                        {"tolerance", required_argument, NULL, 't'},
                                        {"steps", required_argument, NULL, 's'},
                                        {"help", no_argument, NULL, 'h'},
                                        {0}};
  for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
    if (c == 'g')
      options->grid = (size_t)strtoul(optarg, NULL, 10);
    else if (c == 't')
      options->tolerance = strtod(optarg, NULL);
    else if (c == 's')
      options->steps = (int)strtol(optarg, NULL, 10);
    else
      return c;
  }
  bool sensible =
      options->grid > 0 && options->grid <= 10000 && options->steps > 0 && options->tolerance >= 0;
  return optind == argc && sensible ? 0 : '?';
}

/* All ranks find the same mistakes; rank 0 tells them. */
static struct options options_or_leave(int argc, char **argv, unisono_comm *comm) {
  struct options options = {.grid = 64, .steps = 100000, .tolerance = 1e-7};
  bool speaks = unisono_comm_rank(comm) == 0;
  opterr = speaks;
  int wrong = read_options(argc, argv, &options);
  if (wrong && speaks)
    fprintf(wrong == 'h' ? stdout : stderr, "usage: heat [--grid N] [--tolerance T] [--steps MAX]\n");
  if (wrong)
    leave(comm, wrong == 'h' ? EXIT_SUCCESS : 2);
  if (options.grid < (size_t)unisono_comm_size(comm)) {
    if (speaks)
      fprintf(stderr, "heat: more ranks than rows: give --grid %d or more\n", unisono_comm_size(comm));
    leave(comm, 2);
  }
  return options;
}

int main(int argc, char **argv) {
  unisono_comm *comm;
  check(unisono_comm_init_env(&comm, NULL));
  struct options options = options_or_leave(argc, argv, comm);
  struct plate plate = new_plate(options.grid, comm);

  double residual;
  int steps = run(&plate, &options, comm, &residual);
  double error = largest_error(&plate, comm);
  uint64_t sum = checksum(&plate, comm);
  if (unisono_comm_rank(comm) == 0) {
    printf("%zu x %zu cells, %d ranks\n", plate.grid, plate.grid, unisono_comm_size(comm));
    printf("%d steps, residual %.9g%s\n", steps, residual,
           residual > options.tolerance ? " (step limit)" : "");
    printf("largest error against the steady state %.3g\n", error);
    printf("checksum of the field 0x%016" PRIx64 "\n", sum);
  }
  free(plate.now);
  free(plate.next);
  leave(comm, EXIT_SUCCESS);
}
