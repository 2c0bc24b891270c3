/* SPDX-License-Identifier: MIT */
/*
 * The baseline's header: what a guest may do with a type 0 function before any quirk or
 * configuration.
 *
 * Rows say the class of bits; what a row's constant is when it is neither a literal nor the claim
 * image (ids, BARs, decode, interrupt line) is filled in below from the facts. What has no row is
 * read from hardware and not written.
 */
#include "pci/baseline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "pci/regs.h"

#define COMMAND_VIRTUAL                                                            \
    (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_PARITY | PCI_COMMAND_SERR | \
     PCI_COMMAND_INTX_DISABLE)
#define COMMAND_WRITE (PCI_COMMAND_MASTER | PCI_COMMAND_INVALIDATE)
#define COMMAND_HW    (ALL16 & ~(COMMAND_VIRTUAL | COMMAND_WRITE))

static const struct pb_rule header_rules[] = {
    { .offset = PCI_VENDOR_ID,
      .name = "VENDOR",
      .size = 2,
      .fixed = ALL16,
      .swallow = true,
      .origin = "header",
      .why = "identity: the registers of a VF read all ones" },
    { .offset = PCI_DEVICE_ID,
      .name = "DEVICE",
      .size = 2,
      .fixed = ALL16,
      .swallow = true,
      .origin = "header",
      .why = "identity: the registers of a VF read all ones" },
    { .offset = PCI_COMMAND,
      .name = "COMMAND",
      .size = 2,
      .hw = COMMAND_HW,
      .write = COMMAND_WRITE,
      .virt = COMMAND_VIRTUAL,
      .lock = COMMAND_VIRTUAL | PCI_COMMAND_RESERVED,
      .origin = "header",
      .why = "decode off while the guest has mappings, SERR and PARITY can bring the host down; "
             "INTX_DISABLE is the backend's" },
    /* a byte, since the other one clears what is written as 1 */
    { .offset = PCI_STATUS,
      .name = "STATUS",
      .size = 1,
      .fixed = PCI_STATUS_CAP_LIST,
      .swallow = true,
      .origin = "header",
      .why = "whether there are capabilities: the list is the one that was walked at claim" },
    { .offset = PCI_STATUS + 1,
      .name = "STATUS",
      .size = 1,
      .hw = ALL8,
      .swallow = true,
      .origin = "header",
      .why = "guests clear errors in it; the host clears what is its own" },
    { .offset = PCI_REVISION,
      .name = "REVISION, CLASS",
      .size = 4,
      .fixed = ALL32,
      .origin = "header",
      .why = "identity: revision and class" },
    { .offset = PCI_CACHE_LINE_SIZE,
      .name = "CACHE_LINE",
      .size = 1,
      .write = ALL8,
      .origin = "header",
      .why = "drivers set it before Memory Write and Invalidate" },
    { .offset = PCI_LATENCY_TIMER,
      .name = "LATENCY",
      .size = 1,
      .virt = ALL8,
      .image = ALL8,
      .origin = "header",
      .why = "guests set it with bus mastering; it shares out a bus that is not theirs alone" },
    { .offset = PCI_HEADER_TYPE,
      .name = "HEADER_TYPE",
      .size = 1,
      .fixed = ALL8,
      .image = ALL8,
      .origin = "header",
      .why = "read-only in hardware" },
    { .offset = PCI_BIST,
      .name = "BIST",
      .size = 1,
      .hw = ALL8,
      .effect = PB_EFFECT_BIST,
      .swallow = true,
      .origin = "header",
      .why = "a self test may be started, its other bits not written" },
    { .offset = PCI_CARDBUS_CIS,
      .name = "CARDBUS_CIS",
      .size = 4,
      .fixed = ALL32,
      .image = ALL32,
      .origin = "header",
      .why = "read-only in hardware" },
    { .offset = PCI_SUBSYSTEM,
      .name = "SUBSYSTEM_VENDOR",
      .size = 2,
      .fixed = ALL16,
      .swallow = true,
      .origin = "header",
      .why = "identity: subsystem vendor" },
    { .offset = PCI_SUBSYSTEM + 2,
      .name = "SUBSYSTEM_DEVICE",
      .size = 2,
      .fixed = ALL16,
      .swallow = true,
      .origin = "header",
      .why = "identity: subsystem device" },
    { .offset = PCI_CAPABILITIES,
      .name = "CAPABILITIES",
      .size = 1,
      .fixed = ALL8,
      .swallow = true,
      .origin = "header",
      .why = "the list of capabilities is the one that was walked at claim" },
    { .offset = PCI_INTERRUPT_LINE,
      .name = "INTERRUPT_LINE",
      .size = 1,
      .fixed = ALL8,
      .swallow = true,
      .origin = "header",
      .why = "a paravirtual guest takes it for its pirq; guests write back what they read" },
    { .offset = PCI_INTERRUPT_PIN,
      .name = "INTERRUPT_PIN",
      .size = 1,
      .fixed = ALL8,
      .swallow = true,
      .origin = "header",
      .why = "read-only in hardware; a VF has none, whatever it says" },
};

