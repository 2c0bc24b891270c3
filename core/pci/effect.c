/* SPDX-License-Identifier: MIT */
/* Registers whose writes do more than set bits. */
#include "base/bytes.h"
#include "pci/engine.h"
#include "pci/regs.h"

static bool always(const struct pb_piece *piece)
{
    (void)piece;
    return true;
}

static bool never(const struct pb_piece *piece)
{
    (void)piece;
    return false;
}

static uint32_t merge(uint32_t old, const struct pb_piece *piece)
{
    return (old & ~piece->covered) | piece->data;
}

/* ---- base address registers: sizing, in the shadow alone ----------------------------------------
 */

static enum pb_verdict bar_decide(struct pb_access *acc, const struct pb_piece *piece)
{
    const struct pb_bar *bar = &acc->view->map->bar[acc->reg.index];
    unsigned half = acc->reg.effect == PB_EFFECT_BAR_HIGH;
    uint32_t type_mask = half ? 0 : bar->type_mask;
    uint32_t value = merge(piece->shadow, piece);

    value = (value | type_mask) == UINT32_MAX ? bar->length[half] : bar->address[half];
    pb_le_put(acc->view->shadow + acc->reg.offset, 4, value);
    return PB_VERDICT_GO;
}

/* ---- BIST --------------------------------------------------------------------------------------
 */

static enum pb_verdict bist_decide(struct pb_access *acc, const struct pb_piece *piece)
{
    uint32_t changed = piece->data ^ acc->old;

    if (changed != 0 &&
        ((changed & ~(uint32_t)PCI_BIST_START) == 0 || piece->data == PCI_BIST_START))
        pb_engine_push_write(acc, acc->reg.offset, 1, piece->data);
    return PB_VERDICT_GO;
}

/* ---- power management --------------------------------------------------------------------------
 */

#define D3HOT_DELAY_MS 10 /* PCI Power Management 1.2, 5.6.1 */
#define D2_DELAY_MS    1  /* 200 us, rounded up to what a timer of ours can do */

static unsigned delay_between(unsigned from, unsigned to)
{
    if (from == PCI_PM_D3HOT || to == PCI_PM_D3HOT)
        return D3HOT_DELAY_MS;
    return from == PCI_PM_D2 || to == PCI_PM_D2 ? D2_DELAY_MS : 0;
}

static bool state_supported(const struct pb_map *map, const struct pb_reg *reg, unsigned state)
{
    unsigned pmc = pb_le16(map->image + reg->offset - PCI_PM_CTRL + PCI_PM_PMC);

    if (state == PCI_PM_D1)
        return pmc & PCI_PM_PMC_D1;
    if (state == PCI_PM_D2)
        return pmc & PCI_PM_PMC_D2;
    return true;
}

/* The state that the guest asks for; the present one when it asks for none or for an unknown one.
 */
static unsigned state_wanted(const struct pb_access *acc, const struct pb_piece *piece)
{
    unsigned from = acc->old & PCI_PM_CTRL_STATE;
    unsigned to = merge(acc->old, piece) & PCI_PM_CTRL_STATE;

    return state_supported(acc->view->map, &acc->reg, to) ? to : from;
}

static uint32_t pm_value(const struct pb_access *acc, const struct pb_piece *piece, unsigned state)
{
    uint32_t mine = piece->write & piece->covered & ~PCI_PM_CTRL_STATE;
    uint32_t kept = ~(mine | piece->w1c | PCI_PM_CTRL_STATE);

    return (acc->old & kept) | (piece->data & (mine | piece->w1c)) | state;
}

/* Lost on the way from D3hot to D0: PCI Power Management 1.2, 5.4.1. COMMAND comes last. */
static void push_restore(struct pb_access *acc, uint32_t command)
{
    const uint8_t *image = acc->view->map->image;
    uint32_t decode = pb_le16(image + PCI_COMMAND) & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
    uint32_t rom = pb_le32(image + PCI_ROM_ADDRESS);

    for (unsigned at = PCI_BAR0; at < PCI_BAR0 + 4 * PB_PCI_BARS; at += 4) {
        uint32_t bar = pb_le32(image + at);

        if (bar != 0)
            pb_engine_push_write(acc, at, 4, bar);
    }
    if (rom != 0)
        pb_engine_push_write(acc, PCI_ROM_ADDRESS, 4, rom);
    pb_engine_push_write(acc, PCI_CACHE_LINE_SIZE, 2, pb_le16(image + PCI_CACHE_LINE_SIZE));
    pb_engine_push_write(acc, PCI_INTERRUPT_LINE, 1, image[PCI_INTERRUPT_LINE]);
    pb_engine_push_write(acc, PCI_COMMAND, 2, decode | (command & PCI_COMMAND_INTX_DISABLE));
}

static enum pb_verdict pm_decide(struct pb_access *acc, const struct pb_piece *piece)
{
    unsigned from = acc->old & PCI_PM_CTRL_STATE, to = state_wanted(acc, piece);
    uint32_t value = pm_value(acc, piece, to);

