/* SPDX-License-Identifier: MIT */
/* Which plugins are opened, which are refused, and how long they stay. */
#include <dlfcn.h>
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

#include "base/bytes.h"
#include "base/log.h"
#include "plugins/fake.h"
#include "quirk/plugin.h"

static char base[64], dir[96], why[400];
static ino_t foreign;        /* belongs to somebody else, as fstat tells */
static const char *swap_for; /* dlopen finds this file in the place of what was checked */
static struct pb_plugin *plugin;

/*
 * The world as the loader sees it: what is ours is root's, and so is /tmp alone (a sticky directory
 * that all can write, above the tests' own).
 */
int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
void *__real_dlopen(const char *path, int flags);
void *__wrap_dlopen(const char *path, int flags);

int __wrap_fstat(int fd, struct stat *st)
{
    int rc = __real_fstat(fd, st);

    if (st->st_uid == geteuid())
        st->st_uid = 0;
    if (st->st_mode & S_ISVTX)
        st->st_mode &= ~(mode_t)(S_IWGRP | S_IWOTH);
    if (st->st_ino == foreign)
        st->st_uid = 1000;
    return rc;
}

static void copy(const char *from, const char *to)
{
    char bytes[4096];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ssize_t n;

    assert_true(in >= 0 && out >= 0);
    while ((n = read(in, bytes, sizeof(bytes))) > 0)
        assert_int_equal(write(out, bytes, (size_t)n), n);
    (void)close(in);
    (void)close(out);
}

static const char *fixture(const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof(path), PB_FIXTURE_DIR "/%s.so", name);
    return path;
}

static const char *in_dir(const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

void *__wrap_dlopen(const char *path, int flags)
{
    char other[256];

    if (swap_for && !(flags & RTLD_NOLOAD)) {
        (void)snprintf(other, sizeof(other), "%s/other", dir);
        copy(swap_for, other);
        assert_int_equal(rename(other, path), 0);
    }
    return __real_dlopen(path, flags);
}

static int setup(void **state)
{
    (void)state;
    foreign = 0;
    swap_for = NULL;
    plugin = NULL;
    why[0] = '\0';
    (void)umask(022);
    (void)snprintf(base, sizeof(base), "/tmp/pcibackd-plugin.XXXXXX");
    if (!mkdtemp(base) || chmod(base, 0755) != 0)
        return -1;
    (void)snprintf(dir, sizeof(dir), "%s/plugins", base);
    return mkdir(dir, 0755);
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    if (plugin)
        pb_plugin_unref(plugin);
    (void)snprintf(command, sizeof(command), "rm -rf %s", base);
    return system(command); /* NOLINT(bugprone-command-processor,cert-env33-c) */
}

static int open_in(const char *directory, bool any_owner, const char *name)
{
    const char *const dirs[] = { directory };
    struct pb_plugin *p = NULL;
    int rc;

    why[0] = '\0';
    rc = pb_plugin_open(dirs, 1, any_owner, name, &p, why, sizeof(why));
    if (rc) {
        assert_null(p);
        assert_true(why[0] != '\0');
    } else if (plugin) {
        pb_plugin_unref(plugin);
    }
    if (rc == 0)
        plugin = p;
    return rc;
}

static void assert_says(const char *part)
{
    if (!strstr(why, part))
        fail_msg("\"%s\" does not say \"%s\"", why, part);
}

static bool in_memory(const char *path)
{
    void *library = __real_dlopen(path, RTLD_NOW | RTLD_NOLOAD);

    if (library)
        (void)dlclose(library);
    return library != NULL;
}

/* --- the structure --- */

static void missing_callbacks_are_NULL(void **state)
{
    const struct pcibackd_plugin *ops;

    (void)state;
    assert_int_equal(open_in(PB_FIXTURE_DIR, true, "bare"), 0);
    ops = pb_plugin_ops(plugin);
    assert_string_equal(pb_plugin_name(plugin), "bare");
    assert_string_equal(pb_plugin_path(plugin), fixture("bare"));
    assert_string_equal(ops->name, "bare");
    assert_true(!ops->load && !ops->unload && !ops->attach && !ops->detach && !ops->read &&
                !ops->write && !ops->before_reset && !ops->after_reset && !ops->stats);
    assert_int_equal(pb_plugin_load(plugin, why, sizeof(why)), 0);
}

static void a_shorter_structure_has_no_members_behind_its_end(void **state)
{
    (void)state;
    assert_int_equal(open_in(PB_FIXTURE_DIR, true, "older"), 0);
    assert_non_null(pb_plugin_ops(plugin)->detach);
    assert_null(pb_plugin_ops(plugin)->stats);
}

static void what_is_no_plugin_of_this_version_is_refused(void **state)
{
    static const struct {
        const char *name;
        int rc;
        const char *says;
    } rows[] = {
        { "magic", -ENOEXEC, "not a plugin's" },
        { "major", -EPROTO, "version 2.0 of the interface, this is 1.0" },
        { "minor", -EPROTO, "version 1.99" },
        { "stump-major", -EPROTO, "version 2.0" }, /* nothing behind the version is looked at */
        { "stump", -EINVAL, "ends after 8 bytes" },
        { "short", -EINVAL, "struct_size is 16" },
        { "torn", -EINVAL, "struct_size" },
        { "boast", -EINVAL, "struct_size" },
        { "flags", -EINVAL, "flags 0x80" },
        { "nameless", -EINVAL, "calls itself nothing" },
        { "no-symbol", -ENOEXEC, "no symbol pcibackd_plugin" },
        { "function", -ENOEXEC, "not a plugin's" },
        { "undefined", -ELIBBAD, "nobody_defines_this" },
    };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(rows); i++) {
        assert_int_equal(open_in(PB_FIXTURE_DIR, true, rows[i].name), rows[i].rc);
        assert_says(rows[i].says);
        assert_says(rows[i].name);
        assert_false(in_memory(fixture(rows[i].name)));
    }
}

