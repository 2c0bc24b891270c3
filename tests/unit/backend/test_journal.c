/* SPDX-License-Identifier: MIT */
#include "backend/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
/* behind what it needs */
#include <cmocka.h>

#include "backend/journal_file.h"
#include "base/bytes.h"
#include "journal_dir.h"

static int setup(void **state)
{
    (void)state;
    (void)test_dir_make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_dir_remove();
    return 0;
}

/* --- what is found --- */

#define SEEN_MAX 12

struct seen {
    unsigned count;
    struct pb_journal_read read[SEEN_MAX];
};

static void note(void *ctx, const struct pb_journal_read *read)
{
    struct seen *seen = ctx;

    assert_true(seen->count < SEEN_MAX);
    seen->read[seen->count++] = *read;
}

static struct seen look(struct pb_journal *j)
{
    struct seen seen = { 0 };

    pb_journal_each(j, note, &seen);
    return seen;
}

static void fill_shadow(uint8_t *shadow, unsigned size, unsigned n)
{
    for (unsigned i = 0; i < size; i++)
        shadow[i] = (uint8_t)(i * 3 + n);
}

static struct pb_journal_record *put_device(struct pb_journal *j, unsigned n)
{
    struct pb_journal_record *r = pb_journal_add_device(j);
    struct pb_journal_device device;
    struct pb_facts facts;
    struct pb_surroundings surroundings;
    uint8_t shadow[4096];

    assert_non_null(r);
    test_device_fill(&device, n);
    test_facts_fill(&facts, n);
    test_surroundings_fill(&surroundings, n);
    fill_shadow(shadow, facts.config_size, n);
    pb_journal_put_device(r, &device);
    pb_journal_put_facts(r, &facts, &surroundings);
    pb_journal_put_shadow(r, shadow, facts.config_size);
    return r;
}

static struct pb_journal_record *put_guest(struct pb_journal *j, unsigned n)
{
    struct pb_journal_record *r = pb_journal_add_guest(j);
    struct pb_journal_guest guest;

    assert_non_null(r);
    test_guest_fill(&guest, n);
    pb_journal_put_guest(r, &guest);
    return r;
}

static void check_device(const struct pb_journal_read *read, unsigned n)
{
    struct pb_journal_device device;
    struct pb_facts facts;
    struct pb_surroundings surroundings;
    uint8_t shadow[4096];

    test_device_fill(&device, n);
    test_facts_fill(&facts, n);
    test_surroundings_fill(&surroundings, n);
    fill_shadow(shadow, facts.config_size, n);
    assert_false(read->is_guest);
    assert_null(read->guest);
    assert_non_null(read->device);
    assert_non_null(read->facts);
    assert_non_null(read->surroundings);
    assert_non_null(read->shadow);
    assert_memory_equal(read->device, &device, sizeof(device));
    assert_memory_equal(read->facts, &facts, sizeof(facts));
    assert_memory_equal(read->surroundings, &surroundings, sizeof(surroundings));
    assert_int_equal(read->shadow_size, facts.config_size);
    assert_memory_equal(read->shadow, shadow, read->shadow_size);
}

static void check_guest(const struct pb_journal_read *read, unsigned n)
{
    struct pb_journal_guest guest;

    test_guest_fill(&guest, n);
    assert_true(read->is_guest);
    assert_null(read->device);
    assert_non_null(read->guest);
    assert_memory_equal(read->guest, &guest, sizeof(guest));
}

static void what_was_put_is_there_in_the_next_process(void **state)
{
    struct pb_journal *j = test_open(PB_JOURNAL_FOUND_NEW);
    struct pb_journal_op *op;
    struct seen seen;

    (void)state;
    (void)put_device(j, 0);
    op = pb_journal_op(put_guest(j, 0));
    op->op.cmd = 1;
    op->connection = 3;
    op->stage = PB_OP_ONCE;
    (void)put_device(j, 1);
    pb_journal_note_pirq(j, 151);
    pb_journal_note_pirq(j, 140);
    pb_journal_close(j);

    j = test_open(PB_JOURNAL_FOUND_KEPT);
    seen = look(j);
    assert_int_equal(seen.count, 3);
    check_guest(&seen.read[0], 0);
    check_device(&seen.read[1], 0);
    check_device(&seen.read[2], 1);
    op = pb_journal_op(seen.read[0].record);
    assert_int_equal(op->op.cmd, 1);
    assert_int_equal(op->connection, 3);
    assert_int_equal(op->stage, PB_OP_ONCE);
    assert_int_equal(pb_journal_pirq_top(j), 151);
    assert_int_equal(pb_journal_pirq_bottom(j), 140);
    assert_int_equal(pb_journal_stats(j).lost_parts, 0);
    assert_int_equal(pb_journal_stats(j).devices, 2);
    pb_journal_close(j);
}

