/* SPDX-License-Identifier: MIT */
/* Parameters and results of the verbs, through a socket that answers at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ev.h>
#include <jansson.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "daemon/reload.h"
#include "daemon/verbs.h"
#include "fake_backend.h"

struct fixture {
    char dir[32], path[64];
    struct ev_loop *loop;
    struct pb_backend *backend;
    struct pb_verbs verbs;
    int fd;
    json_t *reply;
};

static void start_reloader(struct fixture *f, const char *path, bool required)
{
    struct pb_reloader_options options = {
        .loop = f->loop,
        .source = { .config_path = path, .config_required = required, .any_owner = true },
        .verbs = &f->verbs
    };
    struct pb_json_error error = { 0 };

    pb_reloader_free(f->verbs.reloader);
    f->verbs.reloader =
        pb_reloader_new(&options, pb_config_load("/nonexistent/none.json", false, true, &error));
    assert_non_null(f->verbs.reloader);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct pb_control_options options = {
        .group = "root", .limits = &f->verbs.limits, .message = pb_verbs_message, .ctx = &f->verbs
    };
    struct pb_policy policy;
    char why[300];

    pb_log_setup(PB_LOG_TEXT, PB_LOG_ERR);
    pb_policy_init(&policy);
    strcpy(f->dir, "/tmp/pb-verbs-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/socket", f->dir);
    options.path = f->path;
    f->loop = ev_loop_new(EVFLAG_AUTO);
    assert_int_equal(pb_backend_new(f->loop, NULL, NULL, NULL, NULL, &f->backend), 0);
    f->verbs = (struct pb_verbs){ .backend = f->backend,
                                  .limits = policy.limits,
                                  .started_ms = pb_now_ms() };
    start_reloader(f, "/nonexistent/none.json", false);
    assert_int_equal(pb_control_open(f->loop, &options, &f->verbs.control, why, sizeof(why)), 0);
    f->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
    assert_int_equal(connect(f->fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    json_decref(f->reply);
    close(f->fd);
    pb_control_quiesce(f->verbs.control);
    pb_reloader_free(f->verbs.reloader);
    pb_backend_free(f->backend);
    pb_control_close(f->verbs.control);
    ev_loop_destroy(f->loop);
    rmdir(f->dir);
    free(f);
    return 0;
}

/* The whole reply, which f owns. */
static const json_t *ask(struct fixture *f, const char *method, const char *params)
{
    static char text[1 << 17];
    uint64_t end = pb_now_ms() + 5000;
    size_t n;

    n = (size_t)snprintf(text, sizeof(text),
                         "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\"%s%s}\n", method,
                         params[0] ? ",\"params\":" : "", params);
    assert_int_equal(send(f->fd, text, n, MSG_NOSIGNAL), n);
    n = 0;
    do {
        ssize_t r;

        ev_run(f->loop, EVRUN_NOWAIT);
        r = recv(f->fd, text + n, sizeof(text) - n, MSG_DONTWAIT);
        n += r > 0 ? (size_t)r : 0;
    } while ((n == 0 || text[n - 1] != '\n') && pb_now_ms() < end);
    json_decref(f->reply);
    f->reply = json_loadb(text, n, 0, NULL);
    assert_non_null(f->reply);
    return f->reply;
}

static const json_t *result_of(struct fixture *f, const char *method, const char *params)
{
    const json_t *result = json_object_get(ask(f, method, params), "result");

    if (!result)
        fail_msg("%s %s failed: %s", method, params, json_dumps(f->reply, 0));
    return result;
}

static void assert_fails(struct fixture *f, const char *method, const char *params, int code,
                         const char *reason)
{
    const json_t *error = json_object_get(ask(f, method, params), "error");
    const json_t *data = json_object_get(error, "data");
    const char *text = json_string_value(json_object_get(data, "reason"));

    if (!error || json_integer_value(json_object_get(error, "code")) != code || !text ||
        !strstr(text, reason))
        fail_msg("%s %s: expected %d with \"%s\", got %s", method, params, code, reason,
                 json_dumps(f->reply, 0));
    assert_true(json_is_string(json_object_get(data, "code")));
    assert_true(json_is_string(json_object_get(data, "device")));
    assert_true(json_is_string(json_object_get(data, "next")));
    assert_true(strlen(json_string_value(json_object_get(error, "message"))) > 0);
}

