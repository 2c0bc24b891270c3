/* SPDX-License-Identifier: MIT */
/*
 * detach: the guest is asked first, then the device is taken back; with --force also when the guest
 * does not answer. The end of a guest and a frontend that begins anew use the same steps.
 */
#include "backend/detach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/adopt.h"
#include "backend/assign.h"
#include "backend/attach.h"
#include "backend/claim.h"
#include "backend/failure.h"
#include "backend/flr.h"
#include "backend/guest.h"
#include "backend/machine.h"
#include "backend/nodes.h"
#include "backend/record.h"
#include "backend/reserve.h"
#include "backend/strip.h"
#include "backend/xl.h"
#include "base/log.h"

#define FAIL(task, code, next, ...)                                                               \
    (pb_fail(&(task)->failure, PB_FAIL_##code,                                                    \
             (task)->dev ? pb_device_text((task)->dev) : (task)->device_text, next, __VA_ARGS__), \
     PB_RUN_FAIL)

static bool is_guest(const struct pb_guest *g, const char *text)
{
    char number[16];

    (void)snprintf(number, sizeof(number), "%u", g->domid);
    return strcmp(text, number) == 0 || (g->name[0] && strcmp(text, g->name) == 0);
}

static const struct pb_task_kind renew_kind;

static enum pb_run find(struct pb_task *task)
{
    struct pb_sbdf sbdf;
    bool is_address;
    struct pb_device *dev = pb_device_resolve(task->b, task->device_text, &is_address, &sbdf);

    task->dev = NULL; /* what it waited for may be gone */
    if (!dev)
        return FAIL(task, NOT_FOUND, "see `pcibackctl list`", "no such device is listed");
    if (dev->guest && dev->task && (dev->task->kind == &renew_kind || pb_flr_is(dev->task))) {
        /* Fresh for a frontend that begins anew, or a reset of its guest's: it ends by itself,
         * and no other one begins meanwhile (flr.c). */
        task->dev = dev;
        pb_task_arm(task, 5, pb_task_repeat);
        return PB_RUN_WAIT;
    }
    if (!dev->guest) {
        task->dev = dev;
        if (pb_claim_owned_before(dev))
            return FAIL(task, STATE, dev->cause_next, "%s", dev->cause);
        return FAIL(task, STATE, "see `pcibackctl list`", "no guest has it: it is %s",
                    pb_device_state_name(dev->state));
    }
    if (!is_guest(dev->guest, task->guest_text)) {
        task->dev = dev;
        return FAIL(task, STATE, "name the guest that has it", "domain %u (%s) has it, not %s",
                    dev->guest->domid, dev->guest->name, task->guest_text);
    }
    if (dev->guest->xl) {
        task->dev = dev;
        return FAIL(task, REFUSED, "xl pci-detach", "xl gave it to domain %u (%s)",
                    dev->guest->domid, dev->guest->name);
    }
    if (dev->gone && dev->interrupts.count > 0 && !task->force) {
        task->dev = dev; /* its guest would free its interrupts (H1) */
        return FAIL(task, REFUSED, dev->cause_next, "%s", dev->cause);
    }
    if (!pb_task_take_device(task, dev))
        return PB_RUN_FAIL;
    return pb_guest_enter(dev->guest, task);
}

static bool is_last(const struct pb_guest *g, const struct pb_device *dev)
{
    return TAILQ_FIRST(&g->devices) == dev && !TAILQ_NEXT(dev, sibling);
}

/* --- asking the guest --- */

static void look(struct pb_task *task)
{
    struct pb_guest *g = task->guest;

    if (g->acting && !g->ending)
        return;
    /* A frontend that began anew instead of answering has nothing of the device any more. */
    if (g->be_state == PB_XENBUS_INIT_WAIT || g->be_state == PB_XENBUS_INITIALISED)
        task->dev->let_go = !g->ending;
    else if (!g->ending &&
             (!task->dev->let_go || pb_guest_reconfigures(g) || g->be_state == PB_XENBUS_CLOSING))
        return;
    task->poke = NULL;
    pb_task_next(task);
}

