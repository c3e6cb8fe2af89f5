#include "shm/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "shm/reserve.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct uni_segment *registry; /* every segment mapped in this process */
_Atomic unsigned uni_forks;
static pthread_once_t fork_handlers = PTHREAD_ONCE_INIT;

size_t uni_page_size(void) {
  static _Atomic size_t known; /* asked for in every collective over shared memory */
  size_t bytes = atomic_load_explicit(&known, memory_order_relaxed);
  if (!bytes) {
    bytes = (size_t)sysconf(_SC_PAGESIZE);
    atomic_store_explicit(&known, bytes, memory_order_relaxed);
  }
  return bytes;
}

static void lock_registry(void) {
  pthread_mutex_lock(&registry_lock);
}
static void unlock_registry(void) {
  pthread_mutex_unlock(&registry_lock);
}

/* In a forked child: what it inherited must not reach its parent any more. The caller's memory becomes a
 * private copy at the same addresses; the rest was not inherited at all (MADV_DONTFORK). */
static void make_child_private(void) {
  atomic_fetch_add_explicit(&uni_forks, 1, memory_order_relaxed);
  for (struct uni_segment *s = registry; s; s = s->next)
    if (s->role == UNI_OWN && s->fd >= 0)
      mmap(s->base, s->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, s->fd, 0);
  unlock_registry();
}

static void install_fork_handlers(void) {
  pthread_atfork(lock_registry, unlock_registry, make_child_private);
}

void uni_segment_prepare_forks(void) {
  pthread_once(&fork_handlers, install_fork_handlers);
}

unisono_status uni_memfd_create(size_t bytes, int *fd) {
  size_t page = uni_page_size();
  if (bytes > SIZE_MAX - page || (bytes + page - 1) / page * page > INT64_MAX)
    return uni_fail(UNISONO_ERROR_MEMORY, "%zu bytes are more than any memory has", bytes);
  size_t whole = (bytes + page - 1) / page * page;
  *fd = memfd_create("unisono", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (*fd < 0)
    return uni_fail_errno("memfd_create for shared memory of %zu bytes", bytes);
  unisono_status status = UNISONO_OK;
  if (ftruncate(*fd, (off_t)whole) != 0)
    status = uni_fail_errno("ftruncate of shared memory to %zu bytes", whole);
  else
    status = uni_reserve(*fd, 0, whole);
  if (!status && fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0)
    status = uni_fail_errno("sealing shared memory");
  if (status)
    close(*fd);
  return status;
}

static struct uni_segment *find_inode(uint64_t inode) {
  for (struct uni_segment *s = registry; s; s = s->next)
    if (s->inode == inode)
      return s;
  return NULL;
}

/* Maps and registers; called with the registry locked. */
static unisono_status map_new(int fd, void *at, size_t bytes, bool writable, enum uni_segment_role role,
                              uint64_t inode, struct uni_segment **segment) {
  struct uni_segment *s = malloc(sizeof *s);
  if (!s)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for the description of a segment");
  void *base = mmap(at, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ,
                    MAP_SHARED | (at ? MAP_FIXED : 0), fd, 0);
  if (base == MAP_FAILED) {
    free(s);
    return uni_fail_errno("mapping shared memory of %zu bytes", bytes);
  }
  if (role != UNI_OWN)
    madvise(base, bytes, MADV_DONTFORK);
  *s = (struct uni_segment){.base = base,
                            .bytes = bytes,
                            .fd = -1,
                            .writable = writable,
                            .role = role,
                            .inode = inode,
                            .uses = 1,
                            .next = registry};
  registry = s;
  *segment = s;
  return UNISONO_OK;
}

static unisono_status stat_memfd(int fd, struct stat *info) {
  if (fstat(fd, info) != 0)
    return uni_fail_errno("looking at shared memory");
  return UNISONO_OK;
}

unisono_status uni_segment_adopt(int fd, void *at, size_t bytes, enum uni_segment_role role,
                                 struct uni_segment **segment) {
  uni_segment_prepare_forks();
  struct stat info;
  unisono_status status = stat_memfd(fd, &info);
  if (!status) {
    lock_registry();
    /* addresses that are the caller's own are not lent to other ranks of this process: it takes them back */
    status = map_new(fd, at, bytes, true, role, at ? 0 : (uint64_t)info.st_ino, segment);
    if (!status)
      (*segment)->fd = fd;
    unlock_registry();
  }
  if (status)
    close(fd);
  return status;
}

unisono_status uni_segment_create(size_t bytes, enum uni_segment_role role, struct uni_segment **segment) {
  int fd = -1;
  unisono_status status = uni_memfd_create(bytes, &fd);
  size_t page = uni_page_size();
  return status ? status : uni_segment_adopt(fd, NULL, (bytes + page - 1) / page * page, role, segment);
}

/* A peer's memfd must be as large as it says, and sealed so that it stays so. */
static unisono_status check_memfd(int fd, size_t bytes, struct stat *info) {
  unisono_status status = stat_memfd(fd, info);
  if (status)
    return status;
  int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || !(seals & F_SEAL_SHRINK) || info->st_size < 0 || (uint64_t)info->st_size < bytes)
    return uni_fail(UNISONO_ERROR_SYSTEM, "a peer sent shared memory that is not sealed or too small");
  return UNISONO_OK;
}

unisono_status uni_segment_map(int fd, size_t bytes, bool writable, enum uni_segment_role role,
                               struct uni_segment **segment) {
  uni_segment_prepare_forks();
  struct stat info;
  unisono_status status = check_memfd(fd, bytes, &info);
  if (status)
    return status;
  lock_registry();
  struct uni_segment *known = find_inode((uint64_t)info.st_ino);
  if (known && known->bytes >= bytes) {
    known->uses++;
    *segment = known;
  } else {
    status = map_new(fd, NULL, bytes, writable, role, (uint64_t)info.st_ino, segment);
  }
  unlock_registry();
  return status;
}

unisono_status uni_segment_guard(struct uni_segment *segment) {
  if (fcntl(segment->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) != 0)
    return uni_fail_errno("UNISONO_GUARD=1: sealing shared memory against writes by peers");
  return UNISONO_OK;
}

void uni_segment_close_fd(struct uni_segment *segment) {
  lock_registry();
  if (segment->fd >= 0)
    close(segment->fd);
  segment->fd = -1;
  unlock_registry();
}

static void unlink_segment(const struct uni_segment *segment) {
  for (struct uni_segment **s = &registry; *s; s = &(*s)->next)
    if (*s == segment) {
      *s = segment->next;
      return;
    }
}

static void put(struct uni_segment *segment, bool unmap) {
  if (!segment)
    return;
  lock_registry();
  bool last = --segment->uses == 0;
  if (last) {
    unlink_segment(segment);
    if (unmap)
      munmap(segment->base, segment->bytes);
    if (segment->fd >= 0)
      close(segment->fd);
    free(segment);
  }
  unlock_registry();
}

void uni_segment_put(struct uni_segment *segment) {
  put(segment, true);
}

void uni_segment_abandon(struct uni_segment *segment) {
  put(segment, false);
}
