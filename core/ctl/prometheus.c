/* SPDX-License-Identifier: MIT */
/* `stats --prometheus`: text exposition format 0.0.4. */
#include <stdio.h>
#include <string.h>

#include "ctl/print.h"

#define TEXT 256

static long long number(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

/* ,KEY="VALUE" with what the format wants escaped. */
static void label(const char *key, const char *value, bool first)
{
    (void)printf("%s%s=\"", first ? "" : ",", key);
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            (void)putchar('\\');
        (void)putchar(*value);
    }
    (void)putchar('"');
}

static void head(const char *name, const char *type, const char *help)
{
    (void)printf("# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void labels_of(const json_t *object, const char *first_key, const char *first_label,
                      const char *name_label)
{
    char text[TEXT];

    (void)putchar('{');
    label(first_label, pb_ctl_text(object, first_key, text, sizeof(text)), true);
    label(name_label, pb_ctl_text(object, "name", text, sizeof(text)), false);
    (void)putchar('}');
}

static void print_counter(const json_t *result, const char *key, long long total)
{
    const json_t *guests = json_object_get(result, "guests");
    char help[TEXT], name[TEXT], clean[TEXT];

    (void)pb_ctl_clean(key, clean, sizeof(clean));
    (void)pb_ctl_text(json_object_get(result, "counter_help"), key, help, sizeof(help));
    (void)snprintf(name, sizeof(name), "pcibackd_%.100s_total", clean);
    head(name, "counter", help);
    (void)printf("%s %lld\n", name, total);
    if (json_array_size(guests) == 0)
        return;
    (void)snprintf(name, sizeof(name), "pcibackd_guest_%.100s_total", clean);
    head(name, "counter", help);
    for (size_t i = 0; i < json_array_size(guests); i++) {
        const json_t *guest = json_array_get(guests, i);

        (void)printf("%s", name);
        labels_of(guest, "domid", "domid", "guest");
        (void)printf(" %lld\n", number(json_object_get(guest, "counters"), key));
    }
}

static void print_device_metric(const json_t *devices, const char *key, const char *name,
                                const char *type, const char *help, double scale)
{
    if (json_array_size(devices) == 0)
        return;
    head(name, type, help);
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *device = json_array_get(devices, i);

        (void)printf("%s", name);
        labels_of(device, "address", "address", "device");
        (void)printf(" %.12g\n", (double)number(device, key) * scale);
    }
}

static void print_states(json_t *states)
{
    head("pcibackd_devices", "gauge", "devices by state");
    for (void *it = json_object_iter(states); it; it = json_object_iter_next(states, it)) {
        const char *state = json_object_iter_key(it);
        char clean[TEXT];

        (void)printf("pcibackd_devices{");
        label("state", pb_ctl_clean(state, clean, sizeof(clean)), true);
        (void)printf("} %lld\n", (long long)json_integer_value(json_object_iter_value(it)));
    }
}

/* KEY is "value" or "used"; not every limit has the latter. */
static void print_limits(json_t *limits, const char *key, const char *name, const char *help)
{
    head(name, "gauge", help);
    for (void *it = json_object_iter(limits); it; it = json_object_iter_next(limits, it)) {
        const char *limit = json_object_iter_key(it);
        const json_t *entry = json_object_iter_value(it);
        char clean[TEXT];

        if (!json_object_get(entry, key))
            continue;
        (void)printf("%s{", name);
        label("limit", pb_ctl_clean(limit, clean, sizeof(clean)), true);
        (void)printf("} %lld\n", number(entry, key));
    }
}

static void print_gauge(const char *name, const char *help, long long value)
{
    head(name, "gauge", help);
    (void)printf("%s %lld\n", name, value);
}

static void print_control(const json_t *control)
{
    static const struct {
        const char *key, *name, *help;
    } rows[] = {
        { "messages", "pcibackd_control_messages_total", "messages at the control socket" },
        { "delayed", "pcibackd_control_delayed_total", "of those, how many came too fast" },
        { "refused", "pcibackd_control_refused_total", "connections beyond a limit" },
        { "dropped", "pcibackd_control_dropped_total", "clients that did not read, or made place" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        head(rows[i].name, "counter", rows[i].help);
        (void)printf("%s %lld\n", rows[i].name, number(control, rows[i].key));
    }
    head("pcibackd_control_longest_turn_seconds", "gauge", "how long others waited for it at most");
    (void)printf("pcibackd_control_longest_turn_seconds %.12g\n",
                 (double)number(control, "longest_turn_us") * 1e-6);
}

/* What is in force. A daemon that was never reloaded has read it well at its start. */
static void print_generation(const json_t *result)
{
    const json_t *last = json_object_get(result, "last_reload");
    bool failed = json_is_false(json_object_get(last, "ok"));

    print_gauge("pcibackd_generation", "which reading of configuration and quirks is in force",
                number(result, "generation"));
    print_gauge("pcibackd_quirks", "quirks in force", number(result, "quirks"));
    print_gauge("pcibackd_quirk_files", "manifests in force", number(result, "files"));
    print_gauge("pcibackd_last_reload_success", "1: the last reload was done, 0: it was refused",
                failed ? 0 : 1);
    if (json_is_object(last))
        print_gauge("pcibackd_last_reload_timestamp_seconds", "when that was", number(last, "at"));
}

static void plugin_labels(const json_t *device, const json_t *plugin)
{
    char text[TEXT];

    (void)putchar('{');
    label("address", pb_ctl_text(device, "address", text, sizeof(text)), true);
    label("device", pb_ctl_text(device, "name", text, sizeof(text)), false);
    label("plugin", pb_ctl_text(plugin, "name", text, sizeof(text)), false);
    label("quirk", pb_ctl_text(plugin, "quirk", text, sizeof(text)), false);
    (void)putchar('}');
}

static void print_plugin_metric(const json_t *devices, const char *key, const char *name,
                                const char *type, const char *help, double scale)
{
    bool headed = false;

    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *device = json_array_get(devices, i);
        const json_t *plugins = json_object_get(device, "plugins");

        for (size_t k = 0; k < json_array_size(plugins); k++) {
            const json_t *plugin = json_array_get(plugins, k);
            bool on = json_is_true(json_object_get(plugin, key));

            if (!headed)
                head(name, type, help);
            headed = true;
            (void)printf("%s", name);
            plugin_labels(device, plugin);
            (void)printf(" %.12g\n", on ? 1 : (double)number(plugin, key) * scale);
        }
    }
}

