/* SPDX-License-Identifier: MIT */
/* What quirks do, for people: the members of schemas/reply-quirks.*.schema.json as tables. */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "ctl/print.h"
#include "ctl/table.h"

#define TEXT 1024

static void heading(const char *text)
{
    (void)printf("\n%s\n", text);
}

/* "tg3 (50-broadcom-tg3.json)"; without a file it is built in, or the configuration's. */
static const char *origin_of(const json_t *object, char *buf, size_t size)
{
    char file[TEXT / 2], origin[TEXT / 4];
    const char *name = pb_ctl_cell(object, "origin", origin, sizeof(origin));

    if (pb_ctl_text(object, "file", file, sizeof(file))[0])
        (void)snprintf(buf, size, "%s (%s)", name, file);
    else
        (void)snprintf(buf, size, "%s", name);
    return buf;
}

static void cells(struct pb_table *table, const json_t *object, const char *const *keys)
{
    char text[TEXT];

    for (; *keys; keys++)
        pb_table_add(table, "%s", pb_ctl_cell(object, *keys, text, sizeof(text)));
}

static void print_matches(const json_t *quirks)
{
    static const char *const headers[] = {
        "QUIRK", "MATCHES BY", "IN FORCE", "FILE", "REASON", NULL
    };
    struct pb_table table;

    if (json_array_size(quirks) == 0) {
        heading("No quirk matches.");
        return;
    }
    heading("Quirks that match; of two that say something of the same bit, the lower one wins:");
    pb_table_init(&table, headers);
    for (size_t i = 0; i < json_array_size(quirks); i++) {
        const json_t *quirk = json_array_get(quirks, i);
        char text[TEXT];

        cells(&table, quirk, (const char *const[]){ "id", "match", NULL });
        if (pb_ctl_text(quirk, "effect", text, sizeof(text))[0])
            pb_table_add(&table, "no: %s", text);
        else
            pb_table_add(&table, "yes");
        cells(&table, quirk, (const char *const[]){ "file", "reason", NULL });
    }
    pb_table_print(&table);
}

static void print_traits(const json_t *traits)
{
    static const char *const headers[] = { "TRAIT", "VALUE", "BECAUSE OF", "REASON", NULL };
    struct pb_table table;

    if (json_array_size(traits) == 0)
        return;
    heading("The device as a whole:");
    pb_table_init(&table, headers);
    for (size_t i = 0; i < json_array_size(traits); i++) {
        const json_t *trait = json_array_get(traits, i);
        char text[TEXT];

        cells(&table, trait, (const char *const[]){ "name", "value", NULL });
        pb_table_add(&table, "%s", origin_of(trait, text, sizeof(text)));
        cells(&table, trait, (const char *const[]){ "reason", NULL });
    }
    pb_table_print(&table);
}

static void print_capabilities(const json_t *capabilities)
{
    static const char *const headers[] = { "AT",         "ID",  "NAME", "GUEST SEES",
                                           "BECAUSE OF", "WHY", NULL };
    struct pb_table table;

    if (json_array_size(capabilities) == 0)
        return;
    heading("Capabilities:");
    pb_table_init(&table, headers);
    for (size_t i = 0; i < json_array_size(capabilities); i++) {
        const json_t *cap = json_array_get(capabilities, i);
        char text[TEXT];
        const char *how;

        cells(&table, cap, (const char *const[]){ "at", "id", "name", NULL });
        how = pb_ctl_text(cap, "how", text, sizeof(text));
        if (strcmp(how, "own") == 0)
            pb_table_add(&table, "yes");
        else
            pb_table_add(&table, "%s, %s", strcmp(how, "hidden") == 0 ? "no" : "yes", how);
        pb_table_add(&table, "%s", origin_of(cap, text, sizeof(text)));
        cells(&table, cap, (const char *const[]){ "why", NULL });
    }
    pb_table_print(&table);
}

/* How many bytes a row of them has, whose bits are two digits each. */
static size_t range_size(const json_t *range)
{
    const char *mask = json_string_value(json_object_get(range, "mask"));

    return mask ? strlen(mask) / 2 : 0;
}

