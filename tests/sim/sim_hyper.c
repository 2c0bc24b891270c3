/* SPDX-License-Identifier: MIT */
#include "sim_hyper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "pci/regs.h"
#include "sim_world.h"

static bool is_guest(uint32_t domid)
{
    return domid != 0 && domid != PB_DOMID_IO;
}

static struct sim_device *device(struct sim_world *w, struct pb_sbdf sbdf)
{
    struct sim_device *dev = sim_device_find(w, sbdf);

    return dev && !dev->gone ? dev : NULL;
}

/* Those that may have something of DEV's. */
static const struct sim_domain *first_with(const struct sim_world *w, const struct sim_device *dev)
{
    return w->large ? sim_domain_find(w, dev->owner) : TAILQ_FIRST(&w->domains);
}

static const struct sim_domain *next_with(const struct sim_world *w, const struct sim_domain *dom)
{
    return w->large ? NULL : TAILQ_NEXT(dom, link);
}

unsigned sim_hyper_vectors(const struct sim_world *w, const struct sim_device *dev)
{
    const struct sim_domain *dom;
    unsigned count = 0;

    for (dom = first_with(w, dev); dom; dom = next_with(w, dom)) {
        for (unsigned i = 0; i < SIM_PIRQS_MAX; i++)
            count += dom->pirq[i].used && !dom->pirq[i].orphan && dom->pirq[i].device == dev;
    }
    return count;
}

bool sim_hyper_reachable(const struct sim_world *w, const struct sim_device *dev)
{
    const struct sim_domain *dom;

    for (dom = first_with(w, dev); dom; dom = next_with(w, dom)) {
        for (unsigned i = 0; i < PB_PCI_RESOURCES; i++) {
            const struct pb_resource *res = &dev->facts.resource[i];
            uint64_t size = res->end - res->start + 1;

            if (res->end == 0)
                continue;
            if (res->flags & PB_RES_IO
                    ? sim_ranges_touch(&dom->allowed[SIM_ALLOW_PORTS], res->start, size)
                    : sim_ranges_touch(&dom->allowed[SIM_ALLOW_MEMORY], res->start >> 12,
                                       (size + 4095) >> 12))
                return true;
        }
    }
    return false;
}

/* Ownership */

int sim_hyper_test(struct sim_world *w, uint32_t domid, struct pb_sbdf sbdf)
{
    struct sim_device *dev = device(w, sbdf);

    if (!dev)
        return -ENODEV;
    if (domid != PB_DOMID_IO && !sim_domain_live(w, domid))
        return -ESRCH;
    return is_guest(dev->owner) ? -EBUSY : 0;
}

int sim_hyper_assign(struct sim_world *w, uint32_t domid, struct pb_sbdf sbdf)
{
    struct sim_device *dev = device(w, sbdf);
    struct sim_domain *dom = is_guest(domid) ? sim_domain_live(w, domid) : NULL;

    if (domid == 0)
        return -EINVAL;
    if (domid != PB_DOMID_IO && !dom)
        return -ESRCH;
    if (!dev)
        return -ENODEV;
    if (is_guest(dev->owner))
        return -EBUSY;
    if (dom && !dom->iommu)
        return -EOPNOTSUPP;
    if (dev->maskall_stuck)
        return -EBUSY;
    dev->owner = domid;
    dev->granted = 0;
    if (domid == PB_DOMID_IO)
        dev->quarantined = true;
    return 0;
}

/* As Xen: from a guest into quarantine when it was there before, from quarantine to dom0. */
static void give_back(const struct sim_world *w, struct sim_device *dev)
{
    if (dev->owner == PB_DOMID_IO) {
        dev->quarantined = false;
        dev->owner = 0;
    } else {
        dev->owner = w->quarantine || dev->quarantined ? PB_DOMID_IO : 0;
    }
}

