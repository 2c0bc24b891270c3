/* SPDX-License-Identifier: MIT */
/* What a guest has written where hardware is not involved: its shadows of a device's registers. */
#ifndef PB_PCI_VIEW_H
#define PB_PCI_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "pci/map.h"

/* One guest's view of one device: starts fresh for every guest. */
struct pb_view {
    const struct pb_map *map;
    bool permissive;              /* hw bits may be written, except locked ones and effects */
    bool allow_interrupt_control; /* MSI and MSI-X enable bits, INTX_DISABLE */
    uint8_t shadow[PB_CONFIG_SIZE_PCIE];
};

void pb_view_init(struct pb_view *view, const struct pb_map *map);
/*
 * The rules of a live guest's device change: bits that were virtual and still are keep the guest's
 * value, others begin as MAP says. A BAR that is being sized stays so. The old map is
 * still there; no access of the view is under way.
 */
void pb_view_move(struct pb_view *view, const struct pb_map *map);
/*
 * A view as an earlier process left it: SHADOW is its first SIZE bytes. SAME: it was written under
 * MAP's rules. Otherwise virtual bits keep the guest's value as in pb_view_move, but of a register
 * whose shadow is 0 nobody knows whether it was virtual: it begins as MAP says.
 */
void pb_view_restore(struct pb_view *view, const struct pb_map *map, const uint8_t *shadow,
                     unsigned size, bool same);
/* After a managed reset: shadows are as a fresh guest finds them, except sizing of BARs. */
void pb_view_reset(struct pb_view *view);

#endif
