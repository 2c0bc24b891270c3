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

/* Until core/pci/caps.c is there; a definition that is not weak wins. */
__attribute__((weak)) const char *pb_cap_name(bool extended, uint16_t id)
{
    return extended ? (id == 0x01 ? "aer" : NULL) : id == 0x01 ? "pm" : id == 0x03 ? "vpd" : NULL;
}

__attribute__((weak)) int pb_cap_by_name(bool extended, const char *name)
{
    static const struct {
        bool extended;
        int id;
        const char *name;
    } names[] = { { false, 0x01, "pm" },   { false, 0x03, "vpd" },    { false, 0x05, "msi" },
                  { false, 0x07, "pcix" }, { false, 0x09, "vendor" }, { false, 0x10, "exp" },
                  { false, 0x11, "msix" }, { false, 0x13, "af" },     { true, 0x01, "aer" },
                  { true, 0x0f, "ats" },   { true, 0x10, "sriov" } };

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].extended == extended && strcmp(names[i].name, name) == 0)
            return names[i].id;
    }
    return -1;
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

const char *pb_danger(const struct pb_facts *facts, const struct pb_layout *layout, unsigned offset,
                      unsigned size, uint32_t bits)
{
    (void)facts;
    (void)layout;
    (void)offset;
    (void)size;
    (void)bits;
    return NULL;
}
