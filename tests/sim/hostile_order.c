/* SPDX-License-Identifier: MIT */
/* The order of operations, pages that change under them, and how long others wait. */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "hostile_world.h"

/* --- T5: sequences of operations against a model of what may be on --- */

enum { READ, DECODE_OFF, MSI_ON, MSI_OFF, MSIX_ON, MSIX_OFF, MULTI_ON, UNKNOWN, LETTERS };

static const struct pb_op alphabet[LETTERS] = {
    [READ] = { .cmd = PB_CMD_CONF_READ, .size = 4 },
    /* XSA-157: MSI-X with decode off; here it is off in the guest's view alone */
    [DECODE_OFF] = { .cmd = PB_CMD_CONF_WRITE, .offset = PCI_COMMAND, .size = 2, .value = 0x0400 },
    [MSI_ON] = { .cmd = PB_CMD_ENABLE_MSI },
    [MSI_OFF] = { .cmd = PB_CMD_DISABLE_MSI },
    [MSIX_ON] = { .cmd = PB_CMD_ENABLE_MSIX, .value = 2, .entries = { { 0, 3 }, { 0, 0 } } },
    [MSIX_OFF] = { .cmd = PB_CMD_DISABLE_MSIX },
    [MULTI_ON] = { .cmd = PB_CMD_ENABLE_MULTI_MSI, .value = 4 },
    [UNKNOWN] = { .cmd = 9 },
};

struct model {
    enum pb_interrupt_mode mode;
    unsigned vectors;
};

/* What LETTER has to answer, and what is on afterwards. */
static int expect(struct model *m, unsigned letter)
{
    switch (letter) {
    case MSI_ON:
    case MULTI_ON:
        if (m->mode == PB_INTERRUPT_MSIX)
            return PB_GUEST_OP_FAILED;
        *m = (struct model){ PB_INTERRUPT_MSI, letter == MULTI_ON ? 4 : 1 };
        return PB_GUEST_OK;
    case MSIX_ON:
        if (m->mode == PB_INTERRUPT_MSI)
            return PB_GUEST_OP_FAILED;
        *m = (struct model){ PB_INTERRUPT_MSIX, 2 };
        return PB_GUEST_OK;
    case MSI_OFF:
    case MSIX_OFF:
        if (m->mode == (letter == MSI_OFF ? PB_INTERRUPT_MSI : PB_INTERRUPT_MSIX))
            *m = (struct model){ PB_INTERRUPT_NONE, 0 };
        return PB_GUEST_OK;
    case UNKNOWN:
        return PB_GUEST_NOT_IMPLEMENTED;
    default:
        return PB_GUEST_OK;
    }
}

static void check_hardware(const struct hostile *h, const struct model *m)
{
    uint16_t msi = pb_le16(h->nic->config + MSI_AT + PCI_MSI_FLAGS);
    uint16_t msix = pb_le16(h->nic->config + MSIX_AT + PCI_MSIX_FLAGS);
    uint16_t command = sim_device_command(h->nic);

    assert_int_equal(h->dev->interrupts.mode, m->mode);
    assert_int_equal(hostile_vectors(h), m->vectors);
    assert_int_equal(!!(msi & PCI_MSI_FLAGS_ENABLE), m->mode == PB_INTERRUPT_MSI);
    assert_int_equal(msix & (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL),
                     m->mode == PB_INTERRUPT_MSIX ? PCI_MSIX_FLAGS_ENABLE : 0);
    assert_int_equal(command & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY),
                     PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
    /* with messages on the line is silent, whatever the guest has in its COMMAND */
    if (m->mode != PB_INTERRUPT_NONE)
        assert_true(command & PCI_COMMAND_INTX_DISABLE);
    assert_int_equal(json_array_size(h->w->log.violations), 0);
}

static void check_letter(struct hostile *h, struct model *m, unsigned letter)
{
    int err = expect(m, letter);

    if (hostile_op(h, &alphabet[letter]) != err)
        fail_msg("letter %u: err %d instead of %d", letter, h->last.err, err);
    check_hardware(h, m);
    if (letter == READ)
        assert_int_equal(h->last.value, 0x10d38086);
    if (err == PB_GUEST_OK && (letter == MSI_ON || letter == MULTI_ON))
        assert_true(h->last.value >= h->w->gsi_count);
}

/* All sequences of LENGTH; the shorter ones are their beginnings. */
static void all_sequences(struct hostile *h, unsigned length)
{
    unsigned long count = 1;

    for (unsigned i = 0; i < length; i++)
        count *= LETTERS;
    for (unsigned long n = 0; n < count; n++) {
        struct model m = { PB_INTERRUPT_NONE, 0 };
        unsigned long rest = n;

        for (unsigned i = 0; i < length; i++, rest /= LETTERS)
            check_letter(h, &m, (unsigned)(rest % LETTERS));
        check_letter(h, &m, MSI_OFF);
        check_letter(h, &m, MSIX_OFF);
        sim_log_clear(&h->w->log);
    }
}

