/* SPDX-License-Identifier: MIT */
#include "device.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "pci/regs.h"

static void put(struct pb_facts *facts, unsigned at, unsigned size, uint32_t value)
{
    pb_le_put(facts->config + at, size, value);
}

static void identify(struct pb_facts *facts, uint16_t vendor, uint16_t device, uint16_t size)
{
    memset(facts, 0, sizeof(*facts));
    facts->sbdf = (struct pb_sbdf){ .bus = 3, .devfn = PB_DEVFN(0, 0) };
    facts->vendor = vendor;
    facts->device = device;
    facts->subsystem_vendor = 0x8086;
    facts->subsystem_device = 0xa01f;
    facts->class_code = 0x020000;
    facts->config_size = size;
    put(facts, PCI_VENDOR_ID, 2, vendor);
    put(facts, PCI_DEVICE_ID, 2, device);
    put(facts, PCI_REVISION, 4, 0x02000000);
    put(facts, PCI_SUBSYSTEM, 4, 0xa01f8086);
    put(facts, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
}

static void resource(struct pb_facts *facts, unsigned i, uint64_t start, uint64_t size,
                     uint64_t flags)
{
    facts->resource[i] =
        (struct pb_resource){ .start = start, .end = start + size - 1, .flags = flags };
    if (i != PB_PCI_ROM && !facts->virtual_function)
        put(facts, PCI_BAR0 + 4 * i, 4, (uint32_t)start | (uint32_t)(flags & PB_RES_BAR_BITS));
    else if (!facts->virtual_function)
        put(facts, PCI_ROM_ADDRESS, 4, (uint32_t)start);
}

void pb_test_e1000e(struct pb_facts *facts)
{
    identify(facts, 0x8086, 0x10d3, PB_CONFIG_SIZE_PCIE);
    facts->irq = 17;
    put(facts, PCI_COMMAND, 2, 0x0403);
    put(facts, PCI_CACHE_LINE_SIZE, 1, 0x10);
    put(facts, PCI_CAPABILITIES, 1, E1000E_PM);
    put(facts, PCI_INTERRUPT_LINE, 2, 0x010b);
    resource(facts, 0, 0xfebc0000, 0x20000, PB_RES_MEM | 0x40000);
    resource(facts, 1, 0xfeb80000, 0x40000, PB_RES_MEM | 0x40000);
    resource(facts, 2, 0xc040, 0x20, PB_RES_IO | 0x40000 | 1);
    resource(facts, 3, 0xfebe0000, 0x4000, PB_RES_MEM | 0x40000);
    resource(facts, PB_PCI_ROM, 0xfea00000, 0x40000, PB_RES_MEM | 0x4c000);

    put(facts, E1000E_PM, 4, 0xc822d001);
    put(facts, E1000E_PM + PCI_PM_CTRL, 2, 0xa000); /* PME_Status, Data_Scale */
    put(facts, E1000E_MSI, 4, 0x0080e005);
    put(facts, E1000E_EXP, 4, 0x0002a010);
    put(facts, E1000E_EXP + 4, 4, 0x00008cc1);
    put(facts, E1000E_EXP + PCI_EXP_DEVCTL, 4, 0x00102810);
    put(facts, E1000E_EXP + 12, 4, 0x00031c11);
    put(facts, E1000E_EXP + 16, 4, 0x10110040);
    put(facts, E1000E_MSIX, 4, 0x00040011);
    put(facts, E1000E_MSIX + PCI_MSIX_TABLE, 4, 0x00000003);
    put(facts, E1000E_MSIX + PCI_MSIX_PBA, 4, 0x00002003);
    put(facts, 0x100, 4, 0x14010001);
    put(facts, 0x140, 4, 0x00010003);
    put(facts, 0x144, 4, 0x12ab34cd);
}

void pb_test_e1000(struct pb_facts *facts)
{
    identify(facts, 0x8086, 0x100e, PB_CONFIG_SIZE_PCI);
    facts->irq = 11;
    put(facts, PCI_COMMAND, 2, 0x0003);
    put(facts, PCI_LATENCY_TIMER, 1, 0x40);
    put(facts, PCI_CAPABILITIES, 1, E1000_PM);
    put(facts, PCI_INTERRUPT_LINE, 2, 0x010b);
    resource(facts, 0, 0xfebc0000, 0x20000, PB_RES_MEM | 0x40000);
    resource(facts, 1, 0xc000, 0x40, PB_RES_IO | 0x40000 | 1);
    put(facts, E1000_PM, 4, 0x0022e401);
    put(facts, 0xe4, 4, 0x00220007);
}

void pb_test_vf(struct pb_facts *facts)
{
    identify(facts, 0x8086, 0x10ca, PB_CONFIG_SIZE_PCIE);
    facts->virtual_function = true;
    put(facts, PCI_VENDOR_ID, 4, 0xffffffff);
    put(facts, PCI_CAPABILITIES, 1, 0x70);
    put(facts, PCI_INTERRUPT_PIN, 1, 1); /* some VFs claim one */
    resource(facts, 0, 0x280000000, 0x4000, PB_RES_MEM | PB_RES_MEM_64 | PB_RES_PREFETCH | 0xc);
    resource(facts, 3, 0x280020000, 0x4000, PB_RES_MEM | PB_RES_MEM_64 | PB_RES_PREFETCH | 0xc);
    put(facts, 0x70, 4, 0x0002a011);
    put(facts, 0x70 + PCI_MSIX_TABLE, 4, 0x00000003);
    put(facts, 0x70 + PCI_MSIX_PBA, 4, 0x00002003);
    put(facts, 0xa0, 4, 0x00020010);
}

void pb_test_add_cap(struct pb_facts *facts, uint8_t at, uint8_t id)
{
    facts->config[at] = id;
    facts->config[at + 1] = facts->config[PCI_CAPABILITIES];
    facts->config[PCI_CAPABILITIES] = at;
}

static void mask(struct pb_test_hw *hw, unsigned at, unsigned size, uint32_t rw, uint32_t w1c)
{
    pb_le_put(hw->rw + at, size, rw);
    pb_le_put(hw->w1c + at, size, w1c);
}

/* Deliberately more is writable than in the real chip: whatever the engine lets through shows. */
static void make_hardware(struct pb_test_device *dev)
{
    struct pb_test_hw *hw = &dev->hw;
    const struct pb_layout *layout = &dev->layout;

    memset(hw->rw, 0xff, sizeof(hw->rw));
    memset(hw->w1c, 0, sizeof(hw->w1c));
    mask(hw, PCI_VENDOR_ID, 4, 0, 0);
    mask(hw, PCI_STATUS, 2, 0, 0xf900);
    mask(hw, PCI_REVISION, 4, 0, 0);
    mask(hw, PCI_SUBSYSTEM, 4, 0, 0);
    if (layout->pm) {
        mask(hw, layout->pm, 4, 0, 0);
        mask(hw, layout->pm + PCI_PM_CTRL, 2, 0x1f03, PCI_PM_CTRL_PME_STATUS);
    }
    if (layout->exp)
        mask(hw, layout->exp + PCI_EXP_DEVCTL + 2, 2, 0, 0x000f);
    hw->pm = layout->no_soft_reset ? 0 : layout->pm;
    hw->msix = layout->msix;
    hw->exp = layout->exp;
    hw->aer = layout->ext_count && layout->ext[0].id == PCI_EXT_AER ? layout->ext[0].offset : 0;
}

void pb_test_device_reset(struct pb_test_device *dev)
{
    memcpy(dev->hw.config, dev->facts.config, sizeof(dev->hw.config));
    dev->hw.discarded = 0;
    dev->hw.count = 0;
    dev->hw.fail_after = -1;
    dev->hw.fail_rc = -EIO;
    dev->hw.reset_rc = 0;
    pb_view_init(&dev->view, dev->map);
}

/* A device that has its facts and layout only. */
static struct pb_test_device *bare(const struct pb_facts *facts)
{
    struct pb_test_device *dev = calloc(1, sizeof(*dev));

    assert_non_null(dev);
    dev->facts = *facts;
    assert_int_equal(pb_layout_read(&dev->facts, &dev->layout), 0);
    return dev;
}

struct pb_test_device *pb_test_device_of(const struct pb_facts *facts)
{
    struct pb_test_device *dev = bare(facts);
    int rc;

    dev->map = pb_map_baseline(&dev->facts, &dev->layout, &rc);
    assert_non_null(dev->map);
    assert_int_equal(rc, 0);
    make_hardware(dev);
    pb_test_device_reset(dev);
    return dev;
}

struct pb_test_device *pb_test_device_with(const struct pb_facts *facts,
                                           const struct pb_traits *traits,
                                           const struct pb_cap_edit *edits, size_t count)
{
    struct pb_test_device *dev = bare(facts);
    static struct pb_caps caps;
    struct pb_rules rules = { 0 };
    size_t bad;
    int rc;

    assert_int_equal(pb_caps_edit(&dev->facts, &dev->layout, traits, edits, count, &caps, &bad), 0);
    assert_int_equal(pb_baseline_rules(&dev->facts, &caps, traits, &rules), 0);
    dev->map = pb_map_compile(&dev->facts, &caps, traits, &rules, &rc, &bad);
    assert_non_null(dev->map);
    pb_rules_fini(&rules);
    make_hardware(dev);
    pb_test_device_reset(dev);
    return dev;
}

struct pb_test_device *pb_test_device_new(void (*fill)(struct pb_facts *facts))
{
    struct pb_facts facts;

    fill(&facts);
    return pb_test_device_of(&facts);
}

void pb_test_device_free(struct pb_test_device *dev)
{
    if (dev)
        free(dev->map);
    free(dev);
}

uint32_t pb_test_hw_read(struct pb_test_hw *hw, unsigned offset, unsigned size)
{
    return pb_le_get(hw->config + offset, size);
}

/* PCI Power Management: a function that leaves D3hot without No_Soft_Reset is as after a reset. */
static void lose_registers(struct pb_test_hw *hw)
{
    memset(hw->config + PCI_COMMAND, 0, 2);
    memset(hw->config + PCI_CACHE_LINE_SIZE, 0, 2);
    memset(hw->config + PCI_BAR0, 0, sizeof(uint32_t) * PB_PCI_BARS);
    memset(hw->config + PCI_ROM_ADDRESS, 0, 4);
    hw->config[PCI_INTERRUPT_LINE] = 0;
    if (hw->exp) {
        memset(hw->config + hw->exp + PCI_EXP_DEVCTL, 0, 2);
        memset(hw->config + hw->exp + PCI_EXP_LNKCTL, 0, 2);
    }
    if (hw->aer)
        memset(hw->config + hw->aer + PCI_AER_UNCOR_MASK, 0, PCI_AER_CONTROL - PCI_AER_UNCOR_MASK);
}

void pb_test_hw_write(struct pb_test_hw *hw, unsigned offset, unsigned size, uint32_t value)
{
    unsigned state = hw->pm ? hw->config[hw->pm + PCI_PM_CTRL] & PCI_PM_CTRL_STATE : 0;

    if (hw->msix && offset + size > hw->msix && offset < hw->msix + (unsigned)PCI_MSIX_SIZE &&
        (size != 2 || offset != hw->msix + (unsigned)PCI_MSIX_FLAGS)) {
        hw->discarded++;
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * i)), *at = hw->config + offset + i;
        uint8_t rw = hw->rw[offset + i], w1c = hw->w1c[offset + i];

        *at = (uint8_t)((*at & ~(rw | w1c)) | (byte & rw) | (*at & w1c & ~byte));
    }
    if (state == PCI_PM_D3HOT &&
        (hw->config[hw->pm + PCI_PM_CTRL] & PCI_PM_CTRL_STATE) == PCI_PM_D0)
        lose_registers(hw);
}

