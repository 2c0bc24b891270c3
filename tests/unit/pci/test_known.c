/* SPDX-License-Identifier: MIT */
/* Which registers are answered from memory, and when they are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "fixture.h"
#include "pci/regs.h"

/* One that has all that is known: the capabilities of FULL are where the rows say. */
#define PM      0x40
#define VPD     0x48
#define MSI     0x50
#define MSIX    0x70
#define EXP     0x80
#define AF      0xc0
#define VENDOR  0xd0
#define EXP2    0xe0 /* a second one, which nobody handles */
#define AER     0x100
#define VC      0x150
#define DSN     0x180
#define ACS     0x190
#define TPH     0x1a0
#define L1SS    0x1b0
#define PTM     0x1d0
#define VSEC    0x1e0
#define LNKCAP  (EXP + PCI_EXP_LNKCAP)
#define DEVCAP2 (EXP + PCI_EXP_DEVCAP2)
#define LNKSTA  (EXP + PCI_EXP_LNKSTA)

static void full(struct pb_facts *facts)
{
    static const struct {
        uint16_t at;
        uint32_t header; /* without the next pointer */
    } caps[] = {
        { PM, 0xc8220001 },  { VPD, 0x00000003 },  { MSI, 0x01880005 },    { MSIX, 0x00040011 },
        { EXP, 0x00020010 }, { AF, 0x03060013 },   { VENDOR, 0x00080009 }, { EXP2, 0x00020010 },
        { AER, 0x00010001 }, { VC, 0x00010002 },   { DSN, 0x00010003 },    { ACS, 0x0001000d },
        { TPH, 0x00010017 }, { L1SS, 0x0001001e }, { PTM, 0x0001001f },    { VSEC, 0x0001000b },
    };

    pb_test_e1000e(facts);
    memset(facts->config + 0x40, 0x5a, PB_CONFIG_SIZE_PCI - 0x40);
    memset(facts->config + AER, 0x5a, 0x100);
    for (size_t i = 0; i < PB_ARRAY_SIZE(caps); i++) {
        bool last = i + 1 == PB_ARRAY_SIZE(caps);
        unsigned next = last || caps[i + 1].at == AER ? 0 : caps[i + 1].at;
        unsigned shift = caps[i].at < AER ? 8 : PCI_EXT_NEXT_SHIFT;

        pb_le_put(facts->config + caps[i].at, 4, caps[i].header | next << shift);
    }
    pb_le_put(facts->config + PM + PCI_PM_CTRL, 2, 0);
    pb_le_put(facts->config + MSIX + PCI_MSIX_TABLE, 4, 3);
    pb_le_put(facts->config + TPH + 4, 4, 0);
    facts->config[PCI_CAPABILITIES] = PM;
}

static const struct {
    uint16_t at;
    uint8_t size;
    uint32_t mask;
} known_of_full[] = {
    { PCI_MIN_GNT, 2, 0xffff },
    { EXP + PCI_EXP_FLAGS, 2, 0x01ff },
    { LNKCAP, 4, 0xff7c0fff },
    { DEVCAP2, 4, 0xffffffff },
    { EXP + PCI_EXP_LNKCAP2, 4, 0xffffffff },
    { AF + PCI_AF_LENGTH, 1, 0xff },
    { VC + 4, 4, 0xffffffff },
    { VC + 8, 4, 0xffffffff },
    { DSN + 4, 4, 0xffffffff },
    { DSN + 8, 4, 0xffffffff },
    { ACS + 4, 2, 0xffff },
    { TPH + 4, 4, 0xffffffff },
    { L1SS + 4, 4, 0xffffffff },
    { PTM + 4, 4, 0xffffffff },
};

static int setup(void **state)
{
    (void)state;
    dev = pb_test_device_new(full);
    return 0;
}

static void use(void (*fill)(struct pb_facts *))
{
    pb_test_device_free(dev);
    dev = pb_test_device_new(fill);
}

/* Cycles of one read, which must succeed. */
static unsigned cycles(int32_t offset, int32_t size)
{
    (void)pb_test_read(dev, offset, size);
    return dev->hw.count;
}

static bool is_remembered(int32_t offset)
{
    struct pb_view view = dev->view;
    bool remembered = cycles(offset, 4) == 0;

    dev->view = view; /* looking is no reading */
    return remembered;
}

/* ---- which ------------------------------------------------------------------------------------
 */

