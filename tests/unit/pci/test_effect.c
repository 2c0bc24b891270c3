/* SPDX-License-Identifier: MIT */
/* Registers whose writes do more than set bits: BARs, BIST, power states, VPD, MSI and MSI-X. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "fixture.h"
#include "pci/regs.h"

#define PMCSR (E1000E_PM + PCI_PM_CTRL)

#define VPD   0x60

static int with_vpd(void **state)
{
    struct pb_facts facts;

    (void)state;
    pb_test_e1000e(&facts);
    pb_test_add_cap(&facts, VPD, PCI_CAP_VPD);
    dev = pb_test_device_of(&facts);
    return 0;
}

/* As e1000e, but its PM capability says PMC and its PMCSR CONTROL. */
static void use_pm(uint16_t pmc, uint16_t control)
{
    struct pb_facts facts;

    pb_test_e1000e(&facts);
    pb_le_put(facts.config + E1000E_PM + PCI_PM_PMC, 2, pmc);
    pb_le_put(facts.config + PMCSR, 2, control);
    pb_test_device_free(dev);
    dev = pb_test_device_of(&facts);
}

/* ---- BARs --------------------------------------------------------------------------------------
 */

static void size_bar(int32_t at, uint32_t ones, uint32_t address, uint32_t length)
{
    assert_int_equal(pb_test_read(dev, at, 4), address);
    assert_int_equal(pb_test_run(dev, true, at, 4, ones).denied, 0);
    assert_int_equal(dev->hw.count, 0);
    assert_int_equal(pb_test_read(dev, at, 4), length);
    assert_int_equal(pb_test_write(dev, at, 4, address), 0);
    assert_int_equal(pb_test_read(dev, at, 4), address);
}

static void bars_are_sized_without_hardware(void **state)
{
    (void)state;
    size_bar(0x10, 0xffffffff, 0xfebc0000, 0xfffe0000);
    size_bar(0x14, 0xfffffff0, 0xfeb80000, 0xfffc0000);
    size_bar(0x18, 0xffffffff, 0x0000c041, 0xffffffe1);
    size_bar(0x18, 0xfffffffc, 0x0000c041, 0xffffffe1);
    size_bar(0x1c, 0xffffffff, 0xfebe0000, 0xffffc000);
    size_bar(0x20, 0xffffffff, 0, 0);
    size_bar(0x24, 0xffffffff, 0, 0);
    size_bar(0x30, 0xfffffffe, 0xfea00000, 0xfffc0000);
    size_bar(0x30, 0xfffff800, 0xfea00000, 0xfffc0000);
}

static void both_halves_of_a_64_bit_bar_are_sized(void **state)
{
    (void)state;
    size_bar(0x10, 0xffffffff, 0x8000000c, 0xffffc00c);
    size_bar(0x14, 0xffffffff, 0x00000002, 0xffffffff);
    size_bar(0x1c, 0xffffffff, 0x8002000c, 0xffffc00c);
    size_bar(0x20, 0xffffffff, 0x00000002, 0xffffffff);
    assert_int_equal(pb_test_write(dev, 0x14, 4, 0xfffffff0), 0); /* no type bits up here */
    assert_int_equal(pb_test_read(dev, 0x14, 4), 2);
}

static void a_bar_cannot_be_moved(void **state)
{
    static const uint32_t values[] = { 0, 0xf0000000, 0xfebc0001, 0x7fffffff, 0xffffffef };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(values); i++) {
        assert_int_equal(pb_test_write(dev, 0x10, 4, values[i]), 0);
        assert_int_equal(dev->hw.count, 0);
        assert_int_equal(pb_test_read(dev, 0x10, 4), 0xfebc0000);
    }
}

static void partial_bar_writes_merge_with_what_the_guest_sees(void **state)
{
    (void)state;
    assert_int_equal(pb_test_write(dev, 0x10, 4, 0xffffffff), 0);
    assert_int_equal(pb_test_read(dev, 0x12, 2), 0xfffe);
    assert_int_equal(pb_test_write(dev, 0x12, 2, 0xfebc), 0);
    assert_int_equal(pb_test_read(dev, 0x10, 4), 0xfebc0000);
    assert_int_equal(pb_test_write(dev, 0x13, 1, 0xff), 0);
    assert_int_equal(pb_test_read(dev, 0x10, 4), 0xfebc0000);
    assert_int_equal(dev->hw.count, 0);
}

static void rom_enable_is_as_in_the_image(void **state)
{
    struct pb_facts facts;

    (void)state;
    pb_test_e1000e(&facts);
    facts.config[PCI_ROM_ADDRESS] |= 1;
    dev = pb_test_device_of(&facts);
    size_bar(0x30, 0xfffff800, 0xfea00001, 0xfffc0001);
}

/* ---- BIST --------------------------------------------------------------------------------------
 */

