/* SPDX-License-Identifier: MIT */
/* Function level resets that a guest asks for: each becomes a managed one, or is denied. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "fixture.h"
#include "pci/regs.h"

#define DEVCTL (E1000E_EXP + PCI_EXP_DEVCTL)
#define AF     0x60

static int with_flr(void **state)
{
    (void)state;
    dev = pb_test_device_new(pb_test_e1000e);
    dev->map->flr = 1U << PB_RESET_BY_FLR;
    return 0;
}

static int with_af(void **state)
{
    struct pb_facts facts;

    (void)state;
    pb_test_e1000(&facts);
    pb_test_add_cap(&facts, AF, PCI_CAP_AF);
    dev = pb_test_device_of(&facts);
    dev->map->flr = 1U << PB_RESET_BY_AF_FLR;
    return 0;
}

static void an_flr_is_a_managed_reset(void **state)
{
    struct pb_access acc;

    (void)state;
    acc = pb_test_run(dev, true, DEVCTL, 2, 0x8000 | pb_test_read(dev, DEVCTL, 2));
    assert_int_equal(acc.err, 0);
    assert_int_equal(acc.denied, 0);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_RESET), 1);
    assert_int_equal(dev->hw.log[dev->hw.count - 1].step, PB_STEP_RESET);
    assert_int_equal(dev->hw.log[dev->hw.count - 1].cycle.reset, PB_RESET_BY_FLR);
    for (unsigned i = 0; i < dev->hw.count; i++)
        assert_int_equal(dev->hw.log[i].cycle.value & 0x8000, 0);
    assert_int_equal(pb_test_read(dev, DEVCTL, 2) & 0x8000, 0);
    /* from its byte alone too */
    (void)pb_test_run(dev, true, DEVCTL + 1, 1, 0x80);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_RESET), 1);
    /* 0 asks for nothing, nor does the other byte */
    (void)pb_test_run(dev, true, DEVCTL, 2, 0x7fff);
    (void)pb_test_run(dev, true, DEVCTL, 1, 0xff);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_RESET), 0);
}

static void what_else_is_written_with_an_flr_comes_before_it(void **state)
{
    const struct pb_rule after = { .offset = DEVCTL + 2, .size = 2, .write = 0xffff };
    struct pb_access acc;
    size_t bad;

    (void)state;
    assert_int_equal(pb_map_apply(dev->map, &after, 1, &bad), -EPERM); /* DEVSTA is locked */
    assert_int_equal(pb_test_read(dev, DEVCTL, 2), 0x2810);
    acc = pb_test_run(dev, true, DEVCTL, 4, 0x0000d000);
    assert_int_equal(acc.err, 0);
    assert_int_equal(acc.denied, 0);
    /* Relaxed Ordering and No Snoop in hardware, the request size in the shadow */
    assert_int_equal(pb_le16(dev->hw.config + DEVCTL), 0x2000);
    assert_int_equal(pb_test_read(dev, DEVCTL, 2), 0x5000);
    dev->hw.fail_after = 1;
    acc = pb_test_run(dev, true, DEVCTL, 2, 0xffff);
    assert_int_equal(acc.err, PB_GUEST_OP_FAILED);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_RESET), 0);
}

static void nothing_touches_the_hardware_after_the_reset_has_begun(void **state)
{
    const struct pb_rule rules[] = {
        { .offset = 0x48,
          .size = 2,
          .fixed = 0x8000,
          .write = 0x00ff,
          .effect = PB_EFFECT_EXP_CONTROL },
        { .offset = 0x4a, .size = 2, .write = 0x00ff },
    };
    size_t bad;

    (void)state;
    assert_int_equal(pb_map_apply(dev->map, rules, PB_ARRAY_SIZE(rules), &bad), 0);
    assert_int_equal(pb_test_write(dev, 0x48, 4, 0x005580aa), 0);
    assert_int_equal(dev->hw.count, 5);
    assert_int_equal(dev->hw.log[4].step, PB_STEP_RESET);
    assert_int_equal(pb_le32(dev->hw.config + 0x48), 0x005500aa);
    /* and an access that fails behind the register asks for none */
    dev->hw.fail_after = 3;
    assert_int_equal(pb_test_write(dev, 0x48, 4, 0x005580aa), PB_GUEST_OP_FAILED);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_RESET), 0);
}

