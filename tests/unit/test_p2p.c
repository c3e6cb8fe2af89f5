/* Messages between ranks that all live in this thread, over memory that is shared by nature: order and
 * matching, every way that data takes, full rings, wrong and corrupt messages, and failures. What p2p needs
 * of the rest of the library is played here. */
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "comm.h"
#include "error.h"
#include "kernels/reduce.h"
#include "p2p/channel.h"
#include "p2p/p2p.h"
#include "shm/wait.h"

/* ------------------------------------------------------------------------ malloc that can fail */

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);

static bool malloc_fails;

void *__wrap_malloc(size_t bytes) {
  return malloc_fails ? NULL : __real_malloc(bytes);
}

/* ------------------------------------------------------------------- the rest of the library */

enum { RANKS = 3, ARENA = 4 << 20, RING = 32 << 10 };

static _Alignas(64) char arena[ARENA]; /* the caller's shared memory, of all ranks */
static _Alignas(64) char ring_memory[RANKS * RANKS * RING];

static struct uni_segment segment = {.base = arena, .bytes = ARENA};
static struct uni_segment rings = {.base = ring_memory, .bytes = sizeof ring_memory};
static struct uni_header header;
static struct uni_place places[RANKS];
static struct uni_channel channels[RANKS * RANKS];
static int world_ranks[RANKS] = {0, 1, 2};
static struct uni_world worlds[RANKS];
static unisono_comm comms[RANKS];
static char cause[UNI_TEXT];
static int wakes[RANKS];

bool uni_memory_resolve(struct uni_world *world, const void *buffer, size_t bytes, struct uni_ref *ref) {
  (void)world;
  size_t offset = (size_t)((uintptr_t)buffer - (uintptr_t)arena);
  bool is_shared = offset < ARENA && bytes <= ARENA - offset;
  *ref = (struct uni_ref){.offset = is_shared ? offset & UNI_OFFSET_MAX : 0,
                          .segment = is_shared ? 7 : UNI_PRIVATE};
  return true;
}

struct uni_segment *uni_world_segment(struct uni_world *world, int peer, uint32_t id) {
  CHECK(world != &worlds[peer]); /* a rank is no peer of itself */
  return id == 7 ? &segment : NULL;
}

unisono_status uni_comm_failure(unisono_comm *comm) {
  return uni_fail((unisono_status)atomic_load(&comm->header->cause), "%s", cause);
}

unisono_status uni_comm_break(unisono_comm *comm, unisono_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  if (!uni_comm_is_broken(comm)) {
    vsnprintf(cause, sizeof cause, format, arguments);
    atomic_store(&header.cause, (uint64_t)status);
  }
  va_end(arguments);
  return uni_comm_failure(comm);
}

void uni_wake_rank(unisono_comm *comm, int rank) {
  CHECK(comm->size == RANKS);
  wakes[rank]++;
}

const unsigned char uni_dtype_sizes[UNI_DTYPES] = {[UNISONO_UINT8] = 1, [UNISONO_INT32] = 4};

const char *uni_dtype_name(unisono_dtype dtype) {
  return dtype == UNISONO_UINT8 ? "uint8" : "int32";
}

/* --------------------------------------------------------------------------------------- tools */

static void begin(void) {
  memset(&header, 0, sizeof header);
  memset(places, 0, sizeof places);
  memset(channels, 0, sizeof channels);
  memset(wakes, 0, sizeof wakes);
  cause[0] = 0;
  for (int r = 0; r < RANKS; r++) {
    comms[r] = (unisono_comm){.world = &worlds[r], .size = RANKS, .rank = r, .world_ranks = world_ranks};
    CHECK(uni_p2p_open(&comms[r]) == UNISONO_OK);
    comms[r].header = &header;
    comms[r].places = places;
    comms[r].channels = channels;
    comms[r].segment = &rings;
    comms[r].layout.ring_bytes = RING;
  }
}

static void leave(int rank) {
  atomic_store(&places[rank].left, 1);
  uni_p2p_close(&comms[rank]);
}

static void end(void) {
  for (int r = 0; r < RANKS; r++)
    if (comms[r].p2p)
      leave(r);
}

static void progress_all(void) {
  for (bool moved = true; moved;) {
    moved = false;
    for (int r = 0; r < RANKS; r++)
      if (comms[r].p2p)
        moved |= uni_p2p_progress(&comms[r]);
  }
}