static void bist_takes_a_start_and_nothing_else(void **state)
{
    (void)state;
    for (unsigned now = 0; now < 256; now++) {
        for (unsigned wish = 0; wish < 256; wish++) {
            bool start = ((now ^ wish) & ~0x40U) == 0 || wish == 0x40;
            struct pb_access acc;

            dev->hw.config[PCI_BIST] = (uint8_t)now;
            acc = pb_test_run(dev, true, PCI_BIST, 1, wish);
            assert_int_equal(acc.err, 0);
            assert_int_equal(acc.denied, 0);
            assert_int_equal(dev->hw.config[PCI_BIST], start ? wish : now);
            assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), start && now != wish);
        }
    }
}

/* ---- power management --------------------------------------------------------------------------
 */

static void every_transition_is_decided_as_the_table_says(void **state)
{
    enum { DROP = -1, REFUSE = -2 }; /* else the delay */
    static const int table[4][4] = {
        /* to:  D0      D1      D2      D3hot */
        { 0, 0, 1, 10 },          /* from D0 */
        { 0, 0, 1, 10 },          /* from D1 */
        { 1, REFUSE, 0, 10 },     /* from D2 */
        { 10, REFUSE, REFUSE, 0 } /* from D3hot */
    };

    (void)state;
    for (unsigned from = 0; from < 4; from++) {
        for (unsigned to = 0; to < 4; to++) {
            for (unsigned pmc = 0; pmc < 4; pmc++) {
                bool known = to == 0 || to == 3 || from == to || (to == 1 && (pmc & 1)) ||
                             (to == 2 && (pmc & 2));
                int expect = known ? table[from][to] : DROP;
                struct pb_access acc;

                use_pm((uint16_t)(0x0002 | pmc << 9), (uint16_t)(PCI_PM_CTRL_NO_SOFT_RST));
                dev->hw.config[PMCSR] = (uint8_t)(PCI_PM_CTRL_NO_SOFT_RST | from);
                acc = pb_test_run(dev, true, PMCSR, 2, PCI_PM_CTRL_NO_SOFT_RST | to);
                assert_int_equal(acc.err, expect == REFUSE ? PB_GUEST_ACCESS_DENIED : 0);
                assert_int_equal(acc.denied, 0);
                assert_false(acc.restored);
                assert_int_equal(dev->hw.config[PMCSR] & 3U, expect < 0 ? from : to);
                assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), expect >= 0 && from != to);
                assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WAIT), expect > 0);
                if (expect > 0)
                    assert_int_equal(dev->hw.log[2].cycle.wait_ms, expect);
            }
        }
    }
}

static void support_of_d1_and_d2_is_that_of_the_claim(void **state)
{
    (void)state;
    pb_le_put(dev->hw.config + E1000E_PM + PCI_PM_PMC, 2, 0xffff); /* XSA-337: it lies */
    assert_int_equal(pb_test_write(dev, PMCSR, 2, 0x2001), 0);
    assert_int_equal(dev->hw.config[PMCSR] & 3, 0);
}

static void pme_status_is_cleared_only_by_a_one(void **state)
{
    (void)state;
    assert_int_equal(pb_le16(dev->hw.config + PMCSR), 0xa000);
    assert_int_equal(pb_test_write(dev, PMCSR, 2, 0x2000), 0);
    assert_int_equal(dev->hw.count, 1); /* nothing to do */
    assert_int_equal(pb_test_write(dev, PMCSR, 2, 0x2e00), 0);
    assert_int_equal(pb_le16(dev->hw.config + PMCSR), 0xae00);
    assert_int_equal(pb_test_write(dev, PMCSR, 1, 0x00), 0);
    assert_int_equal(pb_le16(dev->hw.config + PMCSR), 0xae00);
    assert_int_equal(pb_test_write(dev, PMCSR, 2, 0xae00), 0);
    assert_int_equal(pb_le16(dev->hw.config + PMCSR), 0x2e00);
}

static void pme_enable_is_denied(void **state)
{
    struct pb_access acc = pb_test_run(dev, true, PMCSR, 2, 0x2100);

    (void)state;
    assert_int_equal(acc.err, 0);
    assert_int_equal(acc.denied, PCI_PM_CTRL_PME_ENABLE);
    assert_int_equal(pb_le16(dev->hw.config + PMCSR) & PCI_PM_CTRL_PME_ENABLE, 0);
}

static void permissive_opens_nothing_more_of_pmcsr(void **state)
{
    (void)state;
    memset(dev->hw.rw + PMCSR, 0xff, 2);
    dev->view.permissive = true;
    assert_int_equal(pb_test_run(dev, true, PMCSR, 2, 0x41fc).denied, 0x61fc);
    assert_int_equal(pb_le16(dev->hw.config + PMCSR), 0xa000);
}

static void a_byte_write_can_change_the_state(void **state)
{
    (void)state;
    assert_int_equal(pb_test_write(dev, PMCSR, 1, 3), 0);
    assert_int_equal(pb_le16(dev->hw.config + PMCSR), 0xa003);
    (void)pb_test_expect(&dev->hw, 0, PB_STEP_WRITE, PMCSR, 2, 0x2003);
}

