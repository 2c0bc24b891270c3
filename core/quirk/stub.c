/* SPDX-License-Identifier: MIT */
/* To be replaced file by file: what is not there yet. */
#include <errno.h>
#include <stdlib.h>

#include "quirk/dump.h"
#include "quirk/explain.h"
#include "quirk/hooks.h"
#include "quirk/profile.h"
#include "quirk/reset.h"
#include "quirk/set.h"
#include "quirk/suggest.h"
#include "quirk/sxp.h"

#include <stdio.h>
#include <string.h>

struct pb_quirk_set {
    unsigned refs;
};

struct pb_quirk_set *pb_quirk_set_load(const struct pb_quirk_sources *sources)
{
    (void)sources;
    return pb_quirk_set_empty();
}

struct pb_quirk_set *pb_quirk_set_empty(void)
{
    struct pb_quirk_set *set = calloc(1, sizeof(*set));

    if (set)
        set->refs = 1;
    return set;
}

struct pb_quirk_set *pb_quirk_set_ref(struct pb_quirk_set *set)
{
    set->refs++;
    return set;
}

void pb_quirk_set_unref(struct pb_quirk_set *set)
{
    if (set && --set->refs == 0)
        free(set);
}

size_t pb_quirk_set_problems(const struct pb_quirk_set *set, const struct pb_quirk_problem **ret)
{
    (void)set;
    *ret = NULL;
    return 0;
}

size_t pb_quirk_set_errors(const struct pb_quirk_set *set)
{
    (void)set;
    return 0;
}

void pb_quirk_set_each(const struct pb_quirk_set *set,
                       void (*visit)(void *ctx, const struct pb_quirk_view *view), void *ctx)
{
    (void)set;
    (void)visit;
    (void)ctx;
}

size_t pb_quirk_set_count(const struct pb_quirk_set *set)
{
    (void)set;
    return 0;
}

size_t pb_quirk_set_files(const struct pb_quirk_set *set)
{
    (void)set;
    return 0;
}

void pb_quirk_set_query(const struct pb_quirk_set *set, const struct pb_quirk_ids *ids,
                        void (*visit)(void *ctx, const struct pb_quirk_view *view), void *ctx)
{
    (void)set;
    (void)ids;
    (void)visit;
    (void)ctx;
}

int pb_profile_build(struct pb_quirk_set *set, const struct pb_facts *facts,
                     const struct pb_layout *layout, const struct pb_operator *op,
                     struct pb_profile **ret, char *why, size_t why_size)
{
    struct pb_profile *p = calloc(1, sizeof(*p));
    int rc = -ENOMEM;

    (void)op;
    if (p) {
        p->facts = *facts;
        p->caps.seen = *layout;
        p->map = pb_map_baseline(facts, layout, &rc);
        p->refs = 1;
    }
    if (!p || !p->map) {
        (void)snprintf(why, why_size, "%s", strerror(-rc));
        free(p);
        return rc;
    }
    p->set = pb_quirk_set_ref(set);
    *ret = p;
    return 0;
}

struct pb_profile *pb_profile_ref(struct pb_profile *profile)
{
    profile->refs++;
    return profile;
}

void pb_profile_unref(struct pb_profile *profile)
{
    if (!profile || --profile->refs)
        return;
    pb_quirk_set_unref(profile->set);
    free(profile->map);
    free(profile);
}

void pb_profile_diff(const struct pb_profile *old_profile, const struct pb_profile *new_profile,
                     void (*line)(void *ctx, const char *text), void *ctx)
{
    (void)old_profile;
    (void)new_profile;
    (void)line;
    (void)ctx;
}

int pb_hooks_new(struct pb_profile *profile, struct pb_hooks **ret, char *why, size_t why_size)
{
    (void)profile;
    (void)why;
    (void)why_size;
    *ret = NULL;
    return 0;
}

void pb_hooks_free(struct pb_hooks *hooks)
{
    (void)hooks;
}

void pb_hooks_move(struct pb_hooks *hooks, struct pb_profile *profile)
{
    (void)hooks;
    (void)profile;
}

bool pb_hooks_cover(const struct pb_hooks *hooks, unsigned offset, unsigned size)
{
    (void)hooks;
    (void)offset;
    (void)size;
    return false;
}

void pb_hooks_write(struct pb_hooks *hooks, unsigned offset, unsigned size, uint32_t *value,
                    uint32_t *ret_handled, uint32_t *ret_denied)
{
    (void)hooks;
    (void)offset;
    (void)size;
    (void)value;
    *ret_handled = *ret_denied = 0;
}

void pb_hooks_read(struct pb_hooks *hooks, unsigned offset, unsigned size, uint32_t raw,
                   uint32_t *value)
{
    (void)hooks;
    (void)offset;
    (void)size;
    (void)raw;
    (void)value;
}

void pb_hooks_each(const struct pb_hooks *hooks,
                   void (*visit)(void *ctx, const struct pb_hook_view *view), void *ctx)
{
    (void)hooks;
    (void)visit;
    (void)ctx;
}

void pb_hooks_stats(struct pb_hooks *hooks, pcibackd_stat_fn stat, void *ctx)
{
    (void)hooks;
    (void)stat;
    (void)ctx;
}

void pb_hooks_trace(const struct pb_hooks *hooks, uint64_t since,
                    void (*visit)(void *ctx, const struct pb_trace_entry *entry), void *ctx,
                    uint64_t *ret_lost)
{
    (void)hooks;
    (void)since;
    (void)visit;
    (void)ctx;
    *ret_lost = 0;
}

bool pb_hooks_traces(const struct pb_hooks *hooks)
{
    (void)hooks;
    return false;
}

int pb_reset_hooks_open(const struct pb_reset_plugin *plugins, unsigned count, bool any_owner,
                        const struct pb_facts *facts, const struct pb_reset_io *io,
                        struct pb_reset_hooks **ret, char *why, size_t why_size)
{
    (void)plugins;
    (void)count;
    (void)any_owner;
    (void)facts;
    (void)io;
    (void)why;
    (void)why_size;
    *ret = NULL;
    return 0;
}

int pb_reset_hooks_before(struct pb_reset_hooks *hooks, char *why, size_t why_size)
{
    (void)hooks;
    (void)why;
    (void)why_size;
    return 0;
}

int pb_reset_hooks_after(struct pb_reset_hooks *hooks, int rc, char *why, size_t why_size)
{
    (void)hooks;
    (void)rc;
    (void)why;
    (void)why_size;
    return 0;
}

void pb_reset_hooks_close(struct pb_reset_hooks *hooks)
{
    (void)hooks;
}

json_t *pb_explain(const struct pb_profile *profile)
{
    (void)profile;
    return json_object();
}

json_t *pb_explain_map(const struct pb_profile *profile)
{
    (void)profile;
    return json_object();
}

json_t *pb_explain_set(const struct pb_quirk_set *set)
{
    (void)set;
    return json_object();
}

json_t *pb_explain_quirk(const struct pb_quirk_view *view)
{
    (void)view;
    return json_object();
}

json_t *pb_suggest(const struct pb_profile *profile, const struct pb_denied *denied, size_t count,
                   json_t **ret_left_out)
{
    (void)profile;
    (void)denied;
    (void)count;
    *ret_left_out = json_array();
    return NULL;
}
