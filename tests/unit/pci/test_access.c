/* SPDX-License-Identifier: MIT */
/* Ranges, reads, and writes of registers without side effects. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "fixture.h"
#include "pci/regs.h"

static void add(struct pb_rule rule)
{
    size_t bad;

    assert_int_equal(pb_map_apply(dev->map, &rule, 1, &bad), 0);
    pb_view_init(&dev->view, dev->map);
}

/* ---- ranges ------------------------------------------------------------------------------------
 */

static bool in_range(int64_t offset, int64_t size)
{
    return (size == 1 || size == 2 || size == 4) && offset >= 0 && offset % size == 0 &&
           offset + size <= dev->map->size;
}

static void check_range(int32_t offset, int32_t size)
{
    for (unsigned write = 0; write < 2; write++) {
        struct pb_access acc = pb_test_run(dev, write, offset, size, 0);

        if (in_range(offset, size)) {
            assert_int_not_equal(acc.err, PB_GUEST_INVALID_OFFSET);
        } else {
            assert_int_equal(acc.err, PB_GUEST_INVALID_OFFSET);
            assert_int_equal(dev->hw.count, 0);
        }
    }
}

static void any_offset_and_size_is_checked_first(void **state)
{
    static const int32_t sizes[] = { INT32_MIN, -4, -1, 0, 1, 2, 3, 4, 5, 8, 16, 256, INT32_MAX };
    static const int32_t edges[] = { INT32_MIN, INT32_MIN + 4, -4096,      -256,     -4,   -2,
                                     -1,        0x10000,       0x10004,    4096,     4092, 4094,
                                     4095,      0x40000000,    0x7ffffffc, INT32_MAX };

    (void)state;
    for (size_t s = 0; s < PB_ARRAY_SIZE(sizes); s++) {
        for (size_t e = 0; e < PB_ARRAY_SIZE(edges); e++)
            check_range(edges[e], sizes[s]);
        for (int32_t offset = 0; offset < 300; offset++)
            check_range(offset, sizes[s]);
    }
}

static void a_conventional_device_ends_at_256(void **state)
{
    (void)state;
    check_range(252, 4);
    check_range(255, 1);
    check_range(256, 1);
    check_range(256, 4);
    check_range(4092, 4);
}

/* ---- reads -------------------------------------------------------------------------------------
 */

static void a_read_is_at_most_one_cycle_of_its_own_size(void **state)
{
    (void)state;
    for (int32_t size = 1; size <= 4; size *= 2) {
        for (int32_t offset = 0; offset < dev->map->size; offset += size) {
            bool ours = true;

            pb_view_forget(&dev->view);
            (void)pb_test_read(dev, offset, size);
            for (int32_t i = offset; i < offset + size; i++)
                ours = ours && (dev->map->virt[i] | dev->map->fixed[i]) == 0xff;
            assert_int_equal(dev->hw.count, ours ? 0 : 1);
            if (!ours)
                (void)pb_test_expect(&dev->hw, 0, PB_STEP_READ, (unsigned)offset, (unsigned)size,
                                     0);
        }
    }
}

static void a_failed_read_is_all_ones_and_an_error(void **state)
{
    struct pb_access acc;

    (void)state;
    dev->hw.fail_after = 0;
    acc = pb_test_run(dev, false, PCI_STATUS, 2, 0);
    assert_int_equal(acc.err, PB_GUEST_OP_FAILED);
    assert_int_equal(acc.value, 0xffff);
    dev->hw.fail_after = 0;
    dev->hw.fail_rc = -ENODEV;
    acc = pb_test_run(dev, false, PCI_STATUS, 2, 0);
    assert_int_equal(acc.err, PB_GUEST_NOT_FOUND);
}

/* ---- writes ------------------------------------------------------------------------------------
 */

