/* SPDX-License-Identifier: MIT */
#include "backend/strip.h"

#include <errno.h>
#include <string.h>

#include "backend/failure.h"
#include "backend/grants.h"
#include "backend/guest.h"
#include "backend/interrupt.h"
#include "backend/machine.h"
#include "backend/profile.h"
#include "backend/serve.h"
#include "base/log.h"
#include "pci/regs.h"

/* What a device must never keep from a guest: DMA, and errors that reach the host (XSA-120). */
#define COMMAND_OFF (PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR)

enum pb_run pb_strip_await_access(struct pb_task *task)
{
    if (!pb_serve_accesses(task->dev))
        return PB_RUN_NEXT;
    /* An access of the guest's is with the hardware: nothing may overtake it. */
    pb_task_arm(task, 5, pb_task_repeat);
    return PB_RUN_WAIT;
}

enum pb_run pb_strip_revoke(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    int rc;

    dev->serving = false;
    dev->ready = false;
    if (!dev->guest)
        return PB_RUN_NEXT;
    if (pb_strip_await_access(task) == PB_RUN_WAIT)
        return PB_RUN_WAIT;
    dev->failing = false;
    rc = pb_grants_revoke(dev);
    /* A domain that is gone has nothing left to revoke. */
    if (rc && pb_guest_lives(dev->b, dev->guest->domid, dev->guest->handle)) {
        pb_device_set_cause(dev, "domain %u keeps a permission for it: %s", dev->guest->domid,
                            strerror(-rc));
        pb_warn("%s: %s", pb_device_text(dev), dev->cause);
        dev->failing = true;
        dev->let_go = false; /* so that it is tainted, too */
    }
    return PB_RUN_NEXT;
}

static void script_done(struct pb_script *s, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_device *dev = task->dev;

    if (s->rc) {
        /* The remaining steps still run: deassigning protects the host even from a dead device. */
        pb_device_set_cause(dev, "configuration space does not answer (%s)", strerror(-s->rc));
        pb_warn("%s: %s", pb_device_text(dev), dev->cause);
        if (dev->state == PB_DEVICE_RESETTING)
            dev->failing = true;
    }
    pb_task_next(task);
}

static uint32_t decode_bits(const struct pb_device *dev)
{
    return pb_le16(dev->facts.config + PCI_COMMAND) & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
}

void pb_script_wake(struct pb_script *s)
{
    struct pb_device *dev = s->dev;
    uint32_t decode = decode_bits(dev);

    if (dev->layout.pm) {
        uint16_t pmcsr = (uint16_t)(dev->layout.pm + PCI_PM_CTRL);

        pb_script_modify(s, pmcsr, 2, PCI_PM_CTRL_STATE | PCI_PM_CTRL_PME_STATUS, 0);
        /* D3hot to D0 takes 10 ms (PCI PM 1.2, 5.4); which state it was in is the guest's secret */
        pb_script_pause(s, dev->profile ? dev->profile->map->d3_delay_ms : 10);
        if (!dev->layout.no_soft_reset)
            pb_script_restore_image(s, (uint16_t)(decode | PCI_COMMAND_INTX_DISABLE));
    }
    pb_script_modify(s, PCI_COMMAND, 2, 0, decode);
}

/* D0 and decode on: unmapping MSI-X in any other state leaves MASKALL behind (H7, XT 5). */
static void append_wake(struct pb_script *s)
{
    pb_script_modify(s, PCI_COMMAND, 2, COMMAND_OFF, PCI_COMMAND_INTX_DISABLE);
    pb_script_wake(s);
    if (s->dev->layout.pm && s->dev->layout.no_soft_reset)
        pb_script_restore_image(s, (uint16_t)(decode_bits(s->dev) | PCI_COMMAND_INTX_DISABLE));
    pb_script_modify(s, PCI_COMMAND, 2, COMMAND_OFF, PCI_COMMAND_INTX_DISABLE);
}

