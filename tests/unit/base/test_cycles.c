/* SPDX-License-Identifier: MIT */
/* The clock of the processor's counter, over a counter and a monotonic clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/cycles.h"
#include "base/log.h"

#define US UINT64_C(1000)
#define MS (1000 * US)

static struct {
    uint64_t ns, cycles, per_us; /* cycles in one */
    unsigned asked;              /* of the monotonic clock */
} world;

uint64_t __wrap_pb_cycles(void);
uint64_t __wrap_pb_cycles(void)
{
    return world.cycles;
}

uint64_t __wrap_pb_now_ns(void);
uint64_t __wrap_pb_now_ns(void)
{
    world.asked++;
    return world.ns;
}

static void pass(uint64_t us)
{
    world.ns += us * US;
    world.cycles += us * world.per_us;
}

static int setup(void **state)
{
    (void)state;
    world.ns = 5000 * MS;
    world.cycles = UINT64_C(1) << 33;
    world.per_us = 2600;
    world.asked = 0;
    return 0;
}

/* A clock that knows the counter's rate, just set right. */
static struct pb_cycle_clock known(void)
{
    struct pb_cycle_clock c = { 0 };

    (void)pb_cycle_clock_ns(&c);
    pass(1000);
    assert_int_equal(pb_cycle_clock_ns(&c), world.ns);
    world.asked = 0;
    return c;
}

static void asks_the_monotonic_clock_once_a_millisecond(void **state)
{
    struct pb_cycle_clock c = known();
    uint64_t told;

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        pass(10);
        told = pb_cycle_clock_ns(&c);
        assert_in_range(told, world.ns - 1 * US, world.ns + 1 * US);
    }
    assert_in_range(world.asked, 9, 11);
}

static void learns_the_rate_of_any_counter(void **state)
{
    static const uint64_t rates[] = { 11, 100, 1000, 5000, 90000 };

    for (size_t i = 0; i < PB_ARRAY_SIZE(rates); i++) {
        struct pb_cycle_clock c;

        (void)setup(state);
        world.per_us = rates[i];
        c = known();
        pass(500);
        assert_in_range(pb_cycle_clock_ns(&c), world.ns - 20 * US, world.ns + 20 * US);
        assert_int_equal(world.asked, 0);
    }
}

/* Else short times, of which each may be wrong, would be all that it ever learns from. */
static void asked_often_it_learns_from_long_times(void **state)
{
    struct pb_cycle_clock c = { 0 };

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        pass(1);
        (void)pb_cycle_clock_ns(&c);
    }
    assert_in_range(world.asked, 95, 110);
    assert_int_not_equal(c.scale, 0);
}

static void without_a_counter_each_reading_is_the_monotonic_clocks(void **state)
{
    struct pb_cycle_clock c = { 0 };

    (void)state;
    world.cycles = world.per_us = 0;
    for (unsigned i = 0; i < 100; i++) {
        pass(50);
        assert_int_equal(pb_cycle_clock_ns(&c), world.ns);
    }
    assert_int_equal(world.asked, 100);
}

static void counters_of_no_possible_rate_are_not_believed(void **state)
{
    static const uint64_t rates[] = { 1, 9, 200000 };

    for (size_t i = 0; i < PB_ARRAY_SIZE(rates); i++) {
        struct pb_cycle_clock c = { 0 };

        (void)setup(state);
        world.per_us = rates[i];
        for (unsigned n = 0; n < 20; n++) {
            pass(300);
            assert_int_equal(pb_cycle_clock_ns(&c), world.ns);
        }
        assert_int_equal(c.scale, 0);
    }
}

/* The thread moves between processors whose counters differ. */
static void a_jump_of_the_counter_is_set_right_within_a_millisecond(void **state)
{
    static const int64_t jumps[] = { -1000000000, -2600 * 100, 2600 * 100,
                                     2600 * 900,  1000000000,  INT64_C(1) << 50 };

    for (size_t i = 0; i < PB_ARRAY_SIZE(jumps); i++) {
        struct pb_cycle_clock c;
        uint64_t told, before = 0;

        (void)setup(state);
        c = known();
        world.cycles += (uint64_t)jumps[i];
        for (unsigned n = 0; n < 400; n++) {
            pass(10);
            told = pb_cycle_clock_ns(&c);
            assert_true(told >= before); /* it never goes back */
            assert_in_range(told, world.ns - PB_CYCLE_EXACT_NS, world.ns + PB_CYCLE_EXACT_NS);
            before = told;
        }
        assert_in_range(told, world.ns - 200 * US, world.ns + 200 * US);
    }
}

static void another_rate_is_learned(void **state)
{
    struct pb_cycle_clock c = known();

    (void)state;
    world.per_us = 1300;
    for (unsigned n = 0; n < 4000; n++) {
        pass(10);
        (void)pb_cycle_clock_ns(&c);
    }
    world.asked = 0;
    pass(500);
    assert_in_range(pb_cycle_clock_ns(&c), world.ns - 20 * US, world.ns + 20 * US);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(asks_the_monotonic_clock_once_a_millisecond),
        TEST(learns_the_rate_of_any_counter),
        TEST(asked_often_it_learns_from_long_times),
        TEST(without_a_counter_each_reading_is_the_monotonic_clocks),
        TEST(counters_of_no_possible_rate_are_not_believed),
        TEST(a_jump_of_the_counter_is_set_right_within_a_millisecond),
        TEST(another_rate_is_learned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
