/* Stages: chunks through the rings of both kinds, one step staged before it is read, steps counted.
 *
 * Stands for: arrive_with_buffers, publish_counts, stage_first_chunk (src/collectives/arrive.c); awaited, all_did,
 * check_pairs, do_step, publish_step, uni_run_advance, settle (run.c); view_peers and the steps of
 * uni_make_plan (plan.c); uni_stage_begin, uni_stage_advance, uni_stage_place, uni_stage_part (src/algorithms/stage.c).
 *
 * Reduced: one lane. All buffers are private, so nobody waits for all at the end (plan.together is false). A
 * ring has two turns, where the library's have four or more: two are what the design needs, and three where
 * results return into the stages that their inputs came from, which is a variant, or where who is read from runs ahead. In the other one the readers of
 * what is copied write it back (src/shm/handover.c), and in a third one what is copied goes by way of traded rooms
 * (uni_stage_part). In the last one all that is copied goes to or from a root, and only the two ends of a copy wait for
 * each other (plan.flows). Results that return and traded rooms are of two ranks: of more, each pair has lines of its own.
 * Rooms are of one size. The lines of the arrival are arrival.pml's: here are their stamps only. Every operation has one or two
 * chunks (three, where results return or rooms are traded; in the last variant four in two operations) and is a reduction (with results gathered), a copy, or a v-collective (with
 * counts), alike on all ranks. Values name the operation and the chunk.
 *
 *   variant: -DRETURNS -DOPERATIONS=2
 *   variant: -DTOUCHES
 *   variant: -DTRADES -DOPERATIONS=2
 *   variant: -DFLOWS -DOPERATIONS=2
 *   variant (long): -DFLOWS -DRANKS=3 -DOPERATIONS=2 -DCHUNKS=2
 *   mutation 1: a finished step is shown without release: it overtakes what was staged in it
 *   mutation 2: a finished step is shown without release: it overtakes the reads in it
 *   mutation 3: the peers' finished steps are loaded without acquire
 *   mutation 4: a step does not wait for the one before
 *   mutation 5: a ring has one turn
 *   mutation 6: an operation's first chunk takes the ring's first turn again
 *   mutation 7: v-collectives do not lag a step: counts may be written again while they are read
 *   mutation 8: the stamp is stored without release: it overtakes the first chunk
 *   mutation 9 (-DRETURNS -DOPERATIONS=2): two turns, where a chunk is read once more when it has returned
 *   mutation 10 (-DRETURNS -DOPERATIONS=2): a finished step is shown without release: it overtakes the return
 *   mutation 11 (-DTOUCHES): a ring has one turn, where readers write back what they have read
 *   mutation 12 (-DTOUCHES): a finished step is shown without release: it overtakes what was written back
 *   mutation 13 (-DTRADES -DOPERATIONS=2): an operation begins on the side where the one before began
 *   mutation 14 (-DTRADES -DOPERATIONS=2): a pair has one room on either side
 *   mutation 15 (-DTRADES -DOPERATIONS=2): a finished step is shown without release: it overtakes what was staged
 *   mutation 16 (-DFLOWS -DOPERATIONS=2): who is read from runs ahead by as many chunks as there are turns
 *   mutation 17 (-DFLOWS -DOPERATIONS=2): a finished step is shown without release: it overtakes the reads in it
 *   mutation 18 (-DFLOWS -DOPERATIONS=2): a finished step is shown without release: it overtakes what was staged
 *   mutation 19 (-DFLOWS -DOPERATIONS=2): who reads does not wait for who is read from
 */
#ifndef RANKS
#define RANKS 2
#endif
#ifndef OPERATIONS
#define OPERATIONS 3
#endif
#ifndef CHUNKS
#if defined FLOWS
#define CHUNKS 4
#elif defined RETURNS || defined TRADES
#define CHUNKS 3
#else
#define CHUNKS 2
#endif
#endif

#if MUTATION == 5 || MUTATION == 11
#define TURNS 1
#elif defined FLOWS || (defined RETURNS && MUTATION != 9)
#define TURNS 3
#else
#define TURNS 2
#endif

