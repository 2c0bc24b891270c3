/* SPDX-License-Identifier: MIT */
#include "pci/access.h"

#include <errno.h>

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
    PHASE_RESET, /* the reset that it asked for */
};

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

/*
 * Of the dword that the access lies in, its bytes down at bit 0. An access is aligned, so that it
 * never reaches into the next one; whole dwords are one load.
 */
static uint32_t bytes_of(const struct pb_access *acc, const uint8_t *bytes)
{
    return pb_le32(bytes + (acc->offset & ~3U)) >> 8 * (acc->offset & 3U) & pb_ones(acc->size);
}

static enum pb_step read_begin(struct pb_access *acc)
{
    const struct pb_view *view = acc->view;
    const struct pb_map *map = view->map;
    unsigned bytes = (1U << acc->size) - 1;
    uint32_t virt;

    if (((unsigned)view->memory[acc->offset / 8] >> acc->offset % 8 & bytes) != bytes) {
        acc->forgotten = view->forgotten;
        return ask_read(acc, PHASE_READ, acc->offset, acc->size);
    }
    virt = bytes_of(acc, map->virt);
    acc->value = (bytes_of(acc, view->shadow) & virt) | (bytes_of(acc, map->value) & ~virt);
    return PB_STEP_DONE;
}

static enum pb_step read_end(struct pb_access *acc, uint32_t raw)
{
    const struct pb_map *map = acc->view->map;
    uint32_t virt = bytes_of(acc, map->virt), fixed = bytes_of(acc, map->fixed);

    acc->raw = raw & pb_ones(acc->size);
    acc->unlike = !pb_view_saw(acc->view, acc->offset, acc->size, acc->raw, acc->forgotten);
    acc->value = (acc->raw & ~(virt | fixed)) | (bytes_of(acc, acc->view->shadow) & virt) |
                 (bytes_of(acc, map->value) & fixed);
    return PB_STEP_DONE;
}

/* Puts bits of the register to where they are in the guest's access. */
static uint32_t to_access(const struct pb_access *acc, uint32_t bits)
{
    if (acc->reg.offset >= acc->offset)
        return bits << (8 * (acc->reg.offset - acc->offset));
    return bits >> (8 * (acc->offset - acc->reg.offset));
}

/* And back. */
static uint32_t to_reg(const struct pb_access *acc, uint32_t bits)
{
    if (acc->reg.offset >= acc->offset)
        bits >>= 8 * (acc->reg.offset - acc->offset);
    else
        bits <<= 8 * (acc->offset - acc->reg.offset);
    return bits & pb_ones(acc->reg.size);
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
        .lock = pb_le_get(map->lock + reg->offset, reg->size),
        .covered = to_reg(acc, acc->mine),
        .data = to_reg(acc, acc->data & acc->mine),
    };

    piece.hw = piece.all & ~(piece.write | piece.w1c | piece.virt | piece.fixed);
    if (acc->view->permissive && reg->effect == PB_EFFECT_NONE) {
        piece.write |= piece.hw & ~piece.lock;
        piece.hw &= piece.lock;
    }
    piece.write |= opened_intx(acc, &piece);
    return piece;
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

/* A process before this one has begun it: it was done, or it is lost. */
static bool was_done(const struct pb_access *acc)
{
    return acc->reg.offset < acc->again_end;
}

void pb_engine_push_once(struct pb_access *acc, unsigned offset, unsigned size, uint32_t value)
{
    if (was_done(acc))
        return;
    pb_engine_push_write(acc, offset, size, value);
    acc->queue[acc->queue_count - 1].cycle.once = true;
}

void pb_engine_push_wait(struct pb_access *acc, unsigned wait_ms)
{
    push(acc, PB_STEP_WAIT, (struct pb_cycle){ .wait_ms = (uint16_t)wait_ms });
}

void pb_engine_deny(struct pb_access *acc, uint32_t bits)
{
    acc->denied |= to_access(acc, bits);
}

void pb_engine_ask_reset(struct pb_access *acc, enum pb_reset_method method, uint32_t bits)
{
    acc->reset = (uint8_t)method;
    acc->reset_bits |= to_access(acc, bits);
}

