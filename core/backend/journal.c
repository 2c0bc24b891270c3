/* SPDX-License-Identifier: MIT */
#include "backend/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/journal_file.h"
#include "base/assert.h"

/* A record's first word. Any other value is damage, and then its parts decide. */
#define STATE_USED UINT64_C(0x75736564a5c33c5a)
#define STATE_FREE UINT64_C(0x667265655a3cc3a5)

/* So many records get room at once. */
static const uint32_t chunk[PB_JOURNAL_AREAS] = { 32, 8 };

static const char *const found_texts[] = {
#define X(id, help) [PB_JOURNAL_FOUND_##id] = (help),
    PB_JOURNAL_FOUND(X)
#undef X
};

const char *pb_journal_found_text(enum pb_journal_found found)
{
    return found_texts[found];
}

/* --- records --- */

static _Atomic uint64_t *state_of(const struct pb_journal_record *r)
{
    return (_Atomic uint64_t *)(void *)r->at;
}

static void set_state(struct pb_journal_record *r, uint64_t state)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(state_of(r), state, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
}

/* What this version does not know has no part here. */
static unsigned part_count(const struct pb_journal_record *r)
{
    unsigned count = r->j->area[r->area].layout->part_count;

    return count < PB_JOURNAL_PARTS ? count : PB_JOURNAL_PARTS;
}

/* Known here, and with two copies. */
static bool has_part(const struct pb_journal_record *r, unsigned part)
{
    return part < part_count(r) && pb_journal_part_size(r->area, part) > 0 &&
           r->j->area[r->area].layout->part[part].copies == 2;
}

static struct pb_journal_record *record_new(struct pb_journal *j, enum pb_journal_area_id area,
                                            uint32_t index)
{
    const struct pb_journal_layout *layout = j->area[area].layout;
    struct pb_journal_record *r;
    unsigned parts = 0;

    for (unsigned i = 0; i < PB_JOURNAL_PARTS && i < layout->part_count; i++) {
        if (pb_journal_part_size(area, i) > 0 && layout->part[i].copies == 2)
            parts = i + 1;
    }
    r = calloc(1, sizeof(*r) + parts * sizeof(r->part[0]));
    if (!r)
        return NULL;
    r->j = j;
    r->area = area;
    r->index = index;
    r->at = j->map + layout->offset + (size_t)index * layout->stride;
    for (unsigned i = 0; i < PB_JOURNAL_PARTS; i++) {
        if (has_part(r, i))
            pb_journal_part_init(&r->part[i], r->at, &layout->part[i],
                                 (uint64_t)area << 48 | (uint64_t)i << 32 | index);
    }
    return r;
}

void pb_journal_record_free(struct pb_journal_record *r)
{
    for (unsigned i = 0; i < PB_JOURNAL_PARTS; i++)
        free(r->found[i]);
    free(r);
}

static void drop_found(struct pb_journal_record *r, unsigned part)
{
    free(r->found[part]);
    r->found[part] = NULL;
    r->j->lost++;
}

/* Right by its checksum, and something that a process may work with. */
static bool is_usable(const struct pb_journal_record *r, unsigned part)
{
    if (r->area == PB_JOURNAL_DEVICES && part == PB_JOURNAL_SHADOW)
        return r->part[part].length <= PB_CONFIG_SIZE_PCIE;
    return pb_journal_check(r->area, part, r->found[part]);
}

/* -ENOMEM when a copy of what is there cannot be made. */
static int load(struct pb_journal_record *r)
{
    for (unsigned i = 0; i < PB_JOURNAL_PARTS; i++) {
        size_t size = pb_journal_part_size(r->area, i);
        enum pb_journal_loaded loaded;

        if (!has_part(r, i))
            continue;
        if (!r->found[i])
            r->found[i] = malloc(size);
        if (!r->found[i])
            return -ENOMEM;
        loaded = pb_journal_part_load(&r->part[i], r->found[i], size);
        if (loaded == PB_JOURNAL_LOST || (loaded == PB_JOURNAL_RIGHT && !is_usable(r, i))) {
            r->part[i].lost = true;
            r->part[i].sequence = 0;
            drop_found(r, i);
        } else if (loaded == PB_JOURNAL_NEVER) {
            free(r->found[i]);
            r->found[i] = NULL;
        }
    }
    r->changed = false;
    return 0;
}

static bool is_empty(const struct pb_journal_record *r)
{
    for (unsigned i = 0; i < PB_JOURNAL_PARTS; i++) {
        if (r->found[i] || (has_part(r, i) && r->part[i].lost))
            return false;
    }
    return true;
}

