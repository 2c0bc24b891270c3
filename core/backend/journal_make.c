/* SPDX-License-Identifier: MIT */
/* A new file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/journal_file.h"

#define RECORD_HEAD 64u /* the record's state, and room up to the first part */

static const struct {
    uint32_t size, copies;
} parts[PB_JOURNAL_AREAS][PB_JOURNAL_PARTS] = {
    [PB_JOURNAL_GUESTS] = {
        [PB_JOURNAL_GUEST] = { sizeof(struct pb_journal_guest) + PB_JOURNAL_GROWN, 2 },
        [PB_JOURNAL_OP] = { sizeof(struct pb_journal_op) + PB_JOURNAL_GROWN, 1 },
    },
    [PB_JOURNAL_DEVICES] = {
        [PB_JOURNAL_DEVICE] = { sizeof(struct pb_journal_device) + PB_JOURNAL_GROWN, 2 },
        [PB_JOURNAL_FACTS] = { sizeof(struct pb_facts) + PB_JOURNAL_GROWN, 2 },
        [PB_JOURNAL_SURROUNDINGS] = { sizeof(struct pb_surroundings) + PB_JOURNAL_GROWN, 2 },
        [PB_JOURNAL_SHADOW] = { PB_CONFIG_SIZE_PCIE, 2 },
    },
};

size_t pb_journal_part_size(enum pb_journal_area_id area, unsigned part)
{
    return part < PB_JOURNAL_PARTS ? parts[area][part].size : 0;
}

static void layout_make(struct pb_journal_layout *layout, enum pb_journal_area_id area,
                        unsigned count, uint64_t *end)
{
    uint32_t at = RECORD_HEAD;

    layout->offset = *end;
    layout->count = count;
    for (unsigned i = 0; pb_journal_part_size(area, i) > 0; i++) {
        struct pb_journal_place *place = &layout->part[layout->part_count++];

        place->offset = at;
        place->capacity = (parts[area][i].size + 7) & ~7u;
        place->copies = parts[area][i].copies;
        at += pb_journal_place_size(place);
    }
    layout->stride = at;
    *end += (uint64_t)count * at;
    *end = (*end + PB_JOURNAL_HEADER - 1) / PB_JOURNAL_HEADER * PB_JOURNAL_HEADER;
}

void pb_journal_header_make(struct pb_journal_header *h, const char *boot,
                            const unsigned count[PB_JOURNAL_AREAS])
{
    uint64_t end = PB_JOURNAL_HEADER;

    memset(h, 0, sizeof(*h));
    memcpy(h->magic, PB_JOURNAL_MAGIC, sizeof(h->magic));
    h->major = PB_JOURNAL_MAJOR;
    h->minor = PB_JOURNAL_MINOR + (PB_JOURNAL_GROWN > 0);
    (void)snprintf(h->boot, sizeof(h->boot), "%s", boot);
    for (unsigned a = 0; a < PB_JOURNAL_AREAS; a++)
        layout_make(&h->area[a], (enum pb_journal_area_id)a, count[a], &end);
    h->size = end;
    h->checksum = pb_journal_sum(h, offsetof(struct pb_journal_header, checksum));
}

/* A signal ends it early; a limit of the process is as good as a full file system. */
static int allocate(int fd, uint64_t at, uint64_t size)
{
    int rc;

    do
        rc = posix_fallocate(fd, (off_t)at, (off_t)size);
    while (rc == EINTR);
    return rc == EFBIG || rc == EDQUOT ? -ENOSPC : -rc;
}

int pb_journal_room(int fd, const struct pb_journal_layout *layout, uint32_t from, uint32_t to)
{
    if (to <= from)
        return 0;
    return allocate(fd, layout->offset + (uint64_t)from * layout->stride,
                    (uint64_t)(to - from) * layout->stride);
}

static int fill(int fd, const struct pb_journal_header *header,
                const unsigned room[PB_JOURNAL_AREAS])
{
    struct pb_journal_header h;
    ssize_t n;
    int rc;

    memcpy(&h, header, sizeof(h));
    /* Its whole length at once: one that is shorter was cut off. Room is taken as it is needed. */
    if (ftruncate(fd, (off_t)h.size) != 0)
        return errno == EFBIG ? -ENOSPC : -errno;
    rc = allocate(fd, 0, PB_JOURNAL_HEADER);
    for (unsigned a = 0; rc == 0 && a < PB_JOURNAL_AREAS; a++) {
        atomic_store(&h.room[a], pb_journal_number(room[a]));
        rc = pb_journal_room(fd, &h.area[a], 0, room[a]);
    }
    if (rc != 0)
        return rc;
    n = pwrite(fd, &h, sizeof(h), 0);
    if (n < 0)
        return -errno;
    return (size_t)n == sizeof(h) ? 0 : -ENOSPC;
}

int pb_journal_make(int dir_fd, const char *name, const struct pb_journal_header *header,
                    const unsigned room[PB_JOURNAL_AREAS])
{
    int fd, rc;

    if (unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT)
        return -errno;
    fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    rc = fill(fd, header, room);
    if (rc == 0)
        return fd;
    (void)close(fd);
    (void)unlinkat(dir_fd, name, 0);
    return rc;
}
