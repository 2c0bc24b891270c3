/* SPDX-License-Identifier: MIT */
#include "pci/view.h"

#include <string.h>

#include "base/bytes.h"

void pb_view_init(struct pb_view *view, const struct pb_map *map)
{
    memset(view, 0, sizeof(*view));
    view->map = map;
    for (unsigned i = 0; i < PB_CONFIG_SIZE_PCIE; i++)
        view->shadow[i] = map->value[i] & map->virt[i];
}

/* The BAR register that the byte belongs to, or NULL. */
static const struct pb_reg *bar_at(const struct pb_map *map, unsigned at)
{
    const struct pb_reg *reg = map->reg_of[at] ? &map->reg[map->reg_of[at] - 1] : NULL;

    return reg && (reg->effect == PB_EFFECT_BAR || reg->effect == PB_EFFECT_BAR_HIGH) ? reg : NULL;
}

static bool bar_is_sized(const struct pb_view *view, const struct pb_reg *reg)
{
    const struct pb_bar *bar = &view->map->bar[reg->index];

    return pb_le32(view->shadow + reg->offset) == bar->length[reg->effect == PB_EFFECT_BAR_HIGH];
}

/* Gives the new view the BARs of the old: what they answer follows the new map. */
static void move_bars(const struct pb_view *old, struct pb_view *view)
{
    for (unsigned i = 0; i < view->map->reg_count; i++) {
        const struct pb_reg *reg = &view->map->reg[i], *was = bar_at(old->map, reg->offset);
        unsigned half = reg->effect == PB_EFFECT_BAR_HIGH;

        if (reg != bar_at(view->map, reg->offset))
            continue;
        if (was && bar_is_sized(old, was))
            pb_le_put(view->shadow + reg->offset, 4, view->map->bar[reg->index].length[half]);
    }
}

void pb_view_move(struct pb_view *view, const struct pb_map *map)
{
    const struct pb_view old = *view;

    pb_view_init(view, map);
    view->permissive = old.permissive;
    view->allow_interrupt_control = old.allow_interrupt_control;
    for (unsigned i = 0; i < PB_CONFIG_SIZE_PCIE; i++) {
        uint8_t kept = old.map->virt[i] & map->virt[i];

        if (!bar_at(map, i) && !bar_at(old.map, i))
            view->shadow[i] = (uint8_t)((view->shadow[i] & ~kept) | (old.shadow[i] & kept));
    }
    move_bars(&old, view);
}

void pb_view_reset(struct pb_view *view)
{
    const struct pb_map *map = view->map;

    for (unsigned i = 0; i < PB_CONFIG_SIZE_PCIE; i++) {
        if (!bar_at(map, i))
            view->shadow[i] = map->value[i] & map->virt[i];
    }
}