/* "0x70-0x73, 0x104", or as much of it as there is room for. */
static const char *ranges_of(const json_t *plugin, char *buf, size_t size)
{
    const json_t *ranges = json_object_get(plugin, "ranges");
    size_t n = 0;

    (void)snprintf(buf, size, "-");
    for (size_t i = 0; i < json_array_size(ranges) && n < size; i++) {
        const json_t *range = json_array_get(ranges, i);
        unsigned long long at = pb_ctl_number(range, "at");
        size_t bytes = range_size(range);

        n += (size_t)snprintf(buf + n, size - n, "%s0x%02llx", i ? ", " : "", at);
        if (bytes > 1 && n < size)
            n += (size_t)snprintf(buf + n, size - n, "-0x%02llx", at + bytes - 1);
    }
    return buf;
}

static void print_plugins(const json_t *plugins)
{
    static const char *const headers[] = { "PLUGIN", "QUIRK", "BYTES", "WHERE", NULL };
    struct pb_table table;

    if (json_array_size(plugins) == 0)
        return;
    heading("Plugins:");
    pb_table_init(&table, headers);
    for (size_t i = 0; i < json_array_size(plugins); i++) {
        const json_t *plugin = json_array_get(plugins, i);
        char text[TEXT];

        cells(&table, plugin, (const char *const[]){ "name", "quirk", "bytes", NULL });
        pb_table_add(&table, "%s", ranges_of(plugin, text, sizeof(text)));
    }
    pb_table_print(&table);
}

/* Is the member of both the same text? */
static bool same(const json_t *a, const json_t *b, const char *key)
{
    return json_equal(json_object_get(a, key), json_object_get(b, key));
}

/* "-" for none. */
static void add_locked(struct pb_table *table, const json_t *part)
{
    char text[TEXT];

    pb_table_add(table, "%s",
                 pb_ctl_number(part, "locked") ? pb_ctl_text(part, "locked", text, sizeof(text))
                                               : "-");
}

/* A register, a line for each of its parts; what is as in the line above is not repeated. */
static void add_register(struct pb_table *table, const json_t *reg)
{
    const json_t *parts = json_object_get(reg, "parts"), *last = NULL;

    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        char text[TEXT];

        if (i == 0) {
            cells(table, reg, (const char *const[]){ "at", "size", "name", NULL });
            pb_ctl_text(reg, "effect", text, sizeof(text));
            pb_table_add(table, "%s", strcmp(text, "none") == 0 ? "-" : text);
        } else {
            for (unsigned k = 0; k < 4; k++)
                pb_table_add(table, "%s", "");
        }
        cells(table, part, (const char *const[]){ "mask", "class", NULL });
        add_locked(table, part);
        cells(table, part, (const char *const[]){ "value", NULL });
        pb_table_add(table, "%s", origin_of(part, text, sizeof(text)));
        if (last && same(last, part, "why") && same(last, part, "origin"))
            pb_table_add(table, "%s", "");
        else
            cells(table, part, (const char *const[]){ "why", NULL });
        last = part;
    }
}

static void print_registers(const json_t *registers)
{
    static const char *const headers[] = { "AT",     "SIZE",  "NAME", "EFFECT", "BITS", "CLASS",
                                           "LOCKED", "VALUE", "FROM", "WHY",    NULL };
    struct pb_table table;

    heading("Registers (all others: hw, which is read from the device and not written):");
    pb_table_init(&table, headers);
    for (size_t i = 0; i < json_array_size(registers); i++)
        add_register(&table, json_array_get(registers, i));
    pb_table_print(&table);
}

/* The part that holds bit BIT of the byte at OFFSET; *RET_SHIFT: its place in the register. */
static const json_t *part_of(const json_t *registers, unsigned offset, unsigned bit,
                             unsigned *ret_shift)
{
    for (size_t i = 0; i < json_array_size(registers); i++) {
        const json_t *reg = json_array_get(registers, i);
        const json_t *parts = json_object_get(reg, "parts");
        unsigned long long at = pb_ctl_number(reg, "at"), size = pb_ctl_number(reg, "size");

        if (offset < at || offset >= at + size || size > 4)
            continue;
        *ret_shift = 8 * (unsigned)(offset - at) + bit;
        for (size_t k = 0; k < json_array_size(parts); k++) {
            const json_t *part = json_array_get(parts, k);

            if (pb_ctl_number(part, "mask") >> *ret_shift & 1)
                return part;
        }
    }
    return NULL;
}

