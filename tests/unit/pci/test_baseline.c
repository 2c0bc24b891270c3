/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "fixture.h"
#include "pci/regs.h"

static void use(void (*fill)(struct pb_facts *facts))
{
    pb_test_device_free(dev);
    dev = pb_test_device_new(fill);
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
    /* whatever the other one is, MSI must be whole */
    pb_test_e1000e(&facts);
    pb_test_add_cap(&facts, E1000E_MSI + 8, 0x09);
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

/* ---- traits ------------------------------------------------------------------------------------
 */

static void with(const struct pb_facts *facts, const struct pb_traits *traits)
{
    pb_test_device_free(dev);
    dev = pb_test_device_with(facts, traits, NULL, 0);
}

static void a_class_is_what_the_trait_says(void **state)
{
    struct pb_traits traits = { .class_code = 0x118000 };
    struct pb_facts facts;

    (void)state;
    pb_test_e1000e(&facts);
    with(&facts, &traits); /* not set: a class of 0 could be meant */
    assert_int_equal(pb_test_read(dev, PCI_REVISION, 4), 0x02000000);
    traits.set[PB_TRAIT_CLASS] = true;
    with(&facts, &traits);
    assert_int_equal(pb_test_read(dev, PCI_REVISION, 4), 0x11800000);
}

static void without_intx_there_is_neither_pin_nor_line(void **state)
{
    struct pb_traits traits = { .intx = PB_INTX_WARN };
    struct pb_facts facts;

    (void)state;
    pb_test_e1000e(&facts);
    with(&facts, &traits);
    assert_int_equal(pb_test_read(dev, PCI_INTERRUPT_LINE, 2), 0x0111);
    traits.intx = PB_INTX_DENY;
    with(&facts, &traits);
    assert_int_equal(pb_test_read(dev, PCI_INTERRUPT_LINE, 2), 0);
    assert_int_equal(pb_test_run(dev, true, PCI_INTERRUPT_LINE, 2, 0x0101).denied, 0);
}

static void a_hidden_rom_is_no_rom(void **state)
{
    const struct pb_traits traits = { .hide_rom = true };
    struct pb_facts facts;

    (void)state;
    pb_test_e1000e(&facts);
    with(&facts, &traits);
    assert_int_equal(pb_test_read(dev, PCI_ROM_ADDRESS, 4), 0);
    assert_int_equal(pb_test_run(dev, true, PCI_ROM_ADDRESS, 4, 0xfffff800).denied, 0);
    assert_int_equal(pb_test_read(dev, PCI_ROM_ADDRESS, 4), 0);
    assert_int_equal(dev->map->bar[PB_PCI_ROM].type_mask, 0);
    assert_int_equal(pb_test_read(dev, PCI_BAR0, 4), 0xfebc0000);
}

static void delays_and_ends_are_handed_on(void **state)
{
    struct pb_traits traits = { .vpd_size = 2048, .d3_delay_ms = 50, .config_size = 0xa2 };
    struct pb_facts facts;

    (void)state;
    pb_test_e1000(&facts);
    with(&facts, &traits);
    assert_int_equal(dev->map->vpd_end, 2048);
    assert_int_equal(dev->map->d3_delay_ms, 10); /* not set */
    assert_int_equal(dev->map->size, 0xa0);
    assert_int_equal(dev->map->space, 256);
    traits.set[PB_TRAIT_D3_DELAY] = true;
    with(&facts, &traits);
    assert_int_equal(dev->map->d3_delay_ms, 50);
    use(pb_test_e1000e);
    assert_int_equal(dev->map->vpd_end, 0);
    assert_int_equal(dev->map->d3_delay_ms, 10);
    assert_int_equal(dev->map->size, 4096);
}

/* A function with both FLR capabilities, both advertised. */
static void with_flr(struct pb_facts *facts)
{
    pb_test_e1000e(facts);
    pb_test_add_cap(facts, 0x60, PCI_CAP_AF);
    facts->config[0x60 + PCI_AF_CAP] = 3;
    facts->config[E1000E_EXP + PCI_EXP_DEVCAP + 3] |= 0x10;
}

static void a_reset_is_offered_where_it_can_be_carried_out(void **state)
{
    const uint8_t flr = 1U << PB_RESET_BY_FLR, af = 1U << PB_RESET_BY_AF_FLR;
    const struct {
        const char *methods;
        struct pb_traits traits;
        unsigned flr;
    } cases[] = {
        { "", { .no_reset = 0 }, 0 },
        { "flr", { .no_reset = 0 }, flr },
        { "pm af_flr bus", { .no_reset = 0 }, af },
        { "device_specific flr af_flr", { .no_reset = 0 }, flr | af },
        { "flrx xflr  af_fl", { .no_reset = 0 }, 0 },
        { "flr af_flr", { .no_reset = flr }, af },
        { "flr af_flr", { .no_reset = flr | af }, 0 },
        { "flr af_flr pm", { .reset_method = { PB_RESET_BY_PM }, .reset_method_count = 1 }, 0 },
        { "flr af_flr pm",
          { .reset_method = { PB_RESET_BY_PM, PB_RESET_BY_FLR }, .reset_method_count = 2 },
          flr },
    };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(cases); i++) {
        struct pb_facts facts;
        uint32_t devcap;

        with_flr(&facts);
        (void)strcpy(facts.reset_methods, cases[i].methods);
        with(&facts, &cases[i].traits);
        assert_int_equal(dev->map->flr, cases[i].flr);
        /* and the guest is told of those alone */
        devcap = pb_test_read(dev, E1000E_EXP + PCI_EXP_DEVCAP, 4);
        assert_int_equal(devcap & 0x0fffffff, 0x00008cc1);
        assert_int_equal(devcap >> 28 & 1, cases[i].flr & flr ? 1 : 0);
        assert_int_equal(pb_test_read(dev, 0x60 + PCI_AF_CAP, 1), cases[i].flr & af ? 3 : 1);
    }
}

