/* SPDX-License-Identifier: MIT */
/* The shipped plugins that take part in resets, on devices in memory. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/log.h"
#include "machine.h"

#define CC   0x14
#define CSTS 0x1c

static struct pb_reset_hooks *hooks;
static char why[200];

static int setup(void **state)
{
    (void)state;
    machine_init();
    hooks = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pb_reset_hooks_close(hooks);
    return 0;
}

static int reset_by(const char *name)
{
    struct pb_reset_plugin plugin = { .params = "{}" };
    int rc;

    (void)snprintf(plugin.path, sizeof(plugin.path), PB_PLUGIN_DIR "/%s.so", name);
    assert_int_equal(pb_reset_hooks_open(&plugin, 1, true, &machine.facts, &machine_io, &hooks, why,
                                         sizeof(why)),
                     0);
    rc = pb_reset_hooks_before(hooks, why, sizeof(why));
    assert_int_equal(pb_reset_hooks_after(hooks, 0, why, sizeof(why)), 0);
    return rc;
}

/* --- nvme-quiesce --- */

static unsigned disable_ms; /* how long the controller takes */

static void nvme_tick(void)
{
    assert_true(pb_le16(machine.config + 4) & 2); /* its registers are there */
    if (!(machine.bar[CC] & 1) && disable_ms > 0 && --disable_ms == 0)
        machine.bar[CSTS] = 0;
}

static void an_nvme(unsigned ms, uint8_t timeout)
{
    disable_ms = ms;
    machine.tick = nvme_tick;
    machine.bar[3] = timeout; /* CAP.TO */
    pb_le_put(machine.bar + CC, 4, 0x00464001);
    machine.bar[CSTS] = 1;
}

static void nvme_is_disabled_before_its_reset(void **state)
{
    (void)state;
    an_nvme(300, 1);
    assert_int_equal(reset_by("nvme-quiesce"), 0); /* the kernel resets it */
    assert_int_equal(pb_le32(machine.bar + CC), 0x00460000);
    assert_int_equal(machine.bar[CSTS], 0);
    assert_in_range(machine.slept_ms, 300, 310);
    assert_int_equal(pb_le16(machine.config + 4), 0x0400);
}

static void nvme_that_is_disabled_is_not_written(void **state)
{
    (void)state;
    an_nvme(0, 1);
    pb_le_put(machine.bar + CC, 4, 0x00460000);
    machine.bar[CSTS] = 0;
    assert_int_equal(reset_by("nvme-quiesce"), 0);
    assert_int_equal(machine.slept_ms, 0);
    assert_int_equal(pb_le32(machine.bar + CC), 0x00460000);
    /* Being disabled by its guest just now: that is waited for. */
    an_nvme(50, 1);
    pb_le_put(machine.bar + CC, 4, 0x00460000);
    pb_reset_hooks_close(hooks);
    assert_int_equal(reset_by("nvme-quiesce"), 0);
    assert_in_range(machine.slept_ms, 50, 60);
}

static void nvme_that_stays_ready_is_waited_for_as_it_says_and_reset_so(void **state)
{
    (void)state;
    an_nvme(1000000, 5);
    assert_int_equal(reset_by("nvme-quiesce"), 0);
    assert_int_equal(machine.slept_ms, 3000);
}

static void nvme_that_is_gone_is_left_to_the_reset(void **state)
{
    (void)state;
    memset(machine.bar, 0xff, sizeof(machine.bar));
    assert_int_equal(reset_by("nvme-quiesce"), 0);
    assert_int_equal(machine.slept_ms, 0);
    /* It goes while it is waited for. */
    machine_init();
    an_nvme(0, 1);
    pb_le_put(machine.bar + CSTS, 4, UINT32_MAX);
    pb_reset_hooks_close(hooks);
    assert_int_equal(reset_by("nvme-quiesce"), 0);
    assert_int_equal(machine.slept_ms, 0);
    /* It has lost its address. */
    machine_init();
    pb_le_put(machine.config + 0x14, 4, 0);
    pb_reset_hooks_close(hooks);
    assert_int_equal(reset_by("nvme-quiesce"), 0);
    assert_int_equal(machine.command_writes, 0);
}

static void nvme_whose_registers_fail_is_not_reset(void **state)
{
    (void)state;
    machine.no_map = true;
    assert_int_equal(reset_by("nvme-quiesce"), -EACCES);
}

static void what_is_no_nvme_is_not_touched(void **state)
{
    (void)state;
    an_nvme(0, 1);
    machine.facts.class_code = 0x010601;
    assert_int_equal(reset_by("nvme-quiesce"), 0);
    assert_int_equal(machine.maps, 0);
    assert_int_equal(machine.command_writes, 0);
}

