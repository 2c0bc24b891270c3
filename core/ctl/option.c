/* SPDX-License-Identifier: MIT */
#include "ctl/option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "pci/facts.h"

#define SECONDS_MAX 86400
#define WAIT_MAX    600

struct option {
    const char *name;
    const char *value; /* what it needs; NULL: nothing */
    bool any_verb;
    bool (*take)(struct pb_ctl_command *c, const char *option, const char *value);
};

bool pb_ctl_usage_error(const char *what, const char *why)
{
    (void)fprintf(stderr, "pcibackctl: %s: %s; see pcibackctl help\n", what, why);
    return false;
}

static bool read_seconds(const char *option, const char *text, unsigned max, unsigned *ret)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long value;

    if (!digits || digits > 6 || text[digits])
        return pb_ctl_usage_error(option, "needs a number of seconds");
    value = strtoul(text, NULL, 10);
    if (value > max)
        return pb_ctl_usage_error(option, "too many seconds");
    *ret = (unsigned)value;
    return true;
}

/* Up to MAX digits, with or without 0x; *TEXT moves behind them. */
static bool read_hex(const char **text, size_t min, size_t max, uint32_t *ret)
{
    const char *p = *text;
    size_t digits;

    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X'))
        p += 2;
    digits = strspn(p, "0123456789abcdefABCDEF");
    if (digits < min || digits > max)
        return false;
    *ret = (uint32_t)strtoul(p, NULL, 16);
    *text = p + digits;
    return true;
}

static bool take_json(struct pb_ctl_command *c, const char *option, const char *value)
{
    (void)option;
    (void)value;
    c->json = true;
    return true;
}

static bool take_socket(struct pb_ctl_command *c, const char *option, const char *value)
{
    (void)option;
    c->socket = value;
    return true;
}

static bool take_timeout(struct pb_ctl_command *c, const char *option, const char *value)
{
    if (!read_seconds(option, value, SECONDS_MAX, &c->timeout_s))
        return false;
    return c->timeout_s > 0 || pb_ctl_usage_error(option, "must be at least 1");
}

/* A flag of the request: --dry-run is "dry_run". */
static bool take_param(struct pb_ctl_command *c, const char *option, const char *value)
{
    char key[16];

    (void)value;
    (void)snprintf(key, sizeof(key), "%s", option + 2);
    for (char *p = key; *p; p++) {
        if (*p == '-')
            *p = '_';
    }
    (void)json_object_set_new(c->params, key, json_true());
    return true;
}

static bool take_wait(struct pb_ctl_command *c, const char *option, const char *value)
{
    if (!read_seconds(option, value, WAIT_MAX, &c->wait_s))
        return false;
    (void)json_object_set_new(c->params, "wait", json_integer(c->wait_s));
    return true;
}

static bool take_prometheus(struct pb_ctl_command *c, const char *option, const char *value)
{
    (void)option;
    (void)value;
    c->prometheus = true;
    return true;
}

static bool take_follow(struct pb_ctl_command *c, const char *option, const char *value)
{
    (void)option;
    (void)value;
    c->follow = true;
    return true;
}

static bool take_strict(struct pb_ctl_command *c, const char *option, const char *value)
{
    (void)option;
    (void)value;
    c->strict = true;
    return true;
}

static bool take_dir(struct pb_ctl_command *c, const char *option, const char *value)
{
    struct pb_ctl_list *list = strcmp(option, "--dir") == 0 ? &c->dirs : &c->plugin_dirs;

    if (list->count == PB_CTL_LIST_MAX)
        return pb_ctl_usage_error(option, "is given too often");
    list->text[list->count++] = value;
    return true;
}

static bool take_dump(struct pb_ctl_command *c, const char *option, const char *value)
{
    (void)option;
    c->dump = value;
    return true;
}

static bool take_device(struct pb_ctl_command *c, const char *option, const char *value)
{
    struct pb_sbdf sbdf;

    if (!pb_sbdf_parse(value, &sbdf))
        return pb_ctl_usage_error(option, "needs an address like 03:00.0");
    c->dump_device = value;
    return true;
}

static bool take_byte(struct pb_ctl_command *c, const char *option, const char *value)
{
    uint32_t offset;

    if (!read_hex(&value, 1, 4, &offset) || *value || offset >= PB_CONFIG_SIZE_PCIE)
        return pb_ctl_usage_error(option, "needs an offset from 0x0 to 0xfff");
    c->byte = (int)offset;
    return true;
}

static bool take_color(struct pb_ctl_command *c, const char *option, const char *value)
{
    static const char *const names[] = { [PB_CTL_COLOR_AUTO] = "auto",
                                         [PB_CTL_COLOR_ALWAYS] = "always",
                                         [PB_CTL_COLOR_NEVER] = "never" };

    for (unsigned i = 0; i < PB_ARRAY_SIZE(names); i++) {
        if (strcmp(names[i], value) == 0) {
            c->color = (enum pb_ctl_color)i;
            return true;
        }
    }
    return pb_ctl_usage_error(option, "is always, never or auto");
}

