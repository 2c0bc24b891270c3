/* SPDX-License-Identifier: MIT */
/* The file as a whole: whose it is, whether it can be used, what happens to one that cannot. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/journal_file.h"

#define FILE_NEW "journal.new"
#define FILE_BAD "journal.bad"

static size_t room_bytes(const struct pb_journal *j)
{
    size_t bytes = PB_JOURNAL_HEADER;

    for (unsigned a = 0; a < PB_JOURNAL_AREAS; a++)
        bytes += (size_t)j->area[a].room * j->area[a].layout->stride;
    return bytes;
}

struct pb_journal_stats pb_journal_stats(const struct pb_journal *j)
{
    return (struct pb_journal_stats){ .guests = j->area[PB_JOURNAL_GUESTS].used,
                                      .devices = j->area[PB_JOURNAL_DEVICES].used,
                                      .guests_max = j->area[PB_JOURNAL_GUESTS].limit,
                                      .devices_max = j->area[PB_JOURNAL_DEVICES].limit,
                                      .lost_parts = j->lost,
                                      .bytes = room_bytes(j) };
}

void pb_journal_close(struct pb_journal *j)
{
    if (!j)
        return;
    for (unsigned a = 0; a < PB_JOURNAL_AREAS; a++) {
        for (uint32_t i = 0; j->area[a].record && i < j->area[a].layout->count; i++) {
            if (j->area[a].record[i])
                pb_journal_record_free(j->area[a].record[i]);
        }
        free(j->area[a].record);
    }
    if (j->map)
        (void)munmap(j->map, j->size);
    if (j->fd >= 0)
        (void)close(j->fd);
    free(j);
}

/* The room that an area says it has; without a right word all of it, which is then taken. */
static uint32_t room_of(const struct pb_journal *j, unsigned a)
{
    uint32_t room;

    if (!pb_journal_number_read(atomic_load(&j->file->room[a]), &room) ||
        room > j->area[a].layout->count)
        return j->area[a].layout->count;
    return room;
}

/* A place of the file that has no room must never be touched: it would kill the process. */
static int take_all_room(struct pb_journal *j, const unsigned reserve[PB_JOURNAL_AREAS])
{
    int rc = 0;

    for (unsigned a = 0; rc == 0 && a < PB_JOURNAL_AREAS; a++) {
        uint32_t room = room_of(j, a), least = reserve[a];

        if (least > j->area[a].layout->count)
            least = j->area[a].layout->count;
        rc = pb_journal_take_room(j, (enum pb_journal_area_id)a, room > least ? room : least);
    }
    return rc;
}

/* Takes FD over. HEADER was checked. */
static int map_file(int fd, const struct pb_journal_header *header,
                    const struct pb_journal_options *options, struct pb_journal **ret)
{
    const unsigned limit[] = { options->guests, options->devices };
    const unsigned reserve[] = { options->reserve_guests, options->reserve_devices };
    struct pb_journal *j = calloc(1, sizeof(*j));
    int rc = 0;

    if (!j) {
        (void)close(fd);
        return -ENOMEM;
    }
    j->fd = fd;
    memcpy(&j->header, header, sizeof(*header));
    for (unsigned a = 0; a < PB_JOURNAL_AREAS; a++) {
        j->area[a].layout = &j->header.area[a];
        j->area[a].limit = limit[a];
        j->area[a].record = calloc(j->area[a].layout->count, sizeof(void *));
        if (!j->area[a].record)
            rc = -ENOMEM;
    }
    if (rc == 0) {
        j->map = mmap(NULL, header->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (j->map == MAP_FAILED) {
            j->map = NULL;
            rc = -errno;
        }
    }
    if (rc == 0) {
        j->size = header->size;
        j->file = (struct pb_journal_header *)(void *)j->map;
        rc = pb_journal_room(fd, &(struct pb_journal_layout){ .stride = PB_JOURNAL_HEADER }, 0, 1);
    }
    if (rc == 0)
        rc = take_all_room(j, reserve);
    if (rc == 0)
        rc = pb_journal_load(j);
    if (rc != 0) {
        pb_journal_close(j);
        return rc;
    }
    *ret = j;
    return 0;
}

/* Is what stands there ours and nobody else's to write? */
static bool is_ours(const struct stat *st)
{
    return S_ISREG(st->st_mode) && st->st_uid == geteuid() && st->st_nlink == 1 &&
           (st->st_mode & 077) == 0;
}

/* -ENOENT: it is not there, or nothing that can be opened as a file (*ret_found says which). */
static int open_file(int dir_fd, enum pb_journal_found *ret_found)
{
    int fd = openat(dir_fd, PB_JOURNAL_FILE, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int rc = fd < 0 ? -errno : 0;

    *ret_found = rc == -ENOENT ? PB_JOURNAL_FOUND_NEW : PB_JOURNAL_FOUND_FOREIGN;
    if (rc == -ELOOP || rc == -EISDIR || rc == -ENXIO)
        return -ENOENT;
    return rc ? rc : fd;
}

/* 0: it can be used, and HEADER is its. Else as look(). */
static int check_file(int fd, const char *boot, struct pb_journal_header *header,
                      enum pb_journal_found *ret_found)
{
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) != 0)
        return -errno;
    if (!is_ours(&st))
        return -ENOENT;
    n = pread(fd, header, sizeof(*header), 0);
    if (n < 0)
        return -errno;
    *ret_found = PB_JOURNAL_FOUND_DAMAGED;
    if ((size_t)n < sizeof(*header) ||
        !pb_journal_header_check(header, (uint64_t)st.st_size, boot, ret_found))
        return -ENOENT;
    return 0;
}

