/* SPDX-License-Identifier: MIT */
#include "pci/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "pci/baseline.h"
#include "pci/known.h"

/* The only width at which each effect makes sense; 0: any. */
static const uint8_t effect_size[PB_EFFECT_COUNT] = {
    [PB_EFFECT_NONE] = 0,        [PB_EFFECT_BAR] = 4,          [PB_EFFECT_BAR_HIGH] = 4,
    [PB_EFFECT_BIST] = 1,        [PB_EFFECT_PM_CONTROL] = 2,   [PB_EFFECT_VPD_ADDRESS] = 2,
    [PB_EFFECT_MSI_CONTROL] = 2, [PB_EFFECT_MSIX_CONTROL] = 2, [PB_EFFECT_EXP_CONTROL] = 2,
    [PB_EFFECT_AF_CONTROL] = 1,
};

#define D3HOT_DELAY_MS 10 /* PCI Power Management 1.2, 5.6.1 */

static void init(struct pb_map *map, const struct pb_facts *facts, const struct pb_layout *layout,
                 const struct pb_traits *traits)
{
    memset(map, 0, sizeof(*map));
    map->space =
        facts->config_size == PB_CONFIG_SIZE_PCIE ? PB_CONFIG_SIZE_PCIE : PB_CONFIG_SIZE_PCI;
    map->size = (uint16_t)pb_caps_limit(facts, traits);
    map->layout = *layout;
    memcpy(map->image, facts->config, sizeof(map->image));
    for (unsigned i = 0; i < PB_PCI_RESOURCES; i++)
        map->bar[i] = pb_baseline_bar(facts, traits, i);
    map->d3_delay_ms = D3HOT_DELAY_MS;
    if (traits->set[PB_TRAIT_D3_DELAY] && traits->d3_delay_ms)
        map->d3_delay_ms = traits->d3_delay_ms;
    map->vpd_end = traits->vpd_size;
    map->flr = pb_baseline_flr(facts, layout, traits);
}

/* What a read of each byte needs: worked out here, so that it is not when a guest waits. */
static void settle_reads(struct pb_map *map)
{
    memset(map->always, 0, sizeof(map->always));
    memset(map->once_seen, 0, sizeof(map->once_seen));
    for (unsigned i = 0; i < map->size; i++) {
        unsigned kept = map->virt[i] | map->fixed[i];
        uint8_t bit = (uint8_t)(1U << i % 8);

        map->known[i] &= (uint8_t) ~(kept | map->write[i] | map->w1c[i]);
        map->value[i] =
            (uint8_t)((map->value[i] & ~map->known[i]) | (map->image[i] & map->known[i]));
        if (map->raw[i])
            continue;
        if (kept == 0xff)
            map->always[i / 8] |= bit;
        else if ((kept | map->known[i]) == 0xff)
            map->once_seen[i / 8] |= bit;
    }
}

void pb_map_init(struct pb_map *map, const struct pb_facts *facts, const struct pb_layout *layout)
{
    static const struct pb_traits no_traits;

    init(map, facts, layout, &no_traits);
    settle_reads(map);
}

static bool rule_is_valid(const struct pb_map *map, const struct pb_rule *rule)
{
    const uint32_t masks[] = { rule->hw, rule->write, rule->w1c, rule->virt, rule->fixed };
    uint32_t named = 0;

    if (rule->size != 1 && rule->size != 2 && rule->size != 4)
        return false;
    if (rule->offset % rule->size != 0 || rule->offset + rule->size > map->size)
        return false;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(masks); i++) {
        if (named & masks[i])
            return false;
        named |= masks[i];
    }
    if ((named | rule->lock) & ~pb_ones(rule->size))
        return false;
    /* A constant for a bit that has none, or two of them, is a mistake of whoever wrote the rule.
     */
    if (((rule->value | rule->image) & ~(rule->virt | rule->fixed)) || (rule->value & rule->image))
        return false;
    if (rule->lock & (rule->write | rule->w1c))
        return false;
    if (rule->effect >= PB_EFFECT_COUNT || rule->index >= PB_PCI_RESOURCES)
        return false;
    return effect_size[rule->effect] == 0 || effect_size[rule->effect] == rule->size;
}

