/* SPDX-License-Identifier: MIT */
/*
 * What a guest may do with each bit of configuration space, as data.
 *
 * Every bit belongs to exactly one class. Bits that no rule names are PB_BITS_HW, the safest one.
 * Rules are applied in order (header, capabilities, extended capabilities, quirks, the operator's
 * config); a rule replaces the class of exactly the bits that its masks name. Of two rules with
 * different boundaries the later one decides which bytes are one register, unless the earlier has
 * an effect.
 */
#ifndef PB_PCI_RULE_H
#define PB_PCI_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pb_bits {
    PB_BITS_HW = 0,  /* read from hardware, writes dropped */
    PB_BITS_WRITE,   /* passes through both ways */
    PB_BITS_W1C,     /* passes through; hardware clears the bits written as 1 */
    PB_BITS_VIRTUAL, /* a shadow of this guest's, hardware is not involved */
    PB_BITS_FIXED,   /* a constant, writes dropped */
    PB_BITS_COUNT
};

/* What else happens when a register is written. */
enum pb_effect {
    PB_EFFECT_NONE = 0,
    PB_EFFECT_BAR,          /* sizing of BAR `index` (PB_PCI_ROM: the ROM) */
    PB_EFFECT_BAR_HIGH,     /* the upper half of the 64-bit BAR `index` */
    PB_EFFECT_BIST,         /* only a start, or no change */
    PB_EFFECT_PM_CONTROL,   /* power states with their delays; registers lost in D3hot come back */
    PB_EFFECT_VPD_ADDRESS,  /* reads only */
    PB_EFFECT_MSI_CONTROL,  /* the guest asks through operations, not through the register */
    PB_EFFECT_MSIX_CONTROL, /* the same */
    PB_EFFECT_EXP_CONTROL,  /* PCI Express Device Control: its FLR bit asks for a managed reset */
    PB_EFFECT_AF_CONTROL,   /* Advanced Features Control: the same */
    PB_EFFECT_COUNT
};

struct pb_rule {
    uint16_t offset;
    uint8_t size; /* 1, 2 or 4: the register's natural width; offset is a multiple of it */
    uint8_t effect;
    uint8_t index; /* of the effect */
    bool swallow;  /* drivers write here in good faith: a dropped write is not counted as denied */
    uint32_t hw, write, w1c, virt, fixed; /* disjoint */
    uint32_t lock;  /* bits that neither a later rule nor permissive mode may let a guest write */
    uint32_t value; /* of virt and fixed bits: initial value, constant */
    uint32_t image; /* virt and fixed bits that take it from the claim image instead */
    const char *origin; /* "header", "msi", a quirk's id: for `explain` */
    const char *file;   /* of a quirk; NULL: built in */
    const char *name;   /* of the register: "COMMAND"; may be NULL */
    const char *why;
};

/* Rules in rising precedence. Strings are borrowed. */
struct pb_rules {
    struct pb_rule *rule;
    size_t count, room;
    bool no_memory; /* one could not be added: the list is useless */
};

void pb_rules_add(struct pb_rules *rules, const struct pb_rule *rule);
void pb_rules_fini(struct pb_rules *rules);
/*
 * The rule that decides bit BIT (0 to 7) of the byte at OFFSET: the last one that names it; NULL:
 * none does, and the bit is PB_BITS_HW.
 */
const struct pb_rule *pb_rules_deciding(const struct pb_rules *rules, unsigned offset,
                                        unsigned bit);

#endif