/*
 * Looks at the file in DIR_FD. Returns a descriptor when it can be used (*ret_found is KEPT),
 * -ENOENT when it cannot or is not there, or another negative errno.
 */
static int look(int dir_fd, const char *boot, struct pb_journal_header *ret,
                enum pb_journal_found *ret_found)
{
    int fd = open_file(dir_fd, ret_found), rc;

    memset(ret, 0, sizeof(*ret));
    if (fd < 0)
        return fd;
    rc = check_file(fd, boot, ret, ret_found);
    if (rc == 0)
        return fd;
    (void)close(fd);
    return rc;
}

/* Whatever it is: also a symbolic link, which is not followed, or a directory. */
static int put_aside(int dir_fd)
{
    if (unlinkat(dir_fd, FILE_BAD, 0) != 0 && errno == EISDIR)
        (void)unlinkat(dir_fd, FILE_BAD, AT_REMOVEDIR);
    return renameat(dir_fd, PB_JOURNAL_FILE, dir_fd, FILE_BAD) == 0 ? 0 : -errno;
}

/* The one that was put aside is worth less than a start. */
static int make_new(int dir_fd, const struct pb_journal_header *header,
                    const unsigned room[PB_JOURNAL_AREAS])
{
    int fd = pb_journal_make(dir_fd, FILE_NEW, header, room);

    if (fd == -ENOSPC && unlinkat(dir_fd, FILE_BAD, 0) == 0)
        fd = pb_journal_make(dir_fd, FILE_NEW, header, room);
    return fd;
}

static int finish_new(int dir_fd, int rc)
{
    if (rc == 0 && renameat(dir_fd, FILE_NEW, dir_fd, PB_JOURNAL_FILE) != 0)
        rc = -errno;
    if (rc != 0)
        (void)unlinkat(dir_fd, FILE_NEW, 0);
    return rc;
}

static int begin_new(int dir_fd, const struct pb_journal_options *options, struct pb_journal **ret)
{
    const unsigned count[] = { options->guests, options->devices };
    const unsigned room[] = {
        options->reserve_guests < options->guests ? options->reserve_guests : options->guests,
        options->reserve_devices < options->devices ? options->reserve_devices : options->devices
    };
    struct pb_journal_header header;
    int fd, rc;

    pb_journal_header_make(&header, options->boot, count);
    fd = make_new(dir_fd, &header, room);
    if (fd < 0)
        return fd;
    rc = map_file(fd, &header, options, ret);
    if (rc == 0) {
        rc = finish_new(dir_fd, 0);
        if (rc != 0)
            pb_journal_close(*ret);
        return rc;
    }
    return finish_new(dir_fd, rc);
}

/* --- a file of another version, or for fewer records --- */

static bool fits(const struct pb_journal_header *header, const struct pb_journal_options *options)
{
    if (header->area[PB_JOURNAL_GUESTS].count < options->guests ||
        header->area[PB_JOURNAL_DEVICES].count < options->devices)
        return false;
    for (unsigned a = 0; a < PB_JOURNAL_AREAS; a++) {
        for (unsigned i = 0; pb_journal_part_size((enum pb_journal_area_id)a, i) > 0; i++) {
            if (i >= header->area[a].part_count ||
                header->area[a].part[i].capacity <
                    pb_journal_part_size((enum pb_journal_area_id)a, i))
                return false;
        }
    }
    return true;
}

