/* SPDX-License-Identifier: MIT */
/*
 * The engine against a model that knows single bits and nothing else: random rules, random
 * hardware, random accesses. The model is built from the rules, not from the compiled map, and
 * shares no code with the engine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "fixture.h"

#define BITS (8 * PB_CONFIG_SIZE_PCIE)

/* How hardware treats a bit that is written. */
enum kind { READ_ONLY, READ_WRITE, WRITE_1_CLEARS };

static struct {
    unsigned space, size;
    bool permissive;
    uint8_t class[BITS]; /* enum pb_bits */
    uint8_t constant[BITS], locked[BITS];
    uint8_t kind[BITS];
    uint8_t hw[BITS], shadow[BITS];
    /* per byte: the register's width (0: no rule names it), where it begins, what it counts */
    uint8_t width[PB_CONFIG_SIZE_PCIE], swallow[PB_CONFIG_SIZE_PCIE], raw[PB_CONFIG_SIZE_PCIE];
    uint16_t start[PB_CONFIG_SIZE_PCIE];
    /* of the last write, per byte of the space: was its register written? */
    uint8_t written[PB_CONFIG_SIZE_PCIE];
} model;

/* What is random about a table. */
struct shape {
    const char *name;
    unsigned space, size;        /* of configuration space */
    unsigned rules, largest;     /* their number and width */
    unsigned unnamed;            /* of 16 bits, so many are not named by a rule that could */
    bool permissive;             /* unlisted bits may be written */
    bool raw;                    /* some bytes are always read from hardware */
    bool shared;                 /* a plugin takes some bits of each write */
    bool odd_hardware;           /* its bits are not what their classes say */
    bool classes[PB_BITS_COUNT]; /* that rules use */
};

static const struct shape shapes[] = {
    { .name = "few rules",
      .space = 256,
      .size = 256,
      .rules = 20,
      .largest = 4,
      .unnamed = 8,
      .classes = { 1, 1, 1, 1, 1 } },
    { .name = "rules upon rules",
      .space = 256,
      .size = 256,
      .rules = 80,
      .largest = 4,
      .unnamed = 4,
      .classes = { 1, 1, 1, 1, 1 } },
    { .name = "bytes only",
      .space = 256,
      .size = 256,
      .rules = 120,
      .largest = 1,
      .unnamed = 2,
      .classes = { 1, 1, 1, 1, 1 } },
    { .name = "4096 bytes",
      .space = 4096,
      .size = 4096,
      .rules = 80,
      .largest = 4,
      .unnamed = 4,
      .classes = { 1, 1, 1, 1, 1 } },
    { .name = "shortened",
      .space = 4096,
      .size = 0x600,
      .rules = 80,
      .largest = 4,
      .unnamed = 4,
      .permissive = true,
      .classes = { 1, 1, 1, 1, 1 } },
    { .name = "short and permissive",
      .space = 256,
      .size = 160,
      .rules = 60,
      .largest = 4,
      .unnamed = 8,
      .permissive = true,
      .classes = { 1, 1, 1, 1, 1 } },
    { .name = "raw",
      .space = 256,
      .size = 256,
      .rules = 80,
      .largest = 4,
      .unnamed = 0,
      .raw = true,
      .classes = { 0, 0, 0, 1, 1 } },
    { .name = "shared with a plugin",
      .space = 256,
      .size = 256,
      .rules = 60,
      .largest = 4,
      .unnamed = 4,
      .shared = true,
      .raw = true,
      .classes = { 1, 1, 1, 1, 1 } },
    { .name = "shared and permissive",
      .space = 256,
      .size = 256,
      .rules = 20,
      .largest = 4,
      .unnamed = 8,
      .shared = true,
      .permissive = true,
      .classes = { 1, 1, 1, 1, 1 } },
    { .name = "odd hardware",
      .space = 256,
      .size = 256,
      .rules = 80,
      .largest = 4,
      .unnamed = 4,
      .shared = true,
      .permissive = true,
      .odd_hardware = true,
      .classes = { 1, 1, 1, 1, 1 } },
};

