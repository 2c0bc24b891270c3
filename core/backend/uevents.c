/* SPDX-License-Identifier: MIT */
/*
 * An event is late, and may be an echo of what we did ourselves: but for a removal it only says
 * that the device is to be looked at. What is seen then decides. While a verb has a device it is
 * looked at afterwards.
 */
#include "backend/uevents.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/assign.h"
#include "backend/denied.h"
#include "backend/failure.h"
#include "backend/groups.h"
#include "backend/guest.h"
#include "backend/machine.h"
#include "backend/profile.h"
#include "backend/record.h"
#include "backend/slots.h"
#include "backend/strip.h"
#include "base/log.h"

#define EVENTS (PB_UEVENT_LOST + 1)

/* What an event is for. */
enum act {
    ACT_NONE,
    ACT_APPEARED, /* claimed if it is listed, else looked at */
    ACT_LOOK,
    ACT_GONE,
};

static const uint8_t acts[PB_DEVICE_STATE_COUNT][EVENTS] = {
    [PB_DEVICE_ABSENT] = { [PB_UEVENT_ADD] = ACT_APPEARED,
                           [PB_UEVENT_REMOVE] = ACT_NONE,
                           [PB_UEVENT_BIND] = ACT_LOOK, /* its "add" was lost or is still to come */
                           [PB_UEVENT_UNBIND] = ACT_LOOK,
                           [PB_UEVENT_LOST] = ACT_APPEARED },
    /* "add" also comes from `udevadm trigger`: what was released on purpose stays released */
    [PB_DEVICE_PRESENT] = { [PB_UEVENT_ADD] = ACT_LOOK,
                            [PB_UEVENT_REMOVE] = ACT_GONE,
                            [PB_UEVENT_BIND] = ACT_LOOK,
                            [PB_UEVENT_UNBIND] = ACT_LOOK,
                            [PB_UEVENT_LOST] = ACT_LOOK },
    [PB_DEVICE_CLAIMED] = { [PB_UEVENT_ADD] = ACT_LOOK,
                            [PB_UEVENT_REMOVE] = ACT_GONE,
                            [PB_UEVENT_BIND] = ACT_LOOK,
                            [PB_UEVENT_UNBIND] = ACT_LOOK,
                            [PB_UEVENT_LOST] = ACT_LOOK },
    [PB_DEVICE_ASSIGNED] = { [PB_UEVENT_ADD] = ACT_LOOK,
                             [PB_UEVENT_REMOVE] = ACT_GONE,
                             [PB_UEVENT_BIND] = ACT_LOOK,
                             [PB_UEVENT_UNBIND] = ACT_LOOK,
                             [PB_UEVENT_LOST] = ACT_LOOK },
    [PB_DEVICE_RESETTING] = { [PB_UEVENT_ADD] = ACT_LOOK,
                              [PB_UEVENT_REMOVE] = ACT_GONE,
                              [PB_UEVENT_BIND] = ACT_LOOK,
                              [PB_UEVENT_UNBIND] = ACT_LOOK,
                              [PB_UEVENT_LOST] = ACT_LOOK },
    [PB_DEVICE_FAILED] = { [PB_UEVENT_ADD] = ACT_LOOK,
                           [PB_UEVENT_REMOVE] = ACT_GONE,
                           [PB_UEVENT_BIND] = ACT_LOOK,
                           [PB_UEVENT_UNBIND] = ACT_LOOK,
                           [PB_UEVENT_LOST] = ACT_LOOK },
};

/* What a look finds. */
enum seen {
    SEEN_NOTHING, /* no such device */
    SEEN_OURS,    /* as we left it */
    SEEN_FREE,    /* no driver, although our stub driver is to have it */
    SEEN_TAKEN,   /* another driver */
    SEEN_OTHER,   /* another device */
    SEEN_COUNT
};

