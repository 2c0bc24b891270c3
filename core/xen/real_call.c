/* SPDX-License-Identifier: MIT */
/*
 * Interrupts: physdev hypercalls. Not by libxenctrl, whose wrapper for MSI knows neither PCI
 * segments nor prepare, release and restore; libxencall's interface is stable, and so is physdev's.
 */
#include "xen/real.h"

#include <limits.h>
#include <string.h>

/* Without it Xen's headers mean the interface of 2005, and another physdev hypercall. */
#define __XEN_INTERFACE_VERSION__ __XEN_LATEST_INTERFACE_VERSION__
#include <xen/xen.h>

#include <xen/physdev.h>
#include <xencall.h>

_Static_assert(__HYPERVISOR_physdev_op == 33, "not the compatibility hypercall");

#define MULTI_MSI_MAX 32 /* PCI Local Bus 3.0, 6.8.1.3 */

union argument {
    struct physdev_map_pirq map;
    struct physdev_unmap_pirq unmap;
    struct physdev_pci_device device;
};

/* Carries out COMMAND on the first SIZE bytes at ARG, in and out. */
static int physdev(struct pb_xen *x, unsigned command, void *arg, size_t size)
{
    struct pb_real *r = pb_real(x);
    int rc;

    memcpy(r->bounce, arg, size);
    rc = pb_real_result(
        xencall2(r->call, __HYPERVISOR_physdev_op, command, (uint64_t)(uintptr_t)r->bounce));
    memcpy(arg, r->bounce, size);
    return rc;
}

static int unmap_pirq(struct pb_xen *x, uint32_t domid, uint32_t pirq)
{
    struct physdev_unmap_pirq unmap;

    if (domid >= PB_REAL_DOMID_END || pirq > INT_MAX)
        return -EINVAL;
    memset(&unmap, 0, sizeof(unmap));
    unmap.domid = (domid_t)domid;
    unmap.pirq = (int)pirq;
    return physdev(x, PHYSDEVOP_unmap_pirq, &unmap, sizeof(unmap));
}

static int map_gsi(struct pb_xen *x, uint32_t domid, uint32_t gsi)
{
    struct physdev_map_pirq map;
    int rc;

    if (domid >= PB_REAL_DOMID_END || gsi > INT_MAX)
        return -EINVAL;
    memset(&map, 0, sizeof(map));
    map.domid = (domid_t)domid;
    map.type = MAP_PIRQ_TYPE_GSI;
    map.index = map.pirq = (int)gsi;
    rc = physdev(x, PHYSDEVOP_map_pirq, &map, sizeof(map));
    if (rc)
        return rc;
    if (map.pirq != (int)gsi) { /* the guest was told that its line is the GSI */
        if (map.pirq >= 0)
            (void)unmap_pirq(x, domid, (uint32_t)map.pirq);
        return -EEXIST;
    }
    return 0;
}

/*
 * Index and pirq are -1: Xen chooses both. A chosen pirq that is mapped already would not be
 * refused, and freeing one of the two later would silence the other (H10). A table base is what
 * makes it MSI-X.
 */
static int map_msi(struct pb_xen *x, uint32_t domid, const struct pb_msi_request *request,
                   uint32_t *ret_pirq)
{
    struct physdev_map_pirq map;
    int rc;

    if (domid >= PB_REAL_DOMID_END || (request->msix && !request->table_base))
        return -EINVAL;
    memset(&map, 0, sizeof(map));
    map.domid = (domid_t)domid;
    map.type = MAP_PIRQ_TYPE_MSI_SEG;
    map.index = map.pirq = -1;
    map.bus = (int)((uint32_t)request->sbdf.segment << 16 | request->sbdf.bus);
    map.devfn = request->sbdf.devfn;
    map.entry_nr = request->msix ? request->entry : 0;
    map.table_base = request->msix ? request->table_base : 0;
    rc = physdev(x, PHYSDEVOP_map_pirq, &map, sizeof(map));
    if (rc)
        return rc;
    if (map.pirq < 0)
        return -EIO;
    *ret_pirq = (uint32_t)map.pirq;
    return 0;
}

/* The segment stands in BUS as for MSI_SEG; COUNT goes out and comes back in entry_nr. */
static int map_multi_msi(struct pb_xen *x, uint32_t domid, struct pb_sbdf sbdf, unsigned count,
                         uint32_t *ret_first, unsigned *ret_count)
{
    struct physdev_map_pirq map;
    int rc;

    *ret_count = 0;
    if (domid >= PB_REAL_DOMID_END || count < 2 || count > MULTI_MSI_MAX)
        return -EINVAL;
    memset(&map, 0, sizeof(map));
    map.domid = (domid_t)domid;
    map.type = MAP_PIRQ_TYPE_MULTI_MSI;
    map.index = map.pirq = -1;
    map.bus = (int)((uint32_t)sbdf.segment << 16 | sbdf.bus);
    map.devfn = sbdf.devfn;
    map.entry_nr = (int)count;
    rc = physdev(x, PHYSDEVOP_map_pirq, &map, sizeof(map));
    if (rc == -ENFILE && map.entry_nr > 0 && map.entry_nr <= MULTI_MSI_MAX)
        *ret_count = (unsigned)map.entry_nr; /* the most that would do */
    if (rc)
        return rc;
    if (map.pirq < 0)
        return -EIO;
    if (map.entry_nr < (int)count || map.entry_nr > MULTI_MSI_MAX) {
        (void)unmap_pirq(x, domid, (uint32_t)map.pirq);
        return -EIO;
    }
    *ret_first = (uint32_t)map.pirq;
    *ret_count = (unsigned)map.entry_nr;
    return 0;
}

static int on_device(struct pb_xen *x, unsigned command, struct pb_sbdf sbdf)
{
    struct physdev_pci_device device;

    memset(&device, 0, sizeof(device));
    device.seg = sbdf.segment;
    device.bus = sbdf.bus;
    device.devfn = sbdf.devfn;
    return physdev(x, command, &device, sizeof(device));
}

static int msix_prepare(struct pb_xen *x, struct pb_sbdf sbdf)
{
    return on_device(x, PHYSDEVOP_prepare_msix, sbdf);
}

static int msix_release(struct pb_xen *x, struct pb_sbdf sbdf)
{
    return on_device(x, PHYSDEVOP_release_msix, sbdf);
}

static int msi_restore(struct pb_xen *x, struct pb_sbdf sbdf)
{
    return on_device(x, PHYSDEVOP_restore_msi_ext, sbdf);
}

int pb_real_call_open(struct pb_real *r)
{
    r->ops.map_gsi = map_gsi;
    r->ops.map_msi = map_msi;
    r->ops.map_multi_msi = map_multi_msi;
    r->ops.unmap_pirq = unmap_pirq;
    r->ops.msix_prepare = msix_prepare;
    r->ops.msix_release = msix_release;
    r->ops.msi_restore = msi_restore;
    r->call = xencall_open(&pb_real_logger, XENCALL_OPENFLAG_NON_REENTRANT);
    if (!r->call)
        return pb_real_result(-1);
    r->bounce = xencall_alloc_buffer(r->call, sizeof(union argument));
    return r->bounce ? 0 : -ENOMEM;
}

void pb_real_call_close(struct pb_real *r)
{
    if (r->bounce)
        xencall_free_buffer(r->call, r->bounce);
    if (r->call)
        (void)xencall_close(r->call);
    r->bounce = NULL;
    r->call = NULL;
}
