/* SPDX-License-Identifier: MIT */
/* `reload`: what changed, or would, device by device. */
#include <stdio.h>

#include "ctl/print.h"

#define TEXT 1024

static void print_changes(const json_t *changes)
{
    for (size_t i = 0; i < json_array_size(changes); i++) {
        const json_t *change = json_array_get(changes, i);
        const json_t *lines = json_object_get(change, "lines");
        const json_t *guest = json_object_get(change, "guest");
        char device[TEXT / 4], text[TEXT];

        (void)printf("%s", pb_ctl_cell(change, "device", device, sizeof(device)));
        if (json_is_object(guest))
            (void)printf(" of guest %llu (%s)", pb_ctl_number(guest, "domid"),
                         pb_ctl_cell(guest, "name", text, sizeof(text)));
        (void)printf(":\n");
        for (size_t k = 0; k < json_array_size(lines); k++)
            (void)printf("  %s\n", pb_ctl_clean(json_string_value(json_array_get(lines, k)), text,
                                                sizeof(text)));
    }
}

static void print_all(const char *label, const json_t *array)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        char text[TEXT];

        (void)printf("%s: %s\n", label,
                     pb_ctl_clean(json_string_value(json_array_get(array, i)), text, sizeof(text)));
    }
}

void pb_ctl_print_reload(const struct pb_ctl_command *command, const json_t *result)
{
    const json_t *changes = json_object_get(result, "changes");
    bool dry = json_is_true(json_object_get(result, "dry_run"));

    (void)command;
    print_all("warning", json_object_get(result, "warnings"));
    print_all("setting", json_object_get(result, "settings"));
    print_changes(changes);
    if (json_array_size(changes) == 0)
        (void)printf("nothing changes for any device\n");
    print_all("needs a restart", json_object_get(result, "needs_restart"));
    if (dry)
        (void)printf("would be %llu quirks from %llu files; generation %llu stays in force "
                     "(--dry-run)\n",
                     pb_ctl_number(result, "quirks"), pb_ctl_number(result, "files"),
                     pb_ctl_number(result, "generation"));
    else
        (void)printf("generation %llu: %llu quirks from %llu files\n",
                     pb_ctl_number(result, "generation"), pb_ctl_number(result, "quirks"),
                     pb_ctl_number(result, "files"));
}
