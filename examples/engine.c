/* engine: a program that brings what carries its data between machines (unisono_engine_register).
 *
 * For each rank, on its machine, with one folder that all machines share (NFS, for example), and on all ranks
 * MASTER_ADDR=10.0.0.1 MASTER_PORT=29500 UNISONO_SECRET=words ENGINE_FOLDER=/shared:
 *     RANK=3 WORLD_SIZE=4 LOCAL_WORLD_SIZE=2 ./engine
 *
 * The engine is the least that does what unisono_engine asks for. What travels are letters, files in the
 * folder; collectives are letters from everybody to everybody. That is slow. One for a fast network puts its
 * own into put() and take(), and can keep the rest for a start: an operation sends what it has to, remembers
 * what it awaits, and is done when a test has found that.
 *
 * The library does all else: it compares calls, works within a machine, rounds 16-bit floats, and finds out
 * who died or was cut off. Then it gives up its operations, so an engine never has to, and never waits. */
#define _DEFAULT_SOURCE

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <unisono.h>

enum { NAME = 512, TAGS = 16 }; /* the library's tags are fewer; collectives have the one behind them */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* several threads may start operations */

struct world {
  int rank;
  uint64_t name; /* begins the names of its letters, in this folder */
  const char *folder;
  struct group *groups;
};

/* Letters from one rank to another with one tag are numbered by both: in the order in which they were sent,
 * and asked for. */
struct group {
  struct world *world;
  struct group *next;
  uint64_t key, earlier; /* of its ranks and tag; groups with the same that were made before */
  int n, rank;
  uint64_t collectives; /* their numbers */
  struct numbers {
    uint64_t sent[TAGS], awaited[TAGS];
  } numbers[]; /* by rank */
};

struct request {
  struct group *group;
  int tag;
  uint64_t number;
  char *all; /* all_reduce: everybody's elements, one rank's behind the other's, and what becomes of them */
  void *result;
  size_t bytes, count; /* of one rank's */
  unisono_dtype dtype;
  unisono_op op;
  struct part {
    bool awaited;
    void *to;
    size_t bytes;
  } parts[]; /* by rank */
};

static _Thread_local char words[2 * NAME]; /* for this thread's last failure */
static _Atomic uint64_t carried;           /* bytes, for main() */

static unisono_status fail(const char *what) {
  snprintf(words, sizeof words, "%s: %s", what, strerror(errno));
  return errno == ENOMEM ? UNISONO_ERROR_MEMORY : UNISONO_ERROR_SYSTEM;
}

static const char *last_error(void *self) {
  (void)self;
  return words;
}

/* ------------------------------------------------------------------------------------------------ letters */

static void name_letter(char *name, const struct request *r, int from, int to, const char *state) {
  const struct group *g = r->group;
  snprintf(name, NAME, "%s/%" PRIx64 "-%" PRIx64 "-%" PRIu64 "-%d-%d-%d-%" PRIu64 "%s", g->world->folder,
           g->world->name, g->key, g->earlier, from, to, r->tag, r->number, state);
}

/* Under its name it is whole. Who takes it removes it; where ranks have died some stay. */
static unisono_status put(const struct request *r, int to, const void *bytes, size_t n) {
  char name[NAME], unfinished[NAME];
  name_letter(name, r, r->group->rank, to, "");
  name_letter(unfinished, r, r->group->rank, to, "-unfinished");
  FILE *file = fopen(unfinished, "wbe");
  if (!file)
    return fail(unfinished);
  bool written = fwrite(bytes, 1, n, file) == n;
  if (fclose(file) != 0 || !written || rename(unfinished, name) != 0)
    return fail(name);
  carried += n;
  return UNISONO_OK;
}

/* If it is there. */
static unisono_status take(const struct request *r, int from, struct part *part) {
  char name[NAME];
  name_letter(name, r, from, r->group->rank, "");
  FILE *file = fopen(name, "rbe");
  if (!file)
    return errno == ENOENT ? UNISONO_OK : fail(name);
  bool whole = fread(part->to, 1, part->bytes, file) == part->bytes && fgetc(file) == EOF && !ferror(file);
  fclose(file);
  if (!whole || unlink(name) != 0)
    return fail(name);
  part->awaited = false;
  return UNISONO_OK;
}

/* -------------------------------------------------------------------------------------- worlds and groups */

static unisono_status open_world(void *self, int rank, int size, unisono_exchange exchange, void *what,
                                 void **world) {
  struct world *w = calloc(1, sizeof *w);
  uint64_t random, *all = calloc((size_t)size, sizeof *all);
  const char *folder = getenv("ENGINE_FOLDER");
  (void)self;
  errno = EINVAL;
  if (!folder || strlen(folder) > NAME / 2)
    return fail("ENGINE_FOLDER is not set, or too long");
  if (!w || !all || getentropy(&random, sizeof random) != 0)
    return fail("opening a world");
  *w = (struct world){.rank = rank, .folder = folder};
  unisono_status status = exchange(what, &random, sizeof random, all);
  w->name = all[0]; /* rank 0's */
  free(all);
  *world = w;
  return status;
}