/* Every part, those of a newer version too: none may look like the next one's that is put here. */
static void clear(struct pb_journal_record *r)
{
    const struct pb_journal_layout *layout = r->j->area[r->area].layout;

    for (unsigned i = 0; i < layout->part_count; i++) {
        struct pb_journal_part part;

        if (layout->part[i].copies == 2) {
            pb_journal_part_init(&part, r->at, &layout->part[i], 0);
            pb_journal_part_clear(&part);
        } else {
            memset(r->at + layout->part[i].offset, 0, layout->part[i].capacity);
        }
    }
    for (unsigned i = 0; i < PB_JOURNAL_PARTS; i++) {
        if (has_part(r, i))
            pb_journal_part_clear(&r->part[i]);
    }
}

int pb_journal_take_room(struct pb_journal *j, enum pb_journal_area_id a, uint32_t to)
{
    struct pb_journal_area *area = &j->area[a];
    int rc = pb_journal_room(j->fd, area->layout, area->room, to);

    if (rc != 0)
        return rc;
    area->room = to;
    atomic_store_explicit(&j->file->room[a], pb_journal_number(to), memory_order_release);
    return 0;
}

/* Room for record INDEX: for some more as well, if there is as much. */
static int grow(struct pb_journal *j, enum pb_journal_area_id a, uint32_t index)
{
    struct pb_journal_area *area = &j->area[a];
    uint32_t want = index + chunk[a];

    if (index < area->room)
        return 0;
    if (want > area->layout->count)
        want = area->layout->count;
    if (pb_journal_take_room(j, a, want) == 0)
        return 0;
    return pb_journal_take_room(j, a, index + 1);
}

struct pb_journal_record *pb_journal_add(struct pb_journal *j, enum pb_journal_area_id a)
{
    struct pb_journal_area *area = &j->area[a];
    struct pb_journal_record *r;
    uint32_t index = area->free_from;
    int rc;

    while (index < area->layout->count && area->record[index])
        index++;
    if (area->used >= area->limit || index == area->layout->count) {
        errno = ENOSPC;
        return NULL;
    }
    rc = grow(j, a, index);
    if (rc != 0) {
        errno = -rc;
        return NULL;
    }
    r = record_new(j, a, index);
    if (!r) {
        errno = ENOMEM;
        return NULL;
    }
    clear(r); /* a removal may have been cut short */
    set_state(r, STATE_USED);
    area->record[index] = r;
    area->free_from = index + 1;
    area->used++;
    return r;
}

struct pb_journal_record *pb_journal_add_device(struct pb_journal *j)
{
    return pb_journal_add(j, PB_JOURNAL_DEVICES);
}

struct pb_journal_record *pb_journal_add_guest(struct pb_journal *j)
{
    return pb_journal_add(j, PB_JOURNAL_GUESTS);
}

void pb_journal_remove(struct pb_journal *j, struct pb_journal_record *r)
{
    PB_ASSERT(r->j == j);
    set_state(r, STATE_FREE);
    clear(r);
    j->area[r->area].record[r->index] = NULL;
    j->area[r->area].used--;
    if (r->index < j->area[r->area].free_from)
        j->area[r->area].free_from = r->index;
    pb_journal_record_free(r);
}

/* --- what is put into them --- */

static void put(struct pb_journal_record *r, enum pb_journal_area_id area, unsigned part,
                const void *data, size_t size)
{
    PB_ASSERT(r->area == area);
#if PB_JOURNAL_GROWN
    static uint8_t grown[PB_JOURNAL_STRIDE_MAX];

    memset(grown, 0xb0, size + PB_JOURNAL_GROWN);
    memcpy(grown, data, size);
    data = grown;
    size += PB_JOURNAL_GROWN;
#endif
    pb_journal_part_put(&r->part[part], data, size);
    r->changed = true;
}

void pb_journal_put_device(struct pb_journal_record *r, const struct pb_journal_device *device)
{
    put(r, PB_JOURNAL_DEVICES, PB_JOURNAL_DEVICE, device, sizeof(*device));
}

void pb_journal_put_guest(struct pb_journal_record *r, const struct pb_journal_guest *guest)
{
    put(r, PB_JOURNAL_GUESTS, PB_JOURNAL_GUEST, guest, sizeof(*guest));
}

void pb_journal_put_facts(struct pb_journal_record *r, const struct pb_facts *facts,
                          const struct pb_surroundings *surroundings)
{
    put(r, PB_JOURNAL_DEVICES, PB_JOURNAL_FACTS, facts, sizeof(*facts));
    put(r, PB_JOURNAL_DEVICES, PB_JOURNAL_SURROUNDINGS, surroundings, sizeof(*surroundings));
}

