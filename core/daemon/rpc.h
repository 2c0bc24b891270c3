/* SPDX-License-Identifier: MIT */
/* JSON-RPC 2.0: one request out of a line, one answer into a line. */
#ifndef PB_DAEMON_RPC_H
#define PB_DAEMON_RPC_H

#include "backend/backend.h"
#include "base/json.h"

/* What is wrong with a message itself: code, name (`data.code`), JSON-RPC number, meaning. */
#define PB_RPC_FAULTS(X)                                             \
    X(PARSE, "parse-error", -32700, "the message is not valid JSON") \
    X(INVALID, "invalid-request", -32600, "not a JSON-RPC request")  \
    X(METHOD, "unknown-verb", -32601, "there is no such verb")       \
    X(PARAMS, "bad-params", -32602, "the verb's parameters are wrong")

enum pb_rpc_fault {
    PB_RPC_OK = 0,
#define X(id, name, rpc, help) PB_RPC_##id,
    PB_RPC_FAULTS(X)
#undef X
};

struct pb_rpc_request {
    json_t *root;     /* owns all below */
    const json_t *id; /* NULL: a notification, which gets no answer */
    const char *method;
    struct pb_json top; /* the parent of `params` in error texts */
    struct pb_json_error error;
};

/*
 * Reads a message. On a fault the reason is in ret->error; `id` is set when it could be read. The
 * request must not move afterwards and is released by pb_rpc_request_done in either case.
 */
enum pb_rpc_fault pb_rpc_request_read(struct pb_rpc_request *ret, const char *text, size_t length);
void pb_rpc_request_done(struct pb_rpc_request *request);

/* Whole answers, to be freed; NULL without memory. RESULT is taken over. ID NULL: JSON's null. */
char *pb_rpc_result(const json_t *id, json_t *result);
char *pb_rpc_fault(const json_t *id, enum pb_rpc_fault fault, const char *reason, const char *next);
char *pb_rpc_failure(const json_t *id, const struct pb_failure *failure);
/* PROBLEMS, which is taken over, becomes `data.problems`; NULL: there is no such member. */
char *pb_rpc_failure_with(const json_t *id, const struct pb_failure *failure, json_t *problems);

/* A JSON string of TEXT, which may hold any bytes; what is not UTF-8 becomes '?'. */
json_t *pb_rpc_text(const char *text);

#endif
