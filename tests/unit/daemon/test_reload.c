/* SPDX-License-Identifier: MIT */
/* Reloading, through the control socket, with files that take as long to read as a test likes. */
#include "reload_fixture.h"

#include <ev.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"

static void good_reload_is_in_force_when_it_is_answered(void **state)
{
    struct fixture *f = *state;
    const json_t *result, *change;

    needs_root();
    write_quirk(f, "q/50-a.json", "test-a");
    write_config(f, ", \"devices\": [ { \"bdf\": \"03:00.0\", \"name\": \"nic0\","
                    " \"permissive\": true } ], \"limits\": { \"guests\": 9 }");
    result = ask(f, "reload", "{}");
    assert_int_equal(number(result, "generation"), 2);
    assert_int_equal(number(result, "quirks"), 1);
    assert_int_equal(number(result, "files"), 1);
    assert_true(json_is_false(json_object_get(result, "dry_run")));
    assert_int_equal(json_array_size(json_object_get(result, "warnings")), 0);
    assert_int_equal(json_array_size(json_object_get(result, "needs_restart")), 0);
    change = json_array_get(json_object_get(result, "changes"), 0);
    assert_string_equal(text_of(change, "device"), FAKE_NIC);
    assert_string_equal(text_of(json_object_get(change, "guest"), "name"), "netvm");
    assert_true(tells(json_object_get(change, "lines"), "permissive: false -> true"));
    assert_int_equal(pb_backend_generation(f->verbs.backend), 2);
    assert_int_equal(pb_quirk_set_count(pb_backend_quirks(f->verbs.backend)), 1);
    assert_int_equal(f->verbs.limits.guests, 9);
}

static void reload_without_a_change_tells_none(void **state)
{
    struct fixture *f = *state;

    needs_root();
    assert_int_equal(json_array_size(json_object_get(ask(f, "reload", "{}"), "changes")), 0);
    assert_int_equal(pb_backend_generation(f->verbs.backend), 2);
}

static void bad_configuration_keeps_the_old_generation(void **state)
{
    struct fixture *f = *state;
    const json_t *data;

    needs_root();
    write_config(f, ", \"limits\": { \"guests\": 0 }");
    data = refused(f, "{}");
    assert_non_null(strstr(text_of(data, "reason"), "/limits/guests"));
    assert_string_equal(text_of(data, "code"), "bad-config");
    assert_int_equal(json_array_size(json_object_get(data, "problems")), 1);
    assert_int_equal(unlink(f->config), 0);
    assert_non_null(strstr(text_of(refused(f, "{}"), "reason"), "No such file"));
    write_config(f, "");
    assert_int_equal(number(ask(f, "reload", "{}"), "generation"), 2);
}

static void bad_quirk_keeps_the_old_generation_and_every_problem_is_told(void **state)
{
    struct fixture *f = *state;
    const json_t *problems, *data;

    needs_root();
    write_quirk(f, "q/50-good.json", "test-good");
    write_file(f, "q/50-a.json", "{\n  \"schema\": }");
    write_file(f, "q/50-b.json", "{ \"schema\": 1, \"quirk\": [] }");
    data = refused(f, "{}");
    problems = json_object_get(data, "problems");
    assert_non_null(strstr(text_of(data, "reason"), "2 problems"));
    assert_int_equal(json_array_size(problems), 2);
    assert_non_null(strstr(text_of(json_array_get(problems, 0), "text"), "50-a.json:2:"));
    assert_non_null(strstr(text_of(json_array_get(problems, 1), "text"), "50-b.json: /quirk"));
    refused(f, "{\"dry_run\":true}");
    assert_int_equal(fake_backend_calls(f->verbs.backend)->prepared, 0);
}

static void device_that_cannot_be_compiled_keeps_the_old_generation(void **state)
{
    struct fixture *f = *state;

    needs_root();
    write_config(f, ", \"devices\": [ { \"bdf\": \"03:00.0\", \"name\": \"" FAKE_UNFIT "\" } ]");
    assert_non_null(strstr(text_of(refused(f, "{}"), "reason"), "a quirk does not fit"));
    assert_int_equal(fake_backend_calls(f->verbs.backend)->prepared, 1);
}