enum deed {
    DEED_NONE,
    DEED_ARRIVE,    /* it is in the machine; claimed if it is listed */
    DEED_NOTE,      /* its driver is remembered */
    DEED_GONE,      /* as after "remove" */
    DEED_TAKE_BACK, /* once */
    DEED_STOLEN,    /* `failed` */
    DEED_WARN,      /* with a guest: taken back when that has it no more */
    DEED_EXCHANGED, /* as after "remove" and "add" */
};

static const uint8_t deeds[PB_DEVICE_STATE_COUNT][SEEN_COUNT] = {
    [PB_DEVICE_ABSENT] = { [SEEN_NOTHING] = DEED_NONE,
                           [SEEN_OURS] = DEED_ARRIVE,
                           [SEEN_FREE] = DEED_ARRIVE,
                           [SEEN_TAKEN] = DEED_ARRIVE,
                           [SEEN_OTHER] = DEED_ARRIVE },
    [PB_DEVICE_PRESENT] = { [SEEN_NOTHING] = DEED_GONE,
                            [SEEN_OURS] = DEED_NOTE,
                            [SEEN_FREE] = DEED_NOTE,
                            [SEEN_TAKEN] = DEED_NOTE,
                            [SEEN_OTHER] = DEED_EXCHANGED },
    [PB_DEVICE_CLAIMED] = { [SEEN_NOTHING] = DEED_GONE,
                            [SEEN_OURS] = DEED_NONE,
                            [SEEN_FREE] = DEED_TAKE_BACK,
                            [SEEN_TAKEN] = DEED_STOLEN,
                            [SEEN_OTHER] = DEED_EXCHANGED },
    [PB_DEVICE_ASSIGNED] = { [SEEN_NOTHING] = DEED_GONE,
                             [SEEN_OURS] = DEED_NONE,
                             [SEEN_FREE] = DEED_WARN,
                             [SEEN_TAKEN] = DEED_WARN,
                             [SEEN_OTHER] = DEED_GONE },
    /* only until its verb goes on: that looks, too */
    [PB_DEVICE_RESETTING] = { [SEEN_NOTHING] = DEED_GONE,
                              [SEEN_OURS] = DEED_NONE,
                              [SEEN_FREE] = DEED_NONE,
                              [SEEN_TAKEN] = DEED_NONE,
                              [SEEN_OTHER] = DEED_GONE },
    [PB_DEVICE_FAILED] = { [SEEN_NOTHING] = DEED_GONE,
                           [SEEN_OURS] = DEED_NONE,
                           [SEEN_FREE] = DEED_NONE,
                           [SEEN_TAKEN] = DEED_NONE,
                           [SEEN_OTHER] = DEED_EXCHANGED },
};

/* --- it is gone --- */

/* Nobody has it: Linux and Xen have dropped what they knew of it, and so do we. */
static void drop(struct pb_device *dev)
{
    if (dev->hw)
        dev->b->host->ops->hw_close(dev->b->host, dev->hw);
    dev->hw = NULL;
    pb_profile_put(dev, NULL);
    pb_denied_clear(dev);
    memset(&dev->interrupts, 0, sizeof(dev->interrupts));
    dev->quarantined = dev->msix_prepared = dev->assigned_in_xen = dev->masked = false;
    dev->failing = dev->stuck = dev->gone = dev->retry = dev->adopted = dev->driver_lost = false;
    dev->driver_now[0] = '\0';
    pb_device_set_reason(dev, "absent", "", "it was removed from the machine");
    pb_record_released(dev);
    pb_device_set_state(dev, PB_DEVICE_ABSENT);
}

static void returned(void *ctx, const struct pb_failure *failure)
{
    (void)ctx;
    if (failure)
        pb_warn("%s: removed from the machine: %s", failure->device, failure->reason);
}

/*
 * Its guest has it still. Interrupts that are mapped must not be unmapped any more, nor may the
 * guest give them up: each of that crashes the host (H1).
 */