static void H8_registers_lost_in_d3hot_come_back_command_last(void **state)
{
    unsigned woke, n;
    struct pb_access acc;

    (void)state;
    /* the backend set INTX_DISABLE, the guest MASTER and a cache line */
    pb_le_put(dev->hw.config + PCI_COMMAND, 2, 0x0547);
    dev->hw.config[PCI_CACHE_LINE_SIZE] = 0x20;
    assert_int_equal(pb_test_write(dev, PMCSR, 2, 0x2003), 0);
    acc = pb_test_run(dev, true, PMCSR, 2, 0x2000);
    assert_int_equal(acc.err, 0);
    assert_true(acc.restored);
    woke = pb_test_expect(&dev->hw, 0, PB_STEP_WRITE, PMCSR, 2, 0x2000);
    n = pb_test_expect(&dev->hw, 0, PB_STEP_READ, PCI_COMMAND, 2, 0);
    assert_true(n < woke); /* while it is still there */
    assert_int_equal(dev->hw.log[woke + 1].step, PB_STEP_WAIT);
    assert_int_equal(dev->hw.log[woke + 1].cycle.wait_ms, 10);
    assert_memory_equal(dev->hw.config + PCI_BAR0, dev->facts.config + PCI_BAR0, 24);
    assert_int_equal(pb_le32(dev->hw.config + PCI_ROM_ADDRESS), 0xfea00000);
    assert_int_equal(dev->hw.config[PCI_CACHE_LINE_SIZE], 0x10);
    assert_int_equal(dev->hw.config[PCI_INTERRUPT_LINE], 0x0b);
    /* decode as claimed, INTX_DISABLE as it was, MASTER, PARITY and SERR off */
    n = pb_test_expect(&dev->hw, woke, PB_STEP_WRITE, PCI_COMMAND, 2, 0x0403);
    assert_int_equal(n, dev->hw.count - 1);
}

static void H8_what_a_guest_has_only_a_shadow_of_comes_back_too(void **state)
{
    const unsigned devctl = E1000E_EXP + PCI_EXP_DEVCTL, lnkctl = E1000E_EXP + PCI_EXP_LNKCTL;
    struct pb_facts facts;

    (void)state;
    pb_test_e1000e(&facts);
    pb_le_put(facts.config + devctl, 2, 0xa83f); /* payload 256, errors; FLR is never written */
    pb_le_put(facts.config + lnkctl, 2, 0x0043);
    pb_le_put(facts.config + 0x100 + PCI_AER_UNCOR_MASK, 4, 0x00100000);
    pb_le_put(facts.config + 0x100 + PCI_AER_UNCOR_SEVERITY, 4, 0x00462030);
    pb_le_put(facts.config + 0x100 + PCI_AER_COR_MASK, 4, 0x00002000);
    dev = pb_test_device_of(&facts);
    assert_int_equal(pb_test_write(dev, (int32_t)devctl, 2, 0), 0);
    assert_int_equal(pb_test_write(dev, (int32_t)lnkctl, 2, 0), 0);
    assert_int_equal(pb_test_write(dev, 0x100 + PCI_AER_COR_MASK, 4, 0), 0);
    assert_int_equal(pb_test_write(dev, PMCSR, 2, 0x2003), 0);
    assert_true(pb_test_run(dev, true, PMCSR, 2, 0x2000).restored);
    assert_int_equal(dev->hw.count, 17); /* four BARs; no room for Device Control 2 */
    assert_int_equal(dev->hw.log[dev->hw.count - 1].cycle.offset, PCI_COMMAND);
    assert_int_equal(pb_le16(dev->hw.config + devctl), 0x283f);
    assert_int_equal(pb_le16(dev->hw.config + lnkctl), 0x0043);
    assert_int_equal(pb_le32(dev->hw.config + 0x100 + PCI_AER_UNCOR_MASK), 0x00100000);
    assert_int_equal(pb_le32(dev->hw.config + 0x100 + PCI_AER_UNCOR_SEVERITY), 0x00462030);
    assert_int_equal(pb_le32(dev->hw.config + 0x100 + PCI_AER_COR_MASK), 0x00002000);
    /* the guest's shadows are what it wrote */
    assert_int_equal(pb_test_read(dev, (int32_t)lnkctl, 2), 0);
}

static void a_quirk_can_ask_for_a_longer_wait_around_d3hot(void **state)
{
    (void)state;
    dev->map->d3_delay_ms = 120;
    assert_int_equal(pb_test_write(dev, PMCSR, 2, 0x2003), 0);
    assert_int_equal(dev->hw.log[dev->hw.count - 1].cycle.wait_ms, 120);
    assert_int_equal(pb_test_write(dev, PMCSR, 2, 0x2000), 0);
    assert_int_equal(dev->hw.log[3].step, PB_STEP_WAIT);
    assert_int_equal(dev->hw.log[3].cycle.wait_ms, 120);
    dev->map->d3_delay_ms = 0;
    assert_int_equal(pb_test_write(dev, PMCSR, 2, 0x2003), 0);
    assert_int_equal(dev->hw.log[dev->hw.count - 1].cycle.wait_ms, 10);
}

