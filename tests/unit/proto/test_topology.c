/* SPDX-License-Identifier: MIT */
#include "proto/topology.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct pb_sbdf at(unsigned bus, unsigned dev, unsigned fn)
{
    return (struct pb_sbdf){ .bus = (uint8_t)bus, .devfn = PB_DEVFN(dev, fn) };
}

static unsigned add(struct pb_vslots *slots, struct pb_sbdf physical, bool vf)
{
    struct pb_sbdf v;

    assert_int_equal(pb_vslots_add(slots, PB_TOPOLOGY_VPCI, physical, vf, PB_VDEVFN_ANY, &v), 0);
    assert_int_equal(v.segment, 0);
    assert_int_equal(v.bus, 0);
    return v.devfn;
}

static void functions_of_one_slot_stay_together(void **state)
{
    struct pb_vslots slots = { 0 };

    (void)state;
    assert_int_equal(add(&slots, at(3, 0, 0), false), PB_DEVFN(0, 0));
    assert_int_equal(add(&slots, at(4, 0, 0), false), PB_DEVFN(1, 0));
    assert_int_equal(add(&slots, at(3, 0, 1), false), PB_DEVFN(0, 1));
    assert_int_equal(add(&slots, at(4, 1, 7), false), PB_DEVFN(2, 7));
}

static void virtual_functions_number_0_get_their_own_slot(void **state)
{
    struct pb_vslots slots = { 0 };

    (void)state;
    assert_int_equal(add(&slots, at(3, 16, 0), true), PB_DEVFN(0, 0));
    assert_int_equal(add(&slots, at(3, 16, 1), true), PB_DEVFN(1, 1));
    assert_int_equal(add(&slots, at(3, 16, 2), true), PB_DEVFN(1, 2));
}

static void a_full_bus_says_so(void **state)
{
    struct pb_vslots slots = { 0 };
    struct pb_sbdf v;

    (void)state;
    for (unsigned i = 0; i < PB_VSLOTS; i++)
        assert_int_equal(add(&slots, at(i, 0, 0), false), PB_DEVFN(i, 0));
    assert_int_equal(
        pb_vslots_add(&slots, PB_TOPOLOGY_VPCI, at(99, 0, 0), false, PB_VDEVFN_ANY, &v), -ENOSPC);
    pb_vslots_remove(&slots, (struct pb_sbdf){ .devfn = PB_DEVFN(7, 0) });
    assert_int_equal(add(&slots, at(99, 0, 0), false), PB_DEVFN(7, 0));
}

static void one_function_is_there_once(void **state)
{
    struct pb_vslots slots = { 0 };
    struct pb_sbdf v;

    (void)state;
    (void)add(&slots, at(3, 0, 0), false);
    assert_int_equal(pb_vslots_add(&slots, PB_TOPOLOGY_VPCI, at(3, 0, 0), false, PB_VDEVFN_ANY, &v),
                     -EEXIST);
}

static void vdev_has_two_function_digits(void **state)
{
    char buf[PB_VDEV_TEXT];

    (void)state;
    assert_string_equal(pb_vdev_format(at(0, 31, 7), buf), "0000:00:1f.07");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_of_one_slot_stay_together),
        cmocka_unit_test(virtual_functions_number_0_get_their_own_slot),
        cmocka_unit_test(a_full_bus_says_so),
        cmocka_unit_test(one_function_is_there_once),
        cmocka_unit_test(vdev_has_two_function_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
