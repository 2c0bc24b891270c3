/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/policy.h"
#include "base/bytes.h"

static struct pb_sbdf address(const char *text)
{
    struct pb_sbdf sbdf = { 0 };

    assert_true(pb_sbdf_parse(text, &sbdf));
    return sbdf;
}

static void defaults_lie_within_their_bounds(void **state)
{
    struct pb_policy policy;

    (void)state;
    pb_policy_init(&policy);
#define X(name, fallback, min, max, help)              \
    assert_in_range(policy.limits.name, (min), (max)); \
    assert_int_equal(policy.limits.name, (fallback));  \
    assert_true(strlen(help) > 0);
    PB_LIMITS(X)
#undef X
    assert_int_equal(policy.busy_poll_us, PB_BUSY_POLL_US);
    assert_int_equal(policy.device_count, 0);
    assert_int_equal(policy.slot_count, 0);
    pb_policy_free(&policy);
    pb_policy_free(&policy); /* free twice is free once */
}

static void device_entry_is_found_by_its_whole_address(void **state)
{
    struct pb_policy policy;

    (void)state;
    pb_policy_init(&policy);
    policy.devices = calloc(2, sizeof(*policy.devices));
    assert_non_null(policy.devices);
    policy.device_count = 2;
    policy.devices[0] = pb_policy_device_default(address("0000:03:00.0"));
    policy.devices[1] = pb_policy_device_default(address("0001:03:00.0"));

    assert_ptr_equal(pb_policy_device(&policy, address("3:0.0")), &policy.devices[0]);
    assert_ptr_equal(pb_policy_device(&policy, address("1:3:0.0")), &policy.devices[1]);
    assert_null(pb_policy_device(&policy, address("3:0.1")));
    assert_null(pb_policy_device(&policy, address("4:0.0")));
    pb_policy_free(&policy);
}

static void default_device_is_strict(void **state)
{
    struct pb_device_policy entry = pb_policy_device_default(address("0002:03:00.1"));

    (void)state;
    assert_string_equal(entry.name, "");
    assert_string_equal(entry.driver, "pci-stub");
    assert_string_equal(entry.reset_method, "");
    assert_false(entry.permissive);
    assert_false(entry.allow_interrupt_control);
    assert_false(entry.has_vendor || entry.has_device);
    assert_int_equal(entry.assign, PB_ASSIGN_ALLOW);
    assert_int_equal(entry.reset, PB_RESET_BEST_EFFORT);
    assert_true(pb_sbdf_equal(entry.sbdf, address("2:3:0.1")));
}

static void copy_shares_nothing(void **state)
{
    struct pb_policy policy, *copy;

    (void)state;
    pb_policy_init(&policy);
    copy = pb_policy_copy(&policy);
    assert_non_null(copy);
    assert_int_equal(copy->device_count + copy->slot_count, 0);
    pb_policy_free(copy);
    free(copy);
    policy.devices = calloc(1, sizeof(*policy.devices));
    policy.slots = calloc(2, sizeof(*policy.slots));
    policy.devices[0] = pb_policy_device_default(address("3:0.0"));
    policy.device_count = 1;
    policy.slots[1].slot.bus = 7;
    policy.slot_count = 2;
    policy.limits.guests = 5;
    copy = pb_policy_copy(&policy);
    pb_policy_free(&policy);
    assert_non_null(pb_policy_device(copy, address("3:0.0")));
    assert_int_equal(copy->slot_count, 2);
    assert_int_equal(copy->slots[1].slot.bus, 7);
    assert_int_equal(copy->limits.guests, 5);
    pb_policy_free(copy);
    free(copy);
}

static void names_are_not_mistaken_for_other_things(void **state)
{
    static const char *const good[] = { "nic0", "a", "0nic", "12a", "wlan-5.ghz", "3:0", "10.0" };
    static const struct {
        const char *name, *why;
    } bad[] = {
        { "", "empty" },
        { "0", "domain id" },
        { "12345", "domain id" },
        { "3:0.0", "an address" },
        { "0000:03:00.0", "an address" },
        { "a b", "blanks" },
        { "a\tb", "blanks" },
        { "n\xc3\xa4me", "ASCII" },
        { "a\x7f", "ASCII" },
    };
    char long_name[PB_NAME_MAX + 2];
    const char *why;

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(good); i++) {
        if (!pb_name_check(good[i], &why))
            fail_msg("%s: %s", good[i], why);
    }
    for (size_t i = 0; i < PB_ARRAY_SIZE(bad); i++) {
        if (pb_name_check(bad[i].name, &why))
            fail_msg("\"%s\" was taken", bad[i].name);
        assert_non_null(strstr(why, bad[i].why));
    }
    memset(long_name, 'n', sizeof(long_name));
    long_name[PB_NAME_MAX + 1] = '\0';
    assert_false(pb_name_check(long_name, &why));
    assert_non_null(strstr(why, "64"));
    long_name[PB_NAME_MAX] = '\0';
    assert_true(pb_name_check(long_name, &why));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_lie_within_their_bounds),
        cmocka_unit_test(device_entry_is_found_by_its_whole_address),
        cmocka_unit_test(default_device_is_strict),
        cmocka_unit_test(copy_shares_nothing),
        cmocka_unit_test(names_are_not_mistaken_for_other_things),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
