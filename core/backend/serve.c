/* SPDX-License-Identifier: MIT */
#include "backend/serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/denied.h"
#include "backend/flr.h"
#include "backend/guest.h"
#include "backend/inflight.h"
#include "backend/interrupt.h"
#include "backend/journal.h"
#include "backend/machine.h"
#include "backend/profile.h"
#include "backend/record.h"
#include "backend/turn.h"
#include "base/bytes.h"
#include "base/log.h"

/* How long an operation waits for the end of a reset: the frontend gives up after 2 s. */
#define PARKED_MS 1500

/* --- one operation --- */

static bool is_command(uint32_t cmd)
{
    return cmd <= PB_CMD_DISABLE_MSIX || cmd == PB_CMD_ENABLE_MULTI_MSI;
}

static struct pb_device *addressed(const struct pb_guest *g, const struct pb_op *op)
{
    struct pb_device *dev;

    /* All of the three are whole words of the guest's: none is cut before it is compared. */
    TAILQ_FOREACH (dev, &g->devices, sibling) {
        if (dev->serving && dev->has_vaddr && dev->vaddr.segment == op->domain &&
            dev->vaddr.bus == op->bus && dev->vaddr.devfn == op->devfn)
            return dev;
    }
    return NULL;
}

struct pb_device *pb_serve_addressed(const struct pb_guest *g, const struct pb_op *op)
{
    return addressed(g, op);
}

/* The operation is over: rules that a reload has changed meanwhile apply from the next one on. */
static void settle(struct pb_guest *g)
{
    struct pb_device *dev = g->run.dev;

    if (dev && dev->next_profile && !g->b->stopping)
        pb_profile_settle(dev);
}

static void undone(struct pb_guest *g)
{
    g->run.busy = g->run.unwanted = false;
    pb_inflight_end(g);
    settle(g);
    if (g->bound) {
        g->expect_empty = true;
        pb_turn_want(g);
    }
}

/*
 * False: its frontend waits no more. LATE: it may have given up meanwhile, and wait for another
 * one, which must not get this one's answer.
 */
static bool tell(struct pb_guest *g, bool late)
{
    struct pb_running_op *run = &g->run;
    bool entries = run->op.cmd == PB_CMD_ENABLE_MSIX && run->err == PB_GUEST_OK;

    if (run->unwanted || (late && !pb_page_asks(g->page, &run->op)))
        return false;
    pb_inflight_answer(g);
    if (pb_page_answer(g->page, run->err, run->value, run->entries,
                       entries ? run->entry_count : 0)) {
        pb_inflight_end(g);
        return true;
    }
    pb_inflight_unanswered(g);
    return false;
}

static void answer(struct pb_guest *g, bool late)
{
    struct pb_running_op *run = &g->run;

    run->busy = false;
    /* The frontend that asked is gone, or the daemon goes and leaves the request to the next one.
     */
    if (!g->page || run->connection != g->counters.connects || g->b->stopping) {
        if (!g->b->stopping)
            pb_inflight_end(g);
        settle(g);
        return;
    }
    if (!tell(g, late)) {
        g->counters.late_ops++;
        run->busy = true;
        pb_interrupt_undo(g, undone);
        return;
    }
    settle(g);
    g->counters.ops++;
    if (run->err == PB_GUEST_OP_FAILED)
        g->counters.failed_ops++;
    (void)g->b->xen->ops->port_notify(g->b->xen, g->port);
}

/* An operation that had to wait is complete: answer it and look for the next. */
static void answer_late(struct pb_guest *g)
{
    answer(g, true);
    if (!g->run.busy && g->bound) {
        g->expect_empty = true;
        pb_turn_want(g);
    }
    pb_guest_drop(g);
}

static void note_denied(struct pb_guest *g, struct pb_device *dev)
{
    const struct pb_access *acc = &g->run.access;
    unsigned suppressed;

    g->counters.denied_writes++;
    pb_denied_note(dev, (uint16_t)g->run.op.offset, (uint8_t)g->run.op.size,
                   g->run.op.value & pb_ones((unsigned)g->run.op.size), acc->denied);
    if (!pb_ratelimit_allow(&dev->warn_denied, pb_now_ms(), PB_DENIED_WARNINGS, 60000, &suppressed))
        return;
    pb_notice("%s: domain %u: write of 0x%x to 0x%x (%d bytes): bits 0x%x refused%s",
              pb_device_text(dev), g->domid, g->run.op.value, (unsigned)g->run.op.offset,
              g->run.op.size, acc->denied, pb_ratelimit_note(suppressed));
}

static void interrupts_back(struct pb_guest *g)
{
    if (g->run.inside)
        g->run.inside = false;
    else
        answer_late(g);
}

