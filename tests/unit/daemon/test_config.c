/* SPDX-License-Identifier: MIT */
/* What the configuration's values become, and how files merge. Each single error has a file in
 * configs/bad, which schema_test.py gives to the daemon. */
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
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"
#include "daemon/config.h"
#include "tree.h"

struct fixture {
    char dir[32], path[64];
    struct pb_json_error error;
    struct pb_config *config;
    bool strict; /* files have to be root's */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->dir, "/tmp/pb-config-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/pcibackd.json", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    pb_config_free(f->config);
    pb_tree_remove(f->dir);
    free(f);
    return 0;
}

/* NAME is relative to the test's directory. */
static void write_file(const struct fixture *f, const char *name, const char *text)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/pcibackd.d", f->dir);
    if (strchr(name, '/'))
        (void)mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static const struct pb_config *load(struct fixture *f)
{
    pb_config_free(f->config);
    f->error = (struct pb_json_error){ 0 };
    f->config = pb_config_load(f->path, true, !f->strict, &f->error);
    if (!f->config)
        fail_msg("%s", f->error.text);
    return f->config;
}

/* Every PART stands in the error. */
static void load_fails(struct fixture *f, const char *part, const char *other)
{
    pb_config_free(f->config);
    f->error = (struct pb_json_error){ 0 };
    f->config = pb_config_load(f->path, true, !f->strict, &f->error);
    assert_null(f->config);
    assert_true(f->error.set);
    if (!strstr(f->error.text, part) || !strstr(f->error.text, other))
        fail_msg("neither \"%s\" nor \"%s\" may miss in: %s", part, other, f->error.text);
}

/* TEXT has the words with spaces between them. */
static void assert_words(const struct pb_config_words *words, const char *text)
{
    char all[400] = "";

    for (size_t i = 0; i < words->count; i++) {
        size_t n = strlen(all);

        snprintf(all + n, sizeof(all) - n, "%s%s", i ? " " : "", words->word[i]);
    }
    assert_string_equal(all, text);
}

static void absent_file_gives_the_defaults(void **state)
{
    struct fixture *f = *state;

    f->config = pb_config_load(f->path, false, true, &f->error);
    assert_non_null(f->config);
    assert_string_equal(f->config->socket, "/run/pcibackd/control.sock");
    assert_string_equal(f->config->group, "pcibackd");
    assert_string_equal(f->config->state_dir, "/run/pcibackd");
    assert_int_equal(f->config->files_read, 0);
    assert_words(&f->config->quirk_dirs, "/usr/share/pcibackd/quirks.d /etc/pcibackd/quirks.d");
    assert_words(&f->config->plugin_dirs, "/usr/lib/pcibackd/plugins");
    assert_words(&f->config->disable, "");
    assert_int_equal(f->config->policy->busy_poll_us, PB_BUSY_POLL_US);
    assert_int_equal(f->config->policy->device_count, 0);
    assert_false(f->config->policy->xl_mode);
    assert_int_equal(f->config->policy->topology, PB_TOPOLOGY_VPCI);
    assert_int_equal(f->config->policy->assignment_count, 0);
}

static void absent_file_that_was_named_is_an_error(void **state)
{
    struct fixture *f = *state;

    load_fails(f, f->path, "No such file");
}

