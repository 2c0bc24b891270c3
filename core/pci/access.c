/* SPDX-License-Identifier: MIT */
#include "pci/access.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "pci/engine.h"
#include "pci/regs.h"

/* What the cycle under way is for. */
enum phase {
    PHASE_READ,  /* the guest's read */
    PHASE_OLD,   /* the register's value before a write */
    PHASE_LOOK,  /* a value that an effect asked for */
    PHASE_QUEUE, /* the cycles that a write consists of */
};

void pb_view_init(struct pb_view *view, const struct pb_map *map)
{
    memset(view, 0, sizeof(*view));
    view->map = map;
    for (unsigned i = 0; i < PB_CONFIG_SIZE_PCIE; i++)
        view->shadow[i] = map->value[i] & map->virt[i];
}

/* not yet */
void pb_view_move(struct pb_view *view, const struct pb_map *map)
{
    pb_view_init(view, map);
}

void pb_view_reset(struct pb_view *view)
{
    (void)view;
}

static enum pb_step finish(struct pb_access *acc, enum pb_guest_error err)
{
    acc->err = err;
    if (err != PB_GUEST_OK) {
        acc->denied = 0;
        acc->restored = false;
        acc->value = acc->write ? 0 : pb_ones(acc->size);
    }
    return PB_STEP_DONE;
}

static enum pb_step ask_read(struct pb_access *acc, enum phase phase, unsigned offset,
                             unsigned size)
{
    acc->phase = (uint8_t)phase;
    acc->cycle = (struct pb_cycle){ .offset = (uint16_t)offset, .size = (uint8_t)size };
    return PB_STEP_READ;
}

static enum pb_step read_begin(struct pb_access *acc)
{
    const struct pb_map *map = acc->view->map;

    for (unsigned i = acc->offset; i < acc->offset + acc->size; i++) {
        if ((map->virt[i] | map->fixed[i]) != 0xff)
            return ask_read(acc, PHASE_READ, acc->offset, acc->size);
    }
    return PB_STEP_DONE;
}

static enum pb_step read_end(struct pb_access *acc, uint32_t raw)
{
    const struct pb_map *map = acc->view->map;
    const uint8_t *shadow = acc->view->shadow;

    acc->value = 0;
    for (unsigned i = 0; i < acc->size; i++) {
        unsigned at = acc->offset + i;
        unsigned kept = map->virt[at] | map->fixed[at];
        unsigned byte = (raw >> (8 * i) & ~kept) | (shadow[at] & map->virt[at]) |
                        (map->value[at] & map->fixed[at]);

        acc->value |= (byte & 0xff) << (8 * i);
    }
    return finish(acc, PB_GUEST_OK);
}

/*
 * INTX_DISABLE is a shadow. With allow_interrupt_control a change of the shadow reaches the
 * hardware too; the guest's other writes of COMMAND must not, since the backend may have set the
 * bit.
 */
static uint32_t opened_intx(const struct pb_access *acc, const struct pb_piece *piece)
{
    if (!acc->view->allow_interrupt_control || acc->reg.offset != PCI_COMMAND)
        return 0;
    return (piece->data ^ piece->shadow) & piece->covered & piece->virt & PCI_COMMAND_INTX_DISABLE;
}

struct pb_piece pb_engine_piece(const struct pb_access *acc)
{
    const struct pb_map *map = acc->view->map;
    const struct pb_reg *reg = &acc->reg;
    struct pb_piece piece = {
        .all = pb_ones(reg->size),
        .write = pb_le_get(map->write + reg->offset, reg->size),
        .w1c = pb_le_get(map->w1c + reg->offset, reg->size),
        .virt = pb_le_get(map->virt + reg->offset, reg->size),
        .fixed = pb_le_get(map->fixed + reg->offset, reg->size),
        .value = pb_le_get(map->value + reg->offset, reg->size),
        .shadow = pb_le_get(acc->view->shadow + reg->offset, reg->size),
    };
    uint32_t lock = pb_le_get(map->lock + reg->offset, reg->size);

    for (unsigned i = 0; i < reg->size; i++) {
        unsigned at = reg->offset + i;

        if (at < acc->offset || at >= (unsigned)acc->offset + acc->size)
            continue;
        piece.covered |= (uint32_t)0xff << (8 * i);
        piece.data |= (acc->data >> (8 * (at - acc->offset)) & 0xff) << (8 * i);
    }
    piece.hw = piece.all & ~(piece.write | piece.w1c | piece.virt | piece.fixed);
    if (acc->view->permissive && reg->effect == PB_EFFECT_NONE) {
        piece.write |= piece.hw & ~lock;
        piece.hw &= lock;
    }
    piece.write |= opened_intx(acc, &piece);
    return piece;
}

