/* SPDX-License-Identifier: MIT */
/*
 * A device's rules, compiled: byte arrays of class masks and a short list of registers. Immutable
 * once built, shared by all that look at the device, replaced as a whole on reload.
 */
#ifndef PB_PCI_MAP_H
#define PB_PCI_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "pci/caps.h"
#include "pci/facts.h"
#include "pci/layout.h"
#include "pci/rule.h"

#define PB_REGS_MAX 1024

struct pb_reg {
    uint16_t offset;
    uint8_t size;
    uint8_t effect; /* enum pb_effect */
    uint8_t index;
    bool swallow;
    bool once; /* opened by a quirk: what a write does is not known, so none is done twice */
};

/* What BAR sizing answers (PCI Local Bus 3.0, 6.2.5.1). */
struct pb_bar {
    uint32_t address[2]; /* low, high */
    uint32_t length[2];  /* what reads back after all ones were written */
    uint32_t type_mask;  /* low bits that do not take part in sizing */
};

struct pb_map {
    uint16_t size;  /* bytes that may be touched: a multiple of 4, at most `space` */
    uint16_t space; /* bytes of configuration space, 256 or 4096: what lies beyond `size` reads all
                       ones and swallows writes */
    uint16_t reg_count;
    struct pb_reg reg[PB_REGS_MAX];
    struct pb_bar bar[PB_PCI_RESOURCES];
    struct pb_layout layout; /* as the guest finds it */
    uint16_t vpd_end;        /* VPD addresses from here on are refused; 0: none is */
    uint16_t d3_delay_ms;
    uint8_t flr; /* bits 1 << PB_RESET_BY_FLR, _AF_FLR: methods that a guest's FLR bit may use */
    /* per byte */
    uint8_t write[PB_CONFIG_SIZE_PCIE];
    uint8_t w1c[PB_CONFIG_SIZE_PCIE];
    uint8_t virt[PB_CONFIG_SIZE_PCIE];
    uint8_t fixed[PB_CONFIG_SIZE_PCIE];
    uint8_t lock[PB_CONFIG_SIZE_PCIE];    /* never opened by a later rule, nor by permissive mode */
    uint8_t value[PB_CONFIG_SIZE_PCIE];   /* fixed: the constant; virt: what a fresh guest sees;
                                             known: what it was at claim */
    uint8_t known[PB_CONFIG_SIZE_PCIE];   /* hw bits that stay what they were at claim (known.h) */
    uint8_t image[PB_CONFIG_SIZE_PCIE];   /* the claim image: for registers lost in D3hot */
    uint8_t raw[PB_CONFIG_SIZE_PCIE];     /* 0xff: reads go to hardware whatever the class says */
    uint16_t reg_of[PB_CONFIG_SIZE_PCIE]; /* index + 1 into reg[]; 0: no rule names the byte */
    /* per byte a bit, byte 0 the lowest of [0]: a read needs no hardware … */
    uint8_t always[PB_CONFIG_SIZE_PCIE / 8];
    uint8_t once_seen[PB_CONFIG_SIZE_PCIE / 8]; /* … once hardware has said the same as at claim */
};

/*
 * Applies COUNT rules on top of what *map holds (start with pb_map_init). -EINVAL: a malformed rule
 * (masks overlap, beyond the width, misaligned, outside of the space); -EEXIST: its boundaries cut
 * through another register that has an effect, or join one that has locked bits with others, and a
 * guest may write it; -EPERM: it would let a guest write a locked bit;
 * -ENOSPC: too many registers. *ret_bad is its index; the rules before it have been applied.
 */
void pb_map_init(struct pb_map *map, const struct pb_facts *facts, const struct pb_layout *layout);
__attribute__((warn_unused_result)) int
pb_map_apply(struct pb_map *map, const struct pb_rule *rules, size_t count, size_t *ret_bad);

/*
 * The baseline rules of a type 0 function with these capabilities and traits: header, BARs,
 * standard and extended capabilities; what is hidden reads 0 and is locked. -EOPNOTSUPP for a
 * bridge (header type 1 or 2, or base class 6); -EPROTO when a capability lies upon one that we
 * handle (power management, VPD, MSI, MSI-X); -ENOMEM. RULES is added to.
 */
__attribute__((warn_unused_result)) int pb_baseline_rules(const struct pb_facts *facts,
                                                          const struct pb_caps *caps,
                                                          const struct pb_traits *traits,
                                                          struct pb_rules *rules);
/*
 * All rules, compiled: free it with free(). NULL with -errno in *ret_rc: -ENOMEM, or what
 * pb_map_apply says of rule *ret_bad.
 */
struct pb_map *pb_map_compile(const struct pb_facts *facts, const struct pb_caps *caps,
                              const struct pb_traits *traits, const struct pb_rules *rules,
                              int *ret_rc, size_t *ret_bad);
/*
 * After compiling: reads of bytes with a bit in MASK (PB_CONFIG_SIZE_PCIE bytes) go to hardware
 * whatever their class, because a plugin wants to see what it says. Adds to what was asked before.
 */
void pb_map_set_raw(struct pb_map *map, const uint8_t *mask);
/*
 * Both in one, without quirks. NULL with -errno in *ret_rc: -ENOMEM, -EOPNOTSUPP for a bridge, or
 * -EPROTO when capabilities lie upon one another.
 */
struct pb_map *pb_map_baseline(const struct pb_facts *facts, const struct pb_layout *layout,
                               int *ret_rc);

#endif
