/* SPDX-License-Identifier: MIT */
/*
 * Whatever happens to the file: a part of a record is what it was, or it is lost. It is never
 * something else, and never what it was before its last put.
 */
#include "backend/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
/* behind what it needs */
#include <cmocka.h>

#include "backend/journal_file.h"
#include "base/bytes.h"
#include "journal_dir.h"
#include "pci/traits.h"

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

/* One of each: what is right, as it was put at the end. */
static struct pb_journal_device device;
static struct pb_journal_guest guest;
static struct pb_facts facts;
static struct pb_surroundings surroundings;
static uint8_t shadow[4096];

static struct pb_journal_options small(void)
{
    struct pb_journal_options options = test_options();

    options.guests = options.devices = options.reserve_devices = 1;
    return options;
}

static struct pb_journal *open_small(enum pb_journal_found *ret_found)
{
    const struct pb_journal_options options = small();
    struct pb_journal *j;
    char why[200] = "";

    if (pb_journal_open(&options, ret_found, &j, why, sizeof(why)) != 0)
        fail_msg("%s", why);
    return j;
}

static void fill(unsigned version)
{
    test_device_fill(&device, 0);
    test_guest_fill(&guest, 0);
    test_facts_fill(&facts, 0);
    test_surroundings_fill(&surroundings, 0);
    device.resets = version;
    guest.connects = version;
    facts.revision = (uint8_t)version;
    surroundings.virtual_functions = (uint16_t)version;
    memset(shadow, (int)version, sizeof(shadow));
}

/* Each part was put PUTS times: from two on both copies hold something that looks right. */
static uint8_t *make_image_of(unsigned puts, size_t *ret_size)
{
    enum pb_journal_found found;
    struct pb_journal *j = open_small(&found);
    struct pb_journal_record *d = pb_journal_add_device(j), *g = pb_journal_add_guest(j);

    for (unsigned version = 1; version <= puts; version++) {
        fill(version);
        pb_journal_put_device(d, &device);
        pb_journal_put_facts(d, &facts, &surroundings);
        pb_journal_put_shadow(d, shadow, sizeof(shadow));
        pb_journal_put_guest(g, &guest);
    }
    pb_journal_note_pirq(j, 151);
    pb_journal_enter_plugin(j, "guard", 7);
    pb_journal_close(j);
    return test_file_read("journal", ret_size);
}

static uint8_t *make_image(size_t *ret_size)
{
    return make_image_of(3, ret_size);
}

struct tally {
    unsigned guests, devices, parts;
};

static unsigned parts_of(const struct pb_journal_read *read)
{
    const void *const parts[] = { read->device, read->facts, read->surroundings, read->shadow,
                                  read->guest };
    unsigned count = 0;

    for (unsigned i = 0; i < PB_ARRAY_SIZE(parts); i++)
        count += parts[i] != NULL;
    return count;
}

static void right_or_lost(void *ctx, const struct pb_journal_read *read)
{
    struct tally *tally = ctx;

    tally->guests += read->is_guest;
    tally->devices += !read->is_guest;
    tally->parts += parts_of(read);
    if (read->device)
        assert_memory_equal(read->device, &device, sizeof(device));
    if (read->facts)
        assert_memory_equal(read->facts, &facts, sizeof(facts));
    if (read->surroundings)
        assert_memory_equal(read->surroundings, &surroundings, sizeof(surroundings));
    if (read->shadow) {
        assert_int_equal(read->shadow_size, sizeof(shadow));
        assert_memory_equal(read->shadow, shadow, sizeof(shadow));
    }
    if (read->guest)
        assert_memory_equal(read->guest, &guest, sizeof(guest));
}

static struct tally open_damaged(enum pb_journal_found *ret_found, unsigned *ret_lost)
{
    struct pb_journal *j = open_small(ret_found);
    struct tally tally = { 0 };
    uint32_t top = pb_journal_pirq_top(j);
    const char *plugin = pb_journal_crashed_plugin(j);

    pb_journal_each(j, right_or_lost, &tally);
    assert_true(tally.guests <= 1 && tally.devices <= 1);
    assert_true(top == 151 || top == 0);
    assert_true(strcmp(plugin, "guard") == 0 || strcmp(plugin, "") == 0);
    if (*ret_found != PB_JOURNAL_FOUND_KEPT)
        assert_int_equal(tally.guests + tally.devices, 0);
    *ret_lost = pb_journal_stats(j).lost_parts;
    pb_journal_close(j);
    return tally;
}