static void a_dropped_write_succeeds_and_is_counted(void **state)
{
    struct pb_access acc = pb_test_run(dev, true, 0x40, 4, 0x00ff0001);

    (void)state;
    assert_int_equal(acc.err, 0);
    assert_int_equal(acc.denied, 0x00ff0001);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
    pb_le_put(dev->hw.config + 0x40, 4, 0x00ff0001);
    acc = pb_test_run(dev, true, 0x40, 4, 0x00ff0001); /* no bit would have changed */
    assert_int_equal(acc.denied, 0);
    acc = pb_test_run(dev, true, PCI_HEADER_TYPE, 1, 0x80);
    assert_int_equal(acc.denied, 0x80);
    assert_int_equal(dev->hw.count, 0); /* a constant needs no look at the hardware */
}

static void a_wide_write_of_command_and_status_is_split(void **state)
{
    struct pb_access acc;
    uint32_t both = pb_test_read(dev, PCI_COMMAND, 4);

    (void)state;
    acc = pb_test_run(dev, true, PCI_COMMAND, 4, both | PCI_COMMAND_MASTER);
    assert_int_equal(acc.err, 0);
    assert_int_equal(acc.denied, 0);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 1);
    (void)pb_test_expect(&dev->hw, 0, PB_STEP_WRITE, PCI_COMMAND, 2, 0x0407);
    /* errors in STATUS: the guest may think that it clears them */
    acc = pb_test_run(dev, true, PCI_COMMAND, 4, both | 0xf9000000);
    assert_int_equal(acc.err, 0);
    assert_int_equal(acc.denied, 0);
    for (unsigned i = 0; i < dev->hw.count; i++)
        assert_true(dev->hw.log[i].step == PB_STEP_READ ||
                    dev->hw.log[i].cycle.offset == PCI_COMMAND);
}

static void denied_bits_are_relative_to_the_access(void **state)
{
    struct pb_access acc;

    (void)state;
    assert_int_equal(pb_test_run(dev, true, 0x43, 1, 0x81).denied, 0x81);
    assert_int_equal(pb_test_run(dev, true, 0x42, 2, 0x8001).denied, 0x8001);
    /* 0c, 0d accept everything; 0e is a constant; 0f swallows */
    acc = pb_test_run(dev, true, PCI_CACHE_LINE_SIZE, 4, 0xff55ffff);
    assert_int_equal(acc.denied, 0x00550000);
}

static void a_register_is_written_at_its_own_width(void **state)
{
    (void)state;
    add((struct pb_rule){ .offset = 0x48, .size = 4, .write = 0x00ff0000 });
    pb_le_put(dev->hw.config + 0x48, 4, 0x11223344);
    assert_int_equal(pb_test_write(dev, 0x4a, 1, 0xee), 0);
    assert_int_equal(dev->hw.count, 2);
    (void)pb_test_expect(&dev->hw, 0, PB_STEP_READ, 0x48, 4, 0);
    (void)pb_test_expect(&dev->hw, 1, PB_STEP_WRITE, 0x48, 4, 0x11ee3344);
    /* a byte of it that holds nothing for the guest: a look for the counter, no write */
    assert_int_equal(pb_test_run(dev, true, 0x48, 1, 0x45).denied, 0x01);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
}

static void a_wholly_writable_register_is_not_read(void **state)
{
    (void)state;
    add((struct pb_rule){ .offset = 0x48, .size = 4, .write = ~0U });
    assert_int_equal(pb_test_write(dev, 0x48, 4, 0x12345678), 0);
    assert_int_equal(dev->hw.count, 1);
    assert_int_equal(pb_test_write(dev, 0x48, 2, 0xaaaa), 0);
    assert_int_equal(dev->hw.count, 2);
    assert_int_equal(pb_le32(dev->hw.config + 0x48), 0x1234aaaa);
}

static void H13_w1c_neighbours_are_written_as_zero(void **state)
{
    (void)state;
    add((struct pb_rule){ .offset = 0x48, .size = 4, .write = 0x0000ffff, .w1c = 0xffff0000 });
    pb_le_put(dev->hw.rw + 0x48, 4, 0x0000ffff);
    pb_le_put(dev->hw.w1c + 0x48, 4, 0xffff0000);
    pb_le_put(dev->hw.config + 0x48, 4, 0xff00aaaa);
    assert_int_equal(pb_test_write(dev, 0x48, 1, 0x55), 0);
    assert_int_equal(pb_le32(dev->hw.config + 0x48), 0xff00aa55);
    assert_int_equal(pb_test_write(dev, 0x48, 4, 0x80000000), 0);
    assert_int_equal(pb_le32(dev->hw.config + 0x48), 0x7f000000);
    assert_int_equal(dev->hw.count, 1);
    assert_int_equal(pb_test_write(dev, 0x4a, 2, 0), 0);
    assert_int_equal(dev->hw.count, 0); /* nothing to clear */
}

