#include "measure.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "data.h"
#include "flags.h"
#include "report.h"

enum {
  SMALL = 4096,
  LARGE = 8 << 20,
  CALLS_OF_SMALL = 32,
  WARM_UPS = 2,
  FEWEST_ROUNDS = 7,
  MOST_ROUNDS = 2000
};

/* One operation at one size. */
struct task {
  const struct options *options;
  const struct buffers *buffers;
  struct call call; /* without its buffers */
  int calls;        /* back to back in a sample */
  struct outcome outcome;
};

static double microseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

/* The k-th call of a sample, on buffers of its own. */
static struct call call_on(const struct task *task, const struct contestant *who, int k) {
  size_t stride = (task->outcome.bytes + 63) / 64 * 64 * (size_t)k;
  struct call call = task->call;
  call.send = (who->is_shared ? task->buffers->shared_send : task->buffers->private_send) + stride;
  call.recv = (who->is_shared ? task->buffers->shared_recv : task->buffers->private_recv) + stride;
  bool in_place =
      call.operation == BROADCAST || (call.operation == ALL_REDUCE && !task->options->out_of_place);
  if (in_place && who->is_collective)
    call.recv = call.send;
  return call;
}

/* One sample: write the buffers, meet, time the calls. All are through before anyone writes the next ones: of
 * ranks that share a processor the one that ends first would keep it from the other, whose time would be that
 * of the writing. */
static double sample(const struct task *task, const struct contestant *who, size_t seed) {
  struct call calls[CALLS_OF_SMALL];
  for (int k = 0; k < task->calls; k++) {
    calls[k] = call_on(task, who, k);
    data_fill(&calls[k], seed + (size_t)k);
    if (!who->is_shared) /* the contestant before may have left this buffer's lines to another processor */
      data_forget(&calls[k]);
  }
  flags_exchange(task->call.world);
  double start = microseconds();
  for (int k = 0; k < task->calls; k++)
    who->run(&calls[k]);
  double each = (microseconds() - start) / task->calls;
  flags_exchange(task->call.world);
  return each;
}

/* Each contestant in turn, another one first in every round: who follows whom changes nothing on average. */
static void play_round(const struct task *task, size_t round) {
  for (int i = 0; i < task->outcome.count; i++) {
    int who = task->outcome.line_up[(round + (size_t)i) % (size_t)task->outcome.count];
    task->outcome.times[who][round] = sample(task, &contestants[who], round);
  }
}

static void check_results(const struct task *task) {
  for (int i = 0; i < task->outcome.count; i++) {
    const struct contestant *who = &contestants[task->outcome.line_up[i]];
    sample(task, who, 1);
    for (int k = 0; k < task->calls && who->is_collective; k++) {
      struct call call = call_on(task, who, k);
      data_check(&call, 1 + (size_t)k, who->name);
    }
  }
}

static void slowest(const struct world *world, double *times, size_t n) {
  if (unisono_all_reduce(times, times, n, UNISONO_FLOAT64, UNISONO_MAX, world->comm) != UNISONO_OK)
    fail(world, "all_reduce", unisono_last_error());
}

/* The time that a size gets: large ones are worth more, as few of their rounds fit. */
static double seconds_for(const struct task *task) {
  return task->options->seconds * (task->outcome.bytes >= LARGE ? 4 : 1);
}

/* As many rounds as fit into the time, by what the warm-ups took but for the first: alike on all ranks. */
static size_t warm_up(const struct task *task) {
  play_round(task, 0);
  double start = microseconds();
  for (size_t i = 1; i <= WARM_UPS; i++)
    play_round(task, i);
  double round = (microseconds() - start) / WARM_UPS;
  slowest(task->call.world, &round, 1);
  double fitting = 1e6 * seconds_for(task) / round;
  return fitting < FEWEST_ROUNDS ? FEWEST_ROUNDS : fitting > MOST_ROUNDS ? MOST_ROUNDS : (size_t)fitting;
}

static size_t count_of(const struct world *world, enum operation operation, size_t elements) {
  size_t ranks = operation == ALL_REDUCE || operation == BROADCAST ? 1 : (size_t)world->size;
  return operation == BARRIER ? 0 : elements < ranks ? 1 : elements / ranks;
}

static struct task make_task(const struct world *world, const struct options *options,
                             const struct buffers *buffers, enum operation operation, size_t bytes) {
  size_t element = element_bytes(options->dtype);
  struct task task = {
      .options = options, .buffers = buffers, .call = {world, operation, options->dtype, NULL, NULL, 0}};
  task.call.count = count_of(world, operation, bytes / element);
  size_t sent = data_sent(&task.call), received = data_received(&task.call);
  task.outcome.bytes = (sent > received ? sent : received) * element;
  task.calls = task.outcome.bytes > SMALL ? 1 : CALLS_OF_SMALL;
  for (int i = 0; i < CONTESTANTS; i++)
    if (contestant_takes_part(i, &task.call))
      task.outcome.line_up[task.outcome.count++] = i;
  return task;
}

void measure(const struct world *world, const struct options *options, const struct buffers *buffers,
             enum operation operation, size_t bytes) {
  struct task task = make_task(world, options, buffers, operation, bytes);
  double *times = calloc(CONTESTANTS * MOST_ROUNDS, sizeof *times);
  if (!times)
    fail(world, "calloc", "no memory for the times");
  for (int i = 0; i < CONTESTANTS; i++)
    task.outcome.times[i] = times + i * MOST_ROUNDS;
  check_results(&task);
  task.outcome.rounds = warm_up(&task);
  for (size_t i = 0; i < task.outcome.rounds; i++)
    play_round(&task, i);
  slowest(world, times, CONTESTANTS * MOST_ROUNDS);
  if (world->rank == 0)
    report(&task.call, &task.outcome);
  free(times);
}
