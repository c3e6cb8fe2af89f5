/* The allocator: properties under random use, exhaustion, failures of malloc, wrong calls, retired blocks,
 * and the time of a call with 100,000 live blocks. The regions are not accessible, so touching them would
 * crash. */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "shm/heap.h"

/* ------------------------------------------------------------------------ malloc that can fail */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

static long until_failure = -1; /* allocations that still work; -1: all */

static bool fails_now(void) {
  if (until_failure < 0)
    return false;
  return until_failure-- == 0 ? (until_failure = 0, true) : false;
}

void *__wrap_malloc(size_t bytes) {
  return fails_now() ? NULL : __real_malloc(bytes);
}
void *__wrap_calloc(size_t n, size_t bytes) {
  return fails_now() ? NULL : __real_calloc(n, bytes);
}
void *__wrap_realloc(void *old, size_t bytes) {
  return fails_now() ? NULL : __real_realloc(old, bytes);
}

/* --------------------------------------------------------------------------------------- tools */

static size_t page;

static char *map_nowhere(size_t bytes) {
  char *start = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(start != MAP_FAILED);
  return start;
}

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

/* Mostly small, seldom large, often exactly at a boundary. */
static size_t random_size(size_t largest) {
  size_t power = next_random() % 23, size = next_random() % ((size_t)1 << power);
  if (next_random() % 4 == 0)
    size = (size_t)1 << power;
  if (next_random() % 8 == 0)
    size += page - 1;
  return size > largest ? largest : size;
}

/* -------------------------------------------------------------------------------- shadow model */

enum { MODEL_REGIONS = 4, MODEL_BLOCKS = 600, MODEL_BYTES = 8 << 20 };

struct model {
  struct uni_heap *heap;
  char *region[MODEL_REGIONS];
  unsigned char *owned; /* of all regions: a byte a granule, 1: taken */
  struct uni_block blocks[MODEL_BLOCKS];
  int count;
};

static unsigned char *shadow(struct model *m, const struct uni_block *b) {
  size_t region_granules = MODEL_BYTES / 64, offset = (size_t)(b->start - m->region[b->region]);
  CHECK(b->region < MODEL_REGIONS && offset + b->capacity <= MODEL_BYTES);
  return m->owned + b->region * region_granules + offset / 64;
}

static void check_block(const struct uni_block *b, size_t bytes) {
  CHECK(b->requested == bytes && b->capacity >= bytes && b->capacity > 0);
  CHECK((uintptr_t)b->start % 64 == 0 && b->capacity % 64 == 0);
  CHECK(b->capacity < bytes + page && (bytes + 64 > page || b->capacity < bytes + 64 || bytes == 0));
  if (b->capacity >= page || bytes >= page)
    CHECK((uintptr_t)b->start % page == 0 && b->capacity % page == 0);
}

static void model_take(struct model *m) {
  size_t bytes = random_size(2 << 20);
  struct uni_block *b = &m->blocks[m->count];
  if (m->count == MODEL_BLOCKS || !uni_heap_take(m->heap, bytes, b))
    return;
  check_block(b, bytes);
  unsigned char *owned = shadow(m, b);
  for (size_t i = 0; i < b->capacity / 64; i++, owned++) {
    CHECK(*owned == 0);
    *owned = 1;
  }
  m->count++;
}

static void model_give(struct model *m) {
  if (m->count == 0)
    return;
  int i = (int)(next_random() % (uint64_t)m->count);
  struct uni_block b = m->blocks[i], freed;
  CHECK(uni_heap_give(m->heap, b.start, &freed));
  CHECK(freed.start <= b.start && b.start + b.capacity <= freed.start + freed.capacity);
  memset(shadow(m, &b), 0, b.capacity / 64);
  const unsigned char *owned = shadow(m, &freed);
  for (size_t k = 0; k < freed.capacity / 64; k++)
    CHECK(owned[k] == 0);
  m->blocks[i] = m->blocks[--m->count];
}

