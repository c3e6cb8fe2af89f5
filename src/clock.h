/* Monotonic time in nanoseconds, and time limits. */
#ifndef UNI_CLOCK_H
#define UNI_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#define UNI_NEVER INT64_MAX
#define UNI_MS INT64_C(1000000)

static inline int64_t uni_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The moment `timeout_ms` from now; -1: never. */
static inline int64_t uni_deadline(int timeout_ms) {
  return timeout_ms < 0 ? UNI_NEVER : uni_now() + timeout_ms * UNI_MS;
}

/* Milliseconds until `deadline` for poll(), at most `most`. */
static inline int uni_ms_until(int64_t deadline, int most) {
  int64_t left = deadline == UNI_NEVER ? most : (deadline - uni_now()) / UNI_MS + 1;
  return left < 0 ? 0 : left > most ? most : (int)left;
}

/* Waits by a condition of uni_cond_init, `ms` at most: whatever the clock on the wall is set to. */
static inline void uni_cond_init(pthread_cond_t *cond) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(cond, &attributes);
  pthread_condattr_destroy(&attributes);
}

static inline void uni_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int ms) {
  int64_t at = uni_now() + ms * UNI_MS;
  struct timespec until = {at / 1000000000, at % 1000000000};
  pthread_cond_timedwait(cond, lock, &until);
}

static inline void uni_sleep_ms(int ms) {
  struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
  nanosleep(&t, NULL);
}

#endif