/* The operation's marker is written in place, and is checked against the guest's page instead. */
static bool in_marker(const uint8_t *image, size_t at)
{
    const struct pb_journal_header *header = (const struct pb_journal_header *)(const void *)image;
    const struct pb_journal_layout *area = &header->area[PB_JOURNAL_GUESTS];
    size_t from = area->offset + area->part[PB_JOURNAL_OP].offset;

    return at >= from && at < from + area->part[PB_JOURNAL_OP].capacity;
}

static void each_byte_wrong(void **state)
{
    size_t size;
    uint8_t *image = make_image(&size);
    unsigned losses = 0, refused = 0;

    (void)state;
    srand(7);
    for (size_t at = 0; at < size; at++) {
        enum pb_journal_found found;
        struct tally tally;
        uint8_t old = image[at];
        unsigned lost;

        image[at] ^= (uint8_t)(at % 3 ? 1 << at % 8 : 1 + rand() % 255);
        test_file_write("journal", image, size);
        image[at] = old;
        tally = open_damaged(&found, &lost);
        if (found != PB_JOURNAL_FOUND_KEPT) {
            refused++;
            assert_true(at < PB_JOURNAL_HEADER);
            continue;
        }
        losses += tally.parts < 5;
        /* One byte hurts one part at most, and what is lost is counted. */
        assert_true(tally.parts >= 4);
        if (!in_marker(image, at))
            assert_int_equal(tally.parts + lost, 5);
    }
    free(image);
    assert_true(refused > 200);
    assert_true(losses > 9000);
}

static void each_length_wrong(void **state)
{
    size_t size;
    uint8_t *image = make_image(&size);

    (void)state;
    for (size_t length = 0; length < size; length += length < PB_JOURNAL_HEADER ? 31 : 127) {
        enum pb_journal_found found;
        unsigned lost;

        test_file_write("journal", image, length);
        (void)open_damaged(&found, &lost);
        assert_int_equal(found, PB_JOURNAL_FOUND_DAMAGED);
    }
    image = realloc(image, size + 4096);
    assert_non_null(image);
    memset(image + size, 0, 4096);
    for (unsigned more = 1; more <= 4096; more += 273) {
        enum pb_journal_found found;
        unsigned lost;

        test_file_write("journal", image, size + more);
        (void)open_damaged(&found, &lost);
        assert_int_equal(found, PB_JOURNAL_FOUND_DAMAGED);
    }
    free(image);
}

/* Pages of zeros, as a disk leaves them: all of what was there is lost, and nothing is made up. */
static void zero_pages_of(unsigned puts)
{
    size_t size;
    uint8_t *image, *copy;

    (void)unlink(test_dir_file("journal"));
    image = make_image_of(puts, &size);
    copy = malloc(size);
    assert_non_null(copy);
    for (size_t at = 0; at < size; at += 512) {
        enum pb_journal_found found;
        unsigned lost;

        memcpy(copy, image, size);
        memset(copy + at, 0, size - at < 512 ? size - at : 512);
        test_file_write("journal", copy, size);
        (void)open_damaged(&found, &lost);
    }
    free(copy);
    free(image);
}

static void each_page_zero(void **state)
{
    (void)state;
    for (unsigned puts = 1; puts <= 3; puts++)
        zero_pages_of(puts);
}

/* --- what is wrong although its checksum is right --- */

static void nothing_to_change(void)
{
}

/* One member of a record as no daemon would write it. */
#define WRONG(name, change) \
    static void name(void)  \
    {                       \
        change;             \
    }

WRONG(phase, device.phase = PB_JOURNAL_PHASE_COUNT)
WRONG(many_vectors, device.interrupt_count = PB_MSIX_ENTRIES_MAX + 1)
WRONG(no_mode, device.interrupt_mode = 3)
WRONG(bad_pirq, device.vector[2].pirq = UINT32_MAX)
WRONG(many_taints, device.taint.count = PB_TAINT_MAX + 1)
WRONG(tainted_by_nobody, device.taint.by[0].domid = PB_TAINT_NOBODY)
WRONG(driver_without_end, memset(device.driver_before, 'x', sizeof(device.driver_before)))

static void driver_is_a_path(void)
{
    (void)snprintf(device.driver_before, sizeof(device.driver_before), "../../x");
}

