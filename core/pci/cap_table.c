/* SPDX-License-Identifier: MIT */
/*
 * Every capability that has a number (PCI Code and ID Assignment Specification 1.14): its name, the
 * bytes that are its own, and whether a guest sees it.
 *
 * Lengths are those of the PCI specifications; Linux's vfio_pci_config.c hides the same ones for
 * the reason that nobody knows what a write to them would do.
 */
#include <string.h>

#include "base/bytes.h"
#include "pci/caps.h"
#include "pci/regs.h"

#define UNKNOWN_LENGTH 4 /* id, next, and what is in the same dword */

struct cap_row {
    uint16_t id;
    uint16_t length; /* 0: see `measure` */
    const char *name;
    const char *hidden; /* why no guest sees it unless a quirk shows it; NULL: visible */
    /* CAP points to the capability, ROOM bytes of it are in the space (at least 4) */
    unsigned (*measure)(const uint8_t *cap, unsigned room);
};

/* ---- lengths that the capability itself tells --------------------------------------------------
 */

static unsigned bits_of(const uint8_t *cap, unsigned room, unsigned at, unsigned shift,
                        uint32_t mask)
{
    return at + 4 <= room ? pb_le32(cap + at) >> shift & mask : 0;
}

static unsigned measure_msi(const uint8_t *cap, unsigned room)
{
    unsigned flags = bits_of(cap, room, 0, 16, 0xffff);

    return PCI_MSI_BODY + (flags & PCI_MSI_FLAGS_64BIT ? 12U : 8U) +
           (flags & PCI_MSI_FLAGS_MASKABLE ? 8U : 0U);
}

static unsigned measure_pcix(const uint8_t *cap, unsigned room)
{
    return bits_of(cap, room, 0, 28, 3) ? 24 : 8; /* with or without ECC registers */
}

/* HyperTransport I/O Link 3.10, 7: the kind is in the five high bits. */
static unsigned measure_ht(const uint8_t *cap, unsigned room)
{
    unsigned kind = bits_of(cap, room, 0, 24, 0xf8);

    if (kind < 0x40) /* a link's registers: primary or secondary interface */
        return kind < 0x20 ? 28 : 24;
    if (kind == 0xa8) /* MSI mapping, with an address unless it is fixed */
        return bits_of(cap, room, 0, 17, 1) ? 4 : 12;
    return 8;
}

static unsigned measure_vendor(const uint8_t *cap, unsigned room)
{
    return bits_of(cap, room, 0, 16, 0xff);
}

/* PCI Express: version 1 has only the registers of its kind of port, version 2 has them all. */
static unsigned measure_exp(const uint8_t *cap, unsigned room)
{
    unsigned flags = bits_of(cap, room, 0, 16, 0xffff);

    if ((flags & PCI_EXP_FLAGS_VERSION) >= 2)
        return PCI_EXP_SIZE_V2;
    switch (flags >> PCI_EXP_FLAGS_TYPE_SHIFT & PCI_EXP_FLAGS_TYPE_MASK) {
    case PCI_EXP_TYPE_INTEGRATED:
        return PCI_EXP_LNKCAP;
    case PCI_EXP_TYPE_ENDPOINT:
    case PCI_EXP_TYPE_LEGACY:
        return PCI_EXP_SLTCAP;
    default:
        return PCI_EXP_SIZE_V1;
    }
}

static unsigned measure_sata(const uint8_t *cap, unsigned room)
{
    return bits_of(cap, room, 4, 0, 0xf) == 0xf ? 16 : 8; /* index and data in the space itself */
}

/* Enhanced Allocation: each entry says how many dwords follow its first. */
static unsigned measure_ea(const uint8_t *cap, unsigned room)
{
    unsigned entries = bits_of(cap, room, 0, 16, 0x3f), at = 4;

    while (entries-- && at < room)
        at += 4 + 4 * bits_of(cap, room, at, 0, 7);
    return at;
}

/* The extended VC capabilities: 12 bytes a channel; arbitration tables lie behind them. */
static unsigned measure_vc(const uint8_t *cap, unsigned room)
{
    return 16 + 12 * (bits_of(cap, room, 4, 0, 7) + 1);
}

static unsigned measure_rclink(const uint8_t *cap, unsigned room)
{
    return 16 + 16 * bits_of(cap, room, 4, 8, 0xff);
}

