/* When ranks are crowded: what each asks of the processors, and how many there are for all. */
#include <string.h>

#include "check.h"
#include "rendezvous/demand.h"

enum { MOST = 8 };
static struct uni_demand demands[MOST];

/* Rank i may use the processors first[i] to last[i], and its control groups pay for `quota` of them. */
static void demand(int i, int threads, int first, int last, int quota) {
  demands[i] = (struct uni_demand){.threads = (uint64_t)threads, .processors = (uint64_t)quota};
  for (size_t p = (size_t)first; p <= (size_t)last; p++)
    CPU_SET(p, &demands[i].allowed);
}

/* All ranks alike. */
static bool alike_crowd(int n, int threads, int first, int last, int quota) {
  for (int i = 0; i < n; i++)
    demand(i, threads, first, last, quota);
  return uni_demands_crowd(demands, n);
}

static void test_alike(void) {
  CHECK(!alike_crowd(2, 1, 0, 1, 2));
  CHECK(alike_crowd(3, 1, 0, 1, 2));
  CHECK(!alike_crowd(2, 4, 0, 7, 8));
  CHECK(alike_crowd(2, 5, 0, 7, 8));
  CHECK(alike_crowd(4, 1, 0, 7, 2)); /* eight processors, two of which are paid for */
}

static void test_pinned(void) {
  for (int i = 0; i < 4; i++)
    demand(i, 1, i, i, 1);
  CHECK(!uni_demands_crowd(demands, 4));
  demand(3, 1, 0, 0, 1);
  CHECK(uni_demands_crowd(demands, 4));
}

/* As two containers, each with processors of its own, or with the same. */
static void test_containers(void) {
  for (int i = 0; i < 4; i++)
    demand(i, 1, i < 2 ? 0 : 2, i < 2 ? 1 : 3, 2);
  CHECK(!uni_demands_crowd(demands, 4));
  CHECK(alike_crowd(4, 1, 0, 1, 2));
  CHECK(alike_crowd(4, 1, 0, 1, 0)); /* whatever their quotas are */
  CHECK(!alike_crowd(4, 1, 0, 7, 0));
}

/* More processors than a set can name: it is empty. */
static void test_unnamed(void) {
  CHECK(!alike_crowd(4, 1, 1, 0, 2000));
  CHECK(alike_crowd(4, 1, 1, 0, 3));
  CHECK(!alike_crowd(4, 1, 1, 0, 0));
}

static void test_lanes(void) {
  demand(0, 4, 0, 7, 8);
  demand(1, 2, 0, 7, 8);
  CHECK(uni_demands_lanes(demands, 2) == 2);
}

static void test_here(void) {
  struct uni_demand mine;
  uni_demand_here(3, &mine);
  CHECK(mine.threads == 3 && mine.processors >= 1 && CPU_COUNT(&mine.allowed) >= (int)mine.processors);
}

int main(void) {
  test_alike();
  test_pinned();
  test_containers();
  test_unnamed();
  test_lanes();
  test_here();
  return 0;
}
