/* SPDX-License-Identifier: MIT */
/*
 * What became of the handshake while nobody was there. Most pairs of states are what the table of
 * proto/xenbus.c knows; ours has those that only a restart finds: a state of the frontend's that
 * is one of many, of which we have seen none.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/adopt_parts.h"
#include "backend/detach.h"
#include "backend/failure.h"
#include "backend/guest.h"
#include "backend/nodes.h"
#include "backend/record.h"
#include "backend/xl.h"
#include "base/log.h"

/* Behind those of pb_guest_read_frontend. */
enum { BE_STATE = PB_GUEST_STEPS, NUM_DEVS };

/*
 * Without a page: it was not connected, or what the journal says of its ring is not true any more.
 * Rows: our state. Columns: the frontend's. ASUSUAL: what the handshake's table says.
 *
 * CONNEC: connected says the frontend, with a ring that we could not bind. What xenstore says of it
 * now is tried; is that wrong, too, the frontend is told so by Closing.
 * REOPEN at 4/3, 5/3, 7/3, 8/3: it closed and began anew, and its 6 and 1 were seen by nobody; with
 * a ring of its own it must not find the devices as the driver before has left them.
 * REOPEN at 5/1 and others as usual.
 */
#define USUAL_ PB_ACT_COUNT
#define CONNEC PB_ACT_CONNECT
#define REOPEN PB_ACT_REOPEN
/* clang-format off */
static const uint8_t without_ring[PB_XENBUS_COUNT][PB_XENBUS_COUNT] = {
    /* frontend:      unknown initing initwait inited connec closing closed reconf reconfd */
    [PB_XENBUS_UNKNOWN]       = {
                      USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_ },
    [PB_XENBUS_INITIALISING]  = {
                      USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_ },
    [PB_XENBUS_INIT_WAIT]     = {
                      USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_ },
    [PB_XENBUS_INITIALISED]   = {
                      USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_ },
    [PB_XENBUS_CONNECTED]     = {
                      USUAL_, USUAL_, USUAL_, REOPEN, CONNEC, USUAL_, USUAL_, CONNEC, USUAL_ },
    [PB_XENBUS_CLOSING]       = {
                      USUAL_, USUAL_, USUAL_, REOPEN, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_ },
    [PB_XENBUS_CLOSED]        = {
                      USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_, USUAL_ },
    [PB_XENBUS_RECONFIGURING] = {
                      USUAL_, USUAL_, USUAL_, REOPEN, CONNEC, USUAL_, USUAL_, CONNEC, USUAL_ },
    [PB_XENBUS_RECONFIGURED]  = {
                      USUAL_, USUAL_, USUAL_, REOPEN, CONNEC, USUAL_, USUAL_, CONNEC, CONNEC },
};
/* clang-format on */

/* Devices that were being made fresh, or may be as the frontend before has left them. */
static bool any_stale(const struct pb_guest *g)
{
    const struct pb_device *dev;

    TAILQ_FOREACH (dev, &g->devices, sibling) {
        if (dev->begun == PB_JOURNAL_RENEWING ||
            (g->be_state == PB_XENBUS_INIT_WAIT && dev->ready && !dev->begun &&
             dev->node_state == PB_XENBUS_INITIALISED))
            return true;
    }
    return false;
}

static enum pb_xenbus_action action_of(struct pb_guest *g, unsigned fe_state)
{
    struct pb_device *dev;

    if (fe_state == PB_XENBUS_UNKNOWN || fe_state >= PB_XENBUS_COUNT ||
        g->be_state >= PB_XENBUS_COUNT)
        return PB_ACT_COUNT;
    if (!any_stale(g))
        return g->page ? PB_ACT_COUNT : (enum pb_xenbus_action)without_ring[g->be_state][fe_state];
    TAILQ_FOREACH (dev, &g->devices, sibling) {
        if (dev->begun == PB_JOURNAL_RENEWING)
            dev->node_state = PB_XENBUS_INITIALISED; /* renewed once more */
    }
    return PB_ACT_REOPEN;
}

/* --- what was begun --- */