static bool is_done(const struct uni_transfer *t) {
  return atomic_load(&t->done);
}

static bool is_ok(const struct uni_transfer *t) {
  return is_done(t) && t->status == UNISONO_OK;
}

static struct uni_transfer bytes_of(bool is_send, void *buffer, size_t bytes, int peer, int tag) {
  return (struct uni_transfer){.is_send = is_send,
                               .buffer = buffer,
                               .count = bytes,
                               .element = 1,
                               .dtype = UNISONO_UINT8,
                               .peer = peer,
                               .tag = tag};
}

static void start_send(struct uni_transfer *t, int from, const void *buffer, size_t bytes, int to, int tag) {
  *t = bytes_of(true, (void *)(uintptr_t)buffer, bytes, to, tag);
  uni_p2p_start(&comms[from], t);
}

static void start_recv(struct uni_transfer *t, int at, void *buffer, size_t bytes, int from, int tag) {
  *t = bytes_of(false, buffer, bytes, from, tag);
  uni_p2p_start(&comms[at], t);
}

static bool got(const struct uni_transfer *t, int peer, int tag, size_t count) {
  return is_ok(t) && t->got.peer == peer && t->got.tag == tag && t->got.count == count;
}

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

static void fill(char *buffer, size_t bytes, uint64_t seed) {
  for (size_t i = 0; i < bytes; i++)
    buffer[i] = (char)((seed + i) * 37 + (i >> 8));
}

static bool is_filled(const char *buffer, size_t bytes, uint64_t seed) {
  for (size_t i = 0; i < bytes; i++)
    if (buffer[i] != (char)((seed + i) * 37 + (i >> 8)))
      return false;
  return true;
}

/* ------------------------------------------------------------------------------- data and order */

static const size_t sizes[] = {0, 1, 47, 48, 49, 64, 4095, 4096, 4097, 8127, 8128, 8129, 32768, 300001};
enum { SIZES = sizeof sizes / sizeof *sizes, LARGEST = 300001 };

static char out[LARGEST], in[LARGEST + 64];

static void exchange(const char *source, size_t bytes, int from, int to, bool receive_first) {
  struct uni_transfer s, r;
  memset(in, 0x5a, sizeof in);
  if (receive_first)
    start_recv(&r, to, in, bytes + 5, from, 3);
  start_send(&s, from, source, bytes, to, 3);
  if (!receive_first)
    start_recv(&r, to, in, bytes + 5, from, 3);
  progress_all();
  CHECK(is_ok(&s) && got(&r, from, 3, bytes));
  CHECK(memcmp(in, source, bytes) == 0);
  for (size_t i = 0; i < 64; i++)
    CHECK(in[bytes + i] == 0x5a);
}

/* Every size arrives whole, from private and from shared memory, to others and to oneself, and nothing behind
 * it is written. */
static void test_sizes(void) {
  begin();
  char *shared = arena + ARENA - LARGEST;
  fill(out, LARGEST, 1);
  fill(shared, LARGEST, 2);
  for (int i = 0; i < SIZES; i++)
    for (int to = 0; to < RANKS; to++)
      for (int first = 0; first < 2; first++) {
        exchange(out, sizes[i], 1, to, first);
        exchange(shared, sizes[i], 1, to, first);
      }
  CHECK(wakes[0] > 0 && wakes[2] > 0);
  end();
}

/* Messages under one tag keep their order, small and large ones mixed; those under others overtake them. */
static void test_order(void) {
  begin();
  enum { N = 40 };
  struct uni_transfer s[N], r[N];
  static char to[N][9000];
  fill(out, LARGEST, 0);
  for (int i = 0; i < N; i++)
    start_send(&s[i], 0, out + i, i % 3 ? (size_t)i : 9000, 1, i % 2);
  for (int odd = 1; odd >= 0; odd--)
    for (int i = odd; i < N; i += 2)
      start_recv(&r[i], 1, to[i], 9000, 0, odd);
  progress_all();
  for (int i = 0; i < N; i++)
    CHECK(is_ok(&s[i]) && got(&r[i], 0, i % 2, i % 3 ? (size_t)i : 9000) &&
          memcmp(to[i], out + i, r[i].got.count) == 0);
  end();
}

