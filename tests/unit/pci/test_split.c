/* SPDX-License-Identifier: MIT */
/*
 * A guest may write a register with effects in parts. What comes of it is what the whole would have
 * done, with these exceptions: a BAR is sized by a whole write alone, each part of a VPD address
 * starts a read, and an access that is refused ends there, while the parts behind go on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "fixture.h"
#include "pci/regs.h"

#define VPD 0x60
#define AF  0x70

static uint32_t seed = 0x2c1b3c6d;

static int everything(void **state)
{
    struct pb_facts facts;

    (void)state;
    pb_test_e1000e(&facts);
    pb_test_add_cap(&facts, VPD, PCI_CAP_VPD);
    pb_test_add_cap(&facts, AF, PCI_CAP_AF);
    dev = pb_test_device_of(&facts);
    dev->map->flr = 1U << PB_RESET_BY_FLR | 1U << PB_RESET_BY_AF_FLR;
    return 0;
}

static const struct {
    unsigned count;
    uint8_t size[4], at[4];
} splits[] = {
    { 1, { 4 }, { 0 } },
    { 2, { 2, 2 }, { 0, 2 } },
    { 2, { 2, 2 }, { 2, 0 } },
    { 3, { 1, 1, 2 }, { 0, 1, 2 } },
    { 3, { 2, 1, 1 }, { 0, 3, 2 } },
    { 4, { 1, 1, 1, 1 }, { 0, 1, 2, 3 } },
    { 4, { 1, 1, 1, 1 }, { 3, 2, 1, 0 } },
};

struct outcome {
    int err;
    uint32_t denied;
    unsigned resets;
    bool restored;
    uint8_t hw[256], shadow[256];
};

static struct outcome write_as(size_t split, unsigned offset, uint32_t value)
{
    struct outcome out = { .err = PB_GUEST_OK };

    for (unsigned i = 0; i < splits[split].count; i++) {
        unsigned at = splits[split].at[i];
        struct pb_access acc =
            pb_test_run(dev, true, (int32_t)(offset + at), splits[split].size[i], value >> 8 * at);

        if (out.err == PB_GUEST_OK)
            out.err = acc.err;
        out.denied |= acc.denied << 8 * at;
        out.restored |= acc.restored;
        out.resets += pb_test_count(&dev->hw, PB_STEP_RESET);
    }
    memcpy(out.hw, dev->hw.config, sizeof(out.hw));
    memcpy(out.shadow, dev->view.shadow, sizeof(out.shadow));
    return out;
}

/* The dwords that hold registers with effects, without BARs; what their bits may be. */
static const struct {
    uint16_t offset;
    uint32_t bits;
} registers[] = {
    { PCI_COMMAND, 0xffffffff },
    { PCI_CACHE_LINE_SIZE, 0xffffffff },
    { E1000E_PM, 0xffffffff },
    { E1000E_PM + PCI_PM_CTRL, 0xffffffff },
    { VPD, 0x7fffffff }, /* F is refused */
    { E1000E_MSI, 0x0001ffff },
    { E1000E_MSIX, 0xc000ffff },
    { E1000E_EXP + PCI_EXP_DEVCTL, 0xffffffff },
    { AF + PCI_AF_CTRL, 0xffffffff },
};

static void compare(size_t reg, uint32_t value, unsigned pm_state)
{
    unsigned offset = registers[reg].offset;
    struct outcome whole = { .err = PB_GUEST_OK };

    for (size_t split = 0; split < PB_ARRAY_SIZE(splits); split++) {
        struct outcome parts;

        pb_test_device_reset(dev);
        dev->view.allow_interrupt_control = true;
        dev->hw.config[E1000E_PM + PCI_PM_CTRL] = (uint8_t)pm_state;
        parts = write_as(split, offset, value);
        if (split == 0)
            whole = parts;
        assert_int_equal(parts.err, whole.err);
        if (whole.err != PB_GUEST_OK)
            continue;
        assert_int_equal(parts.denied, whole.denied);
        assert_int_equal(parts.resets, whole.resets);
        assert_int_equal(parts.restored, whole.restored);
        assert_memory_equal(parts.hw, whole.hw, sizeof(whole.hw));
        assert_memory_equal(parts.shadow, whole.shadow, sizeof(whole.shadow));
    }
}

static void a_register_with_effects_can_be_written_in_parts(void **state)
{
    (void)state;
    for (size_t reg = 0; reg < PB_ARRAY_SIZE(registers); reg++) {
        uint32_t now = pb_test_hw_read(&dev->hw, registers[reg].offset, 4);

        for (unsigned n = 0; n < 400; n++) {
            uint32_t value = pb_test_random(&seed) & pb_test_random(&seed) & registers[reg].bits;

            compare(reg, value | (now & ~registers[reg].bits), n % 4);
        }
    }
}

static void a_bar_is_sized_by_a_whole_write_alone(void **state)
{
    (void)state;
    for (size_t split = 0; split < PB_ARRAY_SIZE(splits); split++) {
        pb_test_device_reset(dev);
        assert_int_equal(write_as(split, PCI_BAR0, ~0U).err, 0);
        assert_int_equal(pb_test_read(dev, PCI_BAR0, 4), split == 0 ? 0xfffe0000 : 0xfebc0000);
    }
}

static void a_refusal_is_a_refusal_in_whichever_part(void **state)
{
    static const struct {
        uint16_t offset;
        uint32_t value;
    } refused[] = { { VPD, 0x80000000 }, { E1000E_MSI, 0x02810000 }, { E1000E_MSIX, 0x80050000 } };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(refused); i++) {
        for (size_t split = 0; split < PB_ARRAY_SIZE(splits); split++) {
            pb_test_device_reset(dev);
            assert_int_equal(write_as(split, refused[i].offset, refused[i].value).err,
                             PB_GUEST_ACCESS_DENIED);
        }
    }
}

#define ON(device, test) cmocka_unit_test_setup_teardown(test, device, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(everything, a_register_with_effects_can_be_written_in_parts),
        ON(everything, a_bar_is_sized_by_a_whole_write_alone),
        ON(everything, a_refusal_is_a_refusal_in_whichever_part),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
