/* What the link between the machines costs, measured when all have met: some twenty trips, by the ranks that
 * will use it. The machines agree on the slowest's figures, as all have to choose alike. */
#include <string.h>

#include "clock.h"
#include "collectives/select.h"
#include "env.h"
#include "error.h"
#include "log.h"
#include "machines/across.h"

enum {
  ROUNDS = 4,
  BLOCK = 32 << 10,
  LEAST_BLOCK = 256,
  FIGURES = sizeof(struct uni_link) / sizeof(uint64_t)
};

static const char what[] = "measuring the network";

/* Bytes of a machine's block; many machines' are smaller, so that all together are no more than those of a
 * few. */
static size_t stride_of(const struct uni_span *span) {
  size_t block = (size_t)BLOCK * UNI_SWAP_DIRECT / (size_t)span->machines / UNI_LINE * UNI_LINE;
  return block > BLOCK ? BLOCK : block < LEAST_BLOCK ? LEAST_BLOCK : block;
}

/* Every machine's leader gets the greatest of all machines' numbers, and tells its ranks. */
static unisono_status agree(struct uni_span *span, void *numbers, size_t n) {
  uint64_t *words = (uint64_t *)(void *)uni_span_bounce(span, stride_of(span) * (size_t)span->machines);
  uni_engine_request request;
  unisono_status status = words ? UNISONO_OK : UNISONO_ERROR_MEMORY;
  if (!status && span->local->rank == 0) {
    memcpy(words, numbers, n * sizeof *words);
    status = span->carrier->engine->all_reduce(span->column, words, n, UNISONO_UINT64, UNISONO_MAX, &request);
    status = status ? uni_span_failed(span, status) : uni_span_wait(span, &request, what);
    if (!status)
      memcpy(numbers, words, n * sizeof *words);
  }
  uni_across_limit(span, true);
  if (!status && (status = unisono_broadcast(numbers, n, UNISONO_UINT64, 0, span->local)))
    status = uni_span_failed(span, status);
  return status;
}

/* The best of some times, in picoseconds, of a swap by the first columns' ranks, all beginning and ending
 * together. */
static unisono_status time_swap(struct uni_span *span, int columns, size_t bytes, uint64_t *best) {
  unisono_status status = UNISONO_OK;
  *best = UINT64_MAX;
  for (int i = 0; i < ROUNDS && !status; i++) {
    struct uni_swap swap;
    status = unisono_barrier(span->local);
    int64_t began = uni_now();
    if (!status && span->local->rank < columns &&
        !(status = uni_swap_begin(span, span->bounce, bytes, stride_of(span), &swap)))
      status = uni_swap_end(span, &swap, what);
    if (!status && columns > 1)
      status = unisono_barrier(span->local);
    uint64_t took = (uint64_t)(uni_now() - began) * 1000;
    *best = took < *best ? took : *best;
  }
  return status;
}

static uint64_t at_least(uint64_t a, uint64_t b, uint64_t least) {
  return a > b + least ? a - b : least;
}

static unisono_status measure(struct uni_span *span, struct uni_link *link) {
  uint64_t one, all, large, steps = 1, others = (uint64_t)span->machines - 1,
                            columns = (uint64_t)span->columns;
  memset(span->bounce, 0, stride_of(span) * (size_t)span->machines); /* nobody is sent what was there */
  unisono_status status = time_swap(span, 1, UNI_LINE, &one);
  if (!status)
    status = time_swap(span, span->columns, UNI_LINE, &all);
  if (!status)
    status = time_swap(span, span->columns, stride_of(span), &large);
  if (status)
    return status;
  for (int m = 2; span->machines > UNI_SWAP_DIRECT && m < span->machines; m *= 2)
    steps++;
  link->latency = one / steps;
  link->column = columns > 1 ? at_least(all, one, 1) / (columns - 1) : 0;
  link->line = at_least(large, all, 1) / (columns * others * (stride_of(span) / UNI_LINE - 1)) + 1;
  uni_select_local_prices(span->local, &link->turn, &link->copy);
  return UNISONO_OK;
}

static unisono_status measure_together(struct uni_span *span) {
  enum uni_tune tune;
  uint64_t settings[2] = {uni_env_tune(&tune) || tune == UNI_TUNE_NEVER, uni_env_engine_algorithm() != NULL};
  struct uni_link link;
  unisono_status status = agree(span, settings, 2);
  span->carrier->forced = settings[1];
  if (status || settings[0])
    return status;
  status = measure(span, &link);
  if (!status)
    status = agree(span, &link, FIGURES);
  if (status)
    return status;
  span->link = span->carrier->link = link;
  uni_log(UNI_LOG_INFO,
          "between machines: %.1f us, %.1f us more for each further rank of a machine, %.2f GB/s",
          (double)link.latency / 1e6, (double)link.column / 1e6, 64e3 / (double)link.line);
  return UNISONO_OK;
}

/* Who has broken the communicator meanwhile has it already: its first operation says so, not its birth. */
unisono_status uni_span_measure(struct uni_span *span) {
  unisono_status status = measure_together(span);
  return uni_comm_is_broken(span->local) ? UNISONO_OK : status;
}
