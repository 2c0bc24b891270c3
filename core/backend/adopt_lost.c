/* SPDX-License-Identifier: MIT */
/*
 * What the journal has lost: all of it, a guest's record, or what a device was at claim. Our own
 * nodes in xenstore, which only dom0 writes, still say who has what. Nobody knows what the guest
 * has written to such a device or which interrupts it has, so that it cannot be served: it is taken
 * back, and the guest is as after a forced detach.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/adopt_parts.h"
#include "backend/claim.h"
#include "backend/detach.h"
#include "backend/failure.h"
#include "backend/grants.h"
#include "backend/guest.h"
#include "backend/inflight.h"
#include "backend/record.h"
#include "backend/reserve.h"
#include "base/log.h"

#define ROOT       "/local/domain/0/backend/" PB_KIND
#define DOMID_MAX  0x7fefu
#define PIRQ_MAX   1023u /* no guest has more of them unless Xen was told so */
#define ISA_LINES  16u
#define ENTRY_READ 4u /* steps before the entries */

/* --- its interrupts --- */

/* Lines are the first numbers of a guest's; message interrupts come from the top (H10). */
static uint32_t first_message(const struct pb_backend *b)
{
    const struct pb_device *dev;
    uint32_t first = ISA_LINES;

    TAILQ_FOREACH (dev, &b->devices, link) {
        if (dev->known && dev->facts.irq >= first && dev->facts.irq < PIRQ_MAX)
            first = dev->facts.irq + 1;
    }
    return first;
}

/* A guest has one PCI backend: what no record names is a lost device's. */
static void sweep(struct pb_guest *g)
{
    struct pb_xen *xen = g->b->xen;
    uint32_t top = pb_journal_pirq_top(g->b->journal), first = first_message(g->b);
    unsigned found = 0;

    if (g->other_domain)
        return;
    for (uint32_t pirq = top ? top : PIRQ_MAX; pirq >= first; pirq--) {
        if (!pb_inflight_on_record(g, pirq) && xen->ops->unmap_pirq(xen, g->domid, pirq) == 0)
            found++;
    }
    if (found)
        pb_notice("domain %u: %u interrupts that nobody has on record are unmapped", g->domid,
                  found);
}

/* --- one device --- */

static void opened(struct pb_job *job, void *ctx)
{
    struct pb_task *task = ctx;

    if (job->rc) {
        pb_fail(&task->failure, PB_FAIL_HOST, task->device_text, job->next, "%s", job->reason);
        pb_task_failed(task);
        return;
    }
    pb_claim_took(task->dev, job);
    pb_task_next(task);
}

/* A claim that came first finds that a guest has it, and touches nothing. */
static enum pb_run begin(struct pb_task *task)
{
    struct pb_sbdf sbdf;
    struct pb_device *dev =
        pb_sbdf_parse(task->device_text, &sbdf) ? pb_device_add(task->b, sbdf) : NULL;

    if (!dev) {
        pb_fail(&task->failure, PB_FAIL_INTERNAL, task->device_text, "", "out of memory");
        return PB_RUN_FAIL;
    }
    if (dev->task) {
        pb_task_arm(task, 5, pb_task_repeat);
        return PB_RUN_WAIT;
    }
    if (dev->guest || dev->profile)
        return PB_RUN_END;
    dev->task = task;
    task->dev = dev;
    return PB_RUN_NEXT;
}

static enum pb_run open_it(struct pb_task *task)
{
    pb_task_job(task, PB_JOB_OPEN, opened);
    return PB_RUN_WAIT;
}

/* From now on it is the guest's, as if its attach had been done in full. */
static enum pb_run link_it(struct pb_task *task)
{
    struct pb_guest *g = task->ctx;
    struct pb_device *dev = task->dev;

    task->phase = PB_JOURNAL_DETACHING;
    dev->begun = PB_JOURNAL_DETACHING;
    dev->lost = dev->baseline_lost = true;
    dev->quarantined = false;
    pb_guest_link(g, dev);
    dev->node_state = PB_XENBUS_INITIALISED;
    if (!g->other_domain) {
        dev->assigned_in_xen = true;
        pb_grants_note(dev);
        dev->grants.irq_allowed = dev->grants.gsi_mapped;
    }
    dev->msix_prepared = dev->layout.msix != 0;
    pb_reserve_adopt(dev);
    (void)pb_record_claimed(dev);
    pb_device_set_state(dev, PB_DEVICE_RESETTING);
    sweep(g);
    return PB_RUN_NEXT;
}

static const struct pb_task_step steps[] = {
    { "begin", begin, NULL },
    { "open", open_it, NULL },
    { "examine", pb_claim_examine, NULL },
    { "link", link_it, NULL },
};
static const struct pb_task_kind kind = { "taking back what is lost", steps, PB_ARRAY_SIZE(steps) };

static void linked(void *ctx, const struct pb_failure *failure)
{
    struct pb_guest *g = ctx;
    struct pb_device *dev, *next;

    if (g->b->stopping)
        return; /* it is freed with all others */
    if (failure)
        pb_err("%s: its guest, domain %u, keeps it until it ends: %s", failure->device, g->domid,
               failure->reason);
    for (dev = TAILQ_FIRST(&g->devices); dev && g->taken_up; dev = next) {
        next = TAILQ_NEXT(dev, sibling);
        pb_adopt_follow(dev);
    }
    if (!g->taken_up)
        pb_adopt_guest_opened(g);
    pb_guest_drop(g);
}

