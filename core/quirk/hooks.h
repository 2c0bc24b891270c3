/* SPDX-License-Identifier: MIT */
/*
 * The plugins of one device while a guest has it: their states, their clocks, their faults. Nothing
 * here allocates during an access.
 */
#ifndef PB_QUIRK_HOOKS_H
#define PB_QUIRK_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "quirk/profile.h"

#define PB_PLUGIN_SLOW_US    1000
#define PB_PLUGIN_FAULTS_MAX 8    /* slow calls and faults, after which it is switched off */
#define PB_PLUGIN_PROMPT     1000 /* so many prompt calls make up for a slow one */
#define PB_TRACE_ENTRIES     1024

struct pb_hooks;

/*
 * Calls `load` where needed, and `attach` of each plugin of PROFILE (the hooks take a reference).
 * An error of a plugin undoes the others; WHY says which. One that has ended the daemon is left
 * out, and shown as switched off. *ret is never NULL, so that a reload can
 * bring plugins to a device that has none.
 */
int pb_hooks_new(struct pb_profile *profile, struct pb_hooks **ret, char *why, size_t why_size);
/* Calls `detach`. NULL is allowed. */
void pb_hooks_free(struct pb_hooks *hooks);
/*
 * Changes over to PROFILE. A binding with the same plugin, parameters and mask keeps its state;
 * others are detached and attached. A plugin whose attach fails now is switched off and the log
 * says so: the guest keeps its device.
 */
void pb_hooks_move(struct pb_hooks *hooks, struct pb_profile *profile);

/* Has a plugin a bit of these bytes? HOOKS may be NULL. */
bool pb_hooks_cover(const struct pb_hooks *hooks, unsigned offset, unsigned size);
/* Which bits of them, at the moment. */
uint32_t pb_hooks_bits(const struct pb_hooks *hooks, unsigned offset, unsigned size);
/* Before a write: *value is what goes on; bits in *ret_handled and *ret_denied go no further. */
void pb_hooks_write(struct pb_hooks *hooks, unsigned offset, unsigned size, uint32_t *value,
                    uint32_t *ret_handled, uint32_t *ret_denied);
/* After a read: RAW is what hardware said (0 when it was not asked). */
void pb_hooks_read(struct pb_hooks *hooks, unsigned offset, unsigned size, uint32_t raw,
                   uint32_t *value);

struct pb_hook_view {
    const char *plugin, *quirk;
    bool disabled;
    const char *why_disabled;
    uint64_t calls, slow, faults, longest_us;
};
void pb_hooks_each(const struct pb_hooks *hooks,
                   void (*visit)(void *ctx, const struct pb_hook_view *view), void *ctx);
/* The plugins' own numbers: STAT gets "NAME.number". Calls into plugins: on the loop only. */
void pb_hooks_stats(struct pb_hooks *hooks, pcibackd_stat_fn stat, void *ctx);

struct pb_trace_entry {
    uint64_t number; /* counts from 1 */
    uint64_t at_ns;  /* CLOCK_MONOTONIC */
    uint16_t offset;
    uint8_t size, write;
    uint32_t mask, value;
};
/* Entries after number SINCE, oldest first; *ret_lost: how many of them are not there any more. */
void pb_hooks_trace(const struct pb_hooks *hooks, uint64_t since,
                    void (*visit)(void *ctx, const struct pb_trace_entry *entry), void *ctx,
                    uint64_t *ret_lost);
/* Does one of its plugins record accesses? */
bool pb_hooks_traces(const struct pb_hooks *hooks);

#endif
