/* Reserved pages are there, a request beyond the machine is refused untouched, signals do not disturb, what
 * others take meanwhile is noticed, and released pages are gone. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"
#include "memory_limit.h"
#include "shm/reserve.h"

static size_t page;

/* ------------------------------------------------- a machine on which memory goes, and calls fail */

void __real_uni_memory_limit_look(const char *root, struct uni_memory_limit *memory);
void __wrap_uni_memory_limit_look(const char *root, struct uni_memory_limit *memory);
int __real_fallocate(int fd, int mode, off_t offset, off_t bytes);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t bytes);

static int looks_until_little = -1; /* -1: the real machine */
static int calls_until_failure = -1, failure, failures;

void __wrap_uni_memory_limit_look(const char *root, struct uni_memory_limit *memory) {
  __real_uni_memory_limit_look(root, memory);
  if (looks_until_little < 0)
    return;
  memory->margin = 4 << 20;
  memory->available = looks_until_little-- > 0 ? 1 << 30 : page;
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t bytes) {
  if (calls_until_failure >= 0 && calls_until_failure-- == 0 && failures > 0) {
    failures--;
    calls_until_failure = 0;
    errno = failure;
    return -1;
  }
  return __real_fallocate(fd, mode, offset, bytes);
}

static int new_memfd(off_t bytes) {
  int fd = memfd_create("test", MFD_CLOEXEC);
  CHECK(fd >= 0 && ftruncate(fd, bytes) == 0);
  return fd;
}

static size_t pages_of(int fd) {
  struct stat info;
  CHECK(fstat(fd, &info) == 0);
  return (size_t)info.st_blocks * 512 / page;
}

static void test_reserve_and_release(void) {
  int fd = new_memfd((off_t)(64 * page));
  CHECK(uni_reserve(fd, 0, 0) == UNISONO_OK && pages_of(fd) == 0);
  CHECK(uni_reserve(fd, (off_t)page - 1, 2) == UNISONO_OK && pages_of(fd) == 2); /* every page it touches */
  CHECK(pwrite(fd, "kept", 4, 0) == 4);
  CHECK(uni_reserve(fd, 0, 64 * page) == UNISONO_OK && pages_of(fd) == 64);
  uni_release(fd, 1, page - 1); /* no whole page */
  uni_release(fd, 5, 0);
  CHECK(pages_of(fd) == 64);
  uni_release(fd, 1, 4 * page);
  CHECK(pages_of(fd) == 61);
  char text[4];
  CHECK(pread(fd, text, 4, 0) == 4 && memcmp(text, "kept", 4) == 0);
  close(fd);
}

static void test_too_much(void) {
  int fd = new_memfd(INT64_MAX / (off_t)page * (off_t)page);
  CHECK(uni_reserve(fd, 0, (size_t)1 << 52) == UNISONO_ERROR_MEMORY && pages_of(fd) == 0);
  printf("%s\n", unisono_last_error());
  CHECK(strstr(unisono_last_error(), "4503599627370496 bytes wanted"));
  CHECK(uni_reserve(fd, 0, SIZE_MAX) == UNISONO_ERROR_MEMORY);
  CHECK(uni_reserve(fd, INT64_MAX, 1) == UNISONO_ERROR_MEMORY);
  close(fd);
}

static void test_not_a_file(void) {
  CHECK(uni_reserve(-1, 0, page) == UNISONO_ERROR_SYSTEM && strstr(unisono_last_error(), "reserving"));
  uni_release(-1, 0, page);
}

static void test_others_take_it(void) {
  int fd = new_memfd(16 << 20);
  looks_until_little = 5;
  CHECK(uni_reserve(fd, 0, 16 << 20) == UNISONO_ERROR_MEMORY && looks_until_little < 5);
  CHECK(pages_of(fd) == 0); /* none of it is kept */
  looks_until_little = 0;
  CHECK(uni_reserve(fd, 0, page) == UNISONO_OK && uni_reserve(fd, 0, 2 * page) == UNISONO_OK);
  CHECK(pages_of(fd) == 2);
  looks_until_little = -1;
  close(fd);
}

static void test_failing_calls(void) {
  const int causes[] = {ENOMEM, ENOSPC, EPERM};
  for (int i = 0; i < 3; i++) {
    int fd = new_memfd(32 << 20);
    calls_until_failure = 2; /* not the first step */
    failure = causes[i];
    failures = 1;
    CHECK(uni_reserve(fd, 0, 32 << 20) == (i < 2 ? UNISONO_ERROR_MEMORY : UNISONO_ERROR_SYSTEM));
    CHECK(failures == 0 && pages_of(fd) == 0);
    calls_until_failure = -1;
    close(fd);
  }
}

static void test_interrupted_calls(void) {
  int fd = new_memfd(4 << 20);
  calls_until_failure = 0;
  failure = EINTR;
  failures = 40;
  CHECK(uni_reserve(fd, 0, 4 << 20) == UNISONO_OK && failures == 0);
  CHECK(pages_of(fd) * page == 4 << 20);
  calls_until_failure = 0;
  failures = 3;
  uni_release(fd, 0, 4 << 20);
  CHECK(failures == 0 && pages_of(fd) == 0);
  calls_until_failure = -1;
  close(fd);
}

static void on_alarm(int number) {
  (void)number;
}

/* A profiler's timer, firing faster than a large fallocate takes. */
static void test_under_a_timer(void) {
  struct sigaction action = {.sa_handler = on_alarm};
  struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
  CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
  int fd = new_memfd(64 << 20);
  CHECK(uni_reserve(fd, 0, 64 << 20) == UNISONO_OK);
  CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
  CHECK(pages_of(fd) * page == 64 << 20);
  close(fd);
}

int main(void) {
  page = (size_t)sysconf(_SC_PAGESIZE);
  test_reserve_and_release();
  test_too_much();
  test_not_a_file();
  test_others_take_it();
  test_failing_calls();
  test_interrupted_calls();
  test_under_a_timer();
  return 0;
}
