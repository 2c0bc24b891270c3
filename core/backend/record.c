/* SPDX-License-Identifier: MIT */
#include "backend/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/flr.h"
#include "backend/guest.h"
#include "backend/journal.h"
#include "backend/machine.h"

/* The daemon leaves guests as they are, and so the journal, too. */
static bool is_kept(const struct pb_backend *b)
{
    return b->journal && !b->stopping;
}

/* FNV-1a in words: it is no checksum, it only tells two sets of rules apart. SIZE: of whole words.
 */
static uint64_t hash(uint64_t value, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint64_t word;

    for (size_t i = 0; i < size; i += sizeof(word)) {
        memcpy(&word, bytes + i, sizeof(word));
        value = (value ^ word) * UINT64_C(0x100000001b3);
        value ^= value >> 29;
    }
    return value;
}

uint64_t pb_record_rules(const struct pb_map *map)
{
    uint64_t value = UINT64_C(0xcbf29ce484222325);
    uint8_t constant[PB_CONFIG_SIZE_PCIE];

    /* what is known of hardware is no rule: nothing of a guest's depends on it */
    for (unsigned i = 0; i < map->space; i++)
        constant[i] = (uint8_t)(map->value[i] & ~map->known[i]);
    value = hash(value, map->virt, map->space);
    value = hash(value, constant, map->space);
    value = hash(value, map->reg_of, sizeof(map->reg_of[0]) * map->space);
    return value ? value : 1;
}

/* --- a device --- */

static enum pb_journal_phase phase_of(const struct pb_device *dev)
{
    const struct pb_task *task = dev->task;

    if (!dev->guest)
        return dev->begun == PB_JOURNAL_RENEWING ||
                       (task && task->dev == dev && task->phase == PB_JOURNAL_RENEWING)
                   ? PB_JOURNAL_RENEWING
                   : PB_JOURNAL_CLAIMED;
    if (task && task->dev == dev && task->phase)
        return (enum pb_journal_phase)task->phase;
    return dev->begun ? (enum pb_journal_phase)dev->begun : PB_JOURNAL_ASSIGNED;
}

/* Among the guest's devices, in the order of its nodes. */
static int place_of(const struct pb_device *dev)
{
    const struct pb_device *other;
    int place = 0;

    if (dev->guest->xl)
        return dev->node;
    TAILQ_FOREACH (other, &dev->guest->devices, sibling) {
        if (other == dev)
            return place;
        place++;
    }
    return -1;
}

static void fill_guest(const struct pb_device *dev, struct pb_journal_device *d)
{
    const struct pb_guest *g = dev->guest;

    d->node = -1;
    if (!g)
        return;
    d->domid = g->domid;
    memcpy(d->handle, g->handle, sizeof(d->handle));
    d->node = place_of(dev);
    d->node_state = dev->node_state;
    d->vaddr = dev->vaddr;
    d->has_vaddr = dev->has_vaddr;
    d->serving = dev->serving;
    d->ready = dev->ready;
    d->let_go = dev->let_go;
    d->permissive = dev->permissive;
    d->permissive_asked = dev->permissive_asked;
    d->assigned_in_xen = dev->assigned_in_xen;
    d->reserved = dev->reserved;
    d->flr = dev->flr;
    d->flr_method = dev->flr_method;
    for (unsigned i = 0; i < PB_PCI_RESOURCES; i++)
        d->resource[i] = dev->grants.resource[i];
    d->gsi_mapped = dev->grants.gsi_mapped;
    d->irq_allowed = dev->grants.irq_allowed;
    d->rules = dev->rules;
}

static void fill_interrupts(const struct pb_device *dev, struct pb_journal_device *d)
{
    d->interrupt_mode = (uint8_t)dev->interrupts.mode;
    d->interrupt_block = dev->interrupts.block;
    d->interrupts_open = dev->interrupts_open;
    d->interrupt_count = dev->interrupts.count;
    for (unsigned i = 0; i < dev->interrupts.count; i++) {
        d->vector[i].entry = dev->interrupts.vector[i].entry;
        d->vector[i].pirq = dev->interrupts.vector[i].pirq;
    }
}