static void model_find(struct model *m) {
  struct uni_block found;
  if (m->count > 0) {
    struct uni_block b = m->blocks[next_random() % (uint64_t)m->count];
    CHECK(uni_heap_find(m->heap, b.start + next_random() % b.capacity, &found));
    CHECK(found.start == b.start && found.capacity == b.capacity && found.requested == b.requested);
  }
  struct uni_block any = {.region = (uint32_t)(next_random() % MODEL_REGIONS)};
  any.start = m->region[any.region] + next_random() % MODEL_BYTES;
  CHECK(uni_heap_find(m->heap, any.start, &found) == (*shadow(m, &any) == 1));
}

static void test_random_use(void) {
  struct model m = {.heap = uni_heap_new()};
  m.owned = calloc(MODEL_REGIONS, MODEL_BYTES / 64);
  CHECK(m.heap && m.owned);
  char *all = map_nowhere((size_t)MODEL_REGIONS * MODEL_BYTES);
  const int order[MODEL_REGIONS] = {2, 0, 3, 1}; /* neighbours in memory, added in any order */
  for (int i = 0; i < MODEL_REGIONS; i++) {
    m.region[order[i]] = all + (size_t)order[i] * MODEL_BYTES;
    CHECK(uni_heap_add(m.heap, m.region[order[i]], MODEL_BYTES, (uint32_t)order[i]));
  }
  for (int step = 0; step < 60000; step++) {
    bool filling = step / 5000 % 2 == 0;
    if (next_random() % 10 < (filling ? 6u : 4u))
      model_take(&m);
    else
      model_give(&m);
    model_find(&m);
    CHECK(uni_heap_taken_blocks(m.heap) == (size_t)m.count);
    if (step % 64 == 0)
      CHECK(uni_heap_check(m.heap));
  }
  while (m.count > 0)
    model_give(&m);
  CHECK(uni_heap_check(m.heap));
  CHECK(uni_heap_free_bytes(m.heap) == (size_t)MODEL_REGIONS * MODEL_BYTES);
  struct uni_block b; /* every region is one block again */
  for (int i = 0; i < MODEL_REGIONS; i++)
    CHECK(uni_heap_take(m.heap, MODEL_BYTES, &b) && b.capacity == MODEL_BYTES);
  CHECK(!uni_heap_take(m.heap, 1, &b));
  uni_heap_delete(m.heap);
  munmap(all, (size_t)MODEL_REGIONS * MODEL_BYTES);
  free(m.owned);
}

/* ------------------------------------------------------------------------------- single points */

static struct uni_heap *heap_with(char *region, size_t bytes) {
  struct uni_heap *heap = uni_heap_new();
  CHECK(heap && uni_heap_add(heap, region, bytes, 7));
  return heap;
}

static void test_exhaustion(void) {
  char *region = map_nowhere(64 * page);
  struct uni_heap *heap = heap_with(region, 64 * page);
  struct uni_block b, freed;
  CHECK(!uni_heap_take(heap, 64 * page + 1, &b) && !uni_heap_take(heap, SIZE_MAX, &b));
  CHECK(!uni_heap_take(heap, SIZE_MAX / 2, &b) && !uni_heap_take(heap, SIZE_MAX / 2 - 64, &b));
  for (int i = 0; i < 64; i++)
    CHECK(uni_heap_take(heap, page, &b) && b.capacity == page && b.region == 7 && b.backed);
  CHECK(!uni_heap_take(heap, 0, &b) && uni_heap_free_bytes(heap) == 0);
  for (size_t i = 0; i < 64; i += 2)
    CHECK(uni_heap_give(heap, region + i * page, &freed) && freed.capacity == page);
  CHECK(!uni_heap_take(heap, page + 1, &b)); /* enough bytes, but no two pages side by side */
  for (int i = 0; i < 32; i++)
    CHECK(uni_heap_take(heap, page, &b));
  CHECK(!uni_heap_take(heap, page, &b) && uni_heap_check(heap));
  uni_heap_delete(heap);
  munmap(region, 64 * page);
}

