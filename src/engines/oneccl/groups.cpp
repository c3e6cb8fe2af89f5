/* Groups, and how their communicators are made. To make one, all members must be in oneCCL's call at once,
 * and no other thread of theirs in another one: each takes `making`, in the order of the ranks, and the first
 * one goes ahead when the last one has it. */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "adapter.hpp"

namespace oneccl_engine {

static constexpr uint32_t CONNECT_TAG = UINT32_MAX; /* of no caller's */

std::mutex making;

void finish(std::unique_ptr<Request> request) {
  for (;;) {
    {
      Turn turn(std::try_to_lock);
      if (turn && request->test())
        return;
    }
    usleep(50);
  }
}

/* ---- connecting, in a thread of its own */

using Address = ccl::kvs::address_type;

static void tell(Group *g, int member, Address &address) {
  std::unique_ptr<Request> request;
  {
    Turn turn;
    request.reset(send(g, address.data(), address.size(), member, CONNECT_TAG));
  }
  finish(std::move(request));
}

static void hear(Group *g, int member, Address &address) {
  std::unique_ptr<Request> request;
  {
    Turn turn;
    request.reset(receive(g, address.data(), address.size(), member, CONNECT_TAG));
  }
  finish(std::move(request));
}

/* The members in the order of their ranks in the world, and where this one is among them. */
static std::vector<int> order_of(const Group *g, size_t *mine) {
  std::vector<int> order(g->ranks.size());
  for (size_t i = 0; i < order.size(); i++)
    order[i] = static_cast<int>(i);
  std::sort(order.begin(), order.end(), [g](int a, int b) { return g->in_world(a) < g->in_world(b); });
  *mine = static_cast<size_t>(std::find(order.begin(), order.end(), g->rank) - order.begin());
  return order;
}

static void connect(Group *g) {
  size_t mine;
  std::vector<int> order = order_of(g, &mine);
  bool is_first = mine == 0, is_last = mine + 1 == order.size();
  Address address{};
  if (!is_first)
    hear(g, order[mine - 1], address);
  std::lock_guard<std::mutex> lock(making);
  ccl::shared_ptr_class<ccl::kvs> store;
  if (is_first) {
    Turn turn;
    store = ccl::create_main_kvs();
    address = store->get_address();
  }
  if (!is_last) {
    tell(g, order[mine + 1], address);
    hear(g, order[mine + 1], address);
  }
  if (!is_first)
    tell(g, order[mine - 1], address);
  Turn turn;
  if (!store)
    store = ccl::create_kvs(address);
  g->comm = std::make_unique<ccl::communicator>(
      ccl::create_communicator(static_cast<int>(g->ranks.size()), g->rank, store));
}

static void try_to_connect(Group *g) {
  try {
    connect(g);
    g->connected = true;
  } catch (const std::exception &error) {
    g->why = error.what();
    g->failed = true;
  }
}

/* Signals are for the application's threads. */
static void start_connecting(Group *g) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread(try_to_connect, g).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  g->connects = true;
}

/* ---- groups */

static uint64_t hash(uint64_t seed, const void *bytes, size_t n) { /* FNV-1a */
  const auto *at = static_cast<const unsigned char *>(bytes);
  for (size_t i = 0; i < n; i++)
    seed = (seed ^ at[i]) * UINT64_C(0x100000001b3);
  return seed;
}

Group *new_group(World *world, const int *ranks, int n, int tag) {
  auto *g = new Group;
  g->world = world;
  g->ranks.assign(ranks, ranks + n);
  g->rank = static_cast<int>(std::find(g->ranks.begin(), g->ranks.end(), world->rank) - g->ranks.begin());
  std::lock_guard<std::mutex> lock(world->lock);
  int before = world->groups[{g->ranks, tag}]++; /* of these ranks, under this tag: alike on all of them */
  g->id = hash(UINT64_C(0xcbf29ce484222325), ranks, static_cast<size_t>(n) * sizeof *ranks);
  g->id = hash(hash(g->id, &tag, sizeof tag), &before, sizeof before);
  return g;
}

/* ---- collectives */

static void start_waiting(Group *g) {
  while (!g->waiting.empty()) {
    Collective *first = g->waiting.front();
    first->event = std::make_unique<ccl::event>(first->start());
    g->waiting.pop_front();
  }
}

bool Collective::test() {
  if (group->failed)
    throw std::runtime_error("the machines could not be connected: " + group->why);
  if (!group->connected)
    return false;
  start_waiting(group);
  if (!event->test())
    return false;
  if (end)
    end();
  return true;
}

Request *collective(Group *group, std::function<ccl::event()> start, std::function<void()> end) {
  auto *c = new Collective;
  c->group = group;
  c->start = std::move(start);
  c->end = std::move(end);
  group->waiting.push_back(c);
  if (group->connected)
    start_waiting(group);
  else if (!group->connects)
    start_connecting(group);
  return c;
}

} // namespace oneccl_engine
