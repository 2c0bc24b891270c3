/* SPDX-License-Identifier: MIT */
#include "pci/known.h"

#include "base/bytes.h"
#include "pci/regs.h"

#define ALL      0xffffffffu

#define HEADER   0 /* as an id: the header, which every function has */
#define STANDARD 1
#define EXTENDED 2

struct known_row {
    uint8_t where;
    uint16_t id;
    uint8_t offset, size;
    uint32_t mask;
    const char *why;
};

/*
 * Only what the specifications call read-only, or set by hardware before software runs, and give no
 * way to change. Not here, for good: COMMAND, STATUS, MSI and MSI-X control (Xen writes them, and a
 * VF's table size is not constant: H21), PMCSR, each status register, AER, VPD, what is a vendor's,
 * what is reserved.
 */
static const struct known_row rows[] = {
    { HEADER, 0, PCI_MIN_GNT, 2, ALL, "MIN_GNT and MAX_LAT: read-only; PCI Local Bus 3.0, 6.2.4" },
    { STANDARD, PCI_CAP_EXP, PCI_EXP_FLAGS, 2, 0x01ff,
      "version, type, slot; not the message number, which follows the MSI control's vectors" },
    { STANDARD, PCI_CAP_EXP, PCI_EXP_LNKCAP, 4, 0xff7c0fff,
      "Link Capabilities; not the exit latencies, which follow Link Control's common clock" },
    { STANDARD, PCI_CAP_EXP, PCI_EXP_DEVCAP2, 4, ALL, "Device Capabilities 2: read-only" },
    { STANDARD, PCI_CAP_EXP, PCI_EXP_LNKCAP2, 4, ALL, "Link Capabilities 2: read-only" },
    { STANDARD, PCI_CAP_AF, PCI_AF_LENGTH, 1, ALL, "the capability's length, which is 6" },
    { EXTENDED, PCI_EXT_VC, 4, 4, ALL, "Port VC Capability 1: read-only" },
    { EXTENDED, PCI_EXT_VC, 8, 4, ALL, "Port VC Capability 2: read-only" },
    { EXTENDED, PCI_EXT_DSN, 4, 4, ALL, "the serial number: read-only" },
    { EXTENDED, PCI_EXT_DSN, 8, 4, ALL, "the serial number: read-only" },
    { EXTENDED, PCI_EXT_ACS, 4, 2, ALL, "ACS Capability: read-only; its control lies behind it" },
    { EXTENDED, PCI_EXT_TPH, 4, 4, ALL, "TPH Requester Capability: read-only" },
    { EXTENDED, PCI_EXT_L1SS, 4, 4, ALL, "L1 PM Substates Capabilities: read-only" },
    { EXTENDED, PCI_EXT_PTM, 4, 4, ALL, "PTM Capability: read-only" },
};

static void mark(const struct known_row *row, unsigned base, uint8_t *mask)
{
    for (unsigned i = 0; i < row->size; i++)
        mask[base + row->offset + i] |= (uint8_t)(row->mask >> (8 * i));
}

/* Is it one that a device has, and the one that its driver looks at? */
static bool counts(const struct pb_caps *caps, const struct pb_cap_seen *cap)
{
    if (cap->how == PB_CAP_HIDDEN || cap->how == PB_CAP_ADDED)
        return false;
    return cap->extended || cap->offset == caps->seen.exp || cap->offset == caps->seen.af;
}

void pb_known_bits(const struct pb_caps *caps, uint8_t *mask)
{
    for (size_t i = 0; i < PB_ARRAY_SIZE(rows); i++) {
        const struct known_row *row = &rows[i];

        if (row->where == HEADER)
            mark(row, 0, mask);
        for (unsigned n = 0; n < caps->count && row->where != HEADER; n++) {
            const struct pb_cap_seen *cap = &caps->cap[n];

            if (cap->extended == (row->where == EXTENDED) && cap->id == row->id &&
                row->offset + row->size <= cap->size && counts(caps, cap))
                mark(row, cap->offset, mask);
        }
    }
}
