/* SPDX-License-Identifier: MIT */
/*
 * What we write into the toolstack's directory: vdev-N and state-N of devices, the roots, our
 * state. libxl reads state-N, dev-N and key-N of every N below num_devs without looking whether
 * they are there: they are never removed, and num_devs is never touched.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/guest.h"
#include "backend/nodes.h"
#include "backend/xl_dir.h"
#include "base/log.h"

#define ERRORS "/local/domain/0/error/backend/" PB_KIND_XL

void pb_xl_write_devices(struct pb_store_req *req, const struct pb_guest *g)
{
    const struct pb_device *dev;
    char address[PB_SBDF_TEXT], vdev[PB_VDEV_TEXT];

    TAILQ_FOREACH (dev, &g->devices, sibling) {
        bool published = dev->node_state == PB_XENBUS_INITIALISED;

        if (dev->node < 0 || dev->node_state == PB_XENBUS_CLOSING)
            continue;
        pb_store_expect(req, pb_sbdf_format(dev->sbdf, address), "%s/dev-%d", g->be_path,
                        dev->node);
        if (published && dev->has_vaddr)
            pb_store_write(req, pb_vdev_format(dev->vaddr, vdev), "%s/vdev-%d", g->be_path,
                           dev->node);
        else
            pb_store_remove(req, "%s/vdev-%d", g->be_path, dev->node);
        pb_store_write_number(req, dev->node_state, "%s/state-%d", g->be_path, dev->node);
    }
}

void pb_xl_expect_state(struct pb_store_req *req, const struct pb_guest *g)
{
    char text[2] = { (char)('0' + g->be_state), '\0' };

    pb_store_expect(req, text, "%s/state", g->be_path);
}

/* --- answers --- */

static void answered(struct pb_store_req *req, void *ctx)
{
    struct pb_xl_dir *dir = ctx;
    struct pb_guest *g = dir->g;

    dir->writing = false;
    if (req->rc && req->rc != -ECANCELED)
        pb_warn("domain %u: xenstore: %s", dir->domid, strerror(-req->rc));
    if (req->rc)
        pb_xl_retry(dir);
    if (g)
        pb_guest_check_end(g);
    else
        pb_xl_dir_check_end(dir);
}

/*
 * A transaction on the directory while it is the domain's. NULL: not now; the write that is under
 * way changes the directory, and so it is looked at again.
 */
static struct pb_store_req *answer(struct pb_xl_dir *dir)
{
    struct pb_store_req *req;

    if (dir->writing)
        return NULL;
    req = pb_store_req_new(true, answered, dir);
    if (!req) {
        pb_err("domain %u: out of memory", dir->domid);
        pb_xl_retry(dir);
        return NULL;
    }
    dir->writing = true;
    pb_store_expect(req, dir->fe_path, "%s/frontend", dir->path);
    return req;
}

static void expect_entry(struct pb_store_req *req, const struct pb_xl_dir *dir, unsigned n)
{
    const struct pb_xl_entry *e = &dir->entry[n];

    if (e->text[0] || e->absent)
        pb_store_expect(req, e->absent ? NULL : e->text, "%s/dev-%u", dir->path, n);
}

/* The node of an entry's error: its address, or its number when it has none. */
static void error_name(const struct pb_xl_entry *e, unsigned n, char name[PB_XL_TEXT])
{
    if (e->good)
        (void)snprintf(name, PB_XL_TEXT, "%04x-%02x-%02x-%x", e->sbdf.segment, e->sbdf.bus,
                       (unsigned)PB_DEVFN_DEV(e->sbdf.devfn), PB_DEVFN_FN(e->sbdf.devfn));
    else
        (void)snprintf(name, PB_XL_TEXT, "dev-%u", n);
}

void pb_xl_mark_bad(struct pb_xl_dir *dir, unsigned n, const char *reason)
{
    struct pb_store_req *req = answer(dir);
    const struct pb_xl_entry *e = &dir->entry[n];
    char name[PB_XL_TEXT];

    if (!req)
        return;
    if (pb_guest_may_log(dir->g))
        pb_warn("domain %u: dev-%u of xl's (\"%s\") is not served: %s", dir->domid, n, e->text,
                reason);
    dir->errors = true;
    error_name(e, n, name);
    expect_entry(req, dir, n);
    pb_store_expect(req, "1", "%s/state-%u", dir->path, n);
    pb_store_write_number(req, PB_XENBUS_CLOSED, "%s/state-%u", dir->path, n);
    pb_store_write(req, reason, ERRORS "/%u/0/%s/error", dir->domid, name);
    dir->b->xen->ops->store_submit(dir->b->xen, req);
}

