/* Arriving: stamped lines in two slots used in turn, payload with them, and a root that does not wait.
 *
 * Stands for: uni_publish_line, uni_has_arrived, uni_meet_arrivals (src/collectives/arrive.[hc]); uni_quick,
 * uni_is_quick (quick.h); meet_last, enter (run.c); uni_inline_put, uni_inline_deliver,
 * uni_inline_is_one_sided (src/algorithms/inline.h); struct uni_slot (src/shm/layout.h).
 *
 * Reduced: a line and the payload behind it are one location, as both lie between the same two stamps. Every
 * operation is one where all wait for all, or a broadcast with any root, alike on all ranks. Values are the
 * operation's number: a line read in operation n must say n.
 *
 *   variant: -DRANKS=3 -DOPERATIONS=2
 *
 *   mutation 1: the stamp is stored without release: it overtakes its line
 *   mutation 2: the stamp is stored without release: it overtakes the reads of the operation before
 *   mutation 3: the stamp is loaded without acquire
 *   mutation 4: there is one slot only
 *   mutation 5: a root that ran ahead does not meet the last arrivals (uni_is_quick, meet_last)
 *   mutation 6: in an operation of all, a rank does not wait for the arrivals
 */
#ifndef RANKS
#define RANKS 2
#endif
#ifndef OPERATIONS
#define OPERATIONS 5
#endif

#if MUTATION == 4
#define SLOTS 1
#else
#define SLOTS 2
#endif

#define PROCESSORS RANKS
#define LOCATIONS (RANKS * SLOTS * 2)
#define LINE(rank, sequence) ((rank)*SLOTS + (sequence) % SLOTS)
#define STAMP(rank, sequence) (RANKS * SLOTS + LINE(rank, sequence))
#define LOADS(p, x) ((x) < RANKS * SLOTS && (x) / SLOTS != (p))

#include "memory.pml"

#define ALL RANKS /* instead of a root: no broadcast */
byte root[OPERATIONS + 1];
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
        read(me, LINE(from, sequence), sequence)
     :: else
     fi;
     from++
  :: else -> break
  od;
  from = 0
}

proctype rank(byte me) {
  byte sequence, from;
  bool unmet;
  chosen == OPERATIONS;
  do
  :: sequence < OPERATIONS ->
#if MUTATION != 5
     if
     :: unmet -> meet(sequence) /* meet_last */
     :: else
     fi;
#endif
     sequence++;
     store(me, LINE(me, sequence), sequence); /* uni_inline_put, uni_publish_line */
#if MUTATION == 1
     store_after_loads(me, STAMP(me, sequence), sequence);
#elif MUTATION == 2
     store_after_stores(me, STAMP(me, sequence), sequence);
#else
     store_release(me, STAMP(me, sequence), sequence);
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
