/* SPDX-License-Identifier: MIT */
/*
 * The functions that share something with a device. What the IOMMU can tell apart follows from the
 * bridges on the way: behind a conventional one all DMA has the bridge's requester id, and a port
 * or a function without Access Control Services (PCIe 5.0, 6.12) lets what is below it, or beside
 * it, talk without the IOMMU.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "host/bind.h"
#include "host/surroundings.h"
#include "pci/regs.h"

#define FUNCTIONS_MAX   4096
#define BRIDGES_MAX     16
#define PAGE_SHIFT      12

#define TYPE_ROOT_PORT  0x4
#define TYPE_DOWNSTREAM 0x6
#define TYPE_TO_PCI     0x7
#define TYPE_FROM_PCI   0x8

#define EXT_ACS         0x000d
#define ACS_CAP         4
#define ACS_CTRL        6
/* Source Validation, Request and Completion Redirect, Upstream Forwarding */
#define ACS_ISOLATION 0x001du

struct function {
    struct pb_sbdf sbdf;
    bool virtual;  /* of a physical one: alone, wherever its address is */
    uint8_t depth; /* bridges above it */
    struct pb_sbdf bridge[BRIDGES_MAX];
};

struct machine {
    const struct pb_sysfs *fs;
    struct function *function; /* in the order of their addresses */
    size_t count;
};

static int order(const void *a, const void *b)
{
    uint32_t x = pb_sbdf_machine(((const struct function *)a)->sbdf);
    uint32_t y = pb_sbdf_machine(((const struct function *)b)->sbdf);

    return x < y ? -1 : x > y;
}

/* False: no place for it, or none at all. */
static bool read_place(const char *root, const char *name, struct function *ret)
{
    char path[PATH_MAX], real[PATH_MAX], *at, *save = NULL;
    struct pb_sbdf sbdf;
    struct stat st;

    memset(ret, 0, sizeof(*ret));
    (void)snprintf(path, sizeof(path), "%s/bus/pci/devices/%s", root, name);
    if (!pb_sbdf_parse(name, &ret->sbdf) || !realpath(path, real))
        return false;
    for (at = strtok_r(real, "/", &save); at; at = strtok_r(NULL, "/", &save)) {
        if (strlen(at) != PB_SBDF_TEXT - 1 || !pb_sbdf_parse(at, &sbdf))
            ret->depth = 0;
        else if (!pb_sbdf_equal(sbdf, ret->sbdf) && ret->depth < BRIDGES_MAX)
            ret->bridge[ret->depth++] = sbdf;
    }
    (void)snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/physfn", root, name);
    ret->virtual = lstat(path, &st) == 0;
    return true;
}

static bool read_machine(const struct pb_sysfs *fs, struct machine *ret)
{
    char path[PATH_MAX];
    const struct dirent *entry;
    size_t room = 0;
    DIR *dir;

    *ret = (struct machine){ .fs = fs };
    (void)snprintf(path, sizeof(path), "%s/bus/pci/devices", fs->root);
    dir = opendir(path);
    while (dir && ret->count < FUNCTIONS_MAX && (entry = readdir(dir)) != NULL) {
        if (ret->count == room) {
            struct function *more;

            room = room ? 2 * room : 64;
            more = reallocarray(ret->function, room, sizeof(*more));
            if (!more)
                break;
            ret->function = more;
        }
        if (strlen(entry->d_name) == PB_SBDF_TEXT - 1 &&
            read_place(fs->root, entry->d_name, &ret->function[ret->count]))
            ret->count++;
    }
    if (dir)
        (void)closedir(dir);
    if (ret->count)
        qsort(ret->function, ret->count, sizeof(*ret->function), order);
    return ret->count > 0;
}

/* --- what the IOMMU can tell apart --- */

/*
 * Only the registers that count are read: some devices do not bear others, and one that somebody
 * resets makes each access wait.
 */
static int open_space(const struct machine *m, struct pb_sbdf sbdf)
{
    char path[256], text[PB_SBDF_TEXT];

    (void)snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/config", m->fs->root,
                   pb_sbdf_format(sbdf, text));
    return open(path, O_RDONLY | O_CLOEXEC);
}

