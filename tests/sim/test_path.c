/* SPDX-License-Identifier: MIT */
/*
 * What an operation of a connected guest may cost: no memory, no lock, no line, nothing of
 * xenstore, and of the two tables exactly the calls that it cannot do without.
 */
#include "hostile_world.h"

#include <stdio.h>
#include <string.h>

#include "backend/serve.h"
#include "base/log.h"
#include "count.h"
#include "quirk/hooks.h"
#include "quirk/set.h"

#define WARM_UP 64u /* denied writes: more than have a line of their own */

/* Calls into the tables. */
static struct {
    unsigned reads, writes, notifies, unmasks, store;
} seams;

static const struct pb_xen_ops *real_xen;
static const struct pb_host_ops *real_host;

static int port_notify(struct pb_xen *x, uint32_t port)
{
    int rc;

    seams.notifies++;
    count_off = true;
    rc = real_xen->port_notify(x, port);
    count_off = false;
    return rc;
}

static int port_unmask(struct pb_xen *x, uint32_t port)
{
    int rc;

    seams.unmasks++;
    count_off = true;
    rc = real_xen->port_unmask(x, port);
    count_off = false;
    return rc;
}

static void store_submit(struct pb_xen *x, struct pb_store_req *req)
{
    seams.store++;
    real_xen->store_submit(x, req);
}

static enum pb_hw_when cycle_submit(struct pb_host *host, struct pb_hw_cycle *cycle)
{
    enum pb_hw_when when;

    if (cycle->write)
        seams.writes++;
    else
        seams.reads++;
    count_off = true;
    when = real_host->cycle_submit(host, cycle);
    count_off = false;
    return when;
}

/* What is not here may not be called at all: whoever does ends the test. */
static const struct pb_xen_ops xen_ops = { .port_notify = port_notify,
                                           .port_unmask = port_unmask,
                                           .store_submit = store_submit };
static const struct pb_host_ops host_ops = { .cycle_submit = cycle_submit };

static void count_seams(struct hostile *h)
{
    real_xen = h->xen->ops;
    real_host = h->host->ops;
    h->xen->ops = &xen_ops;
    h->host->ops = &host_ops;
}

static int teardown(void **state)
{
    struct hostile *h = *state;

    if (h->xen->ops == &xen_ops) {
        h->xen->ops = real_xen;
        h->host->ops = real_host;
    }
    return hostile_teardown(state);
}

#define READ(at, n)                                          \
    {                                                        \
        .cmd = PB_CMD_CONF_READ, .offset = (at), .size = (n) \
    }
#define WRITE(at, n, v)                                                     \
    {                                                                       \
        .cmd = PB_CMD_CONF_WRITE, .offset = (at), .size = (n), .value = (v) \
    }

/* One kind of operation, and what each of them costs. */
static const struct kind {
    const char *name;
    struct pb_op op;
    uint32_t flip; /* VALUE changes by it each time */
    int err;
    unsigned reads, writes, clocks;
} kinds[] = {
    { "a read of hardware", READ(PCI_COMMAND, 4), .reads = 1 },
    { "a read of a constant", READ(PCI_VENDOR_ID, 4), .reads = 0 },
    { "a read of what cannot change", READ(PCI_INTERRUPT_LINE, 4), .reads = 0 },
    { "a read of a shadow", READ(PCI_LATENCY_TIMER, 1), .reads = 0 },
    { "a write to a shadow", WRITE(PCI_LATENCY_TIMER, 1, 0), .flip = 0x40 },
    { "a BAR that is sized", WRITE(PCI_BAR0, 4, 0), .flip = UINT32_MAX },
    { "a write to hardware", WRITE(PCI_COMMAND, 2, 3), .flip = 1, .reads = 1, .writes = 1 },
    { "a write that is denied", WRITE(0x50, 4, 0x5a5a5a5a), .reads = 1, .clocks = 1 },
    { "a device that is not there",
      { .cmd = PB_CMD_CONF_READ, .devfn = PB_DEVFN(31, 7), .size = 4 },
      .err = PB_GUEST_NOT_FOUND },
    { "a bus that is not there",
      { .cmd = PB_CMD_CONF_READ, .bus = 77, .size = 4 },
      .err = PB_GUEST_NOT_FOUND },
    { "no such size", READ(0, 3), .err = PB_GUEST_INVALID_OFFSET },
    { "beyond the end", WRITE(4096, 4, 1), .err = PB_GUEST_INVALID_OFFSET },
    { "no such command", { .cmd = 99 }, .err = PB_GUEST_NOT_IMPLEMENTED },
};

