/* SPDX-License-Identifier: MIT */
#include "sim_loop.h"

#include "base/bytes.h"
#include "sim_command.h"
#include "sim_world.h"

#define CONNECTED 4
#define LOOK_S    0.002

struct sim_loop {
    struct sim_timer timer; /* its patience, or the time until it looks again */
    struct sim_world *w;
    struct sim_domain *dom;
    json_t *ops;
    size_t at;
    double wait, gap, begun, longest;
    bool waiting, stop;
    unsigned done, timeouts, errors, wrong, aborted;
    json_t *first; /* that failed */
};

static void note_failure(struct sim_loop *loop, const char *why, const uint8_t *op)
{
    if (loop->first)
        return;
    loop->first = json_pack("{s:s, s:i, s:i, s:I}", "why", why, "at", (int)loop->at, "err",
                            op ? (int)(int32_t)pb_le32(op + 4) : 0, "value",
                            op ? (json_int_t)pb_le32(op + 28) : (json_int_t)0);
}

static void judge(struct sim_loop *loop)
{
    const json_t *wanted = json_array_get(loop->ops, loop->at);
    const json_t *value = json_object_get(wanted, "expect");
    json_int_t err = json_integer_value(json_object_get(wanted, "expect_err"));
    const uint8_t *op = (const uint8_t *)loop->dom->front.page->guest + SIM_OP_START;
    double took = sim_timer_now() - loop->begun;

    loop->done++;
    loop->longest = took > loop->longest ? took : loop->longest;
    if ((int32_t)pb_le32(op + 4) != err) {
        loop->errors++;
        note_failure(loop, "error", op);
    } else if (value && json_integer_value(value) != (json_int_t)pb_le32(op + 28)) {
        loop->wrong++;
        note_failure(loop, "value", op);
    }
}

static void post(struct sim_loop *loop);

static void next(struct sim_loop *loop)
{
    loop->waiting = false;
    loop->at = (loop->at + 1) % json_array_size(loop->ops);
    if (loop->gap > 0)
        sim_timer_start(&loop->timer, loop->gap, 0.0);
    else
        post(loop);
}

static void answered(void *ctx, struct sim_domain *dom, bool done)
{
    struct sim_loop *loop = ctx;

    sim_timer_stop(&loop->timer);
    if (done && dom->front.page) {
        judge(loop);
        next(loop);
        return;
    }
    loop->waiting = false;
    loop->aborted++;
    sim_timer_start(&loop->timer, LOOK_S, 0.0);
}

static void post(struct sim_loop *loop)
{
    struct sim_front *front = &loop->dom->front;
    struct pb_json_error error = { 0 };
    struct pb_json at = pb_json_root(json_array_get(loop->ops, loop->at), NULL, &error);

    if (loop->stop)
        return;
    if (!front->page || !front->port || front->state != CONNECTED || front->op_done) {
        sim_timer_start(&loop->timer, LOOK_S, 0.0);
        return;
    }
    (void)sim_op_write(&at, (uint8_t *)front->page->guest + SIM_OP_START);
    loop->begun = sim_timer_now();
    loop->waiting = true;
    front->op_ctx = loop;
    front->op_done = answered;
    sim_timer_start(&loop->timer, loop->wait, 0.0);
    sim_front_set_flags(loop->dom, SIM_FLAG_ACTIVE, 0);
    sim_guest_port_notify(loop->w, loop->dom, front->port);
}

static void on_time(struct sim_timer *timer)
{
    struct sim_loop *loop = PB_CONTAINER_OF(timer, struct sim_loop, timer);

    if (!loop->waiting) {
        post(loop);
        return;
    }
    loop->timeouts++;
    note_failure(loop, "timeout", NULL);
    loop->dom->front.op_done = NULL;
    sim_front_set_flags(loop->dom, 0, SIM_FLAG_ACTIVE);
    next(loop);
}

void sim_loop_start(struct sim_world *w, struct sim_domain *dom, json_t *ops, unsigned wait_ms,
                    unsigned gap_ms)
{
    struct sim_loop *loop = sim_alloc(sizeof(*loop));

    sim_loop_free(dom);
    loop->w = w;
    loop->dom = dom;
    loop->ops = ops;
    loop->wait = wait_ms / 1000.0;
    loop->gap = gap_ms / 1000.0;
    sim_timer_init(&loop->timer, w, on_time);
    dom->front.loop = loop;
    post(loop);
}

json_t *sim_loop_report(const struct sim_domain *dom)
{
    const struct sim_loop *loop = dom->front.loop;

    if (!loop)
        return NULL;
    return json_pack("{s:b, s:b, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:O?}", "ok", 1, "running",
                     loop->waiting || loop->timer.active ? 1 : 0, "done", (int)loop->done, "failed",
                     (int)(loop->timeouts + loop->errors + loop->wrong), "timeouts",
                     (int)loop->timeouts, "errors", (int)loop->errors, "wrong", (int)loop->wrong,
                     "aborted", (int)loop->aborted, "max_ms", loop->longest * 1000.0, "first",
                     loop->first);
}

void sim_loop_stop(struct sim_domain *dom)
{
    struct sim_loop *loop = dom->front.loop;

    if (!loop)
        return;
    loop->stop = true;
    if (!loop->waiting)
        sim_timer_stop(&loop->timer);
}

void sim_loop_free(struct sim_domain *dom)
{
    struct sim_loop *loop = dom->front.loop;

    if (!loop)
        return;
    dom->front.loop = NULL;
    if (loop->waiting)
        dom->front.op_done = NULL;
    sim_timer_stop(&loop->timer);
    json_decref(loop->ops);
    json_decref(loop->first);
    sim_free(loop);
}
