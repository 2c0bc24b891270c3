/* SPDX-License-Identifier: MIT */
#include "backend/strip.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/failure.h"
#include "backend/grants.h"
#include "backend/groups.h"
#include "backend/guest.h"
#include "backend/interrupt.h"
#include "backend/machine.h"
#include "backend/profile.h"
#include "backend/record.h"
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
    if (task->phase != PB_JOURNAL_ATTACHING)
        task->phase = PB_JOURNAL_DETACHING;
    pb_record_device(dev);
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
        pb_warn("%s: configuration space does not answer (%s)", pb_device_text(dev),
                strerror(-s->rc));
        /* What went wrong first is the cause, this may be its consequence. */
        if (!dev->failing)
            pb_device_set_cause(dev, "configuration space does not answer (%s)", strerror(-s->rc));
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
    if (s->dev->guest && !s->dev->gone && !pb_interrupt_unmap(s->dev)) {
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
        pb_device_set_cause(dev, "%s", "");
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

    task->reset_rc = job->rc;
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
    } else if (pb_guest_may_log(dev->guest)) {
        pb_warn("%s: reset failed: %s; going on, its policy is best-effort", pb_device_text(dev),
                job->reason);
    }
    pb_task_next(task);
}

/* As a device without any: what is forbidden is not tried. */
static enum pb_run no_method_left(struct pb_task *task, const char *why)
{
    struct pb_device *dev = task->dev;

    task->reset_rc = -ENOTTY;
    if (dev->policy.reset != PB_RESET_REQUIRED) {
        pb_debug("%s: not reset: %s", pb_device_text(dev), why);
        return PB_RUN_NEXT;
    }
    pb_device_set_cause(dev, "reset failed: %s", why);
    dev->failing = true;
    return PB_RUN_NEXT;
}

/* Without those methods that hit all of the bus; false: none is left. */
static bool leave_bus_out(const struct pb_device *dev, char methods[PB_RESET_METHODS_TEXT])
{
    const char *all = methods[0] ? methods : dev->facts.reset_methods;
    char left[PB_RESET_METHODS_TEXT] = "";
    size_t used = 0;

    for (const char *p = all; *(p += strspn(p, " ")); p += strcspn(p, " ")) {
        size_t length = strcspn(p, " ");
        int n;

        if ((length == 3 && strncmp(p, "bus", 3) == 0) ||
            (length == 7 && strncmp(p, "cxl_bus", 7) == 0) || used + length + 2 > sizeof(left))
            continue;
        n = snprintf(left + used, sizeof(left) - used, "%s%.*s", used ? " " : "", (int)length, p);
        used += n > 0 ? (size_t)n : 0;
    }
    memcpy(methods, left, sizeof(left));
    return used > 0;
}

int pb_strip_reset_methods(const struct pb_device *dev, char ret[PB_RESET_METHODS_TEXT], char *why,
                           size_t why_size)
{
    const struct pb_neighbour *victim = pb_groups_reset_victim(dev);
    char text[PB_SBDF_TEXT];

    if (pb_profile_reset_methods(dev, ret) != 0) {
        (void)snprintf(why, why_size, "a quirk forbids every method that it has");
        return -ENOTTY;
    }
    if (victim && !leave_bus_out(dev, ret)) {
        (void)snprintf(why, why_size, "it has no method that spares %s, which is not ours alone",
                       pb_sbdf_format(victim->sbdf, text));
        return -ENOTTY;
    }
    return 0;
}

enum pb_run pb_strip_reset(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    char methods[PB_RESET_METHODS_TEXT], why[100];

    task->reset_rc = 0;
    if (dev->policy.reset == PB_RESET_NONE || dev->gone)
        return PB_RUN_NEXT;
    if (dev->stuck) {
        dev->failing = true; /* the kernel still holds it in the reset before */
        return PB_RUN_NEXT;
    }
    pb_device_set_state(dev, PB_DEVICE_RESETTING);
    task->reset_started_ms = pb_now_ms();
    if (pb_strip_reset_methods(dev, methods, why, sizeof(why)) != 0)
        return no_method_left(task, why);
    pb_task_reset(task, methods, reset_done);
    return PB_RUN_WAIT;
}

/* A list of capabilities as they were: enough of it to tell a device that lost some. */
#define VERIFY_CAPS     16
#define VERIFY_EXT_CAPS 16

void pb_script_verify(struct pb_script *s)
{
    const struct pb_device *dev = s->dev;
    const uint8_t *image = dev->facts.config;

    if (!dev->facts.virtual_function)
        pb_script_expect(s, PCI_VENDOR_ID, 4, UINT32_MAX, pb_le32(image));
    pb_script_expect(s, PCI_SUBSYSTEM, 4, UINT32_MAX, pb_le32(image + PCI_SUBSYSTEM));
    for (uint16_t at = PCI_BAR0; at < PCI_CARDBUS_CIS && !dev->facts.virtual_function;
         at = (uint16_t)(at + 4))
        pb_script_expect(s, at, 4, UINT32_MAX, pb_le32(image + at));
    pb_script_expect(s, PCI_CAPABILITIES, 1, UINT8_MAX, image[PCI_CAPABILITIES]);
    for (unsigned i = 0; i < dev->layout.cap_count && i < VERIFY_CAPS; i++)
        pb_script_expect(s, dev->layout.cap[i].offset, 2, UINT16_MAX,
                         pb_le16(image + dev->layout.cap[i].offset));
    for (unsigned i = 0; i < dev->layout.ext_count && i < VERIFY_EXT_CAPS; i++)
        pb_script_expect(s, dev->layout.ext[i].offset, 4, UINT32_MAX,
                         pb_le32(image + dev->layout.ext[i].offset));
}

