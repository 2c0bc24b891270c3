/* SPDX-License-Identifier: MIT */
/* pcibackd over the real hypervisor and the real hardware, and its helper process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/daemon.h"

#define SYSFS   "/sys"
#define LIB_DIR "/var/lib/pcibackd"

static int open_host(struct ev_loop *loop, const char *self, struct pb_host **ret)
{
    struct pb_host_options options = { .sysfs = SYSFS, .lib_dir = LIB_DIR, .self = self };

    return pb_host_open(loop, &options, ret);
}

/* "--helper FD --sysfs DIR --lib-dir DIR": how core/host starts its other half. */
static int run_helper(int argc, char **argv)
{
    const char *sysfs = SYSFS, *lib_dir = LIB_DIR;
    char *end;
    long fd;

    if (argc < 3)
        return 2;
    fd = strtol(argv[2], &end, 10);
    if (*end || end == argv[2] || fd < 0 || fd > 1 << 20)
        return 2;
    for (int i = 3; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--sysfs") == 0)
            sysfs = argv[i + 1];
        else if (strcmp(argv[i], "--lib-dir") == 0)
            lib_dir = argv[i + 1];
        else
            return 2;
    }
    return pb_helper_main((int)fd, sysfs, lib_dir);
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
        return run_helper(argc, argv);
    return pb_daemon_run(argc, argv, &platform);
}
