/* SPDX-License-Identifier: MIT */
#include "xen/real_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

void pb_real_watch_init(struct pb_real_watches *set)
{
    memset(set, 0, sizeof(*set));
    for (unsigned i = 0; i < PB_REAL_WATCH_BUCKETS; i++)
        TAILQ_INIT(&set->bucket[i]);
    TAILQ_INIT(&set->dirty);
    TAILQ_INIT(&set->current);
    TAILQ_INIT(&set->todo);
}

static struct pb_real_watch *find(struct pb_real_watches *set, unsigned long serial)
{
    struct pb_real_watch *w;

    TAILQ_FOREACH (w, &set->bucket[serial % PB_REAL_WATCH_BUCKETS], bucket) {
        if (w->serial == serial)
            return w;
    }
    return NULL;
}

static void set_dirty(struct pb_real_watch *w, struct pb_real_watch_list *list)
{
    if (w->dirty_on)
        TAILQ_REMOVE(w->dirty_on, w, dirty);
    if (list)
        TAILQ_INSERT_TAIL(list, w, dirty);
    w->dirty_on = list;
}

static void set_todo(struct pb_real_watches *set, struct pb_real_watch *w, bool on)
{
    if (on && !w->on_todo)
        TAILQ_INSERT_TAIL(&set->todo, w, todo);
    else if (!on && w->on_todo)
        TAILQ_REMOVE(&set->todo, w, todo);
    w->on_todo = on;
}

static void drop(struct pb_real_watches *set, struct pb_real_watch *w)
{
    set_dirty(w, NULL);
    set_todo(set, w, false);
    TAILQ_REMOVE(&set->bucket[w->serial % PB_REAL_WATCH_BUCKETS], w, bucket);
    set->count--;
    free(w);
}

void pb_real_watch_free_all(struct pb_real_watches *set)
{
    for (unsigned i = 0; i < PB_REAL_WATCH_BUCKETS; i++) {
        struct pb_real_watch *w;

        while ((w = TAILQ_FIRST(&set->bucket[i])))
            drop(set, w);
    }
}

int pb_real_watch_add(struct pb_real_watches *set, struct pb_watch *watch)
{
    struct pb_real_watch *w = calloc(1, sizeof(*w));

    if (!w)
        return -ENOMEM;
    w->serial = ++set->last_serial;
    w->watch = watch;
    memcpy(w->path, watch->path, sizeof(w->path));
    w->path[sizeof(w->path) - 1] = '\0';
    watch->serial = w->serial;
    TAILQ_INSERT_TAIL(&set->bucket[w->serial % PB_REAL_WATCH_BUCKETS], w, bucket);
    set->count++;
    set_todo(set, w, true);
    return 0;
}

/* Drops a removed entry, or leaves it to the thread when xenstored still knows it. */
static void settle_removed(struct pb_real_watches *set, struct pb_real_watch *w)
{
    if (w->busy)
        return;
    if (w->registered)
        set_todo(set, w, true);
    else
        drop(set, w);
}

void pb_real_watch_remove(struct pb_real_watches *set, const struct pb_watch *watch)
{
    struct pb_real_watch *w = find(set, watch->serial);

    if (!w)
        return;
    PB_ASSERT(w->watch == watch);
    w->watch = NULL;
    set_dirty(w, NULL);
    settle_removed(set, w);
}

void pb_real_watch_start_turn(struct pb_real_watches *set)
{
    struct pb_real_watch *w;

    while ((w = TAILQ_FIRST(&set->dirty)))
        set_dirty(w, &set->current);
}

struct pb_watch *pb_real_watch_next(struct pb_real_watches *set)
{
    struct pb_real_watch *w = TAILQ_FIRST(&set->current);

    if (!w)
        return NULL;
    set_dirty(w, NULL);
    return w->watch;
}

static bool mark(struct pb_real_watches *set, struct pb_real_watch *w)
{
    if (!w->watch || w->dirty_on)
        return false;
    set_dirty(w, &set->dirty);
    return true;
}

bool pb_real_watch_mark(struct pb_real_watches *set, unsigned long serial)
{
    struct pb_real_watch *w = find(set, serial);

    return w && mark(set, w);
}

bool pb_real_watch_mark_all(struct pb_real_watches *set)
{
    bool any = false;

    for (unsigned i = 0; i < PB_REAL_WATCH_BUCKETS; i++) {
        struct pb_real_watch *w;

        TAILQ_FOREACH (w, &set->bucket[i], bucket)
            any = mark(set, w) || any;
    }
    return any;
}

void pb_real_watch_forget_connection(struct pb_real_watches *set)
{
    for (unsigned i = 0; i < PB_REAL_WATCH_BUCKETS; i++) {
        struct pb_real_watch *w = TAILQ_FIRST(&set->bucket[i]);

        while (w) {
            struct pb_real_watch *next = TAILQ_NEXT(w, bucket);

            PB_ASSERT(!w->busy);
            w->registered = false;
            if (w->watch)
                set_todo(set, w, true);
            else
                drop(set, w);
            w = next;
        }
    }
}

struct pb_real_watch *pb_real_watch_begin(struct pb_real_watches *set)
{
    struct pb_real_watch *w = TAILQ_FIRST(&set->todo);

    if (!w)
        return NULL;
    set_todo(set, w, false);
    w->busy = true;
    return w;
}

void pb_real_watch_finish(struct pb_real_watches *set, struct pb_real_watch *w, bool registered)
{
    w->busy = false;
    w->registered = registered;
    if (!w->watch)
        settle_removed(set, w);
}
