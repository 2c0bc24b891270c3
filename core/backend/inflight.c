/* SPDX-License-Identifier: MIT */
#include "backend/inflight.h"

#include <errno.h>
#include <string.h>

#include "backend/flr.h"
#include "backend/guest.h"
#include "backend/journal.h"
#include "backend/machine.h"
#include "backend/record.h"
#include "backend/serve.h"
#include "base/log.h"

/* How far above the first pirq of all an orphan may be: one that Xen gave before it, or a row. */
#define ABOVE_MAX PB_MSI_VECTORS_MAX

/* So many operations of a guest may end a process and not be there any more. */
#define FLED_MAX 3

static struct pb_journal_op *op_of(const struct pb_guest *g)
{
    return g->record ? pb_journal_op(g->record) : NULL;
}

/* What was stored before is there for whoever sees the stage. */
static void set_stage(struct pb_journal_op *op, enum pb_op_stage stage)
{
    atomic_store_explicit(&op->stage, (uint32_t)stage, memory_order_release);
}

static enum pb_op_stage stage_of(const struct pb_journal_op *op)
{
    return (enum pb_op_stage)atomic_load_explicit(&op->stage, memory_order_acquire);
}

/* --- on the access path --- */

static bool is_same(const struct pb_journal_op *op, const struct pb_guest *g,
                    const struct pb_op *asked)
{
    return stage_of(op) != PB_OP_IDLE && op->connection == (uint32_t)g->counters.connects &&
           pb_op_equal(&op->op, asked);
}

/* Only an enable of MSI-X has entries: the others need not pay for them. */
static void copy_op(struct pb_op *to, const struct pb_op *from)
{
    if (from->cmd == PB_CMD_ENABLE_MSIX)
        *to = *from;
    else
        memcpy(to, from, offsetof(struct pb_op, entries));
}

void pb_inflight_begin(struct pb_guest *g)
{
    struct pb_journal_op *op = op_of(g);
    struct pb_running_op *run = &g->run;

    run->mark = op;
    if (!op)
        return;
    if (run->again && is_same(op, g, &run->op)) {
        run->did = op->did;
        run->before = op->processes;
    } else {
        run->again = false;
        run->did = 0;
        run->before = 0;
        copy_op(&op->op, &run->op);
        op->connection = (uint32_t)run->connection;
        op->did = 0;
        memset(&op->kept, 0, sizeof(op->kept));
    }
    op->processes = run->before + 1;
    set_stage(op, PB_OP_BEGUN);
}

void pb_inflight_write(struct pb_guest *g)
{
    struct pb_journal_op *op = g->run.mark;
    const struct pb_access *acc = &g->run.access;

    if (!op)
        return;
    op->kept = acc->kept;
    if (acc->kept.has_power)
        op->did |= PB_DID_CHANGE;
    if (acc->cycle.once)
        set_stage(op, PB_OP_ONCE);
}

void pb_inflight_written(struct pb_guest *g)
{
    struct pb_journal_op *op = g->run.mark;

    if (op)
        set_stage(op, PB_OP_BEGUN);
}

void pb_inflight_call(struct pb_guest *g, uint32_t value, uint32_t mine)
{
    pb_inflight_called(g, value, mine, 0);
}

void pb_inflight_called(struct pb_guest *g, uint32_t value, uint32_t mine, uint32_t denied)
{
    struct pb_journal_op *op = g->run.mark;

    if (!op)
        return;
    op->hooks.value = value;
    op->hooks.mine = mine;
    op->hooks.denied = denied;
    atomic_signal_fence(memory_order_release);
    op->did |= PB_DID_CALL;
    atomic_signal_fence(memory_order_release);
}

void pb_inflight_note(struct pb_guest *g, uint32_t did)
{
    struct pb_journal_op *op = g->run.mark;

    if (!op)
        return;
    op->did |= did;
    atomic_signal_fence(memory_order_release);
}

void pb_inflight_rest(struct pb_guest *g, bool rests)
{
    struct pb_journal_op *op = g->run.mark;

    if (op)
        op->processes = g->run.before + !rests;
}

void pb_inflight_answer(struct pb_guest *g)
{
    struct pb_journal_op *op = g->run.mark;

    if (!op)
        return;
    op->err = g->run.err;
    op->value = g->run.value;
    set_stage(op, PB_OP_ANSWERED);
}

void pb_inflight_unanswered(struct pb_guest *g)
{
    struct pb_journal_op *op = g->run.mark;

    if (op)
        set_stage(op, PB_OP_BEGUN);
}

