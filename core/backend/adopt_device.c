/* SPDX-License-Identifier: MIT */
/*
 * A device of an earlier process. What was true of it at claim stays its baseline: it is not read
 * again after a guest had it (XSA-337). Opening it is a task, so that no verb has it meanwhile.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/adopt_parts.h"
#include "backend/claim.h"
#include "backend/detach.h"
#include "backend/failure.h"
#include "backend/grants.h"
#include "backend/guest.h"
#include "backend/profile.h"
#include "backend/record.h"
#include "backend/reserve.h"
#include "backend/strip.h"
#include "base/log.h"

/* Its guest cannot keep it: what it would be served is not known. */
static void lose(struct pb_device *dev, const char *what)
{
    pb_warn("%s: the journal has lost %s: it is taken back from domain %u", pb_device_text(dev),
            what, dev->guest->domid);
    dev->b->adoption->lost++;
    dev->lost = true;
    dev->begun = PB_JOURNAL_DETACHING;
    dev->serving = false;
    dev->let_go = false;
}

/* --- from the record --- */

static void take_identity(struct pb_device *dev)
{
    dev->identity = (struct pb_identity){ .known = true,
                                          .vendor = dev->facts.vendor,
                                          .device = dev->facts.device,
                                          .subsystem_vendor = dev->facts.subsystem_vendor,
                                          .subsystem_device = dev->facts.subsystem_device };
}

static void copy_text(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%.*s", (int)size - 1, from);
}

static void take_own(struct pb_device *dev, const struct pb_journal_device *d)
{
    char code[sizeof(d->cause_code)];

    copy_text(dev->driver_before, sizeof(dev->driver_before), d->driver_before);
    copy_text(dev->driver_now, sizeof(dev->driver_now), d->driver_now);
    copy_text(dev->cause, sizeof(dev->cause), d->cause);
    copy_text(dev->cause_next, sizeof(dev->cause_next), d->cause_next);
    copy_text(code, sizeof(code), d->cause_code);
    dev->cause_code = pb_why_code(code);
    dev->host_command = d->host_command;
    dev->quarantined = d->quarantined;
    dev->msix_prepared = d->msix_prepared;
    dev->masked = d->masked;
    dev->adopted = d->adopted;
    dev->resets = d->resets;
    dev->guest_resets = d->guest_resets;
    dev->denied_writes = d->denied_writes;
}

static void take_taint(struct pb_device *dev, const struct pb_journal_device *d)
{
    dev->taint = d->taint;
    if (dev->taint.count > PB_TAINT_MAX)
        dev->taint.count = PB_TAINT_MAX;
    pb_taint_refresh(dev);
}

/* Rules as of now; those of the baseline when a quirk of now does not fit: the guest keeps it. */
static bool compile(struct pb_device *dev)
{
    struct pb_backend *b = dev->b;
    struct pb_profile *profile;
    char why[200] = "";
    struct pb_quirk_set *none;
    int rc;

    if (pb_layout_read(&dev->facts, &dev->layout) != 0)
        return false;
    rc =
        pb_profile_of(dev, b->quirks, &dev->policy, &b->policy->limits, &profile, why, sizeof(why));
    if (rc) {
        pb_err("%s: %s; it goes on without quirks", pb_device_text(dev), why);
        none = pb_quirk_set_empty();
        rc = none ? pb_profile_of(dev, none, &dev->policy, &b->policy->limits, &profile, why,
                                  sizeof(why))
                  : -ENOMEM;
        pb_quirk_set_unref(none);
    }
    if (rc)
        return false;
    pb_profile_put(dev, profile);
    return true;
}

static void take_interrupts(struct pb_device *dev, const struct pb_journal_device *d)
{
    struct pb_interrupts *in = &dev->interrupts;

    if (dev->guest->other_domain)
        return; /* Xen has forgotten them with their domain (H11) */
    dev->interrupts_open = d->interrupts_open;
    if (d->interrupt_mode != PB_INTERRUPT_MSI && d->interrupt_mode != PB_INTERRUPT_MSIX)
        return;
    in->mode = (enum pb_interrupt_mode)d->interrupt_mode;
    in->block = d->interrupt_block;
    for (; in->count < d->interrupt_count && in->count < PB_MSIX_ENTRIES_MAX; in->count++) {
        in->vector[in->count].entry = d->vector[in->count].entry;
        in->vector[in->count].pirq = d->vector[in->count].pirq;
    }
}

static void take_grants(struct pb_device *dev, const struct pb_journal_device *d)
{
    if (dev->guest->other_domain)
        return;
    dev->assigned_in_xen = d->assigned_in_xen;
    for (unsigned i = 0; i < PB_PCI_RESOURCES; i++)
        dev->grants.resource[i] = d->resource[i];
    dev->grants.gsi_mapped = d->gsi_mapped;
    dev->grants.irq_allowed = d->irq_allowed;
    if (dev->begun != PB_JOURNAL_ATTACHING || dev->guest->xl)
        return;
    /* How far it came is not known: as if all of it had been done. */
    dev->assigned_in_xen = true;
    pb_grants_note(dev);
    dev->grants.irq_allowed = dev->grants.gsi_mapped;
}