static void dry_run_changes_nothing(void **state)
{
    struct fixture *f = *state;
    const struct pb_quirk_set *quirks = pb_backend_quirks(f->verbs.backend);
    const json_t *result;

    needs_root();
    write_quirk(f, "q/50-a.json", "test-a");
    write_config(f, ", \"devices\": [ { \"bdf\": \"03:00.0\", \"permissive\": true } ],"
                    " \"limits\": { \"guests\": 9 }");
    for (unsigned i = 0; i < 2; i++) {
        result = ask(f, "reload", "{\"dry_run\":true}");
        assert_true(json_is_true(json_object_get(result, "dry_run")));
        assert_int_equal(number(result, "generation"), 1);
        assert_int_equal(number(result, "quirks"), 1);
        assert_int_equal(json_array_size(json_object_get(result, "changes")), 1);
    }
    assert_ptr_equal(pb_backend_quirks(f->verbs.backend), quirks);
    assert_int_equal(f->verbs.limits.guests, 128);
    assert_int_equal(pb_reloader_last(f->verbs.reloader).at, 0);
}

static void keys_that_need_a_restart_are_named_until_it(void **state)
{
    static const char *const keys[] = {
        "control.socket", "control.group",  "state_dir",
        "backend.kinds",  "limits.devices", "limits.control_message_bytes",
    };
    struct fixture *f = *state;
    const json_t *restart;

    needs_root();
    write_config(f, ", \"control\": { \"socket\": \"/run/other.sock\", \"group\": \"wheel\" },"
                    " \"state_dir\": \"/run/other\","
                    " \"backend\": { \"kinds\": [\"pcibackd\", \"pci\"] }, \"limits\": { "
                    "\"control_clients\": 3, \"devices\": 9,"
                    " \"control_message_bytes\": 300, \"guests\": 4 }");
    for (unsigned n = 0; n < 2; n++) {
        restart = json_object_get(ask(f, "reload", "{}"), "needs_restart");
        assert_int_equal(json_array_size(restart), PB_ARRAY_SIZE(keys));
        for (unsigned i = 0; i < PB_ARRAY_SIZE(keys); i++)
            assert_true(tells(restart, keys[i]));
        assert_false(fake_backend_calls(f->verbs.backend)->xl_mode);
    }
    assert_int_equal(f->verbs.limits.control_clients, 3);
    assert_int_equal(f->verbs.limits.control_message_bytes, 16384);
    assert_int_equal(f->verbs.limits.guests, 4);
    write_config(f, "");
    assert_int_equal(json_array_size(json_object_get(ask(f, "reload", "{}"), "needs_restart")), 0);
}

static void what_is_of_no_single_device_is_told(void **state)
{
    static const char *const first[] = {
        "slot 0000:06:00.*: new; what is there is claimed",
        "assignment of 0000:03:00.0: none -> a",
        "assignment of 0000:04:00.0: none -> a",
        "backend.topology: vpci -> slot, for guests that get their first device",
        "topology of b: vpci -> passthrough, when it gets its first device",
        "backend.busy_poll_us: 1000 -> 7",
        "limits.guests: 128 -> 9",
    };
    static const char *const second[] = {
        "slot 0000:06:00.*: not listed any more; what is claimed stays claimed",
        "slot 0000:06:*.*: new; what is there is claimed",
        "assignment of 0000:03:00.0: a -> b; who has it keeps it",
        "assignment of 0000:04:00.0: a -> none; who has it keeps it",
        "topology of b: passthrough -> slot, when it gets its first device",
    };
    struct fixture *f = *state;
    const json_t *settings;

    needs_root();
    write_config(f,
                 ", \"slots\": [ \"6:0.*\" ], \"limits\": { \"guests\": 9 },"
                 " \"backend\": { \"topology\": \"slot\", \"busy_poll_us\": 7 },"
                 " \"guests\": [ { \"name\": \"b\", \"topology\": \"passthrough\" } ],"
                 " \"assignments\": [ { \"guest\": \"a\", \"devices\": [\"3:0.0\", \"4:0.0\"] } ]");
    settings = json_object_get(ask(f, "reload", "{}"), "settings");
    assert_int_equal(json_array_size(settings), PB_ARRAY_SIZE(first));
    for (unsigned i = 0; i < PB_ARRAY_SIZE(first); i++)
        assert_string_equal(json_string_value(json_array_get(settings, i)), first[i]);
    assert_int_equal(json_array_size(json_object_get(ask(f, "reload", "{}"), "settings")), 0);

    write_config(f, ", \"slots\": [ \"6:*.*\" ], \"limits\": { \"guests\": 9 },"
                    " \"backend\": { \"topology\": \"slot\", \"busy_poll_us\": 7 },"
                    " \"assignments\": [ { \"guest\": \"b\", \"devices\": [\"3:0.0\"] } ]");
    settings = json_object_get(ask(f, "reload", "{}"), "settings");
    assert_int_equal(json_array_size(settings), PB_ARRAY_SIZE(second));
    for (unsigned i = 0; i < PB_ARRAY_SIZE(second); i++)
        assert_true(tells(settings, second[i]));
}