/* PB_SIM_FULL=1: six. */
static void T5_all_sequences_of_operations(void **state)
{
    all_sequences(*state, getenv("PB_SIM_FULL") ? 6 : 5);
}

/*
 * Longer ones, with what takes time: sleep, reset, a device that answers late or has gone away. No
 * model, but a defined answer each, nothing that hardware or hypervisor may not see, and afterwards
 * the device is as good as new.
 */
static void T5_T15_a_walk_through_everything(void **state)
{
    static const struct pb_op steps[] = {
        { .cmd = PB_CMD_CONF_WRITE, .offset = PM_AT + PCI_PM_CTRL, .size = 2, .value = 3 },
        { .cmd = PB_CMD_CONF_WRITE, .offset = PM_AT + PCI_PM_CTRL, .size = 2, .value = 0 },
        { .cmd = PB_CMD_CONF_WRITE, .offset = EXP_AT + PCI_EXP_DEVCTL, .size = 2, .value = 0x8810 },
        { .cmd = PB_CMD_CONF_WRITE, .offset = PCI_COMMAND, .size = 2, .value = 0x0407 },
        { .cmd = PB_CMD_CONF_WRITE, .offset = PCI_COMMAND, .size = 2, .value = 0 },
        { .cmd = PB_CMD_CONF_WRITE, .offset = PCI_BAR0, .size = 4, .value = ~0U },
        { .cmd = PB_CMD_CONF_WRITE, .offset = PCI_BIST, .size = 1, .value = PCI_BIST_START },
        { .cmd = PB_CMD_CONF_WRITE,
          .offset = MSIX_AT + PCI_MSIX_FLAGS,
          .size = 2,
          .value = 0xc000 },
        { .cmd = PB_CMD_CONF_READ, .offset = EXP_AT + PCI_EXP_DEVSTA, .size = 2 },
    };
    struct hostile *h = *state;
    uint32_t seed = 515;

    for (unsigned n = 0; n < 12000; n++) {
        uint32_t r = hostile_random(&seed), which = r % (LETTERS + PB_ARRAY_SIZE(steps));

        h->nic->slow_ms = n / 50 % 8 == 7 ? 1 : 0;
        h->nic->dead = n / 50 % 16 == 3 && r % 4 == 0;
        (void)hostile_op(h, which < LETTERS ? &alphabet[which] : &steps[which - LETTERS]);
        assert_true(h->last.err <= PB_GUEST_OK && h->last.err >= PB_GUEST_OP_FAILED);
        if (n % 500 == 0) {
            sim_log_clear(&h->w->log);
            hostile_quiet(h);
        }
        if (h->dev->state == PB_DEVICE_FAILED)
            break; /* a reset of a device that was away: its guest has lost it */
    }
    h->nic->slow_ms = 0;
    h->nic->dead = false;
    hostile_settle(h);
    hostile_quiet(h);
    print_message("%u resets, state %d\n", (unsigned)h->dev->guest_resets, h->dev->state);
    assert_true(h->dev->guest_resets > 0);
}

/* --- T7: the page changes while an operation runs (XSA-155) --- */

static uint32_t scribble_seed = 7;

/* All of the page but the flags. */
static void scribble(struct hostile *h)
{
    for (unsigned at = PB_PAGE_OP; at < PB_PAGE_AER + 20; at += 4)
        pb_le_put(h->page + at, 4, hostile_word(&scribble_seed));
}

/*
 * Everything but the answer is garbage from the first call into a table on: what is done, and what
 * is answered, follows from the copy alone, so that the model of T5 still holds.
 */
static void T7_only_the_copy_is_used(void **state)
{
    struct hostile *h = *state;

    h->inside = scribble;
    all_sequences(h, 4);
    /* and what is written in hardware is what was asked for */
    for (uint32_t value = 0; value <= 0xff; value++) {
        assert_int_equal(hostile_access(h, true, PCI_CACHE_LINE_SIZE, 1, value), 0);
        assert_int_equal(h->nic->config[PCI_CACHE_LINE_SIZE], value);
    }
}

struct flipper {
    struct hostile *h;
    atomic_bool stop;
    bool flags; /* the flag, too: gives up and asks again at any moment */
};

static void put_word(uint32_t *page, unsigned word, uint32_t value)
{
    __atomic_store_n(page + word, value, __ATOMIC_RELAXED);
}

