/* SPDX-License-Identifier: MIT */
/* Devices: in a table, in full, and after a change. */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "ctl/print.h"
#include "ctl/table.h"

#define TEXT 256

static long long number(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

/* "0x8086" without its prefix, as lspci writes it. */
static const char *id(const json_t *device, const char *key, char *buf, size_t size)
{
    const char *text = pb_ctl_text(device, key, buf, size);

    return strncmp(text, "0x", 2) == 0 ? text + 2 : text;
}

/* "Ethernet controller [0200]: Intel Corporation 82574L [8086:10d3] (rev 01)" */
static void describe(const json_t *device, char *ret, size_t size)
{
    char type[TEXT], vendor[TEXT], model[TEXT], code[16], ids[2][16], revision[16];

    if (!json_is_string(json_object_get(device, "vendor"))) {
        (void)snprintf(ret, size, "-");
        return;
    }
    (void)pb_ctl_text(device, "class_text", type, sizeof(type));
    (void)pb_ctl_text(device, "vendor_text", vendor, sizeof(vendor));
    (void)pb_ctl_text(device, "device_text", model, sizeof(model));
    (void)snprintf(ret, size, "%s [%.4s]: %s%s%s [%s:%s] (rev %s)", type[0] ? type : "Class",
                   id(device, "class", code, sizeof(code)), vendor[0] ? vendor : "Device",
                   model[0] ? " " : "", model, id(device, "vendor", ids[0], sizeof(ids[0])),
                   id(device, "device", ids[1], sizeof(ids[1])),
                   id(device, "revision", revision, sizeof(revision)));
}

/* "3 (netvm)", "-" */
static void describe_owner(const json_t *device, char *ret, size_t size)
{
    const json_t *owner = json_object_get(device, "owner");
    char name[TEXT];

    if (!json_is_object(owner))
        (void)snprintf(ret, size, "-");
    else if (pb_ctl_text(owner, "name", name, sizeof(name))[0])
        (void)snprintf(ret, size, "%lld (%s)", number(owner, "domid"), name);
    else
        (void)snprintf(ret, size, "%lld", number(owner, "domid"));
}

/* "msi-x 3", "intx", "-" */
static void describe_interrupt(const json_t *device, char *ret, size_t size)
{
    char kind[16];
    long long vectors = number(device, "vectors");

    (void)pb_ctl_text(device, "interrupt", kind, sizeof(kind));
    if (strcmp(kind, "none") == 0)
        (void)snprintf(ret, size, "-");
    else if (vectors > 0)
        (void)snprintf(ret, size, "%s %lld", kind, vectors);
    else
        (void)snprintf(ret, size, "%s", kind);
}

static void join(const json_t *array, const char *between, char *ret, size_t size)
{
    char word[TEXT];
    size_t n = 0;

    ret[0] = '\0';
    for (size_t i = 0; i < json_array_size(array) && n < size; i++)
        n += (size_t)snprintf(
            ret + n, size - n, "%s%s", i ? between : "",
            pb_ctl_clean(json_string_value(json_array_get(array, i)), word, sizeof(word)));
}

/* What somebody should know before they use it. */
static void print_device_notes(const json_t *device)
{
    const json_t *plugins = json_object_get(device, "plugins");
    char address[TEXT], text[TEXT], more[2 * TEXT];

    (void)pb_ctl_text(device, "address", address, sizeof(address));
    if (json_is_true(json_object_get(device, "tainted")))
        (void)printf("%s: tainted: it was taken from domain %lld, which still lives\n", address,
                     number(device, "tainted_by"));
    (void)pb_ctl_text(device, "assign", text, sizeof(text));
    /* Whether --force helps depends on who says so: `why` tells. */
    if (strcmp(text, "warn") == 0 || strcmp(text, "deny") == 0)
        (void)printf("%s: giving it to a guest is %s: %s\n", address,
                     strcmp(text, "warn") == 0 ? "warned of" : "denied",
                     pb_ctl_cell(device, "assign_reason", more, sizeof(more)));
    for (size_t i = 0; i < json_array_size(plugins); i++) {
        const json_t *plugin = json_array_get(plugins, i);

        if (json_is_true(json_object_get(plugin, "disabled")))
            (void)printf("%s: plugin %s is switched off: %s\n", address,
                         pb_ctl_cell(plugin, "name", text, sizeof(text)),
                         pb_ctl_cell(plugin, "why", more, sizeof(more)));
    }
}

/* `show` has a line for it. */
static void print_cause(const json_t *device)
{
    char address[TEXT], state[TEXT], cause[2 * TEXT];

    if (pb_ctl_text(device, "cause", cause, sizeof(cause))[0])
        (void)printf("%s: %s: %s\n", pb_ctl_text(device, "address", address, sizeof(address)),
                     pb_ctl_text(device, "state", state, sizeof(state)), cause);
}

void pb_ctl_print_list(const struct pb_ctl_command *command, const json_t *result)
{
    static const char *const headers[] = { "ADDRESS",   "NAME",   "STATE",  "OWNER", "DRIVER",
                                           "INTERRUPT", "QUIRKS", "DEVICE", NULL };
    const json_t *devices = json_object_get(result, "devices");
    struct pb_table table;

    (void)command;
    pb_table_init(&table, headers);
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *device = json_array_get(devices, i);
        char text[4 * TEXT];

        pb_table_add(&table, "%s", pb_ctl_text(device, "address", text, sizeof(text)));
        pb_table_add(&table, "%s", pb_ctl_cell(device, "name", text, sizeof(text)));
        pb_table_add(&table, "%s", pb_ctl_text(device, "state", text, sizeof(text)));
        describe_owner(device, text, sizeof(text));
        pb_table_add(&table, "%s", text);
        pb_table_add(&table, "%s", pb_ctl_cell(device, "driver", text, sizeof(text)));
        describe_interrupt(device, text, sizeof(text));
        pb_table_add(&table, "%s", text);
        pb_table_add(&table, "%zu", json_array_size(json_object_get(device, "quirks")));
        describe(device, text, sizeof(text));
        pb_table_add(&table, "%s", text);
    }
    pb_table_print(&table);
    for (size_t i = 0; i < json_array_size(devices); i++) {
        print_cause(json_array_get(devices, i));
        print_device_notes(json_array_get(devices, i));
    }
}

