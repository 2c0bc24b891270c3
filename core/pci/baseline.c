/* SPDX-License-Identifier: MIT */
/*
 * The baseline: what a guest may do with a type 0 function before any quirk or configuration.
 *
 * Rows say the class of bits; what a row's constant is when it is neither a literal nor the claim
 * image (ids, BARs, decode, interrupt line) is filled in below from the facts. STATUS and whatever
 * else has no row is read from hardware and not written.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "pci/map.h"
#include "pci/regs.h"

#define ALL8  0xffu
#define ALL16 0xffffu
#define ALL32 0xffffffffu

#define COMMAND_VIRTUAL                                                            \
    (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_PARITY | PCI_COMMAND_SERR | \
     PCI_COMMAND_INTX_DISABLE)
#define COMMAND_WRITE (PCI_COMMAND_MASTER | PCI_COMMAND_INVALIDATE)
#define COMMAND_HW    (ALL16 & ~(COMMAND_VIRTUAL | COMMAND_WRITE))

static const struct pb_rule header_rules[] = {
    { .offset = PCI_VENDOR_ID,
      .size = 2,
      .fixed = ALL16,
      .swallow = true,
      .origin = "header",
      .why = "identity: the registers of a VF read all ones" },
    { .offset = PCI_DEVICE_ID,
      .size = 2,
      .fixed = ALL16,
      .swallow = true,
      .origin = "header",
      .why = "identity: the registers of a VF read all ones" },
    { .offset = PCI_COMMAND,
      .size = 2,
      .hw = COMMAND_HW,
      .write = COMMAND_WRITE,
      .virt = COMMAND_VIRTUAL,
      .lock = COMMAND_VIRTUAL | PCI_COMMAND_RESERVED,
      .origin = "header",
      .why = "decode off while the guest has mappings, SERR and PARITY can bring the host down; "
             "INTX_DISABLE is the backend's" },
    { .offset = PCI_REVISION,
      .size = 4,
      .fixed = ALL32,
      .origin = "header",
      .why = "identity: revision and class" },
    { .offset = PCI_CACHE_LINE_SIZE,
      .size = 1,
      .write = ALL8,
      .origin = "header",
      .why = "drivers set it before Memory Write and Invalidate" },
    { .offset = PCI_LATENCY_TIMER,
      .size = 1,
      .virt = ALL8,
      .image = ALL8,
      .origin = "header",
      .why = "guests set it with bus mastering; it shares out a bus that is not theirs alone" },
    { .offset = PCI_HEADER_TYPE,
      .size = 1,
      .fixed = ALL8,
      .image = ALL8,
      .origin = "header",
      .why = "read-only in hardware" },
    { .offset = PCI_BIST,
      .size = 1,
      .hw = ALL8,
      .effect = PB_EFFECT_BIST,
      .swallow = true,
      .origin = "header",
      .why = "a self test may be started, its other bits not written" },
    { .offset = PCI_CARDBUS_CIS,
      .size = 4,
      .fixed = ALL32,
      .image = ALL32,
      .origin = "header",
      .why = "read-only in hardware" },
    { .offset = PCI_SUBSYSTEM,
      .size = 2,
      .fixed = ALL16,
      .swallow = true,
      .origin = "header",
      .why = "identity: subsystem vendor" },
    { .offset = PCI_SUBSYSTEM + 2,
      .size = 2,
      .fixed = ALL16,
      .swallow = true,
      .origin = "header",
      .why = "identity: subsystem device" },
    { .offset = PCI_CAPABILITIES,
      .size = 1,
      .fixed = ALL8,
      .image = ALL8,
      .swallow = true,
      .origin = "header",
      .why = "the list of capabilities is the one that was walked at claim" },
    { .offset = PCI_INTERRUPT_LINE,
      .size = 1,
      .fixed = ALL8,
      .swallow = true,
      .origin = "header",
      .why = "a paravirtual guest takes it for its pirq; guests write back what they read" },
    { .offset = PCI_INTERRUPT_PIN,
      .size = 1,
      .fixed = ALL8,
      .image = ALL8,
      .swallow = true,
      .origin = "header",
      .why = "read-only in hardware; a VF has none, whatever it says" },
};

static const struct pb_rule bar_rule = {
    .size = 4,
    .effect = PB_EFFECT_BAR,
    .virt = ALL32,
    .origin = "header",
    .why = "the guest may size a BAR, not move it",
};

static const struct pb_rule bar_high_rule = {
    .size = 4,
    .effect = PB_EFFECT_BAR_HIGH,
    .virt = ALL32,
    .origin = "header",
    .why = "upper half of a 64-bit BAR: the guest may size it, not move it",
};

static const struct pb_rule bar_absent_rule = {
    .size = 4,
    .fixed = ALL32,
    .swallow = true,
    .origin = "header",
    .why = "no resource behind this BAR: reads 0, and sizing finds nothing",
};

static const struct pb_rule capability_rule = {
    .size = 2,
    .fixed = ALL16,
    .image = ALL16,
    .swallow = true,
    .origin = "capability",
    .why = "id and next: the list is the one that was walked at claim",
};

static const struct pb_rule pm_rules[] = {
    { .offset = PCI_PM_PMC,
      .size = 2,
      .fixed = ALL16,
      .image = ALL16 & ~PCI_PM_PMC_PME,
      .swallow = true,
      .origin = "pm",
      .why = "no PME: a guest cannot receive it, and it would wake the host" },
    { .offset = PCI_PM_CTRL,
      .size = 2,
      .hw = ALL16 & ~(PCI_PM_CTRL_DATA_SEL | PCI_PM_CTRL_PME_STATUS | PCI_PM_CTRL_PME_ENABLE),
      .write = PCI_PM_CTRL_DATA_SEL,
      .w1c = PCI_PM_CTRL_PME_STATUS,
      .fixed = PCI_PM_CTRL_PME_ENABLE,
      .lock = PCI_PM_CTRL_PME_ENABLE,
      .effect = PB_EFFECT_PM_CONTROL,
      .origin = "pm",
      .why = "power states the device supports, with the delays they need" },
    { .offset = PCI_PM_BRIDGE,
      .size = 1,
      .hw = ALL8,
      .lock = ALL8,
      .swallow = true,
      .origin = "pm",
      .why = "bridge extensions: read-only in a type 0 function" },
    { .offset = PCI_PM_DATA,
      .size = 1,
      .hw = ALL8,
      .lock = ALL8,
      .swallow = true,
      .origin = "pm",
      .why = "read-only in hardware; shows what Data_Select chose" },
};

static const struct pb_rule vpd_rules[] = {
    { .offset = PCI_VPD_ADDR,
      .size = 2,
      .hw = PCI_VPD_ADDR_F,
      .write = PCI_VPD_ADDR_MASK,
      .lock = PCI_VPD_ADDR_F,
      .effect = PB_EFFECT_VPD_ADDRESS,
      .origin = "vpd",
      .why = "starts a read; F set would start a write of the device's EEPROM" },
    { .offset = PCI_VPD_DATA,
      .size = 4,
      .hw = ALL32,
      .lock = ALL32,
      .swallow = true,
      .origin = "vpd",
      .why = "the answer of a read; writes of VPD are refused at its address" },
};

static const struct pb_rule msi_rules[] = {
    { .offset = PCI_MSI_FLAGS,
      .size = 2,
      .hw = ALL16,
      .effect = PB_EFFECT_MSI_CONTROL,
      .origin = "msi",
      .why = "the guest asks for MSI by an operation; Xen writes this register" },
};

static const struct pb_rule msi_body_rule = {
    .size = 4,
    .hw = ALL32,
    .lock = ALL32,
    .origin = "msi",
    .why = "address, data and masks are Xen's: a guest that writes them can raise any interrupt",
};

static const struct pb_rule msix_rules[] = {
    { .offset = PCI_MSIX_FLAGS,
      .size = 2,
      .hw = ALL16,
      .effect = PB_EFFECT_MSIX_CONTROL,
      .origin = "msix",
      .why = "the guest asks for MSI-X by an operation; Xen writes this register" },
    { .offset = PCI_MSIX_TABLE,
      .size = 4,
      .fixed = ALL32,
      .image = ALL32,
      .origin = "msix",
      .why = "read-only in hardware" },
    { .offset = PCI_MSIX_PBA,
      .size = 4,
      .fixed = ALL32,
      .image = ALL32,
      .origin = "msix",
      .why = "read-only in hardware" },
};

#define DEVCTL_WRITE (PCI_EXP_DEVCTL_RELAX | PCI_EXP_DEVCTL_NOSNOOP)

static const struct pb_rule exp_rules[] = {
    { .offset = PCI_EXP_DEVCTL,
      .size = 2,
      .hw = ALL16 & ~DEVCTL_WRITE,
      .write = DEVCTL_WRITE,
      .lock = PCI_EXP_DEVCTL_ERRORS | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_PHANTOM |
              PCI_EXP_DEVCTL_FLR,
      .origin = "exp",
      .why = "drivers clear Relaxed Ordering and No Snoop for correctness; payload size must fit "
             "the path, phantom functions use other requester ids, a reset needs managing, and "
             "error messages go to the host" },
};

static const struct pb_rule af_rules[] = {
    { .offset = PCI_AF_CTRL,
      .size = 1,
      .hw = ALL8,
      .lock = PCI_AF_CTRL_FLR,
      .origin = "af",
      .why = "a reset needs managing: registers and interrupts are lost in it" },
};

static int apply_at(struct pb_map *map, const struct pb_rule *rules, size_t count, unsigned base)
{
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++) {
        struct pb_rule rule = rules[i];
        size_t bad;

        rule.offset = (uint16_t)(rule.offset + base);
        rc = pb_map_apply(map, &rule, 1, &bad);
    }
    return rc;
}

static int apply_bar(struct pb_map *map, unsigned at, unsigned index, const struct pb_rule *kind,
                     uint32_t value)
{
    struct pb_rule rule = *kind;
    size_t bad;

    rule.offset = (uint16_t)at;
    rule.index = (uint8_t)index;
    rule.value = value;
    return pb_map_apply(map, &rule, 1, &bad);
}

static int apply_bars(struct pb_map *map, const struct pb_facts *facts)
{
    int rc = 0;

    for (unsigned i = 0; i < PB_PCI_BARS && rc == 0; i++) {
        const struct pb_bar *bar = &map->bar[i];
        unsigned at = PCI_BAR0 + 4 * i;

        if (bar->type_mask == 0) {
            rc = apply_bar(map, at, i, &bar_absent_rule, 0);
            continue;
        }
        rc = apply_bar(map, at, i, &bar_rule, bar->address[0]);
        if (rc == 0 && (facts->resource[i].flags & PB_RES_MEM_64))
            rc = apply_bar(map, at + 4, i++, &bar_high_rule, bar->address[1]);
    }
    if (rc == 0)
        rc = apply_bar(map, PCI_ROM_ADDRESS, PB_PCI_ROM,
                       map->bar[PB_PCI_ROM].type_mask ? &bar_rule : &bar_absent_rule,
                       map->bar[PB_PCI_ROM].address[0]);
    return rc;
}

/* The decode bits that a guest finds: set for every kind of BAR that has an address. */
static uint16_t command_of(const struct pb_map *map, const struct pb_facts *facts)
{
    /* A VF's own bit is hardwired to 0; the PF's stands for it. */
    unsigned command = facts->virtual_function ? PCI_COMMAND_MEMORY : 0;

    for (unsigned i = 0; i < PB_PCI_BARS; i++) {
        if (map->bar[i].type_mask == PCI_BAR_IO_TYPE_MASK)
            command |= PCI_COMMAND_IO;
        else if (map->bar[i].type_mask == PCI_BAR_MEM_TYPE_MASK)
            command |= PCI_COMMAND_MEMORY;
    }
    return (uint16_t)command;
}

