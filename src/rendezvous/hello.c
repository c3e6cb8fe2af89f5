#include "rendezvous/hello.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "log.h"
#include "rendezvous/demand.h"
#include "shm/membarrier.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

enum { PROTOCOL = 4, NO_MEMBARRIER = 1 };

/* The places of a hello's words; behind them, instead of a text, is the rank's demand. */
enum { W_PROTOCOL, W_RANK, W_SIZE, W_SECRET, W_SECRET2, W_FLAGS, W_PAGE, W_LEFT_MS };

unisono_status uni_hello_write(const struct uni_identity *identity, const struct uni_world *world,
                               int threads, int64_t deadline, struct uni_letter *letter) {
  uni_letter_init(letter, UNI_HELLO);
  uint64_t *w = letter->words;
  w[W_PROTOCOL] = PROTOCOL;
  w[W_RANK] = (uint64_t)world->rank;
  w[W_SIZE] = (uint64_t)world->size;
  w[W_SECRET] = identity->secret[0];
  w[W_SECRET2] = identity->secret[1];
  w[W_FLAGS] = uni_membarrier_register() ? 0 : NO_MEMBARRIER;
  w[W_PAGE] = uni_page_size();
  w[W_LEFT_MS] = deadline == UNI_NEVER ? UINT64_MAX : (uint64_t)uni_ms_until(deadline, INT32_MAX);
  struct uni_demand demand;
  _Static_assert(sizeof demand <= UNI_LETTER_TEXT, "the demand must fit");
  uni_demand_here(threads, &demand);
  memcpy(letter->text, &demand, sizeof demand);
  /* without pidfds (an old kernel, an emulator) the socket's end alone tells of a death */
  letter->fds[0] = (int)syscall(SYS_pidfd_open, getpid(), 0);
  return UNISONO_OK;
}

unisono_status uni_hello_check(const struct uni_letter *letter, const struct uni_identity *identity) {
  const uint64_t *w = letter->words;
  if (letter->kind != UNI_HELLO || w[W_SECRET] != identity->secret[0] || w[W_SECRET2] != identity->secret[1])
    return uni_fail(UNISONO_ERROR_INVALID, "a stranger at the meeting place did not show the secret");
  if (w[W_PROTOCOL] != PROTOCOL)
    return uni_fail(UNISONO_ERROR_INVALID, "a rank speaks another version of the protocol");
  return UNISONO_OK;
}

int uni_hello_rank(const struct uni_letter *letter) {
  uint64_t rank = letter->words[W_RANK];
  return rank > INT32_MAX ? -1 : (int)rank;
}

int64_t uni_hello_deadline(const struct uni_letter *letter) {
  uint64_t left = letter->words[W_LEFT_MS];
  return left > INT32_MAX ? UNI_NEVER : uni_now() + (int64_t)left * UNI_MS;
}

int uni_hello_size(const struct uni_letter *letter) {
  uint64_t size = letter->words[W_SIZE];
  return size > INT32_MAX ? -1 : (int)size;
}

static unisono_status weigh_demands(const struct uni_letter *hellos, int n, struct uni_settings *settings) {
  struct uni_demand *demands = calloc((size_t)n, sizeof *demands);
  if (!demands)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a list of %d ranks", n);
  for (int i = 0; i < n; i++)
    memcpy(&demands[i], hellos[i].text, sizeof *demands);
  settings->lanes = (int)uni_demands_lanes(demands, n);
  settings->crowded |= uni_demands_crowd(demands, n);
  uint64_t processors = uni_demands_processors(demands, n);
  settings->processors = processors < INT32_MAX ? (int)processors : INT32_MAX;
  if (settings->crowded)
    uni_log(UNI_LOG_INFO, "ranks share processors: who waits gives its own away at once");
  free(demands);
  return UNISONO_OK;
}

unisono_status uni_settings_agree(const struct uni_letter *hellos, int n, struct uni_settings *settings) {
  unisono_status status = uni_env_algorithm(&settings->algorithm);
  if (!status)
    status = weigh_demands(hellos, n, settings);
  if (status)
    return status;
  settings->guard = uni_env_guard();
  settings->fences = false;
  for (int i = 0; i < n; i++) {
    const uint64_t *w = hellos[i].words;
    settings->fences |= (w[W_FLAGS] & NO_MEMBARRIER) != 0;
    if (w[W_PAGE] != hellos[0].words[W_PAGE])
      return uni_fail(UNISONO_ERROR_UNSUPPORTED, "rank %d has pages of another size than rank 0", i);
  }
  enum uni_tune tune;
  settings->tunes = !uni_env_tune(&tune) && tune != UNI_TUNE_NEVER;
  /* ranks that share a processor would measure each other's turns */
  return uni_costs_find(&settings->costs, n > 1 && !settings->crowded, &settings->rounds);
}

void uni_settings_pack(const struct uni_settings *settings, struct uni_letter *letter) {
  letter->words[0] = (uint64_t)settings->algorithm;
  letter->words[1] = (uint64_t)settings->guard | (uint64_t)settings->tunes << 1;
  letter->words[2] = settings->fences;
  letter->words[3] = (uint64_t)settings->crowded | (uint64_t)settings->processors << 1;
  letter->words[4] = (uint64_t)settings->lanes;
  letter->words[5] = (uint64_t)settings->rounds;
  _Static_assert(sizeof settings->costs <= sizeof(uint64_t[UNI_LETTER_WORDS - 6]), "the costs must fit");
  memcpy(&letter->words[6], &settings->costs, sizeof settings->costs);
}

void uni_settings_unpack(const struct uni_letter *letter, struct uni_settings *settings) {
  settings->algorithm = letter->words[0] < UNI_ALGORITHMS ? (enum uni_algorithm)letter->words[0] : UNI_AUTO;
  settings->guard = (letter->words[1] & 1) != 0;
  settings->tunes = (letter->words[1] & 2) != 0;
  settings->fences = letter->words[2] != 0;
  settings->crowded = (letter->words[3] & 1) != 0;
  settings->processors = letter->words[3] >> 1 <= INT32_MAX ? (int)(letter->words[3] >> 1) : 0;
  settings->lanes = letter->words[4] > 0 && letter->words[4] < 4096 ? (int)letter->words[4] : 1;
  settings->rounds = letter->words[5] <= UNI_COST_ROUNDS ? (int)letter->words[5] : 0;
  memcpy(&settings->costs, &letter->words[6], sizeof settings->costs);
  uni_costs_bound(&settings->costs);
}
