/* SPDX-License-Identifier: MIT */
#include "daemon/config_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

unsigned pb_config_word(const struct pb_json *at, const char *const *words, size_t count,
                        unsigned fallback)
{
    const char *text = pb_json_text(at, PB_CONFIG_PATH_MAX, NULL);
    char list[160] = "";
    size_t n = 0;

    if (!text)
        return fallback;
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0)
            return i;
        n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "", words[i]);
    }
    pb_json_fail(at, "must be one of %s", list);
    return fallback;
}

/* RET has SIZE bytes. */
static void read_path(const struct pb_json *at, char *ret, size_t size)
{
    const char *text = pb_json_text(at, size - 1, NULL);

    if (!text)
        return;
    if (text[0] != '/')
        pb_json_fail(at, "must be an absolute path");
    else
        (void)snprintf(ret, size, "%s", text);
}

bool pb_config_need(const struct pb_json *at, const struct pb_json *member)
{
    if (!member->value)
        pb_json_fail(at, "key \"%s\" is missing", member->key);
    return member->value != NULL;
}

const char *pb_config_name(const struct pb_json *at)
{
    const char *text = pb_json_text(at, PB_NAME_MAX, NULL), *why;

    if (text && !pb_name_check(text, &why)) {
        pb_json_fail(at, "%s", why);
        return NULL;
    }
    return text;
}

bool pb_config_grow(const struct pb_json *at, void **array, size_t count, size_t size,
                    struct pb_config_place **places)
{
    struct pb_config_place *place = NULL;
    void *grown = reallocarray(*array, count + 1, size);

    if (grown)
        *array = grown;
    if (places)
        place = reallocarray(*places, count + 1, sizeof(*place));
    if (place) {
        *places = place;
        place[count] = (struct pb_config_place){ .source = at->source, .index = at->index };
    }
    if (grown && (place || !places))
        return true;
    pb_json_fail(at, "%s", strerror(ENOMEM));
    return false;
}

static void add_word(const struct pb_json *at, struct pb_config_words *words, const char *text)
{
    char **grown = reallocarray(words->word, words->count + 1, sizeof(*grown));
    char *copy = strdup(text);

    if (grown)
        words->word = grown;
    if (!grown || !copy) {
        free(copy);
        pb_json_fail(at, "%s", strerror(ENOMEM));
        return;
    }
    words->word[words->count++] = copy;
}

static bool has_word(const struct pb_config_words *words, const char *text)
{
    for (size_t i = 0; i < words->count; i++) {
        if (strcmp(words->word[i], text) == 0)
            return true;
    }
    return false;
}

/* Their order decides, so one may not stand at two places. */
static void read_dirs(const struct pb_json *at, struct pb_config_words *words)
{
    size_t count = pb_json_array(at);

    words->given = words->given || at->value;
    for (size_t i = 0; i < count; i++) {
        struct pb_json element = pb_json_element(at, i);
        char path[PB_CONFIG_PATH_MAX + 1] = "";

        read_path(&element, path, sizeof(path));
        if (!path[0])
            return; /* it has said why */
        if (has_word(words, path))
            pb_json_fail(&element, "is listed twice");
        else
            add_word(&element, words, path);
    }
}

static void read_quirk_dirs(struct pb_config_reader *r, const struct pb_json *at)
{
    read_dirs(at, &r->config->quirk_dirs);
}

static void read_plugin_dirs(struct pb_config_reader *r, const struct pb_json *at)
{
    read_dirs(at, &r->config->plugin_dirs);
}

/* One may be switched off by several files. */
static void read_disable(struct pb_config_reader *r, const struct pb_json *at)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    struct pb_config_words *words = &r->config->disable;
    size_t count = pb_json_array(at);

    for (size_t i = 0; i < count && !r->error->set; i++) {
        struct pb_json element = pb_json_element(at, i);
        const char *text = pb_json_text(&element, PB_CONFIG_ID_MAX, NULL);

        if (!text || strlen(text) < 2 || text[0] == '-' || text[strspn(text, allowed)])
            pb_json_fail(&element, "must be a quirk's id: 2 to 64 of a-z, 0-9 and -");
        else if (!has_word(words, text))
            add_word(&element, words, text);
    }
}