static void every_key_is_read(void **state)
{
    struct fixture *f = *state;
    const struct pb_config *c;
    const struct pb_device_policy *d;

    write_file(
        f, "pcibackd.json",
        "{ \"control\": { \"socket\": \"/run/x.sock\", \"group\": \"wheel\" },"
        "  \"state_dir\": \"/run/state\", \"disable\": [\"a-1\"],"
        "  \"assignments\": [ { \"guest\": \"netvm\", \"devices\": [ \"nic0\", \"6:0.0\" ] } ],"
        "  \"quirk_dirs\": [\"/q\"], \"plugin_dirs\": [\"/p\"],"
        "  \"backend\": { \"kinds\": [\"pcibackd\", \"pci\"], \"topology\": \"slot\","
        "                 \"busy_poll_us\": 0 },"
        "  \"devices\": [ { \"name\": \"nic0\", \"bdf\": \"03:00.1\", \"vendor\": \"0x8086\","
        "      \"path\": \"0:1C.0/0.1\", \"subsystem_vendor\": 1, \"subsystem_device\": \"0x2\","
        "      \"reassign_while_alive\": true, \"device\": 4307, \"driver\": \"vfio-pci\", "
        "\"permissive\": true,"
        "      \"allow_interrupt_control\": true, \"reset\": \"required\","
        "      \"reset_method\": [\"flr\", \"bus\"], \"assign\": \"warn\" },"
        "    { \"bdf\": \"0001:00:1f.7\" } ],"
        "  \"slots\": [ \"0000:05:02.0\", \"06:00.*\", \"0000:07:*.*\" ],"
        "  \"guests\": [ { \"name\": \"netvm\", \"topology\": \"passthrough\" }, { \"name\": \"b\" "
        "} ],"
        "  \"limits\": { \"guests\": 7, \"attach_timeout_ms\": \"0x100\" } }");
    c = load(f);
    assert_string_equal(c->socket, "/run/x.sock");
    assert_string_equal(c->group, "wheel");
    assert_string_equal(c->state_dir, "/run/state");
    assert_words(&c->quirk_dirs, "/q");
    assert_words(&c->plugin_dirs, "/p");
    assert_words(&c->disable, "a-1");
    assert_int_equal(c->policy->busy_poll_us, 0);
    assert_true(c->policy->xl_mode);
    assert_int_equal(c->policy->topology, PB_TOPOLOGY_SLOT);
    assert_int_equal(c->policy->guest_count, 2);
    assert_int_equal(pb_policy_topology(c->policy, "netvm"), PB_TOPOLOGY_PASSTHROUGH);
    assert_int_equal(pb_policy_topology(c->policy, "b"), PB_TOPOLOGY_SLOT);
    assert_int_equal(pb_policy_topology(c->policy, "c"), PB_TOPOLOGY_SLOT);
    assert_int_equal(c->policy->assignment_count, 2);
    assert_string_equal(c->policy->assignments[0].guest, "netvm");
    assert_string_equal(c->policy->assignments[0].device, "0000:03:00.1");
    assert_string_equal(c->policy->assignments[1].device, "0000:06:00.0");
    assert_int_equal(c->policy->device_count, 2);
    d = &c->policy->devices[0];
    assert_string_equal(d->name, "nic0");
    assert_int_equal(d->sbdf.bus, 3);
    assert_int_equal(d->sbdf.devfn, 1);
    assert_string_equal(d->path, "0000:00:1c.0/00.1");
    assert_true(d->has_vendor && d->has_device);
    assert_true(d->has_subsystem_vendor && d->has_subsystem_device);
    assert_int_equal(d->subsystem_vendor, 1);
    assert_int_equal(d->subsystem_device, 2);
    assert_true(d->reassign_while_alive);
    assert_int_equal(d->vendor, 0x8086);
    assert_int_equal(d->device, 4307);
    assert_string_equal(d->driver, "vfio-pci");
    assert_true(d->permissive && d->allow_interrupt_control);
    assert_int_equal(d->reset, PB_RESET_REQUIRED);
    assert_string_equal(d->reset_method, "flr bus");
    assert_int_equal(d->assign, PB_ASSIGN_WARN);
    d = &c->policy->devices[1];
    assert_string_equal(d->name, "");
    assert_int_equal(d->sbdf.segment, 1);
    assert_false(d->has_vendor || d->has_device || d->permissive || d->allow_interrupt_control);
    assert_false(d->has_subsystem_vendor || d->has_subsystem_device || d->reassign_while_alive);
    assert_string_equal(d->path, "");
    assert_string_equal(d->driver, "pci-stub");
    assert_int_equal(d->reset, PB_RESET_BEST_EFFORT);
    assert_int_equal(d->assign, PB_ASSIGN_ALLOW);
    assert_int_equal(c->policy->slot_count, 3);
    assert_int_equal(c->policy->slots[1].slot.function, -1);
    assert_int_equal(c->policy->slots[2].slot.device, -1);
    assert_int_equal(c->policy->limits.guests, 7);
    assert_int_equal(c->policy->limits.attach_timeout_ms, 256);
    assert_int_equal(c->policy->limits.detach_timeout_ms, 10000);
}

