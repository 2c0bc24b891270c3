/* SPDX-License-Identifier: MIT */
/*
 * What Linux's xen-pciback (drivers/xen/xen-pciback/conf_space*.c) does with requests and the
 * header, one test a row. Where we differ on purpose the test is called deviation_*, and
 * ARCHITECTURE.md says why.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "parity.h"
#include "pci/regs.h"

/* ---- requests ----------------------------------------------------------------------------------
 */

static void sizes_other_than_1_2_4_and_misaligned_offsets_are_invalid(void **state)
{
    static const int32_t sizes[] = { -4, -1, 0, 3, 5, 8, INT32_MAX, INT32_MIN };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(sizes); i++) {
        assert_int_equal(pb_test_run(dev, false, 0, sizes[i], 0).err, PB_GUEST_INVALID_OFFSET);
        assert_int_equal(pb_test_write(dev, 0, sizes[i], 0), PB_GUEST_INVALID_OFFSET);
    }
    assert_int_equal(write_as_guest(0x41, 2, 0), PB_GUEST_INVALID_OFFSET);
    assert_int_equal(write_as_guest(0x42, 4, 0), PB_GUEST_INVALID_OFFSET);
    assert_int_equal(write_as_guest(0x43, 1, 0), PB_GUEST_OK);
}

static void deviation_offsets_beyond_the_space_are_invalid(void **state)
{
    static const int32_t offsets[] = { -4, INT32_MIN, 4096, 0x10000, INT32_MAX - 3 };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(offsets); i++) {
        assert_int_equal(pb_test_write(dev, offsets[i], 4, 0), PB_GUEST_INVALID_OFFSET);
        assert_int_equal(dev->hw.count, 0);
    }
}

static void a_read_merges_registers_into_what_hardware_says(void **state)
{
    (void)state;
    set_hw(PCI_COMMAND, 4, 0x12b00547);
    /* COMMAND: bus mastering is live, the rest a shadow; STATUS is live */
    assert_int_equal(read_as_guest(PCI_COMMAND, 4), 0x12b00007);
}

static void a_narrow_write_is_merged_into_its_register(void **state)
{
    (void)state;
    set_hw(E1000E_PM + PCI_PM_CTRL, 2, 0x2000);
    assert_int_equal(write_as_guest(E1000E_PM + PCI_PM_CTRL + 1, 1, 0x0e), PB_GUEST_OK);
    (void)pb_test_expect(&dev->hw, 0, PB_STEP_WRITE, E1000E_PM + PCI_PM_CTRL, 2, 0x2e00);
}

static void deviation_the_first_error_ends_a_write(void **state)
{
    const unsigned at = E1000E_PM + PCI_PM_CTRL;

    (void)state;
    facts.config[E1000E_PM + PCI_PM_PMC + 1] |= 0x06; /* D1 and D2 */
    renew();
    assert_int_equal(write_as_guest(at, 2, 2), PB_GUEST_OK);
    /* from D2 to D1 is refused; the two bytes behind PMCSR swallow, and would have hidden it */
    assert_int_equal(write_as_guest(at, 4, 1), PB_GUEST_ACCESS_DENIED);
}

static void deviation_a_device_that_is_away_is_not_written(void **state)
{
    (void)state;
    set_hw(PCI_COMMAND, 2, 0xffff);
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, PCI_COMMAND_MASTER), PB_GUEST_OP_FAILED);
    assert_int_equal(written(), 0);
}

static void a_failing_device_is_an_error(void **state)
{
    (void)state;
    dev->hw.fail_after = 0;
    assert_int_equal(pb_test_run(dev, false, PCI_STATUS, 2, 0).err, PB_GUEST_OP_FAILED);
}

static void writes_that_nothing_knows_are_dropped_with_success(void **state)
{
    (void)state;
    check_dropped(0x40, 4);
    check_dropped(0x7c, 2);
    check_dropped(0x200, 4);
    check_live(0x40, 4, UINT32_MAX);
}

