/* SPDX-License-Identifier: MIT */
/*
 * What becomes of an operation that the last process did not end: each row of the table in
 * backend/inflight.c, from a marker that says so (H9, H10). Deaths by themselves: test_replay.py.
 */
#include "hostile_world.h"

#include <string.h>

#include "backend/inflight.h"
#include "backend/journal.h"
#include "sim_device.h"
#include "sim_evtchn.h"
#include "sim_front.h"

#define LATENCY 0x0d /* a shadow */
#define COMMAND 0x04
#define PMCSR   (PM_AT + PCI_PM_CTRL)

static struct hostile *h;
static struct pb_guest *g;
static struct pb_journal_op *mark;

static int setup(void **state)
{
    assert_int_equal(hostile_setup(state), 0);
    h = *state;
    g = h->dev->guest;
    assert_non_null(h->b->journal);
    assert_non_null(g->record);
    mark = pb_journal_op(g->record);
    return 0;
}

static const struct pb_op latency = {
    .cmd = PB_CMD_CONF_WRITE, .offset = LATENCY, .size = 1, .value = 0x40
};
static const struct pb_op read_id = { .cmd = PB_CMD_CONF_READ, .offset = 0, .size = 4 };
static const struct pb_op enable = { .cmd = PB_CMD_ENABLE_MSIX,
                                     .value = 2,
                                     .entries = { { 0, 1 }, { 0, 3 } } };
static const struct pb_op disable = { .cmd = PB_CMD_DISABLE_MSIX };

static void leave(const struct pb_op *op, enum pb_op_stage stage, uint32_t did)
{
    mark->processes = 1;
    mark->connection = (uint32_t)g->counters.connects;
    mark->did = did;
    memset(&mark->kept, 0, sizeof(mark->kept));
    mark->op = *op;
    mark->err = 0;
    mark->value = op->value;
    mark->stage = stage;
}

static unsigned notified;

static void count_notify(struct hostile *hostile)
{
    (void)hostile;
    notified++;
}

/* As adoption does it: the page says WAITS (NULL: nothing). */
static void resume(const struct pb_op *waits)
{
    sim_front_set_flags(h->dom, 0, SIM_FLAG_ACTIVE);
    if (waits)
        hostile_post(h, h->dom, waits);
    g->held = true;
    notified = 0;
    h->answered = count_notify;
    pb_inflight_resume(g);
    assert_true(notified > 0); /* whatever it finds: the last event may be missing (H9) */
    for (unsigned i = 0; (hostile_waits(h->dom) || g->run.busy) && i < 10000; i++)
        ev_run(h->loop, EVRUN_ONCE);
    h->answered = NULL;
    assert_false(hostile_waits(h->dom));
    assert_int_equal(mark->stage, PB_OP_IDLE);
    assert_false(g->held);
    memcpy(&h->last, h->page + PB_PAGE_OP, sizeof(h->last));
}

static uint8_t seen_latency(void)
{
    return h->dev->view.shadow[LATENCY];
}

static void H9_begun_and_waited_for_is_carried_out(void **state)
{
    (void)state;
    leave(&latency, PB_OP_BEGUN, 0);
    resume(&latency);
    assert_int_equal(seen_latency(), 0x40);
    leave(&read_id, PB_OP_BEGUN, 0);
    resume(&read_id);
    assert_int_equal(h->last.value, 0x10d38086);
}

static void H9_begun_and_given_up_is_forgotten(void **state)
{
    (void)state;
    leave(&latency, PB_OP_BEGUN, 0);
    resume(NULL);
    assert_int_equal(seen_latency(), 0);
    leave(&latency, PB_OP_BEGUN, 0);
    resume(&read_id); /* it went on to another one */
    assert_int_equal(seen_latency(), 0);
    assert_int_equal(h->last.value, 0x10d38086);
}

