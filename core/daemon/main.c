/* SPDX-License-Identifier: MIT */
/* pcibackd over the real hypervisor and the real hardware, and its helper process. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "daemon/daemon.h"

static int open_host(struct ev_loop *loop, const struct pb_host_options *options,
                     struct pb_host **ret)
{
    struct pb_host_options all = *options;
    char relay[PATH_MAX];

    all.sysfs = "/sys";
    all.proc = "/proc";
    all.lib_dir = "/var/lib/pcibackd";
    all.boot_dir = "/run/pcibackd-boot";
    all.store = pb_xen_store_socket();
    (void)snprintf(relay, sizeof(relay), "%s/" PB_HOST_RELAY, options->run_dir);
    pb_xen_use_relay(relay);
    return pb_host_open(loop, &all, ret);
}

int main(int argc, char **argv)
{
    static const struct pb_platform platform = {
        .name = "pcibackd",
        .extra_usage = "",
        .drops_root = true,
        .ioctls = pb_xen_ioctls,
        .open_host = open_host,
        .open_xen = pb_xen_open,
    };

    if (argc > 1 && strcmp(argv[1], "--helper") == 0)
        return pb_helper_main(argc, argv);
    return pb_daemon_run(argc, argv, &platform);
}
