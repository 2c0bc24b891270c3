/* SPDX-License-Identifier: MIT */
/* The shipped plugins that take part in accesses. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/log.h"
#include "quirk/hooks.h"

static struct pb_profile profile;
static struct pb_binding binding;
static struct pb_hooks *hooks;
static char why[400];

static int setup(void **state)
{
    (void)state;
    memset(&profile, 0, sizeof(profile));
    memset(&binding, 0, sizeof(binding));
    profile.refs = 1000;
    profile.facts.config_size = PB_CONFIG_SIZE_PCI;
    profile.facts.config[6] = 0x10;
    profile.facts.config[0x34] = 0x40;
    hooks = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pb_hooks_free(hooks);
    assert_int_equal(profile.refs, 1000);
    if (binding.plugin)
        pb_plugin_unref(binding.plugin);
    return 0;
}

static int attach(const char *name, const char *params)
{
    const char *const dirs[] = { PB_PLUGIN_DIR };

    if (!binding.plugin)
        assert_int_equal(pb_plugin_open(dirs, 1, true, name, &binding.plugin, why, sizeof(why)), 0);
    binding.quirk = "some-quirk";
    binding.params = params;
    profile.binding[0] = &binding;
    profile.binding_count = 1;
    pb_hooks_free(hooks);
    hooks = NULL;
    return pb_hooks_new(&profile, &hooks, why, sizeof(why));
}

static uint32_t handled, denied;

static uint32_t write_it(unsigned offset, unsigned size, uint32_t value)
{
    pb_hooks_write(hooks, offset, size, &value, &handled, &denied);
    return value;
}

static uint32_t read_it(unsigned offset, unsigned size, uint32_t raw, uint32_t value)
{
    pb_hooks_read(hooks, offset, size, raw, &value);
    return value;
}

/* --- igd-view --- */

static int an_igd(const char *params)
{
    pb_le_put(profile.facts.config + 0x50, 2, 0x0211);
    pb_le_put(profile.facts.config + 0x5c, 4, 0x7c800001);
    pb_le_put(profile.facts.config + 0xfc, 4, 0x7b9ef018);
    memset(binding.mask + 0x50, 0xff, 2);
    memset(binding.mask + 0x5c, 0xff, 4);
    memset(binding.mask + 0xfc, 0xff, 4);
    return attach("igd-view", params);
}

static void igd_opregion_is_a_copy_of_the_guests_own(void **state)
{
    (void)state;
    assert_int_equal(an_igd("{}"), 0);
    assert_int_equal(read_it(0xfc, 4, 0, 0x7b9ef018), 0);
    (void)write_it(0xfc, 4, 0x12345678);
    assert_int_equal(handled, UINT32_MAX);
    assert_int_equal(denied, 0);
    assert_int_equal(read_it(0xfc, 4, 0, 0x7b9ef018), 0x12345678);
    assert_int_equal(read_it(0xfe, 2, 0, 0x7b9e), 0x1234);
    (void)write_it(0xfd, 1, 0xab);
    assert_int_equal(handled, 0xff);
    (void)write_it(0xfe, 2, 0xcdef);
    assert_int_equal(read_it(0xfc, 4, 0, 0), 0xcdefab78);
    assert_int_equal(read_it(0xfd, 1, 0, 0), 0xab);
    /* Nothing of it is left for the next one. */
    assert_int_equal(an_igd("{}"), 0);
    assert_int_equal(read_it(0xfc, 4, 0, 0x7b9ef018), 0);
}

static void igd_stolen_memory_is_hidden_and_its_size_fixed(void **state)
{
    (void)state;
    assert_int_equal(an_igd("{}"), 0);
    assert_int_equal(read_it(0x5c, 4, 0, 0x7c800001), 0);
    assert_int_equal(read_it(0x5e, 2, 0, 0x7c80), 0);
    assert_int_equal(read_it(0x50, 2, 0, 0xffff), 0x0211);
    assert_int_equal(read_it(0x51, 1, 0, 0xff), 0x02);
    assert_int_equal(read_it(0x50, 4, 0, 0xabcdffff), 0xabcd0211);
    (void)write_it(0x50, 2, 0x1234);
    assert_int_equal(denied, 0xffff);
    (void)write_it(0x5d, 1, 0x12);
    assert_int_equal(denied, 0xff);
    assert_int_equal(handled, 0);
    assert_int_equal(read_it(0x50, 2, 0, 0xffff), 0x0211);
}

static void igd_shows_only_what_its_manifest_lists(void **state)
{
    (void)state;
    assert_int_equal(an_igd("{}"), 0);
    memset(binding.mask, 0, sizeof(binding.mask));
    pb_le_put(binding.mask + 0xfc, 4, 0x00fff000);
    pb_le_put(binding.mask + 0x40, 4, UINT32_MAX); /* nothing of its own */
    assert_int_equal(attach("igd-view", "{}"), 0);
    (void)write_it(0xfc, 4, UINT32_MAX);
    assert_int_equal(handled, 0x00fff000);
    assert_int_equal(read_it(0xfc, 4, 0, 0x11000022), 0x11fff022);
    assert_int_equal(write_it(0x40, 4, 0x55), 0x55);
    assert_int_equal(handled | denied, 0);
    assert_int_equal(read_it(0x40, 4, 0, 0x55), 0x55);
}