    if (acc->old == pb_ones(2)) /* nobody answers: a state of "3" would be made up */
        return PB_VERDICT_BROKEN;
    if (to < from && to != PCI_PM_D0)
        return PB_VERDICT_REFUSE;
    if (from == PCI_PM_D3HOT && to == PCI_PM_D0 && !acc->view->map->layout.no_soft_reset) {
        /* INTX_DISABLE may be the backend's: what it is now is what it must be afterwards */
        acc->cycle.offset = PCI_COMMAND;
        acc->cycle.size = 2;
        return PB_VERDICT_LOOK;
    }
    /* w1c bits of the old value are 0 in VALUE unless the guest clears them */
    if (value != (acc->old & ~piece->w1c))
        pb_engine_push_write(acc, acc->reg.offset, 2, value);
    if (from != to && delay_between(from, to))
        pb_engine_push_wait(acc, delay_between(from, to));
    return PB_VERDICT_GO;
}

static enum pb_verdict pm_looked(struct pb_access *acc, const struct pb_piece *piece,
                                 uint32_t command)
{
    pb_engine_push_write(acc, acc->reg.offset, 2, pm_value(acc, piece, PCI_PM_D0));
    pb_engine_push_wait(acc, D3HOT_DELAY_MS);
    push_restore(acc, command);
    acc->restored = true;
    return PB_VERDICT_GO;
}

/* ---- vital product data ------------------------------------------------------------------------
 */

static bool vpd_needs_old(const struct pb_piece *piece)
{
    return piece->covered != piece->all;
}

static enum pb_verdict vpd_decide(struct pb_access *acc, const struct pb_piece *piece)
{
    if (piece->data & PCI_VPD_ADDR_F)
        return PB_VERDICT_REFUSE;
    /* F reads 1 once an earlier read is done: written back in a merge it would start a write */
    pb_engine_push_write(acc, acc->reg.offset, 2, merge(acc->old, piece) & PCI_VPD_ADDR_MASK);
    return PB_VERDICT_GO;
}

/* ---- MSI and MSI-X control ---------------------------------------------------------------------
 */

static bool is_msix(const struct pb_access *acc)
{
    return acc->reg.effect == PB_EFFECT_MSIX_CONTROL;
}

static uint32_t enable_bit(bool msix)
{
    return msix ? PCI_MSIX_FLAGS_ENABLE : PCI_MSI_FLAGS_ENABLE;
}

static enum pb_verdict interrupt_decide(struct pb_access *acc, const struct pb_piece *piece)
{
    const struct pb_layout *layout = &acc->view->map->layout;
    uint32_t allowed =
        is_msix(acc) ? PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL : PCI_MSI_FLAGS_ENABLE;
    uint32_t value = merge(acc->old, piece);
    unsigned other = is_msix(acc) ? layout->msi : layout->msix;

    if (value == acc->old)
        return PB_VERDICT_GO;
    if (!acc->view->allow_interrupt_control || ((value ^ acc->old) & ~allowed))
        return PB_VERDICT_REFUSE;
    if ((value & enable_bit(is_msix(acc))) && other) {
        acc->cycle.offset = (uint16_t)(other + PCI_MSI_FLAGS);
        acc->cycle.size = 2;
        return PB_VERDICT_LOOK;
    }
    pb_engine_push_write(acc, acc->reg.offset, 2, value);
    return PB_VERDICT_GO;
}

/* A function uses one kind of interrupt at a time. */
static enum pb_verdict interrupt_looked(struct pb_access *acc, const struct pb_piece *piece,
                                        uint32_t other)
{
    if (other & enable_bit(!is_msix(acc)))
        return PB_VERDICT_REFUSE;
    pb_engine_push_write(acc, acc->reg.offset, 2, merge(acc->old, piece));
    return PB_VERDICT_GO;
}

/* ------------------------------------------------------------------------------------------------
 */

static const struct pb_effect_ops effects[PB_EFFECT_COUNT] = {
    [PB_EFFECT_BAR] = { never, bar_decide, NULL, UINT32_MAX },
    [PB_EFFECT_BAR_HIGH] = { never, bar_decide, NULL, UINT32_MAX },
    [PB_EFFECT_BIST] = { always, bist_decide, NULL, UINT32_MAX },
    [PB_EFFECT_PM_CONTROL] = { always, pm_decide, pm_looked, PCI_PM_CTRL_STATE },
    [PB_EFFECT_VPD_ADDRESS] = { vpd_needs_old, vpd_decide, NULL, PCI_VPD_ADDR_F },
    [PB_EFFECT_MSI_CONTROL] = { always, interrupt_decide, interrupt_looked, UINT32_MAX },
    [PB_EFFECT_MSIX_CONTROL] = { always, interrupt_decide, interrupt_looked, UINT32_MAX },
};

const struct pb_effect_ops *pb_effect_ops_of(enum pb_effect effect)
{
    return effect == PB_EFFECT_NONE ? NULL : &effects[effect];
}
