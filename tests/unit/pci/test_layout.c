/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "device.h"
#include "pci/layout.h"
#include "pci/regs.h"

static struct pb_facts facts;
static struct pb_layout layout;

static void an_e1000e_has_its_capabilities_where_they_are(void **state)
{
    static const struct pb_cap caps[] = {
        { 0xc8, 0x01 }, { 0xd0, 0x05 }, { 0xe0, 0x10 }, { 0xa0, 0x11 }
    };

    (void)state;
    pb_test_e1000e(&facts);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    assert_int_equal(layout.header_type, 0);
    assert_int_equal(layout.cap_count, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(layout.cap[i].offset, caps[i].offset);
        assert_int_equal(layout.cap[i].id, caps[i].id);
    }
    assert_int_equal(layout.pm, 0xc8);
    assert_int_equal(layout.msi, 0xd0);
    assert_int_equal(layout.exp, 0xe0);
    assert_int_equal(layout.msix, 0xa0);
    assert_int_equal(layout.vpd | layout.pcix | layout.af, 0);
    assert_int_equal(layout.ext_count, 2);
    assert_int_equal(layout.ext[1].offset, 0x140);
    assert_int_equal(layout.ext[1].id, 3);
    assert_true(layout.msi_64bit);
    assert_false(layout.msi_maskable);
    assert_int_equal(layout.msi_vectors, 1);
    assert_int_equal(layout.msix_vectors, 5);
    assert_int_equal(layout.msix_table_bar, 3);
    assert_int_equal(layout.msix_table_base, 0xfebe0000);
    assert_false(layout.no_soft_reset);
}

static void an_e1000_has_neither_msi_nor_extended_space(void **state)
{
    (void)state;
    pb_test_e1000(&facts);
    pb_le_put(facts.config + 0x100, 4, 0x00010003); /* not real: only 256 bytes are */
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    assert_int_equal(layout.pm, 0xdc);
    assert_int_equal(layout.pcix, 0xe4);
    assert_int_equal(layout.msi | layout.msix, 0);
    assert_int_equal(layout.msix_vectors, 0);
    assert_int_equal(layout.ext_count, 0);
}

static void H21_a_vf_table_base_comes_from_the_resource(void **state)
{
    (void)state;
    pb_test_vf(&facts);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    assert_int_equal(layout.msix, 0x70);
    assert_int_equal(layout.msix_vectors, 3);
    assert_true(layout.msix_table_base == 0x280020000);
}

static void table_base_is_zero_without_a_usable_memory_bar(void **state)
{
    static const uint64_t flags[] = { 0, PB_RES_IO | 1, PB_RES_MEM | PB_RES_UNSET,
                                      PB_RES_MEM | PB_RES_DISABLED };

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(flags); i++) {
        pb_test_e1000e(&facts);
        facts.resource[3].flags = flags[i];
        assert_int_equal(pb_layout_read(&facts, &layout), 0);
        assert_true(layout.msix_table_base == 0);
    }
    pb_test_e1000e(&facts);
    facts.config[E1000E_MSIX + PCI_MSIX_TABLE] |= PCI_MSIX_BIR; /* 7 is reserved */
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    assert_int_equal(layout.msix_table_bar, 7);
    assert_true(layout.msix_table_base == 0);
}

static void all_ones_is_no_device_but_a_vf_is_one(void **state)
{
    (void)state;
    pb_test_vf(&facts);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    memset(facts.config, 0xff, sizeof(facts.config));
    assert_int_equal(pb_layout_read(&facts, &layout), -ENODEV);
}

static void loops_are_refused(void **state)
{
    (void)state;
    for (unsigned back = 0; back < 4; back++) {
        static const uint8_t at[] = { 0xc8, 0xd0, 0xe0, 0xa0 };

        pb_test_e1000e(&facts);
        facts.config[0xa1] = at[back];
        assert_int_equal(pb_layout_read(&facts, &layout), -EPROTO);
    }
    pb_test_e1000e(&facts);
    pb_le_put(facts.config + 0x140, 4, 0x10010003);
    assert_int_equal(pb_layout_read(&facts, &layout), -EPROTO);
    pb_le_put(facts.config + 0x140, 4, 0x14010003);
    assert_int_equal(pb_layout_read(&facts, &layout), -EPROTO);
}

static void pointers_into_the_header_are_refused(void **state)
{
    (void)state;
    pb_test_e1000e(&facts);
    facts.config[PCI_CAPABILITIES] = 0x3c;
    assert_int_equal(pb_layout_read(&facts, &layout), -EPROTO);
    pb_test_e1000e(&facts);
    facts.config[0xa1] = 0x04;
    assert_int_equal(pb_layout_read(&facts, &layout), -EPROTO);
    pb_test_e1000e(&facts);
    pb_le_put(facts.config + 0x140, 4, 0x0fc10003);
    assert_int_equal(pb_layout_read(&facts, &layout), -EPROTO);
}

static void a_body_that_ends_outside_is_refused(void **state)
{
    static const uint8_t ids[] = { PCI_CAP_PM,   PCI_CAP_VPD, PCI_CAP_MSI,
                                   PCI_CAP_MSIX, PCI_CAP_EXP, PCI_CAP_AF };

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(ids); i++) {
        pb_test_e1000(&facts);
        facts.config[PCI_CAPABILITIES] = 0xfc;
        pb_le_put(facts.config + 0xfc, 4, ids[i]);
        assert_int_equal(pb_layout_read(&facts, &layout), -EPROTO);
    }
    pb_test_e1000(&facts);
    facts.config[PCI_CAPABILITIES] = 0xf8;
    pb_le_put(facts.config + 0xf8, 4, PCI_CAP_PM);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
}