/* Puts bits of the register to where they are in the guest's access. */
static uint32_t to_access(const struct pb_access *acc, uint32_t bits)
{
    if (acc->reg.offset >= acc->offset)
        return bits << (8 * (acc->reg.offset - acc->offset));
    return bits >> (8 * (acc->offset - acc->reg.offset));
}

static void push(struct pb_access *acc, enum pb_step step, struct pb_cycle cycle)
{
    PB_ASSERT(acc->queue_count < PB_ACCESS_QUEUE);
    acc->queue[acc->queue_count].step = step;
    acc->queue[acc->queue_count].cycle = cycle;
    acc->queue_count++;
}

void pb_engine_push_write(struct pb_access *acc, unsigned offset, unsigned size, uint32_t value)
{
    push(acc, PB_STEP_WRITE,
         (struct pb_cycle){
             .offset = (uint16_t)offset, .size = (uint8_t)size, .value = value & pb_ones(size) });
}

void pb_engine_push_wait(struct pb_access *acc, unsigned wait_ms)
{
    push(acc, PB_STEP_WAIT, (struct pb_cycle){ .wait_ms = (uint16_t)wait_ms });
}

/* Everything that the register needed is done: shadows change only now, and refusals are noted. */
static void commit(struct pb_access *acc)
{
    const struct pb_effect_ops *ops = pb_effect_ops_of((enum pb_effect)acc->reg.effect);
    struct pb_piece piece = pb_engine_piece(acc);
    uint32_t hw = piece.hw & ~(ops ? ops->handles : 0), shadow, denied;

    if (acc->reg.effect != PB_EFFECT_BAR && acc->reg.effect != PB_EFFECT_BAR_HIGH) {
        shadow = (piece.shadow & ~(piece.virt & piece.covered)) | (piece.data & piece.virt);
        pb_le_put(acc->view->shadow + acc->reg.offset, acc->reg.size, shadow);
    }
    if (acc->reg.swallow)
        return;
    denied = (piece.fixed & (piece.data ^ piece.value)) | (hw & (piece.data ^ acc->old));
    acc->denied |= to_access(acc, denied & piece.covered);
}

/* A register without effect: is there a bit that the guest may write, and does it? */
static bool plain_writes(const struct pb_piece *piece)
{
    return (piece->write & piece->covered) || (piece->w1c & piece->data);
}

static bool plain_needs_old(const struct pb_access *acc, const struct pb_piece *piece)
{
    uint32_t known = (piece->write & piece->covered) | piece->w1c;

    /* the other bits of the register go back as they are */
    if (plain_writes(piece) && (piece->all & ~known))
        return true;
    /* to tell whether the refusal of a write matters */
    return !acc->reg.swallow && (piece->hw & piece->covered);
}

static void plain_decide(struct pb_access *acc, const struct pb_piece *piece)
{
    uint32_t mine = piece->write & piece->covered, value;

    if (!plain_writes(piece))
        return;
    value = (acc->old & ~mine & ~piece->w1c) | (piece->data & (mine | piece->w1c));
    pb_engine_push_write(acc, acc->reg.offset, acc->reg.size, value);
}

/* The register at acc->at; where no rule names the byte, the largest aligned piece of such bytes.
 */
static struct pb_reg next_reg(const struct pb_access *acc)
{
    const struct pb_map *map = acc->view->map;
    unsigned at = acc->at, end = (unsigned)acc->offset + acc->size;
    struct pb_reg piece = { .offset = acc->at, .size = 1 };

    if (map->reg_of[at])
        return map->reg[map->reg_of[at] - 1];
    for (unsigned size = 2; size <= 4; size *= 2) {
        if (at % size != 0 || at + size > end)
            break;
        for (unsigned i = at; i < at + size; i++) {
            if (map->reg_of[i])
                return piece;
        }
        piece.size = (uint8_t)size;
    }
    return piece;
}

/* The next cycle of the queue; PB_STEP_DONE: the register is finished. */
static enum pb_step run_queue(struct pb_access *acc)
{
    if (acc->queue_head == acc->queue_count) {
        commit(acc);
        return PB_STEP_DONE;
    }
    acc->phase = PHASE_QUEUE;
    acc->cycle = acc->queue[acc->queue_head].cycle;
    return acc->queue[acc->queue_head++].step;
}

