/* SPDX-License-Identifier: MIT */
/*
 * What Linux's xen-pciback (drivers/xen/xen-pciback/conf_space*.c) does with capabilities and
 * quirks, one test a row. Where we differ on purpose the test is called deviation_*, and
 * ARCHITECTURE.md says why.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "parity.h"
#include "pci/regs.h"

/* ---- capabilities ------------------------------------------------------------------------------
 */

static void ids_and_next_pointers_are_read_only_even_when_permissive(void **state)
{
    static const struct {
        unsigned at;
        uint32_t header;
    } caps[] = { { AF, 0x6013 },         { VPD, 0xc803 },        { E1000E_PM, 0xd001 },
                 { E1000E_MSI, 0xe005 }, { E1000E_EXP, 0xa010 }, { E1000E_MSIX, 0x0011 } };

    (void)state;
    dev->view.permissive = true;
    for (size_t i = 0; i < PB_ARRAY_SIZE(caps); i++) {
        assert_int_equal(read_as_guest(caps[i].at, 2), caps[i].header);
        check_dropped(caps[i].at, 2);
    }
}

static void vpd_may_be_read_not_written(void **state)
{
    (void)state;
    assert_int_equal(write_as_guest(VPD + PCI_VPD_ADDR, 2, 0x0124), PB_GUEST_OK);
    assert_int_equal(hw(VPD + PCI_VPD_ADDR, 2), 0x0124);
    assert_int_equal(write_as_guest(VPD + PCI_VPD_ADDR, 2, 0x8124), PB_GUEST_ACCESS_DENIED);
    assert_int_equal(hw(VPD + PCI_VPD_ADDR, 2), 0x0124);
    check_live(VPD + PCI_VPD_ADDR, 2, 0xffff);
    check_live(VPD + PCI_VPD_DATA, 4, UINT32_MAX);
    check_dropped(VPD + PCI_VPD_DATA, 4);
}

static void permissive_opens_no_part_of_vpd_writes(void **state)
{
    (void)state;
    dev->view.permissive = true;
    assert_int_equal(write_as_guest(VPD + PCI_VPD_ADDR, 2, 0x8000), PB_GUEST_ACCESS_DENIED);
    check_dropped(VPD + PCI_VPD_DATA, 4);
}

static void pmc_hides_pme_and_swallows(void **state)
{
    (void)state;
    assert_int_equal(pb_le16(facts.config + E1000E_PM + PCI_PM_PMC), 0xc822);
    assert_int_equal(read_as_guest(E1000E_PM + PCI_PM_PMC, 2), 0x0022);
    check_dropped(E1000E_PM + PCI_PM_PMC, 2);
    check_live(E1000E_PM + PCI_PM_BRIDGE, 1, 0xff);
    check_live(E1000E_PM + PCI_PM_DATA, 1, 0xff);
    check_dropped(E1000E_PM + PCI_PM_BRIDGE, 1);
    check_dropped(E1000E_PM + PCI_PM_DATA, 1);
}

static void pmcsr_has_data_select_and_pme_status_for_the_guest(void **state)
{
    const unsigned at = E1000E_PM + PCI_PM_CTRL;

    (void)state;
    assert_int_equal(write_as_guest(at, 2, 0x1e00), PB_GUEST_OK);
    assert_int_equal(hw(at, 2) & 0x9e00, 0x9e00); /* PME_Status stays: nobody cleared it */
    assert_int_equal(write_as_guest(at, 2, 0x8000), PB_GUEST_OK);
    assert_int_equal(hw(at, 2) & 0x9e00, 0);
}

static void pmcsr_never_enables_pme(void **state)
{
    const unsigned at = E1000E_PM + PCI_PM_CTRL;

    (void)state;
    dev->hw.rw[at + 1] |= 1;
    dev->view.permissive = true;
    assert_int_equal(write_as_guest(at, 2, PCI_PM_CTRL_PME_ENABLE | 0x0200), PB_GUEST_OK);
    assert_int_equal(hw(at, 2) & PCI_PM_CTRL_PME_ENABLE, 0);
    assert_int_equal(read_as_guest(at, 2) & PCI_PM_CTRL_PME_ENABLE, 0);
}

static void deviation_a_narrow_write_of_pmcsr_does_not_clear_pme_status(void **state)
{
    const unsigned at = E1000E_PM + PCI_PM_CTRL;

    (void)state;
    assert_int_equal(hw(at, 2) & PCI_PM_CTRL_PME_STATUS, PCI_PM_CTRL_PME_STATUS);
    assert_int_equal(write_as_guest(at, 1, 3),
                     PB_GUEST_OK); /* the kernel writes the other byte as read */
    assert_int_equal(hw(at, 2) & PCI_PM_CTRL_PME_STATUS, PCI_PM_CTRL_PME_STATUS);
    assert_int_equal(hw(at, 2) & 3, 3);
}

