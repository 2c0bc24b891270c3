/* SPDX-License-Identifier: MIT */
/*
 * A journal that is put to, damaged, opened again, by processes of other limits: whatever its file
 * holds, what is read from it is within its ranges, and without damage it is what was put.
 *
 * The input: a byte of flags (RAW: the rest is a file as it stands), then commands.
 */
#include "backend/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/journal_file.h"
#include "base/assert.h"
#include "bytes_in.h"
#include "fuzz.h"
#include "pci/traits.h"

#define RECORDS     2u
#define REOPENS_MAX 6u /* of one input: each costs system calls */
#define BOOT        "11111111-2222-3333-4444-555555555555"

enum { FLAG_RAW = 1 };
enum command {
    ADD,
    REMOVE,
    PUT_DEVICE,
    PUT_FACTS,
    PUT_SHADOW,
    PUT_GUEST,
    PUT_OP,
    NOTE_PIRQ,
    ENTER_PLUGIN,
    LEAVE_PLUGIN,
    DAMAGE,
    CUT,
    REOPEN,
    COMMANDS
};

/* What was put last. */
struct model {
    struct pb_journal_record *record; /* NULL: there is none */
    uint32_t index;
    bool seen; /* by this look at all */
    bool lost; /* once: a guest like another one is lost, and need not come back */
    bool has_device, has_facts, has_guest;
    struct pb_journal_device device;
    struct pb_facts facts;
    struct pb_surroundings surroundings;
    struct pb_journal_guest guest;
    unsigned shadow_size; /* 0: none */
    uint8_t shadow[PB_CONFIG_SIZE_PCIE];
};

static struct {
    struct pb_journal *j;
    unsigned reopens;
    bool damaged; /* the file was changed behind the journal's back since it was made */
    struct model device[RECORDS], guest[RECORDS];
} t;

static char dir[64], path[100];

