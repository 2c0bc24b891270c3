/* SPDX-License-Identifier: MIT */
/* What security advisories about PCI backends ask for, one test each, exhaustive where that ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "fixture.h"
#include "pci/regs.h"

/* ---- XSA-120 -----------------------------------------------------------------------------------
 */

static void check_command(uint32_t value, uint16_t closed)
{
    uint16_t before = pb_le16(dev->facts.config + PCI_COMMAND), after;
    struct pb_access acc;

    pb_le_put(dev->hw.config + PCI_COMMAND, 2, before);
    acc = pb_test_run(dev, true, PCI_COMMAND, 2, value);
    assert_int_equal(acc.err, 0);
    for (unsigned i = 0; i < dev->hw.count; i++) {
        if (dev->hw.log[i].step == PB_STEP_WRITE)
            assert_int_equal((dev->hw.log[i].cycle.value ^ before) & closed, 0);
    }
    after = pb_le16(dev->hw.config + PCI_COMMAND);
    assert_int_equal((after ^ before) & closed, 0);
    assert_int_equal((after ^ value) & (PCI_COMMAND_MASTER | PCI_COMMAND_INVALIDATE), 0);
    /* the guest reads back what it wrote, where it is a shadow */
    assert_int_equal((pb_test_read(dev, PCI_COMMAND, 2) ^ value) & 0x0543, 0);
}

static void XSA_120_no_command_value_reaches_decode_or_error_bits(void **state)
{
    const uint16_t never = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_PARITY |
                           PCI_COMMAND_SERR | PCI_COMMAND_RESERVED;
    const uint16_t strict = never | PCI_COMMAND_SPECIAL | PCI_COMMAND_VGA_PALETTE |
                            PCI_COMMAND_WAIT | PCI_COMMAND_FAST_BACK;

    (void)state;
    for (unsigned mode = 0; mode < 4; mode++) {
        dev->view.permissive = mode & 1;
        dev->view.allow_interrupt_control = mode & 2;
        for (uint32_t value = 0; value <= 0xffff; value++)
            check_command(value, (uint16_t)((mode & 1 ? never : strict) |
                                            (mode & 2 ? 0 : PCI_COMMAND_INTX_DISABLE)));
    }
}

static void XSA_120_nor_does_any_byte_or_dword_of_it(void **state)
{
    const uint16_t never = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_PARITY |
                           PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE;

    (void)state;
    dev->view.permissive = true;
    for (uint32_t value = 0; value <= 0xffff; value++) {
        static const struct {
            int32_t offset, size;
        } ways[] = { { 4, 1 }, { 5, 1 }, { 4, 4 } };

        for (size_t i = 0; i < PB_ARRAY_SIZE(ways); i++) {
            assert_int_equal(pb_test_write(dev, ways[i].offset, ways[i].size, value), 0);
            assert_int_equal((pb_le16(dev->hw.config + 4) ^ 0x0403) & never, 0);
        }
    }
}

/* The same for what PCI Express has put beside COMMAND. */
#define DEVCTL       (E1000E_EXP + PCI_EXP_DEVCTL)
#define DEVCTL_NEVER (0xffffU & ~(PCI_EXP_DEVCTL_RELAX | PCI_EXP_DEVCTL_NOSNOOP))

static void check_devctl(int32_t offset, int32_t size, uint32_t value)
{
    uint16_t before = pb_le16(dev->facts.config + DEVCTL);
    struct pb_access acc;

    pb_le_put(dev->hw.config + DEVCTL, 2, before);
    acc = pb_test_run(dev, true, offset, size, value);
    assert_int_equal(acc.err, 0);
    for (unsigned i = 0; i < dev->hw.count; i++) {
        const struct pb_cycle *c = &dev->hw.log[i].cycle;

        if (dev->hw.log[i].step != PB_STEP_WRITE)
            continue;
        /* nothing but the register itself, as one word, with two bits of the guest's */
        assert_int_equal(c->offset, DEVCTL);
        assert_int_equal(c->size, 2);
        assert_int_equal((c->value ^ before) & DEVCTL_NEVER, 0);
    }
    assert_int_equal((pb_le16(dev->hw.config + DEVCTL) ^ before) & DEVCTL_NEVER, 0);
}