void pb_inflight_end(struct pb_guest *g)
{
    struct pb_journal_op *op = g->run.mark;

    if (op)
        set_stage(op, PB_OP_IDLE);
}

/* --- pirqs that nobody has on record --- */

void pb_inflight_interrupts_open(struct pb_device *dev)
{
    dev->interrupts_open = true;
    pb_record_device(dev);
}

void pb_inflight_interrupts_closed(struct pb_device *dev)
{
    dev->interrupts_open = false;
    pb_record_device(dev);
}

bool pb_inflight_on_record(const struct pb_guest *g, uint32_t pirq)
{
    const struct pb_device *dev;

    TAILQ_FOREACH (dev, &g->devices, sibling) {
        if (dev->grants.gsi_mapped && dev->facts.irq == pirq)
            return true;
        for (unsigned i = 0; i < dev->interrupts.count; i++) {
            if (dev->interrupts.vector[i].pirq == pirq)
                return true;
        }
    }
    return false;
}

/* -EBUSY: a row of MSI vectors ends here, and only its first can be unmapped (H18). */
static int unmap(struct pb_guest *g, uint32_t pirq)
{
    struct pb_xen *xen = g->b->xen;
    int rc = xen->ops->unmap_pirq(xen, g->domid, pirq);

    if (rc == 0)
        pb_notice("domain %u: pirq %u was mapped and nobody's: unmapped", g->domid, pirq);
    return rc;
}

/*
 * Before the first pirq of all is on record nobody knows where they begin. Xen gives the highest
 * that is free: an orphan is right above the one that it gave next.
 */
static unsigned sweep_above(struct pb_guest *g, uint32_t pirq)
{
    unsigned found = 0;

    for (uint32_t above = pirq + 1; above <= pirq + ABOVE_MAX; above++) {
        int rc = pb_inflight_on_record(g, above) ? 0 : unmap(g, above);

        if (rc != 0 && rc != -EBUSY)
            break;
        found += rc == 0;
    }
    return found;
}

bool pb_inflight_interrupt_mapped(struct pb_device *dev, uint32_t first, unsigned count)
{
    struct pb_journal *j = dev->b->journal;

    if (!j)
        return false;
    if (pb_journal_pirq_top(j) == 0 && sweep_above(dev->guest, first + count - 1) > 0)
        return true;
    pb_journal_note_pirq(j, first + count - 1);
    pb_journal_note_pirq(j, first);
    return false;
}

/* What Xen has torn down with a device must not be unmapped any more (H1). */
static bool may_sweep(const struct pb_guest *g)
{
    const struct pb_device *dev;

    TAILQ_FOREACH (dev, &g->devices, sibling) {
        if (dev->gone)
            return false;
    }
    return true;
}

static bool is_row_free(const struct pb_guest *g, uint32_t first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (pb_inflight_on_record(g, first + i))
            return false;
    }
    return true;
}

/*
 * Xen gives the highest numbers that are free. So all above an orphan were in use when it was
 * mapped: they are on record, or were, and then they are not below the lowest that was ever given.
 * Below that the first that is not mapped is the end: GSIs are further down, and stay out of reach.
 */
static unsigned sweep(struct pb_guest *g, unsigned row)
{
    const struct pb_journal *j = g->b->journal;
    uint32_t top = j ? pb_journal_pirq_top(j) : 0, bottom = j ? pb_journal_pirq_bottom(j) : 0;
    unsigned found = 0;

    for (uint32_t last = top; last >= row && may_sweep(g); last--) {
        uint32_t first = last - row + 1;
        int rc = is_row_free(g, first, row) ? unmap(g, first) : -EBUSY;

        if (rc != 0 && rc != -EBUSY && (rc != -EINVAL || last < bottom))
            break;
        found += rc == 0;
    }
    return found;
}

/* How many vectors the operation under way maps at once: of a row only the first is unmapped (H18).
 */
static unsigned row_of(const struct pb_journal_op *op)
{
    unsigned row = 1;

    if (!op || op->op.cmd != PB_CMD_ENABLE_MULTI_MSI)
        return 1;
    while (row < op->op.value && row < PB_MSI_VECTORS_MAX)
        row *= 2;
    return row;
}

unsigned pb_inflight_sweep(struct pb_guest *g)
{
    unsigned row = row_of(op_of(g)), found = row > 1 ? sweep(g, row) : 0;

    return found + sweep(g, 1);
}