static void not_in_time(struct pb_task *task)
{
    struct pb_guest *g = task->guest;

    task->poke = NULL;
    if (task->dev->let_go) {
        pb_notice("%s: domain %u has let go of it, but does not say that it is connected again",
                  pb_device_text(task->dev), g->domid);
        pb_task_next(task);
        return;
    }
    if (task->force) {
        pb_notice("%s: domain %u does not let go; taking it by force", pb_device_text(task->dev),
                  g->domid);
        pb_task_next(task);
        return;
    }
    pb_fail(&task->failure, PB_FAIL_TIMEOUT, pb_device_text(task->dev),
            "stop its use in the guest, or detach --force",
            "domain %u did not let go of it in time (backend %s, frontend %s)", g->domid,
            pb_xenbus_name(g->be_state), pb_xenbus_name(g->fe_state));
    pb_task_failed(task);
}

/* It has not finished what it was asked before: an answer to that is no consent. */
static bool is_late(const struct pb_guest *g)
{
    return pb_guest_reconfigures(g) ||
           (g->be_state == PB_XENBUS_CONNECTED && g->fe_state == PB_XENBUS_RECONFIGURING);
}

static void look_again(struct pb_task *task)
{
    const struct pb_guest *g = task->guest;

    if (!g->ending && is_late(g))
        return;
    task->poke = NULL;
    pb_task_repeat(task);
}

static void asked(struct pb_store_req *req, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_guest *g = task->guest;

    if (req->rc == 0) {
        pb_guest_set_state(g, is_last(g, task->dev) ? PB_XENBUS_CLOSING : PB_XENBUS_RECONFIGURING);
        g->refresh_again = true; /* it may have answered already */
        task->poke = look;
        pb_task_arm(task, task->b->policy->limits.detach_timeout_ms, not_in_time);
        pb_guest_written(g);
        return;
    }
    pb_guest_written(g);
    if (task->force || g->ending) {
        /* It cannot be asked: its nodes are gone, or xenstored is. */
        pb_task_next(task);
    } else {
        pb_fail(&task->failure, PB_FAIL_XEN, pb_device_text(task->dev), "try again", "xenstore: %s",
                strerror(-req->rc));
        pb_task_failed(task);
    }
}

static enum pb_run ask(struct pb_task *task)
{
    struct pb_guest *g = task->guest;
    struct pb_store_req *req;

    if (!task->dev->guest)
        return FAIL(task, STATE, "see `pcibackctl list`", "the guest ended meanwhile");
    if (!g->ending && is_late(g)) {
        task->poke = look_again;
        pb_task_arm(task, task->b->policy->limits.detach_timeout_ms, not_in_time);
        pb_guest_refresh(g);
        return PB_RUN_WAIT;
    }
    if (!g->ending && pb_guest_write(g, task) == PB_RUN_WAIT)
        return PB_RUN_WAIT;
    if (g->ending || g->be_state != PB_XENBUS_CONNECTED) {
        task->dev->let_go = !g->ending;
        if (!g->ending)
            pb_guest_written(g);
        return PB_RUN_NEXT;
    }
    req = pb_store_req_new(true, asked, task);
    if (!req) {
        pb_guest_written(g);
        return FAIL(task, INTERNAL, "", "out of memory");
    }
    pb_nodes_expect_ours(req, g);
    task->dev->node_state = PB_XENBUS_CLOSING;
    task->phase = PB_JOURNAL_ASKED;
    pb_record_device(task->dev);
    pb_nodes_write_devices(req, g);
    if (is_last(g, task->dev)) {
        pb_store_write_number(req, 0, "%s/online", g->be_path);
        pb_nodes_write_state(req, g, PB_XENBUS_CLOSING);
    } else {
        pb_nodes_write_state(req, g, PB_XENBUS_RECONFIGURING);
    }
    task->b->xen->ops->store_submit(task->b->xen, req);
    return PB_RUN_WAIT;
}

/* Only what we wrote ourselves is taken back: it may have closed meanwhile. */
static bool may_connect_again(const struct pb_guest *g)
{
    return g->page && (g->be_state == PB_XENBUS_CLOSING || pb_guest_reconfigures(g));
}

static void unasked(struct pb_store_req *req, void *ctx)
{
    struct pb_task *task = ctx;

    struct pb_guest *g = task->guest;

    if (req->rc)
        pb_warn("domain %u: taking the request back: %s", g->domid, strerror(-req->rc));
    else if (may_connect_again(g))
        pb_guest_set_state(g, PB_XENBUS_CONNECTED);
    pb_guest_written(g);
    pb_task_next(task);
}

