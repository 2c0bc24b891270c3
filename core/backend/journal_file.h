/* SPDX-License-Identifier: MIT */
/*
 * How a journal's file looks, for journal*.c and its tests only. ARCHITECTURE.md has the table.
 *
 * A header of one page says where everything is: two areas, of guests and of devices, each with so
 * many records of one stride, each record with the same parts at the same places. A process looks
 * up the places in the header, never in its own structures, so that a file with longer parts than
 * its own can be used as it is.
 */
#ifndef PB_BACKEND_JOURNAL_FILE_H
#define PB_BACKEND_JOURNAL_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/journal.h"
#include "base/index.h"
#include "quirk/plugin.h"

/*
 * Bytes more a part, but the shadow's, whose length is the shadow's: a build for tests of upgrades
 * stands for the next version with it.
 */
#ifndef PB_JOURNAL_GROWN
#define PB_JOURNAL_GROWN 0
#endif

#define PB_JOURNAL_MAGIC      "pbjournl"
#define PB_JOURNAL_HEADER     4096u
#define PB_JOURNAL_PARTS_MAX  8u
#define PB_JOURNAL_COUNT_MAX  65536u  /* records of an area */
#define PB_JOURNAL_STRIDE_MAX 262144u /* bytes of a record */
#define PB_JOURNAL_OFF_MAX    16u     /* plugins that are remembered */

enum pb_journal_area_id { PB_JOURNAL_GUESTS, PB_JOURNAL_DEVICES, PB_JOURNAL_AREAS };

/* The parts of each, in the order of their places. */
enum { PB_JOURNAL_GUEST, PB_JOURNAL_OP };
enum { PB_JOURNAL_DEVICE, PB_JOURNAL_FACTS, PB_JOURNAL_SURROUNDINGS, PB_JOURNAL_SHADOW };
#define PB_JOURNAL_PARTS 4u /* that we know, at most */

/* One of the two copies of a part; multiples of 64 bytes. */
struct pb_journal_copy {
    _Atomic uint64_t sequence; /* with a check in its upper bits; number 0: nothing is here */
    uint64_t checksum, length; /* of what is behind; LENGTH counts bytes */
    uint64_t data[];
};

struct pb_journal_place {
    uint32_t offset;   /* in its record */
    uint32_t capacity; /* bytes of data: a multiple of 8 */
    uint32_t copies;   /* 2; or 1: written in place, without sequence and checksum */
    uint32_t reserved;
};

struct pb_journal_layout {
    uint64_t offset;
    uint32_t stride, count, part_count, reserved;
    struct pb_journal_place part[PB_JOURNAL_PARTS_MAX];
};

struct pb_journal_name {
    _Atomic uint64_t check; /* of what follows; 0: there is none */
    uint64_t file;
    char name[(PB_PLUGIN_NAME_MAX + 8) & ~7u];
};

struct pb_journal_header {
    char magic[8];
    uint32_t major, minor;
    uint64_t size;
    char boot[40];
    struct pb_journal_layout area[PB_JOURNAL_AREAS];
    uint64_t checksum; /* of all above */
    /* What changes: each a word that carries its own check. */
    _Atomic uint64_t room[PB_JOURNAL_AREAS]; /* records that have room on the file system */
    _Atomic uint64_t pirq_top, pirq_bottom;
    struct pb_journal_name plugin;                  /* being called */
    struct pb_journal_name off[PB_JOURNAL_OFF_MAX]; /* each has ended a process */
};

/* --- journal_part.c --- */

#define PB_JOURNAL_BEHIND 62u

/* One part of one record, as this process knows it. */
struct pb_journal_part {
    struct pb_journal_copy *copy[2];
    uint64_t salt;
    uint64_t sequence, sum, length; /* of the newest; 0: there is none */
    uint32_t capacity;
    uint8_t newest;
    bool lost;
    /* In which words the other copy differs from the newest. */
    bool all_behind;
    uint8_t behind_count;
    uint16_t behind[PB_JOURNAL_BEHIND];
};

enum pb_journal_loaded { PB_JOURNAL_NEVER, PB_JOURNAL_RIGHT, PB_JOURNAL_LOST };

