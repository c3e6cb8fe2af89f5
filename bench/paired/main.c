#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "flags.h"
#include "measure.h"

size_t element_bytes(unisono_dtype dtype) {
  return dtype == UNISONO_FLOAT32 ? 4 : 2;
}

void fail(const struct world *world, const char *what, const char *why) {
  fprintf(stderr, "paired: rank %d: %s: %s\n", world->rank, what, why);
  exit(1);
}

/* A processor of its own for every rank where there are enough; else the system places them. */
static void pin(struct world *world) {
  cpu_set_t allowed, mine;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
    return;
  world->crowded = world->size > CPU_COUNT(&allowed);
  if (world->crowded)
    return;
  int before = 0;
  size_t processor = 0;
  while (!CPU_ISSET(processor, &allowed) || before++ < world->rank)
    processor++;
  CPU_ZERO(&mine);
  CPU_SET(processor, &mine);
  sched_setaffinity(0, sizeof mine, &mine);
}

static int first_number(const char *const *names) {
  for (; *names; names++)
    if (getenv(*names))
      return atoi(getenv(*names));
  return -1;
}

/* Before anything is started: libraries look at what processors they have when they start. */
static struct world pinned_world(bool apart) {
  static const char *const ranks[] = {"RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", NULL};
  static const char *const sizes[] = {"WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", NULL};
  struct world world = {.rank = first_number(ranks), .size = first_number(sizes), .apart = apart};
  if (world.rank < 0 || world.rank >= world.size)
    fail(&world, "not started as a rank", "use mpirun or `unisono run`");
  if (!apart)
    pin(&world);
  return world;
}

int main(int argc, char **argv) {
  struct options options;
  options_parse(argc, argv, &options);
  struct world world = pinned_world(options.machines);
  if (unisono_comm_init_env(&world.comm, NULL) != UNISONO_OK)
    fail(&world, "comm_init_env", unisono_last_error());
  peer_start(&world);
  flags_open(&world);
  struct buffers buffers;
  buffers_make(&world, &options, &buffers);
  for (int operation = 0; operation < OPERATIONS; operation++) {
    size_t sizes = operation == BARRIER ? 1 : options.sizes_count;
    for (size_t i = 0; options.operations[operation] && i < sizes; i++)
      measure(&world, &options, &buffers, (enum operation)operation, options.sizes[i]);
  }
  buffers_free(&world, &buffers);
  peer_stop();
  unisono_comm_destroy(world.comm);
  return 0;
}