static void every_limit_is_read_and_bounded(void **state)
{
    struct fixture *f = *state;
    char text[200];

#define X(name, fallback, min, max, help)                                                         \
    snprintf(text, sizeof(text), "{\"limits\":{\"%s\":%llu}}", #name, (unsigned long long)(max)); \
    write_file(f, "pcibackd.json", text);                                                         \
    assert_int_equal(load(f)->policy->limits.name, (max));                                        \
    pb_config_free(f->config);                                                                    \
    f->config = NULL;                                                                             \
    snprintf(text, sizeof(text), "{\"limits\":{\"%s\":%llu}}", #name,                             \
             (unsigned long long)(max) + 1);                                                      \
    write_file(f, "pcibackd.json", text);                                                         \
    load_fails(f, "/limits/" #name, "must be from");                                              \
    snprintf(text, sizeof(text), "{\"limits\":{\"%s\":%llu}}", #name,                             \
             (unsigned long long)(min)-1);                                                        \
    write_file(f, "pcibackd.json", text);                                                         \
    load_fails(f, "/limits/" #name, "must be from");
    PB_LIMITS(X)
#undef X
}

static void fragments_merge_in_the_order_of_their_names(void **state)
{
    struct fixture *f = *state;
    const struct pb_config *c;

    write_file(f, "pcibackd.json",
               "{ \"control\": { \"socket\": \"/run/a.sock\", \"group\": \"first\" },"
               "  \"devices\": [ { \"bdf\": \"01:00.0\", \"name\": \"a\" } ],"
               "  \"slots\": [ \"05:00.0\" ], \"guests\": [ { \"name\": \"one\" } ],"
               "  \"limits\": { \"guests\": 1, \"ops_per_turn\": 2 } }");
    write_file(f, "pcibackd.d/90-z.json",
               "{ \"control\": { \"group\": \"last\" }, \"devices\": [ { \"bdf\": \"03:00.0\" } ],"
               "  \"limits\": { \"guests\": 3 } }");
    write_file(
        f, "pcibackd.d/10-a.json",
        "{ \"control\": { \"group\": \"middle\" }, \"devices\": [ { \"bdf\": \"02:00.0\" } ],"
        "  \"slots\": [ \"06:00.0\" ], \"guests\": [ { \"name\": \"two\" } ],"
        "  \"limits\": { \"guests\": 2 } }");
    write_file(f, "pcibackd.d/20-off.json.disabled", "no JSON");
    write_file(f, "pcibackd.d/.hidden.json", "no JSON");
    c = load(f);
    assert_int_equal(c->files_read, 3);
    assert_string_equal(c->socket, "/run/a.sock");
    assert_string_equal(c->group, "last");
    assert_int_equal(c->policy->device_count, 3);
    assert_int_equal(c->policy->devices[0].sbdf.bus, 1);
    assert_int_equal(c->policy->devices[1].sbdf.bus, 2);
    assert_int_equal(c->policy->devices[2].sbdf.bus, 3);
    assert_int_equal(c->policy->slot_count, 2);
    assert_int_equal(c->policy->limits.guests, 3);
    assert_int_equal(c->policy->limits.ops_per_turn, 2);
}

static void directories_and_ids_concatenate_and_replace_the_defaults(void **state)
{
    struct fixture *f = *state;
    const struct pb_config *c;

    write_file(f, "pcibackd.json", "{ \"quirk_dirs\": [\"/a\", \"/b\"], \"disable\": [\"q-1\"] }");
    write_file(f, "pcibackd.d/a.json",
               "{ \"quirk_dirs\": [\"/c\"], \"disable\": [\"q-2\", \"q-1\"] }");
    c = load(f);
    assert_words(&c->quirk_dirs, "/a /b /c");
    assert_words(&c->disable, "q-1 q-2");
    assert_words(&c->plugin_dirs, "/usr/lib/pcibackd/plugins");
    write_file(f, "pcibackd.d/b.json", "{ \"quirk_dirs\": [\"/a\"] }");
    load_fails(f, "pcibackd.d/b.json: /quirk_dirs/0: ", "is listed twice");
}

static void empty_array_of_directories_is_none(void **state)
{
    struct fixture *f = *state;

    write_file(f, "pcibackd.json", "{ \"quirk_dirs\": [], \"plugin_dirs\": [] }");
    assert_words(&load(f)->quirk_dirs, "");
    assert_words(&f->config->plugin_dirs, "");
}

static void fragments_are_read_without_a_main_file(void **state)
{
    struct fixture *f = *state;

    write_file(f, "pcibackd.d/a.json", "{ \"state_dir\": \"/run/other\" }");
    f->config = pb_config_load(f->path, false, true, &f->error);
    assert_non_null(f->config);
    assert_string_equal(f->config->state_dir, "/run/other");
}

static void error_in_a_fragment_names_the_fragment(void **state)
{
    struct fixture *f = *state;

    write_file(f, "pcibackd.json", "{}");
    write_file(f, "pcibackd.d/a.json", "{\n  \"limits\": }");
    load_fails(f, "pcibackd.d/a.json:2:", "unexpected token");
    write_file(f, "pcibackd.d/a.json", "{ \"limit\": {} }");
    load_fails(f, "pcibackd.d/a.json: /limit: ", "unknown key");
}

static void conflicting_entries_are_named_with_both_places(void **state)
{
    struct fixture *f = *state;

    write_file(
        f, "pcibackd.json",
        "{ \"devices\": [ { \"bdf\": \"01:00.0\", \"name\": \"a\" }, { \"bdf\": \"2:0.0\" } ],"
        "  \"guests\": [ { \"name\": \"g\" } ] }");
    write_file(f, "pcibackd.d/a.json", "{ \"devices\": [ { \"bdf\": \"0000:02:00.0\" } ] }");
    load_fails(f, "pcibackd.d/a.json: /devices/0: 0000:02:00.0 has an entry already, in /tmp/",
               "pcibackd.json: /devices/1");
    write_file(f, "pcibackd.d/a.json",
               "{ \"devices\": [ { \"bdf\": \"3:0.0\", \"name\": \"a\" } ] }");
    load_fails(f, "pcibackd.d/a.json: /devices/0: the name \"a\" is taken already, in /tmp/",
               "pcibackd.json: /devices/0");
    write_file(f, "pcibackd.d/a.json", "{ \"guests\": [ { \"name\": \"g\" } ] }");
    load_fails(f, "pcibackd.d/a.json: /guests/0: \"g\" has an entry already, in /tmp/",
               "pcibackd.json: /guests/0");
}

/* A later file may say what an earlier one leaves open, and the other way round. */
static void assignments_and_topologies_are_resolved_over_all_files(void **state)
{
    struct fixture *f = *state;
    const struct pb_policy *policy;

    write_file(f, "pcibackd.json",
               "{ \"assignments\": [ { \"guest\": \"a\", \"devices\": [ \"nic0\" ] } ],"
               "  \"guests\": [ { \"name\": \"a\" } ] }");
    write_file(f, "pcibackd.d/a.json",
               "{ \"devices\": [ { \"bdf\": \"3:0.0\", \"name\": \"nic0\" } ],"
               "  \"backend\": { \"topology\": \"slot\", \"kinds\": [\"pci\", \"pcibackd\"] } }");
    write_file(f, "pcibackd.d/b.json", "{ \"backend\": { \"kinds\": [\"pcibackd\"] } }");
    policy = load(f)->policy;
    assert_int_equal(policy->assignment_count, 1);
    assert_string_equal(policy->assignments[0].device, "0000:03:00.0");
    assert_int_equal(pb_policy_topology(policy, "a"), PB_TOPOLOGY_SLOT);
    assert_false(policy->xl_mode);
    write_file(
        f, "pcibackd.d/c.json",
        "{ \"assignments\": [ { \"guest\": \"b\", \"devices\": [ \"1:0.0\", \"3:0.0\" ] } ] }");
    load_fails(f,
               "pcibackd.d/c.json: /assignments/0/devices/1: 0000:03:00.0 is for guest \"a\" "
               "already, in /tmp/",
               "pcibackd.json: /assignments/0/devices/0, and cannot be for \"b\", too");
}

static void slots_of_the_saved_file_are_told_apart(void **state)
{
    struct fixture *f = *state;
    const struct pb_policy *policy;

    write_file(f, "pcibackd.json", "{ \"slots\": [ \"5:0.0\", \"6:0.*\" ] }");
    write_file(f, "pcibackd.d/90-slots.json",
               "{ \"slots\": [ \"0000:06:00.*\", \"07:00.0\", \"08:00.0\" ] }");
    write_file(f, "pcibackd.d/95-more.json", "{ \"slots\": [ \"8:0.0\" ] }");
    policy = load(f)->policy;
    assert_int_equal(policy->slot_count, 4);
    assert_int_equal(policy->slots[1].slot.bus, 6);
    assert_false(policy->slots[0].saved || policy->slots[1].saved);
    assert_int_equal(policy->slots[2].slot.bus, 7);
    assert_true(policy->slots[2].saved);
    assert_false(policy->slots[3].saved); /* the operator lists it, too */

    write_file(f, "pcibackd.d/90-slots.json", "{ \"slots\": [], \"guests\": [] }");
    load_fails(f, "pcibackd.d/90-slots.json: /guests: ", "unknown key");

    /* the name alone does not make it that file */
    snprintf(f->path, sizeof(f->path), "%s/90-slots.json", f->dir);
    write_file(f, "90-slots.json", "{ \"slots\": [ \"5:0.0\" ] }");
    assert_false(load(f)->policy->slots[0].saved);
}

static void directory_or_huge_file_is_refused(void **state)
{
    struct fixture *f = *state;
    char *huge = malloc(PB_CONFIG_FILE_MAX + 2);

    assert_int_equal(mkdir(f->path, 0755), 0);
    load_fails(f, f->path, "not a regular file");
    assert_int_equal(rmdir(f->path), 0);
    memset(huge, ' ', PB_CONFIG_FILE_MAX + 1);
    huge[PB_CONFIG_FILE_MAX + 1] = '\0';
    write_file(f, "pcibackd.json", huge);
    load_fails(f, f->path, "too large");
    free(huge);
}

static void path_without_suffix_has_no_fragments(void **state)
{
    struct fixture *f = *state;

    snprintf(f->path, sizeof(f->path), "%s/plain", f->dir);
    write_file(f, "plain", "{}");
    write_file(f, "pcibackd.d/a.json", "no JSON");
    assert_int_equal(load(f)->files_read, 1);
}

/* --- T18: files as an attacker leaves them --- */

static const char *path_of(const struct fixture *f, const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    return path;
}

static void T18_file_that_others_may_write_is_refused(void **state)
{
    static const struct {
        mode_t mode;
        bool fine;
    } modes[] = { { 0600, true },  { 0644, true },  { 0400, true },
                  { 0664, false }, { 0646, false }, { 0666, false } };
    struct fixture *f = *state;

    if (geteuid() != 0)
        skip();
    f->strict = true;
    write_file(f, "pcibackd.json", "{}");
    for (size_t i = 0; i < PB_ARRAY_SIZE(modes); i++) {
        assert_int_equal(chmod(f->path, modes[i].mode), 0);
        if (modes[i].fine)
            load(f);
        else
            load_fails(f, "pcibackd.json: ", "others than root may write to it");
    }
    assert_int_equal(chmod(f->path, 0644), 0);
    assert_int_equal(chown(f->path, 1, 0), 0);
    load_fails(f, "pcibackd.json: ", "is not root's");
}

static void T18_fragment_or_its_directory_that_others_may_write_is_refused(void **state)
{
    struct fixture *f = *state;

    if (geteuid() != 0)
        skip();
    f->strict = true;
    write_file(f, "pcibackd.json", "{}");
    write_file(f, "pcibackd.d/a.json", "{}");
    assert_int_equal(load(f)->files_read, 2);
    assert_int_equal(chmod(path_of(f, "pcibackd.d/a.json"), 0666), 0);
    load_fails(f, "pcibackd.d/a.json: ", "others than root may write to it");
    assert_int_equal(chmod(path_of(f, "pcibackd.d/a.json"), 0644), 0);
    assert_int_equal(chmod(path_of(f, "pcibackd.d"), 0777), 0);
    load_fails(f, "pcibackd.d: ", "others than root may write to it");
    assert_int_equal(chmod(path_of(f, "pcibackd.d"), 0755), 0);
    assert_int_equal(chown(path_of(f, "pcibackd.d"), 1, 0), 0);
    load_fails(f, "pcibackd.d: ", "is not root's");
}

/* What counts is the file that is read. */
static void T18_link_is_as_good_as_what_it_points_to(void **state)
{
    struct fixture *f = *state;

    if (geteuid() != 0)
        skip();
    f->strict = true;
    write_file(f, "real", "{}");
    assert_int_equal(symlink("real", f->path), 0);
    load(f);
    assert_int_equal(chown(path_of(f, "real"), 1, 0), 0);
    load_fails(f, "pcibackd.json: ", "is not root's");
    assert_int_equal(unlink(path_of(f, "real")), 0);
    load_fails(f, "pcibackd.json: ", strerror(ENOENT));
    assert_int_equal(symlink("pcibackd.json", path_of(f, "real")), 0);
    load_fails(f, "pcibackd.json: ", strerror(ELOOP));
}

/* None of them keeps the daemon waiting. */
static void T18_what_is_no_file_is_refused_at_once(void **state)
{
    static const char *const names[] = { "pcibackd.json", "pcibackd.d/a.json" };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct fixture *f = *state;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    write_file(f, "pcibackd.d/z.json", "{}");
    for (size_t i = 0; i < PB_ARRAY_SIZE(names); i++) {
        const char *path = path_of(f, names[i]);

        if (i > 0)
            write_file(f, names[0], "{}");
        assert_int_equal(mkfifo(path, 0600), 0);
        load_fails(f, names[i], "not a regular file");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("/dev/zero", path), 0);
        load_fails(f, names[i], "not a regular file");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("/proc/self/mem", path), 0); /* regular, and cannot be read */
        load_fails(f, names[i], "");
        assert_int_equal(unlink(path), 0);
        assert_true(snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) <
                    (int)sizeof(address.sun_path));
        assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
        load_fails(f, names[i], strerror(ENXIO));
        assert_int_equal(unlink(path), 0);
        close(fd);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
    }
    close(fd);
}

