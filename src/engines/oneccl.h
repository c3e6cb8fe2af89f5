/* oneCCL as an engine: a library of its own, libunisono_oneccl.so (src/engines/oneccl/), which lies beside
 * this one where it was built, and is loaded when it is asked for. */
#ifndef UNI_ENGINES_ONECCL_H
#define UNI_ENGINES_ONECCL_H

#include "engines/engine.h"

unisono_status uni_oneccl_load(const struct uni_engine **engine);
void uni_oneccl_describe(char *words, size_t n);

#endif