static void a_reset_that_the_device_does_not_have_is_not_offered(void **state)
{
    struct pb_facts facts;

    (void)state;
    with_flr(&facts);
    facts.config[0x60 + PCI_AF_CAP] = 1;
    facts.config[E1000E_EXP + PCI_EXP_DEVCAP + 3] &= 0xef;
    (void)strcpy(facts.reset_methods, "flr af_flr");
    pb_test_device_free(dev);
    dev = pb_test_device_of(&facts);
    assert_int_equal(dev->map->flr, 0);
}

/* ---- capabilities ------------------------------------------------------------------------------
 */

static void express_registers_end_where_the_next_capability_begins(void **state)
{
    struct pb_facts facts;

    (void)state;
    pb_test_e1000e(&facts);
    pb_test_add_cap(&facts, 0xf0, 0x09);
    dev = pb_test_device_of(&facts);
    /* Device Control is there, Link Control lies in the other one */
    assert_int_equal(pb_test_run(dev, true, E1000E_EXP + PCI_EXP_DEVCTL, 2, 0x2810).denied, 0);
    assert_int_equal(pb_test_read(dev, 0xf0, 2), 0xc809);
    assert_int_equal(pb_le16(dev->map->virt + E1000E_EXP + PCI_EXP_LNKCTL), 0);
    assert_int_equal(pb_test_run(dev, true, 0xf2, 2, 0x1010).denied, 0x0001);
}

