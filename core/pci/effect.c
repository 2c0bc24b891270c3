/* SPDX-License-Identifier: MIT */
/* Registers whose writes do more than set bits. */
#include "base/bytes.h"
#include "pci/engine.h"
#include "pci/regs.h"

static bool always(const struct pb_access *acc, const struct pb_piece *piece)
{
    (void)acc;
    (void)piece;
    return true;
}

static bool never(const struct pb_access *acc, const struct pb_piece *piece)
{
    (void)acc;
    (void)piece;
    return false;
}

static uint32_t merge(uint32_t old, const struct pb_piece *piece)
{
    return (old & ~piece->covered) | piece->data;
}

/* The same, but for what a rule has made a shadow or a constant: hardware keeps it as it is. */
static uint32_t merge_open(uint32_t old, const struct pb_piece *piece)
{
    uint32_t closed = piece->virt | piece->fixed;

    return (old & closed) | (merge(old, piece) & ~closed);
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
    acc->shadowed |= value != piece->shadow;
    pb_le_put(acc->view->shadow + acc->reg.offset, 4, value);
    return PB_VERDICT_GO;
}

/* ---- BIST --------------------------------------------------------------------------------------
 */

static enum pb_verdict bist_decide(struct pb_access *acc, const struct pb_piece *piece)
{
    uint32_t value = merge_open(acc->old, piece), changed = value ^ acc->old;

    if (changed != 0 && ((changed & ~(uint32_t)PCI_BIST_START) == 0 || value == PCI_BIST_START))
        pb_engine_push_once(acc, acc->reg.offset, 1, value);
    return PB_VERDICT_GO;
}

/* ---- power management --------------------------------------------------------------------------
 */

#define D3HOT_DELAY_MS 10 /* PCI Power Management 1.2, 5.6.1, unless a quirk says more */
#define D2_DELAY_MS    1  /* 200 us, rounded up to what a timer of ours can do */

static unsigned delay_between(const struct pb_map *map, unsigned from, unsigned to)
{
    if (from == PCI_PM_D3HOT || to == PCI_PM_D3HOT)
        return map->d3_delay_ms ? map->d3_delay_ms : D3HOT_DELAY_MS;
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
    unsigned to = merge_open(acc->old, piece) & PCI_PM_CTRL_STATE;

    return state_supported(acc->view->map, &acc->reg, to) ? to : from;
}

static uint32_t pm_value(const struct pb_access *acc, const struct pb_piece *piece, unsigned state)
{
    uint32_t mine = piece->write & piece->covered & ~PCI_PM_CTRL_STATE;
    uint32_t kept = ~(mine | piece->w1c | PCI_PM_CTRL_STATE);

    return (acc->old & kept) | (piece->data & (mine | piece->w1c)) | state;
}

/* Does a rule make [at, at + size) one register that is not the guest's alone to set? */
static bool is_shadowed(const struct pb_map *map, unsigned at, unsigned size)
{
    const struct pb_reg *reg;

    if (at + size > map->size)
        return false;
    reg = map->reg_of[at] ? &map->reg[map->reg_of[at] - 1] : NULL;
    return reg && reg->offset == at && reg->size == size && pb_le_get(map->virt + at, size);
}

static unsigned aer_of(const struct pb_layout *layout)
{
    for (unsigned i = 0; i < layout->ext_count; i++) {
        if (layout->ext[i].id == PCI_EXT_AER)
            return layout->ext[i].offset;
    }
    return 0;
}

/* Of the capabilities: what must fit the path to the root, and what the guest has only a shadow of,
 * so that it cannot bring it back itself. */
static void push_capabilities(struct pb_access *acc)
{
    const struct pb_map *map = acc->view->map;
    unsigned exp = map->layout.exp, pcix = map->layout.pcix, aer = aer_of(&map->layout);
    const struct {
        unsigned base, offset, size;
        uint32_t bits;
    } lost[] = {
        { exp, PCI_EXP_DEVCTL, 2, ~PCI_EXP_DEVCTL_FLR },
        { exp, PCI_EXP_LNKCTL, 2, UINT32_MAX },
        { exp, PCI_EXP_DEVCTL2, 2, UINT32_MAX },
        { pcix, PCI_PCIX_CMD, 2, UINT32_MAX },
        { aer, PCI_AER_UNCOR_MASK, 4, UINT32_MAX },
        { aer, PCI_AER_UNCOR_SEVERITY, 4, UINT32_MAX },
        { aer, PCI_AER_COR_MASK, 4, UINT32_MAX },
    };

    for (unsigned i = 0; i < PB_ARRAY_SIZE(lost); i++) {
        unsigned at = lost[i].base + lost[i].offset;

        if (lost[i].base && is_shadowed(map, at, lost[i].size))
            pb_engine_push_write(acc, at, lost[i].size,
                                 pb_le_get(map->image + at, lost[i].size) & lost[i].bits);
    }
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
    push_capabilities(acc);
    pb_engine_push_write(acc, PCI_COMMAND, 2, decode | (command & PCI_COMMAND_INTX_DISABLE));
}

