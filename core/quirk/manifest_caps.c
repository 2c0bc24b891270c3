/* SPDX-License-Identifier: MIT */
/* "capabilities": what is hidden, shown, linked and added. */
#include <string.h>

#include "base/bytes.h"
#include "quirk/manifest.h"

#define ADDED_HEADER 2 /* id and next */

static const struct {
    const char *key;
    enum pb_cap_edit_kind kind;
    bool extended;
} name_lists[] = {
    { "hide", PB_CAP_HIDE, false },
    { "hide_extended", PB_CAP_HIDE_EXT, true },
    { "show", PB_CAP_SHOW, false },
    { "show_extended", PB_CAP_SHOW_EXT, true },
};

static uint8_t read_at(const struct pb_json *object)
{
    struct pb_json at = pb_json_member(object, "at");
    uint8_t offset;

    if (!pb_manifest_need(object, &at))
        return 0;
    offset = (uint8_t)pb_json_number(&at, 0x40, 0xfc, 0);
    if (offset % 4 != 0)
        pb_json_fail(&at, "is misaligned: a capability begins at a multiple of 4");
    return offset;
}

static uint16_t read_id(const struct pb_json *object)
{
    struct pb_json id = pb_json_member(object, "id");

    return pb_manifest_need(object, &id) ? pb_manifest_cap(&id, false) : 0;
}

static void read_link(const struct pb_json *at, struct pb_cap_edit *ret)
{
    static const char *const keys[] = { "at", "id", "after", NULL };
    struct pb_json after = pb_json_member(at, "after");

    if (!pb_json_object(at, keys))
        return;
    ret->kind = PB_CAP_LINK;
    ret->at = read_at(at);
    ret->id = read_id(at);
    ret->after = (uint8_t)pb_manifest_cap(&after, false);
    if (after.value && ret->after == 0)
        pb_json_fail(&after, "must be a capability that can end a list");
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;

    return found ? (int)(found - digits) : -1;
}

/* "bytes": two digits a byte, spaces between them allowed. */
static void read_bytes(const struct pb_json *at, struct pb_cap_edit *ret)
{
    const char *text = pb_json_text(at, 4L * PB_CAP_BYTES_MAX, "");

    ret->size = ADDED_HEADER;
    for (; *text; text += 2) {
        int high, low;

        while (*text == ' ')
            text++;
        if (!*text)
            return;
        high = hex_digit(text[0]);
        low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0) {
            pb_json_fail(at, "must be bytes of two hexadecimal digits");
            return;
        }
        if (ret->size == PB_CAP_BYTES_MAX) {
            pb_json_fail(at, "has more than %d bytes", PB_CAP_BYTES_MAX - ADDED_HEADER);
            return;
        }
        ret->bytes[ret->size++] = (uint8_t)(high << 4 | low);
    }
}

/* The capability grows to hold what is copied into it. */
static void read_copy(const struct pb_json *at, struct pb_cap_edit *edit, unsigned number)
{
    static const char *const keys[] = { "to", "from", "bytes", NULL };
    struct pb_json to = pb_json_member(at, "to"), from = pb_json_member(at, "from");
    struct pb_json bytes = pb_json_member(at, "bytes");
    unsigned start, size, source;

    if (!json_is_object(at->value))
        pb_json_fail(at, "must be an object");
    if (!pb_json_object(at, keys) || !pb_manifest_need(at, &to) || !pb_manifest_need(at, &from) ||
        !pb_manifest_need(at, &bytes))
        return;
    start = (unsigned)pb_json_number(&to, ADDED_HEADER, PB_CAP_BYTES_MAX - 1, ADDED_HEADER);
    source = (unsigned)pb_json_number(&from, 0, PB_CONFIG_SIZE_PCI - 1, 0);
    size = (unsigned)pb_json_number(&bytes, 1, PB_CAP_BYTES_MAX, 1);
    if (start + size > PB_CAP_BYTES_MAX)
        pb_json_fail(at, "ends behind the %d bytes of a capability", PB_CAP_BYTES_MAX);
    else if (source + size > PB_CONFIG_SIZE_PCI)
        pb_json_fail(at, "reads outside of configuration space");
    if (at->error->set)
        return;
    edit->copy[number].to = (uint8_t)start;
    edit->copy[number].from = (uint8_t)source;
    edit->copy[number].size = (uint8_t)size;
    if (start + size > edit->size)
        edit->size = (uint8_t)(start + size);
}

static void read_add(const struct pb_json *at, struct pb_cap_edit *ret)
{
    static const char *const keys[] = { "at", "id", "bytes", "copy", NULL };
    struct pb_json bytes = pb_json_member(at, "bytes"), copy = pb_json_member(at, "copy");
    size_t count = pb_json_array(&copy);

    if (!pb_json_object(at, keys))
        return;
    ret->kind = PB_CAP_ADD;
    ret->at = read_at(at);
    ret->id = read_id(at);
    read_bytes(&bytes, ret);
    if (count > PB_CAP_COPIES)
        pb_json_fail(&copy, "has more than %d elements", PB_CAP_COPIES);
    for (unsigned i = 0; i < count && !at->error->set; i++) {
        struct pb_json element = pb_json_element(&copy, i);

        read_copy(&element, ret, i);
    }
    if (ret->at + (unsigned)ret->size > PB_CONFIG_SIZE_PCI)
        pb_json_fail(at, "lies outside of configuration space");
}

static void read_places(const struct pb_json *at, struct pb_quirk *quirk,
                        void (*read)(const struct pb_json *at, struct pb_cap_edit *ret))
{
    size_t count = pb_json_array(at);

    for (size_t i = 0; i < count && !at->error->set; i++) {
        struct pb_json element = pb_json_element(at, i);

        if (!json_is_object(element.value))
            pb_json_fail(&element, "must be an object");
        else
            read(&element, &quirk->edit[quirk->edit_count++]);
    }
}

static void read_names(const struct pb_json *at, struct pb_quirk *quirk, unsigned list)
{
    size_t count = pb_json_array(at);

    for (size_t i = 0; i < count && !at->error->set; i++) {
        struct pb_json element = pb_json_element(at, i);
        struct pb_cap_edit *edit = &quirk->edit[quirk->edit_count++];

        edit->kind = name_lists[list].kind;
        edit->id = pb_manifest_cap(&element, name_lists[list].extended);
    }
}

void pb_manifest_read_caps(const struct pb_json *at, struct pb_quirk *quirk)
{
    static const char *const keys[] = { "hide", "hide_extended", "show", "show_extended",
                                        "link", "add",           NULL };
    size_t count = 0;

    if (!pb_json_object(at, keys) || at->error->set)
        return;
    for (unsigned i = 0; keys[i]; i++) {
        struct pb_json member = pb_json_member(at, keys[i]);

        count += pb_json_array(&member);
    }
    quirk->edit = pb_manifest_array(at, count, PB_QUIRK_EDITS_MAX, sizeof(*quirk->edit));
    if (!quirk->edit)
        return;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(name_lists); i++) {
        struct pb_json member = pb_json_member(at, name_lists[i].key);

        read_names(&member, quirk, i);
    }
    for (unsigned i = 0; i < 2; i++) {
        struct pb_json member = pb_json_member(at, i ? "add" : "link");

        read_places(&member, quirk, i ? read_add : read_link);
    }
}