int sim_hyper_deassign(struct sim_world *w, uint32_t domid, struct pb_sbdf sbdf)
{
    struct sim_device *dev = device(w, sbdf);

    if (!dev || dev->owner != domid || domid == 0)
        return -ENODEV;
    if (is_guest(domid) && sim_device_command(dev) & PCI_COMMAND_MASTER)
        sim_log_violation(w, "%s leaves dom%u with bus mastering on", dev->text, domid);
    /* a PV guest that lives keeps its mappings of what it was granted */
    if (dev->granted == domid && sim_domain_live(w, domid) && !dev->facts.virtual_function &&
        !dev->resetting && sim_device_command(dev) & PCI_COMMAND_MEMORY)
        sim_log_violation(w, "%s leaves dom%u, which lives, with decode on (H7)", dev->text, domid);
    give_back(w, dev);
    if (dev->owner == 0 && sim_device_command(dev) & PCI_COMMAND_MASTER)
        sim_log_violation(w, "%s comes back to dom0 with bus mastering on (H3)", dev->text);
    return 0;
}

int sim_hyper_allow(struct sim_world *w, uint32_t domid, enum sim_permission what, uint64_t first,
                    uint64_t count, bool allow)
{
    struct sim_domain *dom = sim_domain_find(w, domid);

    if (!dom)
        return -ESRCH;
    if (dom->dying)
        return allow ? -ESRCH : 0;
    return sim_ranges_change(&dom->allowed[what], first, count, allow);
}

void sim_hyper_judge_grant(struct sim_world *w, uint32_t domid, enum sim_permission what,
                           struct sim_range range)
{
    struct sim_device *dev, *other = NULL;
    bool owned = false;

    if (what == SIM_ALLOW_IRQ || w->large)
        return; /* a line says nothing of a device */
    TAILQ_FOREACH (dev, &w->devices, link) {
        for (unsigned i = 0; i < PB_PCI_RESOURCES; i++) {
            const struct pb_resource *res = &dev->facts.resource[i];
            unsigned shift = res->flags & PB_RES_IO ? 0 : 12;

            if (res->end == 0 || (what == SIM_ALLOW_PORTS) != ((res->flags & PB_RES_IO) != 0) ||
                res->start >> shift >= range.first + range.count || res->end >> shift < range.first)
                continue;
            if (dev->owner == domid)
                dev->granted = domid;
            owned = owned || dev->owner == domid;
            other = dev;
        }
    }
    if (other && !owned)
        sim_log_violation(w, "%s: granted to dom%u, but dom%u owns it (H4)", other->text, domid,
                          other->owner);
}

/* pci_remove_device: what is mapped still stays with the guest, and is a trap now (H1). */
void sim_hyper_device_removed(struct sim_world *w, struct sim_device *dev)
{
    struct sim_domain *dom;

    TAILQ_FOREACH (dom, &w->domains, link) {
        for (unsigned i = 0; i < SIM_PIRQS_MAX; i++) {
            if (dom->pirq[i].used && dom->pirq[i].device == dev)
                dom->pirq[i].orphan = true;
        }
    }
    dev->owner = 0;
    dev->granted = 0;
    dev->quarantined = dev->prepared = dev->maskall_stuck = dev->assignable = false;
}

void sim_hyper_device_added(struct sim_device *dev)
{
    dev->owner = 0;
}

/* Interrupts */

int sim_hyper_map_gsi(struct sim_world *w, uint32_t domid, uint32_t gsi)
{
    struct sim_domain *dom = sim_domain_live(w, domid);

    if (!dom)
        return -ESRCH;
    if (gsi >= w->gsi_count)
        return -EINVAL;
    dom->pirq[gsi].used = true;
    dom->pirq[gsi].device = NULL;
    return 0;
}

static int check_msix(struct sim_world *w, struct sim_device *dev,
                      const struct pb_msi_request *request)
{
    uint8_t at = sim_device_cap(dev, SIM_CAP_MSIX);
    uint32_t table;
    const struct pb_resource *res;

    if (!at)
        return -ENODEV;
    if (!dev->prepared)
        return -ENODATA;
    if (!(sim_device_command(dev) & PCI_COMMAND_MEMORY))
        return -ENXIO;
    if (request->entry > (pb_le16(&dev->config[at + PCI_MSIX_FLAGS]) & PCI_MSIX_FLAGS_QSIZE))
        return -EINVAL;
    table = pb_le32(&dev->config[at + PCI_MSIX_TABLE]) & PCI_MSIX_BIR;
    res = &dev->facts.resource[table < PB_PCI_BARS ? table : 0];
    if (request->table_base != res->start)
        sim_log_violation(w, "%s: MSI-X table base %#llx, but BAR %u is at %#llx", dev->text,
                          (unsigned long long)request->table_base, table,
                          (unsigned long long)res->start);
    return 0;
}