static void virtual_bits_never_reach_hardware(void **state)
{
    (void)state;
    add((struct pb_rule){ .offset = 0x48, .size = 2, .write = 0x00ff, .virt = 0xff00 });
    pb_le_put(dev->hw.config + 0x48, 2, 0x7700);
    assert_int_equal(pb_test_write(dev, 0x48, 2, 0xee11), 0);
    assert_int_equal(pb_le16(dev->hw.config + 0x48), 0x7711);
    assert_int_equal(pb_test_read(dev, 0x48, 2), 0xee11);
    assert_int_equal(pb_test_write(dev, 0x49, 1, 0x22), 0);
    assert_int_equal(dev->hw.count, 0);
    assert_int_equal(pb_test_read(dev, 0x48, 2), 0x2211);
}

static void every_guest_starts_fresh(void **state)
{
    (void)state;
    assert_int_equal(pb_test_write(dev, PCI_COMMAND, 2, PCI_COMMAND_SERR), 0);
    assert_int_equal(pb_test_write(dev, PCI_BAR0, 4, ~0U), 0);
    dev->view.permissive = dev->view.allow_interrupt_control = true;
    pb_view_init(&dev->view, dev->map);
    assert_false(dev->view.permissive || dev->view.allow_interrupt_control);
    assert_int_equal(pb_test_read(dev, PCI_COMMAND, 2), 0x0003);
    assert_int_equal(pb_test_read(dev, PCI_BAR0, 4), 0xfebc0000);
}

static void an_error_stops_the_access_and_denies_nothing(void **state)
{
    struct pb_access acc;

    (void)state;
    add((struct pb_rule){ .offset = 0x48, .size = 2, .fixed = 0x00ff, .write = 0xff00 });
    add((struct pb_rule){ .offset = 0x4a, .size = 2, .virt = 0xff00, .write = 0x00ff });
    /* read 48, write 48, read 4a, write 4a */
    for (int fail = 0; fail < 4; fail++) {
        pb_view_init(&dev->view, dev->map);
        pb_le_put(dev->hw.config + 0x48, 4, 0);
        dev->hw.fail_after = fail;
        acc = pb_test_run(dev, true, 0x48, 4, 0xddccbbaa);
        assert_int_equal(acc.err, PB_GUEST_OP_FAILED);
        assert_int_equal(acc.denied, 0);
        assert_int_equal(dev->hw.count, fail + 1);
        assert_int_equal(pb_le32(dev->hw.config + 0x48), fail < 2 ? 0 : 0xbb00);
        assert_int_equal(dev->view.shadow[0x4b], 0); /* not done, so not remembered */
    }
    dev->hw.fail_after = -1;
    acc = pb_test_run(dev, true, 0x48, 4, 0xddccbbaa);
    assert_int_equal(acc.err, 0);
    assert_int_equal(acc.denied, 0xaa);
    assert_int_equal(dev->view.shadow[0x4b], 0xdd);
}

/* ---- permissive mode ---------------------------------------------------------------------------
 */

static void permissive_opens_unlisted_bytes_in_natural_pieces(void **state)
{
    (void)state;
    dev->view.permissive = true;
    assert_int_equal(pb_test_write(dev, 0x40, 4, 0x12345678), 0);
    assert_int_equal(dev->hw.count, 1);
    (void)pb_test_expect(&dev->hw, 0, PB_STEP_WRITE, 0x40, 4, 0x12345678);
    add((struct pb_rule){ .offset = 0x49, .size = 1, .fixed = 0xff });
    dev->view.permissive = true;
    assert_int_equal(pb_test_run(dev, true, 0x48, 4, 0x12345678).denied, 0x5600);
    assert_int_equal(dev->hw.count, 2);
    (void)pb_test_expect(&dev->hw, 0, PB_STEP_WRITE, 0x48, 1, 0x78);
    (void)pb_test_expect(&dev->hw, 1, PB_STEP_WRITE, 0x4a, 2, 0x1234);
}

