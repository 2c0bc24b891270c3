/* SPDX-License-Identifier: MIT */
#include "xen/real_store.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <ev.h>

#include "base/log.h"
#include "fake_xs.h"

/* Far more than anything takes here: only a hang reaches it. */
#define PATIENCE_MS 20000u

static const struct pb_real_store_times quick = {
    .liveness_ms = 10,
    .backoff_min_ms = 5,
    .backoff_max_ms = 20,
    .request_ms = PATIENCE_MS,
    .close_ms = PATIENCE_MS,
};

struct rig {
    struct ev_loop *loop;
    struct fake_xs *xs;
    struct pb_real_xs calls;
    struct pb_xen_events events;
    struct pb_real_store *store;
    unsigned lost, back, done;
    int rc;
    unsigned failed;
    char value[64];
};

static void on_connected(void *ctx, bool connected)
{
    struct rig *r = ctx;

    if (connected)
        r->back++;
    else
        r->lost++;
}

static void new_rig(struct rig *r)
{
    memset(r, 0, sizeof(*r));
    r->loop = ev_loop_new(EVFLAG_AUTO);
    assert_non_null(r->loop);
    r->xs = fake_xs_new(&r->calls);
}

static void open_new_rig(struct rig *r, const struct pb_real_store_times *times)
{
    r->events = (struct pb_xen_events){ .store_connected = on_connected, .ctx = r };
    assert_int_equal(pb_real_store_open(r->loop, &r->calls, times, &r->events, &r->store), 0);
}

static void open_rig(struct rig *r, const struct pb_real_store_times *times)
{
    new_rig(r);
    open_new_rig(r, times);
}

static void close_rig(struct rig *r)
{
    pb_real_store_close(r->store);
    fake_xs_free(r->xs);
    ev_loop_destroy(r->loop);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)timer;
    (void)revents;
}

/* Turns the loop for MS. */
static void turn_for(struct rig *r, unsigned ms)
{
    uint64_t until = pb_now_ms() + ms;
    ev_timer tick;

    ev_timer_init(&tick, on_tick, 0.001, 0.001);
    ev_timer_start(r->loop, &tick);
    while (pb_now_ms() < until)
        ev_run(r->loop, EVRUN_ONCE);
    ev_timer_stop(r->loop, &tick);
}

#define TURN_UNTIL(r, cond)                               \
    do {                                                  \
        uint64_t turn_until_ = pb_now_ms() + PATIENCE_MS; \
        while (!(cond)) {                                 \
            assert_true(pb_now_ms() < turn_until_);       \
            turn_for((r), 1);                             \
        }                                                 \
    } while (0)

static void on_done(struct pb_store_req *req, void *ctx)
{
    struct rig *r = ctx;
    const char *value = pb_store_value(req, 0);

    r->done++;
    r->rc = req->rc;
    r->failed = req->failed;
    (void)snprintf(r->value, sizeof(r->value), "%s", value ? value : "(none)");
}

static struct pb_store_req *request(struct rig *r, bool transaction)
{
    struct pb_store_req *req = pb_store_req_new(transaction, on_done, r);

    assert_non_null(req);
    return req;
}

static int run(struct rig *r, struct pb_store_req *req)
{
    unsigned before = r->done;

    pb_real_store_submit(r->store, req);
    assert_int_equal(r->done, before); /* never inside of submit */
    TURN_UNTIL(r, r->done > before);
    return r->rc;
}

static void assert_stored(struct rig *r, const char *path, const char *expected)
{
    char *value = fake_xs_get(r->xs, path);

    if (expected) {
        assert_non_null(value);
        assert_string_equal(value, expected);
    } else {
        assert_null(value);
    }
    free(value);
}

struct probe {
    struct pb_watch watch;
    struct rig *rig;
    unsigned fired;
    bool remove_itself;
    struct probe *also_remove;
};

