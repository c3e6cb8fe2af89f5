/* Ranks that mpirun has started on two machines: two of them, one of each machine, go on when the others have
 * come to their end. All end, with status 0. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <unisono.h>

enum { GO_ON_MS = 200 };

static void check(unisono_status status, const char *what) {
  if (status) {
    fprintf(stderr, "%s: %s\n", what, unisono_last_error());
    exit(1);
  }
}

static long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000L + t.tv_nsec / 1000000;
}

static void go_on(unisono_comm *comm) {
  int over = 0;
  for (long end = now_ms() + GO_ON_MS; !over;) {
    over = now_ms() >= end;
    check(unisono_all_reduce(&over, &over, 1, UNISONO_INT32, UNISONO_MAX, comm), "all_reduce");
  }
}

int main(void) {
  unisono_comm *comm, *part;
  check(unisono_comm_init_env(&comm, NULL), "comm_init_env");
  int rank = unisono_comm_rank(comm), size = unisono_comm_size(comm), sum = 1;
  int stays =
      rank == size / 2 - 1 || rank == size / 2; /* the last of the one machine, the first of the other */
  check(unisono_comm_split(comm, stays, rank, &part), "comm_split");
  check(unisono_all_reduce(&sum, &sum, 1, UNISONO_INT32, UNISONO_SUM, comm), "all_reduce");
  if (stays)
    go_on(part);
  return sum == size ? 0 : 1;
}
