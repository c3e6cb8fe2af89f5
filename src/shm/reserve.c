#include "shm/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "memory_limit.h"

/* Steps in a margin: as many processes may be between look and step at once without using it up. */
enum { STEPS_IN_MARGIN = 32 };

static unisono_status too_little(uint64_t wanted, const struct uni_memory_limit *memory) {
  return uni_fail(
      UNISONO_ERROR_MEMORY,
      "shared memory: %llu bytes wanted, %llu to be had: limited by %s (%llu bytes are left for others)",
      (unsigned long long)wanted, (unsigned long long)memory->available, memory->limit,
      (unsigned long long)memory->margin);
}

/* At most so many bytes of the range are not there yet: the file says how many it lacks altogether. */
static uint64_t missing(int fd, uint64_t bytes) {
  struct stat info;
  if (fstat(fd, &info) != 0)
    return bytes;
  uint64_t size = (uint64_t)info.st_size, there = (uint64_t)info.st_blocks * 512;
  uint64_t lacking = size > there ? size - there : 0;
  return lacking < bytes ? lacking : bytes;
}

/* One step. A signal undoes a call under way, so a large step could start over for ever under a timer: it is
 * halved each time. *done is the number of bytes that are there in the end. */
static unisono_status fill(int fd, off_t offset, uint64_t bytes, uint64_t page, uint64_t *done) {
  while (fallocate(fd, 0, offset, (off_t)bytes) != 0) {
    if (errno == EINTR) {
      bytes = bytes / 2 / page * page;
      bytes = bytes ? bytes : page;
    } else if (errno == ENOMEM || errno == ENOSPC) {
      return uni_fail(UNISONO_ERROR_MEMORY, "shared memory: the system has no %llu bytes more",
                      (unsigned long long)bytes);
    } else {
      return uni_fail_errno("reserving %llu bytes of shared memory", (unsigned long long)bytes);
    }
  }
  *done = bytes;
  return UNISONO_OK;
}

/* Takes the range in steps, and looks again before each: what was enough at first may have gone to others. */
static unisono_status fill_range(int fd, uint64_t from, uint64_t to, uint64_t page,
                                 struct uni_memory_limit *memory) {
  while (from < to) {
    uint64_t step = memory->margin / STEPS_IN_MARGIN / page * page, done = 0;
    step = step < page ? page : step;
    step = step < to - from ? step : to - from;
    if (missing(fd, step) > memory->available)
      return too_little(missing(fd, to - from), memory);
    unisono_status status = fill(fd, (off_t)from, step, page, &done);
    if (status)
      return status;
    from += done;
    if (from < to)
      uni_memory_limit_look("", memory);
  }
  return UNISONO_OK;
}

unisono_status uni_reserve(int fd, off_t offset, size_t bytes) {
  if (bytes == 0)
    return UNISONO_OK;
  if (offset < 0 || bytes > (uint64_t)INT64_MAX - (uint64_t)offset)
    return uni_fail(UNISONO_ERROR_MEMORY, "shared memory: %zu bytes are more than a file can have", bytes);
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
  uint64_t from = (uint64_t)offset / page * page, to = ((uint64_t)offset + bytes + page - 1) / page * page;
  uint64_t wanted = missing(fd, to - from);
  struct uni_memory_limit memory;
  uni_memory_limit_look("", &memory);
  if (wanted > memory.available)
    return too_little(wanted, &memory);
  unisono_status status = fill_range(fd, from, to, page, &memory);
  if (status)
    uni_release(fd, offset, bytes);
  return status;
}

void uni_release(int fd, off_t offset, size_t bytes) {
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
  uint64_t from = ((uint64_t)offset + page - 1) / page * page, to = ((uint64_t)offset + bytes) / page * page;
  if (to <= from)
    return;
  int saved = errno; /* that of the failure that led here */
  while (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from)) != 0 &&
         errno == EINTR)
    continue;
  errno = saved;
}