static void permissive_status_write_leaves_the_other_half_alone(void **state)
{
    (void)state;
    dev->view.permissive = true;
    pb_le_put(dev->hw.config + PCI_STATUS, 2, 0xf910);
    assert_int_equal(pb_test_write(dev, PCI_STATUS, 1, 0), 0);
    assert_int_equal(pb_le16(dev->hw.config + PCI_STATUS), 0xf910);
    assert_int_equal(pb_test_write(dev, PCI_STATUS, 2, 0x8000), 0);
    assert_int_equal(pb_le16(dev->hw.config + PCI_STATUS), 0x7910);
}

static void permissive_never_opens_what_is_constant_or_locked(void **state)
{
    static const struct {
        uint16_t offset, size;
    } closed[] = { { 0x00, 4 }, { 0x08, 4 }, { 0x0d, 1 }, { 0x0e, 1 }, { 0x10, 4 },
                   { 0x24, 4 }, { 0x28, 4 }, { 0x2c, 4 }, { 0x30, 4 }, { 0x34, 1 },
                   { 0x3c, 2 }, { 0xc8, 4 }, { 0xd0, 2 }, { 0xd4, 4 }, { 0xd8, 4 },
                   { 0xdc, 4 }, { 0xe0, 2 }, { 0xa0, 2 }, { 0xa4, 4 }, { 0xa8, 4 } };

    (void)state;
    dev->view.permissive = true;
    for (size_t i = 0; i < PB_ARRAY_SIZE(closed); i++) {
        assert_int_equal(pb_test_write(dev, closed[i].offset, closed[i].size, 0xa5a5a5a5), 0);
        assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
    }
}

static void H14_only_two_bits_of_device_control_are_the_guests(void **state)
{
    const unsigned at = E1000E_EXP + PCI_EXP_DEVCTL;

    (void)state;
    assert_int_equal(pb_test_read(dev, (int32_t)at, 2), 0x2810);
    /* errors, payload, tags, power and request size are shadows: nothing is denied, … */
    assert_int_equal(pb_test_run(dev, true, (int32_t)at, 2, 0x0000).denied, 0);
    assert_int_equal(pb_le16(dev->hw.config + at), 0x2000);
    assert_int_equal(pb_test_read(dev, (int32_t)at, 2), 0x0000);
    /* … phantom functions, and a reset that this device has not got, are */
    assert_int_equal(pb_test_run(dev, true, (int32_t)at, 2, 0xffff).denied, 0x8200);
    assert_int_equal(pb_le16(dev->hw.config + at), 0x2810);
    assert_int_equal(pb_test_read(dev, (int32_t)at, 2), 0x7dff);
    dev->view.permissive = true;
    assert_int_equal(pb_test_run(dev, true, (int32_t)at, 2, 0xffff).denied, 0x8200);
    assert_int_equal(pb_le16(dev->hw.config + at), 0x2810);
}

static void H14_and_stay_closed_to_quirks(void **state)
{
    const struct pb_rule quirk = { .offset = E1000E_EXP + PCI_EXP_DEVCTL,
                                   .size = 2,
                                   .write = 0xffff };
    size_t bad;

    (void)state;
    for (unsigned bit = 0; bit < 16; bit++) {
        struct pb_rule one = quirk;

        one.write = 1U << bit;
        assert_int_equal(pb_map_apply(dev->map, &one, 1, &bad), 0x82ef >> bit & 1 ? -EPERM : 0);
    }
    assert_int_equal(pb_map_apply(dev->map, &quirk, 1, &bad), -EPERM);
}