void pb_xl_rest(struct pb_xl_dir *dir)
{
    const struct pb_guest *g = dir->g;
    bool open = false;
    struct pb_store_req *req;

    for (unsigned n = 0; n < dir->count; n++)
        open = open || dir->entry[n].state != PB_XENBUS_CLOSED;
    if (!open && g->be_state == PB_XENBUS_CONNECTED)
        return;
    req = answer(dir);
    if (!req)
        return;
    pb_xl_expect_state(req, g);
    for (unsigned n = 0; n < dir->count; n++) {
        if (dir->entry[n].state == PB_XENBUS_CLOSED)
            continue;
        expect_entry(req, dir, n);
        pb_store_write_number(req, PB_XENBUS_CLOSED, "%s/state-%u", dir->path, n);
    }
    /* Nobody is at the other end: it only ends xl's waits for this value. */
    pb_store_write_number(req, PB_XENBUS_CONNECTED, "%s/state", dir->path);
    dir->b->xen->ops->store_submit(dir->b->xen, req);
}

static void reconfiguring(struct pb_store_req *req, void *ctx)
{
    struct pb_guest *g = ctx;

    if (req->rc == 0) {
        pb_guest_set_state(g, PB_XENBUS_RECONFIGURING);
        g->refresh_again = true;
    }
    pb_guest_acted(g, req->rc);
    pb_guest_drop(g);
}

void pb_xl_reconfigure(struct pb_xl_dir *dir)
{
    struct pb_guest *g = dir->g;
    struct pb_store_req *req = pb_store_req_new(true, reconfiguring, g);

    if (!req) {
        pb_err("domain %u: out of memory", dir->domid);
        return;
    }
    g->acting = true;
    pb_nodes_expect_ours(req, g);
    pb_nodes_write_state(req, g, PB_XENBUS_RECONFIGURING);
    pb_guest_submit(g, req);
}

/* --- directories that nobody serves --- */

static void remove_errors(struct pb_store_req *req, const struct pb_xl_dir *dir)
{
    pb_store_remove(req, ERRORS "/%u", dir->domid);
    pb_store_prune(req, ERRORS);
    pb_store_prune(req, "/local/domain/0/error/backend");
    pb_store_prune(req, "/local/domain/0/error");
}

void pb_xl_forget_errors(struct pb_xl_dir *dir)
{
    struct pb_store_req *req = pb_store_req_new(false, NULL, NULL);

    dir->errors = false;
    if (!req)
        return;
    remove_errors(req, dir);
    dir->b->xen->ops->store_submit(dir->b->xen, req);
}

void pb_xl_collect(struct pb_xl_dir *dir)
{
    struct pb_store_req *req = answer(dir);

    if (!req)
        return;
    pb_info("domain %u is gone: %s is removed", dir->domid, dir->path);
    pb_store_remove(req, "%s", dir->path);
    pb_store_prune(req, "/local/domain/0/backend/" PB_KIND_XL "/%u", dir->domid);
    pb_store_prune(req, "/local/domain/0/backend/" PB_KIND_XL);
    remove_errors(req, dir);
    dir->b->xen->ops->store_submit(dir->b->xen, req);
}

void pb_xl_refuse(struct pb_xl_dir *dir, struct pb_guest *ours)
{
    static const char reason[] = "the domain has devices by pcibackctl attach";
    struct pb_store_req *req;

    pb_warn("domain %u: what xl gives it is not served: %s; next: detach those first, or attach "
            "this one with pcibackctl, too",
            dir->domid, reason);
    req = answer(dir);
    if (!req)
        return;
    dir->errors = true;
    pb_store_write_number(req, PB_XENBUS_CLOSED, "%s/state", dir->path);
    pb_store_write(req, reason, ERRORS "/%u/0/error", dir->domid);
    /* libxl has made the frontend's directory anew. The frontend goes on with the backend that it
     * knows: its nodes are as it left them. */
    pb_store_write(req, ours->be_path, "%s/backend", dir->fe_path);
    pb_store_write_number(req, ours->fe_state, "%s/state", dir->fe_path);
    dir->b->xen->ops->store_submit(dir->b->xen, req);
}
