/* SPDX-License-Identifier: MIT */
#include "pci/caps.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "pci/regs.h"

/* What the functions below work on. Standard capabilities are put together first. */
struct work {
    const struct pb_facts *facts;
    const struct pb_cap_edit *edits;
    struct pb_caps *caps;
    unsigned first; /* of the list under way: 0, then the first extended one */
    unsigned limit; /* bytes that the guest may touch */
};

/* ---- edits -------------------------------------------------------------------------------------
 */

/* An id of all ones ends the list for whoever walks it. */
static bool place_is_right(const struct pb_cap_edit *edit)
{
    return edit->at >= PCI_HEADER_END && edit->at % 4 == 0 && edit->id < UINT8_MAX;
}

static bool bytes_are_right(const struct pb_cap_edit *edit)
{
    if (edit->size < 2 || edit->size > PB_CAP_BYTES_MAX ||
        edit->at + edit->size > (int)PB_CONFIG_SIZE_PCI)
        return false;
    for (unsigned i = 0; i < PB_CAP_COPIES; i++) {
        /* id and next are the list's */
        if (edit->copy[i].size != 0 &&
            (edit->copy[i].to < 2 || edit->copy[i].to + edit->copy[i].size > edit->size ||
             edit->copy[i].from + edit->copy[i].size > (int)PB_CONFIG_SIZE_PCI))
            return false;
    }
    return true;
}

static bool edit_is_right(const struct pb_cap_edit *edit)
{
    switch (edit->kind) {
    case PB_CAP_HIDE:
    case PB_CAP_HIDE_EXT:
    case PB_CAP_SHOW:
    case PB_CAP_SHOW_EXT:
        return true;
    case PB_CAP_LINK:
        return place_is_right(edit);
    case PB_CAP_ADD:
        return place_is_right(edit) && bytes_are_right(edit);
    default:
        return false;
    }
}

static bool append(struct work *work, struct pb_cap_seen cap)
{
    struct pb_caps *caps = work->caps;

    if (caps->count == PB_CAPS_SEEN_MAX - (cap.extended ? 0U : PB_EXT_CAPS_MAX))
        return false;
    caps->cap[caps->count++] = cap;
    return true;
}

static void drop(struct pb_caps *caps, unsigned n)
{
    memmove(&caps->cap[n], &caps->cap[n + 1], (caps->count - n - 1) * sizeof(caps->cap[0]));
    caps->count--;
}

static void drop_added(struct work *work, unsigned offset)
{
    for (unsigned n = work->first; n < work->caps->count; n++) {
        if (work->caps->cap[n].how == PB_CAP_ADDED && work->caps->cap[n].offset == offset)
            drop(work->caps, n--);
    }
}

/* What an edit has put there goes away as if it had not been; what the device has is hidden. */
static void hide_entry(struct pb_caps *caps, unsigned *n, const struct pb_cap_edit *by)
{
    struct pb_cap_seen *cap = &caps->cap[*n];

    if (cap->how == PB_CAP_LINKED || cap->how == PB_CAP_ADDED) {
        drop(caps, (*n)--);
        return;
    }
    cap->how = PB_CAP_HIDDEN;
    cap->edit = by;
}

static void hide(struct work *work, uint16_t id, const struct pb_cap_edit *by)
{
    for (unsigned n = work->first; n < work->caps->count; n++) {
        if (work->caps->cap[n].id == id)
            hide_entry(work->caps, &n, by);
    }
}

static void show(struct work *work, const struct pb_cap_edit *by)
{
    for (unsigned n = work->first; n < work->caps->count; n++) {
        struct pb_cap_seen *cap = &work->caps->cap[n];

        if (cap->id == by->id && cap->how == PB_CAP_HIDDEN) {
            cap->how = PB_CAP_OWN;
            cap->edit = by;
        }
    }
}

/* Is the device as the edit expects it: the capability is there, no list leads to it? */
static bool link_fits(const struct work *work, const struct pb_cap_edit *edit)
{
    const struct pb_cap_seen *last = NULL;

    for (unsigned n = work->first; n < work->caps->count; n++) {
        const struct pb_cap_seen *cap = &work->caps->cap[n];

        if (cap->offset == edit->at)
            return false;
        if (cap->how != PB_CAP_ADDED)
            last = cap;
    }
    if (edit->after != 0 && (!last || last->id != edit->after))
        return false;
    return work->facts->config[edit->at] == edit->id;
}