static void sweep_open(struct pb_guest *g)
{
    struct pb_device *dev;
    bool open = false;

    TAILQ_FOREACH (dev, &g->devices, sibling)
        open |= dev->interrupts_open;
    /* Where they begin is not known before the next map, which looks for those above its own. */
    if (!open || !g->b->journal || pb_journal_pirq_top(g->b->journal) == 0)
        return;
    (void)pb_inflight_sweep(g);
    TAILQ_FOREACH (dev, &g->devices, sibling) {
        if (dev->interrupts_open)
            pb_inflight_interrupts_closed(dev);
    }
}

/* --- the operation that the last process did not end --- */

/* What the page says of it. */
enum page {
    PAGE_SAME,  /* its frontend waits for it */
    PAGE_CLEAR, /* for nothing: it was answered, or given up */
    PAGE_OTHER, /* for another one: the same, and it went on */
    PAGE_COUNT
};

/* What would become of the device if it were forgotten, or done again. */
enum kind {
    KIND_PLAIN,  /* forgotten: nothing; again: the same */
    KIND_ONCE,   /* some of it was done, and may not be again: what it did says which */
    KIND_ENABLE, /* forgotten: interrupts stay mapped that the guest does not know of */
    KIND_CHANGE, /* forgotten: it stays in between two states */
    KIND_COUNT
};

enum action {
    SERVE,  /* forget it, and look at the page as always */
    AGAIN,  /* carry it out again, as far as it is not done */
    ANSWER, /* all of it is done: write the answer once more */
    FINISH, /* carry out the rest, for nobody */
    UNDO    /* unmap what it mapped */
};

/*
 * PAGE_SAME: an operation that was answered and is still there may also be another one that asks
 * for the same, posted in the instant between answer and death. Where that makes a difference it is
 * taken for the answered one: nothing is ever done twice that must be done once.
 *
 * PAGE_CLEAR, not answered: the frontend has given up, and its driver was told of a failure. That
 * is how it ends without a death in between, too: the device comes to where it would have come, and
 * of interrupts nothing stays.
 *
 * PAGE_OTHER, answered: whoever posts another within the time of a restart was answered.
 */
static const enum action not_answered[PAGE_COUNT][KIND_COUNT] = {
    /*                PLAIN  ONCE    ENABLE CHANGE */
    [PAGE_SAME] = { AGAIN, AGAIN, AGAIN, AGAIN },
    [PAGE_CLEAR] = { SERVE, FINISH, UNDO, FINISH },
    [PAGE_OTHER] = { SERVE, FINISH, UNDO, FINISH },
};
static const enum action answered[PAGE_COUNT][KIND_COUNT] = {
    /*                PLAIN  ONCE    ENABLE  CHANGE */
    [PAGE_SAME] = { AGAIN, ANSWER, ANSWER, ANSWER },
    [PAGE_CLEAR] = { SERVE, SERVE, SERVE, SERVE }, /* but see was_answered */
    [PAGE_OTHER] = { SERVE, SERVE, SERVE, SERVE },
};

static enum page page_of(const struct pb_guest *g, const struct pb_journal_op *op)
{
    struct pb_op now;

    if (!g->page || !pb_page_has_request(g->page))
        return PAGE_CLEAR;
    pb_page_take(g->page, &now);
    return is_same(op, g, &now) ? PAGE_SAME : PAGE_OTHER;
}

static enum kind kind_of(const struct pb_journal_op *op)
{
    bool disable = op->op.cmd == PB_CMD_DISABLE_MSI || op->op.cmd == PB_CMD_DISABLE_MSIX;

    if (disable || op->did & PB_DID_CHANGE)
        return KIND_CHANGE;
    if (op->did & PB_DID_ENABLE)
        return KIND_ENABLE;
    return op->kept.once_end || op->did & PB_DID_CALL ? KIND_ONCE : KIND_PLAIN;
}

/* The flag is clear. Did its frontend find an answer there, or nothing, and gave up? */
static bool was_answered(const struct pb_guest *g, const struct pb_journal_op *op)
{
    struct pb_op now;

    pb_page_take(g->page, &now);
    return now.err == op->err && now.value == op->value;
}

/* Of the pirqs that it may have mapped nothing is known: only another map finds them. */
static bool is_open(const struct pb_guest *g, const struct pb_journal_op *op)
{
    const struct pb_device *dev = pb_serve_addressed(g, &op->op);

    return dev && dev->interrupts_open;
}

