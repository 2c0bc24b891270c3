/* SPDX-License-Identifier: MIT */
#include "backend/backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/adopt.h"
#include "backend/assign.h"
#include "backend/guest.h"
#include "backend/journal.h"
#include "backend/machine.h"
#include "backend/reserve.h"
#include "backend/serve.h"
#include "backend/slots.h"
#include "backend/uevents.h"
#include "backend/xl.h"
#include "base/log.h"
#include "quirk/plugin.h"

/*
 * Something of a domain's end happened; the watch does not say which one. `dying` shows only late
 * and "gone" may never be announced (H20), so every guest is looked at, and a shutdown counts as an
 * end.
 */
static void release_fired(struct pb_watch *watch)
{
    struct pb_backend *b = PB_CONTAINER_OF(watch, struct pb_backend, release_watch);
    struct pb_guest *g = TAILQ_FIRST(&b->guests), *next;

    for (; g; g = next) {
        struct pb_domain domain;
        int rc = b->xen->ops->domain_get(b->xen, g->domid, &domain);

        next = TAILQ_NEXT(g, link);
        if (rc == -ENOENT || (rc == 0 && memcmp(domain.handle, g->handle, sizeof(g->handle)) != 0))
            pb_guest_end(g, "the domain is gone");
        else if (rc == 0 && domain.dying)
            pb_guest_end(g, "the domain is dying");
        else if (rc == 0 && domain.shutdown && domain.shutdown_reason != PB_SHUTDOWN_SUSPEND)
            pb_guest_end(g, domain.shutdown_reason == 3 ? "the domain crashed"
                                                        : "the domain has shut down");
    }
    pb_slots_domain_ended(b);
    if (b->xl)
        pb_xl_domains_changed(b);
}

static void store_connected(void *ctx, bool connected)
{
    (void)ctx;
    if (connected)
        pb_notice("xenstored is back; all watches are registered again");
    else
        pb_err("xenstored is gone: guests go on, but nothing can be attached or detached until it "
               "is back");
}

int pb_backend_new(struct ev_loop *loop, struct pb_xen *xen, struct pb_host *host,
                   struct pb_policy *policy, struct pb_quirk_set *quirks, struct pb_backend **ret)
{
    struct pb_backend *b = calloc(1, sizeof(*b));

    if (!b)
        return -ENOMEM;
    b->quirks = quirks ? quirks : pb_quirk_set_empty();
    if (!b->quirks) {
        free(b);
        return -ENOMEM;
    }
    b->generation = 1;
    b->loop = loop;
    b->xen = xen;
    b->host = host;
    b->policy = policy;
    TAILQ_INIT(&b->devices);
    TAILQ_INIT(&b->guests);
    TAILQ_INIT(&b->tasks);
    TAILQ_INIT(&b->slots);
    (void)snprintf(b->release_watch.path, sizeof(b->release_watch.path), "@releaseDomain");
    b->release_watch.fired = release_fired;
    pb_serve_start(b);
    xen->events = (struct pb_xen_events){ .ports_pending = pb_serve_ports,
                                          .store_connected = store_connected,
                                          .ctx = b };
    *ret = b;
    return 0;
}

/* Nothing is touched before it is known that the kernel's backend stays away. */
static void begin(void *ctx, const struct pb_failure *failure)
{
    struct pb_backend *b = ctx;

    if (!failure && !b->only_serves) {
        pb_slots_start(b);
        pb_assign_begin(b);
    }
    b->tell_started(b->tell_started_ctx, failure);
}

static void enter_plugin(void *ctx, const char *name, uint64_t file)
{
    pb_journal_enter_plugin(ctx, name, file);
}

static void leave_plugin(void *ctx)
{
    pb_journal_leave_plugin(ctx);
}

static bool plugin_is_off(void *ctx, const char *name, uint64_t file)
{
    return pb_journal_has_crashed(ctx, name, file);
}

/* Of the one backend that a process has. */
static struct pb_plugin_guard plugin_guard = { .enter = enter_plugin,
                                               .leave = leave_plugin,
                                               .is_off = plugin_is_off };

void pb_backend_use_journal(struct pb_backend *b, struct pb_journal *j)
{
    b->journal = j;
    plugin_guard.ctx = j;
    pb_plugin_set_guard(j ? &plugin_guard : NULL);
}

void pb_backend_only_serve(struct pb_backend *b)
{
    b->only_serves = true;
}

bool pb_backend_journal_stats(const struct pb_backend *b, struct pb_journal_stats *ret)
{
    if (b->journal)
        *ret = pb_journal_stats(b->journal);
    return b->journal != NULL;
}

/* Guests that wait are served again: now for everything else. */
static void adopted(void *ctx, const struct pb_failure *failure)
{
    struct pb_backend *b = ctx;

    (void)failure;
    pb_uevents_start(b);
    if (b->policy->xl_mode)
        pb_xl_start(b, begin, b);
    else
        begin(b, NULL);
}

void pb_backend_start(struct pb_backend *b, pb_verb_fn started, void *ctx)
{
    b->started = true;
    b->tell_started = started;
    b->tell_started_ctx = ctx;
    b->xen->ops->watch_add(b->xen, &b->release_watch);
    pb_adopt_start(b, adopted, b);
}

void pb_backend_free(struct pb_backend *b)
{
    struct pb_task *task;
    struct pb_guest *g;
    struct pb_device *dev;

    b->stopping = true;
    b->xen->events = (struct pb_xen_events){ 0 };
    pb_uevents_stop(b);
    /* Cycles under way live in tasks and guests: they are cancelled before those are freed. */
    TAILQ_FOREACH (dev, &b->devices, link) {
        if (dev->hw)
            b->host->ops->hw_close(b->host, dev->hw);
        dev->hw = NULL;
    }
    if (b->started)
        b->xen->ops->watch_remove(b->xen, &b->release_watch);
    /* The youngest first: an older one may wait for it. */
    while ((task = TAILQ_LAST(&b->tasks, pb_task_list)))
        pb_task_abandon(task);
    while ((g = TAILQ_FIRST(&b->guests)))
        pb_guest_abandon(g);
    while ((dev = TAILQ_FIRST(&b->devices))) {
        pb_reserve_abandon(dev);
        pb_device_free(dev);
    }
    pb_adopt_stop(b);
    pb_assign_end(b);
    pb_slots_free(b);
    pb_xl_stop(b);
    pb_serve_stop(b);
    pb_policy_free(b->policy);
    free(b->policy);
    pb_quirk_set_unref(b->quirks);
    pb_plugin_set_guard(NULL);
    pb_journal_close(b->journal);
    pb_index_fini(&b->device_address);
    pb_index_fini(&b->device_name);
    pb_index_fini(&b->guest_domid);
    free(b);
}
