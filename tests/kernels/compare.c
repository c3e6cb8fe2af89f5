/* Every kernel of a table against the one in plain C, bit by bit. */
#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "kernels.h"
#include "kernels/fpenv.h"

enum {
  ROOM = 1 << 16, /* bytes that a buffer may have */
  MAX_ELEMENTS = 1 << 12,
  GUARD = 256, /* bytes before and after it that must stay as they are */
  GUARD_BYTE = 0xa5,
  MAX_PRINTED = 10,
};

/* One call: where its buffers lie and how they hang together. */
struct call {
  const struct uni_kernels *table;
  unisono_dtype dtype;
  unisono_op op;
  size_t count, n_in, n_out;
  size_t in_offset[MAX_IN], out_offset[MAX_OUT]; /* AT_END, or bytes from the start of the room */
  int in_place[MAX_OUT];                         /* the input at the same address; -1: none */
};

static const size_t AT_END = (size_t)-1; /* the last element touches a page that nobody may read */

static char *in_rooms[MAX_IN], *out_rooms[MAX_OUT];
static char originals[MAX_IN][ROOM], expected[ROOM];

/* Memory between two pages that nobody may touch. */
static char *make_room(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *base = mmap(NULL, ROOM + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED || mprotect(base + page, ROOM, PROT_READ | PROT_WRITE) != 0) {
    perror("mmap");
    exit(1);
  }
  memset(base + page, GUARD_BYTE, ROOM);
  return base + page;
}

static void make_rooms(void) {
  for (size_t j = 0; j < MAX_IN && !in_rooms[j]; j++)
    in_rooms[j] = make_room();
  for (size_t k = 0; k < MAX_OUT && !out_rooms[k]; k++)
    out_rooms[k] = make_room();
}

static char *place(char *room, size_t offset, size_t bytes) {
  return room + (offset == AT_END ? ROOM - bytes : offset);
}

/* The bytes around a buffer: sets them, or says whether they still are as set. */
static bool guards_intact(const char *room, const char *buffer, size_t bytes) {
  size_t before = (size_t)(buffer - room), after = ROOM - before - bytes;
  before = before < GUARD ? before : GUARD;
  after = after < GUARD ? after : GUARD;
  for (size_t i = 1; i <= before; i++)
    if ((unsigned char)buffer[-(ptrdiff_t)i] != GUARD_BYTE)
      return false;
  for (size_t i = 0; i < after; i++)
    if ((unsigned char)buffer[bytes + i] != GUARD_BYTE)
      return false;
  return true;
}

static int printed;

static int fail(const struct call *c, const char *what, size_t i, uint64_t got, uint64_t wanted) {
  if (printed++ < MAX_PRINTED)
    printf("%s %s %s: %s, element %zu of %zu, %zu inputs, %zu outputs (%sin place): %#llx, not %#llx\n",
           c->table->isa, uni_dtype_name(c->dtype), uni_op_name(c->op), what, i, c->count, c->n_in, c->n_out,
           c->in_place[0] < 0 ? "not " : "", (unsigned long long)got, (unsigned long long)wanted);
  return 1;
}

static int check_array(const struct call *c, const char *what, const char *got, const char *wanted) {
  size_t size = uni_dtype_size(c->dtype);
  for (size_t i = 0; i < c->count; i++)
    if (memcmp(got + i * size, wanted + i * size, size) != 0)
      return fail(c, what, i, get_element(got, i, size), get_element(wanted, i, size));
  return 0;
}

static int check_room(const struct call *c, const char *what, char *room, char *buffer, const char *wanted) {
  size_t bytes = c->count * uni_dtype_size(c->dtype);
  int failures = check_array(c, what, buffer, wanted);
  if (!guards_intact(room, buffer, bytes))
    failures += fail(c, "bytes around an array changed", 0, 0, 0);
  memset(buffer, GUARD_BYTE, bytes);
  return failures;
}