static void on_fired(struct pb_watch *watch)
{
    struct probe *p = (struct probe *)watch; /* the first member */

    p->fired++;
    if (p->also_remove)
        pb_real_store_watch_remove(p->rig->store, &p->also_remove->watch);
    p->also_remove = NULL;
    if (p->remove_itself)
        pb_real_store_watch_remove(p->rig->store, watch);
}

static void add_probe(struct rig *r, struct probe *p, const char *path)
{
    memset(p, 0, sizeof(*p));
    p->rig = r;
    p->watch.fired = on_fired;
    (void)snprintf(p->watch.path, sizeof(p->watch.path), "%s", path);
    pb_real_store_watch_add(r->store, &p->watch);
}

static void every_verb(void **state)
{
    struct rig r;
    struct pb_store_req *req;

    (void)state;
    open_rig(&r, &quick);
    req = request(&r, true);
    (void)pb_store_read(req, "/a");
    (void)pb_store_write(req, "1", "/a");
    (void)pb_store_write_number(req, 42, "/dir/n");
    (void)pb_store_mkdir(req, "/empty");
    (void)pb_store_perms(req, 7, true, "/a");
    (void)pb_store_expect(req, "1", "/a");
    (void)pb_store_expect(req, NULL, "/b");
    (void)pb_store_remove(req, "/gone");
    (void)pb_store_list(req, "/gone");
    assert_int_equal(run(&r, req), 0);
    assert_string_equal(r.value, "(none)");
    assert_stored(&r, "/a", "1");
    assert_stored(&r, "/dir/n", "42");
    assert_stored(&r, "perms:/a", "7 1");

    req = request(&r, false);
    (void)pb_store_read(req, "/dir/n");
    (void)pb_store_prune(req, "/dir"); /* not empty */
    (void)pb_store_prune(req, "/empty");
    (void)pb_store_prune(req, "/gone");
    (void)pb_store_remove(req, "/a");
    assert_int_equal(run(&r, req), 0);
    assert_string_equal(r.value, "42");
    assert_stored(&r, "/dir/n", "42");
    assert_stored(&r, "/empty", NULL);
    assert_stored(&r, "/a", NULL);

    req = request(&r, false);
    (void)pb_store_read(req, "bad path");
    (void)pb_store_write(req, "x", "/not/reached");
    assert_int_equal(run(&r, req), -EINVAL);
    assert_int_equal(r.failed, 0);
    assert_stored(&r, "/not/reached", NULL);
    assert_int_equal(run(&r, request(&r, false)), 0);
    assert_int_equal(r.lost, 0);
    close_rig(&r);
}

static void on_lists(struct pb_store_req *req, void *ctx)
{
    struct rig *r = ctx;

    assert_int_equal(req->step[0].rc, 0);
    assert_int_equal(req->step[0].name_count, 2);
    assert_string_equal(req->step[0].names[0], "x");
    assert_string_equal(req->step[0].names[1], "y");
    assert_int_equal(req->step[1].rc, -ENOENT);
    assert_null(req->step[1].names);
    assert_int_equal(req->step[2].rc, 0);
    assert_int_equal(req->step[2].length, PB_STORE_VALUE_MAX);
    assert_int_equal(req->step[3].rc, -E2BIG);
    assert_null(req->step[3].value);
    assert_int_equal(req->step[4].rc, -EINVAL);
    assert_null(req->step[4].value);
    r->done++;
}

