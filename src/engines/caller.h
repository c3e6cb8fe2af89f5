/* Engines that the caller has brought (unisono_engine_register). */
#ifndef UNI_ENGINES_CALLER_H
#define UNI_ENGINES_CALLER_H

#include "engines/engine.h"

/* NULL: none has this name. */
const struct uni_engine *uni_caller_engine(const char *name);

#endif