static uint32_t seed;

static unsigned below(unsigned limit)
{
    return pb_test_random(&seed) % limit;
}

/* ---- tables ------------------------------------------------------------------------------------
 */

static struct pb_rule random_rule(const struct shape *shape)
{
    unsigned size = 1U << below(3);
    struct pb_rule rule = { .swallow = below(4) == 0 };
    uint32_t *masks[PB_BITS_COUNT] = { &rule.hw, &rule.write, &rule.w1c, &rule.virt, &rule.fixed };
    unsigned usual = below(PB_BITS_COUNT);

    size = size > shape->largest ? shape->largest : size;
    rule.size = (uint8_t)size;
    rule.offset = (uint16_t)(below(shape->size / size) * size);
    for (unsigned bit = 0; bit < 8 * size; bit++) {
        /* whole registers of one class and mixtures of all */
        unsigned class = below(4) ? usual : below(PB_BITS_COUNT);

        if (shape->classes[class] && below(16) >= shape->unnamed)
            *masks[class] |= 1U << bit;
    }
    rule.value = pb_test_random(&seed) & (rule.virt | rule.fixed);
    if (below(2)) {
        rule.image = pb_test_random(&seed) & (rule.virt | rule.fixed);
        rule.value &= ~rule.image;
    }
    if (below(4) == 0)
        rule.lock = pb_test_random(&seed) & ~(rule.write | rule.w1c) & pb_ones(size);
    return rule;
}

/* Which bytes are one register now: the later rule decides, what is left of others falls apart. */
static void model_place(const struct pb_rule *rule)
{
    unsigned from = rule->offset, to = from + rule->size;

    if (model.width[from] == rule->size && model.start[from] == from) {
        for (unsigned at = from; at < to; at++)
            model.swallow[at] |= rule->swallow;
        return;
    }
    for (unsigned at = from & ~3U; at < (from & ~3U) + 4; at++) {
        unsigned first = model.start[at], last = first + model.width[at];

        if (model.width[at] == 0 || (at >= from && at < to) || last <= from || first >= to)
            continue;
        for (unsigned size = 1; size <= 4; size *= 2) {
            unsigned block = at & ~(size - 1);

            if (block >= first && block + size <= last && (block + size <= from || block >= to)) {
                model.width[at] = (uint8_t)size;
                model.start[at] = (uint16_t)block;
            }
        }
    }
    for (unsigned at = from; at < to; at++) {
        model.width[at] = rule->size;
        model.start[at] = (uint16_t)from;
        model.swallow[at] = rule->swallow;
    }
}

static void model_classify(const struct pb_rule *rule)
{
    for (unsigned i = 0; i < 8U * rule->size; i++) {
        unsigned bit = 8U * rule->offset + i,
                 image = (unsigned)dev->facts.config[bit / 8] >> bit % 8 & 1U;
        const uint32_t masks[PB_BITS_COUNT] = { rule->hw, rule->write, rule->w1c, rule->virt,
                                                rule->fixed };

        for (unsigned class = 0; class < PB_BITS_COUNT; class ++) {
            if (masks[class] >> i & 1) {
                model.class[bit] = (uint8_t) class;
                model.constant[bit] =
                    (uint8_t)((rule->image >> i & 1) ? image : (rule->value >> i & 1));
            }
        }
        if (rule->lock >> i & 1)
            model.locked[bit] = 1;
        if (model.locked[bit] &&
            (model.class[bit] == PB_BITS_WRITE || model.class[bit] == PB_BITS_W1C))
            model.class[bit] = PB_BITS_HW;
    }
}

