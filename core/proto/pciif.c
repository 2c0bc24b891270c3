/* SPDX-License-Identifier: MIT */
#include "proto/pciif.h"

#include <assert.h>
#include <stddef.h>

#include "base/bytes.h"

static_assert(sizeof(struct pb_op) == PB_PAGE_OP_SIZE, "the op as pciif.h has it");
static_assert(offsetof(struct pb_op, err) == PB_PAGE_ERR - PB_PAGE_OP, "err");
static_assert(offsetof(struct pb_op, value) == PB_PAGE_VALUE - PB_PAGE_OP, "value");
static_assert(offsetof(struct pb_op, entries) == PB_PAGE_ENTRIES - PB_PAGE_OP, "entries");

#define FIXED_WORDS ((PB_PAGE_ENTRIES - PB_PAGE_OP) / sizeof(uint32_t))

/* Mappings are page-aligned, so every field of the page is naturally aligned. */
static uint32_t *word(void *page, unsigned offset)
{
    return (uint32_t *)(void *)((char *)page + offset);
}

bool pb_page_has_request(const void *page)
{
    const uint32_t *flags = (const uint32_t *)page;

    return (__atomic_load_n(flags, __ATOMIC_ACQUIRE) & PB_FLAG_REQUEST) != 0;
}

void pb_page_take(const void *page, struct pb_op *ret)
{
    /* volatile: each word is loaded exactly once, whatever the optimiser thinks of it */
    const volatile uint32_t *from =
        (const volatile uint32_t *)(const void *)((const char *)page + PB_PAGE_OP);
    uint32_t *to = (uint32_t *)(void *)ret;

    for (unsigned i = 0; i < FIXED_WORDS; i++)
        to[i] = from[i];
    if (to[0] != PB_CMD_ENABLE_MSIX) /* the command is the first word */
        return;
    for (unsigned i = FIXED_WORDS; i < PB_PAGE_OP_SIZE / sizeof(uint32_t); i++)
        to[i] = from[i];
}

bool pb_op_equal(const struct pb_op *a, const struct pb_op *b)
{
    unsigned count = a->cmd == PB_CMD_ENABLE_MSIX ? a->value : 0;

    if (a->cmd != b->cmd || a->domain != b->domain || a->bus != b->bus || a->devfn != b->devfn ||
        a->offset != b->offset || a->size != b->size || a->value != b->value)
        return false;
    for (unsigned i = 0; i < count && i < PB_MSIX_ENTRIES_MAX; i++) {
        if (a->entries[i].entry != b->entries[i].entry)
            return false;
    }
    return true;
}

bool pb_page_asks(const void *page, const struct pb_op *op)
{
    struct pb_op now;

    if (!pb_page_has_request(page))
        return false;
    pb_page_take(page, &now);
    return pb_op_equal(&now, op);
}

bool pb_page_answer(void *page, int32_t err, uint32_t value, const struct pb_msix_entry *entries,
                    unsigned count)
{
    if (!pb_page_has_request(page))
        return false;
    for (unsigned i = 0; i < count && i < PB_MSIX_ENTRIES_MAX; i++) {
        volatile uint16_t *vector =
            (volatile uint16_t *)(void *)((char *)page + PB_PAGE_ENTRIES + 4 * (size_t)i);

        *vector = entries[i].vector;
    }
    *(volatile uint32_t *)word(page, PB_PAGE_ERR) = (uint32_t)err;
    *(volatile uint32_t *)word(page, PB_PAGE_VALUE) = value;
    (void)__atomic_fetch_and(word(page, PB_PAGE_FLAGS), ~PB_FLAG_REQUEST, __ATOMIC_ACQ_REL);
    return true;
}