static int check_msi(struct sim_world *w, struct sim_domain *dom, struct sim_device *dev,
                     const struct pb_msi_request *request)
{
    uint8_t pm = sim_device_cap(dev, SIM_CAP_PM);

    if (dev->resetting || dev->msi_lost)
        sim_log_violation(w, "%s: MSI mapped in the window of a reset (H8)", dev->text);
    if (pm && dev->config[pm + PCI_PM_CTRL] & PCI_PM_CTRL_STATE)
        sim_log_violation(w, "%s: MSI mapped while the device sleeps", dev->text);
    for (unsigned i = 0; i < SIM_PIRQS_MAX; i++) {
        const struct sim_pirq *p = &dom->pirq[i];

        if (p->used && p->device == dev &&
            (p->msix != request->msix || p->entry == request->entry || !p->msix))
            sim_log_violation(w, "%s: %s mapped for entry %u while pirq %u is there (H10)",
                              dev->text, request->msix ? "MSI-X" : "MSI", request->entry, i);
    }
    if (request->msix)
        return check_msix(w, dev, request);
    return sim_device_cap(dev, SIM_CAP_MSI) ? 0 : -ENODEV;
}

int sim_hyper_map_msi(struct sim_world *w, uint32_t domid, const struct pb_msi_request *request,
                      uint32_t *ret_pirq)
{
    struct sim_domain *dom = sim_domain_live(w, domid);
    struct sim_device *dev = device(w, request->sbdf);
    uint8_t at;
    int rc;

    if (!dom)
        return -ESRCH;
    if (!dev || dev->owner != domid)
        return -ENODEV;
    rc = check_msi(w, dom, dev, request);
    if (rc)
        return rc;
    for (uint32_t pirq = w->gsi_count + w->msi_pirqs; pirq-- > w->gsi_count;) {
        if (dom->pirq[pirq].used)
            continue;
        dom->pirq[pirq] = (struct sim_pirq){
            .used = true, .msix = request->msix, .entry = request->entry, .device = dev
        };
        at = sim_device_cap(dev, SIM_CAP_MSI);
        if (!request->msix && at) /* Xen programs address and data, never the enable bit */
            pb_le_put(&dev->config[at + 4], 4, 0xfee00000u);
        *ret_pirq = pirq;
        return 0;
    }
    return -ENOSPC;
}

/* The highest COUNT pirqs in a row that are free; 0: there are none. */
static uint32_t free_row(const struct sim_world *w, const struct sim_domain *dom, unsigned count)
{
    unsigned run = 0;

    for (uint32_t pirq = w->gsi_count + w->msi_pirqs; pirq-- > w->gsi_count;) {
        run = dom->pirq[pirq].used ? 0 : run + 1;
        if (run == count)
            return pirq;
    }
    return 0;
}

static unsigned msi_capable(const struct sim_device *dev)
{
    uint16_t flags = pb_le16(&dev->config[sim_device_cap(dev, SIM_CAP_MSI) + PCI_MSI_FLAGS]);

    return 1U << ((flags & PCI_MSI_FLAGS_QMASK) >> 1);
}

static void set_msi_count(struct sim_device *dev, unsigned count)
{
    unsigned log = 0;

    while (1U << log < count)
        log++;
    sim_device_change(dev, (uint16_t)(sim_device_cap(dev, SIM_CAP_MSI) + PCI_MSI_FLAGS),
                      PCI_MSI_FLAGS_QSIZE, (uint16_t)(log << 4));
}

