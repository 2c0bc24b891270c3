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

static int place(struct pb_vslots *slots, enum pb_topology topology, struct pb_sbdf physical,
                 int wanted)
{
    struct pb_sbdf v;
    int rc = pb_vslots_add(slots, topology, physical, false, wanted, &v);

    return rc ? rc : v.devfn;
}

static void a_wanted_address_is_honoured_when_it_is_free(void **state)
{
    struct pb_vslots slots = { 0 };

    (void)state;
    assert_int_equal(place(&slots, PB_TOPOLOGY_VPCI, at(3, 0, 0), PB_DEVFN(5, 0)), PB_DEVFN(5, 0));
    /* taken, or in another device's slot: the first free one */
    assert_int_equal(place(&slots, PB_TOPOLOGY_VPCI, at(4, 0, 0), PB_DEVFN(5, 0)), PB_DEVFN(0, 0));
    assert_int_equal(place(&slots, PB_TOPOLOGY_VPCI, at(6, 0, 0), PB_DEVFN(5, 1)), PB_DEVFN(1, 0));
    /* a sibling may join, at the function that is wanted or at its own */
    assert_int_equal(place(&slots, PB_TOPOLOGY_VPCI, at(3, 0, 2), PB_DEVFN(5, 7)), PB_DEVFN(5, 7));
    assert_int_equal(place(&slots, PB_TOPOLOGY_VPCI, at(3, 0, 3), PB_VDEVFN_ANY), PB_DEVFN(5, 3));
    /* the last one, and what is none */
    assert_int_equal(place(&slots, PB_TOPOLOGY_VPCI, at(7, 0, 0), 255), 255);
    assert_int_equal(place(&slots, PB_TOPOLOGY_VPCI, at(8, 0, 0), 256), PB_DEVFN(2, 0));
    assert_int_equal(place(&slots, PB_TOPOLOGY_VPCI, at(9, 0, 0), -7), PB_DEVFN(3, 0));
}

static void a_sibling_whose_function_is_taken_gets_a_slot_of_its_own(void **state)
{
    struct pb_vslots slots = { 0 };

    (void)state;
    assert_int_equal(place(&slots, PB_TOPOLOGY_VPCI, at(3, 0, 1), PB_DEVFN(5, 0)), PB_DEVFN(5, 0));
    assert_int_equal(place(&slots, PB_TOPOLOGY_VPCI, at(3, 0, 0), PB_VDEVFN_ANY), PB_DEVFN(0, 0));
}

static void nobody_joins_a_virtual_function_number_0(void **state)
{
    struct pb_vslots slots = { 0 };

    (void)state;
    assert_int_equal(add(&slots, at(3, 16, 0), true), PB_DEVFN(0, 0));
    assert_int_equal(place(&slots, PB_TOPOLOGY_VPCI, at(3, 16, 1), PB_DEVFN(0, 1)), PB_DEVFN(1, 1));
}

static void slot_gives_each_function_a_slot_and_number_0(void **state)
{
    struct pb_vslots slots = { 0 };

    (void)state;
    assert_int_equal(place(&slots, PB_TOPOLOGY_SLOT, at(3, 0, 0), PB_VDEVFN_ANY), PB_DEVFN(0, 0));
    assert_int_equal(place(&slots, PB_TOPOLOGY_SLOT, at(3, 0, 1), PB_VDEVFN_ANY), PB_DEVFN(1, 0));
    assert_int_equal(place(&slots, PB_TOPOLOGY_SLOT, at(3, 0, 2), PB_DEVFN(9, 0)), PB_DEVFN(9, 0));
    assert_int_equal(place(&slots, PB_TOPOLOGY_SLOT, at(3, 0, 3), PB_DEVFN(9, 3)), PB_DEVFN(2, 0));
    for (unsigned i = 4; i < PB_VSLOTS; i++)
        assert_true(place(&slots, PB_TOPOLOGY_SLOT, at(4, i, 0), PB_VDEVFN_ANY) >= 0);
    assert_int_equal(place(&slots, PB_TOPOLOGY_SLOT, at(5, 0, 0), PB_VDEVFN_ANY), -ENOSPC);
    assert_int_equal(place(&slots, PB_TOPOLOGY_SLOT, at(5, 0, 0), PB_DEVFN(9, 0)), -ENOSPC);
}