#define PROCESSORS RANKS
#if MUTATION == 14
#define ROOMS 1
#else
#define ROOMS 2
#endif
#ifdef TRADES
#define EACH (4 + 2 * TURNS + ROOMS) /* locations of a rank */
#elif defined FLOWS
#define EACH (4 + TURNS)
#else
#define EACH (4 + 2 * TURNS)
#endif
#define LOCATIONS (RANKS * EACH)
#define STAMP(rank) ((rank)*EACH + operation % 2)
#define DONE(rank) ((rank)*EACH + 2)
#define COUNTS(rank) ((rank)*EACH + 3)
#define IN(rank, chunk) ((rank)*EACH + 4 + (turn + (chunk)) % TURNS)
#define OUT(rank, chunk) ((rank)*EACH + 4 + TURNS + (turn + (chunk)) % TURNS)
#if defined RETURNS || defined TOUCHES || defined TRADES
#define LOADS(p, x) ((x) % EACH >= 3) /* all but the stamps and steps */
#else
#define LOADS(p, x) ((x) % EACH >= 3 && (x) / EACH != (p)) /* and what others do not write */
#endif
#ifdef TRADES
#define TRADED(owner, chunk) ((owner)*EACH + 4 + 2 * TURNS + (chunk) % ROOMS)
#endif
#define NAME(chunk) (operation * 8 + (chunk))
#define RESULT(chunk) (NAME(chunk) + 4)

#include "memory.pml"

mtype = { REDUCE, COPY, V, LEAVES, COMES };
mtype kind[OPERATIONS + 1];
byte chunks[OPERATIONS + 1];
byte root[OPERATIONS + 1];
byte chosen;

#if MUTATION == 16
#define AHEAD TURNS
#else
#define AHEAD (TURNS - 1)
#endif
#define LAG (kind[operation] == V && MUTATION != 7 -> 1 : 0)
#define GATHERS (kind[operation] == REDUCE -> 1 : 0)
#define PEERS(body)                                   \
  peer = 0;                                           \
  do                                                  \
  :: peer < RANKS && peer != me -> body; peer++       \
  :: peer < RANKS && peer == me -> peer++             \
  :: else -> break                                    \
  od;                                                 \
  peer = 0

#ifdef FLOWS
#define STAGES ((kind[operation] == LEAVES) == (me == root[operation]))
#define READS (kind[operation] == LEAVES -> peer == root[operation] : me == root[operation])
#else
#define STAGES true
#define READS true
#endif

/* uni_stage_part */
inline locate(sender, reader, chunk) {
#ifdef TRADES
  if
  :: kind[operation] == REDUCE -> spot = IN(sender, chunk)
  :: kind[operation] != REDUCE && (traded[(chunk) % ROOMS] + (chunk) / ROOMS) % 2 == 0 -> spot = TRADED(sender, chunk)
  :: else -> spot = TRADED(reader, chunk)
  fi
#else
  spot = IN(sender, chunk)
#endif
}

inline meet_peer() {
  atomic { LATEST(me, STAMP(peer)) == operation; acquire(me) }
}

inline view_peer() {
  read(me, COUNTS(peer), operation)
}

/* awaited */
inline await_step() {
#ifdef FLOWS
  if
  :: me != root[operation] && peer != root[operation]
#if MUTATION == 19
  :: READS
#else
  :: READS -> await_peer(steps + at - 1)
#endif
  :: (me == root[operation] || peer == root[operation]) && !READS ->
     if
     :: at == chunks[operation] -> await_peer(steps + at - 1)
     :: at != chunks[operation] && at > AHEAD -> await_peer(steps + at - AHEAD)
     :: else
     fi
  fi
#else
  await_peer(steps + at - 1)
#endif
}

/* all_did */
inline await_peer(number) {
#if MUTATION == 3
  atomic { LATEST(me, DONE(peer)) >= (number); see(me, DONE(peer)) }
#elif MUTATION == 4
  skip
#else
  atomic { LATEST(me, DONE(peer)) >= (number); acquire(me) }
#endif
}

