/* SPDX-License-Identifier: MIT */
/*
 * Finding, checking and opening plugins (pcibackd/plugin.h). A plugin is counted by reference and
 * unloaded when its last user is gone.
 */
#ifndef PB_QUIRK_PLUGIN_H
#define PB_QUIRK_PLUGIN_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pcibackd/plugin.h"

#define PB_PLUGIN_NAME_MAX 32

struct pb_plugin;

/* Letters, digits, '-' and '_', 1 to PB_PLUGIN_NAME_MAX of them. */
bool pb_plugin_name_check(const char *name);

/*
 * Opens DIR/NAME.so from the last of DIRS that has it. Refused, with a sentence in WHY: -ENOENT
 * none has it; -EPERM the file, its directory or one above is not root's alone to write (unless
 * ANY_OWNER); -ENOEXEC no `pcibackd_plugin` symbol or no magic; -EPROTO another major version or a
 * newer minor one; -EINVAL a structure that is too short, or its name is not NAME; -ELIBBAD the
 * dynamic linker refused it. The same file that is open already is shared. Any thread may call it;
 * no callback is called.
 */
int pb_plugin_open(const char *const *dirs, size_t dir_count, bool any_owner, const char *name,
                   struct pb_plugin **ret, char *why, size_t why_size);
struct pb_plugin *pb_plugin_ref(struct pb_plugin *plugin);
/* The last reference calls unload, if load was called, and closes it. On the loop only. */
void pb_plugin_unref(struct pb_plugin *plugin);
/* Calls `load` once for all; on the loop (or in the process that resets). */
int pb_plugin_load(struct pb_plugin *plugin, char *why, size_t why_size);

/*
 * Who wants to know whose code runs on the loop: told before and after each call, by the plugin's
 * name and a number that tells its file from one that replaced it (T16). IS_OFF: it is never to be
 * called again. One for all, which stays the caller's; NULL: nobody.
 */
struct pb_plugin_guard {
    void (*enter)(void *ctx, const char *name, uint64_t file);
    void (*leave)(void *ctx);
    bool (*is_off)(void *ctx, const char *name, uint64_t file);
    void *ctx;
};
void pb_plugin_set_guard(const struct pb_plugin_guard *guard);
void pb_plugin_enter(const struct pb_plugin *plugin);
void pb_plugin_leave(void);
bool pb_plugin_is_off(const struct pb_plugin *plugin);

const char *pb_plugin_name(const struct pb_plugin *plugin);
const char *pb_plugin_path(const struct pb_plugin *plugin);
/* Members that the plugin's own structure does not have are NULL and 0. */
const struct pcibackd_plugin *pb_plugin_ops(const struct pb_plugin *plugin);

#endif
