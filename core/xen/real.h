/* SPDX-License-Identifier: MIT */
/* What the files of the real implementation share. Each fills in its part of the table. */
#ifndef PB_XEN_REAL_H
#define PB_XEN_REAL_H

#include <errno.h>
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ratelimit.h"
#include "xen/real_store.h"
#include "xen/xen.h"

#define PB_REAL_PORTS 64u /* of so many at once events are read and unmasked */

struct pb_real {
    struct pb_xen xen; /* first: a struct pb_xen is ours */
    struct pb_xen_ops ops;
    struct ev_loop *loop;
    struct pb_real_store *store;

    struct xenevtchn_handle *evtchn;
    ev_io evtchn_io;
    ev_prepare unmask_round; /* before the loop sleeps: what is to be unmasked, in one write */
    uint32_t unmask[PB_REAL_PORTS];
    size_t unmask_count;
    struct pb_ratelimit unmask_lines;
    /* The ports that are bound, for the day when the kernel has lost events; and a copy's place. */
    uint32_t *ports, *ports_copy;
    size_t port_count, port_room;

    struct xengntdev_handle *gnttab;
    struct xc_interface_core *ctrl;
    struct xencall_handle *call;
    void *bounce; /* memory that a hypercall may read and write */
};

static inline struct pb_real *pb_real(struct pb_xen *x)
{
    return (struct pb_real *)x;
}

/* The libraries return -1 and set errno. */
static inline int pb_real_result(int rc)
{
    if (rc >= 0)
        return 0;
    return errno > 0 ? -errno : -EIO;
}

/* DOMID_FIRST_RESERVED: what is above is not a guest and has no shared page or pirqs. */
#define PB_REAL_DOMID_END 0x7ff0u

struct xentoollog_logger;
/* Each opens its device and sets its members of ops; close is harmless when open failed. */
int pb_real_evtchn_open(struct pb_real *r);
void pb_real_evtchn_close(struct pb_real *r);
int pb_real_gnttab_open(struct pb_real *r);
void pb_real_gnttab_close(struct pb_real *r);
int pb_real_ctrl_open(struct pb_real *r);
void pb_real_ctrl_close(struct pb_real *r);
int pb_real_call_open(struct pb_real *r);
void pb_real_call_close(struct pb_real *r);

/* The libraries' own messages, at debug level: an error is returned, and logged where it is known
 * what was tried. */
extern struct xentoollog_logger pb_real_logger;

#endif
