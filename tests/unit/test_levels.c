/* Which ranks make up groups, and when data goes by levels. */
#include <stdint.h>
#include <string.h>

#include "algorithms/steps.h"
#include "check.h"
#include "collectives/select.h"
#include "comm.h"

/* Not got to here. */
void uni_stage_begin(unisono_comm *comm, size_t room) {
  (void)comm, (void)room;
  abort();
}

/* ---- groups */

enum { MOST = 16 };
static struct uni_place places[MOST];
static struct uni_world world;
static unisono_comm comm = {.world = &world, .places = places};

/* Where the ranks are, a letter each: 'a' is the first socket; '.' is not known. */
static struct uni_groups group(const char *caches, const char *sockets) {
  comm.size = (int)strlen(caches);
  for (int r = 0; r < comm.size; r++) {
    places[r].domains[UNI_LEVEL_CACHE] = caches[r] == '.' ? 0 : (uint32_t)(caches[r] - 'a' + 1);
    places[r].domains[UNI_LEVEL_SOCKET] = sockets[r] == '.' ? 0 : (uint32_t)(sockets[r] - 'a' + 1);
  }
  uni_groups_find(&comm);
  return comm.groups;
}

static void check_groups(const char *caches, const char *sockets, int count, int size) {
  struct uni_groups found = group(caches, sockets);
  if (found.count == count && found.size == size)
    return;
  fprintf(stderr, "%s, %s: %d groups of %d, and should be %d of %d\n", caches, sockets, found.count,
          found.size, count, size);
  exit(1);
}

static void test_groups(void) {
  check_groups("aabb", "aaaa", 2, 2);         /* by caches */
  check_groups("aabbccdd", "aaaabbbb", 4, 2); /* the inner level */
  check_groups("abcdefgh", "aaaabbbb", 2, 4); /* one rank a cache: by sockets */
  check_groups("........", "aaaabbbb", 2, 4);
  check_groups("aaaa", "aaaa", 1, 4);
  check_groups("abab", "abab", 1, 4);     /* not one behind the other */
  check_groups("aabbaa", "aaaaaa", 1, 6); /* comes again */
  check_groups("aaabb", "aaabb", 1, 5);   /* of different sizes */
  check_groups("aaaabb", "aaaabb", 1, 6);
  check_groups("aab.", "aab.", 1, 4);
  check_groups("....", "....", 1, 4);
}

/* ---- the choice */

static bool is_chosen(enum uni_kind kind, size_t bytes, unisono_dtype dtype, unisono_op op) {
  static struct uni_lane lane;
  struct uni_call call = {.kind = kind, .block = bytes, .count = bytes, .dtype = dtype, .op = op};
  comm.run.lanes = &lane;
  lane.bytes = bytes;
  return uni_select_by_levels(&comm, &call);
}

static bool is_sum_chosen(size_t bytes) {
  return is_chosen(UNI_ALL_REDUCE, bytes, UNISONO_FLOAT32, UNISONO_SUM);
}

static void set_reach(uint32_t near, uint32_t far) {
  world.settings.reach = (struct uni_reach){near, far};
}

static void test_choice(void) {
  enum { SMALL = 16 << 10, LARGE = 16 << 20 };
  world.settings.costs = (struct uni_costs){{200000, 300000, 2000, 2000, 500}};
  group("aaaaaaaabbbbbbbb", "aaaaaaaabbbbbbbb");
  comm.layout = uni_layout_of(16, 1);
  CHECK(!is_sum_chosen(LARGE)); /* not measured */
  set_reach(2000, 2000);
  CHECK(!is_sum_chosen(LARGE)); /* nothing is far */
  set_reach(2000, 20000);
  CHECK(is_sum_chosen(LARGE) && !is_sum_chosen(SMALL));
  CHECK(is_chosen(UNI_BROADCAST, LARGE, UNISONO_UINT8, UNISONO_SUM));
  CHECK(is_chosen(UNI_ALL_GATHER, LARGE, UNISONO_UINT8, UNISONO_SUM));
  CHECK(!is_chosen(UNI_ALL_TO_ALL, LARGE, UNISONO_UINT8, UNISONO_SUM));
  CHECK(!is_chosen(UNI_ALL_REDUCE, LARGE, UNISONO_BFLOAT16, UNISONO_SUM)); /* its bits would change */
  CHECK(is_chosen(UNI_ALL_REDUCE, LARGE, UNISONO_BFLOAT16, UNISONO_MAX));
  CHECK(!is_chosen(UNI_ALL_REDUCE, LARGE, UNISONO_FLOAT32, UNISONO_AVG));
  world.settings.crowded = true;
  CHECK(!is_sum_chosen(LARGE));
  world.settings.algorithm = UNI_BY_LEVELS;
  CHECK(is_sum_chosen(LARGE));
  group("aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaa");
  CHECK(!is_sum_chosen(LARGE)); /* there are no groups */
}

int main(void) {
  test_groups();
  test_choice();
  return 0;
}
