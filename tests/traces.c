#include "traces.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"

enum { MALLOC_MAPPINGS = 8 }; /* malloc's own may come and go */

static int count_entries(const char *path) {
  DIR *directory = opendir(path);
  int n = 0;
  if (!directory)
    return 0;
  while (readdir(directory))
    n++;
  closedir(directory);
  return n;
}

static int count_lines(const char *path) {
  FILE *file = fopen(path, "r");
  int n = 0, c;
  CHECK(file);
  while ((c = getc(file)) != EOF)
    n += c == '\n';
  fclose(file);
  return n;
}

static int count_kept_by_exec(void) {
  DIR *directory = opendir("/proc/self/fd");
  int n = 0;
  CHECK(directory);
  for (struct dirent *entry; (entry = readdir(directory));) {
    int flags = fcntl(atoi(entry->d_name), F_GETFD);
    n += flags >= 0 && !(flags & FD_CLOEXEC);
  }
  closedir(directory);
  return n;
}

struct traces traces_now(void) {
  return (struct traces){.descriptors = count_entries("/proc/self/fd"),
                         .mappings = count_lines("/proc/self/maps"),
                         .threads = count_entries("/proc/self/task"),
                         .shm_files = count_entries("/dev/shm"),
                         .kept_by_exec = count_kept_by_exec()};
}

/* A sanitizer maps memory of its own as it goes. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { COUNTS_MAPPINGS = 0 };
#else
enum { COUNTS_MAPPINGS = 1 };
#endif

void traces_check(const struct traces *before) {
  struct traces now = traces_now();
  if (now.descriptors > before->descriptors ||
      (COUNTS_MAPPINGS && now.mappings > before->mappings + MALLOC_MAPPINGS) ||
      now.threads > before->threads || now.shm_files > before->shm_files)
    FAIL("descriptors %d (before %d), mappings %d (%d), threads %d (%d), files in /dev/shm %d (%d)",
         now.descriptors, before->descriptors, now.mappings, before->mappings, now.threads, before->threads,
         now.shm_files, before->shm_files);
  if (now.kept_by_exec > before->kept_by_exec)
    FAIL("%d descriptors would be inherited by programs that are executed",
         now.kept_by_exec - before->kept_by_exec);
}