/* The backend wakes a device with the same wait before it unmaps its interrupts (H7). */
static void no_wait_at_all_is_that_of_the_specification(void **state)
{
    const struct pb_traits traits = { .set = { [PB_TRAIT_D3_DELAY] = true }, .d3_delay_ms = 0 };
    struct pb_facts facts;

    (void)state;
    pb_test_e1000e(&facts);
    dev = pb_test_device_with(&facts, &traits, NULL, 0);
    assert_int_equal(dev->map->d3_delay_ms, 10);
}

static void intx_disable_that_was_off_stays_off(void **state)
{
    (void)state;
    pb_le_put(dev->hw.config + PCI_COMMAND, 2, 0x0007);
    assert_int_equal(pb_test_write(dev, PMCSR, 2, 0x2003), 0);
    assert_true(pb_test_run(dev, true, PMCSR, 2, 0x2000).restored);
    assert_int_equal(pb_le16(dev->hw.config + PCI_COMMAND), 0x0003);
}

static void all_six_bars_and_the_rom_fit_the_queue(void **state)
{
    struct pb_facts facts;

    (void)state;
    pb_test_e1000e(&facts);
    for (unsigned at = PCI_BAR0; at < PCI_BAR0 + 4 * PB_PCI_BARS; at += 4)
        pb_le_put(facts.config + at, 4, 0xf0000000 + 0x10000 * at);
    dev = pb_test_device_of(&facts);
    assert_int_equal(pb_test_write(dev, PMCSR, 2, 0x2003), 0);
    assert_true(pb_test_run(dev, true, PMCSR, 2, 0x2000).restored);
    assert_memory_equal(dev->hw.config + PCI_BAR0, facts.config + PCI_BAR0, 24);
}

static void a_failure_on_the_way_is_told_and_not_restored(void **state)
{
    (void)state;
    for (int n = 0;; n++) {
        struct pb_access acc;

        pb_test_device_reset(dev);
        dev->hw.config[PMCSR] = 3;
        dev->hw.fail_after = n;
        acc = pb_test_run(dev, true, PMCSR, 2, 0x2000);
        if (dev->hw.fail_after >= 0)
            break;
        assert_int_equal(acc.err, PB_GUEST_OP_FAILED);
        assert_false(acc.restored);
        assert_int_equal(dev->hw.count, n + 1);
    }
}

static void no_soft_reset_is_what_it_was_at_claim(void **state)
{
    (void)state;
    /* XSA-337: the device says now that it keeps its registers; at claim it did not */
    pb_le_put(dev->hw.config + PMCSR, 2, PCI_PM_CTRL_NO_SOFT_RST | 3);
    assert_true(pb_test_run(dev, true, PMCSR, 2, 0).restored);
}

static void an_absent_device_is_not_taken_for_d3hot(void **state)
{
    (void)state;
    memset(dev->hw.config, 0xff, sizeof(dev->hw.config));
    assert_int_equal(pb_test_write(dev, PMCSR, 2, 0), PB_GUEST_OP_FAILED);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
}

/* ---- VPD ---------------------------------------------------------------------------------------
 */

static void vpd_is_read_but_never_written(void **state)
{
    (void)state;
    assert_int_equal(pb_test_write(dev, VPD + PCI_VPD_ADDR, 2, 0x0104), 0);
    assert_int_equal(dev->hw.count, 1);
    (void)pb_test_expect(&dev->hw, 0, PB_STEP_WRITE, VPD + PCI_VPD_ADDR, 2, 0x0104);
    assert_int_equal(pb_test_write(dev, VPD + PCI_VPD_ADDR, 2, 0x8104), PB_GUEST_ACCESS_DENIED);
    assert_int_equal(pb_test_write(dev, VPD + PCI_VPD_ADDR + 1, 1, 0x80), PB_GUEST_ACCESS_DENIED);
    assert_int_equal(pb_test_write(dev, VPD, 4, 0x80000000), PB_GUEST_ACCESS_DENIED);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
    assert_int_equal(pb_test_write(dev, VPD + PCI_VPD_DATA, 4, 0x12345678), 0);
    assert_int_equal(dev->hw.count, 0);
}

static void H13_a_partial_vpd_address_never_carries_f(void **state)
{
    (void)state;
    pb_le_put(dev->hw.config + VPD + PCI_VPD_ADDR, 2, 0x8104); /* an earlier read is done */
    assert_int_equal(pb_test_write(dev, VPD + PCI_VPD_ADDR, 1, 0x08), 0);
    (void)pb_test_expect(&dev->hw, 0, PB_STEP_WRITE, VPD + PCI_VPD_ADDR, 2, 0x0108);
}