WRONG(cause_without_end, memset(device.cause, 'x', sizeof(device.cause)))
WRONG(next_without_end, memset(device.cause_next, 'x', sizeof(device.cause_next)))
WRONG(code_without_end, memset(device.cause_code, 'x', sizeof(device.cause_code)))
WRONG(flag_of_two, device.serving = 2)
WRONG(resource_of_two, device.resource[6] = 2)
WRONG(bad_method, device.flr_method = PB_RESET_METHOD_COUNT)
WRONG(bad_node, device.node = -2)
WRONG(bad_node_state, device.node_state = 9)
WRONG(owner_is_nobody, device.domid = 0x7ff0)
WRONG(guest_is_nobody, guest.domid = 0x7ff4)
WRONG(name_without_end, memset(guest.name, 'x', sizeof(guest.name)))
WRONG(bad_topology, guest.topology = PB_TOPOLOGY_COUNT)
WRONG(bad_state, guest.fe_state = 9)
WRONG(many_roots, guest.root_count = PB_VROOTS + 1)
WRONG(guest_flag_of_two, guest.fenced = 2)
WRONG(config_of_300_bytes, facts.config_size = 300)

static void resource_backwards(void)
{
    facts.resource[3].start = 2;
    facts.resource[3].end = 1;
}

WRONG(methods_without_end, memset(facts.reset_methods, 'x', sizeof(facts.reset_methods)))
WRONG(class_of_32_bits, facts.class_code = 0x1000000)
WRONG(bool_of_facts, memset(&facts.virtual_function, 2, 1))
WRONG(facts_of_another, facts.sbdf.bus++)
WRONG(many_neighbours, surroundings.neighbour_count = PB_NEIGHBOURS_MAX + 1)

static void neighbour_without_end(void)
{
    memset(surroundings.neighbour[0].driver, 'x', sizeof(surroundings.neighbour[0].driver));
}

WRONG(path_without_end, memset(surroundings.path, 'x', sizeof(surroundings.path)))
WRONG(port_without_end, memset(surroundings.port, 'x', sizeof(surroundings.port)))
WRONG(uses_without_end, memset(surroundings.uses_text, 'x', sizeof(surroundings.uses_text)))
WRONG(bool_of_surroundings, memset(&surroundings.more_neighbours, 0xff, 1))

static const struct {
    const char *name;
    void (*change)(void);
} wrongs[] = {
#define W(name)     \
    {               \
#name, name \
    }
    W(nothing_to_change),
    W(phase),
    W(many_vectors),
    W(no_mode),
    W(bad_pirq),
    W(many_taints),
    W(tainted_by_nobody),
    W(driver_without_end),
    W(driver_is_a_path),
    W(cause_without_end),
    W(next_without_end),
    W(code_without_end),
    W(flag_of_two),
    W(resource_of_two),
    W(bad_method),
    W(bad_node),
    W(bad_node_state),
    W(owner_is_nobody),
    W(guest_is_nobody),
    W(name_without_end),
    W(bad_topology),
    W(bad_state),
    W(many_roots),
    W(guest_flag_of_two),
    W(config_of_300_bytes),
    W(resource_backwards),
    W(methods_without_end),
    W(class_of_32_bits),
    W(bool_of_facts),
    W(facts_of_another),
    W(many_neighbours),
    W(neighbour_without_end),
    W(path_without_end),
    W(port_without_end),
    W(uses_without_end),
    W(bool_of_surroundings),
#undef W
};

static void count_parts(void *ctx, const struct pb_journal_read *read)
{
    struct tally *tally = ctx;

    tally->parts += parts_of(read);
}

static void what_nobody_may_work_with_is_lost(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(wrongs); i++) {
        enum pb_journal_found found;
        struct pb_journal *j;
        struct pb_journal_record *d, *g;
        struct tally tally = { 0 };

        (void)unlink(test_dir_file("journal"));
        j = open_small(&found);
        d = pb_journal_add_device(j);
        g = pb_journal_add_guest(j);
        fill(1);
        wrongs[i].change();
        pb_journal_put_device(d, &device);
        pb_journal_put_facts(d, &facts, &surroundings);
        pb_journal_put_shadow(d, shadow, sizeof(shadow));
        pb_journal_put_guest(g, &guest);
        pb_journal_close(j);
        j = open_small(&found);
        pb_journal_each(j, count_parts, &tally);
        if (tally.parts != (i ? 4 : 5) || pb_journal_stats(j).lost_parts != (i ? 1 : 0))
            fail_msg("%s: %u parts are there, %u lost", wrongs[i].name, tally.parts,
                     pb_journal_stats(j).lost_parts);
        pb_journal_close(j);
    }
}