static unsigned measure_vsec(const uint8_t *cap, unsigned room)
{
    return bits_of(cap, room, 4, 20, 0xfff);
}

static unsigned measure_acs(const uint8_t *cap, unsigned room)
{
    unsigned vector = bits_of(cap, room, 4, 8, 0xff);

    if (bits_of(cap, room, 4, 5, 1) == 0) /* no egress control */
        return 8;
    return 8 + ((vector ? vector : 256) + 31) / 32 * 4;
}

static unsigned measure_rebar(const uint8_t *cap, unsigned room)
{
    unsigned bars = bits_of(cap, room, 8, 5, 7);

    return 4 + 8 * (bars ? bars : 1);
}

static unsigned measure_dpa(const uint8_t *cap, unsigned room)
{
    return 16 + bits_of(cap, room, 4, 0, 0x1f) + 1;
}

static unsigned measure_tph(const uint8_t *cap, unsigned room)
{
    /* is the steering table in the capability? */
    if (bits_of(cap, room, 4, 9, 3) != 1)
        return 12;
    return 12 + 2 * (bits_of(cap, room, 4, 16, 0x7ff) + 1);
}

/* ---- the tables --------------------------------------------------------------------------------
 */

#define LANES 32 /* at most; what belongs to lanes that a link has not got reads 0 */

static const char no_slot[] = "a slot's or chassis's register: the slot is the host's";
static const char unknown_body[] = "nobody says what its registers do when a guest writes them";
static const char requester[] = "makes or routes requests beyond what the IOMMU checks for a guest";
static const char root_complex[] = "tells of the host's root complex, not of the device";

static const struct cap_row standard[] = {
    { 0x00, 4, "null", NULL, NULL },
    { PCI_CAP_PM, PCI_PM_SIZE, "pm", NULL, NULL },
    { 0x02, 12, "agp", NULL, NULL },
    { PCI_CAP_VPD, PCI_VPD_SIZE, "vpd", NULL, NULL },
    { 0x04, 4, "slotid", no_slot, NULL },
    { PCI_CAP_MSI, 0, "msi", NULL, measure_msi },
    { 0x06, 4, "chswp", no_slot, NULL },
    { PCI_CAP_PCIX, 0, "pcix", NULL, measure_pcix },
    { 0x08, 0, "ht", NULL, measure_ht },
    { PCI_CAP_VENDOR, 0, "vendor", NULL, measure_vendor },
    { 0x0a, 4, "debug", "opens the device's debug port", NULL },
    { 0x0b, 4, "ccrc", no_slot, NULL },
    { 0x0c, 8, "shpc", no_slot, NULL },
    { 0x0d, 8, "ssvid", "a bridge's identity: a function of type 0 has its own registers", NULL },
    { 0x0e, 12, "agp3", "a bridge's: the host's graphics aperture", NULL },
    { 0x0f, 24, "secdev", "an IOMMU's registers", NULL },
    { PCI_CAP_EXP, 0, "exp", NULL, measure_exp },
    { PCI_CAP_MSIX, PCI_MSIX_SIZE, "msix", NULL, NULL },
    { 0x12, 0, "sata", NULL, measure_sata },
    { PCI_CAP_AF, PCI_AF_SIZE, "af", NULL, NULL },
    { 0x14, 0, "ea", NULL, measure_ea },
    { 0x15, 36, "fpb", NULL, NULL },
};

