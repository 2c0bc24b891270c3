/* SPDX-License-Identifier: MIT */
/* All uses of libxenctrl, whose interface changes with every version of Xen. */
#include "xen/real.h"

#include <string.h>

#include <xenctrl.h>

_Static_assert(PB_DOMID_IO == DOMID_IO, "DOMID_IO");
_Static_assert(PB_REAL_DOMID_END == DOMID_FIRST_RESERVED, "DOMID_FIRST_RESERVED");

static int domain_get(struct pb_xen *x, uint32_t domid, struct pb_domain *ret)
{
    xc_dominfo_t info;
    int count;

    if (domid >= PB_REAL_DOMID_END)
        return -ENOENT;
    memset(&info, 0, sizeof(info));
    count = xc_domain_getinfo(pb_real(x)->ctrl, domid, 1, &info);
    if (count < 0)
        return errno == ESRCH ? -ENOENT : pb_real_result(count);
    /* It looks for the first domain from DOMID on, which may be another. */
    if (count < 1 || info.domid != domid)
        return -ENOENT;
    *ret = (struct pb_domain){
        .domid = domid,
        .dying = info.dying,
        /* The library makes "crashed" of a shutdown with that reason. */
        .shutdown = info.shutdown || info.crashed,
        .shutdown_reason = (uint8_t)(info.crashed    ? SHUTDOWN_crash
                                     : info.shutdown ? info.shutdown_reason
                                                     : 0),
        .hvm = info.hvm,
    };
    _Static_assert(sizeof(ret->handle) == sizeof(info.handle), "handle");
    memcpy(ret->handle, info.handle, sizeof(ret->handle));
    return 0;
}

/* Xen answers EINVAL for a device that a guest owns, and for one that it does not know. */
static int device_test(struct pb_xen *x, uint32_t domid, struct pb_sbdf sbdf)
{
    int rc = pb_real_result(xc_test_assign_device(pb_real(x)->ctrl, domid, pb_sbdf_machine(sbdf)));

    return rc == -EINVAL ? -EBUSY : rc;
}

/* RELAXED as the toolstack does it for PV: reserved regions matter to a guest physmap only. */
static int device_assign(struct pb_xen *x, uint32_t domid, struct pb_sbdf sbdf)
{
    return pb_real_result(xc_assign_device(pb_real(x)->ctrl, domid, pb_sbdf_machine(sbdf),
                                           XEN_DOMCTL_DEV_RDM_RELAXED));
}

static int device_deassign(struct pb_xen *x, uint32_t domid, struct pb_sbdf sbdf)
{
    return pb_real_result(xc_deassign_device(pb_real(x)->ctrl, domid, pb_sbdf_machine(sbdf)));
}

static int allow_ports(struct pb_xen *x, uint32_t domid, uint32_t first, uint32_t count, bool allow)
{
    return pb_real_result(
        xc_domain_ioport_permission(pb_real(x)->ctrl, domid, first, count, allow));
}

static int allow_memory(struct pb_xen *x, uint32_t domid, uint64_t first_frame, uint64_t count,
                        bool allow)
{
    return pb_real_result(
        xc_domain_iomem_permission(pb_real(x)->ctrl, domid, first_frame, count, allow));
}

/* The number is a pirq of ours, which for a GSI in dom0 is the GSI. */
static int allow_irq(struct pb_xen *x, uint32_t domid, uint32_t gsi, bool allow)
{
    return pb_real_result(xc_domain_irq_permission(pb_real(x)->ctrl, domid, gsi, allow));
}

int pb_real_ctrl_open(struct pb_real *r)
{
    r->ops.domain_get = domain_get;
    r->ops.device_test = device_test;
    r->ops.device_assign = device_assign;
    r->ops.device_deassign = device_deassign;
    r->ops.allow_ports = allow_ports;
    r->ops.allow_memory = allow_memory;
    r->ops.allow_irq = allow_irq;
    r->ctrl = xc_interface_open(&pb_real_logger, &pb_real_logger, XC_OPENFLAG_NON_REENTRANT);
    return r->ctrl ? 0 : pb_real_result(-1);
}

void pb_real_ctrl_close(struct pb_real *r)
{
    if (r->ctrl)
        (void)xc_interface_close(r->ctrl);
    r->ctrl = NULL;
}