static void fill_in(struct pb_map *map, const struct pb_facts *facts)
{
    pb_le_put(map->value + PCI_VENDOR_ID, 2, facts->vendor);
    pb_le_put(map->value + PCI_DEVICE_ID, 2, facts->device);
    pb_le_put(map->value + PCI_COMMAND, 2, command_of(map, facts));
    pb_le_put(map->value + PCI_REVISION, 4, facts->class_code << 8 | facts->revision);
    pb_le_put(map->value + PCI_SUBSYSTEM, 2, facts->subsystem_vendor);
    pb_le_put(map->value + PCI_SUBSYSTEM + 2, 2, facts->subsystem_device);
    pb_le_put(map->value + PCI_INTERRUPT_LINE, 1, facts->irq);
    if (facts->virtual_function)
        pb_le_put(map->value + PCI_INTERRUPT_PIN, 1, 0);
}

static int apply_capabilities(struct pb_map *map, const struct pb_layout *layout)
{
    const struct {
        uint8_t at;
        const struct pb_rule *rules;
        size_t count;
    } handled[] = {
        { layout->pm, pm_rules, PB_ARRAY_SIZE(pm_rules) },
        { layout->vpd, vpd_rules, PB_ARRAY_SIZE(vpd_rules) },
        { layout->msi, msi_rules, PB_ARRAY_SIZE(msi_rules) },
        { layout->msix, msix_rules, PB_ARRAY_SIZE(msix_rules) },
        { layout->exp, exp_rules, PB_ARRAY_SIZE(exp_rules) },
        { layout->af, af_rules, PB_ARRAY_SIZE(af_rules) },
    };
    unsigned msi_dwords = layout->msi ? pb_layout_msi_dwords(layout) : 0;
    int rc = 0;

    for (unsigned i = 0; i < layout->cap_count && rc == 0; i++)
        rc = apply_at(map, &capability_rule, 1, layout->cap[i].offset);
    for (unsigned i = 0; i < msi_dwords && rc == 0; i++)
        rc = apply_at(map, &msi_body_rule, 1, layout->msi + PCI_MSI_BODY + 4 * i);
    for (unsigned i = 0; i < PB_ARRAY_SIZE(handled) && rc == 0; i++) {
        if (handled[i].at)
            rc = apply_at(map, handled[i].rules, handled[i].count, handled[i].at);
    }
    return rc;
}

struct pb_map *pb_map_baseline(const struct pb_facts *facts, const struct pb_layout *layout,
                               int *ret_rc)
{
    struct pb_map *map;
    int rc;

    *ret_rc = -EOPNOTSUPP;
    if (layout->header_type != PCI_HEADER_TYPE_NORMAL ||
        facts->class_code >> 16 == PCI_CLASS_BRIDGE)
        return NULL;
    *ret_rc = -ENOMEM;
    map = malloc(sizeof(*map));
    if (!map)
        return NULL;
    pb_map_init(map, facts, layout);
    rc = apply_at(map, header_rules, PB_ARRAY_SIZE(header_rules), 0);
    if (rc == 0)
        rc = apply_bars(map, facts);
    if (rc == 0)
        rc = apply_capabilities(map, layout);
    if (rc < 0) {
        free(map);
        /* The tables are right, so it is the device: its capabilities lie upon one another. */
        *ret_rc = -EPROTO;
        return NULL;
    }
    fill_in(map, facts);
    *ret_rc = 0;
    return map;
}
