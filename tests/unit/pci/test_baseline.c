/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "device.h"
#include "pci/regs.h"

static struct pb_test_device *dev;

static void use(void (*fill)(struct pb_facts *facts))
{
    pb_test_device_free(dev);
    dev = pb_test_device_new(fill);
}

static int teardown(void **state)
{
    (void)state;
    pb_test_device_free(dev);
    dev = NULL;
    return 0;
}

static int refusal(const struct pb_facts *facts)
{
    struct pb_layout layout;
    struct pb_map *map;
    int rc = 1;

    assert_int_equal(pb_layout_read(facts, &layout), 0);
    map = pb_map_baseline(facts, &layout, &rc);
    assert_null(map);
    return rc;
}

static void bridges_are_refused(void **state)
{
    struct pb_facts facts;

    (void)state;
    pb_test_e1000(&facts);
    facts.config[PCI_HEADER_TYPE] = 0x81;
    assert_int_equal(refusal(&facts), -EOPNOTSUPP);
    facts.config[PCI_HEADER_TYPE] = 2;
    assert_int_equal(refusal(&facts), -EOPNOTSUPP);
    facts.config[PCI_HEADER_TYPE] = 0;
    facts.class_code = 0x060000;
    assert_int_equal(refusal(&facts), -EOPNOTSUPP);
}

static void capabilities_upon_one_another_are_refused(void **state)
{
    struct pb_facts facts;

    (void)state;
    pb_test_e1000(&facts);
    pb_test_add_cap(&facts, 0x60, PCI_CAP_MSIX);
    pb_test_add_cap(&facts, 0x64, PCI_CAP_PM); /* its PMCSR lies upon the MSI-X PBA, … */
    facts.config[0x61] = 0;                    /* … and it is the only one */
    assert_int_equal(refusal(&facts), -EPROTO);
}

/* All at once, as nothing of it may need hardware. */
static void identity_is_read_from_facts_without_hardware(void **state)
{
    static const struct {
        uint16_t offset;
        uint8_t size;
        uint32_t value;
    } reads[] = {
        { 0x00, 4, 0x10d38086 }, { 0x08, 4, 0x02000000 }, { 0x0e, 1, 0x00 },
        { 0x2c, 4, 0xa01f8086 }, { 0x2e, 2, 0xa01f },     { 0x34, 1, 0xc8 },
        { 0x28, 4, 0 },          { 0x3c, 2, 0x0111 },     { 0xc8, 4, 0x0022d001 },
        { 0xd0, 2, 0xe005 },     { 0xe0, 2, 0xa010 },     { 0xa0, 2, 0x0011 },
        { 0xa4, 4, 0x00000003 }, { 0xa8, 4, 0x00002003 }, { 0x0d, 1, 0 },
    };

    (void)state;
    use(pb_test_e1000e);
    memset(dev->hw.config, 0xff, sizeof(dev->hw.config)); /* it would show */
    for (size_t i = 0; i < PB_ARRAY_SIZE(reads); i++) {
        assert_int_equal(pb_test_read(dev, reads[i].offset, reads[i].size), reads[i].value);
        assert_int_equal(dev->hw.count, 0);
    }
}

