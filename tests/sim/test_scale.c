/* SPDX-License-Identifier: MIT */
/*
 * What a guest costs does not depend on how many others there are: everything is counted, nothing
 * is timed (bench_scale has the times).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ev.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "daemon/config.h"
#include "daemon/control.h"
#include "daemon/reload.h"
#include "daemon/verbs.h"
#include "daemon/walk.h"
#include "fleet.h"

#define FEW 10u
#ifndef MANY
#define MANY 1000u
#endif

#define STEPPED 8u
#define STRIDE  7919u

/* --- one access --- */

static void access_all(struct fleet *f)
{
    for (unsigned i = 0; i < STEPPED; i++) {
        if (!fleet_access(f, i * STRIDE % f->count))
            _exit(1);
    }
}

static void connect_all(struct fleet *f)
{
    fleet_claim(f, 0, f->count);
    fleet_attach(f, 0, f->count);
}

static uint64_t steps_with(unsigned guests)
{
    struct fleet *f = fleet_open(guests);
    uint64_t steps;

    connect_all(f);
    fleet_quiet(f);
    assert_true(fleet_access(f, guests - 1));
    steps = fleet_steps(access_all, f);
    fleet_close(f);
    return steps;
}

static void an_access_takes_as_many_instructions_whoever_else_is_there(void **state)
{
    uint64_t few = steps_with(FEW), many = steps_with(MANY);

    (void)state;
    print_message("%u accesses: %llu instructions with %u guests, %llu with %u\n", STEPPED,
                  (unsigned long long)few, FEW, (unsigned long long)many, MANY);
    assert_true(few > UINT64_C(100) * STEPPED); /* something was counted */
    assert_in_range(many, few * 8 / 10, few * 12 / 10);
}

/* --- coming and going --- */

struct calls {
    uint64_t claim, attach, detach;
};

/* Of one guest more. */
static struct calls calls_with(unsigned guests)
{
    struct fleet *f = fleet_open(guests + 1);
    struct calls calls;
    uint64_t before;

    fleet_claim(f, 0, guests);
    fleet_attach(f, 0, guests);
    before = fleet_calls(f);
    fleet_claim(f, guests, 1);
    calls.claim = fleet_calls(f) - before;
    before = fleet_calls(f);
    fleet_attach(f, guests, 1);
    calls.attach = fleet_calls(f) - before;
    before = fleet_calls(f);
    fleet_detach(f, guests, 1);
    calls.detach = fleet_calls(f) - before;
    fleet_close(f);
    return calls;
}

static void to_attach_and_detach_asks_the_host_nothing_about_other_guests(void **state)
{
    struct calls few = calls_with(FEW), many = calls_with(MANY);

    (void)state;
    print_message("calls: claim %llu, attach %llu, detach %llu\n", (unsigned long long)many.claim,
                  (unsigned long long)many.attach, (unsigned long long)many.detach);
    assert_true(few.claim > 5 && few.attach > 20 && few.detach > 20);
    assert_int_equal(few.claim, many.claim);
    assert_int_equal(few.attach, many.attach);
    assert_int_equal(few.detach, many.detach);
}

static uint64_t calls_to_assign(unsigned guests)
{
    struct fleet *f = fleet_open(guests);
    uint64_t before = fleet_calls(f);

    fleet_assign(f);
    assert_int_equal(f->b->guest_count, guests);
    before = fleet_calls(f) - before;
    fleet_close(f);
    return before / guests;
}

static void assignments_of_a_thousand_guests_ask_for_each_once(void **state)
{
    uint64_t few = calls_to_assign(FEW), many = calls_to_assign(MANY);

    (void)state;
    print_message("calls: %llu for each assignment\n", (unsigned long long)many);
    assert_true(few > 20);
    assert_in_range(many, few * 9 / 10, few + 1);
}

/* --- a restart --- */

static uint64_t calls_to_adopt(unsigned guests)
{
    struct fleet *f = fleet_open(guests);
    uint64_t before;

    connect_all(f);
    before = fleet_calls(f);
    fleet_restart(f);
    fleet_settle(f);
    before = fleet_calls(f) - before;
    assert_int_equal(f->b->guest_count, guests);
    fleet_quiet(f);
    for (unsigned n = 0; n < guests; n++)
        assert_true(fleet_access(f, n));
    fleet_close(f);
    return before / guests;
}

static void a_restart_asks_for_each_guest_alone(void **state)
{
    uint64_t few = calls_to_adopt(FEW), many = calls_to_adopt(MANY);

    (void)state;
    print_message("calls: %llu to adopt one\n", (unsigned long long)many);
    assert_true(few > 5);
    assert_in_range(many, few * 8 / 10, few + 1);
}

