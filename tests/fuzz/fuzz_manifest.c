/* SPDX-License-Identifier: MIT */
/*
 * Any manifest: it is refused with a reason, or compiles for two devices or is refused there with a
 * reason; and whatever it says, what is locked stays locked. Input that does not begin as JSON does
 * is a recipe for a manifest instead, since random changes of JSON are mostly no JSON any more.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "device.h"
#include "fuzz.h"
#include "pci/regs.h"
#include "quirk/explain.h"

#define TYPE_BITS (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_SERR | PCI_COMMAND_PARITY)

static const struct pb_quirk_sources without_plugins = { .no_plugins = true };
static const struct pb_operator nothing_said;

static void ignore(void *ctx, const char *text)
{
    unsigned *lines = ctx;

    PB_ASSERT(text[0]);
    ++*lines;
}

static uint32_t opened(const struct pb_map *map, unsigned offset, unsigned size)
{
    return pb_le_get(map->write + offset, size) | pb_le_get(map->w1c + offset, size);
}

/* Hidden, shown, linked or not: these are never a guest's. */
static void check_locks(const struct pb_profile *p, const struct pb_layout *own)
{
    const struct pb_map *map = p->map;

    PB_ASSERT(map->size >= 64 && map->size <= PB_CONFIG_SIZE_PCIE);
    for (unsigned i = 0; i < PB_CONFIG_SIZE_PCIE; i++) {
        PB_ASSERT(!((map->write[i] | map->w1c[i]) & map->lock[i]));
        PB_ASSERT(!(map->write[i] & map->w1c[i]) && !(map->virt[i] & map->fixed[i]));
        PB_ASSERT(!((map->write[i] | map->w1c[i]) & (map->virt[i] | map->fixed[i])));
    }
    PB_ASSERT(!(opened(map, PCI_COMMAND, 2) & TYPE_BITS));
    for (unsigned i = 0; i < PB_PCI_BARS; i++)
        PB_ASSERT(!opened(map, PCI_BAR0 + 4 * i, 4));
    if (own->msi && map->size == p->facts.config_size)
        PB_ASSERT(!opened(map, own->msi + PCI_MSI_BODY, 4));
    if (own->exp && map->size == p->facts.config_size)
        PB_ASSERT(!(opened(map, own->exp + PCI_EXP_DEVCTL, 2) &
                    (PCI_EXP_DEVCTL_FLR | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_PHANTOM)));
}

static void explain(const struct pb_profile *p, const struct pb_profile *before)
{
    json_t *all = pb_explain(p), *map = pb_explain_map(p);
    unsigned lines = 0;

    PB_ASSERT(all && map);
    PB_ASSERT(json_string_length(json_object_get(map, "classes")) == p->map->size);
    json_decref(all);
    json_decref(map);
    pb_profile_diff(before, p, ignore, &lines);
    pb_profile_diff(p, before, ignore, &lines);
    for (size_t i = 0; i < p->applied_count; i++)
        PB_ASSERT(p->applied[i].id && p->applied[i].file);
}

static void apply(struct pb_quirk_set *set, void (*fill)(struct pb_facts *facts))
{
    static struct pb_facts facts;
    static struct pb_layout layout;
    struct pb_quirk_set *none = pb_quirk_set_empty();
    struct pb_profile *p = NULL, *before = NULL;
    char why[500];
    int rc;

    fill(&facts);
    rc = pb_layout_read(&facts, &layout);
    PB_ASSERT(rc == 0 && none);
    rc = pb_profile_build(none, &facts, &layout, &nothing_said, &before, why, sizeof(why));
    PB_ASSERT(rc == 0 && !why[0]);
    rc = pb_profile_build(set, &facts, &layout, &nothing_said, &p, why, sizeof(why));
    PB_ASSERT(rc == 0 ? p && !why[0] : !p && rc < 0 && why[0]);
    if (p) {
        check_locks(p, &layout);
        explain(p, before);
    }
    pb_profile_unref(p);
    pb_profile_unref(before);
    pb_quirk_set_unref(none);
}

static void judge(const char *text, size_t length)
{
    struct pb_quirk_set *set = pb_quirk_set_parse(text, length, "FILE", &without_plugins);
    const struct pb_quirk_problem *problem;
    json_t *list;

    PB_ASSERT(set);
    for (size_t i = pb_quirk_set_problems(set, &problem); i > 0; i--)
        PB_ASSERT(strncmp(problem[i - 1].text, "FILE", 4) == 0);
    PB_ASSERT(pb_quirk_set_errors(set) == 0 || pb_quirk_set_files(set) == 0);
    list = pb_explain_set(set);
    PB_ASSERT(list);
    json_decref(list);
    if (pb_quirk_set_errors(set) == 0) {
        apply(set, pb_test_e1000e);
        apply(set, pb_test_e1000);
    }
    pb_quirk_set_unref(set);
}

/* ---- recipes -----------------------------------------------------------------------------------
 */

#define TEXT_MAX (64U << 10)

struct recipe {
    const uint8_t *data;
    size_t left;
    char text[TEXT_MAX];
    size_t length;
};

/* The next byte; zeros when there are no more. */
static unsigned byte(struct recipe *r)
{
    if (r->left == 0)
        return 0;
    r->left--;
    return *r->data++;
}

