/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/ratelimit.h"

static void a_burst_passes_and_the_rest_is_counted(void **state)
{
    struct pb_ratelimit rl = { 0 };
    unsigned suppressed = 99;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_true(pb_ratelimit_allow(&rl, 5000, 3, 1000, &suppressed));
        assert_int_equal(suppressed, 0);
    }
    for (unsigned i = 0; i < 10; i++)
        assert_false(pb_ratelimit_allow(&rl, 5000 + i, 3, 1000, &suppressed));
    assert_false(pb_ratelimit_allow(&rl, 5999, 3, 1000, &suppressed));
    assert_true(pb_ratelimit_allow(&rl, 6000, 3, 1000, &suppressed));
    assert_int_equal(suppressed, 11);
    assert_true(pb_ratelimit_allow(&rl, 6000, 3, 1000, &suppressed));
    assert_int_equal(suppressed, 0);
}

static void XSA_43_a_million_events_pass_a_few_times(void **state)
{
    struct pb_ratelimit rl = { 0 };
    unsigned passed = 0, refused = 0, suppressed;

    (void)state;
    for (unsigned i = 0; i < 1000000; i++) {
        if (pb_ratelimit_allow(&rl, i / 100, 5, 1000, &suppressed)) {
            passed++;
            refused += suppressed;
        }
    }
    assert_int_equal(passed, 50);
    assert_int_equal(passed + refused + rl.suppressed, 1000000);
}

static void it_works_in_the_first_interval_after_boot(void **state)
{
    struct pb_ratelimit rl = { 0 };
    unsigned suppressed;

    (void)state;
    assert_true(pb_ratelimit_allow(&rl, 0, 1, 1000, &suppressed));
    assert_false(pb_ratelimit_allow(&rl, 999, 1, 1000, &suppressed));
    assert_true(pb_ratelimit_allow(&rl, 1000, 1, 1000, &suppressed));
}

static void the_counter_does_not_wrap(void **state)
{
    struct pb_ratelimit rl = { .used = 1, .suppressed = UINT32_MAX };
    unsigned suppressed;

    (void)state;
    assert_false(pb_ratelimit_allow(&rl, 0, 1, 1000, &suppressed));
    assert_true(rl.suppressed == UINT32_MAX);
}

static void a_burst_of_none_lets_nothing_pass(void **state)
{
    struct pb_ratelimit rl = { 0 };
    unsigned suppressed;

    (void)state;
    for (unsigned i = 0; i < 10; i++)
        assert_false(pb_ratelimit_allow(&rl, i * 2000UL, 0, 1000, &suppressed));
}

static void a_line_tells_of_others_only_if_there_were_some(void **state)
{
    (void)state;
    assert_string_equal(pb_ratelimit_note(0), "");
    assert_string_equal(pb_ratelimit_note(1), " (1 more line suppressed)");
    assert_string_equal(pb_ratelimit_note(UINT32_MAX), " (4294967295 more lines suppressed)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_passes_and_the_rest_is_counted),
        cmocka_unit_test(XSA_43_a_million_events_pass_a_few_times),
        cmocka_unit_test(it_works_in_the_first_interval_after_boot),
        cmocka_unit_test(the_counter_does_not_wrap),
        cmocka_unit_test(a_burst_of_none_lets_nothing_pass),
        cmocka_unit_test(a_line_tells_of_others_only_if_there_were_some),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
