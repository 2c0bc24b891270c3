/* SPDX-License-Identifier: MIT */
#include "backend/script.h"

#include <errno.h>
#include <string.h>

#include "backend/machine.h"
#include "base/assert.h"
#include "base/bytes.h"

void pb_script_begin(struct pb_script *s, struct pb_device *dev)
{
    PB_ASSERT(!s->running);
    s->dev = dev;
    s->count = 0;
    s->at = 0;
    s->rc = 0;
}

static struct pb_instr *add(struct pb_script *s)
{
    struct pb_instr *in;

    PB_ASSERT(s->count < PB_SCRIPT_MAX);
    in = &s->instr[s->count++];
    memset(in, 0, sizeof(*in));
    return in;
}

void pb_script_modify(struct pb_script *s, uint16_t offset, uint8_t size, uint32_t clear,
                      uint32_t set)
{
    struct pb_instr *in = add(s);

    in->kind = PB_INSTR_MODIFY;
    in->offset = offset;
    in->size = size;
    in->clear = clear;
    in->set = set;
}

void pb_script_expect(struct pb_script *s, uint16_t offset, uint8_t size, uint32_t mask,
                      uint32_t value)
{
    struct pb_instr *in = add(s);

    in->kind = PB_INSTR_EXPECT;
    in->offset = offset;
    in->size = size;
    in->clear = mask;
    in->set = value;
}

void pb_script_write(struct pb_script *s, uint16_t offset, uint8_t size, uint32_t value)
{
    pb_script_modify(s, offset, size, pb_ones(size), value);
}

void pb_script_call(struct pb_script *s, int (*call)(struct pb_script *s, void *ctx), void *ctx)
{
    struct pb_instr *in = add(s);

    in->kind = PB_INSTR_CALL;
    in->call = call;
    in->ctx = ctx;
}

void pb_script_pause(struct pb_script *s, uint16_t ms)
{
    struct pb_instr *in = add(s);

    in->kind = PB_INSTR_PAUSE;
    in->pause_ms = ms;
}

static void run(struct pb_script *s);

static void cycle_done(struct pb_hw_cycle *cycle, void *ctx)
{
    (void)cycle;
    run(ctx);
}

static void timer_done(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    run(timer->data);
}

/* Submits a cycle; true when it completed at once. */
static bool submit(struct pb_script *s, bool write, const struct pb_instr *in, uint32_t value)
{
    s->cycle = (struct pb_hw_cycle){ .hw = s->dev->hw,
                                     .write = write,
                                     .offset = in->offset,
                                     .size = in->size,
                                     .value = value,
                                     .done = cycle_done,
                                     .ctx = s };
    s->dev->b->counters.hw_cycles++;
    return s->dev->b->host->ops->cycle_submit(s->dev->b->host, &s->cycle) == PB_HW_NOW;
}

/* The register was read: what now? Returns false when a write is under way. */
static bool after_read(struct pb_script *s, const struct pb_instr *in)
{
    uint32_t old = s->cycle.value, value;

    if (in->kind == PB_INSTR_EXPECT) {
        if ((old & in->clear) != in->set)
            s->rc = -ESTALE;
    } else if (old == pb_ones(in->size) && in->size > 1 && in->clear != pb_ones(in->size)) {
        s->rc = -ENXIO; /* no register that is modified bit by bit reads as all ones */
    } else {
        value = (old & ~in->clear) | in->set;
        if (value != old)
            return submit(s, true, in, value);
    }
    s->cycle.hw = NULL;
    s->at++;
    return true;
}

/*
 * Carries out instruction `at` from where it is; returns false when it has to wait. A register
 * takes two rounds: cycle.hw is NULL before the read, and cycle.write tells read and write apart.
 */
static bool step(struct pb_script *s)
{
    const struct pb_instr *in = &s->instr[s->at];

    switch (in->kind) {
    case PB_INSTR_CALL:
        s->rc = in->call(s, in->ctx);
        s->at++;
        return true;
    case PB_INSTR_PAUSE:
        s->at++;
        ev_timer_init(&s->timer, timer_done, in->pause_ms / 1000.0, 0.);
        s->timer.data = s;
        ev_timer_start(s->dev->b->loop, &s->timer);
        return false;
    case PB_INSTR_MODIFY:
    case PB_INSTR_EXPECT:
        break;
    }
    if (!s->cycle.hw)
        return submit(s, false, in, 0);
    if (s->cycle.rc == 0 && !s->cycle.write)
        return after_read(s, in);
    s->rc = s->cycle.rc;
    s->cycle.hw = NULL;
    s->at++;
    return true;
}

static void run(struct pb_script *s)
{
    while (s->rc == 0 && s->at < s->count) {
        if (!s->dev->hw || s->dev->stuck)
            s->rc = s->dev->stuck ? -EBUSY : -ENODEV;
        else if (!step(s))
            return;
    }
    s->cycle.hw = NULL;
    s->running = false;
    s->done(s, s->ctx);
}

void pb_script_run(struct pb_script *s, void (*done)(struct pb_script *s, void *ctx), void *ctx)
{
    PB_ASSERT(!s->running);
    s->running = true;
    s->done = done;
    s->ctx = ctx;
    s->cycle.hw = NULL;
    run(s);
}

void pb_script_fini(struct pb_script *s)
{
    if (s->dev)
        ev_timer_stop(s->dev->b->loop, &s->timer);
    s->running = false;
}
