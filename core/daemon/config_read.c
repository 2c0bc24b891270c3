/* SPDX-License-Identifier: MIT */
#include "daemon/config_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define NOT_SERVED "is not supported by this version"

static const char *const topologies[] = { "vpci", "slot", "passthrough" };
static const char *const reset_policies[] = {
    [PB_RESET_BEST_EFFORT] = "best-effort",
    [PB_RESET_REQUIRED] = "required",
    [PB_RESET_NONE] = "none",
};
static const char *const assign_policies[] = {
    [PB_ASSIGN_ALLOW] = "allow",
    [PB_ASSIGN_WARN] = "warn",
    [PB_ASSIGN_DENY] = "deny",
};
/* Linux's names in sysfs `reset_method`. */
static const char *const reset_methods[] = {
    "device_specific", "acpi", "flr", "af_flr", "pm", "bus", "cxl_bus",
};
/* All of them fit into the policy's text. */
_Static_assert(sizeof("device_specific acpi flr af_flr pm bus cxl_bus") <=
                   sizeof(((struct pb_device_policy *)0)->reset_method),
               "reset_method is too short");

static bool failed(const struct pb_config_reader *r)
{
    return r->error->set;
}

/* Index of the word at AT among WORDS; FALLBACK when it is absent or wrong. */
static unsigned read_word(const struct pb_json *at, const char *const *words, size_t count,
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

/* A required key of AT. */
static bool need(const struct pb_json *at, const struct pb_json *member)
{
    if (!member->value)
        pb_json_fail(at, "key \"%s\" is missing", member->key);
    return member->value != NULL;
}

/* A device's or a guest's name, NULL when it is absent or wrong. */
static const char *read_name(const struct pb_json *at)
{
    const char *text = pb_json_text(at, PB_NAME_MAX, NULL), *why;

    if (text && !pb_name_check(text, &why)) {
        pb_json_fail(at, "%s", why);
        return NULL;
    }
    return text;
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

    for (size_t i = 0; i < count && !failed(r); i++) {
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

static void read_topology(const struct pb_json *at)
{
    unsigned word = read_word(at, topologies, PB_ARRAY_SIZE(topologies), 0);

    if (word != 0)
        pb_json_fail(at, "\"%s\" " NOT_SERVED, topologies[word]);
}

static void read_kinds(const struct pb_json *at)
{
    static const char *const kinds[] = { "pcibackd", "pci" };
    size_t count = pb_json_array(at);
    unsigned seen = 0;

    if (json_is_array(at->value) && count == 0)
        pb_json_fail(at, "must name at least one kind");
    for (size_t i = 0; i < count; i++) {
        struct pb_json element = pb_json_element(at, i);
        unsigned kind = read_word(&element, kinds, PB_ARRAY_SIZE(kinds), 0);

        if (kind != 0)
            pb_json_fail(&element, "\"%s\" " NOT_SERVED, kinds[kind]);
        else if (seen++)
            pb_json_fail(&element, "is listed twice");
    }
}

static void read_backend(struct pb_config_reader *r, const struct pb_json *at)
{
    static const char *const keys[] = { "kinds", "topology", "busy_poll_us", NULL };
    struct pb_policy *policy = r->config->policy;
    struct pb_json member;

    if (!pb_json_object(at, keys))
        return;
    member = pb_json_member(at, "kinds");
    read_kinds(&member);
    member = pb_json_member(at, "topology");
    read_topology(&member);
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

static void read_slots(struct pb_config_reader *r, const struct pb_json *at)
{
    struct pb_policy *policy = r->config->policy;
    size_t count = pb_json_array(at);

    for (size_t i = 0; i < count && !failed(r); i++) {
        struct pb_json element = pb_json_element(at, i);
        const char *text = pb_json_text(&element, PB_CONFIG_PATH_MAX, NULL);
        struct pb_policy_slot slot = { .saved = false }, *grown;

        if (!text || !pb_slot_parse(text, &slot.slot)) {
            pb_json_fail(&element, "must be an address like \"0000:05:02.0\", \"0000:05:02.*\" "
                                   "or \"0000:05:*.*\"");
            return;
        }
        grown = reallocarray(policy->slots, policy->slot_count + 1, sizeof(*grown));
        if (!grown) {
            pb_json_fail(&element, "%s", strerror(ENOMEM));
            return;
        }
        policy->slots = grown;
        policy->slots[policy->slot_count++] = slot;
    }
}

static void read_driver(const struct pb_json *at, char *ret)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_-.";
    const char *text = pb_json_text(at, PB_DRIVER_NAME - 1, NULL);

    if (!text)
        return;
    if (!text[0] || text[0] == '.' || text[strspn(text, allowed)])
        pb_json_fail(at, "must be a driver's name in /sys/bus/pci/drivers, or \"none\"");
    else
        (void)snprintf(ret, PB_DRIVER_NAME, "%s", text);
}

static void read_reset_method(const struct pb_json *at, char *ret, size_t size)
{
    size_t count = pb_json_array(at), n = 0;
    bool seen[PB_ARRAY_SIZE(reset_methods)] = { false };

    if (json_is_array(at->value) && count == 0)
        pb_json_fail(at, "must name at least one method");
    for (size_t i = 0; i < count; i++) {
        struct pb_json element = pb_json_element(at, i);
        unsigned word;

        word = read_word(&element, reset_methods, PB_ARRAY_SIZE(reset_methods),
                         PB_ARRAY_SIZE(reset_methods));
        if (word == PB_ARRAY_SIZE(reset_methods))
            return; /* it has said why */
        if (seen[word]) {
            pb_json_fail(&element, "is listed twice");
            return;
        }
        seen[word] = true;
        n += (size_t)snprintf(ret + n, size - n, "%s%s", n ? " " : "", reset_methods[word]);
    }
}

/* The parts of an entry that have sensible defaults. */
static void read_device_policy(const struct pb_json *at, struct pb_device_policy *entry)
{
    struct pb_json member = pb_json_member(at, "vendor");

    entry->has_vendor = member.value != NULL;
    entry->vendor = (uint16_t)pb_json_number(&member, 0, UINT16_MAX, 0);
    member = pb_json_member(at, "device");
    entry->has_device = member.value != NULL;
    entry->device = (uint16_t)pb_json_number(&member, 0, UINT16_MAX, 0);
    member = pb_json_member(at, "driver");
    read_driver(&member, entry->driver);
    member = pb_json_member(at, "permissive");
    entry->permissive = pb_json_bool(&member, false);
    member = pb_json_member(at, "allow_interrupt_control");
    entry->allow_interrupt_control = pb_json_bool(&member, false);
    member = pb_json_member(at, "reset");
    entry->reset = (enum pb_reset_policy)read_word(&member, reset_policies,
                                                   PB_ARRAY_SIZE(reset_policies), entry->reset);
    member = pb_json_member(at, "reset_method");
    read_reset_method(&member, entry->reset_method, sizeof(entry->reset_method));
    member = pb_json_member(at, "assign");
    entry->has_assign = member.value != NULL;
    entry->assign = (enum pb_assign)read_word(&member, assign_policies,
                                              PB_ARRAY_SIZE(assign_policies), entry->assign);
}

/* Two entries for one device, or two devices of one name: neither can be meant. */
static void check_device(struct pb_config_reader *r, const struct pb_json *at,
                         const struct pb_device_policy *entry)
{
    const struct pb_policy *policy = r->config->policy;
    char text[PB_SBDF_TEXT];

    for (size_t i = 0; i < policy->device_count; i++) {
        const struct pb_device_policy *other = &policy->devices[i];
        const struct pb_config_place *place = &r->device_places[i];

        if (pb_sbdf_equal(other->sbdf, entry->sbdf))
            pb_json_fail(at, "%s has an entry already, in %s: /devices/%zu",
                         pb_sbdf_format(entry->sbdf, text), place->source, place->index);
        else if (entry->name[0] && strcmp(other->name, entry->name) == 0)
            pb_json_fail(at, "the name \"%s\" is taken already, in %s: /devices/%zu", entry->name,
                         place->source, place->index);
    }
}

static void add_device(struct pb_config_reader *r, const struct pb_json *at,
                       const struct pb_device_policy *entry)
{
    struct pb_policy *policy = r->config->policy;
    struct pb_device_policy *devices;
    struct pb_config_place *places;

    places = reallocarray(r->device_places, policy->device_count + 1, sizeof(*places));
    if (places)
        r->device_places = places;
    devices = reallocarray(policy->devices, policy->device_count + 1, sizeof(*devices));
    if (devices)
        policy->devices = devices;
    if (!places || !devices) {
        pb_json_fail(at, "%s", strerror(ENOMEM));
        return;
    }
    places[policy->device_count] =
        (struct pb_config_place){ .source = at->source, .index = at->index };
    devices[policy->device_count++] = *entry;
}

static void read_device(struct pb_config_reader *r, const struct pb_json *at)
{
    static const char *const keys[] = {
        "name",   "bdf",          "path",       "vendor",
        "device", "driver",       "permissive", "allow_interrupt_control",
        "reset",  "reset_method", "assign",     "reassign_while_alive",
        NULL
    };
    static const char *const not_served[] = { "path", "reassign_while_alive" };
    struct pb_device_policy entry;
    struct pb_json member;
    struct pb_sbdf sbdf;
    const char *text;

    if (!pb_json_object(at, keys))
        return;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(not_served); i++) {
        member = pb_json_member(at, not_served[i]);
        if (member.value)
            pb_json_fail(&member, NOT_SERVED);
    }
    member = pb_json_member(at, "bdf");
    if (!need(at, &member))
        return;
    text = pb_json_text(&member, PB_CONFIG_PATH_MAX, NULL);
    if (!text || !pb_sbdf_parse(text, &sbdf)) {
        pb_json_fail(&member, "must be an address like \"0000:03:00.0\"");
        return;
    }
    entry = pb_policy_device_default(sbdf);
    member = pb_json_member(at, "name");
    text = read_name(&member);
    if (text)
        (void)snprintf(entry.name, sizeof(entry.name), "%s", text);
    read_device_policy(at, &entry);
    check_device(r, at, &entry);
    if (!failed(r))
        add_device(r, at, &entry);
}

static void read_devices(struct pb_config_reader *r, const struct pb_json *at)
{
    size_t count = pb_json_array(at);

    for (size_t i = 0; i < count && !failed(r); i++) {
        struct pb_json element = pb_json_element(at, i);

        read_device(r, &element);
    }
}

/* This version serves one topology, so an entry says nothing yet; it is still checked in full. */
static void read_guest(struct pb_config_reader *r, const struct pb_json *at)
{
    static const char *const keys[] = { "name", "topology", NULL };
    struct pb_config_guest *grown;
    struct pb_json member;
    const char *name;

    if (!pb_json_object(at, keys))
        return;
    member = pb_json_member(at, "topology");
    read_topology(&member);
    member = pb_json_member(at, "name");
    name = need(at, &member) ? read_name(&member) : NULL;
    if (!name)
        return;
    for (size_t i = 0; i < r->guest_count; i++) {
        if (strcmp(r->guests[i].name, name) == 0)
            pb_json_fail(at, "\"%s\" has an entry already, in %s: /guests/%zu", name,
                         r->guests[i].place.source, r->guests[i].place.index);
    }
    grown = reallocarray(r->guests, r->guest_count + 1, sizeof(*grown));
    if (!grown) {
        pb_json_fail(at, "%s", strerror(ENOMEM));
        return;
    }
    r->guests = grown;
    grown += r->guest_count++;
    *grown = (struct pb_config_guest){ .place = { .source = at->source, .index = at->index } };
    (void)snprintf(grown->name, sizeof(grown->name), "%s", name);
}

static void read_guests(struct pb_config_reader *r, const struct pb_json *at)
{
    size_t count = pb_json_array(at);

    for (size_t i = 0; i < count && !failed(r); i++) {
        struct pb_json element = pb_json_element(at, i);

        read_guest(r, &element);
    }
}

/* Better refused than silently ignored: what it asks for would not happen. */
static void refuse_entries(const struct pb_json *at)
{
    if (pb_json_array(at) > 0)
        pb_json_fail(at, NOT_SERVED);
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
        { "control", read_control },       { "backend", read_backend },
        { "devices", read_devices },       { "slots", read_slots },
        { "guests", read_guests },         { "limits", read_limits },
        { "quirk_dirs", read_quirk_dirs }, { "plugin_dirs", read_plugin_dirs },
        { "disable", read_disable },
    };
    struct pb_json top = pb_json_root(root, source, r->error), member;

    if (!pb_json_object(&top, keys))
        return;
    member = pb_json_member(&top, "state_dir");
    read_path(&member, r->config->state_dir, sizeof(r->config->state_dir));
    member = pb_json_member(&top, "assignments");
    refuse_entries(&member);
    for (unsigned i = 0; i < PB_ARRAY_SIZE(parts) && !failed(r); i++) {
        member = pb_json_member(&top, parts[i].key);
        parts[i].read(r, &member);
    }
}
