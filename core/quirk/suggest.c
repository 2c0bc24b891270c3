/* SPDX-License-Identifier: MIT */
#include "quirk/suggest.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "quirk/lint.h"

/* Doors to what configuration space does not hold: whoever may write them may write it all. */
static const struct window {
    uint16_t vendor, device_min, device_max;
    uint16_t offset, size;
    const char *why;
} windows[] = {
    /* tg3, bnx2 and bnx2x use the same places (drivers/net/ethernet/broadcom in Linux) */
    { 0x14e4, 0x0000, 0xffff, 0x78, 0x10,
      "an address and data window to all of the chip's registers and memory" },
    { 0x1148, 0x4400, 0x4500, 0x78, 0x10,
      "an address and data window to all of the chip's registers and memory" },
    { 0x173b, 0x03e8, 0x03eb, 0x78, 0x10,
      "an address and data window to all of the chip's registers and memory" },
    { 0x106b, 0x1645, 0x1645, 0x78, 0x10,
      "an address and data window to all of the chip's registers and memory" },
};

/* Bits of the register at OFFSET that lie within SIZE bytes from START on. */
static uint32_t bits_within(unsigned start, unsigned length, unsigned offset, unsigned size)
{
    uint32_t bits = 0;

    for (unsigned i = 0; i < size; i++) {
        if (offset + i >= start && offset + i < start + length)
            bits |= UINT32_C(0xff) << (8 * i);
    }
    return bits;
}

const char *pb_danger(const struct pb_facts *facts, const struct pb_layout *layout, unsigned offset,
                      unsigned size, uint32_t bits)
{
    bool never;
    const char *why = pb_lint_danger_at(facts, layout, offset, size, bits, &never);

    for (size_t i = 0; i < PB_ARRAY_SIZE(windows) && !why; i++) {
        const struct window *w = &windows[i];

        if (facts->vendor == w->vendor && facts->device >= w->device_min &&
            facts->device <= w->device_max && bits & bits_within(w->offset, w->size, offset, size))
            why = w->why;
    }
    return why;
}

/* A register of the manifest: registers nest or are disjoint, since they are aligned. */
struct piece {
    uint16_t offset;
    uint8_t size;
};

struct suggestion {
    const struct pb_profile *profile;
    struct pb_layout own; /* the device's, as the loader asks about danger */
    uint8_t open[PB_CONFIG_SIZE_PCIE], shut[PB_CONFIG_SIZE_PCIE]; /* bits, by byte */
    struct piece piece[PB_QUIRK_FIELDS_MAX];
    size_t count;
    json_t *fields, *left_out;
    bool unsafe;
};

__attribute__((format(printf, 3, 4))) static void leave_out(struct suggestion *s, unsigned offset,
                                                            const char *fmt, ...)
{
    char text[300];
    va_list ap;
    int n = snprintf(text, sizeof(text), "0x%02x: ", offset);

    va_start(ap, fmt);
    (void)vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
    va_end(ap);
    (void)json_array_append_new(s->left_out, json_string(text));
}

static const struct pb_reg *reg_at(const struct pb_map *map, unsigned offset)
{
    unsigned number = map->reg_of[offset];

    return number ? &map->reg[number - 1] : NULL;
}

/* Is the byte one of those that link the capabilities with one another? */
static bool is_list(const struct pb_caps *caps, unsigned at)
{
    for (unsigned i = 0; i < caps->count; i++) {
        const struct pb_cap_seen *cap = &caps->cap[i];

        if (at >= cap->offset && at < cap->offset + (cap->extended ? 4U : 2U))
            return true;
    }
    return false;
}

/* Bits of the byte that no manifest can open. */
static uint8_t shut_bits(const struct suggestion *s, unsigned at)
{
    const struct pb_map *map = s->profile->map;
    const struct pb_reg *reg = reg_at(map, at);
    uint8_t shut = map->lock[at];
    bool never;

    /* a register with an effect means what the effect says, whatever its bits' class is */
    if ((reg && reg->effect != PB_EFFECT_NONE) || is_list(&s->profile->caps, at))
        return 0xff;
    for (unsigned bit = 0; bit < 8; bit++) {
        if (pb_lint_danger_at(&s->profile->facts, &s->own, at, 1, 1U << bit, &never) && never)
            shut |= (uint8_t)(1U << bit);
    }
    return shut;
}

