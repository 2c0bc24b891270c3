/* SPDX-License-Identifier: MIT */
/* The daemon's command line. */
#ifndef PB_DAEMON_OPTIONS_H
#define PB_DAEMON_OPTIONS_H

#include <stdbool.h>

#include "base/log.h"
#include "daemon/daemon.h"

struct pb_options {
    const char *config;   /* PB_CONFIG_PATH unless given */
    bool config_required; /* it was given */
    bool check_config, boot_rules, detach_all, version, help;
    enum pb_log_format log_format;
    enum pb_log_level log_level;
};

/* False: wrong, and said why on stderr. */
bool pb_options_parse(int argc, char **argv, const struct pb_platform *platform,
                      struct pb_options *ret);
void pb_options_usage(const struct pb_platform *platform);

#endif
