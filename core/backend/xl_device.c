/* SPDX-License-Identifier: MIT */
/*
 * A device of a guest of the toolstack's, from its entry in the directory to its end. The
 * toolstack has reserved, reset, assigned and granted it before it writes the entry; and when it
 * takes the device away, it has revoked, reset and deassigned it before it says so. What is left to
 * us: the device is bound to pciback and is what it should be, its registers are quiet when a guest
 * gets it, and it comes back without interrupts and DMA, reset and restored by us, too: whether
 * xl's reset worked nobody knows.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/attach.h"
#include "backend/claim.h"
#include "backend/denied.h"
#include "backend/detach.h"
#include "backend/failure.h"
#include "backend/grants.h"
#include "backend/groups.h"
#include "backend/guest.h"
#include "backend/interrupt.h"
#include "backend/profile.h"
#include "backend/record.h"
#include "backend/strip.h"
#include "backend/xl_dir.h"
#include "base/log.h"

#define STUB "pciback" /* the driver that xl binds to */

#define FAIL(task, code, next, ...) \
    (pb_fail(&(task)->failure, PB_FAIL_##code, (task)->device_text, next, __VA_ARGS__), PB_RUN_FAIL)

/* --- errands --- */

struct pb_xl_errand *pb_xl_errand_of(const struct pb_xl_dir *dir, struct pb_sbdf sbdf)
{
    struct pb_xl_errand *errand;

    TAILQ_FOREACH (errand, &dir->errands, link) {
        if (pb_sbdf_equal(errand->sbdf, sbdf))
            return errand;
    }
    return NULL;
}

void pb_xl_errand_forget(struct pb_xl_errand *errand)
{
    TAILQ_REMOVE(&errand->dir->errands, errand, link);
    free(errand);
}

bool pb_xl_busy(const struct pb_xl_dir *dir)
{
    const struct pb_xl_errand *errand;

    TAILQ_FOREACH (errand, &dir->errands, link) {
        if (!errand->failed)
            return true;
    }
    return dir->returning > 0;
}

static void prepared(void *ctx, const struct pb_failure *failure)
{
    struct pb_xl_errand *errand = ctx;
    struct pb_xl_dir *dir = errand->dir;
    struct pb_guest *g = dir->g;

    errand->failed = failure != NULL;
    if (failure)
        (void)snprintf(errand->reason, sizeof(errand->reason), "%s%s%s", failure->reason,
                       failure->next[0] ? "; next: " : "", failure->next);
    else
        pb_xl_errand_forget(errand);
    if (dir->b->stopping)
        return;
    pb_xl_look(dir);
    if (g)
        pb_guest_drop(g);
}

/* --- the device becomes the guest's --- */

static struct pb_xl_errand *errand_of(const struct pb_task *task)
{
    return task->ctx;
}

/* NULL: its guest ends. */
static struct pb_guest *guest_of(const struct pb_task *task)
{
    struct pb_guest *g = errand_of(task)->dir->g;

    return g && !g->ending && g->nodes_exist ? g : NULL;
}

/*
 * Another guest of xl's has it, and xl gives it on: that guest did not answer in time. It has lost
 * the device in Xen already.
 */
static bool was_abandoned(const struct pb_task *task, const struct pb_device *dev)
{
    return dev->guest->xl && dev->guest != errand_of(task)->dir->g &&
           (dev->node_state == PB_XENBUS_CLOSING || dev->leaving || dev->guest->ending);
}

static bool wait_for(struct pb_task *task)
{
    if (pb_now_ms() - errand_of(task)->begun_ms > task->b->policy->limits.reset_timeout_ms)
        return false;
    pb_task_arm(task, 5, pb_task_repeat);
    return true;
}

static enum pb_run in_use(struct pb_task *task, const struct pb_device *dev)
{
    if (dev->task)
        return FAIL(task, STATE, "attach it again", "%s of this device is under way",
                    dev->task->kind->name);
    return FAIL(task, STATE, "detach it there", "domain %u (%s) has it", dev->guest->domid,
                dev->guest->name);
}

/* xl's own policy would give it on; but the memory of the guest that had it may still reach it. */
static enum pb_run check_taint(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    char who[PB_TAINT_TEXT];
    bool room = pb_taint_make_room(dev, task->domid);

    (void)pb_taint_text(dev, task->domid, who, sizeof(who));
    if (!room)
        return FAIL(task, REFUSED, "end one of these domains, then detach and attach it again",
                    "it was taken from %s: no more of them can be remembered", who);
    if (!pb_taint_by_others(dev, task->domid))
        return PB_RUN_NEXT;
    if (!dev->policy.reassign_while_alive)
        return FAIL(task, REFUSED,
                    "end that domain, or set reassign_while_alive of the device, then detach and "
                    "attach it again",
                    "it was taken from %s and may hold its memory", who);
    pb_warn("%s: given on although it was taken from %s: reassign_while_alive is set",
            pb_device_text(dev), who);
    return PB_RUN_NEXT;
}

static enum pb_run check_state(struct pb_task *task)
{
    struct pb_device *dev = task->dev;

    switch (dev->state) {
    case PB_DEVICE_ABSENT:
    case PB_DEVICE_PRESENT:
        return check_taint(task);
    case PB_DEVICE_CLAIMED:
        if (strcmp(dev->driver_now, STUB) == 0)
            return check_taint(task);
        return FAIL(task, STATE, "release it, or claim it with driver " STUB,
                    "it is claimed, with driver %s", dev->driver_now);
    case PB_DEVICE_FAILED:
        return FAIL(task, STATE, "release it, find the cause, attach it again",
                    "the device failed: %s", dev->cause);
    case PB_DEVICE_ASSIGNED:
    case PB_DEVICE_RESETTING:
    case PB_DEVICE_STATE_COUNT:
    default:
        return FAIL(task, STATE, "attach it again", "the device is %s",
                    pb_device_state_name(dev->state));
    }
}

static enum pb_run find(struct pb_task *task)
{
    struct pb_device *dev = pb_device_admit(task->b, errand_of(task)->sbdf, &task->failure);

    if (!dev)
        return PB_RUN_FAIL;
    if (!guest_of(task))
        return FAIL(task, STATE, "", "the guest ended meanwhile");
    if (!dev->task && dev->guest && was_abandoned(task, dev)) {
        pb_notice("%s: xl gives it on; domain %u never let go of it", pb_device_text(dev),
                  dev->guest->domid);
        pb_xl_return(dev);
    }
    if (dev->task || dev->guest) {
        bool ends = dev->task || was_abandoned(task, dev);

        return ends && wait_for(task) ? PB_RUN_WAIT : in_use(task, dev);
    }
    task->dev = dev;
    dev->task = task;
    return check_state(task);
}

static void forget_adopted(struct pb_device *dev)
{
    if (!dev->adopted)
        return;
    if (dev->hw)
        dev->b->host->ops->hw_close(dev->b->host, dev->hw);
    dev->hw = NULL;
    dev->adopted = false;
    pb_profile_put(dev, NULL);
    pb_denied_clear(dev);
    pb_record_released(dev);
}

static enum pb_run unopen(struct pb_task *task)
{
    forget_adopted(task->dev);
    return PB_RUN_NEXT;
}

static void opened(struct pb_job *job, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_device *dev = task->dev;

    if (job->rc) {
        pb_fail(&task->failure, PB_FAIL_HOST, task->device_text, "see `xl pci-assignable-list`",
                "%s", job->reason);
        pb_task_failed(task);
        return;
    }
    dev->surroundings = job->surroundings;
    pb_claim_took(dev, job);
    pb_device_set_state(dev, PB_DEVICE_PRESENT);
    if (strcmp(dev->driver_now, STUB) != 0) {
        pb_fail(&task->failure, PB_FAIL_STATE, task->device_text, "xl pci-assignable-add",
                "driver \"%s\" has it, not " STUB, dev->driver_now);
        pb_task_failed(task);
        return;
    }
    pb_task_next(task);
}

static enum pb_run open_it(struct pb_task *task)
{
    if (task->dev->state == PB_DEVICE_CLAIMED)
        return PB_RUN_NEXT;
    task->dev->adopted = true;
    pb_task_job(task, PB_JOB_OPEN, opened);
    return PB_RUN_WAIT;
}

static enum pb_run identity(struct pb_task *task)
{
    return task->dev->adopted ? pb_claim_identity(task) : pb_attach_check_hardware(task);
}

static enum pb_run examine(struct pb_task *task)
{
    return task->dev->adopted ? pb_claim_examine(task) : PB_RUN_NEXT;
}

/*
 * What a claim refuses without --force. xl has none: instead the configuration has to allow it. The
 * host has let go of the device already, and xen-pciback itself protects virtual functions.
 */
static enum pb_run check_surroundings(struct pb_task *task)
{
    const struct pb_device *dev = task->dev;
    const struct pb_surroundings *around = &dev->surroundings;

    if (!dev->adopted || (dev->policy.has_assign && dev->policy.assign == PB_ASSIGN_ALLOW))
        return PB_RUN_NEXT;
    if (around->port[0])
        return FAIL(task, REFUSED,
                    "set `assign` of the device to \"allow\" if it is never pulled while a guest "
                    "has it",
                    "it can be pulled out of port %s, which crashes the host while a guest has it",
                    around->port);
    if (around->virtual_functions)
        return FAIL(task, REFUSED, "write 0 to its sriov_numvfs",
                    "%u of its virtual functions are enabled", around->virtual_functions);
    return PB_RUN_NEXT;
}

/* xl has no --force: what only advises is told, what the operator forbids is forbidden. */
static enum pb_run may_assign(struct pb_task *task)
{
    struct pb_assign_rule rule = pb_profile_assign(task->dev);

    if (rule.by_operator && rule.assign == PB_ASSIGN_DENY)
        return FAIL(task, REFUSED, "change `assign` of the device in the configuration",
                    "the configuration denies assigning it");
    if (rule.assign != PB_ASSIGN_ALLOW)
        pb_warn("%s: xl gives it to domain %u although %s%s%s", pb_device_text(task->dev),
                task->domid, rule.by_operator ? "the configuration warns of that" : "quirk ",
                rule.quirk, rule.by_operator ? "" : " warns of that");
    task->options.force = true;
    return pb_groups_check(task);
}

/* QEMU has the device of an HVM guest: we do not write to it before it is back. */
static bool is_qemus(const struct pb_task *task)
{
    return errand_of(task)->dir->hvm;
}

static enum pb_run quiet(struct pb_task *task)
{
    return is_qemus(task) ? PB_RUN_NEXT : pb_claim_quiet(task);
}

static enum pb_run link_device(struct pb_task *task)
{
    const struct pb_xl_errand *errand = errand_of(task);
    struct pb_guest *g = guest_of(task);
    struct pb_device *dev = task->dev;

    if (!g)
        return FAIL(task, STATE, "", "the guest ended meanwhile");
    if (pb_vslots_add(&g->slots, g->topology, dev->sbdf, dev->facts.virtual_function,
                      errand->wanted, &dev->vaddr) != 0)
        return FAIL(task, LIMIT, "detach another device", "the guest's virtual bus is full");
    dev->has_vaddr = true;
    dev->failing = false;
    dev->cause[0] = '\0';
    dev->quarantined = false; /* xl has taken it out */
    dev->permissive_asked = errand->permissive;
    dev->permissive = dev->policy.permissive || dev->permissive_asked;
    dev->node = -1;
    dev->leaving = false;
    task->phase = PB_JOURNAL_ATTACHING;
    pb_guest_link(g, dev);
    pb_grants_note(dev);
    return PB_RUN_NEXT;
}

static enum pb_run unlink_device(struct pb_task *task)
{
    struct pb_device *dev = task->dev;

    memset(&dev->grants, 0, sizeof(dev->grants)); /* they stay the toolstack's */
    pb_guest_unlink(dev);
    return PB_RUN_NEXT;
}

static enum pb_run plug(struct pb_task *task)
{
    return is_qemus(task) ? PB_RUN_NEXT : pb_attach_plug(task);
}

static enum pb_run enable(struct pb_task *task)
{
    return is_qemus(task) ? PB_RUN_NEXT : pb_attach_enable(task);
}

static enum pb_run ready(struct pb_task *task)
{
    struct pb_device *dev = task->dev;

    task->phase = 0;
    dev->ready = true;
    pb_device_set_state(dev, PB_DEVICE_ASSIGNED);
    return PB_RUN_NEXT;
}

static const struct pb_task_step prepare_steps[] = {
    { "find", find, unopen },
    { "open", open_it, NULL },
    { "identity", identity, NULL },
    { "examine", examine, NULL },
    { "surroundings", check_surroundings, NULL },
    { "policy", may_assign, NULL },
    { "quiet", quiet, NULL },
    /* With the baseline that a later process needs, which has decode on (XSA-120). */
    { "record", pb_claim_record, NULL },
    { "link", link_device, unlink_device },
    { "plugins", plug, NULL },
    { "enable", enable, NULL },
    { "ready", ready, NULL },
};
static const struct pb_task_kind prepare_kind = { "attach by xl", prepare_steps,
                                                  PB_ARRAY_SIZE(prepare_steps) };

void pb_xl_prepare(struct pb_xl_dir *dir, const struct pb_xl_entry *e)
{
    struct pb_xl_errand *errand = calloc(1, sizeof(*errand));
    struct pb_task *task = errand ? pb_task_new(dir->b, &prepare_kind, prepared, errand) : NULL;

    if (!task) {
        pb_err("domain %u: out of memory", dir->domid);
        free(errand);
        pb_xl_retry(dir);
        return;
    }
    errand->dir = dir;
    errand->sbdf = e->sbdf;
    errand->permissive = e->permissive;
    errand->wanted = e->wanted;
    errand->begun_ms = pb_now_ms();
    TAILQ_INSERT_TAIL(&dir->errands, errand, link);
    pb_guest_hold(dir->g);
    task->domid = dir->domid;
    (void)pb_sbdf_format(e->sbdf, task->device_text);
    pb_task_start(task);
}

/* --- and comes back --- */

void pb_xl_return(struct pb_device *dev)
{
    if (!dev->leaving)
        pb_detach_ended(dev);
}

void pb_xl_returning(struct pb_device *dev)
{
    dev->leaving = true;
    dev->guest->dir->returning++;
}

void pb_xl_returned(struct pb_guest *g)
{
    g->dir->returning--;
    if (!g->b->stopping)
        pb_xl_look(g->dir);
}

static enum pb_run begin_return(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    struct pb_xen *xen = dev->b->xen;

    if (dev->task != task && (!dev->guest || dev->guest->domid != task->domid || !dev->leaving)) {
        task->dev = NULL;
        return PB_RUN_END; /* it is back already */
    }
    if (dev->task && dev->task != task) {
        pb_task_arm(task, 5, pb_task_repeat);
        return PB_RUN_WAIT;
    }
    dev->task = task;
    task->phase = PB_JOURNAL_DETACHING;
    dev->node_state = PB_XENBUS_CLOSING;
    if (pb_strip_revoke(task) == PB_RUN_WAIT)
        return PB_RUN_WAIT;
    /* xl may have given it to another guest already, with its memory: then decode stays on
     * (XSA-120). */
    dev->ready = xen->ops->device_test(xen, PB_DOMID_IO, dev->sbdf) == -EBUSY;
    return PB_RUN_NEXT;
}

static void whose_is_it(struct pb_job *job, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_device *dev = task->dev;

    if (job->rc || strcmp(job->driver_now, STUB) == 0) {
        pb_task_next(task); /* what does not answer fails where it matters */
        return;
    }
    pb_device_set_cause(dev, "driver \"%s\" took it from " STUB " while domain %u had it",
                        job->driver_now, dev->guest->domid);
    pb_fail(&task->failure, PB_FAIL_HOST, task->device_text, "reset it by hand", "%s", dev->cause);
    pb_task_failed(task);
}

/* A device that a driver of the host's has is not reset under its feet. */
static enum pb_run look_at_driver(struct pb_task *task)
{
    pb_task_job(task, PB_JOB_PROBE, whose_is_it);
    return PB_RUN_WAIT;
}

static void give_back(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    bool adopted = dev->adopted;

    if (!pb_interrupt_unmap(dev)) {
        pb_device_set_cause(dev, "Xen keeps interrupts of it mapped to domain %u",
                            dev->guest->domid);
        dev->failing = true;
    }
    if (!dev->let_go)
        pb_taint(dev);
    if (adopted)
        forget_adopted(dev);
    else
        (void)pb_strip_deassign(task);
    dev->leaving = false;
    dev->ready = false;
    if (adopted) {
        dev->adopted = dev->failing; /* until `release` forgets why */
        pb_device_set_state(dev, dev->failing ? PB_DEVICE_FAILED : PB_DEVICE_PRESENT);
    }
    pb_guest_unlink(dev);
}

static enum pb_run returned(struct pb_task *task)
{
    give_back(task);
    return PB_RUN_NEXT;
}

static enum pb_run not_returned(struct pb_task *task)
{
    task->dev->failing = true;
    give_back(task);
    return PB_RUN_NEXT;
}

static const struct pb_task_step return_steps[] = {
    { "begin", begin_return, not_returned }, { "driver", look_at_driver, NULL },
    { "quiet", pb_strip_quiet, NULL },       { "reset", pb_strip_reset, NULL },
    { "restore", pb_strip_restore, NULL },   { "returned", returned, NULL },
};
const struct pb_task_kind pb_xl_return_kind = { "return from xl's guest", return_steps,
                                                PB_ARRAY_SIZE(return_steps) };

void pb_xl_adopt_undo(struct pb_device *dev)
{
    bool adopted = dev->adopted;

    memset(&dev->grants, 0, sizeof(dev->grants)); /* they stay the toolstack's */
    pb_guest_unlink(dev);
    forget_adopted(dev);
    pb_device_set_state(dev, adopted ? PB_DEVICE_PRESENT : PB_DEVICE_CLAIMED);
}

void pb_xl_adopt_return(struct pb_device *dev)
{
    pb_xl_return(dev);
}

/* --- when the frontend is told --- */

static void take_unplugged(struct pb_guest *g)
{
    struct pb_device *dev;

    TAILQ_FOREACH (dev, &g->devices, sibling) {
        if (dev->node_state != PB_XENBUS_CLOSING)
            continue;
        dev->serving = false; /* the guest has removed it */
        dev->let_go = true;
        pb_xl_return(dev);
    }
}

bool pb_xl_may(struct pb_guest *g, enum pb_xenbus_action action)
{
    struct pb_xl_dir *dir = g->dir;

    if (dir->hvm && action != PB_ACT_SETUP && action != PB_ACT_RESCAN && action != PB_ACT_RELEASE)
        return action == PB_ACT_NONE || action == PB_ACT_IGNORE;
    switch (action) {
    case PB_ACT_RECONFIGURE:
        if (dir->unread)
            return false; /* the guest would look for what xl has revoked already */
        take_unplugged(g);
        return !pb_xl_busy(dir);
    case PB_ACT_SETUP:
    case PB_ACT_RESCAN:
        return !dir->unread && !pb_xl_busy(dir);
    case PB_ACT_NONE:
    case PB_ACT_IGNORE:
    case PB_ACT_CONNECT:
    case PB_ACT_SETTLE:
    case PB_ACT_CLOSE:
    case PB_ACT_CLOSING:
    case PB_ACT_REOPEN:
    case PB_ACT_RELEASE:
    case PB_ACT_COUNT:
    default:
        return true;
    }
}