static void vpd_addresses_from_its_end_on_are_refused(void **state)
{
    static const struct {
        uint16_t end;
        uint32_t address;
        int err;
    } rows[] = {
        { 0, 0x7fff, 0 },      { 0x100, 0x00fc, 0 },   { 0x100, 0x0100, PB_GUEST_ACCESS_DENIED },
        { 0x100, 0x00fa, 0 },  { 0x80, 0x007e, -3 },   { 0x100, 0x7fff, PB_GUEST_ACCESS_DENIED },
        { 1, 0x0000, 0 },      { 1, 0x0001, -3 },      { 1, 0x0004, PB_GUEST_ACCESS_DENIED },
        { 0x7fff, 0x7ffc, 0 }, { 0x7fff, 0x7ffd, -3 }, { 0x100, 0x0200, PB_GUEST_ACCESS_DENIED },
    };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(rows); i++) {
        dev->map->vpd_end = rows[i].end;
        assert_int_equal(pb_test_write(dev, VPD + PCI_VPD_ADDR, 2, rows[i].address), rows[i].err);
        assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), rows[i].err == 0);
        assert_int_equal(pb_test_run(dev, true, VPD, 4, rows[i].address << 16).err, rows[i].err);
        assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), rows[i].err == 0);
    }
    /* nor in two steps of a byte */
    dev->map->vpd_end = 0x100;
    assert_int_equal(pb_test_write(dev, VPD + PCI_VPD_ADDR, 2, 0x0080), 0);
    assert_int_equal(pb_test_write(dev, VPD + PCI_VPD_ADDR + 1, 1, 0x01), PB_GUEST_ACCESS_DENIED);
    assert_int_equal(pb_le16(dev->hw.config + VPD + PCI_VPD_ADDR), 0x0080);
}

static void vpd_stays_read_only_under_permissive(void **state)
{
    (void)state;
    dev->view.permissive = true;
    assert_int_equal(pb_test_write(dev, VPD + PCI_VPD_DATA, 4, 0x12345678), 0);
    assert_int_equal(dev->hw.count, 0);
    assert_int_equal(pb_test_write(dev, VPD + PCI_VPD_ADDR, 2, 0x8104), PB_GUEST_ACCESS_DENIED);
}

/* ---- MSI and MSI-X control ---------------------------------------------------------------------
 */

static void an_unchanged_interrupt_control_succeeds(void **state)
{
    (void)state;
    pb_le_put(dev->hw.config + E1000E_MSIX + 2, 2, 0x8004);
    for (unsigned permissive = 0; permissive < 2; permissive++) {
        dev->view.permissive = permissive;
        assert_int_equal(pb_test_write(dev, E1000E_MSI + 2, 2, 0x0080), 0);
        assert_int_equal(pb_test_write(dev, E1000E_MSIX + 2, 2, 0x8004), 0);
        assert_int_equal(pb_test_write(dev, E1000E_MSIX, 4, 0x80040011), 0);
        assert_int_equal(pb_test_write(dev, E1000E_MSIX + 3, 1, 0x80), 0);
        assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
    }
}

static void a_changed_interrupt_control_is_refused(void **state)
{
    (void)state;
    for (unsigned permissive = 0; permissive < 2; permissive++) {
        dev->view.permissive = permissive;
        for (unsigned bit = 0; bit < 16; bit++) {
            struct pb_access acc = pb_test_run(dev, true, E1000E_MSI + 2, 2, 0x0080U ^ 1U << bit);

            assert_int_equal(acc.err, PB_GUEST_ACCESS_DENIED);
            assert_int_equal(acc.denied, 0);
            assert_int_equal(pb_test_write(dev, E1000E_MSIX + 2, 2, 0x0004U ^ 1U << bit),
                             PB_GUEST_ACCESS_DENIED);
            assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
        }
    }
}

static void interrupt_control_opens_the_enable_bits_alone(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 16; bit++) {
        pb_test_device_reset(dev);
        dev->view.allow_interrupt_control = true;
        assert_int_equal(pb_test_write(dev, E1000E_MSI + 2, 2, 0x0080U ^ 1U << bit),
                         bit == 0 ? 0 : PB_GUEST_ACCESS_DENIED);
        pb_test_device_reset(dev);
        dev->view.allow_interrupt_control = true;
        assert_int_equal(pb_test_write(dev, E1000E_MSIX + 2, 2, 0x0004U ^ 1U << bit),
                         bit >= 14 ? 0 : PB_GUEST_ACCESS_DENIED);
    }
}

static void H21_the_interrupt_control_of_an_absent_device_is_not_written(void **state)
{
    (void)state;
    dev->view.allow_interrupt_control = true;
    pb_le_put(dev->hw.config + E1000E_MSI + 2, 2, 0xffff);
    pb_le_put(dev->hw.config + E1000E_MSIX + 2, 2, 0xffff);
    assert_int_equal(pb_test_write(dev, E1000E_MSI + 2, 2, 0xfffe), PB_GUEST_OP_FAILED);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
    assert_int_equal(pb_test_write(dev, E1000E_MSIX + 2, 2, 0x7fff), PB_GUEST_OP_FAILED);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
}

