/* SPDX-License-Identifier: MIT */
/*
 * A device's rules, compiled: byte arrays of class masks and a short list of registers. Immutable
 * once built, shared by all that look at the device, replaced as a whole on reload.
 */
#ifndef PB_PCI_MAP_H
#define PB_PCI_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "pci/facts.h"
#include "pci/layout.h"
#include "pci/rule.h"

#define PB_REGS_MAX 256

struct pb_reg {
    uint16_t offset;
    uint8_t size;
    uint8_t effect; /* enum pb_effect */
    uint8_t index;
    bool swallow;
};

/* What BAR sizing answers (PCI Local Bus 3.0, 6.2.5.1). */
struct pb_bar {
    uint32_t address[2]; /* low, high */
    uint32_t length[2];  /* what reads back after all ones were written */
    uint32_t type_mask;  /* low bits that do not take part in sizing */
};

struct pb_map {
    uint16_t size; /* bytes of configuration space: 256 or 4096 */
    uint16_t reg_count;
    struct pb_reg reg[PB_REGS_MAX];
    struct pb_bar bar[PB_PCI_RESOURCES];
    struct pb_layout layout;
    /* per byte */
    uint8_t write[PB_CONFIG_SIZE_PCIE];
    uint8_t w1c[PB_CONFIG_SIZE_PCIE];
    uint8_t virt[PB_CONFIG_SIZE_PCIE];
    uint8_t fixed[PB_CONFIG_SIZE_PCIE];
    uint8_t lock[PB_CONFIG_SIZE_PCIE];    /* never opened by a later rule, nor by permissive mode */
    uint8_t value[PB_CONFIG_SIZE_PCIE];   /* fixed: the constant; virt: what a fresh guest sees */
    uint8_t image[PB_CONFIG_SIZE_PCIE];   /* the claim image: for registers lost in D3hot */
    uint16_t reg_of[PB_CONFIG_SIZE_PCIE]; /* index + 1 into reg[]; 0: no rule names the byte */
};

/*
 * Applies COUNT rules on top of what *map holds (start with pb_map_init). -EINVAL: a malformed rule
 * (masks overlap, beyond the width, misaligned, outside of the space); -EEXIST: its boundaries cut
 * through another register that has an effect; -EPERM: it would let a guest write a locked bit;
 * -ENOSPC: too many registers. *ret_bad is its index; the rules before it have been applied.
 */
void pb_map_init(struct pb_map *map, const struct pb_facts *facts, const struct pb_layout *layout);
__attribute__((warn_unused_result)) int
pb_map_apply(struct pb_map *map, const struct pb_rule *rules, size_t count, size_t *ret_bad);

/*
 * The baseline for a type 0 function: header, BARs and the capabilities that are handled. Returns a
 * malloc'ed map (free it with free()), or NULL with -errno in *ret_rc: -ENOMEM, -EOPNOTSUPP for a
 * bridge (header type 1 or 2, or base class 6), or -EPROTO when capabilities lie upon one another.
 */
struct pb_map *pb_map_baseline(const struct pb_facts *facts, const struct pb_layout *layout,
                               int *ret_rc);

#endif
