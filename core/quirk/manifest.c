/* SPDX-License-Identifier: MIT */
#include "quirk/manifest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define STANDARD_ROOM (PB_CONFIG_SIZE_PCI - 0x40)   /* of a standard capability */
#define EXTENDED_ROOM (PB_CONFIG_SIZE_PCIE - 0x100) /* of an extended one */

char *pb_manifest_printable(const char *text)
{
    json_t *string = json_string(text); /* NULL: no UTF-8 */
    char *copy = strdup(text);

    for (char *p = copy; p && *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f || (!string && (unsigned char)*p > 0x7f))
            *p = '?';
    }
    json_decref(string);
    return copy;
}

bool pb_manifest_need(const struct pb_json *at, const struct pb_json *member)
{
    if (!member->value)
        pb_json_fail(at, "key \"%s\" is missing", member->key);
    return member->value != NULL;
}

unsigned pb_manifest_word(const struct pb_json *at, const char *const *words, size_t count,
                          unsigned fallback)
{
    const char *text = pb_json_text(at, PB_QUIRK_TEXT_MAX, NULL);
    char list[160] = "";
    size_t n = 0;

    if (!text)
        return fallback;
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0)
            return i;
        if (n < sizeof(list))
            n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "", words[i]);
    }
    pb_json_fail(at, "must be one of %s", list);
    return fallback;
}

/* Terminals and logs show these texts. */
static bool printable(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    }
    return true;
}

const char *pb_manifest_text(const struct pb_json *at, size_t max)
{
    const char *text = pb_json_text(at, max, NULL);

    if (text && (!text[0] || !printable(text))) {
        pb_json_fail(at, text[0] ? "must not have control characters" : "must not be empty");
        return NULL;
    }
    return text;
}

uint8_t pb_manifest_size(const struct pb_json *object)
{
    struct pb_json member = pb_json_member(object, "size");
    uint8_t size;

    if (!pb_manifest_need(object, &member))
        return 1;
    size = (uint8_t)pb_json_number(&member, 1, 4, 1);
    if (size == 3)
        pb_json_fail(&member, "must be 1, 2 or 4");
    return size;
}

uint32_t pb_manifest_mask(const struct pb_json *object, const char *key, uint8_t size,
                          uint32_t fallback)
{
    struct pb_json member = pb_json_member(object, key);
    uint64_t mask = pb_json_number(&member, 0, UINT64_MAX, fallback);

    if (mask > pb_ones(size)) {
        pb_json_fail(&member, "has bits beyond the size of %u byte%s", size, size == 1 ? "" : "s");
        return fallback;
    }
    return (uint32_t)mask;
}

uint16_t pb_manifest_cap(const struct pb_json *at, bool extended)
{
    int id;

    if (!at->value)
        return 0;
    if (json_is_string(at->value) && strncmp(json_string_value(at->value), "0x", 2) != 0) {
        id = pb_cap_by_name(extended, json_string_value(at->value));
        if (id < 0)
            pb_json_fail(at, "unknown %s capability; its number will do, too",
                         extended ? "extended" : "standard");
        return id < 0 ? 0 : (uint16_t)id;
    }
    /* All ones is no capability: nothing answers there. */
    return (uint16_t)pb_json_number(at, extended ? 1 : 0, extended ? 0xfffe : 0xfe, 0);
}

static struct pb_place read_cap_place(const struct pb_json *at)
{
    static const char *const keys[] = { "cap", "ext_cap", "offset", NULL };
    struct pb_json cap = pb_json_member(at, "cap"), ext = pb_json_member(at, "ext_cap");
    struct pb_json offset = pb_json_member(at, "offset");
    struct pb_place place = { .kind = ext.value ? PB_AT_EXT_CAP : PB_AT_CAP };

    if (!pb_json_object(at, keys) || !pb_manifest_need(at, &offset))
        return place;
    if (!cap.value == !ext.value) {
        pb_json_fail(at, "must have one of \"cap\" and \"ext_cap\"");
        return place;
    }
    place.cap = pb_manifest_cap(ext.value ? &ext : &cap, ext.value != NULL);
    place.offset =
        (uint16_t)pb_json_number(&offset, 0, (ext.value ? EXTENDED_ROOM : STANDARD_ROOM) - 1, 0);
    return place;
}

struct pb_place pb_manifest_place(const struct pb_json *object, uint8_t size)
{
    static const unsigned room[] = { [PB_AT_OFFSET] = PB_CONFIG_SIZE_PCIE,
                                     [PB_AT_CAP] = STANDARD_ROOM,
                                     [PB_AT_EXT_CAP] = EXTENDED_ROOM };
    struct pb_json at = pb_json_member(object, "at");
    struct pb_place place = { .kind = PB_AT_OFFSET };

    if (!pb_manifest_need(object, &at))
        return place;
    if (json_is_object(at.value))
        place = read_cap_place(&at);
    else
        place.offset = (uint16_t)pb_json_number(&at, 0, PB_CONFIG_SIZE_PCIE - 1, 0);
    if (size == 0)
        return place;
    if (place.offset % size != 0)
        pb_json_fail(&at, "is misaligned: a register of %u bytes lies at a multiple of them", size);
    else if (place.offset + size > room[place.kind])
        pb_json_fail(&at, "lies outside of configuration space");
    return place;
}

void *pb_manifest_array(const struct pb_json *at, size_t count, size_t max, size_t size)
{
    void *array;

    if (count > max) {
        pb_json_fail(at, "has more than %zu elements", max);
        return NULL;
    }
    array = calloc(count ? count : 1, size);
    if (!array)
        pb_json_fail(at, "%s", strerror(ENOMEM));
    return array;
}