/* H20, XSA-349: what a guest may have written. */
static void hostile_values_are_refused(void **state)
{
    struct rig r;
    struct pb_store_req *req;
    char big[PB_STORE_VALUE_MAX + 1];

    (void)state;
    open_rig(&r, &quick);
    memset(big, 'x', sizeof(big));
    fake_xs_set(r.xs, "/d/x", "1", 1);
    fake_xs_set(r.xs, "/d/y", "2", 1);
    fake_xs_set(r.xs, "/max", big, sizeof(big) - 1);
    fake_xs_set(r.xs, "/big", big, sizeof(big));
    fake_xs_set(r.xs, "/nul",
                "4\0"
                "5",
                3);
    req = pb_store_req_new(false, on_lists, &r);
    (void)pb_store_list(req, "/d");
    (void)pb_store_list(req, "/none");
    (void)pb_store_read(req, "/max");
    (void)pb_store_read(req, "/big");
    (void)pb_store_read(req, "/nul");
    pb_real_store_submit(r.store, req);
    TURN_UNTIL(&r, r.done == 1);
    req = request(&r, false);
    (void)pb_store_expect(req, "4", "/nul");
    assert_int_equal(run(&r, req), -ECANCELED);
    close_rig(&r);
}

static void a_failed_expectation_writes_nothing(void **state)
{
    struct rig r;
    struct pb_store_req *req;

    (void)state;
    open_rig(&r, &quick);
    fake_xs_set(r.xs, "/state", "4", 1);
    req = request(&r, true);
    (void)pb_store_write(req, "x", "/other");
    (void)pb_store_expect(req, "3", "/state");
    (void)pb_store_write(req, "x", "/more");
    assert_int_equal(run(&r, req), -ECANCELED);
    assert_int_equal(r.failed, 1);
    assert_stored(&r, "/other", NULL);
    assert_stored(&r, "/more", NULL);
    req = request(&r, true);
    (void)pb_store_expect(req, NULL, "/state");
    assert_int_equal(run(&r, req), -ECANCELED);
    req = request(&r, true);
    (void)pb_store_expect(req, "4", "/absent");
    assert_int_equal(run(&r, req), -ECANCELED);
    close_rig(&r);
}

static void conflicts_are_tried_again_with_a_limit(void **state)
{
    struct rig r;
    struct pb_store_req *req;

    (void)state;
    open_rig(&r, &quick);
    fake_xs_set(r.xs, "/a", "old", 3);
    fake_xs_conflict(r.xs, PB_REAL_STORE_TRIES - 1);
    req = request(&r, true);
    (void)pb_store_read(req, "/a");
    (void)pb_store_write(req, "new", "/a");
    assert_int_equal(run(&r, req), 0);
    assert_string_equal(r.value, "old");
    assert_stored(&r, "/a", "new");
    assert_int_equal(fake_xs_commits(r.xs), PB_REAL_STORE_TRIES);

    fake_xs_conflict(r.xs, PB_REAL_STORE_TRIES);
    req = request(&r, true);
    (void)pb_store_write(req, "newer", "/a");
    assert_int_equal(run(&r, req), -EAGAIN);
    assert_stored(&r, "/a", "new");

    fake_xs_conflict(r.xs, 3); /* PRUNE's own transaction */
    req = request(&r, false);
    (void)pb_store_mkdir(req, "/dir");
    (void)pb_store_prune(req, "/dir");
    assert_int_equal(run(&r, req), 0);
    assert_stored(&r, "/dir", NULL);
    close_rig(&r);
}

static void events_of_a_watch_are_one_callback(void **state)
{
    struct rig r;
    struct probe a, b;
    unsigned before;

    (void)state;
    open_rig(&r, &quick);
    add_probe(&r, &a, "/a");
    add_probe(&r, &b, "/b");
    TURN_UNTIL(&r, a.fired && b.fired);
    turn_for(&r, 30);
    before = a.fired;
    fake_xs_set(r.xs, "/a/x", "1", 1);
    TURN_UNTIL(&r, a.fired > before);
    assert_int_equal(a.fired, before + 1);

    /* The loop does not turn: however many events there are, each watch has one mark. */
    a.fired = b.fired = 0;
    fake_xs_storm(r.xs, 1000000);
    while (fake_xs_storm_left(r.xs))
        (void)usleep(1000);
    turn_for(&r, 30);
    /* Twice when the last event was still in the thread's hands as the loop began to turn. */
    assert_in_range(a.fired, 1, 2);
    assert_in_range(b.fired, 1, 2);

    /* A storm starves no request. */
    fake_xs_storm(r.xs, UINT_MAX);
    for (unsigned i = 0; i < 50; i++) {
        struct pb_store_req *req = request(&r, false);

        (void)pb_store_write(req, "1", "/during");
        pb_real_store_submit(r.store, req);
    }
    TURN_UNTIL(&r, r.done == 50);
    assert_true(fake_xs_storm_left(r.xs) > 0);
    close_rig(&r);
}

