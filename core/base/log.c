/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"

static enum pb_log_format format_in_use = PB_LOG_TEXT;
static enum pb_log_level max_level = PB_LOG_INFO;

static const struct {
    const char *name;
    int syslog; /* RFC 5424 severity, as journald reads it */
} levels[] = {
    [PB_LOG_ERR] = { "err", 3 },       [PB_LOG_WARN] = { "warn", 4 },
    [PB_LOG_NOTICE] = { "notice", 5 }, [PB_LOG_INFO] = { "info", 6 },
    [PB_LOG_DEBUG] = { "debug", 7 },
};

static const char *const formats[] = {
    [PB_LOG_TEXT] = "text",
    [PB_LOG_JSON] = "json",
    [PB_LOG_JOURNAL] = "journal",
};

void pb_log_setup(enum pb_log_format format, enum pb_log_level max)
{
    format_in_use = format;
    max_level = max;
}

bool pb_log_format_parse(const char *text, enum pb_log_format *ret)
{
    for (unsigned i = 0; i < PB_ARRAY_SIZE(formats); i++) {
        if (strcmp(text, formats[i]) == 0) {
            *ret = (enum pb_log_format)i;
            return true;
        }
    }
    return false;
}

bool pb_log_level_parse(const char *text, enum pb_log_level *ret)
{
    for (unsigned i = 0; i < PB_ARRAY_SIZE(levels); i++) {
        if (strcmp(text, levels[i].name) == 0) {
            *ret = (enum pb_log_level)i;
            return true;
        }
    }
    return false;
}

static void make_printable(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p > 0x7e)
            *p = '?';
    }
}

static int compose_json(char *line, size_t size, enum pb_log_level level, const char *text)
{
    struct timespec now;
    size_t n;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    n = (size_t)snprintf(line, size, "{\"time\":%lld.%03ld,\"level\":\"%s\",\"message\":\"",
                         (long long)now.tv_sec, now.tv_nsec / 1000000, levels[level].name);
    for (; *text && n + 5 < size; text++) {
        if (*text == '"' || *text == '\\')
            line[n++] = '\\';
        line[n++] = *text;
    }
    return (int)n + snprintf(line + n, size - n, "\"}\n");
}

void pb_log(enum pb_log_level level, const char *fmt, ...)
{
    char text[512], line[1200];
    int n, saved = errno; /* a caller may log first and return -errno then */
    va_list ap;

    if (level > max_level)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    make_printable(text);

    if (format_in_use == PB_LOG_JSON)
        n = compose_json(line, sizeof(line), level, text);
    else if (format_in_use == PB_LOG_JOURNAL)
        n = snprintf(line, sizeof(line), "<%d>%s\n", levels[level].syslog, text);
    else
        n = snprintf(line, sizeof(line), "%s: %s\n", levels[level].name, text);
    /* One write a line, so that lines of the reactor and the helper do not mix. A full or closed
     * stderr must not stop the daemon: there is nobody left to tell. */
    if (write(STDERR_FILENO, line, (size_t)n) < 0 || errno != saved)
        errno = saved;
}

static uint64_t nanoseconds(const struct timespec *t)
{
    return (uint64_t)t->tv_sec * 1000000000U + (uint64_t)t->tv_nsec;
}

uint64_t pb_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return nanoseconds(&now);
}

uint64_t pb_now_ms(void)
{
    return pb_now_ns() / 1000000U;
}

uint64_t pb_coarse_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return nanoseconds(&now);
}

uint64_t pb_tick_ns(void)
{
    struct timespec tick;

    (void)clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
    return nanoseconds(&tick);
}