static void quieted(struct pb_script *s, void *ctx)
{
    /* A device that does not answer still has its pirqs in Xen, for the next owner to trip over. */
    if (s->dev->guest && !pb_interrupt_unmap(s->dev)) {
        pb_device_set_cause(s->dev, "Xen keeps interrupts of it mapped to domain %u",
                            s->dev->guest->domid);
        s->dev->failing = true;
    }
    script_done(s, ctx);
}

enum pb_run pb_strip_quiet(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    struct pb_script *s = &task->script;

    if (!dev->failing)
        dev->cause[0] = '\0';
    pb_device_set_state(dev, PB_DEVICE_RESETTING);
    pb_script_begin(s, dev);
    append_wake(s);
    if (dev->guest)
        pb_interrupt_script_off(s);
    if (!dev->ready && !dev->failing)
        pb_interrupt_script_prepare_anew(s);
    /* A guest that keeps the device may touch its memory at any time: decode stays on (XSA-120). */
    if (!dev->ready)
        pb_script_modify(s, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | COMMAND_OFF,
                         PCI_COMMAND_INTX_DISABLE);
    pb_script_run(s, quieted, task);
    return PB_RUN_WAIT;
}

static void reset_done(struct pb_job *job, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_device *dev = task->dev;

    dev->resets++;
    dev->reset_ms = pb_now_ms() - task->reset_started_ms;
    if (job->rc == 0) {
        if (pb_guest_may_log(dev->guest))
            pb_info("%s: reset in %llu ms", pb_device_text(dev), (unsigned long long)dev->reset_ms);
    } else if (job->rc == -ENOTTY && dev->policy.reset != PB_RESET_REQUIRED) {
        pb_debug("%s: %s", pb_device_text(dev), job->reason);
    } else if (job->rc == -ENOTTY || job->rc == -ETIMEDOUT || job->rc == -ENODEV ||
               dev->policy.reset == PB_RESET_REQUIRED) {
        pb_device_set_cause(dev, "reset failed: %s", job->reason);
        dev->failing = true;
        /* The kernel may still hold it: one access of ours would wait with it (H6). */
        dev->stuck = job->rc == -ETIMEDOUT;
    } else {
        pb_warn("%s: reset failed: %s; going on, its policy is best-effort", pb_device_text(dev),
                job->reason);
    }
    pb_task_next(task);
}

/* As a device without any: what is forbidden is not tried. */
static enum pb_run no_method_left(struct pb_device *dev)
{
    if (dev->policy.reset != PB_RESET_REQUIRED)
        return PB_RUN_NEXT;
    pb_device_set_cause(dev, "reset failed: a quirk forbids every method that it has");
    dev->failing = true;
    return PB_RUN_NEXT;
}

enum pb_run pb_strip_reset(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    char methods[PB_RESET_METHODS_TEXT];

    if (dev->policy.reset == PB_RESET_NONE)
        return PB_RUN_NEXT;
    if (dev->stuck) {
        dev->failing = true; /* the kernel still holds it in the reset before */
        return PB_RUN_NEXT;
    }
    pb_device_set_state(dev, PB_DEVICE_RESETTING);
    task->reset_started_ms = pb_now_ms();
    if (pb_profile_reset_methods(dev, methods) != 0)
        return no_method_left(dev);
    pb_task_reset(task, methods, reset_done);
    return PB_RUN_WAIT;
}

void pb_script_restore_image(struct pb_script *s, uint16_t command)
{
    const uint8_t *image = s->dev->facts.config;

    for (uint16_t at = PCI_BAR0; at < PCI_CARDBUS_CIS; at = (uint16_t)(at + 4))
        pb_script_write(s, at, 4, pb_le32(image + at));
    pb_script_write(s, PCI_ROM_ADDRESS, 4, pb_le32(image + PCI_ROM_ADDRESS));
    pb_script_write(s, PCI_CACHE_LINE_SIZE, 1, image[PCI_CACHE_LINE_SIZE]);
    pb_script_write(s, PCI_LATENCY_TIMER, 1, image[PCI_LATENCY_TIMER]);
    pb_script_modify(s, PCI_COMMAND, 2, UINT16_MAX, command);
}

