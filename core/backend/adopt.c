/* SPDX-License-Identifier: MIT */
/*
 * The order: objects from records; every device is opened, by jobs that run beside each other; a
 * guest whose devices are open has its page and port again and is served. What takes longer than
 * PATIENCE is waited for by its guest alone.
 */
#include "backend/adopt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/adopt_parts.h"
#include "backend/guest.h"
#include "base/log.h"

#define PATIENCE_S 2.

void pb_backend_began(struct pb_backend *b, uint64_t ms)
{
    b->began_ms = ms;
}

static void tell(struct pb_adoption *a)
{
    struct pb_backend *b = a->b;
    unsigned long long ms = b->began_ms ? pb_now_ms() - b->began_ms : 0;

    if (a->told)
        return;
    a->told = true;
    ev_timer_stop(b->loop, &a->patience);
    if (a->served)
        pb_notice("%u guest%s served again in %llu ms, with %u device%s", a->served,
                  a->served == 1 ? "" : "s", ms, a->devices, a->devices == 1 ? "" : "s");
    pb_adopt_find_lost(b);
    a->adopted(a->ctx, NULL);
}

static void patience_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct pb_adoption *a = timer->data;

    (void)loop;
    (void)events;
    pb_warn("%u guest%s or idle devices are not taken up again yet: a device does not answer; the "
            "others go on",
            a->waiting, a->waiting == 1 ? "" : "s");
    tell(a);
}

void pb_adopt_one_done(struct pb_backend *b)
{
    struct pb_adoption *a = b->adoption;

    if (--a->waiting > 0 || b->stopping)
        return;
    tell(a);
}

void pb_adopt_stop(struct pb_backend *b)
{
    if (!b->adoption)
        return;
    ev_timer_stop(b->loop, &b->adoption->patience);
    free(b->adoption);
    b->adoption = NULL;
}

static void visit(void *ctx, const struct pb_journal_read *read)
{
    struct pb_backend *b = ctx;

    if (read->is_guest)
        (void)pb_adopt_guest(b, read);
    else
        pb_adopt_device(b, read);
}

void pb_adopt_start(struct pb_backend *b, pb_verb_fn adopted, void *ctx)
{
    struct pb_guest *g, *next;
    struct pb_adoption *a = b->journal ? calloc(1, sizeof(*a)) : NULL;

    if (!a) {
        if (b->journal)
            pb_err("out of memory: guests of an earlier process are not served");
        adopted(ctx, NULL);
        return;
    }
    b->adoption = a;
    a->b = b;
    a->adopted = adopted;
    a->ctx = ctx;
    a->waiting = 1;
    ev_timer_init(&a->patience, patience_over, PATIENCE_S, 0.);
    a->patience.data = a;
    ev_timer_start(b->loop, &a->patience);
    pb_journal_each(b->journal, visit, b);
    for (g = TAILQ_FIRST(&b->guests); g; g = next) {
        next = TAILQ_NEXT(g, link);
        a->waiting++;
        pb_adopt_guest_begin(g);
    }
    pb_adopt_one_done(b);
}
