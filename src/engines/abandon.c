#include "engines/abandon.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "clock.h"
#include "error.h"

struct running {
  struct uni_task task;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool done, abandoned;
};

static void free_running(struct running *r) {
  pthread_mutex_destroy(&r->lock);
  pthread_cond_destroy(&r->changed);
  free(r);
}

static void *work(void *argument) {
  struct running *r = argument;
  r->task.body(r->task.argument);
  pthread_mutex_lock(&r->lock);
  r->done = true;
  bool abandoned = r->abandoned;
  pthread_cond_signal(&r->changed);
  pthread_mutex_unlock(&r->lock);
  if (abandoned) {
    r->task.dispose(r->task.argument);
    free_running(r);
  }
  return NULL;
}

static bool is_vain(const struct running *r) {
  return r->task.is_vain && r->task.is_vain(r->task.what);
}

/* True: the task is done. */
static bool await(struct running *r, int64_t deadline) {
  pthread_mutex_lock(&r->lock);
  while (!r->done && uni_now() < deadline && !is_vain(r))
    uni_cond_wait(&r->changed, &r->lock, uni_ms_until(deadline, 100));
  r->abandoned = !r->done;
  bool done = r->done;
  pthread_mutex_unlock(&r->lock);
  return done;
}

static unisono_status start(struct running *r, pthread_t *thread) {
  sigset_t all, before; /* signals are for the application's threads */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  errno = pthread_create(thread, NULL, work, r);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return errno ? uni_fail_errno("starting a thread") : UNISONO_OK;
}

unisono_status uni_run_abandonable(const struct uni_task *task, int64_t deadline) {
  struct running *r = calloc(1, sizeof *r);
  pthread_t thread;
  if (!r) {
    task->dispose(task->argument);
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a thread");
  }
  r->task = *task;
  pthread_mutex_init(&r->lock, NULL);
  uni_cond_init(&r->changed);
  unisono_status status = start(r, &thread);
  if (status) {
    task->dispose(task->argument);
    free_running(r);
    return status;
  }
  if (!await(r, deadline)) {
    pthread_detach(thread);
    return uni_now() < deadline
               ? uni_fail(UNISONO_ERROR_PEER_LOST, "a rank of another machine was lost while %s", task->name)
               : uni_fail(UNISONO_ERROR_TIMEOUT, "%s did not end in time", task->name);
  }
  pthread_join(thread, NULL);
  free_running(r);
  return UNISONO_OK;
}