static void H14_a_conventional_flr_stays_closed_too(void **state)
{
    struct pb_facts facts;

    (void)state;
    pb_test_e1000(&facts);
    pb_test_add_cap(&facts, 0x60, PCI_CAP_AF);
    dev = pb_test_device_of(&facts);
    dev->view.permissive = true;
    assert_int_equal(pb_test_run(dev, true, 0x60 + PCI_AF_CTRL, 1, 0x01).denied, 0x01);
    assert_int_equal(dev->hw.config[0x60 + PCI_AF_CTRL], 0);
}

static void H14_interrupt_line_writes_are_swallowed(void **state)
{
    struct pb_access acc = pb_test_run(dev, true, PCI_INTERRUPT_LINE, 1, 0xff);

    (void)state;
    assert_int_equal(acc.err, 0);
    assert_int_equal(acc.denied, 0);
    assert_int_equal(dev->hw.count, 0);
    assert_int_equal(pb_test_read(dev, PCI_INTERRUPT_LINE, 1), 17);
}

/* ---- what a plugin has taken ------------------------------------------------------------------
 */

static void bits_that_are_not_mine_stay_as_they_are(void **state)
{
    struct pb_access acc;

    (void)state;
    add((struct pb_rule){ .offset = 0x48, .size = 2, .write = 0xffff });
    add((struct pb_rule){ .offset = 0x4a, .size = 2, .virt = 0xff00, .hw = 0x00ff });
    pb_le_put(dev->hw.config + 0x48, 4, 0x12345678);
    acc = pb_test_run_mine(dev, 0x48, 4, 0xffffffff, 0x0f0f0ff0, 0x80000001);
    assert_int_equal(acc.err, 0);
    /* 4a holds 34: of the low half of it bits 0 to 3 are mine, and 3 of them would change */
    assert_int_equal(acc.denied, 0x80000001 | 0x000b0000);
    assert_int_equal(pb_le32(dev->hw.config + 0x48), 0x12345ff8);
    assert_int_equal(dev->view.shadow[0x4b], 0x0f);
    assert_int_equal(pb_test_read(dev, 0x48, 4), 0x0f345ff8);
}

static void a_register_that_a_plugin_took_wholly_is_not_touched(void **state)
{
    struct pb_access acc;

    (void)state;
    add((struct pb_rule){ .offset = 0x48, .size = 2, .write = 0xffff });
    dev->view.permissive = true;
    acc = pb_test_run_mine(dev, 0x48, 4, 0xffffffff, 0xffff0000, 0);
    assert_int_equal(acc.err, 0);
    assert_int_equal(dev->hw.count, 1);
    (void)pb_test_expect(&dev->hw, 0, PB_STEP_WRITE, 0x4a, 2, 0xffff);
    acc = pb_test_run_mine(dev, 0x48, 4, 0, 0, 0xffffffff);
    assert_int_equal(acc.denied, 0xffffffff);
    assert_int_equal(dev->hw.count, 0);
    /* bytes without a rule that are partly taken are merged alone */
    acc = pb_test_run_mine(dev, 0x50, 4, 0x11223344, 0xffffff0f, 0);
    assert_int_equal(dev->hw.count, 4);
    (void)pb_test_expect(&dev->hw, 0, PB_STEP_READ, 0x50, 1, 0);
    (void)pb_test_expect(&dev->hw, 1, PB_STEP_WRITE, 0x50, 1, 0x04);
    (void)pb_test_expect(&dev->hw, 2, PB_STEP_WRITE, 0x51, 1, 0x33);
    (void)pb_test_expect(&dev->hw, 3, PB_STEP_WRITE, 0x52, 2, 0x1122);
}

static void a_shared_write_is_checked_like_any_other(void **state)
{
    (void)state;
    assert_int_equal(pb_test_run_mine(dev, 2, 4, 0, ~0U, 0).err, PB_GUEST_INVALID_OFFSET);
    assert_int_equal(pb_test_run_mine(dev, -4, 4, 0, ~0U, 1).denied, 0);
    assert_int_equal(pb_test_run_mine(dev, 4096, 4, 0, ~0U, 0).err, PB_GUEST_INVALID_OFFSET);
    /* bits beyond the access are nobody's */
    assert_int_equal(pb_test_run_mine(dev, 0x40, 1, 0, ~0U, ~0U).denied, 0xff);
}

