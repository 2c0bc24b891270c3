/* SPDX-License-Identifier: MIT */
/* Hostile and ordinary clients of the control socket, with the verbs over a fake backend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "control_fixture.h"

static void request_is_answered_with_its_id(void **state)
{
    struct fixture *f = *state;
    int fd = new_client(f);
    const char *reply;

    send_text(fd, "{\"jsonrpc\":\"2.0\",\"id\":\"seven\",\"method\":\"guests\"}\n");
    reply = receive(f, fd);
    assert_has(reply, "\"id\":\"seven\"");
    assert_has(reply, "\"result\":{\"guests\":[{\"domid\":7,\"name\":\"netvm\"");
    close(fd);
}

static void partial_message_waits(void **state)
{
    static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"version\"}\n";
    struct fixture *f = *state;
    int fd = new_client(f);

    for (size_t i = 0; i + 1 < sizeof(request) - 1; i++) {
        send_bytes(fd, request + i, 1);
        turn(f);
    }
    assert_true(nothing_arrives(f, fd));
    send_text(fd, "\n");
    assert_has(receive(f, fd), "\"jsonrpc\":\"2.0\"");
    close(fd);
}

static void client_that_closes_its_sending_side_is_answered(void **state)
{
    struct fixture *f = *state;
    int fd = new_client(f);

    send_text(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"version\"}\n{\"half");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_has(receive(f, fd), "\"result\"");
    assert_null(receive(f, fd));
    assert_int_equal(pb_control_use(f->control)->clients, 0);
    close(fd);
}

static void oversized_message_is_refused_and_closed(void **state)
{
    struct fixture *f = *state;
    char text[MESSAGE_MAX + 1];
    int fd = new_client(f);
    const char *reply;

    memset(text, ' ', sizeof(text));
    send_bytes(fd, text, sizeof(text));
    reply = receive(f, fd);
    assert_has(reply, "-32600");
    assert_has(reply, "longer than 4096 bytes");
    assert_null(receive(f, fd));
    assert_int_equal(pb_control_use(f->control)->clients, 0);
    close(fd);
}

static void longest_allowed_message_is_read(void **state)
{
    static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"version\"}";
    struct fixture *f = *state;
    char text[MESSAGE_MAX + 1];
    int fd = new_client(f);

    snprintf(text, sizeof(text), "%-*s", MESSAGE_MAX, request);
    text[MESSAGE_MAX] = '\n';
    send_bytes(fd, text, sizeof(text));
    assert_has(receive(f, fd), "\"result\"");
    close(fd);
}

static void deeply_nested_message_is_refused(void **state)
{
    struct fixture *f = *state;
    char text[2001];
    int fd = new_client(f);
    const char *reply;

    memset(text, '[', sizeof(text));
    text[2000] = '\n';
    send_bytes(fd, text, sizeof(text));
    reply = receive(f, fd);
    assert_has(reply, "-32700");
    assert_has(reply, "nested deeper");
    /* its connection goes on */
    assert_has(ask(f, fd, "version", "{}"), "\"result\"");
    close(fd);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct fixture *f = *state;
    int fd = new_client(f);

    needs_root();
    for (int i = 0; i < 60; i++) {
        char request[160];

        snprintf(
            request, sizeof(request),
            "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"%s\",\"params\":{\"dev\":\"nic0\"}}\n", i,
            i % 2 ? "show" : "claim");
        send_text(fd, request);
    }
    for (int i = 0; i < 60; i++) {
        char id[16];
        const char *reply = receive(f, fd);

        snprintf(id, sizeof(id), "\"id\":%d,", i);
        assert_has(reply, id);
        assert_has(reply, "\"result\"");
    }
    assert_int_equal(fake_backend_calls(f->backend)->count, 30);
    close(fd);
}

static void vanished_client_during_attach_leaves_the_verb_to_finish(void **state)
{
    struct fixture *f = *state;
    int fd = new_client(f);

    needs_root();
    send_text(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"attach\","
                  "\"params\":{\"guest\":\"netvm\",\"dev\":\"slow\"}}\n");
    settle(f);
    assert_int_equal(fake_backend_calls(f->backend)->pending, 1);
    close(fd);
    settle(f);
    assert_int_equal(fake_backend_calls(f->backend)->pending, 1);
    fake_backend_complete(f->backend);
    settle(f);
    assert_int_equal(pb_control_use(f->control)->clients, 0);
    fd = new_client(f);
    assert_has(ask(f, fd, "version", "{}"), "\"result\"");
    close(fd);
}

