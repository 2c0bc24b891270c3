/* SPDX-License-Identifier: MIT */
#include "backend/flr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/failure.h"
#include "backend/guest.h"
#include "backend/interrupt.h"
#include "backend/machine.h"
#include "backend/profile.h"
#include "backend/record.h"
#include "backend/serve.h"
#include "backend/strip.h"
#include "base/log.h"
#include "pci/regs.h"

#define FAIL(task, code, next, ...)                                                             \
    (pb_fail(&(task)->failure, PB_FAIL_##code, pb_device_text((task)->dev), next, __VA_ARGS__), \
     PB_RUN_FAIL)

/* A place for the undo, which has to run whichever step failed. */
static enum pb_run begin(struct pb_task *task)
{
    (void)task;
    return PB_RUN_NEXT;
}

/*
 * Before the reset began the device is as it was: its guest is ending. Afterwards nobody knows what
 * it is, and its guest reads all ones until it is detached, or its frontend begins anew.
 */
static enum pb_run undo(struct pb_task *task)
{
    struct pb_device *dev = task->dev;

    if (dev->state != PB_DEVICE_RESETTING)
        return PB_RUN_NEXT;
    pb_device_set_cause(dev, "%s", task->failure.reason);
    pb_device_set_state(dev, PB_DEVICE_FAILED);
    return PB_RUN_NEXT;
}

static enum pb_run await_quiet(struct pb_task *task)
{
    struct pb_device *dev = task->dev;

    if (dev->guest->ending)
        return FAIL(task, STATE, "", "its guest ended before the reset that it asked for");
    if (pb_strip_await_access(task) == PB_RUN_WAIT)
        return PB_RUN_WAIT;
    if (dev->stop_script.running) {
        pb_task_arm(task, 5, pb_task_repeat);
        return PB_RUN_WAIT;
    }
    return PB_RUN_NEXT;
}

static void reset_done(struct pb_job *job, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_device *dev = task->dev;

    dev->resets++;
    dev->reset_ms = pb_now_ms() - task->reset_started_ms;
    if (job->rc) {
        /* The kernel may still hold it: one access of ours would wait with it (H6). */
        dev->stuck = job->rc == -ETIMEDOUT;
        pb_fail(&task->failure, job->rc == -ETIMEDOUT ? PB_FAIL_TIMEOUT : PB_FAIL_HOST,
                pb_device_text(dev), "detach it and look for the cause",
                "the reset that its guest asked for failed: %s", job->reason);
        pb_task_failed(task);
        return;
    }
    pb_task_next(task);
}

static enum pb_run reset(struct pb_task *task)
{
    struct pb_device *dev = task->dev;

    dev->cause[0] = '\0';
    pb_device_set_state(dev, PB_DEVICE_RESETTING);
    task->reset_started_ms = pb_now_ms();
    pb_task_reset(task, pb_profile_reset_name((enum pb_reset_method)task->reset_method),
                  reset_done);
    return PB_RUN_WAIT;
}

static void script_done(struct pb_script *s, void *ctx)
{
    struct pb_task *task = ctx;

    if (s->rc == 0) {
        pb_task_next(task);
        return;
    }
    pb_fail(&task->failure, PB_FAIL_HOST, pb_device_text(task->dev),
            "detach it and look for the cause",
            "it does not come back from the reset that its guest asked for (%s)", strerror(-s->rc));
    pb_task_failed(task);
}

/* Does the guest have the line, and nothing instead of it? A fresh guest's COMMAND says so. */
static bool line_is_used(const struct pb_device *dev)
{
    if (dev->interrupts.mode == PB_INTERRUPT_NONE)
        return dev->grants.gsi_mapped;
    return dev->profile->traits.keep_intx;
}

/* As the specification has it after a reset, but for decode, which is not the guest's (XSA-120). */
static enum pb_run restore(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    struct pb_script *s = &task->script;
    uint32_t decode =
        pb_le16(dev->facts.config + PCI_COMMAND) & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY);

    pb_script_begin(s, dev);
    if (!dev->facts.virtual_function)
        pb_script_expect(s, PCI_VENDOR_ID, 4, UINT32_MAX, pb_le32(dev->facts.config));
    pb_script_restore_image(
        s, (uint16_t)(decode | (line_is_used(dev) ? 0 : PCI_COMMAND_INTX_DISABLE)));
    if (dev->layout.pm)
        pb_script_modify(s, (uint16_t)(dev->layout.pm + PCI_PM_CTRL), 2,
                         PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS, 0);
    pb_script_run(s, script_done, task);
    return PB_RUN_WAIT;
}

static void verified(struct pb_script *s, void *ctx)
{
    struct pb_task *task = ctx;
    char text[160];

    if (s->rc == 0) {
        pb_task_next(task);
        return;
    }
    pb_fail(&task->failure, PB_FAIL_HOST, pb_device_text(task->dev),
            "detach it and look for the cause", "%s", pb_script_verdict(s, text, sizeof(text)));
    pb_task_failed(task);
}

