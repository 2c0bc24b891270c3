/* SPDX-License-Identifier: MIT */
/*
 * A new generation of policy and quirks. All that can fail happens in prepare, while the old
 * generation is in force; commit only exchanges pointers. An old profile lives until the last
 * access that began under it is answered.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/assign.h"
#include "backend/machine.h"
#include "backend/profile.h"
#include "backend/serve.h"
#include "backend/slots.h"
#include "base/log.h"

struct change {
    struct pb_device *dev;
    struct pb_profile *from, *to; /* a reference each */
};

struct pb_reload {
    struct pb_backend *b;
    struct pb_policy *policy;
    struct pb_quirk_set *quirks;
    size_t count;
    struct change change[];
};

static struct pb_device_policy policy_of(const struct pb_policy *policy, struct pb_sbdf sbdf)
{
    const struct pb_device_policy *entry = pb_policy_device(policy, sbdf);

    return entry ? *entry : pb_policy_device_default(sbdf);
}

/* What DEV has, or will have when the access under way is done. */
static struct pb_profile *latest(const struct pb_device *dev)
{
    return dev->next_profile ? dev->next_profile : dev->profile;
}

static int compile(const struct pb_reload *reload, const struct pb_device *dev,
                   struct pb_profile **ret, char *why, size_t why_size)
{
    struct pb_device_policy policy = policy_of(reload->policy, dev->sbdf);
    char reason[400] = "";
    int rc = pb_profile_of(dev, reload->quirks, &policy, &reload->policy->limits, ret, reason,
                           sizeof(reason));

    if (rc)
        (void)snprintf(why, why_size, "%s: %s", pb_device_text(dev),
                       reason[0] ? reason : strerror(-rc));
    return rc;
}

struct pb_reload *pb_backend_reload_prepare(struct pb_backend *b, struct pb_policy *policy,
                                            struct pb_quirk_set *quirks, char *why, size_t why_size)
{
    struct pb_device *dev;
    struct pb_reload *reload;
    size_t count = 0;

    TAILQ_FOREACH (dev, &b->devices, link)
        count += dev->profile ? 1 : 0;
    reload = calloc(1, sizeof(*reload) + count * sizeof(reload->change[0]));
    if (!reload) {
        (void)snprintf(why, why_size, "out of memory");
        return NULL;
    }
    reload->b = b;
    reload->policy = policy;
    reload->quirks = quirks;
    TAILQ_FOREACH (dev, &b->devices, link) {
        struct change *change = &reload->change[reload->count];

        if (!dev->profile)
            continue;
        if (compile(reload, dev, &change->to, why, why_size) != 0) {
            pb_backend_reload_discard(reload);
            return NULL;
        }
        change->dev = dev;
        change->from = pb_profile_ref(latest(dev));
        reload->count++;
    }
    return reload;
}

void pb_backend_reload_each(struct pb_reload *reload,
                            void (*visit)(void *ctx, const struct pb_device_view *view,
                                          const struct pb_profile *old_profile,
                                          const struct pb_profile *new_profile),
                            void *ctx)
{
    for (size_t i = 0; i < reload->count; i++) {
        const struct change *change = &reload->change[i];
        struct pb_device_view view = pb_device_view_of(change->dev);

        visit(ctx, &view, change->from, change->to);
    }
}

void pb_backend_reload_discard(struct pb_reload *reload)
{
    for (size_t i = 0; i < reload->count; i++) {
        pb_profile_unref(reload->change[i].from);
        pb_profile_unref(reload->change[i].to);
    }
    free(reload);
}

/* It was claimed, or claimed anew, since prepare: what was compiled is of another device. */
static struct pb_profile *compile_late(const struct pb_reload *reload, const struct pb_device *dev)
{
    struct pb_profile *profile = NULL;
    char why[480] = "";

    if (compile(reload, dev, &profile, why, sizeof(why)) != 0)
        pb_warn("%s; it keeps the rules that it had", why);
    return profile;
}

/* The reference that was prepared for DEV, if it is still what DEV needs. */
static struct pb_profile *take_prepared(struct pb_reload *reload, const struct pb_device *dev)
{
    for (size_t i = 0; i < reload->count; i++) {
        struct change *change = &reload->change[i];
        struct pb_profile *to = change->to;

        if (change->dev != dev || change->from != latest(dev))
            continue;
        change->to = NULL;
        return to;
    }
    return compile_late(reload, dev);
}

static void change_device(struct pb_reload *reload, struct pb_device *dev)
{
    struct pb_profile *profile = dev->profile ? take_prepared(reload, dev) : NULL;

    dev->policy = policy_of(reload->policy, dev->sbdf);
    if (dev->guest)
        dev->permissive = dev->policy.permissive || dev->permissive_asked;
    if (!profile && dev->profile)
        profile = pb_profile_ref(latest(dev));
    if (profile)
        pb_profile_change(dev, profile);
}

void pb_backend_reload_commit(struct pb_reload *reload)
{
    struct pb_backend *b = reload->b;
    struct pb_policy *old_policy = b->policy;
    struct pb_quirk_set *old_quirks = b->quirks;
    struct pb_device *dev;

    b->policy = reload->policy;
    b->quirks = reload->quirks;
    b->generation++;
    TAILQ_FOREACH (dev, &b->devices, link)
        change_device(reload, dev);
    pb_backend_reload_discard(reload);
    if (b->started)
        pb_slots_reloaded(b, old_policy);
    pb_assign_reloaded(b);
    pb_policy_free(old_policy);
    free(old_policy);
    pb_quirk_set_unref(old_quirks);
}

uint64_t pb_backend_generation(const struct pb_backend *b)
{
    return b->generation;
}

struct pb_quirk_set *pb_backend_quirks(const struct pb_backend *b)
{
    return b->quirks;
}