/* A write that plugins, or registers of once, have taken a part of: the rest is done for nobody. */
static void H9_partly_done_and_given_up_is_finished(void **state)
{
    const struct pb_op *const pages[] = { NULL, &read_id };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        h->dev->view.shadow[LATENCY] = 0;
        leave(&latency, PB_OP_BEGUN, PB_DID_CALL);
        mark->hooks.value = 0x20 + i;
        mark->hooks.mine = UINT32_MAX;
        mark->hooks.denied = 0;
        resume(pages[i]);
        assert_int_equal(seen_latency(), 0x20 + i);
        if (pages[i])
            assert_int_equal(h->last.value, 0x10d38086);
    }
}

/* What plugins made of it stands in the marker, not in the page. */
static void H9_plugins_are_not_asked_twice(void **state)
{
    (void)state;
    leave(&latency, PB_OP_BEGUN, PB_DID_CALL);
    mark->hooks.value = 0x33;
    mark->hooks.mine = UINT32_MAX;
    mark->hooks.denied = 0;
    resume(&latency);
    assert_int_equal(seen_latency(), 0x33);
}

/* An answer that may have come through: of what may not be done twice only the answer is. */
static void H9_answered_and_still_there(void **state)
{
    (void)state;
    leave(&latency, PB_OP_ANSWERED, PB_DID_CALL);
    mark->err = PB_GUEST_OP_FAILED;
    resume(&latency);
    assert_int_equal(h->last.err, PB_GUEST_OP_FAILED);
    assert_int_equal(seen_latency(), 0);
    /* of what may, all of it: it may be another one */
    leave(&read_id, PB_OP_ANSWERED, 0);
    mark->value = 0x5a1e;
    resume(&read_id);
    assert_int_equal(h->last.value, 0x10d38086);
}

static void H10_answered_enable_answers_the_same_pirqs(void **state)
{
    uint16_t vectors[2];

    (void)state;
    assert_int_equal(hostile_op(h, &enable), 0);
    vectors[0] = h->last.entries[0].vector;
    vectors[1] = h->last.entries[1].vector;
    assert_true(vectors[0] && vectors[1]);
    leave(&enable, PB_OP_ANSWERED, PB_DID_ENABLE | PB_DID_MAP);
    mark->value = 0;
    resume(&enable);
    assert_int_equal(h->last.err, 0);
    assert_int_equal(h->last.entries[0].vector, vectors[0]);
    assert_int_equal(h->last.entries[1].vector, vectors[1]);
    assert_int_equal(hostile_vectors(h), 2);
}

/* All mapped, but not answered: they are kept, and enabled. */
static void H10_mapped_enable_answers_the_same_pirqs(void **state)
{
    uint16_t first;

    (void)state;
    assert_int_equal(hostile_op(h, &enable), 0);
    first = h->last.entries[0].vector;
    sim_device_change(h->nic, MSIX_AT + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE,
                      PCI_MSIX_FLAGS_MASKALL);
    leave(&enable, PB_OP_BEGUN, PB_DID_ENABLE | PB_DID_MAP);
    resume(&enable);
    assert_int_equal(h->last.entries[0].vector, first);
    assert_int_equal(hostile_vectors(h), 2);
    assert_int_equal(pb_le16(&h->nic->config[MSIX_AT + PCI_MSIX_FLAGS]) & 0xc000,
                     PCI_MSIX_FLAGS_ENABLE);
}

/* H9 (c): both sides would disagree. */
static void H9_enable_given_up_is_undone(void **state)
{
    const struct pb_op *const pages[] = { NULL, &read_id };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(hostile_op(h, &enable), 0);
        leave(&enable, PB_OP_BEGUN, PB_DID_ENABLE | PB_DID_MAP);
        resume(pages[i]);
        assert_int_equal(hostile_vectors(h), 0);
        assert_int_equal(h->dev->interrupts.count, 0);
    }
}

