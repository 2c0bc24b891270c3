/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/log.h"

static char line[4096];

/* What TEXT becomes on stderr. */
static const char *logged(enum pb_log_level level, const char *text)
{
    int saved = dup(STDERR_FILENO), pipes[2];
    ssize_t n;

    assert_true(saved >= 0);
    assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
    assert_true(dup2(pipes[1], STDERR_FILENO) >= 0);
    pb_log(level, "%s", text);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    n = read(pipes[0], line, sizeof(line) - 1);
    line[n > 0 ? n : 0] = '\0';
    (void)close(saved);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    return line;
}

static void formats_and_levels_parse_by_their_exact_names(void **state)
{
    static const char *const bad[] = { "", "Text", "text ", "jsonl", "journald", "warning", "5" };
    enum pb_log_format format = PB_LOG_JSON;
    enum pb_log_level level = PB_LOG_INFO;

    (void)state;
    assert_true(pb_log_format_parse("text", &format) && format == PB_LOG_TEXT);
    assert_true(pb_log_format_parse("json", &format) && format == PB_LOG_JSON);
    assert_true(pb_log_format_parse("journal", &format) && format == PB_LOG_JOURNAL);
    assert_true(pb_log_level_parse("err", &level) && level == PB_LOG_ERR);
    assert_true(pb_log_level_parse("warn", &level) && level == PB_LOG_WARN);
    assert_true(pb_log_level_parse("notice", &level) && level == PB_LOG_NOTICE);
    assert_true(pb_log_level_parse("info", &level) && level == PB_LOG_INFO);
    assert_true(pb_log_level_parse("debug", &level) && level == PB_LOG_DEBUG);
    for (size_t i = 0; i < PB_ARRAY_SIZE(bad); i++) {
        assert_false(pb_log_format_parse(bad[i], &format));
        assert_false(pb_log_level_parse(bad[i], &level));
    }
    assert_true(format == PB_LOG_JOURNAL && level == PB_LOG_DEBUG);
}

static void text_and_journal_lines_are_as_documented(void **state)
{
    (void)state;
    pb_log_setup(PB_LOG_TEXT, PB_LOG_DEBUG);
    assert_string_equal(logged(PB_LOG_WARN, "a 100%"), "warn: a 100%\n");
    pb_log_setup(PB_LOG_JOURNAL, PB_LOG_DEBUG);
    assert_string_equal(logged(PB_LOG_ERR, "a"), "<3>a\n");
    assert_string_equal(logged(PB_LOG_DEBUG, "a"), "<7>a\n");
}

static void the_level_is_a_bound(void **state)
{
    (void)state;
    pb_log_setup(PB_LOG_TEXT, PB_LOG_NOTICE);
    assert_string_equal(logged(PB_LOG_INFO, "a"), "");
    assert_string_equal(logged(PB_LOG_NOTICE, "a"), "notice: a\n");
}

static void control_characters_cannot_forge_a_line(void **state)
{
    (void)state;
    pb_log_setup(PB_LOG_TEXT, PB_LOG_DEBUG);
    assert_string_equal(logged(PB_LOG_INFO, "a\n<0>b\r\x1b[1m\x7f\xc3\xa4"),
                        "info: a?<0>b??[1m???\n");
}

static void a_json_line_is_json_however_long_the_text(void **state)
{
    static char text[2048];

    (void)state;
    pb_log_setup(PB_LOG_JSON, PB_LOG_DEBUG);
    for (size_t n = 0; n < sizeof(text) - 1; n += 7) {
        json_t *value;
        const char *message;

        memset(text, n % 2 ? '"' : '\\', n);
        text[n] = '\0';
        (void)logged(PB_LOG_WARN, text);
        assert_true(strlen(line) > 0 && line[strlen(line) - 1] == '\n');
        value = json_loads(line, 0, NULL);
        assert_non_null(value);
        message = json_string_value(json_object_get(value, "message"));
        assert_non_null(message);
        assert_int_equal(strlen(message), n < 511 ? n : 511);
        assert_string_equal(json_string_value(json_object_get(value, "level")), "warn");
        assert_true(json_is_real(json_object_get(value, "time")));
        json_decref(value);
    }
}

static void logging_leaves_errno_alone(void **state)
{
    int saved = dup(STDERR_FILENO), now;

    (void)state;
    pb_log_setup(PB_LOG_TEXT, PB_LOG_DEBUG);
    (void)close(STDERR_FILENO);
    errno = EXDEV;
    pb_err("nobody listens");
    now = errno;
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(saved);
    assert_int_equal(now, EXDEV);
}

static void clocks_agree_and_advance(void **state)
{
    uint64_t ns = pb_now_ns(), ms = pb_now_ms();

    (void)state;
    assert_true(ms >= ns / 1000000);
    assert_true(pb_now_ns() >= ns);
}

static void the_coarse_clock_is_the_same_a_tick_ago(void **state)
{
    uint64_t before = pb_now_ns(), coarse = pb_coarse_ns();

    (void)state;
    assert_true(coarse <= pb_now_ns());
    assert_in_range(pb_tick_ns(), 1, 10000000); /* CONFIG_HZ is 100 at least */
    while (pb_coarse_ns() <= before)
        ;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_and_levels_parse_by_their_exact_names),
        cmocka_unit_test(text_and_journal_lines_are_as_documented),
        cmocka_unit_test(the_level_is_a_bound),
        cmocka_unit_test(control_characters_cannot_forge_a_line),
        cmocka_unit_test(a_json_line_is_json_however_long_the_text),
        cmocka_unit_test(logging_leaves_errno_alone),
        cmocka_unit_test(clocks_agree_and_advance),
        cmocka_unit_test(the_coarse_clock_is_the_same_a_tick_ago),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
