/* `--json FILE`: machine, settings and every percentile, for programs to read. */
#include "bench.h"
#include "machine.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static json_t *caches(const struct machine *machine) {
  json_t *list = json_array();
  for (int i = 0; i < machine->cache_levels; i++) {
    const struct cache *cache = &machine->caches[i];
    json_array_append_new(list,
                          json_pack("{s:i, s:i, s:I, s:i}", "level", cache->level, "number", cache->number,
                                    "bytes", (json_int_t)cache->bytes, "processors", cache->shared_by));
  }
  return list;
}

static json_t *machine_facts(void) {
  struct machine m;
  machine_read(&m);
  return json_pack("{s:s, s:s*, s:s*, s:s*, s:i, s:i, s:i, s:i, s:i, s:o, s:I, s:I, s:s*, s:s, s:s}",
                   "processor", m.model, "features", m.library.processor, "isa", m.library.isa, "isa_reason",
                   m.library.isa_reason, "packages", m.packages, "numa_nodes", m.numa_nodes, "cores", m.cores,
                   "processors", m.processors, "processors_usable", m.library.processors, "caches",
                   caches(&m), "memory_bytes", (json_int_t)m.memory, "memory_available_bytes",
                   (json_int_t)m.library.memory_available, "memory_limit", m.library.memory_limit, "kernel",
                   m.kernel, "glibc", m.libc);
}

/* The variables that change what is measured; UNISONO_SECRET stays out. */
static json_t *environment(void) {
  static const char *const names[] = {"UNISONO_ALGORITHM", "UNISONO_GUARD",   "UNISONO_ISA",
                                      "UNISONO_LOG",       "UNISONO_TIMEOUT", "UNISONO_ENGINE",
                                      "UNISONO_PARTIALS",  "OMP_NUM_THREADS"};
  json_t *found = json_object();
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (getenv(names[i]))
      json_object_set_new(found, names[i], json_string(getenv(names[i])));
  return found;
}

static json_t *settings(const struct bench *bench) {
  const struct bench_options *o = bench->options;
  return json_pack("{s:s, s:i, s:s, s:s, s:s, s:b, s:b, s:i, s:I, s:I, s:I, s:f, s:I, s:I, s:o}", "operation",
                   o->operation->name, "ranks", bench->size, "dtype", bench_dtype_name(o->dtype), "op",
                   bench_op_name(o->op), "memory", o->shared ? "shared" : "private", "in_place",
                   (int)o->in_place, "bind", (int)o->bind, "threads", o->threads, "min_bytes",
                   (json_int_t)o->min, "max_bytes", (json_int_t)o->max, "factor", (json_int_t)o->factor,
                   "seconds", o->seconds, "iterations", (json_int_t)o->iterations, "warmup",
                   (json_int_t)o->warmup, "environment", environment());
}

static json_t *summary(const struct summary *s) {
  json_t *object = json_object();
  for (int i = 0; i < SUMMARY_VALUES; i++)
    json_object_set_new(object, summary_points[i].name, json_real(s->at[i]));
  json_object_set_new(object, "mean", json_real(s->mean));
  return object;
}

static json_t *size_facts(const struct bench *bench, const struct result *r) {
  double algorithm = bench_algorithm_bandwidth(r);
  json_t *object = json_pack("{s:I, s:I, s:I, s:i, s:o}", "bytes", (json_int_t)r->shape.bytes, "elements",
                             (json_int_t)r->shape.elements, "samples", (json_int_t)r->samples,
                             "calls_per_sample", r->shape.calls, "time_us", summary(&r->time));
  if (!r->shape.bytes)
    return object;
  json_object_set_new(object, "memcpy_us", summary(&r->copy));
  json_object_set_new(object, "algorithm_bandwidth_gb_s", json_real(algorithm));
  json_object_set_new(object, "bus_bandwidth_gb_s",
                      json_real(algorithm * bench->options->operation->bus_factor(bench->size)));
  json_object_set_new(object, "time_per_memcpy",
                      json_real(r->time.at[SUMMARY_MEDIAN] / r->copy.at[SUMMARY_MEDIAN]));
  return object;
}

static json_t *document(const struct bench *bench, const struct result *results, size_t n) {
  char date[32];
  time_t now = time(NULL);
  struct tm utc;
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
  json_t *sizes = json_array();
  for (size_t i = 0; i < n; i++)
    json_array_append_new(sizes, size_facts(bench, &results[i]));
  return json_pack("{s:s, s:s, s:o, s:o, s:o}", "unisono", unisono_version(), "date", date, "machine",
                   machine_facts(), "settings", settings(bench), "sizes", sizes);
}

bool bench_json_possible(void) {
  return true;
}

bool bench_json_write(const struct bench *bench, const struct result *results, size_t n) {
  json_t *all = document(bench, results, n);
  bool written = all && json_dumpf(all, bench->json, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0 &&
                 fputc('\n', bench->json) != EOF;
  written = fclose(bench->json) == 0 && written;
  if (!written)
    fprintf(stderr, "unisono bench: cannot write %s: %s\n", bench->options->json, strerror(errno));
  json_decref(all);
  return written;
}
