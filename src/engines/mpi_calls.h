/* The MPI engine for one ABI. The including file defines uni_handle (the type of all handles), the constants
 * below and the name of the table (MPI_TABLE, MPI_ABI). Handles are constants, or variables of the library
 * (MPI_TYPE_SYMBOLS). */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "engines/abandon.h"
#include "engines/mpi.h"
#include "error.h"
#include "kernels/reduce.h"

enum {
  MOST_TEXT = 8192,
  MOST_FITTED =
      48 << 10 /* MPICH 5.0.2 crashes in a message of more than about 64 KiB to a rank that has died */
};

/* Every function that is used, with its arguments. */
#define FUNCTIONS(F)                                                                                         \
  F(Init_thread, (int *, char ***, int, int *))                                                              \
  F(Initialized, (int *))                                                                                    \
  F(Finalized, (int *))                                                                                      \
  F(Finalize, (void))                                                                                        \
  F(Query_thread, (int *))                                                                                   \
  F(Get_library_version, (char *, int *))                                                                    \
  F(Comm_rank, (uni_handle, int *))                                                                          \
  F(Comm_size, (uni_handle, int *))                                                                          \
  F(Comm_group, (uni_handle, uni_handle *))                                                                  \
  F(Comm_create_group, (uni_handle, uni_handle, int, uni_handle *))                                          \
  F(Comm_set_errhandler, (uni_handle, uni_handle))                                                           \
  F(Comm_free, (uni_handle *))                                                                               \
  F(Group_incl, (uni_handle, int, const int *, uni_handle *))                                                \
  F(Group_free, (uni_handle *))                                                                              \
  F(Op_create, (void (*)(void *, void *, int *, uni_handle *), int, uni_handle *))                           \
  F(Iallreduce, (const void *, void *, int, uni_handle, uni_handle, uni_handle, uni_handle *))               \
  F(Ibcast, (void *, int, uni_handle, int, uni_handle, uni_handle *))                                        \
  F(Iallgatherv,                                                                                             \
    (const void *, int, uni_handle, void *, const int *, const int *, uni_handle, uni_handle, uni_handle *)) \
  F(Isend, (const void *, int, uni_handle, int, int, uni_handle, uni_handle *))                              \
  F(Issend, (const void *, int, uni_handle, int, int, uni_handle, uni_handle *))                             \
  F(Irecv, (void *, int, uni_handle, int, int, uni_handle, uni_handle *))                                    \
  F(Improbe, (int, int, uni_handle, int *, uni_handle *, void *))                                            \
  F(Imrecv, (void *, int, uni_handle, uni_handle *, uni_handle *))                                           \
  F(Test, (uni_handle *, int *, void *))                                                                     \
  F(Get_count, (const void *, uni_handle, int *))                                                            \
  F(Error_string, (int, char *, int *))                                                                      \
  F(Error_class, (int, int *))

#define DECLARE(name, arguments) int(*name) arguments;
static struct { FUNCTIONS(DECLARE) } mpi;

#ifdef MPI_TYPE_SYMBOLS
static uni_handle types[UNI_DTYPES], operations[UNI_OPS], world_handle, return_errors;

/* A program that was linked with MPI may hold the variable itself, in place of the library's (copy
 * relocation). */
static void *variable(void *library, const char *name) {
  void *of_program = dlsym(RTLD_DEFAULT, name);
  return of_program ? of_program : dlsym(library, name);
}

static bool bind_list(void *library, const char *const *names, size_t n, uni_handle *handles) {
  bool all = true;
  for (size_t i = 0; i < n; i++)
    all = all && (!names[i] || (handles[i] = variable(library, names[i])));
  return all;
}

static const char *bind_handles(void *library) {
  static const char *const type_names[UNI_DTYPES] = MPI_TYPE_SYMBOLS,
                           *const op_names[UNI_OPS] = MPI_OP_SYMBOLS, *const world_name = MPI_WORLD_SYMBOL,
                           *const errors_name = MPI_RETURN_ERRORS_SYMBOL;
  bool all = bind_list(library, type_names, UNI_DTYPES, types) &&
             bind_list(library, op_names, UNI_OPS, operations) &&
             bind_list(library, &world_name, 1, &world_handle) &&
             bind_list(library, &errors_name, 1, &return_errors);
  return all ? NULL : "variables for types and operations";
}
#else
#define MPI_NEEDS_LAUNCHER false
static const uni_handle types[UNI_DTYPES] = MPI_TYPES, operations[UNI_OPS] = MPI_OPS;

static const char *bind_handles(void *library) {
  (void)library;
  return NULL;
}
#endif

