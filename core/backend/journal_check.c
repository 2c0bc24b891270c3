/* SPDX-License-Identifier: MIT */
/* What a file may say. Nobody behind this looks again. */
#include <string.h>

#include "backend/journal_file.h"
#include "backend/machine.h"
#include "base/bytes.h"

#define DOMID_END 0x7ff0u /* xen/include/public/xen.h: DOMID_FIRST_RESERVED */

/* A bool that holds anything else is undefined to look at. */
static bool is_bool(const void *at)
{
    unsigned char byte;

    memcpy(&byte, at, 1);
    return byte <= 1;
}

static bool are_bools(const uint8_t *at, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (at[i] > 1)
            return false;
    }
    return true;
}

static bool is_text(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

/* It becomes a part of a path. */
static bool is_driver(const char text[PB_DRIVER_NAME])
{
    return is_text(text, PB_DRIVER_NAME) && text[0] != '.' && !strchr(text, '/');
}

static bool check_taint(const struct pb_taint *taint)
{
    if (taint->count > PB_TAINT_MAX)
        return false;
    for (unsigned i = 0; i < taint->count; i++) {
        if (taint->by[i].domid >= DOMID_END)
            return false;
    }
    return true;
}

static bool check_vectors(const struct pb_journal_device *d)
{
    if (d->interrupt_mode > PB_INTERRUPT_MSIX || d->interrupt_count > PB_MSIX_ENTRIES_MAX)
        return false;
    for (unsigned i = 0; i < d->interrupt_count; i++) {
        if (d->vector[i].pirq > INT32_MAX || d->vector[i].entry >= 2048)
            return false;
    }
    return true;
}

static bool check_device(const struct pb_journal_device *d)
{
    const uint8_t flags[] = { d->has_vaddr,
                              d->serving,
                              d->ready,
                              d->let_go,
                              d->permissive,
                              d->permissive_asked,
                              d->assigned_in_xen,
                              d->reserved,
                              d->quarantined,
                              d->msix_prepared,
                              d->masked,
                              d->adopted,
                              d->gsi_mapped,
                              d->irq_allowed,
                              d->ours,
                              d->flr,
                              d->failed,
                              d->interrupt_block,
                              d->interrupts_open };

    return d->phase < PB_JOURNAL_PHASE_COUNT &&
           (d->phase == PB_JOURNAL_CLAIMED || d->domid < DOMID_END) && d->node >= -1 &&
           d->node_state < PB_XENBUS_COUNT && are_bools(flags, PB_ARRAY_SIZE(flags)) &&
           are_bools(d->resource, PB_PCI_RESOURCES) && d->flr_method < PB_RESET_METHOD_COUNT &&
           is_driver(d->driver_before) && is_driver(d->driver_now) &&
           is_text(d->cause, sizeof(d->cause)) && is_text(d->cause_next, sizeof(d->cause_next)) &&
           is_text(d->cause_code, sizeof(d->cause_code)) && check_vectors(d) &&
           check_taint(&d->taint);
}

static bool check_guest(const struct pb_journal_guest *g)
{
    const uint8_t flags[] = { g->xl, g->connected, g->nodes_exist, g->ending, g->fenced };

    return g->domid < DOMID_END && is_text(g->name, sizeof(g->name)) &&
           are_bools(flags, PB_ARRAY_SIZE(flags)) && g->topology < PB_TOPOLOGY_COUNT &&
           g->be_state < PB_XENBUS_COUNT && g->fe_state < PB_XENBUS_COUNT &&
           g->root_count <= PB_VROOTS;
}

static bool check_facts(const struct pb_facts *f)
{
    for (unsigned i = 0; i < PB_PCI_RESOURCES; i++) {
        if (f->resource[i].end < f->resource[i].start)
            return false;
    }
    return (f->config_size == PB_CONFIG_SIZE_PCI || f->config_size == PB_CONFIG_SIZE_PCIE) &&
           f->class_code <= 0xffffff && is_bool(&f->virtual_function) &&
           is_text(f->reset_methods, sizeof(f->reset_methods));
}

static bool check_surroundings(const struct pb_surroundings *s)
{
    if (s->neighbour_count > PB_NEIGHBOURS_MAX)
        return false;
    for (unsigned i = 0; i < s->neighbour_count; i++) {
        if (!is_driver(s->neighbour[i].driver))
            return false;
    }
    return is_text(s->path, sizeof(s->path)) && is_text(s->port, sizeof(s->port)) &&
           is_text(s->uses_text, sizeof(s->uses_text)) && is_bool(&s->has_physical_function) &&
           is_bool(&s->more_neighbours);
}

static bool check_op(const struct pb_journal_op *op)
{
    return atomic_load(&op->stage) <= PB_OP_ANSWERED && op->processes <= INT32_MAX &&
           op->kept.once_end <= PB_CONFIG_SIZE_PCIE && op->kept.has_power <= 1 &&
           op->kept.has_command <= 1;
}

bool pb_journal_check(enum pb_journal_area_id area, unsigned part, const void *blob)
{
    if (area == PB_JOURNAL_GUESTS)
        return part == PB_JOURNAL_OP ? check_op(blob) : check_guest(blob);
    switch (part) {
    case PB_JOURNAL_DEVICE:
        return check_device(blob);
    case PB_JOURNAL_FACTS:
        return check_facts(blob);
    case PB_JOURNAL_SURROUNDINGS:
        return check_surroundings(blob);
    default:
        return true;
    }
}

/* --- the header --- */

static bool check_place(const struct pb_journal_place *place, uint32_t from, uint32_t stride)
{
    return (place->copies == 1 || place->copies == 2) && place->capacity % 8 == 0 &&
           place->capacity < PB_JOURNAL_STRIDE_MAX && place->offset % 8 == 0 &&
           place->offset >= from && place->offset <= stride &&
           pb_journal_place_size(place) <= stride - place->offset;
}

/* Parts stand in their order, so that none can lie upon another. */
static bool check_area(const struct pb_journal_layout *area, uint64_t from, uint64_t *ret_end)
{
    uint32_t at = 8; /* behind the record's state */

    if (area->stride % 64 != 0 || area->stride > PB_JOURNAL_STRIDE_MAX || area->stride < 64 ||
        area->count > PB_JOURNAL_COUNT_MAX || area->part_count > PB_JOURNAL_PARTS_MAX ||
        area->offset % PB_JOURNAL_HEADER != 0 || area->offset < from ||
        area->offset > (UINT64_C(1) << 40))
        return false;
    for (unsigned i = 0; i < area->part_count; i++) {
        if (!check_place(&area->part[i], at, area->stride))
            return false;
        at = area->part[i].offset + pb_journal_place_size(&area->part[i]);
    }
    *ret_end = area->offset + (uint64_t)area->count * area->stride;
    return true;
}

static bool check_layout(const struct pb_journal_header *h, uint64_t size)
{
    uint64_t end = PB_JOURNAL_HEADER;

    for (unsigned a = 0; a < PB_JOURNAL_AREAS; a++) {
        if (!check_area(&h->area[a], end, &end))
            return false;
    }
    /* What an older one of this major version has is there. */
    return h->area[PB_JOURNAL_GUESTS].part_count > PB_JOURNAL_OP &&
           h->area[PB_JOURNAL_GUESTS].part[PB_JOURNAL_GUEST].copies == 2 &&
           h->area[PB_JOURNAL_GUESTS].part[PB_JOURNAL_OP].copies == 1 &&
           h->area[PB_JOURNAL_DEVICES].part_count > PB_JOURNAL_SHADOW &&
           h->area[PB_JOURNAL_DEVICES].part[PB_JOURNAL_DEVICE].copies == 2 &&
           h->area[PB_JOURNAL_DEVICES].part[PB_JOURNAL_FACTS].copies == 2 &&
           h->area[PB_JOURNAL_DEVICES].part[PB_JOURNAL_SURROUNDINGS].copies == 2 &&
           h->area[PB_JOURNAL_DEVICES].part[PB_JOURNAL_SHADOW].copies == 2 && h->size == size &&
           end <= size && size - end < PB_JOURNAL_HEADER;
}

bool pb_journal_header_check(const struct pb_journal_header *h, uint64_t size, const char *boot,
                             enum pb_journal_found *ret_found)
{
    *ret_found = PB_JOURNAL_FOUND_FOREIGN;
    if (memcmp(h->magic, PB_JOURNAL_MAGIC, sizeof(h->magic)) != 0 || h->major != PB_JOURNAL_MAJOR)
        return false;
    *ret_found = PB_JOURNAL_FOUND_DAMAGED;
    if (h->checksum != pb_journal_sum(h, offsetof(struct pb_journal_header, checksum)) ||
        !is_text(h->boot, sizeof(h->boot)) || !check_layout(h, size))
        return false;
    *ret_found = PB_JOURNAL_FOUND_OTHER_BOOT;
    if (strcmp(h->boot, boot) != 0)
        return false;
    *ret_found = PB_JOURNAL_FOUND_KEPT;
    return true;
}