static void fill_originals(const struct call *c) {
  size_t size = uni_dtype_size(c->dtype);
  const void *in[MAX_IN];
  void *out[1] = {expected};
  for (size_t j = 0; j < c->n_in; j++) {
    in[j] = originals[j];
    fill_random(originals[j], c->dtype, c->count);
    memcpy(place(in_rooms[j], c->in_offset[j], c->count * size), originals[j], c->count * size);
  }
  uni_kernels_for("scalar")->fold[c->dtype][c->op](out, 1, in, c->n_in, c->count);
}

static int run_call(const struct call *c) {
  size_t bytes = c->count * uni_dtype_size(c->dtype);
  const void *in[MAX_IN];
  void *out[MAX_OUT];
  bool written[MAX_IN] = {false};
  fill_originals(c);
  for (size_t j = 0; j < c->n_in; j++)
    in[j] = place(in_rooms[j], c->in_offset[j], bytes);
  for (size_t k = 0; k < c->n_out; k++) {
    bool in_place = c->in_place[k] >= 0;
    size_t j = (size_t)c->in_place[k];
    out[k] =
        in_place ? place(in_rooms[j], c->in_offset[j], bytes) : place(out_rooms[k], c->out_offset[k], bytes);
    if (in_place)
      written[j] = true;
  }
  c->table->fold[c->dtype][c->op](out, c->n_out, in, c->n_in, c->count);
  int failures = 0;
  for (size_t k = 0; k < c->n_out; k++)
    if (c->in_place[k] < 0)
      failures += check_room(c, "result differs", out_rooms[k], out[k], expected);
  for (size_t j = 0; j < c->n_in; j++)
    failures += check_room(c, written[j] ? "result differs" : "input changed", in_rooms[j],
                           place(in_rooms[j], c->in_offset[j], bytes), written[j] ? expected : originals[j]);
  return failures;
}

/* A multiple of the element's size up to two cache lines, or any number of bytes, or flush with the end. */
static size_t random_offset(unisono_dtype dtype) {
  size_t offset = random_below(128);
  switch (random_below(4)) {
  case 0:
    return AT_END;
  case 1:
    return offset;
  default:
    return offset - offset % uni_dtype_size(dtype);
  }
}

/* Fills in where the arrays lie. An input serves at most one output. */
static void choose_places(struct call *c) {
  int next = (int)random_below(c->n_in), mode = (int)random_below(3);
  for (size_t j = 0; j < c->n_in; j++)
    c->in_offset[j] = random_offset(c->dtype);
  for (size_t k = 0; k < c->n_out; k++) {
    c->out_offset[k] = random_offset(c->dtype);
    bool in_place = (mode == 1 && k == 0) || (mode == 2 && k < c->n_in);
    c->in_place[k] = in_place ? next : -1;
    next = (next + 1) % (int)c->n_in;
  }
}

/* TEST_STRIDE=n in the environment: one in n cases, for emulated processors. 3 keeps all kinds of cases. */
static size_t stride(void) {
  const char *text = getenv("TEST_STRIDE");
  return text && atoi(text) > 0 ? (size_t)atoi(text) : 1;
}

static size_t random_n_in(void) {
  return random_below(10) ? 1 + random_below(9) : MAX_IN;
}

static int check_lengths(struct call *c) {
  int failures = 0;
  for (size_t i = 0; i < 4 * 320; i += stride()) {
    c->count = i / 4;
    c->n_in = i % 4 == 0 ? 2 : random_n_in();
    c->n_out = 1 + random_below(i % 4 == 0 ? 2 : MAX_OUT);
    choose_places(c);
    failures += run_call(c);
  }
  for (size_t i = 0; i < 6; i++) {
    c->count = MAX_ELEMENTS - random_below(MAX_ELEMENTS / 2);
    c->n_in = i < 3 ? 2 : random_n_in();
    c->n_out = 1 + random_below(MAX_OUT);
    choose_places(c);
    failures += run_call(c);
  }
  return failures;
}

static int check_numbers_of_buffers(struct call *c) {
  int failures = 0;
  for (size_t n = 0; n < 10 * MAX_OUT; n += stride()) {
    c->n_in = n % 10 == 9 ? MAX_IN : 1 + n % 10;
    c->n_out = 1 + n / 10;
    for (int i = 0; i < 3; i++) {
      c->count = random_below(200);
      choose_places(c);
      failures += run_call(c);
    }
  }
  return failures;
}

