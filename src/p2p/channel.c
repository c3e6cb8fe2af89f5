#include "p2p/channel.h"

#include <string.h>

#include "comm.h"
#include "kernels/reduce.h"
#include "p2p/state.h"

enum {
  EAGER_MOST = 4096, /* up to here, copying twice is faster than announcing and copying once */
  INSIDE = UNI_LINE - sizeof(struct uni_envelope) /* a payload that goes behind the envelope in its line */
};

static char *ring_of(const unisono_comm *comm, int from, int to) {
  size_t number = (size_t)from * (size_t)comm->size + (size_t)to;
  return comm->segment->base + comm->layout.rings + number * comm->layout.ring_bytes;
}

static size_t ring_lines(const unisono_comm *comm) {
  return comm->layout.ring_bytes / UNI_LINE;
}

static size_t offset_of(const unisono_comm *comm, uint64_t line) {
  return (size_t)line * UNI_LINE & (comm->layout.ring_bytes - 1);
}

size_t uni_eager_max(const unisono_comm *comm) {
  return comm->layout.ring_bytes / 2 < EAGER_MOST ? comm->layout.ring_bytes / 2 : EAGER_MOST;
}

size_t uni_fragment(const unisono_comm *comm) {
  return (ring_lines(comm) / 4 - 1) * UNI_LINE;
}

static size_t lines_of(size_t bytes) {
  return bytes <= INSIDE ? 1 : 1 + (bytes + UNI_LINE - 1) / UNI_LINE;
}

void uni_copy_once(void *to, const void *from, size_t bytes) {
  memcpy(to, from, bytes);
  /* the compiler may not read it again from where a peer writes; relaxed is enough, the head was acquired
   * before */
  atomic_signal_fence(memory_order_seq_cst);
}

void uni_p2p_corrupt(unisono_comm *comm, int peer, const char *what) {
  comm->p2p->stopped = true;
  uni_comm_break(comm, UNISONO_ERROR_SYSTEM, "rank %d finds the messages of rank %d corrupt: %s", comm->rank,
                 peer, what);
}

/* ---- the sender's end */

static bool has_room(unisono_comm *comm, int peer, size_t lines) {
  struct uni_outlet *out = &comm->p2p->sending[peer].outlet;
  if (ring_lines(comm) - (out->head - out->tail) >= lines)
    return true;
  /* acquire: the receiver has read the lines before it, so they may be written again */
  uint64_t tail = atomic_load_explicit(&uni_comm_channel(comm, comm->rank, peer)->tail, memory_order_acquire);
  if (out->head - tail > ring_lines(comm)) {
    uni_p2p_corrupt(comm, peer, "it has read what was not written");
    return false;
  }
  out->tail = tail;
  return ring_lines(comm) - (out->head - tail) >= lines;
}

static void write_lines(const unisono_comm *comm, int peer, uint64_t line, const char *from, size_t bytes) {
  char *ring = ring_of(comm, comm->rank, peer);
  size_t offset = offset_of(comm, line), first = comm->layout.ring_bytes - offset;
  if (first > bytes)
    first = bytes;
  memcpy(ring + offset, from, first);
  memcpy(ring, from + first, bytes - first);
}

bool uni_outlet_put(unisono_comm *comm, int peer, const struct uni_envelope *envelope, const void *payload,
                    size_t bytes) {
  struct uni_outlet *out = &comm->p2p->sending[peer].outlet;
  size_t lines = lines_of(bytes);
  if (!has_room(comm, peer, lines))
    return false;
  char *line = ring_of(comm, comm->rank, peer) + offset_of(comm, out->head);
  memcpy(line, envelope, sizeof *envelope);
  if (bytes > INSIDE)
    write_lines(comm, peer, out->head + 1, payload, bytes);
  else if (bytes)
    memcpy(line + sizeof *envelope, payload, bytes);
  out->head += lines;
  /* release: the packet is there for the receiver that sees the head */
  atomic_store_explicit(&uni_comm_channel(comm, comm->rank, peer)->head, out->head, memory_order_release);
  comm->p2p->events++;
  return true;
}

bool uni_outlet_hear(unisono_comm *comm, int peer, enum uni_answer *answer, uint64_t *ticket) {
  struct uni_outlet *out = &comm->p2p->sending[peer].outlet;
  struct uni_channel *channel = uni_comm_channel(comm, comm->rank, peer);
  /* acquire: the answer is there; and where it is UNI_TAKEN, the receiver has finished reading the buffer,
   * which its owner may write again */
  uint64_t said = atomic_load_explicit(&channel->said, memory_order_acquire);
  if (said == out->heard)
    return false;
  if (said - out->heard > UNI_ANSWERS) {
    uni_p2p_corrupt(comm, peer, "it has answered more than there is room for");
    return false;
  }
  /* relaxed: `said` was acquired */
  uint64_t word = atomic_load_explicit(&channel->answers[out->heard % UNI_ANSWERS], memory_order_relaxed);
  *answer = word & 1 ? UNI_TAKEN : UNI_WANTED;
  *ticket = word >> 1;
  /* release: the receiver writes another answer in its place only after it was read */
  atomic_store_explicit(&channel->heard, ++out->heard, memory_order_release);
  comm->p2p->events++;
  return true;
}

