/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "device.h"
#include "pci/map.h"

static struct pb_facts facts;
static struct pb_layout layout;
static struct pb_map map;

static int fresh(void **state)
{
    (void)state;
    pb_test_e1000(&facts);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    pb_map_init(&map, &facts, &layout);
    return 0;
}

static int apply(struct pb_rule rule)
{
    size_t bad = 99;
    int rc = pb_map_apply(&map, &rule, 1, &bad);

    assert_true(rc == 0 || bad == 0);
    return rc;
}

static const struct pb_reg *reg_of(unsigned at)
{
    return map.reg_of[at] ? &map.reg[map.reg_of[at] - 1] : NULL;
}

/* Every byte that a register covers names it, no other byte does, and registers are aligned. */
static void check_registers(void)
{
    unsigned covered = 0, named = 0;

    for (unsigned n = 0; n < map.reg_count; n++) {
        const struct pb_reg *reg = &map.reg[n];

        assert_int_equal(reg->offset % reg->size, 0);
        for (unsigned i = 0; i < reg->size; i++)
            assert_int_equal(map.reg_of[reg->offset + i], n + 1);
        covered += reg->size;
    }
    for (unsigned at = 0; at < PB_CONFIG_SIZE_PCIE; at++)
        named += map.reg_of[at] != 0;
    assert_int_equal(covered, named);
}

/* A write of COMMAND would write STATUS back, and clear the errors in it. */
static void H13_a_register_with_locked_bits_is_not_joined_with_others(void **state)
{
    struct pb_test_device *dev = pb_test_device_new(pb_test_e1000e);
    static const struct pb_rule wide[] = {
        { .offset = 4, .size = 4, .write = 0x4 },
        { .offset = 4, .size = 4, .fixed = 0xffff0000, .value = 0x00100000 },
        { .offset = E1000E_EXP + 0x10, .size = 4, .write = 0x3 },
    };
    size_t bad;

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(wide); i++)
        assert_int_equal(pb_map_apply(dev->map, &wide[i], 1, &bad), -EEXIST);
    /* what nobody may write can be told as one */
    assert_int_equal(pb_map_apply(dev->map,
                                  &(struct pb_rule){ .offset = 4, .size = 4, .fixed = UINT32_MAX },
                                  1, &bad),
                     0);
    pb_test_device_free(dev);
}

static void malformed_rules_are_refused(void **state)
{
    static const struct pb_rule bad[] = {
        { .offset = 0x40, .size = 0 },
        { .offset = 0x40, .size = 3 },
        { .offset = 0x40, .size = 8 },
        { .offset = 0x41, .size = 2 },
        { .offset = 0x42, .size = 4 },
        { .offset = 0x100, .size = 1 },
        { .offset = 0xfffc, .size = 4 },
        { .offset = 0x40, .size = 1, .write = 0x100 },
        { .offset = 0x40, .size = 2, .hw = 0x10000 },
        { .offset = 0x40, .size = 2, .lock = 0x10000 },
        { .offset = 0x40, .size = 4, .write = 1, .w1c = 1 },
        { .offset = 0x40, .size = 4, .hw = 2, .fixed = 2 },
        { .offset = 0x40, .size = 4, .virt = 4, .fixed = 4 },
        { .offset = 0x40, .size = 4, .virt = 4, .write = 4 },
        { .offset = 0x40, .size = 4, .fixed = 4, .value = 8 },
        { .offset = 0x40, .size = 4, .write = 4, .value = 4 },
        { .offset = 0x40, .size = 4, .write = 4, .image = 4 },
        { .offset = 0x40, .size = 4, .fixed = 4, .value = 4, .image = 4 },
        { .offset = 0x40, .size = 4, .write = 4, .lock = 4 },
        { .offset = 0x40, .size = 4, .effect = PB_EFFECT_COUNT },
        { .offset = 0x40, .size = 2, .effect = PB_EFFECT_BAR },
        { .offset = 0x40, .size = 4, .effect = PB_EFFECT_MSI_CONTROL },
        { .offset = 0x40, .size = 2, .effect = PB_EFFECT_BIST },
        { .offset = 0x40, .size = 4, .effect = PB_EFFECT_BAR, .index = PB_PCI_RESOURCES },
    };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(bad); i++) {
        if (apply(bad[i]) != -EINVAL)
            fail_msg("rule %zu was not refused", i);
    }
    assert_int_equal(map.reg_count, 0);
}

