/* SPDX-License-Identifier: MIT */
/* T17: who may do what at the control socket, and that nobody makes others wait there. */
#include "control_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "daemon/reload.h"

#define VERSION "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"version\"}\n"
#define LIST    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\"}\n"

static int setup_with_reloader(void **state)
{
    struct pb_reloader_options options = { .source = { .config_path = "/nonexistent/none.json",
                                                       .any_owner = true } };
    struct pb_json_error error = { 0 };
    struct fixture *f;
    int rc = control_setup(state);

    f = *state;
    options.loop = f->loop;
    options.verbs = &f->verbs;
    f->verbs.reloader =
        pb_reloader_new(&options, pb_config_load("/nonexistent/none.json", false, true, &error));
    assert_non_null(f->verbs.reloader);
    return rc;
}

static int teardown_with_reloader(void **state)
{
    struct fixture *f = *state;

    pb_control_quiesce(f->control);
    pb_reloader_free(f->verbs.reloader);
    return control_teardown(state);
}

/* --- somebody else --- */

typedef int (*child_fn)(const char *path, int tell);

/* RUN in a process that is nobody's; its status is RUN's. It may tell something by a pipe. */
static pid_t as_nobody(struct fixture *f, child_fn run, int *ret_told)
{
    int fds[2];
    pid_t child;

    assert_int_equal(chmod(f->path, 0666), 0);
    assert_int_equal(pipe(fds), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(fds[0]);
        if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
            _exit(100);
        _exit(run(f->path, fds[1]));
    }
    close(fds[1]);
    if (ret_told)
        *ret_told = fds[0];
    else
        close(fds[0]);
    return child;
}

static int status_of(struct fixture *f, pid_t child)
{
    uint64_t end = pb_now_ms() + PATIENCE_MS;
    int status = -1;

    while (waitpid(child, &status, WNOHANG) == 0 && pb_now_ms() < end)
        turn(f);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Until the child has told a byte. */
static void await(struct fixture *f, int told)
{
    struct timeval none = { 0, 1000 };
    uint64_t end = pb_now_ms() + PATIENCE_MS;
    fd_set set;
    char byte;

    do {
        turn(f);
        FD_ZERO(&set);
        FD_SET(told, &set);
        assert_true(pb_now_ms() < end);
    } while (select(told + 1, &set, NULL, NULL, &none) != 1);
    assert_int_equal(read(told, &byte, 1), 1);
}

static void end_child(pid_t child, int told)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(told);
}

static int stay(int tell)
{
    (void)!write(tell, "x", 1);
    for (;;)
        pause();
    return 0;
}

/* --- levels --- */

/* Whoever adds a verb that readers may use decides it here, too. */
static const char *const for_readers[] = {
    "slot.list", "list",           "show",   "why",   "guests",       "stats",   "quirks.list",
    "map",       "quirks.explain", "denied", "trace", "check-config", "version", "suggest-quirk",
};

static bool is_for_readers(const char *verb)
{
    for (size_t i = 0; i < PB_ARRAY_SIZE(for_readers); i++) {
        if (strcmp(for_readers[i], verb) == 0)
            return true;
    }
    return false;
}

static const char *example(enum pb_param_type type)
{
    switch (type) {
    case PB_PARAM_DEVICE:
        return "\"nic0\"";
    case PB_PARAM_GUEST:
    case PB_PARAM_SECONDS:
    case PB_PARAM_NUMBER:
        return "7";
    case PB_PARAM_FLAG:
        return "true";
    case PB_PARAM_SLOT:
        return "\"0000:05:00.0\"";
    case PB_PARAM_NONE:
        break;
    }
    return "";
}