/* H18, as Xen 4.17 does it (xen/arch/x86/irq.c: allocate_and_map_msi_pirq, map_domain_pirq). */
int sim_hyper_map_multi_msi(struct sim_world *w, uint32_t domid, struct pb_sbdf sbdf,
                            unsigned count, uint32_t *ret_first, unsigned *ret_count)
{
    struct sim_domain *dom = sim_domain_live(w, domid);
    struct sim_device *dev = device(w, sbdf);
    struct pb_msi_request request = { .sbdf = sbdf };
    uint32_t first;
    int rc;

    *ret_count = 0;
    if (!dom)
        return -ESRCH;
    if (count == 0 || count > 32)
        return -EDOM;
    if (count > 1 && !w->remapping)
        return -EOPNOTSUPP;
    while (count & (count - 1))
        count += count & -count;
    if (!dev || dev->owner != domid)
        return -ENODEV;
    rc = check_msi(w, dom, dev, &request);
    if (rc)
        return rc;
    if (pb_le16(&dev->config[sim_device_cap(dev, SIM_CAP_MSI) + PCI_MSI_FLAGS]) &
        PCI_MSI_FLAGS_ENABLE)
        sim_log_violation(w, "%s: several vectors of MSI mapped while ENABLE is set (H18)",
                          dev->text);
    *ret_count = msi_capable(dev);
    if (count > *ret_count)
        return -ENFILE;
    first = free_row(w, dom, count);
    if (!first)
        return -ENOSPC;
    for (unsigned i = 0; i < count; i++)
        dom->pirq[first + i] = (struct sim_pirq){ .used = true,
                                                  .entry = (uint16_t)i,
                                                  .block = i ? 0 : (uint8_t)count,
                                                  .inner = i != 0,
                                                  .device = dev };
    pb_le_put(&dev->config[sim_device_cap(dev, SIM_CAP_MSI) + 4], 4, 0xfee00000u);
    set_msi_count(dev, count);
    *ret_first = first;
    *ret_count = count;
    return 0;
}

static void unmap_msi(struct sim_world *w, struct sim_device *dev, bool msix)
{
    uint8_t at = sim_device_cap(dev, msix ? SIM_CAP_MSIX : SIM_CAP_MSI);
    uint8_t pm = sim_device_cap(dev, SIM_CAP_PM);

    if (msix && pm && dev->config[pm + PCI_PM_CTRL] & PCI_PM_CTRL_STATE)
        sim_log_violation(w, "%s: MSI-X unmapped while the device sleeps (H7)", dev->text);
    if (msix && !(sim_device_command(dev) & PCI_COMMAND_MEMORY)) {
        sim_device_change(dev, (uint16_t)(at + PCI_MSIX_FLAGS), 0, PCI_MSIX_FLAGS_MASKALL);
        dev->maskall_stuck = true;
    }
    if (!msix)
        sim_device_change(dev, (uint16_t)(at + PCI_MSI_FLAGS), PCI_MSI_FLAGS_ENABLE, 0);
    sim_device_change(dev, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 0); /* H17 */
}

int sim_hyper_unmap_pirq(struct sim_world *w, uint32_t domid, uint32_t pirq)
{
    struct sim_domain *dom = sim_domain_find(w, domid);
    struct sim_pirq *p;

    if (!dom)
        return -ESRCH;
    if (pirq >= SIM_PIRQS_MAX || !dom->pirq[pirq].used)
        return -EINVAL;
    p = &dom->pirq[pirq];
    if (p->orphan)
        sim_log_violation(w,
                          "%s: pirq %u of dom%u unmapped after its removal: the host crashes (H1)",
                          p->device->text, pirq, domid);
    if (p->inner) {
        sim_log_violation(w, "pirq %u of dom%u is not the first of its row (H18)", pirq, domid);
        return -EINVAL;
    }
    if (p->device && !p->device->gone && !p->orphan)
        unmap_msi(w, p->device, p->msix);
    if (p->device)
        p->device->msi_lost = false;
    memset(p, 0, (p->block ? p->block : 1) * sizeof(*p));
    return 0;
}

/* MSI-X preparation */

static void crash_without_msix(const struct sim_device *dev)
{
    if (sim_device_cap(dev, SIM_CAP_MSIX))
        return;
    (void)fprintf(stderr, "sim: HOST CRASH (H16): %s has no MSI-X\n", dev->text);
    abort();
}

int sim_hyper_msix_prepare(struct sim_world *w, struct pb_sbdf sbdf)
{
    struct sim_device *dev = device(w, sbdf);
    uint8_t at;

    if (!dev)
        return -ENODEV;
    crash_without_msix(dev);
    if (dev->prepared)
        return -EALREADY;
    if (sim_hyper_reachable(w, dev))
        sim_log_violation(w, "%s: prepare_msix after memory was granted (H16)", dev->text);
    if (!(sim_device_command(dev) & PCI_COMMAND_MEMORY)) {
        at = sim_device_cap(dev, SIM_CAP_MSIX);
        sim_device_change(dev, (uint16_t)(at + PCI_MSIX_FLAGS), 0, PCI_MSIX_FLAGS_MASKALL);
        return -ENXIO;
    }
    dev->prepared = true;
    return 0;
}

