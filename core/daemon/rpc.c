/* SPDX-License-Identifier: MIT */
#include "daemon/rpc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct code {
    const char *name;
    int rpc;
    const char *help;
};

static const struct code faults[] = {
#define X(id, name, rpc, help) [PB_RPC_##id] = { name, rpc, help },
    PB_RPC_FAULTS(X)
#undef X
};

static const struct code failures[] = {
#define X(id, name, rpc, help) [PB_FAIL_##id] = { name, rpc, help },
    PB_FAILS(X)
#undef X
};

static bool id_is_valid(const json_t *id)
{
    return json_is_string(id) || json_is_number(id) || json_is_null(id);
}

enum pb_rpc_fault pb_rpc_request_read(struct pb_rpc_request *ret, const char *text, size_t length)
{
    static const char *const keys[] = { "jsonrpc", "id", "method", "params", NULL };
    struct pb_json member;
    const char *version;

    *ret = (struct pb_rpc_request){ 0 };
    ret->root = pb_json_parse(text, length, NULL, &ret->error);
    if (!ret->root)
        return PB_RPC_PARSE;
    ret->top = pb_json_root(ret->root, NULL, &ret->error);
    if (json_is_array(ret->root)) {
        pb_json_fail(&ret->top, "batches are not supported, send one request a line");
        return PB_RPC_INVALID;
    }
    member = pb_json_member(&ret->top, "id");
    if (member.value && id_is_valid(member.value))
        ret->id = member.value;
    else if (member.value)
        pb_json_fail(&member, "must be a string, a number or null");
    if (!pb_json_object(&ret->top, keys))
        return PB_RPC_INVALID;
    member = pb_json_member(&ret->top, "jsonrpc");
    version = pb_json_text(&member, 16, "");
    if (strcmp(version, "2.0") != 0)
        pb_json_fail(&member, "must be \"2.0\"");
    member = pb_json_member(&ret->top, "method");
    ret->method = pb_json_text(&member, 64, NULL);
    if (!ret->method)
        pb_json_fail(&member, "is missing");
    return ret->error.set ? PB_RPC_INVALID : PB_RPC_OK;
}

void pb_rpc_request_done(struct pb_rpc_request *request)
{
    json_decref(request->root);
    request->root = NULL;
}

json_t *pb_rpc_text(const char *text)
{
    json_t *value = json_string(text);
    char *copy;

    if (value)
        return value;
    copy = strdup(text);
    for (char *p = copy; p && *p; p++) {
        if ((unsigned char)*p > 0x7e)
            *p = '?';
    }
    value = copy ? json_string(copy) : NULL;
    free(copy);
    return value;
}

/* Takes over the new references. */
static char *compose(const json_t *id, const char *key, json_t *value)
{
    json_t *message, *echoed = id ? json_deep_copy(id) : json_null();
    char *text = NULL;

    message = json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "id", echoed, key, value);
    if (message)
        text = pb_json_dumps(message, JSON_COMPACT);
    json_decref(message);
    return text;
}

char *pb_rpc_result(const json_t *id, json_t *result)
{
    return compose(id, "result", result);
}

static char *compose_error(const json_t *id, const struct code *code, const char *device,
                           const char *reason, const char *next, json_t *problems)
{
    json_t *data =
        json_pack("{s:s, s:o, s:o, s:o, s:o*}", "code", code->name, "device", pb_rpc_text(device),
                  "reason", pb_rpc_text(reason), "next", pb_rpc_text(next), "problems", problems);

    return compose(
        id, "error",
        json_pack("{s:i, s:s, s:o}", "code", code->rpc, "message", code->help, "data", data));
}

char *pb_rpc_fault(const json_t *id, enum pb_rpc_fault fault, const char *reason, const char *next)
{
    return compose_error(id, &faults[fault], "", reason, next, NULL);
}

char *pb_rpc_failure_with(const json_t *id, const struct pb_failure *failure, json_t *problems)
{
    return compose_error(id, &failures[failure->code], failure->device, failure->reason,
                         failure->next, problems);
}

char *pb_rpc_failure(const json_t *id, const struct pb_failure *failure)
{
    return pb_rpc_failure_with(id, failure, NULL);
}
