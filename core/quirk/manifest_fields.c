/* SPDX-License-Identifier: MIT */
/* "fields" and "plugin": registers, and what is to be done with their bits. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "quirk/manifest.h"

/* A bit belongs to one class, and its value comes from one place. */
static void check_masks(const struct pb_json *at, const struct pb_quirk_field *f)
{
    const struct {
        const char *key;
        uint32_t mask;
    } classes[] = {
        { "hw", f->hw },        { "write", f->write }, { "w1c", f->w1c },
        { "virtual", f->virt }, { "fixed", f->fixed },
    };
    uint32_t named = 0;

    for (unsigned i = 0; i < PB_ARRAY_SIZE(classes); i++) {
        struct pb_json member = pb_json_member(at, classes[i].key);

        if (named & classes[i].mask)
            pb_json_fail(&member, "has bits that another class of this field has, too");
        named |= classes[i].mask;
    }
    if (named == 0)
        pb_json_fail(at, "names no bits: give at least one of hw, write, w1c, virtual and fixed");
    if (f->value & ~(f->virt | f->fixed)) {
        struct pb_json member = pb_json_member(at, "value");

        pb_json_fail(&member, "has bits that are neither virtual nor fixed");
    }
    if (f->image & (~(f->virt | f->fixed) | f->value)) {
        struct pb_json member = pb_json_member(at, "image");

        pb_json_fail(&member, "has bits that are neither virtual nor fixed, or that \"value\" has");
    }
}

static void read_field(const struct pb_json *at, struct pb_quirk_field *ret)
{
    static const char *const keys[] = { "at",    "size",  "hw",    "write", "w1c",  "virtual",
                                        "fixed", "value", "image", "why",   "name", NULL };
    struct pb_json member;

    if (!json_is_object(at->value))
        pb_json_fail(at, "must be an object");
    if (!pb_json_object(at, keys))
        return;
    ret->size = pb_manifest_size(at);
    if (at->error->set)
        return;
    ret->at = pb_manifest_place(at, ret->size);
    ret->hw = pb_manifest_mask(at, "hw", ret->size, 0);
    ret->write = pb_manifest_mask(at, "write", ret->size, 0);
    ret->w1c = pb_manifest_mask(at, "w1c", ret->size, 0);
    ret->virt = pb_manifest_mask(at, "virtual", ret->size, 0);
    ret->fixed = pb_manifest_mask(at, "fixed", ret->size, 0);
    ret->value = pb_manifest_mask(at, "value", ret->size, 0);
    ret->image = pb_manifest_mask(at, "image", ret->size, 0);
    member = pb_json_member(at, "why");
    ret->why = pb_manifest_text(&member, PB_QUIRK_TEXT_MAX);
    member = pb_json_member(at, "name");
    ret->name = pb_manifest_text(&member, 64);
    check_masks(at, ret);
}

void pb_manifest_read_fields(const struct pb_json *at, struct pb_quirk *quirk)
{
    size_t count = pb_json_array(at);

    if (!at->value || at->error->set)
        return;
    quirk->field = pb_manifest_array(at, count, PB_QUIRK_FIELDS_MAX, sizeof(*quirk->field));
    for (size_t i = 0; quirk->field && i < count && !at->error->set; i++) {
        struct pb_json element = pb_json_element(at, i);

        read_field(&element, &quirk->field[i]);
        quirk->field_count = i + 1;
    }
}

static void read_register(const struct pb_json *at, struct pb_quirk_register *ret)
{
    static const char *const keys[] = { "at", "size", "mask", NULL };
    struct pb_json member = pb_json_member(at, "mask");

    if (!json_is_object(at->value))
        pb_json_fail(at, "must be an object");
    if (!pb_json_object(at, keys))
        return;
    ret->size = pb_manifest_size(at);
    if (at->error->set)
        return;
    ret->at = pb_manifest_place(at, ret->size);
    ret->mask = pb_manifest_mask(at, "mask", ret->size, pb_ones(ret->size));
    if (ret->mask == 0)
        pb_json_fail(&member, "must not be 0");
}

static void read_registers(const struct pb_json *at, struct pb_quirk_plugin *ret)
{
    size_t count;

    if (!at->value)
        return;
    if (json_is_string(at->value)) {
        ret->all = strcmp(json_string_value(at->value), "all") == 0;
        if (!ret->all)
            pb_json_fail(at, "must be an array of registers, or \"all\"");
        return;
    }
    count = pb_json_array(at);
    if (at->error->set)
        return;
    ret->reg = pb_manifest_array(at, count, PB_QUIRK_FIELDS_MAX, sizeof(*ret->reg));
    for (size_t i = 0; ret->reg && i < count && !at->error->set; i++) {
        struct pb_json element = pb_json_element(at, i);

        read_register(&element, &ret->reg[i]);
        ret->count = i + 1;
    }
}

static void read_params(const struct pb_json *at, struct pb_quirk_plugin *ret)
{
    if (at->value && !json_is_object(at->value)) {
        pb_json_fail(at, "must be an object");
        return;
    }
    ret->params = at->value ? pb_json_dumps(at->value, JSON_COMPACT) : strdup("{}");
    if (!ret->params)
        pb_json_fail(at, "%s", strerror(ENOMEM));
    else if (strlen(ret->params) > PB_QUIRK_PARAMS_MAX)
        pb_json_fail(at, "is longer than %d bytes", PB_QUIRK_PARAMS_MAX);
}

void pb_manifest_read_plugin(const struct pb_json *at, struct pb_quirk_plugin *ret)
{
    static const char *const keys[] = { "name", "params", "registers", NULL };
    struct pb_json member;

    if (!pb_json_object(at, keys) || at->error->set)
        return;
    member = pb_json_member(at, "name");
    if (!pb_manifest_need(at, &member))
        return;
    ret->name = pb_json_text(&member, PB_PLUGIN_NAME_MAX, NULL);
    if (ret->name && !pb_plugin_name_check(ret->name))
        pb_json_fail(&member, "must be letters, digits, - and _");
    member = pb_json_member(at, "params");
    read_params(&member, ret);
    member = pb_json_member(at, "registers");
    read_registers(&member, ret);
}
