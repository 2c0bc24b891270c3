/* SPDX-License-Identifier: MIT */
#include "daemon/reload.h"

#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "daemon/call.h"
#include "daemon/changes.h"
#include "daemon/notify.h"

TAILQ_HEAD(calls, pb_call);

/* What a reading came to. */
struct verdict {
    struct pb_reload *reload; /* NULL: refused */
    struct pb_policy *policy; /* the one that is prepared */
    json_t *problems, *warnings;
    json_t *changes; /* by device */
    size_t errors;
    char first[400]; /* the first error's text */
};

enum phase {
    IDLE,
    READING,   /* in the thread */
    PREPARING, /* in turns */
    ANSWERING,
};

struct pb_reloader {
    struct pb_reloader_options options;
    struct pb_config *config; /* in force */
    struct pb_reload_outcome last;
    /* those whom the reading under way is for, and those who came later */
    struct calls batch, waiting;
    bool hangup, hangup_waits;
    /* It is not idle until all whom the reading is for are answered: one of them may ask for the
     * next one out of its answer. */
    enum phase phase;
    pthread_t thread;
    ev_async done;
    struct verdict verdict;
    /* One turn in each round of the loop, however busy it is; and it does not sleep meanwhile. */
    ev_check turn;
    ev_idle awake;
    uint64_t turns, longest_turn_us;
    bool for_readers; /* the reading under way is, too */
    uint64_t readers_next_ms;
    ev_timer readers_pause;
    struct pb_generation next; /* the thread's while it reads */
};

static void begin(struct pb_reloader *r);

static struct pb_backend *backend_of(const struct pb_reloader *r)
{
    return r->options.verbs->backend;
}

static bool applies(const struct pb_reloader *r)
{
    const struct pb_call *call;

    if (r->hangup)
        return true;
    TAILQ_FOREACH (call, &r->batch, link) {
        if (call->reload == PB_RELOAD_APPLY)
            return true;
    }
    return false;
}

/* --- the verdict --- */

static void add_problem(struct verdict *v, bool error, const char *file, const char *text)
{
    json_t *problem = json_pack("{s:b, s:o, s:o}", "error", error, "file", pb_rpc_text(file),
                                "text", pb_rpc_text(text));

    (void)json_array_append_new(v->problems, problem);
    if (!error)
        (void)json_array_append_new(v->warnings, pb_rpc_text(text));
    else if (v->errors++ == 0)
        (void)snprintf(v->first, sizeof(v->first), "%s", text);
}

static void collect_problem(void *ctx, bool error, const char *file, const char *text)
{
    add_problem(ctx, error, file, text);
}

static void discard(struct verdict *v)
{
    if (v->reload)
        pb_backend_reload_discard(v->reload);
    v->reload = NULL;
    if (v->policy)
        pb_policy_free(v->policy);
    free(v->policy);
    v->policy = NULL;
}

static void verdict_fini(struct verdict *v)
{
    discard(v);
    json_decref(v->problems);
    json_decref(v->warnings);
    json_decref(v->changes);
    *v = (struct verdict){ 0 };
}

static void judge(struct pb_reloader *r)
{
    struct verdict *v = &r->verdict;

    *v = (struct verdict){ .problems = json_array(),
                           .warnings = json_array(),
                           .changes = json_object() };
    pb_generation_each_problem(&r->next, collect_problem, v);
    if (v->errors || !r->next.config)
        return;
    v->policy = pb_policy_copy(r->next.config->policy);
    if (v->policy) {
        v->policy->xl_mode = r->config->policy->xl_mode; /* needs a restart */
        v->reload = pb_backend_reload_begin(backend_of(r), v->policy, r->next.quirks);
    }
    if (!v->reload)
        add_problem(v, true, "", strerror(ENOMEM));
}

static void note_change(void *ctx, const struct pb_device_view *view,
                        const struct pb_profile *old_profile, const struct pb_profile *new_profile)
{
    struct pb_reloader *r = ctx;

    pb_changes_of_device(r->verdict.changes, r->config->policy, r->next.config->policy, view,
                         old_profile, new_profile);
}

/* Whether there is more to prepare. */
static bool prepare_some(struct pb_reloader *r)
{
    struct verdict *v = &r->verdict;
    char why[480] = "";
    int rc = pb_backend_reload_step(v->reload, PB_RELOAD_STEP, note_change, r, why, sizeof(why));

    if (rc < 0) {
        add_problem(v, true, "", why[0] ? why : strerror(-rc));
        discard(v);
    }
    return rc > 0;
}

