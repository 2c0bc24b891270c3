/* SPDX-License-Identifier: MIT */
/* Where a device's capabilities are, from the config image that was taken at claim. */
#ifndef PB_PCI_LAYOUT_H
#define PB_PCI_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "pci/facts.h"

/* PCI Local Bus 3.0, 6.7: at most 48 capabilities fit; a longer chain is a loop. */
#define PB_CAPS_MAX     48
#define PB_EXT_CAPS_MAX 480 /* (4096 - 256) / 8 */

struct pb_cap {
    uint16_t offset;
    uint16_t id;
};

struct pb_layout {
    uint8_t header_type; /* without the multifunction bit */
    unsigned cap_count;
    struct pb_cap cap[PB_CAPS_MAX];
    unsigned ext_count;
    struct pb_cap ext[PB_EXT_CAPS_MAX];
    /* first instance of each, 0: absent */
    uint8_t pm, vpd, msi, pcix, exp, msix, af;
    /* MSI */
    bool msi_64bit, msi_maskable;
    uint8_t msi_vectors; /* 1..32 */
    /* MSI-X */
    uint16_t msix_vectors; /* 1..2048 */
    uint8_t msix_table_bar;
    uint64_t msix_table_base; /* machine address of the BAR that holds the table, 0: unassigned */
    bool no_soft_reset;       /* PMCSR bit 3: D3hot -> D0 keeps the registers */
};

/* Dwords of the MSI capability behind its control word: address, data, and mask and pending. */
static inline unsigned pb_layout_msi_dwords(const struct pb_layout *layout)
{
    return (layout->msi_64bit ? 3U : 2U) + (layout->msi_maskable ? 2U : 0U);
}

/*
 * Fails with -EPROTO when the chain of capabilities loops, points below 0x40 or outside of the
 * space, or a capability that we handle does not fit into it, and with -ENODEV when the image is
 * all ones (no device answers). Type 1 and 2 headers succeed: the caller refuses them by
 * header_type.
 */
__attribute__((warn_unused_result)) int pb_layout_read(const struct pb_facts *facts,
                                                       struct pb_layout *ret);
/*
 * For lists that are put together otherwise (caps.h): remembers a standard capability's place if it
 * is the first of its id, and reads what LAYOUT says beside places. -EPROTO: a capability that we
 * handle does not fit into the space.
 */
void pb_layout_note(struct pb_layout *layout, uint16_t id, uint8_t offset);
__attribute__((warn_unused_result)) int pb_layout_bodies(const struct pb_facts *facts,
                                                         struct pb_layout *layout);

#endif
