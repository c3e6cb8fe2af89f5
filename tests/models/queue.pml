/* Started operations: a queue that is moved on by the thread that waits, else by the process's helper
 * thread.
 *
 * Stands for: uni_queue_append, uni_queue_move, uni_queue_move_in_turn, uni_queue_attend, move,
 * move_collective, pop_front, finish (src/queue.c); start, unisono_test, uni_submit (src/request.c); help,
 * announce_and_sleep, announce_all, needs_help, move_all, uni_helper_wake (src/helper.c); with
 * uni_announce, uni_announce_fence, ring, uni_wake_rank of src/shm/wait.c, which sleep.pml has in full.
 *
 * Reduced: one communicator; a collective that is done once the peer's stamp has come. The owner's thread
 * starts it, and then waits for it, tests it once, calls a blocking collective, or does nothing of that;
 * in the end it only sees that it is done, as the helper is to move on what nobody attends to. With
 * -DOPERATIONS=2 it starts two at once and waits for the first; with -DSTRIDE=2 the peer comes to both at
 * once. Of the sleepers' counters there is places[rank].sleepers; a membarrier is one step; what the mutex
 * `list` guards are variables that change in one step. Sleeps have no time limit, so that a wake-up that gets
 * lost is a deadlock. RUN is the collective under way (struct uni_run), STATUS a request's outcome.
 *
 *   variant: -DOPERATIONS=2 -DSTRIDE=2
 *   variant (long): -DOPERATIONS=2
 *
 *   mutation 1: a request is done without release: that overtakes its outcome
 *   mutation 2: `done` is loaded without acquire
 *   mutation 3: an operation leaves the queue without release: the next one finds the run in use
 *   mutation 4: a blocking collective does not look whether others are under way (uni_is_quick, uni_submit)
 *   mutation 5: who starts an operation does not wake the helper
 *   mutation 6 (-DOPERATIONS=2): who has waited does not wake the helper for what is left
 *   mutation 7: the helper reads `wakes` before it sleeps, not before it looks for operations
 *   mutation 8: the helper does not announce itself at the bell
 *   mutation 9: the look before the helper's sleep is left out where another thread is at it
 *   mutation 10: the look before the waiter's sleep is left out where another thread is at it
 *   mutation 11: a thread moves operations on beside another
 *   mutation 12: who wakes the helper looks whether it sleeps before `wakes` has changed (no seq_cst)
 *   mutation 13 (-DOPERATIONS=2): who has waited wakes the helper before it steps back
 */
#ifndef OPERATIONS
#define OPERATIONS 1
#endif

#ifndef STRIDE
#define STRIDE 1
#endif

#define PROCESSORS 3
#define OWNER 0
#define HELPER 1
#define PEER 2

#define LOCATIONS 13
#define RUN 0
#define STATUS(operation) (operation)   /* 1, 2 */
#define DONE(operation) (2 + operation) /* 3, 4 */
#define COLLECTIVES 5
#define PENDING 6
#define ATTENDED 7
#define WAKES 8
#define IS_ASLEEP 9
#define STAMP 10
#define BELL 11
#define SLEEPERS 12
#define COUNTS(x) ((x) == COLLECTIVES || (x) == PENDING || (x) == ATTENDED)
#define IS_STATUS(x) ((x) == STATUS(1) || (x) == STATUS(2))
#define LOADS(p, x) \
  ((x) == SLEEPERS || (p) != PEER && ((x) == RUN || COUNTS(x)) || \
   (p) == OWNER && (IS_STATUS(x) || (x) == IS_ASLEEP && MUTATION == 12))

#include "memory.pml"

/* ---- the mutex `moving` */

bool moving;

inline lock_moving() {
  atomic { !moving -> moving = true; acquire(me); moved = false; load(me, COLLECTIVES, seen) }
}
inline unlock_moving() {
  atomic { processor[me].buffered == 0 -> processor[me].reading = 0; moving = false }
}

/* ---- futexes: what the threads sleep on */

#define ON_BELL 1
#define ON_WAKES 2
byte sleeps_on[2];

