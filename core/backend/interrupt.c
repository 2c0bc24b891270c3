/* SPDX-License-Identifier: MIT */
#include "backend/interrupt.h"

#include <errno.h>
#include <string.h>

#include "backend/inflight.h"
#include "backend/journal.h"
#include "backend/machine.h"
#include "backend/record.h"
#include "backend/strip.h"
#include "base/log.h"
#include "pci/regs.h"

static uint16_t msi_flags(const struct pb_device *dev)
{
    return (uint16_t)(dev->layout.msi + PCI_MSI_FLAGS);
}

static uint16_t msix_flags(const struct pb_device *dev)
{
    return (uint16_t)(dev->layout.msix + PCI_MSIX_FLAGS);
}

bool pb_interrupt_unmap(struct pb_device *dev)
{
    struct pb_xen *xen = dev->b->xen;
    struct pb_interrupts *in = &dev->interrupts;
    unsigned kept = 0;
    bool changed;

    /* Xen has torn them down with the device: to unmap one now crashes the host (H1). */
    if (dev->gone)
        return in->count == 0;
    for (unsigned i = 0; i < (in->block ? 1 : in->count); i++) {
        uint32_t pirq = in->vector[i].pirq;
        int rc = xen->ops->unmap_pirq(xen, dev->guest->domid, pirq);

        /* A domain that is gone has none, and Xen forgets them with it. */
        if (rc && rc != -ESRCH && rc != -EINVAL) {
            pb_warn("%s: unmapping pirq %u of domain %u: %s", pb_device_text(dev), pirq,
                    dev->guest->domid, strerror(-rc));
            in->vector[kept++] = in->vector[i];
        }
    }
    if (in->block && kept)
        return false; /* the first stands for all of them */
    changed = in->count != kept;
    in->count = kept;
    if (kept == 0) {
        in->mode = PB_INTERRUPT_NONE;
        in->block = false;
    }
    /* Whoever dies before this unmaps some again, which Xen refuses: nobody maps in between. */
    if (changed)
        pb_record_device(dev);
    return kept == 0;
}

static int call_unmap(struct pb_script *s, void *ctx)
{
    (void)ctx;
    return pb_interrupt_unmap(s->dev) ? 0 : -EIO;
}

/* Taking everything back goes on whatever Xen says: what is left is tried again at the end. */
static int call_unmap_anyway(struct pb_script *s, void *ctx)
{
    (void)ctx;
    (void)pb_interrupt_unmap(s->dev);
    return 0;
}

/*
 * Xen has just given them to DEV. What has one of them on record, too, has lost it: a process
 * unmapped it and ended before it could say so. It is not unmapped once more, under DEV's feet.
 */
static void disown(struct pb_device *dev, uint32_t first, unsigned count)
{
    struct pb_device *other;

    TAILQ_FOREACH (other, &dev->guest->devices, sibling) {
        struct pb_interrupts *in = &other->interrupts;
        unsigned kept = 0;

        if (other == dev)
            continue;
        for (unsigned i = 0; i < in->count; i++) {
            if (in->vector[i].pirq - first >= count)
                in->vector[kept++] = in->vector[i];
        }
        if (kept == in->count)
            continue;
        in->count = in->block ? 0 : kept; /* a row goes as a whole */
        if (in->count == 0) {
            in->mode = PB_INTERRUPT_NONE;
            in->block = false;
        }
        pb_record_device(other);
    }
}

static int map_one(struct pb_device *dev, bool msix, uint16_t entry)
{
    struct pb_xen *xen = dev->b->xen;
    struct pb_interrupts *in = &dev->interrupts;
    struct pb_msi_request request = { .sbdf = dev->sbdf,
                                      .msix = msix,
                                      .entry = entry,
                                      .table_base = msix ? dev->layout.msix_table_base : 0 };
    uint32_t pirq;
    int rc = xen->ops->map_msi(xen, dev->guest->domid, &request, &pirq);

    if (rc == 0 && pb_inflight_interrupt_mapped(dev, pirq, 1)) {
        (void)xen->ops->unmap_pirq(xen, dev->guest->domid, pirq);
        rc = xen->ops->map_msi(xen, dev->guest->domid, &request, &pirq);
        if (rc == 0)
            (void)pb_inflight_interrupt_mapped(dev, pirq, 1);
    }
    if (rc)
        return rc;
    disown(dev, pirq, 1);
    in->vector[in->count].entry = entry;
    in->vector[in->count].pirq = pirq;
    in->count++;
    pb_record_device(dev);
    /* The answer has 16 bits for an MSI-X vector (pciif.h). */
    return msix && pirq > UINT16_MAX ? -ERANGE : 0;
}