static enum action decide(const struct pb_guest *g, const struct pb_journal_op *op)
{
    enum page page = page_of(g, op);
    enum kind kind = kind_of(op);

    if (stage_of(op) == PB_OP_ANSWERED) {
        if (page == PAGE_CLEAR && kind == KIND_ENABLE && op->err == PB_GUEST_OK &&
            !was_answered(g, op))
            return UNDO;
        return answered[page][kind];
    }
    if (not_answered[page][kind] == UNDO && is_open(g, op))
        return FINISH;
    return not_answered[page][kind];
}

/* A write that began a reset, which is on record: all that is missing is its answer. */
static bool is_only_to_answer(const struct pb_guest *g, const struct pb_journal_op *op)
{
    const struct pb_device *dev = pb_serve_addressed(g, &op->op);

    return op->did & PB_DID_ASK && dev && dev->flr;
}

static void fence(struct pb_guest *g, const struct pb_journal_op *op)
{
    g->fenced = true;
    (void)pb_record_guest(g);
    pb_err("domain %u (%s): its operation %u (device %x:%x.%u, offset 0x%x, size %d, value 0x%x) "
           "ended %s: nothing of this guest is carried out any more; detach its devices or end it",
           g->domid, g->name, op->op.cmd, op->op.bus, op->op.devfn >> 3, op->op.devfn & 7,
           (unsigned)op->op.offset, op->op.size, op->op.value,
           op->processes >= 2 ? "two processes" : "a process, as others did before it");
}

/*
 * The same one ended two processes; or one after the other ended one and was taken away before it
 * could be met again, which a frontend that waits as long as it should does not do.
 */
static bool must_fence(const struct pb_guest *g, struct pb_journal_op *op)
{
    if (stage_of(op) == PB_OP_ANSWERED || op->processes == 0)
        return false;
    if (page_of(g, op) != PAGE_SAME)
        op->fled++;
    return op->processes >= 2 || op->fled >= FLED_MAX;
}

static void say_lost(const struct pb_guest *g, const struct pb_journal_op *op)
{
    if (stage_of(op) == PB_OP_ONCE || (op->did & PB_DID_CALL && op->hooks.mine != UINT32_MAX))
        pb_notice("domain %u: the write of 0x%x to 0x%x was under way when the last process ended: "
                  "it is not done again, and may not have been done",
                  g->domid, op->op.value, (unsigned)op->op.offset);
}

static void act(struct pb_guest *g, struct pb_journal_op *op, enum action action)
{
    struct pb_running_op *run = &g->run;

    run->op = op->op;
    run->connection = g->counters.connects;
    switch (action) {
    case AGAIN:
        run->again = true;
        say_lost(g, op);
        break;
    case ANSWER:
        run->err = op->err;
        run->value = op->value;
        pb_serve_answer(g);
        break;
    case FINISH:
        run->again = true;
        say_lost(g, op);
        pb_serve_finish(g);
        break;
    case UNDO:
        pb_serve_undo(g);
        break;
    case SERVE:
    default:
        pb_inflight_end(g);
        break;
    }
}

static void resume_op(struct pb_guest *g, struct pb_journal_op *op)
{
    bool ours = op->connection == (uint32_t)g->counters.connects;

    if (stage_of(op) == PB_OP_IDLE)
        return;
    if (!g->fenced && ours && must_fence(g, op))
        fence(g, op);
    if (g->fenced || !ours || !g->page) {
        pb_inflight_end(g);
    } else if (is_only_to_answer(g, op) && stage_of(op) != PB_OP_ANSWERED) {
        op->err = PB_GUEST_OK;
        op->value = op->op.value;
        act(g, op, page_of(g, op) == PAGE_SAME ? ANSWER : SERVE);
    } else {
        act(g, op, decide(g, op));
    }
}

void pb_inflight_resume(struct pb_guest *g)
{
    struct pb_journal_op *op = op_of(g);
    struct pb_device *dev;

    sweep_open(g);
    TAILQ_FOREACH (dev, &g->devices, sibling) {
        if (dev->flr)
            pb_flr_again(dev);
    }
    g->held = false;
    g->run.mark = op;
    if (op)
        resume_op(g, op);
    if (!g->page)
        return;
    /* The flag may have been cleared, and nobody told (H9). */
    (void)g->b->xen->ops->port_notify(g->b->xen, g->port);
    pb_serve_look(g);
}