static enum pb_step obey(struct pb_access *acc, enum pb_verdict verdict)
{
    switch (verdict) {
    case PB_VERDICT_GO:
        return run_queue(acc);
    case PB_VERDICT_LOOK:
        return ask_read(acc, PHASE_LOOK, acc->cycle.offset, acc->cycle.size);
    case PB_VERDICT_REFUSE:
        return finish(acc, PB_GUEST_ACCESS_DENIED);
    case PB_VERDICT_BROKEN:
    default:
        return finish(acc, PB_GUEST_OP_FAILED);
    }
}

/* The register's old value is known, or not needed. */
static enum pb_step decide(struct pb_access *acc)
{
    const struct pb_effect_ops *ops = pb_effect_ops_of((enum pb_effect)acc->reg.effect);
    struct pb_piece piece = pb_engine_piece(acc);

    if (ops)
        return obey(acc, ops->decide(acc, &piece));
    plain_decide(acc, &piece);
    return run_queue(acc);
}

static enum pb_step start_reg(struct pb_access *acc)
{
    const struct pb_effect_ops *ops;
    struct pb_piece piece;

    acc->reg = next_reg(acc);
    acc->at = (uint16_t)(acc->reg.offset + acc->reg.size);
    acc->old = 0;
    acc->queue_head = acc->queue_count = 0;
    ops = pb_effect_ops_of((enum pb_effect)acc->reg.effect);
    piece = pb_engine_piece(acc);
    if (ops ? ops->needs_old(&piece) : plain_needs_old(acc, &piece))
        return ask_read(acc, PHASE_OLD, acc->reg.offset, acc->reg.size);
    return decide(acc);
}

static enum pb_step next_regs(struct pb_access *acc)
{
    enum pb_step step = PB_STEP_DONE;

    while (step == PB_STEP_DONE && acc->err == PB_GUEST_OK &&
           acc->at < (unsigned)acc->offset + acc->size)
        step = start_reg(acc);
    return step;
}

enum pb_step pb_access_begin(struct pb_access *acc, struct pb_view *view, bool write,
                             int32_t offset, int32_t size, uint32_t value)
{
    acc->err = PB_GUEST_OK;
    acc->value = 0;
    acc->denied = 0;
    acc->restored = false;
    acc->view = view;
    acc->write = write;
    if ((size != 1 && size != 2 && size != 4) || offset < 0 || offset > view->map->size - size ||
        offset % size != 0) {
        acc->size = 4;
        return finish(acc, PB_GUEST_INVALID_OFFSET);
    }
    acc->offset = acc->at = (uint16_t)offset;
    acc->size = (uint8_t)size;
    acc->data = value & pb_ones(acc->size);
    if (write)
        return next_regs(acc);
    if (read_begin(acc) == PB_STEP_READ)
        return PB_STEP_READ;
    return read_end(acc, 0);
}

enum pb_step pb_access_resume(struct pb_access *acc, int rc, uint32_t value)
{
    const struct pb_effect_ops *ops;
    struct pb_piece piece;
    enum pb_step step;

    if (rc < 0)
        return finish(acc, rc == -ENODEV ? PB_GUEST_NOT_FOUND : PB_GUEST_OP_FAILED);
    switch ((enum phase)acc->phase) {
    case PHASE_READ:
        return read_end(acc, value);
    case PHASE_OLD:
        acc->old = value & pb_ones(acc->reg.size);
        step = decide(acc);
        break;
    case PHASE_LOOK:
        ops = pb_effect_ops_of((enum pb_effect)acc->reg.effect);
        PB_ASSERT(ops && ops->looked);
        piece = pb_engine_piece(acc);
        step = obey(acc, ops->looked(acc, &piece, value));
        break;
    case PHASE_QUEUE:
    default:
        step = run_queue(acc);
        break;
    }
    return step == PB_STEP_DONE && acc->err == PB_GUEST_OK ? next_regs(acc) : step;
}

enum pb_step pb_access_begin_write(struct pb_access *acc, struct pb_view *view, int32_t offset,
                                   int32_t size, uint32_t value, uint32_t mine, uint32_t denied)
{
    (void)mine;
    (void)denied;
    return pb_access_begin(acc, view, true, offset, size, value);
}
