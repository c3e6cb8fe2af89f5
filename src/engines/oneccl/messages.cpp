/* Messages between two ranks by group and tag, over oneCCL's send and recv, which know neither: each goes
 * behind a head that names them. What comes is taken in the order of coming, and kept until it is asked for.
 */
#include <chrono>
#include <cstring>
#include <stdexcept>

#include "adapter.hpp"

namespace oneccl_engine {

static ccl::event *start_send(const World *world, int peer, const void *from, size_t bytes) {
  return new ccl::event(ccl::send(const_cast<void *>(from), bytes, ccl::datatype::uint8, peer, *world->comm));
}

static ccl::event *start_receive(const World *world, int peer, void *to, size_t bytes) {
  return new ccl::event(ccl::recv(to, bytes, ccl::datatype::uint8, peer, *world->comm));
}

/* The first look starts it, the second one finds it done where nothing has to be waited for, and the third
 * says so. An event that is not over must not be deleted: that would be to wait for it. */
static bool is_over(ccl::event *&event) {
  for (int looks = 0; looks < 3; looks++)
    if (event->test()) {
      delete event;
      event = nullptr;
      return true;
    }
  return false;
}

/* ---- out */

static void start_next(const World *world, Peer &peer) {
  const Sending *s = peer.out.front();
  peer.going = s->head_is_gone ? start_send(world, s->peer, s->buffer, s->head.bytes)
                               : start_send(world, s->peer, &s->head, sizeof s->head);
}

static void push(const World *world, Peer &peer) {
  while (!peer.out.empty()) {
    if (!peer.going)
      start_next(world, peer);
    if (!is_over(peer.going))
      return;
    Sending *s = peer.out.front();
    if (!s->head_is_gone && s->head.bytes > Head::FEW) {
      s->head_is_gone = true;
      continue;
    }
    s->done = true;
    peer.out.pop_front();
  }
}

Request *send(Group *group, const void *buffer, size_t bytes, int peer, uint32_t tag) {
  auto *s = new Sending;
  s->world = group->world;
  s->peer = group->in_world(peer);
  s->head = Head{group->id, bytes, tag, 0, {}};
  s->buffer = buffer;
  if (bytes <= Head::FEW && bytes)
    std::memcpy(s->head.few, buffer, bytes);
  Peer &to = s->world->peer_of(s->peer);
  to.out.push_back(s);
  s->world->outgoing.insert(s->peer);
  push(s->world, to);
  return s;
}

/* ---- in */

static std::runtime_error other_length(uint64_t came, size_t awaited) {
  return std::runtime_error("a message of " + std::to_string(came) + " bytes came where one of " +
                            std::to_string(awaited) + " is awaited");
}

/* The first receive that it is for, which is taken off the list. */
static Receiving *taker_of(Peer &peer, uint64_t group, uint32_t tag, uint64_t bytes) {
  for (auto at = peer.wanted.begin(); at != peer.wanted.end(); ++at) {
    Receiving *r = *at;
    if (r->group != group || r->tag != tag)
      continue;
    if (r->bytes != bytes)
      throw other_length(bytes, r->bytes);
    peer.wanted.erase(at);
    return r;
  }
  return nullptr;
}

static char *place_of(Peer &peer) {
  const Head &head = peer.head;
  peer.taker = taker_of(peer, head.group, head.tag, head.bytes);
  if (peer.taker)
    return static_cast<char *>(peer.taker->buffer);
  peer.arrived.push_back(Letter{head.group, head.tag, std::vector<char>(head.bytes)});
  return peer.arrived.back().text.data();
}

/* It may have been asked for while it came. */
static void hand_over_last(Peer &peer) {
  const Letter &letter = peer.arrived.back();
  Receiving *r = taker_of(peer, letter.group, letter.tag, letter.text.size());
  if (!r)
    return;
  if (r->bytes)
    std::memcpy(r->buffer, letter.text.data(), r->bytes);
  r->done = true;
  peer.arrived.pop_back();
}

/* A head has come, or a body. */
static void take_in(const World *world, Peer &peer, int from) {
  if (!peer.body_comes) {
    char *place = place_of(peer);
    peer.body_comes = peer.head.bytes > Head::FEW;
    if (peer.body_comes) {
      peer.coming = start_receive(world, from, place, peer.head.bytes);
      return;
    }
    if (peer.head.bytes)
      std::memcpy(place, peer.head.few, peer.head.bytes);
  }
  peer.body_comes = false;
  if (peer.taker)
    peer.taker->done = true;
  else
    hand_over_last(peer);
}

/* As long as something is wanted, and to the end of what has begun. */
static void pull(World *world, int from) {
  Peer &peer = world->peer_of(from);
  while (peer.coming || !peer.wanted.empty()) {
    if (!peer.coming)
      peer.coming = start_receive(world, from, &peer.head, sizeof peer.head);
    if (!is_over(peer.coming))
      return;
    take_in(world, peer, from);
  }
}

/* What is still coming is handed over at its end. */
static bool take_arrived(Peer &peer, Receiving *r) {
  bool last_is_coming = peer.body_comes && !peer.taker;
  for (auto at = peer.arrived.begin(); at != peer.arrived.end(); ++at) {
    if (at->group != r->group || at->tag != r->tag)
      continue;
    if (last_is_coming && std::next(at) == peer.arrived.end())
      return false;
    if (at->text.size() != r->bytes)
      throw other_length(at->text.size(), r->bytes);
    if (r->bytes)
      std::memcpy(r->buffer, at->text.data(), r->bytes);
    peer.arrived.erase(at);
    return true;
  }
  return false;
}

/* ---- progress: whoever waits for something moves all that goes out and comes, as a peer may need that
 * before it answers. Where many wait, each of them asking the network would take most of the time: one
 * speaks for all, for a moment. */

static constexpr std::chrono::microseconds MOMENT(5);

static void move(World *world) {
  if (std::chrono::steady_clock::now() < world->quiet_until)
    return;
  for (auto at = world->outgoing.begin(); at != world->outgoing.end();) {
    Peer &peer = world->peer_of(*at);
    push(world, peer);
    at = peer.out.empty() ? world->outgoing.erase(at) : std::next(at);
  }
  for (auto at = world->incoming.begin(); at != world->incoming.end();) {
    pull(world, *at);
    const Peer &peer = world->peer_of(*at);
    at = peer.wanted.empty() && !peer.coming ? world->incoming.erase(at) : std::next(at);
  }
  world->quiet_until = std::chrono::steady_clock::now() + MOMENT;
}

bool Sending::test() {
  if (!done)
    move(world);
  return done;
}

bool Receiving::test() {
  if (!done)
    move(world);
  return done;
}

Request *receive(Group *group, void *buffer, size_t bytes, int peer, uint32_t tag) {
  auto *r = new Receiving;
  r->world = group->world;
  r->peer = group->in_world(peer);
  r->group = group->id;
  r->tag = tag;
  r->buffer = buffer;
  r->bytes = bytes;
  Peer &from = r->world->peer_of(r->peer);
  r->done = take_arrived(from, r);
  if (!r->done) {
    from.wanted.push_back(r);
    r->world->incoming.insert(r->peer);
    pull(r->world, r->peer);
  }
  return r;
}

} // namespace oneccl_engine