static void print_words(const char *label, const json_t *array)
{
    char all[TEXT];

    join(array, " ", all, sizeof(all));
    pb_ctl_line(label, pb_ctl_or_dash(all));
}

static void print_plugins(const json_t *plugins)
{
    for (size_t i = 0; i < json_array_size(plugins); i++) {
        const json_t *plugin = json_array_get(plugins, i);
        char text[2 * TEXT], name[TEXT], quirk[TEXT];

        (void)snprintf(text, sizeof(text), "%.64s for %.80s: %lld calls, %lld slow, %lld faults%s",
                       pb_ctl_cell(plugin, "name", name, sizeof(name)),
                       pb_ctl_cell(plugin, "quirk", quirk, sizeof(quirk)), number(plugin, "calls"),
                       number(plugin, "slow"), number(plugin, "faults"),
                       json_is_true(json_object_get(plugin, "disabled")) ? ", switched off" : "");
        pb_ctl_line("plugin", text);
    }
}

/* "0000:03:00.1 (e1000e): function, reset" */
static void print_neighbours(const json_t *device)
{
    const json_t *neighbours = json_object_get(device, "neighbours");

    for (size_t i = 0; i < json_array_size(neighbours); i++) {
        const json_t *neighbour = json_array_get(neighbours, i);
        char address[TEXT], driver[TEXT], shares[TEXT], text[4 * TEXT];

        (void)pb_ctl_text(neighbour, "driver", driver, sizeof(driver));
        join(json_object_get(neighbour, "shares"), ", ", shares, sizeof(shares));
        (void)snprintf(text, sizeof(text), "%s%s%s%s: %s",
                       pb_ctl_cell(neighbour, "address", address, sizeof(address)),
                       driver[0] ? " (" : "", driver, driver[0] ? ")" : "", shares);
        pb_ctl_line("shares with", text);
    }
    if (json_is_true(json_object_get(device, "more_neighbours")))
        pb_ctl_line("shares with", "more, which are not listed");
}