static void H21_a_vf_has_ids_bars_and_decode_from_facts(void **state)
{
    (void)state;
    use(pb_test_vf);
    assert_int_equal(pb_test_read(dev, PCI_VENDOR_ID, 4), 0x10ca8086);
    assert_int_equal(pb_test_read(dev, PCI_BAR0, 4), 0x8000000c);
    assert_int_equal(pb_test_read(dev, PCI_BAR0 + 4, 4), 0x2);
    assert_int_equal(pb_test_read(dev, PCI_BAR0 + 8, 4), 0);
    assert_int_equal(pb_test_read(dev, PCI_BAR0 + 12, 4), 0x8002000c);
    assert_int_equal(pb_test_read(dev, PCI_INTERRUPT_LINE, 2), 0);
    assert_int_equal(dev->hw.count, 0);
    assert_int_equal(pb_test_read(dev, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
}

static void H21_resources_are_the_bars_not_the_registers(void **state)
{
    (void)state;
    use(pb_test_e1000e);
    memset(dev->hw.config + PCI_BAR0, 0xee, 0x18);
    assert_int_equal(pb_test_read(dev, PCI_BAR0, 4), 0xfebc0000);
    assert_int_equal(pb_test_read(dev, PCI_BAR0 + 4, 4), 0xfeb80000);
    assert_int_equal(pb_test_read(dev, PCI_BAR0 + 8, 4), 0xc041);
    assert_int_equal(pb_test_read(dev, PCI_BAR0 + 12, 4), 0xfebe0000);
    assert_int_equal(pb_test_read(dev, PCI_BAR0 + 16, 4), 0);
    assert_int_equal(pb_test_read(dev, PCI_ROM_ADDRESS, 4), 0xfea00000);
    assert_int_equal(dev->hw.count, 0);
}

static void H21_command_and_interrupt_control_are_read_live(void **state)
{
    (void)state;
    use(pb_test_e1000e);
    pb_le_put(dev->hw.config + PCI_COMMAND, 2, 0xffff);
    assert_int_equal(pb_test_read(dev, PCI_COMMAND, 2),
                     0xffff & ~(PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE));
    pb_le_put(dev->hw.config + PCI_COMMAND, 2, 0);
    assert_int_equal(pb_test_read(dev, PCI_COMMAND, 2), 3);
    pb_le_put(dev->hw.config + E1000E_MSI + 2, 2, 0x0081);
    assert_int_equal(pb_test_read(dev, E1000E_MSI + 2, 2), 0x0081);
    pb_le_put(dev->hw.config + E1000E_MSIX + 2, 2, 0xc007); /* a VF's table size changes */
    assert_int_equal(pb_test_read(dev, E1000E_MSIX, 4), 0xc0070011);
}

static void H14_transactions_pending_is_read_live(void **state)
{
    (void)state;
    use(pb_test_e1000e);
    pb_le_put(dev->hw.config + E1000E_EXP + 10, 2, 0x0020);
    assert_int_equal(pb_test_read(dev, E1000E_EXP + 10, 2), 0x0020);
    pb_le_put(dev->hw.config + E1000E_EXP + 10, 2, 0);
    assert_int_equal(pb_test_read(dev, E1000E_EXP + 8, 4), 0x00002810);
}

static void decode_starts_as_the_bars_are(void **state)
{
    struct pb_facts facts;

    (void)state;
    pb_test_e1000(&facts);
    facts.resource[0].flags |= PB_RES_UNSET;
    dev = pb_test_device_of(&facts);
    assert_int_equal(pb_test_read(dev, PCI_COMMAND, 2), PCI_COMMAND_IO);
    pb_test_device_free(dev);
    facts.resource[1].flags |= PB_RES_DISABLED;
    dev = pb_test_device_of(&facts);
    assert_int_equal(pb_test_read(dev, PCI_COMMAND, 2), 0);
}

static void bars_that_cannot_be_told_read_zero(void **state)
{
    static const struct pb_resource unusable[] = {
        { 0, 0, 0 },
        { 0xfebc0000, 0xfebdffff, PB_RES_MEM | PB_RES_UNSET },
        { 0xfebc0000, 0xfebdffff, PB_RES_MEM | PB_RES_DISABLED },
        { 0xfebc0000, 0xfebc0000 - 1, PB_RES_MEM },
        { 0xfebc0000, 0xfebdffff, 0 },
    };
    struct pb_facts facts;

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(unusable); i++) {
        pb_test_e1000(&facts);
        facts.resource[0] = unusable[i];
        pb_test_device_free(dev);
        dev = pb_test_device_of(&facts);
        assert_int_equal(pb_test_read(dev, PCI_BAR0, 4), 0);
        assert_int_equal(pb_test_write(dev, PCI_BAR0, 4, 0xffffffff), 0);
        assert_int_equal(pb_test_read(dev, PCI_BAR0, 4), 0);
        assert_int_equal(dev->hw.count, 0);
    }
    /* the last BAR has no register for an upper half; a ROM in RAM is not the BAR */
    pb_test_e1000(&facts);
    facts.resource[5] =
        (struct pb_resource){ 0x280000000, 0x28000ffff, PB_RES_MEM | PB_RES_MEM_64 | 4 };
    facts.resource[PB_PCI_ROM] = (struct pb_resource){ 0xc0000, 0xdffff, PB_RES_MEM | 2 };
    pb_test_device_free(dev);
    dev = pb_test_device_of(&facts);
    assert_int_equal(pb_test_read(dev, PCI_BAR0 + 20, 4), 0);
    assert_int_equal(pb_test_read(dev, PCI_CARDBUS_CIS, 4), 0);
    assert_int_equal(pb_test_read(dev, PCI_ROM_ADDRESS, 4), 0);
}

static void latency_is_the_guests_own(void **state)
{
    (void)state;
    use(pb_test_e1000);
    assert_int_equal(pb_test_read(dev, PCI_LATENCY_TIMER, 1), 0x40);
    assert_int_equal(pb_test_write(dev, PCI_LATENCY_TIMER, 1, 0xf8), 0);
    assert_int_equal(pb_test_read(dev, PCI_LATENCY_TIMER, 1), 0xf8);
    assert_int_equal(dev->hw.config[PCI_LATENCY_TIMER], 0x40);
    pb_view_init(&dev->view, dev->map);
    assert_int_equal(pb_test_read(dev, PCI_LATENCY_TIMER, 1), 0x40);
}

static void pme_is_hidden(void **state)
{
    (void)state;
    use(pb_test_e1000e);
    assert_int_equal(pb_le16(dev->facts.config + E1000E_PM + 2), 0xc822);
    assert_int_equal(pb_test_read(dev, E1000E_PM + PCI_PM_PMC, 2), 0x0022);
    pb_le_put(dev->hw.config + E1000E_PM + PCI_PM_CTRL, 2, 0xa100);
    assert_int_equal(pb_test_read(dev, E1000E_PM + PCI_PM_CTRL, 2), 0xa000);
}

static void what_kernels_swallow_is_not_denied(void **state)
{
    static const uint16_t offsets[] = { 0x00, 0x02, 0x2c, 0x2e, 0x3c, 0x3d, 0xc8, 0xca,
                                        0xce, 0xcf, 0xd0, 0xe0, 0xa0, 0x60, 0x64, 0x66 };
    struct pb_facts facts;

    (void)state;
    pb_test_e1000e(&facts);
    pb_test_add_cap(&facts, 0x60, PCI_CAP_VPD);
    dev = pb_test_device_of(&facts);
    for (size_t i = 0; i < PB_ARRAY_SIZE(offsets); i++) {
        struct pb_access acc = pb_test_run(dev, true, offsets[i], 1, 0x5a);

        assert_int_equal(acc.err, 0);
        assert_int_equal(acc.denied, 0);
        assert_int_equal(dev->hw.count, 0);
    }
}

static void every_bit_has_one_class(void **state)
{
    static void (*const fills[])(struct pb_facts *) = { pb_test_e1000e, pb_test_e1000, pb_test_vf };

    (void)state;
    for (size_t n = 0; n < PB_ARRAY_SIZE(fills); n++) {
        use(fills[n]);
        for (unsigned at = 0; at < PB_CONFIG_SIZE_PCIE; at++) {
            const struct pb_map *map = dev->map;

            assert_int_equal(map->write[at] & map->w1c[at], 0);
            assert_int_equal((map->write[at] | map->w1c[at]) & (map->virt[at] | map->fixed[at]), 0);
            assert_int_equal(map->virt[at] & map->fixed[at], 0);
            assert_int_equal(map->value[at] & ~(map->virt[at] | map->fixed[at]), 0);
            assert_int_equal((map->write[at] | map->w1c[at]) & map->lock[at], 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(bridges_are_refused, teardown),
        cmocka_unit_test_teardown(capabilities_upon_one_another_are_refused, teardown),
        cmocka_unit_test_teardown(identity_is_read_from_facts_without_hardware, teardown),
        cmocka_unit_test_teardown(H21_a_vf_has_ids_bars_and_decode_from_facts, teardown),
        cmocka_unit_test_teardown(H21_resources_are_the_bars_not_the_registers, teardown),
        cmocka_unit_test_teardown(H21_command_and_interrupt_control_are_read_live, teardown),
        cmocka_unit_test_teardown(H14_transactions_pending_is_read_live, teardown),
        cmocka_unit_test_teardown(decode_starts_as_the_bars_are, teardown),
        cmocka_unit_test_teardown(bars_that_cannot_be_told_read_zero, teardown),
        cmocka_unit_test_teardown(latency_is_the_guests_own, teardown),
        cmocka_unit_test_teardown(pme_is_hidden, teardown),
        cmocka_unit_test_teardown(what_kernels_swallow_is_not_denied, teardown),
        cmocka_unit_test_teardown(every_bit_has_one_class, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