static void passthrough_shows_physical_addresses_and_a_root_for_each_bus(void **state)
{
    struct pb_sbdf far = { .segment = 0x8001, .bus = 0xff, .devfn = 0xff }, v;
    struct pb_vslots slots = { 0 };
    char buf[PB_VROOT_TEXT], vdev[PB_VDEV_TEXT];

    (void)state;
    assert_int_equal(pb_vslots_add(&slots, PB_TOPOLOGY_PASSTHROUGH, at(3, 2, 1), false, 0, &v), 0);
    assert_true(pb_sbdf_equal(v, at(3, 2, 1)));
    assert_int_equal(pb_vslots_add(&slots, PB_TOPOLOGY_PASSTHROUGH, at(3, 4, 0), false, 0, &v), 0);
    assert_int_equal(slots.root_count, 1);
    assert_int_equal(pb_vslots_add(&slots, PB_TOPOLOGY_PASSTHROUGH, far, false, 0, &v), 0);
    assert_true(pb_sbdf_equal(v, far));
    assert_int_equal(slots.root_count, 2);
    assert_string_equal(pb_vroot_format(&slots, 0, buf), "0000:03");
    assert_string_equal(pb_vroot_format(&slots, 1, buf), "8001:ff");
    assert_string_equal(pb_vdev_format(v, vdev), "8001:ff:1f.07");
    assert_int_equal(pb_vslots_add(&slots, PB_TOPOLOGY_PASSTHROUGH, far, false, 0, &v), -EEXIST);
    /* a word of a guest's is compared whole */
    assert_true(pb_vslots_has_root(&slots, 0x8001, 0xff));
    assert_false(pb_vslots_has_root(&slots, 0x18001, 0xff));
    assert_false(pb_vslots_has_root(&slots, 0x8001, 0x1ff));
    assert_false(pb_vslots_has_root(&slots, 0, 0));
}

static void a_root_stays_when_its_last_device_goes(void **state)
{
    struct pb_vslots slots = { 0 };
    struct pb_sbdf v;

    (void)state;
    for (unsigned i = 0; i < PB_VROOTS; i++) {
        assert_int_equal(pb_vslots_add(&slots, PB_TOPOLOGY_PASSTHROUGH, at(i, 0, 0), false, 0, &v),
                         0);
        pb_vslots_remove(&slots, v);
    }
    assert_int_equal(slots.device_count, 0);
    assert_int_equal(slots.root_count, PB_VROOTS);
    /* one more bus is an error that says so; one that is known is not */
    assert_int_equal(
        pb_vslots_add(&slots, PB_TOPOLOGY_PASSTHROUGH, at(PB_VROOTS, 0, 0), false, 0, &v), -ENOSPC);
    assert_int_equal(slots.device_count, 0);
    assert_int_equal(pb_vslots_add(&slots, PB_TOPOLOGY_PASSTHROUGH, at(7, 0, 0), false, 0, &v), 0);
}

static void places_come_back_in_order_as_often_as_one_likes(void **state)
{
    struct pb_vslots slots = { 0 };

    (void)state;
    for (unsigned i = 0; i < PB_VSLOTS; i++)
        (void)add(&slots, at(i, 0, 0), false);
    for (unsigned round = 0; round < 1000; round++) {
        struct pb_sbdf v = { .devfn = PB_DEVFN(round % PB_VSLOTS, 0) };

        pb_vslots_remove(&slots, v);
        assert_int_equal(add(&slots, at(round % PB_VSLOTS, 0, 0), false), v.devfn);
        assert_int_equal(slots.device_count, PB_VSLOTS);
    }
    pb_vslots_remove(&slots, at(77, 0, 0)); /* nothing is there: nothing happens */
    assert_int_equal(slots.device_count, PB_VSLOTS);
}

static void a_slot_full_of_functions_counts_once(void **state)
{
    struct pb_vslots slots = { 0 };

    (void)state;
    for (unsigned i = 0; i < PB_VSLOTS * 8; i++)
        assert_int_equal(add(&slots, at(i / 8, 0, i % 8), false), PB_DEVFN(i / 8, i % 8));
    assert_int_equal(place(&slots, PB_TOPOLOGY_VPCI, at(99, 0, 0), PB_VDEVFN_ANY), -ENOSPC);
    assert_int_equal(place(&slots, PB_TOPOLOGY_PASSTHROUGH, at(99, 0, 0), 0), -ENOSPC);
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
        cmocka_unit_test(a_wanted_address_is_honoured_when_it_is_free),
        cmocka_unit_test(a_sibling_whose_function_is_taken_gets_a_slot_of_its_own),
        cmocka_unit_test(nobody_joins_a_virtual_function_number_0),
        cmocka_unit_test(slot_gives_each_function_a_slot_and_number_0),
        cmocka_unit_test(passthrough_shows_physical_addresses_and_a_root_for_each_bus),
        cmocka_unit_test(a_root_stays_when_its_last_device_goes),
        cmocka_unit_test(places_come_back_in_order_as_often_as_one_likes),
        cmocka_unit_test(a_slot_full_of_functions_counts_once),
        cmocka_unit_test(vdev_has_two_function_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
