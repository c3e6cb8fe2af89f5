#include "shm/trial.h"

#include "clock.h"

/* Primes: a program that does the same some times in a row is not to be looked at in the same place always.
 */
enum {
  TIME_EVERY = 7,    /* uses */
  PROBE_EVERY = 127, /* uses: how often the other way is tried */
  PROBE_AT = 2,      /* use: where in them; early, as a use may take tens of milliseconds */
  PROBE_LENGTH = 4   /* uses in a row */
};

int uni_trial_class(size_t bytes) {
  int power = __builtin_clzl(UNI_TRIAL_LEAST) - __builtin_clzl(bytes);
  return power < UNI_TRIAL_CLASSES ? power : UNI_TRIAL_CLASSES - 1;
}

/* The other way is tried several times in a row, and only the last one counts: what the one way left behind
 * in the caches is not the other's cost. */
struct uni_turn uni_trial_begin(struct uni_trial *trial) {
  uint32_t turn = trial->turns++ % PROBE_EVERY;
  struct uni_turn t = {.way = trial->way, .timed = turn % TIME_EVERY == PROBE_AT - 1};
  if (turn >= PROBE_AT && turn < PROBE_AT + PROBE_LENGTH) {
    t.way = 1 - t.way;
    t.timed = turn == PROBE_AT + PROBE_LENGTH - 1;
  }
  t.began = t.timed ? uni_now() : 0;
  return t;
}

static uint64_t ps_a_byte(int64_t began, size_t bytes) {
  return (uint64_t)(uni_now() - began) * 1000 / bytes;
}

static uint32_t median(const uint32_t v[3]) {
  uint32_t low = v[0] < v[1] ? v[0] : v[1], high = v[0] < v[1] ? v[1] : v[0];
  return v[2] < low ? low : v[2] > high ? high : v[2];
}

/* One time that was delayed, or that found its lines where they seldom are, is not the cost. */
void uni_trial_learn(struct uni_sample *cost, int64_t began, size_t bytes) {
  uint64_t measured = ps_a_byte(began, bytes) + 1;
  uint32_t now = (uint32_t)(measured < UINT32_MAX / 2 ? measured : UINT32_MAX / 2);
  for (uint32_t i = cost->ps ? 2 : 0; i < 3; i++) /* the first one stands for all three */
    cost->last[cost->learnt++ % 3] = now;
  cost->ps = median(cost->last);
}

/* A use that was delayed counts as a dear one, not for all that it took. */
void uni_trial_average(struct uni_sample *cost, int64_t began, size_t bytes) {
  enum { WEIGHT = 4, DELAYED = 2 };
  uint64_t measured = ps_a_byte(began, bytes) + 1,
           most = cost->ps ? (uint64_t)cost->ps * DELAYED : UINT32_MAX / 8;
  measured = measured < most ? measured : most;
  uint64_t average = cost->ps ? ((uint64_t)cost->ps * (WEIGHT - 1) + measured) / WEIGHT : measured;
  cost->ps = (uint32_t)(average < UINT32_MAX / 8 ? average : UINT32_MAX / 8);
}