static void power_states_have_their_delays(void **state)
{
    const unsigned at = E1000E_PM + PCI_PM_CTRL;
    unsigned n;

    (void)state;
    assert_int_equal(write_as_guest(at, 2, 3), PB_GUEST_OK);
    n = pb_test_expect(&dev->hw, 0, PB_STEP_WRITE, at, 2, 0x2003);
    assert_int_equal(dev->hw.log[n + 1].step, PB_STEP_WAIT);
    assert_int_equal(dev->hw.log[n + 1].cycle.wait_ms, 10);
    assert_int_equal(write_as_guest(at, 2, 3), PB_GUEST_OK); /* there already */
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WAIT), 0);
}

static void unsupported_power_states_are_ignored(void **state)
{
    const unsigned at = E1000E_PM + PCI_PM_CTRL;

    (void)state;
    for (uint32_t wanted = 1; wanted <= 2; wanted++) {
        assert_int_equal(write_as_guest(at, 2, wanted), PB_GUEST_OK);
        assert_int_equal(hw(at, 2) & 3, 0);
    }
}

static void waking_to_anything_but_D0_is_refused(void **state)
{
    const unsigned at = E1000E_PM + PCI_PM_CTRL;

    (void)state;
    facts.config[E1000E_PM + PCI_PM_PMC + 1] |= 0x06; /* D1 and D2 */
    renew();
    assert_int_equal(write_as_guest(at, 2, 2), PB_GUEST_OK);
    assert_int_equal(write_as_guest(at, 2, 1), PB_GUEST_ACCESS_DENIED);
    assert_int_equal(hw(at, 2) & 3, 2);
    assert_int_equal(write_as_guest(at, 2, 0), PB_GUEST_OK);
    assert_int_equal(hw(at, 2) & 3, 0);
}

static void waking_from_D3hot_restores_the_bars(void **state)
{
    const unsigned at = E1000E_PM + PCI_PM_CTRL;

    (void)state;
    assert_int_equal(write_as_guest(at, 2, 3), PB_GUEST_OK);
    assert_int_equal(write_as_guest(at, 2, 0), PB_GUEST_OK);
    assert_memory_equal(dev->hw.config + PCI_BAR0, facts.config + PCI_BAR0, 24);
    assert_int_equal(hw(PCI_ROM_ADDRESS, 4), 0xfea00000);
}

static void deviation_waking_restores_what_is_shadowed_too(void **state)
{
    const unsigned at = E1000E_PM + PCI_PM_CTRL, devctl = E1000E_EXP + PCI_EXP_DEVCTL;

    (void)state;
    assert_int_equal(write_as_guest(at, 2, 3), PB_GUEST_OK);
    set_hw(devctl, 2, 0); /* as it will be after D3hot */
    assert_int_equal(write_as_guest(at, 2, 0), PB_GUEST_OK);
    assert_int_equal(hw(devctl, 2), 0x2810);
}

/* ---- interrupts --------------------------------------------------------------------------------
 */

#define MSI_FLAGS  (E1000E_MSI + PCI_MSI_FLAGS)
#define MSIX_FLAGS (E1000E_MSIX + PCI_MSIX_FLAGS)

static void interrupt_control_may_be_written_back_not_changed(void **state)
{
    static const unsigned at[] = { MSI_FLAGS, MSIX_FLAGS };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(at); i++) {
        uint32_t now = read_as_guest(at[i], 2);

        assert_int_equal(write_as_guest(at[i], 2, now), PB_GUEST_OK);
        assert_int_equal(written(), 0);
        for (unsigned bit = 0; bit < 16; bit++) {
            assert_int_equal(write_as_guest(at[i], 2, now ^ 1U << bit), PB_GUEST_ACCESS_DENIED);
            assert_int_equal(hw(at[i], 2), now);
        }
    }
}

static void allowed_interrupt_control_changes_the_enable_bits_alone(void **state)
{
    (void)state;
    dev->view.allow_interrupt_control = true;
    for (unsigned bit = 0; bit < 16; bit++) {
        bool msi = 0x0001U >> bit & 1, msix = 0xc000U >> bit & 1;

        pb_test_device_reset(dev);
        dev->view.allow_interrupt_control = true;
        assert_int_equal(write_as_guest(MSI_FLAGS, 2, 0x0080U ^ 1U << bit),
                         msi ? PB_GUEST_OK : PB_GUEST_ACCESS_DENIED);
        pb_test_device_reset(dev);
        dev->view.allow_interrupt_control = true;
        assert_int_equal(write_as_guest(MSIX_FLAGS, 2, 0x0004U ^ 1U << bit),
                         msix ? PB_GUEST_OK : PB_GUEST_ACCESS_DENIED);
    }
}

