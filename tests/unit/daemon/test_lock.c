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
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/lock.h"

struct fixture {
    char top[32], dir[64], file[80];
    char why[300];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->top, "/tmp/pb-lock-XXXXXX");
    assert_non_null(mkdtemp(f->top));
    snprintf(f->dir, sizeof(f->dir), "%s/state", f->top);
    snprintf(f->file, sizeof(f->file), "%s/lock", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    unlink(f->file);
    rmdir(f->dir);
    rmdir(f->top);
    free(f);
    return 0;
}

static void directory_is_created(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    int fd = pb_lock_take(f->dir, f->why, sizeof(f->why));

    assert_true(fd >= 0);
    assert_int_equal(stat(f->dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
}

static void second_daemon_is_told_who_holds_it(void **state)
{
    struct fixture *f = *state;
    int fd = pb_lock_take(f->dir, f->why, sizeof(f->why)), second;
    char pid[32];

    assert_true(fd >= 0);
    second = pb_lock_take(f->dir, f->why, sizeof(f->why));
    assert_int_equal(second, -EBUSY);
    snprintf(pid, sizeof(pid), "(pid %ld)", (long)getpid());
    assert_non_null(strstr(f->why, pid));
    assert_non_null(strstr(f->why, f->dir));
    close(fd);
    second = pb_lock_take(f->dir, f->why, sizeof(f->why));
    assert_true(second >= 0);
    close(second);
}

static void leftover_file_is_no_lock(void **state)
{
    struct fixture *f = *state;
    int fd;

    assert_int_equal(mkdir(f->dir, 0755), 0);
    fd = open(f->file, O_CREAT | O_WRONLY, 0644);
    assert_int_equal(write(fd, "999999999\n", 10), 10);
    close(fd);
    fd = pb_lock_take(f->dir, f->why, sizeof(f->why));
    assert_true(fd >= 0);
    close(fd);
}

/* A lock needs no right but to read: whoever takes it keeps the next daemon from its guests. */
static void T18_nobody_else_can_take_it(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    int fd = pb_lock_take(f->dir, f->why, sizeof(f->why));

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(fchmod(fd, 0644), 0); /* as an earlier version left it */
    close(fd);
    fd = pb_lock_take(f->dir, f->why, sizeof(f->why));
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    close(fd);
}

static void link_is_not_followed(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdir(f->dir, 0755), 0);
    assert_int_equal(symlink("/tmp/pb-must-not-appear", f->file), 0);
    assert_int_equal(pb_lock_take(f->dir, f->why, sizeof(f->why)), -ELOOP);
    assert_int_equal(access("/tmp/pb-must-not-appear", F_OK), -1);
}

static void directory_of_everybody_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdir(f->dir, 0755), 0);
    assert_int_equal(chmod(f->dir, 0777), 0);
    assert_int_equal(pb_lock_take(f->dir, f->why, sizeof(f->why)), -EPERM);
    assert_non_null(strstr(f->why, f->dir));
}

static void impossible_directory_is_named(void **state)
{
    struct fixture *f = *state;
    char path[80];

    snprintf(path, sizeof(path), "%s/absent/state", f->top);
    assert_int_equal(pb_lock_take(path, f->why, sizeof(f->why)), -ENOENT);
    assert_non_null(strstr(f->why, path));
    assert_int_equal(pb_lock_take("/dev/null", f->why, sizeof(f->why)), -ENOTDIR);
    assert_non_null(strstr(f->why, "/dev/null"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(directory_is_created),          TEST(second_daemon_is_told_who_holds_it),
        TEST(leftover_file_is_no_lock),      TEST(T18_nobody_else_can_take_it),
        TEST(link_is_not_followed),          TEST(directory_of_everybody_is_refused),
        TEST(impossible_directory_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