static void add_bit(struct pb_table *table, const json_t *part, unsigned bit, unsigned shift)
{
    char text[TEXT];

    pb_table_add(table, "%u", bit);
    if (!part) {
        pb_table_add(table, "hw");
        pb_table_add(table, "-");
        pb_table_add(table, "-");
        pb_table_add(table, "default");
        pb_table_add(table, "no rule names it");
        return;
    }
    cells(table, part, (const char *const[]){ "class", NULL });
    pb_table_add(table, "%s", pb_ctl_number(part, "locked") >> shift & 1 ? "yes" : "-");
    if (json_is_string(json_object_get(part, "value")))
        pb_table_add(table, "%u", (unsigned)(pb_ctl_number(part, "value") >> shift & 1));
    else
        pb_table_add(table, "-");
    pb_table_add(table, "%s", origin_of(part, text, sizeof(text)));
    cells(table, part, (const char *const[]){ "why", NULL });
}

/* Which plugins have a say beside the rules. */
static void print_plugins_of_byte(const json_t *plugins, unsigned offset)
{
    for (size_t i = 0; i < json_array_size(plugins); i++) {
        const json_t *plugin = json_array_get(plugins, i);
        const json_t *ranges = json_object_get(plugin, "ranges");
        char name[TEXT / 8], quirk[TEXT / 8], bits[3];
        const char *mask;

        for (size_t k = 0; k < json_array_size(ranges); k++) {
            const json_t *range = json_array_get(ranges, k);
            unsigned long long at = pb_ctl_number(range, "at");

            if (offset < at || offset - at >= range_size(range))
                continue;
            mask = json_string_value(json_object_get(range, "mask")) + 2 * (offset - at);
            (void)printf("\nBeside these rules, plugin %s of quirk %s decides about bits 0x%s.\n",
                         pb_ctl_cell(plugin, "name", name, sizeof(name)),
                         pb_ctl_cell(plugin, "quirk", quirk, sizeof(quirk)),
                         pb_ctl_clean(mask, bits, sizeof(bits)));
        }
    }
}

static void print_byte(const json_t *registers, unsigned offset)
{
    static const char *const headers[] = { "BIT", "CLASS", "LOCKED", "VALUE", "FROM", "WHY", NULL };
    struct pb_table table;

    (void)printf("\nThe byte at 0x%02x:\n", offset);
    pb_table_init(&table, headers);
    for (unsigned bit = 8; bit-- > 0;) {
        unsigned shift = 0;
        const json_t *part = part_of(registers, offset, bit, &shift);

        add_bit(&table, part, bit, shift);
    }
    pb_table_print(&table);
}

void pb_ctl_print_explain(const struct pb_ctl_command *command, const json_t *result)
{
    const json_t *registers = json_object_get(result, "registers");
    char ids[64], class_code[64];

    (void)printf("%s, class %s, %llu bytes of configuration space\n",
                 pb_ctl_cell(result, "ids", ids, sizeof(ids)),
                 pb_ctl_cell(result, "class", class_code, sizeof(class_code)),
                 pb_ctl_number(result, "size"));
    if (command->byte >= 0) {
        print_byte(registers, (unsigned)command->byte);
        print_plugins_of_byte(json_object_get(result, "plugins"), (unsigned)command->byte);
        return;
    }
    print_matches(json_object_get(result, "quirks"));
    print_traits(json_object_get(result, "traits"));
    print_capabilities(json_object_get(result, "capabilities"));
    print_plugins(json_object_get(result, "plugins"));
    print_registers(registers);
}

/* "2 fields, 1 capability, msi, plugin trace" */
static const char *changes_of(const json_t *quirk, char *buf, size_t size)
{
    const json_t *traits = json_object_get(quirk, "traits");
    unsigned long long fields = pb_ctl_number(quirk, "fields");
    unsigned long long caps = pb_ctl_number(quirk, "cap_edits");
    char text[TEXT / 8];
    size_t n = 0;

    buf[0] = '\0';
    if (fields)
        n += (size_t)snprintf(buf + n, size - n, ", %llu register%s", fields,
                              fields == 1 ? "" : "s");
    if (caps)
        n += (size_t)snprintf(buf + n, size - n, ", %llu capabilit%s", caps,
                              caps == 1 ? "y" : "ies");
    for (size_t i = 0; i < json_array_size(traits) && n < size; i++)
        n += (size_t)snprintf(
            buf + n, size - n, ", %s",
            pb_ctl_clean(json_string_value(json_array_get(traits, i)), text, sizeof(text)));
    if (n < size && pb_ctl_text(quirk, "plugin", text, sizeof(text))[0])
        (void)snprintf(buf + n, size - n, ", plugin %s", text);
    return buf[0] ? buf + 2 : "nothing";
}