static void XSA_120_no_device_control_value_reaches_errors_payload_or_a_reset(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 4; mode++) {
        dev->view.permissive = mode & 1;
        dev->map->flr = mode & 2 ? 1U << PB_RESET_BY_FLR : 0;
        for (uint32_t value = 0; value <= 0xffff; value++) {
            unsigned flr = (mode & 2) && (value & PCI_EXP_DEVCTL_FLR);

            check_devctl(DEVCTL, 2, value);
            assert_int_equal(pb_test_count(&dev->hw, PB_STEP_RESET), flr);
            check_devctl(DEVCTL, 4, value | ~value << 16);
            assert_int_equal(pb_test_count(&dev->hw, PB_STEP_RESET), flr);
            check_devctl(value & 1 ? DEVCTL : DEVCTL + 1, 1, value >> 8);
        }
    }
}

static void XSA_120_the_path_to_the_root_is_not_the_guests(void **state)
{
    static const uint16_t at[] = { PCI_EXP_DEVSTA, PCI_EXP_LNKCTL, PCI_EXP_LNKSTA, PCI_EXP_SLTCTL };

    (void)state;
    for (unsigned permissive = 0; permissive < 2; permissive++) {
        dev->view.permissive = permissive;
        for (size_t i = 0; i < PB_ARRAY_SIZE(at); i++) {
            for (uint32_t value = 0; value <= 0xffff; value += 0x11) {
                assert_int_equal(pb_test_write(dev, E1000E_EXP + at[i], 2, value), 0);
                assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
            }
        }
    }
}

static void XSA_120_how_errors_are_reported_is_not_the_guests(void **state)
{
    uint32_t r = 0x85ebca6b;

    (void)state;
    for (unsigned permissive = 0; permissive < 2; permissive++) {
        dev->view.permissive = permissive;
        for (int32_t size = 1; size <= 4; size *= 2) {
            for (int32_t at = 0x104; at < 0x100 + PCI_AER_HEADER_LOG + 16; at += size) {
                for (unsigned n = 0; n < 256; n++) {
                    uint32_t value = n == 0 ? ~0U : pb_test_random(&r);

                    assert_int_equal(pb_test_write(dev, at, size, value), 0);
                    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
                }
            }
        }
    }
    /* masks and severities are the guest's to see, its errors always none */
    assert_int_equal(pb_test_write(dev, 0x100 + PCI_AER_COR_MASK, 4, 0x5a5a), 0);
    assert_int_equal(pb_test_read(dev, 0x100 + PCI_AER_COR_MASK, 4), 0x5a5a);
    pb_le_put(dev->hw.config + 0x100 + PCI_AER_UNCOR_STATUS, 4, ~0U);
    assert_int_equal(pb_test_read(dev, 0x100 + PCI_AER_UNCOR_STATUS, 4), 0);
}

static void XSA_120_no_pcix_command_value_reaches_a_shared_bus(void **state)
{
    const int32_t at = 0xe4 + PCI_PCIX_CMD;
    uint16_t before = pb_le16(dev->facts.config + at);

    (void)state;
    for (unsigned permissive = 0; permissive < 2; permissive++) {
        dev->view.permissive = permissive;
        for (uint32_t value = 0; value <= 0xffff; value++) {
            assert_int_equal(pb_test_write(dev, at, 2, value), 0);
            assert_int_equal((pb_le16(dev->hw.config + at) ^ before) & PCI_PCIX_CMD_WRITABLE, 0);
            if (!permissive)
                assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
            assert_int_equal((pb_test_read(dev, at, 2) ^ value) & PCI_PCIX_CMD_WRITABLE, 0);
        }
    }
}

/* ---- XSA-128 -----------------------------------------------------------------------------------
 */

/* Is [at, at + size) a register that holds a bit for the guest, or one with an effect? */
static bool is_open_register(unsigned at, unsigned size)
{
    unsigned number = dev->map->reg_of[at];
    const struct pb_reg *reg = number ? &dev->map->reg[number - 1] : NULL;
    unsigned open = 0;

    if (!reg || reg->offset != at || reg->size != size)
        return false;
    for (unsigned i = at; i < at + size; i++)
        open |= dev->map->write[i] | dev->map->w1c[i];
    return open || reg->effect != PB_EFFECT_NONE;
}