static void needs_root(void)
{
    if (geteuid() != 0)
        skip();
}

static void wrong_params_are_named(void **state)
{
    static const struct {
        const char *verb, *params, *reason;
    } bad[] = {
        { "show", "", "/params/dev: is missing" },
        { "show", "{}", "/params/dev: is missing" },
        { "show", "[]", "/params: must be an object" },
        { "show", "[\"nic0\"]", "/params: must be an object" },
        { "show", "null", "/params: must be an object" },
        { "show", "{\"dev\":7}", "/params/dev: must be a string" },
        { "show", "{\"dev\":null}", "/params/dev: must be a string" },
        { "show", "{\"dev\":\"\"}", "/params/dev: must not be empty" },
        { "show", "{\"dev\":\"a\\nb\"}", "/params/dev: must be printable" },
        { "show", "{\"dev\":\"\xc3\xa4\"}", "/params/dev: must be printable" },
        { "show", "{\"dev\":\"nic0\",\"force\":true}", "/params/force: unknown key" },
        { "list", "{\"dev\":\"nic0\"}", "/params/dev: unknown key" },
        { "claim", "{\"dev\":\"nic0\",\"force\":1}", "/params/force: must be true or false" },
        { "claim", "{\"dev\":\"nic0\",\"force\":\"yes\"}", "/params/force: must be true or false" },
        { "claim", "{\"device\":\"nic0\"}", "/params/device: unknown key" },
        { "attach", "{\"dev\":\"nic0\"}", "/params/guest: is missing" },
        { "attach", "{\"guest\":\"g\"}", "/params/dev: is missing" },
        { "attach", "{\"guest\":-1,\"dev\":\"nic0\"}", "/params/guest: must be" },
        { "attach", "{\"guest\":32752,\"dev\":\"nic0\"}", "/params/guest: must be from 0" },
        { "attach", "{\"guest\":1.5,\"dev\":\"nic0\"}", "/params/guest: must be a string" },
        { "attach", "{\"guest\":\"g\",\"dev\":\"d\",\"wait\":-1}", "/params/wait: must be" },
        { "attach", "{\"guest\":\"g\",\"dev\":\"d\",\"wait\":601}",
          "/params/wait: must be from 0" },
        { "attach", "{\"guest\":\"g\",\"dev\":\"d\",\"wait\":1e3}", "/params/wait: must be" },
        { "attach", "{\"guest\":\"g\",\"dev\":\"d\",\"wait\":18446744073709551616}", "" },
        { "detach", "{\"guest\":\"g\",\"dev\":\"d\",\"wait\":1}", "/params/wait: unknown key" },
        { "slot.add", "{}", "/params/address: is missing" },
        { "slot.add", "{\"address\":6}", "/params/address: must be a string" },
        { "slot.add", "{\"address\":\"\"}", "/params/address: must not be empty" },
        { "slot.add", "{\"address\":\"06:*.0\"}", "/params/address: must be an address like" },
        { "slot.add", "{\"address\":\"06:00.0 \"}", "/params/address: must be an address like" },
        { "slot.add", "{\"address\":\"nic0\"}", "/params/address: must be an address like" },
        { "slot.remove", "{\"address\":\"06:00\"}", "/params/address: must be an address like" },
        { "slot.remove", "{\"address\":\"06:00.0\",\"save\":1}",
          "/params/save: must be true or false" },
        { "slot.list", "{\"address\":\"06:00.0\"}", "/params/address: unknown key" },
        { "reset", "{}", "/params/dev: is missing" },
        { "why", "{\"dev\":5}", "/params/dev: must be a string" },
    };
    struct fixture *f = *state;
    char params[160];

    for (size_t i = 0; i < PB_ARRAY_SIZE(bad); i++) {
        /* a number that is no number is a fault of the message, not of the parameter */
        int code = bad[i].reason[0] ? -32602 : -32700;

        assert_fails(f, bad[i].verb, bad[i].params, code, bad[i].reason);
    }
    snprintf(params, sizeof(params), "{\"dev\":\"%065d\"}", 1);
    assert_fails(f, "show", params, -32602, "/params/dev: is longer than 64 bytes");
    assert_int_equal(fake_backend_calls(f->backend)->count, 0);
}