/* Locked bits, bits that a guest may write, and smaller registers would become one register. */
static bool model_joins(const struct pb_rule *rule)
{
    uint32_t named = rule->hw | rule->write | rule->w1c | rule->virt | rule->fixed;
    bool joins = false, locked = false, open = rule->write | rule->w1c;

    for (unsigned i = 0; i < 8U * rule->size; i++) {
        unsigned bit = 8U * rule->offset + i, width = model.width[bit / 8];

        joins |= width > 0 && width < rule->size;
        locked |= model.locked[bit];
        open |= !(named >> i & 1) &&
                (model.class[bit] == PB_BITS_WRITE || model.class[bit] == PB_BITS_W1C);
    }
    return joins && locked && open;
}

static bool model_refuses(const struct pb_rule *rule)
{
    for (unsigned i = 0; i < 8U * rule->size; i++) {
        if (model.locked[8U * rule->offset + i] && ((rule->write | rule->w1c) >> i & 1))
            return true;
    }
    return model_joins(rule);
}

static enum kind random_kind(const struct shape *shape, unsigned bit)
{
    if (shape->odd_hardware)
        return (enum kind)below(3);
    if (model.class[bit] == PB_BITS_W1C)
        return WRITE_1_CLEARS;
    return below(8) ? READ_WRITE : READ_ONLY;
}

static void random_hardware(const struct shape *shape)
{
    struct pb_test_hw *hw = &dev->hw;

    memset(hw->rw, 0, sizeof(hw->rw));
    memset(hw->w1c, 0, sizeof(hw->w1c));
    for (unsigned bit = 0; bit < 8 * model.space; bit++) {
        unsigned mask = 1U << bit % 8;

        model.kind[bit] = (uint8_t)random_kind(shape, bit);
        if (model.kind[bit] == READ_WRITE)
            hw->rw[bit / 8] |= (uint8_t)mask;
        if (model.kind[bit] == WRITE_1_CLEARS)
            hw->w1c[bit / 8] |= (uint8_t)mask;
    }
    for (unsigned at = 0; at < model.space; at++) {
        hw->config[at] = (uint8_t)(below(4) ? pb_test_random(&seed) : 0xff);
        for (unsigned i = 0; i < 8; i++)
            model.hw[8 * at + i] = hw->config[at] >> i & 1;
    }
    hw->pm = hw->msix = 0;
}

static void random_table(const struct shape *shape)
{
    memset(&model, 0, sizeof(model));
    model.space = shape->space;
    model.size = shape->size;
    model.permissive = shape->permissive;
    dev->facts.config_size = (uint16_t)shape->space;
    for (unsigned at = 0; at < shape->space; at++)
        dev->facts.config[at] = (uint8_t)pb_test_random(&seed);
    pb_map_init(dev->map, &dev->facts, &dev->layout);
    dev->map->size = (uint16_t)shape->size;
    for (unsigned n = 0; n < shape->rules; n++) {
        struct pb_rule rule = random_rule(shape);
        size_t bad;
        int rc = pb_map_apply(dev->map, &rule, 1, &bad);

        assert_int_equal(rc < 0, model_refuses(&rule));
        if (rc < 0)
            continue;
        model_place(&rule);
        model_classify(&rule);
    }
    for (unsigned at = 0; shape->raw && at < shape->size; at++)
        model.raw[at] = below(4) ? 0 : 0xff;
    pb_map_set_raw(dev->map, model.raw);
    random_hardware(shape);
    pb_view_init(&dev->view, dev->map);
    dev->view.permissive = shape->permissive;
    for (unsigned bit = 0; bit < 8 * model.space; bit++)
        model.shadow[bit] = model.constant[bit];
}

/* ---- accesses ----------------------------------------------------------------------------------
 */

struct access {
    bool write;
    unsigned offset, size;
    uint32_t value, mine;
};

struct outcome {
    int err;
    uint32_t value, raw, denied;
};

static bool covers(const struct access *a, unsigned bit)
{
    return bit >= 8 * a->offset && bit < 8 * (a->offset + a->size) &&
           (a->mine >> (bit - 8 * a->offset) & 1);
}

