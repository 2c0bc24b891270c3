/* SPDX-License-Identifier: MIT */
#include "backend/taint.h"

#include <stdio.h>
#include <string.h>

#include "backend/guest.h"
#include "backend/machine.h"
#include "backend/record.h"
#include "base/assert.h"
#include "base/log.h"

static bool lives(const struct pb_device *dev, unsigned i)
{
    return pb_guest_lives(dev->b, dev->taint.by[i].domid, dev->taint.by[i].handle);
}

void pb_taint_refresh(struct pb_device *dev)
{
    struct pb_taint *taint = &dev->taint;
    char rest[PB_TAINT_TEXT];
    unsigned kept = 0;
    uint32_t gone = PB_TAINT_NOBODY;

    for (unsigned i = 0; i < taint->count; i++) {
        if (lives(dev, i))
            taint->by[kept++] = taint->by[i];
        else
            gone = taint->by[i].domid;
    }
    taint->count = kept;
    if (gone != PB_TAINT_NOBODY)
        pb_record_device(dev);
    if (gone != PB_TAINT_NOBODY && kept == 0)
        pb_notice("%s: no longer tainted: domain %u is gone", pb_device_text(dev), gone);
    else if (gone != PB_TAINT_NOBODY)
        pb_notice("%s: domain %u is gone; still tainted by %s", pb_device_text(dev), gone,
                  pb_taint_text(dev, PB_TAINT_NOBODY, rest, sizeof(rest)));
}

void pb_taint(struct pb_device *dev)
{
    const struct pb_guest *g = dev->guest;
    struct pb_taint *taint = &dev->taint;
    unsigned i = 0;

    if (!pb_guest_lives(g->b, g->domid, g->handle))
        return;
    pb_taint_refresh(dev);
    pb_notice("%s: tainted: domain %u still lives and may hold mappings of it", pb_device_text(dev),
              g->domid);
    while (i < taint->count && taint->by[i].domid != g->domid)
        i++;
    PB_ASSERT(i < PB_TAINT_MAX); /* pb_taint_make_room came before it got it */
    taint->by[i].domid = g->domid;
    memcpy(taint->by[i].handle, g->handle, sizeof(g->handle));
    if (i == taint->count)
        taint->count++;
    pb_record_device(dev);
}

bool pb_taint_by_others(const struct pb_device *dev, uint32_t except)
{
    for (unsigned i = 0; i < dev->taint.count; i++) {
        if (dev->taint.by[i].domid != except && lives(dev, i))
            return true;
    }
    return false;
}

bool pb_device_tainted(const struct pb_device *dev)
{
    return pb_taint_by_others(dev, PB_TAINT_NOBODY);
}

bool pb_taint_make_room(struct pb_device *dev, uint32_t domid)
{
    unsigned others = 0;

    pb_taint_refresh(dev);
    for (unsigned i = 0; i < dev->taint.count; i++)
        others += dev->taint.by[i].domid != domid;
    return others < PB_TAINT_MAX;
}

uint32_t pb_taint_first(const struct pb_device *dev)
{
    for (unsigned i = 0; i < dev->taint.count; i++) {
        if (lives(dev, i))
            return dev->taint.by[i].domid;
    }
    return PB_TAINT_NOBODY;
}

const char *pb_taint_text(const struct pb_device *dev, uint32_t except, char *buf, size_t size)
{
    uint32_t who[PB_TAINT_MAX];
    unsigned count = 0;
    size_t n;

    for (unsigned i = 0; i < dev->taint.count; i++) {
        if (dev->taint.by[i].domid != except && lives(dev, i))
            who[count++] = dev->taint.by[i].domid;
    }
    n = (size_t)snprintf(buf, size, count > 1 ? "domains" : "domain");
    for (unsigned i = 0; i < count && n < size; i++)
        n += (size_t)snprintf(buf + n, size - n, "%s %u",
                              i == 0           ? ""
                              : i + 1 == count ? " and"
                                               : ",",
                              who[i]);
    if (n < size)
        (void)snprintf(buf + n, size - n, ", which still %s", count > 1 ? "live" : "lives");
    return buf;
}