void pb_adopt_lost_device(struct pb_guest *g, struct pb_sbdf sbdf)
{
    struct pb_device *dev = pb_device_add(g->b, sbdf);
    struct pb_task *task;
    char text[PB_SBDF_TEXT];

    if (dev && (dev->guest || dev->profile))
        return; /* it is known better: the node is one that was not removed in time */
    task = dev ? pb_task_new(g->b, &kind, linked, g) : NULL;
    if (!task) {
        pb_err("%s: out of memory: domain %u keeps it", pb_sbdf_format(sbdf, text), g->domid);
        return;
    }
    pb_warn("%s: the journal has lost what domain %u (%s) does with it: it is taken back",
            pb_sbdf_format(sbdf, text), g->domid, g->name);
    if (g->b->adoption)
        g->b->adoption->lost++;
    pb_guest_hold(g);
    if (!g->taken_up)
        g->opening++;
    task->force = true;
    (void)pb_sbdf_format(sbdf, task->device_text);
    pb_task_start(task);
}

void pb_adopt_lost_returned(struct pb_device *dev)
{
    bool baseline = dev->baseline_lost;

    if (!dev->lost)
        return;
    dev->lost = dev->baseline_lost = false;
    if (dev->state == PB_DEVICE_FAILED)
        return; /* by what has a cause of its own */
    pb_device_set_reason(dev, "journal-lost",
                         baseline ? "release it and claim it again" : "attach it again",
                         "the journal had lost what domain %u did with it%s: it was taken back",
                         dev->guest->domid, baseline ? ", and what it was before" : "");
    /* Registers that a guest may have changed are no baseline (XSA-337). */
    if (baseline)
        pb_device_set_state(dev, PB_DEVICE_FAILED);
}

/* --- what our nodes name --- */

static struct pb_device *has(const struct pb_guest *g, struct pb_sbdf sbdf)
{
    struct pb_device *dev;

    TAILQ_FOREACH (dev, &g->devices, sibling) {
        if (pb_sbdf_equal(dev->sbdf, sbdf))
            return dev;
    }
    return NULL;
}

static struct pb_guest *guest_of(struct pb_backend *b, uint32_t domid,
                                 const struct pb_store_req *req)
{
    struct pb_guest *g = pb_guest_find(b, domid);
    struct pb_domain domain;
    const char *name = pb_store_value(req, 1);

    if (g)
        return g->xl ? NULL : g;
    if (b->xen->ops->domain_get(b->xen, domid, &domain) != 0)
        memset(domain.handle, 0, sizeof(domain.handle)); /* gone */
    g = pb_adopt_unknown(b, domid, domain.handle);
    if (!g)
        return NULL;
    (void)snprintf(g->name, sizeof(g->name), "%s", name ? name : "");
    return g;
}

static void compared(struct pb_store_req *req, void *ctx)
{
    struct pb_backend *b = ctx;
    uint32_t domid = (uint32_t)strtoul(req->step[0].path + strlen(ROOT "/"), NULL, 10);
    bool known = pb_guest_find(b, domid) != NULL;
    struct pb_guest *g = req->rc == 0 && pb_store_value(req, 0) ? guest_of(b, domid, req) : NULL;
    struct pb_sbdf sbdf;

    for (unsigned i = ENTRY_READ; g && i < req->count; i++) {
        const char *text = pb_store_value(req, i);

        if (text && pb_sbdf_parse(text, &sbdf) && !has(g, sbdf))
            pb_adopt_lost_device(g, sbdf);
    }
    if (g && !known) {
        b->adoption->waiting++; /* told already: only counted */
        pb_adopt_guest_begin(g);
    }
}

void pb_adopt_compare(struct pb_backend *b, uint32_t domid)
{
    struct pb_store_req *req = pb_store_req_new(false, compared, b);

    if (!req) {
        pb_err("domain %u: out of memory: its nodes are not compared", domid);
        return;
    }
    pb_store_read(req, ROOT "/%u/0/frontend", domid);
    pb_store_read(req, ROOT "/%u/0/domain", domid);
    pb_store_read(req, ROOT "/%u/0/state", domid);
    pb_store_read(req, ROOT "/%u/0/num_devs", domid);
    for (unsigned n = 0; n < b->policy->limits.devices_per_guest; n++)
        pb_store_read(req, ROOT "/%u/0/dev-%u", domid, n);
    b->xen->ops->store_submit(b->xen, req);
}

static void listed(struct pb_store_req *req, void *ctx)
{
    struct pb_backend *b = ctx;

    for (unsigned i = 0; req->rc == 0 && !b->stopping && i < req->step[0].name_count; i++) {
        const char *name = req->step[0].names[i];
        unsigned long domid = strtoul(name, NULL, 10);

        if (name[strspn(name, "0123456789")] || domid == 0 || domid > DOMID_MAX ||
            pb_guest_find(b, (uint32_t)domid))
            continue;
        pb_adopt_compare(b, (uint32_t)domid);
    }
}

void pb_adopt_find_lost(struct pb_backend *b)
{
    struct pb_store_req *req = pb_store_req_new(false, listed, b);

    if (!req) {
        pb_err("out of memory: what the journal may have lost is not looked up");
        return;
    }
    pb_store_list(req, ROOT);
    b->xen->ops->store_submit(b->xen, req);
}
