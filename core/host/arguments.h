/* SPDX-License-Identifier: MIT */
/* The helper's command line: how the daemon tells it what it may never be told again. */
#ifndef PB_HOST_ARGUMENTS_H
#define PB_HOST_ARGUMENTS_H

#include <stdbool.h>

#include "host/host.h"

/* For execv(); to be freed, its words are the options' and NUMBER. NULL: out of memory. */
char **pb_arguments_make(const struct pb_host_options *options, const char *number);
/* False: not what pb_arguments_make() makes. *ret points into ARGV. */
bool pb_arguments_take(int argc, char **argv, struct pb_host_options *ret, int *ret_fd);

#endif