static void nothing_comes_after_a_removal(void **state)
{
    struct rig r;
    struct probe *p[3];

    (void)state;
    open_rig(&r, &quick);
    for (unsigned i = 0; i < 3; i++) {
        p[i] = malloc(sizeof(*p[i]));
        assert_non_null(p[i]);
        add_probe(&r, p[i], "/p");
    }
    /* Whichever comes first removes the other: both may be due in this same turn. */
    p[0]->also_remove = p[1];
    p[1]->also_remove = p[0];
    TURN_UNTIL(&r, p[2]->fired && (p[0]->fired || p[1]->fired));
    TURN_UNTIL(&r, fake_xs_watches(r.xs) == 2);
    fake_xs_set(r.xs, "/p/x", "1", 1);
    turn_for(&r, 30);
    assert_true(!p[0]->fired || !p[1]->fired);

    p[2]->remove_itself = true;
    fake_xs_set(r.xs, "/p/x", "2", 1);
    TURN_UNTIL(&r, fake_xs_watches(r.xs) == 1);
    /* Freed memory is not touched, also for events on their way, nor when removed before added. */
    for (unsigned i = 0; i < 100; i++) {
        struct probe *q = malloc(sizeof(*q));

        assert_non_null(q);
        add_probe(&r, q, "/p");
        if (i % 3)
            turn_for(&r, i % 3);
        fake_xs_set(r.xs, "/p/y", "1", 1);
        pb_real_store_watch_remove(r.store, &q->watch);
        free(q);
    }
    TURN_UNTIL(&r, fake_xs_watches(r.xs) == 1);
    for (unsigned i = 0; i < 3; i++) {
        pb_real_store_watch_remove(r.store, &p[i]->watch); /* twice for some: harmless */
        free(p[i]);
    }
    TURN_UNTIL(&r, fake_xs_watches(r.xs) == 0);
    close_rig(&r);
}

static void death_and_return(void **state)
{
    struct rig r;
    struct probe p[20], removed;
    struct pb_store_req *req;
    char path[32];

    (void)state;
    open_rig(&r, &quick);
    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(path, sizeof(path), "/w/%u", i);
        add_probe(&r, &p[i], path);
    }
    add_probe(&r, &removed, "/r");
    TURN_UNTIL(&r, fake_xs_watches(r.xs) == 21 && p[19].fired && removed.fired);
    turn_for(&r, 20);

    fake_xs_die(r.xs); /* noticed by the liveness poll alone */
    TURN_UNTIL(&r, r.lost == 1);
    assert_int_equal(r.back, 0);
    pb_real_store_watch_remove(r.store, &removed.watch);
    removed.fired = 0;
    for (unsigned i = 0; i < 20; i++)
        p[i].fired = 0;
    req = request(&r, true);
    (void)pb_store_write(req, "1", "/during");
    pb_real_store_submit(r.store, req);
    turn_for(&r, 60);
    assert_int_equal(r.done, 0);
    assert_true(fake_xs_opens(r.xs) > 2);

    fake_xs_return(r.xs);
    TURN_UNTIL(&r, r.done == 1 && r.back == 1);
    assert_int_equal(r.rc, 0);
    assert_stored(&r, "/during", "1");
    for (unsigned i = 0; i < 20; i++)
        TURN_UNTIL(&r, p[i].fired);
    assert_int_equal(fake_xs_watches(r.xs), 20);
    assert_int_equal(removed.fired, 0);
    assert_int_equal(r.lost, 1);
    close_rig(&r);
}