/* --- answers --- */

static void answer_check(const struct pb_reloader *r, struct pb_call *call, const struct verdict *v)
{
    const struct pb_generation *next = &r->next;
    size_t quirks = next->quirks ? pb_quirk_set_count(next->quirks) : 0;
    size_t files = next->quirks ? pb_quirk_set_files(next->quirks) : 0;

    pb_call_done(call,
                 json_pack("{s:o, s:b, s:I, s:o, s:I, s:I, s:O}", "file",
                           pb_rpc_text(r->options.source.config_path), "valid", v->errors == 0,
                           "files_read", (json_int_t)(next->config ? next->config->files_read : 0),
                           "error", v->errors ? pb_rpc_text(v->first) : json_null(), "quirks",
                           (json_int_t)quirks, "quirk_files", (json_int_t)files, "problems",
                           v->problems));
}

static void answer_refused(const struct pb_reloader *r, struct pb_call *call,
                           const struct verdict *v)
{
    struct pb_failure failure = { .code = PB_FAIL_CONFIG };

    if (v->errors == 1)
        (void)snprintf(failure.reason, sizeof(failure.reason), "%.230s", v->first);
    else
        (void)snprintf(failure.reason, sizeof(failure.reason), "%zu problems; %.200s", v->errors,
                       v->first);
    (void)snprintf(failure.next, sizeof(failure.next),
                   "generation %llu stays in force; correct it and reload again",
                   (unsigned long long)pb_backend_generation(backend_of(r)));
    pb_call_failed_with(call, &failure, json_incref(v->problems));
}

static json_t *list_of(json_t *object)
{
    json_t *list = object ? json_array() : NULL, *value;
    const char *key;

    json_object_foreach (object, key, value)
        (void)json_array_append(list, value);
    return list;
}

/* What every reload of this verdict is told; a new reference. */
static json_t *report_of(const struct pb_reloader *r, const struct verdict *v)
{
    return json_pack("{s:I, s:I, s:O, s:o, s:o, s:o}", "quirks",
                     (json_int_t)pb_quirk_set_count(r->next.quirks), "files",
                     (json_int_t)pb_quirk_set_files(r->next.quirks), "warnings", v->warnings,
                     "settings", pb_changes_of_settings(r->config->policy, r->next.config->policy),
                     "needs_restart", pb_changes_for_restart(r->config, r->next.config), "changes",
                     list_of(v->changes));
}

static void answer_report(const struct pb_reloader *r, struct pb_call *call, json_t *report)
{
    json_t *result = json_pack("{s:b, s:I}", "dry_run", call->reload == PB_RELOAD_DRY_RUN,
                               "generation", (json_int_t)pb_backend_generation(backend_of(r)));

    (void)json_object_update(result, report);
    pb_call_done(call, result);
}

/* Each call of the batch that is (not) to be applied. */
static void answer_batch(struct pb_reloader *r, bool applied, const struct verdict *v,
                         json_t *report)
{
    struct pb_call *call = TAILQ_FIRST(&r->batch), *next;

    for (; call; call = next) {
        next = TAILQ_NEXT(call, link);
        if ((call->reload == PB_RELOAD_APPLY) != applied)
            continue;
        TAILQ_REMOVE(&r->batch, call, link);
        if (call->reload == PB_RELOAD_CHECK)
            answer_check(r, call, v);
        else if (!report)
            answer_refused(r, call, v);
        else
            answer_report(r, call, report);
    }
}

/* --- carrying it out --- */

static void log_report(const json_t *report)
{
    const json_t *changes = json_object_get(report, "changes");
    const json_t *restart = json_object_get(report, "needs_restart");
    const json_t *settings = json_object_get(report, "settings");

    for (size_t i = 0; i < json_array_size(settings); i++)
        pb_info("reload: %s", json_string_value(json_array_get(settings, i)));
    for (size_t i = 0; i < json_array_size(changes); i++) {
        const json_t *change = json_array_get(changes, i);
        const char *device = json_string_value(json_object_get(change, "device"));
        const json_t *lines = json_object_get(change, "lines");

        for (size_t k = 0; k < json_array_size(lines); k++)
            pb_info("reload: %s: %s", device, json_string_value(json_array_get(lines, k)));
    }
    for (size_t i = 0; i < json_array_size(restart); i++)
        pb_warn("reload: %s has changed, which needs a restart",
                json_string_value(json_array_get(restart, i)));
}

