/* SPDX-License-Identifier: MIT */
#include "backend/policy.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void pb_policy_init(struct pb_policy *policy)
{
    *policy = (struct pb_policy){ .busy_poll_us = PB_BUSY_POLL_US };
#define X(name, fallback, min, max, help) policy->limits.name = (fallback);
    PB_LIMITS(X)
#undef X
}

void pb_policy_free(struct pb_policy *policy)
{
    free(policy->devices);
    free(policy->slots);
    free(policy->guests);
    free(policy->assignments);
    policy->devices = NULL;
    policy->slots = NULL;
    policy->guests = NULL;
    policy->assignments = NULL;
    policy->device_count = policy->slot_count = 0;
    policy->guest_count = policy->assignment_count = 0;
}

/* COUNT things of SIZE bytes; *failed when there is no memory. NULL for none. */
static void *copy_of(const void *what, size_t count, size_t size, bool *failed)
{
    void *copy = count ? calloc(count, size) : NULL;

    if (copy)
        memcpy(copy, what, count * size);
    else if (count)
        *failed = true;
    return copy;
}

struct pb_policy *pb_policy_copy(const struct pb_policy *p)
{
    struct pb_policy *copy = malloc(sizeof(*copy));
    bool failed = false;

    if (!copy)
        return NULL;
    *copy = *p;
    copy->devices = copy_of(p->devices, p->device_count, sizeof(*p->devices), &failed);
    copy->slots = copy_of(p->slots, p->slot_count, sizeof(*p->slots), &failed);
    copy->guests = copy_of(p->guests, p->guest_count, sizeof(*p->guests), &failed);
    copy->assignments =
        copy_of(p->assignments, p->assignment_count, sizeof(*p->assignments), &failed);
    if (failed) {
        pb_policy_free(copy);
        free(copy);
        return NULL;
    }
    return copy;
}

enum pb_topology pb_policy_topology(const struct pb_policy *policy, const char *guest)
{
    for (size_t i = 0; i < policy->guest_count; i++) {
        if (strcmp(policy->guests[i].name, guest) == 0)
            return policy->guests[i].topology;
    }
    return policy->topology;
}

const struct pb_device_policy *pb_policy_device(const struct pb_policy *policy, struct pb_sbdf sbdf)
{
    for (size_t i = 0; i < policy->device_count; i++) {
        if (pb_sbdf_equal(policy->devices[i].sbdf, sbdf))
            return &policy->devices[i];
    }
    return NULL;
}

struct pb_device_policy pb_policy_device_default(struct pb_sbdf sbdf)
{
    return (struct pb_device_policy){
        .sbdf = sbdf, .driver = "pci-stub", .reset = PB_RESET_BEST_EFFORT, .assign = PB_ASSIGN_ALLOW
    };
}

bool pb_name_check(const char *text, const char **ret_why)
{
    size_t length = strlen(text);
    struct pb_sbdf sbdf;
    bool digits = true;

    *ret_why = NULL;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c <= 0x20 || c > 0x7e)
            *ret_why = "must be printable ASCII without blanks";
        digits = digits && isdigit(c);
    }
    if (length == 0)
        *ret_why = "must not be empty";
    else if (length > PB_NAME_MAX)
        *ret_why = "is longer than 64 characters";
    else if (digits)
        *ret_why = "must not look like a domain id";
    else if (pb_sbdf_parse(text, &sbdf))
        *ret_why = "must not look like an address";
    return !*ret_why;
}
