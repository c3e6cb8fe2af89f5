/* How a communicator comes to be. The first of its ranks leads: it makes the shared segment and offers it to
 * the others, who map it and reply; the leader's verdict says whether all of them could. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "collectives/match.h"
#include "comm.h"
#include "error.h"
#include "hash.h"
#include "p2p/p2p.h"
#include "rendezvous/identity.h"
#include "request.h"
#include "topology.h"

#define MAGIC UINT64_C(0x6d6d6f63696e75) /* "unicomm" */

static void use_segment(unisono_comm *comm, struct uni_segment *segment) {
  char *base = segment->base;
  comm->segment = segment;
  comm->header = (struct uni_header *)(void *)base;
  comm->places = (struct uni_place *)(void *)(base + comm->layout.places);
  comm->steps = (struct uni_step *)(void *)(base + comm->layout.steps);
  comm->channels = (struct uni_channel *)(void *)(base + comm->layout.channels);
}

struct key {
  uint64_t parent, members, times;
  enum uni_letter_kind kind;
};

static bool is_about(const struct uni_letter *letter, const void *what) {
  const struct key *key = what;
  return letter->kind == key->kind && letter->words[0] == key->parent && letter->words[1] == key->members &&
         letter->words[2] == key->times;
}

static void address(struct uni_letter *letter, const struct key *key, enum uni_letter_kind kind) {
  uni_letter_init(letter, kind);
  letter->words[0] = key->parent;
  letter->words[1] = key->members;
  letter->words[2] = key->times;
}

static unisono_status send_to(struct uni_world *world, int peer, const struct uni_letter *letter,
                              int64_t deadline) {
  enum uni_delivery d;
  do {
    pthread_mutex_lock(&world->lock);
    int socket = world->peers[peer].socket;
    d = socket < 0 ? UNI_CLOSED : uni_letter_send(socket, letter);
    pthread_mutex_unlock(&world->lock);
    if (d == UNI_NOT_YET)
      uni_sleep_ms(1);
  } while (d == UNI_NOT_YET && uni_now() < deadline);
  return d == UNI_DELIVERED ? UNISONO_OK
         : d == UNI_NOT_YET ? UNISONO_ERROR_TIMEOUT
         : d == UNI_CLOSED  ? UNISONO_ERROR_PEER_LOST
                            : UNISONO_ERROR_SYSTEM;
}

static unisono_status say_who(unisono_status status, int rank) {
  switch (status) {
  case UNISONO_OK:
    return UNISONO_OK;
  case UNISONO_ERROR_TIMEOUT:
    return uni_fail(status, "rank %d did not come in time to make the communicator", rank);
  case UNISONO_ERROR_PEER_LOST:
    return uni_fail(status, "rank %d died or left while the communicator was made", rank);
  default:
    return uni_fail(status, "a letter to rank %d could not be sent", rank);
  }
}

/* Before the others can learn that this rank is there. With three ranks there are no groups of two. */
static void say_where(unisono_comm *comm) {
  if (comm->size >= 4)
    uni_topology_find(comm->world->rank, comm->places[comm->rank].domains);
}

static unisono_status make_segment(unisono_comm *comm, struct uni_world *world) {
  struct uni_segment *segment;
  unisono_status status = uni_segment_create(comm->layout.total, UNI_CONTROL, &segment);
  if (status)
    return status;
  use_segment(comm, segment);
  pthread_mutex_lock(&world->lock);
  comm->header->id = world->next_comm_id++;
  pthread_mutex_unlock(&world->lock);
  comm->header->size = comm->layout.size;
  comm->header->lanes = comm->layout.lanes;
  uint32_t *ranks = (uint32_t *)(void *)(segment->base + comm->layout.ranks);
  for (int i = 0; i < comm->size; i++)
    ranks[i] = (uint32_t)comm->world_ranks[i];
  say_where(comm);
  atomic_store_explicit(&comm->header->magic, MAGIC, memory_order_release); /* who finds it finds the rest */
  return UNISONO_OK;
}

static unisono_status collect_replies(unisono_comm *comm, struct key *key, int64_t deadline) {
  unisono_status first = UNISONO_OK;
  struct uni_letter letter;
  key->kind = UNI_REPLY;
  for (int i = 1; i < comm->size && !first; i++) {
    unisono_status status =
        uni_world_await(comm->world, comm->world_ranks[i], is_about, key, deadline, &letter);
    if (status)
      first = say_who(status, i);
    else if (letter.status)
      first = uni_fail((unisono_status)letter.status, "rank %d: %s", i, letter.text);
  }
  return first;
}

static void give_verdict(unisono_comm *comm, const struct key *key, unisono_status verdict,
                         int64_t deadline) {
  struct uni_letter letter;
  address(&letter, key, UNI_VERDICT);
  letter.status = (int32_t)verdict;
  if (verdict)
    snprintf(letter.text, sizeof letter.text, "%s", unisono_last_error());
  for (int i = 1; i < comm->size; i++)
    send_to(comm->world, comm->world_ranks[i], &letter, deadline);
}

static unisono_status lead(unisono_comm *comm, struct key *key, int64_t deadline) {
  struct uni_letter offer;
  unisono_status status = make_segment(comm, comm->world);
  address(&offer, key, UNI_OFFER);
  offer.status = (int32_t)status;
  if (status)
    snprintf(offer.text, sizeof offer.text, "rank 0: %s", unisono_last_error());
  else
    offer.fds[0] = comm->segment->fd;
  unisono_status sent = UNISONO_OK;
  for (int i = 1; i < comm->size; i++) {
    unisono_status s = send_to(comm->world, comm->world_ranks[i], &offer, deadline);
    sent = sent ? sent : say_who(s, i);
  }
  if (status)
    return uni_fail(status, "%s", offer.text);
  status = sent ? sent : collect_replies(comm, key, deadline);
  give_verdict(comm, key, status, uni_deadline(1000));
  return status;
}

