/* SPDX-License-Identifier: MIT */
/* The verbs of the control socket: one table, from which requests are checked and answered. */
#ifndef PB_DAEMON_VERBS_H
#define PB_DAEMON_VERBS_H

#include "backend/backend.h"
#include "daemon/control.h"
#include "daemon/names.h"

struct pb_reloader;

/* What the verbs speak for. Filled by the daemon; all of it outlives the control socket. */
struct pb_verbs {
    struct pb_backend *backend;
    struct pb_control *control; /* set once it is open */
    struct pb_names *names;     /* may be NULL */
    struct pb_limits limits;
    struct pb_reloader *reloader;
    uint64_t started_ms;
};

/* Handles one message and leads to one pb_reply_send; CTX is a struct pb_verbs. */
void pb_verbs_message(void *ctx, struct pb_reply *reply, const char *text, size_t length);

enum pb_param_type {
    PB_PARAM_NONE,
    PB_PARAM_DEVICE,  /* a string: an address or a name */
    PB_PARAM_GUEST,   /* a string: a domid or a name; or a number: a domid */
    PB_PARAM_FLAG,    /* true or false */
    PB_PARAM_SECONDS, /* 0 to PB_WAIT_MAX_S */
    PB_PARAM_NUMBER,  /* from 0 */
    PB_PARAM_SLOT,    /* a string: an address, with stars for what is left open */
};

#define PB_VERB_PARAMS_MAX 6
#define PB_WAIT_MAX_S      600

/* Who may use a verb. There is none without: 0 is neither. */
enum pb_level {
    PB_LEVEL_READER = 1, /* whoever may connect */
    PB_LEVEL_ROOT,
};

struct pb_call;
struct pb_param {
    const char *name;
    enum pb_param_type type;
    bool required;
};

struct pb_verb {
    const char *name;
    enum pb_level level;
    struct pb_param params[PB_VERB_PARAMS_MAX];
    void (*run)(struct pb_call *call);
    const char *help;
};

/* For tests and `version`: the whole table. */
const struct pb_verb *pb_verbs_table(size_t *ret_count);

#endif