/* It was asked to let go of DEV: has it done so, or is it on the way to it? */
static bool has_answered(const struct pb_device *dev, unsigned fe_state)
{
    return dev->let_go || fe_state == PB_XENBUS_CLOSING || fe_state == PB_XENBUS_CLOSED ||
           fe_state == PB_XENBUS_RECONFIGURING;
}

static void judge_asked(struct pb_guest *g, unsigned fe_state)
{
    struct pb_device *dev;

    TAILQ_FOREACH (dev, &g->devices, sibling) {
        if (dev->begun != PB_JOURNAL_ASKED || !has_answered(dev, fe_state))
            continue;
        dev->begun = PB_JOURNAL_DETACHING;
        dev->let_go = true;
    }
}

void pb_adopt_follow(struct pb_device *dev)
{
    struct pb_guest *g = dev->guest;

    if (!g || dev->task || g->ending) /* its end has it, or will have it */
        return;
    switch ((enum pb_journal_phase)dev->begun) {
    case PB_JOURNAL_ATTACHING:
        if (g->xl)
            pb_xl_adopt_undo(dev);
        else
            pb_detach_finish(dev);
        break;
    case PB_JOURNAL_DETACHING:
        if (g->xl)
            pb_xl_adopt_return(dev);
        else
            pb_detach_finish(dev);
        break;
    case PB_JOURNAL_ASKED:
        pb_detach_keep(dev);
        break;
    case PB_JOURNAL_CLAIMED:  /* nothing was begun */
    case PB_JOURNAL_RENEWING: /* with all of its guest's */
    case PB_JOURNAL_ASSIGNED:
    case PB_JOURNAL_PHASE_COUNT:
    default:
        break;
    }
}

static void follow_all(struct pb_guest *g)
{
    struct pb_device *dev, *next;

    for (dev = TAILQ_FIRST(&g->devices); dev; dev = next) {
        next = TAILQ_NEXT(dev, sibling);
        pb_adopt_follow(dev);
    }
}

/* --- a connected frontend that does not know all of it --- */

static bool any_late(const struct pb_guest *g)
{
    const struct pb_device *dev;

    TAILQ_FOREACH (dev, &g->devices, sibling) {
        if (dev->ready && !dev->begun && dev->node_state == PB_XENBUS_INITIALISING)
            return true;
    }
    return false;
}

static void told(struct pb_store_req *req, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_guest *g = task->guest;

    if (req->rc == 0) {
        pb_guest_set_state(g, PB_XENBUS_RECONFIGURING);
        g->refresh_again = true;
    }
    pb_guest_written(g);
    pb_task_next(task);
}

/* The attach that would have told it has ended with the process before. */
static enum pb_run tell(struct pb_task *task)
{
    struct pb_guest *g = task->guest;
    struct pb_store_req *req;

    if (g->ending || !any_late(g) || g->be_state != PB_XENBUS_CONNECTED)
        return PB_RUN_NEXT;
    if (pb_guest_write(g, task) == PB_RUN_WAIT)
        return PB_RUN_WAIT;
    req = pb_store_req_new(true, told, task);
    if (!req) {
        pb_guest_written(g);
        return PB_RUN_NEXT;
    }
    pb_nodes_expect_ours(req, g);
    pb_nodes_write_state(req, g, PB_XENBUS_RECONFIGURING);
    g->b->xen->ops->store_submit(g->b->xen, req);
    return PB_RUN_WAIT;
}

static void tidied(struct pb_store_req *req, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_device *dev;

    if (req->rc == 0) {
        task->guest->node_count = 0;
        TAILQ_FOREACH (dev, &task->guest->devices, sibling)
            task->guest->node_count++;
    }
    pb_guest_written(task->guest);
    pb_task_next(task);
}

static unsigned device_count(const struct pb_guest *g)
{
    const struct pb_device *dev;
    unsigned count = 0;

    TAILQ_FOREACH (dev, &g->devices, sibling)
        count++;
    return count;
}

/* Its nodes name devices that it does not have: an attach or a detach ended in between. */
static enum pb_run tidy(struct pb_task *task)
{
    struct pb_guest *g = task->guest;
    struct pb_store_req *req;