static void client_reset_during_attach_is_not_touched_again(void **state)
{
    struct fixture *f = *state;
    struct linger abort_close = { .l_onoff = 1, .l_linger = 0 };
    int fd = new_client(f);

    needs_root();
    send_text(fd,
              "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"attach\","
              "\"params\":{\"guest\":\"netvm\",\"dev\":\"slow\"}}\n"
              "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"claim\",\"params\":{\"dev\":\"a\"}}\n");
    settle(f);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_close, sizeof(abort_close));
    close(fd);
    settle(f);
    fake_backend_complete(f->backend);
    settle(f);
    assert_int_equal(pb_control_use(f->control)->clients, 0);
}

static void shutdown_during_attach_answers_it_and_runs_nothing_more(void **state)
{
    struct fixture *f = *state;
    int fd = new_client(f);

    needs_root();
    send_text(fd,
              "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"attach\","
              "\"params\":{\"guest\":\"netvm\",\"dev\":\"slow\"}}\n"
              "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"claim\",\"params\":{\"dev\":\"a\"}}\n");
    settle(f);
    /* as the daemon does it */
    pb_control_quiesce(f->control);
    pb_backend_free(f->backend);
    assert_int_equal(pb_backend_new(f->loop, NULL, NULL, NULL, NULL, &f->backend), 0);
    assert_has(receive(f, fd), "the daemon stops");
    assert_true(nothing_arrives(f, fd));
    assert_int_equal(fake_backend_calls(f->backend)->count, 0);
    close(fd);
}

static void slow_reader_is_not_read_from(void **state)
{
    static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\"}\n";
    struct fixture *f = *state;
    size_t sent = 0, total = 0;
    int fd = new_client(f), other;
    ssize_t n;

    fake_backend_multiply(f->backend, 2000); /* an answer of more than a megabyte */
    for (int i = 0; i < 20000; i++) {
        n = send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        turn(f);
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    /* the socket's buffers are full: the daemon took a message and no more */
    assert_true(sent < 20000 * (sizeof(request) - 1));
    other = new_client(f);
    fake_backend_multiply(f->backend, 0);
    assert_has(ask(f, other, "version", "{}"), "\"result\"");
    close(other);
    /* when it reads again, it is served again */
    for (int i = 0; i < 3; i++) {
        assert_has(receive(f, fd), "\"devices\"");
        total++;
    }
    assert_int_equal(total, 3);
    close(fd);
    settle(f);
    assert_int_equal(pb_control_use(f->control)->clients, 0);
}

static void slow_reader_that_vanishes_is_forgotten(void **state)
{
    struct fixture *f = *state;
    int fd = new_client(f);

    fake_backend_multiply(f->backend, 2000);
    send_text(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\"}\n");
    settle(f);
    assert_int_equal(pb_control_use(f->control)->clients, 1);
    close(fd);
    settle(f);
    assert_int_equal(pb_control_use(f->control)->clients, 0);
}

static void slow_reader_that_never_reads_is_dropped(void **state)
{
    struct fixture *f = *state;
    uint64_t begin = pb_now_ms();
    int fd = new_client(f);

    fake_backend_multiply(f->backend, 2000);
    send_text(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\"}\n");
    settle(f);
    assert_int_equal(pb_control_use(f->control)->clients, 1);
    while (pb_control_use(f->control)->clients > 0 && pb_now_ms() - begin < PATIENCE_MS)
        turn(f);
    assert_int_equal(pb_control_use(f->control)->clients, 0);
    assert_true(pb_now_ms() - begin >= 400);
    close(fd);
}

static void T17_answer_beyond_the_bound_says_so(void **state)
{
    struct fixture *f = *state;
    int fd = new_client(f);
    const char *reply;

    f->verbs.limits.control_answer_bytes = 1 << 20;
    fake_backend_multiply(f->backend, 15000);
    reply = ask(f, fd, "list", "{}");
    assert_has(reply, "\"id\":1,");
    assert_has(reply, "-32007");
    assert_has(reply, "longer than 1048576 bytes");
    assert_has(reply, "control_answer_bytes");
    /* also one that is composed at once */
    f->verbs.limits.control_answer_bytes = 1000;
    assert_has(ask(f, fd, "version", "{}"), "longer than 1000 bytes");
    f->verbs.limits.control_answer_bytes = 1 << 20;
    assert_has(ask(f, fd, "version", "{}"), "\"result\"");
    close(fd);
}

static void too_many_clients_are_refused(void **state)
{
    struct fixture *f = *state;
    int fd[CLIENTS_MAX + 1];

    for (int i = 0; i <= CLIENTS_MAX; i++)
        fd[i] = new_client(f);
    assert_has(receive(f, fd[CLIENTS_MAX]), "-32007");
    assert_null(receive(f, fd[CLIENTS_MAX]));
    assert_int_equal(pb_control_use(f->control)->clients, CLIENTS_MAX);
    assert_has(ask(f, fd[0], "version", "{}"), "\"result\"");
    for (int i = 0; i <= CLIENTS_MAX; i++)
        close(fd[i]);
    settle(f);
    assert_int_equal(pb_control_use(f->control)->clients, 0);
}

static void messages_that_are_no_requests(void **state)
{
    static const struct {
        const char *text, *code, *reason;
    } bad[] = {
        { "hello", "-32700", "message:1:" },
        { "{\"jsonrpc\":\"2.0\",", "-32700", "message:1:" },
        { "{\"a\":1,\"a\":2}", "-32700", "duplicate" },
        { "\xff\xfe", "-32700", "message:" },
        { "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\"}]", "-32600", "batches" },
        { "5", "-32600", "must be an object" },
        { "null", "-32600", "must be an object" },
        { "{}", "-32600", "2.0" },
        { "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"list\"}", "-32600", "/jsonrpc" },
        { "{\"jsonrpc\":2.0,\"id\":1,\"method\":\"list\"}", "-32600", "/jsonrpc" },
        { "{\"jsonrpc\":\"2.0\",\"id\":1}", "-32600", "/method" },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", "-32600", "/method" },
        { "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"list\"}", "-32600", "/id" },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\",\"x\":1}", "-32600", "/x" },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"frob\"}", "-32601", "frob" },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"LIST\"}", "-32601", "LIST" },
    };
    struct fixture *f = *state;
    int fd = new_client(f);

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *reply;

        send_text(fd, bad[i].text);
        send_text(fd, "\n");
        reply = receive(f, fd);
        assert_has(reply, bad[i].code);
        assert_has(reply, bad[i].reason);
        assert_has(reply, "\"data\":{\"code\":");
    }
    send_text(fd, "\n  \r\n"); /* blank lines are nothing */
    assert_has(ask(f, fd, "version", "{}"), "\"result\"");
    close(fd);
}