static void check_spanning(int32_t offset, int32_t size, uint32_t value)
{
    (void)pb_test_run(dev, true, offset, size, value);
    for (unsigned i = 0; i < dev->hw.count; i++) {
        const struct pb_cycle *c = &dev->hw.log[i].cycle;

        if (dev->hw.log[i].step != PB_STEP_WRITE)
            continue;
        /* it overlaps the access, and has the boundaries of one register: nothing beside it is
         * written, not even with the value that it has */
        if (c->offset >= offset + size || c->offset + c->size <= offset)
            fail_msg("write of %#x/%d reached %#x/%u", (unsigned)offset, size, c->offset, c->size);
        if (!is_open_register(c->offset, c->size))
            fail_msg("write of %#x/%d wrote %#x/%u", (unsigned)offset, size, c->offset, c->size);
    }
    if (pb_test_count(&dev->hw, PB_STEP_WRITE))
        pb_test_device_reset(dev);
}

static void XSA_128_spanning_write_stays_within_open_registers(void **state)
{
    static const uint32_t values[] = { 0, ~0U, 0xa5a5a5a5, 0x5a5a5a5a, 0x00ff00ff, 0xff00ff00 };

    (void)state;
    for (int32_t size = 1; size <= 4; size *= 2) {
        for (int32_t offset = 0; offset + size <= dev->map->size; offset += size) {
            for (size_t v = 0; v < PB_ARRAY_SIZE(values); v++)
                check_spanning(offset, size, values[v]);
        }
    }
}

/* ---- XSA-129 -----------------------------------------------------------------------------------
 */

static void XSA_129_msi_bodies_never_reach_hardware(void **state)
{
    static const uint16_t shapes[] = { 0x0000, 0x0080, 0x0100, 0x018a };

    (void)state;
    for (size_t n = 0; n < PB_ARRAY_SIZE(shapes); n++) {
        struct pb_facts facts;
        unsigned end;

        pb_test_e1000e(&facts);
        facts.config[E1000E_MSI + 1] = E1000E_MSIX; /* room for the longest shape */
        memset(facts.config + E1000E_MSI + PCI_MSI_BODY, 0, 0x14);
        pb_le_put(facts.config + E1000E_MSI + 2, 2, shapes[n]);
        pb_test_device_free(dev);
        dev = pb_test_device_of(&facts);
        dev->view.permissive = true;
        dev->view.allow_interrupt_control = true;
        end = E1000E_MSI + PCI_MSI_BODY + 4 * pb_layout_msi_dwords(&dev->layout);
        for (int32_t size = 1; size <= 4; size *= 2) {
            for (unsigned at = E1000E_MSI + PCI_MSI_BODY; at < end; at += (unsigned)size) {
                struct pb_access acc = pb_test_run(dev, true, (int32_t)at, size, ~0U);

                assert_int_equal(acc.err, 0);
                assert_int_equal(acc.denied, pb_ones((unsigned)size));
                assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
            }
        }
    }
}

/* ---- XSA-131 -----------------------------------------------------------------------------------
 */

/*
 * All that a guest can do to a device's registers without a quirk, permissive mode or interrupt
 * control. Whoever makes these lists longer says why here.
 */
struct golden {
    uint16_t offset;
    uint8_t size;
    uint32_t bits;
};

static const struct golden golden_e1000e[] = {
    { PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_INVALIDATE },
    { PCI_CACHE_LINE_SIZE, 1, 0xff },
    { PCI_BIST, 1, PCI_BIST_START },
    /* power state, Data_Select, and PME_Status to clear it */
    { E1000E_PM + PCI_PM_CTRL, 2, 0x0003 | 0x1e00 | 0x8000 },
    /* Relaxed Ordering and No Snoop */
    { E1000E_EXP + PCI_EXP_DEVCTL, 2, 0x0810 },
};

static const struct golden golden_e1000[] = {
    { PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_INVALIDATE },
    { PCI_CACHE_LINE_SIZE, 1, 0xff },
    { PCI_BIST, 1, PCI_BIST_START },
    { E1000_PM + PCI_PM_CTRL, 2, 0x0003 | 0x1e00 | 0x8000 },
};

static uint8_t reached[PB_CONFIG_SIZE_PCIE];

