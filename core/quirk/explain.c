/* SPDX-License-Identifier: MIT */
#include "quirk/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "quirk/text.h"

#define HEX_MAX 16

static const char *const specificities[PB_SPECIFICITY_COUNT] = {
#define X(id, text) [PB_MATCH_##id] = (text),
    PB_SPECIFICITIES(X)
#undef X
};

static const char *const effects[PB_EFFECT_COUNT] = {
    [PB_EFFECT_NONE] = "none",
    [PB_EFFECT_BAR] = "bar",
    [PB_EFFECT_BAR_HIGH] = "bar_high",
    [PB_EFFECT_BIST] = "bist",
    [PB_EFFECT_PM_CONTROL] = "pm_control",
    [PB_EFFECT_VPD_ADDRESS] = "vpd_address",
    [PB_EFFECT_MSI_CONTROL] = "msi_control",
    [PB_EFFECT_MSIX_CONTROL] = "msix_control",
    [PB_EFFECT_EXP_CONTROL] = "exp_control",
    [PB_EFFECT_AF_CONTROL] = "af_control",
};

static const char *hex(unsigned value, unsigned digits, char buf[HEX_MAX])
{
    (void)snprintf(buf, HEX_MAX, "0x%0*x", (int)digits, value);
    return buf;
}

/* Puts VALUE, which it takes, into an array; false when out of memory. */
static bool append(json_t *array, json_t *value)
{
    return json_array_append_new(array, value) == 0;
}

/* OBJECT if all that was put into it is there; else NULL. Takes the parts in any case. */
static json_t *with_part(json_t *object, const char *key, json_t *part)
{
    if (object && json_object_set_new(object, key, part) == 0)
        return object;
    if (!object)
        json_decref(part);
    json_decref(object);
    return NULL;
}

