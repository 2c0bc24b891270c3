/* SPDX-License-Identifier: MIT */
/*
 * Any sequence of a guest's accesses, of new rules under it and of a device that changes by itself:
 * the engine ends, its cycles are well-formed, and what the guest must never reach stays as it was.
 *
 * The first byte chooses device and modes. Then operations: a byte that says which (its top
 * bits: the device fails, may not be reset now, is away) and its arguments, little endian; what is
 * missing at the end is 0.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "device.h"
#include "fuzz.h"
#include "pci/regs.h"

enum op {
    OP_READ,
    OP_WRITE,
    OP_SHARED,
    OP_RULE,
    OP_TRAITS,
    OP_MOVE,
    OP_DEVICE,
    OP_RESET,
    OP_COUNT
};

#define RULES_MAX 16
#define SLOW_MAX  6 /* operations that go over all of the space */
#define VPD       0x60
#define AF        0x70

struct run {
    const uint8_t *data;
    size_t left;
    struct pb_test_device *dev;
    bool fail, busy;
    bool away; /* reads give all ones; what is written finds it there again */
    /* of the next generation */
    struct pb_rule rule[RULES_MAX];
    unsigned rules, slow;
    struct pb_traits traits;
    uint16_t raw_at, raw_count;
    uint8_t flr;
};

static uint32_t take(struct run *run, unsigned size)
{
    uint8_t bytes[4] = { 0 };
    unsigned n = run->left < size ? (unsigned)run->left : size;

    memcpy(bytes, run->data, n);
    run->data += n;
    run->left -= n;
    return pb_le_get(bytes, size);
}

/* ---- what always holds -------------------------------------------------------------------------
 */

static void check_cycle(const struct run *run, const struct pb_access *acc, enum pb_step step)
{
    const struct pb_cycle *c = &acc->cycle;

    if (step == PB_STEP_RESET) {
        PB_ASSERT(c->reset == PB_RESET_BY_FLR || c->reset == PB_RESET_BY_AF_FLR);
        PB_ASSERT(run->dev->map->flr >> c->reset & 1);
        return;
    }
    if (step == PB_STEP_WAIT) {
        PB_ASSERT(c->wait_ms > 0);
        return;
    }
    PB_ASSERT(c->size == 1 || c->size == 2 || c->size == 4);
    PB_ASSERT(c->offset % c->size == 0);
    PB_ASSERT((unsigned)c->offset + c->size <= run->dev->map->size);
}

static void check_device(const struct run *run)
{
    const struct pb_test_device *dev = run->dev;
    unsigned command = pb_le16(dev->hw.config + PCI_COMMAND);
    unsigned exp = dev->layout.exp, now, was;

    /* XSA-120: decode is never turned off under a guest, errors never reach the host */
    PB_ASSERT((command & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY)) ==
              (pb_le16(dev->facts.config + PCI_COMMAND) & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY)));
    PB_ASSERT(!(command & (PCI_COMMAND_SERR | PCI_COMMAND_PARITY)));
    PB_ASSERT(dev->hw.discarded == 0);
    if (!exp)
        return;
    now = pb_le16(dev->hw.config + exp + PCI_EXP_DEVCTL);
    was = pb_le16(dev->facts.config + exp + PCI_EXP_DEVCTL);
    PB_ASSERT(!(now & ~was &
                (PCI_EXP_DEVCTL_ERRORS | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_PHANTOM |
                 PCI_EXP_DEVCTL_FLR)));
}

static void check_read(const struct run *run, const struct pb_access *acc)
{
    const struct pb_map *map = run->dev->map;

    for (unsigned i = 0; i < acc->size; i++) {
        unsigned at = (unsigned)acc->offset + i, byte = acc->value >> (8 * i) & 0xff;

        if (at >= map->size)
            PB_ASSERT(byte == 0xff);
        else
            PB_ASSERT(((byte ^ map->value[at]) & map->fixed[at]) == 0);
    }
}

/* ---- operations --------------------------------------------------------------------------------
 */

