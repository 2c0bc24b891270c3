/* SPDX-License-Identifier: MIT */
/* pcibackctl: one verb a run. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "ctl/client.h"
#include "ctl/command.h"
#include "ctl/print.h"

#define TEXT             512
#define FOLLOW_PERIOD_US 250000

static int report_error(const struct pb_ctl_command *command, const json_t *error)
{
    const json_t *data = json_object_get(error, "data");
    const json_t *problems = json_object_get(data, "problems");
    char device[TEXT], reason[TEXT], next[TEXT];

    (void)pb_ctl_text(data, "device", device, sizeof(device));
    (void)pb_ctl_text(data, "reason", reason, sizeof(reason));
    (void)pb_ctl_text(data, "next", next, sizeof(next));
    if (!reason[0])
        (void)pb_ctl_text(error, "message", reason, sizeof(reason));
    /* the line has the first one */
    if (json_array_size(problems) > 1 && !command->json)
        pb_ctl_print_problem_list(problems);
    return pb_ctl_complain(command, device[0] ? device : command->device, reason, next);
}

static int report(const struct pb_ctl_command *command, const json_t *result)
{
    /* a stream is a line an entry */
    if (command->json && !command->follow)
        pb_ctl_print_json(command, result);
    else
        command->verb->print(command, result);
    return command->verb->verdict ? command->verb->verdict(command, result) : 0;
}

/* "quirks list" is the method quirks.list. */
static const char *method_of(const struct pb_ctl_verb *verb, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s", verb->name);
    for (char *p = buf; *p; p++) {
        if (*p == ' ')
            *p = '.';
    }
    return buf;
}

/* A new reference, or NULL after the line that says why. */
static json_t *obtain(const struct pb_ctl_command *command)
{
    char why[TEXT] = "", next[TEXT] = "", clean[2][TEXT], method[32];
    json_t *reply = NULL, *result = NULL;

    if (pb_ctl_is_local(command)) {
        result = command->verb->local(command, why, next, TEXT);
    } else {
        reply = pb_ctl_ask(command->socket, command->timeout_s,
                           method_of(command->verb, method, sizeof(method)), command->params, why,
                           next, TEXT);
        result = json_incref(json_object_get(reply, "result"));
    }
    if (!result && reply)
        (void)report_error(command, json_object_get(reply, "error"));
    else if (!result)
        (void)pb_ctl_complain(command, command->device, pb_ctl_clean(why, clean[0], TEXT),
                              pb_ctl_clean(next, clean[1], TEXT));
    json_decref(reply);
    return result;
}

/* Asks again and again for what is new, until the daemon has none or somebody interrupts. */
static int follow(const struct pb_ctl_command *command, json_t *result)
{
    while (result) {
        json_t *next = json_object_get(result, "next");

        (void)json_object_set(command->params, "since", next ? next : json_null());
        json_decref(result);
        if (fflush(stdout) != 0)
            return pb_ctl_complain(command, command->device, "cannot write the result", "");
        (void)usleep(FOLLOW_PERIOD_US);
        result = obtain(command);
        if (result)
            (void)report(command, result);
    }
    return 1;
}

static int run(const struct pb_ctl_command *command)
{
    json_t *result;
    int status;

    if (!command->verb->print) {
        pb_ctl_usage(command->about);
        return 0;
    }
    result = obtain(command);
    if (!result)
        return 1;
    status = report(command, result);
    if (command->follow)
        return follow(command, result);
    json_decref(result);
    return status;
}

int main(int argc, char **argv)
{
    struct pb_ctl_command command;
    int status = 2;

    if (pb_ctl_command_parse(argc, argv, &command))
        status = run(&command);
    pb_ctl_command_done(&command);
    if (fflush(stdout) != 0 && status == 0) {
        (void)fprintf(stderr, "pcibackctl: cannot write the result\n");
        status = 1;
    }
    return status;
}