static void commit(struct pb_reloader *r, struct verdict *v, const json_t *report)
{
    char summary[PB_GENERATION_TEXT];

    (void)pb_generation_summary(r->next.quirks, summary);
    pb_changes_keep(r->config, r->next.config);
    pb_backend_reload_commit(v->reload);
    v->reload = NULL;
    v->policy = NULL;
    r->next.quirks = NULL; /* all three are the backend's now */
    pb_config_free(r->config);
    r->config = r->next.config;
    r->next.config = NULL;
    r->options.verbs->limits = r->config->policy->limits;
    log_report(report);
    pb_notice("reload: generation %llu is in force: %s",
              (unsigned long long)pb_backend_generation(backend_of(r)), summary);
}

static void refuse(const struct pb_reloader *r, const struct verdict *v)
{
    for (size_t i = 0; i < json_array_size(v->problems); i++) {
        const json_t *problem = json_array_get(v->problems, i);
        bool error = json_is_true(json_object_get(problem, "error"));

        pb_log(error ? PB_LOG_ERR : PB_LOG_WARN, "reload: %s",
               json_string_value(json_object_get(problem, "text")));
    }
    pb_err("reload: refused; generation %llu stays in force",
           (unsigned long long)pb_backend_generation(backend_of(r)));
}

static void tell_manager(const struct pb_reloader *r, bool ok, const struct verdict *v)
{
    unsigned long long generation = pb_backend_generation(backend_of(r));
    char status[600], summary[PB_GENERATION_TEXT];

    if (ok)
        (void)snprintf(status, sizeof(status), "generation %llu: %s", generation,
                       pb_generation_summary(pb_backend_quirks(backend_of(r)), summary));
    else
        (void)snprintf(status, sizeof(status), "reload refused, generation %llu stays: %s",
                       generation, v->first);
    pb_notify_ready(status);
}

static void apply(struct pb_reloader *r, struct verdict *v, const json_t *report)
{
    bool ok = report != NULL;

    if (ok) {
        pb_generation_log(&r->next); /* only warnings */
        commit(r, v, report);
    } else {
        refuse(r, v);
    }
    r->last.at = (int64_t)time(NULL);
    r->last.ok = ok;
    tell_manager(r, ok, v);
}

static void finish(struct pb_reloader *r)
{
    struct verdict *v = &r->verdict;
    json_t *report;

    r->phase = ANSWERING;
    report = v->reload ? report_of(r, v) : NULL;
    if (v->reload && !report)
        add_problem(v, true, "", strerror(ENOMEM));
    /* who changes nothing is answered first: the old generation is still in force for him */
    answer_batch(r, false, v, report);
    if (applies(r))
        apply(r, v, report);
    answer_batch(r, true, v, report);
    r->hangup = false;
    verdict_fini(v);
    json_decref(report);
    pb_generation_fini(&r->next);
    r->phase = IDLE;
}

/* --- turns --- */

static void stop_turns(struct pb_reloader *r)
{
    ev_check_stop(r->options.loop, &r->turn);
    ev_idle_stop(r->options.loop, &r->awake);
}

static uint64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void take_turn(struct pb_reloader *r)
{
    bool applied = applies(r), more;
    uint64_t start = now_us(), took;

    more = r->verdict.reload && prepare_some(r);
    if (!more) {
        stop_turns(r);
        finish(r);
    }
    took = now_us() - start;
    r->turns++;
    if (took > r->longest_turn_us)
        r->longest_turn_us = took;
    if (more)
        return;
    if (applied) {
        r->last.turns = r->turns;
        r->last.longest_turn_us = r->longest_turn_us;
    }
    begin(r);
}

static void on_turn(struct ev_loop *loop, ev_check *check, int events)
{
    (void)loop;
    (void)events;
    take_turn(check->data);
}

static void on_awake(struct ev_loop *loop, ev_idle *idle, int events)
{
    (void)loop;
    (void)idle;
    (void)events;
}

/* --- the thread --- */

static void *read_files(void *ctx)
{
    struct pb_reloader *r = ctx;

    r->options.load(&r->options.source, &r->next);
    ev_async_send(r->options.loop, &r->done);
    return NULL;
}

static void on_done(struct ev_loop *loop, ev_async *async, int events)
{
    struct pb_reloader *r = async->data;

    (void)loop;
    (void)events;
    (void)pthread_join(r->thread, NULL); /* it is at its end */
    if (r->for_readers)
        r->readers_next_ms = pb_now_ms() + PB_RELOAD_READERS_MS;
    r->phase = PREPARING;
    r->turns = r->longest_turn_us = 0;
    judge(r);
    ev_check_start(r->options.loop, &r->turn);
    ev_idle_start(r->options.loop, &r->awake);
}

