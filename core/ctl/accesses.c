/* SPDX-License-Identifier: MIT */
/* What guests did to a device: writes that were refused, the trace, and the quirk to write. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/print.h"
#include "ctl/table.h"

#define TEXT 1024

static void hex(struct pb_table *table, const json_t *object, const char *key, unsigned digits)
{
    pb_table_add(table, "0x%0*llx", (int)digits, pb_ctl_number(object, key));
}

void pb_ctl_print_denied(const struct pb_ctl_command *command, const json_t *result)
{
    static const char *const headers[] = { "OFFSET",     "SIZE",     "BITS",   "COUNT",
                                           "LAST VALUE", "REGISTER", "DANGER", NULL };
    const json_t *denied = json_object_get(result, "denied");
    unsigned long long lost = pb_ctl_number(result, "lost");
    struct pb_table table;

    if (json_array_size(denied) == 0) {
        (void)printf("%s: no write was refused since it was claimed\n", command->device);
        return;
    }
    pb_table_init(&table, headers);
    for (size_t i = 0; i < json_array_size(denied); i++) {
        const json_t *entry = json_array_get(denied, i);
        unsigned size = (unsigned)(pb_ctl_number(entry, "size") & 7);
        char text[TEXT];

        hex(&table, entry, "offset", 2);
        pb_table_add(&table, "%u", size);
        hex(&table, entry, "bits", 2 * size);
        pb_table_add(&table, "%llu", pb_ctl_number(entry, "count"));
        hex(&table, entry, "value", 2 * size);
        pb_table_add(&table, "%s", pb_ctl_cell(entry, "register", text, sizeof(text)));
        pb_table_add(&table, "%s", pb_ctl_cell(entry, "danger", text, sizeof(text)));
    }
    pb_table_print(&table);
    if (lost)
        (void)printf("and %llu writes to further registers, which are not listed\n", lost);
}

static void print_notes(const json_t *result)
{
    const json_t *left_out = json_object_get(result, "left_out");
    const json_t *quirks = json_object_get(json_object_get(result, "manifest"), "quirks");
    char text[TEXT];

    for (size_t i = 0; i < json_array_size(left_out); i++)
        (void)fprintf(
            stderr, "left out: %s\n",
            pb_ctl_clean(json_string_value(json_array_get(left_out, i)), text, sizeof(text)));
    for (size_t i = 0; i < json_array_size(quirks); i++) {
        const json_t *quirk = json_array_get(quirks, i);

        if (json_is_true(json_object_get(quirk, "unsafe")))
            (void)fprintf(stderr,
                          "dangerous: %s opens registers that can harm the host; see \"why\""
                          " of each field\n",
                          pb_ctl_cell(quirk, "id", text, sizeof(text)));
    }
}

/* The manifest is alone on stdout, so that it can go to a file. */
void pb_ctl_print_suggestion(const struct pb_ctl_command *command, const json_t *result)
{
    const json_t *manifest = json_object_get(result, "manifest");

    if (json_is_object(manifest))
        pb_ctl_print_json(command, manifest);
    print_notes(result);
}

int pb_ctl_judge_suggestion(const struct pb_ctl_command *command, const json_t *result)
{
    if (json_is_object(json_object_get(result, "manifest")))
        return 0;
    return pb_ctl_complain(command, command->device,
                           "no write was refused that a quirk could allow",
                           "see pcibackctl denied");
}

static void print_entry_json(const json_t *entry)
{
    (void)json_dumpf(entry, stdout, JSON_COMPACT);
    (void)putchar('\n');
}

static void print_entry(const json_t *entry)
{
    unsigned size = (unsigned)(pb_ctl_number(entry, "size") & 7);
    unsigned long long at = pb_ctl_number(entry, "at_ns") / 1000;
    bool write = json_is_true(json_object_get(entry, "write")) || pb_ctl_number(entry, "write");

    (void)printf("%8llu %8llu.%06llu  %-5s 0x%03llx %u  0x%0*llx  0x%0*llx\n",
                 pb_ctl_number(entry, "number"), at / 1000000, at % 1000000,
                 write ? "write" : "read", pb_ctl_number(entry, "offset"), size, (int)(2 * size),
                 pb_ctl_number(entry, "value"), (int)(2 * size), pb_ctl_number(entry, "mask"));
}

void pb_ctl_print_trace(const struct pb_ctl_command *command, const json_t *result)
{
    const json_t *entries = json_object_get(result, "entries");
    unsigned long long lost = pb_ctl_number(result, "lost");
    bool first = !json_object_get(command->params, "since");

    if (command->json) {
        for (size_t i = 0; i < json_array_size(entries); i++)
            print_entry_json(json_array_get(entries, i));
        return;
    }
    if (first)
        (void)printf("%8s %15s  %-5s %-5s S  %-10s  %s\n", "NUMBER", "SECONDS", "DOES", "AT",
                     "VALUE", "BITS");
    if (lost)
        (void)printf("(%llu older accesses are not there any more)\n", lost);
    for (size_t i = 0; i < json_array_size(entries); i++)
        print_entry(json_array_get(entries, i));
}
