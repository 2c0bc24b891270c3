/* SPDX-License-Identifier: MIT */
/*
 * release: reset, MSI-X unprepared, out of quarantine, and only then the host's driver (H3: in any
 * other order it probes a device whose interrupts Xen still refuses it).
 */
#include "backend/release.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/claim.h"
#include "backend/denied.h"
#include "backend/failure.h"
#include "backend/groups.h"
#include "backend/guest.h"
#include "backend/machine.h"
#include "backend/profile.h"
#include "backend/record.h"
#include "backend/strip.h"
#include "base/log.h"
#include "pci/regs.h"

#define FAIL(task, code, next, ...) \
    (pb_fail(&(task)->failure, PB_FAIL_##code, (task)->device_text, next, __VA_ARGS__), PB_RUN_FAIL)

static enum pb_run detach_if_forced(struct pb_task *task)
{
    struct pb_sbdf sbdf;
    bool is_address;
    struct pb_device *dev = pb_device_resolve(task->b, task->device_text, &is_address, &sbdf);
    char guest[16];

    if (!dev)
        return FAIL(task, NOT_FOUND, "see `pcibackctl list`", "no such device is listed");
    if (!dev->guest)
        return PB_RUN_NEXT;
    if (!task->force)
        return FAIL(task, STATE,
                    dev->guest->xl ? "xl pci-detach" : "detach it first, or release --force",
                    "domain %u (%s) has it", dev->guest->domid, dev->guest->name);
    task->domid = dev->guest->domid; /* that it was taken from */
    (void)snprintf(guest, sizeof(guest), "%u", dev->guest->domid);
    pb_backend_detach(task->b, guest, task->device_text, true, pb_task_child_done, task);
    return PB_RUN_WAIT;
}

static enum pb_run find(struct pb_task *task)
{
    struct pb_sbdf sbdf;
    bool is_address;
    struct pb_device *dev = pb_device_resolve(task->b, task->device_text, &is_address, &sbdf);
    char who[PB_TAINT_TEXT];

    if (!dev)
        return FAIL(task, NOT_FOUND, "see `pcibackctl list`", "no such device is listed");
    if (!pb_task_take_device(task, dev))
        return PB_RUN_FAIL;
    if (dev->state == PB_DEVICE_PRESENT && pb_claim_owned_before(dev))
        return FAIL(task, STATE, dev->cause_next, "%s", dev->cause);
    if (dev->state == PB_DEVICE_PRESENT || dev->state == PB_DEVICE_ABSENT)
        return PB_RUN_END; /* it is not ours: already in the wanted state */
    if (dev->adopted && !dev->guest) {
        /* xl's, and it came back in a state that nobody may have: that alone is ours. */
        dev->adopted = false;
        dev->cause[0] = '\0';
        pb_device_set_state(dev, PB_DEVICE_PRESENT);
        return PB_RUN_END;
    }
    if (dev->state == PB_DEVICE_ASSIGNED || dev->guest)
        return FAIL(task, STATE, "detach it first, or release --force", "a guest has it");
    /* Whoever forces the guest has not yet heard that something of it stayed with the guest. */
    if (task->domid && dev->state == PB_DEVICE_FAILED)
        return FAIL(task, HOST,
                    "end that domain, or release --force again to give it back as it is",
                    "it was taken from domain %u, but %s", task->domid, dev->cause);
    if (dev->adopted)
        return FAIL(task, STATE, "xl pci-assignable-remove", "the toolstack has claimed it");
    if (!task->force && pb_device_tainted(dev))
        return FAIL(task, REFUSED, "wait until that domain is gone, or release --force",
                    "it was taken from %s and may hold its memory",
                    pb_taint_text(dev, PB_TAINT_NOBODY, who, sizeof(who)));
    dev->failing = false;
    return task->force ? PB_RUN_NEXT : pb_groups_check_release(task);
}

/* What the kernel still holds cannot be bound by it: that would wait for the reset, too (H6). */
static enum pb_run check_reset(struct pb_task *task)
{
    if (!task->dev->stuck || !task->reset_started_ms)
        return PB_RUN_NEXT;
    pb_device_set_state(task->dev, PB_DEVICE_FAILED);
    return FAIL(task, TIMEOUT, "reboot the host; release --force tries it all the same", "%s",
                task->dev->cause);
}

static void looked_over(struct pb_script *s, void *ctx)
{
    char text[160];

    if (s->rc && !s->dev->stuck)
        pb_warn("%s: %s", pb_device_text(s->dev), pb_script_verdict(s, text, sizeof(text)));
    pb_task_next(ctx);
}

/* What comes back wrong is said, but the host has to get it all the same. */
static void image_back(struct pb_script *s, void *ctx)
{
    struct pb_task *task = ctx;

    if (s->rc) {
        pb_warn("%s: its registers cannot be restored: %s", pb_device_text(task->dev),
                strerror(-s->rc));
        pb_task_next(task);
        return;
    }
    pb_script_begin(s, task->dev);
    pb_script_verify(s);
    pb_script_run(s, looked_over, task);
}

static enum pb_run decode_on(struct pb_task *task)
{
    struct pb_script *s = &task->script;

    pb_script_begin(s, task->dev);
    /* As the host had it, but for bus mastering: the next driver turns that on when it is ready. */
    pb_script_restore_image(s, task->dev->host_command & (uint16_t)~PCI_COMMAND_MASTER);
    pb_script_run(s, image_back, task);
    return PB_RUN_WAIT;
}

static void is_off(struct pb_script *s, void *ctx)
{
    if (s->rc)
        pb_warn("%s: decode stays on: %s", pb_device_text(s->dev), strerror(-s->rc));
    pb_task_next(ctx);
}

/* It stays ours: a guest that it was taken from may still have it mapped (H7). */
static enum pb_run decode_off(struct pb_task *task)
{
    struct pb_script *s = &task->script;

    if (!task->dev->hw)
        return PB_RUN_NEXT; /* the host has it */
    pb_script_begin(s, task->dev);
    pb_script_modify(s, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
                     PCI_COMMAND_INTX_DISABLE);
    pb_script_run(s, is_off, task);
    return PB_RUN_WAIT;
}

enum pb_run pb_release_unprepare(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    struct pb_xen *xen = task->b->xen;
    int rc;

    if (!dev->msix_prepared)
        return PB_RUN_NEXT;
    rc = xen->ops->msix_release(xen, dev->sbdf);
    if (rc)
        pb_warn("%s: Xen does not release its MSI-X: %s", pb_device_text(dev), strerror(-rc));
    dev->msix_prepared = false;
    return PB_RUN_NEXT;
}

static enum pb_run leave_quarantine(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    struct pb_xen *xen = task->b->xen;
    int rc;

    /* Also when we believe that it is not there: Xen itself puts devices into it (H3). */
    rc = xen->ops->device_deassign(xen, PB_DOMID_IO, dev->sbdf);
    if (rc && (dev->quarantined || xen->ops->device_test(xen, PB_DOMID_IO, dev->sbdf) == -EBUSY)) {
        pb_device_set_cause(dev, "Xen does not let it out of quarantine: %s", strerror(-rc));
        pb_device_set_state(dev, PB_DEVICE_FAILED);
        return FAIL(task, XEN, "see `xl dmesg`; try again", "%s", dev->cause);
    }
    dev->quarantined = false;
    return PB_RUN_NEXT;
}

/* The end of a claim that failed later than by its refusal. */
static void undone(struct pb_task *task, const struct pb_job *job)
{
    if (job->rc && job->rc != -ENODEV)
        pb_warn("%s: its former driver is not back: %s", task->device_text, job->reason);
    pb_claim_refused(task);
    if (job->rc == -ENODEV)
        pb_device_set_state(task->dev, PB_DEVICE_ABSENT);
    pb_task_next(task);
}

/* Forced: its guest lost its permissions, but a PV guest keeps what it has mapped (H7). */
static void tell_taint(struct pb_device *dev)
{
    char who[PB_TAINT_TEXT];

    if (!pb_device_tainted(dev))
        return;
    pb_device_set_cause(dev,
                        "given back to the host, which turns its memory on: %s, may have it mapped",
                        pb_taint_text(dev, PB_TAINT_NOBODY, who, sizeof(who)));
    pb_warn("%s: %s", pb_device_text(dev), dev->cause);
}

static void given_back(struct pb_job *job, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_device *dev = task->dev;

    memcpy(dev->driver_now, job->driver_now, sizeof(dev->driver_now));
    dev->driver_lost = job->rc && job->rc != -ENODEV;
    if (task->undoing) {
        undone(task, job);
        return;
    }
    dev->identity.known = false;
    dev->gone = false;
    pb_device_set_cause(dev, "%s", job->rc ? job->reason : "");
    pb_record_released(dev);
    pb_device_set_state(dev, job->rc == -ENODEV ? PB_DEVICE_ABSENT : PB_DEVICE_PRESENT);
    if (job->rc && job->rc != -ENODEV) {
        pb_device_set_reason(dev, "driver-lost", job->next, "%s", job->reason);
        pb_fail(&task->failure, PB_FAIL_HOST, task->device_text,
                job->next[0] ? job->next : "see the kernel's log; release it again",
                "it is released, but its former driver is not back: %s", job->reason);
        pb_task_failed(task);
        return;
    }
    tell_taint(dev);
    pb_task_next(task);
}

enum pb_run pb_release_give_back(struct pb_task *task)
{
    struct pb_device *dev = task->dev;

    if (dev->hw)
        dev->b->host->ops->hw_close(dev->b->host, dev->hw);
    dev->hw = NULL;
    pb_profile_put(dev, NULL);
    pb_denied_clear(dev);
    pb_record_device(dev); /* not ours any more: the host's driver must not lose it again */
    pb_task_job(task, PB_JOB_RELEASE, given_back);
    return PB_RUN_WAIT;
}

static const struct pb_task_step steps[] = {
    { "detach", detach_if_forced, NULL },        { "find", find, NULL },
    { "quiet", pb_strip_quiet, NULL },           { "reset", pb_strip_reset, NULL },
    { "check reset", check_reset, NULL },        { "decode", decode_on, decode_off },
    { "unprepare", pb_release_unprepare, NULL }, { "leave quarantine", leave_quarantine, NULL },
    { "give back", pb_release_give_back, NULL },
};
static const struct pb_task_kind kind = { "release", steps, PB_ARRAY_SIZE(steps) };

/* --- again, for its former driver alone --- */

static bool lacks_driver(const struct pb_device *dev)
{
    return dev && dev->driver_lost && dev->state == PB_DEVICE_PRESENT;
}

static enum pb_run find_again(struct pb_task *task)
{
    struct pb_xen *xen = task->b->xen;
    struct pb_sbdf sbdf;
    bool is_address;
    struct pb_device *dev = pb_device_resolve(task->b, task->device_text, &is_address, &sbdf);

    if (!lacks_driver(dev))
        return FAIL(task, STATE, "see `pcibackctl list`, and try again", "something else was done");
    if (!pb_task_take_device(task, dev))
        return PB_RUN_FAIL;
    if (dev->guest || xen->ops->device_test(xen, PB_DOMID_IO, dev->sbdf) == -EBUSY)
        return FAIL(task, STATE, "end that guest first", "a guest has it");
    return PB_RUN_NEXT;
}

static const struct pb_task_step again_steps[] = {
    { "find", find_again, NULL },
    { "give back", pb_release_give_back, NULL },
};
static const struct pb_task_kind again_kind = { "release", again_steps,
                                                PB_ARRAY_SIZE(again_steps) };

void pb_backend_release(struct pb_backend *b, const char *dev, bool force, pb_verb_fn done,
                        void *ctx)
{
    struct pb_sbdf sbdf;
    bool is_address;
    bool again = lacks_driver(pb_device_resolve(b, dev, &is_address, &sbdf));

    (void)pb_task_verb(b, again ? &again_kind : &kind, dev, force, done, ctx);
}