/* In the order of the nodes: others may know a device by its number there. */
static void link_at(struct pb_guest *g, struct pb_device *dev)
{
    struct pb_device *next;

    dev->guest = g;
    TAILQ_FOREACH (next, &g->devices, sibling) {
        if (next->node > dev->node) {
            TAILQ_INSERT_BEFORE(next, dev, sibling);
            return;
        }
    }
    TAILQ_INSERT_TAIL(&g->devices, dev, sibling);
}

static void take_place(struct pb_guest *g, struct pb_device *dev, const struct pb_journal_device *d)
{
    dev->node = d->node;
    link_at(g, dev);
    dev->begun = d->phase == PB_JOURNAL_ASSIGNED ? 0 : (uint8_t)d->phase;
    dev->node_state = d->node_state < PB_XENBUS_COUNT ? d->node_state : PB_XENBUS_INITIALISING;
    dev->ready = d->ready;
    dev->let_go = d->let_go;
    dev->permissive_asked = d->permissive_asked;
    dev->permissive = dev->policy.permissive || dev->permissive_asked;
    dev->flr = d->flr;
    dev->flr_method = d->flr_method;
    dev->vaddr = d->vaddr;
    dev->has_vaddr = d->has_vaddr && pb_vslots_restore(&g->slots, d->vaddr, dev->sbdf,
                                                       dev->facts.virtual_function) == 0;
    dev->serving = d->serving && (dev->begun == 0 || dev->begun == PB_JOURNAL_ASKED);
}

/* What its guest sees of it; false: that is not known. */
static bool take_view(struct pb_device *dev, const struct pb_journal_device *d,
                      const struct pb_journal_read *read)
{
    const struct pb_map *map = dev->profile->map;
    char why[200] = "";

    dev->rules = pb_record_rules(map);
    if (read->shadow) {
        pb_view_restore(&dev->view, map, read->shadow, read->shadow_size, dev->rules == d->rules);
        pb_record_shadow(dev); /* before anything says that it is under these rules */
    } else {
        pb_view_init(&dev->view, map);
    }
    dev->view.permissive = dev->permissive;
    dev->view.allow_interrupt_control = dev->policy.allow_interrupt_control;
    if (pb_profile_plug(dev, why, sizeof(why)) != 0)
        pb_warn("%s: domain %u goes on without its plugins: %s", pb_device_text(dev),
                dev->guest->domid, why);
    return read->shadow && read->shadow_size >= map->space;
}

static void with_guest(struct pb_guest *g, struct pb_device *dev, const struct pb_journal_device *d,
                       const struct pb_journal_read *read)
{
    bool seen;

    take_place(g, dev, d);
    take_interrupts(dev, d);
    take_grants(dev, d);
    if (d->reserved || dev->begun == PB_JOURNAL_ATTACHING)
        pb_reserve_adopt(dev);
    seen = take_view(dev, d, read);
    dev->state = d->failed ? PB_DEVICE_FAILED : PB_DEVICE_ASSIGNED;
    /* Of one that is being made fresh, given up or taken back nobody needs it. */
    if ((dev->begun != 0 && dev->begun != PB_JOURNAL_ASKED) || g->ending)
        return;
    if (!g->record)
        lose(dev, "what its guest was about to do");
    else if (!seen)
        lose(dev, "what its guest has written");
}

/* --- opening it --- */

static void opened(struct pb_job *job, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_device *dev = task->dev;
    bool other = job->rc == 0 &&
                 (job->facts.vendor != dev->facts.vendor || job->facts.device != dev->facts.device);

    if (job->rc == 0 && !other) {
        dev->hw = job->hw;
        /* Somebody may have taken it from our stub driver meanwhile. */
        memcpy(task->thief, job->driver_now, sizeof(task->thief));
        if (strcmp(dev->driver_now, job->driver_now) != 0)
            dev->look_again = true;
        pb_task_next(task);
        return;
    }
    if (job->hw)
        dev->b->host->ops->hw_close(dev->b->host, job->hw);
    dev->gone = other || job->rc == -ENODEV;
    dev->stuck = job->rc == -ETIMEDOUT;
    pb_device_set_cause(dev, "it cannot be opened again: %s",
                        other ? "another device is in its place" : job->reason);
    pb_warn("%s: %s", pb_device_text(dev), dev->cause);
    pb_device_set_state(dev, PB_DEVICE_FAILED);
    pb_task_next(task);
}

static enum pb_run open_it(struct pb_task *task)
{
    pb_task_job(task, PB_JOB_ADOPT, opened);
    return PB_RUN_WAIT;
}

static void nothing_more(void *ctx, const struct pb_failure *failure)
{
    (void)ctx;
    if (failure)
        pb_warn("%s: %s", failure->device, failure->reason);
}

/*
 * Not as a claim leaves it: a release or a claim was under way, another driver has it, or the
 * operator wants another device there. Then a claim decides anew.
 */