static unisono_status check_offer(unisono_comm *comm, struct uni_segment *segment) {
  const struct uni_header *header = (const struct uni_header *)(const void *)segment->base;
  const uint32_t *ranks = (const uint32_t *)(const void *)(segment->base + comm->layout.ranks);
  /* acquire: what the leader wrote before it */
  bool same = atomic_load_explicit(&header->magic, memory_order_acquire) == MAGIC &&
              header->size == comm->layout.size && header->lanes == comm->layout.lanes;
  for (int i = 0; i < comm->size && same; i++)
    same = ranks[i] == (uint32_t)comm->world_ranks[i];
  return same ? UNISONO_OK
              : uni_fail(UNISONO_ERROR_SYSTEM, "the offered segment is not the one that was agreed on");
}

static unisono_status map_offer(unisono_comm *comm, struct uni_letter *offer) {
  struct uni_segment *segment;
  if (offer->status)
    return uni_fail((unisono_status)offer->status, "%s", offer->text);
  unisono_status status = uni_segment_map(offer->fds[0], comm->layout.total, true, UNI_CONTROL, &segment);
  uni_letter_close_fds(offer);
  if (status)
    return status;
  use_segment(comm, segment);
  return check_offer(comm, segment);
}

static unisono_status follow(unisono_comm *comm, struct key *key, int64_t deadline) {
  struct uni_letter letter, reply;
  int leader = comm->world_ranks[0];
  key->kind = UNI_OFFER;
  unisono_status status = uni_world_await(comm->world, leader, is_about, key, deadline, &letter);
  if (status)
    return say_who(status, 0);
  bool offered = letter.status == UNISONO_OK;
  unisono_status mapped = map_offer(comm, &letter);
  if (!offered)
    return mapped;
  address(&reply, key, UNI_REPLY);
  reply.status = (int32_t)mapped;
  if (mapped)
    snprintf(reply.text, sizeof reply.text, "%s", unisono_last_error());
  if (!mapped)
    say_where(comm);
  status = say_who(send_to(comm->world, leader, &reply, deadline), 0);
  key->kind = UNI_VERDICT;
  if (!status && !mapped) {
    /* the leader waits as long as this rank does, for others: give its verdict a moment more */
    status = say_who(uni_world_await(comm->world, leader, is_about, key,
                                     deadline == UNI_NEVER ? deadline : deadline + 1000 * UNI_MS, &letter),
                     0);
    if (!status && letter.status)
      status = uni_fail((unisono_status)letter.status, "%s", letter.text);
  }
  return mapped ? mapped : status;
}

static unisono_status meet(unisono_comm *comm, const struct uni_birth *birth) {
  size_t n = (size_t)comm->size * sizeof *comm->world_ranks;
  struct key key = {
      .parent = birth->parent, .members = uni_hash(comm->world_ranks, n, MAGIC), .times = birth->times};
  int64_t deadline = uni_deadline(birth->timeout_ms);
  unisono_status status = comm->rank == 0 ? lead(comm, &key, deadline) : follow(comm, &key, deadline);
  if (status)
    return status;
  comm->id = comm->header->id;
  uni_groups_find(comm);
  if (comm->rank == 0)
    uni_segment_close_fd(comm->segment); /* all have it */
  return UNISONO_OK;
}

static unisono_status fill_in(unisono_comm *comm, struct uni_world *world, const struct uni_birth *birth) {
  comm->world = world;
  comm->size = birth->n;
  comm->is_pair = comm->size == 2 && !world->settings.crowded;
  comm->timeout_ms = birth->timeout_ms;
  comm->parallel_for = birth->parallel_for;
  comm->pool = birth->pool;
  comm->fork_generation = uni_fork_generation();
  comm->kernels = uni_kernels();
  comm->layout = uni_layout_of((uint32_t)birth->n, (uint32_t)world->settings.lanes);
  comm->world_ranks = malloc((size_t)birth->n * sizeof *comm->world_ranks);
  if (!comm->world_ranks)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a list of %d ranks", birth->n);
  memcpy(comm->world_ranks, birth->world_ranks, (size_t)birth->n * sizeof *comm->world_ranks);
  for (int i = 0; i < comm->size; i++)
    if (comm->world_ranks[i] == world->rank)
      comm->rank = i;
  unisono_status status = uni_run_open(comm);
  if (!status)
    status = uni_queue_open(comm);
  if (!status)
    status = uni_p2p_open(comm);
  return status;
}

static void free_births(unisono_comm *comm) {
  while (comm->births) {
    struct uni_births *first = comm->births;
    comm->births = first->next;
    free(first);
  }
}

void uni_comm_discard(unisono_comm *comm) {
  if (comm->queue)
    uni_queue_close(comm);
  if (comm->p2p)
    uni_p2p_close(comm);
  uni_run_close(comm);
  uni_match_clear(comm);
  free_births(comm);
  uni_segment_put(comm->segment);
  pthread_mutex_destroy(&comm->text_lock);
  free(comm->world_ranks);
  free(comm);
}

unisono_status uni_comm_new(struct uni_world *world, const struct uni_birth *birth, unisono_comm **out) {
  unisono_comm *comm = calloc(1, sizeof *comm);
  if (!comm)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a communicator");
  pthread_mutex_init(&comm->text_lock, NULL);
  unisono_status status = fill_in(comm, world, birth);
  if (!status)
    status = meet(comm, birth);
  if (status) {
    uni_comm_discard(comm);
    return status;
  }
  uni_world_use(world);
  *out = comm;
  return UNISONO_OK;
}