static void H21_known_is_what_the_table_says_of_the_capabilities_that_it_has(void **state)
{
    static uint8_t expected[PB_CONFIG_SIZE_PCIE];

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(known_of_full); i++)
        pb_le_put(expected + known_of_full[i].at, known_of_full[i].size, known_of_full[i].mask);
    assert_memory_equal(dev->map->known, expected, sizeof(expected));
    /* of these there are only headers, or none at all */
    use(pb_test_e1000);
    memset(expected, 0, sizeof(expected));
    pb_le_put(expected + PCI_MIN_GNT, 2, 0xffff);
    assert_memory_equal(dev->map->known, expected, sizeof(expected));
    /* version 1 of an endpoint has neither Device Capabilities 2 nor Link Capabilities 2 */
    use(full);
    dev->facts.config[EXP + PCI_EXP_FLAGS] = 0x01;
    {
        struct pb_facts facts = dev->facts;

        pb_test_device_free(dev);
        dev = pb_test_device_of(&facts);
    }
    assert_int_equal(pb_le32(dev->map->known + LNKCAP), 0xff7c0fff);
    assert_int_equal(pb_le32(dev->map->known + DEVCAP2), 0);
}

static void H21_what_is_live_or_xens_is_never_known(void **state)
{
    static const struct {
        uint16_t at, size;
    } never[] = {
        { PCI_COMMAND, 4 },
        { PCI_CACHE_LINE_SIZE, 4 },
        { PM + PCI_PM_CTRL, 4 },
        { VPD + PCI_VPD_ADDR, 6 },
        { MSI + PCI_MSI_FLAGS, 22 },
        { MSIX + PCI_MSIX_FLAGS, 2 },
        { EXP + PCI_EXP_DEVCTL, 4 },
        { EXP + PCI_EXP_LNKCTL, 20 },
        { EXP + PCI_EXP_DEVCTL2, 4 },
        { EXP + PCI_EXP_LNKCTL2, 12 },
        { VENDOR + 2, 6 },
        { EXP2 + 2, 0x1e },
        { AER + 4, PCI_AER_SIZE - 4 },
        { ACS + 6, 2 },
        { VSEC + 4, 0x20 },
    };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(never); i++) {
        for (unsigned at = never[i].at; at < (unsigned)never[i].at + never[i].size; at++)
            assert_int_equal(dev->map->known[at], 0);
    }
    for (unsigned at = 0; at < PB_CONFIG_SIZE_PCIE; at++) {
        const struct pb_map *map = dev->map;

        assert_int_equal(
            map->known[at] & (map->write[at] | map->w1c[at] | map->virt[at] | map->fixed[at]), 0);
    }
}

static void what_a_guest_may_write_is_not_known(void **state)
{
    const struct pb_rule open = { .offset = DEVCAP2, .size = 4, .hw = 0xffff0000, .write = 0xffff };
    size_t bad;

    (void)state;
    assert_int_equal(pb_map_apply(dev->map, &open, 1, &bad), 0);
    assert_int_equal(pb_le32(dev->map->known + DEVCAP2), 0xffff0000);
    pb_view_init(&dev->view, dev->map);
    assert_int_equal(cycles(DEVCAP2, 4), 1);
    assert_int_equal(cycles(DEVCAP2, 4), 1);
    assert_int_equal(cycles(DEVCAP2 + 2, 2), 0);
}

static void what_a_plugin_wants_to_see_comes_from_hardware(void **state)
{
    static uint8_t mask[PB_CONFIG_SIZE_PCIE];

    (void)state;
    mask[DEVCAP2 + 1] = 0x01;
    pb_map_set_raw(dev->map, mask);
    pb_view_init(&dev->view, dev->map);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(cycles(DEVCAP2, 4), 1);
    assert_int_equal(cycles(DEVCAP2, 1), 0);
}

/* Who can write what the specification calls read-only may find that it is not. */
static void in_permissive_mode_nothing_is_believed(void **state)
{
    (void)state;
    dev->view.permissive = true;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(cycles(DEVCAP2, 4), 1);
    assert_int_equal(cycles(PCI_VENDOR_ID, 4), 0);
}

/* ---- when -------------------------------------------------------------------------------------
 */

static void the_first_read_asks_hardware_the_next_ones_do_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(known_of_full); i++) {
        unsigned at = known_of_full[i].at, size = known_of_full[i].size;
        bool whole = known_of_full[i].mask == pb_ones(size);
        uint32_t value;

        assert_int_equal(cycles((int32_t)at, (int32_t)size), 1);
        value = pb_test_read(dev, (int32_t)at, (int32_t)size);
        assert_int_equal(dev->hw.count, whole ? 0 : 1);
        assert_int_equal(value, pb_le_get(dev->facts.config + at, size));
        /* each byte of it, too */
        for (unsigned n = 0; n < size && whole; n++)
            assert_int_equal(cycles((int32_t)(at + n), 1), 0);
    }
    /* beside two constants: the whole dword */
    assert_int_equal(cycles(PCI_INTERRUPT_LINE, 4), 0);
    /* one byte of a register says nothing of the others */
    pb_view_forget(&dev->view);
    assert_int_equal(cycles(DSN + 4, 1), 1);
    assert_int_equal(cycles(DSN + 4, 1), 0);
    assert_int_equal(cycles(DSN + 4, 4), 1);
}

