/* SPDX-License-Identifier: MIT */
#include "backend/slots.h"

#include <stdlib.h>
#include <string.h>

#include "backend/machine.h"
#include "base/log.h"

static void slot_claimed(void *ctx, const struct pb_failure *failure)
{
    (void)ctx;
    if (failure && failure->code != PB_FAIL_NOT_FOUND)
        pb_warn("%s: cannot be claimed: %s%s%s", failure->device, failure->reason,
                failure->next[0] ? "; next: " : "", failure->next);
}

static bool had_slot(const struct pb_policy *before, struct pb_sbdf sbdf)
{
    for (size_t i = 0; before && i < before->slot_count; i++) {
        if (pb_slot_matches(&before->slots[i].slot, sbdf))
            return true;
    }
    return false;
}

static void claim_slot(struct pb_backend *b, const struct pb_slot *slot,
                       const struct pb_policy *before)
{
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        struct pb_sbdf sbdf = { .segment = slot->segment,
                                .bus = slot->bus,
                                .devfn = (uint8_t)devfn };
        char text[PB_SBDF_TEXT];

        if (pb_slot_matches(slot, sbdf) && !had_slot(before, sbdf))
            pb_backend_claim(b, pb_sbdf_format(sbdf, text), false, slot_claimed, NULL);
    }
}

struct probe {
    struct pb_backend *b;
    struct pb_job job;
};

static void probed(struct pb_job *job, void *ctx)
{
    struct probe *probe = ctx;
    struct pb_device *dev = pb_device_find(probe->b, job->sbdf);

    if (dev && !dev->task && (dev->state == PB_DEVICE_ABSENT || dev->state == PB_DEVICE_PRESENT)) {
        if (job->rc == 0) {
            dev->facts = job->facts;
            dev->known = true;
            memcpy(dev->driver_now, job->driver_now, sizeof(dev->driver_now));
            pb_device_set_state(dev, PB_DEVICE_PRESENT);
        } else {
            pb_device_set_cause(dev, "%s", job->reason);
        }
    }
    free(probe);
}

/* A listed device is looked at, so that `list` says what is there. */
static bool probe_device(struct pb_backend *b, struct pb_sbdf sbdf)
{
    struct pb_device *dev = pb_device_add(b, sbdf);
    struct probe *probe = dev ? calloc(1, sizeof(*probe)) : NULL;

    if (!probe) {
        pb_err("out of memory");
        return false;
    }
    probe->b = b;
    probe->job.kind = PB_JOB_PROBE;
    probe->job.sbdf = sbdf;
    probe->job.deadline_ms = b->policy->limits.reset_timeout_ms;
    probe->job.done = probed;
    probe->job.ctx = probe;
    b->host->ops->job_submit(b->host, &probe->job);
    return true;
}

void pb_slots_begin(struct pb_backend *b, const struct pb_policy *before)
{
    const struct pb_policy *policy = b->policy;

    for (size_t i = 0; i < policy->device_count; i++) {
        struct pb_sbdf sbdf = policy->devices[i].sbdf;

        if ((!before || !pb_policy_device(before, sbdf)) && !probe_device(b, sbdf))
            break;
    }
    for (size_t i = 0; i < policy->slot_count; i++)
        claim_slot(b, &policy->slots[i].slot, before);
}

void pb_backend_slot_add(struct pb_backend *b, const struct pb_slot *slot, bool save,
                         pb_verb_fn done, void *ctx)
{
    struct pb_failure failure = { .code = PB_FAIL_REFUSED, .reason = "not there yet" };

    (void)b;
    (void)slot;
    (void)save;
    done(ctx, &failure);
}

void pb_backend_slot_remove(struct pb_backend *b, const struct pb_slot *slot, bool save,
                            pb_verb_fn done, void *ctx)
{
    pb_backend_slot_add(b, slot, save, done, ctx);
}

void pb_backend_each_slot(const struct pb_backend *b,
                          void (*visit)(void *ctx, const struct pb_slot_view *view), void *ctx)
{
    for (size_t i = 0; i < b->policy->slot_count; i++) {
        const struct pb_policy_slot *slot = &b->policy->slots[i];
        struct pb_slot_view view = { .slot = slot->slot,
                                     .origin = slot->saved ? PB_SLOT_SAVED : PB_SLOT_CONFIG };

        visit(ctx, &view);
    }
}
