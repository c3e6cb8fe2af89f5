/* The engine between machines: MPI. Its collectives are done by a second process of each rank, as by an
 * engine with a thread of its own; or else, as MPI without one does most of it, when the rank waits for them.
 * SMPI's own started collectives are not those of a real MPI, and are not used. */
#include <stdlib.h>

#include <simgrid/semaphore.h>
#include <smpi/smpi.h>

#include "error.h"
#include "simulated.h"

/* ---- folding takes time */

static void add(void *in, void *inout, int *count, MPI_Datatype *type) {
  (void)type;
  for (int i = 0; i < *count && simulated.has_data; i++)
    ((int *)inout)[i] += ((const int *)in)[i];
  simulated_fold((size_t)*count * sizeof(int));
}

/* SMPI copies a buffer that is sent in place. */
static void reduce(void *buffer, int count, MPI_Comm comm) {
  static MPI_Op sum = MPI_OP_NULL;
  if (sum == MPI_OP_NULL)
    MPI_Op_create(add, 1, &sum);
  void *nothing = simulated_nothing();
  MPI_Allreduce(simulated.has_data ? MPI_IN_PLACE : nothing, simulated.has_data ? buffer : nothing, count,
                MPI_INT, sum, comm);
}

/* What MPICH does with a few bytes: recursive doubling. */
static void reduce_words(uint64_t *words, int n, bool greatest, MPI_Comm comm) {
  int rank, size;
  uint64_t theirs[16];
  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &size);
  if ((size & (size - 1)) != 0) {
    MPI_Allreduce(MPI_IN_PLACE, words, n, MPI_UINT64_T, greatest ? MPI_MAX : MPI_MIN, comm);
    return;
  }
  for (int mask = 1; mask < size; mask *= 2) {
    MPI_Sendrecv(words, n, MPI_UINT64_T, rank ^ mask, 0, theirs, n, MPI_UINT64_T, rank ^ mask, 0, comm,
                 MPI_STATUS_IGNORE);
    for (int i = 0; i < n; i++)
      words[i] = (theirs[i] > words[i]) == greatest ? theirs[i] : words[i];
  }
}

/* ---- a rank's second process */

enum task { END, GROUP, REDUCE, MINIMUM, MAXIMUM, BROADCAST, ALL_GATHER };

struct group {
  MPI_Comm own, seconds; /* for messages; for collectives */
  struct second *second;
};

struct second {
  sg_sem_t todo, done;
  enum task task;
  struct group *group;
  void *buffer;
  int n, root;
  const int *list, *displs;
};

static struct second *second_of(int rank) {
  static struct second *seconds;
  int size = simulated.machines * simulated.ranks;
  if (!seconds) {
    seconds = calloc((size_t)size, sizeof *seconds);
    for (int i = 0; i < size; i++) {
      seconds[i].todo = sg_sem_init(0);
      seconds[i].done = sg_sem_init(0);
    }
  }
  return &seconds[rank];
}

/* Every process is in one column: all of them call it, once. */
static MPI_Comm new_comm(void) {
  int rank;
  MPI_Comm comm;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  int is_second = rank >= simulated.machines * simulated.ranks;
  MPI_Comm_split(MPI_COMM_WORLD, 2 * (rank % simulated.ranks) + is_second, rank, &comm);
  return comm;
}

static void perform(const struct second *s) {
  MPI_Comm comm = s->group->seconds;
  switch (s->task) {
  case GROUP:
    s->group->seconds = new_comm();
    break;
  case REDUCE:
    reduce(s->buffer, s->n, comm);
    break;
  case MINIMUM:
  case MAXIMUM:
    reduce_words(s->buffer, s->n, s->task == MAXIMUM, comm);
    break;
  case BROADCAST:
    MPI_Bcast(s->buffer, s->n, MPI_BYTE, s->root, comm);
    break;
  default:
    MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_BYTE, s->buffer, s->list, s->displs, MPI_BYTE, comm);
  }
}

void simulated_second(int rank) {
  struct second *s = second_of(rank);
  for (;;) {
    sg_sem_acquire(s->todo);
    if (s->task == END)
      return;
    perform(s);
    sg_sem_release(s->done);
  }
}