    if (g->ending || TAILQ_EMPTY(&g->devices) || g->node_count == device_count(g))
        return PB_RUN_NEXT;
    if (pb_guest_write(g, task) == PB_RUN_WAIT)
        return PB_RUN_WAIT;
    req = pb_store_req_new(true, tidied, task);
    if (!req) {
        pb_guest_written(g);
        return PB_RUN_NEXT;
    }
    pb_nodes_expect_ours(req, g);
    pb_nodes_write_devices(req, g);
    g->b->xen->ops->store_submit(g->b->xen, req);
    return PB_RUN_WAIT;
}

static enum pb_run enter(struct pb_task *task)
{
    return pb_guest_enter(task->ctx, task);
}

static const struct pb_task_step steps[] = {
    { "enter", enter, NULL },
    { "tidy", tidy, NULL },
    { "tell", tell, NULL },
};
static const struct pb_task_kind kind = { "putting nodes in order", steps, PB_ARRAY_SIZE(steps) };

static void in_order(void *ctx, const struct pb_failure *failure)
{
    (void)failure;
    pb_guest_drop(ctx);
}

/* After what was begun, whose turns at the guest come first. */
static void put_in_order(struct pb_guest *g)
{
    struct pb_task *task = g->xl ? NULL : pb_task_new(g->b, &kind, in_order, g);

    if (!task)
        return;
    pb_guest_hold(g);
    (void)snprintf(task->device_text, sizeof(task->device_text), "domain %u", g->domid);
    pb_task_start(task);
}

/* --- looking --- */

static void take_up(struct pb_guest *g, const struct pb_store_req *req)
{
    unsigned be_state = pb_guest_state_read(req, BE_STATE);
    unsigned fe_state = pb_guest_state_read(req, PB_GUEST_FE_STATE);
    uint64_t count;

    /* What we wrote last may be more than the journal says. Without a node that stands. */
    if (be_state > PB_XENBUS_UNKNOWN && be_state < PB_XENBUS_COUNT)
        pb_guest_set_state(g, be_state);
    if (pb_store_number(req, NUM_DEVS, UINT16_MAX, &count) == 0)
        g->node_count = (unsigned)count;
    g->untold = g->be_state == PB_XENBUS_INITIALISED;
    if (!g->ending)
        pb_guest_watch(g);
    judge_asked(g, fe_state);
    if (!g->ending)
        pb_guest_take_up(g, req, action_of(g, fe_state));
    if (!g->xl && g->node_count > device_count(g))
        pb_adopt_compare(g->b, g->domid);
}

/* They were written, but the process before did not live to hear it. */
static bool nodes_are_there(const struct pb_guest *g, const struct pb_store_req *req)
{
    const char *frontend = pb_store_value(req, PB_GUEST_FRONTEND);

    return !g->xl && frontend && strcmp(frontend, g->fe_path) == 0;
}

static void looked(struct pb_store_req *req, void *ctx)
{
    struct pb_guest *g = ctx;

    if (req->rc && g->failures++ < 6) {
        pb_warn("domain %u: its nodes cannot be read: %s; tried again", g->domid,
                strerror(-req->rc));
        pb_adopt_look(g);
        return;
    }
    g->failures = 0;
    if (req->rc == 0 && nodes_are_there(g, req))
        g->nodes_exist = true;
    if (req->rc == 0 && g->nodes_exist)
        take_up(g, req);
    g->taken_up = true;
    follow_all(g);
    put_in_order(g);
    if (g->xl)
        pb_xl_adopted(g);
    pb_guest_drop(g);
}

void pb_adopt_look(struct pb_guest *g)
{
    struct pb_store_req *req = pb_store_req_new(false, looked, g);

    if (!req) {
        pb_err("domain %u: out of memory: what was begun for it is left as it is", g->domid);
        pb_guest_drop(g);
        return;
    }
    pb_guest_read_frontend(req, g);
    pb_store_read(req, "%s/state", g->be_path);
    pb_store_read(req, "%s/num_devs", g->be_path);
    g->b->xen->ops->store_submit(g->b->xen, req);
}
