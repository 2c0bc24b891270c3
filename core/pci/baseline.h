/* SPDX-License-Identifier: MIT */
/* Between the files that make the baseline's rules. */
#ifndef PB_PCI_BASELINE_H
#define PB_PCI_BASELINE_H

#include "pci/map.h"

#define ALL8  0xffu
#define ALL16 0xffffu
#define ALL32 0xffffffffu

struct pb_baseline {
    const struct pb_facts *facts;
    const struct pb_caps *caps;
    const struct pb_traits *traits;
    struct pb_rules *rules;
    uint8_t flr; /* as in struct pb_map */
};

/* What BAR (or ROM) INDEX answers; all zero: there is none for the guest. */
struct pb_bar pb_baseline_bar(const struct pb_facts *facts, const struct pb_traits *traits,
                              unsigned index);
/* Which resets a guest may ask for by a bit in its configuration space. */
uint8_t pb_baseline_flr(const struct pb_facts *facts, const struct pb_layout *seen,
                        const struct pb_traits *traits);

/* RULE is as it is because of a trait. */
void pb_baseline_blame(const struct pb_baseline *b, enum pb_trait trait, struct pb_rule *rule);
/* One rule, BASE added to its offset. */
void pb_baseline_add(struct pb_baseline *b, const struct pb_rule *rule, unsigned base);
/* The rules of the capabilities as the guest finds them. */
int pb_baseline_capabilities(struct pb_baseline *b);
/* The rules of one capability beside its header, if we know it. It must be whole if it is PM, VPD,
 * MSI or MSI-X. */
void pb_baseline_body(struct pb_baseline *b, const struct pb_cap_seen *cap);

#endif