/* The flag is clear. The page says whether that was an answer, or its frontend giving up. */
static void H9_answered_enable_with_a_clear_flag(void **state)
{
    struct pb_op page;

    (void)state;
    assert_int_equal(hostile_op(h, &enable), 0);
    leave(&enable, PB_OP_ANSWERED, PB_DID_ENABLE | PB_DID_MAP);
    mark->value = 0;
    page = h->last;
    memcpy(h->page + PB_PAGE_OP, &page, sizeof(page));
    resume(NULL);
    assert_int_equal(hostile_vectors(h), 2);
    leave(&enable, PB_OP_ANSWERED, PB_DID_ENABLE | PB_DID_MAP);
    mark->value = 0;
    memcpy(h->page + PB_PAGE_OP, &enable, sizeof(enable)); /* as posted: value 2, no answer */
    resume(NULL);
    assert_int_equal(hostile_vectors(h), 0);
}

static void H9_disable_is_brought_to_its_end(void **state)
{
    const struct pb_op *const pages[] = { NULL, &read_id, &disable };

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(hostile_op(h, &enable), 0);
        leave(&disable, PB_OP_BEGUN, 0);
        resume(pages[i]);
        assert_int_equal(hostile_vectors(h), 0);
    }
}

/* Woken, and registers lost: they come back, though nobody waits. */
static void H9_a_device_in_between_comes_out_of_it(void **state)
{
    const struct pb_op sleep = { .cmd = PB_CMD_CONF_WRITE, .offset = PMCSR, .size = 2, .value = 3 };
    const struct pb_op wake = { .cmd = PB_CMD_CONF_WRITE, .offset = PMCSR, .size = 2 };
    const uint32_t bar = pb_le32(&h->nic->config[PCI_BAR0]);

    (void)state;
    assert_int_equal(hostile_op(h, &sleep), 0);
    sim_device_write(h->nic, PMCSR, 2, 0);
    assert_int_equal(pb_le32(&h->nic->config[PCI_BAR0]), 0);
    leave(&wake, PB_OP_BEGUN, PB_DID_CHANGE);
    mark->kept =
        (struct pb_access_kept){ .has_power = true, .power = 3, .has_command = true, .command = 3 };
    resume(NULL);
    assert_int_equal(pb_le32(&h->nic->config[PCI_BAR0]), bar);
    assert_int_equal(pb_le16(&h->nic->config[COMMAND]) & 3, 3);
}

static void H9_two_processes_ended_fence_it(void **state)
{
    (void)state;
    leave(&latency, PB_OP_BEGUN, 0);
    mark->processes = 2;
    resume(&latency);
    assert_true(g->fenced);
    assert_int_equal(h->last.err, PB_GUEST_OP_FAILED);
    assert_int_equal(seen_latency(), 0);
    assert_int_equal(hostile_access(h, false, 0, 4, 0), PB_GUEST_OP_FAILED);
    assert_int_equal(g->counters.fenced_ops, 2);
    /* and stays so, whatever the marker of another one says */
    leave(&enable, PB_OP_ANSWERED, PB_DID_ENABLE);
    resume(&enable);
    assert_int_equal(h->last.err, PB_GUEST_OP_FAILED);
}

/* It was answered: those two processes ended by something else. */
static void H9_answered_is_no_fence(void **state)
{
    (void)state;
    leave(&read_id, PB_OP_ANSWERED, 0);
    mark->processes = 2;
    resume(&read_id);
    assert_false(g->fenced);
    assert_int_equal(h->last.value, 0x10d38086);
}

/* Of a frontend before this one nothing is carried out, and nothing is held against this one. */
static void H9_another_connections_operation_is_forgotten(void **state)
{
    (void)state;
    leave(&latency, PB_OP_BEGUN, PB_DID_CALL);
    mark->connection--;
    mark->processes = 2;
    resume(&read_id);
    assert_false(g->fenced);
    assert_int_equal(seen_latency(), 0);
}

