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
    struct pb_device *dev;

    TAILQ_FOREACH (dev, &b->devices, link) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see TAILQ_REMOVE move the head */
        if (pb_sbdf_equal(dev->sbdf, sbdf))
            return dev;
    }
    return NULL;
}

struct pb_device *pb_device_resolve(const struct pb_backend *b, const char *text,
                                    bool *ret_is_address, struct pb_sbdf *ret_sbdf)
{
    struct pb_device *dev;

    *ret_is_address = pb_sbdf_parse(text, ret_sbdf);
    if (*ret_is_address)
        return pb_device_find(b, *ret_sbdf);
    TAILQ_FOREACH (dev, &b->devices, link) {
        if (dev->policy.name[0] && strcmp(dev->policy.name, text) == 0)
            return dev;
    }
    return NULL;
}

struct pb_device *pb_device_add(struct pb_backend *b, struct pb_sbdf sbdf)
{
    const struct pb_device_policy *policy = pb_policy_device(b->policy, sbdf);
    struct pb_device *dev = pb_device_find(b, sbdf), *next;

    if (dev)
        return dev;
    dev = calloc(1, sizeof(*dev));
    if (!dev)
        return NULL;
    dev->b = b;
    dev->sbdf = sbdf;
    dev->policy = policy ? *policy : pb_policy_device_default(sbdf);
    dev->state = PB_DEVICE_ABSENT;
    dev->cause_code = "";
    b->device_count++;
    TAILQ_FOREACH (next, &b->devices, link) {
        if (pb_sbdf_machine(next->sbdf) > pb_sbdf_machine(sbdf)) {
            TAILQ_INSERT_BEFORE(next, dev, link);
            return dev;
        }
    }
    TAILQ_INSERT_TAIL(&b->devices, dev, link);
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