static void gone_with_guest(struct pb_device *dev)
{
    struct pb_guest *g = dev->guest;
    char guest[16], text[PB_SBDF_TEXT];

    if (dev->interrupts.count > 0) {
        pb_device_set_reason(
            dev, "removed-in-use", "shut the other guests down and reboot the host",
            "it was removed from the machine with interrupts of domain %u (%s) mapped: "
            "the host crashes when that domain ends or lets them go",
            g->domid, g->name);
        pb_err("%s: %s; next: %s", pb_device_text(dev), dev->cause, dev->cause_next);
        pb_device_set_state(dev, PB_DEVICE_FAILED);
        return;
    }
    pb_device_set_reason(dev, "absent", "", "it was removed from the machine");
    pb_device_set_state(dev, PB_DEVICE_FAILED);
    if (g->ending || g->xl)
        return; /* it comes back with the guest's end, or by the toolstack */
    (void)snprintf(guest, sizeof(guest), "%u", g->domid);
    pb_backend_detach(dev->b, guest, pb_sbdf_format(dev->sbdf, text), true, returned, NULL);
}

static void gone(struct pb_device *dev)
{
    if (dev->task || dev->guest) {
        bool known = dev->gone;

        dev->gone = true;
        if (dev->guest && !dev->task && !known)
            gone_with_guest(dev);
        return;
    }
    drop(dev);
}

/* --- another driver, or none --- */

static const struct pb_task_step back_steps[] = { { "hold", pb_strip_hold, NULL } };
static const struct pb_task_kind back_kind = { "take back", back_steps, PB_ARRAY_SIZE(back_steps) };

static void nothing_more(void *ctx, const struct pb_failure *failure)
{
    (void)ctx;
    (void)failure;
}

static void take_back(struct pb_device *dev)
{
    struct pb_task *task;

    if (dev->taken_back) {
        pb_device_set_reason(dev, "stolen", "find out who does that, then reset it",
                             "stolen: somebody unbinds it from %s again and again",
                             dev->driver_now);
        pb_device_set_state(dev, PB_DEVICE_FAILED);
        return;
    }
    task = pb_task_new(dev->b, &back_kind, nothing_more, NULL);
    if (!task) {
        pb_err("%s: out of memory: its stub driver does not get it back", pb_device_text(dev));
        return;
    }
    pb_notice("%s: somebody has unbound it from %s", pb_device_text(dev), dev->driver_now);
    dev->taken_back = true;
    dev->task = task;
    task->dev = dev;
    (void)pb_sbdf_format(dev->sbdf, task->device_text);
    pb_task_start(task);
}

static void stolen(struct pb_device *dev, const char *driver)
{
    pb_device_set_reason(dev, "stolen", "`reset` takes it back, `release` gives it up",
                         "stolen: driver %s has it", driver);
    pb_device_set_state(dev, PB_DEVICE_FAILED);
}

static void warn(struct pb_device *dev, const char *driver)
{
    char cause[sizeof(dev->cause)];

    if (driver[0])
        (void)snprintf(cause, sizeof(cause), "driver %s has bound to it while its guest has it",
                       driver);
    else
        (void)snprintf(cause, sizeof(cause), "somebody has unbound it from %s", dev->driver_now);
    if (strcmp(cause, dev->cause) != 0)
        pb_warn("%s: %s; it is taken back when the guest has it no more", pb_device_text(dev),
                cause);
    pb_device_set_reason(dev, "stolen", "detach it: then it is taken back", "%s", cause);
}

/* --- looking --- */

static enum seen what_is_seen(const struct pb_device *dev, const struct pb_job *job)
{
    const struct pb_facts *now = &job->facts, *then = &dev->facts;

    if (job->rc == -ENODEV)
        return SEEN_NOTHING;
    if (dev->known && dev->state != PB_DEVICE_ABSENT &&
        (now->vendor != then->vendor || now->device != then->device ||
         now->subsystem_vendor != then->subsystem_vendor ||
         now->subsystem_device != then->subsystem_device))
        return SEEN_OTHER;
    if (strcmp(job->driver_now, dev->driver_now) == 0)
        return SEEN_OURS;
    return job->driver_now[0] ? SEEN_TAKEN : SEEN_FREE;
}