static void one_kind_of_interrupt_at_a_time(void **state)
{
    (void)state;
    dev->view.allow_interrupt_control = true;
    set_hw(PCI_COMMAND, 2, 0x0003); /* INTx is on: that does not count */
    assert_int_equal(write_as_guest(MSI_FLAGS, 2, 0x0081), PB_GUEST_OK);
    assert_int_equal(write_as_guest(MSIX_FLAGS, 2, 0x8004), PB_GUEST_ACCESS_DENIED);
    assert_int_equal(write_as_guest(MSI_FLAGS, 2, 0x0081), PB_GUEST_OK); /* its own */
    assert_int_equal(write_as_guest(MSI_FLAGS, 2, 0x0080), PB_GUEST_OK); /* off: always */
    assert_int_equal(write_as_guest(MSIX_FLAGS, 2, 0x8004), PB_GUEST_OK);
    assert_int_equal(write_as_guest(MSI_FLAGS, 2, 0x0081), PB_GUEST_ACCESS_DENIED);
}

static void deviation_permissive_does_not_open_interrupt_control(void **state)
{
    (void)state;
    dev->view.permissive = true;
    assert_int_equal(write_as_guest(MSI_FLAGS, 2, 0x0081), PB_GUEST_ACCESS_DENIED);
    assert_int_equal(write_as_guest(MSIX_FLAGS, 2, 0x8004), PB_GUEST_ACCESS_DENIED);
}

static void deviation_messages_read_zero_and_stay_closed_to_permissive(void **state)
{
    (void)state;
    for (unsigned at = E1000E_MSI + PCI_MSI_BODY; at < E1000E_MSI + 16; at += 4) {
        set_hw(at, 4, 0xfee00278);
        assert_int_equal(read_as_guest(at, 4), 0);
        check_dropped(at, 4);
        dev->view.permissive = true;
        check_dropped(at, 4);
        dev->view.permissive = false;
    }
}

static void msix_table_and_pba_are_read_only(void **state)
{
    (void)state;
    assert_int_equal(read_as_guest(E1000E_MSIX + PCI_MSIX_TABLE, 4), 3);
    assert_int_equal(read_as_guest(E1000E_MSIX + PCI_MSIX_PBA, 4), 0x2003);
    check_dropped(E1000E_MSIX + PCI_MSIX_TABLE, 4);
    check_dropped(E1000E_MSIX + PCI_MSIX_PBA, 4);
}

static void msix_control_is_written_as_a_word(void **state)
{
    (void)state;
    dev->view.allow_interrupt_control = true;
    assert_int_equal(write_as_guest(MSIX_FLAGS + 1, 1, 0xc0), PB_GUEST_OK);
    (void)pb_test_expect(&dev->hw, 0, PB_STEP_WRITE, MSIX_FLAGS, 2, 0xc004);
    assert_int_equal(dev->hw.discarded, 0);
}

/* ---- other capabilities ------------------------------------------------------------------------
 */

static void capabilities_without_rules_are_live_and_dropped(void **state)
{
    (void)state;
    facts.config[AF] = 0x09;
    renew();
    check_live(AF + 2, 2, 0xffff);
    check_dropped(AF + 4, 4);
    dev->view.permissive = true;
    assert_int_equal(write_as_guest(AF + 4, 4, 0x12345678), PB_GUEST_OK);
    assert_int_equal(hw(AF + 4, 4), 0x12345678);
}

static void deviation_express_controls_are_shadows(void **state)
{
    static const uint8_t at[] = { PCI_EXP_LNKCTL, PCI_EXP_SLTCTL, PCI_EXP_RTCTL };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(at); i++) {
        assert_int_equal(pb_test_run(dev, true, E1000E_EXP + at[i], 2, 0xabcd).denied, 0);
        assert_int_equal(read_as_guest(E1000E_EXP + at[i], 2), 0xabcd);
        assert_int_equal(written(), 0);
    }
}

static void deviation_two_bits_of_device_control_are_real(void **state)
{
    (void)state;
    assert_int_equal(write_as_guest(E1000E_EXP + PCI_EXP_DEVCTL, 2, 0x2000), PB_GUEST_OK);
    assert_int_equal(hw(E1000E_EXP + PCI_EXP_DEVCTL, 2), 0x2000);
}

static void deviation_status_registers_are_closed_to_permissive(void **state)
{
    static const unsigned at[] = { E1000E_EXP + PCI_EXP_DEVSTA, E1000E_EXP + PCI_EXP_LNKSTA,
                                   0x100 + PCI_AER_COR_STATUS, 0x100 + PCI_AER_UNCOR_STATUS };

    (void)state;
    dev->view.permissive = true;
    for (size_t i = 0; i < PB_ARRAY_SIZE(at); i++) {
        check_dropped(at[i], 2);
        assert_int_equal(pb_test_run(dev, true, (int32_t)at[i], 2, 0xffff).denied, 0);
    }
}