static void the_index_of_the_bad_rule_is_told(void **state)
{
    static const struct pb_rule rules[] = {
        { .offset = 0x40, .size = 4, .write = 1 },
        { .offset = 0x44, .size = 4, .write = 1 },
        { .offset = 0x49, .size = 4, .write = 1 },
    };
    size_t bad = 99;

    (void)state;
    assert_int_equal(pb_map_apply(&map, rules, 3, &bad), -EINVAL);
    assert_int_equal(bad, 2);
    assert_int_equal(pb_map_apply(&map, rules, 0, &bad), 0);
}

static void a_rule_replaces_exactly_the_bits_it_names(void **state)
{
    (void)state;
    assert_int_equal(
        apply((struct pb_rule){ .offset = 0x40, .size = 2, .fixed = 0xffff, .value = 0xa5a5 }), 0);
    assert_int_equal(
        apply((struct pb_rule){ .offset = 0x40, .size = 2, .write = 0x0f, .w1c = 0xf000 }), 0);
    assert_int_equal(pb_le16(map.write + 0x40), 0x000f);
    assert_int_equal(pb_le16(map.w1c + 0x40), 0xf000);
    assert_int_equal(pb_le16(map.fixed + 0x40), 0x0ff0);
    assert_int_equal(pb_le16(map.value + 0x40), 0x05a0);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x40, .size = 2, .hw = 0xffff }), 0);
    assert_int_equal(pb_le16(map.write + 0x40) | pb_le16(map.w1c + 0x40) |
                         pb_le16(map.fixed + 0x40) | pb_le16(map.value + 0x40),
                     0);
    assert_int_equal(map.reg_count, 1);
}

static void values_come_from_the_image_where_asked(void **state)
{
    (void)state;
    pb_le_put(map.image + 0x40, 4, 0x12345678);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x40,
                                             .size = 4,
                                             .virt = 0x0000ffff,
                                             .fixed = 0xffff0000,
                                             .value = 0xab0000cd,
                                             .image = 0x00ffff00 }),
                     0);
    assert_int_equal(pb_le32(map.value + 0x40), 0xab3456cd);
}

static void an_effect_stays_unless_the_rule_has_one(void **state)
{
    (void)state;
    assert_int_equal(
        apply((struct pb_rule){ .offset = 0x10, .size = 4, .effect = PB_EFFECT_BAR, .index = 2 }),
        0);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x10, .size = 4, .fixed = ~0U }), 0);
    assert_int_equal(reg_of(0x10)->effect, PB_EFFECT_BAR);
    assert_int_equal(reg_of(0x10)->index, 2);
    assert_int_equal(
        apply((struct pb_rule){ .offset = 0x10, .size = 4, .effect = PB_EFFECT_BAR_HIGH }), 0);
    assert_int_equal(reg_of(0x10)->effect, PB_EFFECT_BAR_HIGH);
    assert_int_equal(map.reg_count, 1);
}

static void cutting_through_an_effect_is_refused(void **state)
{
    (void)state;
    assert_int_equal(
        apply((struct pb_rule){ .offset = 0x42, .size = 2, .effect = PB_EFFECT_VPD_ADDRESS }), 0);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x40, .size = 4, .write = 1 }), -EEXIST);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x43, .size = 1, .write = 1 }), -EEXIST);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x40, .size = 2, .write = 1 }), 0);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x44, .size = 4, .write = 1 }), 0);
    check_registers();
}

static void a_wider_rule_joins_registers(void **state)
{
    (void)state;
    assert_int_equal(apply((struct pb_rule){ .offset = 0x40, .size = 1, .write = 0xff }), 0);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x42, .size = 2, .w1c = 0xffff }), 0);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x40, .size = 4, .fixed = 0xff00 }), 0);
    check_registers();
    assert_int_equal(map.reg_count, 1);
    assert_int_equal(reg_of(0x43)->size, 4);
    assert_int_equal(pb_le32(map.write + 0x40), 0x000000ff);
    assert_int_equal(pb_le32(map.w1c + 0x40), 0xffff0000);
    assert_int_equal(pb_le32(map.fixed + 0x40), 0x0000ff00);
}

static void a_narrower_rule_splits_the_register(void **state)
{
    (void)state;
    assert_int_equal(
        apply((struct pb_rule){ .offset = 0x40, .size = 4, .write = ~0U, .swallow = true }), 0);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x41, .size = 1, .fixed = 0xff }), 0);
    check_registers();
    assert_int_equal(map.reg_count, 3);
    assert_int_equal(reg_of(0x40)->size, 1);
    assert_int_equal(reg_of(0x41)->size, 1);
    assert_int_equal(reg_of(0x42)->size, 2);
    assert_true(reg_of(0x40)->swallow && reg_of(0x42)->swallow && !reg_of(0x41)->swallow);
    assert_int_equal(pb_le32(map.write + 0x40), 0xffff00ff);
}

