/* A channel between two ranks: packets on a ring of lines, answers to large messages on another.
 *
 * Stands for: has_room, uni_outlet_put, uni_outlet_hear, uni_inlet_head, uni_inlet_look, uni_inlet_drop,
 * uni_inlet_say (src/p2p/channel.c); the copy from the sender's buffer and its end in copy_shared,
 * answer_all (receive.c) and hear_answers (send.c).
 *
 * Reduced: the ring has two lines and a packet takes one; there is room for one answer. A message is small
 * and has its data in the packet, or large, with its data in the sender's buffer: the receiver reads that and
 * answers UNI_TAKEN, and the sender then writes the buffer again. Two buffers are used in turn. Values are the
 * message's number, or the large message's. Nobody sleeps here (see sleep.pml).
 *
 *   mutation 1: the head is stored without release: it overtakes the packet
 *   mutation 2: the head is loaded without acquire
 *   mutation 3: the tail is stored without release: it overtakes the reading of the packet
 *   mutation 4: the sender does not look for room
 *   mutation 5: `said` is stored without release: it overtakes the answer
 *   mutation 6: `said` is stored without release: it overtakes the reading of the buffer
 *   mutation 7: `said` is loaded without acquire
 *   mutation 8: the receiver does not look whether its last answer was heard
 */
#ifndef MESSAGES
#define MESSAGES 5
#endif

#define PROCESSORS 2
#define SENDER 0
#define RECEIVER 1

#define LINES 2
#define LOCATIONS 9
#define LINE(n) ((n) % LINES)
#define BUFFER(n) (2 + (n) % 2)
#define ANSWER 4
#define HEAD 5
#define TAIL 6
#define SAID 7
#define HEARD 8
#define LOADS(p, x) ((p) == RECEIVER && (x) <= 3 || (p) == SENDER && (x) == ANSWER)

#include "memory.pml"

bool large[MESSAGES];
byte chosen;

proctype sender(byte me) {
  byte head, announced, heard;
  do
  :: atomic { /* has_room */
       head < MESSAGES &&
       (LINES - (head - LATEST(me, TAIL)) >= 1 || MUTATION == 4) &&
       (!large[head] || announced - heard < 2); /* a buffer is free */
       acquire(me)
     }
     if
     :: large[head] -> announced++; store(me, BUFFER(announced), announced)
     :: else
     fi;
     store(me, LINE(head), head + 1);
     head++;
#if MUTATION == 1
     store_after_loads(me, HEAD, head)
#else
     store_release(me, HEAD, head)
#endif
  :: heard < announced -> /* uni_outlet_hear */
     atomic {
       LATEST(me, SAID) != heard;
#if MUTATION == 7
       see(me, SAID)
#else
       acquire(me)
#endif
     }
     heard++;
     read(me, ANSWER, heard);
     store_release(me, HEARD, heard);
     store(me, BUFFER(heard), 0) /* it is its owner's again */
  :: head == MESSAGES && heard == announced -> break
  od
}

/* The receiver's half of a large message. */
inline take() {
  said++;
  read(me, BUFFER(said), said); /* copy_shared */
#if MUTATION != 8
  atomic { LATEST(me, HEARD) == said - 1; acquire(me) }
#endif
  store(me, ANSWER, said); /* uni_inlet_say */
#if MUTATION == 5
  store_after_loads(me, SAID, said)
#elif MUTATION == 6
  store_after_stores(me, SAID, said)
#else
  store_release(me, SAID, said)
#endif
}

proctype receiver(byte me) {
  byte tail, said;
  do
  :: tail < MESSAGES ->
     atomic { /* uni_inlet_head */
       LATEST(me, HEAD) > tail;
#if MUTATION == 2
       see(me, HEAD)
#else
       acquire(me)
#endif
     }
     read(me, LINE(tail), tail + 1); /* uni_inlet_look */
     if
     :: large[tail] -> take()
     :: else
     fi;
     tail++;
#if MUTATION == 3
     store_after_stores(me, TAIL, tail) /* uni_inlet_drop */
#else
     store_release(me, TAIL, tail)
#endif
  :: else -> break
  od
}

init {
  do
  :: chosen < MESSAGES -> large[chosen] = true; chosen++
  :: chosen < MESSAGES -> chosen++
  :: else -> break
  od;
  atomic { run sender(SENDER); run receiver(RECEIVER) }
}