static void permissive_writes_them(void **state)
{
    (void)state;
    dev->view.permissive = true;
    assert_int_equal(write_as_guest(0x40, 4, 0x12345678), PB_GUEST_OK);
    assert_int_equal(hw(0x40, 4), 0x12345678);
    assert_int_equal(write_as_guest(0x202, 2, 0xbeef), PB_GUEST_OK);
    assert_int_equal(hw(0x200, 4), 0xbeef0000);
}

static void deviation_permissive_writes_bytes_beside_a_register_too(void **state)
{
    (void)state;
    dev->view.permissive = true;
    /* 3c and 3d swallow; 3e and 3f have no rule, and the kernel drops them in such a write */
    assert_int_equal(write_as_guest(PCI_INTERRUPT_LINE, 4, 0x12345678), PB_GUEST_OK);
    assert_int_equal(hw(PCI_INTERRUPT_LINE, 4), 0x1234010b);
}

/* ---- header ------------------------------------------------------------------------------------
 */

static void vendor_and_device_are_the_kernels_and_swallow(void **state)
{
    (void)state;
    set_hw(PCI_VENDOR_ID, 4, UINT32_MAX);
    assert_int_equal(read_as_guest(PCI_VENDOR_ID, 2), 0x8086);
    assert_int_equal(read_as_guest(PCI_DEVICE_ID, 2), 0x10d3);
    check_dropped(PCI_VENDOR_ID, 4);
}

static void status_is_live_and_a_wide_write_changes_command_only(void **state)
{
    (void)state;
    check_live(PCI_STATUS, 2, 0xffff & ~PCI_STATUS_CAP_LIST);
    check_dropped(PCI_STATUS, 2);
    set_hw(PCI_STATUS, 2, 0xf910);
    assert_int_equal(write_as_guest(PCI_COMMAND, 4, 0xffff0007), PB_GUEST_OK);
    assert_int_equal(written(), 1);
    assert_int_equal(hw(PCI_STATUS, 2), 0xf910);
    assert_int_equal(hw(PCI_COMMAND, 2) & PCI_COMMAND_MASTER, PCI_COMMAND_MASTER);
}

static void permissive_clears_errors_in_status(void **state)
{
    (void)state;
    dev->view.permissive = true;
    set_hw(PCI_STATUS, 2, 0xf910);
    assert_int_equal(write_as_guest(PCI_STATUS, 2, 0x8100), PB_GUEST_OK);
    assert_int_equal(hw(PCI_STATUS, 2), 0x7810);
}

static void revision_and_class_are_read_only(void **state)
{
    (void)state;
    assert_int_equal(read_as_guest(PCI_REVISION, 4), 0x02000000);
    check_dropped(PCI_REVISION, 4);
}

static void deviation_permissive_does_not_write_identity(void **state)
{
    (void)state;
    dev->view.permissive = true;
    check_dropped(PCI_REVISION, 4);
    check_dropped(PCI_HEADER_TYPE, 1);
    check_dropped(PCI_CARDBUS_CIS, 4);
    check_dropped(PCI_SUBSYSTEM, 4);
    check_dropped(PCI_CAPABILITIES, 1);
}

static void cache_line_is_written(void **state)
{
    (void)state;
    assert_int_equal(write_as_guest(PCI_CACHE_LINE_SIZE, 1, 0x20), PB_GUEST_OK);
    assert_int_equal(hw(PCI_CACHE_LINE_SIZE, 1), 0x20);
    check_live(PCI_CACHE_LINE_SIZE, 1, 0xff);
}

static void deviation_latency_is_a_shadow(void **state)
{
    (void)state;
    check_dropped(PCI_LATENCY_TIMER, 1);
    assert_int_equal(write_as_guest(PCI_LATENCY_TIMER, 1, 0x40), PB_GUEST_OK);
    assert_int_equal(read_as_guest(PCI_LATENCY_TIMER, 1), 0x40);
    assert_int_equal(hw(PCI_LATENCY_TIMER, 1), 0);
}

static void header_type_keeps_the_multifunction_bit(void **state)
{
    (void)state;
    facts.config[PCI_HEADER_TYPE] = 0x80;
    renew();
    assert_int_equal(read_as_guest(PCI_HEADER_TYPE, 1), 0x80);
    check_dropped(PCI_HEADER_TYPE, 1);
}