/* A region of just the size asked for serves it, whatever is in the heap already. */
static void test_exact_region(void) {
  struct uni_heap *heap = uni_heap_new();
  CHECK(heap);
  struct uni_block b;
  for (size_t pages = 1; pages < 3000; pages = pages * 3 / 2 + 1) {
    char *region = map_nowhere(pages * page);
    CHECK(uni_heap_add(heap, region, pages * page, (uint32_t)pages));
    CHECK(uni_heap_take(heap, pages * page - 5, &b) && b.capacity == pages * page && b.region == pages);
  }
  CHECK(uni_heap_check(heap));
  uni_heap_delete(heap);
}

static void test_wrong_calls(void) {
  char *region = map_nowhere(16 * page);
  struct uni_heap *heap = heap_with(region, 16 * page);
  struct uni_block a, b, freed;
  CHECK(uni_heap_take(heap, 100, &a) && uni_heap_take(heap, 3 * page, &b));
  CHECK(!uni_heap_give(heap, NULL, &freed) && !uni_heap_give(heap, &a, &freed));
  CHECK(!uni_heap_give(heap, a.start + 1, &freed) && !uni_heap_give(heap, a.start + 64, &freed));
  CHECK(!uni_heap_give(heap, b.start + page, &freed));
  CHECK(!uni_heap_give(heap, b.start + b.capacity, &freed)); /* the start of a free block */
  CHECK(uni_heap_give(heap, a.start, &freed) && !uni_heap_give(heap, a.start, &freed));
  CHECK(!uni_heap_find(heap, region - 1, &freed) && !uni_heap_find(heap, region + 16 * page, &freed));
  CHECK(!uni_heap_find(heap, NULL, &freed) && !uni_heap_find(heap, a.start, &freed));
  CHECK(uni_heap_check(heap));
  uni_heap_delete(heap);
  heap = uni_heap_new();
  CHECK(heap && !uni_heap_give(heap, region, &freed) && !uni_heap_find(heap, region, &freed));
  CHECK(!uni_heap_take(heap, 1, &a) && uni_heap_check(heap));
  uni_heap_delete(heap);
  uni_heap_delete(NULL);
  munmap(region, 16 * page);
}

static void test_retired(void) {
  char *region = map_nowhere(3 * page);
  struct uni_heap *heap = heap_with(region, 3 * page);
  struct uni_block b[3], freed;
  for (int i = 0; i < 3; i++)
    CHECK(uni_heap_take(heap, page, &b[i]));
  uni_heap_retire(heap, b[1].start);
  CHECK(uni_heap_find(heap, b[1].start + 5, &freed) && freed.start == b[1].start);
  for (int i = 0; i < 3; i++)
    CHECK(uni_heap_give(heap, b[i].start, &freed) && freed.capacity == (i == 1 ? 0 : page));
  CHECK(!uni_heap_give(heap, b[1].start, &freed) && !uni_heap_find(heap, b[1].start, &freed));
  CHECK(uni_heap_taken_blocks(heap) == 0 && uni_heap_free_bytes(heap) == 2 * page && uni_heap_check(heap));
  CHECK(!uni_heap_take(heap, 2 * page, &freed));
  for (int i = 0; i < 2; i++)
    CHECK(uni_heap_take(heap, page, &freed) && freed.start != b[1].start);
  CHECK(!uni_heap_take(heap, 1, &freed));
  uni_heap_delete(heap);
  munmap(region, 3 * page);
}

static void test_backed(void) {
  char *region = map_nowhere(8 * page);
  struct uni_heap *heap = heap_with(region, 8 * page);
  struct uni_block a, b, freed;
  CHECK(uni_heap_take(heap, 4 * page, &a) && uni_heap_take(heap, 2 * page, &b));
  CHECK(uni_heap_give(heap, a.start, &freed) && freed.backed && freed.start == a.start);
  uni_heap_set_backed(heap, freed.start, false);
  CHECK(uni_heap_free_bytes(heap) == 2 * page && uni_heap_check(heap));
  CHECK(uni_heap_take(heap, 3 * page, &a) && !a.backed); /* both halves of a split stay unbacked */
  uni_heap_set_backed(heap, a.start, true);
  CHECK(uni_heap_find(heap, a.start, &freed) && freed.backed);
  CHECK(uni_heap_give(heap, b.start, &freed) && freed.capacity == 5 * page && !freed.backed);
  CHECK(uni_heap_free_bytes(heap) == 0);
  uni_heap_set_backed(heap, freed.start, true);
  CHECK(uni_heap_free_bytes(heap) == 5 * page && uni_heap_check(heap));
  CHECK(uni_heap_give(heap, a.start, &freed) && freed.capacity == 8 * page && freed.backed);
  uni_heap_delete(heap);
  munmap(region, 8 * page);
}

