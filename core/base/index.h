/* SPDX-License-Identifier: MIT */
/*
 * Objects by a key: a hash table of links that are part of the objects, so that adding one never
 * fails. Without memory to grow it becomes slower, and is right all the same. Zeroed, it is empty.
 */
#ifndef PB_BASE_INDEX_H
#define PB_BASE_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct pb_index_link {
    struct pb_index_link *next;
    uint64_t key;
};

#define PB_INDEX_FEW 16 /* so many buckets it has from the beginning; a power of two */

struct pb_index {
    struct pb_index_link *few[PB_INDEX_FEW];
    struct pb_index_link **many; /* NULL: the few are enough */
    size_t size;                 /* of `many`: a power of two */
    size_t count;
};

/* A link is in one index at a time, and the object's memory is its owner's. */
void pb_index_add(struct pb_index *index, struct pb_index_link *link, uint64_t key);
/* LINK is in it. */
void pb_index_remove(struct pb_index *index, struct pb_index_link *link);
/* The links with this key, the last added first; NULL: there are no more. */
struct pb_index_link *pb_index_first(const struct pb_index *index, uint64_t key);
struct pb_index_link *pb_index_next(const struct pb_index_link *link);
/* Frees what the table has, not the objects; it is empty afterwards. */
void pb_index_fini(struct pb_index *index);

/* A key for a text: different ones may have the same. */
uint64_t pb_index_text(const char *text);

#endif
