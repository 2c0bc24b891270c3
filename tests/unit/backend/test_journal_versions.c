/* SPDX-License-Identifier: MIT */
/*
 * A journal that goes from one version of the daemon to the next and back. JOURNAL_NEXT is this
 * program with a journal whose parts are longer; with arguments either does one process's work.
 */
#include "backend/journal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
/* behind what it needs */
#include <cmocka.h>

#include "backend/journal_file.h"
#include "journal_dir.h"

#define RECORDS 3u

/* --- one process --- */

struct process {
    struct pb_journal *j;
    struct pb_journal_record *device[RECORDS], *guest[RECORDS];
    unsigned devices, guests, version, wrong;
};

static void fill_all(unsigned n, unsigned version, struct pb_journal_device *device,
                     struct pb_journal_guest *guest, struct pb_facts *facts,
                     struct pb_surroundings *surroundings, uint8_t *shadow)
{
    test_device_fill(device, n);
    test_guest_fill(guest, n);
    test_facts_fill(facts, n);
    test_surroundings_fill(surroundings, n);
    device->resets = guest->connects = version;
    facts->revision = (uint8_t)version;
    surroundings->virtual_functions = (uint16_t)version;
    memset(shadow, (int)(version + n), PB_CONFIG_SIZE_PCIE);
}

static void compare(void *ctx, const struct pb_journal_read *read)
{
    struct process *p = ctx;
    struct pb_journal_device device;
    struct pb_journal_guest guest;
    struct pb_facts facts;
    struct pb_surroundings surroundings;
    uint8_t shadow[PB_CONFIG_SIZE_PCIE];
    unsigned n = read->is_guest ? p->guests : p->devices;

    if (n == RECORDS) {
        p->wrong++;
        return;
    }
    fill_all(n, p->version, &device, &guest, &facts, &surroundings, shadow);
    if (read->is_guest) {
        p->guest[p->guests++] = read->record;
        if (!read->guest || memcmp(read->guest, &guest, sizeof(guest)) != 0 ||
            pb_journal_op(read->record)->connection != p->version + n)
            p->wrong++;
        return;
    }
    p->device[p->devices++] = read->record;
    if (!read->device || memcmp(read->device, &device, sizeof(device)) != 0 || !read->facts ||
        memcmp(read->facts, &facts, sizeof(facts)) != 0 || !read->surroundings ||
        memcmp(read->surroundings, &surroundings, sizeof(surroundings)) != 0 || !read->shadow ||
        read->shadow_size != facts.config_size ||
        memcmp(read->shadow, shadow, read->shadow_size) != 0)
        p->wrong++;
}

static void put_all(struct process *p, unsigned n, unsigned version)
{
    struct pb_journal_device device;
    struct pb_journal_guest guest;
    struct pb_facts facts;
    struct pb_surroundings surroundings;
    uint8_t shadow[PB_CONFIG_SIZE_PCIE];

    fill_all(n, version, &device, &guest, &facts, &surroundings, shadow);
    pb_journal_put_device(p->device[n], &device);
    pb_journal_put_facts(p->device[n], &facts, &surroundings);
    pb_journal_put_shadow(p->device[n], shadow, facts.config_size);
    pb_journal_put_guest(p->guest[n], &guest);
    pb_journal_op(p->guest[n])->connection = version + n;
}

/* Expects what version BEFORE of the records says (0: no file), and puts the next one. */
static int one_process(const char *dir, unsigned before)
{
    const struct pb_journal_options options = {
        .dir = dir, .boot = TEST_BOOT, .guests = RECORDS, .devices = RECORDS
    };
    struct process p = { .version = before };
    enum pb_journal_found found;
    char why[200];

    if (pb_journal_open(&options, &found, &p.j, why, sizeof(why)) != 0) {
        (void)fprintf(stderr, "%s\n", why);
        return 2;
    }
    if (found != (before ? PB_JOURNAL_FOUND_KEPT : PB_JOURNAL_FOUND_NEW))
        return 3;
    pb_journal_each(p.j, compare, &p);
    if (p.wrong || pb_journal_stats(p.j).lost_parts || p.devices != (before ? RECORDS : 0) ||
        p.guests != p.devices)
        return 4;
    if (before && pb_journal_pirq_top(p.j) != 100 + before)
        return 5;
    if (strcmp(pb_journal_crashed_plugin(p.j), before ? "guard" : "") != 0)
        return 6;
    for (unsigned n = 0; n < RECORDS; n++) {
        if (!before)
            p.device[n] = pb_journal_add_device(p.j);
        if (!before)
            p.guest[n] = pb_journal_add_guest(p.j);
        if (!p.device[n] || !p.guest[n])
            return 7;
        put_all(&p, n, before + 1);
    }
    pb_journal_note_pirq(p.j, 101 + before);
    pb_journal_enter_plugin(p.j, "guard", 7);
    pb_journal_close(p.j);
    return 0;
}

/* --- the tests --- */

static const char *dir;

static int setup(void **state)
{
    (void)state;
    dir = test_dir_make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_dir_remove();
    return 0;
}

#define THIS "/proc/self/exe"

static int run(const char *program, unsigned before)
{
    char number[16];
    int status;
    pid_t child;

    (void)snprintf(number, sizeof(number), "%u", before);
    child = fork();
    if (child == 0) {
        (void)execl(program, program, dir, number, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static unsigned minor_of_file(void)
{
    struct pb_journal_header header;
    size_t size;
    uint8_t *data = test_file_read("journal", &size);

    memcpy(&header, data, sizeof(header));
    free(data);
    return header.minor;
}

static void upgrade_and_back(void **state)
{
    (void)state;
    assert_int_equal(run(THIS, 0), 0);
    assert_int_equal(minor_of_file(), PB_JOURNAL_MINOR);
    assert_int_equal(run(JOURNAL_NEXT, 1), 0);
    assert_int_equal(minor_of_file(), PB_JOURNAL_MINOR + 1);
    assert_int_equal(run(JOURNAL_NEXT, 2), 0);
    assert_int_equal(run(THIS, 3), 0);
    assert_int_equal(run(THIS, 4), 0);
    assert_int_equal(run(JOURNAL_NEXT, 5), 0);
    assert_int_equal(run(THIS, 6), 0);
}

static void a_newer_one_begins(void **state)
{
    (void)state;
    assert_int_equal(run(JOURNAL_NEXT, 0), 0);
    assert_int_equal(run(THIS, 1), 0);
    assert_int_equal(run(JOURNAL_NEXT, 2), 0);
}

/* What a process leaves that ended in the middle of the change. */
static void a_change_that_was_cut_short(void **state)
{
    static const uint8_t rest[100] = "half of a file";

    (void)state;
    assert_int_equal(run(THIS, 0), 0);
    test_file_write("journal.new", rest, sizeof(rest));
    assert_int_equal(run(JOURNAL_NEXT, 1), 0);
    assert_int_equal(run(THIS, 2), 0);
}

/* Without room for the new file the old one stays, and who wrote it can go on. */
static void no_room_for_the_change(void **state)
{
    struct rlimit old, small;

    (void)state;
    assert_int_equal(run(THIS, 0), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    small = old;
    small.rlim_cur = 16384;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(run(JOURNAL_NEXT, 1), 2);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(run(THIS, 1), 0);
    assert_int_equal(run(JOURNAL_NEXT, 2), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(upgrade_and_back),
        TEST(a_newer_one_begins),
        TEST(a_change_that_was_cut_short),
        TEST(no_room_for_the_change),
    };

    if (argc == 3)
        return one_process(argv[1], (unsigned)atoi(argv[2]));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