void pb_ctl_print_query(const struct pb_ctl_command *command, const json_t *result)
{
    const json_t *quirks = json_object_get(result, "quirks");
    char text[TEXT];

    (void)command;
    if (json_array_size(quirks) == 0)
        (void)printf("no quirk matches\n");
    for (size_t i = 0; i < json_array_size(quirks); i++) {
        const json_t *quirk = json_array_get(quirks, i);

        (void)printf("%s%s\n", i ? "\n" : "", pb_ctl_cell(quirk, "id", text, sizeof(text)));
        (void)printf("  matches by %s\n", pb_ctl_cell(quirk, "match", text, sizeof(text)));
        (void)printf("  changes    %s\n", changes_of(quirk, text, sizeof(text)));
        (void)printf("  because    %s\n", pb_ctl_cell(quirk, "reason", text, sizeof(text)));
        (void)printf("  source     %s\n", pb_ctl_cell(quirk, "source", text, sizeof(text)));
        (void)printf("  file       %s\n", pb_ctl_cell(quirk, "file", text, sizeof(text)));
        if (json_is_true(json_object_get(quirk, "disabled")))
            (void)printf("  is switched off\n");
    }
}

void pb_ctl_print_quirks(const struct pb_ctl_command *command, const json_t *result)
{
    static const char *const headers[] = { "QUIRK",   "MATCHES BY", "IN FORCE",
                                           "CHANGES", "FILE",       NULL };
    const json_t *quirks = json_object_get(result, "quirks");
    struct pb_table table;

    pb_table_init(&table, headers);
    for (size_t i = 0; i < json_array_size(quirks); i++) {
        const json_t *quirk = json_array_get(quirks, i);
        char text[TEXT];

        cells(&table, quirk, (const char *const[]){ "id", "match", NULL });
        pb_table_add(&table, "%s",
                     json_is_true(json_object_get(quirk, "disabled")) ? "no: disabled" : "yes");
        pb_table_add(&table, "%s", changes_of(quirk, text, sizeof(text)));
        cells(&table, quirk, (const char *const[]){ "file", NULL });
    }
    pb_table_print(&table);
    pb_ctl_print_problems(command, result);
}

static void count_problems(const json_t *result, size_t *ret_errors, size_t *ret_warnings)
{
    const json_t *problems = json_object_get(result, "problems");

    *ret_errors = *ret_warnings = 0;
    for (size_t i = 0; i < json_array_size(problems); i++) {
        bool error = json_is_true(json_object_get(json_array_get(problems, i), "error"));

        *(error ? ret_errors : ret_warnings) += 1;
    }
}

void pb_ctl_print_problem_list(const json_t *problems)
{
    for (size_t i = 0; i < json_array_size(problems); i++) {
        const json_t *problem = json_array_get(problems, i);
        char text[TEXT];

        (void)printf("%s: %s\n",
                     json_is_true(json_object_get(problem, "error")) ? "error" : "warning",
                     pb_ctl_text(problem, "text", text, sizeof(text)));
    }
}

void pb_ctl_print_problems(const struct pb_ctl_command *command, const json_t *result)
{
    size_t quirks = json_array_size(json_object_get(result, "quirks"));
    unsigned long long files = pb_ctl_number(result, "files");

    (void)command;
    pb_ctl_print_problem_list(json_object_get(result, "problems"));
    if (json_object_get(result, "files"))
        (void)printf("%zu quirk%s in %llu file%s\n", quirks, quirks == 1 ? "" : "s", files,
                     files == 1 ? "" : "s");
}

int pb_ctl_judge_problems(const struct pb_ctl_command *command, const json_t *result)
{
    size_t errors, warnings;
    char why[96];

    count_problems(result, &errors, &warnings);
    if (!errors && !(command->strict && warnings))
        return 0;
    (void)snprintf(why, sizeof(why), "%zu error%s, %zu warning%s", errors, errors == 1 ? "" : "s",
                   warnings, warnings == 1 ? "" : "s");
    return pb_ctl_complain(command, "", why,
                           errors ? "a file with an error is left out as a whole; correct it"
                                  : "correct them, or leave out --strict");
}