static void H14_locked_bits_cannot_be_opened_by_a_later_rule(void **state)
{
    (void)state;
    assert_int_equal(apply((struct pb_rule){ .offset = 0x40, .size = 2, .lock = 0x8000 }), 0);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x40, .size = 2, .write = 0x8000 }), -EPERM);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x41, .size = 1, .w1c = 0x80 }), -EPERM);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x40, .size = 4, .write = 0x8000 }), -EPERM);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x40, .size = 2, .write = 0x7fff }), 0);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x40, .size = 2, .virt = 0x8000 }), 0);
    assert_int_equal(pb_le16(map.lock + 0x40), 0x8000);
}

static void a_lock_closes_what_an_earlier_rule_opened(void **state)
{
    (void)state;
    assert_int_equal(
        apply((struct pb_rule){ .offset = 0x40, .size = 2, .write = 0x00ff, .w1c = 0xff00 }), 0);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x40, .size = 2, .lock = 0x8001 }), 0);
    assert_int_equal(pb_le16(map.write + 0x40), 0x00fe);
    assert_int_equal(pb_le16(map.w1c + 0x40), 0x7f00);
}

static void a_swallowing_register_stays_one(void **state)
{
    (void)state;
    assert_int_equal(apply((struct pb_rule){ .offset = 0x40, .size = 1, .hw = 0xff }), 0);
    assert_false(reg_of(0x40)->swallow);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x40, .size = 1, .swallow = true }), 0);
    assert_true(reg_of(0x40)->swallow);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x40, .size = 1, .write = 1 }), 0);
    assert_true(reg_of(0x40)->swallow);
}

static void too_many_registers_are_refused(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 256; at++)
        assert_int_equal(apply((struct pb_rule){ .offset = (uint16_t)at, .size = 1 }), 0);
    assert_int_equal(map.reg_count, 256);
    check_registers();

    pb_test_e1000e(&facts);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    pb_map_init(&map, &facts, &layout);
    for (unsigned n = 0; n < PB_REGS_MAX; n++)
        assert_int_equal(apply((struct pb_rule){ .offset = (uint16_t)(4 * n), .size = 4 }), 0);
    assert_int_equal(map.reg_count, PB_REGS_MAX); /* a register each dword of the largest space */
    assert_int_equal(apply((struct pb_rule){ .offset = 0x20, .size = 4, .write = 1 }), 0);
    assert_int_equal(apply((struct pb_rule){ .offset = 0x10, .size = 1 }), -ENOSPC);
}

static void any_sequence_of_rules_keeps_the_registers_consistent(void **state)
{
    uint32_t seed = 0x1234567;

    (void)state;
    for (unsigned n = 0; n < 20000; n++) {
        uint32_t r = pb_test_random(&seed), m = pb_test_random(&seed);
        uint8_t size = (uint8_t)(1U << (r % 3));
        struct pb_rule rule = { .offset = (uint16_t)((r >> 8) % 64 & ~(size - 1U)),
                                .size = size,
                                .write = m & pb_ones(size) & 0x55555555,
                                .fixed = m & pb_ones(size) & 0xaaaaaaaa };

        assert_int_equal(apply(rule), 0);
        if (n % 64 == 0)
            check_registers();
        assert_int_equal(reg_of(rule.offset)->offset, rule.offset);
        assert_int_equal(reg_of(rule.offset)->size, size);
    }
    for (unsigned at = 0; at < 64; at++)
        assert_int_equal(map.write[at] & map.fixed[at], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(H13_a_register_with_locked_bits_is_not_joined_with_others),
        cmocka_unit_test_setup(malformed_rules_are_refused, fresh),
        cmocka_unit_test_setup(the_index_of_the_bad_rule_is_told, fresh),
        cmocka_unit_test_setup(a_rule_replaces_exactly_the_bits_it_names, fresh),
        cmocka_unit_test_setup(values_come_from_the_image_where_asked, fresh),
        cmocka_unit_test_setup(an_effect_stays_unless_the_rule_has_one, fresh),
        cmocka_unit_test_setup(cutting_through_an_effect_is_refused, fresh),
        cmocka_unit_test_setup(a_wider_rule_joins_registers, fresh),
        cmocka_unit_test_setup(a_narrower_rule_splits_the_register, fresh),
        cmocka_unit_test_setup(H14_locked_bits_cannot_be_opened_by_a_later_rule, fresh),
        cmocka_unit_test_setup(a_lock_closes_what_an_earlier_rule_opened, fresh),
        cmocka_unit_test_setup(a_swallowing_register_stays_one, fresh),
        cmocka_unit_test_setup(too_many_registers_are_refused, fresh),
        cmocka_unit_test_setup(any_sequence_of_rules_keeps_the_registers_consistent, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
