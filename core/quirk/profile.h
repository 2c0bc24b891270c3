/* SPDX-License-Identifier: MIT */
/*
 * One device under one set of quirks: everything that shapes what its guest sees, compiled. It is
 * immutable; a reload builds a new one and the device changes over between two accesses.
 */
#ifndef PB_QUIRK_PROFILE_H
#define PB_QUIRK_PROFILE_H

#include "base/ratelimit.h"
#include "pci/access.h"
#include "pci/caps.h"
#include "pci/map.h"
#include "quirk/plugin.h"
#include "quirk/set.h"

/* A plugin as this device uses it. */
struct pb_binding {
    struct pb_plugin *plugin;          /* the set's */
    const char *quirk;                 /* id of the quirk that names it */
    const char *params;                /* JSON text of an object, "{}" when there are none */
    uint8_t mask[PB_CONFIG_SIZE_PCIE]; /* bits that are its own */
};

#define PB_BINDINGS_MAX 4

/* A quirk that matched this device. */
struct pb_applied {
    const char *id, *file, *reason, *source;
    enum pb_specificity specificity;
    const char *without_effect; /* NULL: it counts; else why not ("disabled", "no MSI at …") */
};

struct pb_profile {
    unsigned refs;
    struct pb_quirk_set *set;
    struct pb_facts facts; /* a copy, with the traits' config_size and class NOT applied */
    struct pb_traits traits;
    struct pb_caps caps;
    struct pb_rules rules; /* for `explain`; the map is compiled from them */
    struct pb_map *map;
    struct pb_applied *applied; /* in rising precedence */
    size_t applied_count;
    struct pb_binding *binding[PB_BINDINGS_MAX];
    unsigned binding_count;
    struct pb_cap_edit *edits; /* that `caps` points into */
    size_t edit_count;
    /* Its plugins' lines: as often as a guest has them start anew, there are not more of them. */
    struct pb_ratelimit lines;
};

/* What the operator's configuration says of the device: it beats every quirk. */
struct pb_operator {
    bool has_assign;
    enum pb_assign assign;
    uint8_t reset_method[PB_RESET_METHOD_COUNT]; /* enum pb_reset_method, in order */
    uint8_t reset_method_count;                  /* 0: nothing said */
    uint16_t msix_vectors_max; /* what the protocol and the limits leave: the table shrinks to it */
};

/*
 * Takes a reference of SET. 0 and *ret with one reference, or negative errno and in WHY one
 * sentence that names the quirk and its file if it is one's fault: -EOPNOTSUPP bridge, -EPROTO
 * malformed capabilities, -EINVAL a quirk does not fit this device, -ENOMEM.
 */
__attribute__((warn_unused_result)) int
pb_profile_build(struct pb_quirk_set *set, const struct pb_facts *facts,
                 const struct pb_layout *layout, const struct pb_operator *op,
                 struct pb_profile **ret, char *why, size_t why_size);
struct pb_profile *pb_profile_ref(struct pb_profile *profile);
void pb_profile_unref(struct pb_profile *profile); /* NULL is allowed */

/* One line for each thing that a change from OLD to NEW means to the device; none: no change. */
void pb_profile_diff(const struct pb_profile *old_profile, const struct pb_profile *new_profile,
                     void (*line)(void *ctx, const char *text), void *ctx);

#endif