static void raw_bytes_are_read_from_hardware_whatever_their_class(void **state)
{
    static uint8_t mask[PB_CONFIG_SIZE_PCIE];
    struct pb_access acc;

    (void)state;
    mask[PCI_DEVICE_ID] = 1;
    pb_le_put(dev->hw.config, 4, 0xffffffff);
    acc = pb_test_run(dev, false, PCI_VENDOR_ID, 4, 0);
    assert_int_equal(dev->hw.count, 0);
    assert_int_equal(acc.raw, 0);
    pb_map_set_raw(dev->map, mask);
    pb_view_forget(&dev->view);
    acc = pb_test_run(dev, false, PCI_VENDOR_ID, 4, 0);
    assert_int_equal(dev->hw.count, 1);
    assert_int_equal(acc.raw, 0xffffffff);
    assert_int_equal(acc.value, 0x10d38086);
    acc = pb_test_run(dev, false, PCI_VENDOR_ID, 2, 0);
    assert_int_equal(dev->hw.count, 0);
    acc = pb_test_run(dev, false, PCI_DEVICE_ID, 1, 0);
    assert_int_equal(acc.raw, 0xff);
    dev->hw.fail_after = 0;
    acc = pb_test_run(dev, false, PCI_DEVICE_ID, 2, 0);
    assert_int_equal(acc.err, PB_GUEST_OP_FAILED);
    assert_int_equal(acc.raw, 0);
}

/* ---- a space that is shorter than the bus's ----------------------------------------------------
 */

static void check_beyond(int32_t offset, int32_t size)
{
    struct pb_access acc = pb_test_run(dev, false, offset, size, 0);

    assert_int_equal(acc.err, 0);
    assert_int_equal(acc.value, pb_ones((unsigned)size));
    assert_int_equal(dev->hw.count, 0);
    acc = pb_test_run(dev, true, offset, size, 0x12345678);
    assert_int_equal(acc.err, 0);
    assert_int_equal(acc.denied, 0);
    assert_int_equal(dev->hw.count, 0);
}

static void beyond_its_size_a_device_reads_all_ones(void **state)
{
    static const uint16_t limits[] = { 64, 160, 252, 256, 0x600, 4092, 4096 };

    (void)state;
    dev->view.permissive = true;
    for (size_t i = 0; i < PB_ARRAY_SIZE(limits); i++) {
        dev->map->size = limits[i];
        for (int32_t size = 1; size <= 4; size *= 2) {
            for (int32_t at = limits[i]; at < 4096; at += size)
                check_beyond(at, size);
            assert_int_equal(pb_test_run(dev, false, 4096, size, 0).err, PB_GUEST_INVALID_OFFSET);
            assert_int_equal(pb_test_run(dev, true, 4096, size, 0).err, PB_GUEST_INVALID_OFFSET);
        }
    }
    dev->map->size = 0x600;
    (void)pb_test_read(dev, 0x5fc, 4);
    assert_int_equal(dev->hw.count, 1);
}

static void a_shortened_conventional_device_still_ends_at_256(void **state)
{
    (void)state;
    assert_int_equal(dev->map->space, 256);
    dev->map->size = 160;
    check_beyond(160, 4);
    check_beyond(255, 1);
    assert_int_equal(pb_test_run(dev, false, 256, 4, 0).err, PB_GUEST_INVALID_OFFSET);
}

/* ---- H21 ---------------------------------------------------------------------------------------
 */

static void H21_command_and_interrupt_control_are_never_answered_from_a_cache(void **state)
{
    static const uint16_t at[] = { PCI_COMMAND, E1000E_MSI + PCI_MSI_FLAGS,
                                   E1000E_MSIX + PCI_MSIX_FLAGS };
    /* what Xen and the backend write: MASTER; enable; enable and mask of all */
    static const uint16_t bits[] = { PCI_COMMAND_MASTER, PCI_MSI_FLAGS_ENABLE,
                                     PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(at); i++) {
        uint32_t before = pb_test_read(dev, at[i], 2);

        for (unsigned n = 0; n < 4; n++) {
            uint16_t now = pb_le16(dev->hw.config + at[i]) ^ bits[i];

            pb_le_put(dev->hw.config + at[i], 2, now);
            before ^= bits[i];
            assert_int_equal(pb_test_read(dev, at[i], 2), before);
            assert_int_equal(pb_test_count(&dev->hw, PB_STEP_READ), 1);
            assert_int_equal(pb_test_read(dev, at[i] & ~3, 4) >> (at[i] % 4 * 8) & 0xffff, before);
        }
    }
}

