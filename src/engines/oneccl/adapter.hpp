/* oneCCL as an engine of the public header (unisono_engine), in a library of its own that is loaded when it
 * is asked for: its C++ interface, which is why this is not C.
 *
 * A communicator of oneCCL's carries the messages of a world, all groups together; each group has one for its
 * collectives, made when the first of them is started. None of them is ever destroyed: that is not local. */
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <oneapi/ccl.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "unisono.h"

namespace oneccl_engine {

/* oneCCL is called by one thread at a time, which holds this. A start waits for it, but not for ever: a lost
 * peer may have left somebody in the middle of making a communicator. */
class Turn {
public:
  Turn();
  explicit Turn(std::try_to_lock_t) noexcept;
  explicit operator bool() const { return lock_.owns_lock(); }

private:
  std::unique_lock<std::timed_mutex> lock_;
};

/* Held by who makes a communicator. Where several processes make several at once, each must get all of its
 * members' before any is made. */
extern std::mutex making;

/* An operation under way; test() is called in a Turn. */
class Request {
public:
  virtual ~Request() = default;
  virtual bool test() = 0; /* throws; true: over */
};

/* ---- messages.cpp */

struct World;

/* Goes before every message; a few bytes ride with it. */
struct Head {
  static constexpr size_t FEW = 40;
  uint64_t group, bytes;
  uint32_t tag, unused;
  char few[FEW];
};

struct Sending : Request {
  World *world;
  int peer;
  Head head;
  const void *buffer;
  bool head_is_gone = false, done = false;
  bool test() override;
};

struct Receiving : Request {
  World *world;
  int peer;
  uint64_t group;
  uint32_t tag;
  void *buffer;
  size_t bytes;
  bool done = false;
  bool test() override;
};

struct Letter { /* has come, and nobody has asked for it yet */
  uint64_t group;
  uint32_t tag;
  std::vector<char> text;
};

struct Peer {
  std::deque<Sending *> out; /* one after the other: oneCCL may change the order of what is started */
  ccl::event *going = nullptr;
  std::list<Receiving *> wanted;
  std::list<Letter> arrived;
  ccl::event *coming = nullptr;
  bool body_comes = false; /* else a head */
  Head head;
  Receiving *taker = nullptr; /* of the body; nullptr: it becomes the last of `arrived` */
};

/* ---- worlds.cpp */

struct World {
  int rank, size;
  std::unique_ptr<ccl::communicator> comm;
  std::vector<Peer> peers;
  Peer &peer_of(int number) { return peers[static_cast<size_t>(number)]; }
  std::chrono::steady_clock::time_point quiet_until{};
  std::set<int> outgoing, incoming; /* the peers that something goes out to, and is wanted from */
  std::mutex lock;                  /* guards what follows */
  std::map<std::pair<std::vector<int>, int>, int> groups; /* how many of these ranks, under this tag */
};

/* ---- groups.cpp */

struct Collective;

struct Group {
  World *world;
  uint64_t id;            /* the same on all members, of no other group of the world */
  std::vector<int> ranks; /* in the world */
  int in_world(int member) const { return ranks[static_cast<size_t>(member)]; }
  int rank;
  std::unique_ptr<ccl::communicator> comm;
  bool connects = false; /* in a Turn */
  std::atomic<bool> connected{false}, failed{false};
  std::string why;                  /* it failed */
  std::deque<Collective *> waiting; /* for it to be connected; in a Turn */
};

struct Collective : Request {
  Group *group;
  std::function<ccl::event()> start;
  std::function<void()> end; /* may be empty */
  std::unique_ptr<ccl::event> event;
  bool test() override;
};

Request *send(Group *group, const void *buffer, size_t bytes, int peer, uint32_t tag);
Request *receive(Group *group, void *buffer, size_t bytes, int peer, uint32_t tag);

struct ExchangeFailed { /* the library has words for it */
  unisono_status status;
};

World *open_world(int rank, int size, unisono_exchange exchange, void *what);
Group *new_group(World *world, const int *ranks, int n, int tag);

/* `end` is called when it is over. */
Request *collective(Group *group, std::function<ccl::event()> start, std::function<void()> end = {});

/* Waits for it in its own thread. */
void finish(std::unique_ptr<Request> request);

/* ---- reductions.cpp */

/* nullptr: oneCCL's own does as we do. */
ccl::reduction_fn reduction_of(unisono_dtype dtype, unisono_op op);

} // namespace oneccl_engine
