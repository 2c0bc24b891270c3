/* SPDX-License-Identifier: MIT */
/*
 * The golden table: every bit that a guest can write on a fresh device, without quirks, permissive
 * mode or interrupt control. Whoever makes a list longer says why here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "fixture.h"
#include "pci/regs.h"

struct golden {
    uint16_t offset;
    uint8_t size;
    uint32_t write; /* reaches hardware */
    uint32_t w1c;   /* reaches hardware as a 1 */
    uint32_t virt;  /* the guest's own */
    uint32_t acts;  /* reaches hardware by rules of its own: BIST, power states */
    uint32_t reset; /* asks for a managed reset */
};

/* ---- a conventional function with every standard capability ------------------------------------
 */

static const struct golden conventional_list[] = {
    /* bus mastering and Memory Write and Invalidate; decode, error and INTx bits are shadows */
    { PCI_COMMAND, 2, .write = 0x0014, .virt = 0x0543 },
    { PCI_CACHE_LINE_SIZE, 1, .write = 0xff },
    { PCI_LATENCY_TIMER, 1, .virt = 0xff },
    { PCI_BIST, 1, .acts = 0x40 },
    /* a 32-bit BAR, I/O, a 64-bit BAR, the ROM: sizing */
    { 0x10, 4, .virt = 0xffffffff },
    { 0x14, 4, .virt = 0xffffffff },
    { 0x18, 4, .virt = 0xffffffff },
    { 0x1c, 4, .virt = 0xffffffff },
    { 0x30, 4, .virt = 0xffffffff },
    /* PMCSR: the state, Data_Select, PME_Status */
    { 0x44, 2, .write = 0x1e00, .w1c = 0x8000, .acts = 0x0003 },
    /* the address of a VPD read */
    { 0x56, 2, .write = 0x7fff },
    /* PCI-X command */
    { 0x7e, 2, .virt = 0x007f },
    /* Device Control: Relaxed Ordering and No Snoop are real, FLR is managed */
    { 0xb8, 2, .write = 0x0810, .virt = 0x75ef, .reset = 0x8000 },
    { 0xc0, 2, .virt = 0xffff }, /* Link Control */
    { 0xdc, 1, .reset = 0x01 },  /* AF Control */
};

static void conventional(struct pb_facts *facts)
{
    static const struct {
        uint8_t at;
        uint32_t header; /* without the next pointer */
    } caps[] = {
        { 0x40, 0x00020001 }, { 0x48, 0x00300002 }, { 0x54, 0x00000003 }, { 0x5c, 0x00000004 },
        { 0x60, 0x018a0005 }, { 0x78, 0x00000006 }, { 0x7c, 0x00220007 }, { 0x84, 0x80000008 },
        { 0x8c, 0x00040009 }, { 0x90, 0x0000000a }, { 0x94, 0x0000000b }, { 0x98, 0x0000000c },
        { 0xa0, 0x0000000d }, { 0xa8, 0x0000000e }, { 0xac, 0x0000000f }, { 0xb0, 0x00010010 },
        { 0xc4, 0x00040011 }, { 0xd0, 0x00100012 }, { 0xd8, 0x03060013 }, { 0xe0, 0x00000014 },
        { 0xe4, 0x00000015 },
    };

    pb_test_e1000(facts);
    memset(facts->config + 0x40, 0x5a, 0xc0);
    for (size_t i = 0; i < PB_ARRAY_SIZE(caps); i++) {
        uint32_t next = i + 1 < PB_ARRAY_SIZE(caps) ? caps[i + 1].at : 0;

        pb_le_put(facts->config + caps[i].at, 4, caps[i].header | next << 8);
    }
    pb_le_put(facts->config + 0x44, 2, 0);          /* D0 */
    pb_le_put(facts->config + 0xb4, 4, 0x10008000); /* Device Capabilities: FLR */
    pb_le_put(facts->config + 0xb8, 2, 0x2810);
    pb_le_put(facts->config + 0xdc, 1, 0);
    facts->config[PCI_CAPABILITIES] = 0x40;
    facts->resource[2] =
        (struct pb_resource){ 0x280000000, 0x28000ffff, PB_RES_MEM | PB_RES_MEM_64 | 4 };
    facts->resource[PB_PCI_ROM] = (struct pb_resource){ 0xfea00000, 0xfea0ffff, PB_RES_MEM };
    (void)strcpy(facts->reset_methods, "flr af_flr pm bus");
}

/* ---- a PCI Express function with every extended capability -------------------------------------
 */

