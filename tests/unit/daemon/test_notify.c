/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/notify.h"

/* A service manager's socket; NAME as in $NOTIFY_SOCKET. */
static int manager(const char *name)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    memcpy(address.sun_path, name, strlen(name));
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    assert_int_equal(bind(fd, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                     0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

static void assert_received(int fd, const char *text)
{
    char got[64] = "";

    assert_int_equal(recv(fd, got, sizeof(got) - 1, 0), strlen(text));
    assert_string_equal(got, text);
}

static void nobody_asks(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(pb_notify_send("READY=1"), 0);
    setenv("NOTIFY_SOCKET", "", 1);
    assert_int_equal(pb_notify_send("READY=1"), 0);
}

static void path_socket(void **state)
{
    char dir[] = "/tmp/pb-notify-XXXXXX", path[64];
    int fd;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/notify", dir);
    fd = manager(path);
    assert_int_equal(pb_notify_send("READY=1"), 1);
    assert_received(fd, "READY=1");
    assert_int_equal(pb_notify_send("STOPPING=1"), 1);
    assert_received(fd, "STOPPING=1");
    close(fd);
    unlink(path);
    rmdir(dir);
    assert_int_equal(pb_notify_send("READY=1"), -ENOENT);
}

static void abstract_socket(void **state)
{
    char name[64];
    int fd;

    (void)state;
    snprintf(name, sizeof(name), "@pb-notify-%ld", (long)getpid());
    fd = manager(name);
    assert_int_equal(pb_notify_send("READY=1"), 1);
    assert_received(fd, "READY=1");
    close(fd);
    assert_int_equal(pb_notify_send("READY=1"), -ECONNREFUSED);
}

static void reload_has_a_beginning_and_an_end_with_its_status(void **state)
{
    char name[64], text[200] = "";
    unsigned long long before = pb_now_ns() / 1000, at;
    int fd;

    (void)state;
    snprintf(name, sizeof(name), "@pb-notify-reload-%ld", (long)getpid());
    fd = manager(name);
    pb_notify_reloading();
    assert_true(recv(fd, text, sizeof(text) - 1, 0) > 0);
    assert_int_equal(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%llu", &at), 1);
    assert_true(at >= before && at <= pb_now_ns() / 1000);
    pb_notify_ready("generation 2: 1 quirk from 1 file");
    assert_received(fd, "READY=1\nSTATUS=generation 2: 1 quirk from 1 file");
    pb_notify_stopping();
    assert_received(fd, "STOPPING=1");
    close(fd);
}

static void status_stays_one_line(void **state)
{
    char name[64];
    int fd;

    (void)state;
    snprintf(name, sizeof(name), "@pb-notify-line-%ld", (long)getpid());
    fd = manager(name);
    pb_notify_ready("/etc/a\nSTOPPING=1\x7f: no");
    assert_received(fd, "READY=1\nSTATUS=/etc/a?STOPPING=1?: no");
    close(fd);
}

static void senseless_addresses_are_refused(void **state)
{
    char long_path[200];

    (void)state;
    setenv("NOTIFY_SOCKET", "relative/path", 1);
    assert_int_equal(pb_notify_send("READY=1"), -EINVAL);
    memset(long_path, '/', sizeof(long_path));
    long_path[sizeof(long_path) - 1] = '\0';
    setenv("NOTIFY_SOCKET", long_path, 1);
    assert_int_equal(pb_notify_send("READY=1"), -EINVAL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_asks),
        cmocka_unit_test(path_socket),
        cmocka_unit_test(abstract_socket),
        cmocka_unit_test(reload_has_a_beginning_and_an_end_with_its_status),
        cmocka_unit_test(status_stays_one_line),
        cmocka_unit_test(senseless_addresses_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
