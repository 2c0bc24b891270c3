/* SPDX-License-Identifier: MIT */
/*
 * Polling over the simulated world with a clock of its own: time passes when somebody looks at it,
 * when the loop has a round, and when it sleeps. So everything here is a count.
 */
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "backend/turn.h"
#include "hostile_world.h"
#include "sim_front.h"

#define US       UINT64_C(1000)
#define MS       UINT64_C(1000000)
#define CLOCK_NS (8 * US) /* what a look at the clock takes */
#define SLICE_NS (50 * US)
#define CEILING  400u

static uint64_t now_ns = UINT64_C(1000000000000);
static uint64_t round_ns = 1 * US;
static unsigned rounds; /* of the loop */

/* Guests that ask GAP after each answer. */
struct model {
    struct hostile *h;
    struct sim_domain *dom;
    uint64_t gap, wake, post_at;
    unsigned left, answers; /* operations to come, and had */
    unsigned before, most;  /* answers of the other when it asked; that came meanwhile, at most */
    bool waiting, alone;    /* alone: it runs only when the loop sleeps */
};
static struct model models[2];

static const struct pb_op read_ids = { .size = 4 };

static uint64_t run_guests(bool asleep)
{
    uint64_t next = UINT64_MAX;

    for (unsigned i = 0; i < PB_ARRAY_SIZE(models); i++) {
        struct model *m = &models[i];

        if (!m->dom || m->waiting || m->left == 0 || (m->alone && !asleep))
            continue;
        if (now_ns < m->post_at) {
            next = m->post_at < next ? m->post_at : next;
            continue;
        }
        m->waiting = true;
        m->left--;
        m->before = models[!i].answers;
        hostile_post(m->h, m->dom, &read_ids);
        sim_guest_port_notify(m->h->w, m->dom, m->dom->front.port);
    }
    return next;
}

static void answered(struct hostile *h)
{
    (void)h;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(models); i++) {
        struct model *m = &models[i];

        if (m->dom && m->waiting && !hostile_waits(m->dom)) {
            unsigned meanwhile = models[!i].answers - m->before;

            m->most = meanwhile > m->most ? meanwhile : m->most;
            m->waiting = false;
            m->answers++;
            m->post_at = now_ns + m->gap;
        }
    }
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
    if (id != CLOCK_MONOTONIC)
        return (int)syscall(SYS_clock_gettime, id, ret);
    ret->tv_sec = (time_t)(now_ns / 1000000000u);
    ret->tv_nsec = (long)(now_ns % 1000000000u);
    return 0;
}

/* No counter: each look is one at the clock. */
uint64_t __wrap_pb_cycles(void);
uint64_t __wrap_pb_cycles(void)
{
    return 0;
}

uint64_t __wrap_pb_now_ns(void);
uint64_t __wrap_pb_now_ns(void)
{
    now_ns += CLOCK_NS;
    (void)run_guests(false);
    return now_ns;
}

int epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
    uint64_t next;

    rounds++;
    now_ns += round_ns;
    next = run_guests(timeout_ms != 0);
    if (timeout_ms != 0) {
        uint64_t until = now_ns + (uint64_t)(timeout_ms > 0 ? timeout_ms : 1000) * MS;

        if (next < until) {
            now_ns = next;
            (void)run_guests(true);
        } else if (!models[0].waiting) {
            now_ns = until;
        }
    }
    return (int)syscall(SYS_epoll_wait, fd, events, count, 0);
}

static struct {
    unsigned turns, ops, most; /* of the loop's rest; the polled guest's between two; at most */
    uint64_t at, longest;
} noise;

/* What an event costs until it is here. */
static struct pb_xen_events real_events;

static void woken(void *ctx, const uint32_t *ports, size_t count)
{
    now_ns += models[0].wake;
    noise.at += models[0].wake; /* not our doing */
    real_events.ports_pending(ctx, ports, count);
}

static struct pb_guest *guest(const struct hostile *h)
{
    return pb_guest_find(h->b, HOSTILE);
}