/* The guest keeps the device: the nodes as they were before it was asked. */
static bool give_up(struct pb_task *task)
{
    struct pb_guest *g = task->guest;
    struct pb_store_req *req = pb_store_req_new(true, unasked, task);

    if (!req)
        return false;
    pb_nodes_expect_ours(req, g);
    pb_nodes_write_devices(req, g);
    pb_store_write_number(req, 1, "%s/online", g->be_path);
    if (may_connect_again(g))
        pb_nodes_write_state(req, g, PB_XENBUS_CONNECTED);
    task->b->xen->ops->store_submit(task->b->xen, req);
    return true;
}

static enum pb_run ask_failed(struct pb_task *task)
{
    struct pb_guest *g = task->guest;

    if (g->ending || task->dev->let_go)
        return PB_RUN_NEXT;
    /* Any other failure is xenstore's own: nothing of the request was written. */
    if (task->failure.code == PB_FAIL_TIMEOUT && pb_guest_write(g, task) == PB_RUN_WAIT)
        return PB_RUN_WAIT;
    if (task->dev->node_state == PB_XENBUS_CLOSING)
        task->dev->node_state = PB_XENBUS_INITIALISED;
    if (task->failure.code != PB_FAIL_TIMEOUT)
        return PB_RUN_NEXT;
    if (give_up(task))
        return PB_RUN_WAIT;
    pb_guest_written(g);
    return PB_RUN_NEXT;
}

/* A place for ask's undo, which has to run when ask itself failed. */
static enum pb_run before_ask(struct pb_task *task)
{
    task->dev->let_go = false;
    return PB_RUN_NEXT;
}

/* --- what remains of it --- */

static enum pb_run part(struct pb_task *task)
{
    struct pb_device *dev = task->dev;

    if (!dev->let_go)
        pb_taint(dev);
    task->last_guest = dev->guest;
    pb_adopt_lost_returned(dev);
    pb_guest_unlink(dev);
    pb_assign_device_ready(dev);
    return PB_RUN_NEXT;
}

static void tell_forgotten(const struct pb_store_req *req)
{
    if (req->rc)
        pb_warn("%s: removing nodes: %s", req->step[0].path, strerror(-req->rc));
}

static void forgotten(struct pb_store_req *req, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_guest *g = task->last_guest;

    tell_forgotten(req);
    if (req->rc == 0 && pb_guest_reconfigures(g))
        pb_guest_set_state(g, PB_XENBUS_CONNECTED);
    if (req->rc == 0)
        g->node_count--;
    pb_guest_written(g);
    pb_task_next(task);
}

static void all_forgotten(struct pb_store_req *req, void *ctx)
{
    struct pb_task *task = ctx;

    tell_forgotten(req);
    task->last_guest->nodes_exist = false;
    task->last_guest->forgetting = false;
    (void)pb_record_guest(task->last_guest);
    pb_task_next(task);
}

/*
 * The guest's last device: page and port go now, not before (H2: until here they pinned the
 * domain's number), then both directories.
 */
static bool forget_guest(struct pb_task *task, struct pb_guest *g)
{
    struct pb_store_req *req;

    pb_frontend_disconnect(g);
    req = g->nodes_exist ? pb_store_req_new(false, all_forgotten, task) : NULL;
    if (!req)
        return false;
    g->forgetting = true;
    pb_nodes_remove(req, g);
    g->b->xen->ops->store_submit(g->b->xen, req);
    return true;
}

static enum pb_run forget(struct pb_task *task)
{
    struct pb_guest *g = task->last_guest;
    struct pb_store_req *req;

    if (g->forgetting)
        return PB_RUN_NEXT;
    if (TAILQ_EMPTY(&g->devices))
        return forget_guest(task, g) ? PB_RUN_WAIT : PB_RUN_NEXT;
    if (g->ending || g->store_lost)
        return PB_RUN_NEXT;
    if (pb_guest_write(g, task) == PB_RUN_WAIT)
        return PB_RUN_WAIT;
    req = pb_store_req_new(true, forgotten, task);
    if (!req) {
        pb_warn("domain %u: out of memory: nodes of %s stay", g->domid, pb_device_text(task->dev));
        pb_guest_written(g);
        return PB_RUN_NEXT;
    }
    pb_nodes_expect_ours(req, g);
    pb_nodes_write_devices(req, g);
    if (pb_guest_reconfigures(g))
        pb_nodes_write_state(req, g, PB_XENBUS_CONNECTED);
    g->b->xen->ops->store_submit(g->b->xen, req);
    return PB_RUN_WAIT;
}