static void copy_parts(struct pb_journal_record *to, struct pb_journal_record *from)
{
    const struct pb_journal_layout *old = from->j->area[from->area].layout;
    size_t size = pb_journal_part_size(PB_JOURNAL_GUESTS, PB_JOURNAL_OP);

    for (unsigned i = 0; i < PB_JOURNAL_PARTS; i++) {
        size_t length = pb_journal_part_size(from->area, i);

        if (from->area == PB_JOURNAL_DEVICES && i == PB_JOURNAL_SHADOW)
            length = from->part[i].length;
        if (from->found[i])
            pb_journal_part_put(&to->part[i], from->found[i], length);
    }
    if (from->area == PB_JOURNAL_GUESTS) {
        if (size > old->part[PB_JOURNAL_OP].capacity)
            size = old->part[PB_JOURNAL_OP].capacity;
        memcpy(pb_journal_op(to), pb_journal_op(from), size);
    }
}

static int copy_all(struct pb_journal *to, struct pb_journal *from)
{
    for (unsigned a = 0; a < PB_JOURNAL_AREAS; a++) {
        for (uint32_t i = 0; i < from->area[a].layout->count; i++) {
            struct pb_journal_record *r;

            if (!from->area[a].record[i])
                continue;
            r = pb_journal_add(to, (enum pb_journal_area_id)a);
            if (!r)
                return -errno;
            copy_parts(r, from->area[a].record[i]);
        }
    }
    atomic_store(&to->file->pirq_top, from->file->pirq_top);
    atomic_store(&to->file->pirq_bottom, from->file->pirq_bottom);
    memcpy(&to->file->plugin, &from->file->plugin,
           sizeof(to->file->plugin) + sizeof(to->file->off));
    return 0;
}

static unsigned larger(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

/*
 * The same in a new file, which takes the old one's place at once: a process that ends meanwhile
 * leaves the old one.
 */
static int convert(int dir_fd, const struct pb_journal_options *options, struct pb_journal *old)
{
    struct pb_journal_options wanted = *options;
    struct pb_journal_header header;
    struct pb_journal *new = NULL;
    int fd, rc;

    wanted.guests = larger(options->guests, old->area[PB_JOURNAL_GUESTS].used);
    wanted.devices = larger(options->devices, old->area[PB_JOURNAL_DEVICES].used);
    pb_journal_header_make(&header, options->boot,
                           (const unsigned[]){ wanted.guests, wanted.devices });
    fd = make_new(dir_fd, &header, (const unsigned[]){ 0, 0 });
    if (fd < 0)
        return fd;
    rc = map_file(fd, &header, &wanted, &new);
    if (rc == 0)
        rc = copy_all(new, old);
    pb_journal_close(new);
    return finish_new(dir_fd, rc);
}

/* --- opening --- */

static int open_in(int dir_fd, const struct pb_journal_options *options,
                   enum pb_journal_found *ret_found, struct pb_journal **ret)
{
    struct pb_journal_header header;
    int fd = look(dir_fd, options->boot, &header, ret_found), rc;

    if (fd == -ENOENT) {
        rc = *ret_found == PB_JOURNAL_FOUND_NEW ? 0 : put_aside(dir_fd);
        return rc ? rc : begin_new(dir_fd, options, ret);
    }
    if (fd < 0)
        return fd;
    rc = map_file(fd, &header, options, ret);
    if (rc != 0 || fits(&header, options))
        return rc;
    rc = convert(dir_fd, options, *ret);
    pb_journal_close(*ret);
    *ret = NULL;
    if (rc != 0)
        return rc;
    fd = look(dir_fd, options->boot, &header, ret_found);
    return fd < 0 ? fd : map_file(fd, &header, options, ret);
}

int pb_journal_open(const struct pb_journal_options *options, enum pb_journal_found *ret_found,
                    struct pb_journal **ret, char *why, size_t why_size)
{
    int dir_fd = open(options->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

    *ret = NULL;
    *ret_found = PB_JOURNAL_FOUND_NEW;
    if (strlen(options->boot) >= sizeof(((struct pb_journal_header *)NULL)->boot)) {
        (void)snprintf(why, why_size, "the boot's id is too long");
        rc = -EINVAL;
    } else if (dir_fd < 0) {
        rc = -errno;
        (void)snprintf(why, why_size, "cannot open %s: %s", options->dir, strerror(-rc));
    } else {
        rc = open_in(dir_fd, options, ret_found, ret);
        if (rc == -ENOSPC)
            (void)snprintf(why, why_size, "the file system of %s has no room for the journal",
                           options->dir);
        else if (rc != 0)
            (void)snprintf(why, why_size, "cannot use %s/%s: %s", options->dir, PB_JOURNAL_FILE,
                           strerror(-rc));
    }
    if (dir_fd >= 0)
        (void)close(dir_fd);
    if (rc == 0)
        pb_journal_note_crashed(*ret);
    else
        *ret = NULL;
    return rc;
}
