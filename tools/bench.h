/* `unisono bench`: what its files share. One run measures one operation over a row of sizes. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unisono.h>

struct operation;

struct bench_options {
  const struct operation *operation;
  int ranks;       /* 0: one for each processor, or as many as there are */
  int threads;     /* of each */
  size_t min, max; /* bytes */
  long factor;     /* from one size to the next */
  unisono_dtype dtype;
  unisono_op op;
  bool shared; /* memory of unisono_mem_alloc */
  bool in_place, bind;
  bool algorithms; /* each of them forced, in turn */
  long iterations; /* samples a size; 0: as many as fit into `seconds` */
  long warmup;     /* samples before, not counted; 0: by size */
  double seconds;  /* for each size */
  const char *json, *plot;
};

/* What every sample writes and expects: values that depend on rank, index and sample, in tiles of a prime
 * length, so that copying a tile again and again fills a buffer and comparing with it checks one, both at
 * memory speed. */
struct tiles {
  char **of_rank; /* what each rank sends */
  char *reduced;  /* what their reduction is */
};

struct bench {
  const struct bench_options *options;
  unisono_comm *comm;
  int rank, size;
  size_t element; /* bytes */
  struct tiles tiles;
  char *send, *recv;       /* each with room for every call of a sample */
  size_t *counts, *displs; /* for all_to_allv and all_gatherv: an entry a rank */
  char match_id[32];       /* for all_reduce_cached: one a size */
  bool wrong;              /* this rank has found wrong data */
  FILE *json;
};

/* One size: `elements` as nccl-tests count them, the largest buffer of the operation. */
struct shape {
  size_t elements, bytes;
  size_t stride; /* bytes from the buffer of one call to that of the next */
  int calls;     /* back to back in one sample, each on buffers of its own */
};

enum { SUMMARY_VALUES = 10 };
struct summary {             /* µs */
  double at[SUMMARY_VALUES]; /* as summary_points */
  double mean;
};
extern const struct summary_point {
  const char *name;
  double percent;
} summary_points[SUMMARY_VALUES];
enum { SUMMARY_MEDIAN = 4, SUMMARY_P99 = 8 };

struct result {
  struct shape shape;
  long samples;
  struct summary time, copy; /* of the operation; of memcpy of the same bytes on all ranks at once */
};

/* One call of an operation, and what it shall have received. */
struct call {
  struct bench *bench;
  char *send, *recv;
  size_t elements, share; /* the total, and what is each rank's of it */
  size_t sample;          /* shifts the values */
};

struct operation {
  const char *name;
  unisono_status (*run)(const struct call *call);
  bool (*check)(const struct call *call);
  enum { WHOLE, SHARE, UNEVEN, NOTHING } sends; /* how many elements each rank writes before */
  enum { NOT_IN_PLACE, SAME, SEND_IN_RECV, RECV_IN_SEND } in_place;
  bool divides; /* `elements` is a multiple of the number of ranks */
  bool reduces;
  double (*bus_factor)(double ranks); /* bus bandwidth / algorithm bandwidth, as nccl-tests define it */
  double trips;                       /* one-way trips that one call is */
};

/* bench.c */
enum { BENCH_ALGORITHMS = 7, BENCH_SIZES = 64 };
/* The sizes to measure, and the bytes that the buffers need for the largest sample. */
size_t bench_plan(const struct bench *bench, struct shape *shapes, size_t *room);
bool bench_make_buffers(struct bench *bench, size_t room);
void bench_free_buffers(struct bench *bench);

/* bench_algorithms.c */
extern const char *const bench_algorithms[BENCH_ALGORITHMS];
/* Measures all algorithms side by side; comms: one for each, forced. */
bool bench_compare(const struct bench_options *options, unisono_comm *const *comms);

/* bench_operations.c */
extern const struct operation bench_operations[];
const struct operation *bench_operation(const char *name); /* NULL: none */
size_t bench_sent(const struct bench *bench, const struct shape *shape);
/* Sets what the calls of one size have in common: counts, displacements, match id. */
void bench_prepare(struct bench *bench, const struct shape *shape);

/* bench_data.c */
enum { FROM_REDUCED = -1 };
bool bench_tiles_make(struct bench *bench);
void bench_tiles_free(struct bench *bench);
void bench_fill(const struct bench *bench, char *to, size_t elements, size_t sample);
/* True where recv[offset ...] has `elements` of what `source` (a rank or FROM_REDUCED) has from `start` on;
 * else says where it is wrong. */
bool bench_expect(const struct call *call, size_t offset, size_t elements, int source, size_t start);
size_t bench_element_bytes(unisono_dtype dtype);

/* bench_measure.c */
void bench_measure(struct bench *bench, const struct shape *shape, struct result *result);
/* One sample of the operation, in µs a call. */
double bench_time(struct bench *bench, const struct shape *shape, long sample);
/* Replaces each rank's times by the slowest rank's. */
void bench_slowest(struct bench *bench, double *times, size_t n);
struct shape bench_shape(const struct bench *bench, size_t bytes);
bool bench_agree(struct bench *bench, bool fine); /* true where it is fine on every rank */
_Noreturn void bench_fail(const struct bench *bench, const char *what);

/* bench_options.c */
void bench_parse(int argc, char **argv, struct bench_options *options);
const char *bench_dtype_name(unisono_dtype dtype);
const char *bench_op_name(unisono_op op);

/* bench_table.c, bench_json.c, bench_plot.c: rank 0 only. */
void bench_table_header(const struct bench *bench);
void bench_table_row(const struct bench *bench, const struct result *result);
void bench_progress(const struct bench *bench, const struct shape *shape, long done, long samples);
void bench_progress_clear(void);
double bench_algorithm_bandwidth(const struct result *result); /* GB/s */
void bench_size_text(size_t bytes, char text[16]);             /* "64 KiB" */
bool bench_json_possible(void);
bool bench_json_write(const struct bench *bench, const struct result *results, size_t n);
bool bench_plot_possible(void);
bool bench_plot_write(const struct bench *bench, const struct result *results, size_t n);

#endif