static const struct pb_rule bar_rule = {
    .name = "BAR",
    .size = 4,
    .effect = PB_EFFECT_BAR,
    .virt = ALL32,
    .origin = "header",
    .why = "the guest may size a BAR, not move it",
};

static const struct pb_rule bar_high_rule = {
    .name = "BAR",
    .size = 4,
    .effect = PB_EFFECT_BAR_HIGH,
    .virt = ALL32,
    .origin = "header",
    .why = "upper half of a 64-bit BAR: the guest may size it, not move it",
};

static const struct pb_rule bar_absent_rule = {
    .name = "BAR",
    .size = 4,
    .fixed = ALL32,
    .swallow = true,
    .origin = "header",
    .why = "no resource behind this BAR: reads 0, and sizing finds nothing",
};

/* What the BAR answers, from the kernel's resource: the registers of a VF are zero. */
struct pb_bar pb_baseline_bar(const struct pb_facts *facts, const struct pb_traits *traits,
                              unsigned index)
{
    const struct pb_resource *res = &facts->resource[index];
    struct pb_bar bar = { 0 };
    uint64_t length;
    uint32_t low;

    if (!(res->flags & (PB_RES_IO | PB_RES_MEM)) || res->end <= res->start ||
        (res->flags & (PB_RES_UNSET | PB_RES_DISABLED)))
        return bar;
    /* A 64-bit BAR without a register for its upper half cannot be told to the guest. */
    if ((res->flags & PB_RES_MEM_64) && index >= PB_PCI_BARS - 1)
        return bar;
    /* A ROM whose contents the kernel keeps in RAM: the address is not the BAR's. */
    if (index == PB_PCI_ROM && (traits->hide_rom || (res->flags & PB_RES_ROM_SHADOW)))
        return bar;
    low = index == PB_PCI_ROM ? facts->config[PCI_ROM_ADDRESS] & PCI_ROM_ENABLE
                              : (uint32_t)(res->flags & PB_RES_BAR_BITS);
    length = ~(res->end - res->start);
    bar.address[0] = (uint32_t)res->start | low;
    bar.length[0] = (uint32_t)length | low;
    if (res->flags & PB_RES_MEM_64) {
        bar.address[1] = (uint32_t)(res->start >> 32);
        bar.length[1] = (uint32_t)(length >> 32);
    }
    if (index == PB_PCI_ROM)
        bar.type_mask = PCI_ROM_TYPE_MASK;
    else
        bar.type_mask = res->flags & PB_RES_IO ? PCI_BAR_IO_TYPE_MASK : PCI_BAR_MEM_TYPE_MASK;
    return bar;
}

void pb_baseline_blame(const struct pb_baseline *b, enum pb_trait trait, struct pb_rule *rule)
{
    const struct pb_traits *traits = b->traits;

    if (traits->origin[trait])
        rule->origin = traits->origin[trait];
    if (traits->reason[trait])
        rule->why = traits->reason[trait];
    rule->file = traits->file[trait];
}

