/* SPDX-License-Identifier: MIT */
#include "ctl/command.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "ctl/local.h"
#include "ctl/option.h"
#include "ctl/print.h"
#include "pci/slot.h"

#define DIRS "--dir DIR --plugin-dir DIR"

static const struct pb_ctl_verb verbs[] = {
    { .name = "list",
      .words = "",
      .options = "",
      .help = "all devices: what they are, their state, who has them",
      .print = pb_ctl_print_list },
    { .name = "show",
      .words = "DEV",
      .options = "",
      .help = "one device in full",
      .print = pb_ctl_print_show },
    { .name = "claim",
      .words = "DEV",
      .options = "--force",
      .help = "take a device from its driver",
      .print = pb_ctl_print_change },
    { .name = "release",
      .words = "DEV",
      .options = "--force",
      .help = "give a device back to its driver",
      .print = pb_ctl_print_change },
    { .name = "attach",
      .words = "GUEST DEV",
      .options = "--claim --permissive --force --wait S",
      .help = "give a device to a guest",
      .print = pb_ctl_print_change },
    { .name = "detach",
      .words = "GUEST DEV",
      .options = "--force",
      .help = "take a device from a guest",
      .print = pb_ctl_print_change },
    { .name = "why",
      .words = "DEV",
      .options = "",
      .help = "why it is as it is, and what stands in the way of giving it to a guest",
      .print = pb_ctl_print_why },
    { .name = "reset",
      .words = "DEV",
      .options = "",
      .help = "reset a device that no guest has; one that failed is claimed again if it is sound",
      .print = pb_ctl_print_change },
    { .name = "slot list",
      .words = "",
      .options = "",
      .help = "what is claimed at the start and whenever it appears",
      .print = pb_ctl_print_slots },
    { .name = "slot add",
      .words = "ADDR",
      .options = "--save",
      .help = "list an address (06:00.0, 06:00.*, 06:*.*) and claim what is there",
      .print = pb_ctl_print_slot },
    { .name = "slot remove",
      .words = "ADDR",
      .options = "--save",
      .help = "list it no more; what is claimed stays so",
      .print = pb_ctl_print_slot },
    { .name = "guests",
      .words = "",
      .options = "",
      .help = "all guests and their connections",
      .print = pb_ctl_print_guests },
    { .name = "denied",
      .words = "DEV",
      .options = "",
      .help = "writes of its guests that were refused, by register",
      .print = pb_ctl_print_denied },
    { .name = "suggest-quirk",
      .words = "DEV",
      .options = "",
      .help = "a quirk manifest that would allow exactly these writes",
      .print = pb_ctl_print_suggestion,
      .verdict = pb_ctl_judge_suggestion },
    { .name = "trace",
      .words = "DEV",
      .options = "--follow",
      .help = "the last accesses to a device that has the plugin `trace`",
      .print = pb_ctl_print_trace },
    { .name = "map",
      .words = "DEV",
      .options = "--color WHEN --dump FILE --device ADDR " DIRS,
      .help = "its configuration space as a picture; with --dump of `lspci -xxxx`, no daemon",
      .print = pb_ctl_print_map,
      .where = PB_CTL_LOCAL_WITH_DUMP,
      .local = pb_ctl_local_map },
    { .name = "quirks list",
      .words = "",
      .options = DIRS,
      .help = "the quirks in force; with --dir those of a directory, without a daemon",
      .print = pb_ctl_print_quirks,
      .where = PB_CTL_LOCAL_WITH_DIR,
      .local = pb_ctl_local_list },
    { .name = "quirks explain",
      .words = "DEV",
      .options = "--byte OFFSET --dump FILE --device ADDR " DIRS,
      .help = "why each register is as its guest sees it; with --dump, no daemon",
      .print = pb_ctl_print_explain,
      .where = PB_CTL_LOCAL_WITH_DUMP,
      .local = pb_ctl_local_explain },
    { .name = "quirks validate",
      .words = "[DIR...]",
      .options = "--strict " DIRS,
      .help = "all that is wrong with the manifests of directories; no daemon",
      .print = pb_ctl_print_problems,
      .verdict = pb_ctl_judge_problems,
      .where = PB_CTL_LOCAL,
      .local = pb_ctl_local_validate },
    { .name = "quirks query",
      .words = "",
      .needs = "--ids VVVV:DDDD[:SVVV:SDDD]",
      .options = "--class C --revision R --vf " DIRS,
      .help = "the quirks that match these ids; no daemon",
      .print = pb_ctl_print_query,
      .where = PB_CTL_LOCAL,
      .local = pb_ctl_local_query },
    { .name = "quirks import-sxp",
      .words = "FILE",
      .options = "",
      .help = "xend's quirk file (- for standard input) as a manifest; no daemon",
      .print = pb_ctl_print_json,
      .where = PB_CTL_LOCAL,
      .local = pb_ctl_local_import },
    { .name = "stats",
      .words = "",
      .options = "--prometheus",
      .help = "counters and limits",
      .print = pb_ctl_print_stats },
    { .name = "reload",
      .words = "",
      .options = "--dry-run",
      .help = "let the daemon read its configuration and quirks anew; says what changes",
      .print = pb_ctl_print_reload },
    { .name = "check-config",
      .words = "",
      .options = "",
      .help = "let the daemon read its configuration file anew, and change nothing",
      .print = pb_ctl_print_check,
      .verdict = pb_ctl_judge_check },
    { .name = "version",
      .words = "",
      .options = "",
      .help = "versions of this program and of the daemon",
      .print = pb_ctl_print_version },
    { .name = "help", .words = "", .options = "", .help = "this text; VERB --help: of one verb" },
};

