/* Arriving: stamped lines in four slots used in turn, payload with them or in one of two rooms, and a root that
 * does not wait; or two ranks that trade one slot each.
 *
 * Stands for: uni_line_of, uni_publish_line, uni_has_arrived, uni_meet_arrivals (src/collectives/arrive.[hc]); uni_quick,
 * uni_is_quick (quick.h); last_awaited, step_to_work (run.c); uni_may_arrive, uni_inline_put,
 * uni_inline_deliver, uni_inline_is_one_sided (src/algorithms/inline.h); struct uni_slot, uni_room,
 * uni_traded_slot (src/shm/layout.h).
 *
 * Reduced: a line and the payload behind it are one location, as both lie between the same two stamps. Every
 * operation is one where all wait for all, or a broadcast with any root, alike on all ranks. Values are the
 * operation's number: what is read in operation n must say n.
 *
 *   variant: -DRANKS=3 -DOPERATIONS=2 -DSLOTS=3
 *   variant: -DOPERATIONS=3 -DLARGE=1
 *   variant: -DTRADES=1
 *   variant: -DTRADES=1 -DOPERATIONS=3 -DLARGE=1
 *
 *   mutation 1: the stamp is stored without release: it overtakes its line
 *   mutation 2: the stamp is stored without release: it overtakes the reads of the operation before
 *   mutation 3: the stamp is loaded without acquire
 *   mutation 4: there are three slots only
 *   mutation 5: a root that ran ahead does not meet the last arrivals (last_awaited, uni_quick)
 *   mutation 6: in an operation of all, a rank does not wait for the arrivals
 *   mutation 7 (-DOPERATIONS=3 -DLARGE=1): a root that ran ahead writes to a room at once (uni_may_arrive)
 *   mutation 8 (-DTRADES=1): a root that ran ahead writes to a traded slot at once (uni_may_arrive)
 *   mutation 9 (-DTRADES=1): a rank looks up in its line what it has said (uni_said_in)
 */
#ifndef RANKS
#define RANKS 2
#endif
#ifndef OPERATIONS
#define OPERATIONS 5
#endif

#ifndef LARGE
#define LARGE 0 /* 1: payloads of any operation may be in the rooms */
#endif

#ifndef TRADES
#define TRADES 0 /* 1: of two ranks, each writes where it has read the operation before */
#endif

#if MUTATION == 4
#define SLOTS 3
#endif
#if TRADES
#define SLOTS 1
#endif
#ifndef SLOTS
#define SLOTS 4 /* which operations of fewer than that do not need */
#endif
#define ROOMS (2 * LARGE)

#define PROCESSORS RANKS
#define OF_A_RANK (SLOTS + ROOMS) /* locations of data */
#define LOCATIONS (RANKS * (OF_A_RANK + SLOTS))
#if TRADES
#define PLACE(rank, sequence) ((rank) ^ ((sequence)&1))
#else
#define PLACE(rank, sequence) (rank)
#endif
#define SLOT(sequence) ((sequence) % SLOTS)
#define LINE(rank, sequence) (PLACE(rank, sequence) * OF_A_RANK + SLOT(sequence))
#define ROOM(rank, sequence) ((rank)*OF_A_RANK + SLOTS + (sequence) % 2)
#define STAMP(rank, sequence) (RANKS * OF_A_RANK + PLACE(rank, sequence) * SLOTS + SLOT(sequence))
#define IS_TRADED(x) (TRADES && (x) % OF_A_RANK == 0)
#define LOADS(p, x) ((x) < RANKS * OF_A_RANK && ((x) / OF_A_RANK != (p) || IS_TRADED(x)))

#include "memory.pml"

#define ALL RANKS /* instead of a root: no broadcast */
byte root[OPERATIONS + 1];
bool large[OPERATIONS + 1];
byte chosen;

/* uni_meet_arrivals, uni_quick_sees */
inline meet(sequence) {
  from = 0;
  do
  :: from < RANKS && from != me ->
     atomic {
       LATEST(me, STAMP(from, sequence)) == (sequence);
#if MUTATION == 3
       see(me, STAMP(from, sequence))
#else
       acquire(me)
#endif
     }
     read(me, LINE(from, sequence), sequence); /* uni_lines_agree */
#if MUTATION == 9
     read(me, LINE(me, sequence), sequence);
#endif
     from++
  :: from < RANKS && from == me -> from++
  :: else -> break
  od;
  from = 0
}

/* uni_inline_deliver */
inline deliver(sequence) {
  from = 0;
  do
  :: from < RANKS ->
     if
     :: from != me && (root[sequence] == ALL || root[sequence] == from) ->
        if
        :: large[sequence] -> read(me, ROOM(from, sequence), sequence)
        :: else -> read(me, LINE(from, sequence), sequence)
        fi
     :: else
     fi;
     from++
  :: else -> break
  od;
  from = 0
}

/* uni_inline_put, uni_publish_line */
inline publish(sequence) {
  if
  :: large[sequence] -> store(me, ROOM(me, sequence), sequence)
  :: else
  fi;
  store(me, LINE(me, sequence), sequence);
#if MUTATION == 1
  store_after_loads(me, STAMP(me, sequence), sequence);
#elif MUTATION == 2
  store_after_stores(me, STAMP(me, sequence), sequence);
#else
  store_release(me, STAMP(me, sequence), sequence);
#endif
}

proctype rank(byte me) {
  byte sequence, from;
  bool unmet; /* the operation before */
  chosen == OPERATIONS;
  do
  :: sequence < OPERATIONS ->
     sequence++;
#if MUTATION != 7 && MUTATION != 8
     if
     :: unmet && (large[sequence] || TRADES) -> meet(sequence - 1); unmet = false /* uni_may_arrive */
     :: else
     fi;
#endif
     publish(sequence);
#if MUTATION != 5
     if
     :: unmet -> meet(sequence - 1)
     :: else
     fi;
#endif
     unmet = (root[sequence] == me); /* uni_inline_is_one_sided */
#if MUTATION != 6
     if
     :: !unmet -> meet(sequence)
     :: else
     fi;
#endif
     deliver(sequence)
  :: else -> break
  od
}

init {
  byte which, it;
  do
  :: chosen < OPERATIONS -> atomic {
       select(it : 0 .. RANKS);
       root[chosen + 1] = it;
       if
       :: LARGE -> large[chosen + 1] = true
       :: large[chosen + 1] = false
       fi;
       chosen++
     }
  :: else -> break
  od;
  atomic {
    do
    :: which < RANKS -> run rank(which); which++
    :: else -> break
    od
  }
}
