/* SPDX-License-Identifier: MIT */
#include "pci/view.h"

#include <string.h>

#include "base/bytes.h"

static void begin_fresh(struct pb_view *view, unsigned from, unsigned end)
{
    for (unsigned i = from; i < end; i++)
        view->shadow[i] = view->map->value[i] & view->map->virt[i];
}

void pb_view_init(struct pb_view *view, const struct pb_map *map)
{
    memset(view, 0, sizeof(*view));
    view->map = map;
    pb_view_forget(view);
    begin_fresh(view, 0, map->space);
}

void pb_view_forget(struct pb_view *view)
{
    view->forgotten++;
    if (view->map)
        memcpy(view->memory, view->map->always, sizeof(view->memory));
}

bool pb_view_saw(struct pb_view *view, unsigned offset, unsigned size, uint32_t raw,
                 uint32_t forgotten)
{
    const struct pb_map *map = view->map;
    uint32_t all = pb_ones(size), then = pb_le_get(map->image + offset, size);
    uint32_t known = pb_le_get(map->known + offset, size), unlike = (raw ^ then) & known;

    /* All ones where a bit was 0 may be a live register that says so: that costs cycles only. */
    if (unlike || ((raw & all) == all && then != all)) {
        pb_view_forget(view);
        return !unlike;
    }
    if (known && !view->permissive && view->forgotten == forgotten)
        view->memory[offset / 8] |=
            (uint8_t)(map->once_seen[offset / 8] & ((1U << size) - 1) << offset % 8);
    return true;
}

static bool is_bar(const struct pb_reg *reg)
{
    return reg->effect == PB_EFFECT_BAR || reg->effect == PB_EFFECT_BAR_HIGH;
}

/* What it answers when it was sized last. */
static uint32_t length_of(const struct pb_map *map, const struct pb_reg *reg)
{
    return map->bar[reg->index].length[reg->effect == PB_EFFECT_BAR_HIGH];
}

/* Bytes that are, or were, a BAR hold no bits to keep, but whether it is being sized. */
static void move_bars(const struct pb_view *old, struct pb_view *view)
{
    for (unsigned i = 0; i < old->map->reg_count; i++) {
        const struct pb_reg *reg = &old->map->reg[i];

        if (is_bar(reg))
            begin_fresh(view, reg->offset, reg->offset + 4U);
    }
    for (unsigned i = 0; i < view->map->reg_count; i++) {
        const struct pb_reg *reg = &view->map->reg[i];
        unsigned number = old->map->reg_of[reg->offset];
        const struct pb_reg *was = number ? &old->map->reg[number - 1] : NULL;

        if (!is_bar(reg))
            continue;
        begin_fresh(view, reg->offset, reg->offset + 4U);
        if (was && is_bar(was) && pb_le32(old->shadow + was->offset) == length_of(old->map, was))
            pb_le_put(view->shadow + reg->offset, 4, length_of(view->map, reg));
    }
}

void pb_view_move(struct pb_view *view, const struct pb_map *map)
{
    const struct pb_view old = *view;

    view->map = map;
    pb_view_forget(view);
    begin_fresh(view, 0, map->space);
    for (unsigned i = 0; i < map->space; i++) {
        unsigned kept = old.map->virt[i] & map->virt[i];

        view->shadow[i] = (uint8_t)((view->shadow[i] & ~kept) | (old.shadow[i] & kept));
    }
    move_bars(&old, view);
}

void pb_view_restore(struct pb_view *view, const struct pb_map *map, const uint8_t *shadow,
                     unsigned size, bool same)
{
    pb_view_init(view, map);
    if (size > map->space)
        size = map->space;
    for (unsigned i = 0; same && i < size; i++)
        view->shadow[i] = shadow[i];
    for (unsigned i = 0; !same && i + 4 <= size; i += 4) {
        for (unsigned k = i; k < i + 4 && pb_le32(shadow + i) != 0; k++)
            view->shadow[k] = shadow[k] & map->virt[k];
    }
    for (unsigned i = 0; !same && i < map->reg_count; i++) {
        const struct pb_reg *reg = &map->reg[i];

        if (!is_bar(reg) || reg->offset + 4U > size)
            continue;
        begin_fresh(view, reg->offset, reg->offset + 4U);
        if (pb_le32(shadow + reg->offset) == length_of(map, reg))
            pb_le_put(view->shadow + reg->offset, 4, length_of(map, reg));
    }
}

void pb_view_reset(struct pb_view *view)
{
    const struct pb_map *map = view->map;
    const struct pb_view old = *view;

    pb_view_forget(view);
    begin_fresh(view, 0, map->space);
    for (unsigned i = 0; i < map->reg_count; i++) {
        const struct pb_reg *reg = &map->reg[i];

        if (is_bar(reg))
            memcpy(view->shadow + reg->offset, old.shadow + reg->offset, reg->size);
    }
}
