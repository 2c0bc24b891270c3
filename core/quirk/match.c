/* SPDX-License-Identifier: MIT */
#include "quirk/match.h"

#include "base/bytes.h"

static const struct pb_cap *first_of(const struct pb_cap *cap, unsigned count, uint16_t id)
{
    for (unsigned i = 0; i < count; i++) {
        if (cap[i].id == id)
            return &cap[i];
    }
    return NULL;
}

int pb_place_find(const struct pb_place *place, unsigned size, const struct pb_layout *layout,
                  unsigned limit)
{
    const struct pb_cap *cap = NULL;
    unsigned at = place->offset;

    if (place->kind != PB_AT_OFFSET) {
        cap = place->kind == PB_AT_CAP ? first_of(layout->cap, layout->cap_count, place->cap)
                                       : first_of(layout->ext, layout->ext_count, place->cap);
        if (!cap)
            return -1;
        at += cap->offset;
    }
    /* A standard capability does not reach into the extended space. */
    if (place->kind == PB_AT_CAP && limit > PB_CONFIG_SIZE_PCI)
        limit = PB_CONFIG_SIZE_PCI;
    return at + size > limit ? -1 : (int)at;
}

static bool has_id(const struct pb_id_set *set, uint32_t id)
{
    if (set->count == 0)
        return true;
    for (size_t i = 0; i < set->count; i++) {
        if ((id & set->mask) >= set->range[i].min && (id & set->mask) <= set->range[i].max)
            return true;
    }
    return false;
}

static bool ids_match(const struct pb_quirk_match *match, const struct pb_quirk_ids *ids)
{
    return has_id(&match->vendor, ids->vendor) && has_id(&match->device, ids->device) &&
           has_id(&match->subsystem_vendor, ids->subsystem_vendor) &&
           has_id(&match->subsystem_device, ids->subsystem_device) &&
           has_id(&match->class_code, ids->class_code) && has_id(&match->revision, ids->revision) &&
           (!match->has_virtual_function || match->virtual_function == ids->virtual_function);
}

static bool image_matches(const struct pb_quirk_match *match, const struct pb_facts *facts,
                          const struct pb_layout *layout)
{
    for (size_t i = 0; i < match->condition_count; i++) {
        const struct pb_quirk_condition *c = &match->condition[i];
        int at = pb_place_find(&c->at, c->size, layout, facts->config_size);

        if (at < 0 || (pb_le_get(facts->config + at, c->size) & c->mask) != c->equals)
            return false;
    }
    return true;
}

static bool matches(const struct pb_quirk_match *match, const struct pb_quirk_ids *ids,
                    const struct pb_facts *facts, const struct pb_layout *layout)
{
    return ids_match(match, ids) && image_matches(match, facts, layout);
}

bool pb_match_device(const struct pb_quirk_match *match, const struct pb_facts *facts,
                     const struct pb_layout *layout)
{
    const struct pb_quirk_ids ids = {
        .vendor = facts->vendor,
        .device = facts->device,
        .subsystem_vendor = facts->subsystem_vendor,
        .subsystem_device = facts->subsystem_device,
        .class_code = facts->class_code,
        .revision = facts->revision,
        .virtual_function = facts->virtual_function,
    };

    return matches(match, &ids, facts, layout) &&
           !(match->except && matches(match->except, &ids, facts, layout));
}

bool pb_match_ids(const struct pb_quirk_match *match, const struct pb_quirk_ids *ids)
{
    if (!ids_match(match, ids))
        return false;
    /* An exception with a condition may not hold. */
    return !match->except || match->except->condition_count > 0 || !ids_match(match->except, ids);
}
