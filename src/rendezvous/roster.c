#include "rendezvous/roster.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

unisono_status uni_roster_new(int size, int rank, struct uni_roster *roster) {
  *roster = (struct uni_roster){.size = size, .rank = rank};
  roster->machine = calloc((size_t)size, sizeof *roster->machine);
  roster->crowded = calloc((size_t)size, sizeof *roster->crowded);
  roster->wires = calloc((size_t)size, sizeof *roster->wires);
  if (roster->machine && roster->crowded && roster->wires)
    return UNISONO_OK;
  uni_roster_free(roster);
  return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a list of %d ranks", size);
}

void uni_roster_free(struct uni_roster *roster) {
  for (int r = 0; roster->wires && r < roster->size; r++)
    uni_wire_close(roster->wires[r]);
  free(roster->wires);
  free(roster->machine);
  free(roster->crowded);
  *roster = (struct uni_roster){0};
}

int uni_roster_local(const struct uni_roster *roster, int *local_rank) {
  int n = 0;
  for (int r = 0; r < roster->size; r++) {
    if (r == roster->rank)
      *local_rank = n;
    n += roster->machine[r] == roster->machine[roster->rank];
  }
  return n;
}

/* ---- as bytes: the session, the machines' numbers, who is crowded */

static size_t number_bytes(const struct uni_roster *roster) {
  return (size_t)roster->size * sizeof *roster->machine;
}

static size_t packed_bytes(const struct uni_roster *roster) {
  return UNI_SESSION + number_bytes(roster) + (size_t)roster->size * sizeof *roster->crowded;
}

unsigned char *uni_roster_pack(const struct uni_roster *roster, size_t *bytes) {
  size_t numbers = number_bytes(roster);
  *bytes = packed_bytes(roster);
  unsigned char *packed = malloc(*bytes);
  if (!packed)
    return NULL;
  memcpy(packed, roster->session, UNI_SESSION);
  memcpy(packed + UNI_SESSION, roster->machine, numbers);
  memcpy(packed + UNI_SESSION + numbers, roster->crowded, *bytes - UNI_SESSION - numbers);
  return packed;
}

bool uni_roster_unpack(const unsigned char *packed, size_t bytes, struct uni_roster *roster) {
  if (bytes != packed_bytes(roster))
    return false;
  memcpy(roster->session, packed, UNI_SESSION);
  memcpy(roster->machine, packed + UNI_SESSION, number_bytes(roster));
  const unsigned char *flags = packed + UNI_SESSION + number_bytes(roster);
  for (int r = 0; r < roster->size; r++) {
    if (roster->machine[r] >= roster->machines)
      roster->machines = roster->machine[r] + 1;
    roster->crowded[r] = flags[r] != 0;
  }
  return true;
}