static void assert_idle(struct rig *r)
{
    unsigned looks;

    turn_for(r, 30);
    looks = fake_xs_looks(r->xs);
    turn_for(r, 50);
    assert_int_equal(fake_xs_looks(r->xs), looks);
}

/* No timer wakes the thread of a host on which nothing happens. */
static void idle_costs_no_wakeups_and_a_death_is_heard(void **state)
{
    struct pb_real_store_times times = quick;
    struct rig r;

    (void)state;
    times.liveness_ms = 10 * PATIENCE_MS;
    new_rig(&r);
    fake_xs_tell_end(r.xs);
    open_new_rig(&r, &times);
    assert_idle(&r);
    for (unsigned i = 1; i <= 3; i++) {
        fake_xs_die(r.xs);
        TURN_UNTIL(&r, r.lost == i);
        fake_xs_return(r.xs);
        TURN_UNTIL(&r, r.back == i);
        assert_idle(&r);
    }
    close_rig(&r);
}

/* What only looked like the end leaves asking now and then, which finds the real one. */
static void a_hang_up_without_a_death_is_followed_by_asking(void **state)
{
    struct rig r;
    unsigned looks;

    (void)state;
    new_rig(&r);
    fake_xs_tell_end(r.xs);
    open_new_rig(&r, &quick);
    assert_idle(&r);
    looks = fake_xs_looks(r.xs);
    fake_xs_hang_up(r.xs);
    TURN_UNTIL(&r, fake_xs_looks(r.xs) > looks + 3);
    assert_int_equal(r.lost, 0);
    fake_xs_die(r.xs);
    TURN_UNTIL(&r, r.lost == 1);
    close_rig(&r);
}

/* EINVAL is what libxenstore gives to a call that was waiting when xenstored died. */
static void a_request_in_flight_is_done_again(void **state)
{
    static const int errors[] = { -EPIPE, -EINVAL };
    struct rig r;

    (void)state;
    open_rig(&r, &quick);
    for (unsigned i = 0; i < 2; i++) {
        struct pb_store_req *req = request(&r, true);

        fake_xs_set(r.xs, "/first", "old", 3);
        (void)pb_store_read(req, "/first");
        (void)pb_store_write(req, "new", "/first");
        (void)pb_store_write(req, "new", "/second");
        fake_xs_break_at_write(r.xs, 2, errors[i]);
        assert_int_equal(run(&r, req), 0);
        assert_string_equal(r.value, "old"); /* the first attempt left nothing */
        assert_stored(&r, "/second", "new");
        TURN_UNTIL(&r, r.lost == i + 1 && r.back == i + 1);
    }
    close_rig(&r);
}

static void requests_do_not_wait_for_ever(void **state)
{
    struct pb_real_store_times times = quick;
    struct pb_store_req *req;
    struct rig r;

    (void)state;
    times.request_ms = 50;
    open_rig(&r, &times);
    fake_xs_die(r.xs);
    req = request(&r, false);
    (void)pb_store_read(req, "/a");
    assert_int_equal(run(&r, req), -ETIMEDOUT);
    assert_int_equal(r.failed, 1);
    TURN_UNTIL(&r, r.lost == 1);

    fake_xs_return(r.xs);
    TURN_UNTIL(&r, r.back == 1);
    fake_xs_hang(r.xs, true); /* not dead: the call of the first waits, and the second behind it */
    r.done = 0;
    for (unsigned i = 0; i < 2; i++) {
        req = request(&r, false);
        (void)pb_store_write(req, "1", "/late");
        pb_real_store_submit(r.store, req);
    }
    TURN_UNTIL(&r, r.done >= 1 && r.rc == -ETIMEDOUT);
    fake_xs_hang(r.xs, false);
    TURN_UNTIL(&r, r.done == 2);
    close_rig(&r);
}

