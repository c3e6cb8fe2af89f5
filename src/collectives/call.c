#include "collectives/call.h"

static const char *const kind_names[UNI_KINDS] = {"barrier",    "all_reduce",  "reduce",     "reduce_scatter",
                                                  "broadcast",  "all_gather",  "gather",     "scatter",
                                                  "all_to_all", "all_to_allv", "all_gatherv"};

const char *uni_kind_name(enum uni_kind kind) {
  return (unsigned)kind < UNI_KINDS ? kind_names[kind] : "?";
}

size_t uni_call_extent(const size_t *counts, const size_t *displs, int n, size_t element) {
  size_t end = 0;
  for (int i = 0; i < n; i++)
    if (counts[i] && displs[i] + counts[i] > end)
      end = displs[i] + counts[i];
  return end * element;
}
