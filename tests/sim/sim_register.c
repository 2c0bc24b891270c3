/* SPDX-License-Identifier: MIT */
/* The register model: which bits can be written, and what a write does. */
#include <string.h>

#include "base/bytes.h"
#include "pci/regs.h"
#include "sim_device.h"

struct mask {
    uint16_t offset;
    uint8_t size;
    uint32_t write, w1c;
};

static const struct mask header[] = {
    { 0x04, 2, 0x0544, 0 }, /* MASTER, PARITY, SERR, INTX_DISABLE; decode depends on the BARs */
    { 0x06, 2, 0, 0xf900 }, /* STATUS errors */
    { 0x0c, 1, 0xff, 0 },   /* cache line size */
    { 0x3c, 1, 0xff, 0 },   /* interrupt line */
};
static const struct mask cap_pm[] = { { 4, 2, 0x0103, 0x8000 } };
static const struct mask cap_vpd[] = { { 2, 2, 0xffff, 0 }, { 4, 4, 0xffffffff, 0 } };
static const struct mask cap_msi[] = { { 2, 2, 0x0071, 0 },
                                       { 4, 4, 0xfffffffc, 0 },
                                       { 8, 2, 0xffff, 0 } };
static const struct mask cap_msi64[] = {
    { 2, 2, 0x0071, 0 }, { 4, 4, 0xfffffffc, 0 }, { 8, 4, 0xffffffff, 0 }, { 12, 2, 0xffff, 0 }
};
static const struct mask cap_msix[] = { { 2, 2, 0xc000, 0 } };
static const struct mask cap_exp[] = {
    { 8, 2, 0x7fff, 0 }, { 10, 2, 0, 0x000f }, { 16, 2, 0x01fb, 0 }, { 40, 2, 0x041f, 0 }
};
static const struct mask ext_aer[] = { { 4, 4, 0, 0xffffffff },  { 8, 4, 0xffffffff, 0 },
                                       { 12, 4, 0xffffffff, 0 }, { 16, 4, 0, 0xffffffff },
                                       { 20, 4, 0xffffffff, 0 }, { 24, 4, 0x000001e0, 0 } };

static void apply(struct sim_device *dev, unsigned base, const struct mask *mask, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pb_le_put(&dev->wmask[base + mask[i].offset], mask[i].size, mask[i].write);
        pb_le_put(&dev->w1c[base + mask[i].offset], mask[i].size, mask[i].w1c);
    }
}
#define APPLY(dev, base, table) apply(dev, base, table, PB_ARRAY_SIZE(table))

uint8_t sim_device_cap(const struct sim_device *dev, uint8_t id)
{
    uint8_t at = dev->config[0x06] & PCI_STATUS_CAP_LIST ? dev->config[0x34] & 0xfcu : 0;

    for (unsigned left = 48; at >= 0x40 && left > 0; left--) {
        if (dev->config[at] == id)
            return at;
        at = dev->config[at + 1] & 0xfcu;
    }
    return 0;
}

uint16_t sim_device_ext_cap(const struct sim_device *dev, uint16_t id)
{
    uint16_t at = dev->facts.config_size > PB_CONFIG_SIZE_PCI ? 0x100 : 0;

    for (unsigned left = 480; at >= 0x100 && left > 0; left--) {
        if (pb_le16(&dev->config[at]) == id)
            return at;
        at = (uint16_t)(pb_le32(&dev->config[at]) >> 20 & 0xffc);
    }
    return 0;
}

static void bar_masks(struct sim_device *dev)
{
    uint32_t decode = 0;

    for (unsigned i = 0; i < PB_PCI_RESOURCES; i++) {
        const struct pb_resource *res = &dev->facts.resource[i];
        unsigned at = i == PB_PCI_ROM ? 0x30 : 0x10 + 4 * i;
        uint64_t mask = ~(res->end - res->start);

        if (res->end == 0)
            continue;
        decode |= res->flags & PB_RES_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
        if (i == PB_PCI_ROM)
            mask |= 1;
        pb_le_put(&dev->wmask[at], 4, (uint32_t)mask);
        if (res->flags & PB_RES_MEM_64)
            pb_le_put(&dev->wmask[at + 4], 4, (uint32_t)(mask >> 32));
    }
    dev->wmask[PCI_COMMAND] = (uint8_t)(dev->wmask[PCI_COMMAND] | decode);
}

void sim_device_masks(struct sim_device *dev)
{
    uint8_t at;
    uint16_t ext;

    memset(dev->wmask, 0, sizeof(dev->wmask));
    memset(dev->w1c, 0, sizeof(dev->w1c));
    APPLY(dev, 0, header);
    bar_masks(dev);
    if ((at = sim_device_cap(dev, SIM_CAP_PM)) != 0)
        APPLY(dev, at, cap_pm);
    if ((at = sim_device_cap(dev, SIM_CAP_VPD)) != 0)
        APPLY(dev, at, cap_vpd);
    if ((at = sim_device_cap(dev, SIM_CAP_MSI)) != 0) {
        if (pb_le16(&dev->config[at + 2]) & PCI_MSI_FLAGS_64BIT)
            APPLY(dev, at, cap_msi64);
        else
            APPLY(dev, at, cap_msi);
    }
    if ((at = sim_device_cap(dev, SIM_CAP_MSIX)) != 0)
        APPLY(dev, at, cap_msix);
    if ((at = sim_device_cap(dev, SIM_CAP_EXP)) != 0)
        APPLY(dev, at, cap_exp);
    if ((ext = sim_device_ext_cap(dev, SIM_EXT_AER)) != 0)
        APPLY(dev, ext, ext_aer);
}

