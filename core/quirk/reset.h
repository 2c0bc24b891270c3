/* SPDX-License-Identifier: MIT */
/*
 * before_reset and after_reset of plugins, in the helper's child that carries the reset out. The
 * device's registers are reached through a table, so that this layer knows no sysfs.
 */
#ifndef PB_QUIRK_RESET_H
#define PB_QUIRK_RESET_H

#include "pci/facts.h"
#include "quirk/plugin.h"

struct pb_reset_io {
    /* 0 or negative errno */
    int (*config_read)(void *ctx, unsigned offset, unsigned size, uint32_t *ret_value);
    int (*config_write)(void *ctx, unsigned offset, unsigned size, uint32_t value);
    /* Maps LENGTH bytes of memory BAR from 0 on; NULL with errno. The carrier unmaps at its end. */
    void *(*bar_map)(void *ctx, unsigned bar, size_t *ret_length);
    void *ctx;
};

/* One plugin that takes part in a reset. */
struct pb_reset_plugin {
    char path[160]; /* of the .so: opened only if it and its directories are root's alone */
    char params[512];
};

#define PB_RESET_PLUGINS_MAX 4

struct pb_reset_hooks;

/*
 * Opens and loads the plugins. FACTS, whose config is the image at claim, and IO outlive the hooks.
 * ANY_OWNER only in tests. On an error WHY says which plugin and why, and the reset must not be
 * done.
 */
int pb_reset_hooks_open(const struct pb_reset_plugin *plugins, unsigned count, bool any_owner,
                        const struct pb_facts *facts, const struct pb_reset_io *io,
                        struct pb_reset_hooks **ret, char *why, size_t why_size);
/*
 * In order. 0, PCIBACKD_RESET_DONE when one has reset the device (those behind it are not asked any
 * more), or a negative errno with WHY. Memory decode is off again after each plugin that needed it.
 */
int pb_reset_hooks_before(struct pb_reset_hooks *hooks, char *why, size_t why_size);
/*
 * In reverse order, all of them (after a plugin's error in before_reset: those before it); RC is
 * the reset's. 0 or the first negative errno with WHY.
 */
int pb_reset_hooks_after(struct pb_reset_hooks *hooks, int rc, char *why, size_t why_size);
void pb_reset_hooks_close(struct pb_reset_hooks *hooks);

#endif