static void T18_numbers_of_any_size_and_form(void **state)
{
    static const struct {
        const char *number, *error;
    } bad[] = {
        { "99999999999999999999", "too big integer" },
        { "-99999999999999999999", "too big negative integer" },
        { "9223372036854775807", "must be from" },
        { "-9223372036854775808", "must be" },
        { "-1", "must be" },
        { "4294967297", "must be from" }, /* 1, were it cut to 32 bits */
        { "\"0x100000001\"", "must be from" },
        { "\"0xffffffffffffffff\"", "must be from" },
        { "\"0x10000000000000001\"", "must be" },
        { "\"0x\"", "must be" },
        { "\"0x-1\"", "must be" },
        { "\"1\"", "must be" },
        { "1e400", "real number overflow" },
        { "1e2", "must be" },
        { "7.0", "must be" },
        { "NaN", "invalid token" },
        { "true", "must be" },
        { "null", "must be" },
        { "[7]", "must be" },
    };
    struct fixture *f = *state;
    char text[128];

    for (size_t i = 0; i < PB_ARRAY_SIZE(bad); i++) {
        snprintf(text, sizeof(text), "{\"limits\":{\"guests\":%s}}", bad[i].number);
        write_file(f, "pcibackd.json", text);
        load_fails(f, "pcibackd.json", bad[i].error);
    }
}