/* Denied bits, sorted into those that a manifest can open and those that none can. */
static void sort_bits(struct suggestion *s, const struct pb_denied *d)
{
    const struct pb_map *map = s->profile->map;

    for (unsigned i = 0; i < d->size && d->offset + i < map->size; i++) {
        unsigned at = d->offset + i;
        uint8_t bits = (uint8_t)(d->bits >> (8 * i)), shut = shut_bits(s, at);

        /* what may be written by now, after a reload, needs no rule */
        bits &= (uint8_t) ~(map->write[at] | map->w1c[at] | map->virt[at]);
        s->open[at] |= bits & (uint8_t)~shut;
        s->shut[at] |= bits & shut;
    }
}

static void add_piece(struct suggestion *s, unsigned offset, unsigned size)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct piece *p = &s->piece[i];

        if (p->offset <= offset && offset + size <= (unsigned)p->offset + p->size)
            return;
    }
    for (size_t i = 0; i < s->count; i++) {
        struct piece p = s->piece[i];

        if (p.offset < offset || (unsigned)p.offset + p.size > offset + size)
            s->piece[kept++] = p;
    }
    s->count = kept;
    if (s->count < PB_ARRAY_SIZE(s->piece))
        s->piece[s->count++] = (struct piece){ .offset = (uint16_t)offset, .size = (uint8_t)size };
    else
        leave_out(s, offset, "more registers than a manifest can have");
}

/*
 * The registers that an access falls upon: those of the map, and where it has none what the guest
 * took for one.
 */
static void add_pieces(struct suggestion *s, const struct pb_denied *d)
{
    const struct pb_map *map = s->profile->map;
    unsigned at = d->offset, end = at + d->size;

    if (end > map->size)
        end = map->size;
    while (at < end) {
        const struct pb_reg *reg = reg_at(map, at);
        unsigned size = 4;

        if (reg) {
            add_piece(s, reg->offset, reg->size);
            at = (unsigned)reg->offset + reg->size;
            continue;
        }
        while (size > 1 && (at % size || at + size > end))
            size /= 2;
        for (unsigned i = 1; i < size; i++) {
            if (reg_at(map, at + i)) {
                size /= 2;
                i = 0;
            }
        }
        add_piece(s, at, size);
        at += size;
    }
}

/* The capability that OFFSET is in, if a manifest would find that one by its id: the first shown.
 */
static const struct pb_cap_seen *cap_of(const struct pb_caps *caps, unsigned offset, unsigned size)
{
    const struct pb_cap_seen *found = NULL;

    for (unsigned i = 0; i < caps->count && !found; i++) {
        const struct pb_cap_seen *cap = &caps->cap[i];

        if (cap->how != PB_CAP_HIDDEN && offset >= cap->offset &&
            offset + size <= (unsigned)cap->offset + cap->size)
            found = cap;
    }
    for (unsigned i = 0; i < caps->count && found && &caps->cap[i] != found; i++) {
        const struct pb_cap_seen *cap = &caps->cap[i];

        if (cap->how != PB_CAP_HIDDEN && cap->id == found->id && cap->extended == found->extended)
            return NULL;
    }
    return found;
}

static json_t *hex(unsigned value, unsigned digits)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "0x%0*x", digits < 8 ? (int)digits : 8, value);
    return json_string(text);
}

static json_t *place(const struct suggestion *s, const struct piece *p)
{
    const struct pb_cap_seen *cap = cap_of(&s->profile->caps, p->offset, p->size);
    const char *name;

    if (!cap)
        return hex(p->offset, 2);
    name = pb_cap_name(cap->extended, cap->id);
    return json_pack("{s:o, s:o}", cap->extended ? "ext_cap" : "cap",
                     name ? json_string(name) : hex(cap->id, 2), "offset",
                     hex((unsigned)p->offset - cap->offset, 1));
}