/*
 * What the registers were before the first process that carried out this write: once the state has
 * changed they do not tell any more what was lost with it.
 */
static void keep_power(struct pb_access *acc)
{
    if (acc->kept.has_power)
        acc->old = acc->kept.power;
    acc->kept.has_power = true;
    acc->kept.power = (uint16_t)acc->old;
}

static enum pb_verdict pm_woken(struct pb_access *acc, const struct pb_piece *piece)
{
    pb_engine_push_write(acc, acc->reg.offset, 2, pm_value(acc, piece, PCI_PM_D0));
    pb_engine_push_wait(acc, delay_between(acc->view->map, PCI_PM_D3HOT, PCI_PM_D0));
    push_restore(acc, acc->kept.command);
    acc->restored = true;
    return PB_VERDICT_GO;
}

static enum pb_verdict pm_looked(struct pb_access *acc, const struct pb_piece *piece,
                                 uint32_t command)
{
    acc->kept.has_command = true;
    acc->kept.command = (uint16_t)command;
    return pm_woken(acc, piece);
}

static enum pb_verdict pm_decide(struct pb_access *acc, const struct pb_piece *piece)
{
    unsigned from, to, delay;
    uint32_t value;

    keep_power(acc);
    pb_view_forget(acc->view);
    from = acc->old & PCI_PM_CTRL_STATE;
    to = state_wanted(acc, piece);
    delay = from == to ? 0 : delay_between(acc->view->map, from, to);
    value = pm_value(acc, piece, to);
    if (acc->old == pb_ones(2)) /* nobody answers: a state of "3" would be made up */
        return PB_VERDICT_BROKEN;
    if (to < from && to != PCI_PM_D0)
        return PB_VERDICT_REFUSE;
    if (from == PCI_PM_D3HOT && to == PCI_PM_D0 && !acc->view->map->layout.no_soft_reset) {
        if (acc->kept.has_command)
            return pm_woken(acc, piece);
        /* INTX_DISABLE may be the backend's: what it is now is what it must be afterwards */
        acc->cycle.offset = PCI_COMMAND;
        acc->cycle.size = 2;
        return PB_VERDICT_LOOK;
    }
    /* w1c bits of the old value are 0 in VALUE unless the guest clears them */
    if (value != (acc->old & ~piece->w1c))
        pb_engine_push_write(acc, acc->reg.offset, 2, value);
    if (delay)
        pb_engine_push_wait(acc, delay);
    return PB_VERDICT_GO;
}

/* ---- vital product data ------------------------------------------------------------------------
 */

static bool vpd_needs_old(const struct pb_access *acc, const struct pb_piece *piece)
{
    (void)acc;
    return (piece->covered & piece->write) != PCI_VPD_ADDR_MASK;
}

static enum pb_verdict vpd_decide(struct pb_access *acc, const struct pb_piece *piece)
{
    const struct pb_map *map = acc->view->map;
    uint32_t mine = piece->covered & piece->write & PCI_VPD_ADDR_MASK;
    uint32_t address = ((acc->old & ~mine) | (piece->data & mine)) & PCI_VPD_ADDR_MASK;
    /* four bytes are read; an address that is not a multiple of four may reach into the next ones
     */
    uint32_t last = address % 4 ? address + 3 : address;

    if ((piece->data & PCI_VPD_ADDR_F) || (mine && map->vpd_end && last >= map->vpd_end))
        return PB_VERDICT_REFUSE;
    if (mine == 0)
        return PB_VERDICT_GO;
    if (acc->reg.offset < acc->again_end) {
        acc->cycle.offset = acc->reg.offset;
        acc->cycle.size = 2;
        return PB_VERDICT_LOOK;
    }
    /* F reads 1 once an earlier read is done: written back in a merge it would start a write */
    pb_engine_push_once(acc, acc->reg.offset, 2, address);
    return PB_VERDICT_GO;
}

/*
 * An earlier process has begun it. The address says whether that reached the device: a read that
 * was lost would leave its guest with the data of another address.
 */