/* ---- the receiver's end */

void uni_span_copy(void *to, struct uni_span from, size_t bytes) {
  size_t first = bytes < from.first ? bytes : from.first;
  if (first)
    memcpy(to, from.start, first);
  if (bytes > first)
    memcpy((char *)to + first, from.rest, bytes - first);
}

uint64_t uni_inlet_head(unisono_comm *comm, int peer) {
  struct uni_inlet *in = &comm->p2p->receiving[peer].inlet;
  /* acquire: the packets before the head are there */
  uint64_t head = atomic_load_explicit(&uni_comm_channel(comm, peer, comm->rank)->head, memory_order_acquire);
  if (head - in->tail > ring_lines(comm))
    uni_p2p_corrupt(comm, peer, "more lines are written than there are");
  return comm->p2p->stopped ? in->tail : head;
}

/* Fills in the size of the payload; false: no sender writes such an envelope. */
static bool check(const unisono_comm *comm, struct uni_packet *packet) {
  const struct uni_envelope *e = &packet->envelope;
  size_t element = uni_dtype_size((unisono_dtype)e->dtype);
  switch (e->kind) {
  case UNI_EAGER:
    packet->bytes = element * (size_t)e->count;
    return element && e->count <= uni_eager_max(comm) / element;
  case UNI_ANNOUNCED:
    packet->bytes = sizeof(struct uni_ref);
    return element && e->count > uni_eager_max(comm) / element && e->count <= SIZE_MAX / element;
  case UNI_DATA:
    packet->bytes = (size_t)e->count;
    return e->count > 0 && e->count <= uni_fragment(comm);
  default:
    return false;
  }
}

static struct uni_span span_at(const unisono_comm *comm, const char *ring, uint64_t line, size_t bytes) {
  if (bytes <= INSIDE)
    return (struct uni_span){ring + offset_of(comm, line) + sizeof(struct uni_envelope), ring, bytes};
  size_t offset = offset_of(comm, line + 1);
  return (struct uni_span){ring + offset, ring, comm->layout.ring_bytes - offset};
}

bool uni_inlet_look(unisono_comm *comm, int peer, uint64_t head, struct uni_packet *packet) {
  struct uni_inlet *in = &comm->p2p->receiving[peer].inlet;
  const char *ring = ring_of(comm, peer, comm->rank);
  packet->peer = peer;
  uni_copy_once(&packet->envelope, ring + offset_of(comm, in->tail), sizeof packet->envelope);
  if (!check(comm, packet) || lines_of(packet->bytes) > head - in->tail) {
    uni_p2p_corrupt(comm, peer, "an envelope says what cannot be");
    return false;
  }
  packet->payload = span_at(comm, ring, in->tail, packet->bytes);
  return true;
}

void uni_inlet_drop(unisono_comm *comm, const struct uni_packet *packet) {
  struct uni_inlet *in = &comm->p2p->receiving[packet->peer].inlet;
  in->tail += lines_of(packet->bytes);
  /* release: the sender that sees the tail writes the lines again only after they were read */
  atomic_store_explicit(&uni_comm_channel(comm, packet->peer, comm->rank)->tail, in->tail,
                        memory_order_release);
  comm->p2p->events++;
}

bool uni_inlet_say(unisono_comm *comm, int peer, enum uni_answer answer, uint64_t ticket) {
  struct uni_inlet *in = &comm->p2p->receiving[peer].inlet;
  struct uni_channel *channel = uni_comm_channel(comm, peer, comm->rank);
  /* acquire: the sender has read the answer that this one takes the place of */
  if (in->said - atomic_load_explicit(&channel->heard, memory_order_acquire) >= UNI_ANSWERS)
    return false;
  /* relaxed: `said` releases it */
  atomic_store_explicit(&channel->answers[in->said % UNI_ANSWERS], ticket << 1 | (answer == UNI_TAKEN),
                        memory_order_relaxed);
  /* release: the sender sees the answer; and after UNI_TAKEN it writes the buffer that was read before */
  atomic_store_explicit(&channel->said, ++in->said, memory_order_release);
  comm->p2p->events++;
  return true;
}
