/* SPDX-License-Identifier: MIT */
#include "backend/turn.h"

#include <string.h>

#include "backend/machine.h"
#include "backend/serve.h"
#include "base/log.h"

/*
 * Flags are looked at for so long before the loop has its round: four times what a round takes in
 * which nothing else is ready, so that the rounds are a fifth of the time on any machine.
 */
#define SLICE_MIN_NS UINT64_C(50000)
#define SLICE_MAX_NS UINT64_C(400000)
#define SLICE_ROUNDS 4u
#define SLICE_CHECKS 4u /* looks at the clock in it, about */
#define LOOKS_MIN    4u /* at flags, between them */
#define LOOKS_MAX    1024u

static void idle_needed(struct pb_backend *b)
{
    if (TAILQ_EMPTY(&b->turn) && TAILQ_EMPTY(&b->poll)) {
        ev_idle_stop(b->loop, &b->idle);
        ev_check_stop(b->loop, &b->round);
    } else {
        ev_idle_start(b->loop, &b->idle);
        ev_check_start(b->loop, &b->round);
    }
}

void pb_turn_want(struct pb_guest *g)
{
    if (g->in_turn)
        return;
    g->in_turn = true;
    TAILQ_INSERT_TAIL(&g->b->turn, g, turn_link);
    idle_needed(g->b);
}

static void unmask(struct pb_guest *g)
{
    int rc;

    if (!g->masked || !g->bound)
        return;
    g->masked = false;
    rc = g->b->xen->ops->port_unmask(g->b->xen, g->port);
    if (rc)
        pb_warn("domain %u: unmasking its port: %s", g->domid, strerror(-rc));
}

static void back_off_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    unmask(timer->data);
}

/* An event with nothing to do: the first are free, then the unmask waits longer each time
 * (XSA-332). */
static void spurious(struct pb_guest *g)
{
    unsigned ms, max = g->b->policy->limits.spurious_backoff_max_ms;

    if (g->expect_empty) {
        g->expect_empty = false;
        unmask(g);
        return;
    }
    g->counters.spurious_events++;
    g->spurious++;
    if (g->spurious <= 2) {
        unmask(g);
        return;
    }
    ms = 1u << (g->spurious - 3 < 10 ? g->spurious - 3 : 10);
    ev_timer_stop(g->b->loop, &g->back_off);
    ev_timer_set(&g->back_off, (ms < max ? ms : max) / 1000., 0.);
    ev_timer_start(g->b->loop, &g->back_off);
}

/* --- polling --- */

/* What looking at its flag has taken since its last answer. */
static uint64_t take_spun(struct pb_guest *g)
{
    uint64_t ns = g->looks * g->b->look_ns, since = g->b->now_ns - g->poll.answered_ns;

    ns = ns < since ? ns : since;
    g->looks = 0;
    g->spun_ns += ns;
    g->counters.poll_us = g->spun_ns / 1000;
    return ns;
}

static void listed(struct pb_guest *g, bool was)
{
    struct pb_backend *b = g->b;

    if (was == g->poll.on)
        return;
    if (was) {
        TAILQ_REMOVE(&b->poll, g, poll_link);
        b->polled--;
    } else {
        TAILQ_INSERT_TAIL(&b->poll, g, poll_link);
        b->polled++;
        idle_needed(b);
    }
}

void pb_turn_over(struct pb_guest *g, unsigned ops)
{
    struct pb_backend *b = g->b;
    uint64_t ceiling = b->policy->busy_poll_us * UINT64_C(1000);
    bool was = g->poll.on;

    if (ops == 0) {
        if (!was)
            spurious(g);
        return;
    }
    g->spurious = 0;
    /* The frontend's event for what was just served may still be on its way. */
    g->expect_empty = true;
    if (was || ceiling > 0) {
        b->now_ns = pb_cycle_clock_ns(&b->clock);
        g->counters.polled_ops += was ? ops : 0;
        if (pb_poll_answered(&g->poll, b->now_ns, ops, take_spun(g), ceiling)) {
            listed(g, was);
            return;
        }
        listed(g, was);
    }
    unmask(g);
}

void pb_turn_wait(struct pb_guest *g)
{
    bool was = g->poll.on;

    pb_poll_end(&g->poll);
    listed(g, was);
}

/*
 * The window is over. The event that the frontend has sent meanwhile is pending and arrives, empty,
 * after the unmask (H15); so does that of a request that was posted since the last look.
 */
static void miss(struct pb_guest *g)
{
    g->counters.missed_polls++;
    pb_poll_missed(&g->poll, take_spun(g));
    listed(g, true);
    unmask(g);
}