static void a_refused_access_asks_for_no_reset(void **state)
{
    const struct pb_rule rules[] = {
        { .offset = 0x48,
          .size = 2,
          .fixed = 0x8000,
          .virt = 0x7fff,
          .effect = PB_EFFECT_EXP_CONTROL },
        { .offset = 0x4a, .size = 2, .write = 0x7fff, .effect = PB_EFFECT_VPD_ADDRESS },
    };
    size_t bad;

    (void)state;
    assert_int_equal(pb_map_apply(dev->map, rules, PB_ARRAY_SIZE(rules), &bad), 0);
    assert_int_equal(pb_test_write(dev, 0x48, 4, 0x80008000), PB_GUEST_ACCESS_DENIED);
    assert_int_equal(dev->hw.count, 0);
    assert_int_equal(pb_test_write(dev, 0x48, 4, 0x00008000), 0);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_RESET), 1);
}

static void an_flr_that_may_not_be_now_is_denied(void **state)
{
    struct pb_access acc;

    (void)state;
    dev->hw.reset_rc = -EBUSY;
    acc = pb_test_run(dev, true, DEVCTL, 2, 0x8000);
    assert_int_equal(acc.err, 0);
    assert_int_equal(acc.denied, 0x8000);
    acc = pb_test_run(dev, true, DEVCTL + 1, 1, 0x80);
    assert_int_equal(acc.denied, 0x80);
    acc = pb_test_run_mine(dev, DEVCTL, 2, 0x8000, 0x8000, 0x0001);
    assert_int_equal(acc.denied, 0x8001);
    assert_int_equal(pb_le16(dev->hw.config + DEVCTL), 0x2000);
    dev->hw.reset_rc = -EIO;
    acc = pb_test_run(dev, true, DEVCTL, 2, 0x8000);
    assert_int_equal(acc.err, PB_GUEST_OP_FAILED);
    assert_int_equal(acc.denied, 0);
}

static void an_flr_without_the_method_is_denied(void **state)
{
    struct pb_access acc;

    (void)state;
    for (unsigned permissive = 0; permissive < 2; permissive++) {
        dev->view.permissive = permissive;
        dev->map->flr = 1U << PB_RESET_BY_AF_FLR; /* the other kind */
        acc = pb_test_run(dev, true, DEVCTL, 2, 0xa810);
        assert_int_equal(acc.err, 0);
        assert_int_equal(acc.denied, 0x8000);
        assert_int_equal(pb_test_count(&dev->hw, PB_STEP_RESET), 0);
        assert_int_equal(pb_le16(dev->hw.config + DEVCTL) & 0x8000, 0);
        /* a plugin that took the bit has taken it */
        acc = pb_test_run_mine(dev, DEVCTL, 2, 0xa810, 0x7fff, 0);
        assert_int_equal(acc.denied, 0);
    }
}

static void flr_always_reads_0_and_never_goes_back(void **state)
{
    (void)state;
    pb_le_put(dev->hw.config + DEVCTL, 2, 0xa810);
    assert_int_equal(pb_test_read(dev, DEVCTL, 2) & 0x8000, 0);
    assert_int_equal(pb_test_write(dev, DEVCTL, 2, 0x0010), 0);
    (void)pb_test_expect(&dev->hw, 0, PB_STEP_WRITE, DEVCTL, 2, 0x2010);
}

static void the_flr_of_advanced_features_is_one_too(void **state)
{
    struct pb_access acc;

    (void)state;
    for (int32_t size = 1; size <= 2; size++) {
        acc = pb_test_run(dev, true, AF + PCI_AF_CTRL, size, PCI_AF_CTRL_FLR);
        assert_int_equal(acc.err, 0);
        assert_int_equal(acc.denied, 0);
        assert_int_equal(pb_test_count(&dev->hw, PB_STEP_RESET), 1);
        assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
        assert_int_equal(dev->hw.log[dev->hw.count - 1].cycle.reset, PB_RESET_BY_AF_FLR);
    }
    assert_int_equal(pb_test_read(dev, AF + PCI_AF_CTRL, 1), 0);
    dev->map->flr = 1U << PB_RESET_BY_FLR;
    acc = pb_test_run(dev, true, AF + PCI_AF_CTRL, 1, PCI_AF_CTRL_FLR);
    assert_int_equal(acc.denied, PCI_AF_CTRL_FLR);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_RESET), 0);
}

#define ON(device, test) cmocka_unit_test_setup_teardown(test, device, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(with_flr, an_flr_is_a_managed_reset),
        ON(with_flr, what_else_is_written_with_an_flr_comes_before_it),
        ON(with_flr, nothing_touches_the_hardware_after_the_reset_has_begun),
        ON(with_flr, a_refused_access_asks_for_no_reset),
        ON(with_flr, an_flr_that_may_not_be_now_is_denied),
        ON(with_flr, an_flr_without_the_method_is_denied),
        ON(with_flr, flr_always_reads_0_and_never_goes_back),
        ON(with_af, the_flr_of_advanced_features_is_one_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