#define IDS_WANTED "needs VVVV:DDDD or VVVV:DDDD:SVVV:SDDD, hexadecimal"

static bool bad_ids(const char *option)
{
    return pb_ctl_usage_error(option, IDS_WANTED);
}

/* VVVV:DDDD or VVVV:DDDD:SVVV:SDDD. */
static bool take_ids(struct pb_ctl_command *c, const char *option, const char *value)
{
    uint32_t id[4] = { 0 };
    unsigned count = 0;

    for (;;) {
        if (count == PB_ARRAY_SIZE(id) || !read_hex(&value, 1, 4, &id[count]))
            return bad_ids(option);
        count++;
        if (*value != ':')
            break;
        value++;
    }
    if (*value || (count != 2 && count != 4))
        return bad_ids(option);
    c->ids.vendor = (uint16_t)id[0];
    c->ids.device = (uint16_t)id[1];
    c->ids.subsystem_vendor = (uint16_t)id[2];
    c->ids.subsystem_device = (uint16_t)id[3];
    c->has_ids = true;
    return true;
}

/* Six digits, or the four that lspci prints. */
static bool take_class(struct pb_ctl_command *c, const char *option, const char *value)
{
    const char *end = value;
    size_t digits;

    if (!read_hex(&end, 4, 6, &c->ids.class_code) || *end)
        return pb_ctl_usage_error(option, "needs 4 or 6 hexadecimal digits, like 0x020000");
    digits = strlen(value) - (value[1] == 'x' || value[1] == 'X' ? 2 : 0);
    if (digits == 5)
        return pb_ctl_usage_error(option, "needs 4 or 6 hexadecimal digits, like 0x020000");
    if (digits == 4)
        c->ids.class_code <<= 8;
    return true;
}

static bool take_revision(struct pb_ctl_command *c, const char *option, const char *value)
{
    uint32_t revision;

    if (!read_hex(&value, 1, 2, &revision) || *value)
        return pb_ctl_usage_error(option, "needs 1 or 2 hexadecimal digits");
    c->ids.revision = (uint8_t)revision;
    return true;
}

static bool take_vf(struct pb_ctl_command *c, const char *option, const char *value)
{
    (void)option;
    (void)value;
    c->ids.virtual_function = true;
    return true;
}

static const struct option options[] = {
    { "--json", NULL, true, take_json },
    { "--socket", "needs a path", true, take_socket },
    { "--timeout", "needs a number of seconds", true, take_timeout },
    { "--force", NULL, false, take_param },
    { "--claim", NULL, false, take_param },
    { "--permissive", NULL, false, take_param },
    { "--dry-run", NULL, false, take_param },
    { "--save", NULL, false, take_param },
    { "--wait", "needs a number of seconds", false, take_wait },
    { "--prometheus", NULL, false, take_prometheus },
    { "--follow", NULL, false, take_follow },
    { "--strict", NULL, false, take_strict },
    { "--dir", "needs a directory of manifests", false, take_dir },
    { "--plugin-dir", "needs a directory of plugins", false, take_dir },
    { "--dump", "needs a file, or - for standard input", false, take_dump },
    { "--device", "needs an address like 03:00.0", false, take_device },
    { "--byte", "needs an offset", false, take_byte },
    { "--color", "is always, never or auto", false, take_color },
    { "--ids", IDS_WANTED, false, take_ids },
    { "--class", "needs 4 or 6 hexadecimal digits, like 0x020000", false, take_class },
    { "--revision", "needs 1 or 2 hexadecimal digits", false, take_revision },
    { "--vf", NULL, false, take_vf },
};

/* Does WORD stand in LIST, a text of words? */
static bool lists(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (const char *p = list; (p = strstr(p, word)) != NULL; p += length) {
        if ((p == list || p[-1] == ' ') && (p[length] == ' ' || !p[length]))
            return true;
    }
    return false;
}

bool pb_ctl_option_take(struct pb_ctl_command *command, char **argv, int *i)
{
    const char *name = argv[*i];
    const struct option *option = NULL;

    for (unsigned k = 0; k < PB_ARRAY_SIZE(options); k++) {
        if (strcmp(options[k].name, name) == 0)
            option = &options[k];
    }
    if (!option || (!option->any_verb && !command->verb))
        return pb_ctl_usage_error(name, "unknown option");
    if (!option->any_verb && !lists(command->verb->options, name) &&
        !(command->verb->needs && lists(command->verb->needs, name)))
        return pb_ctl_usage_error(name, "is not an option of this verb");
    if (!option->value)
        return option->take(command, name, NULL);
    if (!argv[*i + 1] || !argv[*i + 1][0])
        return pb_ctl_usage_error(name, option->value);
    ++*i;
    return option->take(command, name, argv[*i]);
}
