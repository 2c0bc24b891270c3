/* SPDX-License-Identifier: MIT */
#include "reload_fixture.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "tree.h"

sem_t read_done, go_on;
bool gated;
unsigned readings;

static void load(const struct pb_source *source, struct pb_generation *ret)
{
    pb_generation_load(source, ret);
    readings++;
    if (gated) {
        assert_int_equal(sem_post(&read_done), 0);
        assert_int_equal(sem_wait(&go_on), 0);
    }
}

void write_file(const struct fixture *f, const char *name, const char *fmt, ...)
{
    char path[128];
    va_list ap;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    file = fopen(path, "w");
    assert_non_null(file);
    va_start(ap, fmt);
    assert_true(vfprintf(file, fmt, ap) >= 0);
    va_end(ap);
    assert_int_equal(fclose(file), 0);
}

void write_config(const struct fixture *f, const char *more)
{
    write_file(f, "config.json", "{ \"quirk_dirs\": [\"%s/q\"], \"plugin_dirs\": []%s }", f->dir,
               more);
}

void write_quirk(const struct fixture *f, const char *file, const char *id)
{
    write_file(f, file,
               "{ \"schema\": 1, \"quirks\": [ { \"id\": \"%s\", \"reason\": \"a test\","
               " \"source\": \"https://example.org/\","
               " \"match\": { \"vendor\": \"0x8086\", \"device\": [\"0x10d3\"] },"
               " \"fields\": [ { \"at\": \"0x40\", \"size\": 4, \"write\": \"0xff\","
               " \"why\": \"a test\" } ] } ] }",
               id);
}

void connect_client(struct fixture *f, struct client *c)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    c->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->socket);
    assert_int_equal(connect(c->fd, (const struct sockaddr *)&address, sizeof(address)), 0);
}

int reload_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct pb_control_options control = {
        .group = "root", .limits = &f->verbs.limits, .message = pb_verbs_message, .ctx = &f->verbs
    };
    struct pb_reloader_options options = { .verbs = &f->verbs, .load = load };
    struct pb_json_error error = { 0 };
    struct pb_generation start;
    struct pb_policy *policy;
    char path[128], why[300];

    pb_log_setup(PB_LOG_TEXT, PB_LOG_ERR);
    gated = false;
    readings = 0;
    assert_int_equal(sem_init(&read_done, 0, 0), 0);
    assert_int_equal(sem_init(&go_on, 0, 0), 0);
    strcpy(f->dir, "/tmp/pb-reload-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(path, sizeof(path), "%s/q", f->dir);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(f->config, sizeof(f->config), "%s/config.json", f->dir);
    snprintf(f->socket, sizeof(f->socket), "%s/socket", f->dir);
    write_config(f, "");
    options.source = (struct pb_source){ f->config, true, true, true };
    f->loop = options.loop = ev_loop_new(EVFLAG_AUTO);
    pb_generation_load(&options.source, &start);
    policy = pb_policy_copy(start.config->policy);
    f->verbs.limits = policy->limits;
    assert_int_equal(pb_backend_new(f->loop, NULL, NULL, policy, start.quirks, &f->verbs.backend),
                     0);
    f->verbs.reloader = pb_reloader_new(&options, start.config);
    assert_non_null(f->verbs.reloader);
    control.path = f->socket;
    assert_int_equal(pb_control_open(f->loop, &control, &f->verbs.control, why, sizeof(why)), 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        connect_client(f, &f->client[i]);
    assert_false(error.set);
    *state = f;
    return 0;
}

int reload_teardown(void **state)
{
    struct fixture *f = *state;

    pb_control_quiesce(f->verbs.control);
    pb_reloader_free(f->verbs.reloader);
    pb_backend_free(f->verbs.backend);
    pb_control_close(f->verbs.control);
    ev_loop_destroy(f->loop);
    for (unsigned i = 0; i < CLIENTS; i++) {
        json_decref(f->client[i].reply);
        close(f->client[i].fd);
    }
    pb_tree_remove(f->dir);
    sem_destroy(&read_done);
    sem_destroy(&go_on);
    free(f);
    return 0;
}

void post(struct fixture *f, unsigned client, const char *method, const char *params)
{
    char text[200];
    size_t n = (size_t)snprintf(text, sizeof(text),
                                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}\n",
                                method, params);

    assert_int_equal(send(f->client[client].fd, text, n, MSG_NOSIGNAL), n);
    f->client[client].length = 0;
}

bool answered(struct client *c)
{
    ssize_t n = recv(c->fd, c->text + c->length, sizeof(c->text) - c->length, MSG_DONTWAIT);

    c->length += n > 0 ? (size_t)n : 0;
    return c->length > 0 && c->text[c->length - 1] == '\n';
}

const json_t *reply_to(struct fixture *f, unsigned client)
{
    struct client *c = &f->client[client];
    uint64_t end = pb_now_ms() + 20000;

    do
        ev_run(f->loop, EVRUN_NOWAIT);
    while (!answered(c) && pb_now_ms() < end);
    json_decref(c->reply);
    c->reply = json_loadb(c->text, c->length, 0, NULL);
    assert_non_null(c->reply);
    return c->reply;
}

const json_t *result_to(struct fixture *f, unsigned client)
{
    const json_t *result = json_object_get(reply_to(f, client), "result");

    if (!result)
        fail_msg("refused: %s", json_dumps(f->client[client].reply, 0));
    return result;
}

const json_t *ask(struct fixture *f, const char *method, const char *params)
{
    post(f, 0, method, params);
    return result_to(f, 0);
}

long long number(const json_t *object, const char *key)
{
    assert_true(json_is_integer(json_object_get(object, key)));
    return json_integer_value(json_object_get(object, key));
}

const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

bool tells(const json_t *array, const char *part)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *text = json_string_value(json_array_get(array, i));

        if (text && strstr(text, part))
            return true;
    }
    return false;
}

const json_t *refused(struct fixture *f, const char *params)
{
    uint64_t before = pb_backend_generation(f->verbs.backend);
    const struct pb_quirk_set *quirks = pb_backend_quirks(f->verbs.backend);
    const json_t *error;

    post(f, 0, "reload", params);
    error = json_object_get(reply_to(f, 0), "error");
    assert_int_equal(number(error, "code"), -32009);
    assert_int_equal(pb_backend_generation(f->verbs.backend), before);
    assert_ptr_equal(pb_backend_quirks(f->verbs.backend), quirks);
    assert_non_null(strstr(text_of(json_object_get(error, "data"), "next"), "stays in force"));
    return json_object_get(error, "data");
}

void needs_root(void)
{
    if (geteuid() != 0)
        skip();
}