/* How often this register was refused, and what was written last. */
static void describe(const struct pb_denied *denied, size_t count, const struct piece *p,
                     const char *danger, char *ret, size_t size)
{
    const struct pb_denied *last = NULL;
    uint64_t times = 0;
    int n;

    for (size_t i = 0; i < count; i++) {
        if (denied[i].offset < p->offset + p->size &&
            p->offset < (unsigned)denied[i].offset + denied[i].size) {
            last = &denied[i];
            times += denied[i].count;
        }
    }
    n = snprintf(ret, size, "refused %" PRIu64 " times", times);
    if (last)
        n += snprintf(ret + n, size - (size_t)n, ", last 0x%0*x to 0x%02x", 2 * last->size,
                      last->value, last->offset);
    if (danger)
        (void)snprintf(ret + n, size - (size_t)n, ". DANGER: %s", danger);
}

static const struct pb_rule *rule_of(const struct suggestion *s, const struct piece *p,
                                     const uint8_t *bits)
{
    for (unsigned i = 0; i < p->size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            if (bits[p->offset + i] >> bit & 1)
                return pb_rules_deciding(&s->profile->rules, p->offset + i, bit);
        }
    }
    return NULL;
}

static void add_field(struct suggestion *s, const struct pb_denied *denied, size_t count,
                      const struct piece *p)
{
    uint32_t open = pb_le_get(s->open + p->offset, p->size);
    uint32_t shut = pb_le_get(s->shut + p->offset, p->size);
    const struct pb_rule *rule;
    const char *danger;
    json_t *field;
    char why[400];

    if (shut) {
        rule = rule_of(s, p, s->shut);
        leave_out(s, p->offset, "bits 0x%0*x can never be opened%s%s", 2 * p->size, shut,
                  rule && rule->why ? ": " : "", rule && rule->why ? rule->why : "");
    }
    if (!open)
        return;
    danger = pb_danger(&s->profile->facts, &s->own, p->offset, p->size, open);
    s->unsafe |= danger != NULL;
    describe(denied, count, p, danger, why, sizeof(why));
    field = json_pack("{s:o, s:i, s:o}", "at", place(s, p), "size", (int)p->size, "write",
                      hex(open, 2U * p->size));
    rule = rule_of(s, p, s->open);
    if (field && rule && rule->name)
        (void)json_object_set_new(field, "name", json_string(rule->name));
    if (field)
        (void)json_object_set_new(field, "why", json_string(why));
    (void)json_array_append_new(s->fields, field);
}

static int by_offset(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;

    return (int)x->offset - (int)y->offset;
}

/* The manifest around the fields. */
static json_t *file_of(const struct suggestion *s)
{
    const struct pb_facts *facts = &s->profile->facts;
    json_t *quirk;
    char id[40];

    (void)snprintf(id, sizeof(id), "local-%04x-%04x", facts->vendor, facts->device);
    quirk = json_pack("{s:s, s:s, s:s, s:{s:o, s:o}, s:O}", "id", id, "reason",
                      "writes of a guest's driver that were refused; check each of them", "source",
                      "pcibackctl suggest-quirk", "match", "vendor", hex(facts->vendor, 4),
                      "device", hex(facts->device, 4), "fields", s->fields);
    if (quirk && s->unsafe)
        (void)json_object_set_new(quirk, "unsafe", json_true());
    return quirk ? json_pack("{s:i, s:[o]}", "schema", 1, "quirks", quirk) : NULL;
}

json_t *pb_suggest(const struct pb_profile *profile, const struct pb_denied *denied, size_t count,
                   json_t **ret_left_out)
{
    struct suggestion *s = calloc(1, sizeof(*s));
    json_t *file = NULL;

    *ret_left_out = json_array();
    if (!s || !*ret_left_out) {
        free(s);
        return NULL;
    }
    s->profile = profile;
    /* it could be read when the profile was built */
    if (pb_layout_read(&profile->facts, &s->own) != 0)
        s->own = profile->caps.seen;
    s->fields = json_array();
    s->left_out = *ret_left_out;
    for (size_t i = 0; i < count; i++) {
        if (denied[i].offset >= profile->map->size)
            leave_out(s, denied[i].offset, "lies behind the space that may be touched");
        sort_bits(s, &denied[i]);
        add_pieces(s, &denied[i]);
    }
    qsort(s->piece, s->count, sizeof(s->piece[0]), by_offset);
    for (size_t i = 0; i < s->count && s->fields; i++)
        add_field(s, denied, count, &s->piece[i]);
    if (json_array_size(s->fields) > 0)
        file = file_of(s);
    json_decref(s->fields);
    free(s);
    return file;
}
