/* SPDX-License-Identifier: MIT */
#include "backend/slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/claim.h"
#include "backend/failure.h"
#include "backend/machine.h"
#include "backend/uevents.h"
#include "base/log.h"
#include "pci/regs.h"

#define FAIL(task, code, next, ...) \
    (pb_fail(&(task)->failure, PB_FAIL_##code, (task)->device_text, next, __VA_ARGS__), PB_RUN_FAIL)

/* --- the list --- */

static struct pb_slot_entry *entry_of(const struct pb_backend *b, const struct pb_slot *slot)
{
    struct pb_slot_entry *entry;

    TAILQ_FOREACH (entry, &b->slots, link) {
        if (pb_slot_equal(&entry->slot, slot))
            return entry;
    }
    return NULL;
}

static struct pb_slot_entry *add_entry(struct pb_backend *b, const struct pb_slot *slot)
{
    struct pb_slot_entry *entry = calloc(1, sizeof(*entry));

    if (!entry)
        return NULL;
    entry->slot = *slot;
    entry->listed = true;
    TAILQ_INSERT_TAIL(&b->slots, entry, link);
    return entry;
}

static void remove_entry(struct pb_backend *b, struct pb_slot_entry *entry)
{
    TAILQ_REMOVE(&b->slots, entry, link);
    free(entry);
}

void pb_slots_free(struct pb_backend *b)
{
    while (!TAILQ_EMPTY(&b->slots))
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see TAILQ_REMOVE move the head */
        remove_entry(b, TAILQ_FIRST(&b->slots));
}

static bool is_star(const struct pb_slot *slot)
{
    return slot->device < 0 || slot->function < 0;
}

/* FRESH: only by slots that a reload has just listed, and no others. */
static bool match(const struct pb_backend *b, struct pb_sbdf sbdf, bool fresh)
{
    const struct pb_slot_entry *entry;
    bool found = false;

    TAILQ_FOREACH (entry, &b->slots, link) {
        if (!entry->listed || !pb_slot_matches(&entry->slot, sbdf))
            continue;
        if (fresh && !entry->fresh)
            return false;
        found = true;
    }
    return found;
}

bool pb_slots_match(const struct pb_backend *b, struct pb_sbdf sbdf)
{
    return match(b, sbdf, false);
}

/* By its own address. */
static bool is_listed(const struct pb_device *dev)
{
    const struct pb_slot_entry *entry;

    if (pb_policy_device(dev->b->policy, dev->sbdf))
        return true;
    TAILQ_FOREACH (entry, &dev->b->slots, link) {
        if (entry->listed && !is_star(&entry->slot) && pb_slot_matches(&entry->slot, dev->sbdf))
            return true;
    }
    return false;
}

static bool is_remembered(const struct pb_device *dev)
{
    return dev->guest || dev->task || dev->identity.known || dev->taint.count > 0;
}

/* An address that a star covers but the machine lacks is nothing to show. */
bool pb_slots_is_known(const struct pb_device *dev)
{
    return dev->state != PB_DEVICE_ABSENT || is_remembered(dev) || is_listed(dev);
}

bool pb_slots_can_forget(const struct pb_device *dev)
{
    return (dev->state == PB_DEVICE_ABSENT || dev->state == PB_DEVICE_PRESENT) &&
           !is_remembered(dev) && !dev->driver_lost && !dev->retry && !dev->record &&
           !is_listed(dev) && !pb_slots_match(dev->b, dev->sbdf);
}

/* --- what was not done in time --- */

static void claimed(void *ctx, const struct pb_failure *failure);
static void try_again(struct pb_task *task);

/* Not what was claimed, released or refused meanwhile. */
static bool is_wanted(const struct pb_task *task, const struct pb_device *dev, struct pb_sbdf sbdf)
{
    if (!task->was_ours && !pb_slots_match(task->b, sbdf))
        return false;
    return !dev || dev->state == PB_DEVICE_ABSENT ||
           (dev->state == PB_DEVICE_PRESENT && strcmp(dev->cause_code, "claim-failed") == 0);
}

static void tried_again(void *ctx, const struct pb_failure *failure)
{
    struct pb_task *task = ctx;

    if (task->b->stopping)
        return;
    if (failure && failure->code == PB_FAIL_TIMEOUT) {
        pb_task_back_off(task, try_again);
        return;
    }
    if (failure)
        claimed(task->b, failure);
    pb_task_next(task);
}

static void try_again(struct pb_task *task)
{
    struct pb_sbdf sbdf = task->job.sbdf;
    const struct pb_device *dev = pb_device_find(task->b, sbdf);

    if (dev && dev->task)
        pb_task_back_off(task, try_again);
    else if (is_wanted(task, dev, sbdf))
        pb_claim_quietly(task->b, sbdf, tried_again, task);
    else
        pb_task_next(task);
}

static enum pb_run wait_before_next(struct pb_task *task)
{
    pb_task_back_off(task, try_again);
    return PB_RUN_WAIT;
}

static void nothing_more(void *ctx, const struct pb_failure *failure)
{
    (void)ctx;
    (void)failure;
}

static void claim_later(struct pb_backend *b, const struct pb_failure *failure, bool was_ours)
{
    static const struct pb_task_step steps[] = { { "wait", wait_before_next, NULL } };
    static const struct pb_task_kind kind = { "claim later", steps, PB_ARRAY_SIZE(steps) };
    struct pb_task *task;
    struct pb_sbdf sbdf;

    if (b->stopping || !pb_sbdf_parse(failure->device, &sbdf))
        return;
    task = pb_task_new(b, &kind, nothing_more, NULL);
    if (!task) {
        pb_err("%s: out of memory: it is not claimed", failure->device);
        return;
    }
    pb_warn("%s: cannot be claimed now: %s; tried again, later and later", failure->device,
            failure->reason);
    (void)pb_sbdf_format(sbdf, task->device_text);
    task->job.sbdf = sbdf;
    task->was_ours = was_ours;
    pb_task_start(task);
}

/* --- by itself --- */

static void claimed(void *ctx, const struct pb_failure *failure)
{
    if (failure && failure->code == PB_FAIL_TIMEOUT)
        claim_later(ctx, failure, false);
    else if (failure && failure->code != PB_FAIL_NOT_FOUND)
        pb_warn("%s: cannot be claimed: %s%s%s", failure->device, failure->reason,
                failure->next[0] ? "; next: " : "", failure->next);
}

/* What was ours before this run. */
static void claimed_again(void *ctx, const struct pb_failure *failure)
{
    if (failure && failure->code == PB_FAIL_TIMEOUT)
        claim_later(ctx, failure, true);
    else
        claimed(ctx, failure);
}

/* An address that stands alone was written for a device: that there is none may be a mistake. */
static void listed_claimed(void *ctx, const struct pb_failure *failure)
{
    const struct pb_backend *b = ctx;

    if (failure && failure->code == PB_FAIL_NOT_FOUND && !b->stopping)
        pb_notice("%s: listed, but not in the machine: it is claimed when it appears",
                  failure->device);
    else
        claimed(ctx, failure);
}

void pb_slots_claim(struct pb_backend *b, struct pb_sbdf sbdf)
{
    pb_claim_quietly(b, sbdf, claimed, b);
}

/* Is it neither claimed nor about to be? What is present was released, or refused to be claimed. */
static bool is_open(const struct pb_backend *b, struct pb_sbdf sbdf)
{
    const struct pb_device *dev = pb_device_find(b, sbdf);
    const struct pb_task *task;
    char text[PB_SBDF_TEXT];

    (void)pb_sbdf_format(sbdf, text);
    TAILQ_FOREACH (task, &b->tasks, link) {
        /* One that has not begun has no device yet. */
        if (!task->dev && strcmp(task->kind->name, "claim") == 0 &&
            strcmp(task->device_text, text) == 0)
            return false;
    }
    return !dev || (dev->state == PB_DEVICE_ABSENT && !dev->task);
}

static void submit(struct pb_task *task, enum pb_job_kind kind,
                   void (*done)(struct pb_job *job, void *ctx))
{
    struct pb_job *job = &task->job;

    job->kind = kind;
    job->deadline_ms = task->b->policy->limits.reset_timeout_ms;
    job->done = done;
    job->ctx = task;
    task->b->host->ops->job_submit(task->b->host, job);
}

/* What is in the machine of the task's slot. */
static void submit_list(struct pb_task *task, void (*done)(struct pb_job *job, void *ctx))
{
    task->job.slots = &task->slot;
    task->job.slot_count = 1;
    submit(task, PB_JOB_LIST, done);
}

/* Did the slots that were listed before a reload have it? */
static bool has_had_its_turn(const struct pb_task *task, struct pb_sbdf sbdf)
{
    for (size_t i = 0; i < task->slots_count; i++) {
        if (pb_slot_matches(&task->slots_file[i], sbdf))
            return true;
    }
    return false;
}

static void star_listed(struct pb_job *job, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_backend *b = task->b;
    const struct pb_slot_entry *entry = entry_of(b, &task->slot);

    if (job->rc && task->tries == 0)
        pb_warn("slot %s: what is there cannot be listed: %s", task->device_text, job->reason);
    if (job->rc == -ETIMEDOUT && entry && entry->listed) {
        pb_task_back_off(task, pb_task_repeat);
        return;
    }
    for (unsigned i = 0; job->rc == 0 && entry && entry->listed && i < job->listed_count; i++) {
        if (is_open(b, job->listed[i]) && !has_had_its_turn(task, job->listed[i]))
            pb_claim_quietly(b, job->listed[i], claimed, b);
    }
    pb_task_next(task);
}

static enum pb_run list_star(struct pb_task *task)
{
    submit_list(task, star_listed);
    return PB_RUN_WAIT;
}

/* Room in the task for every slot that is listed, and for one more. */
static bool make_room(struct pb_task *task)
{
    const struct pb_slot_entry *entry;
    size_t count = 1;

    TAILQ_FOREACH (entry, &task->b->slots, link)
        count++;
    task->slots_file = calloc(count, sizeof(*task->slots_file));
    return task->slots_file != NULL;
}

static bool remember_older(struct pb_task *task)
{
    const struct pb_slot_entry *entry;

    if (!make_room(task))
        return false;
    TAILQ_FOREACH (entry, &task->b->slots, link) {
        if (entry->listed && !entry->fresh)
            task->slots_file[task->slots_count++] = entry->slot;
    }
    return true;
}

/* Most addresses of a star are empty: only what is there costs a job. */
static void claim_star(struct pb_backend *b, const struct pb_slot_entry *entry)
{
    static const struct pb_task_step steps[] = { { "list", list_star, NULL } };
    static const struct pb_task_kind kind = { "claim slot", steps, PB_ARRAY_SIZE(steps) };
    struct pb_task *task = pb_task_new(b, &kind, nothing_more, NULL);

    if (task) {
        task->slot = entry->slot;
        (void)pb_slot_format(&entry->slot, task->device_text);
        pb_task_start(task);
    }
    if (!task || (entry->fresh && !remember_older(task)))
        pb_err("out of memory: a slot with a star is not claimed as it should be");
}

static struct pb_sbdf address_of(const struct pb_slot *slot)
{
    return (struct pb_sbdf){ .segment = slot->segment,
                             .bus = slot->bus,
                             .devfn = (uint8_t)(slot->device << 3 | slot->function) };
}

static void claim_slot(struct pb_backend *b, const struct pb_slot_entry *entry, bool tell)
{
    struct pb_sbdf sbdf;

    if (is_star(&entry->slot)) {
        claim_star(b, entry);
        return;
    }
    sbdf = address_of(&entry->slot);
    if (is_open(b, sbdf) && (!entry->fresh || match(b, sbdf, true)))
        pb_claim_quietly(b, sbdf, tell ? listed_claimed : claimed, b);
}

void pb_slots_claim_all(struct pb_backend *b)
{
    const struct pb_slot_entry *entry;

    TAILQ_FOREACH (entry, &b->slots, link) {
        if (entry->listed)
            claim_slot(b, entry, false);
    }
}

void pb_slots_domain_ended(struct pb_backend *b)
{
    struct pb_device *dev;

    TAILQ_FOREACH (dev, &b->devices, link) {
        pb_taint_refresh(dev);
        if (!dev->retry || dev->task || dev->state != PB_DEVICE_PRESENT)
            continue;
        dev->retry = false;
        pb_claim_quietly(b, dev->sbdf, claimed_again, b);
    }
}

static void merge_slot(struct pb_backend *b, const struct pb_policy_slot *slot)
{
    struct pb_slot_entry *entry = entry_of(b, &slot->slot);

    if (!entry) {
        entry = add_entry(b, &slot->slot);
        if (!entry) {
            pb_err("out of memory: slots of the configuration are missing");
            return;
        }
        entry->fresh = true;
    }
    entry->listed = entry->listed || !slot->saved;
    entry->origin = slot->saved ? PB_SLOT_SAVED : PB_SLOT_CONFIG;
}

/* The policy's slots become the list's; what is new there is fresh. */
static void merge(struct pb_backend *b)
{
    const struct pb_policy *policy = b->policy;
    struct pb_slot_entry *entry, *next;

    for (entry = TAILQ_FIRST(&b->slots); entry; entry = next) {
        bool there = false;

        next = TAILQ_NEXT(entry, link);
        for (size_t i = 0; i < policy->slot_count; i++)
            there = there || pb_slot_equal(&policy->slots[i].slot, &entry->slot);
        if (!there && !entry->by_verb) {
            remove_entry(b, entry);
            continue;
        }
        if (!there && entry->origin == PB_SLOT_CONFIG)
            entry->origin = PB_SLOT_VERB;
        entry->fresh = false;
    }
    for (size_t i = 0; i < policy->slot_count; i++) {
        if (policy->slots[i].saved)
            merge_slot(b, &policy->slots[i]);
    }
    /* Last, because what the configuration lists elsewhere is the configuration's. */
    for (size_t i = 0; i < policy->slot_count; i++) {
        if (!policy->slots[i].saved)
            merge_slot(b, &policy->slots[i]);
    }
}

void pb_slots_reloaded(struct pb_backend *b, const struct pb_policy *before)
{
    const struct pb_policy *policy = b->policy;
    struct pb_slot_entry *entry;

    merge(b);
    for (size_t i = 0; i < policy->device_count; i++) {
        struct pb_sbdf sbdf = policy->devices[i].sbdf;

        if (!(before && pb_policy_device(before, sbdf)) && is_open(b, sbdf) &&
            !pb_slots_match(b, sbdf))
            pb_uevents_look(b, sbdf);
    }
    TAILQ_FOREACH (entry, &b->slots, link) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see TAILQ_REMOVE move the head */
        if (entry->listed && entry->fresh)
            claim_slot(b, entry, true);
    }
    TAILQ_FOREACH (entry, &b->slots, link)
        entry->fresh = false;
}

/* --- the start --- */

/* A release did not live to its end: it is the host's, and nobody would look at it again. */
static void look_at_released(struct pb_backend *b)
{
    struct pb_device *dev, *next;

    for (dev = TAILQ_FIRST(&b->devices); dev; dev = next) {
        next = TAILQ_NEXT(dev, link);
        if (dev->state == PB_DEVICE_ABSENT && !dev->record && !is_remembered(dev))
            pb_uevents_look(b, dev->sbdf);
    }
}

/*
 * What is still held is ours, forced or not; what another driver has got since may be what the host
 * lives on now.
 */
static void remembered(struct pb_job *job, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_backend *b = task->b;

    if (job->rc)
        pb_warn("what an earlier run has claimed is not known: %s", job->reason);
    for (unsigned i = 0; job->rc == 0 && i < job->listed_count; i++) {
        const struct pb_device *dev = pb_device_add(b, job->listed[i]);

        if (!dev)
            break;
        if (dev->profile || dev->guest || dev->task)
            continue; /* taken up from the journal, or being so */
        pb_claim_quietly(b, job->listed[i], claimed_again, b);
    }
    look_at_released(b);
    pb_task_next(task);
}

static enum pb_run recall(struct pb_task *task)
{
    submit(task, PB_JOB_REMEMBERED, remembered);
    return PB_RUN_WAIT;
}

static enum pb_run list_all(struct pb_task *task)
{
    pb_slots_reloaded(task->b, NULL);
    return PB_RUN_NEXT;
}

void pb_slots_start(struct pb_backend *b)
{
    static const struct pb_task_step steps[] = {
        { "recall", recall, NULL },
        { "list", list_all, NULL },
    };
    static const struct pb_task_kind kind = { "start", steps, PB_ARRAY_SIZE(steps) };
    struct pb_task *task = pb_task_new(b, &kind, nothing_more, NULL);

    if (task)
        pb_task_start(task);
    else
        pb_err("out of memory: nothing is claimed");
}

/* --- the verbs --- */

static const struct pb_task_kind add_kind, remove_kind;

/* One at a time: each of them writes the whole file. */
static bool is_my_turn(struct pb_task *task)
{
    const struct pb_task *other;

    TAILQ_FOREACH (other, &task->b->tasks, link) {
        if (other == task)
            return true;
        if (other->kind == &add_kind || other->kind == &remove_kind)
            break;
    }
    pb_task_arm(task, 5, pb_task_repeat);
    return false;
}

static enum pb_run list_slot(struct pb_task *task)
{
    struct pb_slot_entry *entry;

    if (!is_my_turn(task))
        return PB_RUN_WAIT;
    entry = entry_of(task->b, &task->slot);
    task->was_listed = entry && entry->listed;
    task->was_saved = entry && entry->origin == PB_SLOT_SAVED;
    if (!entry)
        entry = add_entry(task->b, &task->slot);
    if (!entry)
        return FAIL(task, INTERNAL, "", "out of memory");
    if (!task->was_listed && !task->was_saved) {
        entry->origin = PB_SLOT_VERB;
        entry->by_verb = true;
    }
    entry->listed = true;
    return PB_RUN_NEXT;
}

/* As it was before the verb; what it has claimed meanwhile stays claimed. */
static enum pb_run unlist_slot(struct pb_task *task)
{
    struct pb_slot_entry *entry = entry_of(task->b, &task->slot);

    if (!entry || task->keep)
        return PB_RUN_NEXT;
    entry->listed = task->was_listed;
    if (!task->was_listed && !task->was_saved)
        remove_entry(task->b, entry);
    return PB_RUN_NEXT;
}

static void one_done(struct pb_task *task)
{
    if (--task->pending > 0 || task->b->stopping)
        return;
    /* One device that refuses is a wrong address; of many, the others are what was asked for. */
    if (task->some_failed && !is_star(&task->slot))
        pb_task_failed(task);
    else
        pb_task_next(task);
}

static bool is_bridge(const struct pb_backend *b, const char *address)
{
    struct pb_sbdf sbdf;
    bool is_address;
    const struct pb_device *dev = pb_device_resolve(b, address, &is_address, &sbdf);

    return dev && dev->known && dev->facts.class_code >> 16 == PCI_CLASS_BRIDGE;
}

static void one_claimed(void *ctx, const struct pb_failure *failure)
{
    struct pb_task *task = ctx;
    bool nothing = failure && (failure->code == PB_FAIL_NOT_FOUND ||
                               (is_star(&task->slot) && is_bridge(task->b, failure->device)));

    if (failure && failure->code == PB_FAIL_TIMEOUT && is_star(&task->slot))
        claim_later(task->b, failure, false);
    if (failure && !nothing && !task->some_failed) {
        task->some_failed = true;
        task->failure = *failure;
    }
    one_done(task);
}

static void claim_one(struct pb_task *task, struct pb_sbdf sbdf)
{
    const struct pb_device *dev = pb_device_find(task->b, sbdf);

    if (dev && dev->task)
        return;
    task->pending++;
    pb_claim_quietly(task->b, sbdf, one_claimed, task);
}

static void matching_listed(struct pb_job *job, void *ctx)
{
    struct pb_task *task = ctx;

    if (task->b->stopping)
        return;
    if (job->rc) {
        pb_fail(&task->failure, job->rc == -ETIMEDOUT ? PB_FAIL_TIMEOUT : PB_FAIL_HOST,
                task->device_text, job->next[0] ? job->next : "try again",
                "what is there cannot be listed: %s", job->reason);
        pb_task_failed(task);
        return;
    }
    task->pending = 1; /* so that it is not done before all have begun */
    for (unsigned i = 0; i < job->listed_count; i++)
        claim_one(task, job->listed[i]);
    one_done(task);
}

static enum pb_run claim_matching(struct pb_task *task)
{
    if (is_star(&task->slot)) {
        submit_list(task, matching_listed);
        return PB_RUN_WAIT;
    }
    task->pending = 1; /* so that it is not done before it has begun */
    claim_one(task, address_of(&task->slot));
    if (--task->pending > 0)
        return PB_RUN_WAIT;
    return task->some_failed ? PB_RUN_FAIL : PB_RUN_NEXT;
}

static void saved(struct pb_job *job, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_slot_entry *entry = entry_of(task->b, &task->slot);

    if (job->rc) {
        pb_fail(&task->failure, job->rc == -ETIMEDOUT ? PB_FAIL_TIMEOUT : PB_FAIL_HOST,
                task->device_text, job->next[0] ? job->next : "try it without --save",
                "it cannot be saved, and the list is as before: %s", job->reason);
        pb_task_failed(task);
        return;
    }
    if (entry && task->kind == &add_kind)
        entry->origin = PB_SLOT_SAVED;
    else if (entry)
        remove_entry(task->b, entry);
    pb_task_next(task);
}

/* All slots that are to be in the file, with the verb's own or without it. */
static enum pb_run save(struct pb_task *task)
{
    const struct pb_slot_entry *entry;
    struct pb_job *job = &task->job;
    bool adding = task->kind == &add_kind;
    size_t count = 0;

    entry = entry_of(task->b, &task->slot);
    if (!task->save || !entry || entry->origin == PB_SLOT_CONFIG ||
        adding == (entry->origin == PB_SLOT_SAVED))
        return PB_RUN_NEXT; /* the configuration has it, or the file is as it should be */
    if (!make_room(task))
        return FAIL(task, INTERNAL, "", "out of memory");
    TAILQ_FOREACH (entry, &task->b->slots, link) {
        bool own = pb_slot_equal(&entry->slot, &task->slot);

        if (own ? adding : entry->origin == PB_SLOT_SAVED)
            task->slots_file[count++] = entry->slot;
    }
    if (count > PB_SLOTS_SAVED_MAX)
        return FAIL(task, LIMIT, "write a slot with a star instead of many",
                    "at most %u slots can be saved", PB_SLOTS_SAVED_MAX);
    job->slots = task->slots_file;
    job->slot_count = count;
    submit(task, PB_JOB_SAVE_SLOTS, saved);
    return PB_RUN_WAIT;
}

/* What a star did not get is told when all else is done. */
static enum pb_run tell(struct pb_task *task)
{
    task->keep = true;
    return task->some_failed ? PB_RUN_FAIL : PB_RUN_NEXT;
}

static enum pb_run take_off(struct pb_task *task)
{
    struct pb_slot_entry *entry;

    if (!is_my_turn(task))
        return PB_RUN_WAIT;
    entry = entry_of(task->b, &task->slot);
    if (!entry || (!entry->listed && !task->save))
        return FAIL(task, NOT_FOUND, "see `pcibackctl slot list`", "this slot is not listed");
    if (entry->origin == PB_SLOT_CONFIG)
        return FAIL(task, REFUSED, "remove it there and reload",
                    "it is listed in the configuration");
    task->was_listed = entry->listed;
    task->was_saved = entry->origin == PB_SLOT_SAVED;
    entry->listed = false;
    return PB_RUN_NEXT;
}

/* One that is in the file stays known, so that the next --save does not take it out of there. */
static enum pb_run forget(struct pb_task *task)
{
    struct pb_slot_entry *entry = entry_of(task->b, &task->slot);
    struct pb_device *dev = TAILQ_FIRST(&task->b->devices), *next;

    if (entry && entry->origin != PB_SLOT_SAVED)
        remove_entry(task->b, entry);
    for (; dev; dev = next) {
        next = TAILQ_NEXT(dev, link);
        if (!pb_slots_is_known(dev))
            pb_device_free(dev);
    }
    return PB_RUN_NEXT;
}

static const struct pb_task_step add_steps[] = {
    { "list", list_slot, unlist_slot },
    { "claim", claim_matching, NULL },
    { "save", save, NULL },
    { "tell", tell, NULL },
};
static const struct pb_task_kind add_kind = { "slot add", add_steps, PB_ARRAY_SIZE(add_steps) };

static const struct pb_task_step remove_steps[] = {
    { "take off", take_off, unlist_slot },
    { "save", save, NULL },
    { "forget", forget, NULL },
};
static const struct pb_task_kind remove_kind = { "slot remove", remove_steps,
                                                 PB_ARRAY_SIZE(remove_steps) };

static void change(struct pb_backend *b, const struct pb_task_kind *kind,
                   const struct pb_slot *slot, bool to_save, pb_verb_fn done, void *ctx)
{
    char text[PB_SLOT_TEXT];
    struct pb_task *task = pb_task_verb(b, kind, pb_slot_format(slot, text), false, done, ctx);

    if (!task)
        return;
    task->slot = *slot;
    task->save = to_save;
}

void pb_backend_slot_add(struct pb_backend *b, const struct pb_slot *slot, bool save_it,
                         pb_verb_fn done, void *ctx)
{
    change(b, &add_kind, slot, save_it, done, ctx);
}

void pb_backend_slot_remove(struct pb_backend *b, const struct pb_slot *slot, bool save_it,
                            pb_verb_fn done, void *ctx)
{
    change(b, &remove_kind, slot, save_it, done, ctx);
}

void pb_backend_each_slot(const struct pb_backend *b,
                          void (*visit)(void *ctx, const struct pb_slot_view *view), void *ctx)
{
    const struct pb_slot_entry *entry;
    const struct pb_device *dev;

    TAILQ_FOREACH (entry, &b->slots, link) {
        struct pb_slot_view view = { .slot = entry->slot, .origin = entry->origin };

        if (!entry->listed)
            continue;
        TAILQ_FOREACH (dev, &b->devices, link) {
            if (!pb_slot_matches(&entry->slot, dev->sbdf) || dev->state == PB_DEVICE_ABSENT)
                continue;
            view.devices++;
            if (dev->guest || dev->profile)
                view.claimed++;
        }
        visit(ctx, &view);
    }
}