/* Everything that the register needed is done: shadows change only now, and refusals are noted. */
static void commit(struct pb_access *acc)
{
    const struct pb_effect_ops *ops = pb_effect_ops_of((enum pb_effect)acc->reg.effect);
    struct pb_piece piece = pb_engine_piece(acc);
    uint32_t ours = piece.covered & ~(ops ? ops->owns : 0), virt = piece.virt & ours;
    uint32_t hw = piece.hw & ~(ops ? ops->handles : 0);
    uint32_t denied = (piece.fixed & (piece.data ^ piece.value)) | (hw & (piece.data ^ acc->old));

    if ((piece.shadow ^ piece.data) & virt) {
        pb_le_put(acc->view->shadow + acc->reg.offset, acc->reg.size,
                  (piece.shadow & ~virt) | (piece.data & virt));
        acc->shadowed = true;
    }
    if (!acc->reg.swallow)
        pb_engine_deny(acc, denied & ours);
}

/* Is there a bit that the guest may write, and does it? */
static bool plain_writes(const struct pb_piece *piece)
{
    return (piece->write & piece->covered) || (piece->w1c & piece->data);
}

bool pb_engine_plain_needs_old(const struct pb_access *acc, const struct pb_piece *piece)
{
    uint32_t known = (piece->write & piece->covered) | piece->w1c;

    /* the other bits of the register go back as they are */
    if (plain_writes(piece) && (piece->all & ~known))
        return true;
    /* to tell whether the refusal of a write matters */
    return !acc->reg.swallow && (piece->hw & piece->covered);
}

/*
 * The baseline's registers may be written twice: a guest cannot tell that from a slow write. What a
 * quirk or permissive mode has opened may be an index, a window, a command.
 */
static bool is_repeatable(const struct pb_access *acc, uint32_t mine)
{
    const struct pb_map *map = acc->view->map;

    return !acc->reg.once && (!acc->view->permissive || acc->reg.effect != PB_EFFECT_NONE ||
                              !(mine & ~pb_le_get(map->write + acc->reg.offset, acc->reg.size)));
}

enum pb_verdict pb_engine_plain_decide(struct pb_access *acc, const struct pb_piece *piece)
{
    uint32_t mine = piece->write & piece->covered, kept = piece->all & ~(mine | piece->w1c);
    uint32_t value = (acc->old & kept) | (piece->data & (mine | piece->w1c));

    if (!plain_writes(piece))
        return PB_VERDICT_GO;
    /* Nobody answers. Were it only for a moment, the merge would set bits that nobody may set. */
    if (acc->reg.size > 1 && acc->old == piece->all && (kept & piece->lock))
        return PB_VERDICT_BROKEN;
    if (is_repeatable(acc, mine))
        pb_engine_push_write(acc, acc->reg.offset, acc->reg.size, value);
    else
        pb_engine_push_once(acc, acc->reg.offset, acc->reg.size, value);
    return PB_VERDICT_GO;
}

