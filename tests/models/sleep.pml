/* Sleeping and waking: a publisher that pays for no fence, a sleeper that announces itself, has everybody
 * fence, looks again, and sleeps.
 *
 * Stands for: uni_wake, uni_order_after_publishing, uni_wake_sleepers, ring, uni_announce, uni_announce_fence,
 * uni_retract, uni_wait_nap, sleep_on_bell (src/shm/wait.[hc]); uni_membarrier (src/shm/membarrier.c). With
 * -DFENCES: as where the kernel has no membarrier (settings.fences).
 *
 * Reduced: two ranks that publish a number each time round, and wait for the other's. How long a rank spins
 * before it announces itself makes no difference to what can be seen. A sleep has no time limit here (the
 * library's ends after 100 ms), so that a wake-up that gets lost is a deadlock. What a rank adds to the
 * counters of sleepers is a location of its own, released like a store (as Arm's exclusive pairs may do it);
 * reading a counter is reading the other's part. A futex compares and falls asleep in one step behind a full
 * fence, as the kernel does.
 *
 *   variant: -DFENCES
 *
 *   mutation 1: the sleeper goes without membarrier
 *   mutation 2: the compiler moves the look for sleepers before the publishing (no atomic_signal_fence)
 *   mutation 3: the sleeper does not look again once announced
 *   mutation 4: the sleeper reads its bell before the sleep, not before it announces itself
 *   mutation 5: a ring does not change the bell
 *   mutation 6: the announcement is made by the fence only, after the look
 *   mutation 7 (-DFENCES): the publisher does not fence
 *   mutation 8 (-DFENCES): the sleeper does not fence
 */
#ifndef ROUNDS
#define ROUNDS 3
#endif

#define PROCESSORS 2
#define LOCATIONS 8
#define STAMP(rank) (rank)
#define ALL_SLEEPERS(rank) (2 + (rank)) /* header->sleepers: the rank's part of it */
#define SLEEPERS(rank) (4 + (rank))     /* places[rank].sleepers */
#define BELL(rank) (6 + (rank))
#define LOADS(p, x) ((x) == ALL_SLEEPERS(1 - (p)) || (x) == SLEEPERS(1 - (p)))

#include "memory.pml"

bool asleep[PROCESSORS]; /* in the kernel, on its bell */

inline futex_wait(p, x, value) {
  fence(p);
  atomic {
    if
    :: memory[x] == value -> asleep[p] = true
    :: else
    fi
  }
  !asleep[p]
}

inline futex_wake(p, sleeper) {
  fence(p);
  asleep[sleeper] = false
}

inline look_for_sleepers() {
  load(me, ALL_SLEEPERS(peer), seen);
  if
  :: seen -> load(me, SLEEPERS(peer), seen)
  :: else
  fi
}

inline wake_sleepers() {
  if
  :: seen -> /* ring */
#if MUTATION != 5
     add_release(me, BELL(peer), 1);
#endif
     futex_wake(me, peer)
  :: else
  fi
}

inline publish() {
  seen = 0;
  if
#if MUTATION == 2
  :: look_for_sleepers(); store_release(me, STAMP(me), round)
#endif
  :: store_release(me, STAMP(me), round);
#if defined(FENCES) && MUTATION != 7
     fence(me);
#endif
     look_for_sleepers()
  fi;
  wake_sleepers()
}

inline announce() {
#if MUTATION != 4
  atomic { bell = LATEST(me, BELL(me)); acquire(me) }
#endif
  store_release(me, SLEEPERS(me), 1);
  store_release(me, ALL_SLEEPERS(me), 1)
}

inline announce_fence() {
#ifndef FENCES
#if MUTATION != 1
  membarrier(me)
#else
  skip
#endif
#elif MUTATION != 8
  fence(me)
#else
  skip
#endif
}

inline retract() {
  store(me, SLEEPERS(me), 0);
  store(me, ALL_SLEEPERS(me), 0)
}

inline look() {
  atomic {
    if
    :: LATEST(me, STAMP(peer)) >= round -> acquire(me); there = true
    :: else -> there = false
    fi
  }
}

inline wait() {
  do
  :: look();
     if
     :: there -> break
     :: else
     fi;
#if MUTATION == 6
     look();
     announce();
     announce_fence();
#else
     announce();
     announce_fence();
#if MUTATION != 3
     look();
#endif
#endif
     if
     :: there -> retract(); break /* uni_wait_end */
     :: else
     fi;
#if MUTATION == 4
     atomic { bell = LATEST(me, BELL(me)); acquire(me) }
#endif
     futex_wait(me, BELL(me), bell);
     retract()
  od
}

proctype rank(byte me; byte peer) {
  byte round, seen, bell, interrupted;
  bool there;
  do
  :: round < ROUNDS ->
     round++;
     publish();
     wait()
  :: else -> break
  od
}

init {
  atomic { run rank(0, 1); run rank(1, 0) }
}