static void one_of_two_that_say_they_are_the_same(void **state)
{
    struct pb_journal *j = test_open(PB_JOURNAL_FOUND_NEW);
    struct tally tally = { 0 };

    (void)state;
    fill(1);
    for (unsigned i = 0; i < 2; i++) {
        struct pb_journal_record *d = pb_journal_add_device(j), *g = pb_journal_add_guest(j);

        pb_journal_put_device(d, &device);
        pb_journal_put_facts(d, &facts, &surroundings);
        pb_journal_put_guest(g, &guest);
    }
    pb_journal_close(j);
    j = test_open(PB_JOURNAL_FOUND_KEPT);
    pb_journal_each(j, count_parts, &tally);
    assert_int_equal(tally.parts, 4);
    assert_int_equal(pb_journal_stats(j).lost_parts, 4);
    pb_journal_close(j);
}

static void a_marker_out_of_range_is_idle(void **state)
{
    struct pb_journal *j = test_open(PB_JOURNAL_FOUND_NEW);
    struct pb_journal_record *g = pb_journal_add_guest(j);

    (void)state;
    fill(1);
    pb_journal_put_guest(g, &guest);
    pb_journal_op(g)->stage = PB_OP_ANSWERED + 1;
    pb_journal_op(g)->op.size = 4;
    pb_journal_close(j);
    j = test_open(PB_JOURNAL_FOUND_KEPT);
    assert_int_equal(pb_journal_stats(j).lost_parts, 1);
    pb_journal_close(j);
}

/* --- a process that ends between two stores --- */

static struct pb_journal *victim;
static struct pb_journal_record *victim_device, *victim_guest;

static void put_device_again(void)
{
    device.resets++;
    device.phase = PB_JOURNAL_DETACHING;
    pb_journal_put_device(victim_device, &device);
}

static void put_a_register(void)
{
    memset(shadow + 0x10, 0xff, 4);
    pb_journal_put_shadow(victim_device, shadow, sizeof(shadow));
}

static void put_an_access(void)
{
    memset(shadow + 0x1c, 0xff, 4);
    pb_journal_put_register(victim_device, shadow, sizeof(shadow), 0x1c);
}

static void put_all_registers(void)
{
    memset(shadow, 0xee, sizeof(shadow));
    pb_journal_put_shadow(victim_device, shadow, sizeof(shadow));
}

static void put_a_small_shadow(void)
{
    memset(shadow, 0xdd, 256);
    pb_journal_put_shadow(victim_device, shadow, 256);
}

static void put_guest_again(void)
{
    guest.connects++;
    pb_journal_put_guest(victim_guest, &guest);
}

static void put_facts_again(void)
{
    facts.revision++;
    surroundings.virtual_functions++;
    pb_journal_put_facts(victim_device, &facts, &surroundings);
}

static void remove_device(void)
{
    pb_journal_remove(victim, victim_device);
}

static void call_a_plugin(void)
{
    pb_journal_enter_plugin(victim, "slow-poke", 7);
    pb_journal_leave_plugin(victim);
}

static void note_a_pirq(void)
{
    pb_journal_note_pirq(victim, 4711);
}

/* What a process that opens the file now finds, as bytes. */
struct found {
    bool there[5], device_record, guest_record;
    struct pb_journal_device device;
    struct pb_journal_guest guest;
    struct pb_facts facts;
    struct pb_surroundings surroundings;
    uint8_t shadow[4096];
    unsigned shadow_size, lost;
};

static void keep(void *ctx, const struct pb_journal_read *read)
{
    struct found *f = ctx;

    if (read->device)
        f->device = *read->device;
    if (read->facts)
        f->facts = *read->facts;
    if (read->surroundings)
        f->surroundings = *read->surroundings;
    if (read->shadow)
        memcpy(f->shadow, read->shadow, read->shadow_size);
    if (read->guest)
        f->guest = *read->guest;
    f->shadow_size += read->shadow_size;
    f->there[0] |= read->device != NULL;
    f->there[1] |= read->facts != NULL;
    f->there[2] |= read->surroundings != NULL;
    f->there[3] |= read->shadow != NULL;
    f->there[4] |= read->guest != NULL;
    f->device_record |= !read->is_guest;
    f->guest_record |= read->is_guest;
}

static void find(const uint8_t *image, size_t size, struct found *ret)
{
    enum pb_journal_found found;
    struct pb_journal *j;
    const char *plugin;

    test_file_write("journal", image, size);
    j = open_small(&found);
    assert_int_equal(found, PB_JOURNAL_FOUND_KEPT);
    memset(ret, 0, sizeof(*ret));
    pb_journal_each(j, keep, ret);
    ret->lost = pb_journal_stats(j).lost_parts;
    plugin = pb_journal_crashed_plugin(j);
    assert_true(strcmp(plugin, "") == 0 || strcmp(plugin, "slow-poke") == 0 ||
                strcmp(plugin, "guard") == 0);
    assert_true(pb_journal_pirq_top(j) == 151 || pb_journal_pirq_top(j) == 4711);
    pb_journal_close(j);
}

