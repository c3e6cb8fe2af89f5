#include "engines/pmi.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"

enum { MOST_LINE = 4096, MOST_KEY = 256, MOST_VALUE = 1024 };

struct pair {
  char key[MOST_KEY], value[MOST_VALUE + 1];
};

struct store {
  struct pair *pairs;
  size_t n, room;
};

struct server {
  struct uni_engine_start start;
  FILE *in;
  int out;
  struct store known, put; /* of all ranks; since the last barrier here */
};

static _Atomic bool has_failed;

bool uni_pmi_has_failed(void *unused) {
  (void)unused;
  return atomic_load_explicit(&has_failed, memory_order_relaxed);
}

/* ---- store */

static struct pair *find(struct store *s, const char *key) {
  for (size_t i = 0; i < s->n; i++)
    if (strcmp(s->pairs[i].key, key) == 0)
      return &s->pairs[i];
  return NULL;
}

static bool add(struct store *s, const struct pair *pair) {
  struct pair *same = find(s, pair->key);
  if (same) {
    *same = *pair;
    return true;
  }
  if (s->n == s->room) {
    size_t room = s->room ? 2 * s->room : 16;
    struct pair *grown = realloc(s->pairs, room * sizeof *grown);
    if (!grown)
      return false;
    s->pairs = grown;
    s->room = room;
  }
  s->pairs[s->n++] = *pair;
  return true;
}

/* ---- requests: cmd=NAME key=WORD ... value=THE REST */

static const char *field(const char *line, const char *name, char *text, size_t n) {
  size_t length = strlen(name);
  for (const char *at = line; (at = strstr(at, name)); at += length)
    if ((at == line || at[-1] == ' ') && at[length] == '=') {
      at += length + 1;
      size_t most = strcmp(name, "value") == 0 ? strcspn(at, "\n") : strcspn(at, " \n");
      snprintf(text, n, "%.*s", (int)most, at);
      return text;
    }
  *text = 0;
  return text;
}

static bool answer(const struct server *s, const char *line) {
  size_t n = strlen(line);
  return write(s->out, line, n) == (ssize_t)n;
}

/* All ranks put what they have put together. */
static bool fence(struct server *s) {
  unsigned char *all;
  size_t bytes, at = 0;
  if (s->start.exchange(s->start.what, s->put.pairs, s->put.n * sizeof(struct pair), s->start.deadline, &all,
                        &bytes))
    return false;
  s->put.n = 0;
  bool good = true;
  while (good && at + sizeof(uint32_t) <= bytes) {
    uint32_t length;
    memcpy(&length, all + at, sizeof length);
    at += sizeof length;
    for (uint32_t i = 0; i + sizeof(struct pair) <= length && at + i + sizeof(struct pair) <= bytes && good;
         i += (uint32_t)sizeof(struct pair)) {
      struct pair pair;
      memcpy(&pair, all + at + i, sizeof pair);
      pair.key[MOST_KEY - 1] = pair.value[MOST_VALUE] = 0;
      good = add(&s->known, &pair);
    }
    at += length;
  }
  free(all);
  return good;
}

static bool put(struct server *s, const char *line) {
  struct pair pair;
  memset(&pair, 0, sizeof pair);
  field(line, "key", pair.key, sizeof pair.key);
  field(line, "value", pair.value, sizeof pair.value);
  return add(&s->put, &pair) && answer(s, "cmd=put_result rc=0 msg=success\n");
}

static bool get(struct server *s, const char *line) {
  char key[MOST_KEY], text[MOST_VALUE + 64];
  field(line, "key", key, sizeof key);
  const struct pair *pair = find(&s->known, key);
  if (strcmp(key, "PMI_process_mapping") == 0)
    snprintf(text, sizeof text, "cmd=get_result rc=0 msg=success value=(vector,(0,%d,1))\n", s->start.size);
  else if (pair)
    snprintf(text, sizeof text, "cmd=get_result rc=0 msg=success value=%s\n", pair->value);
  else
    snprintf(text, sizeof text, "cmd=get_result rc=-1 msg=key_not_found value=unknown\n");
  return answer(s, text);
}

static bool handle(struct server *s, const char *line) {
  char command[64], text[128];
  field(line, "cmd", command, sizeof command);
  if (strcmp(command, "put") == 0)
    return put(s, line);
  if (strcmp(command, "get") == 0)
    return get(s, line);
  if (strcmp(command, "barrier_in") == 0)
    return fence(s) && answer(s, "cmd=barrier_out rc=0\n");
  if (strcmp(command, "init") == 0)
    return answer(s, "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n");
  if (strcmp(command, "get_maxes") == 0)
    return answer(s, "cmd=maxes kvsname_max=256 keylen_max=255 vallen_max=1024 rc=0\n");
  if (strcmp(command, "get_appnum") == 0)
    return answer(s, "cmd=appnum appnum=0 rc=0\n");
  if (strcmp(command, "get_my_kvsname") == 0)
    return answer(s, "cmd=my_kvsname kvsname=unisono rc=0\n");
  if (strcmp(command, "get_universe_size") == 0) {
    snprintf(text, sizeof text, "cmd=universe_size size=%d rc=0\n", s->start.size);
    return answer(s, text);
  }
  if (strcmp(command, "abort") == 0)
    return true; /* the library ends the process now */
  if (strcmp(command, "finalize") == 0)
    return answer(s, "cmd=finalize_ack rc=0\n");
  snprintf(text, sizeof text, "cmd=%.40s rc=-1 msg=unknown\n", command);
  return answer(s, text);
}

/* A library that was told of a failure here would end the process: it gets no answer instead. */
static void *serve(void *argument) {
  struct server *s = argument;
  char line[MOST_LINE];
  bool good = true;
  while (good && fgets(line, sizeof line, s->in))
    good = handle(s, line);
  if (!good)
    atomic_store_explicit(&has_failed, true, memory_order_relaxed);
  return NULL;
}

unisono_status uni_pmi_serve(const struct uni_engine_start *start, int *fd) {
  struct server *s = calloc(1, sizeof *s);
  int pair[2];
  if (!s)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for starting MPI");
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    free(s);
    return uni_fail_errno("a socket to start MPI with");
  }
  s->start = *start;
  s->out = pair[0];
  s->in = fdopen(pair[0], "r");
  pthread_t thread;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  errno = s->in ? pthread_create(&thread, NULL, serve, s) : ENOMEM;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (errno)
    return uni_fail_errno("starting a thread to start MPI with");
  pthread_detach(thread);
  *fd = pair[1];
  return UNISONO_OK;
}