static const struct pb_task_step detach_steps[] = {
    { "find", find, NULL },
    { "before ask", before_ask, ask_failed },
    { "ask", ask, NULL },
    PB_STRIP_STEPS,
    { "unreserve", pb_unreserve, NULL },
    { "part", part, NULL },
    { "forget", forget, NULL },
};
static const struct pb_task_kind detach_kind = { "detach", detach_steps,
                                                 PB_ARRAY_SIZE(detach_steps) };

void pb_backend_detach(struct pb_backend *b, const char *guest, const char *dev, bool force,
                       pb_verb_fn done, void *ctx)
{
    struct pb_task *task = pb_task_verb(b, &detach_kind, dev, force, done, ctx);

    if (task)
        (void)snprintf(task->guest_text, sizeof(task->guest_text), "%s", guest);
}

/* --- without being asked --- */

static enum pb_run nothing(struct pb_task *task)
{
    (void)task;
    return PB_RUN_NEXT;
}

static const struct pb_task_step end_steps[] = {
    { "begin", nothing, NULL },          PB_STRIP_STEPS,
    { "unreserve", pb_unreserve, NULL }, { "part", part, NULL },
    { "forget", forget, NULL },
};
static const struct pb_task_kind end_kind = { "end of guest", end_steps, PB_ARRAY_SIZE(end_steps) };

/* Whatever stopped it: the guest is not served a device in an unknown state. */
static enum pb_run renew_failed(struct pb_task *task)
{
    struct pb_device *dev = task->dev;

    dev->ready = false;
    dev->serving = false;
    dev->begun = 0;
    if (!dev->cause[0])
        pb_device_set_cause(dev, "%s", task->failure.reason);
    pb_device_set_state(dev, PB_DEVICE_FAILED);
    return PB_RUN_NEXT;
}

static enum pb_run begin_renew(struct pb_task *task)
{
    struct pb_device *dev = task->dev;

    if (dev->task != task &&
        (!dev->guest || dev->guest->domid != task->domid || !dev->ready || dev->guest->ending))
        return FAIL(task, STATE, "", "its guest has it no more");
    if (dev->task && dev->task != task) {
        /* A reset that the guest itself asked for. */
        pb_task_arm(task, 5, pb_task_repeat);
        return PB_RUN_WAIT;
    }
    dev->task = task;
    dev->failing = false;
    task->phase = PB_JOURNAL_RENEWING;
    pb_record_device(dev);
    return pb_strip_await_access(task);
}

static enum pb_run check_renewed(struct pb_task *task)
{
    if (!task->dev->failing)
        return PB_RUN_NEXT;
    return FAIL(task, HOST, "detach it and look for the cause", "%s", task->dev->cause);
}

static enum pb_run renewed(struct pb_task *task)
{
    struct pb_device *dev = task->dev;

    task->phase = 0;
    dev->begun = 0;
    pb_device_set_state(dev, PB_DEVICE_ASSIGNED);
    return PB_RUN_NEXT;
}

static const struct pb_task_step renew_steps[] = {
    { "begin", begin_renew, renew_failed }, { "quiet", pb_strip_quiet, NULL },
    { "reset", pb_strip_reset, NULL },      { "restore", pb_strip_restore, NULL },
    { "check", check_renewed, NULL },       { "enable", pb_attach_enable, NULL },
    { "plugins", pb_attach_plug, NULL },    { "renewed", renewed, NULL },
};
static const struct pb_task_kind renew_kind = { "renew", renew_steps, PB_ARRAY_SIZE(renew_steps) };

/* --- what an earlier process has begun --- */

static enum pb_run enter(struct pb_task *task)
{
    return pb_guest_enter(task->dev->guest, task);
}

/* A guest that is about to say that it is connected again is not overtaken. */
static enum pb_run await_settled(struct pb_task *task)
{
    const struct pb_guest *g = task->guest;