/* Each put changes a few bytes: the copies take turns, and each has to hold all earlier changes. */
static void many_small_puts(void **state)
{
    struct pb_journal *j = test_open(PB_JOURNAL_FOUND_NEW);
    struct pb_journal_record *r = pb_journal_add_device(j);
    uint8_t shadow[4096] = { 0 };

    (void)state;
    srand(1);
    for (unsigned i = 0; i < 3000; i++) {
        unsigned bytes = i % 97 == 0 ? 1500 : (unsigned)rand() % 12;
        struct seen seen;

        for (unsigned n = 0; n < bytes; n++)
            shadow[(unsigned)rand() % sizeof(shadow)] = (uint8_t)rand();
        pb_journal_put_shadow(r, shadow, sizeof(shadow));
        for (unsigned n = (unsigned)rand() % 4; n > 0; n--) {
            unsigned at = (unsigned)rand() % sizeof(shadow);

            memset(shadow + (at & ~3u), rand(), 4);
            pb_journal_put_register(r, shadow, sizeof(shadow), at);
        }
        if (i % 5)
            continue;
        /* What the next process would find. */
        seen = look(j);
        assert_int_equal(seen.count, 1);
        assert_non_null(seen.read[0].shadow);
        assert_memory_equal(seen.read[0].shadow, shadow, sizeof(shadow));
        if (i % 250 == 0) {
            pb_journal_close(j);
            j = test_open(PB_JOURNAL_FOUND_KEPT);
            seen = look(j);
            r = seen.read[0].record;
            assert_memory_equal(seen.read[0].shadow, shadow, sizeof(shadow));
        }
    }
    pb_journal_close(j);
}

static void a_shadow_changes_its_size(void **state)
{
    static const unsigned sizes[] = { 256, 4096, 256, 255, 1, 4095, 4094, 4096, 4096 };
    struct pb_journal *j = test_open(PB_JOURNAL_FOUND_NEW);
    struct pb_journal_record *r = pb_journal_add_device(j);
    uint8_t shadow[4096];

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(sizes); i++) {
        struct seen seen;

        fill_shadow(shadow, sizes[i], i);
        if (i % 2) /* nothing of that length is there */
            pb_journal_put_register(r, shadow, sizes[i], 0);
        else
            pb_journal_put_shadow(r, shadow, sizes[i]);
        seen = look(j);
        assert_non_null(seen.read[0].shadow);
        assert_int_equal(seen.read[0].shadow_size, sizes[i]);
        assert_memory_equal(seen.read[0].shadow, shadow, sizes[i]);
    }
    pb_journal_close(j);
}

static void a_removed_record_is_gone_and_its_place_is_empty(void **state)
{
    struct pb_journal *j = test_open(PB_JOURNAL_FOUND_NEW);
    struct pb_journal_record *first = put_device(j, 0), *guest = put_guest(j, 0);
    struct seen seen;

    (void)state;
    (void)put_device(j, 1);
    pb_journal_op(guest)->stage = PB_OP_ONCE;
    assert_null(pb_journal_add_device(j));
    assert_int_equal(errno, ENOSPC);
    pb_journal_remove(j, first);
    pb_journal_remove(j, guest);
    first = pb_journal_add_device(j);
    guest = pb_journal_add_guest(j);
    assert_non_null(first);
    assert_int_equal(pb_journal_op(guest)->stage, PB_OP_IDLE);
    seen = look(j);
    assert_int_equal(seen.count, 3);
    assert_null(seen.read[0].guest);
    assert_null(seen.read[1].device);
    assert_null(seen.read[1].facts);
    assert_null(seen.read[1].shadow);
    pb_journal_remove(j, first);
    pb_journal_close(j);

    j = test_open(PB_JOURNAL_FOUND_KEPT);
    seen = look(j);
    assert_int_equal(seen.count, 2);
    check_device(&seen.read[1], 1);
    pb_journal_close(j);
}