static int map_row(struct pb_device *dev, unsigned count)
{
    struct pb_xen *xen = dev->b->xen;
    struct pb_interrupts *in = &dev->interrupts;
    uint32_t first;
    int rc = xen->ops->map_multi_msi(xen, dev->guest->domid, dev->sbdf, count, &first, &count);

    if (rc == 0 && pb_inflight_interrupt_mapped(dev, first, count)) {
        (void)xen->ops->unmap_pirq(xen, dev->guest->domid, first);
        rc = xen->ops->map_multi_msi(xen, dev->guest->domid, dev->sbdf, count, &first, &count);
        if (rc == 0)
            (void)pb_inflight_interrupt_mapped(dev, first, count);
    }
    if (rc)
        return rc;
    disown(dev, first, count);
    in->block = true;
    in->count = 0;
    for (; in->count < count && in->count < PB_MSI_VECTORS_MAX; in->count++) {
        in->vector[in->count].entry = (uint16_t)in->count;
        in->vector[in->count].pirq = first + in->count;
    }
    return 0;
}

/*
 * Xen rounds the count of a row up to a power of two: what it made is what is on record (H18). From
 * the first map until all are on record the journal says that there may be one that is not (H10).
 */
static int call_map_msi(struct pb_script *s, void *ctx)
{
    struct pb_guest *g = ctx;
    struct pb_device *dev = s->dev;
    unsigned count = g->run.op.cmd == PB_CMD_ENABLE_MULTI_MSI ? g->run.op.value : 1;
    int rc;

    dev->interrupts.mode = PB_INTERRUPT_MSI;
    pb_inflight_interrupts_open(dev);
    rc = count == 1 ? map_one(dev, false, 0) : map_row(dev, count);
    pb_inflight_interrupts_closed(dev);
    if (rc)
        return rc;
    pb_inflight_note(g, PB_DID_MAP);
    g->run.value = dev->interrupts.vector[0].pirq;
    return 0;
}

void pb_interrupt_entries(struct pb_guest *g)
{
    const struct pb_interrupts *in = &g->run.dev->interrupts;

    for (unsigned i = 0; i < in->count; i++) {
        g->run.entries[i].entry = in->vector[i].entry;
        g->run.entries[i].vector = (uint16_t)in->vector[i].pirq;
    }
    g->run.entry_count = in->count;
}

static int call_map_msix(struct pb_script *s, void *ctx)
{
    struct pb_guest *g = ctx;
    struct pb_device *dev = s->dev;
    int rc = 0;

    dev->interrupts.mode = PB_INTERRUPT_MSIX;
    pb_inflight_interrupts_open(dev);
    for (unsigned i = 0; rc == 0 && i < g->run.op.value; i++)
        rc = map_one(dev, true, g->run.op.entries[i].entry);
    pb_inflight_interrupts_closed(dev);
    if (rc)
        return rc;
    pb_inflight_note(g, PB_DID_MAP);
    pb_interrupt_entries(g);
    return 0;
}

void pb_interrupt_script_off(struct pb_script *s)
{
    struct pb_device *dev = s->dev;

    if (dev->layout.msi)
        pb_script_modify(s, msi_flags(dev), 2, PCI_MSI_FLAGS_ENABLE, 0);
    if (dev->layout.msix)
        pb_script_modify(s, msix_flags(dev), 2, PCI_MSIX_FLAGS_ENABLE, 0);
    pb_script_call(s, call_unmap_anyway, NULL);
    pb_script_modify(s, PCI_COMMAND, 2, 0, PCI_COMMAND_INTX_DISABLE);
}