static void T18_keys_that_are_repeated_are_refused_at_each_level(void **state)
{
    static const char *const texts[] = {
        "{\"limits\":{},\"limits\":{}}",
        "{\"limits\":{\"guests\":1,\"guests\":2}}",
        "{\"limits\":{\"guests\":1,\"gues\\u0074s\":2}}",
        "{\"devices\":[{\"bdf\":\"5:0.0\",\"bdf\":\"6:0.0\"}]}",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < PB_ARRAY_SIZE(texts); i++) {
        write_file(f, "pcibackd.json", texts[i]);
        load_fails(f, "pcibackd.json:1:", "duplicate object key");
    }
}

static void T18_nesting_is_refused_before_it_is_parsed(void **state)
{
    struct fixture *f = *state;
    char *text = malloc(PB_CONFIG_FILE_MAX + 1);

    memset(text, '[', PB_CONFIG_FILE_MAX);
    text[PB_CONFIG_FILE_MAX] = '\0';
    write_file(f, "pcibackd.json", text);
    load_fails(f, "pcibackd.json: ", "nested deeper than 32 levels");
    for (size_t i = 0; i + 5 < PB_CONFIG_FILE_MAX; i += 5)
        memcpy(text + i, "{\"a\":", 5);
    write_file(f, "pcibackd.json", text);
    load_fails(f, "pcibackd.json: ", "nested deeper than 32 levels");
    free(text);
}