static void a_device_s_new_identity_is_told(void **state)
{
    struct fixture *f = *state;
    const json_t *lines;

    needs_root();
    write_config(f, ", \"devices\": [ { \"bdf\": \"03:00.0\", \"path\": \"0:1c.0/0.0\","
                    " \"subsystem_device\": 5, \"reassign_while_alive\": true } ]");
    lines = json_object_get(json_array_get(json_object_get(ask(f, "reload", "{}"), "changes"), 0),
                            "lines");
    assert_int_equal(json_array_size(lines), 3);
    assert_true(tells(lines, "path: none -> 0000:00:1c.0/00.0 at the next claim"));
    assert_true(tells(lines, "vendor, device: checked anew at the next claim"));
    assert_true(tells(lines, "reassign_while_alive: false -> true"));
}

static void warnings_are_told_and_do_not_refuse(void **state)
{
    struct fixture *f = *state;
    const json_t *result;

    needs_root();
    write_config(f, ", \"disable\": [\"no-such-quirk\"]");
    result = ask(f, "reload", "{}");
    assert_true(tells(json_object_get(result, "warnings"), "no-such-quirk"));
    assert_int_equal(number(result, "generation"), 2);
}

static void until_taken(struct fixture *f, uint64_t messages)
{
    while (pb_control_use(f->verbs.control)->messages < messages)
        ev_run(f->loop, EVRUN_NOWAIT);
}

static void loop_serves_others_while_files_are_read(void **state)
{
    struct fixture *f = *state;

    needs_root();
    gated = true;
    post(f, 0, "reload", "{}");
    while (sem_trywait(&read_done) != 0)
        ev_run(f->loop, EVRUN_NOWAIT);
    for (unsigned i = 0; i < 3; i++) {
        post(f, 1, "version", "{}");
        result_to(f, 1);
        assert_false(answered(&f->client[0]));
    }
    assert_int_equal(pb_backend_generation(f->verbs.backend), 1);
    sem_post(&go_on);
    assert_int_equal(number(result_to(f, 0), "generation"), 2);
}

static void who_asks_while_files_are_read_gets_what_they_say_after_it(void **state)
{
    struct fixture *f = *state;

    needs_root();
    gated = true;
    post(f, 0, "reload", "{}");
    while (sem_trywait(&read_done) != 0)
        ev_run(f->loop, EVRUN_NOWAIT);
    write_quirk(f, "q/50-a.json", "test-a");
    post(f, 1, "reload", "{}");
    until_taken(f, 2);
    gated = false;
    sem_post(&go_on);
    assert_int_equal(number(result_to(f, 0), "quirks"), 0);
    assert_int_equal(number(result_to(f, 1), "quirks"), 1);
    assert_int_equal(readings, 2);
}

