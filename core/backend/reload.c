/* SPDX-License-Identifier: MIT */
/*
 * A new generation of policy and quirks. All that can fail happens in steps, while the old
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

struct pb_reload {
    struct pb_backend *b;
    struct pb_policy *policy;
    struct pb_quirk_set *quirks;
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

struct pb_reload *pb_backend_reload_begin(struct pb_backend *b, struct pb_policy *policy,
                                          struct pb_quirk_set *quirks)
{
    struct pb_reload *reload = malloc(sizeof(*reload));

    if (reload)
        *reload = (struct pb_reload){ .b = b, .policy = policy, .quirks = quirks };
    return reload;
}

/* One that was claimed, or claimed anew, since it was compiled is not: that was another device. */
static bool is_prepared(const struct pb_device *dev)
{
    return !dev->profile || (dev->prepared && dev->prepared_from == latest(dev));
}

static int prepare(const struct pb_reload *reload, struct pb_device *dev, char *why,
                   size_t why_size)
{
    pb_profile_unprepare(dev);
    if (compile(reload, dev, &dev->prepared, why, why_size) != 0) {
        dev->prepared = NULL;
        return -EINVAL;
    }
    dev->prepared_from = pb_profile_ref(latest(dev));
    return 0;
}

int pb_backend_reload_step(struct pb_reload *reload, unsigned max, pb_reload_visit visit, void *ctx,
                           char *why, size_t why_size)
{
    struct pb_device *dev;

    TAILQ_FOREACH (dev, &reload->b->devices, link) {
        struct pb_device_view view;
        int rc;

        if (is_prepared(dev))
            continue;
        if (max-- == 0)
            return 1;
        rc = prepare(reload, dev, why, why_size);
        if (rc)
            return rc;
        view = pb_device_view_of(dev);
        visit(ctx, &view, dev->prepared_from, dev->prepared);
    }
    return 0;
}

void pb_backend_reload_discard(struct pb_reload *reload)
{
    struct pb_device *dev;

    TAILQ_FOREACH (dev, &reload->b->devices, link)
        pb_profile_unprepare(dev);
    free(reload);
}

/* What DEV has from now on; a new reference. */
static struct pb_profile *take_prepared(const struct pb_reload *reload, struct pb_device *dev)
{
    char why[480] = "";

    if (is_prepared(dev) || prepare(reload, dev, why, sizeof(why)) == 0)
        return pb_profile_ref(dev->prepared);
    pb_warn("%s; it keeps the rules that it had", why);
    return pb_profile_ref(latest(dev));
}

static void change_device(const struct pb_reload *reload, struct pb_device *dev)
{
    struct pb_profile *profile = dev->profile ? take_prepared(reload, dev) : NULL;
    const struct pb_device_policy policy = policy_of(reload->policy, dev->sbdf);

    pb_device_set_policy(dev, &policy);
    if (dev->guest)
        dev->permissive = dev->policy.permissive || dev->permissive_asked;
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
