/* `--plot FILE`: time over size, drawn by gnuplot. */
#include "bench.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Looks along PATH as the shell will. */
bool bench_plot_possible(void) {
  const char *path = getenv("PATH");
  char file[4096];
  for (size_t length; path && *path; path += length + (path[length] == ':')) {
    length = strcspn(path, ":");
    snprintf(file, sizeof file, "%.*s/gnuplot", (int)length, path);
    if (access(file, X_OK) == 0)
      return true;
  }
  fputs("unisono bench: --plot needs gnuplot; install it, on Debian and Ubuntu: apt install gnuplot-nox\n",
        stderr);
  return false;
}

/* In single quotes, as gnuplot reads them. */
static void quote(FILE *gnuplot, const char *text) {
  fputc('\'', gnuplot);
  for (; *text; text++)
    fputs(*text == '\'' ? "''" : (char[]){*text, 0}, gnuplot);
  fputc('\'', gnuplot);
}

static void write_title(FILE *gnuplot, const struct bench *bench) {
  const struct bench_options *o = bench->options;
  fprintf(gnuplot, "set title '%s, %d ranks, %s%s%s, %s memory%s' noenhanced\n", o->operation->name,
          bench->size, bench_dtype_name(o->dtype), o->operation->reduces ? " " : "",
          o->operation->reduces ? bench_op_name(o->op) : "", o->shared ? "shared" : "private",
          o->in_place ? ", in place" : "");
}

/* At most ten labels, the same number of powers of two apart. */
static void write_size_labels(FILE *gnuplot, const struct result *results, size_t n) {
  size_t first = results[0].shape.bytes, last = results[n - 1].shape.bytes, step = 2;
  const char *separator = "";
  while (log((double)last / (double)first) / log((double)step) > 9)
    step *= 2;
  fprintf(gnuplot, "set xrange [%zu / 1.5 : %zu * 1.5]\nset xtics (", first, last);
  for (size_t bytes = first; bytes <= last; bytes *= step, separator = ", ") {
    char text[16];
    bench_size_text(bytes, text);
    fprintf(gnuplot, "%s'%s' %zu", separator, text, bytes);
  }
  fputs(")\n", gnuplot);
}

static void write_data(FILE *gnuplot, const struct result *results, size_t n) {
  fputs("$data << END\n", gnuplot);
  for (size_t i = 0; i < n; i++)
    fprintf(gnuplot, "%zu %.6g %.6g %.6g\n", results[i].shape.bytes, results[i].time.at[SUMMARY_MEDIAN],
            results[i].time.at[SUMMARY_P99], results[i].copy.at[SUMMARY_MEDIAN]);
  fputs("END\n", gnuplot);
}

/* Colours of Okabe and Ito, told apart with every kind of colour vision; the marks differ too. */
static void write_script(FILE *gnuplot, const struct bench *bench, const struct result *results, size_t n) {
  bool svg = strcmp(strrchr(bench->options->plot, '.'), ".svg") == 0;
  fprintf(gnuplot, "set terminal %s size 960,600 font 'sans,%d' background rgb 'white'\n",
          svg ? "svg" : "pngcairo", svg ? 15 : 13);
  fputs("set output ", gnuplot);
  quote(gnuplot, bench->options->plot);
  fputs("\nset logscale xy\nset grid xtics ytics lc rgb '#cccccc' lw 1 dt 1\nset border 3\n"
        "set tics nomirror out\nset key left top reverse Left\nset xlabel 'bytes'\nset ylabel 'time (µs)'\n"
        "set format y '%g'\n"
        "set encoding utf8\n",
        gnuplot);
  write_title(gnuplot, bench);
  write_size_labels(gnuplot, results, n);
  write_data(gnuplot, results, n);
  fprintf(gnuplot,
          "plot $data using 1:2 with linespoints lc rgb '#0072B2' lw 2.5 pt 7 ps 0.8 title '%s, median' "
          "noenhanced, "
          "$data using 1:3 with lines lc rgb '#56B4E9' lw 1.5 dt 2 title '%s, 99th percentile' noenhanced, "
          "$data using 1:4 with linespoints lc rgb '#D55E00' lw 2 pt 9 ps 0.8 title "
          "'memcpy on all ranks at once, median'\n",
          bench->options->operation->name, bench->options->operation->name);
}

bool bench_plot_write(const struct bench *bench, const struct result *results, size_t n) {
  signal(SIGPIPE, SIG_IGN); /* a gnuplot that ends early shows in its status */
  FILE *gnuplot = popen("gnuplot", "w");
  if (gnuplot)
    write_script(gnuplot, bench, results, n);
  if (!gnuplot || pclose(gnuplot) != 0) {
    fprintf(stderr, "unisono bench: gnuplot could not draw %s\n", bench->options->plot);
    return false;
  }
  return true;
}