static void close_space(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

/* All ones for what is not there. */
static uint32_t get(int fd, unsigned at, unsigned size)
{
    uint8_t bytes[4];

    if (pread(fd, bytes, size, (off_t)at) != (ssize_t)size)
        memset(bytes, 0xff, sizeof(bytes));
    return pb_le_get(bytes, size);
}

/* The offset of a capability, 0: absent, or the list makes no sense. */
static unsigned find_cap(int fd, uint8_t id)
{
    unsigned at;

    if (!(get(fd, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
        return 0;
    at = get(fd, PCI_CAPABILITIES, 1) & 0xfcu;
    for (int i = 0; i < 48 && at >= PCI_HEADER_END && at < PB_CONFIG_SIZE_PCI; i++) {
        uint32_t header = get(fd, at, 2);

        if ((header & 0xffu) == id)
            return at;
        at = header >> 8 & 0xfcu;
    }
    return 0;
}

static unsigned find_extended(int fd, uint16_t id)
{
    unsigned at = PCI_EXT_CAPABILITIES;

    for (int i = 0; i < 480 && at >= PCI_EXT_CAPABILITIES; i++) {
        uint32_t header = get(fd, at, 4);

        if (header == UINT32_MAX)
            return 0;
        if ((header & 0xffffu) == id)
            return at;
        at = header >> PCI_EXT_NEXT_SHIFT & 0xffcu;
    }
    return 0;
}

static bool same_slot(struct pb_sbdf a, struct pb_sbdf b)
{
    return a.segment == b.segment && a.bus == b.bus &&
           PB_DEVFN_DEV(a.devfn) == PB_DEVFN_DEV(b.devfn);
}

static const struct function *find(const struct machine *m, struct pb_sbdf sbdf)
{
    for (size_t i = 0; i < m->count; i++) {
        if (pb_sbdf_equal(m->function[i].sbdf, sbdf))
            return &m->function[i];
    }
    return NULL;
}

static bool of_one_device(const struct function *a, const struct function *b)
{
    return same_slot(a->sbdf, b->sbdf) && !a->virtual && !b->virtual;
}

static bool multifunction(const struct machine *m, struct pb_sbdf sbdf)
{
    const struct function *self = find(m, sbdf);

    for (size_t i = 0; self && i < m->count; i++) {
        if (&m->function[i] != self && of_one_device(&m->function[i], self))
            return true;
    }
    return false;
}

/*
 * Cards whose makers told Linux's developers that their functions do not talk to each other, though
 * no capability says it: the network cards that people do split between guests.
 */
static bool known_to_isolate(int fd)
{
    static const uint16_t intel[] = {
        0x10c6, 0x10db, 0x10dd, 0x10e1, 0x10f1, 0x10f7, 0x10f8, 0x10f9, /* 82598, 82599, X540 */
        0x10fa, 0x10fb, 0x10fc, 0x1507, 0x1514, 0x151c, 0x1529, 0x152a, 0x154d, 0x154f,
        0x1551, 0x1558, 0x1509, 0x150e, 0x150f, 0x1510, 0x1511, 0x1516, 0x1527, /* 82580 */
        0x10c9, 0x10e6, 0x10e7, 0x10e8, 0x150a, 0x150d, 0x1518, 0x1526,         /* 82576 */
        0x10a7, 0x10a9, 0x10d6,                                                 /* 82575 */
        0x1521, 0x1522, 0x1523, 0x1524,                                         /* I350 */
        0x105e, 0x105f, 0x1060, 0x10d9,                                         /* 82571 */
        0x15b7, 0x15b8,                                                         /* I219 */
    };
    static const uint32_t others[] = {
        0x09031924, 0x09231924, /* Solarflare */
        0x071019a2, 0x072010df, /* Emulex BE3-R, Skyhawk-R */
    };
    uint32_t ids = get(fd, PCI_VENDOR_ID, 4);

    for (unsigned i = 0; i < PB_ARRAY_SIZE(others); i++) {
        if (ids == others[i])
            return true;
    }
    for (unsigned i = 0; (ids & 0xffffu) == 0x8086 && i < PB_ARRAY_SIZE(intel); i++) {
        if (ids >> 16 == intel[i])
            return true;
    }
    return false;
}

/* Everything that it can control is on. */
static bool acs_on(int fd)
{
    unsigned at = find_extended(fd, EXT_ACS), wanted;

    if (!at)
        return false;
    wanted = get(fd, at + ACS_CAP, 2) & ACS_ISOLATION;
    return (get(fd, at + ACS_CTRL, 2) & wanted) == wanted;
}

static bool isolates(const struct machine *m, struct pb_sbdf sbdf, int fd)
{
    unsigned exp = find_cap(fd, PCI_CAP_EXP);

    if (!exp)
        return false;
    switch (get(fd, exp + PCI_EXP_FLAGS, 2) >> PCI_EXP_FLAGS_TYPE_SHIFT & PCI_EXP_FLAGS_TYPE_MASK) {
    case TYPE_TO_PCI:
    case TYPE_FROM_PCI:
        return false;
    case TYPE_ROOT_PORT:
    case TYPE_DOWNSTREAM:
        return acs_on(fd);
    default: /* alone there is nobody beside it */
        return !multifunction(m, sbdf) || acs_on(fd) || known_to_isolate(fd);
    }
}

/* Does all that goes through this function, or comes from it, meet the IOMMU as its own? */
static bool isolated(const struct machine *m, struct pb_sbdf sbdf)
{
    int fd = open_space(m, sbdf);
    bool yes = fd >= 0 && isolates(m, sbdf, fd);

    close_space(fd);
    return yes;
}

/* Functions with equal units cannot be told apart: a function, or (slot) all of a slot. */
struct unit {
    struct pb_sbdf sbdf;
    bool slot;
};

static struct unit unit_of(const struct machine *m, const struct function *f)
{
    struct unit unit = { .sbdf = f->sbdf };

    /* The topmost port that does not isolate: all below it are one. */
    for (unsigned i = 0; i < f->depth; i++) {
        if (!isolated(m, f->bridge[i])) {
            unit.sbdf = f->bridge[i];
            break;
        }
    }
    unit.slot = multifunction(m, unit.sbdf) && !isolated(m, unit.sbdf);
    return unit;
}

static bool same_unit(struct unit a, struct unit b)
{
    return a.slot && b.slot ? same_slot(a.sbdf, b.sbdf) : pb_sbdf_equal(a.sbdf, b.sbdf);
}

/* What is not below one slot of a root bus is never one unit: no register of it is read (H6). */
static bool may_be_one(const struct function *a, const struct function *b)
{
    return same_slot(a->depth ? a->bridge[0] : a->sbdf, b->depth ? b->bridge[0] : b->sbdf);
}

/* --- what else is shared --- */

/* The device, and what is compared of it. */
struct side {
    struct pb_sysfs fs;
    const struct function *function;
    struct pb_resource bar[PB_PCI_BARS];
    uint32_t line; /* 0: none, or not routed */
};

static void read_side(const struct machine *m, const struct function *f, struct side *ret)
{
    char text[2048], *line, *save = NULL;
    unsigned i = 0;

    memset(ret, 0, sizeof(*ret));
    ret->function = f;
    pb_sysfs_init(&ret->fs, m->fs->root, f->sbdf);
    if (pb_sysfs_read(&ret->fs, "resource", text, sizeof(text)) == 0) {
        for (line = strtok_r(text, "\n", &save); line && i < PB_PCI_BARS;
             line = strtok_r(NULL, "\n", &save), i++) {
            unsigned long long start, end, flags;

            if (sscanf(line, "%llx %llx %llx", &start, &end, &flags) == 3 && start && end >= start)
                ret->bar[i] = (struct pb_resource){ .start = start, .end = end, .flags = flags };
        }
    }
    /* Before a device is enabled its number is the firmware's, which may be anybody's. */
    if (pb_bind_enable_count(&ret->fs) > 0 &&
        pb_sysfs_read(&ret->fs, "irq", text, sizeof(text)) == 0)
        ret->line = (uint32_t)strtoul(text, NULL, 10);
}

static bool has_pin(const struct machine *m, const struct side *side)
{
    int fd = open_space(m, side->function->sbdf);
    bool yes = fd >= 0 && get(fd, PCI_INTERRUPT_PIN, 1);

    close_space(fd);
    return yes;
}

/* Registers are read last, and of the few that it is about. */
static bool share_line(const struct machine *m, const struct side *a, const struct side *b)
{
    return a->line && a->line == b->line && has_pin(m, a) && has_pin(m, b);
}

static bool in_memory(const struct pb_resource *r)
{
    return r->end && (r->flags & PB_RES_MEM) && !(r->flags & PB_RES_UNSET);
}

static bool share_page(const struct side *a, const struct side *b)
{
    for (unsigned i = 0; i < PB_PCI_BARS; i++) {
        for (unsigned k = 0; in_memory(&a->bar[i]) && k < PB_PCI_BARS; k++) {
            if (in_memory(&b->bar[k]) &&
                a->bar[i].start >> PAGE_SHIFT <= b->bar[k].end >> PAGE_SHIFT &&
                b->bar[k].start >> PAGE_SHIFT <= a->bar[i].end >> PAGE_SHIFT)
                return true;
        }
    }
    return false;
}

/* A reset of the bus that A is on hits what is on it and below. A root bus has none. */
static bool share_reset(const struct function *a, const struct function *b)
{
    if (a->depth == 0 || b->depth < a->depth)
        return false;
    return pb_sbdf_equal(a->bridge[a->depth - 1], b->bridge[a->depth - 1]);
}

/* Nobody is given a bridge. The kernel knows it, also of one that does not answer. */
static bool is_bridge(const struct side *side)
{
    char text[16];

    return pb_sysfs_read(&side->fs, "class", text, sizeof(text)) == 0 &&
           strtoul(text, NULL, 16) >> 16 == PCI_CLASS_BRIDGE;
}

static uint8_t shares_of(const struct machine *m, const struct side *a, const struct side *b,
                         bool requester)
{
    unsigned shares = 0;

    if (share_reset(a->function, b->function))
        shares |= 1U << PB_SHARE_RESET;
    if (requester)
        shares |= 1U << PB_SHARE_REQUESTER;
    if (share_line(m, a, b))
        shares |= 1U << PB_SHARE_LINE;
    if (share_page(a, b))
        shares |= 1U << PB_SHARE_PAGE;
    if (of_one_device(a->function, b->function))
        shares |= 1U << PB_SHARE_FUNCTION;
    return (uint8_t)shares;
}

/* Without room, those that refuse an attach drive out one that does not. */
static void add(struct pb_surroundings *s, const struct pb_neighbour *n)
{
    const unsigned strong = 1U << PB_SHARE_REQUESTER | 1U << PB_SHARE_PAGE;
    unsigned i = s->neighbour_count;

    if (i < PB_NEIGHBOURS_MAX) {
        s->neighbour[s->neighbour_count++] = *n;
        return;
    }
    s->more_neighbours = true;
    if (!(n->shares & strong))
        return;
    while (i > 0 && s->neighbour[i - 1].shares & strong)
        i--;
    if (i == 0)
        return;
    memmove(&s->neighbour[i - 1], &s->neighbour[i], (s->neighbour_count - i) * sizeof(*n));
    s->neighbour[s->neighbour_count - 1] = *n;
}

static void compare(const struct machine *m, const struct function *self, struct pb_surroundings *s)
{
    struct unit unit = unit_of(m, self);
    struct side mine, other;

    read_side(m, self, &mine);
    for (size_t i = 0; i < m->count; i++) {
        const struct function *f = &m->function[i];
        struct pb_neighbour n = { .sbdf = f->sbdf };

        if (f == self)
            continue;
        read_side(m, f, &other);
        if (is_bridge(&other))
            continue;
        n.shares =
            shares_of(m, &mine, &other, may_be_one(self, f) && same_unit(unit, unit_of(m, f)));
        if (!n.shares)
            continue;
        pb_sysfs_driver(&other.fs, n.driver);
        add(s, &n);
    }
}

void pb_neighbours_read(const struct pb_sysfs *fs, struct pb_surroundings *ret)
{
    struct machine m;
    const struct function *self;
    struct pb_sbdf sbdf;

    ret->neighbour_count = 0;
    ret->more_neighbours = false;
    if (read_machine(fs, &m) && pb_sbdf_parse(fs->address, &sbdf)) {
        self = find(&m, sbdf);
        if (self)
            compare(&m, self, ret);
    }
    free(m.function);
}
