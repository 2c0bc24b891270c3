/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "backend/poll.h"

#define US      UINT64_C(1000)
#define MS      UINT64_C(1000000)
#define CEILING (400 * US)

/*
 * A guest that asks GAP after each answer, and how that comes to us: an event takes WAKE, whoever
 * polls finds the request at once. ALONE: it cannot run while we look.
 */
struct guest {
    struct pb_poll p;
    uint64_t now, gap, wake, ceiling;
    bool alone;
    unsigned events, polled, windows; /* how operations came; windows in vain */
    uint64_t spun, wasted;
};

static struct guest guest_of(uint64_t gap, uint64_t wake)
{
    struct guest g = { .now = 1000 * MS, .gap = gap, .wake = wake, .ceiling = CEILING };

    pb_poll_init(&g.p);
    return g;
}

static void one_op(struct guest *g)
{
    uint64_t spun = 0, window = g->p.until_ns - g->p.answered_ns;

    if (g->p.on && !g->alone && g->gap <= window) {
        spun = g->gap;
        g->now += g->gap;
        g->polled++;
    } else {
        if (g->p.on) {
            assert_true(window <= g->ceiling);
            pb_poll_missed(&g->p, window);
            assert_false(g->p.on);
            g->windows++;
            g->wasted += window;
            if (g->alone)
                g->now += window;
        }
        g->now += g->gap + g->wake;
        g->events++;
    }
    g->spun += spun;
    (void)pb_poll_answered(&g->p, g->now, 1, spun, g->ceiling);
}

static void ops(struct guest *g, unsigned count)
{
    while (count-- > 0)
        one_op(g);
}

static void an_operation_by_itself_is_not_polled_after(void **state)
{
    struct guest g = guest_of(PB_POLL_REACH_NS, 30 * US);

    (void)state;
    ops(&g, 1000);
    assert_int_equal(g.events, 1000);
    assert_int_equal(g.windows, 0);
    assert_int_equal(g.spun, 0);
}

static void the_second_operation_of_a_burst_begins_to_be_polled(void **state)
{
    struct guest g = guest_of(3 * US, 30 * US);

    (void)state;
    ops(&g, 2);
    assert_true(g.p.on);
    /* it was asleep, as long as it took by event */
    assert_int_equal(g.p.until_ns - g.p.answered_ns, 33 * US + 33 * US / 4);
    ops(&g, 62);
    assert_int_equal(g.events, 2);
    assert_int_equal(g.polled, 62);
}

/* In bursts of 64 with a pause each: two of them come by event. */
static void each_burst_costs_one_window_and_that_is_short(void **state)
{
    struct guest g = guest_of(3 * US, 30 * US);

    (void)state;
    for (unsigned n = 0; n < 100; n++) {
        g.gap = 100 * MS;
        one_op(&g);
        g.gap = 3 * US;
        ops(&g, 63);
    }
    assert_int_equal(g.events, 200);
    assert_int_equal(g.polled, 6200);
    assert_int_equal(g.windows, 99);
    assert_int_equal(g.wasted, 99 * PB_POLL_WINDOW_NS);
}

static void the_window_follows_the_pace_of_the_guest(void **state)
{
    static const uint64_t pace[][2] = {
        /* gap, window; both in us */
        { 1, 20 },   { 5, 20 },    { 10, 40 },   { 50, 200 },
        { 99, 396 }, { 100, 400 }, { 150, 400 }, { 390, 400 },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(pace) / sizeof(pace[0]); i++) {
        struct guest g = guest_of(pace[i][0] * US, 1000 * US);

        ops(&g, 3);
        assert_true(g.p.on);
        assert_int_equal(g.p.until_ns - g.p.answered_ns, pace[i][1] * US);
    }
}

static void a_guest_that_slows_down_is_given_a_whole_window_again(void **state)
{
    struct guest g = guest_of(3 * US, 300 * US);

    (void)state;
    ops(&g, 100);
    g.gap = 100 * US; /* longer than the window that was learned */
    ops(&g, 100);
    assert_int_equal(g.windows, 2); /* of the burst before, and one that was too short */
    assert_true(g.p.on);
    assert_true(g.polled > 190);
}

static void where_the_guest_cannot_run_meanwhile_polling_ends(void **state)
{
    struct guest g = guest_of(3 * US, 30 * US);

    (void)state;
    g.alone = true;
    ops(&g, 10000);
    assert_int_equal(g.events, 10000);
    assert_true(g.windows >= 10); /* it was tried */
    assert_true(g.windows < 50);
    assert_int_equal(g.p.needed, PB_POLL_NEEDED_MAX);
    g.alone = false; /* it was given a processor of its own */
    ops(&g, 2 * PB_POLL_NEEDED_MAX);
    assert_int_equal(g.p.needed, PB_POLL_NEEDED_MAX);
    assert_true(g.p.on && g.polled >= PB_POLL_NEEDED_MAX);
    g.gap = 2 * PB_POLL_REACH_NS;
    one_op(&g);
    assert_int_equal(g.p.needed, 1);
}