static void note(struct pb_device *dev, const struct pb_job *job)
{
    dev->facts = job->facts;
    dev->surroundings = job->surroundings;
    dev->known = true;
    memcpy(dev->driver_now, job->driver_now, sizeof(dev->driver_now));
}

static void arrive(struct pb_device *dev, const struct pb_job *job)
{
    note(dev, job);
    pb_device_set_cause(dev, "%s", "");
    pb_device_set_state(dev, PB_DEVICE_PRESENT);
    if (pb_slots_match(dev->b, dev->sbdf))
        pb_slots_claim(dev->b, dev->sbdf);
    pb_assign_device_ready(dev);
}

static void act_on(struct pb_device *dev, const struct pb_job *job)
{
    switch ((enum deed)deeds[dev->state][what_is_seen(dev, job)]) {
    case DEED_NONE:
        break;
    case DEED_ARRIVE:
        arrive(dev, job);
        break;
    case DEED_NOTE:
        note(dev, job);
        break;
    case DEED_GONE:
        gone(dev);
        break;
    case DEED_TAKE_BACK:
        take_back(dev);
        break;
    case DEED_STOLEN:
        stolen(dev, job->driver_now);
        break;
    case DEED_WARN:
        warn(dev, job->driver_now);
        break;
    case DEED_EXCHANGED:
        gone(dev);
        if (dev->state == PB_DEVICE_ABSENT)
            arrive(dev, job);
        break;
    }
}

static void look_later(struct pb_task *task)
{
    task->job.done = NULL; /* queued */
    pb_task_back_off(task, pb_task_repeat);
}

/* A driver is bound while its probe runs: one that fails is gone a moment later. */
static bool may_be_passing(const struct pb_task *task, const struct pb_device *dev,
                           const struct pb_job *job)
{
    return task->tries == 0 && job->rc == 0 &&
           deeds[dev->state][what_is_seen(dev, job)] == DEED_STOLEN;
}

static void looked(struct pb_job *job, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_device *dev = pb_device_find(task->b, job->sbdf);

    if (task->b->stopping)
        return; /* it is about to be abandoned */
    if (dev && dev->task)
        dev->look_again = true;
    else if (dev && !dev->adopted && may_be_passing(task, dev, job)) {
        look_later(task);
        return;
    } else if (dev && !dev->adopted && (job->rc == 0 || job->rc == -ENODEV))
        act_on(dev, job);
    if (dev && job->rc && !dev->task && dev->state == PB_DEVICE_ABSENT && !dev->cause[0])
        pb_device_set_cause(dev, "%s",
                            job->rc == -ENODEV ? "it is not in the machine" : job->reason);
    if (job->rc == -ETIMEDOUT && dev && !dev->look_again) {
        look_later(task);
        return;
    }
    pb_task_next(task);
}

static enum pb_run look(struct pb_task *task)
{
    struct pb_job *job = &task->job;
    struct pb_device *dev;

    job->kind = PB_JOB_PROBE;
    if (!pb_sbdf_parse(task->device_text, &job->sbdf))
        return PB_RUN_END;
    dev = pb_device_find(task->b, job->sbdf);
    if (!dev || dev->task) {
        if (dev)
            dev->look_again = true;
        return PB_RUN_END;
    }
    job->deadline_ms = task->b->policy->limits.reset_timeout_ms;
    job->done = looked;
    job->ctx = task;
    task->b->host->ops->job_submit(task->b->host, job);
    return PB_RUN_WAIT;
}

static const struct pb_task_step look_steps[] = { { "look", look, NULL } };
static const struct pb_task_kind look_kind = { "look", look_steps, PB_ARRAY_SIZE(look_steps) };