static void remove_it(void *ctx, const struct pb_journal_read *read)
{
    pb_journal_remove(ctx, read->record);
}

static void a_visit_may_remove(void **state)
{
    struct pb_journal *j = test_open(PB_JOURNAL_FOUND_NEW);

    (void)state;
    (void)put_device(j, 0);
    (void)put_device(j, 1);
    (void)put_guest(j, 0);
    pb_journal_each(j, remove_it, j);
    assert_int_equal(look(j).count, 0);
    assert_int_equal(pb_journal_stats(j).devices, 0);
    pb_journal_close(j);
}

/* --- files that cannot be used (H11) --- */

static void is_put_aside(enum pb_journal_found expected)
{
    struct pb_journal *j = test_open(expected);
    struct stat st;

    assert_int_equal(look(j).count, 0);
    (void)put_device(j, 0);
    pb_journal_close(j);
    assert_int_equal(lstat(test_dir_file("journal.bad"), &st), 0);
    j = test_open(PB_JOURNAL_FOUND_KEPT);
    assert_int_equal(look(j).count, 1);
    pb_journal_close(j);
    assert_int_not_equal(lstat(test_dir_file("journal.new"), &st), 0);
}

static void make_one(void)
{
    struct pb_journal *j = test_open(PB_JOURNAL_FOUND_NEW);

    (void)put_device(j, 0);
    (void)put_guest(j, 0);
    pb_journal_close(j);
}

static void h11_another_boot(void **state)
{
    struct pb_journal_options options = test_options();
    enum pb_journal_found found;
    struct pb_journal *j;
    char why[200];

    (void)state;
    options.boot = "11111111-2222-3333-4444-555555555556";
    assert_int_equal(pb_journal_open(&options, &found, &j, why, sizeof(why)), 0);
    (void)put_device(j, 0);
    pb_journal_close(j);
    is_put_aside(PB_JOURNAL_FOUND_OTHER_BOOT);
}

static void h11_a_symbolic_link(void **state)
{
    size_t size;
    uint8_t *data;
    char target[100];

    (void)state;
    make_one();
    data = test_file_read("journal", &size);
    test_file_write("elsewhere", data, size);
    free(data);
    (void)snprintf(target, sizeof(target), "%s", test_dir_file("elsewhere"));
    assert_int_equal(unlink(test_dir_file("journal")), 0);
    assert_int_equal(symlink(target, test_dir_file("journal")), 0);
    is_put_aside(PB_JOURNAL_FOUND_FOREIGN);
}

static void h11_a_second_name(void **state)
{
    char first[100];

    (void)state;
    make_one();
    (void)snprintf(first, sizeof(first), "%s", test_dir_file("journal"));
    assert_int_equal(link(first, test_dir_file("other")), 0);
    is_put_aside(PB_JOURNAL_FOUND_FOREIGN);
}

static void h11_others_may_write(void **state)
{
    (void)state;
    make_one();
    assert_int_equal(chmod(test_dir_file("journal"), 0660), 0);
    is_put_aside(PB_JOURNAL_FOUND_FOREIGN);
}

static void h11_another_owner(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    make_one();
    assert_int_equal(chown(test_dir_file("journal"), 1234, 0), 0);
    is_put_aside(PB_JOURNAL_FOUND_FOREIGN);
}

static void h11_a_directory_or_a_pipe(void **state)
{
    (void)state;
    assert_int_equal(mkdir(test_dir_file("journal"), 0700), 0);
    is_put_aside(PB_JOURNAL_FOUND_FOREIGN);
    assert_int_equal(unlink(test_dir_file("journal")), 0);
    assert_int_equal(mkfifo(test_dir_file("journal"), 0600), 0);
    is_put_aside(PB_JOURNAL_FOUND_FOREIGN);
}

static void h11_another_program_s_file(void **state)
{
    uint8_t data[8192];

    (void)state;
    memset(data, 'x', sizeof(data));
    test_file_write("journal", data, sizeof(data));
    is_put_aside(PB_JOURNAL_FOUND_FOREIGN);
    test_file_write("journal", data, 0);
    is_put_aside(PB_JOURNAL_FOUND_DAMAGED);
}

