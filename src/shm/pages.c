#include "shm/pages.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "error.h"
#include "log.h"
#include "shm/segment.h"

struct uni_pages uni_pages_inside(const void *ptr, size_t bytes) {
  size_t page = uni_page_size();
  uintptr_t from = ((uintptr_t)ptr + page - 1) / page * page, to = ((uintptr_t)ptr + bytes) / page * page;
  return (struct uni_pages){(char *)from, to > from ? to - from : 0};
}

/* One line of /proc/self/maps: is it private, writable, and of no file? */
static bool is_private_anonymous(const char *rights, uint64_t inode, const char *name) {
  return rights[0] == 'r' && rights[1] == 'w' && rights[3] == 'p' && inode == 0 && !strstr(name, "[stack");
}

unisono_status uni_pages_check_private(const void *ptr, size_t bytes) {
  uint64_t next = (uint64_t)(uintptr_t)ptr, end = next + bytes;
  FILE *maps = fopen("/proc/self/maps", "re");
  if (!maps)
    return uni_fail_errno("reading /proc/self/maps to check ptr");
  char line[512];
  while (next < end && fgets(line, sizeof line, maps)) {
    uint64_t from, to, inode;
    char rights[8], name[256] = "";
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*s %*s %" SCNu64 " %255[^\n]", &from, &to, rights, &inode,
               name) < 4)
      continue;
    if (to <= next)
      continue;
    if (from > next || !is_private_anonymous(rights, inode, name))
      break;
    next = to;
  }
  fclose(maps);
  if (next >= end)
    return UNISONO_OK;
  return uni_fail(UNISONO_ERROR_INVALID,
                  "ptr %p with %zu bytes is not all private, anonymous, writable memory (from %#" PRIx64
                  " on it is not); register what comes from malloc or mmap",
                  ptr, bytes, next);
}

unisono_status uni_pages_save(struct uni_pages pages, int fd) {
  for (size_t done = 0; done < pages.bytes;) {
    ssize_t n = pwrite(fd, pages.start + done, pages.bytes - done, (off_t)done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return uni_fail_errno("copying %zu bytes to shared memory", pages.bytes);
    done += (size_t)n;
  }
  return UNISONO_OK;
}

/* Not libc's function: UCX, which MPI libraries load, puts one in its place that forgets the new address. */
static bool move_pages(void *from, const struct uni_pages *to) {
  return syscall(SYS_mremap, from, to->bytes, to->bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to->start) ==
         (long)(uintptr_t)to->start;
}

unisono_status uni_pages_make_private(struct uni_pages pages) {
  void *copy = mmap(NULL, pages.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (copy == MAP_FAILED)
    return uni_fail_errno("private memory for %zu bytes", pages.bytes);
  memcpy(copy, pages.start, pages.bytes);
  if (!move_pages(copy, &pages)) {
    unisono_status status = uni_fail_errno("moving %zu bytes back to private memory", pages.bytes);
    munmap(copy, pages.bytes);
    return status;
  }
  return UNISONO_OK;
}