static unsigned wants(const struct access *a, unsigned bit)
{
    return covers(a, bit) ? a->value >> (bit - 8 * a->offset) & 1 : 0;
}

static bool open_to_guest(unsigned bit)
{
    return model.class[bit] == PB_BITS_WRITE ||
           (model.class[bit] == PB_BITS_HW && model.permissive && !model.locked[bit]);
}

static struct outcome model_read(const struct access *a)
{
    struct outcome out = { .err = PB_GUEST_OK };
    bool touched = false;

    for (unsigned i = 0; i < 8 * a->size; i++) {
        unsigned bit = 8 * a->offset + i, value;

        if (a->offset >= model.size)
            value = 1;
        else if (model.class[bit] == PB_BITS_FIXED)
            value = model.constant[bit];
        else
            value = model.class[bit] == PB_BITS_VIRTUAL ? model.shadow[bit] : model.hw[bit];
        out.value |= value << i;
        out.raw |= (uint32_t)model.hw[bit] << i;
        touched |= model.raw[bit / 8] ||
                   (model.class[bit] != PB_BITS_FIXED && model.class[bit] != PB_BITS_VIRTUAL);
    }
    if (!touched || a->offset >= model.size)
        out.raw = 0;
    return out;
}

/* Is there a bit among [from, to) that the guest may write, and does? */
static bool model_writes(const struct access *a, unsigned from, unsigned to)
{
    for (unsigned bit = from; bit < to; bit++) {
        if (covers(a, bit) && open_to_guest(bit))
            return true;
        if (model.class[bit] == PB_BITS_W1C && wants(a, bit))
            return true;
    }
    return false;
}

/* All ones, of which a locked bit would go back: nobody answers. */
static bool model_is_absent(const struct access *a, unsigned from, unsigned to)
{
    bool kept_lock = false;

    for (unsigned bit = from; bit < to; bit++) {
        if (!model.hw[bit])
            return false;
        if (model.locked[bit] && model.class[bit] != PB_BITS_W1C &&
            !(covers(a, bit) && open_to_guest(bit)))
            kept_lock = true;
    }
    return kept_lock && to - from > 8;
}

static void model_write_hw(unsigned bit, unsigned value)
{
    if (model.kind[bit] == READ_WRITE)
        model.hw[bit] = (uint8_t)value;
    else if (model.kind[bit] == WRITE_1_CLEARS && value)
        model.hw[bit] = 0;
}

/* The bits [from, to) are one register. Returns the refused ones, relative to the access. */
static uint32_t model_write_reg(const struct access *a, unsigned from, unsigned to)
{
    bool writes = model_writes(a, from, to);
    uint32_t denied = 0;

    for (unsigned bit = from; bit < to; bit++) {
        bool refused = false;

        if (covers(a, bit) && !open_to_guest(bit)) {
            if (model.class[bit] == PB_BITS_FIXED)
                refused = wants(a, bit) != model.constant[bit];
            else if (model.class[bit] == PB_BITS_HW)
                refused = wants(a, bit) != model.hw[bit];
            else if (model.class[bit] == PB_BITS_VIRTUAL)
                model.shadow[bit] = (uint8_t)wants(a, bit);
        }
        if (refused && !model.swallow[bit / 8])
            denied |= 1U << (bit - 8 * a->offset);
        model.written[bit / 8] = writes;
        if (!writes)
            continue;
        if (covers(a, bit) && open_to_guest(bit))
            model_write_hw(bit, wants(a, bit));
        else if (model.class[bit] == PB_BITS_W1C)
            model_write_hw(bit, wants(a, bit));
        else
            model_write_hw(bit, model.hw[bit]);
    }
    return denied;
}

static struct outcome model_write(const struct access *a)
{
    struct outcome out = { .err = PB_GUEST_OK };
    unsigned at = a->offset;

