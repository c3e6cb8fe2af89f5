#include "collectives/match.h"

#include <stdlib.h>
#include <string.h>

#include "comm.h"
#include "error.h"
#include "hash.h"
#include "kernels/reduce.h"
#include "rendezvous/identity.h"

enum { BUCKETS = 64 };

struct entry {
  char *id;
  uint64_t hash;
  size_t count;
  unisono_dtype dtype;
  unisono_op op;
  struct entry *next;
};

struct uni_match {
  struct entry *buckets[BUCKETS];
};

static struct entry *add(struct entry **bucket, const char *id, uint64_t hash, const struct uni_call *call) {
  struct entry *e = malloc(sizeof *e);
  char *copy = strdup(id);
  if (!e || !copy) {
    free(e);
    free(copy);
    return NULL;
  }
  *e = (struct entry){copy, hash, call->count, call->dtype, call->op, *bucket};
  return *bucket = e;
}

unisono_status uni_match_enter(unisono_comm *comm, const char *id, struct uni_call *call) {
  uint64_t hash = uni_hash(id, strlen(id), UINT64_C(0xcbf29ce484222325)) | 1; /* 0 is: no id */
  if (!comm->matches && !(comm->matches = calloc(1, sizeof *comm->matches)))
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for match ids");
  struct entry **bucket = &comm->matches->buckets[hash / 2 % BUCKETS], *e = *bucket;
  while (e && (e->hash != hash || strcmp(e->id, id) != 0))
    e = e->next;
  if (!e && !(e = add(bucket, id, hash, call)))
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a match id");
  call->match = hash;
  if (e->count == call->count && e->dtype == call->dtype && e->op == call->op)
    return UNISONO_OK;
  return uni_fail(
      UNISONO_ERROR_INVALID,
      "rank %d: match_id \"%s\" was used first with count %zu, %s, %s and now with count %zu, %s, %s; take "
      "another id",
      comm->rank, id, e->count, uni_dtype_name(e->dtype), uni_op_name(e->op), call->count,
      uni_dtype_name(call->dtype), uni_op_name(call->op));
}

void uni_match_clear(unisono_comm *comm) {
  for (int i = 0; comm->matches && i < BUCKETS; i++)
    while (comm->matches->buckets[i]) {
      struct entry *e = comm->matches->buckets[i];
      comm->matches->buckets[i] = e->next;
      free(e->id);
      free(e);
    }
  free(comm->matches);
  comm->matches = NULL;
}
