/* Settings from the environment. */
#ifndef UNI_ENV_H
#define UNI_ENV_H

#include <stdbool.h>

#include "unisono.h"

/* Which algorithm UNISONO_ALGORITHM forces; rank 0's environment counts for all ranks. */
enum uni_algorithm {
  UNI_AUTO,
  UNI_INLINE,
  UNI_ONE_SHOT,
  UNI_STAGED,
  UNI_PULL,
  UNI_PUSH,
  UNI_BY_LEVELS,
  UNI_ALGORITHMS
};

const char *uni_algorithm_name(enum uni_algorithm algorithm);

unisono_status uni_env_algorithm(enum uni_algorithm *algorithm); /* INVALID: not a name of one */
const char *uni_env_engine_algorithm(void); /* between machines, one of the engine's; NULL: none is forced */
unisono_status
uni_env_partials(bool *narrow); /* UNISONO_PARTIALS is 16bit; INVALID: neither that nor float32 */
bool uni_env_guard(void);       /* UNISONO_GUARD=1 */

/* When the machine is measured: where that was not done yet, never (UNISONO_TUNE=0), or now (1). */
enum uni_tune { UNI_TUNE_ONCE, UNI_TUNE_NEVER, UNI_TUNE_ALWAYS };
unisono_status uni_env_tune(enum uni_tune *tune); /* INVALID: none of these */

/* The time limit in ms that a configured value stands for: 0 is UNISONO_TIMEOUT (seconds) or 10 minutes. */
unisono_status uni_env_timeout(int configured_ms, int *timeout_ms);

/* Sets *value to the first of the variables (a NULL-terminated list) that is set; false: none is.
 * INVALID when it is no whole number >= 0. */
unisono_status uni_env_number(const char *const *names, int *value, bool *found);

#endif
