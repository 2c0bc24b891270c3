/* SPDX-License-Identifier: MIT */
/* The daemon's faces as a program, over a backend without a machine. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/daemon.h"
#include "fake_backend.h"

static void close_host(struct pb_host *host)
{
    (void)host;
}

static void close_xen(struct pb_xen *xen)
{
    (void)xen;
}

static int open_host(struct ev_loop *loop, const char *self, const char *config_dir,
                     struct pb_host **ret)
{
    static const struct pb_host_ops ops = { .close = close_host };
    static struct pb_host host = { .ops = &ops };

    (void)config_dir;
    (void)loop;
    if (self[0] != '/' || getenv("FAKE_HOST_FAILS"))
        return -EPERM;
    *ret = &host;
    return 0;
}

static int open_xen(struct ev_loop *loop, struct pb_xen **ret, const char **ret_what)
{
    static const struct pb_xen_ops ops = { .close = close_xen };
    static struct pb_xen xen = { .ops = &ops };

    (void)loop;
    *ret_what = "/dev/xen/evtchn";
    if (getenv("FAKE_XEN_FAILS"))
        return -ENOENT;
    *ret = &xen;
    return 0;
}

static enum pb_option_use option(const char *name, const char *value)
{
    if (strcmp(name, "--fake") == 0)
        return PB_OPTION_FLAG;
    if (strcmp(name, "--fake-value") == 0)
        return value ? PB_OPTION_WITH_VALUE : PB_OPTION_BAD;
    return PB_OPTION_UNKNOWN;
}

int main(int argc, char **argv)
{
    static const struct pb_platform platform = {
        .name = "pcibackd-fake",
        .extra_usage = "  --fake                  nothing\n",
        .any_owner = true,
        .option = option,
        .open_host = open_host,
        .open_xen = open_xen,
    };

    return pb_daemon_run(argc, argv, &platform);
}