static struct pb_counters counted(const struct hostile *h)
{
    return guest(h)->counters;
}

static struct model *model(struct hostile *h, struct sim_domain *dom, uint64_t gap, unsigned ops)
{
    struct model *m = &models[dom == h->dom ? 0 : 1];

    *m = (struct model){
        .h = h, .dom = dom, .gap = gap, .wake = 30 * US, .post_at = now_ns + 10 * MS, .left = ops
    };
    h->answered = answered;
    return m;
}

static bool busy(const struct model *m)
{
    return m->left > 0 || m->waiting;
}

static void never(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
}

/* A loop without a watcher would not sleep; the daemon always has some. */
static ev_timer awake;

static void run_models(struct hostile *h)
{
    for (unsigned i = 0; i < 1000000 && (busy(&models[0]) || busy(&models[1])); i++)
        ev_run(h->loop, EVRUN_ONCE);
    assert_false(busy(&models[0]) || busy(&models[1]));
}

static void time_is_up(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)timer;
    (void)events;
    ev_break(loop, EVBREAK_ONE);
}

static void run_for(struct hostile *h, double seconds)
{
    ev_timer timer;

    ev_now_update(h->loop);
    ev_timer_init(&timer, time_is_up, seconds, 0.);
    ev_timer_start(h->loop, &timer);
    ev_run(h->loop, 0);
    ev_timer_stop(h->loop, &timer);
}

static int setup(void **state)
{
    struct hostile *h;

    memset(models, 0, sizeof(models));
    if (hostile_setup(state) != 0)
        return -1;
    h = *state;
    h->b->policy->busy_poll_us = CEILING;
    real_events = h->w->xen.events;
    h->w->xen.events.ports_pending = woken;
    ev_timer_init(&awake, never, 1e6, 0.);
    ev_timer_start(h->loop, &awake);
    run_for(h, 1);
    pb_poll_init(&guest(h)->poll);
    memset(&guest(h)->counters, 0, sizeof(guest(h)->counters));
    guest(h)->spun_ns = 0;
    return 0;
}

static int teardown(void **state)
{
    struct hostile *h = *state;

    h->b->policy->busy_poll_us = 0;
    run_for(h, 1);
    assert_int_equal(h->b->polled, 0);
    assert_true(TAILQ_EMPTY(&h->b->poll));
    memset(models, 0, sizeof(models));
    ev_timer_stop(h->loop, &awake);
    return hostile_teardown(state);
}

/* --- when --- */

static void an_idle_guest_costs_no_poll_and_no_round(void **state)
{
    struct hostile *h = *state;

    rounds = 0;
    run_for(h, 1);
    assert_true(rounds <= 2);
    assert_int_equal(counted(h).polled_ops + counted(h).missed_polls + counted(h).poll_us, 0);
}

static void nor_does_one_that_asks_now_and_then(void **state)
{
    struct hostile *h = *state;

    model(h, h->dom, 3 * MS, 300);
    rounds = 0;
    run_for(h, 1);
    assert_int_equal(counted(h).ops, 300);
    assert_int_equal(counted(h).polled_ops + counted(h).missed_polls + counted(h).poll_us, 0);
    assert_true(rounds <= 4 * 300); /* the simulator delivers by rounds, too */
}

static void a_burst_is_polled(void **state)
{
    struct hostile *h = *state;

    model(h, h->dom, 3 * US, 64);
    rounds = 0;
    run_models(h);
    assert_int_equal(counted(h).ops, 64);
    assert_int_equal(counted(h).events, 2);
    assert_int_equal(counted(h).polled_ops, 62);
    assert_true(rounds < 64);
    run_for(h, 0.1);
    assert_int_equal(counted(h).missed_polls, 1);
    assert_false(guest(h)->poll.on);
    assert_true(counted(h).poll_us > 0);
    assert_true(counted(h).poll_us < 1280);
    rounds = 0;
    run_for(h, 1);
    assert_true(rounds <= 2);
}