static const char *bind_library(void *library) {
#define BIND(name, arguments)                                                                                \
  if (!(*(void **)(void *)&mpi.name = dlsym(library, "MPI_" #name)))                                         \
    return "MPI_" #name;
  FUNCTIONS(BIND)
  return bind_handles(library);
}

static unisono_status fail(int error, const char *what) {
  char text[MOST_TEXT] = "";
  int n = 0, class = 0;
  mpi.Error_string(error, text, &n);
  mpi.Error_class(error, &class);
  text[200] = 0; /* the first words say most */
  if (class == MPI_TRUNCATED)
    return uni_fail(UNISONO_ERROR_MISMATCH,
                    "ranks of another machine sent more than this one's call takes: %s: %s", what, text);
  return uni_fail(UNISONO_ERROR_SYSTEM, "%s failed: %s", what, text);
}

/* ---- handles as pointers */

static void *to_pointer(uni_handle handle) {
  return (void *)(intptr_t)handle;
}

static uni_handle of_pointer(void *pointer) {
  return (uni_handle)(intptr_t)pointer;
}

static unisono_status started(int error, const char *what, const uni_handle *handle,
                              uni_engine_request *request) {
  *request = to_pointer(*handle);
  return error ? fail(error, what) : UNISONO_OK;
}

/* ---- minimum and maximum: MPI's own leave open what becomes of a NaN and of -0, and MPICH 4.0.2 was seen to
 * compare unsigned bytes as signed ones */

static uni_handle own_min, own_max;

static void fold(void *in, void *inout, int *count, uni_handle *type, unisono_op op) {
  int dtype = 0;
  while (types[dtype] != *type)
    dtype++;
  const void *both[2] = {in, inout};
  uni_kernels()->fold[dtype][op](&inout, 1, both, 2, (size_t)*count);
}

static void fold_min(void *in, void *inout, int *count, uni_handle *type) {
  fold(in, inout, count, type, UNISONO_MIN);
}

static void fold_max(void *in, void *inout, int *count, uni_handle *type) {
  fold(in, inout, count, type, UNISONO_MAX);
}

static uni_handle operation_of(unisono_op op) {
  return op == UNISONO_MIN ? own_min : op == UNISONO_MAX ? own_max : operations[op];
}

/* ---- life */

static bool is_up(void) {
  int up = 0, over = 0;
  return mpi.Initialized(&up) == 0 && mpi.Finalized(&over) == 0 && up && !over;
}

static bool start(void) {
  int level = 0;
  if (!is_up() && mpi.Init_thread(NULL, NULL, MPI_MULTIPLE, &level) != 0)
    return false;
  return mpi.Query_thread(&level) == 0 && level >= MPI_MULTIPLE;
}

static void finalize(void) {
  mpi.Finalize();
}

static void version(char *words, size_t n) {
  char text[MOST_TEXT] = "";
  int length = 0;
  mpi.Get_library_version(text, &length);
  snprintf(words, n, "%s", text);
}

static void world_place(int *rank, int *size) {
  mpi.Comm_rank(MPI_WORLD, rank);
  mpi.Comm_size(MPI_WORLD, size);
}

struct world {
  int *ranks; /* ours, as ranks of MPI_COMM_WORLD */
  int n;
};

static unisono_status use(const int *ranks, int n, void **out) {
  struct world *w = malloc(sizeof *w);
  int *copy = malloc((size_t)n * sizeof *copy);
  if (!w || !copy) {
    free(w);
    free(copy);
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a list of %d ranks", n);
  }
  memcpy(copy, ranks, (size_t)n * sizeof *copy);
  *w = (struct world){copy, n};
  if (!own_min && (mpi.Op_create(fold_min, 1, &own_min) != 0 || mpi.Op_create(fold_max, 1, &own_max) != 0))
    return uni_fail(UNISONO_ERROR_SYSTEM, "MPI_Op_create failed");
  mpi.Comm_set_errhandler(MPI_WORLD, MPI_RETURN_ERRORS);
  *out = w;
  return UNISONO_OK;
}

static void close_world(void *world) {
  struct world *w = world;
  free(w->ranks);
  free(w);
}

/* ---- groups: MPI_Comm_create_group waits for all of them, so a thread does it that can be left behind */

struct birth {
  int *ranks, n, tag, error;
  uni_handle comm;
};

static void make_group(void *argument) {
  struct birth *b = argument;
  uni_handle all, some;
  b->error = mpi.Comm_group(MPI_WORLD, &all);
  if (!b->error)
    b->error = mpi.Group_incl(all, b->n, b->ranks, &some);
  if (!b->error)
    b->error = mpi.Comm_create_group(MPI_WORLD, some, b->tag, &b->comm);
  if (!b->error)
    b->error = mpi.Comm_set_errhandler(b->comm, MPI_RETURN_ERRORS);
  if (!b->error) {
    mpi.Group_free(&some);
    mpi.Group_free(&all);
  }
}

static void free_birth(void *argument) {
  struct birth *b = argument;
  free(b->ranks);
  free(b);
}

static unisono_status new_group(void *world, const int *ranks, int n, int tag,
                                const struct uni_patience *patience, void **group) {
  const struct world *w = world;
  struct birth *b = calloc(1, sizeof *b);
  int *list = malloc((size_t)n * sizeof *list);
  if (!b || !list) {
    free(b);
    free(list);
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a list of %d ranks", n);
  }
  for (int i = 0; i < n; i++)
    list[i] = w->ranks[ranks[i]];
  *b = (struct birth){.ranks = list, .n = n, .tag = tag & 0x7fff};
  unisono_status status =
      uni_run_abandonable(&(struct uni_task){make_group, free_birth, b, patience->is_vain, patience->what,
                                             "MPI connected the ranks of several machines"},
                          patience->deadline);
  if (status)
    return status;
  if (b->error)
    status = fail(b->error, "MPI_Comm_create_group");
  *group = to_pointer(b->comm);
  free_birth(b);
  return status;
}

/* ---- operations */

static unisono_status all_reduce(void *group, void *buffer, size_t count, unisono_dtype dtype, unisono_op op,
                                 uni_engine_request *request) {
  uni_handle r = 0;
  return started(
      mpi.Iallreduce(MPI_INPLACE, buffer, (int)count, types[dtype], operation_of(op), of_pointer(group), &r),
      "MPI_Iallreduce", &r, request);
}

static unisono_status broadcast(void *group, void *buffer, size_t bytes, int root,
                                uni_engine_request *request) {
  uni_handle r = 0;
  return started(mpi.Ibcast(buffer, (int)bytes, types[UNISONO_UINT8], root, of_pointer(group), &r),
                 "MPI_Ibcast", &r, request);
}

static unisono_status all_gather(void *group, void *buffer, const int *bytes, const int *displs,
                                 uni_engine_request *request) {
  uni_handle r = 0;
  return started(mpi.Iallgatherv(MPI_INPLACE, 0, types[UNISONO_UINT8], buffer, bytes, displs,
                                 types[UNISONO_UINT8], of_pointer(group), &r),
                 "MPI_Iallgatherv", &r, request);
}

static unisono_status send_bytes(void *group, const void *buffer, size_t bytes, int peer, int tag,
                                 bool synchronous, uni_engine_request *request) {
  uni_handle r = 0;
  int error = (synchronous ? mpi.Issend : mpi.Isend)(buffer, (int)bytes, types[UNISONO_UINT8], peer, tag,
                                                     of_pointer(group), &r);
  return started(error, "MPI_Isend", &r, request);
}

static unisono_status receive_bytes(void *group, void *buffer, size_t bytes, int peer, int tag,
                                    uni_engine_request *request) {
  uni_handle r = 0;
  return started(mpi.Irecv(buffer, (int)bytes, types[UNISONO_UINT8], peer, tag, of_pointer(group), &r),
                 "MPI_Irecv", &r, request);
}

static unisono_status match(void *group, int tag, bool *found, struct uni_engine_message *message) {
  _Alignas(16) int status[16] = {0};
  int flag = 0, bytes = 0;
  uni_handle handle = 0;
  int error = mpi.Improbe(MPI_FROM_ANY, tag, of_pointer(group), &flag, &handle, status);
  *found = !error && flag;
  if (*found)
    mpi.Get_count(status, types[UNISONO_UINT8], &bytes);
  *message = (struct uni_engine_message){to_pointer(handle), status[STATUS_SOURCE], (size_t)bytes};
  return error ? fail(error, "MPI_Improbe") : UNISONO_OK;
}

static unisono_status receive_matched(struct uni_engine_message *message, void *buffer,
                                      uni_engine_request *request) {
  uni_handle r = 0, m = of_pointer(message->handle);
  return started(mpi.Imrecv(buffer, (int)message->bytes, types[UNISONO_UINT8], &m, &r), "MPI_Imrecv", &r,
                 request);
}

static unisono_status test(uni_engine_request *request, bool *done) {
  int flag = 0;
  uni_handle r = of_pointer(*request);
  int error = mpi.Test(&r, &flag, IGNORE_STATUS);
  *request = to_pointer(r);
  *done = flag;
  return error ? fail(error, "MPI, between machines,") : UNISONO_OK;
}

const struct uni_mpi MPI_TABLE = {.abi = MPI_ABI,
                                  .engine = {.name = "mpi",
                                             .most_tag = (1 << 19) - 1,
                                             .most_bytes = INT32_MAX,
                                             .close = close_world,
                                             .group = new_group,
                                             .all_reduce = all_reduce,
                                             .broadcast = broadcast,
                                             .all_gather = all_gather,
                                             .send = send_bytes,
                                             .recv = receive_bytes,
                                             .match = match,
                                             .recv_matched = receive_matched,
                                             .test = test},
                                  .needs_launcher = MPI_NEEDS_LAUNCHER,
                                  .bind = bind_library,
                                  .is_up = is_up,
                                  .start = start,
                                  .version = version,
                                  .world = world_place,
                                  .use = use,
                                  .finalize = finalize};