static void header_with(void (*change)(struct pb_journal_header *header))
{
    struct pb_journal_header header;
    size_t size;
    uint8_t *data;

    (void)unlink(test_dir_file("journal"));
    make_one();
    data = test_file_read("journal", &size);
    memcpy(&header, data, sizeof(header));
    change(&header);
    header.checksum = pb_journal_sum(&header, offsetof(struct pb_journal_header, checksum));
    memcpy(data, &header, sizeof(header));
    test_file_write("journal", data, size);
    free(data);
}

static void other_major(struct pb_journal_header *h)
{
    h->major++;
}

static void h11_another_major_version(void **state)
{
    (void)state;
    header_with(other_major);
    is_put_aside(PB_JOURNAL_FOUND_FOREIGN);
}

/* Its checksum is right: whoever wrote it meant it. */
static void far_area(struct pb_journal_header *h)
{
    h->area[1].offset = UINT64_C(1) << 62;
}

static void many_records(struct pb_journal_header *h)
{
    h->area[1].count = UINT32_MAX;
}

static void long_record(struct pb_journal_header *h)
{
    h->area[0].stride = 0xffffffc0;
}

static void far_part(struct pb_journal_header *h)
{
    h->area[0].part[0].offset = h->area[0].stride;
}

static void long_part(struct pb_journal_header *h)
{
    h->area[1].part[2].capacity = 0xfffffff8;
}

static void parts_upon_parts(struct pb_journal_header *h)
{
    h->area[1].part[1].offset = h->area[1].part[0].offset;
}

static void few_parts(struct pb_journal_header *h)
{
    h->area[1].part_count = 1;
}

static void many_parts(struct pb_journal_header *h)
{
    h->area[1].part_count = 1000;
}

static void no_copies(struct pb_journal_header *h)
{
    h->area[1].part[3].copies = 1;
}

static void other_size(struct pb_journal_header *h)
{
    h->size += 4096;
}

static void boot_without_end(struct pb_journal_header *h)
{
    memset(h->boot, 'x', sizeof(h->boot));
}

static void h11_a_header_that_lies(void **state)
{
    static void (*const changes[])(struct pb_journal_header *) = {
        far_area,  many_records, long_record, far_part,   long_part,       parts_upon_parts,
        few_parts, many_parts,   no_copies,   other_size, boot_without_end
    };

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(changes); i++) {
        header_with(changes[i]);
        is_put_aside(PB_JOURNAL_FOUND_DAMAGED);
    }
}

/* A file whose parts may be longer than any that this version reads. */
static void make_wide(void)
{
    const unsigned count[] = { 2, 2 }, room[] = { 2, 2 };
    struct pb_journal_header header;
    struct pb_journal_layout *area = &header.area[PB_JOURNAL_DEVICES];
    uint32_t old;
    int dir = open(test_dir_file(""), O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;

    pb_journal_header_make(&header, TEST_BOOT, count);
    old = pb_journal_place_size(&area->part[PB_JOURNAL_SHADOW]);
    area->part[PB_JOURNAL_SHADOW].capacity = 8000;
    area->stride += pb_journal_place_size(&area->part[PB_JOURNAL_SHADOW]) - old;
    header.size = (area->offset + 2 * area->stride + 4095) / 4096 * 4096;
    header.checksum = pb_journal_sum(&header, offsetof(struct pb_journal_header, checksum));
    fd = pb_journal_make(dir, "journal", &header, room);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)close(dir);
}

static void h11_a_shadow_beyond_all_registers_is_lost(void **state)
{
    static const uint8_t shadow[6000] = { 1 };
    struct pb_journal_record *r;
    struct pb_journal *j;
    struct seen seen;

    (void)state;
    make_wide();
    j = test_open(PB_JOURNAL_FOUND_KEPT);
    r = put_device(j, 0);
    pb_journal_part_put(&r->part[PB_JOURNAL_SHADOW], shadow, sizeof(shadow));
    pb_journal_close(j);
    j = test_open(PB_JOURNAL_FOUND_KEPT);
    seen = look(j);
    assert_int_equal(seen.count, 1);
    assert_non_null(seen.read[0].device);
    assert_null(seen.read[0].shadow);
    assert_int_equal(seen.read[0].shadow_size, 0);
    assert_int_equal(pb_journal_stats(j).lost_parts, 1);
    pb_journal_close(j);
}