static void H21_live_registers_always_come_from_hardware(void **state)
{
    static const struct {
        uint16_t at;
        uint16_t bit;
    } live[] = {
        { PCI_STATUS, 0x0008 },
        { PCI_COMMAND, 0x0004 },
        { PM + PCI_PM_CTRL, 0x8000 },
        { MSI + PCI_MSI_FLAGS, 0x0001 },
        { MSIX + PCI_MSIX_FLAGS, 0x8000 },
        { MSIX + PCI_MSIX_FLAGS, 0x0001 },
        { EXP + PCI_EXP_DEVSTA, 0x0020 },
        { LNKSTA, 0x0001 },
        { LNKCAP, 0x1000 },
        { MSI + 0x14, 0x0001 },
        { EXP + PCI_EXP_FLAGS, 0x0200 },
        { AER + PCI_AER_HEADER_LOG, 0x0001 },
    };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(live); i++) {
        uint8_t *at = dev->hw.config + live[i].at;
        uint32_t before = pb_test_read(dev, live[i].at, 2);

        for (unsigned n = 0; n < 4; n++) {
            pb_le_put(at, 2, pb_le16(at) ^ live[i].bit);
            before ^= live[i].bit;
            assert_int_equal(pb_test_read(dev, live[i].at, 2), before);
            assert_int_equal(dev->hw.count, 1);
        }
    }
}

static void after_each_of_these_hardware_is_asked_again(void **state)
{
    static uint8_t old[PB_CONFIG_SIZE_PCIE];

    (void)state;
    for (unsigned what = 0; what < 6; what++) {
        assert_int_equal(cycles(DEVCAP2, 4), what ? 0 : 1);
        assert_int_equal(cycles(DSN + 4, 4), what ? 0 : 1);
        switch (what) {
        case 0:
            pb_view_forget(&dev->view);
            break;
        case 1:
            pb_view_reset(&dev->view);
            break;
        case 2:
            pb_view_move(&dev->view, dev->map);
            break;
        case 3:
            pb_view_restore(&dev->view, dev->map, old, sizeof(old), true);
            break;
        case 4:
            assert_int_equal(pb_test_write(dev, PM + PCI_PM_CTRL, 2, PCI_PM_D3HOT), PB_GUEST_OK);
            break;
        default:
            assert_int_equal(pb_test_write(dev, PM + PCI_PM_CTRL, 2, PCI_PM_D0), PB_GUEST_OK);
            break;
        }
        assert_int_equal(cycles(DEVCAP2, 4), 1);
        assert_int_equal(cycles(DSN + 4, 4), 1);
    }
}

static void a_read_from_before_is_not_believed_afterwards(void **state)
{
    struct pb_access acc;

    (void)state;
    assert_int_equal(pb_access_begin(&acc, &dev->view, false, DEVCAP2, 4, 0), PB_STEP_READ);
    pb_view_forget(&dev->view); /* a reset, while the cycle waits for a slow device */
    assert_int_equal(pb_access_resume(&acc, 0, pb_le32(dev->facts.config + DEVCAP2)), PB_STEP_DONE);
    assert_false(is_remembered(DEVCAP2));
    assert_int_equal(cycles(DEVCAP2, 4), 1);
    assert_true(is_remembered(DEVCAP2));
}

static void a_read_that_failed_is_not_believed(void **state)
{
    (void)state;
    dev->hw.fail_after = 0;
    assert_int_equal(pb_test_run(dev, false, DEVCAP2, 4, 0).err, PB_GUEST_OP_FAILED);
    assert_false(is_remembered(DEVCAP2));
}

static void H21_a_device_that_vanishes_reads_all_ones(void **state)
{
    static uint8_t before[PB_CONFIG_SIZE_PCIE];

    (void)state;
    memcpy(before, dev->hw.config, sizeof(before));
    assert_int_equal(cycles(DEVCAP2, 4), 1);
    assert_int_equal(cycles(DSN + 4, 4), 1);
    memset(dev->hw.config, 0xff, sizeof(dev->hw.config));
    assert_true(is_remembered(DEVCAP2));
    /* the first register that is read from it tells, whichever that is */
    assert_false(pb_test_run(dev, false, LNKSTA, 2, 0).unlike);
    for (unsigned i = 0; i < 3; i++) {
        struct pb_access acc = pb_test_run(dev, false, DEVCAP2, 4, 0);

        assert_int_equal(dev->hw.count, 1);
        assert_int_equal(acc.value, UINT32_MAX);
        assert_true(acc.unlike);
        assert_int_equal(pb_test_read(dev, DSN + 4, 4), UINT32_MAX);
    }
    memcpy(dev->hw.config, before, sizeof(before));
    assert_int_equal(cycles(DEVCAP2, 4), 1);
    assert_int_equal(cycles(DEVCAP2, 4), 0);
}

