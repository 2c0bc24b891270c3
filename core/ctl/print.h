/* SPDX-License-Identifier: MIT */
/*
 * Results for people. Each returns the exit status. What the daemon says may hold a guest's words:
 * control characters are never printed.
 */
#ifndef PB_CTL_PRINT_H
#define PB_CTL_PRINT_H

#include "ctl/command.h"

int pb_ctl_print_list(const struct pb_ctl_command *command, const json_t *result);
int pb_ctl_print_show(const struct pb_ctl_command *command, const json_t *result);
int pb_ctl_print_change(const struct pb_ctl_command *command, const json_t *result);
int pb_ctl_print_guests(const struct pb_ctl_command *command, const json_t *result);
int pb_ctl_print_stats(const struct pb_ctl_command *command, const json_t *result);
int pb_ctl_print_check(const struct pb_ctl_command *command, const json_t *result);
int pb_ctl_print_version(const struct pb_ctl_command *command, const json_t *result);
/* Text format 0.0.4, for a textfile collector. */
int pb_ctl_print_prometheus(const json_t *result);

/* Copies TEXT to BUF with '?' for each control character and returns BUF. NULL is "". */
const char *pb_ctl_clean(const char *text, char *buf, size_t size);
/* A member of OBJECT as text, cleaned; numbers are written out, null is "". */
const char *pb_ctl_text(const json_t *object, const char *key, char *buf, size_t size);

#endif