    if (!task->reset_started_ms)
        task->reset_started_ms = pb_now_ms();
    if (!task->dev->let_go || g->ending || (!g->acting && !pb_guest_reconfigures(g)) ||
        pb_now_ms() - task->reset_started_ms > task->b->policy->limits.detach_timeout_ms)
        return PB_RUN_NEXT;
    pb_task_arm(task, 5, pb_task_repeat);
    return PB_RUN_WAIT;
}

static const struct pb_task_step finish_steps[] = {
    { "enter", enter, NULL }, { "await", await_settled, NULL },
    PB_STRIP_STEPS,           { "unreserve", pb_unreserve, NULL },
    { "part", part, NULL },   { "forget", forget, NULL },
};
static const struct pb_task_kind finish_kind = { "detach (begun before)", finish_steps,
                                                 PB_ARRAY_SIZE(finish_steps) };

static enum pb_run take_back(struct pb_task *task)
{
    struct pb_guest *g = task->guest;

    if (g->ending)
        return PB_RUN_NEXT;
    if (pb_guest_write(g, task) == PB_RUN_WAIT)
        return PB_RUN_WAIT;
    if (task->dev->node_state == PB_XENBUS_CLOSING)
        task->dev->node_state = PB_XENBUS_INITIALISED;
    if (give_up(task))
        return PB_RUN_WAIT;
    pb_guest_written(g);
    return PB_RUN_NEXT;
}

static enum pb_run kept(struct pb_task *task)
{
    task->phase = 0;
    task->dev->begun = 0;
    return PB_RUN_NEXT;
}

static const struct pb_task_step keep_steps[] = {
    { "enter", enter, NULL },
    { "take back", take_back, NULL },
    { "kept", kept, NULL },
};
static const struct pb_task_kind keep_kind = { "taking a detach back", keep_steps,
                                               PB_ARRAY_SIZE(keep_steps) };

/* --- */

static void start_on(struct pb_device *dev, const struct pb_task_kind *kind, pb_verb_fn done,
                     void *ctx)
{
    struct pb_task *task = pb_task_new(dev->b, kind, done, ctx);
    struct pb_failure failure = { 0 };

    if (!task) {
        pb_fail(&failure, PB_FAIL_INTERNAL, pb_device_text(dev), "", "out of memory");
        done(ctx, &failure);
        return;
    }
    if (dev->task && pb_attach_waits(dev->task)) {
        task->instead = dev->task;
        dev->task = task;
    }
    if (!dev->task)
        dev->task = task;
    task->dev = dev;
    task->domid = dev->guest->domid;
    task->phase = kind == &renew_kind  ? PB_JOURNAL_RENEWING
                  : kind == &keep_kind ? PB_JOURNAL_ASKED
                                       : PB_JOURNAL_DETACHING;
    pb_record_device(dev);
    (void)pb_sbdf_format(dev->sbdf, task->device_text);
    pb_task_start(task);
}

static void ended(void *ctx, const struct pb_failure *failure)
{
    struct pb_guest *g = ctx;

    if (failure)
        pb_err("%s: %s", failure->device, failure->reason);
    /* It was not begun; and the guest's page pins the domain until all are taken back. */
    if (failure && failure->code == PB_FAIL_INTERNAL && !TAILQ_EMPTY(&g->devices))
        pb_guest_end_again(g);
    if (g->xl)
        pb_xl_returned(g);
    pb_guest_drop(g);
}

void pb_detach_ended(struct pb_device *dev)
{
    pb_guest_hold(dev->guest);
    if (dev->guest->xl)
        pb_xl_returning(dev);
    start_on(dev, dev->guest->xl ? &pb_xl_return_kind : &end_kind, ended, dev->guest);
}

static void finished(void *ctx, const struct pb_failure *failure)
{
    struct pb_guest *g = ctx;

    if (failure)
        pb_err("%s: %s", failure->device, failure->reason);
    pb_guest_drop(g);
}

void pb_detach_finish(struct pb_device *dev)
{
    pb_guest_hold(dev->guest);
    start_on(dev, &finish_kind, finished, dev->guest);
}

void pb_detach_keep(struct pb_device *dev)
{
    pb_guest_hold(dev->guest);
    start_on(dev, &keep_kind, finished, dev->guest);
}

void pb_detach_renew(struct pb_device *dev, pb_verb_fn done, void *ctx)
{
    start_on(dev, &renew_kind, done, ctx);
}
