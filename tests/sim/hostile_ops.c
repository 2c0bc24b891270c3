/* SPDX-License-Identifier: MIT */
/* What a guest may put into an operation: all of it, as far as that ends. */
#include <stdlib.h>
#include <string.h>

#include "hostile_world.h"

/* --- T1: offsets, sizes, addresses --- */

static bool is_valid(int64_t offset, int64_t size)
{
    return (size == 1 || size == 2 || size == 4) && offset >= 0 && offset % size == 0 &&
           offset + size <= (int64_t)PB_CONFIG_SIZE_PCIE;
}

static void check_place(struct hostile *h, int32_t offset, int32_t size)
{
    uint64_t cycles = h->b->counters.hw_cycles;
    bool valid = is_valid(offset, size);

    for (unsigned write = 0; write < 2; write++) {
        /* a valid write would do something: T2 to T4 look at those */
        if (valid && write)
            continue;
        if (hostile_access(h, write, offset, size, ~0U) !=
            (valid ? PB_GUEST_OK : PB_GUEST_INVALID_OFFSET))
            fail_msg("offset %#x, size %#x: err %d", (unsigned)offset, (unsigned)size, h->last.err);
    }
    if (!valid)
        assert_int_equal(h->b->counters.hw_cycles, cycles);
}

static void T1_every_offset_and_size(void **state)
{
    static const int32_t sizes[] = { 0,  1,  2,         3,         4,       5,      6,  7, 8,
                                     16, -1, INT32_MIN, INT32_MAX, 0x10000, 0x1000, -2, -4 };
    struct hostile *h = *state;

    for (size_t s = 0; s < PB_ARRAY_SIZE(sizes); s++) {
        for (int32_t offset = -0x1200; offset < 0x2200; offset++)
            check_place(h, offset, sizes[s]);
        for (unsigned bit = 12; bit < 32; bit++) {
            for (int64_t by = -9; by <= 9; by++)
                check_place(h, (int32_t)(uint32_t)((INT64_C(1) << bit) + by), sizes[s]);
        }
    }
    for (unsigned bit = 0; bit < 32; bit++) {
        for (int64_t by = -2; by <= 2; by++)
            check_place(h, 0, (int32_t)(uint32_t)((INT64_C(1) << bit) + by));
    }
}

static void check_address(struct hostile *h, uint32_t domain, uint32_t bus, uint32_t devfn)
{
    bool there = domain == 0 && bus == 0 && devfn == 0;

    for (uint32_t cmd = 0; cmd < 12; cmd++) {
        const struct pb_op op = {
            .cmd = cmd, .domain = domain, .bus = bus, .devfn = devfn, .size = 4, .value = 1
        };

        if (!there && hostile_op(h, &op) != PB_GUEST_NOT_FOUND)
            fail_msg("%x:%x:%x, command %u: err %d", domain, bus, devfn, cmd, h->last.err);
    }
}

static void T1_every_address_but_its_own(void **state)
{
    struct hostile *h = *state;
    uint64_t cycles = h->b->counters.hw_cycles;
    uint32_t seed = 1;

    for (uint32_t n = 0; n < 0x10200; n++) {
        check_address(h, 0, 0, n);
        if (n < 0x400 || n % 0x100 == 0) {
            check_address(h, 0, n, 0);
            check_address(h, n, 0, 0);
        }
    }
    for (unsigned bit = 0; bit < 32; bit++) {
        check_address(h, 1U << bit, 0, 0);
        check_address(h, 0, 1U << bit, 0);
        check_address(h, 0, 0, 1U << bit);
        check_address(h, 0, 0, ~0U << bit);
    }
    for (unsigned n = 0; n < 20000; n++)
        check_address(h, hostile_word(&seed), hostile_word(&seed), hostile_word(&seed) | 1);
    assert_int_equal(h->b->counters.hw_cycles, cycles);
    assert_int_equal(hostile_vectors(h), 0);
}

/* --- T2: COMMAND --- */