static void check_counted(const char *what, unsigned clocks)
{
    if (counted.memory || counted.locks || counted.lines || counted.cycles || counted.transfers ||
        counted.clocks != clocks || seams.store)
        fail_msg("%s: memory %u, locks %u, lines %u, clocks %u (%u wanted), files %u, store %u",
                 what, counted.memory, counted.locks, counted.lines, counted.clocks, clocks,
                 counted.cycles + counted.transfers, seams.store);
}

static void check_seams(const char *what, unsigned reads, unsigned writes, unsigned unmasks)
{
    if (seams.reads != reads || seams.writes != writes || seams.notifies != 1 ||
        seams.unmasks != unmasks)
        fail_msg("%s: read %u of hardware (%u wanted), written %u (%u), told %u times, unmasked %u",
                 what, seams.reads, reads, seams.writes, writes, seams.notifies, seams.unmasks);
}

static void check_answer(struct hostile *h, const char *what, int err)
{
    if (hostile_waits(h->dom))
        fail_msg("%s: no answer", what);
    memcpy(&h->last, h->page + PB_PAGE_OP, sizeof(h->last));
    if (h->last.err != err)
        fail_msg("%s: answered %d, not %d", what, h->last.err, err);
}

/* An event brings it. */
static void by_event(struct hostile *h, const struct pb_op *op)
{
    uint32_t port = h->dev->guest->port;

    hostile_post(h, h->dom, op);
    memset(&seams, 0, sizeof(seams));
    count_reset();
    pb_serve_ports(h->b, &port, 1);
}

static void each_kind_by_event(struct hostile *h)
{
    for (unsigned i = 0; i < PB_ARRAY_SIZE(kinds); i++) {
        const struct kind *k = &kinds[i];
        struct pb_op op = k->op;

        for (unsigned turn = 0; turn < WARM_UP; turn++) {
            op.value ^= k->flip;
            by_event(h, &op);
        }
        for (unsigned turn = 0; turn < 8; turn++) {
            op.value ^= k->flip;
            by_event(h, &op);
            check_answer(h, k->name, k->err);
            check_counted(k->name, k->clocks);
            check_seams(k->name, k->reads, k->writes, 1);
        }
    }
}

static void an_event_costs_an_answer_and_an_unmask(void **state)
{
    struct hostile *h = *state;

    count_seams(h);
    each_kind_by_event(h);
}

static void without_a_journal_it_is_the_same(void **state)
{
    struct hostile *h = *state;
    struct pb_journal_record *device = h->dev->record, *guest = h->dev->guest->record;

    count_seams(h);
    h->dev->record = h->dev->guest->record = NULL;
    each_kind_by_event(h);
    h->dev->record = device;
    h->dev->guest->record = guest;
}

/* Every word once; no word costs more than one cycle. How many there were. */
static unsigned scan(struct hostile *h, unsigned size)
{
    unsigned cycles = 0;

    for (unsigned at = 0; at < size; at += 4) {
        const struct pb_op op = READ((int32_t)at, 4);

        by_event(h, &op);
        check_answer(h, "a scan", PB_GUEST_OK);
        check_counted("a scan", 0);
        assert_in_range(seams.reads, 0, 1);
        assert_int_equal(seams.notifies, 1);
        cycles += seams.reads;
    }
    (void)printf("a scan of %u bytes: %u operations, %u cycles\n", size, size / 4, cycles);
    return cycles;
}

static void a_scan_costs_at_most_a_cycle_a_word(void **state)
{
    struct hostile *h = *state;

    unsigned first, later;

    count_seams(h);
    first = scan(h, 256);
    later = scan(h, 256);
    assert_true(later < first && first < 64); /* what is known is not asked again */
    first = scan(h, 4096);
    later = scan(h, 4096);
    assert_true(later <= first && first < 1024);
}

/* Events until its flag is looked at: how many that takes is a matter of time. */
static void until_it_is_polled(struct hostile *h, const struct pb_op *op)
{
    const struct pb_guest *g = h->dev->guest;

    for (unsigned i = 0; i < 1000000 && !g->poll.on; i++)
        by_event(h, op);
    assert_true(g->poll.on);
}

/* The flag is found: nothing but the answer is to be told, and an unmask if that was the last. */
static void by_looking(struct hostile *h, const struct kind *k, const struct pb_op *op)
{
    const struct pb_guest *g = h->dev->guest;

    until_it_is_polled(h, op);
    hostile_post(h, h->dom, op);
    memset(&seams, 0, sizeof(seams));
    count_reset();
    ev_run(h->loop, EVRUN_NOWAIT);
    check_answer(h, k->name, k->err);
    check_counted(k->name, counted.clocks); /* looking goes on until it is late enough */
    check_seams(k->name, k->reads, k->writes, g->poll.on ? 0 : 1);
}

