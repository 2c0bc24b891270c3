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
    policy->devices = NULL;
    policy->slots = NULL;
    policy->device_count = policy->slot_count = 0;
}

struct pb_policy *pb_policy_copy(const struct pb_policy *policy)
{
    struct pb_policy *copy = malloc(sizeof(*copy));

    if (!copy)
        return NULL;
    *copy = *policy;
    copy->devices = calloc(policy->device_count, sizeof(*copy->devices));
    copy->slots = calloc(policy->slot_count, sizeof(*copy->slots));
    if ((policy->device_count && !copy->devices) || (policy->slot_count && !copy->slots)) {
        pb_policy_free(copy);
        free(copy);
        return NULL;
    }
    if (policy->device_count)
        memcpy(copy->devices, policy->devices, policy->device_count * sizeof(*copy->devices));
    if (policy->slot_count)
        memcpy(copy->slots, policy->slots, policy->slot_count * sizeof(*copy->slots));
    return copy;
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

/*
 * A star stands for the function, or for device and function. The stars are replaced by zeros and
 * the rest is an address, so that both are read by the same rules.
 */
bool pb_slot_parse(const char *text, struct pb_slot *ret)
{
    size_t length = strlen(text);
    char address[PB_SBDF_TEXT];
    struct pb_sbdf sbdf;
    bool all_functions, all_devices;

    if (length >= sizeof(address) || length < 3)
        return false;
    memcpy(address, text, length + 1);
    all_functions = address[length - 1] == '*';
    all_devices = all_functions && address[length - 3] == '*';
    if (all_functions)
        address[length - 1] = '0';
    if (all_devices)
        address[length - 3] = '0';
    /* "06:1*.*" would become 06:10.0: a star must be the whole of its field */
    if (all_devices && (length < 4 || address[length - 4] != ':'))
        return false;
    if (!pb_sbdf_parse(address, &sbdf))
        return false;
    ret->segment = sbdf.segment;
    ret->bus = sbdf.bus;
    ret->device = all_devices ? -1 : (int8_t)PB_DEVFN_DEV(sbdf.devfn);
    ret->function = all_functions ? -1 : (int8_t)PB_DEVFN_FN(sbdf.devfn);
    return true;
}

bool pb_slot_matches(const struct pb_slot *slot, struct pb_sbdf sbdf)
{
    return slot->segment == sbdf.segment && slot->bus == sbdf.bus &&
           (slot->device < 0 || slot->device == PB_DEVFN_DEV(sbdf.devfn)) &&
           (slot->function < 0 || (unsigned)slot->function == PB_DEVFN_FN(sbdf.devfn));
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