static void close_world(void *world) {
  struct world *w = world;
  for (struct group *g = w->groups, *next; g; g = next) {
    next = g->next;
    free(g);
  }
  free(w);
}

static unisono_status make_group(void *world, const int *ranks, int n, int tag, void **group) {
  struct world *w = world;
  struct group *g = calloc(1, sizeof *g + (size_t)n * sizeof *g->numbers);
  if (!g)
    return fail("memory for a group");
  *g = (struct group){.world = w, .key = (uint64_t)tag, .n = n};
  for (int i = 0; i < n; i++) {
    g->key = (g->key ^ (uint64_t)ranks[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    if (ranks[i] == w->rank)
      g->rank = i;
  }
  pthread_mutex_lock(&lock);
  for (struct group *other = w->groups; other; other = other->next)
    g->earlier += other->key == g->key;
  g->next = w->groups;
  w->groups = g;
  pthread_mutex_unlock(&lock);
  *group = g;
  return UNISONO_OK;
}

/* --------------------------------------------------------------------------------------------- operations */

/* `number`: how many of its kind were started. NULL: no memory. */
static struct request *begin(struct group *g, int tag, uint64_t *number) {
  struct request *r = calloc(1, sizeof *r + (size_t)g->n * sizeof *r->parts);
  if (!r) {
    fail("memory for an operation");
    return NULL;
  }
  pthread_mutex_lock(&lock);
  *r = (struct request){.group = g, .tag = tag, .number = (*number)++};
  pthread_mutex_unlock(&lock);
  return r;
}

static unisono_status send_to(void *group, const void *buffer, size_t bytes, int peer, int tag, void **out) {
  struct group *g = group;
  struct request *r = *out = begin(g, tag, &g->numbers[peer].sent[tag]);
  return r ? put(r, peer, buffer, bytes) : UNISONO_ERROR_MEMORY;
}

static unisono_status recv_from(void *group, void *buffer, size_t bytes, int peer, int tag, void **out) {
  struct group *g = group;
  struct request *r = *out = begin(g, tag, &g->numbers[peer].awaited[tag]);
  if (r)
    r->parts[peer] = (struct part){true, buffer, bytes};
  return r ? UNISONO_OK : UNISONO_ERROR_MEMORY;
}

static unisono_status broadcast(void *group, void *buffer, size_t bytes, int root, void **out) {
  struct group *g = group;
  struct request *r = *out = begin(g, TAGS, &g->collectives);
  unisono_status status = r ? UNISONO_OK : UNISONO_ERROR_MEMORY;
  if (r && g->rank != root)
    r->parts[root] = (struct part){true, buffer, bytes};
  for (int i = 0; i < g->n && !status && g->rank == root; i++)
    status = i == root ? UNISONO_OK : put(r, i, buffer, bytes);
  return status;
}

/* Sends this rank's part to everybody, and awaits the others'. */
static unisono_status gather(struct request *r, char *buffer, const size_t *bytes, const size_t *displs) {
  int me = r->group->rank;
  unisono_status status = UNISONO_OK;
  for (int i = 0; i < r->group->n && !status; i++)
    if (i != me) {
      r->parts[i] = (struct part){true, buffer + displs[i], bytes[i]};
      status = put(r, i, buffer + displs[me], bytes[me]);
    }
  return status;
}

static unisono_status all_gather(void *group, void *buffer, const size_t *bytes, const size_t *displs,
                                 void **out) {
  struct group *g = group;
  struct request *r = *out = begin(g, TAGS, &g->collectives);
  return r ? gather(r, buffer, bytes, displs) : UNISONO_ERROR_MEMORY;
}

/* ---- all_reduce: everybody gathers, and folds in rank order, so that all get the same bits */

#define FOLD(dtype, type, result)                                                                            \
  case dtype:                                                                                                \
    for (size_t i = 0; i < n; i++) {                                                                         \
      type a = ((type *)sum)[i], b = ((const type *)more)[i];                                                \
      ((type *)sum)[i] = (type)(result);                                                                     \
    }                                                                                                        \
    break;
/* in 64 bits without sign, where nothing overflows and the lower bits are right */
#define INTEGER                                                                                              \
  op == UNISONO_PROD   ? (uint64_t)a *(uint64_t)b                                                            \
  : op == UNISONO_MIN  ? (uint64_t)(a < b ? a : b)                                                           \
  : op == UNISONO_MAX  ? (uint64_t)(a > b ? a : b)                                                           \
  : op == UNISONO_BAND ? (uint64_t)(a & b)                                                                   \
  : op == UNISONO_BOR  ? (uint64_t)(a | b)                                                                   \
  : op == UNISONO_BXOR ? (uint64_t)(a ^ b)                                                                   \
                       : (uint64_t)a + (uint64_t)b
/* a NaN stays one, and -0 < +0 */
#define FLOAT                                                                                                \
  op == UNISONO_PROD  ? a *b                                                                                 \
  : op == UNISONO_MIN ? (a < b || isnan(a) || (a == b && signbit(a)) ? a : b)                                \
  : op == UNISONO_MAX ? (a > b || isnan(a) || (a == b && !signbit(a)) ? a : b)                               \
                      : a + b

static void fold(void *sum, const void *more, size_t n, unisono_dtype dtype, unisono_op op) {
  switch (dtype) {
    FOLD(UNISONO_INT8, int8_t, INTEGER)
    FOLD(UNISONO_UINT8, uint8_t, INTEGER)
    FOLD(UNISONO_INT16, int16_t, INTEGER)
    FOLD(UNISONO_UINT16, uint16_t, INTEGER)
    FOLD(UNISONO_INT32, int32_t, INTEGER)
    FOLD(UNISONO_UINT32, uint32_t, INTEGER)
    FOLD(UNISONO_INT64, int64_t, INTEGER)
    FOLD(UNISONO_UINT64, uint64_t, INTEGER)
    FOLD(UNISONO_FLOAT32, float, FLOAT)
    FOLD(UNISONO_FLOAT64, double, FLOAT)
  default: /* is not asked for */
    break;
  }
}

static unisono_status all_reduce(void *group, void *buffer, size_t count, unisono_dtype dtype, unisono_op op,
                                 void **out) {
  static const size_t element[] = {1, 1, 2, 2, 4, 4, 8, 8, 2, 2, 4, 8}; /* by type */
  struct group *g = group;
  size_t n = (size_t)g->n, bytes = count * element[dtype], sizes[n], displs[n];
  struct request *r = *out = begin(g, TAGS, &g->collectives);
  if (!r || !(r->all = malloc(n * bytes + 1)))
    return fail("memory for all_reduce");
  for (size_t i = 0; i < n; i++) {
    sizes[i] = bytes;
    displs[i] = i * bytes;
  }
  memcpy(r->all + displs[g->rank], buffer, bytes);
  r->result = buffer;
  r->bytes = bytes;
  r->count = count;
  r->dtype = dtype;
  r->op = op;
  return gather(r, r->all, sizes, displs);
}

/* Never waits. What is sent has left when it is a file. */
static unisono_status test(void *request, int *done) {
  struct request *r = request;
  unisono_status status = UNISONO_OK;
  *done = 1;
  for (int i = 0; i < r->group->n && !status; i++)
    if (r->parts[i].awaited) {
      status = take(r, i, &r->parts[i]);
      *done &= !r->parts[i].awaited;
    }
  if (status || !*done)
    return status;
  for (int i = 1; r->all && i < r->group->n; i++)
    fold(r->all, r->all + (size_t)i * r->bytes, r->count, r->dtype, r->op);
  if (r->all)
    memcpy(r->result, r->all, r->bytes);
  free(r->all);
  free(r);
  return UNISONO_OK;
}

const unisono_engine folder_engine = {.struct_size = sizeof folder_engine,
                                      .name = "folder",
                                      .open = open_world,
                                      .close = close_world,
                                      .group = make_group,
                                      .all_reduce = all_reduce,
                                      .broadcast = broadcast,
                                      .all_gather = all_gather,
                                      .send = send_to,
                                      .recv = recv_from,
                                      .test = test,
                                      .last_error = last_error};

/* ------------------------------------------------------------------------------------------ demonstration */

static void check(unisono_status status) {
  if (status == UNISONO_OK)
    return;
  fprintf(stderr, "engine: %s: %s\n", unisono_status_string(status), unisono_last_error());
  exit(EXIT_FAILURE);
}

int main(void) {
  enum { COUNT = 100000 };
  static double numbers[COUNT];
  unisono_comm *comm;
  unisono_config config = UNISONO_CONFIG_INIT;
  config.engine = folder_engine.name;
  check(unisono_engine_register(&folder_engine));
  check(unisono_comm_init_env(&comm, &config));
  int rank = unisono_comm_rank(comm), size = unisono_comm_size(comm);

  for (int i = 0; i < COUNT; i++)
    numbers[i] = rank + i;
  check(unisono_all_reduce(numbers, numbers, COUNT, UNISONO_FLOAT64, UNISONO_SUM, comm));
  for (int i = 0; i < COUNT; i++)
    if (numbers[i] != size * (size - 1) / 2.0 + (double)size * i) {
      fprintf(stderr, "engine: rank %d: number %d is %g\n", rank, i, numbers[i]);
      exit(EXIT_FAILURE);
    }
  uint64_t bytes = carried;
  check(unisono_all_reduce(&bytes, &bytes, 1, UNISONO_UINT64, UNISONO_SUM, comm));
  if (rank == 0)
    printf("%d ranks have the right sums; the engine carried %" PRIu64 " bytes\n", size, bytes);
  check(unisono_comm_destroy(comm));
  return EXIT_SUCCESS;
}