/* Performs the cycles of an access that has begun. */
static void drive(struct pb_test_device *dev, struct pb_access *acc, enum pb_step step)
{
    struct pb_test_hw *hw = &dev->hw;

    hw->count = 0;
    while (step != PB_STEP_DONE) {
        const struct pb_cycle *c = &acc->cycle;
        uint32_t answer = 0;

        assert_true(hw->count < PB_ARRAY_SIZE(hw->log));
        hw->log[hw->count++] = (struct pb_test_cycle){ step, *c };
        if (hw->fail_after >= 0 && hw->fail_after-- == 0) {
            step = pb_access_resume(acc, hw->fail_rc, 0xdeadbeef);
            continue;
        }
        if (step == PB_STEP_RESET) {
            step = pb_access_resume(acc, hw->reset_rc, 0);
            assert_int_equal(step, PB_STEP_DONE);
            continue;
        }
        if (step != PB_STEP_WAIT) {
            assert_true(c->size == 1 || c->size == 2 || c->size == 4);
            assert_int_equal(c->offset % c->size, 0);
            assert_true(c->offset + c->size <= dev->map->size);
        }
        if (step == PB_STEP_READ)
            answer = pb_test_hw_read(hw, c->offset, c->size);
        else if (step == PB_STEP_WRITE)
            pb_test_hw_write(hw, c->offset, c->size, c->value);
        step = pb_access_resume(acc, 0, answer);
    }
}