/* --- what it takes to be idle --- */

static void an_idle_guest_takes_less_than_8_KiB(void **state)
{
    struct fleet *f = fleet_open(MANY);
    size_t before, after;

    (void)state;
    fleet_claim(f, 0, MANY);
    before = fleet_heap();
    fleet_attach(f, 0, MANY);
    after = fleet_heap();
    print_message("%zu bytes a guest\n", (after - before) / MANY);
#ifndef __SANITIZE_ADDRESS__ /* its allocator tells nothing */
    assert_in_range((after - before) / MANY, 1024, 8191);
#endif
    fleet_close(f);
}

static void tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    (*(unsigned *)timer->data)++;
}

static void idle_guests_do_not_wake_the_loop(void **state)
{
    struct fleet *f = fleet_open(MANY);
    unsigned ticks = 0, rounds;
    ev_timer timer;

    (void)state;
    connect_all(f);
    ev_timer_init(&timer, tick, 0.3, 0.);
    timer.data = &ticks;
    ev_now_update(f->loop);
    ev_timer_start(f->loop, &timer);
    rounds = ev_iteration(f->loop);
    while (ticks == 0)
        ev_run(f->loop, EVRUN_ONCE);
    rounds = ev_iteration(f->loop) - rounds;
    assert_in_range(rounds, 1, 2); /* the timer's own; it may fire a bit too early */
    fleet_close(f);
}

/* --- answers about all of them --- */

struct face {
    struct fleet *f;
    struct pb_verbs verbs;
    struct pb_control *control;
    char path[64];
    char *text; /* what was answered */
    size_t length, room;
    unsigned rounds;
    uint64_t longest_ns;
};

static int face_setup(void **state)
{
    struct face *face = calloc(1, sizeof(*face));
    struct pb_reloader_options reload = { 0 };
    struct pb_control_options options = { .group = "root", .message = pb_verbs_message };
    struct pb_config *config = calloc(1, sizeof(*config));
    char why[300];

    assert_non_null(face);
    assert_non_null(config);
    face->f = fleet_open(MANY);
    connect_all(face->f);
    face->verbs = (struct pb_verbs){ .backend = face->f->b, .limits = face->f->b->policy->limits };
    face->verbs.limits.control_answer_bytes = PB_LIMIT_MAX_control_answer_bytes;
    reload.loop = face->f->loop;
    reload.verbs = &face->verbs;
    face->verbs.reloader = pb_reloader_new(&reload, config);
    (void)snprintf(face->path, sizeof(face->path), "%s/control", face->f->dir);
    options.path = face->path;
    options.limits = &face->verbs.limits;
    options.ctx = &face->verbs;
    assert_int_equal(pb_control_open(face->f->loop, &options, &face->control, why, sizeof(why)), 0);
    face->verbs.control = face->control;
    face->room = PB_LIMIT_MAX_control_answer_bytes + 2U;
    face->text = malloc(face->room);
    assert_non_null(face->text);
    *state = face;
    return 0;
}

static int face_teardown(void **state)
{
    struct face *face = *state;

    pb_control_quiesce(face->control);
    pb_reloader_free(face->verbs.reloader);
    pb_control_close(face->control);
    fleet_close(face->f);
    free(face->text);
    free(face);
    return 0;
}

static int client(const struct face *face)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", face->path);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static int ask(struct face *face, const char *method)
{
    char request[120];
    int fd = client(face), length;

    length = snprintf(request, sizeof(request),
                      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\"}\n", method);
    assert_int_equal(send(fd, request, (size_t)length, 0), length);
    face->length = face->rounds = 0;
    face->longest_ns = 0;
    return fd;
}

static void one_round(struct face *face)
{
    uint64_t began = fleet_cpu_ns(), took;

    ev_run(face->f->loop, EVRUN_NOWAIT);
    took = fleet_cpu_ns() - began;
    if (took > face->longest_ns)
        face->longest_ns = took;
    face->rounds++;
}

/* Is the answer whole? */
static bool has_answer(struct face *face, int fd)
{
    ssize_t n = recv(fd, face->text + face->length, face->room - face->length, MSG_DONTWAIT);

    if (n > 0)
        face->length += (size_t)n;
    assert_true(n > 0 || (n < 0 && errno == EAGAIN));
    return face->length > 0 && face->text[face->length - 1] == '\n';
}

/* Its "result", a new reference. */
static json_t *result_of(const struct face *face)
{
    json_t *answer = json_loadb(face->text, face->length, 0, NULL);
    json_t *result = json_incref(json_object_get(answer, "result"));

    assert_non_null(result);
    json_decref(answer);
    return result;
}

