/* Memory as weakly ordered processors have it (what Armv8 and RISC-V's RVWMO allow), for Spin, which by itself
 * knows only memory where all happens in one order.
 *
 * Every processor has a store buffer. A store waits there and reaches memory at any later time, in any order,
 * except that stores to one location stay in order and a release store stays behind all stores issued before
 * it. Loads are out of order as well, in both directions:
 *   early  a load may return what its location held at any time since the processor's last acquire;
 *   late   a load of data may still be under way until the processor's next release: no new value may reach
 *          its location until then, since the load might return it.
 * All processors see stores in one order once these have left their buffers (multi-copy atomicity, as both
 * architectures have it). Read-modify-writes act on memory at once.
 *
 * A model defines PROCESSORS, LOCATIONS (at most 24) and LOADS(p, x): whether the processor ever loads the
 * location without acquire (which saves states, and is checked). It includes this file and uses:
 *
 *   store(p, x, v)           a plain or relaxed store
 *   store_release(p, x, v)
 *   store_after_stores(p, x, v), store_after_loads(p, x, v)     half a release each, for mutations
 *   load(p, x, into)         a relaxed load
 *   LATEST(p, x)             what a load that is neither early nor late returns; followed by
 *   acquire(p)               in one atomic step it is an acquire load: loads that follow are not earlier
 *   see(p, x)                in one atomic step it is a relaxed load
 *   read(p, x, want)         a plain load of data, which must find `want` however early or late it is
 *   fence(p)                 atomic_thread_fence(memory_order_seq_cst)
 *   membarrier(p)            all processors fence, wherever they are
 *   add(p, x, n)             a relaxed atomic_fetch_add
 *   add_release(p, x, n), add_acq_rel(p, x, n)
 */

#ifndef MUTATION
#define MUTATION 0
#endif

typedef Processor {
  byte stored[LOCATIONS]; /* the store buffer: the values, */
  int buffered;           /* a bit for each location that has one there, */
  int behind[LOCATIONS];  /* and the locations that a release store waits for */
  byte early[LOCATIONS];  /* what a load may have read ahead of its turn */
  int reading             /* a bit for each location that a load may not have returned from */
};

byte memory[LOCATIONS];
Processor processor[PROCESSORS];

hidden byte other; /* of loops within one step */
hidden byte place;
hidden byte leaving;

#define BIT(x) (1 << (x))
#define IS_BUFFERED(p, x) ((processor[p].buffered & BIT(x)) != 0)
#define IS_READY(p, x) (IS_BUFFERED(p, x) && !(processor[p].behind[x] & processor[p].buffered))
#define LATEST(p, x) (IS_BUFFERED(p, x) -> processor[p].stored[x] : memory[x])

/* No other processor may be reading what changes. */
inline check_readers(p, x) {
  other = 0;
  do
  :: other < PROCESSORS ->
     assert(other == p || !(processor[other].reading & BIT(x)));
     other++
  :: else -> break
  od;
  other = 0
}

/* A store leaves the buffer. */
inline perform(p, x) {
  check_readers(p, x);
  memory[x] = processor[p].stored[x];
  see(p, x);
  processor[p].stored[x] = 0;
  processor[p].behind[x] = 0;
  processor[p].buffered = processor[p].buffered & ~BIT(x);
  place = 0;
  do
  :: place < LOCATIONS ->
     processor[p].behind[place] = processor[p].behind[place] & ~BIT(x);
     place++
  :: else -> break
  od;
  place = 0
}

/* All that the processor has under way is completed, in one step. */
inline complete(p) {
  leaving = 0;
  do
  :: leaving < LOCATIONS ->
     if
     :: IS_BUFFERED(p, leaving) -> perform(p, leaving)
     :: else
     fi;
     leaving++
  :: else -> break
  od;
  leaving = 0;
  processor[p].reading = 0;
  acquire(p)
}

inline acquire(p) {
  place = 0;
  do
  :: place < LOCATIONS -> see(p, place); place++
  :: else -> break
  od;
  place = 0
}

inline see(p, x) {
  processor[p].early[x] = (LOADS(p, x) -> memory[x] : 0)
}

inline put(p, x, v, waits_for) {
  atomic {
    !IS_BUFFERED(p, x); /* stores to one location stay in order */
    d_step {
      processor[p].stored[x] = v;
      processor[p].behind[x] = waits_for;
      processor[p].buffered = processor[p].buffered | BIT(x)
    }
  }
}

inline store(p, x, v) {
  put(p, x, v, 0)
}

/* Stores before it reach memory before it. */
inline store_after_stores(p, x, v) {
  put(p, x, v, processor[p].buffered)
}

/* Loads before it have returned. */
inline store_after_loads(p, x, v) {
  atomic {
    !IS_BUFFERED(p, x);
    processor[p].reading = 0;
    put(p, x, v, 0)
  }
}

inline store_release(p, x, v) {
  atomic {
    !IS_BUFFERED(p, x);
    processor[p].reading = 0;
    put(p, x, v, processor[p].buffered)
  }
}

inline load(p, x, into) {
  atomic {
    assert(LOADS(p, x));
    if
    :: IS_BUFFERED(p, x) -> into = processor[p].stored[x]
    :: else ->
       if
       :: into = processor[p].early[x]
       :: into = memory[x]; see(p, x)
       fi
    fi
  }
}

inline read(p, x, want) {
  atomic {
    assert(LOADS(p, x));
    assert(!IS_BUFFERED(p, x) -> memory[x] == (want) && processor[p].early[x] == (want)
                              : processor[p].stored[x] == (want));
    processor[p].reading = processor[p].reading | BIT(x)
  }
}

inline fence(p) {
  atomic {
    processor[p].buffered == 0;
    d_step { processor[p].reading = 0; acquire(p) }
  }
}

/* The kernel fences, interrupts one processor after the other, and fences again. The process that calls has a
 * variable `interrupted`. */
inline membarrier(p) {
  fence(p);
  do
  :: interrupted < PROCESSORS -> d_step { complete(interrupted); interrupted++ }
  :: else -> break
  od;
  interrupted = 0;
  fence(p)
}

inline add(p, x, n) {
  atomic {
    !IS_BUFFERED(p, x);
    d_step { check_readers(p, x); memory[x] = memory[x] + (n); see(p, x) }
  }
}

inline add_release(p, x, n) {
  atomic {
    processor[p].buffered == 0;
    processor[p].reading = 0;
    add(p, x, n)
  }
}

inline add_acq_rel(p, x, n) {
  atomic {
    add_release(p, x, n);
    acquire(p)
  }
}

/* ---- the store buffers at work */

#define DRAIN(p, x) :: d_step { IS_READY(p, x) -> perform(p, x) }
#define DRAIN_4(p, x) DRAIN(p, x) DRAIN(p, x + 1) DRAIN(p, x + 2) DRAIN(p, x + 3)

active [PROCESSORS] proctype buffer() {
end:
  do
  DRAIN_4(_pid, 0)
#if LOCATIONS > 4
  DRAIN_4(_pid, 4)
#endif
#if LOCATIONS > 8
  DRAIN_4(_pid, 8)
#endif
#if LOCATIONS > 12
  DRAIN_4(_pid, 12)
#endif
#if LOCATIONS > 16
  DRAIN_4(_pid, 16)
#endif
#if LOCATIONS > 20
  DRAIN_4(_pid, 20)
#endif
  od
}