void pb_journal_put_shadow(struct pb_journal_record *r, const uint8_t *shadow, unsigned size)
{
    PB_ASSERT(r->area == PB_JOURNAL_DEVICES);
    pb_journal_part_put(&r->part[PB_JOURNAL_SHADOW], shadow, size);
    r->changed = true;
}

void pb_journal_put_register(struct pb_journal_record *r, const uint8_t *shadow, unsigned size,
                             unsigned offset)
{
    PB_ASSERT(r->area == PB_JOURNAL_DEVICES);
    pb_journal_part_put_word(&r->part[PB_JOURNAL_SHADOW], shadow, size, offset);
    r->changed = true;
}

struct pb_journal_op *pb_journal_op(struct pb_journal_record *r)
{
    const struct pb_journal_layout *layout = r->j->area[PB_JOURNAL_GUESTS].layout;

    PB_ASSERT(r->area == PB_JOURNAL_GUESTS);
    return (struct pb_journal_op *)(void *)(r->at + layout->part[PB_JOURNAL_OP].offset);
}

/* --- what is read of them --- */

static void visit_record(struct pb_journal_record *r,
                         void (*visit)(void *ctx, const struct pb_journal_read *read), void *ctx)
{
    struct pb_journal_read read = { .record = r, .is_guest = r->area == PB_JOURNAL_GUESTS };

    /* Without memory for a copy its parts are as good as lost; the start has made them all. */
    if (r->changed)
        (void)load(r);
    if (read.is_guest) {
        read.guest = r->found[PB_JOURNAL_GUEST];
    } else {
        read.device = r->found[PB_JOURNAL_DEVICE];
        read.facts = r->found[PB_JOURNAL_FACTS];
        read.surroundings = r->found[PB_JOURNAL_SURROUNDINGS];
        read.shadow = r->found[PB_JOURNAL_SHADOW];
        if (read.shadow)
            read.shadow_size = (unsigned)r->part[PB_JOURNAL_SHADOW].length;
    }
    visit(ctx, &read);
}

void pb_journal_each(struct pb_journal *j,
                     void (*visit)(void *ctx, const struct pb_journal_read *read), void *ctx)
{
    for (unsigned a = 0; a < PB_JOURNAL_AREAS; a++) {
        for (uint32_t i = 0; i < j->area[a].layout->count; i++) {
            if (j->area[a].record[i])
                visit_record(j->area[a].record[i], visit, ctx);
        }
    }
}

/* Who it is of; false: nothing says so. */
static bool key_of(const struct pb_journal_record *r, uint32_t *ret)
{
    const struct pb_journal_guest *guest = r->found[PB_JOURNAL_GUEST];
    const struct pb_journal_device *device = r->found[PB_JOURNAL_DEVICE];
    const struct pb_facts *facts = r->found[PB_JOURNAL_FACTS];

    if (r->area == PB_JOURNAL_GUESTS && guest)
        *ret = guest->domid;
    else if (r->area == PB_JOURNAL_DEVICES && device)
        *ret = pb_sbdf_machine(device->sbdf);
    else if (r->area == PB_JOURNAL_DEVICES && facts)
        *ret = pb_sbdf_machine(facts->sbdf);
    else
        return false;
    return true;
}

static void drop_record(struct pb_journal_record *r)
{
    for (unsigned i = 0; i < PB_JOURNAL_PARTS; i++) {
        if (r->found[i])
            drop_found(r, i);
    }
}

/* KNOWN: the records before it, by whose they are. */
static void drop_if_known(struct pb_index *known, struct pb_journal_record *r)
{
    uint32_t key;

    if (!key_of(r, &key))
        return;
    if (pb_index_first(known, key))
        drop_record(r);
    else
        pb_index_add(known, &r->known, key);
}

/* An operation's marker has no checksum: it is written for each operation, in a few stores. */
static void check_op(struct pb_journal_record *r)
{
    if (pb_journal_check(PB_JOURNAL_GUESTS, PB_JOURNAL_OP, pb_journal_op(r)))
        return;
    memset(pb_journal_op(r), 0, sizeof(struct pb_journal_op));
    r->j->lost++;
}

/* Parts that are right by themselves, but not together. */
static void check_record(struct pb_journal_record *r, struct pb_index *known)
{
    const struct pb_journal_device *device = r->found[PB_JOURNAL_DEVICE];
    const struct pb_facts *facts = r->found[PB_JOURNAL_FACTS];

    if (r->area == PB_JOURNAL_GUESTS)
        check_op(r);
    else if (device && facts && !pb_sbdf_equal(device->sbdf, facts->sbdf))
        drop_found(r, PB_JOURNAL_FACTS);
    drop_if_known(known, r);
}

static int load_record(struct pb_journal *j, enum pb_journal_area_id a, uint32_t index,
                       struct pb_index *known)
{
    struct pb_journal_record *r = record_new(j, a, index);
    uint64_t state;
    int rc;

