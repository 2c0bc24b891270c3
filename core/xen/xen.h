/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor, behind one table of functions. core/xen implements it with the Xen libraries,
 * tests/sim in memory. All functions return 0 or a negative errno unless said otherwise. All are
 * called on the loop's thread; only the store is asynchronous, the rest are hypercalls of
 * microseconds (device_assign and device_deassign: up to milliseconds, never on the access path).
 */
#ifndef PB_XEN_XEN_H
#define PB_XEN_XEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pci/addr.h"
#include "xen/store.h"

#define PB_SHUTDOWN_SUSPEND \
    2 /* xen/sched.h: the domain goes on afterwards, maybe elsewhere (H20) */

#define PB_DOMID_IO 0x7ff1u /* where claimed devices are kept in quarantine */

struct pb_domain {
    uint32_t domid;
    bool dying, shutdown;
    uint8_t
        shutdown_reason; /* xen/sched.h: 0 poweroff, 1 reboot, 2 suspend, 3 crash; if shutdown */
    bool hvm;
    uint8_t handle[16]; /* the domain's UUID: a number that is reused has another handle */
};

/* One MSI or MSI-X vector for a guest (PHYSDEVOP_map_pirq). */
struct pb_msi_request {
    struct pb_sbdf sbdf;
    bool msix;
    uint16_t entry;      /* MSI-X: index in the table */
    uint64_t table_base; /* MSI-X: machine address of the BAR that holds the table */
};

struct pb_xen;

struct pb_xen_ops {
    /* Requests not done yet are freed without their callback. Not from inside of a callback. */
    void (*close)(struct pb_xen *x);

    /* -ENOENT: no such domain. */
    int (*domain_get)(struct pb_xen *x, uint32_t domid, struct pb_domain *ret);

    /*
     * Event channels: one descriptor for all. A port is masked from its event until unmask, which
     * may take effect only before the loop sleeps or looks for events.
     */
    int (*port_bind)(struct pb_xen *x, uint32_t domid, uint32_t remote_port, uint32_t *ret_port);
    int (*port_unbind)(struct pb_xen *x, uint32_t port);
    int (*port_notify)(struct pb_xen *x, uint32_t port);
    int (*port_unmask)(struct pb_xen *x, uint32_t port);

    /* One page of a guest's, read and write. */
    int (*page_map)(struct pb_xen *x, uint32_t domid, uint32_t ref, void **ret_page);
    int (*page_unmap)(struct pb_xen *x, void *page);

    /*
     * IOMMU. device_test: 0 when it may be assigned, -EBUSY when a guest owns it or Xen does not
     * know it (Xen does not say which).
     */
    int (*device_test)(struct pb_xen *x, uint32_t domid, struct pb_sbdf sbdf);
    int (*device_assign)(struct pb_xen *x, uint32_t domid, struct pb_sbdf sbdf);
    int (*device_deassign)(struct pb_xen *x, uint32_t domid, struct pb_sbdf sbdf);

    /* Permissions. Frames are machine addresses >> 12. */
    int (*allow_ports)(struct pb_xen *x, uint32_t domid, uint32_t first, uint32_t count,
                       bool allow);
    int (*allow_memory)(struct pb_xen *x, uint32_t domid, uint64_t first_frame, uint64_t count,
                        bool allow);
    int (*allow_irq)(struct pb_xen *x, uint32_t domid, uint32_t gsi, bool allow);

    /* Interrupts. map_gsi gives the guest pirq == gsi. */
    int (*map_gsi)(struct pb_xen *x, uint32_t domid, uint32_t gsi);
    int (*map_msi)(struct pb_xen *x, uint32_t domid, const struct pb_msi_request *request,
                   uint32_t *ret_pirq);
    /*
     * Several vectors of MSI, by MAP_PIRQ_TYPE_MULTI_MSI (H18): COUNT (2 to 32, rounded up to a
     * power of two by Xen) pirqs in a row from *ret_first. The device's ENABLE bit must be 0.
     * -EOPNOTSUPP without interrupt remapping; -ENFILE: at most *ret_count are possible. Only the
     * first pirq is unmapped, and that unmaps all.
     */
    int (*map_multi_msi)(struct pb_xen *x, uint32_t domid, struct pb_sbdf sbdf, unsigned count,
                         uint32_t *ret_first, unsigned *ret_count);
    int (*unmap_pirq)(struct pb_xen *x, uint32_t domid, uint32_t pirq);
    /*
     * Only for a function whose raw capability list has MSI-X: Xen dereferences a NULL pointer
     * otherwise and the host is lost (H16). -EBUSY: prepared already, or vectors are in use; Xen
     * does not say which, the caller's records must.
     */
    int (*msix_prepare)(struct pb_xen *x, struct pb_sbdf sbdf);
    int (*msix_release)(struct pb_xen *x, struct pb_sbdf sbdf);
    int (*msi_restore)(struct pb_xen *x, struct pb_sbdf sbdf);

    /* Takes over REQ; done runs later on the loop, never inside of submit. */
    void (*store_submit)(struct pb_xen *x, struct pb_store_req *req);
    /* The watch is the caller's memory until watch_remove returned. */
    void (*watch_add)(struct pb_xen *x, struct pb_watch *watch);
    void (*watch_remove)(struct pb_xen *x, struct pb_watch *watch);
};

/* What the hypervisor tells us, on the loop. */
struct pb_xen_events {
    /* Ports that have events; each is masked now. Unknown ports must be ignored (H15). */
    void (*ports_pending)(void *ctx, const uint32_t *ports, size_t count);
    /* The connection to xenstored was lost (false) or is back and all watches will fire (true). */
    void (*store_connected)(void *ctx, bool connected);
    void *ctx;
};

struct pb_xen {
    const struct pb_xen_ops *ops;
    struct pb_xen_events events;
};

struct ev_loop;
/*
 * The real one. Fails with a line in *ret_what that names the device or library which could not be
 * opened. Events are delivered only after *x's events are set.
 */
int pb_xen_open(struct ev_loop *loop, struct pb_xen **ret, const char **ret_what);

/* Requests of ioctl() that the real one makes once it is open, ended by 0. */
extern const unsigned long pb_xen_ioctls[];
/* The socket that xenstored listens at. */
const char *pb_xen_store_socket(void);
/*
 * Before pb_xen_open(): the first connection is made as always, later ones by way of PATH, a socket
 * that leads to the same xenstored. Copied; "" changes nothing.
 */
void pb_xen_use_relay(const char *path);

#endif