void simulated_end_second(int rank) {
  second_of(rank)->task = END;
  sg_sem_release(second_of(rank)->todo);
}

static void begin(struct second *s) {
  sg_sem_release(s->todo);
}

static void await(struct second *s) {
  sg_sem_acquire(s->done);
}

/* ---- the engine */

struct request {
  struct second *second; /* NULL: a message */
  MPI_Request message;
};

static unisono_status started(struct request request, uni_engine_request *out) {
  struct request *r = *out = malloc(sizeof *r);
  *r = request;
  if (r->second && simulated.has_progress)
    begin(r->second);
  return UNISONO_OK;
}

static unisono_status test(uni_engine_request *request, bool *done) {
  struct request *r = *request;
  if (r->second && !simulated.has_progress)
    begin(r->second);
  if (r->second)
    await(r->second);
  else
    MPI_Wait(&r->message, MPI_STATUS_IGNORE);
  free(r);
  *done = true;
  return UNISONO_OK;
}

static unisono_status open_world(const struct uni_engine_start *start, void **world) {
  *world = second_of(start->rank);
  return UNISONO_OK;
}

static void close_world(void *world) {
  (void)world;
}

static void ignore(void) {}

static unisono_status new_group(void *world, const int *ranks, int n, int tag,
                                const struct uni_patience *patience, void **group) {
  struct second *s = world;
  struct group *g = *group = calloc(1, sizeof *g);
  (void)ranks, (void)tag, (void)patience;
  if (n == simulated.machines * simulated.ranks)
    return UNISONO_OK; /* of all ranks: for what is not simulated */
  g->second = s;
  s->task = GROUP;
  s->group = g;
  begin(s);
  g->own = new_comm();
  await(s);
  return UNISONO_OK;
}

static unisono_status all_reduce(void *group, void *buffer, size_t count, unisono_dtype dtype, unisono_op op,
                                 uni_engine_request *request) {
  struct second *s = ((struct group *)group)->second;
  if (dtype == UNISONO_UINT64 && (op == UNISONO_MIN || op == UNISONO_MAX))
    s->task = op == UNISONO_MIN ? MINIMUM : MAXIMUM;
  else if (dtype == UNISONO_INT32 && op == UNISONO_SUM)
    s->task = REDUCE;
  else
    simulated_fail("only sums of int32, and the least and greatest of uint64, are simulated");
  s->buffer = buffer;
  s->n = (int)count;
  return started((struct request){.second = s}, request);
}

static unisono_status broadcast(void *group, void *buffer, size_t bytes, int root,
                                uni_engine_request *request) {
  struct second *s = ((struct group *)group)->second;
  s->task = BROADCAST;
  s->buffer = buffer;
  s->n = (int)bytes;
  s->root = root;
  return started((struct request){.second = s}, request);
}

static unisono_status all_gather(void *group, void *buffer, const int *bytes, const int *displs,
                                 uni_engine_request *request) {
  struct second *s = ((struct group *)group)->second;
  s->task = ALL_GATHER;
  s->buffer = buffer;
  s->list = bytes;
  s->displs = displs;
  return started((struct request){.second = s}, request);
}

static unisono_status send_bytes(void *group, const void *buffer, size_t bytes, int peer, int tag,
                                 bool synchronous, uni_engine_request *request) {
  struct request r = {0};
  (void)synchronous;
  MPI_Isend(buffer, (int)bytes, MPI_BYTE, peer, tag, ((struct group *)group)->own, &r.message);
  return started(r, request);
}

static unisono_status receive_bytes(void *group, void *buffer, size_t bytes, int peer, int tag,
                                    uni_engine_request *request) {
  struct request r = {0};
  MPI_Irecv(buffer, (int)bytes, MPI_BYTE, peer, tag, ((struct group *)group)->own, &r.message);
  return started(r, request);
}

const struct uni_engine simulated_engine = {.name = "SMPI",
                                            .most_bytes = INT32_MAX,
                                            .most_fitted = 48 << 10,
                                            .open = open_world,
                                            .close = close_world,
                                            .broken = ignore,
                                            .group = new_group,
                                            .all_reduce = all_reduce,
                                            .broadcast = broadcast,
                                            .all_gather = all_gather,
                                            .send = send_bytes,
                                            .recv = receive_bytes,
                                            .test = test};