static void requests_that_wait_share_one_reading_and_all_are_answered(void **state)
{
    struct fixture *f = *state;

    needs_root();
    gated = true;
    post(f, 0, "reload", "{}");
    while (sem_trywait(&read_done) != 0)
        ev_run(f->loop, EVRUN_NOWAIT);
    for (unsigned i = 1; i < CLIENTS - 2; i++)
        post(f, i, "reload", "{}");
    post(f, CLIENTS - 2, "reload", "{\"dry_run\":true}");
    post(f, CLIENTS - 1, "check-config", "{}");
    for (unsigned i = 0; i < 100; i++) {
        pb_reloader_hangup(f->verbs.reloader);
        ev_run(f->loop, EVRUN_NOWAIT);
    }
    gated = false;
    sem_post(&go_on);
    assert_int_equal(number(result_to(f, 0), "generation"), 2);
    for (unsigned i = 1; i < CLIENTS - 2; i++)
        assert_int_equal(number(result_to(f, i), "generation"), 3);
    /* the old one was in force when the dry run was answered */
    assert_int_equal(number(result_to(f, CLIENTS - 2), "generation"), 2);
    assert_true(json_is_true(json_object_get(result_to(f, CLIENTS - 1), "valid")));
    assert_int_equal(readings, 2);
    assert_int_equal(pb_backend_generation(f->verbs.backend), 3);
}

/* The next line of a client is handled while the answer to the one before it is given. */
static void request_right_behind_another_one_gets_a_reading_of_its_own(void **state)
{
    static const char check[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"check-config\"}\n";
    struct fixture *f = *state;
    struct client *c = &f->client[0];
    uint64_t end = pb_now_ms() + 20000;
    char two[2 * sizeof(check)];
    int n = snprintf(two, sizeof(two), "%s%s", check, check);

    gated = true;
    post(f, 2, "check-config", "{}");
    while (sem_trywait(&read_done) != 0)
        ev_run(f->loop, EVRUN_NOWAIT);
    assert_int_equal(send(c->fd, two, (size_t)n, MSG_NOSIGNAL), n);
    until_taken(f, 2); /* the next one comes later */
    post(f, 1, "check-config", "{}");
    until_taken(f, 3);
    for (unsigned i = 0; i < 2; i++) {
        sem_post(&go_on);
        while (sem_trywait(&read_done) != 0 && pb_now_ms() < end)
            ev_run(f->loop, EVRUN_NOWAIT);
    }
    /* files are read for the third time, so there is no second answer yet */
    assert_true(answered(c));
    assert_ptr_equal(memchr(c->text, '\n', c->length), c->text + c->length - 1);
    c->length = 0;
    gated = false;
    sem_post(&go_on);
    assert_true(json_is_true(json_object_get(result_to(f, 0), "valid")));
    assert_true(json_is_true(json_object_get(result_to(f, 1), "valid")));
    assert_int_equal(readings, 3);
}

static void hangups_in_a_row_end_with_what_the_files_say_last(void **state)
{
    struct fixture *f = *state;
    uint64_t end = pb_now_ms() + 20000;

    for (unsigned i = 0; i < 100; i++) {
        write_quirk(f, "q/50-a.json", i % 2 ? "test-odd" : "test-even");
        if (i == 99)
            write_quirk(f, "q/50-b.json", "test-last");
        pb_reloader_hangup(f->verbs.reloader);
        ev_run(f->loop, EVRUN_NOWAIT);
    }
    while (pb_quirk_set_count(pb_backend_quirks(f->verbs.backend)) != 2 && pb_now_ms() < end)
        ev_run(f->loop, EVRUN_NOWAIT);
    assert_int_equal(pb_quirk_set_count(pb_backend_quirks(f->verbs.backend)), 2);
    ask(f, "check-config", "{}"); /* no reading is under way any more */
    assert_true(readings <= 101);
    assert_in_range(pb_backend_generation(f->verbs.backend), 2, 101);
}

static void client_that_vanishes_does_not_stop_its_reload(void **state)
{
    struct fixture *f = *state;

    needs_root();
    gated = true;
    post(f, 3, "reload", "{}");
    while (sem_trywait(&read_done) != 0)
        ev_run(f->loop, EVRUN_NOWAIT);
    close(f->client[3].fd);
    f->client[3].fd = -1;
    post(f, 0, "reload", "{}");
    until_taken(f, 2);
    gated = false;
    sem_post(&go_on);
    assert_int_equal(number(result_to(f, 0), "generation"), 3);
}

static void end_of_the_daemon_answers_those_who_wait(void **state)
{
    struct fixture *f = *state;

    needs_root();
    gated = true;
    post(f, 0, "reload", "{}");
    while (sem_trywait(&read_done) != 0)
        ev_run(f->loop, EVRUN_NOWAIT);
    post(f, 1, "reload", "{}");
    until_taken(f, 2);
    sem_post(&go_on);
    pb_control_quiesce(f->verbs.control);
    pb_reloader_free(f->verbs.reloader);
    f->verbs.reloader = NULL;
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(number(json_object_get(reply_to(f, i), "error"), "code"), -32603);
    assert_int_equal(pb_backend_generation(f->verbs.backend), 1);
}

static void check_config_tells_every_problem_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    const json_t *result;

    write_quirk(f, "q/50-good.json", "test-good");
    write_file(f, "q/50-a.json", "[]");
    result = ask(f, "check-config", "{}");
    assert_true(json_is_false(json_object_get(result, "valid")));
    assert_non_null(strstr(text_of(result, "error"), "50-a.json"));
    assert_int_equal(json_array_size(json_object_get(result, "problems")), 1);
    assert_int_equal(number(result, "quirks"), 1);
    assert_int_equal(number(result, "quirk_files"), 1);
    assert_int_equal(pb_backend_generation(f->verbs.backend), 1);
    assert_int_equal(fake_backend_calls(f->verbs.backend)->prepared, 0);
}

