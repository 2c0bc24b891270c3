/* SPDX-License-Identifier: MIT */
/* What a change of profiles means to a device, a line each. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "quirk/text.h"

struct diff {
    const struct pb_profile *old, *new;
    void (*line)(void *ctx, const char *text);
    void *ctx;
};

__attribute__((format(printf, 2, 3))) static void tell(const struct diff *d, const char *fmt, ...)
{
    char text[300];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    d->line(d->ctx, text);
}

static bool applies(const struct pb_profile *p, const char *id)
{
    for (size_t i = 0; i < p->applied_count; i++) {
        if (!p->applied[i].without_effect && strcmp(p->applied[i].id, id) == 0)
            return true;
    }
    return false;
}

static void diff_quirks(const struct diff *d, const struct pb_profile *of,
                        const struct pb_profile *other, const char *what)
{
    for (size_t i = 0; i < of->applied_count; i++) {
        const struct pb_applied *a = &of->applied[i];

        if (!a->without_effect && !applies(other, a->id))
            tell(d, "quirk %s %s", a->id, what);
    }
}

static void diff_traits(const struct diff *d)
{
    char old_text[PB_TRAIT_TEXT_MAX], new_text[PB_TRAIT_TEXT_MAX];

    for (unsigned i = 0; i < PB_TRAIT_COUNT; i++) {
        enum pb_trait trait = (enum pb_trait)i;
        const char *was =
            d->old->traits.set[i] ? pb_text_trait(&d->old->traits, trait, old_text) : NULL;
        const char *is =
            d->new->traits.set[i] ? pb_text_trait(&d->new->traits, trait, new_text) : NULL;

        if (is && (!was || strcmp(was, is) != 0))
            tell(d, "trait %s %s (%s)", pb_text_trait_name(trait), is, d->new->traits.origin[i]);
        else if (was && !is)
            tell(d, "trait %s is as the device's again", pb_text_trait_name(trait));
    }
}

static const struct pb_cap_seen *find_cap(const struct pb_caps *caps,
                                          const struct pb_cap_seen *like)
{
    for (unsigned i = 0; i < caps->count; i++) {
        const struct pb_cap_seen *cap = &caps->cap[i];

        if (cap->extended == like->extended && cap->id == like->id && cap->offset == like->offset)
            return cap;
    }
    return NULL;
}

static bool is_visible(const struct pb_cap_seen *cap)
{
    return cap && cap->how != PB_CAP_HIDDEN;
}

static void diff_caps(const struct diff *d)
{
    static const char *const appears[] = { [PB_CAP_OWN] = "shown",
                                           [PB_CAP_LINKED] = "linked",
                                           [PB_CAP_ADDED] = "added",
                                           [PB_CAP_HIDDEN] = "hidden" };
    char buf[8];

    for (unsigned i = 0; i < d->new->caps.count; i++) {
        const struct pb_cap_seen *cap = &d->new->caps.cap[i];
        const struct pb_cap_seen *was = find_cap(&d->old->caps, cap);

        if (is_visible(cap) != is_visible(was))
            tell(d, "capability %s at 0x%x is %s", pb_text_cap(cap->extended, cap->id, buf),
                 cap->offset, appears[cap->how]);
    }
    for (unsigned i = 0; i < d->old->caps.count; i++) {
        const struct pb_cap_seen *cap = &d->old->caps.cap[i];

        if (is_visible(cap) && !find_cap(&d->new->caps, cap))
            tell(d, "capability %s at 0x%x is gone", pb_text_cap(cap->extended, cap->id, buf),
                 cap->offset);
    }
}

/* Who decides the first of these bits. */
static const char *origin_of(const struct pb_rules *rules, unsigned offset, uint32_t bits)
{
    unsigned bit = (unsigned)__builtin_ctz(bits);
    const struct pb_rule *rule = pb_rules_deciding(rules, offset + bit / 8, bit % 8);

    return rule ? rule->origin : "default";
}

/* No register lies across the end of one, and most of them are the same in most changes. */
#define BLOCK 64u

static bool is_same(const struct diff *d, unsigned offset, unsigned size)
{
    const struct pb_map *a = d->old->map, *b = d->new->map;

    return memcmp(a->write + offset, b->write + offset, size) == 0 &&
           memcmp(a->w1c + offset, b->w1c + offset, size) == 0 &&
           memcmp(a->virt + offset, b->virt + offset, size) == 0 &&
           memcmp(a->fixed + offset, b->fixed + offset, size) == 0 &&
           memcmp(a->value + offset, b->value + offset, size) == 0;
}

