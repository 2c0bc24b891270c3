/* SPDX-License-Identifier: MIT */
/*
 * A verb in progress: a table of steps that are carried out in order. A step finishes at once, or
 * starts something and is finished later by pb_task_next or pb_task_failed. When a step fails, the
 * undo functions of the steps before it run in reverse order, then the failure is reported.
 */
#ifndef PB_BACKEND_TASK_H
#define PB_BACKEND_TASK_H

#include <ev.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "backend/backend.h"
#include "backend/script.h"
#include "host/host.h"

struct pb_task;
struct pb_guest;

enum pb_run {
    PB_RUN_NEXT, /* done, go on */
    PB_RUN_WAIT, /* pb_task_next or pb_task_failed will be called */
    PB_RUN_FAIL, /* task->failure says why */
    PB_RUN_END,  /* the task has nothing more to do: success */
};

struct pb_task_step {
    const char *name; /* "reset": for the log and `why` */
    enum pb_run (*run)(struct pb_task *task);
    enum pb_run (*undo)(struct pb_task *task); /* NULL: nothing to undo; a failure is logged */
};

struct pb_task_kind {
    const char *name; /* "attach" */
    const struct pb_task_step *steps;
    unsigned count;
};

struct pb_task {
    TAILQ_ENTRY(pb_task) link;    /* in the backend's list */
    TAILQ_ENTRY(pb_task) waiting; /* for its turn at the guest */
    struct pb_backend *b;
    const struct pb_task_kind *kind;
    unsigned at;
    bool undoing, queued;
    uint8_t phase; /* enum pb_journal_phase of its device while a guest has it; 0: it stays there */
    struct pb_device *dev;
    struct pb_guest *guest;
    struct pb_failure failure;
    ev_timer start, timer;
    void (*fired)(struct pb_task *task);
    void (*poke)(
        struct pb_task *task); /* the guest's state changed; set while a step waits for it */
    pb_verb_fn done;
    void *ctx;
    /* what was asked */
    char device_text[PB_NAME_MAX + 1], guest_text[PB_NAME_MAX + 1];
    struct pb_attach_options options;
    bool force;
    bool asked;        /* a verb: whoever asked for it tells why it failed */
    bool claimed_here; /* by this attach: released when it fails */
    /* scratch of the steps */
    uint32_t domid;
    char name[PB_NAME_MAX + 1];
    uint64_t reset_started_ms;
    char thief[PB_DRIVER_NAME]; /* the driver that was found instead of ours, "" none */
    int reset_rc, hold_rc;      /* of the last reset; of taking it back from another driver */
    bool was_failed;
    /* of the verbs of slots */
    struct pb_slot slot;
    bool save, some_failed;
    unsigned pending;           /* claims under way */
    struct pb_slot *slots_file; /* what is being saved, or has had its turn; freed with the task */
    size_t slots_count;         /* the latter's */
    unsigned tries;
    bool was_ours;               /* claimed before this run: no slot needs to list it */
    bool was_listed, was_saved;  /* before the verb */
    bool keep;                   /* what is told is a failure, but nothing is undone */
    uint8_t reset_method;        /* enum pb_reset_method, of a guest's reset */
    struct pb_task *instead;     /* has the device again when this one ends */
    struct pb_guest *last_guest; /* whose nodes are being removed */
    struct pb_job job;
    struct pb_script script;
};
TAILQ_HEAD(pb_task_list, pb_task);

/*
 * A verb as a task: what was asked is copied, and it starts when the loop runs next. Returns it,
 * for what else was asked; NULL when out of memory, and then DONE has been told.
 */
struct pb_task *pb_task_verb(struct pb_backend *b, const struct pb_task_kind *kind, const char *dev,
                             bool force, pb_verb_fn done, void *ctx);
/* The DONE of a verb that a step of another task started: goes on with CTX, that task. */
void pb_task_child_done(void *ctx, const struct pb_failure *failure);
/* NULL when out of memory. Runs when the loop runs next, once pb_task_start was called. */
struct pb_task *pb_task_new(struct pb_backend *b, const struct pb_task_kind *kind, pb_verb_fn done,
                            void *ctx);
void pb_task_start(struct pb_task *task);
void pb_task_next(struct pb_task *task);
/* task->failure is set. */
void pb_task_failed(struct pb_task *task);
/* Carries the current step out again: what it waited for may be there. */
void pb_task_repeat(struct pb_task *task);
/* Calls FIRED unless the step is finished within MS. One timer a task. */
void pb_task_arm(struct pb_task *task, unsigned ms, void (*fired)(struct pb_task *task));
/* The same after 1, 2, 4 … 60 s: what did not work in time is tried again, later and later. */
void pb_task_back_off(struct pb_task *task, void (*fired)(struct pb_task *task));
void pb_task_disarm(struct pb_task *task);
/* The loop ends: reports a failure without undoing anything. */
void pb_task_abandon(struct pb_task *task);

/* Starts the task's job with the policy's deadline; its end goes on with DONE. */
void pb_task_job(struct pb_task *task, enum pb_job_kind kind,
                 void (*done)(struct pb_job *job, void *ctx));
/* The same for a reset by METHODS ("": the kernel's order), as the device's profile wants it. */
void pb_task_reset(struct pb_task *task, const char *methods,
                   void (*done)(struct pb_job *job, void *ctx));
/* Makes the device the task's own: fails when another verb has it. */
bool pb_task_take_device(struct pb_task *task, struct pb_device *dev);

#endif