static void a_plugin_is_what_its_file_is_called(void **state)
{
    (void)state;
    copy(fixture("bare"), in_dir("other.so"));
    assert_int_equal(open_in(dir, true, "other"), -EINVAL);
    assert_says("calls itself bare");
    /* Also when it is open already by its right name. */
    copy(fixture("bare"), in_dir("bare.so"));
    assert_int_equal(unlink(in_dir("other.so")), 0);
    {
        char path[256];

        (void)snprintf(path, sizeof(path), "%s", in_dir("bare.so"));
        assert_int_equal(link(path, in_dir("other.so")), 0);
    }
    assert_int_equal(open_in(dir, true, "bare"), 0);
    assert_int_equal(open_in(dir, true, "other"), -EINVAL);
    assert_says("calls itself bare");
}

static void what_is_no_library_is_refused(void **state)
{
    int fd;

    (void)state;
    fd = open(in_dir("text.so"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "no ELF\n", 7), 7);
    (void)close(fd);
    assert_int_equal(open_in(dir, true, "text"), -ELIBBAD);
    assert_int_equal(mkfifo(in_dir("fifo.so"), 0600), 0);
    assert_int_equal(open_in(dir, true, "fifo"), -ELIBBAD); /* and it does not wait */
    assert_int_equal(mkdir(in_dir("dir.so"), 0700), 0);
    assert_int_equal(open_in(dir, true, "dir"), -ELIBBAD);
}

static void names_lead_nowhere_else(void **state)
{
    static const char *const good[] = { "a", "tg3_window-2", "01234567890123456789012345678901" };
    static const char *const bad[] = {
        "", "../x", "a/b", "a.b", "a b", "\xc3\xa4", "012345678901234567890123456789012"
    };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(good); i++) {
        assert_true(pb_plugin_name_check(good[i]));
        assert_int_equal(open_in(dir, true, good[i]), -ENOENT);
    }
    for (size_t i = 0; i < PB_ARRAY_SIZE(bad); i++) {
        assert_false(pb_plugin_name_check(bad[i]));
        assert_int_equal(open_in(dir, true, bad[i]), -EINVAL);
    }
}

/* --- whose files --- */

static void only_what_is_roots_alone_is_opened(void **state)
{
    static const mode_t bad[] = { 0775, 0757, 01777 };
    char file[256];

    (void)state;
    copy(fixture("bare"), in_dir("bare.so"));
    (void)snprintf(file, sizeof(file), "%s", in_dir("bare.so"));
    assert_int_equal(open_in(dir, false, "bare"), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(chmod(file, bad[i]), 0);
        assert_int_equal(open_in(dir, false, "bare"), -EPERM); /* though it is open already */
        assert_says(file);
        assert_int_equal(chmod(file, 0644), 0);
        assert_int_equal(chmod(dir, bad[i]), 0);
        assert_int_equal(open_in(dir, false, "bare"), -EPERM);
        assert_says("not root's alone to write");
        assert_int_equal(chmod(dir, 0755), 0);
        assert_int_equal(chmod(base, bad[i]), 0);
        assert_int_equal(open_in(dir, false, "bare"), -EPERM);
        assert_int_equal(open_in(dir, true, "bare"), 0);
        assert_int_equal(chmod(base, 0755), 0);
    }
    assert_int_equal(open_in(dir, false, "bare"), 0);
}