static void changing_verbs_reach_the_backend_with_their_params(void **state)
{
    struct fixture *f = *state;
    const struct fake_calls *calls = fake_backend_calls(f->backend);

    needs_root();
    (void)result_of(f, "claim", "{\"dev\":\"nic0\"}");
    assert_string_equal(calls->last, "claim");
    assert_string_equal(calls->dev, "nic0");
    assert_false(calls->force);

    (void)result_of(f, "release", "{\"dev\":\"0000:03:00.0\",\"force\":true}");
    assert_string_equal(calls->last, "release");
    assert_string_equal(calls->dev, "0000:03:00.0");
    assert_true(calls->force);

    (void)result_of(f, "attach", "{\"guest\":7,\"dev\":\"nic0\"}");
    assert_string_equal(calls->last, "attach");
    assert_string_equal(calls->guest, "7");
    assert_false(calls->options.claim || calls->options.permissive || calls->options.force);
    assert_int_equal(calls->options.wait_s, 0);

    (void)result_of(f, "attach",
                    "{\"guest\":\"netvm\",\"dev\":\"nic0\",\"claim\":true,\"permissive\":true,"
                    "\"force\":true,\"wait\":\"0x1e\"}");
    assert_string_equal(calls->guest, "netvm");
    assert_true(calls->options.claim && calls->options.permissive && calls->options.force);
    assert_int_equal(calls->options.wait_s, 30);

    (void)result_of(f, "detach", "{\"guest\":\"netvm\",\"dev\":\"nic0\",\"force\":true}");
    assert_string_equal(calls->last, "detach");
    assert_true(calls->force);

    (void)result_of(f, "reset", "{\"dev\":\"nic0\"}");
    assert_string_equal(calls->last, "reset");
    assert_string_equal(calls->dev, "nic0");

    (void)result_of(f, "slot.add", "{\"address\":\"6:0.*\"}");
    assert_string_equal(calls->last, "slot.add");
    assert_string_equal(calls->dev, "0000:06:00.*");
    assert_false(calls->save);
    (void)result_of(f, "slot.remove", "{\"address\":\"0000:06:00.*\",\"save\":true}");
    assert_string_equal(calls->last, "slot.remove");
    assert_true(calls->save);
    assert_int_equal(calls->count, 8);
    assert_int_equal(calls->pending, 0);
}

static void change_answers_with_the_device(void **state)
{
    struct fixture *f = *state;
    const json_t *device;

    needs_root();
    device = json_object_get(result_of(f, "claim", "{\"dev\":\"nic0\"}"), "device");
    assert_string_equal(json_string_value(json_object_get(device, "state")), "claimed");
    /* one that is not known any more */
    device = json_object_get(result_of(f, "release", "{\"dev\":\"0000:09:00.0\"}"), "device");
    assert_true(json_is_null(device));
}

static void slot_is_shown_as_long_as_it_is_listed(void **state)
{
    struct fixture *f = *state;
    const json_t *result, *slot;

    needs_root();
    result = result_of(f, "slot.add", "{\"address\":\"6:0.*\",\"save\":true}");
    assert_string_equal(json_string_value(json_object_get(result, "address")), "0000:06:00.*");
    slot = json_object_get(result, "slot");
    assert_string_equal(json_string_value(json_object_get(slot, "origin")), "saved");
    assert_int_equal(json_integer_value(json_object_get(slot, "devices")), 2);
    assert_int_equal(json_integer_value(json_object_get(slot, "claimed")), 1);
    (void)result_of(f, "slot.add", "{\"address\":\"7:*.*\"}");
    slot = json_array_get(json_object_get(result_of(f, "slot.list", ""), "slots"), 1);
    assert_string_equal(json_string_value(json_object_get(slot, "address")), "0000:07:*.*");
    assert_string_equal(json_string_value(json_object_get(slot, "origin")), "verb");
    result = result_of(f, "slot.remove", "{\"address\":\"06:00.*\"}");
    assert_true(json_is_null(json_object_get(result, "slot")));
    assert_int_equal(json_array_size(json_object_get(result_of(f, "slot.list", ""), "slots")), 1);
}