static json_t *explain_quirks(const struct pb_profile *p)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < p->applied_count; i++) {
        const struct pb_applied *a = &p->applied[i];

        if (!append(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?}", "id", a->id, "file", a->file,
                                    "reason", a->reason, "source", a->source, "match",
                                    specificities[a->specificity], "effect", a->without_effect))) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *explain_traits(const struct pb_traits *t)
{
    json_t *list = json_array();
    char text[PB_TRAIT_TEXT_MAX];

    for (unsigned i = 0; list && i < PB_TRAIT_COUNT; i++) {
        if (!t->set[i])
            continue;
        if (!append(list, json_pack("{s:s, s:s, s:s, s:s?, s:s?}", "name",
                                    pb_text_trait_name((enum pb_trait)i), "value",
                                    pb_text_trait(t, (enum pb_trait)i, text), "origin",
                                    t->origin[i], "file", t->file[i], "reason", t->reason[i]))) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

/* Who decided that a capability is as it is: its first byte's rule, or the edit. */
static void blame_cap(const struct pb_profile *p, const struct pb_cap_seen *cap,
                      struct pb_rule *ret)
{
    const struct pb_rule *rule = pb_rules_deciding(&p->rules, cap->offset, 0);

    *ret = (struct pb_rule){ .origin = "default", .why = "as the device lists it" };
    if (cap->edit) {
        ret->origin = cap->edit->origin;
        ret->file = cap->edit->file;
        ret->why = cap->edit->why;
    } else if (rule && cap->how == PB_CAP_HIDDEN) {
        *ret = *rule;
    }
}

static json_t *explain_caps(const struct pb_profile *p)
{
    static const char *const how[] = { [PB_CAP_OWN] = "own",
                                       [PB_CAP_LINKED] = "linked",
                                       [PB_CAP_ADDED] = "added",
                                       [PB_CAP_HIDDEN] = "hidden" };
    json_t *list = json_array();
    char at[HEX_MAX], id[HEX_MAX];

    for (unsigned i = 0; list && i < p->caps.count; i++) {
        const struct pb_cap_seen *cap = &p->caps.cap[i];
        struct pb_rule who;

        blame_cap(p, cap, &who);
        if (!append(list, json_pack("{s:s, s:s, s:s?, s:b, s:s, s:s, s:s?, s:s?}", "at",
                                    hex(cap->offset, 2, at), "id",
                                    hex(cap->id, cap->extended ? 4 : 2, id), "name",
                                    pb_cap_name(cap->extended, cap->id), "extended", cap->extended,
                                    "how", how[cap->how], "origin", who.origin, "file", who.file,
                                    "why", who.why))) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

/* Each row of bytes that the plugin sees, with their bits, byte for byte: "00ff". */
static json_t *plugin_ranges(const struct pb_binding *b)
{
    size_t end, size = PB_ARRAY_SIZE(b->mask);
    char at[HEX_MAX], bits[2 * PB_CONFIG_SIZE_PCIE + 1];
    json_t *list = json_array();

    for (size_t i = 0; list && i < size; i = end + 1) {
        for (end = i; end < size && b->mask[end]; end++)
            (void)snprintf(&bits[2 * (end - i)], 3, "%02x", b->mask[end]);
        if (end > i &&
            !append(list, json_pack("{s:s, s:s}", "at", hex((unsigned)i, 2, at), "mask", bits))) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *explain_plugins(const struct pb_profile *p)
{
    json_t *list = json_array();

    for (unsigned i = 0; list && i < p->binding_count; i++) {
        const struct pb_binding *b = p->binding[i];
        int bytes = 0;

        for (unsigned n = 0; n < PB_ARRAY_SIZE(b->mask); n++)
            bytes += b->mask[n] != 0;
        if (!append(list,
                    json_pack("{s:s, s:s, s:i, s:o}", "name", pb_plugin_name(b->plugin), "quirk",
                              b->quirk, "bytes", bytes, "ranges", plugin_ranges(b)))) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

/* What pb_rules_deciding says of each bit, all at once: asking it 32768 times takes too long. */
struct deciders {
    const struct pb_profile *profile;
    const char *name[PB_REGS_MAX]; /* the last one that a rule gives to exactly this register */
    const struct pb_rule *rule[8 * PB_CONFIG_SIZE_PCIE];
};

static struct deciders *deciders_of(const struct pb_profile *p)
{
    struct deciders *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->profile = p;
    for (size_t i = 0; i < p->rules.count; i++) {
        const struct pb_rule *rule = &p->rules.rule[i];
        uint32_t named = rule->hw | rule->write | rule->w1c | rule->virt | rule->fixed;
        unsigned number = p->map->reg_of[rule->offset];

        for (unsigned bit = 0; bit < 8U * rule->size; bit++) {
            if (named >> bit & 1)
                d->rule[8 * rule->offset + bit] = rule;
        }
        if (rule->name && number && p->map->reg[number - 1].offset == rule->offset &&
            p->map->reg[number - 1].size == rule->size)
            d->name[number - 1] = rule->name;
    }
    return d;
}

/* Bits of one register that one rule decides, and that are of one class. */
static json_t *explain_part(const struct pb_profile *p, const struct pb_reg *reg,
                            enum pb_bits class, uint32_t mask, const struct pb_rule *rule)
{
    char mask_text[HEX_MAX], lock_text[HEX_MAX], value_text[HEX_MAX];
    bool has_value = class == PB_BITS_FIXED || class == PB_BITS_VIRTUAL;
    uint32_t lock = pb_le_get(p->map->lock + reg->offset, reg->size) & mask;
    uint32_t value = pb_le_get(p->map->value + reg->offset, reg->size) & mask;
    unsigned digits = 2U * reg->size;

    return json_pack("{s:s, s:s, s:s, s:s?, s:s, s:s?, s:s}", "mask", hex(mask, digits, mask_text),
                     "class", pb_text_class(class), "locked", hex(lock, digits, lock_text), "value",
                     has_value ? hex(value, digits, value_text) : NULL, "origin",
                     rule ? rule->origin : "default", "file", rule ? rule->file : NULL, "why",
                     rule && rule->why ? rule->why : "no rule names these bits");
}

static enum pb_bits class_of(const struct pb_map *map, const struct pb_reg *reg, unsigned bit)
{
    for (unsigned i = PB_BITS_WRITE; i < PB_BITS_COUNT; i++) {
        if (pb_text_bits(map, (enum pb_bits)i, reg->offset, reg->size) >> bit & 1)
            return (enum pb_bits)i;
    }
    return PB_BITS_HW;
}

static json_t *explain_parts(const struct deciders *d, const struct pb_reg *reg)
{
    const struct pb_profile *p = d->profile;
    const struct pb_rule *const *rule = &d->rule[(size_t)8 * reg->offset];
    enum pb_bits class[32];
    unsigned bits = 8U * reg->size;
    json_t *list = json_array();
    uint32_t done = 0;

    for (unsigned i = 0; i < bits; i++)
        class[i] = class_of(p->map, reg, i);
    for (unsigned i = 0; i < bits && list; i++) {
        uint32_t mask = 0;

        if (done >> i & 1)
            continue;
        for (unsigned n = i; n < bits; n++) {
            if (rule[n] == rule[i] && class[n] == class[i])
                mask |= UINT32_C(1) << n;
        }
        done |= mask;
        if (!append(list, explain_part(p, reg, class[i], mask, rule[i]))) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *explain_registers(const struct pb_profile *p)
{
    const struct pb_map *map = p->map;
    struct deciders *d = deciders_of(p);
    json_t *list = d ? json_array() : NULL;
    unsigned offset = 0;
    char at[HEX_MAX];

    while (list && offset < map->size) {
        const struct pb_reg *reg = map->reg_of[offset] ? &map->reg[map->reg_of[offset] - 1] : NULL;
        json_t *parts;

        if (!reg) {
            offset++;
            continue;
        }
        parts = explain_parts(d, reg);
        /* json_pack takes the parts, and frees them when it fails */
        if (!append(list, json_pack("{s:s, s:i, s:s?, s:s, s:o}", "at", hex(reg->offset, 2, at),
                                    "size", (int)reg->size, "name", d->name[reg - map->reg],
                                    "effect", effects[reg->effect], "parts", parts))) {
            json_decref(list);
            list = NULL;
        }
        offset = (unsigned)reg->offset + reg->size;
    }
    free(d);
    return list;
}

json_t *pb_explain(const struct pb_profile *profile)
{
    const struct pb_facts *facts = &profile->facts;
    char ids[HEX_MAX], class[HEX_MAX];
    json_t *result;

    (void)snprintf(ids, sizeof(ids), "%04x:%04x", facts->vendor, facts->device);
    result = json_pack("{s:i, s:s, s:s}", "size", (int)profile->map->size, "ids", ids, "class",
                       hex(facts->class_code, 6, class));
    result = with_part(result, "quirks", explain_quirks(profile));
    result = with_part(result, "traits", explain_traits(&profile->traits));
    result = with_part(result, "capabilities", explain_caps(profile));
    result = with_part(result, "plugins", explain_plugins(profile));
    return with_part(result, "registers", explain_registers(profile));
}

static bool is_hidden(const struct pb_profile *p, unsigned offset)
{
    for (unsigned i = 0; i < p->caps.count; i++) {
        const struct pb_cap_seen *cap = &p->caps.cap[i];

        if (cap->how == PB_CAP_HIDDEN && offset >= cap->offset &&
            offset < (unsigned)cap->offset + cap->size)
            return true;
    }
    return false;
}

static const struct pb_binding *bound_to(const struct pb_profile *p, unsigned offset)
{
    for (unsigned i = 0; i < p->binding_count; i++) {
        if (p->binding[i]->mask[offset])
            return p->binding[i];
    }
    return NULL;
}

static char letter_of(const struct pb_profile *p, unsigned offset)
{
    const struct pb_map *map = p->map;
    unsigned all = map->write[offset] | map->w1c[offset] | map->virt[offset] | map->fixed[offset];
    char letter = 'm';

    if (bound_to(p, offset))
        return 'p';
    if (all == 0)
        letter = map->known[offset] == 0xff ? 'k' : 'h';
    else if (map->write[offset] == 0xff)
        letter = 'w';
    else if (map->w1c[offset] == 0xff)
        letter = 'c';
    else if (map->virt[offset] == 0xff)
        letter = 'v';
    else if (map->fixed[offset] == 0xff)
        letter = 'f';
    /* What was added in its place is not hidden. */
    return letter == 'f' && is_hidden(p, offset) && !p->map->value[offset] ? '.' : letter;
}

/* Of the rules that decide its bits, the last one's. */
static const char *byte_origin(const struct deciders *d, unsigned offset)
{
    const struct pb_binding *binding = bound_to(d->profile, offset);
    const struct pb_rule *last = NULL;

    if (binding)
        return binding->quirk;
    for (unsigned bit = 0; bit < 8; bit++) {
        const struct pb_rule *rule = d->rule[8 * offset + bit];

        if (rule && (!last || rule > last))
            last = rule;
    }
    return last ? last->origin : "default";
}

/* The number of ORIGIN in the list, which grows by it if it is new; -1: out of memory. */
static int number_of(json_t *origins, const char *origin)
{
    size_t count = json_array_size(origins);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(json_string_value(json_array_get(origins, i)), origin) == 0)
            return (int)i;
    }
    return append(origins, json_string(origin)) ? (int)count : -1;
}

static bool add_runs(const struct deciders *d, json_t *origins, json_t *runs)
{
    unsigned size = d->profile->map->size, length = 0;
    const char *last = NULL;
    int run = -1;

    for (unsigned i = 0; i < size; i++) {
        const char *origin = byte_origin(d, i);
        int number = origin == last ? run : number_of(origins, origin);

        last = origin;
        if (number < 0)
            return false;
        if (number != run && length && !append(runs, json_pack("[i, i]", (int)length, run)))
            return false;
        length = number == run ? length + 1 : 1;
        run = number;
    }
    return append(runs, json_pack("[i, i]", (int)length, run));
}

json_t *pb_explain_map(const struct pb_profile *profile)
{
    json_t *origins = json_array(), *runs = json_array(), *result = NULL;
    struct deciders *d = deciders_of(profile);
    size_t size = profile->map->size;
    char *classes = calloc(1, size + 1);

    if (d && origins && runs && classes && add_runs(d, origins, runs)) {
        for (unsigned i = 0; i < size; i++)
            classes[i] = letter_of(profile, i);
        result = json_pack("{s:i, s:s, s:O, s:O}", "size", (int)size, "classes", classes, "origins",
                           origins, "origin_of", runs);
    }
    json_decref(origins);
    json_decref(runs);
    free(classes);
    free(d);
    return result;
}

json_t *pb_explain_quirk(const struct pb_quirk_view *view)
{
    json_t *traits = json_array();

    for (unsigned i = 0; traits && i < PB_TRAIT_COUNT; i++) {
        if ((view->traits >> i & 1) &&
            !append(traits, json_string(pb_text_trait_name((enum pb_trait)i)))) {
            json_decref(traits);
            traits = NULL;
        }
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:s?, s:i, s:i, s:o}", "id", view->id,
                     "file", view->file, "reason", view->reason, "source", view->source, "match",
                     specificities[view->specificity], "disabled", view->disabled, "unsafe",
                     view->unsafe, "plugin", view->plugin, "fields", (int)view->fields, "cap_edits",
                     (int)view->cap_edits, "traits", traits);
}

struct listing {
    json_t *list; /* NULL: out of memory */
};

static void add_view(void *ctx, const struct pb_quirk_view *view)
{
    struct listing *listing = ctx;

    if (listing->list && !append(listing->list, pb_explain_quirk(view))) {
        json_decref(listing->list);
        listing->list = NULL;
    }
}

static json_t *explain_problems(const struct pb_quirk_set *set)
{
    const struct pb_quirk_problem *problem;
    size_t count = pb_quirk_set_problems(set, &problem);
    json_t *list = json_array();

    for (size_t i = 0; list && i < count; i++) {
        if (!append(list, json_pack("{s:b, s:s, s:s}", "error", problem[i].error, "file",
                                    problem[i].file, "text", problem[i].text))) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

json_t *pb_explain_set_rest(const struct pb_quirk_set *set)
{
    json_t *result = json_pack("{s:i}", "files", (int)pb_quirk_set_files(set));

    return with_part(result, "problems", explain_problems(set));
}

json_t *pb_explain_set(const struct pb_quirk_set *set)
{
    struct listing listing = { json_array() };

    pb_quirk_set_each(set, add_view, &listing);
    return with_part(pb_explain_set_rest(set), "quirks", listing.list);
}
