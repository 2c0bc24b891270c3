/* SPDX-License-Identifier: MIT */
#include "daemon/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "daemon/call.h"
#include "daemon/show.h"

static void call_free(struct pb_call *call)
{
    pb_rpc_request_done(&call->request);
    free(call);
}

/* NULL: there was no memory for it. */
static void answer(struct pb_reply *reply, char *text)
{
    if (text)
        pb_reply_send(reply, text, strlen(text));
    else
        pb_reply_drop(reply);
}

static void call_end(struct pb_call *call, char *text)
{
    struct pb_reply *reply = call->reply;
    bool wanted = call->request.id != NULL;

    call_free(call);
    if (wanted) {
        answer(reply, text);
        return;
    }
    free(text);
    pb_reply_send(reply, NULL, 0);
}

size_t pb_call_answer_max(const struct pb_call *call)
{
    const struct pb_limits *limits = &call->verbs->limits;
    size_t max = limits->control_answer_bytes;

    if (pb_reply_uid(call->reply) != 0 && max >= limits->control_unread_bytes)
        max = limits->control_unread_bytes - 1;
    return max;
}

void pb_call_too_long(struct pb_call *call)
{
    struct pb_failure failure = { .code = PB_FAIL_LIMIT };

    (void)snprintf(failure.reason, sizeof(failure.reason), "the answer is longer than %zu bytes",
                   pb_call_answer_max(call));
    (void)snprintf(failure.next, sizeof(failure.next),
                   "see control_answer_bytes and control_unread_bytes in the limits");
    pb_call_failed(call, &failure);
}

void pb_call_answer(struct pb_call *call, char *text, size_t length)
{
    struct pb_reply *reply = call->reply;

    call_free(call);
    pb_reply_send(reply, text, length);
}

void pb_call_failed(struct pb_call *call, const struct pb_failure *failure)
{
    call_end(call, pb_rpc_failure(call->request.id, failure));
}

void pb_call_done(struct pb_call *call, json_t *result)
{
    static const struct pb_failure no_memory = { .code = PB_FAIL_INTERNAL,
                                                 .reason = "the answer could not be composed",
                                                 .next = "try again" };

    char *text = result ? pb_rpc_result(call->request.id, result) : NULL;

    if (text && strlen(text) > pb_call_answer_max(call)) {
        free(text);
        pb_call_too_long(call);
    } else if (text) {
        call_end(call, text);
    } else {
        pb_call_failed(call, &no_memory);
    }
}

void pb_call_failed_with(struct pb_call *call, const struct pb_failure *failure, json_t *problems)
{
    call_end(call, pb_rpc_failure_with(call->request.id, failure, problems));
}

static void log_outcome(const struct pb_call *call, const struct pb_failure *failure)
{
    const char *on = call->guest ? call->guest : "", *with = call->guest ? " " : "";

    if (failure)
        pb_warn("%s %s%s%s: %s", call->verb->name, on, with, call->dev, failure->reason);
    else
        pb_notice("%s %s%s%s: done", call->verb->name, on, with, call->dev);
}

/* A verb that changes something is done: the device is shown as it is now. */
static void changed(void *ctx, const struct pb_failure *failure)
{
    struct pb_call *call = ctx;
    struct pb_failure ignored = { 0 };
    struct pb_device_view view;
    json_t *device;

    log_outcome(call, failure);
    if (failure) {
        pb_call_failed(call, failure);
        return;
    }
    if (pb_backend_device(call->verbs->backend, call->dev, &view, &ignored))
        device = pb_show_device(call->verbs->names, &view);
    else
        device = json_null(); /* released, and not in the configuration */
    pb_call_done(call, json_pack("{s:o}", "device", device));
}

static void run_claim(struct pb_call *call)
{
    pb_backend_claim(call->verbs->backend, call->dev, call->force, changed, call);
}

static void run_release(struct pb_call *call)
{
    pb_backend_release(call->verbs->backend, call->dev, call->force, changed, call);
}

static void run_attach(struct pb_call *call)
{
    struct pb_attach_options options = { .claim = call->claim,
                                         .permissive = call->permissive,
                                         .force = call->force,
                                         .wait_s = call->wait_s };

    pb_backend_attach(call->verbs->backend, call->guest, call->dev, &options, changed, call);
}

static void run_detach(struct pb_call *call)
{
    pb_backend_detach(call->verbs->backend, call->guest, call->dev, call->force, changed, call);
}

static void run_reset(struct pb_call *call)
{
    pb_backend_reset(call->verbs->backend, call->dev, changed, call);
}

#define DEV                          \
    {                                \
        "dev", PB_PARAM_DEVICE, true \
    }