    if (!r)
        return -ENOMEM;
    state = atomic_load(state_of(r));
    if (state == STATE_FREE || state == 0) {
        pb_journal_record_free(r);
        return 0;
    }
    rc = load(r);
    if (rc != 0 || (state != STATE_USED && is_empty(r))) {
        pb_journal_record_free(r);
        return rc;
    }
    j->area[a].record[index] = r;
    j->area[a].used++;
    check_record(r, known);
    return 0;
}

int pb_journal_load(struct pb_journal *j)
{
    int rc = 0;

    for (unsigned a = 0; a < PB_JOURNAL_AREAS; a++) {
        struct pb_index known = { 0 };

        for (uint32_t i = 0; rc == 0 && i < j->area[a].room; i++)
            rc = load_record(j, (enum pb_journal_area_id)a, i, &known);
        pb_index_fini(&known);
    }
    return rc;
}

/* --- beside the records --- */

static uint32_t number(const _Atomic uint64_t *word)
{
    uint32_t value;

    return pb_journal_number_read(atomic_load(word), &value) ? value : 0;
}

uint32_t pb_journal_pirq_top(const struct pb_journal *j)
{
    return number(&j->file->pirq_top);
}

uint32_t pb_journal_pirq_bottom(const struct pb_journal *j)
{
    return number(&j->file->pirq_bottom);
}

void pb_journal_note_pirq(struct pb_journal *j, uint32_t pirq)
{
    uint32_t bottom = pb_journal_pirq_bottom(j);

    if (pirq > pb_journal_pirq_top(j))
        atomic_store(&j->file->pirq_top, pb_journal_number(pirq));
    if (bottom == 0 || pirq < bottom)
        atomic_store(&j->file->pirq_bottom, pb_journal_number(pirq));
}

/* Both halves of what is checked lie side by side. */
#define NAME_BYTES (sizeof(struct pb_journal_name) - offsetof(struct pb_journal_name, file))

static uint64_t name_check(const struct pb_journal_name *name)
{
    return pb_journal_sum(&name->file, NAME_BYTES) | 1;
}

static void name_put(struct pb_journal_name *place, const char *name, uint64_t file)
{
    struct pb_journal_name now = { .file = file };

    memcpy(now.name, name, strnlen(name, PB_PLUGIN_NAME_MAX));
    memcpy(&place->file, &now.file, NAME_BYTES);
    atomic_store_explicit(&place->check, name_check(&now), memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
}

static void name_clear(struct pb_journal_name *place)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&place->check, 0, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
}

static bool name_read(const struct pb_journal_name *place, struct pb_journal_name *ret)
{
    uint64_t check = atomic_load_explicit(&place->check, memory_order_acquire);

    memcpy(&ret->file, &place->file, NAME_BYTES);
    return check == name_check(ret) && memchr(ret->name, 0, sizeof(ret->name)) &&
           pb_plugin_name_check(ret->name);
}

void pb_journal_enter_plugin(struct pb_journal *j, const char *name, uint64_t file)
{
    name_put(&j->file->plugin, name, file);
}

void pb_journal_leave_plugin(struct pb_journal *j)
{
    name_clear(&j->file->plugin);
}

const char *pb_journal_crashed_plugin(const struct pb_journal *j)
{
    return j->crashed;
}

bool pb_journal_has_crashed(const struct pb_journal *j, const char *name, uint64_t file)
{
    struct pb_journal_name one;

    for (unsigned i = 0; i < PB_JOURNAL_OFF_MAX; i++) {
        if (name_read(&j->file->off[i], &one) && one.file == file && strcmp(one.name, name) == 0)
            return true;
    }
    return false;
}

/* The oldest is forgotten when there are too many. */
static void remember(struct pb_journal *j, const struct pb_journal_name *name)
{
    struct pb_journal_name one;
    unsigned i = 0;

    while (i < PB_JOURNAL_OFF_MAX && name_read(&j->file->off[i], &one))
        i++;
    if (i == PB_JOURNAL_OFF_MAX) {
        for (i = 0; i + 1 < PB_JOURNAL_OFF_MAX && name_read(&j->file->off[i + 1], &one); i++)
            name_put(&j->file->off[i], one.name, one.file);
    }
    name_put(&j->file->off[i], name->name, name->file);
}

void pb_journal_note_crashed(struct pb_journal *j)
{
    struct pb_journal_name name;

    if (!name_read(&j->file->plugin, &name))
        return;
    memcpy(j->crashed, name.name, sizeof(j->crashed));
    if (!pb_journal_has_crashed(j, name.name, name.file))
        remember(j, &name);
    name_clear(&j->file->plugin);
}