static void XSA_337_what_disagrees_is_told_and_decides_nothing(void **state)
{
    uint32_t then = pb_le32(dev->facts.config + DEVCAP2);

    (void)state;
    assert_int_equal(cycles(DSN + 4, 4), 1);
    pb_le_put(dev->hw.config + DEVCAP2, 4, then ^ 1);
    for (unsigned i = 0; i < 3; i++) {
        struct pb_access acc = pb_test_run(dev, false, DEVCAP2, 4, 0);

        assert_int_equal(acc.value, then ^ 1);
        assert_true(acc.unlike);
        assert_int_equal(dev->hw.count, 1);
    }
    /* it is another device, or not as it was: the others are asked, too */
    assert_false(is_remembered(DSN + 4));
    /* and what was read at claim is still what the rest goes by */
    assert_int_equal(pb_le32(dev->map->value + DEVCAP2), then);
    assert_int_equal(pb_le32(dev->map->image + DEVCAP2), then);
    pb_le_put(dev->hw.config + DEVCAP2, 4, then);
    assert_false(pb_test_run(dev, false, DEVCAP2, 4, 0).unlike);
    assert_int_equal(cycles(DEVCAP2, 4), 0);
}

/* ---- the same answers -------------------------------------------------------------------------
 */

static void live_bits_change(struct pb_test_device *one, struct pb_test_device *two, uint32_t *seed)
{
    for (unsigned n = 0; n < 8; n++) {
        unsigned at = pb_test_random(seed) % 0x200;
        uint8_t bits = (uint8_t)(pb_test_random(seed) & ~one->map->known[at]);

        if (at == PM + PCI_PM_CTRL)
            continue; /* its state is not the device's to change */
        one->hw.config[at] ^= bits;
        two->hw.config[at] ^= bits;
    }
}

static void the_answer_from_memory_is_the_answer_of_hardware(void **state)
{
    struct pb_test_device *other = pb_test_device_new(full);
    unsigned with = 0, without = 0;
    uint32_t seed = 337;

    (void)state;
    for (unsigned at = 0; at < PB_CONFIG_SIZE_PCIE; at++) {
        /* as the specification has them */
        dev->hw.rw[at] &= (uint8_t)~dev->map->known[at];
        other->hw.rw[at] = dev->hw.rw[at];
    }
    for (unsigned n = 0; n < 100000; n++) {
        int32_t size = 1 << pb_test_random(&seed) % 3;
        int32_t at = (int32_t)(pb_test_random(&seed) % (0x200U / (unsigned)size)) * size;
        uint32_t value = pb_test_random(&seed);
        bool write = pb_test_random(&seed) % 8 == 0;
        struct pb_access one, two;

        live_bits_change(dev, other, &seed);
        one = pb_test_run(dev, write, at, size, value);
        with += dev->hw.count;
        pb_view_forget(&other->view);
        two = pb_test_run(other, write, at, size, value);
        without += other->hw.count;
        assert_int_equal(one.err, two.err);
        assert_int_equal(one.value, two.value);
        assert_int_equal(one.denied, two.denied);
        assert_false(one.unlike);
    }
    assert_memory_equal(dev->hw.config, other->hw.config, sizeof(dev->hw.config));
    assert_true(with < without);
    pb_test_device_free(other);
}

#define ON(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(H21_known_is_what_the_table_says_of_the_capabilities_that_it_has),
        ON(H21_what_is_live_or_xens_is_never_known),
        ON(what_a_guest_may_write_is_not_known),
        ON(what_a_plugin_wants_to_see_comes_from_hardware),
        ON(in_permissive_mode_nothing_is_believed),
        ON(the_first_read_asks_hardware_the_next_ones_do_not),
        ON(H21_live_registers_always_come_from_hardware),
        ON(after_each_of_these_hardware_is_asked_again),
        ON(a_read_from_before_is_not_believed_afterwards),
        ON(a_read_that_failed_is_not_believed),
        ON(H21_a_device_that_vanishes_reads_all_ones),
        ON(XSA_337_what_disagrees_is_told_and_decides_nothing),
        ON(the_answer_from_memory_is_the_answer_of_hardware),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
