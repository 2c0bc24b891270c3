/* SPDX-License-Identifier: MIT */
/*
 * All quirks that are in force: one immutable generation, read from the manifests of some
 * directories. It is read anew as a whole and never changed.
 *
 * A set may be loaded in another thread; it is then used by one thread only (its count of
 * references is not atomic).
 */
#ifndef PB_QUIRK_SET_H
#define PB_QUIRK_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pci/facts.h"

struct pb_quirk_set;
struct pb_quirk;

/* Of rising precedence, per bit, before file order. */
#define PB_SPECIFICITIES(X)                                           \
    X(CLASS, "class")                                                 \
    X(VENDOR, "vendor")                                               \
    X(MASKED, "masked device") /* a device list with a device_mask */ \
    X(DEVICE, "device")                                               \
    X(SUBSYSTEM, "subsystem")

enum pb_specificity {
#define X(id, text) PB_MATCH_##id,
    PB_SPECIFICITIES(X)
#undef X
        PB_SPECIFICITY_COUNT
};

struct pb_quirk_sources {
    const char *const *dirs; /* in rising precedence; one that does not exist is empty */
    size_t dir_count;
    bool named;                     /* somebody named them: one that does not exist is a warning */
    const char *const *plugin_dirs; /* searched from the last to the first */
    size_t plugin_dir_count;
    const char *const *disabled; /* ids */
    size_t disabled_count;
    bool any_owner;  /* only for tools without a daemon: manifests and plugins may be anybody's */
    bool no_plugins; /* plugins are looked for, but not opened (`quirks validate` on another
                        machine) */
};

/*
 * A file that is wrong is left out as a whole and is a problem; the others count. A quirk whose
 * plugin cannot be opened is a problem and is left out with its file. NULL when out of memory.
 */
struct pb_quirk_set *pb_quirk_set_load(const struct pb_quirk_sources *sources);
/* The same from one manifest that is not a file; NAME stands for its path. Without directories. */
struct pb_quirk_set *pb_quirk_set_parse(const char *text, size_t length, const char *name,
                                        const struct pb_quirk_sources *sources);
/* No quirks at all. NULL when out of memory. */
struct pb_quirk_set *pb_quirk_set_empty(void);
struct pb_quirk_set *pb_quirk_set_ref(struct pb_quirk_set *set);
void pb_quirk_set_unref(struct pb_quirk_set *set); /* NULL is allowed */

struct pb_quirk_problem {
    bool error; /* else a warning: the quirk is in force */
    const char *file;
    const char *text; /* "FILE:LINE:COLUMN: reason" or "FILE: /json/pointer: reason" */
};
size_t pb_quirk_set_problems(const struct pb_quirk_set *set, const struct pb_quirk_problem **ret);
size_t pb_quirk_set_errors(const struct pb_quirk_set *set); /* how many of them are errors */

/* What the tools list. Strings live as long as the set. */
struct pb_quirk_view {
    const char *id, *reason, *source, *file;
    enum pb_specificity specificity;
    bool disabled, unsafe;
    const char *plugin;       /* NULL: none */
    size_t fields, cap_edits; /* how much it changes */
    unsigned traits;          /* bits 1 << enum pb_trait */
};
/* In rising precedence. */
void pb_quirk_set_each(const struct pb_quirk_set *set,
                       void (*visit)(void *ctx, const struct pb_quirk_view *view), void *ctx);
/* MAX of them at most, from number *FROM on, which is changed for the next call. False: these were
 * the last. */
bool pb_quirk_set_some(const struct pb_quirk_set *set, uint64_t *from, unsigned max,
                       void (*visit)(void *ctx, const struct pb_quirk_view *view), void *ctx);
size_t pb_quirk_set_count(const struct pb_quirk_set *set); /* without the disabled ones */
size_t pb_quirk_set_files(const struct pb_quirk_set *set);

/* What a quirk can match, without a whole device: for `quirks query`. */
struct pb_quirk_ids {
    uint16_t vendor, device, subsystem_vendor, subsystem_device;
    uint32_t class_code;
    uint8_t revision;
    bool virtual_function;
};
/* Visits the quirks (also disabled ones) that match; those with a condition on registers too. */
void pb_quirk_set_query(const struct pb_quirk_set *set, const struct pb_quirk_ids *ids,
                        void (*visit)(void *ctx, const struct pb_quirk_view *view), void *ctx);

#endif
