/* SPDX-License-Identifier: MIT */
/* The verbs of slots: what is claimed as soon as it is there. */
#include <stdio.h>

#include "base/log.h"
#include "daemon/call.h"

static json_t *show_slot(const struct pb_slot_view *view)
{
    static const char *const origins[] = {
        [PB_SLOT_CONFIG] = "config", [PB_SLOT_SAVED] = "saved", [PB_SLOT_VERB] = "verb"
    };
    char text[PB_SLOT_TEXT];

    return json_pack("{s:s, s:s, s:i, s:i}", "address", pb_slot_format(&view->slot, text), "origin",
                     origins[view->origin], "devices", (int)view->devices, "claimed",
                     (int)view->claimed);
}

static void collect(void *ctx, const struct pb_slot_view *view)
{
    (void)json_array_append_new(ctx, show_slot(view));
}

void pb_slot_list(struct pb_call *call)
{
    json_t *array = json_array();

    pb_backend_each_slot(call->verbs->backend, collect, array);
    pb_call_done(call, json_pack("{s:o}", "slots", array));
}

struct search {
    const struct pb_slot *slot;
    json_t *found; /* NULL: not listed */
};

static void look_for(void *ctx, const struct pb_slot_view *view)
{
    struct search *search = ctx;

    if (!search->found && pb_slot_equal(&view->slot, search->slot))
        search->found = show_slot(view);
}

/* The slot is shown as it is now; one that is not listed any more is null. */
static void changed(void *ctx, const struct pb_failure *failure)
{
    struct pb_call *call = ctx;
    struct search search = { .slot = &call->slot };
    char text[PB_SLOT_TEXT];

    (void)pb_slot_format(&call->slot, text);
    if (failure) {
        pb_warn("%s %s: %s", call->verb->name, text, failure->reason);
        pb_call_failed(call, failure);
        return;
    }
    pb_notice("%s %s%s: done", call->verb->name, text, call->save ? ", saved" : "");
    pb_backend_each_slot(call->verbs->backend, look_for, &search);
    pb_call_done(call, json_pack("{s:s, s:o}", "address", text, "slot",
                                 search.found ? search.found : json_null()));
}

void pb_slot_add(struct pb_call *call)
{
    pb_backend_slot_add(call->verbs->backend, &call->slot, call->save, changed, call);
}

void pb_slot_remove(struct pb_call *call)
{
    pb_backend_slot_remove(call->verbs->backend, &call->slot, call->save, changed, call);
}
