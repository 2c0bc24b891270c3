/* SPDX-License-Identifier: MIT */
#include "backend/reserve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/failure.h"
#include "backend/guest.h"
#include "backend/machine.h"
#include "backend/nodes.h"
#include "backend/record.h"
#include "base/log.h"

static void rewritten(struct pb_store_req *req, void *ctx)
{
    struct pb_guest *g = ctx;

    if (req->rc)
        pb_warn("%s: cannot be written again: %s", req->step[0].path, strerror(-req->rc));
    pb_guest_drop(g);
}

static const char *ours(const struct pb_guest *g, char text[16])
{
    (void)snprintf(text, 16, "%u", g->domid);
    return text;
}

static void compared(struct pb_store_req *req, void *ctx)
{
    struct pb_guest *g = ctx;
    struct pb_device *dev;
    const char *value = pb_store_value(req, 0);
    char domid[16];

    (void)ours(g, domid);
    TAILQ_FOREACH (dev, &g->devices, sibling) {
        struct pb_store_req *again;

        if (!dev->reserved || strcmp(dev->reservation.path, req->step[0].path) != 0)
            continue;
        if (req->rc || (value && strcmp(value, domid) == 0))
            break;
        pb_warn(
            "%s: somebody changed %s to \"%s\" (a failed xl pci-attach?); written again: domain "
            "%u has the device",
            pb_device_text(dev), dev->reservation.path, value ? value : "", g->domid);
        dev->reservation_rewrites++;
        again = pb_store_req_new(false, rewritten, g);
        if (again) {
            pb_store_write(again, domid, "%s", dev->reservation.path);
            pb_guest_submit(g, again);
        }
        break;
    }
    pb_guest_drop(g);
}

static void watch_fired(struct pb_watch *watch)
{
    struct pb_device *dev = PB_CONTAINER_OF(watch, struct pb_device, reservation);
    struct pb_store_req *req;

    /* Whether an attach that was not done to its end had reserved it is not known. */
    if (!dev->guest || !dev->reserved || dev->begun == PB_JOURNAL_ATTACHING)
        return;
    req = pb_store_req_new(false, compared, dev->guest);
    if (!req)
        return;
    pb_store_read(req, "%s", watch->path);
    pb_guest_submit(dev->guest, req);
}

static void found(struct pb_store_req *req, void *ctx);

static void taken(struct pb_task *task)
{
    pb_fail(&task->failure, PB_FAIL_STATE, pb_device_text(task->dev),
            "see `xl pci-list` of that domain; remove the node if nobody has the device",
            "libxl says that it is taken: %s exists", task->dev->reservation.path);
    pb_task_failed(task);
}

static void reserved(struct pb_store_req *req, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_device *dev = task->dev;
    struct pb_store_req *look;

    if (req->rc == 0) {
        dev->reserved = true;
        dev->reservation.fired = watch_fired;
        task->b->xen->ops->watch_add(task->b->xen, &dev->reservation);
        pb_task_next(task);
        return;
    }
    look = req->rc == -ECANCELED ? pb_store_req_new(false, found, task) : NULL;
    if (look) {
        pb_store_read(look, "%s", dev->reservation.path);
        task->b->xen->ops->store_submit(task->b->xen, look);
        return;
    }
    pb_fail(&task->failure, PB_FAIL_XEN, pb_device_text(dev), "is xenstored running?",
            "reserving it: %s", strerror(-req->rc));
    pb_task_failed(task);
}

/* Ours in place of OLD; NULL: of nothing. */
static bool write_ours(struct pb_task *task, const char *old)
{
    struct pb_store_req *req = pb_store_req_new(true, reserved, task);

    if (!req)
        return false;
    pb_store_expect(req, old, "%s", task->dev->reservation.path);
    pb_store_write_number(req, task->domid, "%s", task->dev->reservation.path);
    task->b->xen->ops->store_submit(task->b->xen, req);
    return true;
}

/* Somebody's, or what was left behind: by us without xenstored, or by whoever died before us. */
static void found(struct pb_store_req *req, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_xen *xen = task->b->xen;
    struct pb_domain domain;
    uint64_t domid;

    if (req->rc || pb_store_number(req, 0, UINT16_MAX, &domid) != 0 ||
        xen->ops->domain_get(xen, (uint32_t)domid, &domain) != -ENOENT ||
        !write_ours(task, pb_store_value(req, 0))) {
        taken(task);
        return;
    }
    pb_notice("%s: %s named domain %u, which does not exist any more", pb_device_text(task->dev),
              task->dev->reservation.path, (unsigned)domid);
}

enum pb_run pb_reserve(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    char path[PB_STORE_PATH_MAX - 8];

    pb_nodes_reservation_path(dev, path, sizeof(path));
    (void)snprintf(dev->reservation.path, sizeof(dev->reservation.path), "%s/domid", path);
    if (write_ours(task, NULL))
        return PB_RUN_WAIT;
    pb_fail(&task->failure, PB_FAIL_INTERNAL, pb_device_text(dev), "", "out of memory");
    return PB_RUN_FAIL;
}

void pb_reserve_adopt(struct pb_device *dev)
{
    char path[PB_STORE_PATH_MAX - 8];

    pb_nodes_reservation_path(dev, path, sizeof(path));
    (void)snprintf(dev->reservation.path, sizeof(dev->reservation.path), "%s/domid", path);
    dev->reserved = true;
    dev->reservation.fired = watch_fired;
    dev->b->xen->ops->watch_add(dev->b->xen, &dev->reservation);
}

static void unreserved(struct pb_store_req *req, void *ctx)
{
    /* Somebody else's by now, or gone already: not ours to remove. */
    if (req->rc && req->rc != -ECANCELED)
        pb_warn("%s: cannot be removed: %s", req->step[0].path, strerror(-req->rc));
    pb_task_next(ctx);
}

void pb_reserve_abandon(struct pb_device *dev)
{
    if (!dev->reserved)
        return;
    dev->reserved = false;
    dev->b->xen->ops->watch_remove(dev->b->xen, &dev->reservation);
}

enum pb_run pb_unreserve(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    struct pb_store_req *req;
    char path[PB_STORE_PATH_MAX - 8], text[16];

    if (!dev->reserved)
        return PB_RUN_NEXT;
    pb_reserve_abandon(dev);
    req = pb_store_req_new(dev->begun == PB_JOURNAL_ATTACHING, unreserved, task);
    if (!req) {
        pb_warn("%s: out of memory: %s stays", pb_device_text(dev), dev->reservation.path);
        return PB_RUN_NEXT;
    }
    pb_nodes_reservation_path(dev, path, sizeof(path));
    if (dev->guest && dev->begun == PB_JOURNAL_ATTACHING)
        pb_store_expect(req, ours(dev->guest, text), "%s", dev->reservation.path);
    pb_store_remove(req, "%s", dev->reservation.path);
    pb_store_prune(req, "%s", path);
    task->b->xen->ops->store_submit(task->b->xen, req);
    return PB_RUN_WAIT;
}
