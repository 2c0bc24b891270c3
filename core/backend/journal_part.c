/* SPDX-License-Identifier: MIT */
#include "backend/journal_file.h"

#include <string.h>

#include "base/assert.h"

#define WORD  8u
#define CHUNK 256u /* bytes that are compared at once */

/* Another word or another place gives another value, whatever the rest is. */
static uint64_t mix(uint64_t place, uint64_t word)
{
    uint64_t x = word + (place + 1) * UINT64_C(0x9e3779b97f4a7c15);

    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 29;
}

/* Places of what is not data. */
enum { AT_SALT = 1 << 20, AT_SEQUENCE, AT_LENGTH };

/* The last one of data that ends inside of a word is filled with zeros. */
static uint64_t word_at(const uint8_t *data, size_t size, size_t i)
{
    size_t left = size - i * WORD;
    uint64_t word = 0;

    memcpy(&word, data + i * WORD, left < WORD ? left : WORD);
    return word;
}

static size_t words_of(size_t size)
{
    return (size + WORD - 1) / WORD;
}

uint64_t pb_journal_sum(const void *data, size_t size)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < words_of(size); i++)
        sum += mix(i, word_at(data, size, i));
    return sum;
}

uint64_t pb_journal_number(uint32_t number)
{
    return (uint64_t)~number << 32 | number;
}

bool pb_journal_number_read(uint64_t word, uint32_t *ret)
{
    *ret = (uint32_t)word;
    return word == pb_journal_number(*ret);
}

/*
 * The check differs whenever one byte of the number does, so that damage is told from an older
 * number: else a part could silently go back to what it was before.
 */
uint64_t pb_journal_sequence(uint64_t sequence)
{
    uint64_t number = sequence & ((UINT64_C(1) << 48) - 1);

    return ((number ^ number >> 16 ^ number >> 32 ^ 0xa55a) & 0xffff) << 48 | number;
}

static bool sequence_read(uint64_t word, uint64_t *ret)
{
    *ret = word & ((UINT64_C(1) << 48) - 1);
    return word == pb_journal_sequence(*ret);
}

static uint64_t checksum(const struct pb_journal_part *part, uint64_t sum, uint64_t sequence,
                         uint64_t length)
{
    return sum + mix(AT_SALT, part->salt) + mix(AT_SEQUENCE, sequence) + mix(AT_LENGTH, length);
}

static uint32_t copy_stride(uint32_t capacity)
{
    return ((uint32_t)sizeof(struct pb_journal_copy) + capacity + 63) & ~63u;
}

uint32_t pb_journal_place_size(const struct pb_journal_place *place)
{
    return place->copies == 2 ? 2 * copy_stride(place->capacity) : (place->capacity + 63) & ~63u;
}

void pb_journal_part_init(struct pb_journal_part *part, uint8_t *record,
                          const struct pb_journal_place *place, uint64_t salt)
{
    uint8_t *at = record + place->offset;

    *part = (struct pb_journal_part){ .salt = salt, .capacity = place->capacity, .newest = 1 };
    part->copy[0] = (struct pb_journal_copy *)(void *)at;
    part->copy[1] = (struct pb_journal_copy *)(void *)(at + copy_stride(place->capacity));
}

/* One copy, each word of whose head was read once. */
struct seen {
    bool word;  /* its sequence is one */
    bool right; /* all of it */
    uint64_t sequence, length, sum;
};

static struct seen look_at(const struct pb_journal_part *part, const struct pb_journal_copy *copy)
{
    const uint64_t word = atomic_load_explicit(&copy->sequence, memory_order_acquire);
    struct seen seen = { .length = copy->length };

    seen.word = sequence_read(word, &seen.sequence);
    if (!seen.word || seen.sequence == 0 || seen.length > part->capacity)
        return seen;
    seen.sum = pb_journal_sum(copy->data, seen.length);
    seen.right = copy->checksum == checksum(part, seen.sum, seen.sequence, seen.length);
    return seen;
}

/* Nobody has ever cleared it. */
static bool is_fresh(const struct pb_journal_part *part)
{
    return atomic_load(&part->copy[0]->sequence) == 0 && atomic_load(&part->copy[1]->sequence) == 0;
}

/*
 * A copy that is not right may be one that was being written: then its number is still the one
 * before the other's. Anything else is damage, and the other copy may be older than what was there.
 */
enum pb_journal_loaded pb_journal_part_load(struct pb_journal_part *part, void *ret, size_t size)
{
    const struct seen seen[2] = { look_at(part, part->copy[0]), look_at(part, part->copy[1]) };
    const unsigned newest = seen[1].sequence > seen[0].sequence;
    const bool words = seen[0].word && seen[1].word;