static void what_is_not_faster_is_not_polled(void **state)
{
    struct guest g =
        guest_of(300 * US, 20 * US); /* it thinks: the wake-up is not what it waits for */

    (void)state;
    ops(&g, 10000);
    assert_true(g.polled > 0);
    assert_true(g.polled < 50 * PB_POLL_JUDGED);
    g.gap = 10 * US;
    ops(&g, 3 * PB_POLL_NEEDED_MAX);
    assert_true(g.p.on);
}

/*
 * An emulator, a busy host: one operation of ten takes ten times as long, by event as when it is
 * looked for.
 */
static void hiccups_of_the_machine_do_not_end_it(void **state)
{
    struct guest g = guest_of(100 * US, 300 * US);

    (void)state;
    for (unsigned n = 0; n < 1000; n++) {
        g.gap = 1000 * US;
        one_op(&g);
        g.gap = n % 2 ? 390 * US : 100 * US; /* and some that are just within the window */
        one_op(&g);
        g.gap = 100 * US;
        ops(&g, 8);
    }
    assert_true(g.polled > 7500);
}

static void how_long_it_takes_by_event_is_learned_again(void **state)
{
    struct guest g = guest_of(10 * US, 30 * US);

    (void)state;
    ops(&g, 100);
    assert_int_equal(g.p.woken_ns, 40 * US);
    g.wake = 500 * US;
    ops(&g, 2 * PB_POLL_HITS_MAX);
    assert_true(g.p.woken_ns > 40 * US);
    assert_true(g.events <= 4);
    assert_int_equal(g.windows, 0);
}

/* It asks just before each window is over, and has us believe that an event would take longer. */
static void a_guest_that_keeps_a_processor_waiting_gets_pauses(void **state)
{
    struct guest g = guest_of(390 * US, 1500 * US);
    uint64_t began = g.now, longest = 0, spun = 0;

    (void)state;
    while (g.now - began < 10000 * MS) {
        one_op(&g);
        if (!g.p.on)
            spun = g.spun;
        longest = g.spun - spun > longest ? g.spun - spun : longest;
    }
    assert_true(g.polled > 1000);
    assert_true(longest < 1000 * MS);
    assert_true(g.spun + g.wasted < 7000 * MS);
}

/* Not so one that works for its time: an operation is worth something. */
static void a_guest_that_asks_fast_never_runs_out_of_credit(void **state)
{
    struct guest g = guest_of(5 * US, 30 * US);

    (void)state;
    ops(&g, 1000000);
    assert_true(g.polled > 999000);
    assert_true(g.p.credit_ns > PB_POLL_CREDIT_NS - MS);
}

static void no_ceiling_no_polling(void **state)
{
    struct guest g = guest_of(3 * US, 30 * US);

    (void)state;
    g.ceiling = 0;
    ops(&g, 1000);
    assert_int_equal(g.polled, 0);
    g.ceiling = CEILING; /* reloaded */
    ops(&g, 100);
    assert_true(g.p.on);
    g.ceiling = 0;
    ops(&g, 1);
    assert_false(g.p.on);
    ops(&g, 1000);
    assert_int_equal(g.windows, 0);
    assert_true(g.polled <= 100);
}

static void an_end_from_outside_says_nothing_of_polling(void **state)
{
    struct guest g = guest_of(3 * US, 30 * US);

    (void)state;
    ops(&g, 3);
    assert_true(g.p.on);
    pb_poll_end(&g.p);
    assert_false(g.p.on);
    assert_int_equal(g.p.needed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operation_by_itself_is_not_polled_after),
        cmocka_unit_test(the_second_operation_of_a_burst_begins_to_be_polled),
        cmocka_unit_test(each_burst_costs_one_window_and_that_is_short),
        cmocka_unit_test(the_window_follows_the_pace_of_the_guest),
        cmocka_unit_test(a_guest_that_slows_down_is_given_a_whole_window_again),
        cmocka_unit_test(where_the_guest_cannot_run_meanwhile_polling_ends),
        cmocka_unit_test(what_is_not_faster_is_not_polled),
        cmocka_unit_test(hiccups_of_the_machine_do_not_end_it),
        cmocka_unit_test(how_long_it_takes_by_event_is_learned_again),
        cmocka_unit_test(a_guest_that_keeps_a_processor_waiting_gets_pauses),
        cmocka_unit_test(a_guest_that_asks_fast_never_runs_out_of_credit),
        cmocka_unit_test(no_ceiling_no_polling),
        cmocka_unit_test(an_end_from_outside_says_nothing_of_polling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