/* A request with all parameters that VERB has. */
static void compose(const struct pb_verb *verb, char *ret, size_t size)
{
    size_t n;

    n = (size_t)snprintf(ret, size, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{",
                         verb->name);
    for (unsigned i = 0; i < PB_VERB_PARAMS_MAX && verb->params[i].name; i++)
        n += (size_t)snprintf(ret + n, size - n, "%s\"%s\":%s", i ? "," : "", verb->params[i].name,
                              example(verb->params[i].type));
    (void)snprintf(ret + n, size - n, "}}\n");
}

/* The code of the answer's error, 0 for none; TEXT is the answer. */
static long long code_in(const char *text)
{
    json_t *answer = json_loads(text, 0, NULL);
    long long code;

    assert_non_null(answer);
    assert_true(json_object_get(answer, "result") || json_object_get(answer, "error"));
    code = json_integer_value(json_object_get(json_object_get(answer, "error"), "code"));
    json_decref(answer);
    return code;
}

/* What a verb cannot do here for other reasons is no matter of levels. */
static bool is_right(const struct pb_verb *verb, long long code, bool root)
{
    bool allowed = root || verb->level == PB_LEVEL_READER;

    return code != -32602 && (code == -32008) == !allowed;
}

static int try_all_verbs(const char *path, int tell)
{
    static char text[1 << 17];
    const struct pb_verb *table;
    size_t count, n;
    ssize_t r;

    (void)tell;
    table = pb_verbs_table(&count);
    for (size_t i = 0; i < count; i++) {
        int fd = connect_to(path);

        compose(&table[i], text, sizeof(text));
        if (fd < 0 || send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
            return 101;
        for (n = 0; n == 0 || text[n - 1] != '\n'; n += (size_t)r) {
            r = recv(fd, text + n, sizeof(text) - 1 - n, 0);
            if (r <= 0)
                return 102;
        }
        text[n] = '\0';
        close(fd);
        if (!is_right(&table[i], code_in(text), false))
            return (int)i + 1;
    }
    return 0;
}

static void T17_verbs_are_for_whom_their_level_says(void **state)
{
    struct fixture *f = *state;
    const struct pb_verb *table;
    char request[512];
    size_t count;
    int fd, status;

    needs_root();
    table = pb_verbs_table(&count);
    for (size_t i = 0; i < count; i++) {
        assert_true(table[i].level == PB_LEVEL_READER || table[i].level == PB_LEVEL_ROOT);
        if ((table[i].level == PB_LEVEL_READER) != is_for_readers(table[i].name))
            fail_msg("%s: is it for readers?", table[i].name);
    }
    status = status_of(f, as_nobody(f, try_all_verbs, NULL));
    if (status != 0)
        fail_msg("as nobody: %s",
                 status <= (int)count ? table[status - 1].name : "the child did not get that far");
    assert_int_equal(fake_backend_calls(f->backend)->count, 0);

    fd = new_client(f);
    for (size_t i = 0; i < count; i++) {
        compose(&table[i], request, sizeof(request));
        send_text(fd, request);
        if (!is_right(&table[i], code_in(receive(f, fd)), true))
            fail_msg("as root: %s", table[i].name);
    }
    assert_true(fake_backend_calls(f->backend)->count > 0);
    close(fd);
}

/* --- turns --- */

/* Gives what it takes, and takes what it gives. */
static void keep_busy(int fd, const char *request)
{
    char bin[65536];

    while (send(fd, request, strlen(request), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        continue;
    while (recv(fd, bin, sizeof(bin), MSG_DONTWAIT) > 0)
        continue;
}

/* How many turns until something arrives. */
static unsigned turns_until_answer(struct fixture *f, int fd, int busy, const char *request)
{
    unsigned turns = 0;
    char byte;

    while (recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0) {
        keep_busy(busy, request);
        turn(f);
        assert_true(++turns < 1000);
    }
    return turns;
}

static void T17_one_client_floods_and_another_has_its_turn(void **state)
{
    struct fixture *f = *state;
    int busy = new_client(f), fd = new_client(f);

    for (unsigned i = 0; i < 50; i++) {
        keep_busy(busy, VERSION);
        send_text(fd, VERSION);
        /* It is read in the first and answered in the second, unless that was over after the
         * other's message, because we were not scheduled. */
        assert_in_range(turns_until_answer(f, fd, busy, VERSION), 1, 3);
        assert_non_null(receive(f, fd));
    }
    assert_true(pb_control_use(f->control)->messages > 500);
    close(busy);
    close(fd);
}

static void T17_a_turn_has_so_many_messages_however_many_clients_flood(void **state)
{
    struct fixture *f = *state;
    int fd[CLIENTS_MAX];
    uint64_t before, most = 0;

    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        fd[i] = new_client(f);
    for (unsigned n = 0; n < 200; n++) {
        for (unsigned i = 0; i < CLIENTS_MAX; i++)
            keep_busy(fd[i], VERSION);
        before = pb_control_use(f->control)->messages;
        turn(f);
        if (pb_control_use(f->control)->messages - before > most)
            most = pb_control_use(f->control)->messages - before;
    }
    assert_in_range(most, 1, PB_CONTROL_TURN_MESSAGES);
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        close(fd[i]);
}

static void T17_a_long_list_is_composed_over_many_turns(void **state)
{
    struct fixture *f = *state;
    int fd = new_client(f), other = new_client(f);
    unsigned turns = 0;
    json_t *answer;
    char byte;

    fake_backend_multiply(f->backend, 3000);
    send_text(fd, LIST);
    send_text(other, VERSION);
    while (recv(other, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0) {
        turn(f);
        assert_true(++turns <= 3);
    }
    while (recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0) {
        turn(f);
        turns++;
    }
    assert_true(turns >= 3000 / (PB_CONTROL_TURN_MESSAGES * 8));
    answer = json_loads(receive(f, fd), JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal(json_array_size(json_object_get(json_object_get(answer, "result"), "devices")),
                     3002);
    json_decref(answer);
    close(fd);
    close(other);
}

static void T17_who_vanishes_before_a_long_list_is_composed_is_forgotten(void **state)
{
    struct fixture *f = *state;
    int fd = new_client(f);

    fake_backend_multiply(f->backend, 3000);
    for (unsigned i = 0; i < 20; i++) /* what comes behind it is not even begun */
        send_text(fd, LIST);
    for (unsigned i = 0; i < 5; i++)
        turn(f);
    close(fd);
    settle(f);
    assert_int_equal(pb_control_use(f->control)->clients, 0);
    assert_int_equal(pb_control_use(f->control)->messages, 1);
    fd = new_client(f);
    assert_has(ask(f, fd, "version", "{}"), "\"result\"");
    close(fd);
}

static void T17_shutdown_breaks_off_a_long_list(void **state)
{
    struct fixture *f = *state;
    int fd = new_client(f), other = new_client(f);

    fake_backend_multiply(f->backend, 3000);
    send_text(fd, LIST);
    send_text(other, LIST); /* is not even begun */
    for (unsigned i = 0; i < 5; i++)
        turn(f);
    pb_control_quiesce(f->control);
    assert_has(receive(f, fd), "the daemon stops");
    assert_has(receive(f, other), "the daemon stops");
    close(fd);
    close(other);
}

/* --- what readers may have --- */

static int ask_often(const char *path, int tell)
{
    char bin[4096];
    int fd = connect_to(path);

    for (unsigned i = 0; i < 40; i++) {
        if (send(fd, VERSION, strlen(VERSION), MSG_NOSIGNAL) < 0)
            return 1;
    }
    (void)!write(tell, "x", 1);
    shutdown(fd, SHUT_WR);
    while (recv(fd, bin, sizeof(bin), 0) > 0)
        continue;
    return 0;
}

static void T17_readers_have_so_many_requests_a_second(void **state)
{
    struct fixture *f = *state;
    uint64_t begin = pb_now_ms();
    int fd, told;
    pid_t child;

    needs_root();
    f->verbs.limits.control_requests_per_s = 20;
    child = as_nobody(f, ask_often, &told);
    await(f, told);
    settle(f);
    assert_in_range(pb_control_use(f->control)->messages, 1, 20);
    assert_true(pb_control_use(f->control)->delayed > 0);
    fd = new_client(f);
    for (unsigned i = 0; i < 50; i++) /* root may ask as it likes */
        assert_non_null(ask(f, fd, "version", "{}"));
    assert_true(pb_now_ms() - begin < 900 || pb_control_use(f->control)->messages >= 70);
    assert_int_equal(status_of(f, child), 0); /* nothing is lost, all of it is later */
    assert_int_equal(pb_control_use(f->control)->messages, 90);
    assert_true(pb_now_ms() - begin >= 900);
    close(fd);
    close(told);
}

static int ask_often_with_two(const char *path, int tell)
{
    int fd[2] = { connect_to(path), connect_to(path) };

    for (unsigned i = 0; i < 40; i++)
        (void)!send(fd[i % 2], VERSION, strlen(VERSION), MSG_NOSIGNAL);
    return stay(tell);
}

static void T17_readers_together_have_so_many_requests_a_second(void **state)
{
    struct fixture *f = *state;
    int told;
    pid_t child;

    needs_root();
    f->verbs.limits.control_readers_requests_per_s = 10;
    child = as_nobody(f, ask_often_with_two, &told);
    await(f, told);
    settle(f);
    assert_in_range(pb_control_use(f->control)->messages, 1, 10);
    assert_int_equal(pb_control_use(f->control)->delayed, 2);
    end_child(child, told);
}

#define CHECK "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"check-config\"}\n"

/* At once, and after the pause. */
static int check_config_often(const char *path, int tell)
{
    char text[4096];
    int fd = connect_to(path);

    (void)tell;
    for (unsigned i = 0; i < 2; i++) {
        if (send(fd, CHECK, strlen(CHECK), MSG_NOSIGNAL) < 0 ||
            recv(fd, text, sizeof(text), 0) <= 0)
            return 1;
    }
    return 0;
}

static void T17_readers_have_their_configuration_checked_once_a_second(void **state)
{
    struct fixture *f = *state;
    uint64_t begin = pb_now_ms();
    int fd = new_client(f);

    needs_root();
    for (unsigned i = 0; i < 10; i++)
        assert_has(ask(f, fd, "check-config", "{}"), "\"valid\":true");
    assert_true(pb_now_ms() - begin < PB_RELOAD_READERS_MS); /* not so root */
    begin = pb_now_ms();
    assert_int_equal(status_of(f, as_nobody(f, check_config_often, NULL)), 0);
    assert_true(pb_now_ms() - begin >= PB_RELOAD_READERS_MS);
    close(fd);
}

static int leave_unread(const char *path, int tell)
{
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        (void)!send(connect_to(path), LIST, strlen(LIST), MSG_NOSIGNAL);
    return stay(tell);
}

static void T17_unread_answers_of_readers_are_bounded(void **state)
{
    const struct pb_control_use *use;
    struct fixture *f = *state;
    uint64_t end = pb_now_ms() + PATIENCE_MS;
    int told;
    pid_t child;

    needs_root();
    f->verbs.limits.control_unread_bytes = 2 << 20;
    fake_backend_multiply(f->backend, 1500); /* an answer of about a megabyte */
    child = as_nobody(f, leave_unread, &told);
    await(f, told);
    use = pb_control_use(f->control);
    while (use->dropped < 3 && pb_now_ms() < end)
        turn(f);
    assert_true(use->dropped >= 2);
    assert_in_range(use->unread_most, 1 << 20, 2 << 20);
    assert_in_range(use->unread, 1, 2 << 20);
    /* a single answer that is longer says so */
    f->verbs.limits.control_unread_bytes = 100000;
    end_child(child, told);
    settle(f);
    assert_int_equal(use->unread, 0);
}

static int too_many(const char *path, int tell)
{
    char text[512];
    int fd[3];
    ssize_t n;

    (void)tell;
    for (unsigned i = 0; i < 3; i++)
        fd[i] = connect_to(path);
    n = recv(fd[2], text, sizeof(text) - 1, 0);
    if (n <= 0)
        return 1;
    text[n] = '\0';
    if (!strstr(text, "-32007") || !strstr(text, "control_clients_per_uid"))
        return 2;
    (void)!send(fd[0], VERSION, strlen(VERSION), MSG_NOSIGNAL);
    return recv(fd[0], text, sizeof(text), 0) > 0 ? 0 : 3;
}

static void T17_one_user_has_so_many_connections(void **state)
{
    struct fixture *f = *state;
    int fd[3];

    needs_root();
    f->verbs.limits.control_clients_per_uid = 2;
    assert_int_equal(status_of(f, as_nobody(f, too_many, NULL)), 0);
    assert_int_equal(pb_control_use(f->control)->refused, 1);
    settle(f);
    for (unsigned i = 0; i < 3; i++) /* not so root */
        fd[i] = new_client(f);
    assert_has(ask(f, fd[2], "version", "{}"), "\"result\"");
    for (unsigned i = 0; i < 3; i++)
        close(fd[i]);
}

static void T17_readers_that_wait_for_answers_do_not_lock_root_out(void **state)
{
    struct fixture *f = *state;
    int fd, told;
    pid_t child;

    needs_root();
    fake_backend_multiply(f->backend, 30000);
    f->verbs.limits.control_answer_bytes = 16 << 20;
    child = as_nobody(f, leave_unread, &told);
    await(f, told);
    for (unsigned i = 0; pb_control_use(f->control)->messages < CLIENTS_MAX && i < 100; i++)
        turn(f);
    assert_int_equal(pb_control_use(f->control)->clients, CLIENTS_MAX);
    fd = connect_to(f->path);
    assert_has(ask(f, fd, "version", "{}"), "\"result\"");
    assert_int_equal(pb_control_use(f->control)->clients, CLIENTS_MAX);
    close(fd);
    end_child(child, told);
}

/* --- bytes --- */

static unsigned open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void send_with_descriptor(int fd, const char *text, int passed)
{
    char control[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec io = { (char *)(uintptr_t)text, strlen(text) };
    struct msghdr message = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
    };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &passed, sizeof(int));
    assert_int_equal(sendmsg(fd, &message, MSG_NOSIGNAL), strlen(text));
}

static void T17_descriptors_that_are_passed_are_closed(void **state)
{
    struct fixture *f = *state;
    int fd = new_client(f), fds[2];
    unsigned before = open_descriptors();
    char byte;

    assert_int_equal(pipe(fds), 0);
    for (unsigned i = 0; i < 100; i++) {
        send_with_descriptor(fd, VERSION, fds[1]);
        assert_has(receive(f, fd), "\"result\"");
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 0); /* nobody has the other end any more */
    close(fds[0]);
    assert_int_equal(open_descriptors(), before);
    close(fd);
}

static void T17_a_flood_of_connections_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    unsigned before;

    settle(f);
    before = open_descriptors();
    for (unsigned i = 0; i < 500; i++) {
        int fd = connect_to(f->path);

        if (i % 3 == 0)
            (void)!send(fd, VERSION, i % sizeof(VERSION), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (i % 7 == 0)
            turn(f);
        close(fd);
        if (i % 20 == 0)
            settle(f);
    }
    settle(f);
    assert_int_equal(pb_control_use(f->control)->clients, 0);
    assert_int_equal(open_descriptors(), before);
}

static void T17_bytes_that_are_no_message(void **state)
{
    static const struct {
        const char *text;
        size_t length;
        const char *code;
    } bad[] = {
#define BYTES(text, code) { text, sizeof(text) - 1, code }
        BYTES("\0\n", "-32700"),
        BYTES("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ver\0sion\"}\n", "-32700"),
        BYTES("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\\u0000\"}\n", "-32700"),
        BYTES("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xc3(\"}\n", "-32700"),
        BYTES("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\\ud800\"}\n", "-32700"),
        BYTES("{\"jsonrpc\":\"2.0\",\"id\":1e999999,\"method\":\"list\"}\n", "-32700"),
        BYTES("{\"jsonrpc\":\"2.0\",\"id\":99999999999999999999,\"method\":\"list\"}\n", "-32700"),
        BYTES("{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"list\"}\n", "-32700"),
        BYTES("{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"list\"}\n", "-32600"),
        BYTES("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\"}{}\n", "-32700"),
        BYTES("\xef\xbb\xbf{}\n", "-32700"),
#undef BYTES
    };
    struct fixture *f = *state;
    int fd = new_client(f);

    for (size_t i = 0; i < PB_ARRAY_SIZE(bad); i++) {
        send_bytes(fd, bad[i].text, bad[i].length);
        assert_has(receive(f, fd), bad[i].code);
    }
    assert_has(ask(f, fd, "version", "{}"), "\"result\"");
    close(fd);
}

/* Nested as deep as is allowed, and one deeper; what stands in strings is not nested. */
static void T17_nesting_ends_where_it_is_said(void **state)
{
    struct fixture *f = *state;
    char text[512], open[80], close_[80], quoted[80];
    int fd = new_client(f);

    memset(quoted, '[', sizeof(quoted) - 1);
    quoted[sizeof(quoted) - 1] = '\0';
    for (int depth = PB_JSON_DEPTH_MAX; depth <= PB_JSON_DEPTH_MAX + 1; depth++) {
        memset(open, '[', sizeof(open));
        memset(close_, ']', sizeof(close_));
        open[depth - 1] = close_[depth - 1] = '\0';
        (void)snprintf(text, sizeof(text),
                       "{\"jsonrpc\":\"2.0\",\"id\":\"%s\",\"method\":\"list\",\"params\":%s%s}\n",
                       quoted, open, close_);
        send_text(fd, text);
        assert_has(receive(f, fd), depth > PB_JSON_DEPTH_MAX ? "nested deeper" : "-32602");
    }
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, control_setup, control_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(T17_verbs_are_for_whom_their_level_says,
                                        setup_with_reloader, teardown_with_reloader),
        TEST(T17_one_client_floods_and_another_has_its_turn),
        TEST(T17_a_turn_has_so_many_messages_however_many_clients_flood),
        TEST(T17_a_long_list_is_composed_over_many_turns),
        TEST(T17_who_vanishes_before_a_long_list_is_composed_is_forgotten),
        TEST(T17_shutdown_breaks_off_a_long_list),
        TEST(T17_readers_have_so_many_requests_a_second),
        TEST(T17_readers_together_have_so_many_requests_a_second),
        cmocka_unit_test_setup_teardown(T17_readers_have_their_configuration_checked_once_a_second,
                                        setup_with_reloader, teardown_with_reloader),
        TEST(T17_unread_answers_of_readers_are_bounded),
        TEST(T17_one_user_has_so_many_connections),
        TEST(T17_readers_that_wait_for_answers_do_not_lock_root_out),
        TEST(T17_descriptors_that_are_passed_are_closed),
        TEST(T17_a_flood_of_connections_leaves_nothing_behind),
        TEST(T17_bytes_that_are_no_message),
        TEST(T17_nesting_ends_where_it_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