static void a_burst_costs_an_answer(void **state)
{
    struct hostile *h = *state;

    h->b->policy->busy_poll_us = PB_BUSY_POLL_US_MAX;
    count_seams(h);
    for (unsigned i = 0; i < PB_ARRAY_SIZE(kinds); i++) {
        const struct kind *k = &kinds[i];
        struct pb_op op = k->op;

        for (unsigned turn = 0; turn < WARM_UP; turn++)
            by_event(h, &op);
        for (unsigned turn = 0; turn < WARM_UP; turn++) {
            op.value ^= k->flip;
            by_looking(h, k, &op);
        }
    }
}

/* --- with a plugin --- */

static const char quirk[] =
    "{ \"schema\": 1, \"quirks\": [ { \"id\": \"%s\", \"reason\": \"a test\", \"source\": \"a "
    "test\","
    " \"match\": { \"vendor\": \"0x8086\" },"
    " \"plugin\": { \"name\": \"%s\", \"params\": {},"
    "   \"registers\": [ { \"at\": \"0x0c\", \"size\": 4, \"mask\": \"0xffffffff\" } ] } } ] }";

static int setup_with(void **state, const char *plugin)
{
    static const char *const dirs[] = { SIM_PLUGINS_DIR, PLUGINS_DIR };
    const struct pb_quirk_sources sources = { .plugin_dirs = dirs,
                                              .plugin_dir_count = PB_ARRAY_SIZE(dirs),
                                              .any_owner = true };
    char text[sizeof(quirk) + 100];

    (void)snprintf(text, sizeof(text), quirk, plugin, plugin);
    hostile_quirks = pb_quirk_set_parse(text, strlen(text), "test.json", &sources);
    assert_non_null(hostile_quirks);
    assert_int_equal(pb_quirk_set_errors(hostile_quirks), 0);
    return hostile_setup(state);
}

static int setup_guard(void **state)
{
    return setup_with(state, "guard");
}

static int setup_trace(void **state)
{
    return setup_with(state, "trace");
}

/* Its time is taken: the two clocks are what a plugin costs. */
static void with_plugin(void **state, unsigned clocks_a_call)
{
    static const struct pb_op write = WRITE(PCI_LATENCY_TIMER, 1, 0);
    static const struct pb_op read = READ(PCI_LATENCY_TIMER, 1);
    struct hostile *h = *state;

    assert_true(pb_hooks_cover(h->dev->hooks, PCI_LATENCY_TIMER, 1));
    count_seams(h);
    for (unsigned turn = 0; turn < WARM_UP; turn++) {
        struct pb_op op = turn % 2 ? read : write;

        op.value = turn;
        by_event(h, &op);
        check_answer(h, "with a plugin", PB_GUEST_OK);
        check_counted("with a plugin", clocks_a_call);
        assert_int_equal(seams.notifies, 1);
    }
}

static void a_plugin_costs_its_two_clocks(void **state)
{
    with_plugin(state, 2);
}

static void a_trace_costs_a_third(void **state)
{
    with_plugin(state, 3);
}

/* --- for the record --- */

static void what_interrupts_cost(void **state)
{
    static const struct pb_op enable = { .cmd = PB_CMD_ENABLE_MSIX, .value = 1 };
    static const struct pb_op disable = { .cmd = PB_CMD_DISABLE_MSIX, .value = 1 };
    struct hostile *h = *state;

    for (unsigned turn = 0; turn < 3; turn++) {
        const struct pb_op *op = turn % 2 ? &disable : &enable;

        hostile_post(h, h->dom, op);
        count_reset();
        hostile_notify(h, h->dom);
        hostile_settle(h);
        (void)printf("%s of MSI-X, the simulator's part included: memory %u, lines %u\n",
                     turn % 2 ? "disable" : "enable", counted.memory, counted.lines);
        check_answer(h, "MSI-X", PB_GUEST_OK);
        assert_int_equal(counted.lines, 0);
    }
}

#define TEST(f)        cmocka_unit_test_setup_teardown(f, hostile_setup, teardown)
#define WITH(f, setup) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_costs_an_answer_and_an_unmask),
        TEST(without_a_journal_it_is_the_same),
        TEST(a_scan_costs_at_most_a_cycle_a_word),
        TEST(a_burst_costs_an_answer),
        WITH(a_plugin_costs_its_two_clocks, setup_guard),
        WITH(a_trace_costs_a_third, setup_trace),
        TEST(what_interrupts_cost),
    };

    count_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
