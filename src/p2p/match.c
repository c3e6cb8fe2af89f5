/* Which message is for which receive: receives in the order they were posted, messages in the order they
 * came. */
#include <stdlib.h>

#include "error.h"
#include "p2p/state.h"

static bool is_for(const struct uni_transfer *receive, int peer, int tag) {
  return (receive->peer == UNI_ANY || receive->peer == peer) &&
         (receive->tag == UNI_ANY || receive->tag == tag);
}

void uni_match_await(struct uni_p2p *p2p, int peer) {
  if (peer == UNI_ANY)
    p2p->awaited_any++;
  else if (p2p->receiving[peer].awaited++ == 0)
    uni_bitmap_set(&p2p->senders, (size_t)peer);
}

void uni_match_awaited(struct uni_p2p *p2p, int peer) {
  if (peer == UNI_ANY)
    p2p->awaited_any--;
  else if (--p2p->receiving[peer].awaited == 0)
    uni_bitmap_clear(&p2p->senders, (size_t)peer);
}

void uni_match_post(struct uni_p2p *p2p, struct uni_transfer *receive) {
  uni_list_append(&p2p->posted, receive);
  uni_match_await(p2p, receive->peer);
}

struct uni_transfer *uni_match_posted(struct uni_p2p *p2p, int peer, int tag) {
  for (struct uni_transfer **at = &p2p->posted.first; *at; at = &(*at)->next)
    if (is_for(*at, peer, tag)) {
      uni_match_awaited(p2p, (*at)->peer);
      return uni_list_take(&p2p->posted, at);
    }
  return NULL;
}

unisono_status uni_match_keep(struct uni_p2p *p2p, const struct uni_packet *packet) {
  struct uni_kept *kept = malloc(sizeof *kept + packet->bytes);
  if (!kept)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a message of %zu bytes that nobody waits for yet",
                    packet->bytes);
  kept->next = NULL;
  kept->packet = *packet;
  uni_span_copy(kept->payload, packet->payload, packet->bytes);
  kept->packet.payload = (struct uni_span){.start = kept->payload, .first = packet->bytes};
  *p2p->kept_end = kept;
  p2p->kept_end = &kept->next;
  return UNISONO_OK;
}

struct uni_kept *uni_match_kept(struct uni_p2p *p2p, const struct uni_transfer *receive) {
  for (struct uni_kept **at = &p2p->kept; *at; at = &(*at)->next)
    if (is_for(receive, (*at)->packet.peer, (*at)->packet.envelope.tag)) {
      struct uni_kept *kept = *at;
      *at = kept->next;
      if (!*at)
        p2p->kept_end = at;
      return kept;
    }
  return NULL;
}
