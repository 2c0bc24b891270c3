/* SPDX-License-Identifier: MIT */
/* The baseline's lists of capabilities, as the guest finds them. */
#include <errno.h>

#include "base/bytes.h"
#include "pci/baseline.h"
#include "pci/regs.h"

static const struct pb_rule header_rule = {
    .name = "CAP_HEADER",
    .size = 2,
    .fixed = ALL16,
    .swallow = true,
    .origin = "capability",
    .why = "id and next: the list is the one that was walked at claim",
};

static const struct pb_rule ext_header_rule = {
    .name = "EXT_CAP_HEADER",
    .size = 4,
    .fixed = ALL32,
    .swallow = true,
    .origin = "capability",
    .why = "id, version and next: the list is the one that was walked at claim",
};

static const struct pb_rule closed_rule = {
    .origin = "capability",
    .why = "a second one of its kind, or one that is shown although it is dangerous: it may be "
           "read",
};

/* RULE says who did it, where an edit did. */
static void blame(struct pb_rule *rule, const struct pb_cap_edit *edit)
{
    if (!edit)
        return;
    rule->origin = edit->origin;
    rule->file = edit->file;
    rule->why = edit->why;
}

static const char *name_of(const struct pb_cap_seen *cap)
{
    const char *name = pb_cap_name(cap->extended, cap->id);

    return name ? name : "capability";
}

/*
 * [from, end) in registers of the largest aligned size, each with the masks of RULE (ALL32 ones)
 * and the value of BYTES, if there are any, from the capability's start on.
 */
static void add_range(struct pb_baseline *b, const struct pb_rule *rule, unsigned start,
                      unsigned from, unsigned end, const uint8_t *bytes)
{
    while (from < end) {
        struct pb_rule piece = *rule;
        unsigned size = from % 4 == 0 && from + 4 <= end   ? 4
                        : from % 2 == 0 && from + 2 <= end ? 2
                                                           : 1;
        uint32_t all = pb_ones(size);

        piece.offset = (uint16_t)from;
        piece.size = (uint8_t)size;
        piece.hw &= all;
        piece.fixed &= all;
        piece.lock &= all;
        piece.value = bytes ? pb_le_get(bytes + (from - start), size) : 0;
        pb_rules_add(b->rules, &piece);
        from += size;
    }
}

/* Why the guest does not see it. */
static void explain_hidden(const struct pb_baseline *b, const struct pb_cap_seen *cap,
                           struct pb_rule *rule)
{
    enum pb_trait trait = PB_TRAIT_CONFIG_SIZE;
    const char *why;

    rule->name = name_of(cap);
    rule->origin = rule->name;
    if (cap->edit) {
        blame(rule, cap->edit);
        return;
    }
    if (pb_caps_hidden_by_default(cap->extended, cap->id, &why)) {
        rule->why = why;
        return;
    }
    if (cap->id == PCI_CAP_MSI && b->traits->deny_msi)
        trait = PB_TRAIT_MSI;
    else if (cap->id == PCI_CAP_MSIX && b->traits->deny_msix)
        trait = PB_TRAIT_MSIX;
    rule->why = "it may not be used, or lies where the device may not be touched";
    pb_baseline_blame(b, trait, rule);
}

/* All of it reads 0, except that the list of extended ones must go on from its first place. */
static void add_hidden(struct pb_baseline *b, const struct pb_cap_seen *cap)
{
    const struct pb_layout *seen = &b->caps->seen;
    struct pb_rule rule = { .fixed = ALL32, .lock = ALL32 };
    unsigned from = cap->offset, end = from + cap->size;

    explain_hidden(b, cap, &rule);
    if (cap->extended && from == PCI_EXT_CAPABILITIES && seen->ext_count && cap->size >= 4) {
        uint8_t header[4];

        pb_le_put(header, 4, (uint32_t)seen->ext[0].offset << PCI_EXT_NEXT_SHIFT);
        add_range(b, &rule, from, from, from + 4, header);
        from += 4;
    }
    add_range(b, &rule, from, from, end, NULL);
}