/* An older look may have been too early: it is under way, but what it finds is not this. */
static bool is_queued(const struct pb_backend *b, const char *address)
{
    const struct pb_task *task;

    TAILQ_FOREACH (task, &b->tasks, link) {
        if (task->kind == &look_kind && !task->job.done && strcmp(task->device_text, address) == 0)
            return true;
    }
    return false;
}

void pb_uevents_look(struct pb_backend *b, struct pb_sbdf sbdf)
{
    struct pb_failure failure = { 0 };
    struct pb_device *dev = pb_device_admit(b, sbdf, &failure);
    struct pb_task *task;
    char address[PB_SBDF_TEXT];

    if (!dev) {
        pb_warn("%s: not looked at: %s", failure.device, failure.reason);
        return;
    }
    if (dev->task) {
        dev->look_again = true;
        return;
    }
    if (is_queued(b, pb_sbdf_format(sbdf, address)))
        return;
    task = pb_task_new(b, &look_kind, nothing_more, NULL);
    if (!task) {
        pb_err("%s: out of memory: it is not looked at", address);
        return;
    }
    memcpy(task->device_text, address, sizeof(address));
    pb_task_start(task);
}

/* --- events --- */

static void happened(struct pb_device *dev, enum pb_uevent what)
{
    pb_view_forget(&dev->view);
    switch ((enum act)acts[dev->state][what]) {
    case ACT_NONE:
        break;
    case ACT_APPEARED:
        if (!dev->task && pb_slots_match(dev->b, dev->sbdf))
            pb_slots_claim(dev->b, dev->sbdf);
        else
            pb_uevents_look(dev->b, dev->sbdf);
        break;
    case ACT_LOOK:
        if (!dev->adopted)
            pb_uevents_look(dev->b, dev->sbdf);
        break;
    case ACT_GONE:
        gone(dev);
        break;
    }
}

static void fired(void *ctx, enum pb_uevent what, struct pb_sbdf sbdf, const char *driver)
{
    struct pb_failure failure = { 0 };
    struct pb_backend *b = ctx;
    struct pb_device *dev;

    (void)driver; /* late: who has it now is looked up */
    if (b->stopping)
        return;
    if (what == PB_UEVENT_LOST) {
        pb_notice("events of the kernel were lost: all devices are looked at");
        TAILQ_FOREACH (dev, &b->devices, link)
            happened(dev, what);
        pb_slots_claim_all(b);
        return;
    }
    dev = pb_device_find(b, sbdf);
    if (!dev && what == PB_UEVENT_ADD && (pb_slots_match(b, sbdf) || pb_assign_wants(b, sbdf)))
        dev = pb_device_admit(b, sbdf, &failure);
    if (dev)
        happened(dev, what);
    else if (failure.reason[0])
        pb_warn("%s: left alone: %s", failure.device, failure.reason);
}

/* Its verb may have left it in any state, with a cause of its own. */
static bool is_to_be_told(const struct pb_device *dev)
{
    return dev->gone && dev->guest && strcmp(dev->cause_code, "removed-in-use") != 0 &&
           strcmp(dev->cause_code, "absent") != 0;
}

void pb_uevents_settled(struct pb_device *dev)
{
    bool look_again = dev->look_again;

    if (dev->task || dev->b->stopping)
        return;
    dev->look_again = false;
    if (dev->gone && !dev->guest) {
        drop(dev);
        look_again = true; /* it may have come back while its guest had it */
    } else if (is_to_be_told(dev)) {
        gone_with_guest(dev);
    }
    if (look_again)
        pb_uevents_look(dev->b, dev->sbdf);
    else if (!pb_slots_is_known(dev))
        pb_device_free(dev);
}

void pb_uevents_start(struct pb_backend *b)
{
    b->host->events.ctx = b;
    b->host->events.device = fired;
}

void pb_uevents_stop(struct pb_backend *b)
{
    b->host->events = (struct pb_host_events){ 0 };
}
