/* SPDX-License-Identifier: MIT */
#include "sim_log.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_life.h"
#include "sim_world.h"

#define ENTRIES_MAX 65536u
#define ERRNO_MAX   134

void sim_log_init(struct sim_log *log)
{
    log->entries = json_array();
    log->violations = json_array();
    log->actions = json_array();
    TAILQ_INIT(&log->faults);
    TAILQ_INIT(&log->deaths);
}

void sim_log_finish(struct sim_log *log)
{
    sim_log_fault_clear(log);
    json_decref(log->entries);
    json_decref(log->violations);
    json_decref(log->actions);
}

void sim_log_clear(struct sim_log *log)
{
    (void)json_array_clear(log->entries);
}

int sim_log_errno(const char *name)
{
    for (int e = 1; e < ERRNO_MAX; e++) {
        const char *known = strerrorname_np(e);

        if (known && strcmp(known, name) == 0)
            return -e;
    }
    return 0;
}

bool sim_log_fault(struct sim_log *log, const char *pattern, unsigned nth, unsigned count,
                   const char *error, json_t *action)
{
    struct sim_fault *fault = sim_alloc(sizeof(*fault));
    int rc = error ? sim_log_errno(error) : 0;

    if (!fault || (error && rc == 0)) {
        json_decref(action);
        sim_free(fault);
        return false;
    }
    (void)snprintf(fault->pattern, sizeof(fault->pattern), "%s", pattern);
    fault->skip = nth - 1;
    fault->count = count;
    fault->error = rc;
    fault->action = action;
    TAILQ_INSERT_TAIL(&log->faults, fault, link);
    return true;
}

static void fault_remove(struct sim_log *log, struct sim_fault *fault)
{
    TAILQ_REMOVE(&log->faults, fault, link);
    json_decref(fault->action);
    sim_free(fault);
}

void sim_log_fault_clear(struct sim_log *log)
{
    struct sim_death *death;

    while (!TAILQ_EMPTY(&log->faults))
        fault_remove(log, TAILQ_FIRST(&log->faults));
    while ((death = TAILQ_FIRST(&log->deaths)) != NULL) {
        TAILQ_REMOVE(&log->deaths, death, link);
        sim_free(death);
    }
    log->dying[0] = '\0';
}

void sim_log_die(struct sim_log *log, const char *pattern, unsigned nth, unsigned count, bool after,
                 bool done)
{
    struct sim_death *death = sim_alloc(sizeof(*death));

    (void)snprintf(death->pattern, sizeof(death->pattern), "%s", pattern);
    death->skip = nth - 1;
    death->count = count;
    death->after = after;
    death->done = done;
    TAILQ_INSERT_TAIL(&log->deaths, death, link);
}

/* Is this the call at which it dies? Those of its last moments do not count. */
static bool death_at(struct sim_world *w, const char *call, bool *ret_after, bool *ret_done)
{
    struct sim_log *log = &w->log;
    struct sim_death *death, *next;
    bool hit = false;

    log->entered++;
    if (w->dying)
        return false;
    for (death = TAILQ_FIRST(&log->deaths); death; death = next) {
        next = TAILQ_NEXT(death, link);
        if (fnmatch(death->pattern, call, 0) != 0)
            continue;
        if (death->skip > 0) {
            death->skip--;
            continue;
        }
        hit = true;
        *ret_after = death->after;
        *ret_done = death->done;
        if (--death->count > 0)
            continue;
        TAILQ_REMOVE(&log->deaths, death, link);
        sim_free(death);
    }
    return hit;
}

static void die(struct sim_world *w, const char *call, bool after, bool done)
{
    (void)sim_log_record(w, "world.daemon_dies",
                         json_pack("{s:s, s:s}", "at", call, "when", after ? "after" : "before"),
                         0);
    if (w->store.running && done)
        w->store.dies = true;
    else
        sim_life_die(w, done);
}

void sim_log_after(struct sim_world *w, const char *call)
{
    if (!w->log.dying[0] || strcmp(w->log.dying, call) != 0)
        return;
    w->log.dying[0] = '\0';
    die(w, call, true, w->log.dying_done);
}

void sim_log_point(struct sim_world *w, const char *call)
{
    bool after = false, done = false;

    if (death_at(w, call, &after, &done))
        die(w, call, true, done);
}

void sim_log_act(struct sim_world *w)
{
    json_t *actions = w->log.actions;

    if (json_array_size(actions) == 0 || w->store.held || !w->log.act)
        return;
    w->log.actions = json_array();
    for (size_t i = 0; i < json_array_size(actions); i++)
        w->log.act(w, json_array_get(actions, i));
    json_decref(actions);
}

int sim_log_enter(struct sim_world *w, const char *call)
{
    struct sim_fault *fault = TAILQ_FIRST(&w->log.faults), *next;
    int rc = 0;
    bool after = false, done = false;

    if (death_at(w, call, &after, &done)) {
        if (!after)
            die(w, call, false, done);
        w->log.dying_done = done;
        (void)snprintf(w->log.dying, sizeof(w->log.dying), "%s", after ? call : "");
    }
    for (; fault; fault = next) {
        next = TAILQ_NEXT(fault, link);
        if (fnmatch(fault->pattern, call, 0) != 0)
            continue;
        if (fault->skip > 0) {
            fault->skip--;
            continue;
        }
        if (rc == 0 && fault->error)
            (void)sim_log_record(w, "fault", json_pack("{s:s}", "of", call), 0);
        if (rc == 0)
            rc = fault->error;
        if (fault->action)
            (void)json_array_append(w->log.actions, fault->action);
        if (--fault->count == 0)
            fault_remove(&w->log, fault);
    }
    sim_log_act(w);
    return rc;
}

/* Forgets the older half when a test lets the log grow without end. */
static void bound(struct sim_log *log)
{
    json_t *kept;
    size_t n = json_array_size(log->entries);

    if (n < ENTRIES_MAX)
        return;
    kept = json_array();
    for (size_t i = n / 2; i < n; i++)
        (void)json_array_append(kept, json_array_get(log->entries, i));
    json_decref(log->entries);
    log->entries = kept;
}

int sim_log_leave(struct sim_world *w, const char *call, json_t *args, int rc)
{
    (void)sim_log_record(w, call, args, rc);
    sim_log_after(w, call);
    return rc;
}

int sim_log_record(struct sim_world *w, const char *call, json_t *args, int rc)
{
    json_t *entry;

    w->log.serial++;
    if (w->large) {
        json_decref(args);
        return rc;
    }
    entry = args ? args : json_object();
    bound(&w->log);
    (void)json_object_set_new(entry, "n", json_integer((json_int_t)w->log.serial));
    (void)json_object_set_new(entry, "call", json_string(call));
    (void)json_object_set_new(entry, "rc", json_integer(rc));
    (void)json_array_append_new(w->log.entries, entry);
    return rc;
}

void sim_log_violation(struct sim_world *w, const char *fmt, ...)
{
    char text[240];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)fprintf(stderr, "sim: violation: %s\n", text);
    (void)json_array_append_new(
        w->log.violations, json_pack("{s:I, s:s}", "n", (json_int_t)w->log.serial, "text", text));
    (void)sim_log_leave(w, "violation", json_pack("{s:s}", "text", text), 0);
}
