/* SPDX-License-Identifier: MIT */
/* pcibackctl's command line: one table of verbs, one command out of argv. */
#ifndef PB_CTL_COMMAND_H
#define PB_CTL_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "quirk/set.h"

#define PB_CTL_SOCKET "/run/pcibackd/control.sock"
/* Longer than the daemon's own deadlines with their defaults: two resets and an attach. */
#define PB_CTL_TIMEOUT_S      180

#define PB_CTL_QUIRKS_SHIPPED "/usr/share/pcibackd/quirks.d"
#define PB_CTL_QUIRKS_LOCAL   "/etc/pcibackd/quirks.d"
#define PB_CTL_PLUGINS        "/usr/lib/pcibackd/plugins"
#define PB_CTL_LIST_MAX       16

struct pb_ctl_command;

/* Does the tool do it itself, without a daemon? */
enum pb_ctl_where { PB_CTL_DAEMON, PB_CTL_LOCAL, PB_CTL_LOCAL_WITH_DUMP, PB_CTL_LOCAL_WITH_DIR };

struct pb_ctl_verb {
    const char *name;    /* of a family: "quirks list", the method quirks.list */
    const char *words;   /* what it takes, in order: "GUEST DEV" */
    const char *needs;   /* an option that must be given; NULL: none */
    const char *options; /* its own: "--claim --wait S" */
    const char *help;
    /* Prints the result for people; NULL: `help`. */
    void (*print)(const struct pb_ctl_command *command, const json_t *result);
    /* The exit status, and the line that goes with it if it is not 0. NULL: 0. */
    int (*verdict)(const struct pb_ctl_command *command, const json_t *result);
    enum pb_ctl_where where;
    /* The same as the daemon's result; NULL with a sentence in WHY and what to do in NEXT. */
    json_t *(*local)(const struct pb_ctl_command *command, char *why, char *next, size_t size);
};

enum pb_ctl_color { PB_CTL_COLOR_AUTO, PB_CTL_COLOR_ALWAYS, PB_CTL_COLOR_NEVER };

struct pb_ctl_list {
    const char *text[PB_CTL_LIST_MAX];
    size_t count;
};

struct pb_ctl_command {
    const struct pb_ctl_verb *verb;
    const char *family; /* of a verb of two words, of which only this one was read */
    const char *about;  /* of `help`: one verb, or a family; NULL: all */
    const char *socket;
    bool json, prometheus, strict, follow;
    unsigned timeout_s, wait_s;
    json_t *params;     /* an object; owned */
    const char *device; /* for messages, "" none */
    /* of the tools that need no daemon */
    struct pb_ctl_list dirs, plugin_dirs;
    const char *file;               /* "-": standard input */
    const char *dump, *dump_device; /* the same; NULL: not given */
    bool has_ids;
    struct pb_quirk_ids ids;
    int byte; /* -1: all */
    enum pb_ctl_color color;
};

/* False: a usage error, said on stderr. */
bool pb_ctl_command_parse(int argc, char **argv, struct pb_ctl_command *ret);
void pb_ctl_command_done(struct pb_ctl_command *command);
bool pb_ctl_is_local(const struct pb_ctl_command *command);
/* ABOUT: a verb, or the first word of some; NULL: all of them. */
void pb_ctl_usage(const char *about);

/* One line on stderr, which names the verb, the device, why, and what next; 1. */
int pb_ctl_complain(const struct pb_ctl_command *command, const char *device, const char *why,
                    const char *next);

#endif