/* Receives posted first get messages in the order of posting, where tags and peers allow it. */
static void test_posted_order(void) {
  begin();
  struct uni_transfer r[4], s;
  char to[4];
  start_recv(&r[0], 0, &to[0], 1, 2, UNI_ANY);
  start_recv(&r[1], 0, &to[1], 1, UNI_ANY, 5);
  start_recv(&r[2], 0, &to[2], 1, UNI_ANY, UNI_ANY);
  start_recv(&r[3], 0, &to[3], 1, 1, UNI_ANY);
  CHECK(uni_p2p_misses(&r[0], 2) && !uni_p2p_misses(&r[0], 1) && uni_p2p_misses(&r[1], 1) &&
        uni_p2p_misses(&r[1], 2));
  start_send(&s, 1, "a", 1, 0, 4);
  start_send(&s, 1, "b", 1, 0, 5);
  start_send(&s, 1, "c", 1, 0, 5);
  start_send(&s, 2, "d", 1, 0, 5);
  progress_all();
  CHECK(got(&r[2], 1, 4, 1) && got(&r[1], 1, 5, 1) && got(&r[3], 1, 5, 1) && got(&r[0], 2, 5, 1));
  CHECK(memcmp(to, "dbac", 4) == 0);
  end();
}

/* Receives from any rank get a busy peer's messages in order, and those of the others in between. */
static void test_any_source(void) {
  begin();
  struct uni_transfer s, r;
  int next[RANKS] = {0}, longest = 0, in_a_row = 0, last = -1;
  for (int i = 0; i < 50; i++)
    for (int from = 0; from < RANKS; from++)
      start_send(&s, from, &i, sizeof i, 0, from);
  for (int i = 0; i < 50 * RANKS; i++) {
    int number;
    start_recv(&r, 0, &number, sizeof number, UNI_ANY, UNI_ANY);
    CHECK(is_ok(&r) && r.got.tag == r.got.peer && number == next[r.got.peer]++);
    in_a_row = r.got.peer == last ? in_a_row + 1 : 1;
    last = r.got.peer;
    longest = in_a_row > longest ? in_a_row : longest;
  }
  CHECK(longest < 25);
  end();
}

/* More than the ring and the slots hold: the rest waits its turn at the sender, and all arrive. */
static void test_backlog(void) {
  begin();
  enum { N = 300 };
  static struct uni_transfer s[2 * N];
  struct uni_transfer r;
  fill(out, LARGEST, 0);
  for (int i = 0; i < N; i++) {
    start_send(&s[2 * i], 2, out + i, 4097, 1, 0);
    start_send(&s[2 * i + 1], 2, out + i, 4000, 1, 1);
  }
  progress_all();
  CHECK(!is_done(&s[2 * N - 1]) && !is_done(&s[0]) && is_done(&s[1]));
  for (int tag = 1; tag >= 0; tag--)
    for (int i = 0; i < N; i++) {
      start_recv(&r, 1, in, 5000, 2, tag);
      progress_all();
      CHECK(got(&r, 2, tag, tag ? 4000 : 4097) && memcmp(in, out + i, r.got.count) == 0);
    }
  for (int i = 0; i < 2 * N; i++)
    CHECK(is_ok(&s[i]));
  end();
}

/* What nobody asks for stays on the ring: its sender waits instead of filling the receiver's memory. */
static void test_back_pressure(void) {
  begin();
  static struct uni_transfer s[1000];
  struct uni_transfer r;
  for (int i = 0; i < 1000; i++)
    start_send(&s[i], 1, "x", 1, 0, 0);
  progress_all();
  CHECK(is_done(&s[511]) && !is_done(&s[512]));
  start_recv(&r, 0, in, 1, 1, 0);
  progress_all();
  CHECK(is_ok(&r) && is_done(&s[512]) && !is_done(&s[513]));
  CHECK(!uni_p2p_progress(&comms[0]));
  end();
}

/* Random traffic of all ranks to all: every message arrives once and whole, and for the receives in the order
 * of their posting, those from one peer under one tag come in the order of sending. */
enum { SLOTS = 32, TAGS = 3, MESSAGES = 20000, BIG = 40000 };

struct slot {
  struct uni_transfer transfer;
  bool busy;
  char *buffer;
  int posted; /* receives: number of the posting */
};

struct traffic {
  struct slot sends[SLOTS], receives[SLOTS];
  uint32_t sent[RANKS][TAGS];
  int posted, stream[4 * MESSAGES]; /* by posting: which stream it got a message of, and which one of it */
  uint32_t number[4 * MESSAGES];
};

static struct traffic traffic[RANKS];
static long messages_sent, messages_received;