static void old_express_capabilities_have_the_registers_of_their_kind(void **state)
{
    static const struct {
        uint16_t flags;
        unsigned last; /* control register that there is */
    } kinds[] = { { 0x0001, PCI_EXP_LNKCTL },  { 0x0011, PCI_EXP_LNKCTL },
                  { 0x0091, PCI_EXP_DEVCTL },  { 0x0041, PCI_EXP_RTCTL },
                  { 0x0002, PCI_EXP_SLTCTL2 }, { 0x0092, PCI_EXP_SLTCTL2 } };
    static const unsigned controls[] = { PCI_EXP_DEVCTL, PCI_EXP_LNKCTL,  PCI_EXP_SLTCTL,
                                         PCI_EXP_RTCTL,  PCI_EXP_DEVCTL2, PCI_EXP_LNKCTL2,
                                         PCI_EXP_SLTCTL2 };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(kinds); i++) {
        struct pb_facts facts;

        pb_test_e1000(&facts);
        pb_test_add_cap(&facts, 0x40, PCI_CAP_EXP);
        pb_le_put(facts.config + 0x42, 2, kinds[i].flags);
        pb_test_device_free(dev);
        dev = pb_test_device_of(&facts);
        for (size_t n = 0; n < PB_ARRAY_SIZE(controls); n++) {
            unsigned shadow = pb_le16(dev->map->virt + 0x40 + controls[n]);

            assert_int_equal(shadow != 0, controls[n] <= kinds[i].last);
        }
    }
}

static void a_second_capability_of_a_kind_may_only_be_read(void **state)
{
    static const uint8_t ids[] = { PCI_CAP_PM,   PCI_CAP_VPD, PCI_CAP_MSI, PCI_CAP_PCIX,
                                   PCI_CAP_MSIX, PCI_CAP_EXP, PCI_CAP_AF };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(ids); i++) {
        struct pb_facts facts;

        pb_test_e1000(&facts);
        facts.config[PCI_CAPABILITIES] = 0;
        pb_test_add_cap(&facts, 0xa0, ids[i]);
        pb_test_add_cap(&facts, 0x40, ids[i]);
        pb_test_device_free(dev);
        dev = pb_test_device_of(&facts);
        dev->view.permissive = true;
        for (int32_t at = 0xa0; at < 0xa6; at++) {
            assert_int_equal(pb_test_write(dev, at, 1, 0xff), 0);
            assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
        }
        assert_int_equal(dev->map->reg[dev->map->reg_of[0xa2] - 1].effect, PB_EFFECT_NONE);
    }
}

static void aer_status_is_clear_and_swallows_masks_are_the_guests(void **state)
{
    struct pb_facts facts;
    size_t bad;

    (void)state;
    pb_test_e1000e(&facts);
    pb_le_put(facts.config + 0x100 + PCI_AER_UNCOR_SEVERITY, 4, 0x00062030);
    pb_test_device_free(dev);
    dev = pb_test_device_of(&facts);
    pb_le_put(dev->hw.config + 0x104, 4, 0x00100000);
    pb_le_put(dev->hw.config + 0x110, 4, 0x00002001);
    assert_int_equal(pb_test_read(dev, 0x104, 4), 0);
    assert_int_equal(pb_test_read(dev, 0x110, 4), 0);
    assert_int_equal(pb_test_run(dev, true, 0x104, 4, UINT32_MAX).denied, 0);
    assert_int_equal(pb_test_run(dev, true, 0x110, 4, UINT32_MAX).denied, 0);
    assert_int_equal(dev->hw.count, 0);
    assert_int_equal(pb_test_read(dev, 0x10c, 4), 0x00062030);
    assert_int_equal(pb_test_run(dev, true, 0x10c, 4, 0x12345678).denied, 0);
    assert_int_equal(pb_test_read(dev, 0x10c, 4), 0x12345678);
    assert_int_equal(pb_le32(dev->hw.config + 0x10c), 0x00062030);
    for (uint16_t at = 0x104; at < 0x134; at += 4) {
        const struct pb_rule open = { .offset = at, .size = 4, .write = 1 };

        assert_int_equal(pb_map_apply(dev->map, &open, 1, &bad), -EPERM);
    }
    /* the log of the first error is hardware's */
    pb_le_put(dev->hw.config + 0x11c, 4, 0x4a000001);
    assert_int_equal(pb_test_read(dev, 0x11c, 4), 0x4a000001);
    pb_le_put(dev->hw.config + 0x118, 4, 0x000000f4);
    assert_int_equal(pb_test_read(dev, 0x118, 4), 0xb4);
}

