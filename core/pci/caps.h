/* SPDX-License-Identifier: MIT */
/*
 * The capability lists as a guest finds them: what the device has (layout.h), without what is
 * hidden, with what is linked or added. The device's own lists stay what struct pb_layout says:
 * only those may decide about hypercalls (H16).
 */
#ifndef PB_PCI_CAPS_H
#define PB_PCI_CAPS_H

#include <stddef.h>

#include "pci/layout.h"
#include "pci/traits.h"

enum pb_cap_edit_kind {
    PB_CAP_HIDE,     /* every instance of a standard capability */
    PB_CAP_HIDE_EXT, /* of an extended one */
    PB_CAP_SHOW,     /* takes back what an earlier edit or the baseline hides */
    PB_CAP_SHOW_EXT,
    PB_CAP_LINK, /* a standard capability that the device has but does not list */
    PB_CAP_ADD,  /* one that the device does not have: constant bytes */
};

#define PB_CAP_BYTES_MAX 64
#define PB_CAP_COPIES    4

struct pb_cap_edit {
    enum pb_cap_edit_kind kind;
    uint16_t id;   /* capability id; LINK: must be found at AT, or the edit does nothing */
    uint8_t at;    /* LINK, ADD: dword aligned, 0x40 to 0xfc */
    uint8_t after; /* LINK: id of the capability that must end the list; 0: whichever does */
    uint8_t size;  /* ADD: 2 to PB_CAP_BYTES_MAX bytes from AT on, id and next included */
    uint8_t bytes[PB_CAP_BYTES_MAX]; /* ADD: bytes 0 (id) and 1 (next) are filled in */
    struct {
        uint8_t to, from, size; /* ADD: bytes of the claim image; size 0: none */
    } copy[PB_CAP_COPIES];
    const char *origin, *file, *why; /* for `explain`; borrowed */
};

enum pb_cap_how { PB_CAP_OWN, PB_CAP_LINKED, PB_CAP_ADDED, PB_CAP_HIDDEN };

struct pb_cap_seen {
    uint16_t offset, id;
    uint16_t size; /* bytes that are its own: its known length, never into the next capability */
    bool extended;
    enum pb_cap_how how;
    const struct pb_cap_edit *edit; /* that did it; NULL: the device, or the baseline (HIDDEN) */
};

#define PB_CAPS_SEEN_MAX (PB_CAPS_MAX + PB_EXT_CAPS_MAX + 16)

struct pb_caps {
    struct pb_layout seen; /* as the guest finds it: firsts, vectors, counts */
    unsigned count;
    struct pb_cap_seen cap[PB_CAPS_SEEN_MAX]; /* standard, then extended, in order of the lists */
};

/*
 * LAYOUT is the device's own. EDITS are in rising precedence: of two that say something of the same
 * capability the later one wins. Traits hide too (msi, msix) and bound (config_size,
 * msix_max_vectors). -EINVAL: *ret_bad is the index of an edit that cannot be (an added or linked
 * capability lies upon another one). An edit whose device is not as it expects does nothing.
 */
__attribute__((warn_unused_result)) int pb_caps_edit(const struct pb_facts *facts,
                                                     const struct pb_layout *layout,
                                                     const struct pb_traits *traits,
                                                     const struct pb_cap_edit *edits, size_t count,
                                                     struct pb_caps *ret, size_t *ret_bad);

/* Bytes of configuration space that the guest may touch: the device's, or fewer (config_size). */
unsigned pb_caps_limit(const struct pb_facts *facts, const struct pb_traits *traits);
/* Is this extended (standard) capability hidden unless an edit shows it? *ret_why: the reason. */
bool pb_caps_hidden_by_default(bool extended, uint16_t id, const char **ret_why);
/*
 * Bytes that a capability has by its specification, at least 4; wherever the next one starts.
 * OFFSET leaves room for 4 of them.
 */
unsigned pb_cap_length(const struct pb_facts *facts, bool extended, uint16_t id, unsigned offset);
/* "msi", "sriov"; NULL: no name. And back: -1 for an unknown name. */
const char *pb_cap_name(bool extended, uint16_t id);
int pb_cap_by_name(bool extended, const char *name);

#endif