static void bist_is_written_for_a_start_or_no_other_change(void **state)
{
    (void)state;
    for (unsigned now = 0; now <= 0xff; now++) {
        for (unsigned value = 0; value <= 0xff; value++) {
            bool kernel = (value & ~0x40U) == (now & ~0x40U) || value == 0x40;

            set_hw(PCI_BIST, 1, now);
            assert_int_equal(write_as_guest(PCI_BIST, 1, value), PB_GUEST_OK);
            assert_int_equal(hw(PCI_BIST, 1), kernel ? value : now);
        }
    }
}

static void cis_and_subsystem_are_read_only(void **state)
{
    (void)state;
    assert_int_equal(read_as_guest(PCI_CARDBUS_CIS, 4), 0);
    assert_int_equal(read_as_guest(PCI_SUBSYSTEM, 4), 0xa01f8086);
    check_dropped(PCI_CARDBUS_CIS, 4);
    check_dropped(PCI_SUBSYSTEM, 4);
}

static void capability_pointer_is_read_only(void **state)
{
    (void)state;
    assert_int_equal(read_as_guest(PCI_CAPABILITIES, 1), AF);
    check_dropped(PCI_CAPABILITIES, 1);
}

static void interrupt_line_is_the_low_byte_of_the_irq_and_swallows(void **state)
{
    (void)state;
    facts.irq = 0x123;
    renew();
    assert_int_equal(read_as_guest(PCI_INTERRUPT_LINE, 1), 0x23);
    check_dropped(PCI_INTERRUPT_LINE, 1);
    dev->view.permissive = true;
    check_dropped(PCI_INTERRUPT_LINE, 1);
}

static void interrupt_pin_is_hardwares_and_swallows(void **state)
{
    (void)state;
    assert_int_equal(read_as_guest(PCI_INTERRUPT_PIN, 1), 1);
    check_dropped(PCI_INTERRUPT_PIN, 1);
}

static void deviation_a_vf_has_no_pin_and_decodes(void **state)
{
    (void)state;
    pb_test_vf(&facts);
    renew();
    assert_int_equal(hw(PCI_INTERRUPT_PIN, 1), 1);
    assert_int_equal(read_as_guest(PCI_INTERRUPT_PIN, 1), 0);
    assert_int_equal(read_as_guest(PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
}

static void grant_and_latency_limits_are_live_and_dropped(void **state)
{
    (void)state;
    check_live(0x3e, 2, 0xffff);
    check_dropped(0x3e, 2);
}

/* ---- COMMAND -----------------------------------------------------------------------------------
 */

#define GUEST_BITS 0x02bcU /* the kernel's PCI_COMMAND_GUEST */

static void command_reads_guest_bits_live_and_the_rest_from_a_shadow(void **state)
{
    (void)state;
    check_live(PCI_COMMAND, 2, GUEST_BITS);
    set_hw(PCI_COMMAND, 2, 0x0543);
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, 0x0541), PB_GUEST_OK);
    set_hw(PCI_COMMAND, 2, 0);
    assert_int_equal(read_as_guest(PCI_COMMAND, 2), 0x0541);
}

static void command_never_turns_decode_off(void **state)
{
    (void)state;
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, 0), PB_GUEST_OK);
    assert_int_equal(read_as_guest(PCI_COMMAND, 2) & 3, 0);
    assert_int_equal(hw(PCI_COMMAND, 2) & 3, 3);
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, 3), PB_GUEST_OK);
    assert_int_equal(read_as_guest(PCI_COMMAND, 2) & 3, 3);
}

static void deviation_turning_decode_on_changes_no_hardware(void **state)
{
    (void)state;
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, 0), PB_GUEST_OK);
    set_hw(PCI_COMMAND, 2, 0x0403); /* the kernel enables the device and takes INTX_DISABLE away */
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, 3), PB_GUEST_OK);
    assert_int_equal(hw(PCI_COMMAND, 2), 0x0403);
}

