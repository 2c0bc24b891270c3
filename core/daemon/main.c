/* SPDX-License-Identifier: MIT */
/* pcibackd over the real hypervisor and the real hardware, and its helper process. */
#include <string.h>

#include "daemon/daemon.h"

static int open_host(struct ev_loop *loop, const char *self, const char *config_dir,
                     struct pb_host **ret)
{
    struct pb_host_options options = { .sysfs = "/sys",
                                       .proc = "/proc",
                                       .lib_dir = "/var/lib/pcibackd",
                                       .boot_dir = "/run/pcibackd-boot",
                                       .config_dir = config_dir,
                                       .self = self };

    return pb_host_open(loop, &options, ret);
}

int main(int argc, char **argv)
{
    static const struct pb_platform platform = {
        .name = "pcibackd",
        .extra_usage = "",
        .open_host = open_host,
        .open_xen = pb_xen_open,
    };

    if (argc > 1 && strcmp(argv[1], "--helper") == 0)
        return pb_helper_main(argc, argv);
    return pb_daemon_run(argc, argv, &platform);
}