/* "netvm: done" */
static void print_assignment(const json_t *assignment)
{
    char guest[TEXT], outcome[2 * TEXT], text[4 * TEXT];

    if (!json_is_object(assignment))
        return;
    (void)pb_ctl_text(assignment, "outcome", outcome, sizeof(outcome));
    (void)snprintf(text, sizeof(text), "%s%s%s",
                   pb_ctl_cell(assignment, "guest", guest, sizeof(guest)), outcome[0] ? ": " : "",
                   outcome);
    pb_ctl_line("assignment", text);
}

void pb_ctl_print_show(const struct pb_ctl_command *command, const json_t *result)
{
    static const struct {
        const char *label, *key;
    } plain[] = {
        { "path", "path" },
        { "hotplug port", "port" },
        { "host needs it", "uses_text" },
        { "of function", "physical_function" },
        { "enabled VFs", "virtual_functions" },
        { "driver", "driver" },
        { "driver before", "driver_before" },
        { "adopted from xl", "adopted" },
        { "irq", "irq" },
        { "quarantined", "quarantined" },
        { "tainted", "tainted" },
        { "permissive", "permissive" },
        { "MSI-X prepared", "msix_prepared" },
        { "virtual function", "virtual_function" },
        { "resets", "resets" },
        { "last reset, ms", "reset_ms" },
        { "guest's resets", "guest_resets" },
        { "reserved again", "reservation_rewrites" },
        { "denied writes", "denied_writes" },
    };
    const json_t *device = json_object_get(result, "device");
    const json_t *owner = json_object_get(device, "owner");
    char text[4 * TEXT], more[TEXT];

    (void)command;
    pb_ctl_line("address", pb_ctl_text(device, "address", text, sizeof(text)));
    pb_ctl_line("name", pb_ctl_cell(device, "name", text, sizeof(text)));
    describe(device, text, sizeof(text));
    pb_ctl_line("device", text);
    (void)snprintf(text, sizeof(text), "%s:%s",
                   id(device, "subsystem_vendor", more, sizeof(more) / 2),
                   id(device, "subsystem_device", more + sizeof(more) / 2, sizeof(more) / 2));
    pb_ctl_line("subsystem", text[1] ? text : "-");
    pb_ctl_line("state", pb_ctl_text(device, "state", text, sizeof(text)));
    pb_ctl_line("cause", pb_ctl_cell(device, "cause", text, sizeof(text)));
    describe_owner(device, text, sizeof(text));
    pb_ctl_line("owner", text);
    if (json_is_object(owner))
        pb_ctl_line("address there", pb_ctl_text(owner, "address", text, sizeof(text)));
    print_assignment(json_object_get(device, "assignment"));
    describe_interrupt(device, text, sizeof(text));
    pb_ctl_line("interrupt", text);
    for (unsigned i = 0; i < PB_ARRAY_SIZE(plain); i++)
        pb_ctl_line(plain[i].label, pb_ctl_cell(device, plain[i].key, text, sizeof(text)));
    print_words("reset methods", json_object_get(device, "reset_methods"));
    print_words("quirks", json_object_get(device, "quirks"));
    print_plugins(json_object_get(device, "plugins"));
    print_neighbours(device);
    print_device_notes(device);
}

void pb_ctl_print_change(const struct pb_ctl_command *command, const json_t *result)
{
    const json_t *device = json_object_get(result, "device");
    char address[TEXT], state[TEXT], owner[2 * TEXT];

    if (!json_is_object(device)) {
        (void)printf("%s: done\n", command->device);
        return;
    }
    (void)pb_ctl_text(device, "address", address, sizeof(address));
    (void)pb_ctl_text(device, "state", state, sizeof(state));
    describe_owner(device, owner, sizeof(owner));
    if (owner[0] == '-')
        (void)printf("%s: %s\n", address, state);
    else
        (void)printf("%s: %s to %s\n", address, state, owner);
}
