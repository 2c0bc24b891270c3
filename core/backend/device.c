/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/failure.h"
#include "backend/guest.h"
#include "backend/machine.h"
#include "backend/profile.h"
#include "backend/record.h"
#include "backend/slots.h"
#include "base/log.h"

static const char *const state_names[] = {
#define X(id, name, help) [PB_DEVICE_##id] = (name),
    PB_DEVICE_STATES(X)
#undef X
};

const char *pb_device_state_name(enum pb_device_state state)
{
    return state_names[state];
}

struct pb_device *pb_device_find(const struct pb_backend *b, struct pb_sbdf sbdf)
{
    struct pb_index_link *link = pb_index_first(&b->device_address, pb_sbdf_machine(sbdf));

    return link ? PB_CONTAINER_OF(link, struct pb_device, by_address) : NULL;
}

void pb_device_set_policy(struct pb_device *dev, const struct pb_device_policy *policy)
{
    if (dev->policy.name[0])
        pb_index_remove(&dev->b->device_name, &dev->by_name);
    dev->policy = *policy;
    if (dev->policy.name[0])
        pb_index_add(&dev->b->device_name, &dev->by_name, pb_index_text(dev->policy.name));
}

struct pb_device *pb_device_resolve(const struct pb_backend *b, const char *text,
                                    bool *ret_is_address, struct pb_sbdf *ret_sbdf)
{
    struct pb_index_link *link;

    *ret_is_address = pb_sbdf_parse(text, ret_sbdf);
    if (*ret_is_address)
        return pb_device_find(b, *ret_sbdf);
    link = pb_index_first(&b->device_name, pb_index_text(text));
    for (; link; link = pb_index_next(link)) {
        struct pb_device *dev = PB_CONTAINER_OF(link, struct pb_device, by_name);

        if (strcmp(dev->policy.name, text) == 0)
            return dev;
    }
    return NULL;
}

struct pb_device *pb_device_add(struct pb_backend *b, struct pb_sbdf sbdf)
{
    const struct pb_device_policy *policy = pb_policy_device(b->policy, sbdf);
    const struct pb_device_policy fallback = pb_policy_device_default(sbdf);
    struct pb_device *dev = pb_device_find(b, sbdf), *before;

    if (dev)
        return dev;
    dev = calloc(1, sizeof(*dev));
    if (!dev)
        return NULL;
    dev->b = b;
    dev->sbdf = sbdf;
    pb_device_set_policy(dev, policy ? policy : &fallback);
    pb_index_add(&b->device_address, &dev->by_address, pb_sbdf_machine(sbdf));
    dev->state = PB_DEVICE_ABSENT;
    dev->cause_code = "";
    b->device_count++;
    /* From the end: they mostly come in their order. */
    TAILQ_FOREACH_REVERSE(before, &b->devices, pb_device_list, link)
    {
        if (pb_sbdf_machine(before->sbdf) < pb_sbdf_machine(sbdf)) {
            TAILQ_INSERT_AFTER(&b->devices, before, dev, link);
            return dev;
        }
    }
    TAILQ_INSERT_HEAD(&b->devices, dev, link);
    return dev;
}

/* One that was released, or could not be claimed, and that nobody lists makes room. */
static bool make_room(struct pb_backend *b)
{
    struct pb_device *dev;

    TAILQ_FOREACH (dev, &b->devices, link) {
        if (pb_slots_can_forget(dev)) {
            pb_device_free(dev);
            return true;
        }
    }
    return false;
}

struct pb_device *pb_device_admit(struct pb_backend *b, struct pb_sbdf sbdf,
                                  struct pb_failure *failure)
{
    struct pb_device *dev = pb_device_find(b, sbdf);
    char address[PB_SBDF_TEXT];

    if (dev)
        return dev;
    (void)pb_sbdf_format(sbdf, address);
    if (b->device_count >= b->policy->limits.devices && !make_room(b)) {
        pb_fail(failure, PB_FAIL_LIMIT, address, "raise limits.devices, or release devices",
                "%u devices are known already, which is the limit", b->device_count);
        return NULL;
    }
    dev = pb_device_add(b, sbdf);
    if (!dev)
        pb_fail(failure, PB_FAIL_INTERNAL, address, "", "out of memory");
    return dev;
}

void pb_device_free(struct pb_device *dev)
{
    TAILQ_REMOVE(&dev->b->devices, dev, link);
    pb_index_remove(&dev->b->device_address, &dev->by_address);
    if (dev->policy.name[0])
        pb_index_remove(&dev->b->device_name, &dev->by_name);
    dev->b->device_count--;
    if (dev->hw)
        dev->b->host->ops->hw_close(dev->b->host, dev->hw);
    pb_profile_put(dev, NULL);
    pb_profile_unprepare(dev);
    pb_record_released(dev);
    free(dev);
}

void pb_device_set_state(struct pb_device *dev, enum pb_device_state state)
{
    if (dev->state != state)
        pb_view_forget(&dev->view);
    if (dev->state != state && pb_guest_may_log(dev->guest))
        pb_info("%s: %s -> %s%s%s", pb_device_text(dev), state_names[dev->state],
                state_names[state], dev->cause[0] ? ": " : "", dev->cause);
    dev->state = state;
    pb_record_device(dev);
}

void pb_device_set_cause(struct pb_device *dev, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(dev->cause, sizeof(dev->cause), fmt, ap);
    va_end(ap);
    dev->cause_code = "";
    dev->cause_next[0] = '\0';
}

void pb_device_set_reason(struct pb_device *dev, const char *code, const char *next,
                          const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(dev->cause, sizeof(dev->cause), fmt, ap);
    va_end(ap);
    dev->cause_code = code;
    (void)snprintf(dev->cause_next, sizeof(dev->cause_next), "%s", next);
}

bool pb_device_is_idle(const struct pb_device *dev)
{
    if (dev->guest || dev->assigned_in_xen)
        return false;
    return dev->state == PB_DEVICE_CLAIMED ||
           (dev->state == PB_DEVICE_FAILED && dev->quarantined && !dev->gone);
}

const char *pb_device_text(const struct pb_device *dev)
{
    static char text[PB_NAME_MAX + PB_SBDF_TEXT + 8];
    char address[PB_SBDF_TEXT];

    if (dev->policy.name[0])
        (void)snprintf(text, sizeof(text), "%s (%s)", dev->policy.name,
                       pb_sbdf_format(dev->sbdf, address));
    else
        (void)pb_sbdf_format(dev->sbdf, text);
    return text;
}