static unsigned drive(struct run *run, struct pb_access *acc, enum pb_step step)
{
    struct pb_test_hw *hw = &run->dev->hw;
    unsigned cycles = 0;

    while (step != PB_STEP_DONE) {
        bool last = step == PB_STEP_RESET;
        uint32_t value = 0;
        int rc = run->fail ? -EIO : 0;

        PB_ASSERT(++cycles < 64);
        check_cycle(run, acc, step);
        if (last)
            rc = run->busy ? -EBUSY : rc;
        else if (step == PB_STEP_READ)
            value = run->away ? pb_ones(acc->cycle.size)
                              : pb_test_hw_read(hw, acc->cycle.offset, acc->cycle.size);
        else if (step == PB_STEP_WRITE && rc == 0)
            pb_test_hw_write(hw, acc->cycle.offset, acc->cycle.size, acc->cycle.value);
        step = pb_access_resume(acc, rc, value);
        PB_ASSERT(!last || step == PB_STEP_DONE);
    }
    PB_ASSERT(acc->err <= PB_GUEST_OK && acc->err >= PB_GUEST_OP_FAILED);
    PB_ASSERT((acc->denied & ~pb_ones(acc->size)) == 0);
    PB_ASSERT(acc->err == PB_GUEST_OK || acc->denied == 0);
    return cycles;
}

static void access_op(struct run *run, bool write)
{
    int32_t offset = (int32_t)take(run, 4), size = (int8_t)take(run, 1);
    uint32_t value = write ? take(run, 4) : 0;
    struct pb_access acc;

    (void)drive(run, &acc, pb_access_begin(&acc, &run->dev->view, write, offset, size, value));
    if (!write && acc.err == PB_GUEST_OK)
        check_read(run, &acc);
}

static void shared_op(struct run *run)
{
    int32_t offset = (int32_t)take(run, 4), size = (int8_t)take(run, 1);
    uint32_t value = take(run, 4), mine = take(run, 4), denied = take(run, 4);
    struct pb_access acc;
    unsigned cycles;

    cycles = drive(run, &acc,
                   pb_access_begin_write(&acc, &run->dev->view, offset, size, value, mine, denied));
    PB_ASSERT((acc.denied & ~(mine | denied)) == 0);
    PB_ASSERT(cycles == 0 || (mine & pb_ones(acc.size)) != 0);
}

/* As a manifest may say it: bits of any class, nothing locked, no effect. */
static void rule_op(struct run *run)
{
    struct pb_rule rule = { .offset = (uint16_t)take(run, 2), .size = (uint8_t)take(run, 1) };
    uint32_t a = take(run, 4), b = take(run, 4), c = take(run, 4), all, value = take(run, 4);
    unsigned msix = run->dev->layout.msix;

    all = rule.size == 1 || rule.size == 2 || rule.size == 4 ? pb_ones(rule.size) : UINT32_MAX;
    rule.hw = all & a & b & c;
    rule.write = all & a & b & ~c;
    rule.w1c = all & a & ~b & c;
    rule.virt = all & ~a & b;
    rule.fixed = all & ~a & ~b & c;
    rule.value = value & (rule.virt | rule.fixed);
    rule.image = ~value & (rule.virt | rule.fixed) & a;
    rule.swallow = value & 1;
    /* Xen drops what is written there; that nothing is dropped otherwise is checked */
    if (msix && rule.offset + 4U > msix + 4U && rule.offset < msix + PCI_MSIX_SIZE)
        return;
    if (run->rules < RULES_MAX)
        run->rule[run->rules++] = rule;
}

/* What a manifest may say of the device as a whole, within the bounds that its schema has. */
static void traits_op(struct run *run)
{
    struct pb_traits *traits = &run->traits;
    unsigned size = take(run, 2), vpd = take(run, 2), delay = take(run, 2);

    run->raw_at = (uint16_t)take(run, 2);
    run->raw_count = (uint16_t)take(run, 1);
    run->flr = (uint8_t)take(run, 1);
    memset(traits, 0, sizeof(*traits));
    traits->set[PB_TRAIT_CONFIG_SIZE] = size % 4 == 0 && size >= 64 && size <= 4096;
    traits->config_size = traits->set[PB_TRAIT_CONFIG_SIZE] ? (uint16_t)size : 0;
    traits->vpd_size = (uint16_t)(vpd & 0x7fff);
    traits->set[PB_TRAIT_VPD_SIZE] = traits->vpd_size != 0;
    traits->d3_delay_ms = (uint16_t)delay;
    traits->set[PB_TRAIT_D3_DELAY] = delay != 0;
    traits->msix_max_vectors = (uint16_t)(1 + (vpd >> 15));
    traits->set[PB_TRAIT_MSIX_MAX_VECTORS] = run->flr & 0x10;
    traits->deny_msi = traits->set[PB_TRAIT_MSI] = run->flr & 0x20;
    traits->deny_msix = traits->set[PB_TRAIT_MSIX] = run->flr & 0x40;
    traits->hide_rom = traits->set[PB_TRAIT_ROM] = run->flr & 0x80;
}