static bool apply_edit(struct work *work, const struct pb_cap_edit *edit)
{
    struct pb_cap_seen cap = { .offset = edit->at, .id = edit->id, .edit = edit };

    switch (edit->kind) {
    case PB_CAP_HIDE:
    case PB_CAP_HIDE_EXT:
        hide(work, edit->id, edit);
        return true;
    case PB_CAP_SHOW:
    case PB_CAP_SHOW_EXT:
        show(work, edit);
        return true;
    case PB_CAP_LINK:
        cap.how = PB_CAP_LINKED;
        return !link_fits(work, edit) || append(work, cap);
    case PB_CAP_ADD:
    default:
        cap.how = PB_CAP_ADDED;
        drop_added(work, edit->at);
        return append(work, cap);
    }
}

static bool edits_extended(const struct pb_cap_edit *edit)
{
    return edit->kind == PB_CAP_HIDE_EXT || edit->kind == PB_CAP_SHOW_EXT;
}

/* ---- the two lists -----------------------------------------------------------------------------
 */

static unsigned length_of(const struct work *work, const struct pb_cap_seen *cap)
{
    if (cap->how == PB_CAP_ADDED)
        return cap->edit->size;
    return pb_cap_length(work->facts, cap->extended, cap->id, cap->offset);
}

static bool must_be_whole(const struct pb_cap_seen *cap)
{
    return !cap->extended &&
           (cap->how != PB_CAP_OWN || cap->id == PCI_CAP_PM || cap->id == PCI_CAP_VPD ||
            cap->id == PCI_CAP_MSI || cap->id == PCI_CAP_MSIX);
}

/* A device whose space is cut short has no capabilities beyond, and none that the end cuts. */
static void cut(struct work *work)
{
    for (unsigned n = work->first; n < work->caps->count; n++) {
        struct pb_cap_seen *cap = &work->caps->cap[n];
        unsigned length = must_be_whole(cap) ? length_of(work, cap) : 4;

        if (cap->how != PB_CAP_HIDDEN && cap->offset + length > work->limit &&
            work->limit < work->facts->config_size)
            hide_entry(work->caps, &n, NULL);
    }
}

static int build_list(struct work *work, bool extended, const struct pb_cap *own,
                      unsigned own_count, size_t edit_count, size_t *ret_bad)
{
    const char *why;

    work->first = work->caps->count;
    for (unsigned i = 0; i < own_count; i++) {
        struct pb_cap_seen cap = { .offset = own[i].offset, .id = own[i].id, .extended = extended };

        if (pb_caps_hidden_by_default(extended, cap.id, &why))
            cap.how = PB_CAP_HIDDEN;
        (void)append(work, cap); /* there is room for all that a layout holds */
    }
    for (size_t i = 0; i < edit_count; i++) {
        if (edits_extended(&work->edits[i]) == extended && !apply_edit(work, &work->edits[i])) {
            *ret_bad = i;
            return -EINVAL;
        }
    }
    return 0;
}

/* ---- whether it can be -------------------------------------------------------------------------
 */

static bool lie_upon(const struct work *work, const struct pb_cap_seen *a,
                     const struct pb_cap_seen *b)
{
    return a->offset < b->offset + length_of(work, b) && b->offset < a->offset + length_of(work, a);
}

/* An added capability may lie upon a hidden one: nothing is there any more. */
static bool has_place(const struct work *work, const struct pb_cap_seen *cap)
{
    if (cap->offset + length_of(work, cap) > PB_CONFIG_SIZE_PCI)
        return false;
    for (unsigned n = 0; n < work->caps->count; n++) {
        const struct pb_cap_seen *other = &work->caps->cap[n];

        if (other == cap || other->extended ||
            (other->how == PB_CAP_HIDDEN && cap->how == PB_CAP_ADDED))
            continue;
        if (lie_upon(work, cap, other))
            return false;
    }
    return true;
}