static void each_owner_on_the_way_counts(void **state)
{
    const char *const places[] = { "/", "/tmp", base, dir, NULL };
    struct stat st;

    (void)state;
    copy(fixture("bare"), in_dir("bare.so"));
    for (size_t i = 0; i < PB_ARRAY_SIZE(places); i++) {
        assert_int_equal(stat(places[i] ? places[i] : in_dir("bare.so"), &st), 0);
        foreign = st.st_ino;
        assert_int_equal(open_in(dir, false, "bare"), -EPERM);
        assert_says("owner 1000");
    }
    foreign = 0;
    assert_int_equal(open_in(dir, false, "bare"), 0);
}

static void links_and_relative_paths_are_refused(void **state)
{
    char link_dir[128], file[256];

    (void)state;
    copy(fixture("bare"), in_dir("real.so"));
    (void)snprintf(file, sizeof(file), "%s", in_dir("real.so"));
    assert_int_equal(symlink(file, in_dir("bare.so")), 0);
    assert_int_equal(open_in(dir, false, "bare"), -EPERM);
    assert_says("symbolic link");
    assert_int_equal(unlink(in_dir("bare.so")), 0);
    assert_int_equal(rename(file, in_dir("bare.so")), 0);
    (void)snprintf(link_dir, sizeof(link_dir), "%s/link", base);
    assert_int_equal(symlink(dir, link_dir), 0);
    assert_int_equal(open_in(link_dir, false, "bare"), -EPERM);
    assert_says("symbolic link");
    assert_int_equal(chdir(base), 0);
    assert_int_equal(open_in("plugins", false, "bare"), -EPERM);
    assert_says("not an absolute path");
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(open_in(dir, false, "bare"), 0);
}

static void a_file_that_is_replaced_meanwhile_is_refused(void **state)
{
    (void)state;
    copy(fixture("bare"), in_dir("bare.so"));
    swap_for = fixture("bare");
    assert_int_equal(open_in(dir, false, "bare"), -EAGAIN);
    assert_says("replaced");
}

static void the_last_directory_that_has_it_counts(void **state)
{
    const char *const dirs[] = { PB_FIXTURE_DIR, "/nonexistent", dir };

    (void)state;
    assert_int_equal(pb_plugin_open(dirs, 3, true, "bare", &plugin, why, sizeof(why)), 0);
    assert_string_equal(pb_plugin_path(plugin), fixture("bare"));
    pb_plugin_unref(plugin);
    plugin = NULL;
    /* The last directory that has it counts, also if it is refused there. */
    copy(fixture("magic"), in_dir("bare.so"));
    assert_int_equal(pb_plugin_open(dirs, 3, true, "bare", &plugin, why, sizeof(why)), -ENOEXEC);
    assert_int_equal(pb_plugin_open(NULL, 0, true, "bare", &plugin, why, sizeof(why)), -ENOENT);
}

/* --- life --- */

static struct fake *control(const char *path)
{
    void *library = __real_dlopen(path, RTLD_NOW | RTLD_LOCAL); /* stays, for its counters */
    struct fake *f = library ? dlsym(library, "fake") : NULL;

    assert_non_null(f);
    memset(f, 0, sizeof(*f));
    return f;
}