/* ---------------------------------------------------------------------------------- injection */

/* Runs a fixed story; false when an allocation failed. Whatever happens the heap stays whole. */
static bool story(char *region, size_t bytes) {
  struct uni_heap *heap = uni_heap_new();
  if (!heap)
    return false;
  struct uni_block b, freed;
  bool ok = uni_heap_add(heap, region, bytes / 2, 0) && uni_heap_add(heap, region + bytes / 2, bytes / 2, 1);
  size_t taken = 0;
  for (size_t i = 0; ok && i < 500; i++) {
    ok = uni_heap_take(heap, i % 7 * 700, &b);
    taken += ok;
    if (ok && i % 3 == 0)
      taken -= uni_heap_give(heap, b.start, &freed);
  }
  CHECK(uni_heap_check(heap) && uni_heap_taken_blocks(heap) == taken);
  uni_heap_delete(heap);
  return ok;
}

static void test_no_private_memory(void) {
  size_t bytes = 1024 * page;
  char *region = map_nowhere(bytes);
  long allocations = 0;
  for (bool ok = false; !ok; allocations++) {
    until_failure = allocations;
    ok = story(region, bytes);
    until_failure = -1;
  }
  CHECK(allocations > 8);
  printf("malloc failed at each of %ld allocations\n", allocations - 1);
  munmap(region, bytes);
}

/* ------------------------------------------------------------------------------------- timing */

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { LIVE = 100000, ROUNDS = 1000000 };

static void test_many_live_blocks(void) {
  size_t bytes = (size_t)8 << 30;
  char *region = map_nowhere(bytes);
  struct uni_heap *heap = heap_with(region, bytes);
  struct uni_block b, freed;
  char **live = malloc(LIVE * sizeof *live);
  CHECK(live);
  for (int i = 0; i < LIVE; i++) {
    CHECK(uni_heap_take(heap, random_size(65536), &b));
    live[i] = b.start;
  }
  double start = seconds();
  for (int i = 0; i < ROUNDS; i++) {
    size_t k = next_random() % LIVE;
    CHECK(uni_heap_give(heap, live[k], &freed) && uni_heap_take(heap, random_size(65536), &b));
    live[k] = b.start;
  }
  double pairs = seconds() - start;
  start = seconds();
  for (int i = 0; i < ROUNDS; i++)
    CHECK(uni_heap_find(heap, live[next_random() % LIVE], &b));
  double finds = seconds() - start;
  CHECK(uni_heap_check(heap));
  printf("%d live blocks: give and take %.0f ns, find %.0f ns\n", LIVE, pairs * 1e9 / (double)ROUNDS,
         finds * 1e9 / (double)ROUNDS);
  start = seconds();
  for (int i = 0; i < ROUNDS; i++)
    CHECK(uni_heap_take(heap, 65536, &b) && uni_heap_give(heap, b.start, &freed));
  printf("the same block again and again: take and give %.0f ns\n",
         (seconds() - start) * 1e9 / (double)ROUNDS);
  free(live);
  uni_heap_delete(heap);
  munmap(region, bytes);
}

int main(void) {
  page = (size_t)sysconf(_SC_PAGESIZE);
  test_random_use();
  test_exhaustion();
  test_exact_region();
  test_wrong_calls();
  test_retired();
  test_backed();
  test_no_private_memory();
  test_many_live_blocks();
  return 0;
}