static int check_misalignments(struct call *c) {
  int failures = 0;
  c->count = 150;
  c->n_in = 2;
  c->n_out = 1;
  for (size_t offset = 0; offset < 3 * 64; offset += stride()) {
    choose_places(c);
    c->in_place[0] = -1;
    c->in_offset[0] = c->in_offset[1] = c->out_offset[0] = 0;
    *(offset < 64 ? &c->in_offset[0] : offset < 128 ? &c->in_offset[1] : &c->out_offset[0]) = offset % 64;
    failures += run_call(c);
  }
  return failures;
}

static void set_odd_environment(void) {
  fesetround(FE_UPWARD);
#if defined(__x86_64__)
  _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);
  _mm_setcsr(_mm_getcsr() | 0x40); /* subnormal inputs count as zero */
#elif defined(__aarch64__)
  uint64_t control;
  __asm__ __volatile__("mrs %0, fpcr" : "=r"(control));
  __asm__ __volatile__(
      "msr fpcr, %0" ::"r"(control | 3u << 24)); /* subnormals are zero, a NaN loses its payload */
#endif
}

/* Between uni_fpenv_enter and uni_fpenv_leave the caller's environment makes no difference, and comes back.
 */
static int check_odd_environment(const struct uni_kernels *table) {
  enum { COUNT = 100 };
  static const float in0[COUNT] = {1, 1, 1e-40f, -1e-40f, 3}, in1[COUNT] = {1e-10f, -1e-10f, 1e-40f, 0, 5};
  float plain[COUNT], odd[COUNT];
  const void *in[] = {in0, in1};
  uni_fold_fn sum = table->fold[UNISONO_FLOAT32][UNISONO_SUM];
  sum((void *[]){plain}, 1, in, 2, COUNT);
  set_odd_environment();
  uint64_t saved = uni_fpenv_enter();
  sum((void *[]){odd}, 1, in, 2, COUNT);
  uni_fpenv_leave(saved);
  bool restored = fegetround() == FE_UPWARD;
  fesetenv(FE_DFL_ENV);
  if (restored && memcmp(plain, odd, sizeof plain) == 0)
    return 0;
  printf("%s: results depend on the caller's floating-point environment, or it is lost\n", table->isa);
  return 1;
}

/* Streaming copies the bytes that it is told to, and no other. */
static int check_stream(const struct uni_kernels *table) {
  char *from = in_rooms[0], *to = out_rooms[0];
  for (size_t i = 0; i < ROOM; i++)
    from[i] = (char)random_bits();
  for (size_t bytes = 0; bytes < 400; bytes++)
    for (size_t offset = 0; offset < 65; offset += 13) {
      size_t start = ROOM - bytes - offset; /* ends `offset` bytes before the page that nobody may touch */
      memset(to, GUARD_BYTE, ROOM);
      table->stream(to + start, from + ROOM - bytes, bytes);
      bool whole = memcmp(to + start, from + ROOM - bytes, bytes) == 0;
      memset(to + start, GUARD_BYTE, bytes);
      if (whole && (unsigned char)to[0] == GUARD_BYTE && memcmp(to, to + 1, ROOM - 1) == 0)
        continue;
      printf("%s: stream of %zu bytes to %zu before the end is wrong\n", table->isa, bytes, offset);
      return 1;
    }
  memset(from, GUARD_BYTE, ROOM);
  return 0;
}

int compare_with_plain_c(const struct uni_kernels *table) {
  int failures = table->fold[UNISONO_FLOAT32][UNISONO_SUM] ? check_odd_environment(table) : 0;
  make_rooms();
  if (table->stream)
    failures += check_stream(table);
  for (int dtype = 0; dtype < UNI_DTYPES; dtype++)
    for (int op = 0; op < UNI_OPS; op++) {
      struct call c = {.table = table, .dtype = (unisono_dtype)dtype, .op = (unisono_op)op};
      if (table->fold[dtype][op])
        failures += check_lengths(&c) + check_numbers_of_buffers(&c) + check_misalignments(&c);
    }
  return failures;
}