static void what_cannot_be_done_is_said(void **state)
{
    char path[2 * PB_STORE_PATH_MAX];
    struct pb_store_req *req;
    struct probe p;
    struct rig r;

    (void)state;
    open_rig(&r, &quick);
    memset(path, 'x', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    req = request(&r, false);
    (void)pb_store_write(req, "1", "/first");
    (void)pb_store_write(req, "1", "/%s", path);
    assert_int_equal(run(&r, req), -ENOMEM);
    assert_stored(&r, "/first", NULL);

    /* Nobody waits: a line on stderr is all that happens. */
    req = pb_store_req_new(false, NULL, NULL);
    (void)pb_store_expect(req, "1", "/nobody/waits");
    pb_real_store_submit(r.store, req);
    fake_xs_refuse_watches(r.xs, true);
    add_probe(&r, &p, "/refused"); /* fires once all the same, so that its owner reads */
    TURN_UNTIL(&r, p.fired == 1);
    assert_int_equal(r.lost, 0);
    pb_real_store_watch_remove(r.store, &p.watch);
    close_rig(&r);
}

static void closes_in_any_state(void **state)
{
    struct pb_real_store *store;
    struct probe p;
    struct rig r;

    (void)state;
    for (unsigned i = 0; i < 40; i++) {
        open_rig(&r, &quick);
        if (i % 4 == 1)
            fake_xs_die(r.xs);
        add_probe(&r, &p, "/p");
        for (unsigned n = 0; n < 10; n++) {
            struct pb_store_req *req = request(&r, n & 1);

            (void)pb_store_write(req, "1", "/n");
            pb_real_store_submit(r.store, req);
        }
        if (i % 4 >= 2)
            turn_for(&r, i % 4);
        close_rig(&r);
    }

    r.loop = ev_loop_new(EVFLAG_AUTO);
    r.xs = fake_xs_new(&r.calls);
    fake_xs_die(r.xs);
    assert_int_equal(pb_real_store_open(r.loop, &r.calls, &quick, &r.events, &store),
                     -ECONNREFUSED);
    fake_xs_free(r.xs);
    ev_loop_destroy(r.loop);
}

/* As at SIGTERM while xenstored is stopped. The thread keeps what it uses, until the process ends.
 */
static void does_not_wait_for_a_hanging_xenstored(void **state)
{
    static struct rig r;
    struct pb_real_store_times times = quick;
    uint64_t start;

    (void)state;
    times.close_ms = 20;
    open_rig(&r, &times);
    fake_xs_hang(r.xs, true);
    turn_for(&r, 30);
    start = pb_now_ms();
    pb_real_store_close(r.store);
    assert_true(pb_now_ms() - start < PATIENCE_MS);
    ev_loop_destroy(r.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verb),
        cmocka_unit_test(hostile_values_are_refused),
        cmocka_unit_test(a_failed_expectation_writes_nothing),
        cmocka_unit_test(conflicts_are_tried_again_with_a_limit),
        cmocka_unit_test(events_of_a_watch_are_one_callback),
        cmocka_unit_test(nothing_comes_after_a_removal),
        cmocka_unit_test(death_and_return),
        cmocka_unit_test(idle_costs_no_wakeups_and_a_death_is_heard),
        cmocka_unit_test(a_hang_up_without_a_death_is_followed_by_asking),
        cmocka_unit_test(a_request_in_flight_is_done_again),
        cmocka_unit_test(requests_do_not_wait_for_ever),
        cmocka_unit_test(what_cannot_be_done_is_said),
        cmocka_unit_test(closes_in_any_state),
        cmocka_unit_test(does_not_wait_for_a_hanging_xenstored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