static void deviation_an_flr_is_managed(void **state)
{
    (void)state;
    facts.config[AF + PCI_AF_CAP] = PCI_AF_CAP_FLR;
    (void)strcpy(facts.reset_methods, "af_flr");
    renew();
    assert_int_equal(write_as_guest(AF + PCI_AF_CTRL, 1, PCI_AF_CTRL_FLR), PB_GUEST_OK);
    assert_int_equal(written(), 0);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_RESET), 1);
}

static void deviation_dangerous_extended_capabilities_are_not_there(void **state)
{
    (void)state;
    pb_le_put(facts.config + 0x140, 4, 0x15010003);
    pb_le_put(facts.config + 0x150, 4, 0x00010010); /* SR-IOV */
    renew();
    assert_int_equal(read_as_guest(0x140, 4), 0x00010003);
    assert_int_equal(read_as_guest(0x150, 4), 0);
}

static void extended_space_is_live_and_dropped(void **state)
{
    (void)state;
    check_live(0x144, 4, UINT32_MAX); /* a serial number */
    check_dropped(0x144, 4);
    check_live(0xffc, 4, UINT32_MAX);
}

/* ---- quirk fields ------------------------------------------------------------------------------
 */

static void a_quirk_opens_a_field_raw(void **state)
{
    const struct pb_rule field = { .offset = 0x44, .size = 2, .write = 0xffff };
    size_t bad;

    (void)state;
    assert_int_equal(pb_map_apply(dev->map, &field, 1, &bad), 0);
    assert_int_equal(write_as_guest(0x44, 2, 0x1234), PB_GUEST_OK);
    (void)pb_test_expect(&dev->hw, 0, PB_STEP_WRITE, 0x44, 2, 0x1234);
    check_live(0x44, 2, 0xffff);
}

static void deviation_a_quirks_mask_counts(void **state)
{
    const struct pb_rule field = { .offset = 0x44, .size = 2, .write = 0x00f0 };
    size_t bad;

    (void)state;
    assert_int_equal(pb_map_apply(dev->map, &field, 1, &bad), 0);
    set_hw(0x44, 2, 0x1111);
    assert_int_equal(write_as_guest(0x44, 2, 0xffff), PB_GUEST_OK);
    assert_int_equal(hw(0x44, 2), 0x11f1);
}

static void deviation_a_quirk_replaces_the_baseline(void **state)
{
    const struct pb_rule field = { .offset = PCI_LATENCY_TIMER, .size = 1, .write = 0xff };
    size_t bad;

    (void)state;
    assert_int_equal(pb_map_apply(dev->map, &field, 1, &bad), 0);
    assert_int_equal(write_as_guest(PCI_LATENCY_TIMER, 1, 0x40), PB_GUEST_OK);
    assert_int_equal(hw(PCI_LATENCY_TIMER, 1), 0x40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(ids_and_next_pointers_are_read_only_even_when_permissive),
        ROW(vpd_may_be_read_not_written),
        ROW(permissive_opens_no_part_of_vpd_writes),
        ROW(pmc_hides_pme_and_swallows),
        ROW(pmcsr_has_data_select_and_pme_status_for_the_guest),
        ROW(pmcsr_never_enables_pme),
        ROW(deviation_a_narrow_write_of_pmcsr_does_not_clear_pme_status),
        ROW(power_states_have_their_delays),
        ROW(unsupported_power_states_are_ignored),
        ROW(waking_to_anything_but_D0_is_refused),
        ROW(waking_from_D3hot_restores_the_bars),
        ROW(deviation_waking_restores_what_is_shadowed_too),
        ROW(interrupt_control_may_be_written_back_not_changed),
        ROW(allowed_interrupt_control_changes_the_enable_bits_alone),
        ROW(one_kind_of_interrupt_at_a_time),
        ROW(deviation_permissive_does_not_open_interrupt_control),
        ROW(deviation_messages_read_zero_and_stay_closed_to_permissive),
        ROW(msix_table_and_pba_are_read_only),
        ROW(msix_control_is_written_as_a_word),
        ROW(capabilities_without_rules_are_live_and_dropped),
        ROW(deviation_express_controls_are_shadows),
        ROW(deviation_two_bits_of_device_control_are_real),
        ROW(deviation_status_registers_are_closed_to_permissive),
        ROW(deviation_an_flr_is_managed),
        ROW(deviation_dangerous_extended_capabilities_are_not_there),
        ROW(extended_space_is_live_and_dropped),
        ROW(a_quirk_opens_a_field_raw),
        ROW(deviation_a_quirks_mask_counts),
        ROW(deviation_a_quirk_replaces_the_baseline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
