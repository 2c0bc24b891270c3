/* SPDX-License-Identifier: MIT */
/* "match": which devices a quirk is for. */
#include <stdlib.h>

#include "base/bytes.h"
#include "quirk/manifest.h"

static void read_range(const struct pb_json *at, uint32_t max, struct pb_id_range *ret)
{
    static const char *const keys[] = { "min", "max", NULL };
    struct pb_json member;

    if (!json_is_object(at->value)) {
        ret->min = ret->max = (uint32_t)pb_json_number(at, 0, max, 0);
        return;
    }
    if (!pb_json_object(at, keys))
        return;
    member = pb_json_member(at, "min");
    if (pb_manifest_need(at, &member))
        ret->min = (uint32_t)pb_json_number(&member, 0, max, 0);
    member = pb_json_member(at, "max");
    if (pb_manifest_need(at, &member))
        ret->max = (uint32_t)pb_json_number(&member, 0, max, 0);
    if (ret->min > ret->max)
        pb_json_fail(at, "\"min\" is greater than \"max\"");
}

/* A number, a range, or an array of both. *ret_wide: a range is among them. */
static void read_ids(const struct pb_json *object, const char *key, uint32_t max,
                     struct pb_id_set *ret, bool *ret_wide)
{
    struct pb_json at = pb_json_member(object, key);
    bool list = json_is_array(at.value);
    size_t count = list ? json_array_size(at.value) : 1;

    ret->mask = max;
    if (!at.value)
        return;
    if (count == 0) {
        pb_json_fail(&at, "must have at least one element");
        return;
    }
    ret->range = pb_manifest_array(&at, count, PB_QUIRK_IDS_MAX, sizeof(*ret->range));
    if (!ret->range)
        return;
    ret->count = count;
    for (size_t i = 0; i < count; i++) {
        struct pb_json element = list ? pb_json_element(&at, i) : at;

        read_range(&element, max, &ret->range[i]);
        if (ret->range[i].min != ret->range[i].max)
            *ret_wide = true;
    }
}

/* The mask of SET: ids with bits outside of it could never match. */
static bool read_mask(const struct pb_json *object, const char *key, const char *of,
                      struct pb_id_set *set)
{
    struct pb_json at = pb_json_member(object, key);
    uint32_t all = set->mask;

    if (!at.value)
        return false;
    if (set->count == 0) {
        pb_json_fail(&at, "needs \"%s\"", of);
        return true;
    }
    set->mask = (uint32_t)pb_json_number(&at, 1, all, all);
    for (size_t i = 0; i < set->count; i++) {
        if ((set->range[i].min | set->range[i].max) & ~set->mask) {
            pb_json_fail(&at, "an id of \"%s\" has bits outside of this mask", of);
            return true;
        }
    }
    return set->mask != all;
}

static void read_condition(const struct pb_json *at, struct pb_quirk_condition *ret)
{
    static const char *const keys[] = { "at", "size", "mask", "equals", NULL };
    struct pb_json member = pb_json_member(at, "equals");

    if (!json_is_object(at->value))
        pb_json_fail(at, "must be an object");
    if (!pb_json_object(at, keys))
        return;
    ret->size = pb_manifest_size(at);
    ret->at = pb_manifest_place(at, ret->size);
    ret->mask = pb_manifest_mask(at, "mask", ret->size, pb_ones(ret->size));
    if (pb_manifest_need(at, &member))
        ret->equals = pb_manifest_mask(at, "equals", ret->size, 0);
    if (ret->equals & ~ret->mask)
        pb_json_fail(&member, "has bits outside of \"mask\": it could never match");
}

static void read_conditions(const struct pb_json *object, struct pb_quirk_match *ret)
{
    struct pb_json at = pb_json_member(object, "image");
    size_t count = pb_json_array(&at);

    if (!at.value)
        return;
    ret->condition = pb_manifest_array(&at, count, PB_CONDITIONS_MAX, sizeof(*ret->condition));
    for (size_t i = 0; ret->condition && i < count; i++) {
        struct pb_json element = pb_json_element(&at, i);

        read_condition(&element, &ret->condition[i]);
        ret->condition_count = i + 1;
    }
}