static enum pb_verdict vpd_looked(struct pb_access *acc, const struct pb_piece *piece,
                                  uint32_t value)
{
    uint32_t mine = piece->covered & piece->write & PCI_VPD_ADDR_MASK;
    uint32_t address = ((value & ~mine) | (piece->data & mine)) & PCI_VPD_ADDR_MASK;

    if ((value & PCI_VPD_ADDR_MASK) != address)
        pb_engine_push_write(acc, acc->reg.offset, 2, address);
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

/*
 * What hardware would get: constants and shadows (a table that is shown smaller than it is) are no
 * part of it, so that a guest may write back what it read.
 */
static uint32_t interrupt_value(const struct pb_access *acc, const struct pb_piece *piece)
{
    uint32_t mine = piece->covered & ~(piece->fixed | piece->virt);

    return (acc->old & ~mine) | (piece->data & mine);
}

static enum pb_verdict interrupt_decide(struct pb_access *acc, const struct pb_piece *piece)
{
    const struct pb_layout *layout = &acc->view->map->layout;
    uint32_t allowed =
        is_msix(acc) ? PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL : PCI_MSI_FLAGS_ENABLE;
    uint32_t value = interrupt_value(acc, piece);
    unsigned other = is_msix(acc) ? layout->msi : layout->msix;

    if (value == acc->old)
        return PB_VERDICT_GO;
    if (!acc->view->allow_interrupt_control || ((value ^ acc->old) & ~allowed))
        return PB_VERDICT_REFUSE;
    if (acc->old == pb_ones(2)) /* nobody answers: a "change" of one bit would set all others */
        return PB_VERDICT_BROKEN;
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
    pb_engine_push_write(acc, acc->reg.offset, 2, interrupt_value(acc, piece));
    return PB_VERDICT_GO;
}

/* ---- function level reset ----------------------------------------------------------------------
 */

static uint32_t flr_bit(const struct pb_access *acc)
{
    return acc->reg.effect == PB_EFFECT_EXP_CONTROL ? PCI_EXP_DEVCTL_FLR : PCI_AF_CTRL_FLR;
}

/* The register without its FLR bit, which goes to hardware as 0, whatever is read there. */
static struct pb_piece without_flr(const struct pb_access *acc, const struct pb_piece *piece)
{
    struct pb_piece rest = *piece;
    uint32_t flr = flr_bit(acc);

    rest.covered &= ~flr;
    rest.data &= ~flr;
    rest.write &= ~flr;
    rest.virt &= ~flr;
    rest.fixed &= ~flr;
    rest.hw &= ~flr;
    rest.lock &= ~flr;
    rest.w1c |= flr;
    return rest;
}

static bool flr_needs_old(const struct pb_access *acc, const struct pb_piece *piece)
{
    struct pb_piece rest = without_flr(acc, piece);

    return pb_engine_plain_needs_old(acc, &rest);
}

static enum pb_verdict flr_decide(struct pb_access *acc, const struct pb_piece *piece)
{
    struct pb_piece rest = without_flr(acc, piece);
    enum pb_reset_method method =
        acc->reg.effect == PB_EFFECT_EXP_CONTROL ? PB_RESET_BY_FLR : PB_RESET_BY_AF_FLR;

    if (!(piece->data & flr_bit(acc)))
        return pb_engine_plain_decide(acc, &rest);
    if (acc->view->map->flr & 1U << method)
        pb_engine_ask_reset(acc, method, flr_bit(acc));
    else
        pb_engine_deny(acc, flr_bit(acc));
    return pb_engine_plain_decide(acc, &rest);
}

/* ------------------------------------------------------------------------------------------------
 */

static const struct pb_effect_ops effects[PB_EFFECT_COUNT] = {
    [PB_EFFECT_BAR] = { never, bar_decide, NULL, 0, UINT32_MAX },
    [PB_EFFECT_BAR_HIGH] = { never, bar_decide, NULL, 0, UINT32_MAX },
    [PB_EFFECT_BIST] = { always, bist_decide, NULL, UINT32_MAX, 0 },
    [PB_EFFECT_PM_CONTROL] = { always, pm_decide, pm_looked, PCI_PM_CTRL_STATE, 0 },
    [PB_EFFECT_VPD_ADDRESS] = { vpd_needs_old, vpd_decide, vpd_looked, PCI_VPD_ADDR_F, 0 },
    [PB_EFFECT_MSI_CONTROL] = { always, interrupt_decide, interrupt_looked, UINT32_MAX, 0 },
    [PB_EFFECT_MSIX_CONTROL] = { always, interrupt_decide, interrupt_looked, UINT32_MAX, 0 },
    [PB_EFFECT_EXP_CONTROL] = { flr_needs_old, flr_decide, NULL, 0, PCI_EXP_DEVCTL_FLR },
    [PB_EFFECT_AF_CONTROL] = { flr_needs_old, flr_decide, NULL, 0, PCI_AF_CTRL_FLR },
};

const struct pb_effect_ops *pb_effect_ops_of(enum pb_effect effect)
{
    return effect == PB_EFFECT_NONE ? NULL : &effects[effect];
}
