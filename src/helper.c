#include "helper.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "comm.h"
#include "error.h"
#include "queue.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

enum {
  MANY = 100,    /* bells that the helper sleeps on at once; beyond, it looks every millisecond */
  BUSY_US = 100, /* yields so long after something moved, before it sleeps */
  SLEEP_MS = 100
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list and the thread's life */
static unisono_comm *helped;                             /* communicators, linked by their queues */
static pthread_t thread;
static bool is_running;
static _Atomic unsigned life; /* the number of the thread that is to run; another one ends */
static pthread_once_t fork_handlers = PTHREAD_ONCE_INIT;
static _Atomic uint32_t wakes; /* the helper sleeps on it */
static _Atomic bool is_asleep;

/* ---- sleeping: on its own word, and on the bell of every communicator that it waits for */

struct waiter { /* the kernel's struct futex_waitv */
  uint64_t value, address;
  uint32_t flags, reserved;
};

struct sleep {
  struct waiter words[MANY + 1];
  unisono_comm *comms[MANY];
  unsigned n;
  bool too_many, full_fence;
};

static bool needs_help(unisono_comm *comm) {
  return atomic_load_explicit(&comm->queue->pending, memory_order_relaxed) &&
         !atomic_load_explicit(&comm->queue->attended, memory_order_relaxed);
}

static void announce_all(struct sleep *s) {
  for (unisono_comm *c = helped; c; c = c->queue->next_helped) {
    if (!needs_help(c))
      continue;
    if (s->n == MANY) {
      s->too_many = true;
      break;
    }
    uint32_t bell;
    uni_announce(c, &bell);
    s->comms[s->n++] = c;
    s->words[s->n] = (struct waiter){.value = bell, .address = (uintptr_t)uni_bell(c), .flags = FUTEX_32};
    s->full_fence |= c->world->settings.fences;
  }
}

static void sleep_on_words(const struct sleep *s) {
  struct timespec limit;
  clock_gettime(CLOCK_MONOTONIC, &limit);
  limit.tv_nsec += SLEEP_MS * 1000000L;
  limit.tv_sec += limit.tv_nsec / 1000000000;
  limit.tv_nsec %= 1000000000;
  if (!s->too_many &&
      (syscall(SYS_futex_waitv, s->words, s->n + 1, 0, &limit, CLOCK_MONOTONIC) >= 0 || errno != ENOSYS))
    return;
  struct timespec short_time = {0, s->n ? 1000000 : SLEEP_MS * 1000000L};
  syscall(SYS_futex, &wakes, FUTEX_WAIT, (uint32_t)s->words[0].value, &short_time, NULL, 0);
}

/* ---- the thread */

/* Moves on all that needs help, with `move`; true: something still does. */
static bool move_all(bool (*move)(unisono_comm *)) {
  bool pending = false;
  for (unisono_comm *c = helped; c; c = c->queue->next_helped)
    if (needs_help(c)) {
      move(c);
      pending |= needs_help(c);
    }
  return pending;
}

/* Announces itself everywhere, looks again, and sleeps; with the lock held but during the sleep. */
static void announce_and_sleep(uint32_t seen) {
  struct sleep s;
  memset(&s, 0, sizeof s);
  s.words[0] = (struct waiter){.value = seen, .address = (uintptr_t)&wakes, .flags = FUTEX_32};
  announce_all(&s);
  uni_announce_fence(s.full_fence || s.n == 0);
  move_all(uni_queue_move_in_turn);
  pthread_mutex_unlock(&lock);
  sleep_on_words(&s);
  pthread_mutex_lock(&lock);
  for (unsigned i = 0; i < s.n; i++)
    for (unisono_comm *c = helped; c; c = c->queue->next_helped)
      if (c == s.comms[i]) /* not destroyed meanwhile */
        uni_retract(c);
}

static void *help(void *my_life) {
  pthread_mutex_lock(&lock);
  int64_t busy_until = 0;
  while (atomic_load_explicit(&life, memory_order_relaxed) == (uintptr_t)my_life) {
    uint32_t seen =
        atomic_load_explicit(&wakes, memory_order_acquire); /* what was started before is seen below */
    bool pending = move_all(uni_queue_move);
    int64_t now = uni_now();
    if (pending && now < busy_until) {
      pthread_mutex_unlock(&lock);
      sched_yield();
      pthread_mutex_lock(&lock);
      continue;
    }
    atomic_store_explicit(&is_asleep, true,
                          memory_order_seq_cst); /* before the look at `wakes` that the sleep does */
    announce_and_sleep(seen);
    atomic_store_explicit(&is_asleep, false, memory_order_relaxed);
    busy_until = uni_now() + BUSY_US * 1000;
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

void uni_helper_wake(void) {
  atomic_fetch_add_explicit(&wakes, 1, memory_order_seq_cst); /* before the look whether the helper sleeps */
  if (atomic_load_explicit(&is_asleep, memory_order_seq_cst))
    syscall(SYS_futex, &wakes, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void lock_all(void) {
  pthread_mutex_lock(&lock);
}
static void unlock_all(void) {
  pthread_mutex_unlock(&lock);
}

/* A forked child has no helper, and nothing for one to do. */
static void begin_childhood(void) {
  helped = NULL;
  is_running = false;
  unlock_all();
}

static void install_fork_handlers(void) {
  pthread_atfork(lock_all, unlock_all, begin_childhood);
}

/* Signals are for the application's threads. */
static unisono_status start_thread(void) {
  if (is_running)
    return UNISONO_OK;
  uintptr_t number = atomic_fetch_add_explicit(&life, 1, memory_order_relaxed) + 1;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  errno = pthread_create(&thread, NULL, help, (void *)number);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (errno)
    return uni_fail_errno("starting the helper thread");
  is_running = true;
  return UNISONO_OK;
}

static bool is_helped(const unisono_comm *comm) {
  /* relaxed: only that it is in the list, which the lock guards */
  return atomic_load_explicit(&comm->queue->helped, memory_order_relaxed);
}

unisono_status uni_helper_help(unisono_comm *comm) {
  if (is_helped(comm))
    return UNISONO_OK;
  pthread_once(&fork_handlers, install_fork_handlers);
  pthread_mutex_lock(&lock);
  unisono_status status = start_thread();
  if (!status && !is_helped(comm)) { /* nor has another thread added it meanwhile */
    comm->queue->next_helped = helped;
    helped = comm;
    atomic_store_explicit(&comm->queue->helped, true, memory_order_relaxed);
  }
  pthread_mutex_unlock(&lock);
  return status;
}

void uni_helper_forget(unisono_comm *comm) {
  if (!is_helped(comm))
    return;
  pthread_mutex_lock(&lock);
  for (unisono_comm **c = &helped; *c; c = &(*c)->queue->next_helped)
    if (*c == comm) {
      *c = comm->queue->next_helped;
      break;
    }
  atomic_store_explicit(&comm->queue->helped, false, memory_order_relaxed);
  bool last = helped == NULL;
  if (last) {
    atomic_fetch_add_explicit(&life, 1, memory_order_relaxed);
    uni_helper_wake();
    is_running = false;
  }
  pthread_t ended = thread;
  pthread_mutex_unlock(&lock);
  if (last)
    pthread_join(ended, NULL);
}