static uint32_t word(struct recipe *r)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < 4; i++)
        value = value << 8 | byte(r);
    return value;
}

__attribute__((format(printf, 2, 3))) static void say(struct recipe *r, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(r->text + r->length, TEXT_MAX - r->length, fmt, ap);
    va_end(ap);
    PB_ASSERT(n >= 0 && (size_t)n < TEXT_MAX - r->length);
    r->length += (size_t)n;
}

static const uint8_t standard[] = { PCI_CAP_PM,  PCI_CAP_VPD,  PCI_CAP_MSI, PCI_CAP_PCIX,
                                    PCI_CAP_EXP, PCI_CAP_MSIX, PCI_CAP_AF,  9 };
static const uint8_t extended[] = { 1, 3, 0x0b, 0x0f, 0x10, 0x15 };

static void cook_field(struct recipe *r)
{
    static const char *const classes[] = { "hw", "write", "w1c", "virtual", "fixed" };
    unsigned size = 1U << byte(r) % 3, kind = byte(r), offset = byte(r) & ~(size - 1);
    uint32_t rest = pb_ones(size), constant = 0, value;

    if (kind % 4 == 0)
        say(r, "{\"at\":{\"cap\":%u,\"offset\":%u}", standard[kind / 4 % 8], offset % 64);
    else if (kind % 4 == 1)
        say(r, "{\"at\":{\"ext_cap\":%u,\"offset\":%u}", extended[kind / 4 % 6], offset % 128);
    else
        say(r, "{\"at\":%u", kind % 4 == 2 ? offset : offset | 0x100);
    say(r, ",\"size\":%u", size);
    for (unsigned i = 0; i < PB_ARRAY_SIZE(classes); i++) {
        uint32_t mask = word(r) & rest;

        rest &= ~mask;
        constant |= i >= 3 ? mask : 0;
        if (mask)
            say(r, ",\"%s\":%u", classes[i], mask);
    }
    value = word(r) & constant;
    if (byte(r) & 1)
        say(r, ",\"image\":%u", constant & ~value);
    say(r, ",\"value\":%u}", value);
}

static void cook_edits(struct recipe *r)
{
    unsigned which = byte(r);

    say(r, ",\"capabilities\":{\"hide\":[");
    if (which & 1)
        say(r, "%u", standard[byte(r) % 8]);
    say(r, "],\"hide_extended\":[");
    if (which & 2)
        say(r, "%u", extended[byte(r) % 6]);
    say(r, "],\"show_extended\":[");
    if (which & 4)
        say(r, "%u", extended[byte(r) % 6]);
    say(r, "],\"link\":[");
    if (which & 8)
        say(r, "{\"at\":%u,\"id\":%u}", 0x40 + (byte(r) % 48) * 4, standard[byte(r) % 8]);
    say(r, "],\"add\":[");
    if (which & 16) {
        unsigned at = 0x40 + (byte(r) % 40) * 4, to = 2 + byte(r) % 8;

        say(r,
            "{\"at\":%u,\"id\":%u,\"bytes\":\"%08x\",\"copy\":[{\"to\":%u,\"from\":%u,\"bytes\":4}]"
            "}",
            at, standard[byte(r) % 8], word(r), to, byte(r) % 200);
    }
    say(r, "]}");
}

static void cook_traits(struct recipe *r)
{
    static const char *const traits[] = { "\"msi\":\"deny\"",       "\"msix\":\"deny\"",
                                          "\"intx\":\"deny\"",      "\"rom\":\"hide\"",
                                          "\"class\":\"0x028000\"", "\"msix_max_vectors\":2",
                                          "\"vpd_size\":8",         "\"no_reset\":[\"flr\"]" };
    unsigned which = byte(r), size = byte(r);

    say(r, ",\"device\":{\"config_size\":%u", which & 1 && size >= 16 ? size * 4 : 4096);
    for (unsigned i = 0; i < PB_ARRAY_SIZE(traits); i++) {
        if (which >> i & 1)
            say(r, ",%s", traits[i]);
    }
    say(r, "}");
}

static void cook_quirk(struct recipe *r, unsigned number)
{
    unsigned flags = byte(r);

    say(r, "%s{\"id\":\"q%u\",\"reason\":\"r\",\"source\":\"s\",\"match\":{\"vendor\":32902%s}",
        number ? "," : "", number, flags & 1 ? ",\"device\":[4307,4110]" : "");
    say(r, ",\"unsafe\":%s,\"fields\":[", flags & 2 ? "true" : "false");
    for (unsigned i = 0; i < (flags >> 4) % 8; i++) {
        say(r, "%s", i ? "," : "");
        cook_field(r);
    }
    say(r, "]");
    if (flags & 4)
        cook_edits(r);
    if (flags & 8)
        cook_traits(r);
    say(r, "}");
}

static void cook(struct recipe *r)
{
    unsigned count = 0;

    r->length = 0;
    say(r, "{\"schema\":1,\"quirks\":[");
    while (r->left > 0 && count < 16)
        cook_quirk(r, count++);
    say(r, "]}");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct recipe recipe;

    if (size == 0 || data[0] == '{') {
        judge((const char *)data, size);
        return 0;
    }
    recipe.data = data;
    recipe.left = size;
    cook(&recipe);
    judge(recipe.text, recipe.length);
    return 0;
}
