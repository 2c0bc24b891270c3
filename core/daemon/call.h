/* SPDX-License-Identifier: MIT */
/* One verb under way, for verbs.c and its handlers only. */
#ifndef PB_DAEMON_CALL_H
#define PB_DAEMON_CALL_H

#include "daemon/rpc.h"
#include "daemon/verbs.h"

struct pb_call {
    struct pb_verbs *verbs;
    struct pb_reply *reply;
    struct pb_rpc_request request;
    const struct pb_verb *verb;
    /* parameters: borrowed from the request, or their defaults */
    const char *dev, *guest;
    char guest_number[12];
    bool claim, permissive, force;
    unsigned wait_s;
};

/* Each ends the call: answers and frees it. RESULT is taken over. */
void pb_call_done(struct pb_call *call, json_t *result);
void pb_call_failed(struct pb_call *call, const struct pb_failure *failure);

/* The handlers that only read. */
void pb_report_list(struct pb_call *call);
void pb_report_show(struct pb_call *call);
void pb_report_guests(struct pb_call *call);
void pb_report_stats(struct pb_call *call);
void pb_report_check_config(struct pb_call *call);
void pb_report_version(struct pb_call *call);

#endif
