/* A large operation in parts: while one is between the machines, the next is made ready on each, and the one
 * before is brought to its end there. */
#ifndef UNI_MACHINES_PIPELINE_H
#define UNI_MACHINES_PIPELINE_H

#include "machines/span.h"

/* What is done with the k-th part. Two are about at a time, so that k % 2 tells where they are. */
struct uni_stages {
  unisono_status (*ready)(void *what, size_t k);
  unisono_status (*depart)(void *what, size_t k); /* from now on the engine has its memory, */
  unisono_status (*arrive)(void *what, size_t k); /* until here */
  unisono_status (*end)(void *what, size_t k);
};

/* A failure while a part is between the machines leaves the engine what it has, as the stages do for their
 * own. */
unisono_status uni_pipeline(struct uni_span *span, const struct uni_stages *stages, void *what, size_t parts);

#endif