static void failure_is_told_in_full(void **state)
{
    struct fixture *f = *state;
    const json_t *data;

    assert_fails(f, "show", "{\"dev\":\"missing\"}", -32001, "no device has this name");
    data = json_object_get(json_object_get(f->reply, "error"), "data");
    assert_string_equal(json_string_value(json_object_get(data, "code")), "not-found");
    assert_string_equal(json_string_value(json_object_get(data, "device")), "missing");
    assert_string_equal(json_string_value(json_object_get(data, "next")), "see `pcibackctl list`");
    needs_root();
    assert_fails(f, "claim", "{\"dev\":\"missing\"}", -32001, "no device has this name");
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void device_is_shown_in_full(void **state)
{
    struct fixture *f = *state;
    const json_t *device = json_object_get(result_of(f, "show", "{\"dev\":\"nic0\"}"), "device");
    const json_t *owner = json_object_get(device, "owner"), *neighbour;

    assert_string_equal(text_of(device, "address"), "0000:03:00.0");
    assert_string_equal(text_of(device, "vendor"), "0x8086");
    assert_string_equal(text_of(device, "device"), "0x10d3");
    assert_string_equal(text_of(device, "class"), "0x020000");
    assert_string_equal(text_of(device, "revision"), "0x00");
    assert_string_equal(text_of(device, "vendor_text"), "");
    assert_int_equal(json_integer_value(json_object_get(owner, "domid")), 7);
    assert_string_equal(text_of(owner, "name"), "netvm");
    assert_int_equal(json_array_size(json_object_get(device, "reset_methods")), 2);
    assert_int_equal(json_integer_value(json_object_get(device, "vectors")), 3);
    assert_true(json_is_true(json_object_get(device, "quarantined")));

    assert_string_equal(text_of(device, "path"), "0000:00:1c.0/00.0");
    assert_string_equal(text_of(device, "port"), "0000:00:1c.0");
    assert_int_equal(json_integer_value(json_object_get(device, "virtual_functions")), 2);
    assert_true(json_is_null(json_object_get(device, "physical_function")));
    assert_string_equal(json_string_value(json_array_get(json_object_get(device, "uses"), 0)),
                        "route");
    neighbour = json_array_get(json_object_get(device, "neighbours"), 0);
    assert_string_equal(text_of(neighbour, "address"), "0000:03:00.1");
    assert_string_equal(text_of(neighbour, "driver"), "e1000e");
    assert_int_equal(json_array_size(json_object_get(neighbour, "shares")), 2);
    assert_string_equal(text_of(json_object_get(device, "assignment"), "guest"), "netvm");
    assert_string_equal(text_of(json_object_get(device, "assignment"), "outcome"), "done");
    assert_true(json_is_null(json_object_get(device, "tainted_by")));
    fake_backend_block(f->backend, "domain 5 lives");
    device = json_object_get(result_of(f, "show", "{\"dev\":\"nic0\"}"), "device");
    assert_int_equal(json_integer_value(json_object_get(device, "tainted_by")), 5);
    fake_backend_block(f->backend, NULL);
    device = json_object_get(result_of(f, "show", "{\"dev\":\"nic0\"}"), "device");

    assert_int_equal(json_integer_value(json_object_get(device, "guest_resets")), 3);
    assert_string_equal(text_of(device, "assign"), "allow");
    assert_string_equal(text_of(device, "assign_reason"), "");
    fake_backend_assign(f->backend, PB_ASSIGN_WARN, "its neighbour is in use");
    device = json_object_get(result_of(f, "show", "{\"dev\":\"nic0\"}"), "device");
    assert_string_equal(text_of(device, "assign"), "warn");
    assert_string_equal(text_of(device, "assign_reason"), "its neighbour is in use");

    device = json_object_get(result_of(f, "show", "{\"dev\":\"0000:04:00.0\"}"), "device");
    assert_int_equal(json_array_size(json_object_get(device, "quirks")), 0);
    assert_int_equal(json_array_size(json_object_get(device, "plugins")), 0);
    assert_true(json_is_null(json_object_get(device, "vendor")));
    assert_true(json_is_null(json_object_get(device, "owner")));
    assert_string_equal(text_of(device, "state"), "absent");
    assert_string_equal(text_of(device, "path"), "");
    assert_true(json_is_null(json_object_get(device, "assignment")));
    assert_int_equal(json_array_size(json_object_get(device, "neighbours")), 0);
    assert_int_equal(json_array_size(json_object_get(device, "reset_methods")), 0);
}

static void assert_why(struct fixture *f, const char *dev, const char *answer, bool attachable,
                       unsigned reasons)
{
    char params[80];
    const json_t *result;

    snprintf(params, sizeof(params), "{\"dev\":\"%s\"}", dev);
    result = result_of(f, "why", params);
    assert_string_equal(text_of(result, "answer"), answer);
    assert_int_equal(json_is_true(json_object_get(result, "attachable")), attachable);
    assert_int_equal(json_array_size(json_object_get(result, "reasons")), reasons);
}

static void why_answers_in_one_sentence_whatever_the_state(void **state)
{
    struct fixture *f = *state;
    const json_t *reason;

    assert_why(f, "nic0", "0000:03:00.0 (nic0) is claimed; a guest can have it", true, 1);
    fake_backend_block(f->backend, "domain 5 lives");
    assert_why(f, FAKE_NIC, "0000:03:00.0 (nic0) is claimed; no guest can have it: domain 5 lives",
               false, 2);
    reason = json_array_get(json_object_get(json_object_get(f->reply, "result"), "reasons"), 0);
    assert_string_equal(text_of(reason, "code"), "tainted");
    assert_true(json_is_true(json_object_get(reason, "blocks")));
    assert_string_equal(text_of(reason, "next"), "wait");
    reason = json_array_get(json_object_get(json_object_get(f->reply, "result"), "reasons"), 1);
    assert_true(json_is_false(json_object_get(reason, "blocks")));
    assert_string_equal(text_of(reason, "next"), "");
    fake_backend_set_state(f->backend, PB_DEVICE_PRESENT, "");
    assert_why(f, "nic0", "0000:03:00.0 (nic0) is present; no guest can have it: domain 5 lives",
               false, 2);
    fake_backend_block(f->backend, NULL);
    assert_why(f, "nic0", "0000:03:00.0 (nic0) is present; a guest can have it when it is claimed",
               false, 1);
    fake_backend_set_state(f->backend, PB_DEVICE_ASSIGNED, "");
    assert_why(f, "nic0",
               "0000:03:00.0 (nic0) is assigned to guest 7 (netvm), which sees it at 0000:00:00.0",
               false, 1);
    fake_backend_set_state(f->backend, PB_DEVICE_FAILED, "it is stuck");
    assert_why(f, "nic0", "0000:03:00.0 (nic0) is failed: it is stuck", false, 1);
    fake_backend_set_state(f->backend, PB_DEVICE_RESETTING, "");
    assert_why(f, "nic0", "0000:03:00.0 (nic0) is resetting", false, 1);
    assert_why(f, FAKE_DISK, "0000:04:00.0 is absent: it is not in the machine", false, 0);
    assert_fails(f, "why", "{\"dev\":\"missing\"}", -32001, "no device has this name");
}

static void denied_writes_are_shown_by_register(void **state)
{
    struct fixture *f = *state;
    const json_t *result = result_of(f, "denied", "{\"dev\":\"nic0\"}");
    const json_t *array = json_object_get(result, "denied"), *entry;

    assert_string_equal(text_of(json_object_get(result, "device"), "address"), FAKE_NIC);
    assert_int_equal(json_integer_value(json_object_get(result, "lost")), 5);
    assert_int_equal(json_array_size(array), 2);
    entry = json_array_get(array, 0);
    assert_string_equal(text_of(entry, "offset"), "0x04");
    assert_string_equal(text_of(entry, "bits"), "0x0400");
    assert_string_equal(text_of(entry, "value"), "0x0507");
    assert_string_equal(text_of(entry, "register"), "COMMAND");
    assert_non_null(text_of(entry, "danger"));
    entry = json_array_get(array, 1);
    assert_string_equal(text_of(entry, "bits"), "0xff00ff00");
    assert_int_equal(json_integer_value(json_object_get(entry, "count")), 7);
    assert_true(json_is_null(json_object_get(entry, "register")));
    assert_true(json_is_null(json_object_get(entry, "danger")));
}

static void stats_have_every_counter_and_limit(void **state)
{
    struct fixture *f = *state;
    const json_t *result = result_of(f, "stats", "");
    const json_t *limits = json_object_get(result, "limits"), *guest;

#define X(name, help)                                                                          \
    assert_true(json_is_integer(json_object_get(json_object_get(result, "counters"), #name))); \
    assert_string_equal(text_of(json_object_get(result, "counter_help"), #name), help);
    PB_COUNTERS(X)
#undef X
#define X(name, fallback, min, max, help)                                                          \
    assert_int_equal(json_integer_value(json_object_get(json_object_get(limits, #name), "value")), \
                     fallback);
    PB_LIMITS(X)
#undef X
    assert_int_equal(json_integer_value(json_object_get(json_object_get(limits, "guests"), "used")),
                     1);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(limits, "pirqs_per_guest"), "used")), 3);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(limits, "control_clients"), "used")), 1);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(result, "device_states"), "claimed")),
        1);
    guest = json_array_get(json_object_get(result, "guests"), 0);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(guest, "counters"), "ops")),
                     10);
}