    memset(model.written, 0, sizeof(model.written));
    while (a->offset < model.size && at < a->offset + a->size) {
        unsigned from = 8U * (model.width[at] ? model.start[at] : at);
        unsigned to = from + 8U * (model.width[at] ? model.width[at] : 1U);

        if (model_writes(a, from, to) && model_is_absent(a, from, to)) {
            out.err = PB_GUEST_OP_FAILED;
            out.denied = 0;
            return out;
        }
        out.denied |= model_write_reg(a, from, to);
        at = to / 8;
    }
    return out;
}

static struct access random_access(const struct shape *shape)
{
    unsigned size = 1U << below(3);
    struct access a = { .write = below(4) != 0,
                        .size = size,
                        .offset = below(model.space / size) * size,
                        .value = pb_test_random(&seed),
                        .mine = UINT32_MAX };

    if (below(4) == 0) /* what is there, but for a bit */
        a.value = pb_test_hw_read(&dev->hw, a.offset, size) ^ 1U << below(8 * size);
    if (shape->shared && a.write && below(4)) {
        a.mine = pb_test_random(&seed) | (below(2) ? pb_test_random(&seed) : 0);
        a.mine &= below(4) ? UINT32_MAX : ~(0xffU << 8 * below(4));
    }
    return a;
}

static struct outcome engine(const struct access *a)
{
    struct pb_access acc =
        a->mine == UINT32_MAX
            ? pb_test_run(dev, a->write, (int32_t)a->offset, (int32_t)a->size, a->value)
            : pb_test_run_mine(dev, (int32_t)a->offset, (int32_t)a->size, a->value, a->mine, 0);

    return (struct outcome){ acc.err, acc.value, acc.raw, acc.denied };
}

static void compare_byte(unsigned at)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned bit = 8 * at + i;

        if (((unsigned)dev->hw.config[at] >> i & 1U) != model.hw[bit])
            fail_msg("hardware differs at bit %u of %#x", i, at);
        if (model.class[bit] == PB_BITS_VIRTUAL &&
            ((unsigned)dev->view.shadow[at] >> i & 1U) != model.shadow[bit])
            fail_msg("the shadow differs at bit %u of %#x", i, at);
    }
}

typedef void check_fn(const struct access *a);

static void do_access(const struct shape *shape, check_fn *check)
{
    struct access a = random_access(shape);
    struct outcome is = engine(&a), want = a.write ? model_write(&a) : model_read(&a);

    if (is.err != want.err || is.value != want.value || is.raw != want.raw ||
        is.denied != want.denied)
        fail_msg("%s of %#x/%u: %d, %#x, %#x, denied %#x; the model says %d, %#x, %#x, denied %#x",
                 a.write ? "write" : "read", a.offset, a.size, is.err, is.value, is.raw, is.denied,
                 want.err, want.value, want.raw, want.denied);
    for (unsigned at = a.offset & ~3U; at < (a.offset & ~3U) + 4; at++)
        compare_byte(at);
    if (check && is.err == PB_GUEST_OK)
        check(&a);
}

#define PER_TABLE 250

static void try_shape(const struct shape *shape, unsigned tables, check_fn *check)
{
    for (unsigned table = 0; table < tables; table++) {
        random_table(shape);
        for (unsigned n = 0; n < PER_TABLE; n++)
            do_access(shape, check);
        for (unsigned at = 0; at < model.space; at++)
            compare_byte(at);
    }
}

static void try_all(unsigned tables, check_fn *check)
{
    for (size_t i = 0; i < PB_ARRAY_SIZE(shapes); i++) {
        seed = 0x9e3779b9U * (uint32_t)(i + 1);
        try_shape(&shapes[i], tables, check);
    }
}

/* ---- against the model -------------------------------------------------------------------------
 */

static void every_access_does_what_a_model_of_single_bits_does(void **state)
{
    (void)state;
    try_all(60, NULL);
}

