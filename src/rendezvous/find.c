#include "rendezvous/find.h"

#include "clock.h"
#include "error.h"
#include "log.h"
#include "rendezvous/join.h"
#include "rendezvous/meet.h"

enum {
  REACH_MS = 1000,   /* to try on this machine before looking elsewhere */
  HUNG_UP_MS = 2000, /* to find rank 0 elsewhere after it has hung up */
  KNOCK_FIRST_MS = 20,
  KNOCK_MOST_MS = 1000,
  PAUSE_MS = 20
};

struct search {
  const struct uni_identity *identity;
  int size, rank, threads;
  int64_t deadline;
  bool near;    /* rank 0 may be on this machine */
  bool crowded; /* ranks of other machines are on the same processors */
};

/* A world of `size` ranks of this machine. With a detour taken there is none. */
static unisono_status meet_here(const struct search *s, int size, int rank,
                                const struct uni_identity *identity, struct uni_detour *detour,
                                struct uni_world **world) {
  *world = NULL;
  struct uni_world *w;
  unisono_status status = uni_world_new(size, rank, &w);
  if (status)
    return status;
  w->settings.crowded = s->crowded;
  status = uni_meet(w, identity, s->threads, s->deadline, detour);
  bool met = !status && !(detour && detour->taken);
  if (met)
    status = uni_world_start(w);
  if (!met || status)
    uni_world_put(w);
  else
    *world = w;
  return status;
}

/* ---- rank 0 */

static unisono_status receive_all(const struct search *s, struct uni_world **world,
                                  struct uni_roster *roster) {
  struct uni_gathering *gathering;
  unisono_status status = uni_gathering_open(s->identity, s->size, s->threads, s->deadline, &gathering);
  if (status && s->identity->via == UNI_VIA_NETWORK)
    return status;
  if (status) {
    uni_log(UNI_LOG_INFO, "ranks of other machines cannot come: %s", unisono_last_error());
    return meet_here(s, s->size, s->rank, s->identity, NULL, world);
  }
  struct uni_detour detour = {.beside = gathering, .taken = true};
  if (s->identity->via == UNI_VIA_BOTH) {
    detour.taken = false;
    status = meet_here(s, s->size, s->rank, s->identity, &detour, world);
  }
  if (!status && detour.taken)
    status = uni_gathering_finish(gathering, roster);
  uni_gathering_close(gathering);
  return status;
}

/* ---- the others */

/* At all addresses in turn. One that does not answer must not hold up those that do: hence little patience at
 * first. */
static unisono_status look_elsewhere(const struct search *s, int patience_ms, bool *found,
                                     struct uni_roster *roster) {
  const struct uni_addresses *a = &s->identity->addresses;
  *found = false;
  for (unsigned attempt = 0; attempt < (unsigned)a->n * UNI_PORTS && a->ports[attempt / a->n]; attempt++) {
    struct uni_wire *wire;
    unisono_status status = uni_join_connect(s->identity, attempt, patience_ms, s->deadline, &wire);
    if (status)
      return status;
    if (!wire)
      continue;
    *found = true;
    struct uni_guest guest = {s->identity, attempt, s->size, s->rank, s->threads, s->deadline};
    return uni_join(wire, &guest, roster);
  }
  return UNISONO_OK;
}

static unisono_status go_to_rank_0(struct search *s, struct uni_world **world, struct uni_roster *roster) {
  int64_t lost_at = 0;
  for (int patience_ms = KNOCK_FIRST_MS;;
       patience_ms = 2 * patience_ms < KNOCK_MOST_MS ? 2 * patience_ms : KNOCK_MOST_MS) {
    bool found;
    if (s->near && s->identity->via != UNI_VIA_NETWORK) {
      struct uni_detour detour = {.reach = uni_deadline(REACH_MS)};
      unisono_status status = meet_here(s, s->size, s->rank, s->identity, &detour, world);
      if (status || !detour.taken)
        return status;
      s->near = !detour.told && !detour.hung_up;
      if (detour.hung_up)
        lost_at = uni_now();
    }
    unisono_status status = look_elsewhere(s, patience_ms, &found, roster);
    if (status || found)
      return status;
    if (lost_at && uni_now() - lost_at > HUNG_UP_MS * UNI_MS)
      return uni_fail(UNISONO_ERROR_PEER_LOST,
                      "rank 0 died or refused this rank while the ranks were meeting");
    if (uni_now() >= s->deadline)
      return uni_fail(
          UNISONO_ERROR_TIMEOUT,
          "rank 0 was not reached in time at port %d; it must run on the machine that MASTER_ADDR (or "
          "the unique id) names, and a firewall must let this port through (UNISONO_PORT chooses it)",
          s->identity->addresses.ports[0]);
    uni_sleep_ms(PAUSE_MS);
  }
}

/* ---- both */

static unisono_status divide(struct search *s, struct uni_world **world, struct uni_roster *roster) {
  struct uni_identity identity;
  int local_rank = 0, local_size = uni_roster_local(roster, &local_rank);
  s->crowded = roster->crowded[s->rank];
  bool secret = s->identity->secret[0] || s->identity->secret[1];
  if (roster->machines > 1 && !secret && s->rank == 0)
    uni_log(UNI_LOG_WARN,
            "the ranks of other machines are not authenticated: anybody who reaches this port could "
            "have joined; set UNISONO_SECRET to the same random words on all ranks");
  unisono_status status =
      uni_identity_of_machine(roster->session, sizeof roster->session, roster->machine[s->rank], &identity);
  if (!status)
    status = meet_here(s, local_size, local_rank, &identity, NULL, world);
  if (status || roster->machines == 1)
    uni_roster_free(roster);
  return status;
}

unisono_status uni_find(const struct uni_identity *identity, int size, int rank, int threads,
                        int64_t deadline, struct uni_world **world, struct uni_roster *roster) {
  struct search s = {identity, size, rank, threads, deadline, true, false};
  *roster = (struct uni_roster){0};
  *world = NULL;
  if (identity->via == UNI_VIA_MACHINE || size == 1)
    return meet_here(&s, size, rank, identity, NULL, world);
  unisono_status status = uni_identity_is_near(identity, &s.near);
  if (!status && rank == 0 && !s.near)
    return uni_fail(
        UNISONO_ERROR_INVALID,
        "rank 0 runs on another machine, or in another network namespace, than the process that made "
        "the unique id; call unisono_get_unique_id where rank 0 runs");
  if (!status)
    status = rank == 0 ? receive_all(&s, world, roster) : go_to_rank_0(&s, world, roster);
  return status || *world ? status : divide(&s, world, roster);
}