static void check_command(struct hostile *h, int32_t offset, int32_t size, uint32_t value)
{
    const uint16_t decode = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;
    const uint16_t errors = PCI_COMMAND_SERR | PCI_COMMAND_PARITY;
    uint16_t command;

    assert_int_equal(hostile_access(h, true, offset, size, value), 0);
    command = sim_device_command(h->nic);
    if ((command & decode) != decode || command & errors)
        fail_msg("COMMAND is %#x after %#x/%d = %#x", command, (unsigned)offset, size, value);
}

static void every_command(struct hostile *h)
{
    for (uint32_t value = 0; value <= 0xffff; value++) {
        check_command(h, PCI_COMMAND, 2, value);
        /* what it wrote is what it reads, as far as a shadow goes */
        assert_int_equal(hostile_access(h, false, PCI_COMMAND, 2, 0), 0);
        assert_int_equal((h->last.value ^ value) & 0x0547, 0);
        check_command(h, PCI_COMMAND, 4, value * 0x10001U);
        check_command(h, PCI_COMMAND, 2, value | 0xa5a50000); /* more than its size has */
        if (value <= 0xff) {
            check_command(h, PCI_COMMAND, 1, value);
            check_command(h, PCI_COMMAND + 1, 1, value);
        }
    }
}

static void T2_every_value_of_command(void **state)
{
    struct hostile *h = *state;

    every_command(h);
    hostile_quiet(h);
    h->dev->view.permissive = true;
    every_command(h);
    hostile_quiet(h);
    h->dev->view.allow_interrupt_control = true;
    every_command(h);
    hostile_quiet(h);
}

/* --- T3, T4: what reaches hardware at all --- */

/* Registers that a guest without any permission writes in hardware; why: pci/baseline*.c. */
static const struct {
    uint16_t offset;
    uint8_t size;
    uint32_t bits;
} open_registers[] = {
    { PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_INVALIDATE },
    { PCI_CACHE_LINE_SIZE, 1, 0xff },
    { PCI_BIST, 1, PCI_BIST_START },
    { PM_AT + PCI_PM_CTRL, 2, 0x0003 | 0x1e00 | 0x8000 },
    { EXP_AT + PCI_EXP_DEVCTL, 2, 0x0810 },
};

static bool is_open(json_int_t offset, json_int_t size)
{
    for (size_t i = 0; i < PB_ARRAY_SIZE(open_registers); i++) {
        if (open_registers[i].offset == offset && open_registers[i].size == size)
            return true;
    }
    return false;
}

/* Each write of hardware is of one whole open register that the access overlaps. */
static void check_cycles(struct hostile *h, int32_t offset, int32_t size)
{
    size_t i;
    const json_t *e;

    json_array_foreach (h->w->log.entries, i, e) {
        json_int_t at = json_integer_value(json_object_get(e, "offset"));
        json_int_t bytes = json_integer_value(json_object_get(e, "size"));

        if (strcmp(json_string_value(json_object_get(e, "call")), "cycle_write") != 0)
            continue;
        if (!is_open(at, bytes) || at >= offset + size || at + bytes <= offset)
            fail_msg("write of %#x/%d wrote %#x/%d", (unsigned)offset, size, (unsigned)at,
                     (int)bytes);
    }
    sim_log_clear(&h->w->log);
}

static bool touches(int32_t offset, int32_t size, int32_t at, int32_t bytes)
{
    return offset < at + bytes && at < (int64_t)offset + size;
}