/* The model's register at the cycle; bytes without a rule are the largest piece that was asked for.
 */
static bool is_natural(const struct access *a, const struct pb_cycle *c)
{
    if (model.width[c->offset])
        return model.start[c->offset] == c->offset && model.width[c->offset] == c->size;
    for (unsigned at = c->offset; at < c->offset + c->size; at++) {
        if (model.width[at] || at < a->offset || at >= a->offset + a->size)
            return false;
    }
    return true;
}

static void check_widths(const struct access *a)
{
    for (unsigned i = 0; i < dev->hw.count; i++) {
        const struct pb_cycle *c = &dev->hw.log[i].cycle;

        if (!a->write) {
            assert_int_equal(dev->hw.log[i].step, PB_STEP_READ);
            assert_int_equal(c->offset, a->offset);
            assert_int_equal(c->size, a->size);
        } else if (!is_natural(a, c)) {
            fail_msg("write of %#x/%u: a cycle at %#x/%u", a->offset, a->size, c->offset, c->size);
        }
    }
}

static void H13_registers_are_written_at_their_natural_width(void **state)
{
    (void)state;
    try_all(8, check_widths);
}

static void check_w1c(const struct access *a)
{
    for (unsigned i = 0; i < dev->hw.count; i++) {
        const struct pb_cycle *c = &dev->hw.log[i].cycle;

        for (unsigned b = 0; b < 8U * c->size && dev->hw.log[i].step == PB_STEP_WRITE; b++) {
            unsigned bit = 8U * c->offset + b;

            if (model.class[bit] == PB_BITS_W1C)
                assert_int_equal(c->value >> b & 1, wants(a, bit));
        }
    }
}

static void H13_w1c_neighbours_are_written_0(void **state)
{
    (void)state;
    try_all(8, check_w1c);
}

static void check_counts(const struct access *a)
{
    static uint8_t reads[PB_CONFIG_SIZE_PCIE], writes[PB_CONFIG_SIZE_PCIE];

    memset(reads, 0, sizeof(reads));
    memset(writes, 0, sizeof(writes));
    for (unsigned i = 0; i < dev->hw.count; i++) {
        const struct pb_test_cycle *cycle = &dev->hw.log[i];

        for (unsigned at = cycle->cycle.offset; at < cycle->cycle.offset + cycle->cycle.size; at++)
            assert_int_equal(cycle->step == PB_STEP_READ ? ++reads[at] : ++writes[at], 1);
    }
    (void)a;
}

static void a_register_is_read_and_written_at_most_once(void **state)
{
    (void)state;
    try_all(8, check_counts);
}

static void check_needed(const struct access *a)
{
    for (unsigned i = 0; i < dev->hw.count; i++) {
        const struct pb_cycle *c = &dev->hw.log[i].cycle;

        for (unsigned at = c->offset; at < c->offset + c->size; at++) {
            assert_true(at < model.size);
            if (dev->hw.log[i].step == PB_STEP_WRITE && !model.written[at])
                fail_msg("write of %#x/%u: %#x was written", a->offset, a->size, at);
        }
    }
}

static void a_register_without_writable_covered_bits_is_not_written(void **state)
{
    (void)state;
    try_all(8, check_needed);
}

static void check_mine(const struct access *a)
{
    for (unsigned i = 0; i < dev->hw.count; i++) {
        const struct pb_cycle *c = &dev->hw.log[i].cycle;
        bool any = false;

        for (unsigned bit = 8U * c->offset; bit < 8U * (c->offset + c->size); bit++)
            any |= covers(a, bit);
        assert_true(any || !a->write);
    }
}

static void registers_that_a_plugin_took_are_not_touched(void **state)
{
    (void)state;
    try_all(8, check_mine);
}

/* ---- splits ------------------------------------------------------------------------------------
 */