/*
 * After message interrupts ended the line works again, unless the guest itself has disabled it in
 * its view of COMMAND.
 */
static void append_intx_back(struct pb_script *s)
{
    const struct pb_device *dev = s->dev;
    bool off = pb_le16(dev->view.shadow + PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE;

    if (off || !dev->grants.gsi_mapped)
        pb_script_modify(s, PCI_COMMAND, 2, 0, PCI_COMMAND_INTX_DISABLE);
    else
        pb_script_modify(s, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE, 0);
}

/* Message interrupts are used: the line must be silent, but for devices that stop both by it. */
static void append_line_off(struct pb_script *s)
{
    if (s->dev->profile->traits.keep_intx)
        pb_script_modify(s, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE, 0);
    else
        pb_script_modify(s, PCI_COMMAND, 2, 0, PCI_COMMAND_INTX_DISABLE);
}

static struct pb_guest *guest_of(struct pb_script *s)
{
    return PB_CONTAINER_OF(s, struct pb_guest, run.script);
}

static void finished(struct pb_script *s, void *ctx)
{
    struct pb_guest *g = guest_of(s);
    void (*done)(struct pb_guest *) = *(void (**)(struct pb_guest *))ctx;

    if (s->rc)
        g->run.err = PB_GUEST_OP_FAILED;
    done(g);
}

/* The callback of the operation under way; there is one at a time a guest. */
static void run_script(struct pb_guest *g, void (*done)(struct pb_guest *g))
{
    g->run.script_done = done;
    pb_script_run(&g->run.script, finished, &g->run.script_done);
}

/*
 * Xen reaches into the table of MSI-X when it maps and unmaps: a device that its guest has put to
 * sleep would not answer. Ends the script with -ESTALE before anything is touched.
 */
static void append_awake(struct pb_script *s)
{
    const struct pb_device *dev = s->dev;

    if (dev->layout.pm)
        pb_script_expect(s, (uint16_t)(dev->layout.pm + PCI_PM_CTRL), 2, PCI_PM_CTRL_STATE, 0);
}

static void explain_failure(struct pb_device *dev, int rc)
{
    unsigned suppressed;

    if (!pb_ratelimit_allow(&dev->guest->warn, pb_now_ms(), PB_GUEST_WARNINGS, PB_GUEST_WARNINGS_MS,
                            &suppressed))
        return;
    if (rc == -ENOSPC)
        pb_warn("%s: no free interrupts in domain %u: boot Xen with extra_guest_irqs=N%s",
                pb_device_text(dev), dev->guest->domid, pb_ratelimit_note(suppressed));
    else if (rc == -EINVAL)
        pb_warn("%s: Xen refuses an interrupt for domain %u: when others fail, too, the host's "
                "processors have no vectors left%s",
                pb_device_text(dev), dev->guest->domid, pb_ratelimit_note(suppressed));
    else if (rc == -EOPNOTSUPP && dev->interrupts.mode == PB_INTERRUPT_MSI)
        pb_warn("%s: several vectors of MSI for domain %u need interrupt remapping, which Xen does "
                "not have here%s",
                pb_device_text(dev), dev->guest->domid, pb_ratelimit_note(suppressed));
    else
        pb_warn("%s: enabling %s for domain %u: %s%s", pb_device_text(dev),
                dev->interrupts.mode == PB_INTERRUPT_MSIX ? "MSI-X" : "MSI", dev->guest->domid,
                strerror(-rc), pb_ratelimit_note(suppressed));
}

/* From here on the device is in between, and whoever finds it so has to bring it to an end. */
static int call_begun(struct pb_script *s, void *ctx)
{
    struct pb_guest *g = ctx;
    uint32_t cmd = g->run.op.cmd;

    (void)s;
    pb_inflight_note(g, cmd == PB_CMD_DISABLE_MSI || cmd == PB_CMD_DISABLE_MSIX ? PB_DID_CHANGE
                                                                                : PB_DID_ENABLE);
    return 0;
}

/*
 * Did an earlier process map all that this operation asks for? Its vectors are kept, so that the
 * guest gets the same answer whether or not it has seen a part of it (H10).
 */
static bool is_mapped(const struct pb_guest *g, enum pb_interrupt_mode mode)
{
    const struct pb_interrupts *in = &g->run.dev->interrupts;

    return g->run.did & PB_DID_MAP && in->mode == mode && in->count > 0;
}

static void refuse(struct pb_guest *g, void (*done)(struct pb_guest *g))
{
    g->run.err = PB_GUEST_OP_FAILED;
    g->run.value = 0;
    g->counters.bad_ops++;
    done(g);
}

/* An enable that failed in the middle: everything off again, then the answer. */
static void enable_done(struct pb_script *s, void *ctx)
{
    struct pb_guest *g = guest_of(s);

    (void)ctx;
    if (s->rc == 0) {
        g->run.script_done(g);
        return;
    }
    if (s->rc == -ESTALE) { /* asleep: what was mapped before still is */
        refuse(g, g->run.script_done);
        return;
    }
    explain_failure(s->dev, s->rc);
    g->run.err = PB_GUEST_OP_FAILED;
    g->run.value = 0;
    g->run.entry_count = 0;
    pb_script_begin(s, g->run.dev);
    pb_interrupt_script_off(s);
    append_intx_back(s);
    run_script(g, g->run.script_done);
}

static int call_restore(struct pb_script *s, void *ctx)
{
    struct pb_xen *xen = s->dev->b->xen;

    (void)ctx;
    return xen->ops->msi_restore(xen, s->dev->sbdf);
}

void pb_interrupt_script_restore(struct pb_script *s)
{
    struct pb_device *dev = s->dev;
    bool msix = dev->interrupts.mode == PB_INTERRUPT_MSIX;
    uint16_t flags = msix ? msix_flags(dev) : msi_flags(dev);
    uint32_t on = msix ? PCI_MSIX_FLAGS_ENABLE : PCI_MSI_FLAGS_ENABLE;
    uint32_t off = msix ? PCI_MSIX_FLAGS_MASKALL : 0;

    pb_script_call(s, call_restore, NULL);
    pb_script_modify(s, flags, 2, off, on);
    pb_script_expect(s, flags, 2, on | off, on);
}

static int call_prepare_anew(struct pb_script *s, void *ctx)
{
    struct pb_device *dev = s->dev;
    struct pb_xen *xen = dev->b->xen;
    int rc;

    (void)ctx;
    if (dev->interrupts.count)
        return 0;
    dev->masked = false;
    rc = xen->ops->msix_release(xen, dev->sbdf);
    if (rc == 0)
        rc = xen->ops->msix_prepare(xen, dev->sbdf);
    if (rc)
        pb_warn("%s: Xen does not prepare its MSI-X anew: %s", pb_device_text(dev), strerror(-rc));
    return 0;
}

void pb_interrupt_script_prepare_anew(struct pb_script *s)
{
    if (s->dev->masked && s->dev->msix_prepared)
        pb_script_call(s, call_prepare_anew, NULL);
}

void pb_interrupt_script_lost(struct pb_script *s)
{
    s->dev->masked = s->dev->interrupts.mode == PB_INTERRUPT_MSIX;
    pb_interrupt_script_off(s);
    append_intx_back(s);
}

static void brought_back(struct pb_script *s, void *ctx)
{
    struct pb_guest *g = guest_of(s);
    unsigned suppressed;

    (void)ctx;
    if (s->rc == 0) {
        g->run.script_done(g);
        return;
    }
    g->run.err = PB_GUEST_OP_FAILED;
    if (pb_ratelimit_allow(&g->warn, pb_now_ms(), PB_GUEST_WARNINGS, PB_GUEST_WARNINGS_MS,
                           &suppressed))
        pb_warn("%s: its interrupts did not come back from D3hot: %s%s", pb_device_text(s->dev),
                strerror(-s->rc), pb_ratelimit_note(suppressed));
    pb_script_begin(s, g->run.dev);
    pb_interrupt_script_lost(s);
    run_script(g, g->run.script_done);
}

void pb_interrupt_bring_back(struct pb_guest *g, void (*done)(struct pb_guest *g))
{
    pb_script_begin(&g->run.script, g->run.dev);
    pb_interrupt_script_restore(&g->run.script);
    g->run.script_done = done;
    pb_script_run(&g->run.script, brought_back, NULL);
}

static bool room_for(struct pb_guest *g, unsigned count)
{
    const struct pb_device *dev;
    unsigned used = 0;

    TAILQ_FOREACH (dev, &g->devices, sibling)
        used += dev == g->run.dev ? 0 : dev->interrupts.count;
    return used + count <= g->b->policy->limits.pirqs_per_guest;
}

/* What the device has, and its guest may see: a quirk may deny or hide either. */
static bool has_msi(const struct pb_device *dev)
{
    return dev->layout.msi && dev->profile->caps.seen.msi && !dev->profile->traits.deny_msi;
}

static bool has_msix(const struct pb_device *dev)
{
    return dev->layout.msix && dev->profile->caps.seen.msix && !dev->profile->traits.deny_msix;
}

/* XSA-157: MSI while MSI-X is on, or what the device does not have, is refused. */
static void enable_msi_vectors(struct pb_guest *g, unsigned count, void (*done)(struct pb_guest *g))
{
    struct pb_device *dev = g->run.dev;
    struct pb_script *s = &g->run.script;

    if (!has_msi(dev) || dev->interrupts.mode == PB_INTERRUPT_MSIX || !room_for(g, count)) {
        refuse(g, done);
        return;
    }
    pb_script_begin(s, dev);
    append_awake(s);
    pb_script_call(s, call_begun, g);
    if (is_mapped(g, PB_INTERRUPT_MSI)) {
        g->run.value = dev->interrupts.vector[0].pirq;
    } else {
        pb_script_modify(s, msi_flags(dev), 2, PCI_MSI_FLAGS_ENABLE, 0);
        if (dev->interrupts.mode == PB_INTERRUPT_MSI)
            pb_script_call(s, call_unmap, NULL);
        pb_script_call(s, call_map_msi, g);
    }
    append_line_off(s);
    pb_script_modify(s, msi_flags(dev), 2, 0, PCI_MSI_FLAGS_ENABLE);
    g->run.script_done = done;
    pb_script_run(s, enable_done, NULL);
}

/*
 * Several vectors of MSI at once. ENABLE is 0 before the map, because Xen refuses a device whose
 * MSI is on (H18); the number of messages in its control is Xen's, and stays.
 */
static void enable_multi_msi(struct pb_guest *g, void (*done)(struct pb_guest *g))
{
    struct pb_device *dev = g->run.dev;
    uint32_t count = g->run.op.value, rounded = 1;

    while (rounded < count && rounded < PB_MSI_VECTORS_MAX)
        rounded *= 2;
    if (count == 0 || count > PB_MSI_VECTORS_MAX || rounded > dev->layout.msi_vectors ||
        rounded > dev->profile->caps.seen.msi_vectors)
        refuse(g, done);
    else
        enable_msi_vectors(g, rounded, done);
}

/*
 * XSA-164: counts and entries are checked against the table that the device had at claim, as far as
 * its guest sees it.
 */
static bool entries_valid(const struct pb_device *dev, const struct pb_op *op)
{
    uint8_t seen[2048 / 8] = { 0 };
    unsigned vectors = dev->profile->caps.seen.msix_vectors;

    if (op->value == 0 || op->value > PB_MSIX_ENTRIES_MAX || op->value > vectors)
        return false;
    for (unsigned i = 0; i < op->value; i++) {
        unsigned entry = op->entries[i].entry;

        if (entry >= vectors || (seen[entry / 8] & (1u << entry % 8)))
            return false;
        seen[entry / 8] |= (uint8_t)(1u << entry % 8);
    }
    return true;
}

/* A second enable without a disable in between replaces the first. */
static void append_map_msix(struct pb_script *s, struct pb_guest *g)
{
    struct pb_device *dev = s->dev;

    pb_script_modify(s, msix_flags(dev), 2, 0, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    if (dev->interrupts.mode == PB_INTERRUPT_MSIX) {
        pb_script_call(s, call_unmap, NULL);
        append_line_off(s);
        pb_script_modify(s, msix_flags(dev), 2, 0, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    }
    pb_script_call(s, call_map_msix, g);
}

/*
 * Linux's nvme driver enables twice when it asks for more vectors: its disable never reaches the
 * backend.
 */
static void enable_msix(struct pb_guest *g, void (*done)(struct pb_guest *g))
{
    struct pb_device *dev = g->run.dev;
    struct pb_script *s = &g->run.script;

    if (!has_msix(dev) || dev->interrupts.mode == PB_INTERRUPT_MSI ||
        !entries_valid(dev, &g->run.op) || !room_for(g, g->run.op.value)) {
        refuse(g, done);
        return;
    }
    pb_script_begin(s, dev);
    append_awake(s);
    pb_script_call(s, call_begun, g);
    if (is_mapped(g, PB_INTERRUPT_MSIX))
        pb_interrupt_entries(g);
    else
        append_map_msix(s, g);
    append_line_off(s);
    pb_script_modify(s, msix_flags(dev), 2, PCI_MSIX_FLAGS_MASKALL, PCI_MSIX_FLAGS_ENABLE);
    g->run.script_done = done;
    pb_script_run(s, enable_done, NULL);
}

/*
 * The guest put the device to sleep before: it is woken, since the vectors have to go. It loses its
 * registers on the way, and nothing in it says so afterwards.
 */
static void wake_and_disable(struct pb_guest *g)
{
    struct pb_script *s = &g->run.script;

    pb_inflight_note(g, PB_DID_WAKE | PB_DID_CHANGE);
    pb_script_begin(s, g->run.dev);
    pb_script_wake(s);
    pb_interrupt_script_off(s);
    append_intx_back(s);
    run_script(g, g->run.script_done);
}

static void disabled(struct pb_script *s, void *ctx)
{
    struct pb_guest *g = guest_of(s);

    (void)ctx;
    if (s->rc == -ESTALE) {
        wake_and_disable(g);
        return;
    }
    if (s->rc)
        g->run.err = PB_GUEST_OP_FAILED;
    g->run.script_done(g);
}

static void disable(struct pb_guest *g, enum pb_interrupt_mode mode,
                    void (*done)(struct pb_guest *g))
{
    struct pb_device *dev = g->run.dev;
    struct pb_script *s = &g->run.script;

    /* Always a success, as the kernel's backend has it; the value is the line's pirq. */
    g->run.value = dev->grants.gsi_mapped ? dev->facts.irq : 0;
    if (dev->interrupts.mode != mode && !(g->run.did & PB_DID_CHANGE)) {
        done(g);
        return;
    }
    if (g->run.did & PB_DID_WAKE) {
        g->run.script_done = done;
        wake_and_disable(g);
        return;
    }
    pb_script_begin(s, dev);
    append_awake(s);
    pb_script_call(s, call_begun, g);
    pb_interrupt_script_off(s);
    append_intx_back(s);
    g->run.script_done = done;
    pb_script_run(s, disabled, NULL);
}

void pb_interrupt_op(struct pb_guest *g, void (*done)(struct pb_guest *g))
{
    g->run.err = PB_GUEST_OK;
    g->run.value = 0;
    g->run.entry_count = 0;
    switch (g->run.op.cmd) {
    case PB_CMD_ENABLE_MSI:
        enable_msi_vectors(g, 1, done);
        break;
    case PB_CMD_ENABLE_MULTI_MSI:
        enable_multi_msi(g, done);
        break;
    case PB_CMD_DISABLE_MSI:
        disable(g, PB_INTERRUPT_MSI, done);
        break;
    case PB_CMD_ENABLE_MSIX:
        enable_msix(g, done);
        break;
    default:
        disable(g, PB_INTERRUPT_MSIX, done);
        break;
    }
}

void pb_interrupt_undo(struct pb_guest *g, void (*done)(struct pb_guest *g))
{
    bool enabled = g->run.op.cmd == PB_CMD_ENABLE_MSI || g->run.op.cmd == PB_CMD_ENABLE_MSIX ||
                   g->run.op.cmd == PB_CMD_ENABLE_MULTI_MSI;

    if (g->run.err != PB_GUEST_OK || !enabled) {
        done(g);
        return;
    }
    disable(g, g->run.dev->interrupts.mode, done);
}