/* Is VERB what ABOUT names, or of its family? */
static bool is_about(const char *verb, const char *about)
{
    size_t length = strlen(about);

    return strncmp(verb, about, length) == 0 && (verb[length] == '\0' || verb[length] == ' ');
}

void pb_ctl_usage(const char *about)
{
    (void)printf("Usage: pcibackctl [--socket PATH] [--json] [--timeout S] VERB ...\n"
                 "DEV is an address (0000:03:00.0) or a name, GUEST a domain id or a name.\n\n");
    for (unsigned i = 0; i < PB_ARRAY_SIZE(verbs); i++) {
        const struct pb_ctl_verb *v = &verbs[i];

        if (about && !is_about(v->name, about))
            continue;
        (void)printf("  %s%s%s%s%s%s%s%s\n        %s\n", v->name, v->words[0] ? " " : "", v->words,
                     v->needs ? " " : "", v->needs ? v->needs : "", v->options[0] ? " [" : "",
                     v->options, v->options[0] ? "]" : "", v->help);
    }
    (void)printf("\nManifests are read from " PB_CTL_QUIRKS_SHIPPED "\nand " PB_CTL_QUIRKS_LOCAL
                 ", or from --dir.\n");
    (void)printf("\nExit status: 0 done; 1 refused, failed, timed out or no daemon; 2 usage.\n");
}

int pb_ctl_complain(const struct pb_ctl_command *command, const char *device, const char *why,
                    const char *next)
{
    (void)fflush(stdout); /* what was found stands before what follows from it */
    (void)fprintf(stderr, "pcibackctl: %s%s%s: %s%s%s\n", command->verb->name, device[0] ? " " : "",
                  device, why, next[0] ? "; " : "", next);
    return 1;
}

/* A verb, or the family of one: "quirks". */
static bool find_verb(struct pb_ctl_command *c, const char *name)
{
    size_t length = strlen(name);
    char full[64];

    for (unsigned i = 0; i < PB_ARRAY_SIZE(verbs); i++) {
        const char *known = verbs[i].name;

        if (c->family) {
            size_t family = strlen(c->family);

            if (strncmp(known, c->family, family) != 0 || known[family] != ' ')
                continue;
            known += family + 1;
        }
        if (strcmp(known, name) == 0) {
            c->verb = &verbs[i];
            return true;
        }
        if (!c->family && length && strncmp(known, name, length) == 0 && known[length] == ' ') {
            c->family = name;
            return true;
        }
    }
    (void)snprintf(full, sizeof(full), "%s%s%.40s", c->family ? c->family : "",
                   c->family ? " " : "", name);
    return pb_ctl_usage_error(full, "unknown verb");
}

static bool take_device_or_guest(struct pb_ctl_command *c, unsigned number, const char *word)
{
    bool guest_first = strcmp(c->verb->words, "GUEST DEV") == 0;
    const char *key = guest_first && number == 0 ? "guest" : "dev";
    json_t *value;

    if (number >= (guest_first ? 2U : 1U))
        return pb_ctl_usage_error(word, "is too much");
    value = word[0] ? json_string(word) : NULL;
    if (!value)
        return pb_ctl_usage_error(c->verb->name, "a device or guest is not a text");
    (void)json_object_set_new(c->params, key, value);
    if (strcmp(key, "dev") == 0)
        c->device = word;
    return true;
}