static int check_places(const struct work *work, size_t *ret_bad)
{
    for (unsigned n = 0; n < work->caps->count; n++) {
        const struct pb_cap_seen *cap = &work->caps->cap[n];

        if ((cap->how == PB_CAP_LINKED || cap->how == PB_CAP_ADDED) && !has_place(work, cap)) {
            *ret_bad = (size_t)(cap->edit - work->edits);
            return -EINVAL;
        }
    }
    return 0;
}

/* ---- what comes of it --------------------------------------------------------------------------
 */

static unsigned end_of(const struct work *work, const struct pb_cap_seen *cap)
{
    unsigned end = cap->offset + length_of(work, cap);

    for (unsigned n = 0; n < work->caps->count; n++) {
        const struct pb_cap_seen *other = &work->caps->cap[n];

        if (other->extended == cap->extended && other->offset > cap->offset && other->offset < end)
            end = other->offset;
    }
    if (!cap->extended && end > PB_CONFIG_SIZE_PCI)
        end = PB_CONFIG_SIZE_PCI;
    if (end > work->limit)
        end = work->limit;
    return end > cap->offset ? end : cap->offset;
}

static int see(struct work *work, const struct pb_layout *layout, const struct pb_traits *traits)
{
    struct pb_layout *seen = &work->caps->seen;
    int rc;

    memset(seen, 0, sizeof(*seen));
    seen->header_type = layout->header_type;
    for (unsigned n = 0; n < work->caps->count; n++) {
        struct pb_cap_seen *cap = &work->caps->cap[n];
        struct pb_cap entry = { .offset = cap->offset, .id = cap->id };

        cap->size = (uint16_t)(end_of(work, cap) - cap->offset);
        if (cap->how == PB_CAP_HIDDEN)
            continue;
        if (cap->extended) {
            seen->ext[seen->ext_count++] = entry;
            continue;
        }
        if (seen->cap_count == PB_CAPS_MAX) /* they have places of their own, so this cannot be */
            return -EINVAL;
        seen->cap[seen->cap_count++] = entry;
        /* Constant bytes are no interrupts, and no power states. */
        if (cap->how != PB_CAP_ADDED)
            pb_layout_note(seen, cap->id, (uint8_t)cap->offset);
    }
    rc = pb_layout_bodies(work->facts, seen);
    if (traits->msix_max_vectors && seen->msix_vectors > traits->msix_max_vectors)
        seen->msix_vectors = traits->msix_max_vectors;
    return rc;
}

unsigned pb_caps_limit(const struct pb_facts *facts, const struct pb_traits *traits)
{
    unsigned size =
        facts->config_size == PB_CONFIG_SIZE_PCIE ? PB_CONFIG_SIZE_PCIE : PB_CONFIG_SIZE_PCI;

    if (traits->config_size && traits->config_size < size)
        size = traits->config_size & ~3U;
    return size > PCI_HEADER_END ? size : PCI_HEADER_END;
}

int pb_caps_edit(const struct pb_facts *facts, const struct pb_layout *layout,
                 const struct pb_traits *traits, const struct pb_cap_edit *edits, size_t count,
                 struct pb_caps *ret, size_t *ret_bad)
{
    struct work work = {
        .facts = facts, .edits = edits, .caps = ret, .limit = pb_caps_limit(facts, traits)
    };
    int rc;

    memset(ret, 0, sizeof(*ret));
    *ret_bad = 0;
    for (size_t i = 0; i < count; i++) {
        if (!edit_is_right(&edits[i])) {
            *ret_bad = i;
            return -EINVAL;
        }
    }
    rc = build_list(&work, false, layout->cap, layout->cap_count, count, ret_bad);
    if (rc < 0)
        return rc;
    if (traits->deny_msi)
        hide(&work, PCI_CAP_MSI, NULL);
    if (traits->deny_msix)
        hide(&work, PCI_CAP_MSIX, NULL);
    rc = check_places(&work, ret_bad);
    if (rc < 0)
        return rc;
    cut(&work);
    rc = build_list(&work, true, layout->ext, layout->ext_count, count, ret_bad);
    if (rc < 0)
        return rc;
    cut(&work);
    return see(&work, layout, traits);
}
