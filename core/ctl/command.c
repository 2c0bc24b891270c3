/* SPDX-License-Identifier: MIT */
#include "ctl/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "ctl/print.h"

#define SECONDS_MAX 86400
#define WAIT_MAX    600

static const struct pb_ctl_verb verbs[] = {
    { "list", "", "", "all devices: what they are, their state, who has them", pb_ctl_print_list },
    { "show", "DEV", "", "one device in full", pb_ctl_print_show },
    { "claim", "DEV", "--force", "take a device from its driver", pb_ctl_print_change },
    { "release", "DEV", "--force", "give a device back to its driver", pb_ctl_print_change },
    { "attach", "GUEST DEV", "--claim --permissive --force --wait S", "give a device to a guest",
      pb_ctl_print_change },
    { "detach", "GUEST DEV", "--force", "take a device from a guest", pb_ctl_print_change },
    { "guests", "", "", "all guests and their connections", pb_ctl_print_guests },
    { "stats", "", "--prometheus", "counters and limits", pb_ctl_print_stats },
    { "check-config", "", "", "let the daemon read its configuration file anew",
      pb_ctl_print_check },
    { "version", "", "", "versions of this program and of the daemon", pb_ctl_print_version },
    { "help", "", "", "this text", NULL },
};

void pb_ctl_usage(void)
{
    (void)printf("Usage: pcibackctl [--socket PATH] [--json] [--timeout S] VERB ...\n"
                 "DEV is an address (0000:03:00.0) or a name, GUEST a domain id or a name.\n\n");
    for (unsigned i = 0; i < PB_ARRAY_SIZE(verbs); i++) {
        const struct pb_ctl_verb *v = &verbs[i];
        char left[96];

        (void)snprintf(left, sizeof(left), "%s%s%s%s%s%s", v->name, v->words[0] ? " " : "",
                       v->words, v->options[0] ? " [" : "", v->options, v->options[0] ? "]" : "");
        (void)printf("  %s\n        %s\n", left, v->help);
    }
    (void)printf("\nExit status: 0 done; 1 refused, failed, timed out or no daemon; 2 usage.\n");
}

static bool usage_error(const char *what, const char *why)
{
    (void)fprintf(stderr, "pcibackctl: %s: %s; see pcibackctl help\n", what, why);
    return false;
}

static bool read_seconds(const char *option, const char *text, unsigned max, unsigned *ret)
{
    size_t digits = text ? strspn(text, "0123456789") : 0;
    unsigned long value;

    if (!digits || digits > 6 || text[digits])
        return usage_error(option, "needs a number of seconds");
    value = strtoul(text, NULL, 10);
    if (value > max)
        return usage_error(option, "too many seconds");
    *ret = (unsigned)value;
    return true;
}

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

static void set_flag(struct pb_ctl_command *c, const char *name)
{
    (void)json_object_set_new(c->params, name, json_true());
}

/* An option of any verb; *I is moved behind its value. */
static bool common_option(struct pb_ctl_command *c, char **argv, int *i, bool *ret_known)
{
    const char *option = argv[*i];

    *ret_known = true;
    if (strcmp(option, "--json") == 0) {
        c->json = true;
    } else if (strcmp(option, "--socket") == 0) {
        if (!argv[*i + 1])
            return usage_error(option, "needs a path");
        c->socket = argv[++*i];
    } else if (strcmp(option, "--timeout") == 0) {
        if (!read_seconds(option, argv[*i + 1], SECONDS_MAX, &c->timeout_s))
            return false;
        if (c->timeout_s == 0)
            return usage_error(option, "must be at least 1");
        ++*i;
    } else {
        *ret_known = false;
    }
    return true;
}

static bool verb_option(struct pb_ctl_command *c, char **argv, int *i, unsigned *ret_wait)
{
    const char *option = argv[*i];

    if (!c->verb)
        return usage_error(option, "unknown option");
    if (!lists(c->verb->options, option))
        return usage_error(option, "is not an option of this verb");
    if (strcmp(option, "--prometheus") == 0) {
        c->prometheus = true;
    } else if (strcmp(option, "--wait") == 0) {
        if (!read_seconds(option, argv[*i + 1], WAIT_MAX, ret_wait))
            return false;
        ++*i;
        (void)json_object_set_new(c->params, "wait", json_integer(*ret_wait));
    } else {
        set_flag(c, option + 2);
    }
    return true;
}

static bool find_verb(struct pb_ctl_command *c, const char *name)
{
    for (unsigned i = 0; i < PB_ARRAY_SIZE(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            c->verb = &verbs[i];
            return true;
        }
    }
    return usage_error(name, "unknown verb");
}

/* The NUMBER-th word behind the verb. */
static bool take_word(struct pb_ctl_command *c, unsigned number, const char *word)
{
    bool guest_first = strcmp(c->verb->words, "GUEST DEV") == 0;
    unsigned wanted = !c->verb->words[0] ? 0 : guest_first ? 2 : 1;
    const char *key = guest_first && number == 0 ? "guest" : "dev";
    json_t *value;

    if (number >= wanted)
        return usage_error(word, "is too much");
    value = word[0] ? json_string(word) : NULL;
    if (!value)
        return usage_error(c->verb->name, "a device or guest is not a text");
    (void)json_object_set_new(c->params, key, value);
    if (strcmp(key, "dev") == 0)
        c->device = word;
    return true;
}

static bool complete(const struct pb_ctl_command *c)
{
    if (!c->verb)
        return usage_error("no verb", "what is to be done");
    if (strncmp(c->verb->words, "GUEST", 5) == 0 && !json_object_get(c->params, "guest"))
        return usage_error(c->verb->name, "needs GUEST and DEV");
    if (c->verb->words[0] && !c->device[0])
        return usage_error(c->verb->name,
                           c->verb->words[0] == 'G' ? "needs GUEST and DEV" : "needs DEV");
    if (c->json && c->prometheus)
        return usage_error("--prometheus", "does not go with --json");
    return true;
}

bool pb_ctl_command_parse(int argc, char **argv, struct pb_ctl_command *ret)
{
    unsigned words = 0, wait_s = 0;
    bool known;

    *ret = (struct pb_ctl_command){ .socket = PB_CTL_SOCKET, .device = "" };
    ret->params = json_object();
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return find_verb(ret, "help");
        if (argv[i][0] == '-') {
            if (!common_option(ret, argv, &i, &known) ||
                (!known && !verb_option(ret, argv, &i, &wait_s)))
                return false;
        } else if (!ret->verb) {
            if (!find_verb(ret, argv[i]))
                return false;
        } else if (!take_word(ret, words++, argv[i])) {
            return false;
        }
    }
    if (!complete(ret))
        return false;
    if (ret->timeout_s == 0)
        ret->timeout_s = PB_CTL_TIMEOUT_S + wait_s;
    return true;
}

void pb_ctl_command_done(struct pb_ctl_command *command)
{
    json_decref(command->params);
    command->params = NULL;
}
