/* SPDX-License-Identifier: MIT */
/* pcibackctl's command line: one table of verbs, one command out of argv. */
#ifndef PB_CTL_COMMAND_H
#define PB_CTL_COMMAND_H

#include <jansson.h>
#include <stdbool.h>

#define PB_CTL_SOCKET "/run/pcibackd/control.sock"
/* Longer than the daemon's own deadlines with their defaults: two resets and an attach. */
#define PB_CTL_TIMEOUT_S 180

struct pb_ctl_command;

struct pb_ctl_verb {
    const char *name;
    const char *words;   /* what it takes, in order: "GUEST DEV" */
    const char *options; /* its own: "--claim --wait S" */
    const char *help;
    /* Prints the result for people; the exit status. */
    int (*print)(const struct pb_ctl_command *command, const json_t *result);
};

struct pb_ctl_command {
    const struct pb_ctl_verb *verb;
    const char *socket;
    bool json, prometheus;
    unsigned timeout_s;
    json_t *params;     /* an object; owned */
    const char *device; /* for messages, "" none */
};

/* False: a usage error, said on stderr. */
bool pb_ctl_command_parse(int argc, char **argv, struct pb_ctl_command *ret);
void pb_ctl_command_done(struct pb_ctl_command *command);
void pb_ctl_usage(void);

#endif