/* Signals are the loop's thread's. */
static int start_thread(struct pb_reloader *r)
{
    sigset_t all, before;
    int rc;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&r->thread, NULL, read_files, r);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static bool is_readers(const struct pb_call *call)
{
    return call->reload == PB_RELOAD_CHECK && pb_reply_uid(call->reply) != 0;
}

/*
 * A reading keeps a processor busy, and what is compiled in its end keeps the loop. Root may have
 * as many as he likes, and takes the others along.
 */
static bool is_too_early(struct pb_reloader *r)
{
    const struct pb_call *call;
    uint64_t now = pb_now_ms();

    r->for_readers = false;
    TAILQ_FOREACH (call, &r->waiting, link)
        r->for_readers = r->for_readers || is_readers(call);
    TAILQ_FOREACH (call, &r->waiting, link) {
        if (!is_readers(call))
            return false;
    }
    if (r->hangup_waits || now >= r->readers_next_ms)
        return false;
    ev_timer_stop(r->options.loop, &r->readers_pause);
    ev_timer_set(&r->readers_pause, (double)(r->readers_next_ms - now) / 1000., 0.);
    ev_timer_start(r->options.loop, &r->readers_pause);
    return true;
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    begin(timer->data);
}

static void begin(struct pb_reloader *r)
{
    while (r->phase == IDLE && (r->hangup_waits || !TAILQ_EMPTY(&r->waiting))) {
        int rc;

        if (is_too_early(r))
            return;
        TAILQ_CONCAT(&r->batch, &r->waiting, link);
        r->hangup = r->hangup_waits;
        r->hangup_waits = false;
        if (applies(r))
            pb_notify_reloading();
        r->phase = READING;
        rc = start_thread(r);
        if (rc == 0)
            return;
        pb_json_error_set(&r->next.error, "cannot start a thread to read files: %s", strerror(rc));
        judge(r);
        finish(r);
    }
}

/* --- what others call --- */

struct pb_reloader *pb_reloader_new(const struct pb_reloader_options *options,
                                    struct pb_config *config)
{
    struct pb_reloader *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->options = *options;
    if (!r->options.load)
        r->options.load = pb_generation_load;
    r->config = config;
    TAILQ_INIT(&r->batch);
    TAILQ_INIT(&r->waiting);
    ev_async_init(&r->done, on_done);
    r->done.data = r;
    ev_async_start(options->loop, &r->done);
    ev_check_init(&r->turn, on_turn);
    ev_set_priority(&r->turn, EV_MINPRI); /* after what else was ready */
    r->turn.data = r;
    ev_idle_init(&r->awake, on_awake);
    ev_timer_init(&r->readers_pause, on_pause_over, 0., 0.);
    r->readers_pause.data = r;
    return r;
}

void pb_reloader_free(struct pb_reloader *r)
{
    struct pb_failure failure = { .code = PB_FAIL_INTERNAL,
                                  .reason = "the daemon stops",
                                  .next = "ask again when it is back" };
    struct pb_call *call;

    if (!r)
        return;
    if (r->phase == READING)
        (void)pthread_join(r->thread, NULL);
    stop_turns(r);
    ev_async_stop(r->options.loop, &r->done);
    ev_timer_stop(r->options.loop, &r->readers_pause);
    TAILQ_CONCAT(&r->batch, &r->waiting, link);
    while ((call = TAILQ_FIRST(&r->batch)) != NULL) {
        TAILQ_REMOVE(&r->batch, call, link);
        pb_call_failed(call, &failure);
    }
    verdict_fini(&r->verdict);
    pb_generation_fini(&r->next);
    pb_config_free(r->config);
    free(r);
}

void pb_reloader_hangup(struct pb_reloader *r)
{
    r->hangup_waits = true;
    begin(r);
}

void pb_reloader_ask(struct pb_reloader *r, struct pb_call *call, enum pb_reload_kind kind)
{
    call->reload = kind;
    TAILQ_INSERT_TAIL(&r->waiting, call, link);
    begin(r);
}

struct pb_reload_outcome pb_reloader_last(const struct pb_reloader *r)
{
    return r->last;
}

void pb_reload_verb(struct pb_call *call)
{
    pb_reloader_ask(call->verbs->reloader, call,
                    call->dry_run ? PB_RELOAD_DRY_RUN : PB_RELOAD_APPLY);
}

void pb_reload_check_config(struct pb_call *call)
{
    pb_reloader_ask(call->verbs->reloader, call, PB_RELOAD_CHECK);
}