static void deviation_reserved_bits_of_command_are_hardwares(void **state)
{
    (void)state;
    assert_int_equal(pb_test_run(dev, true, PCI_COMMAND, 2, 0xf803).denied, 0xf800);
    assert_int_equal(read_as_guest(PCI_COMMAND, 2) & PCI_COMMAND_RESERVED, 0);
}

static void command_sets_and_clears_bus_mastering(void **state)
{
    (void)state;
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, 0x0007), PB_GUEST_OK);
    assert_int_equal(hw(PCI_COMMAND, 2) & PCI_COMMAND_MASTER, PCI_COMMAND_MASTER);
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, 0x0003), PB_GUEST_OK);
    assert_int_equal(hw(PCI_COMMAND, 2) & PCI_COMMAND_MASTER, 0);
}

static void deviation_bus_mastering_follows_its_own_bit_alone(void **state)
{
    (void)state;
    /* the kernel clears it when the guest turns decode off */
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, PCI_COMMAND_MASTER), PB_GUEST_OK);
    assert_int_equal(hw(PCI_COMMAND, 2) & PCI_COMMAND_MASTER, PCI_COMMAND_MASTER);
}

static void command_sets_and_clears_write_and_invalidate(void **state)
{
    (void)state;
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, 0x0013), PB_GUEST_OK);
    assert_int_equal(hw(PCI_COMMAND, 2) & PCI_COMMAND_INVALIDATE, PCI_COMMAND_INVALIDATE);
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, 0x0003), PB_GUEST_OK);
    assert_int_equal(hw(PCI_COMMAND, 2) & PCI_COMMAND_INVALIDATE, 0);
}

static void deviation_invalidate_leaves_the_cache_line_to_the_guest(void **state)
{
    (void)state;
    set_hw(PCI_CACHE_LINE_SIZE, 1, 0);
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, 0x0013), PB_GUEST_OK);
    assert_int_equal(written(), 1);
    assert_int_equal(hw(PCI_CACHE_LINE_SIZE, 1), 0);
}

static void command_special_palette_wait_and_fast_back_need_permissive(void **state)
{
    const uint32_t bits = GUEST_BITS & ~(PCI_COMMAND_MASTER | PCI_COMMAND_INVALIDATE);

    (void)state;
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, bits | 3), PB_GUEST_OK);
    assert_int_equal(hw(PCI_COMMAND, 2) & bits, 0);
    dev->view.permissive = true;
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, bits | 3), PB_GUEST_OK);
    assert_int_equal(hw(PCI_COMMAND, 2) & bits, bits);
}

static void XSA_120_permissive_does_not_reach_the_other_bits(void **state)
{
    (void)state;
    dev->view.permissive = true;
    for (uint32_t value = 0; value <= 0xffff; value += 0x0101) {
        assert_int_equal(write_as_guest(PCI_COMMAND, 2, value), PB_GUEST_OK);
        assert_int_equal(hw(PCI_COMMAND, 2) & ~GUEST_BITS, 0x0403);
    }
}

static void command_intx_disable_is_a_shadow_unless_allowed(void **state)
{
    (void)state;
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, 0x0403), PB_GUEST_OK);
    set_hw(PCI_COMMAND, 2, 0x0003);
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, 0x0003), PB_GUEST_OK);
    dev->view.allow_interrupt_control = true;
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, 0x0403), PB_GUEST_OK);
    assert_int_equal(hw(PCI_COMMAND, 2), 0x0403);
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, 0x0003), PB_GUEST_OK);
    assert_int_equal(hw(PCI_COMMAND, 2), 0x0003);
}

static void deviation_shadows_do_not_survive_into_the_next_guest(void **state)
{
    (void)state;
    assert_int_equal(write_as_guest(PCI_COMMAND, 2, 0x0540), PB_GUEST_OK);
    assert_int_equal(write_as_guest(PCI_BAR0, 4, UINT32_MAX), PB_GUEST_OK);
    pb_view_init(&dev->view, dev->map);
    assert_int_equal(read_as_guest(PCI_COMMAND, 2) & 0x0543, 3);
    assert_int_equal(read_as_guest(PCI_BAR0, 4), 0xfebc0000);
}

/* ---- base address registers --------------------------------------------------------------------
 */

