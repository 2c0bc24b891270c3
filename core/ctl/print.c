/* SPDX-License-Identifier: MIT */
#include "ctl/print.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "ctl/table.h"

#define TEXT 256

static long long number(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

/* Its assignments, unless all is well. */
static void print_waiting(const json_t *guest)
{
    char name[TEXT], text[2 * TEXT];

    (void)pb_ctl_text(guest, "assignment", text, sizeof(text));
    if (text[0] && strcmp(text, "done") != 0)
        (void)printf("%lld (%s): assignments: %s\n", number(guest, "domid"),
                     pb_ctl_cell(guest, "name", name, sizeof(name)), text);
}

void pb_ctl_print_guests(const struct pb_ctl_command *command, const json_t *result)
{
    static const char *const headers[] = { "DOMID",    "NAME",    "BACKEND", "FRONTEND",
                                           "TOPOLOGY", "DEVICES", "READS",   "WRITES",
                                           "DENIED",   "KIND",    NULL };
    static const char *const keys[] = { "domid",          "name",     "backend_state",
                                        "frontend_state", "topology", "devices" };
    static const char *const counted[] = { "conf_reads", "conf_writes", "denied_writes" };
    const json_t *guests = json_object_get(result, "guests");
    struct pb_table table;

    (void)command;
    pb_table_init(&table, headers);
    for (size_t i = 0; i < json_array_size(guests); i++) {
        const json_t *guest = json_array_get(guests, i);
        const json_t *counters = json_object_get(guest, "counters");
        char text[TEXT];

        for (unsigned k = 0; k < PB_ARRAY_SIZE(keys); k++)
            pb_table_add(&table, "%s", pb_ctl_cell(guest, keys[k], text, sizeof(text)));
        for (unsigned k = 0; k < PB_ARRAY_SIZE(counted); k++)
            pb_table_add(&table, "%lld", number(counters, counted[k]));
        pb_table_add(&table, "%s", pb_ctl_cell(guest, "kind", text, sizeof(text)));
    }
    pb_table_print(&table);
    for (size_t i = 0; i < json_array_size(guests); i++)
        print_waiting(json_array_get(guests, i));
}

static void print_counters(const json_t *result)
{
    static const char *const headers[] = { "COUNTER", "VALUE", "MEANING", NULL };
    json_t *counters = json_object_get(result, "counters");
    const json_t *help = json_object_get(result, "counter_help");
    struct pb_table table;

    pb_table_init(&table, headers);
    for (void *it = json_object_iter(counters); it; it = json_object_iter_next(counters, it)) {
        const char *key = json_object_iter_key(it);
        char name[TEXT], text[TEXT];

        pb_table_add(&table, "%s", pb_ctl_clean(key, name, sizeof(name)));
        pb_table_add(&table, "%lld", (long long)json_integer_value(json_object_iter_value(it)));
        pb_table_add(&table, "%s", pb_ctl_text(help, key, text, sizeof(text)));
    }
    pb_table_print(&table);
}

static void print_last_reload(const json_t *last)
{
    time_t at = (time_t)number(last, "at");
    struct tm tm;
    char text[32];

    if (!json_is_object(last) || !gmtime_r(&at, &tm) ||
        !strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm))
        return;
    (void)printf("last reload: %s, %s\n", text,
                 json_is_true(json_object_get(last, "ok")) ? "done"
                                                           : "refused, see the daemon's log");
}

/* What plugins count themselves. */
static void print_plugin_numbers(const json_t *devices)
{
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *device = json_array_get(devices, i);
        json_t *numbers = json_object_get(device, "plugin_stats");
        char address[TEXT], name[TEXT];

        (void)pb_ctl_text(device, "address", address, sizeof(address));
        for (void *it = json_object_iter(numbers); it; it = json_object_iter_next(numbers, it))
            (void)printf("%s %s: %lld\n", address,
                         pb_ctl_clean(json_object_iter_key(it), name, sizeof(name)),
                         (long long)json_integer_value(json_object_iter_value(it)));
    }
}

