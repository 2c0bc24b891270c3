/* SPDX-License-Identifier: MIT */
#include "pci/layout.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "pci/regs.h"

/*
 * An entry that reads all ones ends a chain: nothing answers there. Linux ends its walk at the same
 * place, so the guest sees what we see.
 */
#define CAP_ID_NONE 0xffu

static bool all_ones(const uint8_t *p, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        if (p[i] != 0xff)
            return false;
    }
    return true;
}

void pb_layout_note(struct pb_layout *layout, uint16_t id, uint8_t offset)
{
    uint8_t *first;

    switch (id) {
    case PCI_CAP_PM:
        first = &layout->pm;
        break;
    case PCI_CAP_VPD:
        first = &layout->vpd;
        break;
    case PCI_CAP_MSI:
        first = &layout->msi;
        break;
    case PCI_CAP_PCIX:
        first = &layout->pcix;
        break;
    case PCI_CAP_EXP:
        first = &layout->exp;
        break;
    case PCI_CAP_MSIX:
        first = &layout->msix;
        break;
    case PCI_CAP_AF:
        first = &layout->af;
        break;
    default:
        return;
    }
    if (*first == 0)
        *first = offset;
}

static int walk_standard(const struct pb_facts *facts, struct pb_layout *layout)
{
    const uint8_t *config = facts->config;
    uint64_t seen = 0; /* a bit a dword of the first 256 bytes */
    uint8_t at;

    if (!(pb_le16(config + PCI_STATUS) & PCI_STATUS_CAP_LIST))
        return 0;
    at = config[layout->header_type == PCI_HEADER_TYPE_CARDBUS ? PCI_CARDBUS_CAPABILITIES
                                                               : PCI_CAPABILITIES];
    /* The two low bits of a pointer are reserved. */
    for (at &= 0xfc; at != 0; at = config[at + 1] & 0xfc) {
        if (at < PCI_HEADER_END || (seen >> (at / 4) & 1) || layout->cap_count == PB_CAPS_MAX)
            return -EPROTO;
        seen |= UINT64_C(1) << (at / 4);
        if (config[at] == CAP_ID_NONE)
            break;
        layout->cap[layout->cap_count++] = (struct pb_cap){ .offset = at, .id = config[at] };
        pb_layout_note(layout, config[at], at);
    }
    return 0;
}

static int walk_extended(const struct pb_facts *facts, struct pb_layout *layout)
{
    uint8_t seen[PB_CONFIG_SIZE_PCIE / 4] = { 0 };
    uint16_t at = PCI_EXT_CAPABILITIES;

    if (facts->config_size != PB_CONFIG_SIZE_PCIE)
        return 0;
    while (at != 0) {
        uint32_t header = pb_le32(facts->config + at);

        /* An empty list is a header of zeros; a bridge that cannot pass the offset gives ones. */
        if (header == UINT32_MAX || (header == 0 && layout->ext_count == 0))
            return 0;
        if (seen[at / 4] || layout->ext_count == PB_EXT_CAPS_MAX)
            return -EPROTO;
        seen[at / 4] = 1;
        layout->ext[layout->ext_count++] =
            (struct pb_cap){ .offset = at, .id = (uint16_t)(header & 0xffff) };
        at = (uint16_t)(header >> 20 & 0xffc);
        if (at != 0 && at < PCI_EXT_CAPABILITIES)
            return -EPROTO;
    }
    return 0;
}

/* Does the capability's body end within the 256 bytes that standard capabilities live in? */
static bool fits(uint8_t at, unsigned size)
{
    return at == 0 || at + size <= PB_CONFIG_SIZE_PCI;
}

static int read_pm(const struct pb_facts *facts, struct pb_layout *layout)
{
    if (!fits(layout->pm, PCI_PM_SIZE) || !fits(layout->vpd, PCI_VPD_SIZE) ||
        !fits(layout->exp, PCI_EXP_DEVCTL + 2) || !fits(layout->af, PCI_AF_SIZE))
        return -EPROTO;
    if (layout->pm)
        layout->no_soft_reset =
            pb_le16(facts->config + layout->pm + PCI_PM_CTRL) & PCI_PM_CTRL_NO_SOFT_RST;
    return 0;
}

static int read_msi(const struct pb_facts *facts, struct pb_layout *layout)
{
    unsigned flags, shift;

    if (layout->msi == 0)
        return 0;
    flags = pb_le16(facts->config + layout->msi + PCI_MSI_FLAGS);
    layout->msi_64bit = flags & PCI_MSI_FLAGS_64BIT;
    layout->msi_maskable = flags & PCI_MSI_FLAGS_MASKABLE;
    /* 6 and 7 are reserved encodings: no more than 32 can be meant. */
    shift = (flags & PCI_MSI_FLAGS_QMASK) >> 1;
    layout->msi_vectors = (uint8_t)(1U << (shift > 5 ? 5 : shift));
    return fits(layout->msi, PCI_MSI_BODY + 4 * pb_layout_msi_dwords(layout)) ? 0 : -EPROTO;
}

static int read_msix(const struct pb_facts *facts, struct pb_layout *layout)
{
    const uint8_t *cap = facts->config + layout->msix;
    const struct pb_resource *res;

    if (layout->msix == 0)
        return 0;
    if (!fits(layout->msix, PCI_MSIX_SIZE))
        return -EPROTO;
    layout->msix_vectors = (uint16_t)((pb_le16(cap + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_QSIZE) + 1);
    layout->msix_table_bar = (uint8_t)(pb_le32(cap + PCI_MSIX_TABLE) & PCI_MSIX_BIR);
    if (layout->msix_table_bar >= PB_PCI_BARS)
        return 0;
    /* The resource, not the register: a VF's BAR registers are zero. */
    res = &facts->resource[layout->msix_table_bar];
    if ((res->flags & PB_RES_MEM) && !(res->flags & (PB_RES_UNSET | PB_RES_DISABLED)))
        layout->msix_table_base = res->start;
    return 0;
}

int pb_layout_bodies(const struct pb_facts *facts, struct pb_layout *layout)
{
    int rc = read_pm(facts, layout);

    if (rc == 0)
        rc = read_msi(facts, layout);
    if (rc == 0)
        rc = read_msix(facts, layout);
    return rc;
}

int pb_layout_read(const struct pb_facts *facts, struct pb_layout *ret)
{
    int rc;

    memset(ret, 0, sizeof(*ret));
    /* A VF's ids alone read all ones. */
    if (all_ones(facts->config, PCI_HEADER_END))
        return -ENODEV;
    ret->header_type = facts->config[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK;
    rc = walk_standard(facts, ret);
    if (rc == 0)
        rc = walk_extended(facts, ret);
    if (rc == 0)
        rc = pb_layout_bodies(facts, ret);
    return rc;
}