static void reserved_pointer_bits_and_dead_entries_are_tolerated(void **state)
{
    (void)state;
    pb_test_e1000e(&facts);
    facts.config[PCI_CAPABILITIES] |= 3;
    facts.config[0xa1] = 0x98;
    facts.config[0x98] = facts.config[0x99] = 0xff;
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    assert_int_equal(layout.cap_count, 4);
    pb_le_put(facts.config + 0x140, 4, 0xffffffff);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    assert_int_equal(layout.ext_count, 1);
}

static void an_empty_extended_space_has_no_capabilities(void **state)
{
    (void)state;
    pb_test_e1000e(&facts);
    pb_le_put(facts.config + 0x100, 4, 0);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    assert_int_equal(layout.ext_count, 0);
    pb_le_put(facts.config + 0x100, 4, 0xffffffff);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    assert_int_equal(layout.ext_count, 0);
}

static void without_the_status_bit_there_is_no_list(void **state)
{
    (void)state;
    pb_test_e1000e(&facts);
    pb_le_put(facts.config + PCI_STATUS, 2, 0);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    assert_int_equal(layout.cap_count, 0);
}

static void the_longest_lists_fit(void **state)
{
    (void)state;
    pb_test_e1000e(&facts);
    for (unsigned at = 0x40; at < 0x100; at += 4)
        pb_le_put(facts.config + at, 4, (at + 4) << 8 | 0x09);
    facts.config[0xfd] = 0;
    facts.config[PCI_CAPABILITIES] = 0x40;
    for (unsigned at = 0x100; at < 0x1000; at += 8)
        pb_le_put(facts.config + at, 4, (at + 8) << 20 | 0x1000b);
    pb_le_put(facts.config + 0xff8, 4, 0x1000b);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    assert_int_equal(layout.cap_count, PB_CAPS_MAX);
    assert_int_equal(layout.ext_count, PB_EXT_CAPS_MAX);
}

static void msi_shapes_are_read(void **state)
{
    static const struct {
        uint16_t flags;
        uint8_t vectors;
        unsigned dwords;
    } shapes[] = { { 0x0000, 1, 2 }, { 0x0080, 1, 3 },  { 0x018a, 32, 5 },
                   { 0x0106, 8, 4 }, { 0x000e, 32, 2 }, { 0x000c, 32, 2 } };

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(shapes); i++) {
        pb_test_e1000e(&facts);
        pb_le_put(facts.config + E1000E_MSI + PCI_MSI_FLAGS, 2, shapes[i].flags);
        assert_int_equal(pb_layout_read(&facts, &layout), 0);
        assert_int_equal(layout.msi_vectors, shapes[i].vectors);
        assert_int_equal(pb_layout_msi_dwords(&layout), shapes[i].dwords);
    }
}

static void a_bridge_is_read_and_left_to_the_caller(void **state)
{
    (void)state;
    pb_test_e1000(&facts);
    facts.config[PCI_HEADER_TYPE] = 0x81;
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    assert_int_equal(layout.header_type, 1);
    facts.config[PCI_HEADER_TYPE] = 2;
    facts.config[PCI_CARDBUS_CAPABILITIES] = 0xdc;
    facts.config[PCI_CAPABILITIES] = 0x04;
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    assert_int_equal(layout.pm, 0xdc);
}

/* Whatever the image is, the walk ends and stays inside (ASan and UBSan look on). */
static void random_images_end(void **state)
{
    uint32_t seed = 0x2545f491;

    (void)state;
    for (unsigned n = 0; n < 2000; n++) {
        pb_test_e1000e(&facts);
        for (unsigned i = 0; i < 64; i++)
            facts.config[pb_test_random(&seed) % (n % 2 ? 256 : 4096)] =
                (uint8_t)pb_test_random(&seed);
        if (pb_layout_read(&facts, &layout) == 0) {
            assert_true(layout.cap_count <= PB_CAPS_MAX);
            assert_true(layout.ext_count <= PB_EXT_CAPS_MAX);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_e1000e_has_its_capabilities_where_they_are),
        cmocka_unit_test(an_e1000_has_neither_msi_nor_extended_space),
        cmocka_unit_test(H21_a_vf_table_base_comes_from_the_resource),
        cmocka_unit_test(table_base_is_zero_without_a_usable_memory_bar),
        cmocka_unit_test(all_ones_is_no_device_but_a_vf_is_one),
        cmocka_unit_test(loops_are_refused),
        cmocka_unit_test(pointers_into_the_header_are_refused),
        cmocka_unit_test(a_body_that_ends_outside_is_refused),
        cmocka_unit_test(reserved_pointer_bits_and_dead_entries_are_tolerated),
        cmocka_unit_test(an_empty_extended_space_has_no_capabilities),
        cmocka_unit_test(without_the_status_bit_there_is_no_list),
        cmocka_unit_test(the_longest_lists_fit),
        cmocka_unit_test(msi_shapes_are_read),
        cmocka_unit_test(a_bridge_is_read_and_left_to_the_caller),
        cmocka_unit_test(random_images_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
