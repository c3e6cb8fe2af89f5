#include "machines/parcels.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

enum {
  NAP_US = 200,
  AT_EXIT_MS = 1000,
  AT_MOST_MS = 60000 /* then its receiver does not look, and what is on its way stays the system's */
};

struct remains {
  struct uni_parcel *list;
  struct uni_carrier *carrier;
};

static _Atomic int outliving; /* threads */

unisono_status uni_parcels_move(struct uni_parcel **list, const struct uni_engine *engine) {
  unisono_status status = UNISONO_OK;
  for (struct uni_parcel **at = list, *p; (p = *at) && !status;) {
    bool done = false;
    status = engine->test(&p->under_way, &done);
    if (!done || status) {
      at = &p->next;
      continue;
    }
    *at = p->next;
    free(p->buffer);
    free(p);
  }
  return status;
}

static void *await_all(void *argument) {
  struct remains *r = argument;
  int64_t end = uni_deadline(AT_MOST_MS);
  uni_log_set_rank(r->carrier->cluster->roster.rank);
  while (r->list && uni_now() < end && !uni_parcels_move(&r->list, r->carrier->engine))
    usleep(NAP_US);
  if (r->list)
    uni_log(UNI_LOG_WARN, "a message may not have reached its receiver: it was not taken in");
  uni_carrier_put(r->carrier);
  free(r);
  /* release: the carrier is done with for who sees the number */
  atomic_fetch_sub_explicit(&outliving, 1, memory_order_release);
  return NULL;
}

static void wait_at_exit(void) {
  int64_t end = uni_deadline(AT_EXIT_MS);
  while (atomic_load_explicit(&outliving, memory_order_acquire) > 0 && uni_now() < end)
    usleep(NAP_US);
}

static void install_exit_handler(void) {
  atexit(wait_at_exit);
}

void uni_parcels_outlive(struct uni_parcel *list, struct uni_carrier *carrier) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  struct remains *r = list ? malloc(sizeof *r) : NULL;
  pthread_t thread;
  sigset_t all, before; /* signals are for the application's threads */
  if (!r)
    return;
  pthread_once(&once, install_exit_handler);
  *r = (struct remains){list, carrier};
  uni_carrier_use(carrier);
  atomic_fetch_add_explicit(&outliving, 1, memory_order_relaxed);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = pthread_create(&thread, NULL, await_all, r) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (started) {
    pthread_detach(thread);
    return;
  }
  atomic_fetch_sub_explicit(&outliving, 1, memory_order_relaxed);
  uni_carrier_put(carrier);
  free(r);
}