static size_t size_of(uint32_t number) {
  static const size_t some[] = {4, 8, 40, 100, 1000, 4096, 4100, 9000, BIG};
  return some[(number * 2654435761u >> 16) % (sizeof some / sizeof *some)];
}

static void reap(int rank) {
  for (int i = 0; i < SLOTS; i++) {
    struct slot *s = &traffic[rank].sends[i], *r = &traffic[rank].receives[i];
    if (s->busy && is_done(&s->transfer)) {
      CHECK(is_ok(&s->transfer));
      s->busy = false;
    }
    if (!r->busy || !is_done(&r->transfer))
      continue;
    const unisono_message *m = &r->transfer.got;
    uint32_t number;
    memcpy(&number, r->buffer, sizeof number);
    CHECK(is_ok(&r->transfer) && m->count == size_of(number) &&
          is_filled(r->buffer + 4, m->count - 4, number));
    traffic[rank].stream[r->posted] = m->peer * TAGS + m->tag + 1;
    traffic[rank].number[r->posted] = number;
    messages_received++;
    r->busy = false;
  }
}

static void send_one(int rank, struct slot *s) {
  int peer = (int)(next_random() % RANKS), tag = (int)(next_random() % TAGS);
  uint32_t number = traffic[rank].sent[peer][tag]++;
  memcpy(s->buffer, &number, sizeof number);
  fill(s->buffer + 4, size_of(number) - 4, number);
  s->busy = true;
  messages_sent++;
  start_send(&s->transfer, rank, s->buffer, size_of(number), peer, tag);
}

static void post_one(int rank, struct slot *r, bool any) {
  int peer = any || next_random() % 4 == 0 ? UNI_ANY : (int)(next_random() % RANKS);
  int tag = any || next_random() % 4 == 0 ? UNI_ANY : (int)(next_random() % TAGS);
  r->busy = true;
  r->posted = traffic[rank].posted++;
  CHECK(r->posted < 4 * MESSAGES);
  start_recv(&r->transfer, rank, r->buffer, BIG, peer, tag);
}

static void check_order(int rank) {
  uint32_t next[RANKS * TAGS + 1] = {0};
  for (int i = 0; i < traffic[rank].posted; i++)
    if (traffic[rank].stream[i])
      CHECK(traffic[rank].number[i] == next[traffic[rank].stream[i]]++);
}

static void test_random_traffic(void) {
  begin();
  char *memory = malloc((size_t)RANKS * SLOTS * 2 * BIG);
  CHECK(memory);
  for (int i = 0; i < RANKS * SLOTS; i++) {
    struct traffic *t = &traffic[i / SLOTS];
    t->sends[i % SLOTS].buffer = i % 2 ? arena + i / 2 * BIG : memory + 2 * i * BIG;
    t->receives[i % SLOTS].buffer = memory + (2 * i + 1) * BIG;
  }
  while (messages_sent < MESSAGES || messages_received < messages_sent) {
    int rank = (int)(next_random() % RANKS);
    struct slot *s = &traffic[rank].sends[next_random() % SLOTS],
                *r = &traffic[rank].receives[next_random() % SLOTS];
    if (messages_sent < MESSAGES && next_random() % 2 && !s->busy)
      send_one(rank, s);
    if (!r->busy && messages_received < messages_sent)
      post_one(rank, r, messages_sent == MESSAGES);
    uni_p2p_progress(&comms[rank]);
    reap(rank);
  }
  for (int rank = 0; rank < RANKS; rank++)
    check_order(rank);
  end();
  free(memory);
}

/* ---------------------------------------------------------------------------- wrong and corrupt */

