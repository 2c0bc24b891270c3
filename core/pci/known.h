/* SPDX-License-Identifier: MIT */
/*
 * Registers that stay what they were at claim, whatever a guest does: a read of one needs hardware
 * only until that has said so again since it last may have become another (view.h). What the
 * baseline shows as a constant (ids, class, BARs, headers of capabilities, PMC, MSI-X table, Device
 * Capabilities) is answered from memory without this.
 */
#ifndef PB_PCI_KNOWN_H
#define PB_PCI_KNOWN_H

#include <stdint.h>

#include "pci/caps.h"

/* Sets their bits in MASK (PB_CONFIG_SIZE_PCIE bytes) for a function with CAPS. */
void pb_known_bits(const struct pb_caps *caps, uint8_t *mask);

#endif
