/* `unisono info`: what the library found on this machine. */
#include "machine.h"
#include "tool.h"

#include <stdio.h>
#include <string.h>

static const struct argp parser = {
    .parser = tool_no_arguments,
    .doc =
        "Shows what the library found on this machine: processor features, the kernels picked and why, the "
        "topology, the memory that it may use, and the engines between machines."};

static const char *or_none(const char *text) {
  return text && *text ? text : "none";
}

static void print_processor(const struct machine *m) {
  printf("processor\n");
  printf("  model       %s\n", m->model);
  printf("  features    %s\n", or_none(m->library.processor));
  printf("  kernels     %s: %s\n", or_none(m->library.isa), or_none(m->library.isa_reason));
  printf("  usable      %d of %d processors (affinity and quota counted)\n", m->library.processors,
         m->processors);
}

static void print_cache(const struct cache *cache) {
  double size = (double)cache->bytes / 1024;
  bool mebi = size >= 1024;
  printf("  L%d cache    %d x %.4g %s, shared by %d processor%s\n", cache->level, cache->number,
         mebi ? size / 1024 : size, mebi ? "MiB" : "KiB", cache->shared_by, cache->shared_by == 1 ? "" : "s");
}

static void print_costs(const struct machine *m) {
  printf("costs\n  %s\n", m->library.costs);
}

static void print_number(const char *of, int number) {
  if (number > 0)
    printf("  %-10s  %d\n", of, number);
  else
    printf("  %-10s  unknown\n", of);
}

static void print_topology(const struct machine *m) {
  printf("topology\n");
  print_number("packages", m->packages);
  print_number("NUMA nodes", m->numa_nodes);
  print_number("cores", m->cores);
  print_number("processors", m->processors);
  for (int i = 0; i < m->cache_levels; i++)
    print_cache(&m->caches[i]);
}

static void print_memory(const struct machine *m) {
  double gib = 1 << 30;
  printf("memory\n");
  printf("  installed   %.2f GiB\n", (double)m->memory / gib);
  printf("  available   %.2f GiB\n", (double)m->library.memory_available / gib);
  printf("  limit       %s\n", or_none(m->library.memory_limit));
}

/* One a line: "NAME: words". */
static void print_engines(const char *text) {
  for (const char *line = text; line && *line;) {
    size_t length = strcspn(line, "\n"), name = strcspn(line, ":");
    printf("  %-11.*s %.*s\n", (int)name, line, (int)(length - name - 2), line + name + 2);
    line += length + (line[length] == '\n');
  }
}

int info_main(int argc, char **argv) {
  struct machine machine;
  argp_parse(&parser, argc, argv, 0, NULL, NULL);
  machine_read(&machine);
  printf("unisono %s\n", unisono_version());
  print_processor(&machine);
  print_topology(&machine);
  print_memory(&machine);
  print_costs(&machine);
  printf("system\n  kernel      %s\n  C library   glibc %s\n", machine.kernel, machine.libc);
  printf("engines\n");
  print_engines(machine.library.engines);
  return TOOL_OK;
}