int sim_hyper_msix_release(struct sim_world *w, struct pb_sbdf sbdf)
{
    struct sim_device *dev = device(w, sbdf);

    if (!dev)
        return -ENODEV;
    crash_without_msix(dev);
    if (sim_hyper_vectors(w, dev) > 0)
        return -EBUSY;
    if (!dev->prepared)
        return -EINVAL;
    dev->wmask[sim_device_cap(dev, SIM_CAP_MSIX) + PCI_MSIX_FLAGS + 1] |=
        PCI_MSIX_FLAGS_MASKALL >> 8;
    dev->prepared = false;
    return 0;
}

/*
 * As pci_restore_msi_state: Xen writes address and data again and turns ENABLE on. With decode off
 * its write to the table of MSI-X is a BUG() (H8).
 */
int sim_hyper_msi_restore(struct sim_world *w, struct pb_sbdf sbdf)
{
    struct sim_device *dev = device(w, sbdf);
    const struct sim_pirq *first = NULL;
    const struct sim_domain *dom;
    uint8_t at;

    if (!dev)
        return -ENODEV;
    if (dev->resetting)
        sim_log_violation(w, "%s: vectors restored during its reset (H8)", dev->text);
    TAILQ_FOREACH (dom, &w->domains, link) {
        for (unsigned i = 0; i < SIM_PIRQS_MAX && !first; i++) {
            if (dom->pirq[i].used && dom->pirq[i].device == dev)
                first = &dom->pirq[i];
        }
    }
    dev->msi_lost = false;
    if (!first)
        return 0;
    at = sim_device_cap(dev, first->msix ? SIM_CAP_MSIX : SIM_CAP_MSI);
    if (!first->msix) {
        set_msi_count(dev, first->block ? first->block : 1);
        sim_device_change(dev, (uint16_t)(at + PCI_MSI_FLAGS), 0, PCI_MSI_FLAGS_ENABLE);
        return 0;
    }
    if (!(sim_device_command(dev) & PCI_COMMAND_MEMORY)) {
        (void)fprintf(stderr, "sim: HOST CRASH (H8): %s has its vectors restored without decode\n",
                      dev->text);
        abort();
    }
    sim_device_change(
        dev, (uint16_t)(at + PCI_MSIX_FLAGS), 0,
        (uint16_t)(PCI_MSIX_FLAGS_ENABLE | (dev->leaves_maskall ? PCI_MSIX_FLAGS_MASKALL : 0)));
    if (dev->keeps_maskall)
        dev->wmask[at + PCI_MSIX_FLAGS + 1] &= (uint8_t) ~(PCI_MSIX_FLAGS_MASKALL >> 8);
    return 0;
}

/* The end of a domain */

void sim_hyper_domain_dying(struct sim_world *w, struct sim_domain *dom)
{
    struct sim_device *dev;

    TAILQ_FOREACH (dev, &w->devices, link) {
        if (dev->owner == dom->domid)
            give_back(w, dev);
    }
}

/*
 * Freeing a pirq writes the vector's mask bit. That harms nobody while the device is ours alone;
 * its next owner would find its interrupts silenced.
 */
void sim_hyper_domain_gone(struct sim_world *w, struct sim_domain *dom)
{
    for (unsigned i = 0; i < SIM_PIRQS_MAX; i++) {
        struct sim_pirq *p = &dom->pirq[i];
        const struct sim_device *dev = p->device;

        if (!p->used || !dev)
            continue;
        if (p->orphan) { /* nobody could have prevented that any more */
            (void)sim_log_leave(w, "world.host_crash", json_pack("{s:s}", "why", "H1"), 0);
            *p = (struct sim_pirq){ 0 };
            continue;
        }
        if (is_guest(dev->owner) || (dev->owner == 0 && !dev->claimed))
            sim_log_violation(w, "%s: pirq %u of dom%u is freed under its next owner dom%u (H2)",
                              dev->text, i, dom->domid, dev->owner);
        unmap_msi(w, p->device, p->msix);
        *p = (struct sim_pirq){ 0 };
    }
}
