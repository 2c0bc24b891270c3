/* SPDX-License-Identifier: MIT */
/* The rules of udev that a configuration becomes. That udev understands them is shown in the lab.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "daemon/boot_rules.h"

static char *rules(const struct pb_policy *policy)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    assert_int_equal(pb_boot_rules_print(policy, out), 0);
    assert_int_equal(fclose(out), 0);
    return text;
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;

    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what))
        n++;
    return n;
}

static struct pb_policy_slot slot(const char *text)
{
    struct pb_policy_slot ret = { .saved = false };

    assert_true(pb_slot_parse(text, &ret.slot));
    return ret;
}

static struct pb_device_policy device(const char *address)
{
    struct pb_sbdf sbdf;

    assert_true(pb_sbdf_parse(address, &sbdf));
    return pb_policy_device_default(sbdf);
}

/* One device by all the keys that a rule has, in its own event and in another device's. */
static void test_one_slot(void **state)
{
    struct pb_policy_slot slots[] = { slot("0000:00:05.0") };
    struct pb_policy policy = { .slots = slots, .slot_count = 1 };
    char *text = rules(&policy);

    (void)state;
    assert_non_null(
        strstr(text, "\nKERNEL==\"0000:00:05.0\", ACTION==\"add\", "
                     "TEST!=\"/run/pcibackd-boot/0000:00:05.0\", TEST!=\"driver\", "
                     "ATTR{driver_override}=\"pci-stub\", RUN+=\"/bin/sh -c "
                     "'mkdir -p /run/pcibackd-boot; : >/run/pcibackd-boot/0000:00:05.0'\"\n"));
    assert_non_null(
        strstr(text, "\nKERNEL!=\"0000:00:05.0\", ACTION==\"add\", "
                     "TEST==\"/sys/bus/pci/devices/0000:00:05.0\", "
                     "TEST!=\"/run/pcibackd-boot/0000:00:05.0\", "
                     "TEST!=\"/sys/bus/pci/devices/0000:00:05.0/driver\", "
                     "ATTR{[pci/0000:00:05.0]driver_override}=\"pci-stub\", RUN+=\"/bin/sh -c "));
    assert_non_null(strstr(text, "\nKERNEL==\"0000:00:05.0\", ACTION==\"remove\", "
                                 "RUN+=\"/bin/rm -f /run/pcibackd-boot/0000:00:05.0\"\n"));
    assert_int_equal(count(text, "driver_override"), 2);
    free(text);
}

static void test_identity_and_driver(void **state)
{
    struct pb_policy_slot slots[] = { slot("0000:00:05.0") };
    struct pb_device_policy devices[] = { device("0000:00:05.0") };
    struct pb_policy policy = {
        .slots = slots, .slot_count = 1, .devices = devices, .device_count = 1
    };
    char *text;

    (void)state;
    devices[0].has_vendor = devices[0].has_device = devices[0].has_subsystem_vendor = true;
    devices[0].vendor = 0x8086;
    devices[0].device = 0x10d3;
    devices[0].subsystem_vendor = 0x1d;
    strcpy(devices[0].driver, "none");
    text = rules(&policy);
    assert_non_null(strstr(text, ", ATTR{vendor}==\"0x8086\", ATTR{device}==\"0x10d3\", "
                                 "ATTR{subsystem_vendor}==\"0x001d\", "
                                 "ATTR{driver_override}=\"none\""));
    assert_non_null(strstr(text, ", ATTR{[pci/0000:00:05.0]vendor}==\"0x8086\", "
                                 "ATTR{[pci/0000:00:05.0]device}==\"0x10d3\", "
                                 "ATTR{[pci/0000:00:05.0]subsystem_vendor}==\"0x001d\", "
                                 "ATTR{[pci/0000:00:05.0]driver_override}=\"none\""));
    assert_null(strstr(text, "subsystem_device"));
    free(text);
}

