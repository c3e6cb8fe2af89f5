#include "machines/pipeline.h"

/* A wait that fails gives up what it waited for by itself. */
unisono_status uni_pipeline(struct uni_span *span, const struct uni_stages *stages, void *what,
                            size_t parts) {
  unisono_status status = UNISONO_OK;
  bool under_way = false;
  for (size_t k = 0; k <= parts && !status; k++) {
    if (k < parts)
      status = stages->ready(what, k);
    if (!status && k) {
      status = stages->arrive(what, k - 1);
      under_way = false;
    }
    if (!status && k < parts) {
      status = stages->depart(what, k);
      under_way = true;
    }
    if (!status && k)
      status = stages->end(what, k - 1);
  }
  span->abandoned |= status && under_way;
  return status;
}
