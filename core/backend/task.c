/* SPDX-License-Identifier: MIT */
#include "backend/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/detach.h"
#include "backend/failure.h"
#include "backend/guest.h"
#include "backend/machine.h"
#include "backend/profile.h"
#include "backend/record.h"
#include "backend/uevents.h"
#include "base/assert.h"
#include "base/log.h"

static void task_free(struct pb_task *task)
{
    ev_timer_stop(task->b->loop, &task->start);
    ev_timer_stop(task->b->loop, &task->timer);
    pb_script_fini(&task->script);
    TAILQ_REMOVE(&task->b->tasks, task, link);
    free(task->slots_file);
    free(task);
}

static void finish(struct pb_task *task, bool success)
{
    struct pb_failure failure = task->failure;
    struct pb_guest *guest = task->guest;
    struct pb_device *dev = task->dev;
    pb_verb_fn done = task->done;
    void *ctx = task->ctx;
    bool owner = dev && dev->task == task;
    struct pb_backend *b = task->b;
    struct pb_sbdf sbdf = owner ? dev->sbdf : (struct pb_sbdf){ 0 };

    if (owner) {
        dev->task = task->instead;
        pb_record_device(dev);
    }
    if (!owner || task->instead)
        dev = NULL;
    if (guest) {
        pb_guest_hold(guest);
        pb_guest_leave(guest, task);
    }
    if (!success)
        pb_log(task->asked ? PB_LOG_DEBUG : PB_LOG_NOTICE, "%s %s: %s", task->kind->name,
               failure.device, failure.reason);
    task_free(task);
    /* The guest ended while this task had the device: now its end can have it. */
    if (dev && dev->guest && dev->guest->ending)
        pb_detach_ended(dev);
    done(ctx, success ? NULL : &failure);
    if (guest)
        pb_guest_drop(guest);
    dev = owner ? pb_device_find(b, sbdf) : NULL;
    if (dev)
        pb_uevents_settled(dev);
}

static void run(struct pb_task *task);

/* Reports the outcome of a step and says whether the task goes on at once. */
static bool advance(struct pb_task *task, enum pb_run outcome)
{
    switch (outcome) {
    case PB_RUN_WAIT:
        return false;
    case PB_RUN_END:
        finish(task, true);
        return false;
    case PB_RUN_FAIL:
        if (!task->undoing)
            task->undoing = true;
        break;
    case PB_RUN_NEXT:
        break;
    }
    if (!task->undoing) {
        if (++task->at == task->kind->count) {
            finish(task, true);
            return false;
        }
        return true;
    }
    if (task->at == 0) {
        finish(task, false);
        return false;
    }
    task->at--;
    return true;
}

/* Between two steps a later process finds what was done, and that more may be. */
static void record(const struct pb_task *task)
{
    if (task->dev && task->dev->task == task)
        pb_record_device(task->dev);
}

static void run(struct pb_task *task)
{
    const struct pb_task_step *step;
    enum pb_run outcome;

    do {
        step = &task->kind->steps[task->at];
        record(task);
        if (!task->undoing)
            outcome = step->run(task);
        else
            outcome = step->undo ? step->undo(task) : PB_RUN_NEXT;
        if (outcome != PB_RUN_WAIT) /* one that waits may have gone on, and ended */
            record(task);
    } while (advance(task, outcome));
}

static void started(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    run(timer->data);
}

struct pb_task *pb_task_new(struct pb_backend *b, const struct pb_task_kind *kind, pb_verb_fn done,
                            void *ctx)
{
    struct pb_task *task = calloc(1, sizeof(*task));

    if (!task)
        return NULL;
    task->b = b;
    task->kind = kind;
    task->done = done;
    task->ctx = ctx;
    ev_timer_init(&task->start, started, 0., 0.);
    task->start.data = task;
    ev_init(&task->timer, NULL);
    ev_init(&task->script.timer, NULL);
    TAILQ_INSERT_TAIL(&b->tasks, task, link);
    return task;
}

struct pb_task *pb_task_verb(struct pb_backend *b, const struct pb_task_kind *kind, const char *dev,
                             bool force, pb_verb_fn done, void *ctx)
{
    struct pb_task *task = pb_task_new(b, kind, done, ctx);
    struct pb_failure failure = { 0 };

    if (!task) {
        pb_fail(&failure, PB_FAIL_INTERNAL, dev, "", "out of memory");
        done(ctx, &failure);
        return NULL;
    }
    task->force = force;
    task->asked = true;
    (void)snprintf(task->device_text, sizeof(task->device_text), "%s", dev);
    pb_task_start(task);
    return task;
}