/* A message that is too long, or of another type, breaks the communicator and leaves the buffer as it was. */
static void test_mismatch(void) {
  for (int large = 0; large < 2; large++)
    for (int kept = 0; kept < 2; kept++)
      for (int type = 0; type < 2; type++) {
        begin();
        struct uni_transfer s, r = bytes_of(false, in, 10, 1, 3);
        memset(in, 0x5a, sizeof in);
        if (type)
          r.dtype = UNISONO_INT32, r.element = 4, r.count = 9000;
        size_t bytes = large ? 5000 : type ? 10 : 20;
        if (!kept)
          uni_p2p_start(&comms[0], &r);
        start_send(&s, 1, out, bytes, 0, 3);
        if (kept)
          uni_p2p_start(&comms[0], &r);
        progress_all();
        CHECK(atomic_load(&header.cause) == UNISONO_ERROR_MISMATCH && !is_done(&r) && is_done(&s) == !large);
        char words[100];
        snprintf(words, sizeof words, "rank 1 sent %zu uint8 under tag 3, rank 0 asked for at most %s", bytes,
                 type ? "9000 int32" : "10 uint8");
        CHECK(strcmp(cause, words) == 0);
        for (int r2 = 0; r2 < 2; r2++)
          uni_p2p_fail_all(&comms[r2], UNISONO_ERROR_MISMATCH);
        CHECK(is_done(&r) && r.status == UNISONO_ERROR_MISMATCH && in[0] == 0x5a && in[10] == 0x5a &&
              in[39] == 0x5a);
        start_send(&s, 0, out, 1, 1, 0);
        CHECK(is_done(&s) && s.status == UNISONO_ERROR_MISMATCH);
        end();
      }
}

static void expect_corrupt(const char *words) {
  for (int i = 0; i < 3; i++)
    for (int r = 0; r < RANKS; r++)
      uni_p2p_progress(&comms[r]);
  CHECK(atomic_load(&header.cause) == UNISONO_ERROR_SYSTEM && strstr(cause, words));
  end();
}

/* Whatever rank 1 writes where rank 0 reads, rank 0 says so. */
static void test_corrupt_counters(void) {
  struct uni_transfer s, r, many[8];
  begin();
  start_recv(&r, 0, in, 10, 1, 0);
  atomic_store(&uni_comm_channel(&comms[0], 1, 0)->head, 513);
  expect_corrupt("more lines");
  begin();
  atomic_store(&uni_comm_channel(&comms[0], 0, 1)->tail, 1000000);
  for (int i = 0; i < 8; i++)
    start_send(&many[i], 0, out, 4096, 1, 0);
  expect_corrupt("not written");
  begin();
  start_send(&s, 0, out, 5000, 1, 0);
  atomic_store(&uni_comm_channel(&comms[0], 0, 1)->said, 7);
  expect_corrupt("answered more");
  begin();
  start_send(&s, 0, out, 5000, 1, 0);
  atomic_store(&uni_comm_channel(&comms[0], 0, 1)->answers[0], 77);
  atomic_store(&uni_comm_channel(&comms[0], 0, 1)->said, 1);
  expect_corrupt("not announced");
}

static void put_envelope(struct uni_envelope envelope, struct uni_ref ref) {
  char *ring = ring_memory + RANKS * RING; /* from rank 1 to rank 0 */
  begin();
  memcpy(ring, &envelope, sizeof envelope);
  memcpy(ring + sizeof envelope, &ref, sizeof ref);
  atomic_store(&uni_comm_channel(&comms[0], 1, 0)->head, 3);
  static struct uni_transfer r;
  start_recv(&r, 0, in, LARGEST, 1, 0);
}

static void test_corrupt_envelopes(void) {
  static const struct uni_envelope envelopes[] = {
      {.kind = 0},
      {.kind = 4, .dtype = UNISONO_UINT8},
      {.kind = UNI_EAGER, .dtype = 200, .count = 1},
      {.kind = UNI_EAGER, .dtype = UNISONO_UINT8, .count = 200}, /* more lines than written */
      {.kind = UNI_EAGER, .dtype = UNISONO_UINT8, .count = 4097},
      {.kind = UNI_EAGER, .dtype = UNISONO_INT32, .count = UINT64_MAX / 4 + 2},
      {.kind = UNI_ANNOUNCED, .dtype = UNISONO_UINT8, .count = 4096},
      {.kind = UNI_ANNOUNCED, .dtype = UNISONO_INT32, .count = UINT64_MAX / 4 + 2},
      {.kind = UNI_DATA, .count = 0},
      {.kind = UNI_DATA, .count = RING / 4},
  };
  for (size_t i = 0; i < sizeof envelopes / sizeof *envelopes; i++) {
    put_envelope(envelopes[i], (struct uni_ref){.segment = UNI_PRIVATE});
    expect_corrupt("what cannot be");
  }
  put_envelope((struct uni_envelope){.kind = UNI_DATA, .count = 8}, (struct uni_ref){.segment = UNI_PRIVATE});
  expect_corrupt("not asked for");
  put_envelope((struct uni_envelope){.kind = UNI_ANNOUNCED, .dtype = UNISONO_UINT8, .count = 5000},
               (struct uni_ref){.segment = 7, .offset = ARENA - 4999});
  expect_corrupt("outside its memory");
  put_envelope((struct uni_envelope){.kind = UNI_ANNOUNCED, .dtype = UNISONO_UINT8, .count = 5000},
               (struct uni_ref){.segment = 7, .offset = UNI_OFFSET_MAX - 10});
  expect_corrupt("outside its memory");
}