    part->sequence = part->length = 0;
    part->newest = 1;
    part->lost = false;
    if (is_fresh(part) || (words && seen[0].sequence == 0 && seen[1].sequence == 0))
        return PB_JOURNAL_NEVER;
    part->lost =
        !words || !seen[newest].right || seen[!newest].sequence + 1 != seen[newest].sequence;
    if (part->lost)
        return PB_JOURNAL_LOST;
    part->newest = (uint8_t)newest;
    part->sequence = seen[newest].sequence;
    part->length = seen[newest].length;
    part->sum = seen[newest].sum;
    part->all_behind = true;
    memset(ret, 0, size);
    memcpy(ret, part->copy[newest]->data, part->length < size ? part->length : size);
    return PB_JOURNAL_RIGHT;
}

/* The compiler keeps the order of what is before and behind; a signal never takes it apart. */
static void publish(struct pb_journal_part *part, struct pb_journal_copy *copy, size_t size)
{
    part->sequence++;
    part->newest = copy == part->copy[1];
    part->length = size;
    copy->length = size;
    copy->checksum = checksum(part, part->sum, part->sequence, size);
    atomic_store_explicit(&copy->sequence, pb_journal_sequence(part->sequence),
                          memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
}

void pb_journal_part_clear(struct pb_journal_part *part)
{
    const uint64_t none = pb_journal_sequence(0);

    atomic_store_explicit(&part->copy[0]->sequence, none, memory_order_release);
    atomic_store_explicit(&part->copy[1]->sequence, none, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    part->sequence = part->length = part->sum = 0;
    part->newest = 1;
    part->lost = false;
}

static void put_whole(struct pb_journal_part *part, const uint8_t *data, size_t size)
{
    struct pb_journal_copy *copy;

    if (part->lost)
        pb_journal_part_clear(part);
    copy = part->copy[!part->newest];
    if (size % WORD)
        copy->data[size / WORD] = 0;
    memcpy(copy->data, data, size);
    part->sum = pb_journal_sum(data, size);
    part->all_behind = true;
    publish(part, copy, size);
}

/* Which words differ from the newest copy; their number, PB_JOURNAL_BEHIND + 1: more than fit. */
static unsigned compare(const struct pb_journal_part *part, const uint8_t *data, size_t size,
                        uint16_t changed[PB_JOURNAL_BEHIND])
{
    const uint64_t *newest = part->copy[part->newest]->data;
    unsigned count = 0;

    for (size_t at = 0; at < size; at += CHUNK) {
        size_t length = size - at < CHUNK ? size - at : CHUNK;

        if (memcmp((const uint8_t *)newest + at, data + at, length) == 0)
            continue;
        for (size_t i = at / WORD; i < words_of(at + length); i++) {
            if (newest[i] == word_at(data, size, i))
                continue;
            if (count == PB_JOURNAL_BEHIND)
                return PB_JOURNAL_BEHIND + 1;
            changed[count++] = (uint16_t)i;
        }
    }
    return count;
}

static void catch_up(struct pb_journal_part *part, struct pb_journal_copy *copy, size_t size)
{
    const struct pb_journal_copy *newest = part->copy[part->newest];

    if (part->all_behind)
        memcpy(copy->data, newest->data, words_of(size) * WORD);
    for (unsigned i = 0; !part->all_behind && i < part->behind_count; i++)
        copy->data[part->behind[i]] = newest->data[part->behind[i]];
    part->all_behind = false;
}

static void put_words(struct pb_journal_part *part, const uint8_t *data, size_t size,
                      const uint16_t *changed, unsigned count)
{
    const struct pb_journal_copy *newest = part->copy[part->newest];
    struct pb_journal_copy *copy = part->copy[!part->newest];

    catch_up(part, copy, size);
    for (unsigned i = 0; i < count; i++) {
        uint64_t word = word_at(data, size, changed[i]);

        part->sum += mix(changed[i], word) - mix(changed[i], newest->data[changed[i]]);
        copy->data[changed[i]] = word;
    }
    memcpy(part->behind, changed, count * sizeof(changed[0]));
    part->behind_count = (uint8_t)count;
    publish(part, copy, size);
}

/* Is there no copy of the same length? */
static bool is_new(const struct pb_journal_part *part, size_t size)
{
    PB_ASSERT(size <= part->capacity);
    return part->sequence == 0 || part->length != size;
}

void pb_journal_part_put(struct pb_journal_part *part, const void *data, size_t size)
{
    uint16_t changed[PB_JOURNAL_BEHIND];
    unsigned count =
        is_new(part, size) ? PB_JOURNAL_BEHIND + 1 : compare(part, data, size, changed);

    if (count > PB_JOURNAL_BEHIND)
        put_whole(part, data, size);
    else if (count > 0)
        put_words(part, data, size, changed, count);
}

void pb_journal_part_put_word(struct pb_journal_part *part, const void *data, size_t size,
                              size_t at)
{
    const uint16_t i = (uint16_t)(at / WORD);

    PB_ASSERT(at < size);
    if (is_new(part, size))
        put_whole(part, data, size);
    else if (part->copy[part->newest]->data[i] != word_at(data, size, i))
        put_words(part, data, size, &i, 1);
}