/* What the ids of *ret say of it. A range is no device: it is as vague as a mask. */
static enum pb_specificity specificity_of(const struct pb_quirk_match *match, bool wide)
{
    if (match->subsystem_vendor.count || match->subsystem_device.count)
        return PB_MATCH_SUBSYSTEM;
    if (match->device.count)
        return match->has_device_mask || wide ? PB_MATCH_MASKED : PB_MATCH_DEVICE;
    return match->vendor.count ? PB_MATCH_VENDOR : PB_MATCH_CLASS;
}

static enum pb_specificity read_one(const struct pb_json *at, const char *const *keys,
                                    struct pb_quirk_match *ret)
{
    bool wide = false, ignored = false;
    struct pb_json member;

    if (!json_is_object(at->value))
        pb_json_fail(at, "must be an object");
    if (!pb_json_object(at, keys))
        return PB_MATCH_CLASS;
    if (json_object_size(at->value) == 0)
        pb_json_fail(at, "must not be empty: it would match every device");
    read_ids(at, "vendor", UINT16_MAX, &ret->vendor, &ignored);
    read_ids(at, "device", UINT16_MAX, &ret->device, &wide);
    read_ids(at, "subsystem_vendor", UINT16_MAX, &ret->subsystem_vendor, &ignored);
    read_ids(at, "subsystem_device", UINT16_MAX, &ret->subsystem_device, &ignored);
    read_ids(at, "class", 0xffffff, &ret->class_code, &ignored);
    read_ids(at, "revision", UINT8_MAX, &ret->revision, &ignored);
    ret->has_device_mask = read_mask(at, "device_mask", "device", &ret->device);
    (void)read_mask(at, "class_mask", "class", &ret->class_code);
    member = pb_json_member(at, "virtual_function");
    ret->has_virtual_function = member.value != NULL;
    ret->virtual_function = pb_json_bool(&member, false);
    read_conditions(at, ret);
    return specificity_of(ret, wide);
}

#define MATCH_KEYS                                                                      \
    "vendor", "device", "device_mask", "subsystem_vendor", "subsystem_device", "class", \
        "class_mask", "revision", "virtual_function", "image"

void pb_manifest_read_match(const struct pb_json *at, struct pb_quirk_match *ret,
                            enum pb_specificity *ret_specificity)
{
    static const char *const keys[] = { MATCH_KEYS, "not", NULL };
    static const char *const except_keys[] = { MATCH_KEYS, NULL };
    struct pb_json except = pb_json_member(at, "not");

    *ret_specificity = read_one(at, keys, ret);
    /* Numbers that one vendor gave mean nothing without it. */
    if (ret->device.count && !ret->vendor.count)
        pb_json_fail(at, "\"device\" needs \"vendor\"");
    if (ret->subsystem_device.count && !ret->subsystem_vendor.count)
        pb_json_fail(at, "\"subsystem_device\" needs \"subsystem_vendor\"");
    if (!except.value || at->error->set)
        return;
    if (json_object_size(at->value) == 1)
        pb_json_fail(at, "must say more than what it is not");
    ret->except = pb_manifest_array(&except, 1, 1, sizeof(*ret->except));
    if (ret->except)
        (void)read_one(&except, except_keys, ret->except);
}

void pb_manifest_free_match(struct pb_quirk_match *match)
{
    free(match->vendor.range);
    free(match->device.range);
    free(match->subsystem_vendor.range);
    free(match->subsystem_device.range);
    free(match->class_code.range);
    free(match->revision.range);
    free(match->condition);
    if (match->except)
        pb_manifest_free_match(match->except);
    free(match->except);
}