static void a_plugin_is_loaded_once_and_unloaded_after_its_last_user(void **state)
{
    const char *const dirs[] = { dir };
    struct pb_plugin *second = NULL, *third;
    struct fake *f;

    (void)state;
    copy(fixture("fake"), in_dir("fake.so"));
    f = control(in_dir("fake.so"));
    assert_int_equal(open_in(dir, true, "fake"), 0);
    assert_int_equal(pb_plugin_open(dirs, 1, true, "fake", &second, why, sizeof(why)), 0);
    assert_ptr_equal(plugin, second);
    third = pb_plugin_ref(plugin);
    assert_int_equal(f->loads, 0); /* opening calls nothing */
    assert_int_equal(pb_plugin_load(plugin, why, sizeof(why)), 0);
    assert_int_equal(pb_plugin_load(second, why, sizeof(why)), 0);
    assert_int_equal(f->loads, 1);
    assert_int_equal(f->host->struct_size, sizeof(struct pcibackd_host));
    pb_plugin_unref(third);
    pb_plugin_unref(second);
    assert_int_equal(f->unloads, 0);
    pb_plugin_unref(plugin);
    assert_int_equal(f->unloads, 1);
    /* Opened again, it is loaded again. */
    plugin = NULL;
    assert_int_equal(open_in(dir, true, "fake"), 0);
    assert_int_equal(pb_plugin_load(plugin, why, sizeof(why)), 0);
    assert_int_equal(f->loads, 2);
}

static void a_plugin_that_was_not_loaded_is_not_unloaded(void **state)
{
    struct fake *f;

    (void)state;
    copy(fixture("fake"), in_dir("fake.so"));
    f = control(in_dir("fake.so"));
    assert_int_equal(open_in(dir, true, "fake"), 0);
    pb_plugin_unref(plugin);
    plugin = NULL;
    assert_int_equal(open_in(dir, true, "fake"), 0);
    f->load_rc = -ENXIO;
    assert_int_equal(pb_plugin_load(plugin, why, sizeof(why)), -ENXIO);
    assert_says("fake: load: No such device");
    f->load_rc = 0;
    assert_int_equal(pb_plugin_load(plugin, why, sizeof(why)), -ENXIO); /* once is enough */
    assert_int_equal(f->loads, 1);
    pb_plugin_unref(plugin);
    plugin = NULL;
    assert_int_equal(f->unloads, 0);
    f->load_rc = 5;
    assert_int_equal(open_in(dir, true, "fake"), 0);
    assert_int_equal(pb_plugin_load(plugin, why, sizeof(why)), -EPROTO);
}

static void the_last_user_takes_it_out_of_memory(void **state)
{
    (void)state;
    copy(fixture("bare"), in_dir("bare.so"));
    assert_int_equal(open_in(dir, true, "bare"), 0);
    assert_true(in_memory(in_dir("bare.so")));
    pb_plugin_unref(plugin);
    plugin = NULL;
    assert_false(in_memory(in_dir("bare.so")));
}

/* The linker would give the old one for its name. */
static void an_upgraded_plugin_is_the_new_file_while_the_old_is_in_use(void **state)
{
    const char *const dirs[] = { dir };
    struct pb_plugin *generation[4];
    char new_file[256];

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(generation); i++) {
        (void)snprintf(new_file, sizeof(new_file), "%s", in_dir("new"));
        copy(fixture("fake"), new_file);
        assert_int_equal(rename(new_file, in_dir("fake.so")), 0);
        assert_int_equal(pb_plugin_open(dirs, 1, true, "fake", &generation[i], why, sizeof(why)),
                         0);
        for (unsigned k = 0; k < i; k++)
            assert_ptr_not_equal(pb_plugin_ops(generation[k])->load,
                                 pb_plugin_ops(generation[i])->load);
    }
    for (unsigned i = 0; i < PB_ARRAY_SIZE(generation); i++)
        pb_plugin_unref(generation[i]);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        RULE(missing_callbacks_are_NULL),
        RULE(a_shorter_structure_has_no_members_behind_its_end),
        RULE(what_is_no_plugin_of_this_version_is_refused),
        RULE(a_plugin_is_what_its_file_is_called),
        RULE(what_is_no_library_is_refused),
        RULE(names_lead_nowhere_else),
        RULE(only_what_is_roots_alone_is_opened),
        RULE(each_owner_on_the_way_counts),
        RULE(links_and_relative_paths_are_refused),
        RULE(a_file_that_is_replaced_meanwhile_is_refused),
        RULE(the_last_directory_that_has_it_counts),
        RULE(a_plugin_is_loaded_once_and_unloaded_after_its_last_user),
        RULE(a_plugin_that_was_not_loaded_is_not_unloaded),
        RULE(the_last_user_takes_it_out_of_memory),
        RULE(an_upgraded_plugin_is_the_new_file_while_the_old_is_in_use),
    };

    pb_log_setup(PB_LOG_TEXT, PB_LOG_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