static void check_config_reads_the_file_anew(void **state)
{
    struct fixture *f = *state;
    char path[80];
    FILE *file;

    assert_true(json_is_true(json_object_get(result_of(f, "check-config", ""), "valid")));
    start_reloader(f, "/nonexistent/none.json", true);
    assert_true(json_is_false(json_object_get(result_of(f, "check-config", ""), "valid")));
    assert_non_null(strstr(text_of(json_object_get(f->reply, "result"), "error"), "No such file"));

    snprintf(path, sizeof(path), "%s/c.json", f->dir);
    start_reloader(f, path, true);
    file = fopen(path, "w");
    fputs("{\"limits\":{\"guests\":0}}", file);
    fclose(file);
    assert_true(json_is_false(json_object_get(result_of(f, "check-config", ""), "valid")));
    assert_non_null(
        strstr(text_of(json_object_get(f->reply, "result"), "error"), "/limits/guests"));
    unlink(path);
}

static void version_lists_the_verbs(void **state)
{
    struct fixture *f = *state;
    const json_t *result = result_of(f, "version", ""), *verbs;
    size_t count;
    const struct pb_verb *table = pb_verbs_table(&count);

    assert_string_equal(text_of(result, "jsonrpc"), "2.0");
    assert_string_equal(text_of(result, "pciif_magic"), "7");
    assert_int_equal(json_array_size(json_object_get(result, "kinds")), 2);
    assert_int_equal(json_array_size(json_object_get(result, "topologies")), PB_TOPOLOGY_COUNT);
    verbs = json_object_get(result, "verbs");
    assert_int_equal(json_array_size(verbs), count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(text_of(json_array_get(verbs, i), "name"), table[i].name);
}

static void modalias_is_what_the_database_is_keyed_by(void **state)
{
    struct pb_device_view view = { .known = true,
                                   .vendor = 0x8086,
                                   .device = 0x10d3,
                                   .subsystem_vendor = 0x8086,
                                   .subsystem_device = 0xa01f,
                                   .class_code = 0x0200ff };
    struct pb_device_names none = pb_names_find(NULL, &view);
    struct pb_names *names = pb_names_open();
    char text[PB_MODALIAS_TEXT];

    (void)state;
    assert_string_equal(pb_names_modalias(&view, text),
                        "pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00iFF");
    assert_string_equal(none.vendor, "");
    assert_string_equal(none.device, "");
    assert_string_equal(none.device_class, "");
    if (names) {
        assert_non_null(strstr(pb_names_find(names, &view).vendor, "Intel"));
        assert_non_null(strstr(pb_names_find(names, &view).device, "82574L"));
        assert_non_null(strstr(pb_names_find(names, &view).device_class, "Ethernet"));
        view.known = false;
        assert_string_equal(pb_names_find(names, &view).vendor, "");
    }
    pb_names_close(names);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(wrong_params_are_named),
        TEST(changing_verbs_reach_the_backend_with_their_params),
        TEST(change_answers_with_the_device),
        TEST(slot_is_shown_as_long_as_it_is_listed),
        TEST(why_answers_in_one_sentence_whatever_the_state),
        TEST(failure_is_told_in_full),
        TEST(device_is_shown_in_full),
        TEST(denied_writes_are_shown_by_register),
        TEST(stats_have_every_counter_and_limit),
        TEST(check_config_reads_the_file_anew),
        TEST(version_lists_the_verbs),
        cmocka_unit_test(modalias_is_what_the_database_is_keyed_by),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