#define GUEST                         \
    {                                 \
        "guest", PB_PARAM_GUEST, true \
    }
#define SLOT                           \
    {                                  \
        "address", PB_PARAM_SLOT, true \
    }
#define SAVE                         \
    {                                \
        "save", PB_PARAM_FLAG, false \
    }
#define FORCE                         \
    {                                 \
        "force", PB_PARAM_FLAG, false \
    }

static const struct pb_verb table[] = {
    { "claim", PB_LEVEL_ROOT, { DEV, FORCE }, run_claim, "take a device from its driver" },
    { "release", PB_LEVEL_ROOT, { DEV, FORCE }, run_release, "give a device back to its driver" },
    { "attach",
      PB_LEVEL_ROOT,
      { GUEST,
        DEV,
        { "claim", PB_PARAM_FLAG, false },
        { "permissive", PB_PARAM_FLAG, false },
        FORCE,
        { "wait", PB_PARAM_SECONDS, false } },
      run_attach,
      "give a device to a guest" },
    { "detach", PB_LEVEL_ROOT, { GUEST, DEV, FORCE }, run_detach, "take a device from a guest" },
    { "reset",
      PB_LEVEL_ROOT,
      { DEV },
      run_reset,
      "reset a device that no guest has, and verify it" },
    { "slot.list",
      PB_LEVEL_READER,
      { { 0 } },
      pb_slot_list,
      "what is claimed as soon as it is there" },
    { "slot.add",
      PB_LEVEL_ROOT,
      { SLOT, SAVE },
      pb_slot_add,
      "claim what is there, or comes there" },
    { "slot.remove",
      PB_LEVEL_ROOT,
      { SLOT, SAVE },
      pb_slot_remove,
      "claim no more there; releases nothing" },
    { "list", PB_LEVEL_READER, { { 0 } }, pb_report_list, "all devices" },
    { "show", PB_LEVEL_READER, { DEV }, pb_report_show, "one device" },
    { "why",
      PB_LEVEL_READER,
      { DEV },
      pb_report_why,
      "what stands in the way of giving it to a guest" },
    { "guests", PB_LEVEL_READER, { { 0 } }, pb_report_guests, "all guests" },
    { "stats", PB_LEVEL_READER, { { 0 } }, pb_report_stats, "counters and limits" },
    { "quirks.list",
      PB_LEVEL_READER,
      { { 0 } },
      pb_report_quirks,
      "the quirks in force, and what is wrong" },
    { "quirks.explain",
      PB_LEVEL_READER,
      { DEV },
      pb_report_explain,
      "what a guest may do with each register" },
    { "map", PB_LEVEL_READER, { DEV }, pb_report_map, "the same, a letter a byte" },
    { "denied",
      PB_LEVEL_READER,
      { DEV },
      pb_report_denied,
      "writes that were refused, by register" },
    { "suggest-quirk",
      PB_LEVEL_READER,
      { DEV },
      pb_report_suggest,
      "a manifest that would allow them" },
    { "trace",
      PB_LEVEL_READER,
      { DEV, { "since", PB_PARAM_NUMBER, false } },
      pb_report_trace,
      "the accesses that a plugin recorded" },
    { "reload",
      PB_LEVEL_ROOT,
      { { "dry_run", PB_PARAM_FLAG, false } },
      pb_reload_verb,
      "reads configuration and quirks anew and changes over to them" },
    { "check-config",
      PB_LEVEL_READER,
      { { 0 } },
      pb_reload_check_config,
      "reads configuration and quirks anew, and tells what is wrong" },
    { "version",
      PB_LEVEL_READER,
      { { 0 } },
      pb_report_version,
      "the daemon's version and protocols" },
};

const struct pb_verb *pb_verbs_table(size_t *ret_count)
{
    *ret_count = PB_ARRAY_SIZE(table);
    return table;
}

static const char *read_text(const struct pb_json *at)
{
    const char *text = pb_json_text(at, PB_NAME_MAX, NULL);

    if (!text)
        return NULL;
    if (!text[0])
        pb_json_fail(at, "must not be empty");
    for (const char *p = text; *p; p++) {
        if (*p < 0x20 || *p > 0x7e)
            pb_json_fail(at, "must be printable ASCII");
    }
    return text;
}

static void read_guest(struct pb_call *call, const struct pb_json *at)
{
    if (!json_is_integer(at->value)) {
        call->guest = read_text(at);
        return;
    }
    (void)snprintf(call->guest_number, sizeof(call->guest_number), "%u",
                   (unsigned)pb_json_number(at, 0, 0x7fef, 0));
    call->guest = call->guest_number;
}