static struct pb_reg *reg_at(struct pb_map *map, unsigned offset)
{
    unsigned number = map->reg_of[offset];

    return number ? &map->reg[number - 1] : NULL;
}

static void mark_bytes(struct pb_map *map, const struct pb_reg *reg, uint16_t number)
{
    for (unsigned i = 0; i < reg->size; i++)
        map->reg_of[reg->offset + i] = number;
}

static int add_reg(struct pb_map *map, struct pb_reg reg)
{
    if (map->reg_count == PB_REGS_MAX)
        return -ENOSPC;
    map->reg[map->reg_count++] = reg;
    mark_bytes(map, &reg, map->reg_count);
    return 0;
}

static void drop_reg(struct pb_map *map, struct pb_reg *reg)
{
    struct pb_reg *last = &map->reg[map->reg_count - 1];

    mark_bytes(map, reg, 0);
    if (reg != last) {
        *reg = *last;
        mark_bytes(map, reg, (uint16_t)(reg - map->reg + 1));
    }
    map->reg_count--;
}

/* What is left of WHOLE around [offset, offset + size) becomes registers of the largest aligned
 * size. */
static int keep_rest(struct pb_map *map, struct pb_reg whole, unsigned offset, unsigned size)
{
    unsigned at = whole.offset, end = at + whole.size;
    int rc = 0;

    if (whole.size <= size)
        return 0;
    while (at < end && rc == 0) {
        struct pb_reg rest = whole;

        if (at == offset) {
            at += size;
            continue;
        }
        rest.offset = (uint16_t)at;
        rest.size = 4;
        /* aligned ranges either nest or are disjoint, so this is the only way to overlap */
        while (rest.size > 1 &&
               (at % rest.size != 0 || at + rest.size > end || (offset & ~(rest.size - 1U)) == at))
            rest.size /= 2;
        rc = add_reg(map, rest);
        at += rest.size;
    }
    return rc;
}

/*
 * One register of several, of which a guest may write some bits: the others would be written back
 * as they were read, and the errors in a status that is closed to it would be cleared (H13).
 */
static bool joins_locked(const struct pb_map *map, const struct pb_rule *rule)
{
    uint32_t named = rule->hw | rule->write | rule->w1c | rule->virt | rule->fixed;
    uint32_t open = (pb_le_get(map->write + rule->offset, rule->size) |
                     pb_le_get(map->w1c + rule->offset, rule->size)) &
                    ~named;
    unsigned end = (unsigned)rule->offset + rule->size;
    bool joins = false;

    for (unsigned at = rule->offset; at < end; at++) {
        unsigned number = map->reg_of[at];

        joins |= number && map->reg[number - 1].size < rule->size;
    }
    return joins && (open | rule->write | rule->w1c) &&
           pb_le_get(map->lock + rule->offset, rule->size);
}

/* Makes RULE's bytes one register, whatever registers were there before. */
static int place_reg(struct pb_map *map, const struct pb_rule *rule)
{
    struct pb_reg wanted = { .offset = rule->offset,
                             .size = rule->size,
                             .effect = rule->effect,
                             .index = rule->index,
                             .swallow = rule->swallow,
                             .once = rule->file && rule->write };
    struct pb_reg *reg = reg_at(map, rule->offset);

    if (reg && reg->offset == rule->offset && reg->size == rule->size) {
        if (rule->effect != PB_EFFECT_NONE) {
            reg->effect = rule->effect;
            reg->index = rule->index;
        }
        reg->swallow |= rule->swallow;
        reg->once |= wanted.once;
        return 0;
    }
    for (unsigned i = 0; i < rule->size; i++) {
        reg = reg_at(map, rule->offset + i);
        if (reg && reg->effect != PB_EFFECT_NONE)
            return -EEXIST;
    }
    if (joins_locked(map, rule))
        return -EEXIST;
    for (unsigned i = 0; i < rule->size; i++) {
        struct pb_reg whole;
        int rc;

        reg = reg_at(map, rule->offset + i);
        if (!reg)
            continue;
        whole = *reg;
        wanted.once |= whole.once;
        drop_reg(map, reg);
        rc = keep_rest(map, whole, rule->offset, rule->size);
        if (rc < 0)
            return rc;
    }
    return add_reg(map, wanted);
}

