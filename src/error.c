#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

static _Thread_local char last_error[512];

static void set_last_error(const char *format, va_list arguments) {
  vsnprintf(last_error, sizeof last_error, format, arguments);
}

unisono_status uni_fail(unisono_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  set_last_error(format, arguments);
  va_end(arguments);
  uni_log(UNI_LOG_DEBUG, "%s: %s", unisono_status_string(status), last_error);
  return status;
}

unisono_status uni_fail_errno(const char *format, ...) {
  int saved = errno;
  va_list arguments;
  va_start(arguments, format);
  set_last_error(format, arguments);
  va_end(arguments);
  size_t used = strlen(last_error);
  char text[128];
  snprintf(last_error + used, sizeof last_error - used, ": %s",
           strerror_r(saved, text, sizeof text)); /* the GNU one: returns the text */
  uni_log(UNI_LOG_DEBUG, "system error: %s", last_error);
  errno = saved;
  return saved == ENOMEM ? UNISONO_ERROR_MEMORY : UNISONO_ERROR_SYSTEM;
}

const char *unisono_last_error(void) {
  return last_error;
}

const char *unisono_status_string(unisono_status status) {
  switch (status) {
  case UNISONO_OK:
    return "ok";
  case UNISONO_ERROR_INVALID:
    return "invalid argument";
  case UNISONO_ERROR_MISMATCH:
    return "mismatched calls";
  case UNISONO_ERROR_PEER_LOST:
    return "peer lost";
  case UNISONO_ERROR_TIMEOUT:
    return "timeout";
  case UNISONO_ERROR_MEMORY:
    return "out of memory";
  case UNISONO_ERROR_SYSTEM:
    return "system error";
  case UNISONO_ERROR_UNSUPPORTED:
    return "unsupported";
  }
  return "unknown status";
}

#define TEXT_OF(x) #x
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *unisono_version(void) {
  return VERSION_TEXT(UNISONO_VERSION_MAJOR, UNISONO_VERSION_MINOR, UNISONO_VERSION_PATCH);
}
