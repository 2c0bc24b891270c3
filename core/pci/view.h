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
    uint32_t forgotten;           /* how often pb_view_forget was called */
    uint8_t memory[PB_CONFIG_SIZE_PCIE / 8]; /* a bit a byte: a read of it needs no hardware */
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
/*
 * The device may not be what it was: it was reset, woken, exchanged, or is gone. Each known
 * register is read from hardware until that says what it said at claim. A view that is in no use
 * (map NULL) is left alone. The functions above begin like this.
 */
void pb_view_forget(struct pb_view *view);
/*
 * Hardware has said RAW of SIZE bytes at OFFSET (within one dword), in a read that began after
 * FORGOTTEN. All is forgotten when nobody answers, or a known bit is not what it was: then false.
 * In permissive mode nothing is believed: whoever can write bits that the specification calls
 * read-only may find that some are not.
 */
bool pb_view_saw(struct pb_view *view, unsigned offset, unsigned size, uint32_t raw,
                 uint32_t forgotten);
/* After a managed reset: shadows are as a fresh guest finds them, except sizing of BARs. */
void pb_view_reset(struct pb_view *view);

#endif