static void T18_bytes_that_are_no_text(void **state)
{
    static const struct {
        const char *text;
        size_t length;
    } bad[] = {
#define BYTES(text) { text, sizeof(text) - 1 }
        BYTES("{\"state_dir\":\"/a\0b\"}"),
        BYTES("{\"state_dir\":\"/a\\u0000b\"}"),
        BYTES("{\"state_dir\":\"/\xff\"}"),
        BYTES("{\"state_dir\":\"/\xc0\xaf\"}"),
        BYTES("{\"state_dir\":\"/\xed\xa0\x80\"}"),
        BYTES("\xef\xbb\xbf{}"),
        BYTES("{}\0"),
        BYTES("\xff\xfe{\0}\0"),
        BYTES("{\"state_dir\":\"/a"),
        BYTES(""),
#undef BYTES
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < PB_ARRAY_SIZE(bad); i++) {
        FILE *file = fopen(f->path, "w");

        assert_int_equal(fwrite(bad[i].text, 1, bad[i].length, file), bad[i].length);
        fclose(file);
        load_fails(f, "pcibackd.json:1:", "");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(absent_file_gives_the_defaults),
        TEST(absent_file_that_was_named_is_an_error),
        TEST(every_key_is_read),
        TEST(every_limit_is_read_and_bounded),
        TEST(fragments_merge_in_the_order_of_their_names),
        TEST(directories_and_ids_concatenate_and_replace_the_defaults),
        TEST(empty_array_of_directories_is_none),
        TEST(fragments_are_read_without_a_main_file),
        TEST(error_in_a_fragment_names_the_fragment),
        TEST(conflicting_entries_are_named_with_both_places),
        TEST(assignments_and_topologies_are_resolved_over_all_files),
        TEST(slots_of_the_saved_file_are_told_apart),
        TEST(directory_or_huge_file_is_refused),
        TEST(path_without_suffix_has_no_fragments),
        TEST(T18_file_that_others_may_write_is_refused),
        TEST(T18_fragment_or_its_directory_that_others_may_write_is_refused),
        TEST(T18_link_is_as_good_as_what_it_points_to),
        TEST(T18_what_is_no_file_is_refused_at_once),
        TEST(T18_numbers_of_any_size_and_form),
        TEST(T18_keys_that_are_repeated_are_refused_at_each_level),
        TEST(T18_nesting_is_refused_before_it_is_parsed),
        TEST(T18_bytes_that_are_no_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