static void H21_an_absent_device_reads_all_ones(void **state)
{
    static const int rcs[] = { -ENODEV, -EIO };
    static uint8_t mask[PB_CONFIG_SIZE_PCIE];

    (void)state;
    /* every byte of it goes to hardware, as for a plugin, so that every read fails */
    memset(mask, 1, sizeof(mask));
    pb_map_set_raw(dev->map, mask);
    pb_view_forget(&dev->view);
    for (int32_t size = 1; size <= 4; size *= 2) {
        for (int32_t offset = 0; offset < dev->map->size; offset += size) {
            struct pb_access acc;

            dev->hw.fail_after = 0;
            dev->hw.fail_rc = rcs[offset / size % 2];
            acc = pb_test_run(dev, false, offset, size, 0);
            assert_int_not_equal(acc.err, PB_GUEST_OK);
            assert_int_equal(acc.value, pb_ones((unsigned)size));
        }
    }
}

static void H21_an_absent_device_is_not_written_what_it_seemed_to_hold(void **state)
{
    struct pb_access acc;

    (void)state;
    /* were the merge written, and the device there again, SERR and PARITY would be on */
    pb_le_put(dev->hw.config + PCI_COMMAND, 2, 0xffff);
    acc = pb_test_run(dev, true, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    assert_int_equal(acc.err, PB_GUEST_OP_FAILED);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
}

#define ON(device, test) cmocka_unit_test_setup_teardown(test, device, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(e1000e, any_offset_and_size_is_checked_first),
        ON(e1000, a_conventional_device_ends_at_256),
        ON(e1000e, a_read_is_at_most_one_cycle_of_its_own_size),
        ON(e1000e, a_failed_read_is_all_ones_and_an_error),
        ON(e1000e, a_dropped_write_succeeds_and_is_counted),
        ON(e1000e, a_wide_write_of_command_and_status_is_split),
        ON(e1000e, denied_bits_are_relative_to_the_access),
        ON(e1000e, a_register_is_written_at_its_own_width),
        ON(e1000e, a_wholly_writable_register_is_not_read),
        ON(e1000e, H13_w1c_neighbours_are_written_as_zero),
        ON(e1000e, virtual_bits_never_reach_hardware),
        ON(e1000e, every_guest_starts_fresh),
        ON(e1000e, an_error_stops_the_access_and_denies_nothing),
        ON(e1000e, permissive_opens_unlisted_bytes_in_natural_pieces),
        ON(e1000e, permissive_status_write_leaves_the_other_half_alone),
        ON(e1000e, permissive_never_opens_what_is_constant_or_locked),
        ON(e1000e, H14_only_two_bits_of_device_control_are_the_guests),
        ON(e1000e, H14_and_stay_closed_to_quirks),
        ON(NULL, H14_a_conventional_flr_stays_closed_too),
        ON(e1000e, H14_interrupt_line_writes_are_swallowed),
        ON(e1000e, bits_that_are_not_mine_stay_as_they_are),
        ON(e1000e, a_register_that_a_plugin_took_wholly_is_not_touched),
        ON(e1000e, a_shared_write_is_checked_like_any_other),
        ON(e1000e, raw_bytes_are_read_from_hardware_whatever_their_class),
        ON(e1000e, beyond_its_size_a_device_reads_all_ones),
        ON(e1000, a_shortened_conventional_device_still_ends_at_256),
        ON(e1000e, H21_command_and_interrupt_control_are_never_answered_from_a_cache),
        ON(e1000e, H21_an_absent_device_reads_all_ones),
        ON(e1000e, H21_an_absent_device_is_not_written_what_it_seemed_to_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
