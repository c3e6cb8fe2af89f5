/* What test_cost.py counts: the same small call again and again, in batches.
 * usage: cost_calls OPERATION BYTES BATCHES CALLS, as a rank of a communicator of the environment. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unisono.h>

#include <sys/syscall.h>
#include <unistd.h>

enum { WARM_UPS = 50, MOST_BYTES = 4096 };

struct calls {
  const char *operation;
  size_t count; /* of float32 */
  unisono_comm *comm;
  float *send, *recv;
};

static unisono_status call(const struct calls *c) {
  if (strcmp(c->operation, "all_reduce") == 0)
    return unisono_all_reduce(c->send, c->recv, c->count, UNISONO_FLOAT32, UNISONO_SUM, c->comm);
  if (strcmp(c->operation, "broadcast") == 0)
    return unisono_broadcast(c->recv, c->count, UNISONO_FLOAT32, 0, c->comm);
  if (strcmp(c->operation, "all_gather") == 0)
    return unisono_all_gather(c->send, c->recv, c->count, UNISONO_FLOAT32, c->comm);
  return unisono_barrier(c->comm);
}

/* What callgrind counts between entry and return. */
__attribute__((noinline)) void measured_batch(const struct calls *c, long calls) {
  for (long i = 0; i < calls; i++)
    if (call(c) != UNISONO_OK) {
      fprintf(stderr, "%s: %s\n", c->operation, unisono_last_error());
      exit(1);
    }
}

int main(int argc, char **argv) {
  struct calls c = {.operation = argc == 5 ? argv[1] : ""};
  if (argc != 5 || unisono_comm_init_env(&c.comm, NULL) != UNISONO_OK) {
    fprintf(stderr, "usage: cost_calls OPERATION BYTES BATCHES CALLS; %s\n", unisono_last_error());
    return 1;
  }
  c.count = strtoul(argv[2], NULL, 10) / sizeof(float);
  c.send = calloc(MOST_BYTES, 1);
  c.recv = calloc(MOST_BYTES, (size_t)unisono_comm_size(c.comm));
  long batches = atol(argv[3]), calls = atol(argv[4]);
  for (int i = 0; i < WARM_UPS; i++)
    call(&c);
  for (long i = 0; i < batches; i++) {
    measured_batch(&c, calls);
    syscall(SYS_getppid); /* marks the end of a batch for strace */
  }
  unisono_comm_destroy(c.comm);
  free(c.send);
  free(c.recv);
  return 0;
}
