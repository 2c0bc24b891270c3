/* SPDX-License-Identifier: MIT */
/* Slots, and why a device is where it is. */
#include <stdio.h>

#include "ctl/print.h"
#include "ctl/table.h"

#define TEXT 1024

void pb_ctl_print_slots(const struct pb_ctl_command *command, const json_t *result)
{
    static const char *const headers[] = { "SLOT", "ORIGIN", "DEVICES", "CLAIMED", NULL };
    const json_t *slots = json_object_get(result, "slots");
    struct pb_table table;

    (void)command;
    pb_table_init(&table, headers);
    for (size_t i = 0; i < json_array_size(slots); i++) {
        const json_t *slot = json_array_get(slots, i);
        char text[TEXT];

        pb_table_add(&table, "%s", pb_ctl_cell(slot, "address", text, sizeof(text)));
        pb_table_add(&table, "%s", pb_ctl_cell(slot, "origin", text, sizeof(text)));
        pb_table_add(&table, "%llu", pb_ctl_number(slot, "devices"));
        pb_table_add(&table, "%llu", pb_ctl_number(slot, "claimed"));
    }
    pb_table_print(&table);
}

void pb_ctl_print_slot(const struct pb_ctl_command *command, const json_t *result)
{
    const json_t *slot = json_object_get(result, "slot");
    char address[TEXT], origin[TEXT];

    (void)command;
    (void)pb_ctl_cell(result, "address", address, sizeof(address));
    if (json_is_object(slot))
        (void)printf("%s: listed (%s); devices there: %llu, of these claimed: %llu\n", address,
                     pb_ctl_cell(slot, "origin", origin, sizeof(origin)),
                     pb_ctl_number(slot, "devices"), pb_ctl_number(slot, "claimed"));
    else
        (void)printf("%s: not listed any more\n", address);
}

void pb_ctl_print_why(const struct pb_ctl_command *command, const json_t *result)
{
    const json_t *reasons = json_object_get(result, "reasons");
    char text[TEXT];

    (void)command;
    (void)printf("%s\n", pb_ctl_cell(result, "answer", text, sizeof(text)));
    for (size_t i = 0; i < json_array_size(reasons); i++) {
        const json_t *reason = json_array_get(reasons, i);
        const char *kind = json_is_true(json_object_get(reason, "blocks")) ? "blocks" : "info";
        char code[TEXT / 8];

        (void)pb_ctl_cell(reason, "code", code, sizeof(code));
        (void)printf("%s: %s: %s\n", kind, code, pb_ctl_cell(reason, "text", text, sizeof(text)));
        if (pb_ctl_text(reason, "next", text, sizeof(text))[0])
            (void)printf("  next: %s\n", text);
    }
}