/* Each part is as before or as after, and the record is there as a whole or not at all. */
static void check_between(const struct found *now, const struct found *before,
                          const struct found *after)
{
    assert_int_equal(now->lost, 0);
    assert_int_equal(now->guest_record, true);
    if (!now->device_record) {
        assert_false(after->device_record);
        return;
    }
    for (unsigned i = 0; i < 5; i++)
        assert_true(now->there[i]);
#define SAME(member)                                                               \
    assert_true(memcmp(&now->member, &before->member, sizeof(now->member)) == 0 || \
                memcmp(&now->member, &after->member, sizeof(now->member)) == 0)
    SAME(device);
    SAME(guest);
    SAME(facts);
    SAME(surroundings);
    SAME(shadow_size);
    SAME(shadow);
#undef SAME
}

static void open_victim(void *ctx, const struct pb_journal_read *read)
{
    (void)ctx;
    if (read->is_guest)
        victim_guest = read->record;
    else
        victim_device = read->record;
}

/* In the child: opens the file, stops, changes it, stops. */
static void be_stepped(void (*change)(void))
{
    enum pb_journal_found found;

    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(77);
    victim = open_small(&found);
    pb_journal_each(victim, open_victim, NULL);
    (void)raise(SIGSTOP);
    change();
    (void)raise(SIGSTOP);
    _exit(0);
}

/* One instruction. False: it has come to its second stop, or cannot be traced. */
static bool step(pid_t child)
{
    int status;

    if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0 || waitpid(child, &status, 0) != child)
        return false;
    return WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
}

static const uint8_t *map_journal(size_t size)
{
    int fd = open(test_dir_file("journal"), O_RDONLY | O_CLOEXEC);
    const uint8_t *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

    assert_true(fd >= 0 && map != MAP_FAILED);
    (void)close(fd);
    return map;
}

/*
 * Every state of the file that a process leaves that is killed while it makes CHANGE. False when
 * nobody may trace here.
 */
static bool every_store_may_be_the_last(void (*change)(void), const uint8_t *image, size_t size,
                                        unsigned *ret_states)
{
    static struct found before, after, now;
    uint8_t *last = malloc(size);
    uint8_t **states = NULL;
    unsigned count = 0;
    const uint8_t *map;
    int status;
    pid_t child;

    assert_non_null(last);
    test_file_write("journal", image, size);
    map = map_journal(size);
    child = fork();
    if (child == 0)
        be_stepped(change);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSTOPPED(status))
        return false;
    memcpy(last, map, size);
    do {
        if (count > 0 && memcmp(last, map, size) == 0)
            continue;
        memcpy(last, map, size);
        states = realloc(states, (count + 1) * sizeof(*states));
        assert_non_null(states);
        states[count] = malloc(size);
        assert_non_null(states[count]);
        memcpy(states[count++], map, size);
    } while (step(child));
    (void)kill(child, SIGKILL);
    (void)waitpid(child, &status, 0);
    (void)munmap((void *)(uintptr_t)map, size);
    find(states[0], size, &before);
    find(states[count - 1], size, &after);
    for (unsigned i = 0; i < count; i++) {
        find(states[i], size, &now);
        check_between(&now, &before, &after);
        free(states[i]);
    }
    free(states);
    free(last);
    *ret_states = count;
    return true;
}

static void h11_every_store_of_a_put_may_be_the_last(void **state)
{
    static void (*const changes[])(void) = { put_device_again,  put_a_register,     put_an_access,
                                             put_all_registers, put_a_small_shadow, put_guest_again,
                                             put_facts_again,   remove_device,      call_a_plugin,
                                             note_a_pirq };
    size_t size;
    uint8_t *image = make_image(&size);

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(changes); i++) {
        unsigned states;

        if (!every_store_may_be_the_last(changes[i], image, size, &states)) {
            free(image);
            skip();
        }
        assert_true(states >= 2);
    }
    free(image);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_byte_wrong),
        TEST(each_length_wrong),
        TEST(each_page_zero),
        TEST(what_nobody_may_work_with_is_lost),
        TEST(one_of_two_that_say_they_are_the_same),
        TEST(a_marker_out_of_range_is_idle),
        TEST(h11_every_store_of_a_put_may_be_the_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
