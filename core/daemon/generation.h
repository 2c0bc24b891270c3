/* SPDX-License-Identifier: MIT */
/*
 * What the files say at one time: the configuration and the quirks that it names. Reading it may
 * block and may be done in any thread; who has it uses it alone.
 */
#ifndef PB_DAEMON_GENERATION_H
#define PB_DAEMON_GENERATION_H

#include "daemon/config.h"
#include "quirk/set.h"

struct pb_source {
    const char *config_path;
    bool config_required;
    bool any_owner;        /* of manifests and plugins: only in tests */
    bool any_config_owner; /* also for who is not root and only looks */
};

struct pb_generation {
    struct pb_config *config; /* NULL: `error` says why */
    struct pb_json_error error;
    struct pb_quirk_set *quirks; /* NULL when there is no configuration; one reference */
};

/* Fills *ret, which is to be released by pb_generation_fini in any case, on the loop's thread. */
void pb_generation_load(const struct pb_source *source, struct pb_generation *ret);
/* The same in two steps; the second is for one that has a configuration. */
void pb_generation_load_config(const struct pb_source *source, struct pb_generation *ret);
void pb_generation_load_quirks(const struct pb_source *source, struct pb_generation *generation);
void pb_generation_fini(struct pb_generation *generation);

/* How many problems forbid a reload: a bad configuration, manifests that were left out. */
size_t pb_generation_errors(const struct pb_generation *generation);
/* Each problem; TEXT names the place. */
void pb_generation_each_problem(const struct pb_generation *generation,
                                void (*visit)(void *ctx, bool error, const char *file,
                                              const char *text),
                                void *ctx);
/* One line in the log for each. */
void pb_generation_log(const struct pb_generation *generation);
/* "2 quirks from 1 file" */
#define PB_GENERATION_TEXT 64
const char *pb_generation_summary(const struct pb_quirk_set *quirks, char buf[PB_GENERATION_TEXT]);

#endif
