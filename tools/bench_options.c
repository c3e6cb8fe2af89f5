/* The options of `unisono bench`. */
#include "bench.h"
#include "tool.h"

#include <stdlib.h>
#include <string.h>

static const char *const dtype_names[] = {"int8",  "uint8",  "int16",   "uint16",   "int32",   "uint32",
                                          "int64", "uint64", "float16", "bfloat16", "float32", "float64"};
static const char *const op_names[] = {"sum", "prod", "min", "max", "avg", "band", "bor", "bxor"};
enum { DTYPES = sizeof dtype_names / sizeof *dtype_names, OPS = sizeof op_names / sizeof *op_names };

const char *bench_dtype_name(unisono_dtype dtype) {
  return dtype_names[dtype];
}
const char *bench_op_name(unisono_op op) {
  return op_names[op];
}

enum {
  MIN = 256,
  THREADS,
  MAX,
  FACTOR,
  DTYPE,
  OP,
  MEMORY,
  IN_PLACE,
  ITERATIONS,
  WARMUP,
  SECONDS,
  JSON,
  PLOT,
  ALGORITHMS
};

static const struct argp_option option_table[] = {
    {NULL, 'n', "N", 0, "Start N ranks (default: one for each processor)", 1},
    {"bind", 'b', "none|core", 0, "core: bind rank i to the i-th processor, or N processors (default: none)",
     1},
    {"threads", THREADS, "N", 0, "Give each rank N threads (default: 1)", 1},
    {"min", MIN, "BYTES", 0, "Smallest size (default: 8); K, M and G are powers of 1024", 2},
    {"max", MAX, "BYTES", 0, "Largest size (default: 64M)", 2},
    {"factor", FACTOR, "F", 0, "From one size to the next (default: 2)", 2},
    {"dtype", DTYPE, "TYPE", 0, "int8 ... uint64, float16, bfloat16, float32, float64 (default: float32)", 3},
    {"op", OP, "OP", 0, "sum, prod, min, max, avg, band, bor, bxor (default: sum)", 3},
    {"memory", MEMORY, "private|shared", 0, "shared: buffers of unisono_mem_alloc (default: private)", 3},
    {"in-place", IN_PLACE, NULL, 0, "Receive into the buffer that is sent", 3},
    {"seconds", SECONDS, "S", 0, "Time for each size, about (default: 0.3)", 4},
    {"iterations", ITERATIONS, "N", 0, "Samples of each size, whatever time they take", 4},
    {"warmup", WARMUP, "N", 0, "Samples before that are not counted (default: 10; 2 above 1M)", 4},
    {"algorithms", ALGORITHMS, NULL, 0,
     "Compare the library's choice with every algorithm forced, call by call", 4},
    {"json", JSON, "FILE", 0, "Write machine, settings and all percentiles to FILE", 5},
    {"plot", PLOT, "FILE", 0, "Draw time over size to FILE, by its name .svg or .png (needs gnuplot)", 5},
    {0}};

static int find(const char *const *names, int n, const char *text) {
  for (int i = 0; i < n; i++)
    if (strcmp(names[i], text) == 0)
      return i;
  return -1;
}

static int choose(const struct argp_state *state, const char *option, const char *const *names, int n,
                  const char *text) {
  int found = find(names, n, text);
  if (found < 0)
    argp_error(state, "%s does not know '%s'; see --help", option, text);
  return found;
}

static void set_operation(struct bench_options *options, const struct argp_state *state, const char *text) {
  char names[256] = "";
  if (options->operation)
    argp_error(state, "one OPERATION at a time, not '%s' as well", text);
  options->operation = bench_operation(text);
  for (const struct operation *o = bench_operations; o->name; o++) {
    strcat(names, " ");
    strcat(names, o->name);
  }
  if (!options->operation)
    argp_error(state, "unknown operation '%s'; there are:%s", text, names);
}

static void set_plot(struct bench_options *options, const struct argp_state *state, const char *text) {
  const char *dot = strrchr(text, '.');
  if (!dot || (strcmp(dot, ".svg") != 0 && strcmp(dot, ".png") != 0))
    argp_error(state, "--plot needs a file name that ends in .svg or .png, not '%s'", text);
  options->plot = text;
}

