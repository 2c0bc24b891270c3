/* SPDX-License-Identifier: MIT */
/*
 * The daemon's life from its command line to its exit status. What it stands on, the hypervisor
 * and the hardware, comes from a platform: the real one in main.c, a simulated one in tests/sim.
 */
#ifndef PB_DAEMON_DAEMON_H
#define PB_DAEMON_DAEMON_H

#include <stdbool.h>

#include "host/host.h"
#include "xen/xen.h"

#define PB_CONFIG_PATH "/etc/pcibackd.json"

struct ev_loop;

enum pb_option_use {
    PB_OPTION_UNKNOWN,    /* not one of the platform's: a usage error */
    PB_OPTION_FLAG,       /* taken */
    PB_OPTION_WITH_VALUE, /* taken, and the argument behind it too */
    PB_OPTION_BAD,        /* the platform's, but wrong; it has said why on stderr */
};

struct pb_platform {
    const char *name;        /* of the program, for messages */
    const char *extra_usage; /* lines of --help for the platform's own options, "" none */
    bool any_owner;          /* quirks and plugins may be anybody's: only in tests */
    /* Root is given up once everything is open (privilege.h). Without it nothing here needs root.
     */
    bool drops_root;
    const unsigned long *ioctls; /* requests that it still makes then, ended by 0; NULL none */
    /*
     * An option that the daemon does not know; VALUE is the argument behind it, NULL when there is
     * none. The pointer may be NULL.
     */
    enum pb_option_use (*option)(const char *option, const char *value);
    /* Names the boot of the host (H11); NULL: the kernel's boot_id does. */
    const char *(*boot_id)(void);
    /* OPTIONS without the host's own places: sysfs, proc, lib_dir, boot_dir, store. 0 or negative
     * errno. */
    int (*open_host)(struct ev_loop *loop, const struct pb_host_options *options,
                     struct pb_host **ret);
    /* On failure *ret_what says which device or library. 0 or negative errno. */
    int (*open_xen)(struct ev_loop *loop, struct pb_xen **ret, const char **ret_what);
};

/*
 * Runs until SIGTERM or SIGINT; guests stay connected then. Returns the exit status: 0; 1 when it
 * could not start or the configuration is bad; 2 for a wrong command line; PB_EXIT_HELPER when its
 * helper process is gone, which only a new start can replace.
 */
#define PB_EXIT_HELPER 3
int pb_daemon_run(int argc, char **argv, const struct pb_platform *platform);

#endif
