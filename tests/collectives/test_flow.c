/* Private data that goes to or from a root: a rank that is slow to copy its share holds up the root, and none
 * of the others. The slow one's buffer cannot be touched at first, and the fault that this causes lasts until
 * the others have returned. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "harness.h"

enum { BYTES = 256 << 10, RETURNED = 1, AT_MOST_MS = 5000, MOMENT_MS = 50 };
enum { STAGED = 128 << 10, LARGE = 5 << 20 }; /* a chunk of all ranks; more than any stage holds */

static char *guarded;
static size_t guarded_bytes;
static bool holds_up_all; /* the others need it */

static int others(void) {
  return test_self()->size - 2; /* without the root and the slow one */
}

static void wait_for_others(int signal) {
  int64_t until = test_now_us() + (holds_up_all ? MOMENT_MS : test_slow_ms(AT_MOST_MS)) * INT64_C(1000);
  (void)signal;
  while (test_peek(RETURNED) < others() && test_now_us() < until)
    test_sleep_us(1000);
  if ((test_peek(RETURNED) < others()) != holds_up_all)
    FAIL(holds_up_all ? "the others did not wait" : "the others wait for a rank that they need nothing of");
  if (!guarded || mprotect(guarded, guarded_bytes, PROT_READ | PROT_WRITE))
    abort(); /* another fault */
  guarded = NULL;
}

/* Only in the last rank, which then cannot touch its buffer from byte `from` on. */
static void guard(char *buffer, size_t from, size_t bytes) {
  struct sigaction action = {.sa_handler = wait_for_others};
  guarded = buffer;
  guarded_bytes = bytes;
  CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
  CHECK(mprotect(buffer + from, bytes - from, PROT_NONE) == 0);
}

static char *buffer_of(char letter, size_t bytes) {
  char *buffer = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(buffer != MAP_FAILED);
  memset(buffer, letter, bytes);
  return buffer;
}

static void check_filled(const char *buffer, char letter, size_t bytes) {
  for (size_t i = 0; i < bytes; i++)
    CHECK(buffer[i] == letter);
}

static bool is_slow(void) {
  return test_self()->rank == test_self()->size - 1;
}

static void returned(void) {
  if (test_self()->rank != 0 && !is_slow())
    test_add(RETURNED, 1);
}

static void test_broadcast(void) {
  char *buffer = buffer_of(test_self()->rank == 0 ? 'r' : '?', BYTES);
  if (is_slow())
    guard(buffer, 0, BYTES);
  CHECK_OK(unisono_broadcast(buffer, BYTES, UNISONO_UINT8, 0, test_self()->comm));
  returned();
  check_filled(buffer, 'r', BYTES);
}

/* Nobody writes where the slow one has not read: each byte tells where it belongs. */
static void test_overrun(void) {
  uint64_t *buffer = (uint64_t *)(void *)buffer_of('?', LARGE);
  holds_up_all = true;
  for (size_t i = 0; i < LARGE / sizeof *buffer && test_self()->rank == 0; i++)
    buffer[i] = i;
  if (is_slow())
    guard((char *)buffer, 0, LARGE);
  CHECK_OK(unisono_broadcast(buffer, LARGE, UNISONO_UINT8, 0, test_self()->comm));
  returned();
  for (size_t i = 0; i < LARGE / sizeof *buffer; i++)
    CHECK(buffer[i] == i);
}

/* Two chunks, whatever the number of ranks: of more the root might not have room for all. */
static void test_scatter(void) {
  int size = test_self()->size;
  size_t bytes = (size_t)(STAGED / (size - 1)) * 3 / 2;
  char *send = test_self()->rank == 0 ? malloc((size_t)size * bytes) : NULL, *recv = buffer_of('?', bytes);
  for (int r = 0; send && r < size; r++)
    memset(send + (size_t)r * bytes, 'a' + r, bytes);
  if (is_slow())
    guard(recv, 0, bytes);
  CHECK_OK(unisono_scatter(send, recv, bytes, UNISONO_UINT8, 0, test_self()->comm));
  returned();
  check_filled(recv, (char)('a' + test_self()->rank), bytes);
  free(send);
}

/* What it arrives with can be read, the rest not. */
static void test_gather(void) {
  char *send = buffer_of((char)('a' + test_self()->rank), BYTES),
       *recv = test_self()->rank == 0 ? malloc((size_t)test_self()->size * BYTES) : NULL;
  if (is_slow())
    guard(send, BYTES * 3 / 4, BYTES);
  CHECK_OK(unisono_gather(send, recv, BYTES, UNISONO_UINT8, 0, test_self()->comm));
  returned();
  for (int r = 0; recv && r < test_self()->size; r++)
    check_filled(recv + (size_t)r * BYTES, (char)('a' + r), BYTES);
  free(recv);
}

int main(int argc, char **argv) {
  static const struct test tests[] = {{"broadcast", test_broadcast, .ranks = {3, 4}, .needs_processes = true},
                                      {"scatter", test_scatter, .ranks = {3, 4}, .needs_processes = true},
                                      {"overrun", test_overrun, .ranks = {3, 5}, .needs_processes = true},
                                      {"gather", test_gather, .ranks = {3, 4}, .needs_processes = true},
                                      {.name = NULL}};
  return test_main(argc, argv, tests);
}
