/* SPDX-License-Identifier: MIT */
/* pcibackctl: one verb a run. */
#include <stdio.h>
#include <string.h>

#include "ctl/client.h"
#include "ctl/command.h"
#include "ctl/print.h"

#define TEXT 512

/* Exactly one line: what, which device, why, what next. */
static int complain(const struct pb_ctl_command *command, const char *device, const char *why,
                    const char *next)
{
    (void)fprintf(stderr, "pcibackctl: %s%s%s: %s%s%s\n", command->verb->name, device[0] ? " " : "",
                  device, why, next[0] ? "; " : "", next);
    return 1;
}

static int report_error(const struct pb_ctl_command *command, const json_t *error)
{
    const json_t *data = json_object_get(error, "data");
    char device[TEXT], reason[TEXT], next[TEXT];

    (void)pb_ctl_text(data, "device", device, sizeof(device));
    (void)pb_ctl_text(data, "reason", reason, sizeof(reason));
    (void)pb_ctl_text(data, "next", next, sizeof(next));
    if (!reason[0])
        (void)pb_ctl_text(error, "message", reason, sizeof(reason));
    return complain(command, device[0] ? device : command->device, reason, next);
}

static int report(const struct pb_ctl_command *command, const json_t *reply)
{
    const json_t *result = json_object_get(reply, "result");
    const json_t *error = json_object_get(reply, "error");
    int status;

    if (error)
        return report_error(command, error);
    if (!command->json)
        return command->verb->print(command, result);
    /* the status is that of the table: check-config fails for a bad file */
    status = json_is_false(json_object_get(result, "valid")) ? 1 : 0;
    if (json_dumpf(result, stdout, JSON_INDENT(2)) != 0)
        return 1;
    (void)printf("\n");
    if (status)
        return command->verb->print(command, result);
    return 0;
}

static int run(const struct pb_ctl_command *command)
{
    char why[TEXT], next[TEXT], clean[2][TEXT];
    json_t *reply;
    int status;

    if (!command->verb->print) {
        pb_ctl_usage();
        return 0;
    }
    reply = pb_ctl_ask(command->socket, command->timeout_s, command->verb->name, command->params,
                       why, next, TEXT);
    if (!reply)
        return complain(command, command->device, pb_ctl_clean(why, clean[0], TEXT),
                        pb_ctl_clean(next, clean[1], TEXT));
    status = report(command, reply);
    json_decref(reply);
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