/* False when it has to wait for the interrupts of a device that lost its registers in D3hot. */
static bool access_finished(struct pb_guest *g)
{
    struct pb_running_op *run = &g->run;

    if (run->hooked && run->op.cmd == PB_CMD_CONF_READ && run->access.err == PB_GUEST_OK)
        pb_hooks_read(run->dev->hooks, (unsigned)run->op.offset, (unsigned)run->op.size,
                      run->access.raw, &run->access.value);
    if (run->access.shadowed)
        pb_record_access(run->dev);
    g->counters.snapshot_misses += run->access.unlike;
    run->err = run->access.err;
    run->value = run->op.cmd == PB_CMD_CONF_READ ? run->access.value : run->op.value;
    if (run->access.denied)
        note_denied(g, run->dev);
    if (!run->access.restored || run->dev->interrupts.count == 0)
        return true;
    run->inside = true;
    pb_interrupt_bring_back(g, interrupts_back);
    if (!run->inside)
        return true;
    run->inside = false;
    return false;
}

static void cycle_done(struct pb_hw_cycle *cycle, void *ctx);
static void wait_over(struct ev_loop *loop, ev_timer *timer, int events);

/* Performs what the engine asks for; false when it has to wait for hardware or time. */
static bool drive(struct pb_guest *g, enum pb_step step)
{
    struct pb_running_op *run = &g->run;
    struct pb_backend *b = g->b;

    while (step != PB_STEP_DONE) {
        if (step == PB_STEP_WAIT) {
            ev_timer_init(&run->wait, wait_over, run->access.cycle.wait_ms / 1000.0, 0.);
            run->wait.data = g;
            ev_timer_start(b->loop, &run->wait);
            pb_inflight_rest(g, true);
            return false;
        }
        if (step != PB_STEP_READ)
            pb_inflight_write(g);
        if (step == PB_STEP_RESET) {
            int rc;

            pb_inflight_note(g, PB_DID_ASK);
            rc = pb_flr_begin(run->dev, (enum pb_reset_method)run->access.cycle.reset);

            step = pb_access_resume(&run->access, rc, 0);
            continue;
        }
        g->counters.hw_cycles++;
        run->cycle = (struct pb_hw_cycle){ .hw = run->dev->hw,
                                           .write = step == PB_STEP_WRITE,
                                           .offset = run->access.cycle.offset,
                                           .size = run->access.cycle.size,
                                           .value = run->access.cycle.value,
                                           .done = cycle_done,
                                           .ctx = g };
        if (b->host->ops->cycle_submit(b->host, &run->cycle) == PB_HW_LATER)
            return false;
        if (run->access.cycle.once)
            pb_inflight_written(g);
        step = pb_access_resume(&run->access, run->cycle.rc, run->cycle.value);
    }
    return access_finished(g);
}

static void go_on(struct pb_guest *g, int rc, uint32_t value)
{
    if (g->run.access.cycle.once)
        pb_inflight_written(g);
    if (drive(g, pb_access_resume(&g->run.access, rc, value)))
        answer_late(g);
}

static void cycle_done(struct pb_hw_cycle *cycle, void *ctx)
{
    go_on(ctx, cycle->rc, cycle->value);
}

static void wait_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    pb_inflight_rest(timer->data, false);
    go_on(timer->data, 0, 0);
}

static bool is_access(const struct pb_op *op, int end)
{
    return (op->size == 1 || op->size == 2 || op->size == 4) && op->offset >= 0 &&
           op->offset % op->size == 0 && op->offset <= end - op->size;
}

/* Plugins have bits of these bytes. What is no access at all is left to the engine to refuse. */
static bool hooked(const struct pb_device *dev, const struct pb_op *op)
{
    return dev->hooks && is_access(op, dev->view.map->size) &&
           pb_hooks_cover(dev->hooks, (unsigned)op->offset, (unsigned)op->size);
}

/* Asks the plugins about a write, once in its life: their callbacks may have any effect (H9). */
static void ask_plugins(struct pb_guest *g, uint32_t *value, uint32_t *mine, uint32_t *denied)
{
    struct pb_running_op *run = &g->run;
    unsigned offset = (unsigned)run->op.offset, size = (unsigned)run->op.size;
    uint32_t all = pb_ones(size), handled;

    *value = run->op.value & all;
    pb_inflight_call(g, *value, all & ~pb_hooks_bits(run->dev->hooks, offset, size));
    pb_hooks_write(run->dev->hooks, offset, size, value, &handled, denied);
    *mine = all & ~handled & ~*denied;
    *denied &= all;
    pb_inflight_called(g, *value, *mine, *denied);
}