static void h11_the_last_bad_one_is_kept(void **state)
{
    size_t size;
    uint8_t *data;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        data = (uint8_t *)strdup("not a journal, and shorter than one");
        data[0] = (uint8_t)('0' + i);
        test_file_write("journal", data, 36);
        free(data);
        pb_journal_close(test_open(PB_JOURNAL_FOUND_DAMAGED));
        data = test_file_read("journal.bad", &size);
        assert_int_equal(data[0], '0' + i);
        free(data);
    }
}

static void it_is_for_root_alone(void **state)
{
    struct stat st;

    (void)state;
    (void)umask(0);
    make_one();
    assert_int_equal(stat(test_dir_file("journal"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

/* --- plugins (T16) --- */

static void t16_the_plugin_that_was_called_is_named(void **state)
{
    struct pb_journal *j = test_open(PB_JOURNAL_FOUND_NEW);

    (void)state;
    assert_string_equal(pb_journal_crashed_plugin(j), "");
    pb_journal_enter_plugin(j, "nvme-quiesce", 7);
    pb_journal_leave_plugin(j);
    pb_journal_close(j);
    j = test_open(PB_JOURNAL_FOUND_KEPT);
    assert_string_equal(pb_journal_crashed_plugin(j), "");
    pb_journal_enter_plugin(j, "a-name-that-is-as-long-as-it-may", 7);
    pb_journal_close(j);
    j = test_open(PB_JOURNAL_FOUND_KEPT);
    assert_string_equal(pb_journal_crashed_plugin(j), "a-name-that-is-as-long-as-it-may");
    pb_journal_close(j);
    j = test_open(PB_JOURNAL_FOUND_KEPT);
    assert_string_equal(pb_journal_crashed_plugin(j), "");
    pb_journal_close(j);
}

/* Two that end the daemon in turn must not bring each other back. */
static void t16_plugins_that_crashed_are_not_forgotten(void **state)
{
    char name[20];
    struct pb_journal *j;

    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        j = test_open(i ? PB_JOURNAL_FOUND_KEPT : PB_JOURNAL_FOUND_NEW);
        (void)snprintf(name, sizeof(name), "plugin-%u", i);
        assert_false(pb_journal_has_crashed(j, name, i));
        pb_journal_enter_plugin(j, name, i);
        pb_journal_close(j);
        j = test_open(PB_JOURNAL_FOUND_KEPT);
        assert_string_equal(pb_journal_crashed_plugin(j), name);
        assert_true(pb_journal_has_crashed(j, name, i));
        assert_false(pb_journal_has_crashed(j, name, i + 100)); /* another file of that name */
        /* Once more: it takes no second place. */
        pb_journal_enter_plugin(j, name, i);
        pb_journal_close(j);
    }
    j = test_open(PB_JOURNAL_FOUND_KEPT);
    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "plugin-%u", i);
        assert_int_equal(pb_journal_has_crashed(j, name, i), i >= 20 - PB_JOURNAL_OFF_MAX);
    }
    pb_journal_close(j);
}

/* --- room --- */

/* A write to a place of a file that has no room ends the process: it has to be taken before. */
static void h11_a_full_file_system_is_met_at_the_start(void **state)
{
    struct pb_journal_options options = test_options();
    struct rlimit old, small;
    enum pb_journal_found found;
    struct pb_journal *j;
    char why[200] = "";
    struct stat st;

    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 8192;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(pb_journal_open(&options, &found, &j, why, sizeof(why)), -ENOSPC);
    assert_null(j);
    assert_non_null(strstr(why, "no room"));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_not_equal(stat(test_dir_file("journal"), &st), 0);
    assert_int_not_equal(stat(test_dir_file("journal.new"), &st), 0);
}

/* The options of a journal on a file system of SIZE; skips where nobody may mount. */
static struct pb_journal_options on_small_fs(const char *size)
{
    static char place[100];
    char data[40];
    struct pb_journal_options options = test_options();

    (void)snprintf(place, sizeof(place), "%s", test_dir_file("small"));
    (void)snprintf(data, sizeof(data), "size=%s,mode=0755", size);
    assert_int_equal(mkdir(place, 0755), 0);
    if (mount("none", place, "tmpfs", 0, data) != 0)
        skip();
    options.dir = place;
    options.guests = options.devices = 100;
    return options;
}

static void h11_no_room_at_all_refuses_the_start(void **state)
{
    struct pb_journal_options options = on_small_fs("16k");
    enum pb_journal_found found;
    struct pb_journal *j;
    char why[200] = "";
    int rc = pb_journal_open(&options, &found, &j, why, sizeof(why));

    (void)state;
    (void)umount(options.dir);
    assert_int_equal(rc, -ENOSPC);
    assert_non_null(strstr(why, "no room"));
}

static void h11_no_room_for_more_keeps_what_is_there(void **state)
{
    struct pb_journal_options options = on_small_fs("200k");
    enum pb_journal_found found;
    struct pb_journal *j;
    unsigned devices = 0;
    struct seen seen;
    char why[200];
    int rc;

    (void)state;
    assert_int_equal(pb_journal_open(&options, &found, &j, why, sizeof(why)), 0);
    while (devices < 100 && pb_journal_add_device(j))
        devices++;
    assert_in_range(devices, 2, 9); /* of 23 KiB each */
    assert_int_equal(errno, ENOSPC);
    (void)put_guest(j, 0); /* has room since the start */
    seen = look(j);
    assert_int_equal(seen.count, devices + 1);
    pb_journal_remove(j, seen.read[devices].record);
    (void)put_device(j, 1);
    pb_journal_close(j);
    rc = pb_journal_open(&options, &found, &j, why, sizeof(why));
    (void)umount2(options.dir, MNT_DETACH);
    assert_int_equal(rc, 0);
    assert_int_equal(found, PB_JOURNAL_FOUND_KEPT);
    seen = look(j);
    assert_int_equal(seen.count, devices + 1);
    check_guest(&seen.read[0], 0);
    check_device(&seen.read[devices], 1);
    pb_journal_close(j);
}

static void limits_are_raised_and_lowered(void **state)
{
    struct pb_journal_options options = test_options();
    enum pb_journal_found found;
    struct pb_journal *j;
    struct seen seen;
    char why[200];

    (void)state;
    make_one();
    options.guests = 100;
    options.devices = 300;
    assert_int_equal(pb_journal_open(&options, &found, &j, why, sizeof(why)), 0);
    assert_int_equal(found, PB_JOURNAL_FOUND_KEPT);
    seen = look(j);
    assert_int_equal(seen.count, 2);
    check_guest(&seen.read[0], 0);
    check_device(&seen.read[1], 0);
    for (unsigned i = 1; i < 300; i++)
        assert_non_null(pb_journal_add_device(j));
    assert_null(pb_journal_add_device(j));
    pb_journal_close(j);
    j = test_open(PB_JOURNAL_FOUND_KEPT);
    assert_int_equal(pb_journal_stats(j).devices, 300);
    assert_int_equal(pb_journal_stats(j).devices_max, 2);
    assert_null(pb_journal_add_device(j));
    pb_journal_close(j);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_put_is_there_in_the_next_process),
        TEST(many_small_puts),
        TEST(a_shadow_changes_its_size),
        TEST(a_removed_record_is_gone_and_its_place_is_empty),
        TEST(a_visit_may_remove),
        TEST(h11_another_boot),
        TEST(h11_a_symbolic_link),
        TEST(h11_a_second_name),
        TEST(h11_others_may_write),
        TEST(h11_another_owner),
        TEST(h11_a_directory_or_a_pipe),
        TEST(h11_another_program_s_file),
        TEST(h11_another_major_version),
        TEST(h11_a_header_that_lies),
        TEST(h11_a_shadow_beyond_all_registers_is_lost),
        TEST(h11_the_last_bad_one_is_kept),
        TEST(it_is_for_root_alone),
        TEST(t16_the_plugin_that_was_called_is_named),
        TEST(t16_plugins_that_crashed_are_not_forgotten),
        TEST(h11_a_full_file_system_is_met_at_the_start),
        TEST(h11_no_room_at_all_refuses_the_start),
        TEST(h11_no_room_for_more_keeps_what_is_there),
        TEST(limits_are_raised_and_lowered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