void pb_baseline_add(struct pb_baseline *b, const struct pb_rule *rule, unsigned base)
{
    struct pb_rule moved = *rule;

    moved.offset = (uint16_t)(moved.offset + base);
    pb_rules_add(b->rules, &moved);
}

static void add_bar(struct pb_baseline *b, unsigned at, unsigned index, const struct pb_rule *kind,
                    uint32_t value)
{
    struct pb_rule rule = *kind;

    rule.index = (uint8_t)index;
    rule.value = value;
    if (index == PB_PCI_ROM)
        rule.name = "ROM";
    if (index == PB_PCI_ROM && b->traits->hide_rom)
        pb_baseline_blame(b, PB_TRAIT_ROM, &rule);
    pb_baseline_add(b, &rule, at);
}

static void add_bars(struct pb_baseline *b)
{
    struct pb_bar rom = pb_baseline_bar(b->facts, b->traits, PB_PCI_ROM);

    for (unsigned i = 0; i < PB_PCI_BARS; i++) {
        struct pb_bar bar = pb_baseline_bar(b->facts, b->traits, i);
        unsigned at = PCI_BAR0 + 4 * i;

        if (bar.type_mask == 0) {
            add_bar(b, at, i, &bar_absent_rule, 0);
            continue;
        }
        add_bar(b, at, i, &bar_rule, bar.address[0]);
        if (b->facts->resource[i].flags & PB_RES_MEM_64)
            add_bar(b, at + 4, i++, &bar_high_rule, bar.address[1]);
    }
    add_bar(b, PCI_ROM_ADDRESS, PB_PCI_ROM, rom.type_mask ? &bar_rule : &bar_absent_rule,
            rom.address[0]);
}

/* The decode bits that a guest finds: set for every kind of BAR that has an address. */
static uint32_t command_of(const struct pb_baseline *b)
{
    /* A VF's own bit is hardwired to 0; the PF's stands for it. */
    uint32_t command = b->facts->virtual_function ? PCI_COMMAND_MEMORY : 0;

    for (unsigned i = 0; i < PB_PCI_BARS; i++) {
        struct pb_bar bar = pb_baseline_bar(b->facts, b->traits, i);

        if (bar.type_mask == PCI_BAR_IO_TYPE_MASK)
            command |= PCI_COMMAND_IO;
        else if (bar.type_mask == PCI_BAR_MEM_TYPE_MASK)
            command |= PCI_COMMAND_MEMORY;
    }
    return command;
}

/* What a row's constant is when the code decides it. */
static uint32_t value_of(const struct pb_baseline *b, const struct pb_rule *rule)
{
    const struct pb_facts *facts = b->facts;
    const struct pb_layout *seen = &b->caps->seen;
    bool no_pin = facts->virtual_function || b->traits->intx == PB_INTX_DENY;

    switch (rule->offset) {
    case PCI_VENDOR_ID:
        return facts->vendor;
    case PCI_DEVICE_ID:
        return facts->device;
    case PCI_COMMAND:
        return command_of(b);
    case PCI_STATUS:
        return seen->cap_count ? PCI_STATUS_CAP_LIST : 0;
    case PCI_REVISION:
        return (b->traits->set[PB_TRAIT_CLASS] ? b->traits->class_code : facts->class_code) << 8 |
               facts->revision;
    case PCI_SUBSYSTEM:
        return facts->subsystem_vendor;
    case PCI_SUBSYSTEM + 2:
        return facts->subsystem_device;
    case PCI_CAPABILITIES:
        return seen->cap_count ? seen->cap[0].offset : 0;
    case PCI_INTERRUPT_LINE:
        /* a byte: a line beyond it cannot be told */
        return b->traits->intx == PB_INTX_DENY ? 0 : facts->irq & ALL8;
    case PCI_INTERRUPT_PIN:
        return no_pin ? 0 : facts->config[PCI_INTERRUPT_PIN];
    default:
        return rule->value;
    }
}