static enum pb_step begin_access(struct pb_guest *g)
{
    struct pb_running_op *run = &g->run;
    struct pb_device *dev = run->dev;
    const struct pb_op *op = &run->op;
    const struct pb_journal_op *earlier = run->again ? run->mark : NULL;
    bool write = op->cmd == PB_CMD_CONF_WRITE;
    uint32_t value = op->value, mine = UINT32_MAX, denied = 0;

    run->hooked = hooked(dev, op);
    if (!write || (!run->hooked && !earlier))
        return pb_access_begin(&run->access, &dev->view, write, op->offset, op->size, op->value);
    if (earlier && earlier->did & PB_DID_CALL) {
        value = earlier->hooks.value;
        mine = earlier->hooks.mine;
        denied = earlier->hooks.denied;
    } else if (run->hooked) {
        ask_plugins(g, &value, &mine, &denied);
    }
    if (earlier)
        return pb_access_begin_again(&run->access, &dev->view, op->offset, op->size, value, mine,
                                     denied, &earlier->kept);
    return pb_access_begin_write(&run->access, &dev->view, op->offset, op->size, value, mine,
                                 denied);
}

static void interrupt_done(struct pb_guest *g)
{
    if (g->run.starting)
        g->run.busy = false;
    else
        answer_late(g);
}

/* --- a device that is not to be touched --- */

static bool start_op(struct pb_guest *g);

static void parked_too_long(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct pb_guest *g = timer->data;

    (void)loop;
    (void)events;
    g->run.parked = false;
    g->run.err = PB_GUEST_OP_FAILED;
    pb_inflight_rest(g, false);
    answer_late(g);
}

/*
 * Its guest's reset is under way, or has failed (H6): reads find nothing there, as on a bus without
 * the device. What changes something waits, but not until the frontend gives up.
 */
static bool without_hardware(struct pb_guest *g)
{
    struct pb_running_op *run = &g->run;

    if (run->op.cmd <= PB_CMD_CONF_WRITE && !is_access(&run->op, run->dev->view.map->space)) {
        g->counters.bad_ops++;
        run->err = PB_GUEST_INVALID_OFFSET;
        return true;
    }
    if (run->op.cmd == PB_CMD_CONF_READ) {
        g->counters.conf_reads++;
        run->value = pb_ones((unsigned)run->op.size);
        return true;
    }
    if (!run->dev->flr) {
        run->err = PB_GUEST_OP_FAILED;
        return true;
    }
    run->busy = run->parked = true;
    ev_timer_init(&run->wait, parked_too_long, PARKED_MS / 1000.0, 0.);
    run->wait.data = g;
    ev_timer_start(g->b->loop, &run->wait);
    pb_inflight_rest(g, true);
    return false;
}

void pb_serve_unpark(struct pb_guest *g, const struct pb_device *dev)
{
    struct pb_running_op *run = &g->run;

    if (!run->parked || run->dev != dev)
        return;
    run->parked = false;
    run->busy = false;
    ev_timer_stop(g->b->loop, &run->wait);
    pb_inflight_rest(g, false);
    /* Of a frontend that went away meanwhile nothing is carried out: nobody waits for it. */
    if (!g->page || run->connection != g->counters.connects || start_op(g))
        answer_late(g);
}

/* True when the answer is there, false when it comes later. */
static bool start_op(struct pb_guest *g)
{
    struct pb_running_op *run = &g->run;
    bool write = run->op.cmd == PB_CMD_CONF_WRITE;
    bool done;

    run->err = PB_GUEST_OK;
    run->value = 0;
    run->entry_count = 0;
    if (g->fenced) {
        g->counters.fenced_ops++;
        run->dev = NULL;
        run->err = PB_GUEST_OP_FAILED;
        return true;
    }
    run->dev = addressed(g, &run->op);
    if (!run->dev) {
        /* A bus scan asks for every address: not an error, an absent device. */
        if (!pb_vslots_has_root(&g->slots, run->op.domain, run->op.bus) || run->op.devfn > 255 ||
            !is_command(run->op.cmd))
            g->counters.bad_ops++;
        run->err = PB_GUEST_NOT_FOUND;
        return true;
    }
    if (!is_command(run->op.cmd)) {
        g->counters.bad_ops++;
        run->err = PB_GUEST_NOT_IMPLEMENTED;
        return true;
    }
    if (run->dev->flr || run->dev->state == PB_DEVICE_FAILED)
        return without_hardware(g);
    run->busy = true;
    if (run->op.cmd == PB_CMD_CONF_READ || write) {
        if (write)
            g->counters.conf_writes++;
        else
            g->counters.conf_reads++;
        done = drive(g, begin_access(g));
        if (done)
            run->busy = false;
        if (done && run->err == PB_GUEST_INVALID_OFFSET)
            g->counters.bad_ops++;
        return done;
    }
    g->counters.msi_ops++;
    run->starting = true;
    pb_interrupt_op(g, interrupt_done);
    run->starting = false;
    return !run->busy;
}

