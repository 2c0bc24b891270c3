/* SPDX-License-Identifier: MIT */
/*
 * What we do for a frontend, once the table of proto/xenbus.c says so. From the frontend's
 * directory exactly four nodes are ever used: state, pci-op-ref, event-channel and magic (XSA-175);
 * `backend` is compared with our own path, since libxl makes that directory anew for another one.
 */
#include <errno.h>
#include <string.h>

#include "backend/attach.h"
#include "backend/detach.h"
#include "backend/flr.h"
#include "backend/guest.h"
#include "backend/machine.h"
#include "backend/nodes.h"
#include "backend/record.h"
#include "backend/serve.h"
#include "backend/strip.h"
#include "base/log.h"

#define MAGIC "7" /* XEN_PCI_MAGIC */

/* A transaction on our directory that begins by making sure that it is still ours. */
static struct pb_store_req *our_request(struct pb_guest *g, pb_store_fn done)
{
    struct pb_store_req *req = pb_store_req_new(true, done, g);

    if (!req) {
        pb_guest_acted(g, -ENOMEM);
        return NULL;
    }
    pb_nodes_expect_ours(req, g);
    return req;
}

static unsigned state_written(const struct pb_store_req *req)
{
    /* every request here writes the state last */
    return (unsigned)(req->step[req->count - 1].value[0] - '0');
}

static void state_done(struct pb_store_req *req, void *ctx)
{
    struct pb_guest *g = ctx;

    if (req->rc == 0) {
        pb_guest_set_state(g, state_written(req));
        g->refresh_again = true;
    }
    pb_guest_acted(g, req->rc);
    pb_guest_drop(g);
}

/* All devices were written, too. */
static void told(struct pb_store_req *req, void *ctx)
{
    struct pb_guest *g = ctx;

    if (req->rc == 0)
        g->untold = false;
    state_done(req, ctx);
}

/* Gives every device that is ready its place; false when none of them changed. */
static bool place_devices(struct pb_guest *g)
{
    struct pb_device *dev;
    bool changed = false;

    TAILQ_FOREACH (dev, &g->devices, sibling) {
        if (dev->node_state == PB_XENBUS_CLOSING) {
            /* The guest has removed it: from now on its address answers "not found". */
            dev->serving = false;
            dev->let_go = true;
            changed = true;
            pb_record_device(dev);
        } else if (dev->node_state == PB_XENBUS_INITIALISING && dev->ready && dev->has_vaddr &&
                   dev->hw && !dev->stuck) {
            dev->node_state = PB_XENBUS_INITIALISED;
            dev->serving = true;
            changed = true;
            pb_record_device(dev);
        }
    }
    return changed;
}

static bool any_published(const struct pb_guest *g)
{
    const struct pb_device *dev;

    TAILQ_FOREACH (dev, &g->devices, sibling) {
        if (dev->node_state == PB_XENBUS_INITIALISED)
            return true;
    }
    return false;
}

void pb_frontend_publish(struct pb_guest *g, unsigned new_state)
{
    struct pb_store_req *req;
    bool changed = place_devices(g) || g->untold;

    /* Nothing to tell yet, or all told: an earlier write that failed is done again. */
    if (new_state == PB_XENBUS_INITIALISED &&
        (!any_published(g) || (!changed && g->be_state == PB_XENBUS_INITIALISED))) {
        pb_guest_acted(g, 0);
        return;
    }
    g->untold = true;
    req = our_request(g, told);
    if (!req)
        return;
    pb_nodes_write_devices(req, g);
    pb_nodes_write_roots(req, g);
    pb_nodes_write_state(req, g, new_state);
    pb_guest_submit(g, req);
}

void pb_frontend_settle(struct pb_guest *g)
{
    struct pb_store_req *req = our_request(g, state_done);

    if (!req)
        return;
    pb_nodes_write_state(req, g, PB_XENBUS_CONNECTED);
    pb_guest_submit(g, req);
}

/* The frontend's fault: it finds Closing and an error node, and may close and try again. */
static void refuse_frontend(struct pb_guest *g, const char *reason)
{
    struct pb_store_req *req;
    unsigned suppressed;

    g->counters.bad_frontend++;
    if (pb_ratelimit_allow(&g->warn, pb_now_ms(), PB_GUEST_WARNINGS, PB_GUEST_WARNINGS_MS,
                           &suppressed))
        pb_warn("domain %u: frontend refused: %s%s", g->domid, reason,
                pb_ratelimit_note(suppressed));
    req = our_request(g, state_done);
    if (!req)
        return;
    pb_store_write(req, reason, "/local/domain/0/error/backend/%s/%u/0/error", pb_guest_kind(g),
                   g->domid);
    pb_nodes_write_state(req, g, PB_XENBUS_CLOSING);
    pb_guest_submit(g, req);
}

int pb_frontend_attach_ring(struct pb_guest *g, uint32_t ref, uint32_t remote,
                            const char **ret_reason)
{
    struct pb_xen *xen = g->b->xen;
    int rc;

    rc = xen->ops->page_map(xen, g->domid, ref, &g->page);
    if (rc) {
        *ret_reason = "22 its pci-op-ref cannot be mapped";
        g->page = NULL;
        return rc;
    }
    rc = xen->ops->port_bind(xen, g->domid, remote, &g->port);
    if (rc == 0) {
        rc = pb_serve_bound(g);
        if (rc)
            (void)xen->ops->port_unbind(xen, g->port);
    }
    g->fe_ref = ref;
    g->fe_port = remote;
    if (rc) {
        *ret_reason = "22 its event-channel cannot be bound";
        (void)xen->ops->page_unmap(xen, g->page);
        g->page = NULL;
        return rc;
    }
    return 0;
}