/* --- i219-flr --- */

static unsigned pending_ms, flrs, dead_ms;
static uint64_t flr_at_ms;

static void i219_tick(void)
{
    if (pending_ms > 0 && --pending_ms == 0)
        machine.config[0xe5] = 0;
    if (flrs > 0 && dead_ms > 0 && --dead_ms == 0)
        memcpy(machine.config, machine.facts.config, 64);
}

static void i219_written(unsigned offset, unsigned size, uint32_t value)
{
    assert_int_equal(offset, 0xe4);
    assert_int_equal(size, 1);
    assert_int_equal(value, 1);
    machine.config[0xe4] = 0; /* reads 0 */
    flrs++;
    flr_at_ms = machine.slept_ms;
    memset(machine.config, 0xff, 64);
}

static void an_i219(unsigned pending, unsigned dead)
{
    static const uint8_t af[] = { 0x13, 0x00, 0x06, 0x03, 0x00, 0x00 };

    pending_ms = pending;
    dead_ms = dead;
    flrs = 0;
    machine.facts.vendor = 0x8086;
    machine.facts.device = 0x550a;
    memcpy(machine.facts.config + 0xe0, af, sizeof(af));
    memcpy(machine.config, machine.facts.config, sizeof(machine.config));
    machine.config[0xe5] = pending ? 1 : 0;
    machine.tick = i219_tick;
    machine.written = i219_written;
}

static void i219_is_reset_by_its_own_flr(void **state)
{
    (void)state;
    an_i219(0, 60);
    assert_int_equal(reset_by("i219-flr"), PCIBACKD_RESET_DONE);
    assert_int_equal(flrs, 1);
    assert_int_equal(flr_at_ms, 0);
    assert_int_equal(machine.slept_ms, 100);
}

static void i219_waits_for_its_transactions_but_not_for_ever(void **state)
{
    (void)state;
    an_i219(500, 60);
    assert_int_equal(reset_by("i219-flr"), PCIBACKD_RESET_DONE);
    assert_in_range(flr_at_ms, 500, 510);
    machine_init();
    an_i219(100000, 60);
    pb_reset_hooks_close(hooks);
    assert_int_equal(reset_by("i219-flr"), PCIBACKD_RESET_DONE);
    assert_int_equal(flr_at_ms, 1000);
    assert_int_equal(flrs, 1);
}

static void i219_that_comes_back_late_or_never(void **state)
{
    (void)state;
    an_i219(0, 700);
    assert_int_equal(reset_by("i219-flr"), PCIBACKD_RESET_DONE);
    assert_in_range(machine.slept_ms, 700, 710);
    machine_init();
    an_i219(0, 100000);
    pb_reset_hooks_close(hooks);
    assert_int_equal(reset_by("i219-flr"), -ENODEV);
    assert_int_equal(machine.slept_ms, 1100);
}

static void i219_without_the_capability_is_the_kernels(void **state)
{
    (void)state;
    an_i219(0, 60);
    machine.facts.config[0xe0] = 0; /* at claim; what the device says now does not count */
    assert_int_equal(reset_by("i219-flr"), 0);
    machine.facts.config[0xe0] = 0x13;
    machine.facts.config[0xe3] = 0x01; /* no FLR */
    pb_reset_hooks_close(hooks);
    assert_int_equal(reset_by("i219-flr"), 0);
    assert_int_equal(flrs, 0);
}

static void i219_whose_registers_fail_is_not_reset(void **state)
{
    (void)state;
    an_i219(0, 60);
    machine.fail = -EIO;
    assert_int_equal(reset_by("i219-flr"), -EIO);
    assert_non_null(strstr(why, "i219-flr"));
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        RULE(nvme_is_disabled_before_its_reset),
        RULE(nvme_that_is_disabled_is_not_written),
        RULE(nvme_that_stays_ready_is_waited_for_as_it_says_and_reset_so),
        RULE(nvme_that_is_gone_is_left_to_the_reset),
        RULE(nvme_whose_registers_fail_is_not_reset),
        RULE(what_is_no_nvme_is_not_touched),
        RULE(i219_is_reset_by_its_own_flr),
        RULE(i219_waits_for_its_transactions_but_not_for_ever),
        RULE(i219_that_comes_back_late_or_never),
        RULE(i219_without_the_capability_is_the_kernels),
        RULE(i219_whose_registers_fail_is_not_reset),
    };

    pb_log_setup(PB_LOG_TEXT, PB_LOG_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
