/* SPDX-License-Identifier: MIT */
#include "quirk/set.h"

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
#include "quirk/manifest.h"

static char root[] = "/tmp/pcibackd-test-set-XXXXXX";
static char usr[80], etc[80], plugins[80];

static int setup(void **state)
{
    (void)state;
    memcpy(root + strlen(root) - 6, "XXXXXX", 6);
    if (!mkdtemp(root))
        return -1;
    (void)snprintf(usr, sizeof(usr), "%s/usr", root);
    (void)snprintf(etc, sizeof(etc), "%s/etc", root);
    (void)snprintf(plugins, sizeof(plugins), "%s/plugins", root);
    return mkdir(usr, 0755) | mkdir(etc, 0755) | mkdir(plugins, 0755);
}

static int teardown(void **state)
{
    char command[100];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", root);
    return system(command);
}

static const char *path_of(const char *dir, const char *name)
{
    static char path[200];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static void put_text(const char *dir, const char *name, const char *text)
{
    int fd = open(path_of(dir, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

/* A file of one quirk; MORE are further members of it. */
static void put(const char *dir, const char *name, const char *id, const char *more)
{
    char text[1000];

    (void)snprintf(text, sizeof(text),
                   "{\"schema\":1,\"quirks\":[{\"id\":\"%s\",\"reason\":\"r\",\"source\":\"s\","
                   "\"match\":{\"vendor\":1},\"device\":{\"msi\":\"deny\"}%s}]}",
                   id, more);
    put_text(dir, name, text);
}

static struct pb_quirk_set *load_with(bool any_owner, bool no_plugins, const char *disabled)
{
    const char *dirs[] = { usr, etc, "/nonexistent/quirks.d" }, *plugin_dirs[] = { plugins };
    const struct pb_quirk_sources sources = {
        .dirs = dirs,
        .dir_count = PB_ARRAY_SIZE(dirs),
        .plugin_dirs = plugin_dirs,
        .plugin_dir_count = PB_ARRAY_SIZE(plugin_dirs),
        .disabled = &disabled,
        .disabled_count = disabled ? 1 : 0,
        .any_owner = any_owner,
        .no_plugins = no_plugins,
    };
    struct pb_quirk_set *set = pb_quirk_set_load(&sources);

    assert_non_null(set);
    return set;
}

static struct pb_quirk_set *load(void)
{
    return load_with(true, false, NULL);
}

struct ids {
    char text[500];
};

static void add_id(void *ctx, const struct pb_quirk_view *view)
{
    struct ids *ids = ctx;
    size_t n = strlen(ids->text);

    (void)snprintf(ids->text + n, sizeof(ids->text) - n, "%s%s%s", n ? " " : "", view->id,
                   view->disabled ? "!" : "");
}

/* Ids in rising precedence, disabled ones with a mark. */
static void expect_ids(const struct pb_quirk_set *set, const char *expected)
{
    struct ids ids = { "" }, pieces = { "" };
    uint64_t from = 0, calls = 1;

    pb_quirk_set_each(set, add_id, &ids);
    assert_string_equal(ids.text, expected);
    while (pb_quirk_set_some(set, &from, 2, add_id, &pieces))
        assert_in_range(++calls, 2, from / 2 + 1);
    assert_string_equal(pieces.text, expected);
}

/* A problem whose text is "DIR/NAME" and REST. */
static void expect_problem(const struct pb_quirk_set *set, bool error, const char *dir,
                           const char *name, const char *rest)
{
    const struct pb_quirk_problem *problem;
    size_t count = pb_quirk_set_problems(set, &problem);
    char text[600];

    (void)snprintf(text, sizeof(text), "%s%s%s%s", dir, name[0] ? "/" : "", name, rest);
    for (size_t i = 0; i < count; i++) {
        if (problem[i].error == error && strcmp(problem[i].text, text) == 0)
            return;
    }
    for (size_t i = 0; i < count; i++)
        print_message("%s\n", problem[i].text);
    fail_msg("nothing says: %s", text);
}

static void expect_no_problems(const struct pb_quirk_set *set)
{
    const struct pb_quirk_problem *problem;

    if (pb_quirk_set_problems(set, &problem))
        fail_msg("%s", problem[0].text);
    assert_int_equal(pb_quirk_set_errors(set), 0);
}

static void a_later_directory_and_a_later_file_have_precedence(void **state)
{
    struct pb_quirk_set *set;

    (void)state;
    put(etc, "10-a.json", "etc-ten", "");
    put(usr, "50-b.json", "usr-fifty", "");
    put(usr, "30-c.json", "usr-thirty", "");
    set = load();
    expect_no_problems(set);
    expect_ids(set, "usr-thirty usr-fifty etc-ten");
    assert_int_equal(pb_quirk_set_files(set), 3);
    assert_int_equal(pb_quirk_set_count(set), 3);
    pb_quirk_set_unref(set);
}

static void in_a_directory_the_more_specific_match_has_precedence(void **state)
{
    static const struct {
        const char *id, *match;
    } quirks[] = {
        { "sub", "\"vendor\":1,\"device\":2,\"subsystem_vendor\":3" },
        { "range", "\"vendor\":1,\"device\":{\"min\":2,\"max\":3}" },
        { "device", "\"vendor\":1,\"device\":[2,3]" },
        { "masked", "\"vendor\":1,\"device\":2,\"device_mask\":\"0xff\"" },
        { "image", "\"vendor\":1,\"image\":[{\"at\":64,\"size\":1,\"equals\":1}]" },
        { "vendor", "\"vendor\":1,\"class\":2" },
        { "class", "\"class\":2,\"revision\":1" },
    };
    char text[3000] = "{\"schema\":1,\"quirks\":[";
    struct pb_quirk_set *set;

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(quirks); i++) {
        size_t n = strlen(text);

        (void)snprintf(text + n, sizeof(text) - n,
                       "%s{\"id\":\"%s\",\"reason\":\"r\",\"source\":\"s\",\"match\":{%s},"
                       "\"device\":{\"msi\":\"deny\"}}",
                       i ? "," : "", quirks[i].id, quirks[i].match);
    }
    put_text(usr, "90-z.json", strcat(text, "]}"));
    put(etc, "10-a.json", "etc-ten", "");
    set = load();
    expect_no_problems(set);
    expect_ids(set, "class image vendor range masked device sub etc-ten");
    pb_quirk_set_unref(set);
}

static void the_same_name_replaces_an_empty_one_masks(void **state)
{
    struct pb_quirk_set *set;

    (void)state;
    put(usr, "30-a.json", "one", "");
    put(usr, "30-b.json", "two", "");
    put(usr, "30-c.json", "three", "");
    put(usr, "30-d.json", "four", "");
    put(etc, "30-a.json", "one", ",\"unsafe\":true");
    put_text(etc, "30-b.json", "");
    assert_int_equal(symlink("/dev/null", path_of(etc, "30-c.json")), 0);
    set = load();
    expect_no_problems(set);
    expect_ids(set, "four one");
    assert_int_equal(pb_quirk_set_files(set), 2);
    pb_quirk_set_unref(set);
}

static void a_bad_file_is_left_out_as_a_whole_and_masks_too(void **state)
{
    struct pb_quirk_set *set;

    (void)state;
    put(usr, "30-a.json", "one", "");
    put(usr, "30-b.json", "two", "");
    put_text(etc, "30-b.json",
             "{\"schema\":1,\"quirks\":["
             "{\"id\":\"aa\",\"reason\":\"r\",\"source\":\"s\",\"match\":{\"vendor\":1}},\n"
             "{\"id\":\"bb\"]}");
    set = load();
    expect_ids(set, "one");
    assert_int_equal(pb_quirk_set_errors(set), 1);
    expect_problem(set, true, etc, "30-b.json", ":2:11: '}' expected near ']'");
    pb_quirk_set_unref(set);
}

static void an_id_of_two_files_is_an_error_that_names_both(void **state)
{
    struct pb_quirk_set *set;
    char text[300];

    (void)state;
    put(usr, "30-a.json", "one", "");
    put(etc, "90-local.json", "one", "");
    set = load();
    expect_ids(set, "one");
    (void)snprintf(text, sizeof(text),
                   ": /quirks/0/id: \"one\" is a quirk of %s/30-a.json, too; a file of the same "
                   "name in a later directory replaces it",
                   usr);
    expect_problem(set, true, etc, "90-local.json", text);
    pb_quirk_set_unref(set);
}

static void what_is_not_named_like_a_manifest_is_ignored_with_a_warning(void **state)
{
    static const char *const names[] = { "a.json",  "5-a.json", "100-a.json", "50a.json",
                                         "50-a.js", "50-.json", "50-a.json~", "50-a" };
    const struct pb_quirk_problem *problem;
    struct pb_quirk_set *set;

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(names); i++)
        put(usr, names[i], "one", "");
    put_text(usr, "README.md", "what this is");
    put_text(usr, "nic0.txt", "a dump");
    put_text(usr, "5000-notes", "of somebody");
    put_text(usr, ".50-a.json.swp", "an editor's");
    set = load();
    expect_ids(set, "");
    assert_int_equal(pb_quirk_set_errors(set), 0);
    for (unsigned i = 0; i < PB_ARRAY_SIZE(names); i++)
        expect_problem(set, false, usr, names[i], ": is ignored: a manifest is named NN-NAME.json");
    assert_int_equal(pb_quirk_set_problems(set, &problem), PB_ARRAY_SIZE(names));
    pb_quirk_set_unref(set);
}

static void a_directory_that_somebody_named_and_that_is_not_there_is_a_warning(void **state)
{
    const char *dirs[] = { usr, "/nonexistent/quirks.d" };
    struct pb_quirk_sources sources = { .dirs = dirs, .dir_count = 2, .any_owner = true };
    struct pb_quirk_set *set;

    (void)state;
    put(usr, "30-a.json", "one", "");
    set = pb_quirk_set_load(&sources);
    assert_non_null(set);
    expect_no_problems(set);
    pb_quirk_set_unref(set);

    sources.named = true;
    set = pb_quirk_set_load(&sources);
    assert_non_null(set);
    expect_ids(set, "one");
    assert_int_equal(pb_quirk_set_errors(set), 0);
    expect_problem(set, false, "/nonexistent", "quirks.d", ": there is no such directory");
    pb_quirk_set_unref(set);
}

static void names_that_a_terminal_must_not_see_are_made_printable(void **state)
{
    struct pb_quirk_set *set;

    (void)state;
    put(usr, "50-a\033[2J.json", "one", "");
    put(usr, "50-b\xff\xc3\xbc.json", "two", "");
    put(usr, "50-\xc3\xbc.json", "three", "");
    set = load();
    expect_ids(set, "");
    expect_problem(set, false, usr, "50-a?[2J.json",
                   ": is ignored: a manifest is named NN-NAME.json");
    expect_problem(set, false, usr, "50-b???.json",
                   ": is ignored: a manifest is named NN-NAME.json");
    expect_problem(set, false, usr, "50-\xc3\xbc.json",
                   ": is ignored: a manifest is named NN-NAME.json");
    pb_quirk_set_unref(set);
}

static void disabled_quirks_are_listed_but_do_not_count(void **state)
{
    struct pb_quirk_set *set;

    (void)state;
    put(usr, "30-a.json", "one", "");
    put(usr, "30-b.json", "two", ",\"disabled\":true");
    put(usr, "30-c.json", "three", "");
    set = load_with(true, false, "three");
    expect_no_problems(set);
    expect_ids(set, "one two! three!");
    assert_int_equal(pb_quirk_set_count(set), 1);
    pb_quirk_set_unref(set);

    set = load_with(true, false, "tree");
    expect_problem(set, false, "configuration", "", ": /disable/0: no quirk has the id \"tree\"");
    assert_int_equal(pb_quirk_set_errors(set), 0);
    pb_quirk_set_unref(set);
}

static void a_quirk_without_its_plugin_is_left_out_with_its_file(void **state)
{
    struct pb_quirk_set *set;

    (void)state;
    put(usr, "30-a.json", "one", ",\"plugin\":{\"name\":\"no-such\"}");
    put(usr, "30-b.json", "two", "");
    put(usr, "30-c.json", "three", ",\"plugin\":{\"name\":\"no-such\"},\"disabled\":true");
    set = load();
    expect_ids(set, "two three!");
    assert_int_equal(pb_quirk_set_errors(set), 1);
    pb_quirk_set_unref(set);

    /* on a machine that has no plugins it is only worth a warning */
    set = load_with(true, true, NULL);
    expect_ids(set, "one two three!");
    assert_int_equal(pb_quirk_set_errors(set), 0);
    expect_problem(
        set, false, usr, "30-a.json",
        ": /quirks/0/plugin/name: no plugin directory has no-such.so; others are named with "
        "--plugin-dir");
    pb_quirk_set_unref(set);

    put_text(plugins, "no-such.so", "");
    set = load_with(true, true, NULL);
    expect_no_problems(set);
    pb_quirk_set_unref(set);
}

static void a_manifest_is_a_regular_file_of_at_most_1_MiB(void **state)
{
    char *big = malloc(PB_MANIFEST_MAX + 2);
    struct pb_quirk_set *set;

    (void)state;
    assert_non_null(big);
    memset(big, ' ', PB_MANIFEST_MAX + 1);
    big[PB_MANIFEST_MAX + 1] = '\0';
    put_text(usr, "30-big.json", big);
    memcpy(big, "{\"schema\":1,\"quirks\":[]}", 24);
    big[PB_MANIFEST_MAX] = '\0';
    put_text(usr, "30-just.json", big);
    free(big);
    assert_int_equal(mkdir(path_of(usr, "30-dir.json"), 0755), 0);
    assert_int_equal(mkfifo(path_of(usr, "30-fifo.json"), 0644), 0);
    set = load();
    assert_int_equal(pb_quirk_set_errors(set), 3);
    expect_problem(set, true, usr, "30-big.json", ": is larger than 1 MiB");
    expect_problem(set, true, usr, "30-dir.json", ": not a regular file");
    expect_problem(set, true, usr, "30-fifo.json", ": not a regular file");
    assert_int_equal(pb_quirk_set_files(set), 1);
    pb_quirk_set_unref(set);
}

static void a_set_has_at_most_4096_quirks(void **state)
{
    char *text = malloc(1U << 20), *at = text;
    struct pb_quirk_set *set;

    (void)state;
    assert_non_null(text);
    for (unsigned file = 0; file < 2; file++) {
        at = text + sprintf(text, "{\"schema\":1,\"quirks\":[");
        for (unsigned i = 0; i < PB_QUIRKS_MAX / 2 + file; i++)
            at += sprintf(at,
                          "%s{\"id\":\"q%u-%u\",\"reason\":\"r\",\"source\":\"s\",\"match\":"
                          "{\"vendor\":1},\"device\":{\"msi\":\"deny\"}}",
                          i ? "," : "", file, i);
        (void)strcpy(at, "]}");
        put_text(usr, file ? "30-b.json" : "30-a.json", text);
    }
    free(text);
    set = load();
    assert_int_equal(pb_quirk_set_count(set), PB_QUIRKS_MAX / 2);
    expect_problem(set, true, usr, "30-b.json", ": /quirks: there are more than 4096 quirks");
    pb_quirk_set_unref(set);
}

static void files_and_directories_must_be_roots_alone(void **state)
{
    struct pb_quirk_set *set;

    (void)state;
    if (geteuid() != 0)
        skip();
    put(usr, "30-a.json", "one", "");
    put(usr, "30-b.json", "two", "");
    put(usr, "30-c.json", "three", "");
    put(etc, "30-d.json", "four", "");
    assert_int_equal(chmod(path_of(usr, "30-b.json"), 0664), 0);
    assert_int_equal(chown(path_of(usr, "30-c.json"), 1, 0), 0);
    assert_int_equal(symlink("30-a.json", path_of(usr, "30-e.json")), 0);
    assert_int_equal(symlink("/dev/null", path_of(usr, "30-f.json")), 0);
    set = load_with(false, false, NULL);
    expect_ids(set, "one four");
    expect_problem(set, true, usr, "30-b.json", ": others than root may write to it");
    expect_problem(set, true, usr, "30-c.json", ": is not root's");
    expect_problem(set, true, usr, "30-e.json", ": is a link, and not to /dev/null");
    assert_int_equal(pb_quirk_set_errors(set), 3);
    pb_quirk_set_unref(set);

    assert_int_equal(chmod(etc, 0777), 0);
    set = load_with(false, false, NULL);
    expect_ids(set, "one");
    expect_problem(set, true, etc, "",
                   ": others than root may write to this directory: it is left out");
    pb_quirk_set_unref(set);

    /* a tool that only looks does not mind; what the link names is a second quirk of that id */
    set = load();
    expect_ids(set, "one two three four");
    assert_int_equal(pb_quirk_set_errors(set), 1);
    pb_quirk_set_unref(set);
}

static void a_query_visits_what_may_match_these_ids(void **state)
{
    static const char text[] =
        "{\"schema\":1,\"quirks\":["
        "{\"id\":\"device\",\"reason\":\"r\",\"source\":\"s\",\"match\":{\"vendor\":\"0x8086\","
        "\"device\":\"0x10d3\"},\"device\":{\"msi\":\"deny\"}},"
        "{\"id\":\"other\",\"reason\":\"r\",\"source\":\"s\",\"match\":{\"vendor\":\"0x8086\","
        "\"device\":\"0x10d4\"},\"device\":{\"msi\":\"deny\"}},"
        "{\"id\":\"maybe\",\"reason\":\"r\",\"source\":\"s\",\"match\":{\"vendor\":\"0x8086\","
        "\"image\":[{\"at\":64,\"size\":1,\"equals\":1}]},\"device\":{\"msi\":\"deny\"}},"
        "{\"id\":\"not-it\",\"reason\":\"r\",\"source\":\"s\",\"match\":{\"vendor\":\"0x8086\","
        "\"not\":{\"device\":\"0x10d3\"}},\"device\":{\"msi\":\"deny\"}},"
        "{\"id\":\"off\",\"reason\":\"r\",\"source\":\"s\",\"match\":{\"class\":\"0x020000\"},"
        "\"disabled\":true,\"device\":{\"msi\":\"deny\",\"rom\":\"hide\"},\"unsafe\":true}]}";
    const struct pb_quirk_ids ids = { .vendor = 0x8086, .device = 0x10d3, .class_code = 0x020000 };
    struct ids found = { "" };
    struct pb_quirk_set *set;

    (void)state;
    put_text(usr, "30-a.json", text);
    set = load();
    expect_no_problems(set);
    pb_quirk_set_query(set, &ids, add_id, &found);
    assert_string_equal(found.text, "off! maybe device");
    pb_quirk_set_unref(set);
}

#define WITH_DIRS(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIRS(a_later_directory_and_a_later_file_have_precedence),
        WITH_DIRS(in_a_directory_the_more_specific_match_has_precedence),
        WITH_DIRS(the_same_name_replaces_an_empty_one_masks),
        WITH_DIRS(a_bad_file_is_left_out_as_a_whole_and_masks_too),
        WITH_DIRS(an_id_of_two_files_is_an_error_that_names_both),
        WITH_DIRS(what_is_not_named_like_a_manifest_is_ignored_with_a_warning),
        WITH_DIRS(a_directory_that_somebody_named_and_that_is_not_there_is_a_warning),
        WITH_DIRS(names_that_a_terminal_must_not_see_are_made_printable),
        WITH_DIRS(disabled_quirks_are_listed_but_do_not_count),
        WITH_DIRS(a_quirk_without_its_plugin_is_left_out_with_its_file),
        WITH_DIRS(a_manifest_is_a_regular_file_of_at_most_1_MiB),
        WITH_DIRS(a_set_has_at_most_4096_quirks),
        WITH_DIRS(files_and_directories_must_be_roots_alone),
        WITH_DIRS(a_query_visits_what_may_match_these_ids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
