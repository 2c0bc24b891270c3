/* SPDX-License-Identifier: MIT */
/* Plugins over time: the trace that they leave, and what a reload leaves of them. */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/log.h"
#include "plugged.h"
/* --- trace --- */

static int recording(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access)
{
    (void)state;
    tracer->host->trace(dev, access);
    return PCIBACKD_PASS;
}

static unsigned seen;
static uint64_t first_number, last_number;

static void see(void *ctx, const struct pb_trace_entry *entry)
{
    (void)ctx;
    if (seen++ == 0)
        first_number = entry->number;
    else
        assert_int_equal(entry->number, last_number + 1);
    last_number = entry->number;
    assert_int_equal(entry->offset, 0x40);
    assert_int_equal(entry->size, 2);
    assert_int_equal(entry->mask, 0xffff);
    assert_int_equal(entry->write, entry->number % 2);
    assert_int_equal(entry->value, entry->number & 0xffff);
    assert_int_equal(entry->at_ns, entry->number * 10);
}

static uint64_t look_since(uint64_t since)
{
    uint64_t lost;

    seen = 0;
    first_number = last_number = 0;
    pb_hooks_trace(hooks, since, see, NULL, &lost);
    return lost;
}

static void the_trace_keeps_the_newest_and_counts_the_lost(void **state)
{
    (void)state;
    own(plug(profile, "fake-trace", "{}"), 0x40, 4, UINT32_MAX);
    start();
    tracer->access = recording;
    assert_true(pb_hooks_traces(hooks));
    assert_int_equal(look_since(0), 0);
    assert_int_equal(seen, 0);
    for (unsigned n = 1; n <= PB_TRACE_ENTRIES + 10; n++) {
        now_ns = n * 10;
        if (n % 2)
            (void)write_it(0x40, 2, n & 0xffff);
        else
            (void)read_it(0x40, 2, 0, n & 0xffff);
        if (n == 3) {
            assert_int_equal(look_since(1), 0);
            assert_int_equal(seen, 2);
            assert_int_equal(first_number, 2);
        }
    }
    assert_int_equal(look_since(0), 10);
    assert_int_equal(seen, PB_TRACE_ENTRIES);
    assert_int_equal(first_number, 11);
    assert_int_equal(last_number, PB_TRACE_ENTRIES + 10);
    assert_int_equal(look_since(10), 0);
    assert_int_equal(seen, PB_TRACE_ENTRIES);
    assert_int_equal(look_since(9), 1);
    assert_int_equal(look_since(PB_TRACE_ENTRIES + 8), 0);
    assert_int_equal(seen, 2);
    assert_int_equal(look_since(PB_TRACE_ENTRIES + 10), 0);
    assert_int_equal(look_since(UINT64_MAX), 0);
    assert_int_equal(seen, 0);
}

static void who_did_not_ask_for_a_trace_has_none(void **state)
{
    (void)state;
    own(plug(profile, "fake", "{}"), 0x40, 2, UINT32_MAX);
    start();
    tracer->host = f->host;
    f->access = recording;
    (void)write_it(0x40, 2, 1);
    assert_false(pb_hooks_traces(hooks));
    assert_int_equal(look_since(0), 0);
    assert_int_equal(seen, 0);
}

/* --- a reload --- */

static struct pb_profile *other;

static void move(void)
{
    struct pb_profile *before = profile;

    pb_hooks_move(hooks, other);
    profile = other;
    free_profile(before); /* nothing of the old one is referred to any more */
}

static void a_reload_that_changes_nothing_keeps_the_state(void **state)
{
    (void)state;
    own(plug(profile, "fake", "{\"a\":1}"), 0x40, 4, UINT32_MAX);
    start();
    f->access = answering;
    verdict = 9;
    (void)read_it(0x40, 4, 0, 0);
    other = new_profile();
    other->facts.config[0] = 0x77;
    own(plug(other, "fake", "{\"a\":1}"), 0x40, 4, UINT32_MAX);
    move();
    assert_int_equal(f->attaches, 1);
    assert_int_equal(f->detaches, 0);
    assert_int_equal(view_of(0).faults, 1);
    (void)read_it(0x40, 4, 0, 0);
    assert_ptr_equal(f->state, (void *)1);
    assert_int_equal(view_of(0).faults, 2);
}

