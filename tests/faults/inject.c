#include "faults/inject.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic long armed_for, seen;
static _Atomic bool armed;
static const char *_Atomic failed;
static uintptr_t library_start, library_end;

static int find_library(struct dl_phdr_info *info, size_t size, void *unused) {
  (void)size;
  (void)unused;
  if (!strstr(info->dlpi_name, "libunisono"))
    return 0;
  library_start = library_end = info->dlpi_addr;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    uintptr_t end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
    if (info->dlpi_phdr[i].p_type == PT_LOAD && end > library_end)
      library_end = end;
  }
  return 1;
}

void inject_arm(long n) {
  dl_iterate_phdr(find_library, NULL);
  atomic_store(&armed_for, n);
  atomic_store(&seen, 0);
  atomic_store(&failed, NULL);
  atomic_store(&armed, true);
}

long inject_disarm(void) {
  atomic_store(&armed, false);
  return atomic_load(&seen);
}

const char *inject_failed(void) {
  return atomic_load(&failed);
}

static bool should_fail(const char *name, void *caller) {
  if (!atomic_load(&armed) || (uintptr_t)caller < library_start || (uintptr_t)caller >= library_end)
    return false;
  if (atomic_fetch_add(&seen, 1) + 1 != atomic_load(&armed_for))
    return false;
  atomic_store(&failed, name);
  return true;
}

#define EXPORT __attribute__((visibility("default")))

/* A function that passes on to the one behind it, or fails. */
#define REPLACE(type, name, parameters, arguments, failure, error)                                           \
  EXPORT type name parameters {                                                                              \
    static type(*_Atomic behind) parameters;                                                                 \
    if (!atomic_load(&behind))                                                                               \
      atomic_store(&behind, (type(*) parameters)dlsym(RTLD_NEXT, #name));                                    \
    if (should_fail(#name, __builtin_return_address(0))) {                                                   \
      errno = error;                                                                                         \
      return failure;                                                                                        \
    }                                                                                                        \
    return atomic_load(&behind) arguments;                                                                   \
  }

REPLACE(void *, mmap, (void *at, size_t n, int protection, int flags, int fd, off_t from),
        (at, n, protection, flags, fd, from), MAP_FAILED, ENOMEM)
REPLACE(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1, EMFILE)
REPLACE(int, ftruncate, (int fd, off_t n), (fd, n), -1, EIO)
REPLACE(int, fallocate, (int fd, int mode, off_t from, off_t n), (fd, mode, from, n), -1, ENOSPC)
REPLACE(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1, EMFILE)
REPLACE(int, socketpair, (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds), -1,
        EMFILE)
REPLACE(int, bind, (int fd, __CONST_SOCKADDR_ARG address, socklen_t n), (fd, address, n), -1, EACCES)
REPLACE(int, listen, (int fd, int backlog), (fd, backlog), -1, ENOBUFS)
REPLACE(int, connect, (int fd, __CONST_SOCKADDR_ARG address, socklen_t n), (fd, address, n), -1, EACCES)
REPLACE(int, accept4, (int fd, __SOCKADDR_ARG address, socklen_t *n, int flags), (fd, address, n, flags), -1,
        EMFILE)
REPLACE(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *n),
        (fd, level, name, value, n), -1, ENOBUFS)
REPLACE(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags), -1,
        ENOBUFS)
REPLACE(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags), -1, ENOMEM)
REPLACE(int, poll, (struct pollfd * fds, nfds_t n, int ms), (fds, n, ms), -1, ENOMEM)
REPLACE(int, epoll_create1, (int flags), (flags), -1, EMFILE)
REPLACE(int, epoll_ctl, (int epoll, int what, int fd, struct epoll_event *event), (epoll, what, fd, event),
        -1, ENOSPC)
REPLACE(int, epoll_wait, (int epoll, struct epoll_event *events, int n, int ms), (epoll, events, n, ms), -1,
        EINTR)
REPLACE(ssize_t, getrandom, (void *bytes, size_t n, unsigned flags), (bytes, n, flags), -1, ENOSYS)
REPLACE(int, fstat, (int fd, struct stat *facts), (fd, facts), -1, EIO)
REPLACE(int, dup, (int fd), (fd), -1, EMFILE)
REPLACE(FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL, EMFILE)
REPLACE(int, pthread_create,
        (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg),
        (thread, attributes, run, arg), EAGAIN, EAGAIN)

/* The variadic ones. */

EXPORT void *mremap(void *at, size_t before, size_t after, int flags, ...) {
  if (should_fail("mremap", __builtin_return_address(0))) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  va_list arguments;
  va_start(arguments, flags);
  void *to = flags & MREMAP_FIXED ? va_arg(arguments, void *) : NULL;
  va_end(arguments);
  void *(*behind)(void *, size_t, size_t, int, void *) =
      (void *(*)(void *, size_t, size_t, int, void *))dlsym(RTLD_NEXT, "mremap");
  return behind(at, before, after, flags, to);
}

EXPORT long syscall(long number, ...) {
  if (number == SYS_pidfd_open && should_fail("pidfd_open", __builtin_return_address(0))) {
    errno = EMFILE;
    return -1;
  }
  long a[6];
  va_list arguments;
  va_start(arguments, number);
  for (int i = 0; i < 6; i++)
    a[i] = va_arg(arguments, long);
  va_end(arguments);
  long (*behind)(long, long, long, long, long, long, long) =
      (long (*)(long, long, long, long, long, long, long))dlsym(RTLD_NEXT, "syscall");
  return behind(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* A sanitizer has a malloc of its own. */
#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !HAS_FEATURE(address_sanitizer) &&    \
    !HAS_FEATURE(thread_sanitizer)

/* glibc's, under the names that stay when malloc is replaced: dlsym may need malloc itself. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t n);

static bool no_memory(const char *name, void *caller) {
  bool fails = should_fail(name, caller);
  if (fails)
    errno = ENOMEM;
  return fails;
}

EXPORT void *malloc(size_t n) {
  return no_memory("malloc", __builtin_return_address(0)) ? NULL : __libc_malloc(n);
}

EXPORT void *calloc(size_t n, size_t size) {
  return no_memory("calloc", __builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

EXPORT void *realloc(void *old, size_t n) {
  return no_memory("realloc", __builtin_return_address(0)) ? NULL : __libc_realloc(old, n);
}

EXPORT char *strdup(const char *text) {
  char *copy = no_memory("strdup", __builtin_return_address(0)) ? NULL : __libc_malloc(strlen(text) + 1);
  return copy ? strcpy(copy, text) : NULL;
}
#endif