/* --- a guest's turn --- */

void pb_serve_guest(struct pb_guest *g, unsigned *budget)
{
    unsigned ops = 0;

    if (!g->page || g->run.busy || g->held)
        return;
    while (pb_page_has_request(g->page)) {
        if (*budget == 0) {
            if (!g->poll.on) /* else it is looked at anyway */
                pb_turn_want(g);
            return;
        }
        --*budget;
        ops++;
        pb_page_take(g->page, &g->run.op);
        g->run.connection = g->counters.connects;
        pb_inflight_begin(g);
        if (!start_op(g)) {
            pb_guest_hold(g);
            pb_turn_wait(g);
            return;
        }
        answer(g, false);
        if (g->run.busy) {
            pb_turn_wait(g);
            return;
        }
        /* One of these costs up to two hypercalls a vector: a whole turn. */
        if (g->run.op.cmd > PB_CMD_CONF_WRITE)
            *budget = 0;
    }
    pb_turn_over(g, ops);
}

void pb_serve_ports(void *backend, const uint32_t *ports, size_t count)
{
    struct pb_backend *b = backend;

    for (size_t i = 0; i < count; i++) {
        struct pb_guest *g = ports[i] < b->by_port_size ? b->by_port[ports[i]] : NULL;
        unsigned budget = b->policy->limits.ops_per_turn;

        /* Events of ports that were unbound meanwhile may still come (H15). */
        if (!g)
            continue;
        g->counters.events++;
        g->masked = true;
        if (!g->in_turn)
            pb_serve_guest(g, &budget);
    }
}

/* --- an operation that an earlier process has begun --- */

void pb_serve_answer(struct pb_guest *g)
{
    struct pb_running_op *run = &g->run;

    run->dev = addressed(g, &run->op);
    run->entry_count = 0;
    if (run->dev && run->op.cmd == PB_CMD_ENABLE_MSIX && run->err == PB_GUEST_OK)
        pb_interrupt_entries(g);
    answer(g, true);
}

void pb_serve_finish(struct pb_guest *g)
{
    g->run.unwanted = true;
    pb_inflight_begin(g);
    if (start_op(g))
        answer(g, true);
    else
        pb_guest_hold(g);
}

void pb_serve_undo(struct pb_guest *g)
{
    struct pb_running_op *run = &g->run;

    run->dev = addressed(g, &run->op);
    run->err = PB_GUEST_OK;
    run->busy = true;
    if (run->dev && run->dev->hw)
        pb_interrupt_undo(g, undone);
    else
        undone(g);
}

void pb_serve_look(struct pb_guest *g)
{
    g->expect_empty = true;
    pb_turn_want(g);
}

/* --- life --- */

void pb_serve_start(struct pb_backend *b)
{
    pb_turn_start(b);
}

void pb_serve_stop(struct pb_backend *b)
{
    pb_turn_stop(b);
    free(b->by_port);
}

void pb_serve_init(struct pb_guest *g)
{
    pb_turn_init(g);
    ev_init(&g->run.wait, wait_over);
    ev_init(&g->run.script.timer, NULL);
}

bool pb_serve_accesses(const struct pb_device *dev)
{
    const struct pb_guest *g = dev->guest;

    return g && g->run.busy && !g->run.parked && g->run.dev == dev;
}

int pb_serve_bound(struct pb_guest *g)
{
    struct pb_backend *b = g->b;

    if (g->port >= b->by_port_size) {
        uint32_t size = g->port + 64;
        struct pb_guest **table = realloc(b->by_port, size * sizeof(struct pb_guest *));

        if (!table)
            return -ENOMEM;
        memset(table + b->by_port_size, 0, (size - b->by_port_size) * sizeof(struct pb_guest *));
        b->by_port = table;
        b->by_port_size = size;
    }
    b->by_port[g->port] = g;
    g->bound = true;
    pb_turn_bound(g);
    return 0;
}

void pb_serve_unbound(struct pb_guest *g)
{
    g->b->by_port[g->port] = NULL;
    g->bound = false;
    pb_turn_leave(g);
}

void pb_serve_keep_counters(struct pb_guest *g)
{
#define X(name, help) g->b->counters.name += g->counters.name;
    PB_COUNTERS(X)
#undef X
}

void pb_serve_fini(struct pb_guest *g)
{
    if (g->run.busy)
        pb_inflight_rest(g, true); /* the end of this process is not its doing */
    pb_turn_leave(g);
    ev_timer_stop(g->b->loop, &g->run.wait);
    pb_script_fini(&g->run.script);
}
