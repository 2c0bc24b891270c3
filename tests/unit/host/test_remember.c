/* SPDX-License-Identifier: MIT */
/* What a device was before: kept whole or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/remember.h"

#define NIC "0000:03:00.0"

static char top[32], lib[48], path[96];

static int setup(void **state)
{
    (void)state;
    strcpy(top, "/tmp/pcibackd-rem.XXXXXX");
    if (!mkdtemp(top))
        return -1;
    (void)snprintf(lib, sizeof(lib), "%s/lib", top);
    (void)snprintf(path, sizeof(path), "%s/devices/" NIC, lib);
    return 0;
}

static int teardown(void **state)
{
    char command[64];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", top);
    return system(command); /* NOLINT: a directory of our own making */
}

static void put(const char *text, size_t n)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static const struct pb_remembered nic = {
    .driver = "e1000e", .override = "vfio-pci", .power = "auto", .enabled = true
};
static const char text[] = "driver=e1000e\noverride=vfio-pci\npower=auto\nenabled=1\n";

static void what_was_stored_is_loaded(void **state)
{
    static const struct pb_remembered empty = { .enabled = false };
    struct pb_remembered got;

    (void)state;
    assert_int_equal(pb_remember_store(lib, NIC, &nic), 0);
    assert_int_equal(pb_remember_load(lib, NIC, &got), 0);
    assert_string_equal(got.driver, "e1000e");
    assert_string_equal(got.override, "vfio-pci");
    assert_string_equal(got.power, "auto");
    assert_true(got.enabled);

    assert_int_equal(pb_remember_store(lib, NIC, &empty), 0);
    assert_int_equal(pb_remember_load(lib, NIC, &got), 0);
    assert_string_equal(got.driver, "");
    assert_string_equal(got.override, "");
    assert_string_equal(got.power, "");
    assert_false(got.enabled);
}

static void boot_and_ids_are_kept_and_the_first_version_has_none(void **state)
{
    struct pb_remembered was = nic, got;

    (void)state;
    was.has_ids = true;
    was.vendor = 0x8086;
    was.device = 0x10d3;
    was.chosen = true;
    (void)snprintf(was.boot, sizeof(was.boot), "11111111-2222-3333-4444-555555555555");
    assert_int_equal(pb_remember_store(lib, NIC, &was), 0);
    assert_int_equal(pb_remember_load(lib, NIC, &got), 0);
    assert_memory_equal(&got, &was, sizeof(got));
    put(text, strlen(text));
    assert_int_equal(pb_remember_load(lib, NIC, &got), 0);
    assert_false(got.has_ids);
    assert_string_equal(got.boot, "");
    assert_string_equal(got.driver, "e1000e");
}

static void a_second_version_that_was_cut_or_changed_is_not_ours(void **state)
{
    static const char *const tails[] = {
        "ids=8086:10d3\n",
        "ids=8086:10d3\nboot=1-2\n",
        "ids=8086:10d3\nboot=1-2\nchosen=",
        "ids=8086\nboot=1-2\nchosen=0\n",
        "ids=8086:10d3f\nboot=1-2\nchosen=0\n",
        "ids=80x6:10d3\nboot=1-2\nchosen=0\n",
    };
    struct pb_remembered got;

    (void)state;
    assert_int_equal(pb_remember_store(lib, NIC, &nic), 0);
    for (unsigned i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        char all[256];

        put(all, (size_t)snprintf(all, sizeof(all), "%s%s", text, tails[i]));
        assert_int_equal(pb_remember_load(lib, NIC, &got), -EPROTO);
    }
}

static void the_boot_id_is_plain_or_none(void **state)
{
    char proc[64], file[128], got[PB_BOOT_ID_TEXT];
    FILE *f;

    (void)state;
    (void)snprintf(proc, sizeof(proc), "%s/none", top);
    pb_remember_boot(proc, got);
    assert_string_equal(got, "");
    (void)snprintf(file, sizeof(file), "mkdir -p %s/sys/kernel/random", top);
    assert_int_equal(system(file), 0); /* NOLINT: a directory of our own making */
    (void)snprintf(file, sizeof(file), "%s/sys/kernel/random/boot_id", top);
    for (int i = 0; i < 2; i++) {
        f = fopen(file, "we");
        assert_non_null(f);
        assert_true(fputs(i ? "11-aa\nchosen=1\n" : "11-zz\n", f) >= 0);
        assert_int_equal(fclose(f), 0);
        pb_remember_boot(top, got);
        assert_string_equal(got, i ? "11-aa" : "");
    }
}

