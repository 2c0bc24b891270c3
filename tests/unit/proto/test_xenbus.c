/* SPDX-License-Identifier: MIT */
#include "proto/xenbus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <xen/io/xenbus.h>
#include <xen/xen.h>

static void states_are_those_of_xenbus_h(void **state)
{
    (void)state;
    assert_int_equal(PB_XENBUS_UNKNOWN, XenbusStateUnknown);
    assert_int_equal(PB_XENBUS_INITIALISING, XenbusStateInitialising);
    assert_int_equal(PB_XENBUS_INIT_WAIT, XenbusStateInitWait);
    assert_int_equal(PB_XENBUS_INITIALISED, XenbusStateInitialised);
    assert_int_equal(PB_XENBUS_CONNECTED, XenbusStateConnected);
    assert_int_equal(PB_XENBUS_CLOSING, XenbusStateClosing);
    assert_int_equal(PB_XENBUS_CLOSED, XenbusStateClosed);
    assert_int_equal(PB_XENBUS_RECONFIGURING, XenbusStateReconfiguring);
    assert_int_equal(PB_XENBUS_RECONFIGURED, XenbusStateReconfigured);
}

static void a_frontend_whose_node_is_gone_is_released_from_every_state(void **state)
{
    (void)state;
    for (unsigned s = 0; s < PB_XENBUS_COUNT; s++)
        assert_int_equal(pb_xenbus_next(s, PB_XENBUS_UNKNOWN), PB_ACT_RELEASE);
}

/* The page is mapped only for a frontend that published it, from the state that waits for it. */
static void only_initialised_meets_initialised_connects(void **state)
{
    (void)state;
    for (unsigned s = 0; s < PB_XENBUS_COUNT; s++) {
        for (unsigned e = 0; e < PB_EVENT_COUNT; e++) {
            if (pb_xenbus_next(s, e) == PB_ACT_CONNECT) {
                assert_int_equal(s, PB_XENBUS_INITIALISED);
                assert_int_equal(e, PB_XENBUS_INITIALISED);
            }
        }
    }
}

/* The kernel's backend believes a frontend that says Connected on its own; this one does not. */
static void a_frontend_cannot_talk_us_into_connected(void **state)
{
    (void)state;
    for (unsigned s = 0; s < PB_XENBUS_COUNT; s++) {
        enum pb_xenbus_action act = pb_xenbus_next(s, PB_XENBUS_CONNECTED);

        if (s == PB_XENBUS_RECONFIGURED)
            assert_int_equal(act, PB_ACT_SETTLE);
        else
            assert_true(act == PB_ACT_NONE || act == PB_ACT_IGNORE);
    }
}

/* Reconfigured is said to a frontend that we are connected with, and only after its own word. */
static void reconfigure_needs_both_sides(void **state)
{
    (void)state;
    for (unsigned s = 0; s < PB_XENBUS_COUNT; s++) {
        for (unsigned e = 0; e < PB_EVENT_COUNT; e++)
            assert_int_equal(pb_xenbus_next(s, e) == PB_ACT_RECONFIGURE,
                             e == PB_XENBUS_RECONFIGURING &&
                                 (s == PB_XENBUS_RECONFIGURING || s == PB_XENBUS_CONNECTED));
    }
}

/* Late: the verb has given up and we are back at Connected, but the guest has just answered. */
static void a_late_answer_is_led_back_to_connected(void **state)
{
    (void)state;
    assert_int_equal(pb_xenbus_next(PB_XENBUS_CONNECTED, PB_XENBUS_RECONFIGURING),
                     PB_ACT_RECONFIGURE);
    assert_int_equal(pb_xenbus_next(PB_XENBUS_RECONFIGURED, PB_XENBUS_RECONFIGURING), PB_ACT_NONE);
    assert_int_equal(pb_xenbus_next(PB_XENBUS_RECONFIGURED, PB_XENBUS_CONNECTED), PB_ACT_SETTLE);
}

static void a_closed_frontend_that_returns_is_served_again(void **state)
{
    (void)state;
    assert_int_equal(pb_xenbus_next(PB_XENBUS_CLOSED, PB_XENBUS_INITIALISING), PB_ACT_REOPEN);
    assert_int_equal(pb_xenbus_next(PB_XENBUS_CLOSED, PB_XENBUS_INITIALISED), PB_ACT_REOPEN);
    assert_int_equal(pb_xenbus_next(PB_XENBUS_CONNECTED, PB_XENBUS_INITIALISING), PB_ACT_REOPEN);
}

static void anything_outside_of_the_table_is_ignored(void **state)
{
    (void)state;
    assert_int_equal(pb_xenbus_next(PB_XENBUS_COUNT, 0), PB_ACT_IGNORE);
    assert_int_equal(pb_xenbus_next(0, PB_EVENT_COUNT), PB_ACT_IGNORE);
    assert_int_equal(pb_xenbus_next(UINT32_MAX, UINT32_MAX), PB_ACT_IGNORE);
    assert_string_equal(pb_xenbus_name(99), "Unknown");
    assert_string_equal(pb_xenbus_name(4), "Connected");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_are_those_of_xenbus_h),
        cmocka_unit_test(a_frontend_whose_node_is_gone_is_released_from_every_state),
        cmocka_unit_test(only_initialised_meets_initialised_connects),
        cmocka_unit_test(a_frontend_cannot_talk_us_into_connected),
        cmocka_unit_test(reconfigure_needs_both_sides),
        cmocka_unit_test(a_late_answer_is_led_back_to_connected),
        cmocka_unit_test(a_closed_frontend_that_returns_is_served_again),
        cmocka_unit_test(anything_outside_of_the_table_is_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
