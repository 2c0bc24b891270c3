/* SPDX-License-Identifier: MIT */
/*
 * reset: a device that no guest has, made as it was at claim; also one that failed, if it can be
 * verified then.
 */
#include <errno.h>
#include <string.h>

#include "backend/failure.h"
#include "backend/guest.h"
#include "backend/machine.h"
#include "backend/profile.h"
#include "backend/record.h"
#include "backend/strip.h"

#define FAIL(task, code, next, ...) \
    (pb_fail(&(task)->failure, PB_FAIL_##code, (task)->device_text, next, __VA_ARGS__), PB_RUN_FAIL)

/* Before anything of it is touched. */
static enum pb_run may_reset(struct pb_task *task)
{
    const struct pb_device *dev = task->dev;
    char methods[PB_RESET_METHODS_TEXT], why[100] = "it has no reset method";

    if (dev->policy.reset == PB_RESET_NONE)
        return FAIL(task, REFUSED, "change `reset` of the device in the configuration",
                    "the configuration forbids resetting it");
    if (!dev->facts.reset_methods[0] || pb_strip_reset_methods(dev, methods, why, sizeof(why)) != 0)
        return FAIL(task, REFUSED, "release it, and see `why`", "%s", why);
    task->was_failed = dev->state == PB_DEVICE_FAILED;
    task->phase = PB_JOURNAL_RENEWING;
    return PB_RUN_NEXT;
}

static enum pb_run find(struct pb_task *task)
{
    struct pb_sbdf sbdf;
    bool is_address;
    struct pb_device *dev = pb_device_resolve(task->b, task->device_text, &is_address, &sbdf);
    char who[PB_TAINT_TEXT];

    if (!dev)
        return FAIL(task, NOT_FOUND, "see `pcibackctl list`",
                    is_address ? "the device is not claimed" : "no device has this name");
    if (!pb_task_take_device(task, dev))
        return PB_RUN_FAIL;
    if (dev->guest)
        return FAIL(task, STATE, "detach it first", "domain %u (%s) has it", dev->guest->domid,
                    dev->guest->name);
    if (dev->adopted)
        return FAIL(task, STATE, "xl pci-assignable-remove", "the toolstack has claimed it");
    if (dev->state == PB_DEVICE_ABSENT)
        return FAIL(task, STATE, "see `lspci -D`; a listed slot is claimed as soon as it appears",
                    "it is not in the machine");
    if (dev->state != PB_DEVICE_CLAIMED && dev->state != PB_DEVICE_FAILED)
        return FAIL(task, STATE, "pcibackctl claim DEVICE", "the device is %s",
                    pb_device_state_name(dev->state));
    if (pb_device_tainted(dev))
        return FAIL(task, REFUSED, "wait until that domain is gone",
                    "it was taken from %s and may hold its memory",
                    pb_taint_text(dev, PB_TAINT_NOBODY, who, sizeof(who)));
    return may_reset(task);
}

static void there(struct pb_job *job, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_device *dev = task->dev;

    if (job->rc) {
        pb_fail(&task->failure, job->rc == -ETIMEDOUT ? PB_FAIL_TIMEOUT : PB_FAIL_HOST,
                task->device_text, "see the kernel's log", "%s", job->reason);
        pb_task_failed(task);
        return;
    }
    dev->stuck = false; /* the kernel lets go of it again */
    dev->failing = false;
    dev->taken_back = false;
    pb_task_next(task);
}

/* A device that hangs in an earlier reset answers this later than its deadline. */
static enum pb_run look(struct pb_task *task)
{
    pb_task_job(task, PB_JOB_PROBE, there);
    return PB_RUN_WAIT;
}

/* Somebody else's driver has it, and does not let it go. */
static enum pb_run check_held(struct pb_task *task)
{
    if (task->hold_rc)
        return FAIL(task, HOST, "see the kernel's log", "%s", task->dev->cause);
    return PB_RUN_NEXT;
}

/* A device that failed is good again only if it was reset, and is what it was at claim. */
static enum pb_run settle(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    struct pb_xen *xen = dev->b->xen;

    if (pb_strip_quarantine(dev) == -EBUSY &&
        xen->ops->device_test(xen, PB_DOMID_IO, dev->sbdf) == -EBUSY) {
        pb_device_set_cause(dev, "Xen says that a guest has it");
        dev->failing = true;
    }
    if (task->reset_rc && task->was_failed && !dev->failing) {
        pb_device_set_cause(dev, "reset failed: %s", task->job.reason);
        dev->failing = true;
    }
    pb_device_set_state(dev, dev->failing ? PB_DEVICE_FAILED : PB_DEVICE_CLAIMED);
    if (dev->failing)
        return FAIL(task, HOST, "power the machine off and on, or release it", "%s", dev->cause);
    if (task->reset_rc)
        return FAIL(task, HOST, "see the kernel's log", "%s", task->job.reason);
    return PB_RUN_NEXT;
}

static const struct pb_task_step steps[] = {
    { "find", find, NULL },
    { "look", look, NULL },
    { "hold", pb_strip_hold, NULL },
    { "held", check_held, NULL },
    { "quiet", pb_strip_quiet, NULL },
    { "reset", pb_strip_reset, NULL },
    { "restore", pb_strip_restore, NULL },
    { "settle", settle, NULL },
};
static const struct pb_task_kind kind = { "reset", steps, PB_ARRAY_SIZE(steps) };

void pb_backend_reset(struct pb_backend *b, const char *dev, pb_verb_fn done, void *ctx)
{
    (void)pb_task_verb(b, &kind, dev, false, done, ctx);
}
