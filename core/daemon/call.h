/* SPDX-License-Identifier: MIT */
/* One verb under way, for verbs.c and its handlers only. */
#ifndef PB_DAEMON_CALL_H
#define PB_DAEMON_CALL_H

#include <sys/queue.h>

#include "daemon/reload.h"
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
    struct pb_slot slot;
    bool claim, permissive, force, dry_run, save;
    unsigned wait_s;
    uint64_t since;
    /* reload.c's, while it waits for files to be read */
    TAILQ_ENTRY(pb_call) link;
    enum pb_reload_kind reload;
};

/* Each ends the call: answers and frees it. RESULT is taken over; NULL: there was no memory. */
void pb_call_done(struct pb_call *call, json_t *result);
void pb_call_failed(struct pb_call *call, const struct pb_failure *failure);
/* The same with PROBLEMS, an array that is taken over, as the error's `data.problems`. */
void pb_call_failed_with(struct pb_call *call, const struct pb_failure *failure, json_t *problems);

/* The whole answer, malloc's with room for a byte more, which is taken over. */
void pb_call_answer(struct pb_call *call, char *text, size_t length);
/* It may have so many bytes, or else is this failure. */
size_t pb_call_answer_max(const struct pb_call *call);
void pb_call_too_long(struct pb_call *call);

/* The handlers that only read. */
void pb_report_list(struct pb_call *call);
void pb_report_show(struct pb_call *call);
void pb_report_guests(struct pb_call *call);
void pb_report_stats(struct pb_call *call);
void pb_report_version(struct pb_call *call);
void pb_report_quirks(struct pb_call *call);
void pb_report_explain(struct pb_call *call);
void pb_report_map(struct pb_call *call);
void pb_report_denied(struct pb_call *call);
void pb_report_suggest(struct pb_call *call);
void pb_report_trace(struct pb_call *call);
void pb_report_why(struct pb_call *call);

/* Slots. */
void pb_slot_list(struct pb_call *call);
void pb_slot_add(struct pb_call *call);
void pb_slot_remove(struct pb_call *call);

/* Those that read files, and are answered later. */
void pb_reload_verb(struct pb_call *call);
void pb_reload_check_config(struct pb_call *call);

#endif