static const struct cap_row extended[] = {
    { PCI_EXT_AER, PCI_AER_SIZE, "aer", NULL, NULL },
    { 0x02, 0, "vc", NULL, measure_vc },
    { 0x03, 12, "dsn", NULL, NULL },
    { 0x04, 16, "pwrbudget", NULL, NULL },
    { 0x05, 0, "rclink", root_complex, measure_rclink },
    { 0x06, 12, "rcilink", root_complex, NULL },
    { 0x07, 12, "rcec", root_complex, NULL },
    { 0x08, 0, "mfvc", NULL, measure_vc },
    { 0x09, 0, "vc9", NULL, measure_vc },
    { 0x0a, 20, "rcrb", root_complex, NULL },
    { PCI_EXT_VSEC, 0, "vsec", NULL, measure_vsec },
    { 0x0c, 8, "cac", unknown_body, NULL },
    { 0x0d, 0, "acs", NULL, measure_acs },
    { 0x0e, 8, "ari",
      "routing by function alone is set up in the bridge above, which is the host's", NULL },
    { 0x0f, 8, "ats", requester, NULL },
    { 0x10, 64, "sriov", "virtual functions are made and given away by the host alone", NULL },
    { 0x11, 4, "mriov", unknown_body, NULL },
    { 0x12, 48, "mcast", NULL, NULL },
    { 0x13, 16, "pri", requester, NULL },
    { 0x14, 4, "amd", NULL, NULL },
    { 0x15, 0, "rebar", "a BAR that grows would answer at its neighbours' addresses",
      measure_rebar },
    { 0x16, 0, "dpa", NULL, measure_dpa },
    { 0x17, 0, "tph", NULL, measure_tph },
    { 0x18, 8, "ltr", NULL, NULL },
    { 0x19, 12 + 2 * LANES, "secpci", "a link's equalization: the other end is the host's", NULL },
    { 0x1a, 16, "pmux", unknown_body, NULL },
    { 0x1b, 8, "pasid", requester, NULL },
    { 0x1c, 8, "lnr", NULL, NULL },
    { 0x1d, 52, "dpc", NULL, NULL },
    { 0x1e, 20, "l1ss", NULL, NULL },
    { 0x1f, 12, "ptm", NULL, NULL },
    { 0x20, 28, "mpcie", NULL, NULL },
    { 0x21, 16, "frs", NULL, NULL },
    { 0x22, 12, "rtr", NULL, NULL },
    { PCI_EXT_DVSEC, 0, "dvsec", NULL, measure_vsec },
    { 0x24, 0, "vfrebar", "a BAR that grows would answer at its neighbours' addresses",
      measure_rebar },
    { 0x25, 12, "dlf", NULL, NULL },
    { 0x26, 32 + LANES / 2, "phy16", NULL, NULL },
    { 0x27, 8 + 4 * LANES, "lmr", NULL, NULL },
    { 0x28, 32, "hierid", NULL, NULL },
    { 0x29, 16, "npem", NULL, NULL },
    { 0x2a, 32 + LANES, "phy32", NULL, NULL },
    { 0x2b, 16, "ap", NULL, NULL },
    { 0x2c, 20, "sfi", NULL, NULL },
    { 0x2d, 8, "shadowfn", NULL, NULL },
    { 0x2e, 24, "doe", NULL, NULL },
    { 0x2f, 16, "dev3", NULL, NULL },
    { 0x30, 12, "ide", NULL, NULL },
    { 0x31, 32 + LANES, "phy64", NULL, NULL },
};

static const struct cap_row *row_of(bool is_extended, uint16_t id)
{
    const struct cap_row *rows = is_extended ? extended : standard;
    size_t count = is_extended ? PB_ARRAY_SIZE(extended) : PB_ARRAY_SIZE(standard);

    for (size_t i = 0; i < count; i++) {
        if (rows[i].id == id)
            return &rows[i];
    }
    return NULL;
}

unsigned pb_cap_length(const struct pb_facts *facts, bool is_extended, uint16_t id, unsigned offset)
{
    unsigned room = (is_extended ? PB_CONFIG_SIZE_PCIE : PB_CONFIG_SIZE_PCI) - offset;
    const struct cap_row *row = row_of(is_extended, id);
    unsigned length = UNKNOWN_LENGTH;

    if (row)
        length = row->measure ? row->measure(facts->config + offset, room) : row->length;
    return length > UNKNOWN_LENGTH ? length : UNKNOWN_LENGTH;
}

bool pb_caps_hidden_by_default(bool is_extended, uint16_t id, const char **ret_why)
{
    const struct cap_row *row = row_of(is_extended, id);

    if (!row || !row->hidden)
        return false;
    *ret_why = row->hidden;
    return true;
}

const char *pb_cap_name(bool is_extended, uint16_t id)
{
    const struct cap_row *row = row_of(is_extended, id);

    return row ? row->name : NULL;
}

int pb_cap_by_name(bool is_extended, const char *name)
{
    const struct cap_row *rows = is_extended ? extended : standard;
    size_t count = is_extended ? PB_ARRAY_SIZE(extended) : PB_ARRAY_SIZE(standard);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].id;
    }
    return -1;
}
