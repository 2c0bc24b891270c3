/* SPDX-License-Identifier: MIT */
/* What an access to hardware costs: one system call of the device's file, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "count.h"
#include "world.h"

static void check(void)
{
    assert_int_equal(counted.cycles, 1);
    assert_int_equal(counted.transfers, 0);
    assert_int_equal(counted.clocks, 0);
    assert_int_equal(counted.memory, 0);
    assert_int_equal(counted.locks, 0);
    assert_int_equal(counted.lines, 0);
}

static void an_access_is_one_system_call(void **state)
{
    struct pb_hw *hw = world_claim();
    struct world_cycle c;

    (void)state;
    for (uint8_t size = 1; size <= 4; size *= 2) {
        memset(&c, 0, sizeof(c));
        count_reset();
        assert_int_equal(world_read(&c, hw, 0x40, size), PB_HW_NOW);
        check();
        assert_int_equal(c.cycle.rc, 0);
        count_reset();
        assert_int_equal(world_write(&c, hw, 0x40, size, c.cycle.value), PB_HW_NOW);
        check();
        assert_int_equal(c.cycle.rc, 0);
    }
    world_host->ops->hw_close(world_host, hw);
}

/* Nor does one that fails cost more: it is the guest's to ask for. */
static void one_that_fails_is_one_too(void **state)
{
    struct pb_hw *hw = world_claim();
    struct world_cycle c;

    (void)state;
    count_reset();
    assert_int_equal(world_read(&c, hw, 4096, 4), PB_HW_NOW);
    check();
    assert_int_not_equal(c.cycle.rc, 0);
    world_host->ops->hw_close(world_host, hw);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        RULE(an_access_is_one_system_call),
        RULE(one_that_fails_is_one_too),
    };
    int status;

    if (kernel_is_helper(argc, argv, &status))
        return status;
    count_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