static void no_ceiling_no_polling(void **state)
{
    struct hostile *h = *state;

    h->b->policy->busy_poll_us = 0;
    model(h, h->dom, 3 * US, 1000);
    run_models(h);
    assert_int_equal(counted(h).ops, counted(h).events);
    assert_int_equal(counted(h).polled_ops + counted(h).missed_polls + counted(h).poll_us, 0);
}

/* As a reload does it. */
static void a_new_ceiling_is_in_force_at_once(void **state)
{
    struct hostile *h = *state;
    struct model *m = model(h, h->dom, 3 * US, 1000);
    uint64_t polled;

    while (m->answers < 100)
        ev_run(h->loop, EVRUN_ONCE);
    assert_true(guest(h)->poll.on);
    h->b->policy->busy_poll_us = 0;
    polled = counted(h).polled_ops;
    run_models(h);
    assert_true(counted(h).polled_ops <= polled + 1);
    h->b->policy->busy_poll_us = CEILING;
    model(h, h->dom, 3 * US, 100);
    run_models(h);
    assert_true(counted(h).polled_ops >= polled + 98);
}

/* --- H15 --- */

static void H15_a_burst_leaves_one_empty_event_which_is_forgiven(void **state)
{
    struct hostile *h = *state;

    for (unsigned n = 0; n < 10; n++) {
        model(h, h->dom, 3 * US, 64);
        run_models(h);
        run_for(h, 0.1);
        assert_false(guest(h)->masked);
        assert_int_equal(counted(h).spurious_events, 0);
    }
    assert_int_equal(counted(h).events, 30);
    for (unsigned n = 1; n <= 3; n++) { /* XSA-332: what has no burst before it is not */
        hostile_notify(h, h->dom);
        assert_int_equal(counted(h).spurious_events, n);
    }
    assert_true(guest(h)->masked);
    hostile_settle(h);
}

static struct pb_xen_ops late_xen;
static int (*real_unmask)(struct pb_xen *x, uint32_t port);
static struct hostile *late;

static int unmask_too_late(struct pb_xen *x, uint32_t port)
{
    if (!models[0].waiting && models[0].left > 0) {
        models[0].post_at = 0;
        (void)run_guests(true);
    }
    return real_unmask(x, port);
}

static void H15_a_request_between_the_last_look_and_the_unmask_is_served(void **state)
{
    const struct pb_xen_ops *before;

    late = *state;
    before = late->xen->ops;
    late_xen = *before;
    real_unmask = late_xen.port_unmask;
    late_xen.port_unmask = unmask_too_late;
    late->xen->ops = &late_xen;
    model(late, late->dom, 3 * US, 200);
    models[0].post_at = now_ns;
    run_for(late, 0.01);
    run_models(late);
    assert_int_equal(counted(late).ops, 200);
    assert_true(counted(late).missed_polls > 0);
    late->xen->ops = before;
}

static void end_of_polled_guest(struct hostile *h)
{
    models[0].dom = NULL;
    run_for(h, 1);
    assert_int_equal(h->b->polled, 0);
    assert_true(TAILQ_EMPTY(&h->b->poll));
}

static void H15_a_guest_that_ends_while_it_is_polled_is_not_looked_at_again(void **state)
{
    struct hostile *h = *state;
    struct pb_sbdf nic = h->dev->sbdf;

    model(h, h->dom, 3 * US, 10);
    run_models(h);
    assert_true(guest(h)->poll.on);
    guest(h)->poll.until_ns = UINT64_MAX; /* until its port goes */
    sim_domain_destroy(h->w, h->dom, true);
    end_of_polled_guest(h);
    assert_null(guest(h));
    h->dom = h->other; /* for the teardown */
    h->dev = pb_device_find(h->b, nic);
    assert_int_equal(h->dev->state, PB_DEVICE_CLAIMED);
}