static void try_write(int32_t offset, int32_t size, uint32_t value)
{
    (void)pb_test_run(dev, true, offset, size, value);
    if (pb_test_count(&dev->hw, PB_STEP_WRITE) == 0 && offset >= PCI_HEADER_END)
        return;
    for (unsigned i = 0; i < dev->hw.count; i++) {
        const struct pb_cycle *c = &dev->hw.log[i].cycle;

        if (dev->hw.log[i].step != PB_STEP_WRITE)
            continue;
        for (unsigned b = 0; b < c->size; b++) {
            uint8_t byte = (uint8_t)(c->value >> (8 * b)), at = dev->hw.w1c[c->offset + b];

            /* a bit reaches hardware when it differs, a w1c bit when it is written as 1 */
            reached[c->offset + b] |=
                (uint8_t)(((byte ^ dev->facts.config[c->offset + b]) & ~at) | (byte & at));
        }
    }
    pb_test_device_reset(dev);
}

static void check_golden(const struct golden *golden, size_t count)
{
    uint8_t expected[PB_CONFIG_SIZE_PCIE] = { 0 };
    uint32_t seed = 0xc2b2ae35;

    for (size_t i = 0; i < count; i++)
        pb_le_put(expected + golden[i].offset, golden[i].size, golden[i].bits);
    memset(reached, 0, sizeof(reached));
    for (int32_t offset = 0; offset < dev->map->size; offset++) {
        for (uint32_t value = 0; value <= 0xff; value++) {
            uint32_t noise = pb_test_random(&seed);

            try_write(offset, 1, value);
            /* the same byte among others, in its word and its dword */
            try_write(offset & ~1, 2,
                      (noise & ~(0xffU << (offset % 2 * 8))) | value << (offset % 2 * 8));
            try_write(offset & ~3, 4,
                      (noise & ~(0xffU << (offset % 4 * 8))) | value << (offset % 4 * 8));
        }
    }
    for (unsigned at = 0; at < PB_CONFIG_SIZE_PCIE; at++) {
        if (reached[at] != expected[at])
            fail_msg("byte %#x: bits %#x reach hardware, the list says %#x", at, reached[at],
                     expected[at]);
    }
}

static void XSA_131_golden_writable_bits(void **state)
{
    (void)state;
    check_golden(golden_e1000e, PB_ARRAY_SIZE(golden_e1000e));
}

static void XSA_131_golden_writable_bits_of_a_conventional_device(void **state)
{
    (void)state;
    check_golden(golden_e1000, PB_ARRAY_SIZE(golden_e1000));
}

static void XSA_131_a_vf_has_less_than_that(void **state)
{
    (void)state;
    memset(reached, 0, sizeof(reached));
    for (int32_t offset = 0; offset < dev->map->size; offset++) {
        for (uint32_t value = 0; value <= 0xff; value++)
            try_write(offset, 1, value);
    }
    for (unsigned at = 0; at < PB_CONFIG_SIZE_PCIE; at++) {
        bool known =
            at == 4 || at == PCI_CACHE_LINE_SIZE || at == PCI_BIST || at == 0xa8 || at == 0xa9;

        assert_true(known || reached[at] == 0);
    }
}

/* ---- XSA-337 -----------------------------------------------------------------------------------
 */

static void XSA_337_a_device_that_lies_after_the_claim_decides_nothing(void **state)
{
    static uint32_t before[64];

    (void)state;
    for (int32_t i = 0; i < 64; i++)
        before[i] = pb_test_read(dev, 4 * i, 4);
    /* its list of capabilities, BARs and MSI-X place are others now */
    dev->hw.config[PCI_CAPABILITIES] = 0x40;
    pb_le_put(dev->hw.config + 0x40, 2, 0x0005);
    dev->hw.config[E1000E_PM] = PCI_CAP_MSI;
    pb_le_put(dev->hw.config + E1000E_MSIX, 2, 0x0001);
    pb_le_put(dev->hw.config + E1000E_MSIX + PCI_MSIX_TABLE, 4, 0xdeadbee8);
    memset(dev->hw.config + PCI_BAR0, 0x55, 24);
    dev->hw.config[PCI_HEADER_TYPE] = 1;
    for (int32_t i = 0; i < 64; i++) {
        if (i != 0x40 / 4)
            assert_int_equal(pb_test_read(dev, 4 * i, 4), before[i]);
    }
    /* and what was the MSI-X control still is */
    assert_int_equal(pb_test_write(dev, E1000E_MSIX + 2, 2, 0x8004), PB_GUEST_ACCESS_DENIED);
    /* while what pretends to be an MSI control is a register that no rule names */
    assert_int_equal(pb_test_run(dev, true, 0x42, 2, 1).denied, 1);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
}