inline arrive() {
  if
  :: kind[operation] == V -> store(me, COUNTS(me), operation)
  :: else
  fi;
  if
  :: STAGES -> locate(me, 1 - me, 0); store(me, spot, NAME(0))
  :: else
  fi;
#if MUTATION == 8
  store(me, STAMP(me), operation)
#else
  store_release(me, STAMP(me), operation)
#endif
}

/* at - LAG is the step of do_step */
inline do_step() {
  if
  :: STAGES && at > LAG && at - LAG < chunks[operation] ->
     locate(me, 1 - me, at - LAG);
     store(me, spot, NAME(at - LAG))
  :: else
  fi;
  if
  :: at > LAG && at - LAG <= chunks[operation] ->
     PEERS(
       if
       :: READS -> locate(peer, me, at - LAG - 1); read(me, spot, NAME(at - LAG - 1))
       :: else
       fi
     );
     if
#ifdef TOUCHES
     :: kind[operation] == COPY -> PEERS(store(me, IN(peer, at - LAG - 1), NAME(at - LAG - 1)))
#endif
#ifdef RETURNS
     :: kind[operation] == REDUCE -> PEERS(store(me, IN(peer, at - LAG - 1), RESULT(at - LAG - 1)))
#else
     :: kind[operation] == REDUCE -> store(me, OUT(me, at - LAG - 1), NAME(at - LAG - 1))
#endif
     :: else
     fi
  :: else
  fi;
  if
#ifdef RETURNS
  :: GATHERS && at >= LAG + 2 -> PEERS(read(me, IN(me, at - LAG - 2), RESULT(at - LAG - 2)))
#else
  :: GATHERS && at >= LAG + 2 -> PEERS(read(me, OUT(peer, at - LAG - 2), NAME(at - LAG - 2)))
#endif
  :: else
  fi
}

inline publish_step() {
#if MUTATION == 1 || MUTATION == 10 || MUTATION == 12 || MUTATION == 15 || MUTATION == 18
  store_after_loads(me, DONE(me), steps + at)
#elif MUTATION == 2 || MUTATION == 17
  store_after_stores(me, DONE(me), steps + at)
#else
  store_release(me, DONE(me), steps + at)
#endif
}

proctype rank(byte me) {
  byte operation, peer, at, steps, turn, spot;
  byte traded[ROOMS];
  chosen == OPERATIONS;
  do
  :: operation < OPERATIONS ->
     operation++;
     arrive();
     PEERS(meet_peer());
     if
     :: kind[operation] == V -> PEERS(view_peer()) /* sent_bytes */
     :: else
     fi;
     at = 1;
     do
     :: at <= LAG + chunks[operation] + GATHERS ->
        if
        :: at > 1 -> PEERS(await_step())
        :: else
        fi;
        if
        :: kind[operation] == V && at == 1 -> PEERS(view_peer()) /* check_pairs */
        :: else
        fi;
        do_step();
        publish_step();
        at++
     :: else -> break
     od;
     atomic { /* settle */
       steps = steps + at - 1;
#ifdef TRADES
       if
       :: kind[operation] != REDUCE && MUTATION != 13 ->
          traded[0] = traded[0] + (chunks[operation] + ROOMS - 1) / ROOMS;
          traded[ROOMS - 1] = traded[ROOMS - 1] + (ROOMS == 2 -> chunks[operation] / 2 : 0)
       :: else
       fi;
#endif
#if MUTATION != 6
       turn = (turn + chunks[operation]) % TURNS;
#endif
       at = 0
     }
  :: else -> break
  od
}

init {
  byte which;
  do
  :: chosen < OPERATIONS -> atomic {
       if
#ifdef FLOWS
       :: kind[chosen + 1] = LEAVES; root[chosen + 1] = 0
       :: kind[chosen + 1] = LEAVES; root[chosen + 1] = RANKS - 1
       :: kind[chosen + 1] = COMES; root[chosen + 1] = RANKS - 1
#else
       :: kind[chosen + 1] = REDUCE
       :: kind[chosen + 1] = COPY
       :: kind[chosen + 1] = V
#endif
       fi;
       select(which : 1 .. CHUNKS);
       chunks[chosen + 1] = which;
       chosen++;
       which = 0
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