static void check_config_tells_what_a_reload_would_be_refused_for(void **state)
{
    struct fixture *f = *state;
    const json_t *result;

    write_config(f, ", \"devices\": [ { \"bdf\": \"03:00.0\", \"name\": \"" FAKE_UNFIT "\" } ]");
    result = ask(f, "check-config", "{}");
    assert_true(json_is_false(json_object_get(result, "valid")));
    assert_non_null(strstr(text_of(result, "error"), "a quirk does not fit"));
    assert_int_equal(pb_backend_generation(f->verbs.backend), 1);
}

static void stats_tell_the_generation_and_the_last_reload(void **state)
{
    struct fixture *f = *state;
    const json_t *stats = ask(f, "stats", "{}");

    assert_true(json_is_null(json_object_get(stats, "last_reload")));
    assert_int_equal(number(stats, "generation"), 1);
    needs_root();
    write_quirk(f, "q/50-a.json", "test-a");
    ask(f, "reload", "{}");
    stats = ask(f, "stats", "{}");
    assert_int_equal(number(stats, "generation"), 2);
    assert_int_equal(number(stats, "quirks"), 1);
    assert_int_equal(number(stats, "files"), 1);
    assert_true(json_is_true(json_object_get(json_object_get(stats, "last_reload"), "ok")));
    write_config(f, ", \"frob\": 1");
    refused(f, "{}");
    stats = ask(f, "stats", "{}");
    assert_true(json_is_false(json_object_get(json_object_get(stats, "last_reload"), "ok")));
    assert_true(number(json_object_get(stats, "last_reload"), "at") > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reload_setup, reload_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(good_reload_is_in_force_when_it_is_answered),
        TEST(reload_without_a_change_tells_none),
        TEST(bad_configuration_keeps_the_old_generation),
        TEST(bad_quirk_keeps_the_old_generation_and_every_problem_is_told),
        TEST(device_that_cannot_be_compiled_keeps_the_old_generation),
        TEST(dry_run_changes_nothing),
        TEST(keys_that_need_a_restart_are_named_until_it),
        TEST(what_is_of_no_single_device_is_told),
        TEST(a_device_s_new_identity_is_told),
        TEST(warnings_are_told_and_do_not_refuse),
        TEST(loop_serves_others_while_files_are_read),
        TEST(who_asks_while_files_are_read_gets_what_they_say_after_it),
        TEST(requests_that_wait_share_one_reading_and_all_are_answered),
        TEST(request_right_behind_another_one_gets_a_reading_of_its_own),
        TEST(hangups_in_a_row_end_with_what_the_files_say_last),
        TEST(client_that_vanishes_does_not_stop_its_reload),
        TEST(end_of_the_daemon_answers_those_who_wait),
        TEST(check_config_tells_every_problem_and_changes_nothing),
        TEST(check_config_tells_what_a_reload_would_be_refused_for),
        TEST(stats_tell_the_generation_and_the_last_reload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