/* Bus numbers behind a bridge are not the operator's; another device's event cannot compare it. */
static void test_way(void **state)
{
    struct pb_policy_slot slots[] = { slot("0000:02:00.0") };
    struct pb_device_policy devices[] = { device("0000:02:00.0") };
    struct pb_policy policy = {
        .slots = slots, .slot_count = 1, .devices = devices, .device_count = 1
    };
    char *text;

    (void)state;
    strcpy(devices[0].path, "0000:00:1c.0/01.0/00.0");
    text = rules(&policy);
    assert_non_null(strstr(
        text, ", DEVPATH==\"/devices/pci*/0000:00:1c.0/\?\?\?\?:\?\?:01.0/\?\?\?\?:\?\?:00.0\", "
              "ATTR{driver_override}="));
    assert_int_equal(count(text, "driver_override"), 1);
    free(text);
}

static void test_stars(void **state)
{
    static const struct {
        const char *slot;
        unsigned addresses;
    } cases[] = { { "0000:06:00.*", 8 }, { "06:1f.7", 1 } };

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(cases); i++) {
        struct pb_policy_slot slots[] = { slot(cases[i].slot) };
        struct pb_policy policy = { .slots = slots, .slot_count = 1 };
        char *text = rules(&policy);

        assert_int_equal(count(text, "ACTION==\"remove\""), cases[i].addresses);
        free(text);
    }
}

/* The host's own disk may be on that bus: it has to come up. */
static void test_a_whole_bus_is_not_kept_from_the_host(void **state)
{
    struct pb_device_policy devices[] = { device("0000:06:02.0"), device("0000:07:02.0") };
    struct pb_policy_slot slots[] = { slot("06:*.*") };
    struct pb_policy policy = {
        .slots = slots, .slot_count = 1, .devices = devices, .device_count = 2
    };
    char *text = rules(&policy);

    (void)state;
    assert_int_equal(count(text, "ACTION==\"remove\""), 1);
    assert_non_null(strstr(text, "KERNEL==\"0000:06:02.0\""));
    free(text);
}

static void test_no_address_twice(void **state)
{
    struct pb_policy_slot slots[] = { slot("00:05.*"), slot("0000:00:05.3"), slot("00:05.*") };
    struct pb_assignment assignments[] = { { .guest = "one", .device = "0000:00:05.1" } };
    struct pb_policy policy = {
        .slots = slots, .slot_count = 3, .assignments = assignments, .assignment_count = 1
    };
    char *text = rules(&policy);

    (void)state;
    assert_int_equal(count(text, "ACTION==\"remove\""), 8);
    assert_null(strstr(text, "of guest one")); /* no heading of nothing */
    free(text);
}

/* What a guest will get is kept for it, too; a device that is only described is nobody's. */
static void test_assignments(void **state)
{
    struct pb_device_policy devices[] = { device("0000:00:05.0"), device("0000:00:06.0") };
    struct pb_assignment assignments[] = { { .guest = "one", .device = "nic0" },
                                           { .guest = "one", .device = "0000:00:07.0" } };
    struct pb_policy policy = {
        .devices = devices, .device_count = 2, .assignments = assignments, .assignment_count = 2
    };
    char *text;

    (void)state;
    strcpy(devices[0].name, "nic0");
    text = rules(&policy);
    assert_int_equal(count(text, "\nKERNEL==\"0000:00:05.0\", ACTION==\"add\""), 1);
    assert_int_equal(count(text, "\nKERNEL==\"0000:00:07.0\", ACTION==\"add\""), 1);
    assert_null(strstr(text, "0000:00:06.0"));
    free(text);
}

static void test_nothing_listed(void **state)
{
    struct pb_policy policy = { .slot_count = 0 };
    char *text = rules(&policy);

    (void)state;
    assert_int_equal(count(text, "KERNEL"), 0);
    free(text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_slot),
        cmocka_unit_test(test_identity_and_driver),
        cmocka_unit_test(test_way),
        cmocka_unit_test(test_stars),
        cmocka_unit_test(test_a_whole_bus_is_not_kept_from_the_host),
        cmocka_unit_test(test_no_address_twice),
        cmocka_unit_test(test_assignments),
        cmocka_unit_test(test_nothing_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