/*
 * The register at acc->at; where no rule names the byte, the largest aligned piece of such bytes.
 * Bytes that are not wholly ours to write do not grow into larger pieces: what they are neighbours
 * of is not known.
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
            if (map->reg_of[i] || (acc->mine >> (8 * (i - acc->offset)) & 0xff) != 0xff)
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
    if (acc->cycle.once)
        acc->kept.once_end = (uint16_t)(acc->reg.offset + acc->reg.size);
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

    return obey(acc, ops ? ops->decide(acc, &piece) : pb_engine_plain_decide(acc, &piece));
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
    if (piece.covered == 0)
        return PB_STEP_DONE;
    if (ops ? ops->needs_old(acc, &piece) : pb_engine_plain_needs_old(acc, &piece))
        return ask_read(acc, PHASE_OLD, acc->reg.offset, acc->reg.size);
    return decide(acc);
}

static enum pb_step next_regs(struct pb_access *acc)
{
    enum pb_step step = PB_STEP_DONE;

    while (step == PB_STEP_DONE && acc->err == PB_GUEST_OK &&
           acc->at < (unsigned)acc->offset + acc->size)
        step = start_reg(acc);
    if (step != PB_STEP_DONE || acc->err != PB_GUEST_OK || acc->reset_bits == 0)
        return step;
    acc->phase = PHASE_RESET;
    acc->cycle = (struct pb_cycle){ .reset = acc->reset };
    return PB_STEP_RESET;
}

static enum pb_step begin(struct pb_access *acc, struct pb_view *view, int32_t offset, int32_t size)
{
    const struct pb_map *map = view->map;

    acc->err = PB_GUEST_OK;
    acc->value = acc->raw = 0;
    acc->restored = acc->shadowed = acc->unlike = false;
    acc->view = view;
    acc->reset_bits = 0;
    if ((size != 1 && size != 2 && size != 4) || offset < 0 || offset > map->space - size ||
        (offset & (size - 1)) != 0) {
        acc->size = 4;
        return finish(acc, PB_GUEST_INVALID_OFFSET);
    }
    acc->offset = acc->at = (uint16_t)offset;
    acc->size = (uint8_t)size;
    acc->mine &= pb_ones(acc->size);
    acc->data &= acc->mine;
    acc->denied &= pb_ones(acc->size);
    if (offset >= map->size) {
        acc->value = acc->write ? 0 : pb_ones(acc->size);
        return PB_STEP_DONE;
    }
    return acc->write ? next_regs(acc) : read_begin(acc);
}

enum pb_step pb_access_begin(struct pb_access *acc, struct pb_view *view, bool write,
                             int32_t offset, int32_t size, uint32_t value)
{
    acc->write = write;
    acc->data = value;
    acc->mine = UINT32_MAX;
    acc->denied = 0;
    acc->again_end = 0;
    acc->kept = (struct pb_access_kept){ 0 };
    return begin(acc, view, offset, size);
}

enum pb_step pb_access_begin_again(struct pb_access *acc, struct pb_view *view, int32_t offset,
                                   int32_t size, uint32_t value, uint32_t mine, uint32_t denied,
                                   const struct pb_access_kept *kept)
{
    acc->write = true;
    acc->data = value;
    acc->mine = mine;
    acc->denied = denied;
    acc->again_end = kept->once_end;
    acc->kept = *kept;
    return begin(acc, view, offset, size);
}

enum pb_step pb_access_begin_write(struct pb_access *acc, struct pb_view *view, int32_t offset,
                                   int32_t size, uint32_t value, uint32_t mine, uint32_t denied)
{
    static const struct pb_access_kept nothing;

    return pb_access_begin_again(acc, view, offset, size, value, mine, denied, &nothing);
}

static enum pb_step go_on(struct pb_access *acc, uint32_t value)
{
    const struct pb_effect_ops *ops = pb_effect_ops_of((enum pb_effect)acc->reg.effect);
    struct pb_piece piece;

    if (acc->phase == PHASE_QUEUE)
        return run_queue(acc);
    if (acc->phase == PHASE_OLD) {
        acc->old = value & pb_ones(acc->reg.size);
        return decide(acc);
    }
    PB_ASSERT(acc->phase == PHASE_LOOK && ops && ops->looked);
    piece = pb_engine_piece(acc);
    return obey(acc, ops->looked(acc, &piece, value));
}

enum pb_step pb_access_resume(struct pb_access *acc, int rc, uint32_t value)
{
    enum pb_step step;

    if (acc->phase == PHASE_RESET && (rc == 0 || rc == -EBUSY)) {
        acc->denied |= rc < 0 ? acc->reset_bits : 0;
        return PB_STEP_DONE;
    }
    if (rc < 0)
        return finish(acc, rc == -ENODEV ? PB_GUEST_NOT_FOUND : PB_GUEST_OP_FAILED);
    if (acc->phase == PHASE_READ)
        return read_end(acc, value);
    step = go_on(acc, value);
    return step == PB_STEP_DONE && acc->err == PB_GUEST_OK ? next_regs(acc) : step;
}