static void read_control(struct pb_config_reader *r, const struct pb_json *at)
{
    static const char *const keys[] = { "socket", "group", NULL };
    struct pb_json member;
    const char *text;

    if (!pb_json_object(at, keys))
        return;
    member = pb_json_member(at, "socket");
    read_path(&member, r->config->socket, sizeof(r->config->socket));
    member = pb_json_member(at, "group");
    text = pb_json_text(&member, PB_CONFIG_GROUP_MAX, NULL);
    if (text && !text[0])
        pb_json_fail(&member, "must not be empty");
    else if (text)
        (void)snprintf(r->config->group, sizeof(r->config->group), "%s", text);
}

enum pb_topology pb_config_topology(const struct pb_json *at, enum pb_topology fallback)
{
    static const char *const names[] = {
#define X(id, name, help) name,
        PB_TOPOLOGIES(X)
#undef X
    };

    return (enum pb_topology)pb_config_word(at, names, PB_ARRAY_SIZE(names), fallback);
}

/* Our own kind is always served: the toolstack's comes on top of it. */
static void read_kinds(const struct pb_json *at, bool *ret_xl_mode)
{
    static const char *const kinds[] = { "pcibackd", "pci" };
    bool seen[PB_ARRAY_SIZE(kinds)] = { false };
    size_t count = pb_json_array(at);

    if (json_is_array(at->value) && count == 0)
        pb_json_fail(at, "must name at least one kind");
    for (size_t i = 0; i < count; i++) {
        struct pb_json element = pb_json_element(at, i);
        unsigned kind = pb_config_word(&element, kinds, PB_ARRAY_SIZE(kinds), PB_ARRAY_SIZE(kinds));

        if (kind == PB_ARRAY_SIZE(kinds))
            return; /* it has said why */
        if (seen[kind])
            pb_json_fail(&element, "is listed twice");
        seen[kind] = true;
    }
    if (count > 0 && !seen[0])
        pb_json_fail(at, "must have \"pcibackd\", too");
    else if (count > 0)
        *ret_xl_mode = seen[1];
}

static void read_backend(struct pb_config_reader *r, const struct pb_json *at)
{
    static const char *const keys[] = { "kinds", "topology", "busy_poll_us", NULL };
    struct pb_policy *policy = r->config->policy;
    struct pb_json member;

    if (!pb_json_object(at, keys))
        return;
    member = pb_json_member(at, "kinds");
    read_kinds(&member, &policy->xl_mode);
    member = pb_json_member(at, "topology");
    policy->topology = pb_config_topology(&member, policy->topology);
    member = pb_json_member(at, "busy_poll_us");
    policy->busy_poll_us =
        (uint32_t)pb_json_number(&member, 0, PB_BUSY_POLL_US_MAX, policy->busy_poll_us);
}

static void read_limits(struct pb_config_reader *r, const struct pb_json *at)
{
#define X(name, fallback, min, max, help) #name,
    static const char *const keys[] = { PB_LIMITS(X) NULL };
#undef X
    struct pb_limits *limits = &r->config->policy->limits;
    struct pb_json member;

    if (!pb_json_object(at, keys))
        return;
#define X(name, fallback, min, max, help) \
    member = pb_json_member(at, #name);   \
    limits->name = (uint32_t)pb_json_number(&member, (min), (max), limits->name);
    PB_LIMITS(X)
#undef X
}

void pb_config_read(struct pb_config_reader *r, const json_t *root, const char *source)
{
    static const char *const keys[] = { "control", "state_dir", "quirk_dirs",  "plugin_dirs",
                                        "disable", "backend",   "devices",     "slots",
                                        "guests",  "limits",    "assignments", NULL };
    static const struct {
        const char *key;
        void (*read)(struct pb_config_reader *r, const struct pb_json *at);
    } parts[] = {
        { "control", read_control },
        { "backend", read_backend },
        { "devices", pb_config_read_devices },
        { "slots", pb_config_read_slots },
        { "guests", pb_config_read_guests },
        { "assignments", pb_config_read_assignments },
        { "limits", read_limits },
        { "quirk_dirs", read_quirk_dirs },
        { "plugin_dirs", read_plugin_dirs },
        { "disable", read_disable },
    };
    static const char *const saved_keys[] = { "slots", NULL };
    struct pb_json top = pb_json_root(root, source, r->error), member;

    /* `--save` writes that file anew, and would lose anything else that stands there */
    if (!pb_json_object(&top, r->saved ? saved_keys : keys))
        return;
    member = pb_json_member(&top, "state_dir");
    read_path(&member, r->config->state_dir, sizeof(r->config->state_dir));
    for (unsigned i = 0; i < PB_ARRAY_SIZE(parts) && !r->error->set; i++) {
        member = pb_json_member(&top, parts[i].key);
        parts[i].read(r, &member);
    }
}
