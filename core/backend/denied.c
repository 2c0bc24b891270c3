/* SPDX-License-Identifier: MIT */
#include "backend/denied.h"

#include "backend/failure.h"
#include "backend/machine.h"

void pb_denied_note(struct pb_device *dev, uint16_t offset, uint8_t size, uint32_t value,
                    uint32_t bits)
{
    struct pb_denied *entry = dev->denied, *end = dev->denied + dev->denied_count;

    dev->denied_writes++;
    while (entry < end && (entry->offset != offset || entry->size != size))
        entry++;
    if (entry == end) {
        if (dev->denied_count == PB_DENIED_MAX) {
            dev->denied_lost++;
            return;
        }
        dev->denied_count++;
        *entry = (struct pb_denied){ .offset = offset, .size = size };
    }
    entry->bits |= bits;
    entry->value = value;
    entry->count++;
}

void pb_denied_clear(struct pb_device *dev)
{
    dev->denied_count = 0;
    dev->denied_lost = 0;
}

bool pb_backend_denied(const struct pb_backend *b, const char *text,
                       void (*visit)(void *ctx, const struct pb_denied *denied), void *ctx,
                       uint64_t *ret_lost, struct pb_failure *failure)
{
    const struct pb_device *dev = pb_device_known(b, text, failure);

    if (!dev)
        return false;
    for (unsigned i = 0; i < dev->denied_count; i++)
        visit(ctx, &dev->denied[i]);
    *ret_lost = dev->denied_lost;
    return true;
}