static void igd_takes_another_size_as_a_parameter(void **state)
{
    (void)state;
    assert_int_equal(an_igd("{\"gmch\":\"0x0111\"}"), 0);
    assert_int_equal(read_it(0x50, 2, 0, 0xffff), 0x0111);
    assert_int_equal(an_igd("{\"gmch\":17}"), 0);
    assert_int_equal(read_it(0x50, 2, 0, 0xffff), 17);
    assert_int_equal(an_igd("{\"gmch\":\"0x10000\"}"), -EINVAL);
    assert_int_equal(an_igd("{\"gmch\":\"much\"}"), -EINVAL);
    assert_int_equal(an_igd("{\"gmch\":-1}"), -EINVAL);
    assert_int_equal(an_igd("{\"gmch\":\"\"}"), -EINVAL);
}

/* --- msi-real-readback --- */

static void put_msi(unsigned at, uint16_t control)
{
    profile.facts.config[0x40] = 0x01;
    profile.facts.config[0x41] = (uint8_t)at;
    pb_le_put(profile.facts.config + at, 4, 0x05 | (uint32_t)control << 16);
    memset(binding.mask + at, 0xff, 24);
}

static void msi_address_and_data_are_the_hardwares(void **state)
{
    (void)state;
    put_msi(0x50, 0x0080);
    assert_int_equal(attach("msi-real-readback", "{}"), 0);
    assert_int_equal(read_it(0x54, 4, 0xfee00458, 0), 0xfee00458);
    assert_int_equal(read_it(0x58, 4, 0x00000001, 0), 0x00000001);
    assert_int_equal(read_it(0x5c, 2, 0x4041, 0), 0x4041);
    assert_int_equal(read_it(0x55, 1, 0x04, 0), 0x04);
    /* Neither control nor what is behind the data. */
    assert_int_equal(read_it(0x50, 4, 0x00810005, 0x00800005), 0x00800005);
    assert_int_equal(read_it(0x5c, 4, 0x7777ffff, 0x11110000), 0x1111ffff);
    assert_int_equal(read_it(0x60, 4, UINT32_MAX, 0), 0);
    /* Writes are what they were. */
    assert_int_equal(write_it(0x54, 4, 0x1234), 0x1234);
    assert_int_equal(handled | denied, 0);
}

static void msi_of_32_bits_is_shorter(void **state)
{
    (void)state;
    put_msi(0x60, 0);
    assert_int_equal(attach("msi-real-readback", "{}"), 0);
    assert_int_equal(read_it(0x64, 4, 0xfee00458, 0), 0xfee00458);
    assert_int_equal(read_it(0x68, 4, 0xaaaa4041, 0), 0x4041);
    assert_int_equal(read_it(0x6c, 4, 0xaaaa4041, 0), 0);
}

static void msi_that_is_not_there_refuses_the_guest(void **state)
{
    (void)state;
    assert_int_equal(attach("msi-real-readback", "{}"), -ENODEV);
    profile.facts.config[0x41] = 0x40; /* a list without end */
    assert_int_equal(attach("msi-real-readback", "{}"), -ENODEV);
    put_msi(0x50, 0);
    profile.facts.config[6] = 0; /* no list at all */
    assert_int_equal(attach("msi-real-readback", "{}"), -ENODEV);
}

/* --- trace --- */

static unsigned entries;
static struct pb_trace_entry entry[4];

static void keep(void *ctx, const struct pb_trace_entry *e)
{
    (void)ctx;
    assert_true(entries < PB_ARRAY_SIZE(entry));
    entry[entries++] = *e;
}

static uint64_t numbers[2];

static void keep_number(void *ctx, const char *name, uint64_t value)
{
    (void)ctx;
    numbers[strcmp(name, "trace.reads") == 0 ? 0 : 1] = value;
}

static void trace_records_and_changes_nothing(void **state)
{
    uint64_t lost;

    (void)state;
    memset(binding.mask + 0x04, 0xff, 2);
    assert_int_equal(attach("trace", "{}"), 0);
    assert_true(pb_hooks_traces(hooks));
    assert_int_equal(write_it(0x04, 2, 0x0507), 0x0507);
    assert_int_equal(handled | denied, 0);
    assert_int_equal(read_it(0x04, 4, 0, 0x02100507), 0x02100507);
    (void)read_it(0x08, 4, 0, 1);
    entries = 0;
    pb_hooks_trace(hooks, 0, keep, NULL, &lost);
    assert_int_equal(lost, 0);
    assert_int_equal(entries, 2);
    assert_int_equal(entry[0].write, 1);
    assert_int_equal(entry[0].offset, 4);
    assert_int_equal(entry[0].size, 2);
    assert_int_equal(entry[0].value, 0x0507);
    assert_int_equal(entry[1].write, 0);
    assert_int_equal(entry[1].size, 4);
    assert_int_equal(entry[1].mask, 0xffff);
    assert_int_equal(entry[1].value, 0x0507);
    pb_hooks_stats(hooks, keep_number, NULL);
    assert_int_equal(numbers[0], 1);
    assert_int_equal(numbers[1], 1);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        RULE(igd_opregion_is_a_copy_of_the_guests_own),
        RULE(igd_stolen_memory_is_hidden_and_its_size_fixed),
        RULE(igd_shows_only_what_its_manifest_lists),
        RULE(igd_takes_another_size_as_a_parameter),
        RULE(msi_address_and_data_are_the_hardwares),
        RULE(msi_of_32_bits_is_shorter),
        RULE(msi_that_is_not_there_refuses_the_guest),
        RULE(trace_records_and_changes_nothing),
    };

    pb_log_setup(PB_LOG_TEXT, PB_LOG_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