static void the_longest_names_fit(void **state)
{
    struct pb_remembered was = { .enabled = true }, got;

    (void)state;
    memset(was.driver, 'd', sizeof(was.driver) - 1);
    memset(was.override, 'o', sizeof(was.override) - 1);
    memset(was.power, 'p', sizeof(was.power) - 1);
    assert_int_equal(pb_remember_store(lib, NIC, &was), 0);
    assert_int_equal(pb_remember_load(lib, NIC, &got), 0);
    assert_memory_equal(&got, &was, sizeof(got));
}

static void nothing_remembered_is_no_file(void **state)
{
    struct pb_remembered got;

    (void)state;
    assert_int_equal(pb_remember_load(lib, NIC, &got), -ENOENT);
    assert_int_equal(pb_remember_store(lib, NIC, &nic), 0);
    assert_int_equal(pb_remember_load(lib, "0000:03:00.1", &got), -ENOENT);
    assert_int_equal(pb_remember_forget(lib, NIC), 0);
    assert_int_equal(pb_remember_load(lib, NIC, &got), -ENOENT);
    assert_int_equal(pb_remember_forget(lib, NIC), 0);
}

static void a_file_cut_off_anywhere_is_refused(void **state)
{
    struct pb_remembered got;

    (void)state;
    assert_int_equal(pb_remember_store(lib, NIC, &nic), 0);
    put(text, sizeof(text) - 1);
    assert_int_equal(pb_remember_load(lib, NIC, &got), 0);
    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        put(text, n);
        assert_int_equal(pb_remember_load(lib, NIC, &got), -EPROTO);
    }
}

static void a_foreign_file_is_refused(void **state)
{
    static const char *const foreign[] = {
        "{}\n",
        " driver=e1000e\noverride=\npower=\nenabled=1\n",
        "override=\ndriver=e1000e\npower=\nenabled=1\n",
        "driver=a-name-that-no-driver-of-linux-has-or-had\noverride=\npower=\nenabled=1\n",
        "driver=e1000e\noverride=\npower=\nenabled=many\n",
    };
    struct pb_remembered got;

    (void)state;
    assert_int_equal(pb_remember_store(lib, NIC, &nic), 0);
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        put(foreign[i], strlen(foreign[i]));
        assert_int_equal(pb_remember_load(lib, NIC, &got), -EPROTO);
    }
}

static void a_link_is_not_followed(void **state)
{
    struct pb_remembered got;
    char other[64];

    (void)state;
    assert_int_equal(pb_remember_store(lib, NIC, &nic), 0);
    (void)snprintf(other, sizeof(other), "%s/other", top);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(symlink(other, path), 0);
    assert_int_equal(pb_remember_load(lib, NIC, &got), -ELOOP);
}

static void a_failed_store_leaves_nothing(void **state)
{
    struct pb_remembered got;
    char tmp[112];

    (void)state;
    assert_int_equal(mkdir(lib, 0700), 0);
    (void)snprintf(tmp, sizeof(tmp), "%s/devices", lib);
    assert_int_equal(mkdir(tmp, 0700), 0);
    assert_int_equal(mkdir(path, 0700), 0); /* in its way: the rename fails */
    assert_int_equal(pb_remember_store(lib, NIC, &nic), -EISDIR);
    (void)snprintf(tmp, sizeof(tmp), "%s.new", path);
    assert_int_not_equal(access(tmp, F_OK), 0);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(pb_remember_load(lib, NIC, &got), -ENOENT);

    /* A directory that cannot be made. */
    (void)snprintf(tmp, sizeof(tmp), "%s/none/lib", top);
    assert_int_equal(pb_remember_store(tmp, NIC, &nic), -ENOENT);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        RULE(what_was_stored_is_loaded),
        RULE(the_longest_names_fit),
        RULE(boot_and_ids_are_kept_and_the_first_version_has_none),
        RULE(a_second_version_that_was_cut_or_changed_is_not_ours),
        RULE(the_boot_id_is_plain_or_none),
        RULE(nothing_remembered_is_no_file),
        RULE(a_file_cut_off_anywhere_is_refused),
        RULE(a_foreign_file_is_refused),
        RULE(a_link_is_not_followed),
        RULE(a_failed_store_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