void sim_device_place(struct sim_device *dev)
{
    for (unsigned i = 0; i < PB_PCI_BARS; i++) {
        const struct pb_resource *res = &dev->facts.resource[i];
        uint8_t *bar = &dev->config[0x10 + 4 * i];

        if (res->end == 0)
            continue;
        pb_le_put(bar, 4, (uint32_t)res->start | (uint32_t)(res->flags & 0xf));
        if (res->flags & PB_RES_MEM_64)
            pb_le_put(bar + 4, 4, (uint32_t)(res->start >> 32));
    }
}

uint16_t sim_device_command(const struct sim_device *dev)
{
    return pb_le16(&dev->config[PCI_COMMAND]);
}

void sim_device_change(struct sim_device *dev, uint16_t offset, uint16_t clear, uint16_t set)
{
    uint16_t value = pb_le16(&dev->config[offset]);

    pb_le_put(&dev->config[offset], 2, (value & ~(uint32_t)clear) | set);
}

uint32_t sim_device_read(const struct sim_device *dev, uint16_t offset, uint8_t size)
{
    if (dev->gone || dev->dead)
        return pb_ones(size);
    return pb_le_get(&dev->config[offset], size);
}

static void interrupts_off(struct sim_device *dev)
{
    uint8_t at = sim_device_cap(dev, SIM_CAP_MSI);

    if (at && pb_le16(&dev->config[at + PCI_MSI_FLAGS]) & PCI_MSI_FLAGS_ENABLE)
        dev->msi_lost = true;
    if (at)
        sim_device_change(dev, (uint16_t)(at + PCI_MSI_FLAGS),
                          PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE, 0);
    at = sim_device_cap(dev, SIM_CAP_MSIX);
    if (at && pb_le16(&dev->config[at + PCI_MSIX_FLAGS]) & PCI_MSIX_FLAGS_ENABLE)
        dev->msi_lost = true;
    if (at)
        sim_device_change(dev, (uint16_t)(at + PCI_MSIX_FLAGS),
                          PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 0);
    dev->maskall_stuck = false;
}

/* A function without No_Soft_Reset comes back from D3hot with nothing but its identity. */
static void lose_registers(struct sim_device *dev)
{
    memset(&dev->config[PCI_COMMAND], 0, 2);
    for (unsigned i = 0; i < PB_PCI_BARS; i++) {
        uint8_t *bar = &dev->config[0x10 + 4 * i];

        pb_le_put(bar, 4, pb_le32(bar) & ~pb_le32(&dev->wmask[0x10 + 4 * i]));
    }
    dev->config[0x0c] = 0;
    interrupts_off(dev);
}

void sim_device_write(struct sim_device *dev, uint16_t offset, uint8_t size, uint32_t value)
{
    uint8_t pm = sim_device_cap(dev, SIM_CAP_PM);
    unsigned before = pm ? dev->config[pm + PCI_PM_CTRL] & PCI_PM_CTRL_STATE : 0, after;

    if (dev->gone || dev->dead)
        return;
    for (unsigned i = 0; i < size; i++) {
        uint8_t *byte = &dev->config[offset + i], wmask = dev->wmask[offset + i];
        uint8_t v = (uint8_t)(value >> (8 * i));

        *byte = (uint8_t)((*byte & ~wmask) | (v & wmask));
        *byte = (uint8_t)(*byte & ~(v & dev->w1c[offset + i]));
    }
    after = pm ? dev->config[pm + PCI_PM_CTRL] & PCI_PM_CTRL_STATE : 0;
    if (before == 3 && after == 0 &&
        !(pb_le16(&dev->config[pm + PCI_PM_CTRL]) & PCI_PM_CTRL_NO_SOFT_RST))
        lose_registers(dev);
}

void sim_device_reset(struct sim_device *dev)
{
    uint8_t pm = sim_device_cap(dev, SIM_CAP_PM);

    if (dev->forgets)
        lose_registers(dev);
    interrupts_off(dev);
    if (pm)
        sim_device_change(dev, (uint16_t)(pm + PCI_PM_CTRL), PCI_PM_CTRL_STATE, 0);
    for (unsigned i = 0; i < dev->patch_count; i++)
        pb_le_put(&dev->config[dev->patch[i].offset], dev->patch[i].size, dev->patch[i].value);
    dev->patch_count = 0;
    dev->dead = dev->dead || dev->dies_in_reset;
    dev->resets++;
}
