#include "data.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "options.h"

enum { VALUES = 8 }; /* 0 to 7: the sum over 32 ranks is exact even in bfloat16 */

static size_t value(size_t rank, size_t i, size_t seed) {
  return (i + 3 * rank + seed) % VALUES;
}

static uint16_t bfloat16_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (uint16_t)(bits >> 16);
}

static float float_of(uint16_t x) {
  uint32_t bits = (uint32_t)x << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

size_t data_sent(const struct call *call) {
  bool blocks = call->operation == REDUCE_SCATTER || call->operation == ALL_TO_ALL;
  return call->count * (blocks ? (size_t)call->world->size : 1);
}

size_t data_received(const struct call *call) {
  bool blocks = call->operation == ALL_GATHER || call->operation == ALL_TO_ALL;
  return call->count * (blocks ? (size_t)call->world->size : 1);
}

/* At memory speed: a run of the repeating values, copied along. */
void data_fill(const struct call *call, size_t seed) {
  enum { RUN = 512 };
  float singles[RUN];
  uint16_t halves[RUN];
  for (size_t i = 0; i < RUN; i++) {
    singles[i] = (float)value((size_t)call->world->rank, i, seed);
    halves[i] = bfloat16_of(singles[i]);
  }
  const void *run = call->dtype == UNISONO_FLOAT32 ? (const void *)singles : halves;
  size_t bytes = data_sent(call) * element_bytes(call->dtype), whole = RUN * element_bytes(call->dtype);
  for (size_t at = 0; at < bytes; at += whole)
    memcpy((char *)call->send + at, run, bytes - at < whole ? bytes - at : whole);
}

void data_forget(const struct call *call) {
  if (call->recv != call->send)
    memset(call->recv, 0xff, data_received(call) * element_bytes(call->dtype));
}

static size_t sum(const struct call *call, size_t i, size_t seed) {
  size_t all = 0;
  for (int r = 0; r < call->world->size; r++)
    all += value((size_t)r, i, seed);
  return all;
}

static size_t expected(const struct call *call, size_t i, size_t seed) {
  size_t mine = (size_t)call->world->rank * call->count;
  switch (call->operation) {
  case ALL_REDUCE:
    return sum(call, i, seed);
  case REDUCE_SCATTER:
    return sum(call, mine + i, seed);
  case BROADCAST:
    return value(0, i, seed);
  case ALL_GATHER:
    return value(i / call->count, i % call->count, seed);
  default:
    return value(i / call->count, mine + i % call->count, seed);
  }
}

void data_check(const struct call *call, size_t seed, const char *contestant) {
  size_t n = call->operation == BARRIER ? 0 : data_received(call);
  for (size_t i = 0; i < n; i++) {
    float got =
        call->dtype == UNISONO_FLOAT32 ? ((float *)call->recv)[i] : float_of(((uint16_t *)call->recv)[i]);
    if (got == (float)expected(call, i, seed))
      continue;
    char text[128];
    snprintf(text, sizeof text, "%s of %zu elements: element %zu is %g, not %zu",
             operation_names[call->operation], n, i, (double)got, expected(call, i, seed));
    fail(call->world, contestant, text);
  }
}