static const struct golden express_list[] = {
    { PCI_COMMAND, 2, .write = 0x0014, .virt = 0x0543 },
    { PCI_CACHE_LINE_SIZE, 1, .write = 0xff },
    { PCI_LATENCY_TIMER, 1, .virt = 0xff },
    { PCI_BIST, 1, .acts = 0x40 },
    { 0x10, 4, .virt = 0xffffffff },
    { 0x14, 4, .virt = 0xffffffff },
    { 0x18, 4, .virt = 0xffffffff },
    { 0x1c, 4, .virt = 0xffffffff },
    { 0x30, 4, .virt = 0xffffffff },
    { 0x44, 2, .write = 0x1e00, .w1c = 0x8000, .acts = 0x0003 },
    /* Device, Link, Slot, Root Control and their second registers */
    { 0x88, 2, .write = 0x0810, .virt = 0x75ef, .reset = 0x8000 },
    { 0x90, 2, .virt = 0xffff },
    { 0x98, 2, .virt = 0xffff },
    { 0x9c, 2, .virt = 0xffff },
    { 0xa8, 2, .virt = 0xffff },
    { 0xb0, 2, .virt = 0xffff },
    { 0xb8, 2, .virt = 0xffff },
    /* AER: masks and severity, ECRC and multiple headers; status registers swallow */
    { 0x108, 4, .virt = 0xffffffff },
    { 0x10c, 4, .virt = 0xffffffff },
    { 0x114, 4, .virt = 0xffffffff },
    { 0x118, 4, .virt = 0x00000540 },
};

#define EXT_STEP 0x48 /* AER's length, the longest one that has rules */
#define EXT_LAST 0x31

static void express(struct pb_facts *facts)
{
    pb_test_e1000e(facts);
    memset(facts->config + 0x40, 0xa5, sizeof(facts->config) - 0x40);
    facts->config[PCI_CAPABILITIES] = 0x40;
    pb_le_put(facts->config + 0x40, 4, 0xc8225001);
    pb_le_put(facts->config + 0x44, 4, 0);
    pb_le_put(facts->config + 0x50, 4, 0x01887005); /* MSI: 64 bits, masks */
    pb_le_put(facts->config + 0x70, 4, 0x00048011);
    pb_le_put(facts->config + 0x80, 4, 0x00020010);
    pb_le_put(facts->config + 0x84, 4, 0x10008cc1);
    pb_le_put(facts->config + 0x88, 2, 0x2810);
    for (unsigned id = 1; id <= EXT_LAST; id++) {
        unsigned at = PCI_EXT_CAPABILITIES + (id - 1) * EXT_STEP;

        pb_le_put(facts->config + at, 4, id | 0x10000 | (id < EXT_LAST ? at + EXT_STEP : 0) << 20);
    }
    (void)strcpy(facts->reset_methods, "flr");
}

/* ---- a virtual function ------------------------------------------------------------------------
 */

static const struct golden vf_list[] = {
    { PCI_COMMAND, 2, .write = 0x0014, .virt = 0x0543 },
    { PCI_CACHE_LINE_SIZE, 1, .write = 0xff },
    { PCI_LATENCY_TIMER, 1, .virt = 0xff },
    { PCI_BIST, 1, .acts = 0x40 },
    /* two 64-bit BARs */
    { 0x10, 4, .virt = 0xffffffff },
    { 0x14, 4, .virt = 0xffffffff },
    { 0x1c, 4, .virt = 0xffffffff },
    { 0x20, 4, .virt = 0xffffffff },
    { 0xa8, 2, .write = 0x0810, .virt = 0x75ef }, /* it says that it has no FLR */
    { 0xb0, 2, .virt = 0xffff },
    { 0xb8, 2, .virt = 0xffff },
    { 0xbc, 2, .virt = 0xffff },
    { 0xc8, 2, .virt = 0xffff },
    { 0xd0, 2, .virt = 0xffff },
    { 0xd8, 2, .virt = 0xffff },
};

/* ---- comparing ---------------------------------------------------------------------------------
 */

struct bits {
    uint8_t write[PB_CONFIG_SIZE_PCIE], w1c[PB_CONFIG_SIZE_PCIE], virt[PB_CONFIG_SIZE_PCIE];
    uint8_t acts[PB_CONFIG_SIZE_PCIE], reset[PB_CONFIG_SIZE_PCIE];
};

static struct bits expected;
static uint8_t in_hardware[PB_CONFIG_SIZE_PCIE], in_shadow[PB_CONFIG_SIZE_PCIE];
static struct pb_view fresh;

static void expect(const struct golden *list, size_t count)
{
    memset(&expected, 0, sizeof(expected));
    for (size_t i = 0; i < count; i++) {
        const struct golden *g = &list[i];

        pb_le_put(expected.write + g->offset, g->size, g->write);
        pb_le_put(expected.w1c + g->offset, g->size, g->w1c);
        pb_le_put(expected.virt + g->offset, g->size, g->virt);
        pb_le_put(expected.acts + g->offset, g->size, g->acts);
        pb_le_put(expected.reset + g->offset, g->size, g->reset);
    }
}