static void an_operation_that_waits_ends_the_poll(void **state)
{
    struct hostile *h = *state;
    const struct pb_op read_status = { .offset = EXP_AT + PCI_EXP_DEVSTA, .size = 2 };

    model(h, h->dom, 3 * US, 10);
    run_models(h);
    assert_true(guest(h)->poll.on);
    guest(h)->poll.until_ns = UINT64_MAX;
    h->nic->slow_ms = 1;
    hostile_post(h, h->dom, &read_status);
    for (unsigned i = 0; i < 100 && !guest(h)->run.busy; i++)
        ev_run(h->loop, EVRUN_NOWAIT);
    assert_true(guest(h)->run.busy);
    assert_false(guest(h)->poll.on);
    assert_int_equal(h->b->polled, 0);
    hostile_settle(h);
    h->nic->slow_ms = 0;
    assert_false(hostile_waits(h->dom));
}

/* --- fair --- */

static void noise_turn(struct ev_loop *loop, ev_async *async, int events)
{
    unsigned ops = models[0].answers + models[1].answers;

    (void)events;
    if (noise.turns > 0) {
        noise.most = ops - noise.ops > noise.most ? ops - noise.ops : noise.most;
        noise.longest = now_ns - noise.at > noise.longest ? now_ns - noise.at : noise.longest;
    }
    noise.turns++;
    noise.ops = ops;
    noise.at = now_ns;
    ev_async_send(loop, async);
}

static void with_noise(struct hostile *h, uint64_t longest)
{
    ev_async async;

    memset(&noise, 0, sizeof(noise));
    ev_async_init(&async, noise_turn);
    ev_async_start(h->loop, &async);
    ev_async_send(h->loop, &async);
    run_models(h);
    ev_async_stop(h->loop, &async);
    assert_true(noise.turns > 100);
    assert_true(noise.most <= h->b->policy->limits.ops_per_turn);
    if (noise.longest > longest)
        fail_msg("the loop's rest has waited for %u us", (unsigned)(noise.longest / US));
}

/* The control socket, xenstore, a timer: each has its turn after a slice, whoever is polled. */
static void the_rest_of_the_loop_waits_for_one_slice_at_most(void **state)
{
    struct hostile *h = *state;
    uint64_t slice = SLICE_NS + 4 * CLOCK_NS + round_ns;

    h->b->policy->limits.ops_per_turn = 4;
    model(h, h->dom, 1, 2000);
    with_noise(h, slice);
    model(h, h->dom, 60 * US, 2000); /* mostly waited for */
    models[0].wake = 500 * US;
    with_noise(h, slice);
    model(h, h->dom, 1, 2000);
    model(h, h->other, 1, 2000); /* two are no more than one */
    with_noise(h, slice + 2 * CLOCK_NS);
    assert_true(counted(h).polled_ops > 5000);
}

static void an_event_of_another_guest_waits_for_one_turn_at_most(void **state)
{
    struct hostile *h = *state;
    unsigned budget = h->b->policy->limits.ops_per_turn = 4;
    struct model *flood = model(h, h->dom, 1, 100000), *other = model(h, h->other, 3 * MS, 200);

    while (busy(other))
        ev_run(h->loop, EVRUN_ONCE);
    assert_true(flood->left > 0);
    assert_true(other->most > 0);
    assert_true(other->most <= budget);
    assert_int_equal(pb_guest_find(h->b, OTHER)->counters.polled_ops, 0);
    assert_true(counted(h).polled_ops > flood->answers / 2);
    flood->left = 0;
    run_models(h);
}