static void T3_T4_a_write_changes_open_bits_and_nothing_beside_them(void **state)
{
    static const uint32_t values[] = { 0, ~0U, 0xa5a5a5a5, 0x5a5a5a5a, 0x00ff00ff, 0x12345678 };
    struct hostile *h = *state;
    uint8_t open[PB_CONFIG_SIZE_PCIE] = { 0 }, before[PB_CONFIG_SIZE_PCIE];

    for (size_t i = 0; i < PB_ARRAY_SIZE(open_registers); i++)
        pb_le_put(open + open_registers[i].offset, open_registers[i].size, open_registers[i].bits);
    /* as a device whose registers could all be written, so that a wrong write is seen */
    memset(h->nic->wmask, 0xff, sizeof(h->nic->wmask));
    memset(h->nic->w1c, 0, sizeof(h->nic->w1c));
    memcpy(before, h->nic->config, sizeof(before));
    sim_log_clear(&h->w->log);
    for (int32_t size = 1; size <= 4; size *= 2) {
        for (int32_t offset = 0; offset < (int32_t)PB_CONFIG_SIZE_PCIE; offset += size) {
            /* sleep and reset have effects of their own: test_effect, test_flr, T15 */
            if (touches(offset, size, PM_AT + PCI_PM_CTRL, 2) ||
                touches(offset, size, EXP_AT + PCI_EXP_DEVCTL, 2))
                continue;
            for (size_t v = 0; v < PB_ARRAY_SIZE(values); v++) {
                int err = hostile_access(h, true, offset, size, values[v]);

                assert_true(err == PB_GUEST_OK || err == PB_GUEST_ACCESS_DENIED);
                check_cycles(h, offset, size);
                for (unsigned at = 0; at < sizeof(before); at++) {
                    if ((h->nic->config[at] ^ before[at]) & ~open[at])
                        fail_msg("write of %#x to %#x/%d changed byte %#x", values[v],
                                 (unsigned)offset, size, at);
                }
            }
        }
    }
    memcpy(h->nic->config, before, sizeof(before));
}

/* --- T6: MSI-X counts and entries --- */

static int enable_msix(struct hostile *h, uint32_t count, const uint16_t *entries, unsigned given)
{
    struct pb_op op = { .cmd = PB_CMD_ENABLE_MSIX, .value = count };

    for (unsigned i = 0; i < PB_MSIX_ENTRIES_MAX; i++)
        op.entries[i] = (struct pb_msix_entry){ .vector = (uint16_t)(0xdead + i),
                                                .entry = i < given ? entries[i] : (uint16_t)i };
    return hostile_op(h, &op);
}

static void disable_msix(struct hostile *h)
{
    const struct pb_op op = { .cmd = PB_CMD_DISABLE_MSIX };

    assert_int_equal(hostile_op(h, &op), 0);
    assert_int_equal(hostile_vectors(h), 0);
}

static void T6_every_count(void **state)
{
    struct hostile *h = *state;

    for (uint32_t n = 0; n < 0x20000; n++) {
        uint32_t count = n < 0x10000 ? n : n << 15 | (n & 7);
        bool good = count >= 1 && count <= MSIX_VECTORS;

        assert_int_equal(enable_msix(h, count, NULL, 0), good ? 0 : PB_GUEST_OP_FAILED);
        assert_int_equal(hostile_vectors(h), good ? count : 0);
        if (good)
            disable_msix(h);
    }
    hostile_quiet(h);
}

/* All tuples of up to five entries over a table of five, and one beyond it. */
static void T6_every_tuple_of_entries(void **state)
{
    static const uint16_t beyond[] = { MSIX_VECTORS, 127, 2047, 2048, 0x8000, 0xffff };
    struct hostile *h = *state;
    unsigned odd = 0;

    for (unsigned count = 1; count <= MSIX_VECTORS; count++) {
        unsigned all = 1;

        for (unsigned i = 0; i < count; i++)
            all *= MSIX_VECTORS + 1;
        for (unsigned n = 0; n < all; n++) {
            uint16_t entries[MSIX_VECTORS];
            unsigned rest = n, seen = 0;
            bool good = true;

            for (unsigned i = 0; i < count; i++, rest /= MSIX_VECTORS + 1) {
                unsigned entry = rest % (MSIX_VECTORS + 1);

                good = good && entry < MSIX_VECTORS && !(seen & 1U << entry);
                seen |= 1U << entry;
                entries[i] =
                    entry < MSIX_VECTORS ? (uint16_t)entry : beyond[odd++ % PB_ARRAY_SIZE(beyond)];
            }
            if (enable_msix(h, count, entries, count) != (good ? 0 : PB_GUEST_OP_FAILED))
                fail_msg("count %u, tuple %u: err %d", count, n, h->last.err);
            assert_int_equal(hostile_vectors(h), good ? count : 0);
            if (good)
                disable_msix(h);
        }
    }
    hostile_quiet(h);
}

