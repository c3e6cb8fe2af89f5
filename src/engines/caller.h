/* Engines that the caller has brought (unisono_engine_register). */
#ifndef UNI_ENGINES_CALLER_H
#define UNI_ENGINES_CALLER_H

#include "engines/engine.h"

/* As the library sees it; it lasts. NULL: no memory. */
const struct uni_engine *uni_caller_wrap(const unisono_engine *theirs);

/* NULL: none has this name. */
const struct uni_engine *uni_caller_engine(const char *name);

#endif