inline wake(word) {
  fence(me);
  atomic {
    if
    :: sleeps_on[OWNER] & word -> sleeps_on[OWNER] = 0
    :: else
    fi;
    if
    :: sleeps_on[HELPER] & word -> sleeps_on[HELPER] = 0
    :: else
    fi
  }
}

/* uni_wake_rank */
inline ring() {
  load(me, SLEEPERS, seen);
  if
  :: seen -> add_release(me, BELL, 1); wake(ON_BELL); seen = 0
  :: else
  fi
}

inline announce() {
  atomic { bell = LATEST(me, BELL); add_acq_rel(me, SLEEPERS, 1) }
}

/* membarrier */
inline fence_all() {
  fence(me);
  d_step { complete(OWNER); complete(HELPER); complete(PEER) }
}

inline retract() {
  add(me, SLEEPERS, -1)
}

/* Its count and its look are sequentially consistent. */
inline helper_wake() {
#if MUTATION == 12
  seen = LATEST(me, WAKES) + 1; /* nobody else counts here */
  store(me, WAKES, seen);
  load(me, IS_ASLEEP, seen);
#else
  add_acq_rel(me, WAKES, 1);
  atomic { seen = LATEST(me, IS_ASLEEP); acquire(me) }
#endif
  if
  :: seen -> wake(ON_WAKES); seen = 0
  :: else
  fi
}

/* ---- the queue */

byte first = 1, last = 0; /* operations in the list; guarded by `list` */
bool begun;               /* the first one of them; guarded by `moving` */
byte moves;                /* what was last stored to RUN */

inline finish(operation) {
  atomic {
    store(me, STATUS(operation), 1);
    add(me, PENDING, -1);
#if MUTATION == 1
    store(me, DONE(operation), 1)
#else
    store_release(me, DONE(operation), 1)
#endif
  }
}

/* move_collective: uni_run_begin, uni_run_step */
inline step() {
  atomic {
    read(me, RUN, moves);
    if
    :: LATEST(me, STAMP) >= operation -> acquire(me); arrived = true
    :: else -> arrived = false
    fi;
    if
    :: arrived || !begun -> moves++; store(me, RUN, moves)
    :: else
    fi;
    begun = true
  }
}

/* with `moving` held */
inline move() {
  do
  :: !seen -> break
  :: else ->
     atomic {
       operation = (first <= last -> first : 0); /* front */
       if
       :: operation == 0 -> break
       :: else
       fi;
       step();
       if
       :: !arrived -> break
       :: else
       fi;
       first++; /* pop_front */
       begun = false;
       finish(operation)
     }
     ring();
     seen = 1;
#if MUTATION == 3
     add(me, COLLECTIVES, -1);
#else
     add_release(me, COLLECTIVES, -1);
#endif
     moved = true
  od;
  atomic { seen = 0; operation = 0; arrived = false }
}

/* uni_queue_move */
inline queue_move() {
#if MUTATION == 11
  moved = false;
  load(me, COLLECTIVES, seen);
  move()
#else
  atomic {
    if
    :: !moving -> lock_moving(); locked = true
    :: else -> locked = false; moved = false
    fi
  }
  if
  :: locked -> move(); unlock_moving()
  :: else
  fi
#endif
}

inline move_in_turn() {
  lock_moving();
  move();
  unlock_moving()
}

inline append() {
  atomic { last = OPERATIONS; add(me, PENDING, OPERATIONS); add(me, COLLECTIVES, OPERATIONS) }
}

inline look_whether_done(it) {
  atomic {
    if
    :: LATEST(me, DONE(it)) ->
#if MUTATION == 2
       see(me, DONE(it));
#else
       acquire(me);
#endif
       done = true
    :: else -> done = false
    fi
  }
}

inline start() {
  append();
  queue_move();
  look_whether_done(OPERATIONS);
#if MUTATION != 5
  if
  :: !done -> helper_wake()
  :: else
  fi
#endif
}

