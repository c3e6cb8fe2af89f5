/* histogram: how often each byte occurs in the files given on the command line.
 *
 *     unisono run -n 4 ./histogram FILE...
 *
 * Shows: dividing work by rank, agreeing on a failure before anybody leaves, all_reduce of integers. */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unisono.h>

enum { BYTES = 256, BLOCK = 1 << 20 };

/* Leaving without unisono_comm_destroy is fine: the peers' operations end with "peer lost". */
static void check(unisono_status status) {
  if (status == UNISONO_OK)
    return;
  fprintf(stderr, "histogram: %s: %s\n", unisono_status_string(status), unisono_last_error());
  exit(EXIT_FAILURE);
}

/* Counts the blocks first, first + stride, ... of a file. False: errno says what is wrong with it. */
static bool count_blocks(FILE *file, int first, int stride, uint64_t counts[BYTES]) {
  static unsigned char block[BLOCK];
  for (off_t number = first;; number += stride) {
    if (fseeko(file, number * BLOCK, SEEK_SET) != 0)
      return false;
    size_t got = fread(block, 1, BLOCK, file);
    for (size_t i = 0; i < got; i++)
      counts[block[i]]++;
    if (got < BLOCK)
      return !ferror(file);
  }
}

/* Block b of file f belongs to rank (f + b) % size: one large file is shared, and so are many small ones.
 * Returns the first file that could not be read and sets errno, or NULL. */
static const char *count_files(char **paths, int n, unisono_comm *comm, uint64_t counts[BYTES]) {
  int rank = unisono_comm_rank(comm), size = unisono_comm_size(comm);
  for (int f = 0; f < n; f++) {
    FILE *file = fopen(paths[f], "rb");
    if (!file)
      return paths[f];
    bool read = count_blocks(file, (rank + size - f % size) % size, size, counts);
    int why = errno;
    fclose(file);
    errno = why;
    if (!read)
      return paths[f];
  }
  return NULL;
}

/* A rank that simply left after a failure would make the others fail too, with a message that is not the
 * cause. So all ranks agree first: they learn the lowest rank that failed, which alone speaks. The barrier
 * lets it finish, because `unisono run` ends all ranks as soon as one has failed. */
static void agree_on_failure(const char *failed_path, unisono_comm *comm) {
  int why = errno;
  int32_t rank = unisono_comm_rank(comm), none = unisono_comm_size(comm);
  int32_t speaker = failed_path ? rank : none;
  check(unisono_all_reduce(&speaker, &speaker, 1, UNISONO_INT32, UNISONO_MIN, comm));
  if (speaker == none)
    return;
  if (speaker == rank)
    fprintf(stderr, "histogram: %s: %s\n", failed_path, strerror(why));
  check(unisono_barrier(comm));
  exit(EXIT_FAILURE);
}

static void print_table(const uint64_t counts[BYTES]) {
  uint64_t total = 0;
  for (int byte = 0; byte < BYTES; byte++)
    total += counts[byte];
  printf("byte  char           count    share\n");
  for (int byte = 0; byte < BYTES; byte++)
    if (counts[byte])
      printf("0x%02x  %c     %14" PRIu64 "  %6.2f%%\n", (unsigned)byte,
             byte < 128 && isgraph(byte) ? byte : ' ', counts[byte],
             100.0 * (double)counts[byte] / (double)total);
  printf("total       %14" PRIu64 "\n", total);
}

/* Ends this rank after the others have come this far, too. */
static int leave(unisono_comm *comm, int status) {
  fflush(stdout);
  check(unisono_barrier(comm));
  check(unisono_comm_destroy(comm));
  return status;
}

int main(int argc, char **argv) {
  unisono_comm *comm;
  check(unisono_comm_init_env(&comm, NULL));
  bool speaks = unisono_comm_rank(comm) == 0;
  if (argc < 2) {
    if (speaks)
      fprintf(stderr, "usage: histogram FILE...\n");
    return leave(comm, 2);
  }

  uint64_t counts[BYTES] = {0};
  agree_on_failure(count_files(argv + 1, argc - 1, comm, counts), comm);
  check(unisono_all_reduce(counts, counts, BYTES, UNISONO_UINT64, UNISONO_SUM, comm));
  if (speaks)
    print_table(counts);
  return leave(comm, EXIT_SUCCESS);
}