/* What plugins count themselves; what it means is theirs to say. */
static void print_plugin_numbers(const json_t *devices)
{
    bool headed = false;

    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *device = json_array_get(devices, i);
        json_t *numbers = json_object_get(device, "plugin_stats");

        for (void *it = json_object_iter(numbers); it; it = json_object_iter_next(numbers, it)) {
            char text[TEXT];

            if (!headed)
                head("pcibackd_plugin_number", "gauge", "a number that a plugin counts");
            headed = true;
            (void)printf("pcibackd_plugin_number{");
            label("address", pb_ctl_text(device, "address", text, sizeof(text)), true);
            label("device", pb_ctl_text(device, "name", text, sizeof(text)), false);
            label("number", pb_ctl_clean(json_object_iter_key(it), text, sizeof(text)), false);
            (void)printf("} %lld\n", (long long)json_integer_value(json_object_iter_value(it)));
        }
    }
}

static void print_plugins(const json_t *devices)
{
    print_plugin_metric(devices, "calls", "pcibackd_plugin_calls_total", "counter",
                        "calls of the plugin since the guest got the device", 1);
    print_plugin_metric(devices, "slow", "pcibackd_plugin_slow_calls_total", "counter",
                        "of those, how many took more than a millisecond", 1);
    print_plugin_metric(devices, "faults", "pcibackd_plugin_faults_total", "counter",
                        "answers of the plugin that it may not give", 1);
    print_plugin_metric(devices, "longest_us", "pcibackd_plugin_longest_call_seconds", "gauge",
                        "how long its longest call took", 1e-6);
    print_plugin_metric(devices, "disabled", "pcibackd_plugin_disabled", "gauge",
                        "1: switched off after too many slow calls or faults", 1);
    print_plugin_numbers(devices);
}

static void print_journal(const json_t *journal)
{
    static const struct {
        const char *key, *name, *help;
    } rows[] = {
        { "guests", "pcibackd_journal_guests", "guests that the next daemon would take up" },
        { "devices", "pcibackd_journal_devices", "devices that the next daemon would know of" },
        { "bytes", "pcibackd_journal_bytes", "of the file system, for that" },
        { "lost_parts", "pcibackd_journal_lost_parts", "parts found damaged at the start" },
    };

    for (size_t i = 0; json_is_object(journal) && i < sizeof(rows) / sizeof(rows[0]); i++)
        print_gauge(rows[i].name, rows[i].help, number(journal, rows[i].key));
}

void pb_ctl_print_prometheus(const json_t *result)
{
    const json_t *devices = json_object_get(result, "devices");
    json_t *limits = json_object_get(result, "limits");
    json_t *counters = json_object_get(result, "counters");

    head("pcibackd_uptime_seconds", "gauge", "time since the daemon started");
    (void)printf("pcibackd_uptime_seconds %.3f\n", (double)number(result, "uptime_ms") / 1000);
    print_generation(result);
    for (void *it = json_object_iter(counters); it; it = json_object_iter_next(counters, it)) {
        print_counter(result, json_object_iter_key(it),
                      (long long)json_integer_value(json_object_iter_value(it)));
    }
    print_states(json_object_get(result, "device_states"));
    print_device_metric(devices, "denied_writes", "pcibackd_device_denied_writes_total", "counter",
                        "writes of which some bits were refused", 1);
    print_device_metric(devices, "resets", "pcibackd_device_resets_total", "counter",
                        "resets of the device", 1);
    print_device_metric(devices, "guest_resets", "pcibackd_device_guest_resets_total", "counter",
                        "function level resets that a guest asked for", 1);
    print_device_metric(devices, "reservation_rewrites",
                        "pcibackd_device_reservation_rewrites_total", "counter",
                        "reservations in /libxl/pci that others had changed", 1);
    print_device_metric(devices, "reset_ms", "pcibackd_device_last_reset_seconds", "gauge",
                        "how long the last reset took", 0.001);
    print_plugins(devices);
    print_limits(limits, "value", "pcibackd_limit", "limits of the configuration");
    print_limits(limits, "used", "pcibackd_limit_used", "how far a limit is used");
    print_limits(limits, "most", "pcibackd_limit_most", "how far it was used since the start");
    print_control(json_object_get(result, "control"));
    print_journal(json_object_get(result, "journal"));
}