static void clean_up(void)
{
    static const char *const names[] = { "journal", "journal.new", "journal.bad" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
}

static void remove_dir(void)
{
    clean_up();
    (void)rmdir(dir);
}

static void make_dir(void)
{
    struct stat st;

    if (dir[0])
        return;
    (void)snprintf(dir, sizeof(dir), "%s/pb-fuzz-XXXXXX",
                   stat("/dev/shm", &st) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(dir))
        abort();
    (void)atexit(remove_dir);
}

static const char *file_path(void)
{
    (void)snprintf(path, sizeof(path), "%s/journal", dir);
    return path;
}

/* --- what is read --- */

static unsigned length_of(const char *text, size_t size)
{
    size_t length = strnlen(text, size);

    PB_ASSERT(length < size);
    return (unsigned)length;
}

/* What a process does with them: no number leads out of an array, no text has no end. */
static void use_device(const struct pb_journal_device *d)
{
    unsigned sum = length_of(d->driver_before, sizeof(d->driver_before)) +
                   length_of(d->driver_now, sizeof(d->driver_now)) +
                   length_of(d->cause, sizeof(d->cause)) +
                   length_of(d->cause_next, sizeof(d->cause_next)) +
                   length_of(d->cause_code, sizeof(d->cause_code));

    PB_ASSERT(d->phase < PB_JOURNAL_PHASE_COUNT && d->flr_method < PB_RESET_METHOD_COUNT);
    for (unsigned i = 0; i < d->interrupt_count; i++)
        sum += d->vector[i].pirq;
    for (unsigned i = 0; i < d->taint.count; i++)
        sum += d->taint.by[i].domid;
    PB_ASSERT(sum || d->interrupt_count <= PB_MSIX_ENTRIES_MAX);
}

static void use_facts(const struct pb_facts *f, const struct pb_surroundings *s)
{
    if (f) {
        const bool vf = f->virtual_function; /* undefined if it is neither */

        PB_ASSERT(f->config_size <= sizeof(f->config) && (vf || !vf));
        (void)length_of(f->reset_methods, sizeof(f->reset_methods));
    }
    if (s) {
        const bool more = s->more_neighbours, physical = s->has_physical_function;

        PB_ASSERT((more || !more) && (physical || !physical));
        (void)length_of(s->path, sizeof(s->path));
        (void)length_of(s->port, sizeof(s->port));
        (void)length_of(s->uses_text, sizeof(s->uses_text));
        for (unsigned i = 0; i < s->neighbour_count; i++)
            (void)length_of(s->neighbour[i].driver, sizeof(s->neighbour[i].driver));
    }
}

static void use_guest(const struct pb_journal_guest *g, struct pb_journal_op *op)
{
    unsigned sum = length_of(g->name, sizeof(g->name));

    for (unsigned i = 0; i < g->root_count; i++)
        sum += g->root[i].bus;
    PB_ASSERT(sum < 100000 && g->topology < PB_TOPOLOGY_COUNT);
    PB_ASSERT(op->stage <= PB_OP_ANSWERED);
}

static bool is_other_guest(const struct model *m)
{
    const struct model *other = m == t.guest ? t.guest + 1 : t.guest;

    return !other->record || !other->has_guest || other->guest.domid != m->guest.domid;
}

/* Without damage: what was put, or it was nothing that may be put. */
static void compare(const struct pb_journal_read *read, struct model *m)
{
    if (read->is_guest && m->has_guest && !m->lost && is_other_guest(m))
        PB_ASSERT(read->guest || !pb_journal_check(PB_JOURNAL_GUESTS, PB_JOURNAL_GUEST, &m->guest));
    m->lost = m->lost || !read->guest;
    if (read->guest)
        PB_ASSERT(m->has_guest && memcmp(read->guest, &m->guest, sizeof(m->guest)) == 0);
    if (read->device)
        PB_ASSERT(m->has_device && memcmp(read->device, &m->device, sizeof(m->device)) == 0);
    if (read->facts)
        PB_ASSERT(m->has_facts && memcmp(read->facts, &m->facts, sizeof(m->facts)) == 0);
    if (read->surroundings)
        PB_ASSERT(m->has_facts &&
                  memcmp(read->surroundings, &m->surroundings, sizeof(m->surroundings)) == 0);
    if (read->shadow)
        PB_ASSERT(m->shadow_size == read->shadow_size &&
                  memcmp(read->shadow, m->shadow, m->shadow_size) == 0);
}

/*
 * What stands at a record: they keep their order, also when the file is made anew. After damage one
 * is a new one.
 */
static struct model *model_of(const struct pb_journal_read *read)
{
    struct model *all = read->is_guest ? t.guest : t.device, *ret = NULL;

    for (unsigned i = 0; i < RECORDS; i++) {
        if (all[i].seen || (!t.damaged && !all[i].record))
            continue;
        if (!ret || (!t.damaged && all[i].index < ret->index))
            ret = &all[i];
    }
    PB_ASSERT(t.damaged || ret);
    return ret;
}

static void visit(void *ctx, const struct pb_journal_read *read)
{
    struct model *m = model_of(read);
    unsigned *count = ctx;

    if (read->device)
        use_device(read->device);
    use_facts(read->facts, read->surroundings);
    PB_ASSERT(read->shadow_size <= PB_CONFIG_SIZE_PCIE);
    for (unsigned i = 0; i < read->shadow_size; i++)
        *count += read->shadow[i];
    if (read->guest)
        use_guest(read->guest, pb_journal_op(read->record));
    if (!m)
        return;
    if (t.damaged)
        *m = (struct model){ 0 };
    else
        compare(read, m);
    m->seen = true;
    m->record = read->record;
    m->index = read->record->index;
}

/* --- commands --- */

static void open_it(unsigned more)
{
    const struct pb_journal_options options = { .dir = dir,
                                                .boot = BOOT,
                                                .guests = RECORDS + more,
                                                .devices = RECORDS + more,
                                                .reserve_devices = 1 };
    enum pb_journal_found found;
    char why[200];
    unsigned sum = 0;
    int rc = pb_journal_open(&options, &found, &t.j, why, sizeof(why));

    PB_ASSERT(rc == 0); /* whatever is there, the daemon can start */
    PB_ASSERT(t.damaged || found == PB_JOURNAL_FOUND_NEW || found == PB_JOURNAL_FOUND_KEPT);
    PB_ASSERT(strlen(pb_journal_crashed_plugin(t.j)) <= PB_PLUGIN_NAME_MAX);
    for (unsigned i = 0; i < RECORDS; i++) {
        t.device[i].seen = t.guest[i].seen = false;
        if (t.damaged)
            t.device[i].record = t.guest[i].record = NULL;
    }
    pb_journal_each(t.j, visit, &sum);
}

static void reopen(unsigned more)
{
    if (t.reopens++ >= REOPENS_MAX)
        return;
    pb_journal_close(t.j);
    open_it(more);
}

static void edit(struct bytes_in *in, void *blob, size_t size)
{
    unsigned edits = bytes_take(in, 1) % 8;

    for (unsigned i = 0; i < edits; i++) {
        size_t at = bytes_take(in, 4) % size;

        ((uint8_t *)blob)[at] = (uint8_t)bytes_take(in, 1);
    }
}

static void change(struct bytes_in *in, unsigned command, struct model *device, struct model *guest)
{
    switch (command) {
    case PUT_DEVICE:
        edit(in, &device->device, sizeof(device->device));
        device->has_device = true;
        pb_journal_put_device(device->record, &device->device);
        break;
    case PUT_FACTS:
        edit(in, &device->facts, sizeof(device->facts));
        edit(in, &device->surroundings, sizeof(device->surroundings));
        device->has_facts = true;
        pb_journal_put_facts(device->record, &device->facts, &device->surroundings);
        break;
    case PUT_SHADOW:
        edit(in, device->shadow, sizeof(device->shadow));
        device->shadow_size =
            bytes_take(in, 1) & 1 ? PB_CONFIG_SIZE_PCIE : bytes_take(in, 4) % 4096 + 1;
        pb_journal_put_shadow(device->record, device->shadow, device->shadow_size);
        break;
    case PUT_GUEST:
        edit(in, &guest->guest, sizeof(guest->guest));
        guest->has_guest = true;
        guest->lost = false;
        pb_journal_put_guest(guest->record, &guest->guest);
        break;
    default: {
        struct pb_journal_op *op = pb_journal_op(guest->record);

        edit(in, op, sizeof(*op));
        break;
    }
    }
}

static void change_file(struct bytes_in *in, unsigned command)
{
    uint8_t byte = (uint8_t)bytes_take(in, 1);
    int fd = open(file_path(), O_RDWR | O_CLOEXEC);
    struct stat st;
    bool done = fd >= 0 && fstat(fd, &st) == 0;

    PB_ASSERT(done);
    t.damaged = true;
    if (command == CUT && t.reopens++ < REOPENS_MAX) {
        pb_journal_close(t.j);
        done = ftruncate(fd, (off_t)(bytes_take(in, 4) % ((unsigned)st.st_size + 100))) == 0;
        open_it(0);
    } else {
        done = pwrite(fd, &byte, 1, (off_t)(bytes_take(in, 4) % (unsigned)st.st_size)) == 1;
    }
    PB_ASSERT(done);
    (void)close(fd);
}

static void add_or_remove(unsigned command, struct model *m, bool is_guest)
{
    if (command == ADD && !m->record) {
        *m = (struct model){ .record = is_guest ? pb_journal_add_guest(t.j)
                                                : pb_journal_add_device(t.j) };
        m->device.node = -1;
        m->facts.config_size = PB_CONFIG_SIZE_PCIE;
        m->index = m->record ? m->record->index : 0;
    } else if (command == REMOVE && m->record) {
        pb_journal_remove(t.j, m->record);
        m->record = NULL;
    }
}

static void run(struct bytes_in *in)
{
    unsigned command = bytes_take(in, 1) % COMMANDS, n = bytes_take(in, 1);
    struct model *device = &t.device[n % RECORDS], *guest = &t.guest[n % RECORDS];
    char name[8];

    switch (command) {
    case ADD:
    case REMOVE:
        add_or_remove(command, n & 2 ? guest : device, n & 2);
        break;
    case NOTE_PIRQ:
        pb_journal_note_pirq(t.j, bytes_take(in, 4));
        break;
    case ENTER_PLUGIN:
        (void)snprintf(name, sizeof(name), "p%u", n);
        pb_journal_enter_plugin(t.j, name, n);
        break;
    case LEAVE_PLUGIN:
        pb_journal_leave_plugin(t.j);
        break;
    case DAMAGE:
    case CUT:
        change_file(in, command);
        break;
    case REOPEN:
        reopen(n % 4);
        break;
    default:
        if ((command < PUT_GUEST ? device : guest)->record)
            change(in, command, device, guest);
        break;
    }
}

static void write_raw(const uint8_t *data, size_t size)
{
    int fd = open(file_path(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct pb_journal_header header;
    bool done = fd >= 0 && write(fd, data, size) == (ssize_t)size;

    PB_ASSERT(done);
    /* A checksum that is right lets more of it through. */
    if (size >= sizeof(header)) {
        memcpy(&header, data, sizeof(header));
        header.checksum = pb_journal_sum(&header, offsetof(struct pb_journal_header, checksum));
        done = pwrite(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header) &&
               (header.size > (1u << 24) || ftruncate(fd, (off_t)header.size) == 0);
    }
    PB_ASSERT(done);
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes_in in = { data, size };
    unsigned flags;

    make_dir();
    clean_up();
    memset(&t, 0, sizeof(t));
    flags = bytes_take(&in, 1);
    if (flags & FLAG_RAW) {
        write_raw(in.data, in.left);
        in.left = 0;
        t.damaged = true;
    }
    open_it(0);
    while (in.left > 0)
        run(&in);
    t.reopens = 0;
    reopen(0);
    pb_journal_close(t.j);
    return 0;
}