/*
 * The rounds of the loop that it takes are as many as it needs when each does what a turn may: so
 * none does more.
 */
static void check_slices(struct face *face, const char *method, unsigned items)
{
    int fd;

    (void)malloc_trim(0); /* what this test has freed is not the answer's to tidy up */
    fd = ask(face, method);
    do
        one_round(face);
    while (!has_answer(face, fd));
    (void)close(fd);
    print_message("%s: %zu bytes, %u rounds, the longest %.2f ms\n", method, face->length,
                  face->rounds, (double)face->longest_ns / 1e6);
    assert_true(face->rounds >= items / (PB_WALK_STEP * PB_CONTROL_TURN_MESSAGES));
}

static size_t elements(const struct face *face, const char *name)
{
    json_t *result = result_of(face);
    size_t count = json_array_size(json_object_get(result, name));

    json_decref(result);
    return count;
}

static void answers_about_all_are_composed_some_at_a_time(void **state)
{
    struct face *face = *state;

    check_slices(face, "stats", 2 * MANY);
    assert_int_equal(elements(face, "devices"), MANY);
    assert_int_equal(elements(face, "guests"), MANY);
    check_slices(face, "list", MANY);
    assert_int_equal(elements(face, "devices"), MANY);
    check_slices(face, "guests", MANY);
    assert_int_equal(elements(face, "guests"), MANY);
}

static void a_client_that_vanishes_meanwhile_ends_its_answer(void **state)
{
    struct face *face = *state;
    int fd = ask(face, "stats");

    for (unsigned i = 0; i < 6; i++)
        one_round(face);
    assert_false(has_answer(face, fd));
    (void)close(fd);
    fleet_settle(face->f);
    for (unsigned i = 0; i < 6; i++)
        one_round(face);
    assert_int_equal(pb_control_use(face->control)->clients, 0);
    face->rounds = ev_pending_count(face->f->loop);
    assert_int_equal(face->rounds, 0);
    check_slices(face, "list", MANY);
}

/* What was told is in its order, each once; what is gone was told before or not at all. */
static void guests_that_end_meanwhile_do_not_disturb_it(void **state)
{
    struct face *face = *state;
    int fd = ask(face, "guests");
    json_int_t last = -1, domid;
    json_t *result, *guest;
    unsigned ended = 0;
    size_t i;

    do {
        one_round(face);
        if (ended < 5 && face->rounds > 2) { /* at the end, at the beginning, in the middle */
            static const unsigned which[] = { MANY - 1, 0, 40, MANY / 2, 41 };

            fleet_detach(face->f, which[ended++], 1);
        }
    } while (!has_answer(face, fd));
    (void)close(fd);
    result = result_of(face);
    json_array_foreach (json_object_get(result, "guests"), i, guest) {
        domid = json_integer_value(json_object_get(guest, "domid"));
        assert_true(domid > last);
        last = domid;
    }
    assert_in_range(json_array_size(json_object_get(result, "guests")), MANY - 5, MANY);
    json_decref(result);
    assert_int_equal(face->f->b->guest_count, MANY - ended);
}

static void a_reload_meanwhile_does_not_disturb_it(void **state)
{
    struct face *face = *state;
    int fd = ask(face, "list");
    size_t known;

    for (unsigned i = 0; i < 4; i++)
        one_round(face);
    assert_false(has_answer(face, fd));
    fleet_reload(face->f);
    while (!has_answer(face, fd))
        one_round(face);
    (void)close(fd);
    known = elements(face, "devices");
    assert_int_equal(known, MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_access_takes_as_many_instructions_whoever_else_is_there),
        cmocka_unit_test(to_attach_and_detach_asks_the_host_nothing_about_other_guests),
        cmocka_unit_test(assignments_of_a_thousand_guests_ask_for_each_once),
        cmocka_unit_test(a_restart_asks_for_each_guest_alone),
        cmocka_unit_test(an_idle_guest_takes_less_than_8_KiB),
        cmocka_unit_test(idle_guests_do_not_wake_the_loop),
        cmocka_unit_test(answers_about_all_are_composed_some_at_a_time),
        cmocka_unit_test(a_client_that_vanishes_meanwhile_ends_its_answer),
        cmocka_unit_test(a_reload_meanwhile_does_not_disturb_it),
        cmocka_unit_test(guests_that_end_meanwhile_do_not_disturb_it),
    };

    return cmocka_run_group_tests_name("scale", tests, face_setup, face_teardown);
}
