/* How errors travel: a function returns a status, and this thread's last failure has the words to it. */
#ifndef UNI_ERROR_H
#define UNI_ERROR_H

#include "unisono.h"

/* Sets this thread's last error and returns `status`: `return uni_fail(UNISONO_ERROR_INVALID, "...")`. */
unisono_status uni_fail(unisono_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a failed system call: appends errno's text. Keeps errno. */
unisono_status uni_fail_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