/* ---- hazards -----------------------------------------------------------------------------------
 */

static void H16_msix_is_known_from_the_raw_capability_walk(void **state)
{
    /* a quirk hides the capability from the guest: the list skips a0, its header reads as none */
    const struct pb_rule hide[] = {
        { .offset = E1000E_EXP, .size = 2, .fixed = 0xff00, .value = 0 },
        { .offset = E1000E_MSIX, .size = 2, .fixed = 0xffff, .value = 0 },
    };
    /* another invents one where the device has none */
    const struct pb_rule invent[] = {
        { .offset = 0x40, .size = 2, .fixed = 0xffff, .value = PCI_CAP_MSIX },
    };
    size_t bad;

    (void)state;
    assert_int_equal(pb_map_apply(dev->map, hide, 2, &bad), 0);
    assert_int_equal(pb_test_read(dev, E1000E_MSIX, 2), 0);
    assert_int_equal(dev->map->layout.msix, E1000E_MSIX);
    assert_int_equal(dev->map->layout.msix_vectors, 5);
    pb_test_device_free(dev);
    dev = pb_test_device_new(pb_test_e1000);
    assert_int_equal(pb_map_apply(dev->map, invent, 1, &bad), 0);
    assert_int_equal(dev->map->layout.msix, 0);
    assert_int_equal(dev->map->layout.msix_vectors, 0);
}

static void H13_nothing_is_discarded_by_the_filter_of_msix_writes(void **state)
{
    (void)state;
    dev->view.permissive = true;
    dev->view.allow_interrupt_control = true;
    for (int32_t size = 1; size <= 4; size *= 2) {
        for (int32_t at = E1000E_MSIX; at < E1000E_MSIX + PCI_MSIX_SIZE; at += size) {
            for (uint32_t byte = 0; byte <= 0xff; byte++) {
                (void)pb_test_run(dev, true, at, size, byte * 0x01010101U);
                assert_int_equal(dev->hw.discarded, 0);
            }
        }
    }
}

static void no_access_of_any_kind_needs_more_than_its_registers(void **state)
{
    uint32_t seed = 0x27d4eb2f;
    unsigned most = 0;

    (void)state;
    for (unsigned n = 0; n < 200000; n++) {
        uint32_t r = pb_test_random(&seed), v = pb_test_random(&seed);
        int32_t offset = (int32_t)(r >> 8 & (r & 0x10 ? 0xfff : 0xff)), size = 1 << (r % 3);

        dev->view.permissive = r & 0x20;
        dev->view.allow_interrupt_control = r & 0x40;
        (void)pb_test_run(dev, r & 0x80, offset & ~(size - 1), size, v);
        most = dev->hw.count > most ? dev->hw.count : most;
    }
    /* waking from D3hot: PMCSR twice, COMMAND twice, wait, six BARs, ROM, two bytes, line, three
     * registers of PCI Express, three of AER */
    assert_true(most <= 20);
}

#define ON(device, test) cmocka_unit_test_setup_teardown(test, device, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(e1000e, XSA_120_no_command_value_reaches_decode_or_error_bits),
        ON(e1000e, XSA_120_nor_does_any_byte_or_dword_of_it),
        ON(e1000e, XSA_120_no_device_control_value_reaches_errors_payload_or_a_reset),
        ON(e1000e, XSA_120_the_path_to_the_root_is_not_the_guests),
        ON(e1000e, XSA_120_how_errors_are_reported_is_not_the_guests),
        ON(e1000, XSA_120_no_pcix_command_value_reaches_a_shared_bus),
        ON(e1000e, XSA_128_spanning_write_stays_within_open_registers),
        ON(e1000e, XSA_129_msi_bodies_never_reach_hardware),
        ON(e1000e, XSA_131_golden_writable_bits),
        ON(e1000, XSA_131_golden_writable_bits_of_a_conventional_device),
        ON(vf, XSA_131_a_vf_has_less_than_that),
        ON(e1000e, XSA_337_a_device_that_lies_after_the_claim_decides_nothing),
        ON(e1000e, H16_msix_is_known_from_the_raw_capability_walk),
        ON(e1000e, H13_nothing_is_discarded_by_the_filter_of_msix_writes),
        ON(e1000e, no_access_of_any_kind_needs_more_than_its_registers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
