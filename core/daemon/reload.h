/* SPDX-License-Identifier: MIT */
/*
 * Reading configuration and quirks anew while guests run. Files are read in a thread of their own,
 * since they may block; the rest is done on the loop, a few devices in each of its turns. One
 * reading at a time: whoever asks meanwhile
 * waits for the next one, together with all others, so that everybody gets what the files said
 * after he asked.
 */
#ifndef PB_DAEMON_RELOAD_H
#define PB_DAEMON_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/generation.h"

/* So many devices are compiled in one turn of the loop. */
#define PB_RELOAD_STEP 16

/* Who may only read is checked for so often, one reading for all of them. */
#define PB_RELOAD_READERS_MS 1000

struct ev_loop;
struct pb_call;
struct pb_reloader;
struct pb_verbs;

struct pb_reloader_options {
    struct ev_loop *loop;
    struct pb_source source;
    struct pb_verbs *verbs; /* its backend is reloaded, its limits follow */
    /* Runs in the thread; NULL: pb_generation_load. */
    void (*load)(const struct pb_source *source, struct pb_generation *ret);
};

/* CONFIG, as it is in force and with its policy, is taken over. NULL: out of memory. */
struct pb_reloader *pb_reloader_new(const struct pb_reloader_options *options,
                                    struct pb_config *config);
/* Answers those who wait with a failure; waits until the files are read. NULL is allowed. */
void pb_reloader_free(struct pb_reloader *reloader);

/* SIGHUP: a reload whose outcome stands in the log. */
void pb_reloader_hangup(struct pb_reloader *reloader);

enum pb_reload_kind {
    PB_RELOAD_APPLY,
    PB_RELOAD_DRY_RUN,
    PB_RELOAD_CHECK, /* the answer is that of check-config */
};
/* CALL is answered when it is done. */
void pb_reloader_ask(struct pb_reloader *reloader, struct pb_call *call, enum pb_reload_kind kind);

struct pb_reload_outcome {
    int64_t at; /* seconds since 1970, 0: there was none */
    bool ok;
    uint64_t turns;           /* of the loop, that it took once the files were read */
    uint64_t longest_turn_us; /* nothing else was done for so long */
};
struct pb_reload_outcome pb_reloader_last(const struct pb_reloader *reloader);

#endif