static void pcix_command_is_a_shadow_status_is_live(void **state)
{
    (void)state;
    use(pb_test_e1000);
    assert_int_equal(pb_test_read(dev, 0xe6, 2), 0x0022);
    assert_int_equal(pb_test_run(dev, true, 0xe6, 2, 0x0045).denied, 0);
    assert_int_equal(pb_test_read(dev, 0xe6, 2), 0x0045);
    assert_int_equal(pb_le16(dev->hw.config + 0xe6), 0x0022);
    pb_le_put(dev->hw.config + 0xe8, 4, 0x00030018);
    assert_int_equal(pb_test_read(dev, 0xe8, 4), 0x00030018);
    assert_int_equal(pb_test_run(dev, true, 0xe8, 4, 0x000c0000).denied, 0);
    assert_int_equal(pb_test_count(&dev->hw, PB_STEP_WRITE), 0);
}

static void bytes_that_a_plugin_wants_to_see_are_read_from_hardware(void **state)
{
    static uint8_t mask[PB_CONFIG_SIZE_PCIE];

    (void)state;
    use(pb_test_e1000e);
    memset(mask, 0, sizeof(mask));
    mask[E1000E_MSI + 4] = 0x01;
    pb_map_set_raw(dev->map, mask);
    memset(mask, 0, sizeof(mask));
    pb_map_set_raw(dev->map, mask); /* another plugin wants nothing */
    pb_view_init(&dev->view, dev->map);
    pb_le_put(dev->hw.config + E1000E_MSI + 4, 4, 0xfee00278);
    assert_int_equal(pb_test_run(dev, false, E1000E_MSI + 4, 4, 0).raw, 0xfee00278);
    assert_int_equal(pb_test_read(dev, E1000E_MSI + 4, 4), 0);
    assert_int_equal(pb_test_read(dev, E1000E_MSI + 8, 4), 0);
    assert_int_equal(dev->hw.count, 0);
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
            assert_int_equal(map->known[at] &
                                 (map->write[at] | map->w1c[at] | map->virt[at] | map->fixed[at]),
                             0);
            assert_int_equal(map->value[at] & ~(map->virt[at] | map->fixed[at] | map->known[at]),
                             0);
            assert_int_equal((map->write[at] | map->w1c[at]) & map->lock[at], 0);
        }
    }
}

#define TEST(test) cmocka_unit_test_teardown(test, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bridges_are_refused),
        TEST(capabilities_upon_one_another_are_refused),
        TEST(identity_is_read_from_facts_without_hardware),
        TEST(H21_a_vf_has_ids_bars_and_decode_from_facts),
        TEST(H21_resources_are_the_bars_not_the_registers),
        TEST(H21_command_and_interrupt_control_are_read_live),
        TEST(H14_transactions_pending_is_read_live),
        TEST(decode_starts_as_the_bars_are),
        TEST(bars_that_cannot_be_told_read_zero),
        TEST(latency_is_the_guests_own),
        TEST(pme_is_hidden),
        TEST(what_kernels_swallow_is_not_denied),
        TEST(a_class_is_what_the_trait_says),
        TEST(without_intx_there_is_neither_pin_nor_line),
        TEST(a_hidden_rom_is_no_rom),
        TEST(delays_and_ends_are_handed_on),
        TEST(a_reset_is_offered_where_it_can_be_carried_out),
        TEST(a_reset_that_the_device_does_not_have_is_not_offered),
        TEST(express_registers_end_where_the_next_capability_begins),
        TEST(old_express_capabilities_have_the_registers_of_their_kind),
        TEST(a_second_capability_of_a_kind_may_only_be_read),
        TEST(aer_status_is_clear_and_swallows_masks_are_the_guests),
        TEST(pcix_command_is_a_shadow_status_is_live),
        TEST(bytes_that_a_plugin_wants_to_see_are_read_from_hardware),
        TEST(every_bit_has_one_class),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
