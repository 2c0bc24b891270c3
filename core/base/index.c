/* SPDX-License-Identifier: MIT */
#include "base/index.h"

#include <stdlib.h>
#include <string.h>

#define GROWTH 4

/* Fibonacci hashing: the upper bits of the product depend on all of the key. */
static size_t place_of(const struct pb_index *index, uint64_t key)
{
    uint64_t mixed = (key ^ key >> 32) * UINT64_C(0x9e3779b97f4a7c15) >> 32;

    return mixed & ((index->many ? index->size : PB_INDEX_FEW) - 1);
}

static struct pb_index_link **bucket_of(struct pb_index *index, uint64_t key)
{
    return &(index->many ? index->many : index->few)[place_of(index, key)];
}

static void insert(struct pb_index *index, struct pb_index_link *link)
{
    struct pb_index_link **bucket = bucket_of(index, link->key);

    link->next = *bucket;
    *bucket = link;
}

static void grow(struct pb_index *index)
{
    struct pb_index_link **old = index->many ? index->many : index->few;
    size_t had = index->many ? index->size : PB_INDEX_FEW;
    struct pb_index wider = { .size = had * GROWTH, .count = index->count };

    wider.many = calloc(wider.size, sizeof(struct pb_index_link *));
    if (!wider.many)
        return;
    for (size_t i = 0; i < had; i++) {
        struct pb_index_link *link = old[i], *next;

        for (; link; link = next) {
            next = link->next;
            insert(&wider, link);
        }
    }
    index->many = wider.many;
    index->size = wider.size;
    if (old != index->few)
        free(old);
}

void pb_index_add(struct pb_index *index, struct pb_index_link *link, uint64_t key)
{
    if (index->count >= (index->many ? index->size : PB_INDEX_FEW))
        grow(index);
    link->key = key;
    insert(index, link);
    index->count++;
}

void pb_index_remove(struct pb_index *index, struct pb_index_link *link)
{
    struct pb_index_link **at = bucket_of(index, link->key);

    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    index->count--;
}

static struct pb_index_link *same_from(struct pb_index_link *link, uint64_t key)
{
    while (link && link->key != key)
        link = link->next;
    return link;
}

struct pb_index_link *pb_index_first(const struct pb_index *index, uint64_t key)
{
    size_t place = place_of(index, key);

    return same_from(index->many ? index->many[place] : index->few[place], key);
}

struct pb_index_link *pb_index_next(const struct pb_index_link *link)
{
    return same_from(link->next, link->key);
}

void pb_index_fini(struct pb_index *index)
{
    free(index->many);
    memset(index, 0, sizeof(*index));
}

uint64_t pb_index_text(const char *text)
{
    uint64_t key = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

    for (; *text; text++)
        key = (key ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    return key;
}