static bool is_changed(struct pb_task *task)
{
    const struct pb_device *dev = task->dev;

    if (dev->state != PB_DEVICE_CLAIMED || dev->adopted)
        return false;
    return !dev->quarantined || strcmp(task->thief, dev->driver_now) != 0 ||
           (dev->layout.msix && !dev->msix_prepared && strcmp(dev->driver_now, "pciback") != 0) ||
           pb_claim_identity(task) != PB_RUN_NEXT;
}

static void give_up(struct pb_device *dev)
{
    dev->b->host->ops->hw_close(dev->b->host, dev->hw);
    dev->hw = NULL;
    pb_profile_put(dev, NULL);
    pb_record_released(dev);
    dev->cause[0] = '\0';
    dev->state = PB_DEVICE_ABSENT;
    dev->look_again = dev->b->adoption->told; /* else what is remembered is claimed soon: slots.c */
}

/* Nobody's: as a claim would leave it. */
static enum pb_run settle(struct pb_task *task)
{
    struct pb_device *dev = task->dev;

    if (dev->guest || dev->gone || !dev->hw)
        return PB_RUN_NEXT;
    if (is_changed(task)) {
        give_up(dev);
        return PB_RUN_NEXT;
    }
    if (!dev->adopted)
        (void)pb_strip_quarantine(dev);
    if (dev->begun == PB_JOURNAL_RENEWING)
        pb_backend_reset(dev->b, task->device_text, nothing_more, NULL);
    dev->begun = 0;
    dev->look_again = true;
    return PB_RUN_NEXT;
}

static const struct pb_task_step steps[] = {
    { "open", open_it, NULL },
    { "settle", settle, NULL },
};
static const struct pb_task_kind kind = { "adopt", steps, PB_ARRAY_SIZE(steps) };

static void done(void *ctx, const struct pb_failure *failure)
{
    struct pb_device *dev = ctx;
    struct pb_guest *g = dev->guest;

    (void)failure;
    if (dev->b->stopping)
        return;
    if (g) {
        pb_adopt_guest_opened(g);
        pb_guest_drop(g);
        return;
    }
    pb_adopt_one_done(dev->b);
}

static void begin(struct pb_device *dev)
{
    struct pb_task *task = pb_task_new(dev->b, &kind, done, dev);

    if (!task) {
        pb_err("%s: out of memory: it is not opened", pb_device_text(dev));
        dev->state = PB_DEVICE_FAILED;
        return;
    }
    if (dev->guest) {
        pb_guest_hold(dev->guest);
        dev->guest->opening++;
    } else {
        dev->b->adoption->waiting++;
    }
    dev->task = task;
    task->dev = dev;
    (void)pb_sbdf_format(dev->sbdf, task->device_text);
    pb_task_start(task);
}

/* --- each record --- */

static struct pb_guest *guest_of(struct pb_backend *b, const struct pb_journal_device *d)
{
    struct pb_guest *g;

    if (d->phase == PB_JOURNAL_CLAIMED || d->domid == 0)
        return NULL;
    g = pb_guest_find(b, d->domid);
    if (g && memcmp(g->handle, d->handle, sizeof(g->handle)) == 0)
        return g;
    return g ? NULL : pb_adopt_unknown(b, d->domid, d->handle);
}

static void drop(struct pb_backend *b, const struct pb_journal_read *read, const char *why)
{
    pb_warn("journal: a device's record is of no use: %s", why);
    b->adoption->lost++;
    pb_journal_remove(b->journal, read->record);
}

void pb_adopt_device(struct pb_backend *b, const struct pb_journal_read *read)
{
    const struct pb_journal_device *d = read->device;
    struct pb_guest *g;
    struct pb_device *dev;

    if (!d || d->phase >= PB_JOURNAL_PHASE_COUNT) {
        drop(b, read, "it is damaged; if a guest has the device, xenstore says so");
        return;
    }
    dev = pb_device_add(b, d->sbdf);
    if (!dev || dev->record) {
        drop(b, read, dev ? "the device has two" : "out of memory");
        return;
    }
    dev->record = read->record;
    take_taint(dev, d);
    if (!d->ours) {
        pb_record_released(dev);
        return;
    }
    g = guest_of(b, d);
    if (read->facts && read->surroundings) {
        dev->facts = *read->facts;
        dev->surroundings = *read->surroundings;
    }
    if (!read->facts || !read->surroundings || !compile(dev)) {
        if (g)
            pb_adopt_lost_device(g, d->sbdf);
        else
            pb_record_released(dev); /* claimed anew, as of an earlier boot */
        return;
    }
    dev->known = true;
    take_identity(dev);
    take_own(dev, d);
    if (g)
        with_guest(g, dev, d, read);
    else
        dev->state = d->failed ? PB_DEVICE_FAILED : PB_DEVICE_CLAIMED;
    if (!g && d->phase == PB_JOURNAL_RENEWING)
        dev->begun = PB_JOURNAL_RENEWING;
    begin(dev);
}