void pb_task_child_done(void *ctx, const struct pb_failure *failure)
{
    struct pb_task *task = ctx;

    if (failure) {
        task->failure = *failure;
        pb_task_failed(task);
        return;
    }
    pb_task_next(task);
}

void pb_task_start(struct pb_task *task)
{
    ev_timer_start(task->b->loop, &task->start);
}

void pb_task_next(struct pb_task *task)
{
    if (task->b->stopping)
        return; /* it is about to be abandoned */
    pb_task_disarm(task);
    if (advance(task, PB_RUN_NEXT))
        run(task);
}

void pb_task_failed(struct pb_task *task)
{
    if (task->b->stopping)
        return; /* it is about to be abandoned */
    pb_task_disarm(task);
    if (advance(task, PB_RUN_FAIL))
        run(task);
}

void pb_task_repeat(struct pb_task *task)
{
    if (task->b->stopping)
        return; /* it is about to be abandoned */
    pb_task_disarm(task);
    run(task);
}

static void timer_fired(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct pb_task *task = timer->data;

    (void)loop;
    (void)events;
    task->fired(task);
}

void pb_task_arm(struct pb_task *task, unsigned ms, void (*fired)(struct pb_task *task))
{
    pb_task_disarm(task);
    task->fired = fired;
    ev_timer_init(&task->timer, timer_fired, ms / 1000.0, 0.);
    task->timer.data = task;
    ev_timer_start(task->b->loop, &task->timer);
}

void pb_task_back_off(struct pb_task *task, void (*fired)(struct pb_task *task))
{
    unsigned seconds = task->tries < 6 ? 1U << task->tries : 60;

    task->tries++;
    pb_task_arm(task, seconds * 1000, fired);
}

void pb_task_disarm(struct pb_task *task)
{
    ev_timer_stop(task->b->loop, &task->timer);
}

void pb_task_abandon(struct pb_task *task)
{
    pb_verb_fn done = task->done;
    void *ctx = task->ctx;
    struct pb_failure failure = { 0 };

    pb_fail(&failure, PB_FAIL_INTERNAL, task->device_text,
            "start pcibackd again and look at `list`", "%s was interrupted: the daemon ends",
            task->kind->name);
    task_free(task);
    done(ctx, &failure);
}

static void job_init(struct pb_task *task, enum pb_job_kind kind,
                     void (*done)(struct pb_job *job, void *ctx))
{
    struct pb_job *job = &task->job;
    const struct pb_device *dev = task->dev;

    memset(job, 0, sizeof(*job));
    job->kind = kind;
    job->sbdf = task->dev->sbdf;
    memcpy(job->driver, dev->policy.driver, sizeof(job->driver));
    /* While we hold it the stub is the one that it was claimed for, whatever was reloaded since. */
    if (dev->profile)
        (void)snprintf(job->driver, sizeof(job->driver), "%s",
                       dev->driver_now[0] ? dev->driver_now : "none");
    job->force = task->force;
    job->deadline_ms = task->b->policy->limits.reset_timeout_ms;
    job->done = done;
    job->ctx = task;
}

void pb_task_job(struct pb_task *task, enum pb_job_kind kind,
                 void (*done)(struct pb_job *job, void *ctx))
{
    job_init(task, kind, done);
    task->b->host->ops->job_submit(task->b->host, &task->job);
}

void pb_task_reset(struct pb_task *task, const char *methods,
                   void (*done)(struct pb_job *job, void *ctx))
{
    struct pb_job *job = &task->job;
    const struct pb_profile *profile = task->dev->profile;

    job_init(task, PB_JOB_RESET, done);
    (void)snprintf(job->method, sizeof(job->method), "%s", methods);
    if (profile) {
        job->settle_ms = profile->traits.reset_delay_ms;
        job->deadline_ms += job->settle_ms; /* the limit is about the reset, not about the device */
        pb_profile_reset_plugins(profile, job);
        job->claimed = &task->dev->facts;
    }
    task->b->host->ops->job_submit(task->b->host, job);
}

bool pb_task_take_device(struct pb_task *task, struct pb_device *dev)
{
    char text[PB_SBDF_TEXT];

    task->dev = dev;
    if (dev->task) {
        pb_fail(&task->failure, PB_FAIL_STATE, pb_sbdf_format(dev->sbdf, text),
                "try again when it is done", "%s of this device is under way",
                dev->task->kind->name);
        return false;
    }
    dev->task = task;
    return true;
}
