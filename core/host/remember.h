/* SPDX-License-Identifier: MIT */
/*
 * What a device was before we took it, in LIB_DIR/devices/BDF: so that a later run of the daemon,
 * or one after a crash, gives it back right. Written before anything is changed, removed when all
 * is back.
 */
#ifndef PB_HOST_REMEMBER_H
#define PB_HOST_REMEMBER_H

#include <stdbool.h>

#include "host/host.h"

#define PB_BOOT_ID_TEXT 40

struct pb_remembered {
    char driver[PB_DRIVER_NAME];   /* "" none */
    char override[PB_DRIVER_NAME]; /* "" none */
    char power[16];                /* power/control: "auto", "on"; "" unknown */
    bool enabled;                  /* sysfs `enable` was above 0 */
    bool chosen;                   /* a boot script kept it from drivers: the kernel chooses one */
    /* Files of the first version do not say these. */
    bool has_ids;
    uint16_t vendor, device;
    char boot[PB_BOOT_ID_TEXT]; /* of the host, "" unknown */
    bool has_command;
    uint16_t command; /* COMMAND: what is cleared for guests (SERR, PARITY) comes back at release */
};

/* -ENOENT: nothing is remembered; -EPROTO: the file is not ours. */
int pb_remember_load(const char *lib_dir, const char *address, struct pb_remembered *ret);
int pb_remember_store(const char *lib_dir, const char *address, const struct pb_remembered *what);
int pb_remember_forget(const char *lib_dir, const char *address);
/* The host's boot id, "" when it cannot be read. */
void pb_remember_boot(const char *proc, char ret[PB_BOOT_ID_TEXT]);

#endif