static void a_reload_that_changes_mask_or_parameters_attaches_anew(void **state)
{
    static const struct {
        const char *params;
        uint32_t mask;
    } rows[] = { { "{\"a\":2}", UINT32_MAX }, { "{\"a\":2}", 0xff }, { "{}", 0xff } };

    (void)state;
    own(plug(profile, "fake", "{\"a\":1}"), 0x40, 4, UINT32_MAX);
    start();
    for (unsigned i = 0; i < PB_ARRAY_SIZE(rows); i++) {
        other = new_profile();
        own(plug(other, "fake", rows[i].params), 0x40, 4, rows[i].mask);
        move();
        assert_int_equal(f->detaches, i + 1);
        assert_ptr_equal(f->state, (void *)(uintptr_t)(i + 1)); /* the old one */
        assert_int_equal(f->attaches, i + 2);
        (void)read_it(0x40, 4, 0, 0);
        assert_ptr_equal(f->state, (void *)(uintptr_t)(i + 2));
        assert_int_equal(f->last.mask, rows[i].mask);
    }
}

static void a_reload_adds_removes_and_reorders(void **state)
{
    (void)state;
    start(); /* with none at all */
    other = new_profile();
    own(plug(other, "fake", "{}"), 0x40, 4, 0xff);
    own(plug(other, "fake2", "{}"), 0x44, 4, 0xff);
    move();
    assert_true(pb_hooks_cover(hooks, 0x40, 1));
    other = new_profile();
    own(plug(other, "fake-trace", "{}"), 0x48, 4, 0xff);
    own(plug(other, "fake2", "{}"), 0x44, 4, 0xff);
    own(plug(other, "fake", "{}"), 0x40, 4, 0xff);
    move();
    assert_int_equal(f->attaches, 1);
    assert_int_equal(f2->attaches, 1);
    assert_int_equal(tracer->attaches, 1);
    assert_true(pb_hooks_traces(hooks));
    assert_string_equal(view_of(0).plugin, "fake-trace");
    (void)write_it(0x44, 1, 3);
    assert_int_equal(f2->last.value, 3);
    tracer->access = recording;
    (void)write_it(0x48, 1, 3);
    other = new_profile();
    move();
    assert_int_equal(f->detaches, 1);
    assert_int_equal(tracer->detaches, 1);
    assert_false(pb_hooks_cover(hooks, 0x44, 1));
    assert_false(pb_hooks_traces(hooks));
}

static void no_reload_takes_a_device_from_its_guest(void **state)
{
    (void)state;
    own(plug(profile, "fake", "{}"), 0x40, 4, UINT32_MAX);
    start();
    other = new_profile();
    own(plug(other, "fake", "{\"new\":1}"), 0x40, 4, UINT32_MAX);
    f->attach_rc = -EIO;
    move();
    assert_true(view_of(0).disabled);
    assert_string_equal(view_of(0).why_disabled, "attach: Input/output error");
    assert_false(pb_hooks_cover(hooks, 0x40, 4));
    assert_int_equal(f->detaches, 1);
    /* It has no state to give up. */
    f->attach_rc = 0;
    other = new_profile();
    own(plug(other, "fake", "{\"new\":2}"), 0x40, 4, UINT32_MAX);
    move();
    assert_int_equal(f->detaches, 1);
    assert_false(view_of(0).disabled);
}

static void what_is_switched_off_stays_so_over_a_reload(void **state)
{
    (void)state;
    own(plug(profile, "fake", "{}"), 0x40, 4, UINT32_MAX);
    start();
    f->access = slow;
    for (unsigned i = 0; i < PB_PLUGIN_FAULTS_MAX; i++)
        (void)read_it(0x40, 4, 0, 0);
    other = new_profile();
    own(plug(other, "fake", "{}"), 0x40, 4, UINT32_MAX);
    move();
    assert_true(view_of(0).disabled);
    assert_false(pb_hooks_cover(hooks, 0x40, 4));
}
int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        RULE(the_trace_keeps_the_newest_and_counts_the_lost),
        RULE(who_did_not_ask_for_a_trace_has_none),
        RULE(a_reload_that_changes_nothing_keeps_the_state),
        RULE(a_reload_that_changes_mask_or_parameters_attaches_anew),
        RULE(a_reload_adds_removes_and_reorders),
        RULE(no_reload_takes_a_device_from_its_guest),
        RULE(what_is_switched_off_stays_so_over_a_reload),
    };

    pb_log_setup(PB_LOG_TEXT, PB_LOG_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
