/* SPDX-License-Identifier: MIT */
/*
 * One line a message, to stderr. Layers below core/backend log at most at debug level: a failure is
 * returned upwards and logged once, where the operation is known.
 */
#ifndef PB_BASE_LOG_H
#define PB_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum pb_log_level { PB_LOG_ERR, PB_LOG_WARN, PB_LOG_NOTICE, PB_LOG_INFO, PB_LOG_DEBUG };

enum pb_log_format {
    PB_LOG_TEXT,    /* "warn: dom3 0000:03:00.0: text" */
    PB_LOG_JSON,    /* {"time":…,"level":"warn","message":"…"} */
    PB_LOG_JOURNAL, /* "<4>text": what journald reads from a service's stderr */
};

void pb_log_setup(enum pb_log_format format, enum pb_log_level max);
/* "text", "json", "journal"; false when it is none of them. */
bool pb_log_format_parse(const char *text, enum pb_log_format *ret);
bool pb_log_level_parse(const char *text, enum pb_log_level *ret);

/* Control characters and bytes above 0x7e in the result are replaced: values may be a guest's. */
__attribute__((format(printf, 2, 3))) void pb_log(enum pb_log_level level, const char *fmt, ...);

#define pb_err(...)    pb_log(PB_LOG_ERR, __VA_ARGS__)
#define pb_warn(...)   pb_log(PB_LOG_WARN, __VA_ARGS__)
#define pb_notice(...) pb_log(PB_LOG_NOTICE, __VA_ARGS__)
#define pb_info(...)   pb_log(PB_LOG_INFO, __VA_ARGS__)
#define pb_debug(...)  pb_log(PB_LOG_DEBUG, __VA_ARGS__)

/* Milliseconds and nanoseconds of the monotonic clock. */
uint64_t pb_now_ms(void);
uint64_t pb_now_ns(void);
/*
 * The monotonic clock at the kernel's last tick, which is pb_tick_ns() before the next one. Never a
 * system call: where a virtual machine's clock is not to be trusted, as in most domains, the others
 * are one.
 */
uint64_t pb_coarse_ns(void);
uint64_t pb_tick_ns(void);

#endif