static void bars_answer_from_resources(void **state)
{
    (void)state;
    memset(dev->hw.config + PCI_BAR0, 0xee, 0x18);
    assert_int_equal(read_as_guest(PCI_BAR0, 4), 0xfebc0000);
    assert_int_equal(read_as_guest(PCI_BAR0 + 8, 4), 0x0000c041);
    assert_int_equal(read_as_guest(PCI_ROM_ADDRESS, 4), 0xfea00000);
    assert_int_equal(dev->hw.count, 0);
}

static void bars_are_sized_by_all_ones_above_their_type(void **state)
{
    static const struct {
        unsigned at;
        uint32_t write, length;
    } sizings[] = {
        { PCI_BAR0, 0xffffffff, 0xfffe0000 },        { PCI_BAR0, 0xfffffff0, 0xfffe0000 },
        { PCI_BAR0 + 8, 0xffffffff, 0xffffffe1 },    { PCI_BAR0 + 8, 0xfffffffc, 0xffffffe1 },
        { PCI_ROM_ADDRESS, 0xffffffff, 0xfffc0000 }, { PCI_ROM_ADDRESS, 0xfffff800, 0xfffc0000 },
    };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(sizings); i++) {
        uint32_t before = read_as_guest(sizings[i].at, 4);

        assert_int_equal(write_as_guest(sizings[i].at, 4, sizings[i].write), PB_GUEST_OK);
        assert_int_equal(read_as_guest(sizings[i].at, 4), sizings[i].length);
        assert_int_equal(write_as_guest(sizings[i].at, 4, before), PB_GUEST_OK);
        assert_int_equal(read_as_guest(sizings[i].at, 4), before);
    }
}

static void a_64_bit_bar_is_sized_in_halves(void **state)
{
    (void)state;
    pb_test_vf(&facts);
    renew();
    assert_int_equal(read_as_guest(PCI_BAR0, 4), 0x8000000c);
    assert_int_equal(read_as_guest(PCI_BAR0 + 4, 4), 2);
    assert_int_equal(write_as_guest(PCI_BAR0, 4, UINT32_MAX), PB_GUEST_OK);
    assert_int_equal(write_as_guest(PCI_BAR0 + 4, 4, 0xfffffff0),
                     PB_GUEST_OK); /* no type bits up there */
    assert_int_equal(read_as_guest(PCI_BAR0 + 4, 4), 2);
    assert_int_equal(write_as_guest(PCI_BAR0 + 4, 4, UINT32_MAX), PB_GUEST_OK);
    assert_int_equal(read_as_guest(PCI_BAR0, 4), 0xffffc00c);
    assert_int_equal(read_as_guest(PCI_BAR0 + 4, 4), UINT32_MAX);
}

static void bars_without_resource_read_zero(void **state)
{
    (void)state;
    set_hw(PCI_BAR0 + 16, 4, 0xfeb00000);
    assert_int_equal(read_as_guest(PCI_BAR0 + 16, 4), 0);
    assert_int_equal(write_as_guest(PCI_BAR0 + 16, 4, UINT32_MAX), PB_GUEST_OK);
    assert_int_equal(read_as_guest(PCI_BAR0 + 16, 4), 0);
}

static void bars_do_not_move(void **state)
{
    (void)state;
    assert_int_equal(write_as_guest(PCI_BAR0, 4, 0xe0000000), PB_GUEST_OK);
    assert_int_equal(read_as_guest(PCI_BAR0, 4), 0xfebc0000);
    assert_int_equal(written(), 0);
}

static void narrow_writes_do_not_size(void **state)
{
    (void)state;
    assert_int_equal(write_as_guest(PCI_BAR0, 2, 0xffff), PB_GUEST_OK);
    assert_int_equal(write_as_guest(PCI_BAR0 + 2, 2, 0xffff), PB_GUEST_OK);
    assert_int_equal(read_as_guest(PCI_BAR0, 4), 0xfebc0000);
}