static bool id_is_well_formed(const char *id)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    size_t length = strlen(id);

    return length >= 2 && length <= 64 && id[0] != '-' && id[strspn(id, allowed)] == '\0';
}

static const char *read_id(const struct pb_json *at)
{
    const char *id = pb_json_text(at, PB_QUIRK_TEXT_MAX, NULL);

    if (id && !id_is_well_formed(id)) {
        pb_json_fail(at, "must be 2 to 64 of a-z, 0-9 and -, and not begin with -");
        return NULL;
    }
    return id;
}

/* Who says so, for `explain`. */
static void fill_in_origins(struct pb_quirk *quirk)
{
    for (size_t i = 0; i < quirk->edit_count; i++) {
        quirk->edit[i].origin = quirk->id;
        quirk->edit[i].file = quirk->manifest->path;
        quirk->edit[i].why = quirk->reason;
    }
    for (unsigned i = 0; i < PB_TRAIT_COUNT; i++) {
        if (!quirk->traits.set[i])
            continue;
        quirk->traits.origin[i] = quirk->id;
        quirk->traits.file[i] = quirk->manifest->path;
        quirk->traits.reason[i] = quirk->reason;
    }
}

static void read_quirk(const struct pb_json *at, struct pb_quirk *quirk)
{
    static const char *const keys[] = { "id",     "reason",       "source", "match",  "fields",
                                        "device", "capabilities", "plugin", "unsafe", "disabled",
                                        NULL };
    struct pb_json member;

    if (!json_is_object(at->value))
        pb_json_fail(at, "must be an object");
    if (!pb_json_object(at, keys))
        return;
    member = pb_json_member(at, "id");
    if (pb_manifest_need(at, &member))
        quirk->id = read_id(&member);
    member = pb_json_member(at, "reason");
    if (pb_manifest_need(at, &member))
        quirk->reason = pb_manifest_text(&member, PB_QUIRK_TEXT_MAX);
    member = pb_json_member(at, "source");
    if (pb_manifest_need(at, &member))
        quirk->source = pb_manifest_text(&member, PB_QUIRK_TEXT_MAX);
    member = pb_json_member(at, "unsafe");
    quirk->unsafe = pb_json_bool(&member, false);
    member = pb_json_member(at, "disabled");
    quirk->off = quirk->disabled = pb_json_bool(&member, false);
    member = pb_json_member(at, "match");
    if (pb_manifest_need(at, &member))
        pb_manifest_read_match(&member, &quirk->match, &quirk->specificity);
    member = pb_json_member(at, "fields");
    pb_manifest_read_fields(&member, quirk);
    member = pb_json_member(at, "capabilities");
    pb_manifest_read_caps(&member, quirk);
    member = pb_json_member(at, "device");
    pb_manifest_read_device(&member, quirk);
    member = pb_json_member(at, "plugin");
    pb_manifest_read_plugin(&member, &quirk->plugin);
    if (!at->error->set)
        fill_in_origins(quirk);
}

static void check_id_is_new(const struct pb_json *at, const struct pb_manifest *m, size_t count)
{
    for (size_t i = 0; i < count && !at->error->set; i++) {
        if (strcmp(m->quirk[i].id, m->quirk[count].id) == 0) {
            struct pb_json member = pb_json_member(at, "id");

            pb_json_fail(&member, "\"%s\" is the id of /quirks/%zu, too", m->quirk[i].id, i);
        }
    }
}

static void read_quirks(struct pb_manifest *m, const struct pb_json *at)
{
    size_t count = pb_json_array(at);

    m->quirk = pb_manifest_array(at, count, PB_QUIRKS_MAX, sizeof(*m->quirk));
    for (size_t i = 0; m->quirk && i < count && !at->error->set; i++) {
        struct pb_json element = pb_json_element(at, i);

        m->quirk[i].manifest = m;
        m->quirk[i].index = i;
        m->count = i + 1;
        read_quirk(&element, &m->quirk[i]);
        check_id_is_new(&element, m, i);
    }
}

static void read_root(struct pb_manifest *m, struct pb_json_error *error)
{
    static const char *const keys[] = { "schema", "quirks", "//", "comment", NULL };
    struct pb_json top = pb_json_root(m->root, m->path, error), member;

    if (!pb_json_object(&top, keys))
        return;
    member = pb_json_member(&top, "schema");
    if (pb_manifest_need(&top, &member))
        (void)pb_json_number(&member, 1, 1, 1);
    member = pb_json_member(&top, "quirks");
    if (pb_manifest_need(&top, &member))
        read_quirks(m, &member);
}

struct pb_manifest *pb_manifest_parse(const char *text, size_t length, const char *path,
                                      struct pb_json_error *error)
{
    struct pb_manifest *m = calloc(1, sizeof(*m));

    if (m)
        m->path = pb_manifest_printable(path);
    if (!m || !m->path) {
        pb_json_error_set(error, "%s: %s", path, strerror(ENOMEM));
        free(m);
        return NULL;
    }
    m->root = pb_json_parse(text, length, m->path, error);
    if (m->root)
        read_root(m, error);
    if (!error->set)
        return m;
    pb_manifest_free(m);
    return NULL;
}

static void free_quirk(struct pb_quirk *quirk)
{
    pb_manifest_free_match(&quirk->match);
    free(quirk->field);
    free(quirk->edit);
    free(quirk->plugin.params);
    free(quirk->plugin.reg);
    if (quirk->plugin.opened)
        pb_plugin_unref(quirk->plugin.opened);
}

void pb_manifest_free(struct pb_manifest *manifest)
{
    if (!manifest)
        return;
    for (size_t i = 0; i < manifest->count; i++)
        free_quirk(&manifest->quirk[i]);
    free(manifest->quirk);
    json_decref(manifest->root);
    free(manifest->path);
    free(manifest);
}
