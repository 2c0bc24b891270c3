/* SPDX-License-Identifier: MIT */
/* What a reload does in turns of the loop, and what may happen between two of them. */
#include "reload_fixture.h"

#include <ev.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* Of so many devices more, and one turn that is none of them's. */
#define TURNS 10

/* Into the turns of a reload that CLIENT has asked for. */
static void into_the_turns(struct fixture *f, unsigned client)
{
    uint64_t end = pb_now_ms() + 20000;

    fake_backend_lengthen_reload(f->verbs.backend, (TURNS - 1) * PB_RELOAD_STEP);
    post(f, client, "reload", "{}");
    while (fake_backend_calls(f->verbs.backend)->steps == 0 && pb_now_ms() < end)
        ev_run(f->loop, EVRUN_NOWAIT);
    assert_int_equal(fake_backend_calls(f->verbs.backend)->steps, 1);
}

static void a_turn_prepares_so_many_devices_and_others_are_served_between(void **state)
{
    struct fixture *f = *state;
    const json_t *last;

    needs_root();
    write_quirk(f, "q/50-a.json", "test-a");
    into_the_turns(f, 1);
    for (unsigned i = 2; i <= 4; i++) {
        ev_run(f->loop, EVRUN_NOWAIT);
        assert_int_equal(fake_backend_calls(f->verbs.backend)->steps, i);
    }
    assert_int_equal(number(ask(f, "stats", "{}"), "generation"), 1);
    assert_true(fake_backend_calls(f->verbs.backend)->steps < TURNS);
    assert_false(answered(&f->client[1]));
    assert_int_equal(number(result_to(f, 1), "generation"), 2);
    assert_int_equal(fake_backend_calls(f->verbs.backend)->steps, TURNS);
    last = json_object_get(ask(f, "stats", "{}"), "last_reload");
    assert_int_equal(number(last, "turns"), TURNS);
    assert_true(number(last, "longest_turn_us") >= 0);
}

static void on_alarm(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    *(bool *)timer->data = true;
}

/* Else it would go round thousands of times. */
static void the_loop_sleeps_again_when_a_reload_is_done(void **state)
{
    struct fixture *f = *state;
    unsigned rounds = 0;
    bool rang = false;
    ev_timer alarm;

    needs_root();
    into_the_turns(f, 0);
    result_to(f, 0);
    ev_timer_init(&alarm, on_alarm, 0.2, 0.);
    alarm.data = &rang;
    ev_timer_start(f->loop, &alarm);
    for (; !rang; rounds++)
        ev_run(f->loop, EVRUN_ONCE);
    assert_true(rounds < 50);
}

static void who_asks_during_the_turns_gets_a_reading_of_his_own(void **state)
{
    struct fixture *f = *state;

    needs_root();
    into_the_turns(f, 1);
    write_quirk(f, "q/50-a.json", "test-a");
    post(f, 2, "reload", "{}");
    assert_int_equal(number(result_to(f, 1), "quirks"), 0);
    assert_int_equal(number(result_to(f, 2), "quirks"), 1);
    assert_int_equal(readings, 2);
    assert_int_equal(pb_backend_generation(f->verbs.backend), 3);
}

static void a_storm_of_hangups_during_the_turns_is_one_reading_more(void **state)
{
    struct fixture *f = *state;
    uint64_t end = pb_now_ms() + 20000;

    needs_root();
    into_the_turns(f, 1);
    write_quirk(f, "q/50-a.json", "test-a");
    for (unsigned i = 0; i < 1000; i++)
        pb_reloader_hangup(f->verbs.reloader);
    result_to(f, 1);
    while (pb_backend_generation(f->verbs.backend) < 3 && pb_now_ms() < end)
        ev_run(f->loop, EVRUN_NOWAIT);
    for (unsigned i = 0; i < 5; i++)
        ev_run(f->loop, EVRUN_NOWAIT);
    assert_int_equal(pb_backend_generation(f->verbs.backend), 3);
    assert_int_equal(readings, 2);
    assert_int_equal(pb_quirk_set_count(pb_backend_quirks(f->verbs.backend)), 1);
}

static void one_that_fails_in_the_last_turn_keeps_the_old_generation(void **state)
{
    struct fixture *f = *state;

    needs_root();
    write_config(f, ", \"devices\": [ { \"bdf\": \"03:00.0\", \"name\": \"" FAKE_UNFIT "\" } ]");
    fake_backend_lengthen_reload(f->verbs.backend, (TURNS - 1) * PB_RELOAD_STEP);
    assert_non_null(strstr(text_of(refused(f, "{}"), "reason"), "a quirk does not fit"));
    assert_int_equal(fake_backend_calls(f->verbs.backend)->steps, TURNS);
}

static void a_client_that_vanishes_during_the_turns_does_not_stop_its_reload(void **state)
{
    struct fixture *f = *state;
    uint64_t end = pb_now_ms() + 20000;

    needs_root();
    into_the_turns(f, 1);
    close(f->client[1].fd);
    while (pb_backend_generation(f->verbs.backend) < 2 && pb_now_ms() < end)
        ev_run(f->loop, EVRUN_NOWAIT);
    assert_int_equal(pb_backend_generation(f->verbs.backend), 2);
    connect_client(f, &f->client[1]);
}

static void end_of_the_daemon_during_the_turns_answers_those_who_wait(void **state)
{
    struct fixture *f = *state;

    needs_root();
    into_the_turns(f, 1);
    post(f, 2, "reload", "{}");
    ev_run(f->loop, EVRUN_NOWAIT);
    ev_run(f->loop, EVRUN_NOWAIT);
    pb_reloader_free(f->verbs.reloader);
    f->verbs.reloader = NULL;
    for (unsigned i = 1; i <= 2; i++)
        assert_non_null(strstr(
            text_of(json_object_get(json_object_get(reply_to(f, i), "error"), "data"), "reason"),
            "stops"));
    assert_int_equal(pb_backend_generation(f->verbs.backend), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reload_setup, reload_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_turn_prepares_so_many_devices_and_others_are_served_between),
        TEST(the_loop_sleeps_again_when_a_reload_is_done),
        TEST(who_asks_during_the_turns_gets_a_reading_of_his_own),
        TEST(a_storm_of_hangups_during_the_turns_is_one_reading_more),
        TEST(one_that_fails_in_the_last_turn_keeps_the_old_generation),
        TEST(a_client_that_vanishes_during_the_turns_does_not_stop_its_reload),
        TEST(end_of_the_daemon_during_the_turns_answers_those_who_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