/* On a machine on which all is slow, so that it is not the rounds that take the time. */
static void a_slice_is_as_long_as_four_rounds_in_which_nothing_else_is_ready(void **state)
{
    static const uint64_t us[][2] = { { 1, 50 }, { 20, 112 }, { 120, 400 } };
    struct hostile *h = *state;

    for (unsigned i = 0; i < PB_ARRAY_SIZE(us); i++) {
        model(h, h->dom, 300 * US, 200);
        models[0].wake = 1500 * US;
        round_ns = us[i][0] * US;
        run_models(h);
        assert_int_equal(h->b->slice_ns, us[i][1] * US);
    }
    h->b->slice_ns = SLICE_NS;
    model(h, h->dom, 1, 2000);
    round_ns = 20 * US;
    with_noise(h, SLICE_NS + 4 * CLOCK_NS + round_ns);
    round_ns = 1 * US;
    assert_int_equal(h->b->slice_ns, SLICE_NS);
}

static void guests_in_a_burst_share_the_slice(void **state)
{
    struct hostile *h = *state;
    struct model *a = model(h, h->dom, 1, 2000), *b = model(h, h->other, 1, 2000);
    unsigned apart = 0;

    while (a->answers < 50 || b->answers < 50)
        ev_run(h->loop, EVRUN_ONCE);
    assert_true(a->left > 1500 && b->left > 1500);
    b->answers = a->answers;
    while (a->left > 100 && b->left > 100) {
        unsigned now;

        ev_run(h->loop, EVRUN_ONCE);
        now = (unsigned)abs((int)(a->answers - b->answers));
        apart = now > apart ? now : apart;
    }
    assert_true(apart <= h->b->policy->limits.ops_per_turn);
    run_models(h);
}

/* --- bounded --- */

static void where_the_guest_runs_only_when_we_sleep_polling_ends(void **state)
{
    struct hostile *h = *state;

    model(h, h->dom, 3 * US, 10000)->alone = true;
    run_models(h);
    assert_int_equal(counted(h).ops, 10000);
    assert_int_equal(counted(h).polled_ops, 0);
    assert_true(counted(h).missed_polls > 3);
    assert_true(counted(h).missed_polls < 40);
    print_message("one processor: %u windows in 10,000 operations, %u us\n",
                  (unsigned)counted(h).missed_polls, (unsigned)counted(h).poll_us);
}

static void without_credit_a_guest_waits_for_its_events(void **state)
{
    struct hostile *h = *state;
    struct model *m = model(h, h->dom, 300 * US, 100000);
    uint64_t polled;

    m->wake = 1500 * US; /* it has us believe that events are slow */
    while (m->answers < 20)
        ev_run(h->loop, EVRUN_ONCE);
    assert_true(guest(h)->poll.on);
    guest(h)->poll.credit_ns = 1;
    while (guest(h)->poll.on)
        ev_run(h->loop, EVRUN_ONCE);
    polled = counted(h).polled_ops;
    for (unsigned ops = m->answers + 50; m->answers < ops;)
        ev_run(h->loop, EVRUN_ONCE);
    assert_int_equal(counted(h).polled_ops, polled);
    while (m->answers < 1000 && !guest(h)->poll.on) /* it comes back with time */
        ev_run(h->loop, EVRUN_ONCE);
    assert_true(guest(h)->poll.on);
    m->left = 0;
    run_models(h);
}

#define ON(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(an_idle_guest_costs_no_poll_and_no_round),
        ON(nor_does_one_that_asks_now_and_then),
        ON(a_burst_is_polled),
        ON(no_ceiling_no_polling),
        ON(a_new_ceiling_is_in_force_at_once),
        ON(H15_a_burst_leaves_one_empty_event_which_is_forgiven),
        ON(H15_a_request_between_the_last_look_and_the_unmask_is_served),
        ON(H15_a_guest_that_ends_while_it_is_polled_is_not_looked_at_again),
        ON(an_operation_that_waits_ends_the_poll),
        ON(the_rest_of_the_loop_waits_for_one_slice_at_most),
        ON(an_event_of_another_guest_waits_for_one_turn_at_most),
        ON(a_slice_is_as_long_as_four_rounds_in_which_nothing_else_is_ready),
        ON(guests_in_a_burst_share_the_slice),
        ON(where_the_guest_runs_only_when_we_sleep_polling_ends),
        ON(without_credit_a_guest_waits_for_its_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