void pb_record_device(struct pb_device *dev)
{
    struct pb_journal_device d;

    if (!dev->record || !is_kept(dev->b))
        return;
    memset(&d, 0, sizeof(d));
    d.sbdf = dev->sbdf;
    d.phase = phase_of(dev);
    d.ours = dev->profile != NULL;
    fill_guest(dev, &d);
    fill_interrupts(dev, &d);
    d.quarantined = dev->quarantined;
    d.msix_prepared = dev->msix_prepared;
    d.masked = dev->masked;
    d.adopted = dev->adopted;
    d.failed = dev->state == PB_DEVICE_FAILED;
    d.host_command = dev->host_command;
    d.resets = dev->resets;
    d.guest_resets = dev->guest_resets;
    d.denied_writes = dev->denied_writes;
    d.taint = dev->taint;
    memcpy(d.driver_before, dev->driver_before, sizeof(d.driver_before));
    memcpy(d.driver_now, dev->driver_now, sizeof(d.driver_now));
    (void)snprintf(d.cause, sizeof(d.cause), "%s", dev->cause);
    (void)snprintf(d.cause_next, sizeof(d.cause_next), "%s", dev->cause_next);
    (void)snprintf(d.cause_code, sizeof(d.cause_code), "%s", dev->cause_code);
    pb_journal_put_device(dev->record, &d);
}

int pb_record_claimed(struct pb_device *dev)
{
    if (!is_kept(dev->b))
        return 0;
    if (!dev->record)
        dev->record = pb_journal_add_device(dev->b->journal);
    if (!dev->record)
        return -errno;
    pb_journal_put_facts(dev->record, &dev->facts, &dev->surroundings);
    pb_record_device(dev);
    return 0;
}

void pb_record_shadow(struct pb_device *dev)
{
    if (dev->record && dev->view.map && is_kept(dev->b))
        pb_journal_put_shadow(dev->record, dev->view.shadow, dev->view.map->space);
}

/* A register is four bytes at most and aligned, and an access writes only those that it covers. */
void pb_record_access(struct pb_device *dev)
{
    if (dev->record && is_kept(dev->b))
        pb_journal_put_register(dev->record, dev->view.shadow, dev->view.map->space,
                                (unsigned)dev->guest->run.op.offset);
}

void pb_record_view(struct pb_device *dev)
{
    if (!dev->view.map)
        return;
    dev->rules = pb_record_rules(dev->view.map);
    pb_record_shadow(dev);
    pb_record_device(dev);
}

void pb_record_released(struct pb_device *dev)
{
    if (!dev->record || !is_kept(dev->b))
        return;
    if (dev->taint.count > 0) {
        pb_record_device(dev);
        return;
    }
    pb_journal_remove(dev->b->journal, dev->record);
    dev->record = NULL;
}

/* --- a guest --- */

int pb_record_guest(struct pb_guest *g)
{
    struct pb_journal_guest r;

    if (!is_kept(g->b))
        return 0;
    if (!g->record)
        g->record = pb_journal_add_guest(g->b->journal);
    if (!g->record)
        return -errno;
    memset(&r, 0, sizeof(r));
    r.domid = g->domid;
    memcpy(r.handle, g->handle, sizeof(r.handle));
    (void)snprintf(r.name, sizeof(r.name), "%s", g->name);
    r.xl = g->xl;
    r.connected = g->page != NULL;
    r.nodes_exist = g->nodes_exist;
    r.ending = g->ending;
    r.fenced = g->fenced;
    r.topology = g->topology;
    r.be_state = g->be_state;
    r.fe_state = g->fe_state;
    r.fe_ref = g->fe_ref;
    r.fe_port = g->fe_port;
    r.connects = g->counters.connects;
    r.root_count = g->slots.root_count;
    for (unsigned i = 0; i < g->slots.root_count; i++) {
        r.root[i].segment = g->slots.root[i].segment;
        r.root[i].bus = g->slots.root[i].bus;
    }
    pb_journal_put_guest(g->record, &r);
    return 0;
}

void pb_record_guest_freed(struct pb_guest *g)
{
    if (!g->record || !is_kept(g->b))
        return;
    pb_journal_remove(g->b->journal, g->record);
    g->record = NULL;
}
