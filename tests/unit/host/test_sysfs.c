/* SPDX-License-Identifier: MIT */
/* Attributes: read right, or an error. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "host/sysfs.h"
#include "kernel.h"

static struct pb_sysfs fs;
static struct pb_facts facts;

static int setup(void **state)
{
    int rc = kernel_setup(state);

    pb_sysfs_init(&fs, kernel_sysfs, kernel_nic);
    return rc;
}

static void every_fact_is_read(void **state)
{
    (void)state;
    kernel_set(kernel_nic, "irq", "21\n");
    assert_int_equal(pb_sysfs_facts(&fs, &facts), 0);
    assert_true(pb_sbdf_equal(facts.sbdf, kernel_nic));
    assert_int_equal(facts.vendor, 0x8086);
    assert_int_equal(facts.device, 0x10d3);
    assert_int_equal(facts.subsystem_vendor, 0x1af4);
    assert_int_equal(facts.subsystem_device, 0x1100);
    assert_int_equal(facts.class_code, 0x020000);
    assert_int_equal(facts.revision, 3);
    assert_int_equal(facts.irq, 21);
    assert_false(facts.virtual_function);
    assert_string_equal(facts.reset_methods, "flr bus");
    assert_int_equal(facts.resource[0].start, 0xfebc0000);
    assert_int_equal(facts.resource[0].end, 0xfebdffff);
    assert_int_equal(facts.resource[0].flags, 0x40200);
    assert_int_equal(facts.resource[2].flags, 0x40101);
    assert_int_equal(facts.resource[4].end, 0);
    assert_int_equal(facts.resource[PB_PCI_ROM].start, 0xfeb80000);
    assert_int_equal(facts.config_size, PB_CONFIG_SIZE_PCIE);
    assert_int_equal(pb_le32(facts.config), 0x10d38086);
    assert_int_equal(facts.config[0x40], 0x40);
    assert_int_equal(facts.config[0xfff], 0xf0);
}

static void a_conventional_device_has_256_bytes(void **state)
{
    (void)state;
    kernel_add_device(kernel_nic, PB_CONFIG_SIZE_PCI);
    assert_int_equal(pb_sysfs_facts(&fs, &facts), 0);
    assert_int_equal(facts.config_size, PB_CONFIG_SIZE_PCI);
    assert_int_equal(facts.config[0xff], 0xff);
}

static void H19_64_bytes_of_config_are_refused(void **state)
{
    (void)state;
    kernel_add_device(kernel_nic, 64);
    assert_int_equal(pb_sysfs_facts(&fs, &facts), -EPERM);
    kernel_add_device(kernel_nic, 0);
    assert_int_equal(pb_sysfs_image(&fs, &facts), -EPERM);
}

static void an_absent_device_is_ENODEV(void **state)
{
    (void)state;
    kernel_remove_device(kernel_nic);
    assert_false(pb_sysfs_present(&fs));
    assert_int_equal(pb_sysfs_facts(&fs, &facts), -ENODEV);
}

static void a_virtual_function_is_known_by_its_physfn(void **state)
{
    (void)state;
    assert_int_equal(symlink("../0000:02:00.0", kernel_path(kernel_nic, "physfn")), 0);
    assert_int_equal(pb_sysfs_facts(&fs, &facts), 0);
    assert_true(facts.virtual_function);
}

static void a_device_without_reset_has_no_methods(void **state)
{
    (void)state;
    kernel_unset(kernel_nic, "reset_method");
    assert_int_equal(pb_sysfs_facts(&fs, &facts), 0);
    assert_string_equal(facts.reset_methods, "");
}

#define SLOT     0x0102 /* PCI Express version 2, a slot is implemented */
#define HOT_PLUG 0x40
#define SURPRISE 0x20

static void H1_a_slot_that_is_hot_plug_capable_is_found(void **state)
{
    char port[PB_SBDF_TEXT];

    (void)state;
    assert_false(pb_sysfs_pluggable(&fs, port));
    kernel_add_port(SLOT, HOT_PLUG | SURPRISE);
    assert_true(pb_sysfs_pluggable(&fs, port));
    assert_string_equal(port, "0000:00:1c.0");
}

static void H1_a_fixed_slot_is_no_such_port(void **state)
{
    char port[PB_SBDF_TEXT];

    (void)state;
    kernel_add_port(SLOT, 0);
    assert_false(pb_sysfs_pluggable(&fs, port));
}

static void H1_slot_capabilities_without_a_slot_mean_nothing(void **state)
{
    char port[PB_SBDF_TEXT];

    (void)state;
    kernel_add_port(0x0002, HOT_PLUG);
    assert_false(pb_sysfs_pluggable(&fs, port));
}