/* How long a look takes now, and how many may pass before the next one at the clock. */
static void look_at_clock(struct pb_backend *b, unsigned looks)
{
    uint64_t now = pb_cycle_clock_ns(&b->clock), took = now - b->now_ns;

    b->now_ns = now;
    b->look_ns = took / looks;
    if (took < b->slice_ns / SLICE_CHECKS / 2 && b->looks < LOOKS_MAX)
        b->looks *= 2;
    else if (took > 2 * b->slice_ns / SLICE_CHECKS && b->looks > LOOKS_MIN)
        b->looks /= 2;
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* When the slice that begins now is over. */
static uint64_t begin_slice(struct pb_backend *b)
{
    uint64_t round = SLICE_ROUNDS * (pb_cycle_clock_ns(&b->clock) - b->now_ns);

    b->now_ns += round / SLICE_ROUNDS;
    if (b->quiet)
        b->slice_ns = round < SLICE_MIN_NS   ? SLICE_MIN_NS
                      : round > SLICE_MAX_NS ? SLICE_MAX_NS
                                             : round;
    b->quiet = false;
    return b->now_ns + b->slice_ns;
}

/*
 * One look at each polled guest's flag in turn, over and over, until the slice is over or a turn's
 * worth of operations was served; just once when somebody else has a turn.
 */
static void poll_slice(struct pb_backend *b)
{
    unsigned budget = b->policy->limits.ops_per_turn, unseen = b->polled, looks = 0;
    struct pb_guest *g;
    uint64_t end;

    if (unseen == 0)
        return;
    end = begin_slice(b);
    while ((g = TAILQ_FIRST(&b->poll)) && budget > 0 && b->now_ns < end) {
        if (unseen > 0)
            unseen--;
        else if (!TAILQ_EMPTY(&b->turn))
            break;
        TAILQ_REMOVE(&b->poll, g, poll_link);
        TAILQ_INSERT_TAIL(&b->poll, g, poll_link);
        if (pb_page_has_request(g->page)) {
            pb_serve_guest(g, &budget);
            looks = 0;
            continue;
        }
        g->looks++;
        if (b->now_ns >= g->poll.until_ns)
            miss(g);
        relax();
        if (++looks >= b->looks) {
            look_at_clock(b, looks);
            looks = 0;
        }
    }
}

/* --- turns --- */

static void take_turns(struct pb_backend *b)
{
    struct pb_guest_list now = TAILQ_HEAD_INITIALIZER(now);
    struct pb_guest *g;

    /* Who asks again while this round runs comes in the next one. */
    while ((g = TAILQ_FIRST(&b->turn))) {
        TAILQ_REMOVE(&b->turn, g, turn_link);
        TAILQ_INSERT_TAIL(&now, g, turn_link);
    }
    while ((g = TAILQ_FIRST(&now))) {
        unsigned budget = b->policy->limits.ops_per_turn;

        TAILQ_REMOVE(&now, g, turn_link);
        g->in_turn = false;
        pb_serve_guest(g, &budget);
    }
}

/*
 * Once in every round of the loop, after what else was ready: who has just asked waits for one turn
 * of each other guest and one slice at most. An idle watcher would not do: libev runs it only when
 * nothing is ready, so that a busy control socket or xenstore would keep guests waiting that are in
 * a burst. It is there all the same, for the loop not to sleep.
 */
static void round_cb(struct ev_loop *loop, ev_check *round, int events)
{
    struct pb_backend *b = round->data;

    (void)loop;
    (void)events;
    poll_slice(b);
    take_turns(b);
    idle_needed(b);
}

static void idle_cb(struct ev_loop *loop, ev_idle *idle, int events)
{
    struct pb_backend *b = idle->data;

    (void)loop;
    (void)events;
    b->quiet = TAILQ_EMPTY(&b->turn);
}

/* --- life --- */

void pb_turn_start(struct pb_backend *b)
{
    TAILQ_INIT(&b->turn);
    TAILQ_INIT(&b->poll);
    b->looks = LOOKS_MIN;
    b->slice_ns = SLICE_MIN_NS;
    ev_idle_init(&b->idle, idle_cb);
    b->idle.data = b;
    ev_check_init(&b->round, round_cb);
    ev_set_priority(&b->round, EV_MINPRI);
    b->round.data = b;
}

void pb_turn_stop(struct pb_backend *b)
{
    ev_idle_stop(b->loop, &b->idle);
    ev_check_stop(b->loop, &b->round);
}

void pb_turn_init(struct pb_guest *g)
{
    pb_poll_init(&g->poll);
    ev_timer_init(&g->back_off, back_off_over, 0., 0.);
    g->back_off.data = g;
}

void pb_turn_bound(struct pb_guest *g)
{
    pb_poll_init(&g->poll);
    g->masked = false;
    g->spurious = 0;
    /* Binding sets the port pending: its first event may have nothing behind it (H15). */
    g->expect_empty = true;
    pb_turn_want(g);
}

void pb_turn_leave(struct pb_guest *g)
{
    pb_turn_wait(g);
    if (g->in_turn) {
        g->in_turn = false;
        TAILQ_REMOVE(&g->b->turn, g, turn_link);
    }
    ev_timer_stop(g->b->loop, &g->back_off);
    idle_needed(g->b);
}