struct pb_access pb_test_run(struct pb_test_device *dev, bool write, int32_t offset, int32_t size,
                             uint32_t value)
{
    struct pb_access acc;

    memset(&acc, 0xa5, sizeof(acc)); /* the engine must not rely on what the caller left there */
    drive(dev, &acc, pb_access_begin(&acc, &dev->view, write, offset, size, value));
    return acc;
}

struct pb_access pb_test_run_mine(struct pb_test_device *dev, int32_t offset, int32_t size,
                                  uint32_t value, uint32_t mine, uint32_t denied)
{
    struct pb_access acc;

    memset(&acc, 0xa5, sizeof(acc));
    drive(dev, &acc, pb_access_begin_write(&acc, &dev->view, offset, size, value, mine, denied));
    return acc;
}

uint32_t pb_test_read(struct pb_test_device *dev, int32_t offset, int32_t size)
{
    struct pb_access acc = pb_test_run(dev, false, offset, size, 0);

    assert_int_equal(acc.err, PB_GUEST_OK);
    return acc.value;
}

int pb_test_write(struct pb_test_device *dev, int32_t offset, int32_t size, uint32_t value)
{
    return pb_test_run(dev, true, offset, size, value).err;
}

unsigned pb_test_count(const struct pb_test_hw *hw, enum pb_step step)
{
    unsigned n = 0;

    for (unsigned i = 0; i < hw->count; i++)
        n += hw->log[i].step == step;
    return n;
}

unsigned pb_test_expect(const struct pb_test_hw *hw, unsigned first, enum pb_step step,
                        unsigned offset, unsigned size, uint32_t value)
{
    for (unsigned i = first; i < hw->count; i++) {
        const struct pb_cycle *c = &hw->log[i].cycle;

        if (hw->log[i].step == step && c->offset == offset && c->size == size &&
            (step == PB_STEP_READ || c->value == value))
            return i;
    }
    fail_msg("no cycle %d at %#x/%u with %#x", (int)step, offset, size, value);
    return 0;
}

uint32_t pb_test_random(uint32_t *state)
{
    /* xorshift32 */
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}
