/* SPDX-License-Identifier: MIT */
#include "backend/xl.h"

#include "backend/failure.h"
#include "backend/guest.h"

void pb_xl_start(struct pb_backend *b, pb_verb_fn started, void *ctx)
{
    struct pb_failure failure = { 0 };

    (void)b;
    pb_fail(&failure, PB_FAIL_REFUSED, "", "remove \"pci\" from backend.kinds",
            "xl mode is not built in");
    started(ctx, &failure);
}

void pb_xl_stop(struct pb_backend *b)
{
    b->xl = NULL;
}

void pb_xl_domains_changed(struct pb_backend *b)
{
    (void)b;
}

bool pb_xl_may(struct pb_guest *g, enum pb_xenbus_action action)
{
    (void)g;
    (void)action;
    return true;
}

bool pb_xl_may_end(struct pb_guest *g)
{
    (void)g;
    return true;
}

void pb_xl_guest_freed(struct pb_guest *g)
{
    g->dir = NULL;
}

void pb_xl_write_devices(struct pb_store_req *req, const struct pb_guest *g)
{
    (void)req;
    (void)g;
}

void pb_xl_expect_state(struct pb_store_req *req, const struct pb_guest *g)
{
    (void)req;
    (void)g;
}

const struct pb_task_kind pb_xl_return_kind = { "return from xl's guest", NULL, 0 };

void pb_xl_returned(struct pb_guest *g)
{
    (void)g;
}