/* NULL: these traits cannot be (a capability that matters would be cut in two). */
static struct pb_map *compile(const struct run *run)
{
    const struct pb_test_device *dev = run->dev;
    struct pb_caps *caps = malloc(sizeof(*caps));
    struct pb_rules rules = { 0 };
    struct pb_map *map = NULL;
    size_t bad;
    int rc;

    PB_ASSERT(caps);
    rc = pb_caps_edit(&dev->facts, &dev->layout, &run->traits, NULL, 0, caps, &bad);
    PB_ASSERT(rc == 0);
    rc = pb_baseline_rules(&dev->facts, caps, &run->traits, &rules);
    PB_ASSERT(rc == 0 || rc == -EPROTO);
    if (rc == 0) {
        map = pb_map_compile(&dev->facts, caps, &run->traits, &rules, &rc, &bad);
        PB_ASSERT(map);
    }
    pb_rules_fini(&rules);
    free(caps);
    return map;
}

/* A reload between two accesses. */
static void move_op(struct run *run)
{
    struct pb_test_device *dev = run->dev;
    struct pb_map *old = dev->map, *map = compile(run);
    uint8_t raw[PB_CONFIG_SIZE_PCIE] = { 0 };
    size_t bad;

    if (!map)
        return;
    for (unsigned i = 0; i < run->rules; i++) {
        int rc = pb_map_apply(map, &run->rule[i], 1, &bad);

        PB_ASSERT(rc == 0 || rc == -EINVAL || rc == -EEXIST || rc == -EPERM || rc == -ENOSPC);
    }
    map->flr = run->flr & (1U << PB_RESET_BY_FLR | 1U << PB_RESET_BY_AF_FLR);
    for (unsigned i = 0; i < run->raw_count; i++)
        raw[(run->raw_at + i) % PB_CONFIG_SIZE_PCIE] = 1;
    pb_map_set_raw(map, raw);
    pb_view_move(&dev->view, map);
    dev->map = map;
    free(old);
}

/* The device says something else than before: all that matters was read at claim (XSA-337). */
static void device_op(struct run *run)
{
    unsigned at = take(run, 2) % PB_CONFIG_SIZE_PCIE, exp = run->dev->layout.exp;
    uint8_t value = (uint8_t)take(run, 1);

    if (at < PCI_HEADER_END || (exp && at / 2 == (exp + PCI_EXP_DEVCTL) / 2))
        return; /* what check_device looks at */
    run->dev->hw.config[at] = value;
}

static void one_op(struct run *run)
{
    unsigned byte = take(run, 1);

    run->fail = (byte & 0x80) && run->slow++ < SLOW_MAX;
    run->busy = byte & 0x40;
    run->away = byte & 0x20;
    switch ((enum op)(byte & 7)) {
    case OP_READ:
    case OP_WRITE:
        access_op(run, (byte & 7) == OP_WRITE);
        break;
    case OP_SHARED:
        shared_op(run);
        break;
    case OP_RULE:
        rule_op(run);
        break;
    case OP_TRAITS:
        traits_op(run);
        break;
    case OP_MOVE:
        if (run->slow++ < SLOW_MAX)
            move_op(run);
        break;
    case OP_DEVICE:
        device_op(run);
        break;
    case OP_RESET:
        if (run->slow++ < SLOW_MAX)
            pb_view_reset(&run->dev->view);
        break;
    case OP_COUNT:
    default:
        break;
    }
    /* A failing cycle may leave a device that lost its registers in D3hot without them. */
    if (run->fail)
        pb_test_device_reset(run->dev);
    check_device(run);
}

static void fill(struct pb_facts *facts, uint8_t byte)
{
    if (byte & 1)
        pb_test_e1000(facts);
    else if (byte & 0x10)
        pb_test_vf(facts);
    else
        pb_test_e1000e(facts);
    if (byte & 8 && !facts->virtual_function) {
        pb_test_add_cap(facts, VPD, PCI_CAP_VPD);
        pb_test_add_cap(facts, AF, PCI_CAP_AF);
    }
    if (byte & 0x20 && !(byte & 0x10))
        facts->config[(byte & 1 ? E1000_PM : E1000E_PM) + PCI_PM_PMC + 1] |=
            (PCI_PM_PMC_D1 | PCI_PM_PMC_D2) >> 8;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run run = { .data = data, .left = size };
    struct pb_facts facts;
    uint8_t byte;

    if (size < 1)
        return 0;
    byte = (uint8_t)take(&run, 1);
    fill(&facts, byte);
    run.dev = pb_test_device_of(&facts);
    run.dev->view.permissive = byte & 2;
    run.dev->view.allow_interrupt_control = byte & 4;
    while (run.left > 0)
        one_op(&run);
    pb_test_device_free(run.dev);
    return 0;
}