/* Checked here too: a typing error is one of usage. */
static bool take_slot(struct pb_ctl_command *c, const char *word)
{
    struct pb_slot slot;

    if (c->device[0])
        return pb_ctl_usage_error(word, "is too much");
    if (!pb_slot_parse(word, &slot))
        return pb_ctl_usage_error(word[0] ? word : c->verb->name,
                                  "needs an address like 05:02.0, 05:02.* or 05:*.*");
    (void)json_object_set_new(c->params, "address", json_string(word));
    c->device = word;
    return true;
}

/* The NUMBER-th word behind the verb. */
static bool take_word(struct pb_ctl_command *c, unsigned number, const char *word)
{
    const char *words = c->verb->words;

    if (!words[0])
        return pb_ctl_usage_error(word, "is too much");
    if (strcmp(words, "[DIR...]") == 0) {
        if (c->dirs.count == PB_CTL_LIST_MAX || !word[0])
            return pb_ctl_usage_error(word, word[0] ? "is too much" : "is not a directory");
        c->dirs.text[c->dirs.count++] = word;
        return true;
    }
    if (strcmp(words, "FILE") == 0) {
        if (c->file || !word[0])
            return pb_ctl_usage_error(word, word[0] ? "is too much" : "is not a file");
        c->file = c->device = word;
        return true;
    }
    if (strcmp(words, "ADDR") == 0)
        return take_slot(c, word);
    return take_device_or_guest(c, number, word);
}

bool pb_ctl_is_local(const struct pb_ctl_command *command)
{
    switch (command->verb->where) {
    case PB_CTL_LOCAL:
        return true;
    case PB_CTL_LOCAL_WITH_DUMP:
        return command->dump != NULL;
    case PB_CTL_LOCAL_WITH_DIR:
        return command->dirs.count > 0;
    case PB_CTL_DAEMON:
    default:
        return false;
    }
}

/* Is every word there that the verb needs? */
static bool complete_words(const struct pb_ctl_command *c)
{
    const char *words = c->verb->words;

    if (c->dump) {
        if (json_object_get(c->params, "dev"))
            return pb_ctl_usage_error("--dump", "the device of a dump is named by --device");
        return true;
    }
    if (strcmp(words, "FILE") == 0)
        return c->file || pb_ctl_usage_error(c->verb->name, "needs FILE");
    if (strcmp(words, "GUEST DEV") == 0)
        return (json_object_get(c->params, "guest") && c->device[0]) ||
               pb_ctl_usage_error(c->verb->name, "needs GUEST and DEV");
    if (strcmp(words, "ADDR") == 0)
        return c->device[0] || pb_ctl_usage_error(c->verb->name, "needs ADDR");
    if (strcmp(words, "DEV") == 0)
        return c->device[0] || pb_ctl_usage_error(c->verb->name, "needs DEV");
    return true;
}

static bool complete(const struct pb_ctl_command *c)
{
    if (!c->verb)
        return c->family ? pb_ctl_usage_error(c->family, "needs a second word, such as list")
                         : pb_ctl_usage_error("needs a verb", "such as list, or why DEV");
    if (!complete_words(c))
        return false;
    if (!pb_ctl_is_local(c) && (c->dirs.count || c->plugin_dirs.count || c->dump_device))
        return pb_ctl_usage_error(c->dump_device         ? "--device"
                                  : c->plugin_dirs.count ? "--plugin-dir"
                                                         : "--dir",
                                  c->verb->where == PB_CTL_LOCAL_WITH_DUMP ? "goes with --dump"
                                                                           : "goes with --dir");
    if (c->verb->local == pb_ctl_local_query && !c->has_ids)
        return pb_ctl_usage_error(c->verb->name, "needs --ids");
    if (c->json && c->prometheus)
        return pb_ctl_usage_error("--prometheus", "does not go with --json");
    if (c->json && c->byte >= 0)
        return pb_ctl_usage_error("--byte", "does not go with --json");
    return true;
}

bool pb_ctl_command_parse(int argc, char **argv, struct pb_ctl_command *ret)
{
    unsigned words = 0;

    *ret = (struct pb_ctl_command){ .socket = PB_CTL_SOCKET, .device = "", .byte = -1 };
    ret->params = json_object();
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            ret->about = ret->verb ? ret->verb->name : ret->family;
            ret->family = NULL;
            return find_verb(ret, "help");
        }
        if (argv[i][0] == '-' && argv[i][1]) {
            if (!pb_ctl_option_take(ret, argv, &i))
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
    if (ret->dump)
        ret->device = ret->dump;
    if (ret->timeout_s == 0)
        ret->timeout_s = PB_CTL_TIMEOUT_S + ret->wait_s;
    return true;
}

void pb_ctl_command_done(struct pb_ctl_command *command)
{
    json_decref(command->params);
    command->params = NULL;
}
