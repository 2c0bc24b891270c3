/* SPDX-License-Identifier: MIT */
/* `why`: one sentence that answers, then every reason with what to do about it. */
#include <stdio.h>
#include <string.h>

#include "daemon/call.h"
#include "daemon/show.h"

struct reasons {
    json_t *array;
    char blocked[400]; /* the first reason that stands in the way, "" none */
};

static void collect(void *ctx, const struct pb_reason *reason)
{
    struct reasons *reasons = ctx;

    if (reason->blocks && !reasons->blocked[0])
        (void)snprintf(reasons->blocked, sizeof(reasons->blocked), "%s", reason->text);
    (void)json_array_append_new(reasons->array,
                                json_pack("{s:s, s:b, s:o, s:o}", "code", reason->code, "blocks",
                                          reason->blocks, "text", pb_rpc_text(reason->text), "next",
                                          pb_rpc_text(reason->next ? reason->next : "")));
}

/* "0000:03:00.0 (nic0)" */
static void subject(const struct pb_device_view *view, char *ret, size_t size)
{
    char address[PB_SBDF_TEXT];

    (void)pb_sbdf_format(view->sbdf, address);
    (void)snprintf(ret, size, "%s%s%s%s", address, view->name[0] ? " (" : "", view->name,
                   view->name[0] ? ")" : "");
}

/* What stands behind the state: who has it, why it is so, or who may get it. */
static void predicate(const struct pb_device_view *view, const char *blocked, char *ret,
                      size_t size)
{
    char address[PB_SBDF_TEXT];

    switch (view->state) {
    case PB_DEVICE_ASSIGNED:
        (void)snprintf(ret, size, " to guest %lld (%s), which sees it at %s",
                       (long long)view->owner, view->owner_name,
                       pb_sbdf_format(view->virtual_address, address));
        return;
    case PB_DEVICE_PRESENT:
    case PB_DEVICE_CLAIMED:
        if (blocked[0])
            (void)snprintf(ret, size, "; no guest can have it: %s", blocked);
        else if (view->state == PB_DEVICE_CLAIMED)
            (void)snprintf(ret, size, "; a guest can have it");
        else
            (void)snprintf(ret, size, "; a guest can have it when it is claimed");
        return;
    case PB_DEVICE_ABSENT:
    case PB_DEVICE_RESETTING:
    case PB_DEVICE_FAILED:
    case PB_DEVICE_STATE_COUNT:
        break;
    }
    (void)snprintf(ret, size, "%s%s", view->cause[0] ? ": " : "", view->cause);
}

void pb_report_why(struct pb_call *call)
{
    struct reasons reasons = { .array = json_array() };
    struct pb_failure failure = { 0 };
    char who[PB_NAME_MAX + 20], rest[480], answer[600];
    struct pb_device_view view;
    bool attachable;

    if (!pb_backend_device(call->verbs->backend, call->dev, &view, &failure) ||
        !pb_backend_why(call->verbs->backend, call->dev, collect, &reasons, &failure)) {
        json_decref(reasons.array);
        pb_call_failed(call, &failure);
        return;
    }
    subject(&view, who, sizeof(who));
    predicate(&view, reasons.blocked, rest, sizeof(rest));
    (void)snprintf(answer, sizeof(answer), "%s is %s%s", who, pb_device_state_name(view.state),
                   rest);
    attachable = view.state == PB_DEVICE_CLAIMED && !reasons.blocked[0];
    pb_call_done(call, json_pack("{s:o, s:o, s:b, s:o}", "device", pb_show_brief(&view), "answer",
                                 pb_rpc_text(answer), "attachable", attachable, "reasons",
                                 reasons.array));
}
