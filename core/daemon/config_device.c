/* SPDX-License-Identifier: MIT */
/* `devices` of the configuration: what a device is, and how it is treated. */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "daemon/config_read.h"

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

static void read_driver(const struct pb_json *at, char *ret)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_-.";
    const char *text = pb_json_text(at, PB_DRIVER_NAME - 1, NULL);

    if (!text)
        return;
    if (!text[0] || text[0] == '.' || text[strspn(text, allowed)])
        pb_json_fail(at, "must be a driver's name in /sys/bus/pci/drivers, or \"none\"");
    else if (strcmp(text, "xen-pciback") == 0)
        pb_json_fail(at, "must be \"pciback\": xen-pciback is the module that has this driver");
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

        word = pb_config_word(&element, reset_methods, PB_ARRAY_SIZE(reset_methods),
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

/* "DD.F/DD.F...": functions behind bridges, "" none; in the spelling of struct pb_surroundings. */
static bool read_bridges(const char *text, char *ret, size_t size, uint8_t *devfn)
{
    while (*text) {
        size_t length = strcspn(text, "/"), n = strlen(ret);
        char one[8] = "0:";
        struct pb_sbdf sbdf;

        /* read by the rules of addresses, on a bus that does not matter */
        if (length > 4)
            return false;
        memcpy(one + 2, text, length);
        if (!pb_sbdf_parse(one, &sbdf))
            return false;
        *devfn = sbdf.devfn;
        if ((size_t)snprintf(ret + n, size - n, "/%02x.%x", (unsigned)PB_DEVFN_DEV(*devfn),
                             (unsigned)PB_DEVFN_FN(*devfn)) >= size - n)
            return false;
        text += length;
        if (*text && !*++text)
            return false; /* nothing behind the slash */
    }
    return true;
}

/* "0000:00:1c.0/00.0"; other spellings of the same become this one. */
static void read_device_path(const struct pb_json *at, struct pb_device_policy *entry)
{
    const char *text = pb_json_text(at, PB_PATH_TEXT - 1, NULL);
    const char *slash = text ? strchr(text, '/') : NULL;
    char root[PB_SBDF_TEXT];
    struct pb_sbdf sbdf;
    uint8_t devfn;
    bool good;

    if (!at->value)
        return;
    good = text && (slash ? (size_t)(slash - text) : strlen(text)) < sizeof(root);
    if (good) {
        (void)snprintf(root, sizeof(root), "%.*s", (int)strcspn(text, "/"), text);
        good = pb_sbdf_parse(root, &sbdf);
    }
    if (good) {
        (void)pb_sbdf_format(sbdf, entry->path);
        devfn = sbdf.devfn;
        good = !slash ||
               (slash[1] && read_bridges(slash + 1, entry->path, sizeof(entry->path), &devfn));
    }
    if (!good)
        pb_json_fail(at, "must be a path from the host bridge like \"0000:00:1c.0/00.0\"");
    else if (devfn != entry->sbdf.devfn || (!slash && !pb_sbdf_equal(sbdf, entry->sbdf)))
        pb_json_fail(at, "leads to another device than \"bdf\"");
}

/* An id that the device must have; false: any will do. */
static bool read_id(const struct pb_json *at, const char *key, uint16_t *ret)
{
    struct pb_json member = pb_json_member(at, key);

    *ret = (uint16_t)pb_json_number(&member, 0, UINT16_MAX, 0);
    return member.value != NULL;
}

static void read_identity(const struct pb_json *at, struct pb_device_policy *entry)
{
    struct pb_json path = pb_json_member(at, "path");

    read_device_path(&path, entry);
    entry->has_vendor = read_id(at, "vendor", &entry->vendor);
    entry->has_device = read_id(at, "device", &entry->device);
    entry->has_subsystem_vendor = read_id(at, "subsystem_vendor", &entry->subsystem_vendor);
    entry->has_subsystem_device = read_id(at, "subsystem_device", &entry->subsystem_device);
}

/* The parts of an entry that have sensible defaults. */
static void read_device_policy(const struct pb_json *at, struct pb_device_policy *entry)
{
    struct pb_json member = pb_json_member(at, "driver");

    read_driver(&member, entry->driver);
    member = pb_json_member(at, "permissive");
    entry->permissive = pb_json_bool(&member, false);
    member = pb_json_member(at, "allow_interrupt_control");
    entry->allow_interrupt_control = pb_json_bool(&member, false);
    member = pb_json_member(at, "reset");
    entry->reset = (enum pb_reset_policy)pb_config_word(
        &member, reset_policies, PB_ARRAY_SIZE(reset_policies), entry->reset);
    member = pb_json_member(at, "reset_method");
    read_reset_method(&member, entry->reset_method, sizeof(entry->reset_method));
    member = pb_json_member(at, "assign");
    entry->has_assign = member.value != NULL;
    entry->assign = (enum pb_assign)pb_config_word(&member, assign_policies,
                                                   PB_ARRAY_SIZE(assign_policies), entry->assign);
    member = pb_json_member(at, "reassign_while_alive");
    entry->reassign_while_alive = pb_json_bool(&member, false);
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

    if (pb_config_grow(at, (void **)&policy->devices, policy->device_count, sizeof(*entry),
                       &r->device_places))
        policy->devices[policy->device_count++] = *entry;
}

static void read_device(struct pb_config_reader *r, const struct pb_json *at)
{
    static const char *const keys[] = {
        "name",
        "bdf",
        "path",
        "vendor",
        "device",
        "subsystem_vendor",
        "driver",
        "permissive",
        "subsystem_device",
        "reset",
        "assign",
        "allow_interrupt_control",
        "reset_method",
        "reassign_while_alive",
        NULL,
    };
    struct pb_device_policy entry;
    struct pb_json member;
    struct pb_sbdf sbdf;
    const char *text;

    if (!pb_json_object(at, keys))
        return;
    member = pb_json_member(at, "bdf");
    if (!pb_config_need(at, &member))
        return;
    text = pb_json_text(&member, PB_CONFIG_PATH_MAX, NULL);
    if (!text || !pb_sbdf_parse(text, &sbdf)) {
        pb_json_fail(&member, "must be an address like \"0000:03:00.0\"");
        return;
    }
    entry = pb_policy_device_default(sbdf);
    member = pb_json_member(at, "name");
    text = pb_config_name(&member);
    if (text)
        (void)snprintf(entry.name, sizeof(entry.name), "%s", text);
    read_identity(at, &entry);
    read_device_policy(at, &entry);
    check_device(r, at, &entry);
    if (!r->error->set)
        add_device(r, at, &entry);
}

void pb_config_read_devices(struct pb_config_reader *r, const struct pb_json *at)
{
    size_t count = pb_json_array(at);

    for (size_t i = 0; i < count && !r->error->set; i++) {
        struct pb_json element = pb_json_element(at, i);

        read_device(r, &element);
    }
}
