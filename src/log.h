/* Lines on standard error, as much as UNISONO_LOG=error|warn|info|debug asks for; the default is warn. */
#ifndef UNI_LOG_H
#define UNI_LOG_H

enum uni_log_level { UNI_LOG_ERROR, UNI_LOG_WARN, UNI_LOG_INFO, UNI_LOG_DEBUG };

void uni_log(enum uni_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The rank that this thread's lines name; -1: none. */
void uni_log_set_rank(int rank);

#endif