const char *pb_script_verdict(const struct pb_script *s, char *buf, size_t size)
{
    const struct pb_instr *in = &s->instr[s->at ? s->at - 1 : 0];
    uint32_t have = s->cycle.value, want = in->set;

    if (s->rc != -ESTALE || have == pb_ones(in->size))
        (void)snprintf(buf, size, "it does not answer after its reset (%s)",
                       s->rc == -ESTALE ? "all ones" : strerror(-s->rc));
    else if (in->offset == PCI_VENDOR_ID || in->offset == PCI_SUBSYSTEM)
        (void)snprintf(buf, size, "after its reset it is %s%04x:%04x instead of %04x:%04x",
                       in->offset ? "subsystem " : "", have & 0xffff, have >> 16, want & 0xffff,
                       want >> 16);
    else if (in->offset < PCI_CARDBUS_CIS)
        (void)snprintf(buf, size, "after its reset BAR %u is %#x instead of %#x",
                       (in->offset - PCI_BAR0) / 4u, have, want);
    else
        (void)snprintf(buf, size, "after its reset the capability at %#x reads %#x instead of %#x",
                       in->offset, have, want);
    return buf;
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

static void verified(struct pb_script *s, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_device *dev = task->dev;
    char text[160];

    if (s->rc) {
        pb_device_set_reason(dev, "reset-changed-it", "power the machine off and on, or release it",
                             "%s", pb_script_verdict(s, text, sizeof(text)));
        pb_warn("%s: %s", pb_device_text(dev), dev->cause);
        dev->failing = true;
    }
    pb_task_next(task);
}

static void restored(struct pb_script *s, void *ctx)
{
    struct pb_task *task = ctx;

    if (s->rc) {
        script_done(s, task);
        return;
    }
    pb_script_begin(s, task->dev);
    pb_script_verify(s);
    pb_script_run(s, verified, task);
}

/* Its registers as they were at claim, and then: is it still the same device? */
enum pb_run pb_strip_restore(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    struct pb_script *s = &task->script;

    if (dev->gone)
        return PB_RUN_NEXT;
    pb_script_begin(s, dev);
    pb_script_restore_image(
        s, (uint16_t)(PCI_COMMAND_INTX_DISABLE | (dev->ready ? decode_bits(dev) : 0)));
    pb_script_run(s, restored, task);
    return PB_RUN_WAIT;
}

int pb_strip_quarantine(struct pb_device *dev)
{
    int rc = dev->b->xen->ops->device_assign(dev->b->xen, PB_DOMID_IO, dev->sbdf);

    if (rc == -EALREADY)
        rc = 0;
    if (rc && dev->quarantined)
        pb_warn("%s: quarantine: %s", pb_device_text(dev), strerror(-rc));
    if (rc && !dev->gone && !dev->failing)
        pb_device_set_reason(dev, "quarantine-missing", "release it and claim it again",
                             "not in quarantine: Xen says: %s", strerror(-rc));
    else if (rc == 0 && strcmp(dev->cause_code, "quarantine-missing") == 0)
        pb_device_set_cause(dev, "%s", "");
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
    quarantine = dev->gone ? -ENODEV : pb_strip_quarantine(dev);
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
    task->hold_rc = job->rc;
    if (job->rc) {
        /* Who has it was seen before; why it does not come back may be another matter. */
        if (task->thief[0])
            pb_device_set_reason(dev, "stolen", job->next, "its stub driver lost it to %s: %s",
                                 task->thief, job->reason);
        else
            pb_device_set_reason(dev, "claim-failed", job->next,
                                 "its stub driver does not get it back: %s", job->reason);
        pb_device_set_state(dev, PB_DEVICE_FAILED);
    }
    pb_task_next(task);
}

static void looked_at(struct pb_job *job, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_device *dev = task->dev;

    if (job->rc == 0)
        dev->surroundings = job->surroundings;
    if (job->rc || strcmp(job->driver_now, dev->driver_now) == 0) {
        pb_task_next(task); /* what does not answer has its cause already */
        return;
    }
    pb_warn("%s: driver \"%s\" has it instead of %s (xl with seize=1?); taken back",
            pb_device_text(dev), job->driver_now, dev->driver_now);
    memcpy(task->thief, job->driver_now, sizeof(task->thief));
    task->force = true; /* it was claimed before: nothing is decided anew */
    pb_task_job(task, PB_JOB_CLAIM, held_again);
}

/* `claimed` means that our stub driver holds it: xl may have unbound it while a guest had it (H4).
 */
enum pb_run pb_strip_hold(struct pb_task *task)
{
    if (task->dev->failing || task->dev->gone)
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