static void check_type(const struct bench_options *options, const struct argp_state *state) {
  bool real = options->dtype >= UNISONO_FLOAT16;
  if (!options->operation->reduces)
    return;
  if (options->op == UNISONO_AVG && !real)
    argp_error(state, "avg is for floats, and %s is none", bench_dtype_name(options->dtype));
  if (options->op >= UNISONO_BAND && real)
    argp_error(state, "%s is for integers, and %s is none", bench_op_name(options->op),
               bench_dtype_name(options->dtype));
}

/* What only all options together can tell. */
static void check(const struct bench_options *options, const struct argp_state *state) {
  if (!options->operation)
    argp_error(state, "the OPERATION to measure is missing");
  if (options->min > options->max)
    argp_error(state, "--min is more than --max");
  if (options->in_place && options->operation->in_place == NOT_IN_PLACE)
    argp_error(state, "%s is not measured in place", options->operation->name);
  if (options->plot && options->operation->sends == NOTHING)
    argp_error(state, "--plot draws time over size, and %s has no size", options->operation->name);
  if (options->algorithms && (options->json || options->plot))
    argp_error(state, "--algorithms prints a table, without --json and --plot");
  check_type(options, state);
}

static void set_sizes_and_times(int key, const char *text, struct argp_state *state) {
  struct bench_options *options = state->input;
  switch (key) {
  case MIN:
    options->min = tool_bytes(state, "--min", text);
    break;
  case MAX:
    options->max = tool_bytes(state, "--max", text);
    break;
  case FACTOR:
    options->factor = tool_integer(state, "--factor", text, 2, 1 << 20);
    break;
  case ITERATIONS:
    options->iterations = tool_integer(state, "--iterations", text, 1, 10000000);
    break;
  case WARMUP:
    options->warmup = tool_integer(state, "--warmup", text, 1, 10000000);
    break;
  case SECONDS:
    options->seconds = tool_seconds(state, "--seconds", text);
    break;
  }
}

static error_t parse_option(int key, char *text, struct argp_state *state) {
  static const char *const memories[] = {"private", "shared"};
  struct bench_options *options = state->input;
  switch (key) {
  case 'n':
    options->ranks = (int)tool_integer(state, "-n", text, 1, TOOL_MAX_RANKS);
    break;
  case THREADS:
    options->threads = (int)tool_integer(state, "--threads", text, 1, 1024);
    break;
  case 'b':
    options->bind = tool_binding(state, text);
    break;
  case DTYPE:
    options->dtype = (unisono_dtype)choose(state, "--dtype", dtype_names, DTYPES, text);
    break;
  case OP:
    options->op = (unisono_op)choose(state, "--op", op_names, OPS, text);
    break;
  case MEMORY:
    options->shared = choose(state, "--memory", memories, 2, text) == 1;
    break;
  case IN_PLACE:
    options->in_place = true;
    break;
  case ALGORITHMS:
    options->algorithms = true;
    break;
  case JSON:
    options->json = text;
    break;
  case PLOT:
    set_plot(options, state, text);
    break;
  case ARGP_KEY_ARG:
    set_operation(options, state, text);
    break;
  case ARGP_KEY_END:
    check(options, state);
    break;
  case MIN:
  case MAX:
  case FACTOR:
  case ITERATIONS:
  case WARMUP:
  case SECONDS:
    set_sizes_and_times(key, text, state);
    break;
  default:
    return ARGP_ERR_UNKNOWN;
  }
  return 0;
}

static const struct argp parser = {
    .options = option_table,
    .parser = parse_option,
    .args_doc = "OPERATION",
    .doc = "Measures OPERATION on this machine and checks every result."
           "\vOPERATION is all_reduce, all_reduce_cached, reduce, reduce_scatter, broadcast, all_gather, "
           "gather, scatter, "
           "all_to_all, all_to_allv, all_gatherv, barrier or send_recv. Ranks are started here, unless the "
           "command "
           "was itself started as one (by unisono run, torchrun, mpirun or srun). A time is that of the "
           "slowest rank; "
           "bytes and bandwidths are as nccl-tests define them; time/memcpy compares with memcpy of the same "
           "bytes "
           "on all ranks at once. The exit status is 1 if anything failed or a result was wrong."};

void bench_parse(int argc, char **argv, struct bench_options *options) {
  *options = (struct bench_options){.threads = 1,
                                    .min = 8,
                                    .max = 64 << 20,
                                    .factor = 2,
                                    .dtype = UNISONO_FLOAT32,
                                    .op = UNISONO_SUM,
                                    .seconds = 0.3};
  argp_parse(&parser, argc, argv, 0, NULL, options);
}