inline attend(it) {
  add(me, ATTENDED, 1);
  do
  :: true ->
#if MUTATION == 10
     queue_move();
#else
     if
     :: announced -> move_in_turn()
     :: else -> queue_move()
     fi;
#endif
     if
     :: moved && announced -> retract(); announced = false /* uni_wait_restart */
     :: else
     fi;
     look_whether_done(it);
     if
     :: done -> break
     :: else
     fi;
     if
     :: announced -> /* sleep_on_bell */
        fence(me);
        atomic {
          if
          :: memory[BELL] == bell -> sleeps_on[OWNER] = ON_BELL
          :: else
          fi
        }
        !sleeps_on[OWNER];
        retract();
        announced = false
     :: else ->
        announce();
        fence_all();
        announced = true
     fi
  od;
  if
  :: announced -> retract(); announced = false
  :: else
  fi;
#if MUTATION != 13
  add(me, ATTENDED, -1);
#endif
#if MUTATION != 6
  load(me, PENDING, seen);
  if
  :: seen -> helper_wake()
  :: else
  fi;
#endif
#if MUTATION == 13
  add(me, ATTENDED, -1)
#endif
}

inline watch(it) {
  atomic {
    LATEST(me, DONE(it));
#if MUTATION == 2
    see(me, DONE(it))
#else
    acquire(me)
#endif
  }
  read(me, STATUS(it), 1)
}

inline call_blocking() {
  atomic { seen = LATEST(me, COLLECTIVES); acquire(me) }
#if MUTATION == 4
  seen = 0;
#endif
  if
  :: !seen -> /* uni_drive, uni_quick */
     read(me, RUN, moves);
     atomic { moves++; store(me, RUN, moves) }
  :: else /* behind the others, as attend() has it */
  fi
}

proctype owner(byte me) {
  byte seen, bell, operation;
  bool moved, locked, arrived, done, announced;
  start();
#if OPERATIONS > 1
  attend(1);
  watch(2)
#else
  if
  :: attend(1)
  :: queue_move(); look_whether_done(1) /* unisono_test */
  :: call_blocking()
  :: true
  fi;
  watch(1)
#endif
}

/* ---- the helper's thread */

inline look_for_need() {
  atomic {
    load(me, PENDING, seen);
    if
    :: seen -> load(me, ATTENDED, seen); seen = !seen
    :: else
    fi
  }
}

proctype helper(byte me) {
  byte seen, bell, operation, wakes;
  bool moved, locked, arrived, announced;
  do
  :: true ->
#if MUTATION != 7
     atomic { wakes = LATEST(me, WAKES); acquire(me) }
#endif
     look_for_need();
     if
     :: seen -> queue_move()
     :: else
     fi;
     store_release(me, IS_ASLEEP, 1);
     look_for_need();
#if MUTATION == 8
     seen = 0;
#endif
     if
     :: seen -> announce(); fence_all(); announced = true
     :: else -> fence(me)
     fi;
     look_for_need();
     if
     :: seen ->
#if MUTATION == 9
        queue_move()
#else
        move_in_turn()
#endif
     :: else
     fi;
#if MUTATION == 7
     atomic { wakes = LATEST(me, WAKES); acquire(me) }
#endif
     fence(me);
     atomic {
       if
       :: memory[WAKES] == wakes && (!announced || memory[BELL] == bell) ->
          sleeps_on[HELPER] = (announced -> ON_WAKES | ON_BELL : ON_WAKES)
       :: else
       fi
     }
end_asleep:
     !sleeps_on[HELPER];
     if
     :: announced -> retract(); announced = false
     :: else
     fi;
     atomic { seen = 0; bell = 0; wakes = 0; moved = false; locked = false }
     store(me, IS_ASLEEP, 0)
  od
}

proctype peer(byte me) {
  byte seen, stamp;
  do
  :: stamp < OPERATIONS -> stamp = stamp + STRIDE; store_release(me, STAMP, stamp); ring()
  :: else -> break
  od
}

init {
  atomic { run owner(OWNER); run helper(HELPER); run peer(PEER) }
}