static bool opens_locked(const struct pb_map *map, const struct pb_rule *rule)
{
    return (rule->write | rule->w1c) & pb_le_get(map->lock + rule->offset, rule->size);
}

static void classify_byte(struct pb_map *map, const struct pb_rule *rule, unsigned i)
{
    unsigned at = rule->offset + i, shift = 8 * i;
    uint8_t named =
        (uint8_t)((rule->hw | rule->write | rule->w1c | rule->virt | rule->fixed) >> shift);
    uint8_t image = (uint8_t)(rule->image >> shift);

    map->write[at] = (uint8_t)((map->write[at] & ~named) | (uint8_t)(rule->write >> shift));
    map->w1c[at] = (uint8_t)((map->w1c[at] & ~named) | (uint8_t)(rule->w1c >> shift));
    map->virt[at] = (uint8_t)((map->virt[at] & ~named) | (uint8_t)(rule->virt >> shift));
    map->fixed[at] = (uint8_t)((map->fixed[at] & ~named) | (uint8_t)(rule->fixed >> shift));
    map->value[at] = (uint8_t)((map->value[at] & ~named) | (uint8_t)(rule->value >> shift) |
                               (map->image[at] & image));
    map->lock[at] = (uint8_t)(map->lock[at] | (uint8_t)(rule->lock >> shift));
    /* a lock also closes what an earlier rule has opened */
    map->write[at] &= (uint8_t)~map->lock[at];
    map->w1c[at] &= (uint8_t)~map->lock[at];
}

static int apply(struct pb_map *map, const struct pb_rule *rules, size_t count, size_t *ret_bad)
{
    for (size_t n = 0; n < count; n++) {
        const struct pb_rule *rule = &rules[n];
        int rc = 0;

        if (!rule_is_valid(map, rule))
            rc = -EINVAL;
        else if (opens_locked(map, rule))
            rc = -EPERM;
        else
            rc = place_reg(map, rule);
        if (rc < 0) {
            *ret_bad = n;
            return rc;
        }
        for (unsigned i = 0; i < rule->size; i++)
            classify_byte(map, rule, i);
    }
    return 0;
}

int pb_map_apply(struct pb_map *map, const struct pb_rule *rules, size_t count, size_t *ret_bad)
{
    int rc = apply(map, rules, count, ret_bad);

    settle_reads(map);
    return rc;
}

struct pb_map *pb_map_compile(const struct pb_facts *facts, const struct pb_caps *caps,
                              const struct pb_traits *traits, const struct pb_rules *rules,
                              int *ret_rc, size_t *ret_bad)
{
    struct pb_map *map = malloc(sizeof(*map));

    *ret_bad = 0;
    *ret_rc = -ENOMEM;
    if (!map || rules->no_memory) {
        free(map);
        return NULL;
    }
    init(map, facts, &caps->seen, traits);
    pb_known_bits(caps, map->known);
    *ret_rc = pb_map_apply(map, rules->rule, rules->count, ret_bad);
    if (*ret_rc < 0) {
        free(map);
        return NULL;
    }
    return map;
}

void pb_map_set_raw(struct pb_map *map, const uint8_t *mask)
{
    for (unsigned i = 0; i < PB_CONFIG_SIZE_PCIE; i++)
        map->raw[i] = mask[i] ? 0xff : map->raw[i];
    settle_reads(map);
}