static void one_kind_of_interrupt_at_a_time(void **state)
{
    (void)state;
    dev->view.allow_interrupt_control = true;
    assert_int_equal(pb_test_write(dev, E1000E_MSI + 2, 2, 0x0081), 0);
    assert_int_equal(pb_test_write(dev, E1000E_MSIX + 2, 2, 0x8004), PB_GUEST_ACCESS_DENIED);
    assert_int_equal(pb_le16(dev->hw.config + E1000E_MSIX + 2), 0x0004);
    assert_int_equal(pb_test_write(dev, E1000E_MSIX + 2, 2, 0x4004), 0); /* masking is no use */
    assert_int_equal(pb_test_write(dev, E1000E_MSI + 2, 2, 0x0080), 0);
    assert_int_equal(pb_test_write(dev, E1000E_MSIX + 2, 2, 0x8004), 0);
    assert_int_equal(pb_test_write(dev, E1000E_MSI + 2, 2, 0x0081), PB_GUEST_ACCESS_DENIED);
    assert_int_equal(pb_test_write(dev, E1000E_MSIX + 2, 2, 0x0004), 0); /* off: always */
}

static void H13_msix_control_is_written_as_one_word(void **state)
{
    static const struct {
        int32_t offset, size;
        uint32_t value;
    } writes[] = { { E1000E_MSIX + 2, 2, 0xc004 },
                   { E1000E_MSIX + 3, 1, 0xc0 },
                   { E1000E_MSIX, 4, 0xc0040011 } };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(writes); i++) {
        pb_test_device_reset(dev);
        dev->view.allow_interrupt_control = true;
        assert_int_equal(pb_test_write(dev, writes[i].offset, writes[i].size, writes[i].value), 0);
        assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 1);
        (void)pb_test_expect(&dev->hw, 0, PB_STEP_WRITE, E1000E_MSIX + 2, 2, 0xc004);
        assert_int_equal(dev->hw.discarded, 0);
    }
}

/* The guest sees 2 of 5 vectors of MSI-X, and may choose how many messages of MSI it wants. */
static void shrink(void)
{
    const struct pb_rule rules[] = {
        { .offset = E1000E_MSIX + 2, .size = 2, .fixed = PCI_MSIX_FLAGS_QSIZE, .value = 1 },
        { .offset = E1000E_MSI + 2, .size = 2, .virt = PCI_MSI_FLAGS_QSIZE },
    };
    size_t bad;

    assert_int_equal(pb_map_apply(dev->map, rules, PB_ARRAY_SIZE(rules), &bad), 0);
    pb_test_device_reset(dev);
}

static void a_table_that_is_shown_smaller_can_be_written_back(void **state)
{
    (void)state;
    shrink();
    for (unsigned enabled = 0; enabled < 2; enabled++) {
        uint32_t hw = enabled ? 0x8004 : 0x0004, seen = enabled ? 0x8001 : 0x0001;
        struct pb_access acc;

        pb_le_put(dev->hw.config + E1000E_MSIX + 2, 2, hw);
        assert_int_equal(pb_test_read(dev, E1000E_MSIX + 2, 2), seen);
        for (int32_t size = 1; size <= 4; size *= 2) {
            for (int32_t at = E1000E_MSIX; at < E1000E_MSIX + 4; at += size) {
                acc = pb_test_run(dev, true, at, size, pb_test_read(dev, at, size));
                assert_int_equal(acc.err, 0);
                assert_int_equal(acc.denied, 0);
                assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
            }
        }
        /* a larger table is no change of hardware, and not the guest's to have */
        acc = pb_test_run(dev, true, E1000E_MSIX + 2, 2, seen ^ 0x0005);
        assert_int_equal(acc.err, 0);
        assert_int_equal(acc.denied, 0x0005);
        assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
        assert_int_equal(pb_test_write(dev, E1000E_MSIX + 2, 2, seen ^ 0x8000),
                         PB_GUEST_ACCESS_DENIED);
    }
}

static void the_size_of_a_shrunk_table_never_reaches_hardware(void **state)
{
    (void)state;
    shrink();
    dev->view.allow_interrupt_control = true;
    assert_int_equal(pb_test_write(dev, E1000E_MSIX + 2, 2, 0xc001), 0);
    (void)pb_test_expect(&dev->hw, 0, PB_STEP_WRITE, E1000E_MSIX + 2, 2, 0xc004);
    assert_int_equal(pb_test_write(dev, E1000E_MSIX + 2, 2, 0x0001), 0);
    /* a shadow in MSI control is the guest's, the rest is not */
    assert_int_equal(pb_test_write(dev, E1000E_MSI + 2, 2, 0x00a1), 0);
    (void)pb_test_expect(&dev->hw, 0, PB_STEP_WRITE, E1000E_MSI + 2, 2, 0x0081);
    assert_int_equal(pb_test_read(dev, E1000E_MSI + 2, 2), 0x00a1);
}