static const struct {
    unsigned count;
    uint8_t size[4], at[4];
} splits[] = {
    { 2, { 2, 2 }, { 0, 2 } },
    { 2, { 2, 2 }, { 2, 0 } },
    { 3, { 2, 1, 1 }, { 0, 2, 3 } },
    { 3, { 1, 1, 2 }, { 0, 1, 2 } },
    { 3, { 2, 1, 1 }, { 2, 0, 1 } },
    { 4, { 1, 1, 1, 1 }, { 0, 1, 2, 3 } },
    { 4, { 1, 1, 1, 1 }, { 3, 1, 0, 2 } },
};

static struct {
    uint8_t hw[PB_CONFIG_SIZE_PCIE], shadow[PB_CONFIG_SIZE_PCIE];
} start, whole_end;

static void restart(void)
{
    memcpy(dev->hw.config, start.hw, sizeof(start.hw));
    memcpy(dev->view.shadow, start.shadow, sizeof(start.shadow));
}

/* All parts of A as SPLIT says; the first error counts. */
static struct outcome in_parts(const struct access *a, size_t split)
{
    struct outcome sum = { .err = PB_GUEST_OK };

    for (unsigned i = 0; i < splits[split].count; i++) {
        unsigned shift = 8U * splits[split].at[i], size = splits[split].size[i];
        struct access part = { .write = a->write,
                               .offset = a->offset + splits[split].at[i],
                               .size = size,
                               .value = a->value >> shift,
                               .mine = a->mine == UINT32_MAX ? a->mine
                                                             : (a->mine >> shift) & pb_ones(size) };
        struct outcome out = engine(&part);

        if (sum.err == PB_GUEST_OK)
            sum.err = out.err;
        sum.value |= out.value << shift;
        sum.denied |= out.denied << shift;
    }
    return sum;
}

static void compare_split(const struct access *a, size_t split)
{
    struct outcome whole, parts;

    memcpy(start.hw, dev->hw.config, sizeof(start.hw));
    memcpy(start.shadow, dev->view.shadow, sizeof(start.shadow));
    whole = engine(a);
    memcpy(whole_end.hw, dev->hw.config, sizeof(start.hw));
    memcpy(whole_end.shadow, dev->view.shadow, sizeof(start.shadow));
    restart();
    parts = in_parts(a, split);
    assert_int_equal(parts.err, whole.err);
    /* an error ends the whole at its register, but not the parts behind it */
    if (whole.err == PB_GUEST_OK) {
        assert_int_equal(parts.value, whole.value);
        assert_int_equal(parts.denied, whole.denied);
        assert_memory_equal(whole_end.hw, dev->hw.config, sizeof(start.hw));
        assert_memory_equal(whole_end.shadow, dev->view.shadow, sizeof(start.shadow));
    }
}

static void any_split_of_an_access_gives_what_the_whole_gives(void **state)
{
    unsigned compared = 0;

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(shapes); i++) {
        seed = 0x85ebca6bU * (uint32_t)(i + 1);
        for (unsigned n = 0; n < 3000 && !shapes[i].odd_hardware; n++) {
            struct access a;

            if (n % PER_TABLE == 0)
                random_table(&shapes[i]);
            a = random_access(&shapes[i]);
            a.size = 4;
            a.offset &= ~3U;
            compare_split(&a, below(PB_ARRAY_SIZE(splits)));
            compared++;
        }
    }
    assert_true(compared >= 20000);
}

#define ON(device, test) cmocka_unit_test_setup_teardown(test, device, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(e1000e, every_access_does_what_a_model_of_single_bits_does),
        ON(e1000e, H13_registers_are_written_at_their_natural_width),
        ON(e1000e, H13_w1c_neighbours_are_written_0),
        ON(e1000e, a_register_is_read_and_written_at_most_once),
        ON(e1000e, a_register_without_writable_covered_bits_is_not_written),
        ON(e1000e, registers_that_a_plugin_took_are_not_touched),
        ON(e1000e, any_split_of_an_access_gives_what_the_whole_gives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