/* --- T8: garbage in every field, also where the answer goes --- */

static bool is_defined(int err)
{
    return err <= PB_GUEST_OK && err >= PB_GUEST_OP_FAILED;
}

static void check_page(struct hostile *h, const uint8_t *sent, const struct pb_op *op)
{
    bool vectors = op->cmd == PB_CMD_ENABLE_MSIX && h->last.err == PB_GUEST_OK;

    if (!is_defined(h->last.err))
        fail_msg("command %u: err %d", op->cmd, h->last.err);
    for (unsigned at = 0; at < SIM_PAGE_SIZE; at++) {
        unsigned in_entries = at - PB_PAGE_ENTRIES;
        bool ours = at / 4 == PB_PAGE_ERR / 4 || at / 4 == PB_PAGE_VALUE / 4 ||
                    (vectors && in_entries < 4 * op->value && in_entries % 4 < 2);

        if (!ours && h->page[at] != (at == 0 ? sent[at] & ~SIM_FLAG_ACTIVE : sent[at]))
            fail_msg("command %u wrote byte %u of the page", op->cmd, at);
    }
}

static void T8_garbage_in_every_field(void **state)
{
    struct hostile *h = *state;
    uint8_t sent[SIM_PAGE_SIZE];
    uint32_t seed = 8;
    struct pb_op op;

    for (unsigned n = 0; n < 60000; n++) {
        for (unsigned i = 0; i < sizeof(sent); i += 4)
            pb_le_put(sent + i, 4, n % 3 ? hostile_random(&seed) : hostile_word(&seed));
        memcpy(&op, sent + PB_PAGE_OP, sizeof(op));
        /* half of them get as far as the device */
        if (hostile_random(&seed) & 1)
            op.domain = op.bus = op.devfn = 0;
        if (hostile_random(&seed) & 1)
            op.cmd %= 12;
        if (hostile_random(&seed) & 1) {
            op.size = 1 << (uint32_t)op.size % 4;
            op.offset &= 0xfff;
        }
        if (op.cmd == PB_CMD_ENABLE_MSIX && hostile_random(&seed) & 1)
            op.value %= 8;
        /* asleep it answers later, and a reset takes its time: both are other tests' */
        if (op.cmd == PB_CMD_CONF_WRITE &&
            (touches(op.offset, op.size, PM_AT + PCI_PM_CTRL, 2) ||
             touches(op.offset, op.size, EXP_AT + PCI_EXP_DEVCTL, 2)))
            op.cmd = PB_CMD_CONF_READ;
        memcpy(sent + PB_PAGE_OP, &op, sizeof(op));
        sent[0] |= SIM_FLAG_ACTIVE;
        memcpy(h->page, sent, sizeof(sent));
        hostile_notify(h, h->dom);
        for (unsigned i = 0; hostile_waits(h->dom) && i < 1000; i++)
            ev_run(h->loop, EVRUN_ONCE);
        assert_false(hostile_waits(h->dom));
        memcpy(&h->last, h->page + PB_PAGE_OP, sizeof(h->last));
        check_page(h, sent, &op);
        if (n % 1000 == 0)
            hostile_quiet(h);
    }
    memset(h->page, 0, SIM_PAGE_SIZE);
    assert_int_equal(hostile_access(h, false, 0, 4, 0), 0);
    assert_int_equal(h->last.value, 0x10d38086);
}

#define ON(test) cmocka_unit_test_setup_teardown(test, hostile_setup, hostile_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(T1_every_offset_and_size),
        ON(T1_every_address_but_its_own),
        ON(T2_every_value_of_command),
        ON(T3_T4_a_write_changes_open_bits_and_nothing_beside_them),
        ON(T6_every_count),
        ON(T6_every_tuple_of_entries),
        ON(T8_garbage_in_every_field),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