static void *flip(void *ctx)
{
    struct flipper *f = ctx;
    uint32_t *page = (uint32_t *)(void *)f->h->page;
    uint32_t seed = 77;

    while (!atomic_load(&f->stop)) {
        unsigned word = PB_PAGE_OP / 4 + hostile_random(&seed) % 9;

        put_word(page, word,
                 word == PB_PAGE_OP / 4 ? hostile_random(&seed) % 12 : hostile_word(&seed));
        if (hostile_random(&seed) & 1) { /* valid again, so that it gets further */
            for (unsigned i = 2; i < 6; i++)
                put_word(page, PB_PAGE_OP / 4 + i, 0);
            put_word(page, PB_PAGE_OP / 4 + 6, 1U << hostile_random(&seed) % 3);
            put_word(page, PB_PAGE_OP / 4 + 7, hostile_random(&seed) % 8);
        }
        if (f->flags && hostile_random(&seed) % 64 == 0)
            sim_front_set_flags(f->h->dom, hostile_random(&seed) & 1, SIM_FLAG_ACTIVE);
    }
    return NULL;
}

static void flipped(struct hostile *h, bool flags, unsigned rounds)
{
    struct flipper f = { .h = h, .flags = flags };
    const struct pb_op op = { .size = 4 };
    const uint64_t *ops = &pb_guest_find(h->b, HOSTILE)->counters.ops;
    uint64_t enough = *ops + rounds / 10;
    pthread_t thread;

    atomic_init(&f.stop, false);
    assert_int_equal(pthread_create(&thread, NULL, flip, &f), 0);
    /* requests that it takes back are spurious events, after which it has to wait (XSA-332) */
    for (unsigned n = 0; n < rounds || (*ops <= enough && n < 1000 * rounds); n++) {
        hostile_post(h, h->dom, &op);
        hostile_notify(h, h->dom);
        for (unsigned i = 0; hostile_waits(h->dom) && i < 3; i++)
            ev_run(h->loop, EVRUN_NOWAIT);
    }
    atomic_store(&f.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(*ops > enough);
    hostile_notify(h, h->dom);
    hostile_settle(h);
    hostile_quiet(h);
}

static void T7_a_thread_flips_the_page(void **state)
{
    struct hostile *h = *state;

    flipped(h, false, 200000);
    flipped(h, true, 200000);
    h->nic->slow_ms = 1; /* answers come when the page may say something else */
    flipped(h, true, 20000);
    h->nic->slow_ms = 0;
    hostile_settle(h);
    memset(h->page, 0, SIM_PAGE_SIZE);
    assert_int_equal(hostile_access(h, false, 0, 4, 0), 0);
    assert_int_equal(h->last.value, 0x10d38086);
}

/* --- T9: one guest floods, another waits --- */

static struct {
    bool on;
    unsigned answers; /* that the flooding guest got */
    unsigned post_at; /* after that many of them the other guest asks */
    unsigned waited;  /* how many came between its question and its answer */
    bool asked, answered;
} flood;

static const struct pb_op read_ids = { .size = 4 };
static const struct pb_op *flood_op;

/* The hostile guest asks again before the daemon can look away. */
static void ask_again(struct hostile *h)
{
    if (!flood.on)
        return;
    if (flood.asked && !flood.answered && !hostile_waits(h->other)) {
        flood.answered = true;
        flood.waited = flood.answers - flood.post_at;
    }
    if (hostile_waits(h->dom))
        return;
    flood.answers++;
    hostile_post(h, h->dom, flood_op);
    if (flood.answers == flood.post_at) {
        flood.asked = true;
        hostile_post(h, h->other, &read_ids);
        sim_guest_port_notify(h->w, h->other, h->other->front.port);
    }
}

static void start_flood(struct hostile *h, const struct pb_op *op, unsigned post_at)
{
    flood_op = op;
    memset(&flood, 0, sizeof(flood));
    flood.on = true;
    flood.post_at = post_at;
    h->answered = ask_again;
    hostile_post(h, h->dom, flood_op);
    hostile_notify(h, h->dom);
}

static void stop_flood(struct hostile *h)
{
    flood.on = false;
    h->answered = NULL;
    hostile_settle(h);
}

static void T9_another_guest_waits_for_one_budget_at_most(void **state)
{
    struct hostile *h = *state;
    unsigned budget = h->b->policy->limits.ops_per_turn;

    for (unsigned busy_poll_us = 0; busy_poll_us <= 1000; busy_poll_us += 500) {
        h->b->policy->busy_poll_us = busy_poll_us;
        for (unsigned at = 1; at <= 4 * budget; at++) {
            start_flood(h, &read_ids, at);
            for (unsigned i = 0; i < 1000 && !flood.answered; i++)
                ev_run(h->loop, EVRUN_NOWAIT);
            assert_true(flood.answered);
            if (flood.waited > budget)
                fail_msg("asked after %u operations, waited for %u", at, flood.waited);
            stop_flood(h);
        }
    }
}

/* Vectors cost hypercalls: enabling them is a turn by itself. */
static void T9_another_guest_waits_for_one_enable_of_vectors_at_most(void **state)
{
    struct hostile *h = *state;

    for (unsigned at = 1; at <= 20; at++) {
        start_flood(h, &alphabet[MSIX_ON], at);
        for (unsigned i = 0; i < 1000 && !flood.answered; i++)
            ev_run(h->loop, EVRUN_NOWAIT);
        assert_true(flood.answered);
        if (flood.waited > 1)
            fail_msg("asked after %u operations, waited for %u", at, flood.waited);
        stop_flood(h);
    }
    check_letter(h, &(struct model){ PB_INTERRUPT_MSIX, 2 }, MSIX_OFF);
}

/* Something that is ready in every round: a control client, answers of xenstore, another port. */
static unsigned rounds;

static void count_round(struct ev_loop *loop, ev_prepare *prepare, int events)
{
    (void)loop;
    (void)prepare;
    (void)events;
    rounds++;
}

static void always_ready(struct ev_loop *loop, ev_async *async, int events)
{
    (void)events;
    ev_async_send(loop, async);
}

/* The other guest is in a burst: its port is masked, and its flag the only sign of a request. */
static void T9_a_busy_loop_does_not_keep_a_burst_waiting(void **state)
{
    struct hostile *h = *state;
    ev_async noise;
    ev_prepare prepare;

    h->b->policy->busy_poll_us = 10000000;
    for (unsigned n = 0; n < 2; n++) { /* one by itself begins no burst */
        hostile_post(h, h->other, &read_ids);
        hostile_notify(h, h->other);
        assert_false(hostile_waits(h->other));
    }
    assert_true(pb_guest_find(h->b, OTHER)->poll.on);
    ev_async_init(&noise, always_ready);
    ev_async_start(h->loop, &noise);
    ev_async_send(h->loop, &noise);
    ev_prepare_init(&prepare, count_round);
    ev_prepare_start(h->loop, &prepare);
    for (unsigned n = 0; n < 100; n++) {
        hostile_post(h, h->other, &read_ids);
        sim_guest_port_notify(h->w, h->other, h->other->front.port);
        rounds = 0;
        while (hostile_waits(h->other) && rounds < 100)
            ev_run(h->loop, EVRUN_NOWAIT);
        if (rounds > 2)
            fail_msg("the answer took %u rounds of the loop", rounds);
    }
    ev_async_stop(h->loop, &noise);
    ev_prepare_stop(h->loop, &prepare);
    h->b->policy->busy_poll_us = 0;
    pb_guest_find(h->b, OTHER)->poll.until_ns = 0;
}

/* And the other way round: what else is ready gets its turn in every round of a flood. */
static unsigned noise_turns;

static void noise_turn(struct ev_loop *loop, ev_async *async, int events)
{
    noise_turns++;
    always_ready(loop, async, events);
}

static void T9_the_rest_of_the_loop_waits_for_one_turn_at_most(void **state)
{
    struct hostile *h = *state;
    unsigned budget = h->b->policy->limits.ops_per_turn;
    size_t before = 0;
    ev_async noise;

    h->b->policy->busy_poll_us = 500;
    ev_async_init(&noise, noise_turn);
    ev_async_start(h->loop, &noise);
    start_flood(h, &read_ids, 0);
    ev_async_send(h->loop, &noise);
    for (unsigned n = 0; n < 20000; n++) {
        unsigned answers = flood.answers, turns = noise_turns;

        ev_run(h->loop, EVRUN_NOWAIT);
        if (n % 1000 == 500)
            sim_log_clear(&h->w->log); /* the simulator's own */
        if (n == 500)
            before = mallinfo2().uordblks;
        assert_true(noise_turns > turns || n == 0);
        /* one turn by an event, one because it is in a burst */
        assert_true(flood.answers - answers <= 2 * budget);
    }
    assert_true(flood.answers > 20000 * budget / 2);
    sim_log_clear(&h->w->log);
    assert_true(mallinfo2().uordblks < before + 65536);
    ev_async_stop(h->loop, &noise);
    stop_flood(h);
}

#define ON(test) cmocka_unit_test_setup_teardown(test, hostile_setup, hostile_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(T5_all_sequences_of_operations),
        ON(T5_T15_a_walk_through_everything),
        ON(T7_only_the_copy_is_used),
        ON(T7_a_thread_flips_the_page),
        ON(T9_another_guest_waits_for_one_budget_at_most),
        ON(T9_another_guest_waits_for_one_enable_of_vectors_at_most),
        ON(T9_a_busy_loop_does_not_keep_a_burst_waiting),
        ON(T9_the_rest_of_the_loop_waits_for_one_turn_at_most),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