/* ---- shared with a plugin ----------------------------------------------------------------------
 */

static void an_effect_sees_only_the_bits_that_are_its(void **state)
{
    (void)state;
    /* a BAR of which nothing is ours stays sized; of which a half is, is not sized by it */
    assert_int_equal(pb_test_write(dev, 0x10, 4, ~0U), 0);
    (void)pb_test_run_mine(dev, 0x10, 4, 0, 0, 0);
    assert_int_equal(pb_test_read(dev, 0x10, 4), 0xfffe0000);
    assert_int_equal(pb_test_write(dev, 0x10, 4, 0), 0);
    (void)pb_test_run_mine(dev, 0x10, 4, ~0U, 0xffff, 0);
    assert_int_equal(pb_test_read(dev, 0x10, 4), 0xfebc0000);
    /* a self test that a plugin has taken is not started, a power state not entered */
    (void)pb_test_run_mine(dev, PCI_BIST, 1, PCI_BIST_START, 0xbf, 0);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
    dev->hw.config[PCI_BIST] = PCI_BIST_CAPABLE;
    (void)pb_test_run_mine(dev, PCI_BIST, 1, PCI_BIST_START, PCI_BIST_START, 0);
    (void)pb_test_expect(&dev->hw, 0, PB_STEP_WRITE, PCI_BIST, 1,
                         PCI_BIST_START | PCI_BIST_CAPABLE);
    (void)pb_test_run_mine(dev, PMCSR, 2, 0x0003, 0xfffc, 0);
    assert_int_equal(dev->hw.config[PMCSR] & 3, 0);
    /* nor is the enabling of an interrupt ours to refuse */
    assert_int_equal(pb_test_run_mine(dev, E1000E_MSIX + 2, 2, 0x8004, 0x7fff, 0).err, 0);
    assert_int_equal(pb_test_run_mine(dev, E1000E_MSIX + 2, 2, 0x8004, 0x8000, 0).err,
                     PB_GUEST_ACCESS_DENIED);
}

static void intx_disable_is_a_shadow(void **state)
{
    (void)state;
    pb_le_put(dev->hw.config + PCI_COMMAND, 2, 0x0003);
    assert_int_equal(pb_test_write(dev, PCI_COMMAND, 2, 0x0407), 0);
    assert_int_equal(pb_le16(dev->hw.config + PCI_COMMAND), 0x0007);
    assert_int_equal(pb_test_read(dev, PCI_COMMAND, 2), 0x0407);
}

static void interrupt_control_passes_changes_of_intx_disable(void **state)
{
    (void)state;
    dev->view.allow_interrupt_control = true;
    /* hardware has it set; the guest's shadow is 0 and stays 0: hardware keeps it */
    assert_int_equal(pb_test_write(dev, PCI_COMMAND, 2, 0x0007), 0);
    assert_int_equal(pb_le16(dev->hw.config + PCI_COMMAND), 0x0407);
    assert_int_equal(pb_test_write(dev, PCI_COMMAND, 2, 0x0407), 0);
    assert_int_equal(pb_le16(dev->hw.config + PCI_COMMAND), 0x0407);
    assert_int_equal(pb_test_write(dev, PCI_COMMAND + 1, 1, 0x00), 0);
    assert_int_equal(pb_le16(dev->hw.config + PCI_COMMAND), 0x0007);
    assert_int_equal(pb_test_read(dev, PCI_COMMAND, 2), 0x0007);
}

#define ON(device, test) cmocka_unit_test_setup_teardown(test, device, teardown)

/* ---- what a quirk has closed -------------------------------------------------------------------
 */

static void close_bits(unsigned offset, unsigned size, uint32_t virt, uint32_t fixed, uint32_t hw)
{
    const struct pb_rule rule = {
        .offset = (uint16_t)offset, .size = (uint8_t)size, .virt = virt, .fixed = fixed, .hw = hw
    };
    size_t bad;

    assert_int_equal(pb_map_apply(dev->map, &rule, 1, &bad), 0);
}

static void a_self_test_that_a_quirk_closes_is_not_started(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        close_bits(PCI_BIST, 1, i ? 0x40 : 0, i ? 0 : 0x40, 0);
        assert_int_equal(pb_test_write(dev, PCI_BIST, 1, 0x40), 0);
        assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
    }
    assert_int_equal(pb_test_read(dev, PCI_BIST, 1), 0x40); /* the shadow */
}