static void print_journal(const json_t *journal)
{
    if (!json_is_object(journal))
        return;
    (void)printf("journal: %lld guests, %lld devices, %lld KiB", number(journal, "guests"),
                 number(journal, "devices"), number(journal, "bytes") / 1024);
    if (number(journal, "lost_parts") > 0)
        (void)printf("; %lld parts were damaged at the start", number(journal, "lost_parts"));
    (void)printf("\n");
}

static void print_control(const json_t *control)
{
    if (!json_is_object(control))
        return;
    (void)printf("control socket: %lld messages, %lld of them too early; %lld connections refused, "
                 "%lld dropped; longest turn %lld us\n",
                 number(control, "messages"), number(control, "delayed"),
                 number(control, "refused"), number(control, "dropped"),
                 number(control, "longest_turn_us"));
}

/* Of LIMITS, and not of bounds, it is known how far they are used. */
static void print_limits(json_t *limits, bool with_use)
{
    const char *const of_limits[] = { "LIMIT", "VALUE", "USED", "MOST", "MEANING", NULL };
    const char *const of_bounds[] = { "BOUND", "VALUE", "MEANING", NULL };
    struct pb_table table;

    pb_table_init(&table, with_use ? of_limits : of_bounds);
    for (void *it = json_object_iter(limits); it; it = json_object_iter_next(limits, it)) {
        const char *key = json_object_iter_key(it);
        const json_t *limit = json_object_iter_value(it);
        char name[TEXT], text[TEXT];

        pb_table_add(&table, "%s", pb_ctl_clean(key, name, sizeof(name)));
        pb_table_add(&table, "%lld", number(limit, "value"));
        if (with_use) {
            pb_table_add(&table, "%s", pb_ctl_cell(limit, "used", text, sizeof(text)));
            pb_table_add(&table, "%s", pb_ctl_cell(limit, "most", text, sizeof(text)));
        }
        pb_table_add(&table, "%s", pb_ctl_text(limit, "help", text, sizeof(text)));
    }
    pb_table_print(&table);
}

void pb_ctl_print_stats(const struct pb_ctl_command *command, const json_t *result)
{

    if (command->prometheus) {
        pb_ctl_print_prometheus(result);
        return;
    }
    (void)printf("up for %lld s; generation %lld: %lld quirks from %lld files\n",
                 number(result, "uptime_ms") / 1000, number(result, "generation"),
                 number(result, "quirks"), number(result, "files"));
    print_last_reload(json_object_get(result, "last_reload"));
    print_journal(json_object_get(result, "journal"));
    print_control(json_object_get(result, "control"));
    (void)printf("\n");
    print_counters(result);
    print_plugin_numbers(json_object_get(result, "devices"));
    (void)printf("\n");
    print_limits(json_object_get(result, "limits"), true);
    (void)printf("\n");
    print_limits(json_object_get(result, "bounds"), false);
}

void pb_ctl_print_check(const struct pb_ctl_command *command, const json_t *result)
{
    char file[TEXT];

    (void)command;
    pb_ctl_print_problem_list(json_object_get(result, "problems"));
    if (!json_is_true(json_object_get(result, "valid")))
        return; /* the verdict says it */
    (void)pb_ctl_text(result, "file", file, sizeof(file));
    (void)printf("%s: valid, %lld file%s read; %lld quirks from %lld files\n", file,
                 number(result, "files_read"), number(result, "files_read") == 1 ? "" : "s",
                 number(result, "quirks"), number(result, "quirk_files"));
}

int pb_ctl_judge_check(const struct pb_ctl_command *command, const json_t *result)
{
    char error[2 * TEXT];

    if (json_is_true(json_object_get(result, "valid")))
        return 0;
    return pb_ctl_complain(command, "", pb_ctl_text(result, "error", error, sizeof(error)),
                           "the running daemon is not changed");
}

void pb_ctl_print_version(const struct pb_ctl_command *command, const json_t *result)
{
    char version[TEXT];

    (void)command;
    (void)printf("pcibackctl %s\npcibackd %s\n", PB_VERSION,
                 pb_ctl_text(result, "version", version, sizeof(version)));
}