/* Is all of it as it was at claim? */
static enum pb_run verify(struct pb_task *task)
{
    pb_script_begin(&task->script, task->dev);
    pb_script_verify(&task->script);
    pb_script_run(&task->script, verified, task);
    return PB_RUN_WAIT;
}

static void interrupts_lost(struct pb_script *s, void *ctx)
{
    struct pb_task *task = ctx;

    (void)s;
    pb_task_failed(task);
}

static void interrupts_restored(struct pb_script *s, void *ctx)
{
    struct pb_task *task = ctx;

    if (s->rc == 0) {
        pb_task_next(task);
        return;
    }
    pb_fail(&task->failure, PB_FAIL_HOST, pb_device_text(task->dev),
            "detach it and look for the cause",
            "its interrupts do not come back from the reset that its guest asked for (%s)",
            strerror(-s->rc));
    pb_script_begin(s, task->dev);
    pb_interrupt_script_lost(s);
    pb_script_run(s, interrupts_lost, task);
}

/* H8: only now, with BARs and COMMAND in place. */
static enum pb_run restore_interrupts(struct pb_task *task)
{
    struct pb_script *s = &task->script;

    if (task->dev->interrupts.count == 0)
        return PB_RUN_NEXT;
    pb_script_begin(s, task->dev);
    pb_interrupt_script_restore(s);
    pb_script_run(s, interrupts_restored, task);
    return PB_RUN_WAIT;
}

static enum pb_run done(struct pb_task *task)
{
    struct pb_device *dev = task->dev;

    pb_view_reset(&dev->view);
    pb_record_shadow(dev);
    dev->guest_resets++;
    pb_device_set_state(dev, PB_DEVICE_ASSIGNED);
    return PB_RUN_NEXT;
}

static const struct pb_task_step steps[] = {
    { "begin", begin, undo },   { "await", await_quiet, NULL },
    { "reset", reset, NULL },   { "restore", restore, NULL },
    { "verify", verify, NULL }, { "interrupts", restore_interrupts, NULL },
    { "done", done, NULL },
};
static const struct pb_task_kind kind = { "reset by the guest", steps, PB_ARRAY_SIZE(steps) };

bool pb_flr_is(const struct pb_task *task)
{
    return task->kind == &kind;
}

/* However it ended: what the guest asked for meanwhile has waited long enough. */
static void over(void *ctx, const struct pb_failure *failure)
{
    struct pb_device *dev = ctx;

    (void)failure;
    if (dev->b->stopping)
        return; /* the next process does it again */
    dev->flr = false;
    pb_record_device(dev);
    if (dev->guest)
        pb_serve_unpark(dev->guest, dev);
}

/* A guest must not keep a verb waiting by one reset after the other. */
static bool is_awaited(const struct pb_device *dev)
{
    const struct pb_task *task;

    TAILQ_FOREACH (task, &dev->b->tasks, link) {
        if (task->dev == dev)
            return true;
    }
    return false;
}

static bool may_begin(struct pb_device *dev, enum pb_reset_method method)
{
    unsigned suppressed;

    return !dev->task && !is_awaited(dev) && !dev->guest->ending &&
           dev->state == PB_DEVICE_ASSIGNED && dev->policy.reset != PB_RESET_NONE &&
           pb_profile_may_reset_by(dev, method) &&
           pb_ratelimit_allow(&dev->flr_limit, pb_now_ms(), PB_FLR_BURST, PB_FLR_WINDOW_MS,
                              &suppressed);
}

static bool start(struct pb_device *dev, enum pb_reset_method method)
{
    struct pb_task *task = pb_task_new(dev->b, &kind, over, dev);

    if (!task)
        return false;
    dev->flr = true;
    dev->flr_method = (uint8_t)method;
    dev->task = task;
    task->dev = dev;
    task->domid = dev->guest->domid;
    task->reset_method = (uint8_t)method;
    (void)pb_sbdf_format(dev->sbdf, task->device_text);
    /* At least once, from here on: whoever dies before the device is back does not know how far the
     * reset came, and a second one leaves it as the first does. */
    pb_record_device(dev);
    pb_task_start(task);
    return true;
}

int pb_flr_begin(struct pb_device *dev, enum pb_reset_method method)
{
    dev->guest->counters.guest_resets++;
    if (!may_begin(dev, method) || !start(dev, method)) {
        dev->guest->counters.refused_resets++;
        return -EBUSY;
    }
    return 0;
}

void pb_flr_again(struct pb_device *dev)
{
    enum pb_reset_method method = (enum pb_reset_method)dev->flr_method;

    if (!dev->task && start(dev, method))
        return;
    /* It is being taken back, which resets it; or there is no memory, and only that is left. */
    dev->flr = false;
    if (!dev->task) {
        pb_device_set_cause(dev, "its guest's reset could not be done again: out of memory");
        pb_device_set_state(dev, PB_DEVICE_FAILED);
    }
}
