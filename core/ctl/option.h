/* SPDX-License-Identifier: MIT */
/* The options of pcibackctl. */
#ifndef PB_CTL_OPTION_H
#define PB_CTL_OPTION_H

#include "ctl/command.h"

/*
 * The option argv[*i]; *i is moved to its value, if it has one. False: a usage error, said on
 * stderr.
 */
bool pb_ctl_option_take(struct pb_ctl_command *command, char **argv, int *i);
/* False, after a line on stderr. */
bool pb_ctl_usage_error(const char *what, const char *why);

#endif