static void the_rom_enable_bit_does_not_change(void **state)
{
    (void)state;
    assert_int_equal(write_as_guest(PCI_ROM_ADDRESS, 4, 0xfea00001), PB_GUEST_OK);
    assert_int_equal(read_as_guest(PCI_ROM_ADDRESS, 4), 0xfea00000);
    assert_int_equal(hw(PCI_ROM_ADDRESS, 4), 0xfea00000);
}

static void deviation_a_guest_does_not_restore_bars(void **state)
{
    (void)state;
    set_hw(PCI_BAR0, 4, 0); /* lost in a reset of its own, which there is not */
    assert_int_equal(write_as_guest(PCI_BAR0, 4, 0xfebc0000), PB_GUEST_OK);
    assert_int_equal(written(), 0);
}

static void deviation_bridges_are_refused_cardbus_as_by_the_kernel(void **state)
{
    (void)state;
    for (uint8_t type = 1; type <= 2; type++) {
        struct pb_layout layout;
        int rc;

        pb_test_e1000(&facts);
        facts.config[PCI_HEADER_TYPE] = type;
        facts.config[PCI_CARDBUS_CAPABILITIES] = 0;
        assert_int_equal(pb_layout_read(&facts, &layout), 0);
        assert_null(pb_map_baseline(&facts, &layout, &rc));
        assert_int_equal(rc, -EOPNOTSUPP);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(sizes_other_than_1_2_4_and_misaligned_offsets_are_invalid),
        ROW(deviation_offsets_beyond_the_space_are_invalid),
        ROW(a_read_merges_registers_into_what_hardware_says),
        ROW(a_narrow_write_is_merged_into_its_register),
        ROW(deviation_the_first_error_ends_a_write),
        ROW(deviation_a_device_that_is_away_is_not_written),
        ROW(a_failing_device_is_an_error),
        ROW(writes_that_nothing_knows_are_dropped_with_success),
        ROW(permissive_writes_them),
        ROW(deviation_permissive_writes_bytes_beside_a_register_too),
        ROW(vendor_and_device_are_the_kernels_and_swallow),
        ROW(status_is_live_and_a_wide_write_changes_command_only),
        ROW(permissive_clears_errors_in_status),
        ROW(revision_and_class_are_read_only),
        ROW(deviation_permissive_does_not_write_identity),
        ROW(cache_line_is_written),
        ROW(deviation_latency_is_a_shadow),
        ROW(header_type_keeps_the_multifunction_bit),
        ROW(bist_is_written_for_a_start_or_no_other_change),
        ROW(cis_and_subsystem_are_read_only),
        ROW(capability_pointer_is_read_only),
        ROW(interrupt_line_is_the_low_byte_of_the_irq_and_swallows),
        ROW(interrupt_pin_is_hardwares_and_swallows),
        ROW(deviation_a_vf_has_no_pin_and_decodes),
        ROW(grant_and_latency_limits_are_live_and_dropped),
        ROW(command_reads_guest_bits_live_and_the_rest_from_a_shadow),
        ROW(command_never_turns_decode_off),
        ROW(deviation_turning_decode_on_changes_no_hardware),
        ROW(deviation_reserved_bits_of_command_are_hardwares),
        ROW(command_sets_and_clears_bus_mastering),
        ROW(deviation_bus_mastering_follows_its_own_bit_alone),
        ROW(command_sets_and_clears_write_and_invalidate),
        ROW(deviation_invalidate_leaves_the_cache_line_to_the_guest),
        ROW(command_special_palette_wait_and_fast_back_need_permissive),
        ROW(XSA_120_permissive_does_not_reach_the_other_bits),
        ROW(command_intx_disable_is_a_shadow_unless_allowed),
        ROW(deviation_shadows_do_not_survive_into_the_next_guest),
        ROW(bars_answer_from_resources),
        ROW(bars_are_sized_by_all_ones_above_their_type),
        ROW(a_64_bit_bar_is_sized_in_halves),
        ROW(bars_without_resource_read_zero),
        ROW(bars_do_not_move),
        ROW(narrow_writes_do_not_size),
        ROW(the_rom_enable_bit_does_not_change),
        ROW(deviation_a_guest_does_not_restore_bars),
        ROW(deviation_bridges_are_refused_cardbus_as_by_the_kernel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