static void add_added(struct pb_baseline *b, const struct pb_cap_seen *cap, unsigned next)
{
    const struct pb_cap_edit *edit = cap->edit;
    struct pb_rule rule = { .fixed = ALL32, .name = name_of(cap) };
    uint8_t bytes[PB_CAP_BYTES_MAX];

    for (unsigned i = 0; i < edit->size; i++)
        bytes[i] = edit->bytes[i];
    for (unsigned i = 0; i < PB_CAP_COPIES; i++) {
        for (unsigned n = 0; n < edit->copy[i].size; n++)
            bytes[edit->copy[i].to + n] = b->facts->config[edit->copy[i].from + n];
    }
    bytes[0] = (uint8_t)cap->id;
    bytes[1] = (uint8_t)next;
    blame(&rule, edit);
    add_range(b, &rule, cap->offset, cap->offset, cap->offset + cap->size, bytes);
}

static void add_header(struct pb_baseline *b, const struct pb_cap_seen *cap, unsigned next)
{
    struct pb_rule rule = cap->extended ? ext_header_rule : header_rule;
    uint32_t own = pb_le32(b->facts->config + cap->offset);

    blame(&rule, cap->edit);
    if (cap->extended)
        rule.value = cap->id | (own & PCI_EXT_VERSION) | next << PCI_EXT_NEXT_SHIFT;
    else
        rule.value = cap->id | next << 8;
    pb_baseline_add(b, &rule, cap->offset);
}

/* Of these a guest's driver looks at the first; what a second one does, nobody has thought of. */
static bool is_second(const struct pb_layout *seen, const struct pb_cap_seen *cap)
{
    const struct {
        uint16_t id;
        uint8_t first;
    } handled[] = {
        { PCI_CAP_PM, seen->pm },     { PCI_CAP_VPD, seen->vpd }, { PCI_CAP_MSI, seen->msi },
        { PCI_CAP_PCIX, seen->pcix }, { PCI_CAP_EXP, seen->exp }, { PCI_CAP_MSIX, seen->msix },
        { PCI_CAP_AF, seen->af },
    };

    for (size_t i = 0; i < PB_ARRAY_SIZE(handled) && !cap->extended; i++) {
        if (cap->id == handled[i].id)
            return cap->offset != handled[i].first;
    }
    return false;
}

static void add_closed(struct pb_baseline *b, const struct pb_cap_seen *cap)
{
    struct pb_rule rule = closed_rule;

    rule.hw = rule.lock = ALL32;
    rule.name = name_of(cap);
    blame(&rule, cap->edit);
    add_range(b, &rule, cap->offset, cap->offset + (cap->extended ? 4U : 2U),
              cap->offset + cap->size, NULL);
}

static bool must_be_whole(const struct pb_cap_seen *cap)
{
    return !cap->extended && (cap->id == PCI_CAP_PM || cap->id == PCI_CAP_VPD ||
                              cap->id == PCI_CAP_MSI || cap->id == PCI_CAP_MSIX);
}

static int add_visible(struct pb_baseline *b, const struct pb_cap_seen *cap, unsigned next)
{
    const char *why;

    if (cap->how == PB_CAP_ADDED) {
        add_added(b, cap, next);
        return 0;
    }
    add_header(b, cap, next);
    if (is_second(&b->caps->seen, cap) || pb_caps_hidden_by_default(cap->extended, cap->id, &why)) {
        add_closed(b, cap);
        return 0;
    }
    if (must_be_whole(cap) &&
        cap->size < pb_cap_length(b->facts, cap->extended, cap->id, cap->offset))
        return -EPROTO;
    pb_baseline_body(b, cap);
    return 0;
}

int pb_baseline_capabilities(struct pb_baseline *b)
{
    const struct pb_layout *seen = &b->caps->seen;
    unsigned standard = 0, extended = 0;
    int rc = 0;

    /* what is hidden comes first: an added capability may lie upon it */
    for (unsigned n = 0; n < b->caps->count; n++) {
        if (b->caps->cap[n].how == PB_CAP_HIDDEN)
            add_hidden(b, &b->caps->cap[n]);
    }
    for (unsigned n = 0; n < b->caps->count && rc == 0; n++) {
        const struct pb_cap_seen *cap = &b->caps->cap[n];
        unsigned next = 0;

        if (cap->how == PB_CAP_HIDDEN)
            continue;
        if (!cap->extended && ++standard < seen->cap_count)
            next = seen->cap[standard].offset;
        if (cap->extended && ++extended < seen->ext_count)
            next = seen->ext[extended].offset;
        rc = add_visible(b, cap, next);
    }
    return rc;
}
