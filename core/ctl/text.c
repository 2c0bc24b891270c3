/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/print.h"

void pb_ctl_print_json(const struct pb_ctl_command *command, const json_t *result)
{
    (void)command;
    (void)json_dumpf(result, stdout, JSON_INDENT(2));
    (void)printf("\n");
}

const char *pb_ctl_clean(const char *text, char *buf, size_t size)
{
    size_t n = 0;

    for (; text && *text && n + 1 < size; text++) {
        unsigned char c = (unsigned char)*text, next = (unsigned char)text[1];

        /* C1 controls are two bytes in UTF-8; terminals obey them too */
        if (c == 0xc2 && next >= 0x80 && next <= 0x9f) {
            text++;
            c = '?';
        }
        buf[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    buf[n] = '\0';
    return buf;
}

const char *pb_ctl_text(const json_t *object, const char *key, char *buf, size_t size)
{
    const json_t *value = json_object_get(object, key);

    if (json_is_integer(value))
        (void)snprintf(buf, size, "%lld", (long long)json_integer_value(value));
    else if (json_is_boolean(value))
        (void)snprintf(buf, size, "%s", json_is_true(value) ? "yes" : "no");
    else
        (void)pb_ctl_clean(json_string_value(value), buf, size);
    return buf;
}

const char *pb_ctl_or_dash(const char *text)
{
    return text[0] ? text : "-";
}

const char *pb_ctl_cell(const json_t *object, const char *key, char *buf, size_t size)
{
    return pb_ctl_or_dash(pb_ctl_text(object, key, buf, size));
}

unsigned long long pb_ctl_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (json_is_string(value))
        return strtoull(json_string_value(value), NULL, 0);
    return json_integer_value(value) > 0 ? (unsigned long long)json_integer_value(value) : 0;
}

void pb_ctl_line(const char *label, const char *value)
{
    (void)printf("%-16s %s\n", label, value);
}