static void diff_bits(const struct diff *d, unsigned offset, unsigned size)
{
    static const char *const becomes[PB_BITS_COUNT] = {
        [PB_BITS_HW] = "read-only",       [PB_BITS_WRITE] = "writable",
        [PB_BITS_W1C] = "write-1-clears", [PB_BITS_VIRTUAL] = "virtual",
        [PB_BITS_FIXED] = "fixed",
    };
    const struct pb_map *old_map = d->old->map, *new_map = d->new->map;
    uint32_t constant, value;

    for (unsigned i = 0; i < PB_BITS_COUNT; i++) {
        uint32_t changed = pb_text_bits(new_map, (enum pb_bits)i, offset, size) &
                           ~pb_text_bits(old_map, (enum pb_bits)i, offset, size);

        if (changed)
            tell(d, "0x%02x size %u: 0x%0*x becomes %s (%s)", offset, size, (int)(2 * size),
                 changed, becomes[i], origin_of(&d->new->rules, offset, changed));
    }
    constant = pb_text_bits(new_map, PB_BITS_FIXED, offset, size) &
               pb_text_bits(old_map, PB_BITS_FIXED, offset, size);
    value = pb_le_get(new_map->value + offset, size);
    constant &= value ^ pb_le_get(old_map->value + offset, size);
    if (constant)
        tell(d, "0x%02x size %u: 0x%0*x now reads 0x%0*x (%s)", offset, size, (int)(2 * size),
             constant, (int)(2 * size), value & constant,
             origin_of(&d->new->rules, offset, constant));
}

/* The register that OFFSET is of: the new profile's, else the old one's. */
static const struct pb_reg *register_at(const struct diff *d, unsigned offset)
{
    const struct pb_map *maps[] = { d->new->map, d->old->map };

    for (unsigned i = 0; i < PB_ARRAY_SIZE(maps); i++) {
        unsigned number = maps[i]->reg_of[offset];

        if (number && maps[i]->reg[number - 1].offset == offset)
            return &maps[i]->reg[number - 1];
    }
    return NULL;
}

static void diff_registers(const struct diff *d)
{
    unsigned limit = d->new->map->size, offset = 0;

    if (d->old->map->size != limit)
        tell(d, "configuration space ends at 0x%x, not 0x%x", limit, d->old->map->size);
    if (d->old->map->size < limit)
        limit = d->old->map->size;
    while (offset < limit) {
        const struct pb_reg *reg;
        unsigned size;

        if (offset % BLOCK == 0 && offset + BLOCK <= limit && is_same(d, offset, BLOCK)) {
            offset += BLOCK;
            continue;
        }
        reg = register_at(d, offset);
        size = reg && offset + reg->size <= limit ? reg->size : 1;

        if (!is_same(d, offset, size))
            diff_bits(d, offset, size);
        offset += size;
    }
}

static const struct pb_binding *find_binding(const struct pb_profile *p, const char *plugin)
{
    for (unsigned i = 0; i < p->binding_count; i++) {
        if (strcmp(pb_plugin_name(p->binding[i]->plugin), plugin) == 0)
            return p->binding[i];
    }
    return NULL;
}

static void diff_plugins(const struct diff *d)
{
    for (unsigned i = 0; i < d->new->binding_count; i++) {
        const struct pb_binding *b = d->new->binding[i];
        const struct pb_binding *was = find_binding(d->old, pb_plugin_name(b->plugin));

        if (!was)
            tell(d, "plugin %s is attached (%s)", pb_plugin_name(b->plugin), b->quirk);
        else if (was->plugin != b->plugin)
            tell(d, "plugin %s is another file now", pb_plugin_name(b->plugin));
        else if (strcmp(was->params, b->params) != 0)
            tell(d, "plugin %s has other parameters (%s)", pb_plugin_name(b->plugin), b->quirk);
        else if (memcmp(was->mask, b->mask, sizeof(b->mask)) != 0)
            tell(d, "plugin %s has other registers (%s)", pb_plugin_name(b->plugin), b->quirk);
    }
    for (unsigned i = 0; i < d->old->binding_count; i++) {
        const char *name = pb_plugin_name(d->old->binding[i]->plugin);

        if (!find_binding(d->new, name))
            tell(d, "plugin %s is detached", name);
    }
}

void pb_profile_diff(const struct pb_profile *old_profile, const struct pb_profile *new_profile,
                     void (*line)(void *ctx, const char *text), void *ctx)
{
    const struct diff d = { old_profile, new_profile, line, ctx };

    diff_quirks(&d, new_profile, old_profile, "applies now");
    diff_quirks(&d, old_profile, new_profile, "applies no more");
    diff_traits(&d);
    diff_caps(&d);
    diff_registers(&d);
    diff_plugins(&d);
}