/* A guest that takes back what it kills us with must not do so for ever. */
static void H9_killing_and_fleeing_is_fenced(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        leave(&latency, PB_OP_BEGUN, 0);
        resume(i ? &read_id : NULL);
        assert_false(g->fenced);
        assert_int_equal(hostile_op(h, &read_id), 0); /* it behaves well in between */
    }
    leave(&latency, PB_OP_BEGUN, 0);
    mark->processes = 0; /* it waited for something: the death was not its doing */
    resume(NULL);
    assert_false(g->fenced);
    leave(&latency, PB_OP_BEGUN, 0);
    resume(NULL);
    assert_true(g->fenced);
    assert_int_equal(hostile_op(h, &read_id), PB_GUEST_OP_FAILED);
}

/* H15: adoption binds, which sets the port pending. */
static void H15_the_event_after_a_resume_is_not_spurious(void **state)
{
    (void)state;
    resume(NULL);
    hostile_notify(h, h->dom);
    hostile_settle(h);
    assert_int_equal(g->counters.spurious_events, 0);
    hostile_notify(h, h->dom);
    hostile_settle(h);
    assert_int_equal(g->counters.spurious_events, 1); /* but the next one is */
}

/* H10: what was given once and is free now does not end the sweep; what never was does. */
static void H10_a_sweep_passes_holes_and_spares_the_line(void **state)
{
    const uint32_t top = h->w->gsi_count + h->w->msi_pirqs - 1;
    const uint32_t line = h->dev->facts.irq;
    struct sim_pirq *pirq = h->dom->pirq;

    (void)state;
    for (uint32_t p = top - 5; p <= top; p++)
        pb_journal_note_pirq(h->b->journal, p);
    pirq[top - 3] = (struct sim_pirq){ .used = true, .msix = true, .entry = 4, .device = h->nic };
    pirq[top - 8] = (struct sim_pirq){ .used = true, .device = NULL }; /* beyond the first hole */
    assert_int_equal(pb_inflight_sweep(g), 1);
    assert_false(pirq[top - 3].used);
    assert_true(pirq[top - 8].used);
    assert_true(pirq[line].used);
    memset(&pirq[top - 8], 0, sizeof(pirq[0]));
}

/* H1: what Xen has torn down with its device must not be unmapped. */
static void H1_no_sweep_once_a_device_is_gone(void **state)
{
    const uint32_t top = h->w->gsi_count + h->w->msi_pirqs - 1;
    struct sim_pirq *pirq = &h->dom->pirq[top];

    (void)state;
    pb_journal_note_pirq(h->b->journal, top);
    *pirq = (struct sim_pirq){ .used = true, .msix = true, .entry = 4, .device = h->nic };
    h->dev->gone = true;
    assert_int_equal(pb_inflight_sweep(g), 0);
    assert_true(pirq->used);
    h->dev->gone = false;
    assert_int_equal(pb_inflight_sweep(g), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, hostile_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(H9_begun_and_waited_for_is_carried_out),
        TEST(H9_begun_and_given_up_is_forgotten),
        TEST(H9_partly_done_and_given_up_is_finished),
        TEST(H9_plugins_are_not_asked_twice),
        TEST(H9_answered_and_still_there),
        TEST(H10_answered_enable_answers_the_same_pirqs),
        TEST(H10_mapped_enable_answers_the_same_pirqs),
        TEST(H9_enable_given_up_is_undone),
        TEST(H9_answered_enable_with_a_clear_flag),
        TEST(H9_disable_is_brought_to_its_end),
        TEST(H9_a_device_in_between_comes_out_of_it),
        TEST(H9_two_processes_ended_fence_it),
        TEST(H9_killing_and_fleeing_is_fenced),
        TEST(H9_answered_is_no_fence),
        TEST(H9_another_connections_operation_is_forgotten),
        TEST(H15_the_event_after_a_resume_is_not_spurious),
        TEST(H10_a_sweep_passes_holes_and_spares_the_line),
        TEST(H1_no_sweep_once_a_device_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