static void refs_read(struct pb_store_req *req, void *ctx)
{
    struct pb_guest *g = ctx;
    uint64_t ref = 0, remote = 0;
    const char *magic = pb_store_value(req, 2), *reason = NULL;

    if (req->rc == 0 && !g->ending) {
        if (pb_store_number(req, 0, UINT32_MAX, &ref) != 0)
            reason = "22 its pci-op-ref is not a number";
        else if (pb_store_number(req, 1, UINT32_MAX, &remote) != 0)
            reason = "22 its event-channel is not a number";
        else if (!magic || strcmp(magic, MAGIC) != 0)
            reason = "22 its magic is not 7";
        else if (!g->page)
            (void)pb_frontend_attach_ring(g, (uint32_t)ref, (uint32_t)remote, &reason);
    }
    if (req->rc || g->ending) {
        pb_guest_acted(g, req->rc);
    } else if (reason) {
        refuse_frontend(g, reason);
    } else {
        struct pb_store_req *next = our_request(g, state_done);

        if (next) {
            g->counters.connects++;
            (void)pb_record_guest(g);
            if (pb_guest_may_log(g))
                pb_info("domain %u (%s): frontend connected", g->domid, g->name);
            pb_nodes_write_state(next, g, PB_XENBUS_CONNECTED);
            pb_guest_submit(g, next);
        }
    }
    pb_guest_drop(g);
}

void pb_frontend_connect(struct pb_guest *g)
{
    struct pb_store_req *req = pb_store_req_new(false, refs_read, g);

    if (!req) {
        pb_guest_acted(g, -ENOMEM);
        return;
    }
    pb_store_read(req, "%s/pci-op-ref", g->fe_path);
    pb_store_read(req, "%s/event-channel", g->fe_path);
    pb_store_read(req, "%s/magic", g->fe_path);
    pb_guest_submit(g, req);
}

void pb_frontend_disconnect(struct pb_guest *g)
{
    struct pb_xen *xen = g->b->xen;
    int rc;

    if (!g->page)
        return;
    pb_serve_unbound(g);
    rc = xen->ops->port_unbind(xen, g->port);
    if (rc)
        pb_warn("domain %u: unbinding its port: %s", g->domid, strerror(-rc));
    rc = xen->ops->page_unmap(xen, g->page);
    if (rc)
        pb_warn("domain %u: unmapping its page: %s", g->domid, strerror(-rc));
    g->page = NULL;
    (void)pb_record_guest(g);
    g->counters.disconnects++;
    if (pb_guest_may_log(g))
        pb_info("domain %u (%s): frontend disconnected", g->domid, g->name);
}

void pb_frontend_close(struct pb_guest *g, unsigned new_state)
{
    struct pb_store_req *req;
    struct pb_device *dev;

    pb_frontend_disconnect(g);
    if (new_state == PB_XENBUS_CLOSED) {
        TAILQ_FOREACH (dev, &g->devices, sibling) {
            dev->let_go = true;
            pb_record_device(dev);
        }
    }
    req = our_request(g, state_done);
    if (!req)
        return;
    pb_nodes_write_state(req, g, new_state);
    pb_guest_submit(g, req);
}

/* --- A frontend that begins anew: its devices do too --- */

static void reopened(struct pb_guest *g)
{
    struct pb_store_req *req;

    if (g->b->stopping)
        return;
    if (g->ending) {
        pb_guest_acted(g, 0);
        return;
    }
    req = our_request(g, told);
    if (!req)
        return;
    pb_nodes_write_devices(req, g);
    pb_nodes_write_state(req, g, PB_XENBUS_INIT_WAIT);
    pb_guest_submit(g, req);
}

static void device_fresh(void *ctx, const struct pb_failure *failure)
{
    struct pb_guest *g = ctx;

    if (failure)
        pb_warn("%s: %s", failure->device, failure->reason);
    if (--g->refreshing == 0)
        reopened(g);
    pb_guest_drop(g);
}

void pb_frontend_reopen(struct pb_guest *g)
{
    struct pb_device *dev;

    pb_frontend_disconnect(g);
    g->refreshing = 1;
    pb_guest_hold(g);
    TAILQ_FOREACH (dev, &g->devices, sibling) {
        bool published = dev->node_state == PB_XENBUS_INITIALISED;

        dev->serving = false;
        if (published)
            dev->node_state = PB_XENBUS_INITIALISING;
        pb_record_device(dev);
        /* What the frontend has never seen is fresh; what another verb has is not for it; what is
         * not in the machine stays as it was said to be (H1). */
        if (!published || !dev->ready || dev->gone ||
            (dev->task && !pb_flr_is(dev->task) && !pb_attach_waits(dev->task)))
            continue;
        g->refreshing++;
        pb_guest_hold(g);
        pb_detach_renew(dev, device_fresh, g);
    }
    device_fresh(g, NULL);
}

static void awaited(struct pb_store_req *req, void *ctx)
{
    struct pb_guest *g = ctx;

    if (req->rc || g->ending || g->b->stopping) {
        pb_guest_acted(g, req->rc);
    } else {
        pb_guest_set_state(g, PB_XENBUS_INIT_WAIT);
        pb_frontend_reopen(g);
    }
    pb_guest_drop(g);
}

/* InitWait before the resets, which take their time: whoever comes meanwhile waits for its devices.
 */
void pb_frontend_await(struct pb_guest *g)
{
    struct pb_store_req *req = our_request(g, awaited);

    if (!req)
        return;
    pb_nodes_write_state(req, g, PB_XENBUS_INIT_WAIT);
    pb_guest_submit(g, req);
}