uint64_t pb_journal_sum(const void *data, size_t size);
/* A small number and a check of it, in one word. False: no such word. */
uint64_t pb_journal_number(uint32_t number);
bool pb_journal_number_read(uint64_t word, uint32_t *ret);
uint64_t pb_journal_sequence(uint64_t sequence);

/* RECORD and PLACE as in the file; SALT is another one for each part of the file. */
void pb_journal_part_init(struct pb_journal_part *part, uint8_t *record,
                          const struct pb_journal_place *place, uint64_t salt);
/* Checks both copies and takes SIZE bytes of the right one; what is not there is zeros. */
enum pb_journal_loaded pb_journal_part_load(struct pb_journal_part *part, void *ret, size_t size);
/* SIZE is at most the capacity. Nothing is stored when nothing has changed. */
void pb_journal_part_put(struct pb_journal_part *part, const void *data, size_t size);
/* The same where only the aligned eight bytes around AT can have changed since the last time. */
void pb_journal_part_put_word(struct pb_journal_part *part, const void *data, size_t size,
                              size_t at);
void pb_journal_part_clear(struct pb_journal_part *part);
/* Bytes that a place takes in its record. */
uint32_t pb_journal_place_size(const struct pb_journal_place *place);

/* --- journal.c --- */

struct pb_journal_record {
    struct pb_journal *j;
    enum pb_journal_area_id area;
    uint32_t index;
    uint8_t *at;                   /* in the file */
    bool changed;                  /* since FOUND was read */
    struct pb_index_link known;    /* while the file is loaded: by whose it is */
    void *found[PB_JOURNAL_PARTS]; /* private copies of what is right, NULL: none */
    struct pb_journal_part part[]; /* as many as its area has */
};

struct pb_journal_area {
    const struct pb_journal_layout *layout; /* of the file */
    unsigned limit, used;
    uint32_t room;
    uint32_t free_from;                /* those before it are in use */
    struct pb_journal_record **record; /* layout->count of them, NULL: free */
};

struct pb_journal {
    int fd;
    uint8_t *map;
    size_t size;
    struct pb_journal_header *file;  /* what changes */
    struct pb_journal_header header; /* what does not: a copy that was checked */
    struct pb_journal_area area[PB_JOURNAL_AREAS];
    unsigned lost;
    char crashed[PB_PLUGIN_NAME_MAX + 1];
};

void pb_journal_record_free(struct pb_journal_record *r);
/* NULL with errno, as pb_journal_add_guest. */
struct pb_journal_record *pb_journal_add(struct pb_journal *j, enum pb_journal_area_id area);
/* Makes room for so many records. 0 or negative errno. */
int pb_journal_take_room(struct pb_journal *j, enum pb_journal_area_id area, uint32_t to);
/* All that have room: private copies of what is right in them. 0 or -ENOMEM. */
int pb_journal_load(struct pb_journal *j);
/* Who was being called when the last process ended, and nobody is any more. */
void pb_journal_note_crashed(struct pb_journal *j);

/* --- journal_check.c --- */

/* Is what stands there something that a process may work with? BLOB as long as our own part. */
bool pb_journal_check(enum pb_journal_area_id area, unsigned part, const void *blob);
/* Does the header hold, for a file of SIZE bytes? FOUND says what it is when not. */
bool pb_journal_header_check(const struct pb_journal_header *header, uint64_t size,
                             const char *boot, enum pb_journal_found *ret_found);

/* --- journal_make.c --- */

/* Bytes of a part of ours; 0: there is none. */
size_t pb_journal_part_size(enum pb_journal_area_id area, unsigned part);
void pb_journal_header_make(struct pb_journal_header *header, const char *boot,
                            const unsigned count[PB_JOURNAL_AREAS]);
/* Makes room for records FROM to TO. 0 or negative errno. */
int pb_journal_room(int fd, const struct pb_journal_layout *layout, uint32_t from, uint32_t to);
/*
 * A new file NAME in DIR_FD with room for so many records, and a descriptor of it. On failure there
 * is none.
 */
int pb_journal_make(int dir_fd, const char *name, const struct pb_journal_header *header,
                    const unsigned room[PB_JOURNAL_AREAS]);

#endif