static void compare(const char *what, const uint8_t *is, const uint8_t *should)
{
    for (unsigned at = 0; at < PB_CONFIG_SIZE_PCIE; at++) {
        if (is[at] != should[at])
            fail_msg("byte %#x: %s %#x, the list says %#x", at, what, is[at], should[at]);
    }
}

/* A bit reaches hardware when it differs from what was there, a w1c bit when it is written as 1. */
static void note_cycle(const struct pb_cycle *c)
{
    for (unsigned i = 0; i < c->size; i++) {
        uint8_t byte = (uint8_t)(c->value >> (8 * i)), w1c = dev->hw.w1c[c->offset + i];

        in_hardware[c->offset + i] |=
            (uint8_t)(((byte ^ dev->facts.config[c->offset + i]) & ~w1c) | (byte & w1c));
    }
}

static void try_value(unsigned at, unsigned value)
{
    unsigned resets;

    (void)pb_test_run(dev, true, (int32_t)at, 1, value);
    resets = pb_test_count(&dev->hw, PB_STEP_RESET);
    if (resets != ((value & expected.reset[at]) ? 1 : 0))
        fail_msg("byte %#x, value %#x: %u resets", at, value, resets);
    for (unsigned i = 0; i < dev->hw.count; i++) {
        if (dev->hw.log[i].step == PB_STEP_WRITE)
            note_cycle(&dev->hw.log[i].cycle);
    }
    if (memcmp(dev->view.shadow, fresh.shadow, sizeof(fresh.shadow)) != 0) {
        for (unsigned i = 0; i < PB_CONFIG_SIZE_PCIE; i++)
            in_shadow[i] |= dev->view.shadow[i] ^ fresh.shadow[i];
    }
    if (pb_test_count(&dev->hw, PB_STEP_WRITE) ||
        memcmp(dev->view.shadow, fresh.shadow, sizeof(fresh.shadow)) != 0)
        pb_test_device_reset(dev);
}

static bool is_bar(unsigned at)
{
    return (at >= PCI_BAR0 && at < PCI_CARDBUS_CIS) || (at & ~3U) == PCI_ROM_ADDRESS;
}

/* Every value of every byte; then all ones in every BAR, which no single byte can be sized by. */
static void try_everything(void)
{
    memset(in_hardware, 0, sizeof(in_hardware));
    memset(in_shadow, 0, sizeof(in_shadow));
    pb_view_init(&fresh, dev->map);
    for (unsigned at = 0; at < dev->map->size; at++) {
        for (unsigned value = 0; value <= 0xff; value++)
            try_value(at, value);
    }
    for (unsigned at = PCI_BAR0; at <= PCI_ROM_ADDRESS; at += 4) {
        if (!is_bar(at))
            continue;
        assert_int_equal(in_shadow[at] | in_shadow[at + 1], 0);
        assert_int_equal(pb_test_write(dev, (int32_t)at, 4, UINT32_MAX), 0);
        assert_int_equal(dev->hw.count, 0);
        if (memcmp(dev->view.shadow + at, fresh.shadow + at, 4) != 0)
            memset(in_shadow + at, 0xff, 4);
        pb_test_device_reset(dev);
    }
}

static void check(void (*fill)(struct pb_facts *facts), const struct golden *list, size_t count)
{
    uint8_t reaching[PB_CONFIG_SIZE_PCIE];

    dev = pb_test_device_new(fill);
    expect(list, count);
    compare("written", dev->map->write, expected.write);
    compare("cleared", dev->map->w1c, expected.w1c);
    compare("shadowed", dev->map->virt, expected.virt);
    try_everything();
    for (unsigned at = 0; at < PB_CONFIG_SIZE_PCIE; at++)
        reaching[at] = expected.write[at] | expected.w1c[at] | expected.acts[at];
    compare("reaching hardware", in_hardware, reaching);
    compare("kept", in_shadow, expected.virt);
}

static void golden_bits_of_a_conventional_function(void **state)
{
    (void)state;
    check(conventional, conventional_list, PB_ARRAY_SIZE(conventional_list));
    assert_int_equal(dev->layout.cap_count, 21);
}

static void golden_bits_of_a_pci_express_function(void **state)
{
    (void)state;
    check(express, express_list, PB_ARRAY_SIZE(express_list));
    assert_int_equal(dev->layout.ext_count, EXT_LAST);
}

static void golden_bits_of_a_virtual_function(void **state)
{
    (void)state;
    check(pb_test_vf, vf_list, PB_ARRAY_SIZE(vf_list));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(golden_bits_of_a_conventional_function, teardown),
        cmocka_unit_test_teardown(golden_bits_of_a_pci_express_function, teardown),
        cmocka_unit_test_teardown(golden_bits_of_a_virtual_function, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