static void power_states_that_a_quirk_closes_are_not_entered(void **state)
{
    (void)state;
    close_bits(PMCSR, 2, 0, PCI_PM_CTRL_STATE, 0);
    assert_int_equal(pb_test_run(dev, true, PMCSR, 2, 0x2003).denied, PCI_PM_CTRL_STATE);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
    close_bits(PMCSR, 2, PCI_PM_CTRL_STATE, 0, 0);
    assert_int_equal(pb_test_run(dev, true, PMCSR, 2, 0x2003).denied, 0);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
    assert_int_equal(pb_test_read(dev, PMCSR, 2) & PCI_PM_CTRL_STATE, PCI_PM_D3HOT);
    /* the other bits are what they were */
    dev->hw.config[PMCSR + 1] |= 0x80;
    assert_int_equal(pb_test_write(dev, PMCSR, 2, 0xa003), 0);
    assert_int_equal(pb_le16(dev->hw.config + PMCSR) & PCI_PM_CTRL_PME_STATUS, 0);
    assert_int_equal(pb_le16(dev->hw.config + PMCSR) & PCI_PM_CTRL_STATE, PCI_PM_D0);
}

static void vpd_that_a_quirk_closes_is_not_read(void **state)
{
    const uint32_t closed[3][3] = { { PCI_VPD_ADDR_MASK, 0, 0 },
                                    { 0, PCI_VPD_ADDR_MASK, 0 },
                                    { 0, 0, PCI_VPD_ADDR_MASK } };

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        close_bits(VPD + PCI_VPD_ADDR, 2, closed[i][0], closed[i][1], closed[i][2]);
        assert_int_equal(pb_test_write(dev, VPD + PCI_VPD_ADDR, 2, 0x0104), 0);
        assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
    }
}

/* Its registers would lie behind the end of configuration space. */
static void H8_an_aer_capability_that_the_end_cuts_is_not_restored(void **state)
{
    struct pb_facts facts;

    (void)state;
    pb_test_e1000e(&facts);
    pb_le_put(facts.config + 0x100, 4, 0xffc10003);
    pb_le_put(facts.config + 0xffc, 4, 0x00010001);
    dev = pb_test_device_of(&facts);
    assert_int_equal(pb_test_write(dev, PMCSR, 2, 0x2003), 0);
    assert_true(pb_test_run(dev, true, PMCSR, 2, 0x2000).restored);
    for (unsigned i = 0; i < dev->hw.count; i++)
        assert_in_range(dev->hw.log[i].cycle.offset, 0, 0xff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(e1000e, bars_are_sized_without_hardware),
        ON(vf, both_halves_of_a_64_bit_bar_are_sized),
        ON(e1000e, a_bar_cannot_be_moved),
        ON(e1000e, partial_bar_writes_merge_with_what_the_guest_sees),
        ON(NULL, rom_enable_is_as_in_the_image),
        ON(e1000e, bist_takes_a_start_and_nothing_else),
        ON(NULL, every_transition_is_decided_as_the_table_says),
        ON(e1000e, support_of_d1_and_d2_is_that_of_the_claim),
        ON(e1000e, pme_status_is_cleared_only_by_a_one),
        ON(e1000e, pme_enable_is_denied),
        ON(e1000e, permissive_opens_nothing_more_of_pmcsr),
        ON(e1000e, a_byte_write_can_change_the_state),
        ON(e1000e, H8_registers_lost_in_d3hot_come_back_command_last),
        ON(NULL, H8_what_a_guest_has_only_a_shadow_of_comes_back_too),
        ON(e1000e, a_quirk_can_ask_for_a_longer_wait_around_d3hot),
        ON(NULL, no_wait_at_all_is_that_of_the_specification),
        ON(e1000e, intx_disable_that_was_off_stays_off),
        ON(NULL, all_six_bars_and_the_rom_fit_the_queue),
        ON(e1000e, a_failure_on_the_way_is_told_and_not_restored),
        ON(e1000e, no_soft_reset_is_what_it_was_at_claim),
        ON(e1000e, an_absent_device_is_not_taken_for_d3hot),
        ON(with_vpd, vpd_is_read_but_never_written),
        ON(with_vpd, H13_a_partial_vpd_address_never_carries_f),
        ON(with_vpd, vpd_addresses_from_its_end_on_are_refused),
        ON(with_vpd, vpd_stays_read_only_under_permissive),
        ON(e1000e, an_unchanged_interrupt_control_succeeds),
        ON(e1000e, a_changed_interrupt_control_is_refused),
        ON(e1000e, interrupt_control_opens_the_enable_bits_alone),
        ON(e1000e, H21_the_interrupt_control_of_an_absent_device_is_not_written),
        ON(e1000e, one_kind_of_interrupt_at_a_time),
        ON(e1000e, H13_msix_control_is_written_as_one_word),
        ON(e1000e, a_table_that_is_shown_smaller_can_be_written_back),
        ON(e1000e, the_size_of_a_shrunk_table_never_reaches_hardware),
        ON(e1000e, an_effect_sees_only_the_bits_that_are_its),
        ON(e1000e, a_self_test_that_a_quirk_closes_is_not_started),
        ON(e1000e, power_states_that_a_quirk_closes_are_not_entered),
        ON(with_vpd, vpd_that_a_quirk_closes_is_not_read),
        ON(NULL, H8_an_aer_capability_that_the_end_cuts_is_not_restored),
        ON(e1000e, intx_disable_is_a_shadow),
        ON(e1000e, interrupt_control_passes_changes_of_intx_disable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
