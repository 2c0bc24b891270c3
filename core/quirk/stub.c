/* SPDX-License-Identifier: MIT */
/* To be replaced file by file: what is not there yet. */
#include <errno.h>
#include <stdlib.h>

#include "quirk/dump.h"
#include "quirk/explain.h"
#include "quirk/profile.h"
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