static void notification_gets_no_answer(void **state)
{
    struct fixture *f = *state;
    int fd = new_client(f);

    needs_root();
    send_text(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"claim\",\"params\":{\"dev\":\"nic0\"}}\n"
                  "{\"jsonrpc\":\"2.0\",\"method\":\"frob\"}\n"
                  "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"version\"}\n");
    assert_has(receive(f, fd), "\"id\":9");
    assert_string_equal(fake_backend_calls(f->backend)->last, "claim");
    close(fd);
}

static void guest_names_of_any_bytes_give_valid_json(void **state)
{
    struct fixture *f = *state;
    int fd = new_client(f);
    const char *reply;

    fake_backend_name_guest(f->backend, "a\"b\\c\x1b[2J\xff\xc3");
    reply = ask(f, fd, "guests", "{}");
    assert_has(reply, "a\\\"b\\\\c\\u001B[2J??");
    close(fd);
}

/* A child that asks as somebody else; its exit status: 0 both as they should be. */
static int ask_as_nobody(const char *path)
{
    static const char requests[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"show\",\"params\":{\"dev\":\"nic0\"}}\n"
        "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"claim\",\"params\":{\"dev\":\"nic0\"}}\n"
        "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"reload\",\"params\":{\"dry_run\":true}}\n"
        "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"denied\",\"params\":{\"dev\":\"nic0\"}}\n";
    char text[8192];
    size_t n = 0;
    ssize_t r;
    int fd;

    if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
        return 2;
    fd = connect_to(path);
    if (fd < 0 || send(fd, requests, sizeof(requests) - 1, MSG_NOSIGNAL) < 0)
        return 3;
    shutdown(fd, SHUT_WR);
    while (n + 1 < sizeof(text) && (r = recv(fd, text + n, sizeof(text) - 1 - n, 0)) > 0)
        n += (size_t)r;
    text[n] = '\0';
    if (!strstr(text, "\"id\":1,\"result\":{\"device\"") || !strstr(text, "\"id\":4,\"result\":{"))
        return 4;
    return strstr(text, "\"id\":2,\"error\":{\"code\":-32008") &&
                   strstr(text, "\"id\":3,\"error\":{\"code\":-32008") &&
                   strstr(text, "\"permission\"")
               ? 0
               : 5;
}

static void unprivileged_uid_may_read_but_not_change(void **state)
{
    struct fixture *f = *state;
    uint64_t end = pb_now_ms() + PATIENCE_MS;
    int status = -1;
    pid_t child;

    assert_int_equal(chmod(f->path, 0666), 0);
    child = fork();
    if (child == 0)
        _exit(ask_as_nobody(f->path));
    while (waitpid(child, &status, WNOHANG) == 0 && pb_now_ms() < end)
        turn(f);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(fake_backend_calls(f->backend)->count, 0);
}

static void root_is_not_locked_out_by_readers(void **state)
{
    struct fixture *f = *state;
    pid_t child;
    int pipe_fd[2], fd;
    char byte;

    needs_root();
    assert_int_equal(chmod(f->path, 0666), 0);
    assert_int_equal(pipe(pipe_fd), 0);
    child = fork();
    if (child == 0) {
        if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
            _exit(2);
        for (int i = 0; i < CLIENTS_MAX; i++)
            (void)connect_to(f->path);
        (void)!write(pipe_fd[1], "x", 1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(pipe_fd[0], &byte, 1), 1);
    settle(f);
    assert_int_equal(pb_control_use(f->control)->clients, CLIENTS_MAX);
    fd = new_client(f);
    assert_has(ask(f, fd, "version", "{}"), "\"result\"");
    assert_int_equal(pb_control_use(f->control)->clients, CLIENTS_MAX);
    close(fd);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
}

static int open_another(struct fixture *f, const char *path, const char *group,
                        struct pb_control **ret, char *why, size_t size)
{
    struct pb_control_options options = { .path = path,
                                          .group = group,
                                          .limits = &f->verbs.limits,
                                          .message = pb_verbs_message,
                                          .ctx = &f->verbs };

    return pb_control_open(f->loop, &options, ret, why, size);
}

static void socket_is_for_root_and_its_group(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    assert_int_equal(stat(f->path, &st), 0);
    if (geteuid() == 0)
        assert_int_equal(st.st_mode & 07777, 0660);
    assert_int_equal(st.st_uid, geteuid());
}

static void missing_group_means_root_alone(void **state)
{
    struct fixture *f = *state;
    struct pb_control *other;
    char path[80], why[300];
    struct stat st;

    snprintf(path, sizeof(path), "%s/other", f->dir);
    assert_int_equal(open_another(f, path, "no-such-group-here", &other, why, sizeof(why)), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    pb_control_close(other);
}

static void stale_socket_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct pb_control *other;
    char why[300];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/other", f->dir);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    close(fd); /* its file stays */
    assert_int_equal(open_another(f, address.sun_path, "root", &other, why, sizeof(why)), 0);
    pb_control_close(other);
}

static void living_socket_and_other_files_are_left_alone(void **state)
{
    struct fixture *f = *state;
    struct pb_control *other;
    char path[80], why[300];
    int fd;

    assert_int_equal(open_another(f, f->path, "root", &other, why, sizeof(why)), -EADDRINUSE);
    assert_has(why, "another program listens");
    snprintf(path, sizeof(path), "%s/file", f->dir);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    assert_int_equal(open_another(f, path, "root", &other, why, sizeof(why)), -EEXIST);
    assert_has(why, "is not a socket");
    unlink(path);
    snprintf(path, sizeof(path), "%s/absent/socket", f->dir);
    assert_int_equal(open_another(f, path, "root", &other, why, sizeof(why)), -ENOENT);
    assert_has(why, path);
    settle(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, control_setup, control_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(request_is_answered_with_its_id),
        TEST(partial_message_waits),
        TEST(client_that_closes_its_sending_side_is_answered),
        TEST(oversized_message_is_refused_and_closed),
        TEST(longest_allowed_message_is_read),
        TEST(deeply_nested_message_is_refused),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(vanished_client_during_attach_leaves_the_verb_to_finish),
        TEST(client_reset_during_attach_is_not_touched_again),
        TEST(shutdown_during_attach_answers_it_and_runs_nothing_more),
        TEST(slow_reader_is_not_read_from),
        TEST(slow_reader_that_vanishes_is_forgotten),
        cmocka_unit_test_setup_teardown(slow_reader_that_never_reads_is_dropped,
                                        control_setup_impatient, control_teardown),
        TEST(T17_answer_beyond_the_bound_says_so),
        TEST(too_many_clients_are_refused),
        TEST(messages_that_are_no_requests),
        TEST(notification_gets_no_answer),
        TEST(guest_names_of_any_bytes_give_valid_json),
        TEST(unprivileged_uid_may_read_but_not_change),
        TEST(root_is_not_locked_out_by_readers),
        TEST(socket_is_for_root_and_its_group),
        TEST(missing_group_means_root_alone),
        TEST(stale_socket_is_replaced),
        TEST(living_socket_and_other_files_are_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