static void malformed_numbers_are_an_error(void **state)
{
    static const struct {
        const char *attribute, *good, *too_big;
    } numbers[] = {
        { "vendor", "0x8086\n", "0x18086\n" },
        { "device", "0x10d3\n", "0x110d3\n" },
        { "subsystem_vendor", "0x1af4\n", "0x10000\n" },
        { "subsystem_device", "0x1100\n", "0xffffffff\n" },
        { "class", "0x020000\n", "0x1020000\n" },
        { "revision", "0x03\n", "0x103\n" },
        { "irq", "10\n", "4294967296\n" },
    };
    static const char *const bad[] = {
        "", "\n", "x\n", "0x\n", "12 monkeys\n", "-1\n", "99999999999999999999999\n",
    };

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(numbers); i++) {
        for (unsigned j = 0; j < PB_ARRAY_SIZE(bad); j++) {
            kernel_set(kernel_nic, numbers[i].attribute, bad[j]);
            assert_int_equal(pb_sysfs_facts(&fs, &facts), -EPROTO);
        }
        kernel_set(kernel_nic, numbers[i].attribute, numbers[i].too_big);
        assert_int_equal(pb_sysfs_facts(&fs, &facts), -EPROTO);
        kernel_unset(kernel_nic, numbers[i].attribute);
        assert_int_equal(pb_sysfs_facts(&fs, &facts), -ENOENT);
        kernel_set(kernel_nic, numbers[i].attribute, numbers[i].good);
        assert_int_equal(pb_sysfs_facts(&fs, &facts), 0);
    }
}

static void malformed_resources_are_an_error(void **state)
{
#define LINE "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
    static const char *const bad[] = {
        "",
        "\n",
        "what\n",
        LINE LINE LINE LINE LINE,
        LINE LINE LINE LINE LINE "0x0 0x0\n",
        LINE LINE "0x0 0xg 0x0\n" LINE LINE LINE LINE,
    };

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(bad); i++) {
        kernel_set(kernel_nic, "resource", bad[i]);
        assert_int_equal(pb_sysfs_facts(&fs, &facts), -EPROTO);
    }
    kernel_set(kernel_nic, "resource",
               LINE LINE LINE LINE LINE LINE); /* no ROM line: old kernels */
    assert_int_equal(pb_sysfs_facts(&fs, &facts), 0);
}

static void the_bound_driver_is_the_last_part_of_the_link(void **state)
{
    char driver[PB_DRIVER_NAME];

    (void)state;
    pb_sysfs_driver(&fs, driver);
    assert_string_equal(driver, "e1000e");
    kernel_unset(kernel_nic, "driver");
    pb_sysfs_driver(&fs, driver);
    assert_string_equal(driver, "");
    assert_int_equal(symlink("plain", kernel_path(kernel_nic, "driver")), 0);
    pb_sysfs_driver(&fs, driver);
    assert_string_equal(driver, "plain");
    kernel_unset(kernel_nic, "driver");
    assert_int_equal(
        symlink("../a-name-that-no-driver-of-linux-has-or-had", kernel_path(kernel_nic, "driver")),
        0);
    pb_sysfs_driver(&fs, driver);
    assert_string_equal(driver, "?"); /* bound, to nothing that can be wanted */
}

static void values_are_read_without_their_newline_and_cut(void **state)
{
    char text[8];

    (void)state;
    assert_int_equal(pb_sysfs_read(&fs, "power/control", text, sizeof(text)), 0);
    assert_string_equal(text, "auto");
    assert_int_equal(pb_sysfs_read(&fs, "driver_override", text, 4), 0);
    assert_string_equal(text, "(nu");
    assert_int_equal(pb_sysfs_read(&fs, "none", text, sizeof(text)), -ENOENT);
    assert_int_equal(pb_sysfs_read(&fs, "power", text, sizeof(text)), -EISDIR);
}

static void a_refused_write_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(pb_sysfs_write(&fs, "enable", "1"), -EBUSY);
    assert_int_equal(pb_sysfs_write(&fs, "none", "1"), -ENOENT);
    assert_int_equal(pb_sysfs_write_bus(&fs, "drivers/pci-stub/unbind", fs.address), -ENODEV);
    assert_int_equal(pb_sysfs_write_bus(&fs, "drivers/e1000e/unbind", fs.address), 0);
    assert_int_equal(pb_sysfs_write(&fs, "enable", "1"), 0);
    assert_string_equal(kernel_get(kernel_nic, "irq"), "21");
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, kernel_teardown)
    const struct CMUnitTest tests[] = {
        RULE(every_fact_is_read),
        RULE(a_conventional_device_has_256_bytes),
        RULE(H19_64_bytes_of_config_are_refused),
        RULE(an_absent_device_is_ENODEV),
        RULE(a_virtual_function_is_known_by_its_physfn),
        RULE(a_device_without_reset_has_no_methods),
        RULE(H1_a_slot_that_is_hot_plug_capable_is_found),
        RULE(H1_a_fixed_slot_is_no_such_port),
        RULE(H1_slot_capabilities_without_a_slot_mean_nothing),
        RULE(malformed_numbers_are_an_error),
        RULE(malformed_resources_are_an_error),
        RULE(the_bound_driver_is_the_last_part_of_the_link),
        RULE(values_are_read_without_their_newline_and_cut),
        RULE(a_refused_write_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