static void add_header(struct pb_baseline *b)
{
    for (size_t i = 0; i < PB_ARRAY_SIZE(header_rules); i++) {
        struct pb_rule rule = header_rules[i];

        rule.value = value_of(b, &rule);
        if (rule.offset == PCI_REVISION && b->traits->set[PB_TRAIT_CLASS])
            pb_baseline_blame(b, PB_TRAIT_CLASS, &rule);
        if (rule.offset >= PCI_INTERRUPT_LINE && b->traits->intx == PB_INTX_DENY)
            pb_baseline_blame(b, PB_TRAIT_INTX, &rule);
        pb_baseline_add(b, &rule, 0);
    }
}

static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = words; *at; at += strcspn(at, " "), at += strspn(at, " ")) {
        if (strcspn(at, " ") == length && strncmp(at, word, length) == 0)
            return true;
    }
    return false;
}

static bool may_reset_by(const struct pb_facts *facts, const struct pb_traits *traits,
                         enum pb_reset_method method, const char *name)
{
    if (!has_word(facts->reset_methods, name) || (traits->no_reset >> method & 1))
        return false;
    for (unsigned i = 0; i < traits->reset_method_count; i++) {
        if (traits->reset_method[i] == method)
            return true;
    }
    return traits->reset_method_count == 0;
}

uint8_t pb_baseline_flr(const struct pb_facts *facts, const struct pb_layout *seen,
                        const struct pb_traits *traits)
{
    const uint8_t *config = facts->config;
    unsigned flr = 0;

    if (seen->exp && seen->exp + PCI_EXP_DEVCAP + 4U <= PB_CONFIG_SIZE_PCI &&
        (pb_le32(config + seen->exp + PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_FLR) &&
        may_reset_by(facts, traits, PB_RESET_BY_FLR, "flr"))
        flr |= 1U << PB_RESET_BY_FLR;
    if (seen->af && (config[seen->af + PCI_AF_CAP] & PCI_AF_CAP_FLR) &&
        may_reset_by(facts, traits, PB_RESET_BY_AF_FLR, "af_flr"))
        flr |= 1U << PB_RESET_BY_AF_FLR;
    return (uint8_t)flr;
}

int pb_baseline_rules(const struct pb_facts *facts, const struct pb_caps *caps,
                      const struct pb_traits *traits, struct pb_rules *rules)
{
    struct pb_baseline b = { .facts = facts,
                             .caps = caps,
                             .traits = traits,
                             .rules = rules,
                             .flr = pb_baseline_flr(facts, &caps->seen, traits) };
    int rc;

    if (caps->seen.header_type != PCI_HEADER_TYPE_NORMAL ||
        facts->class_code >> 16 == PCI_CLASS_BRIDGE)
        return -EOPNOTSUPP;
    add_header(&b);
    add_bars(&b);
    rc = pb_baseline_capabilities(&b);
    return rules->no_memory ? -ENOMEM : rc;
}

struct pb_map *pb_map_baseline(const struct pb_facts *facts, const struct pb_layout *layout,
                               int *ret_rc)
{
    static const struct pb_traits no_traits;
    struct pb_caps *caps = malloc(sizeof(*caps));
    struct pb_rules rules = { 0 };
    struct pb_map *map = NULL;
    size_t bad;

    *ret_rc = caps ? pb_caps_edit(facts, layout, &no_traits, NULL, 0, caps, &bad) : -ENOMEM;
    if (*ret_rc == 0)
        *ret_rc = pb_baseline_rules(facts, caps, &no_traits, &rules);
    if (*ret_rc == 0) {
        map = pb_map_compile(facts, caps, &no_traits, &rules, ret_rc, &bad);
        /* The tables are right, so it is the device. */
        if (*ret_rc < 0 && *ret_rc != -ENOMEM)
            *ret_rc = -EPROTO;
    }
    pb_rules_fini(&rules);
    free(caps);
    return map;
}