static void read_slot(struct pb_call *call, const struct pb_json *at)
{
    const char *text = read_text(at);

    if (text && !pb_slot_parse(text, &call->slot))
        pb_json_fail(at, "must be an address like \"0000:05:02.0\", \"0000:05:02.*\" or "
                         "\"0000:05:*.*\"");
}

static void read_flag(struct pb_call *call, const struct pb_json *at)
{
    bool value = pb_json_bool(at, false);

    if (strcmp(at->key, "claim") == 0)
        call->claim = value;
    else if (strcmp(at->key, "permissive") == 0)
        call->permissive = value;
    else if (strcmp(at->key, "dry_run") == 0)
        call->dry_run = value;
    else if (strcmp(at->key, "save") == 0)
        call->save = value;
    else
        call->force = value;
}

static void read_param(struct pb_call *call, const struct pb_json *at, const struct pb_param *param)
{
    if (!at->value) {
        if (param->required)
            pb_json_fail(at, "is missing");
        return;
    }
    switch (param->type) {
    case PB_PARAM_DEVICE:
        call->dev = read_text(at);
        break;
    case PB_PARAM_GUEST:
        read_guest(call, at);
        break;
    case PB_PARAM_FLAG:
        read_flag(call, at);
        break;
    case PB_PARAM_SECONDS:
        call->wait_s = (unsigned)pb_json_number(at, 0, PB_WAIT_MAX_S, 0);
        break;
    case PB_PARAM_NUMBER:
        call->since = pb_json_number(at, 0, INT64_MAX, 0);
        break;
    case PB_PARAM_SLOT:
        read_slot(call, at);
        break;
    case PB_PARAM_NONE:
        break;
    }
}

static bool read_params(struct pb_call *call)
{
    const char *keys[PB_VERB_PARAMS_MAX + 1] = { NULL };
    const struct pb_param *params = call->verb->params;
    struct pb_json at = pb_json_member(&call->request.top, "params"), member;
    unsigned count = 0;

    while (count < PB_VERB_PARAMS_MAX && params[count].name) {
        keys[count] = params[count].name;
        count++;
    }
    if (at.value && !pb_json_object(&at, keys))
        return false;
    for (unsigned i = 0; i < count; i++) {
        member = pb_json_member(&at, params[i].name);
        read_param(call, &member, &params[i]);
    }
    return !call->request.error.set;
}

static const struct pb_verb *find_verb(const char *name)
{
    for (size_t i = 0; i < PB_ARRAY_SIZE(table); i++) {
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    }
    return NULL;
}

/* PB_RPC_OK: the call may run. */
static enum pb_rpc_fault prepare(struct pb_call *call, const char *text, size_t length)
{
    enum pb_rpc_fault fault = pb_rpc_request_read(&call->request, text, length);
    struct pb_json method;

    if (fault != PB_RPC_OK)
        return fault;
    call->verb = find_verb(call->request.method);
    if (!call->verb) {
        method = pb_json_member(&call->request.top, "method");
        pb_json_fail(&method, "unknown verb \"%s\"", call->request.method);
        return PB_RPC_METHOD;
    }
    return read_params(call) ? PB_RPC_OK : PB_RPC_PARAMS;
}

static void refuse(struct pb_call *call, enum pb_rpc_fault fault)
{
    bool silent = !call->request.id && (fault == PB_RPC_METHOD || fault == PB_RPC_PARAMS);
    struct pb_reply *reply = call->reply;
    char *text = NULL;

    if (!silent)
        text = pb_rpc_fault(call->request.id, fault, call->request.error.text,
                            "see pcibackctl(1) for the verbs and their parameters");
    call_free(call);
    if (silent)
        pb_reply_send(reply, NULL, 0);
    else
        answer(reply, text);
}

void pb_verbs_message(void *ctx, struct pb_reply *reply, const char *text, size_t length)
{
    struct pb_call *call = calloc(1, sizeof(*call));
    struct pb_failure denied = { .code = PB_FAIL_DENIED };
    enum pb_rpc_fault fault;

    if (!call) {
        pb_reply_drop(reply);
        return;
    }
    call->verbs = ctx;
    call->reply = reply;
    fault = prepare(call, text, length);
    if (fault != PB_RPC_OK) {
        refuse(call, fault);
        return;
    }
    if (call->verb->level != PB_LEVEL_READER && pb_reply_uid(reply) != 0) {
        (void)snprintf(denied.device, sizeof(denied.device), "%s", call->dev ? call->dev : "");
        (void)snprintf(denied.reason, sizeof(denied.reason), "only root may %s%s", call->verb->name,
                       call->dev ? " devices" : "");
        (void)snprintf(denied.next, sizeof(denied.next), "ask again as root");
        pb_call_failed(call, &denied);
        return;
    }
    call->verb->run(call);
}