/* -------------------------------------------------------------------------------------- failures */

/* What a rank has put on the ring is received after it has left; its large messages are not, whose buffers
 * are its own again. */
static void test_sender_leaves(void) {
  begin();
  struct uni_transfer s, large, r;
  fill(out, LARGEST, 9);
  memcpy(arena + ARENA - 8000, out, 8000);
  start_send(&s, 1, out, 4000, 0, 1);
  start_send(&large, 1, arena + ARENA - 8000, 8000, 0, 2);
  CHECK(is_ok(&s) && !is_done(&large));
  leave(1);
  CHECK(is_done(&large) && large.status == UNISONO_ERROR_PEER_LOST);
  start_recv(&r, 0, in, 4000, 1, 1);
  CHECK(got(&r, 1, 1, 4000) && memcmp(in, out, 4000) == 0);
  start_recv(&r, 0, in, 8000, 1, 2);
  uni_p2p_progress(&comms[0]);
  CHECK(!is_done(&r) && uni_p2p_misses(&r, 1) && !uni_p2p_misses(&r, 2));
  uni_p2p_fail_all(&comms[0], UNISONO_ERROR_PEER_LOST);
  CHECK(is_done(&r) && r.status == UNISONO_ERROR_PEER_LOST);
  end();
}

/* A sender that has given up may write its buffer: what was copied from it then is not taken for the message.
 */
static void test_torn_copy(void) {
  begin();
  struct uni_transfer s, r;
  start_send(&s, 1, arena + ARENA - 8000, 8000, 0, 2);
  uni_comm_break(&comms[1], UNISONO_ERROR_TIMEOUT, "rank 0 did not arrive in time");
  start_recv(&r, 0, in, 8000, 1, 2);
  CHECK(!is_done(&r));
  end();
  CHECK(is_done(&r) && r.status == UNISONO_ERROR_PEER_LOST);
}

/* Streams stop where the failure is, and every transfer ends. */
static void test_fail_all(void) {
  begin();
  struct uni_transfer s[3], r[3];
  start_recv(&r[0], 0, in, LARGEST, 1, 1);
  start_recv(&r[1], 0, in, 4, UNI_ANY, 7);
  start_send(&s[0], 1, out, LARGEST, 0, 1);
  uni_p2p_progress(&comms[0]);
  uni_p2p_progress(&comms[1]);
  start_send(&s[1], 1, out, 4, 0, 2); /* no room */
  start_send(&s[2], 0, out, 5000, 0, 2);
  for (int i = 0; i < 2; i++)
    uni_p2p_fail_all(&comms[i], UNISONO_ERROR_TIMEOUT);
  progress_all();
  CHECK(s[0].status == UNISONO_ERROR_TIMEOUT && s[1].status == UNISONO_ERROR_TIMEOUT && is_done(&s[0]) &&
        is_done(&s[1]));
  CHECK(s[2].status == UNISONO_ERROR_TIMEOUT && is_done(&s[2]));
  CHECK(r[0].status == UNISONO_ERROR_TIMEOUT && r[1].status == UNISONO_ERROR_TIMEOUT && is_done(&r[0]) &&
        is_done(&r[1]));
  end();
}

/* No memory for a message that nobody waits for yet. */
static void test_no_memory_to_keep(void) {
  begin();
  struct uni_transfer s, r;
  start_recv(&r, 0, in, 4, 1, 1);
  malloc_fails = true;
  start_send(&s, 1, out, 4, 0, 2);
  uni_p2p_progress(&comms[0]);
  malloc_fails = false;
  CHECK(atomic_load(&header.cause) == UNISONO_ERROR_MEMORY && !is_done(&r));
  end();
}

int main(void) {
  test_sizes();
  test_order();
  test_posted_order();
  test_any_source();
  test_backlog();
  test_back_pressure();
  test_random_traffic();
  test_mismatch();
  test_corrupt_counters();
  test_corrupt_envelopes();
  test_sender_leaves();
  test_torn_copy();
  test_fail_all();
  test_no_memory_to_keep();
  return 0;
}
