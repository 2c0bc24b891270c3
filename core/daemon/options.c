/* SPDX-License-Identifier: MIT */
#include "daemon/options.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

enum kind { CONFIG, CHECK_CONFIG, BOOT_RULES, DETACH_ALL, LOG_FORMAT, LOG_LEVEL, VERSION, HELP };

static const struct option {
    const char *name;
    enum kind kind;
    const char *value; /* what it takes, NULL: nothing */
    const char *help;
} table[] = {
    { "--config", CONFIG, "FILE", "the configuration (" PB_CONFIG_PATH ")" },
    { "--check-config", CHECK_CONFIG, NULL, "check the configuration and exit" },
    { "--boot-rules", BOOT_RULES, NULL, "print udev rules that keep slots from other drivers" },
    { "--detach-all", DETACH_ALL, NULL, "take every device back from its guest and exit" },
    { "--log-format", LOG_FORMAT, "FORMAT", "text, json or journal, to stderr" },
    { "--log-level", LOG_LEVEL, "LEVEL", "err, warn, notice, info or debug" },
    { "--version", VERSION, NULL, "print the version and exit" },
    { "--help", HELP, NULL, "print this and exit" },
};

void pb_options_usage(const struct pb_platform *platform)
{
    (void)printf("Usage: %s [OPTION]...\nThe Xen PCI backend as a userspace daemon.\n\n",
                 platform->name);
    for (unsigned i = 0; i < PB_ARRAY_SIZE(table); i++) {
        char left[40];

        (void)snprintf(left, sizeof(left), "%s %s", table[i].name,
                       table[i].value ? table[i].value : "");
        (void)printf("  %-22s  %s\n", left, table[i].help);
    }
    (void)printf("%s", platform->extra_usage);
}

static bool wrong(const struct pb_platform *platform, const char *option, const char *why)
{
    (void)fprintf(stderr, "%s: %s: %s; see %s --help\n", platform->name, option, why,
                  platform->name);
    return false;
}

static bool apply(const struct option *option, const char *value, struct pb_options *ret)
{
    switch (option->kind) {
    case CONFIG:
        ret->config = value;
        ret->config_required = true;
        return value[0] != '\0';
    case CHECK_CONFIG:
        ret->check_config = true;
        return true;
    case BOOT_RULES:
        ret->boot_rules = true;
        return true;
    case DETACH_ALL:
        ret->detach_all = true;
        return true;
    case LOG_FORMAT:
        return pb_log_format_parse(value, &ret->log_format);
    case LOG_LEVEL:
        return pb_log_level_parse(value, &ret->log_level);
    case VERSION:
        ret->version = true;
        return true;
    case HELP:
        ret->help = true;
        return true;
    }
    return false;
}

/* The option's entry when ARG is "--name" or "--name=value"; *ret_value: the latter's value. */
static const struct option *find(const char *arg, const char **ret_value)
{
    for (unsigned i = 0; i < PB_ARRAY_SIZE(table); i++) {
        size_t length = strlen(table[i].name);

        if (strncmp(arg, table[i].name, length) != 0)
            continue;
        *ret_value = arg[length] == '=' ? arg + length + 1 : NULL;
        if (arg[length] == '\0' || arg[length] == '=')
            return &table[i];
    }
    return NULL;
}

/* 0: wrong; else the number of arguments that it took. */
static int platform_option(const char *arg, const char *next, const struct pb_platform *platform)
{
    enum pb_option_use use = platform->option ? platform->option(arg, next) : PB_OPTION_UNKNOWN;

    switch (use) {
    case PB_OPTION_FLAG:
        return 1;
    case PB_OPTION_WITH_VALUE:
        return 2;
    case PB_OPTION_BAD:
        return 0;
    case PB_OPTION_UNKNOWN:
        break;
    }
    (void)wrong(platform, arg, "unknown option");
    return 0;
}

bool pb_options_parse(int argc, char **argv, const struct pb_platform *platform,
                      struct pb_options *ret)
{
    *ret = (struct pb_options){ .config = PB_CONFIG_PATH,
                                .log_format = PB_LOG_TEXT,
                                .log_level = PB_LOG_INFO };
    for (int i = 1; i < argc;) {
        const char *value = NULL, *next = i + 1 < argc ? argv[i + 1] : NULL;
        const struct option *option = find(argv[i], &value);
        int used = 1;

        if (!option) {
            used = platform_option(argv[i], next, platform);
            if (used == 0)
                return false;
            i += used;
            continue;
        }
        if (option->value && !value) {
            value = next;
            used = 2;
        }
        if (option->value && !value)
            return wrong(platform, option->name, "needs a value");
        if (!option->value && value)
            return wrong(platform, option->name, "takes no value");
        if (!apply(option, value ? value : "", ret))
            return wrong(platform, option->name, "wrong value");
        i += used;
    }
    return true;
}