/* After the reset: is it still the same device? Then its registers as they were at claim. */
enum pb_run pb_strip_restore(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    struct pb_script *s = &task->script;

    pb_script_begin(s, dev);
    pb_script_restore_image(
        s, (uint16_t)(PCI_COMMAND_INTX_DISABLE | (dev->ready ? decode_bits(dev) : 0)));
    pb_script_run(s, script_done, task);
    return PB_RUN_WAIT;
}

int pb_strip_quarantine(struct pb_device *dev)
{
    int rc = dev->b->xen->ops->device_assign(dev->b->xen, PB_DOMID_IO, dev->sbdf);

    if (rc == -EALREADY)
        rc = 0;
    if (rc && dev->quarantined)
        pb_warn("%s: quarantine: %s", pb_device_text(dev), strerror(-rc));
    dev->quarantined = rc == 0;
    return rc;
}

/* "Not on that domain's list": Xen takes a dying domain's devices before it shows as dying (H20).
 */
static bool says_not_there(int rc)
{
    return rc == -ENODEV || rc == -ESRCH || rc == -EINVAL;
}

enum pb_run pb_strip_deassign(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    struct pb_xen *xen = dev->b->xen;
    int rc = 0, quarantine;

    if (dev->assigned_in_xen)
        rc = xen->ops->device_deassign(xen, dev->guest->domid, dev->sbdf);
    /* Xen puts only what no guest has into quarantine: that it did is the proof. */
    quarantine = pb_strip_quarantine(dev);
    if (rc && !(says_not_there(rc) && quarantine == 0) &&
        pb_guest_lives(dev->b, dev->guest->domid, dev->guest->handle)) {
        pb_device_set_cause(dev, "Xen does not take it back from domain %u: %s", dev->guest->domid,
                            strerror(-rc));
        dev->failing = true;
    }
    dev->assigned_in_xen = false;
    pb_device_set_state(dev, dev->failing ? PB_DEVICE_FAILED : PB_DEVICE_CLAIMED);
    return PB_RUN_NEXT;
}

static void held_again(struct pb_job *job, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_device *dev = task->dev;

    if (job->hw)
        dev->b->host->ops->hw_close(dev->b->host, job->hw); /* the one that we have still works */
    if (job->rc) {
        pb_device_set_cause(dev, "its stub driver lost it: %s", job->reason);
        pb_device_set_state(dev, PB_DEVICE_FAILED);
    }
    pb_task_next(task);
}

static void looked_at(struct pb_job *job, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_device *dev = task->dev;

    if (job->rc || strcmp(job->driver_now, dev->driver_now) == 0) {
        pb_task_next(task); /* what does not answer has its cause already */
        return;
    }
    pb_warn("%s: driver \"%s\" has it instead of %s (xl with seize=1?); taken back",
            pb_device_text(dev), job->driver_now, dev->driver_now);
    task->force = true; /* it was claimed before: nothing is decided anew */
    pb_task_job(task, PB_JOB_CLAIM, held_again);
}

/* `claimed` means that our stub driver holds it: xl may have unbound it while a guest had it (H4).
 */
enum pb_run pb_strip_hold(struct pb_task *task)
{
    if (task->dev->failing)
        return PB_RUN_NEXT;
    pb_task_job(task, PB_JOB_PROBE, looked_at);
    return PB_RUN_WAIT;
}

static void stopped(struct pb_script *s, void *ctx)
{
    (void)ctx;
    if (s->rc)
        pb_warn("%s: cannot turn bus mastering off: %s", pb_device_text(s->dev), strerror(-s->rc));
}

void pb_strip_stop_dma(struct pb_device *dev)
{
    /* On its way back it is quiet already, and a reset must not be disturbed (H6). */
    if (dev->stop_script.running || !dev->hw || dev->state == PB_DEVICE_RESETTING)
        return;
    pb_script_begin(&dev->stop_script, dev);
    pb_script_modify(&dev->stop_script, PCI_COMMAND, 2, PCI_COMMAND_MASTER, 0);
    pb_script_run(&dev->stop_script, stopped, NULL);
}
