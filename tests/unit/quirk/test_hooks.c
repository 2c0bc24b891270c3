/* SPDX-License-Identifier: MIT */
/* Plugins in accesses: their masks, their verdicts, their clocks. */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "plugged.h"
/* --- what a plugin sees --- */

static void only_listed_registers_reach_a_plugin(void **state)
{
    (void)state;
    own(plug(profile, "fake", "{}"), 0x44, 2, 0x0ff0);
    start();
    f->access = answering;
    assert_false(pb_hooks_cover(hooks, 0x43, 1));
    assert_true(pb_hooks_cover(hooks, 0x44, 1));
    assert_true(pb_hooks_cover(hooks, 0x45, 1));
    assert_false(pb_hooks_cover(hooks, 0x46, 2));
    assert_true(pb_hooks_cover(hooks, 0x44, 4));
    assert_int_equal(write_it(0x40, 4, 0xffffffff), 0xffffffff);
    assert_int_equal(read_it(0x46, 2, 0, 0x1234), 0x1234);
    assert_int_equal(f->accesses, 0);
    assert_int_equal(read_it(0x44, 4, 0, 0x12345678), 0x12345678);
    assert_int_equal(f->accesses, 1);
    assert_int_equal(f->last.mask, 0x0ff0);
    assert_int_equal(f->last.value, 0x0670);
    assert_int_equal(f->last.raw, 0);
    assert_int_equal(f->last.offset, 0x44);
    assert_int_equal(f->last.size, 4);
    assert_int_equal(f->last.write, 0);
    assert_int_equal(f->last.struct_size, sizeof(struct pcibackd_access));
}

/* However a guest splits or spans registers, a plugin finds its bits where they are. */
static void masks_follow_an_access_that_is_split_or_spans(void **state)
{
    struct pb_binding *b = plug(profile, "fake", "{}");

    (void)state;
    own(b, 0x50, 4, 0xa1b2c3d4);
    own(b, 0x54, 2, 0x00ff);
    start();
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(write_it(0x50 + i, 1, 0xff), 0xff);
        assert_int_equal(f->last.mask, 0xa1b2c3d4 >> 8 * i & 0xff);
        assert_int_equal(f->last.value, f->last.mask);
        assert_int_equal(f->last.write, 1);
    }
    (void)write_it(0x52, 2, 0xffff);
    assert_int_equal(f->last.mask, 0xa1b2);
    (void)write_it(0x54, 4, UINT32_MAX);
    assert_int_equal(f->last.mask, 0x00ff);
    (void)read_it(0x54, 2, 0, 0);
    assert_int_equal(f->last.mask, 0x00ff);
    /* The last bytes there are. */
    (void)read_it(PB_CONFIG_SIZE_PCIE - 4, 4, 0, 0);
    assert_int_equal(f->accesses, 7);
}

static void accesses_that_are_none_cover_nothing(void **state)
{
    struct pb_binding *b = plug(profile, "fake", "{}");

    (void)state;
    memset(b->mask, 0xff, sizeof(b->mask));
    start();
    assert_true(pb_hooks_cover(hooks, PB_CONFIG_SIZE_PCIE - 1, 1));
    assert_false(pb_hooks_cover(hooks, PB_CONFIG_SIZE_PCIE - 1, 2));
    assert_false(pb_hooks_cover(hooks, PB_CONFIG_SIZE_PCIE, 1));
    assert_false(pb_hooks_cover(hooks, UINT32_MAX, 4));
    assert_false(pb_hooks_cover(hooks, 0, 0));
    assert_false(pb_hooks_cover(hooks, 0, 3));
    assert_false(pb_hooks_cover(hooks, 0, 8));
    assert_int_equal(write_it(UINT32_MAX - 3, 4, 7), 7);
    assert_int_equal(read_it(PB_CONFIG_SIZE_PCIE, 4, 0, 7), 7);
    assert_int_equal(f->accesses, 0);
    assert_false(pb_hooks_cover(NULL, 0, 4));
}

static void raw_is_for_those_who_asked_and_masked(void **state)
{
    (void)state;
    own(plug(profile, "fake", "{}"), 0x40, 4, 0x00ff00ff);
    own(plug(profile, "fake-raw", "{}"), 0x40, 4, 0x00ff00ff);
    start();
    (void)read_it(0x40, 4, 0x12345678, 0);
    assert_int_equal(f->last.raw, 0);
    assert_int_equal(raw->last.raw, 0x00340078);
}

static void without_callbacks_nothing_happens(void **state)
{
    struct pb_hook_view v;

    (void)state;
    own(plug(profile, "bare", "{}"), 0x40, 4, UINT32_MAX);
    start();
    assert_int_equal(write_it(0x40, 4, 0x55), 0x55);
    assert_int_equal(handled | denied, 0);
    assert_int_equal(read_it(0x40, 4, 1, 0x66), 0x66);
    v = view_of(0);
    assert_int_equal(v.faults, 0);
    pb_hooks_stats(hooks, NULL, NULL);
}

static void plugins_may_be_written_in_strict_C11_and_Cxx17(void **state)
{
    (void)state;
    own(plug(profile, "c11", "{}"), 0x40, 4, UINT32_MAX);
#ifdef PB_HAVE_CXX
    own(plug(profile, "cxx", "{}"), 0x40, 4, 0xff);
    start();
    assert_int_equal(read_it(0x40, 4, 0, 0x11111111), 0x11111134);
#else
    start();
    assert_int_equal(read_it(0x40, 4, 0, 0x11111111), 0x11111111);
#endif
}

static void a_device_without_plugins_has_hooks_that_do_nothing(void **state)
{
    (void)state;
    start();
    assert_false(pb_hooks_cover(hooks, 0, 4));
    assert_int_equal(write_it(0, 4, 5), 5);
    assert_false(pb_hooks_traces(hooks));
    assert_false(pb_hooks_traces(NULL));
}

/* --- verdicts --- */

static void a_write_is_passed_handled_or_denied_within_the_mask(void **state)
{
    (void)state;
    own(plug(profile, "fake", "{}"), 0x40, 4, 0x0000ffff);
    start();
    f->access = answering;
    add = 0x00000100;
    assert_int_equal(write_it(0x40, 4, 0xaaaa0001), 0xaaaa0101); /* changed and passed on */
    assert_int_equal(handled, 0);
    assert_int_equal(denied, 0);
    verdict = PCIBACKD_HANDLED;
    (void)write_it(0x40, 4, 1);
    assert_int_equal(handled, 0x0000ffff);
    assert_int_equal(denied, 0);
    verdict = PCIBACKD_DENY;
    (void)write_it(0x40, 4, 1);
    assert_int_equal(handled, 0);
    assert_int_equal(denied, 0x0000ffff);
    (void)write_it(0x41, 1, 1);
    assert_int_equal(denied, 0xff);
    assert_int_equal(view_of(0).faults, 1); /* of the last: 0x100 is not in a byte */
}

static void a_read_is_changed_or_denied_within_the_mask(void **state)
{
    (void)state;
    own(plug(profile, "fake", "{}"), 0x40, 4, 0x0000ffff);
    start();
    f->access = answering;
    add = 0x0100;
    assert_int_equal(read_it(0x40, 4, 0, 0xaaaa0001), 0xaaaa0101);
    verdict = PCIBACKD_HANDLED; /* the same as PASS */
    assert_int_equal(read_it(0x40, 4, 0, 0xaaaa0001), 0xaaaa0101);
    verdict = PCIBACKD_DENY;
    assert_int_equal(read_it(0x40, 4, 0, 0xaaaa0001), 0xaaaa0000);
    assert_int_equal(view_of(0).faults, 0);
}

static void bits_outside_the_mask_never_change(void **state)
{
    (void)state;
    own(plug(profile, "fake", "{}"), 0x40, 4, 0x000000ff);
    start();
    f->access = answering;
    add = 0xffff0011;
    assert_int_equal(write_it(0x40, 4, 0x00000700), 0x00000711);
    assert_int_equal(view_of(0).faults, 1);
    assert_int_equal(read_it(0x40, 4, 0, 0x00000700), 0x00000711);
    assert_int_equal(view_of(0).faults, 2);
}

static void unknown_verdicts_are_faults_and_mean_nothing(void **state)
{
    static const int verdicts[] = { 3, 99, -1, -EINVAL };

    (void)state;
    own(plug(profile, "fake", "{}"), 0x40, 4, UINT32_MAX);
    start();
    f->access = answering;
    add = 0xff;
    for (size_t i = 0; i < PB_ARRAY_SIZE(verdicts); i++) {
        verdict = verdicts[i];
        assert_int_equal(write_it(0x40, 4, 0x100), 0x100);
        assert_int_equal(handled | denied, 0);
        assert_int_equal(view_of(0).faults, i + 1);
    }
}

static int rewriting(const struct pcibackd_device *dev, void *state, struct pcibackd_access *access)
{
    (void)dev;
    (void)state;
    memset(access, 0xff, sizeof(*access));
    return PCIBACKD_HANDLED;
}

static void a_plugin_that_spoils_the_access_harms_only_its_own_bits(void **state)
{
    (void)state;
    own(plug(profile, "fake", "{}"), 0x40, 4, 0x0f);
    own(plug(profile, "fake2", "{}"), 0x40, 4, 0xff);
    start();
    f->access = rewriting;
    assert_int_equal(write_it(0x40, 4, 0), 0x0f);
    assert_int_equal(handled, 0x0f);
    assert_int_equal(f2->last.mask, 0xf0);
    assert_int_equal(f2->last.size, 4);
    assert_int_equal(f2->last.offset, 0x40);
}

static void plugins_of_a_device_are_asked_in_order(void **state)
{
    (void)state;
    own(plug(profile, "fake", "{}"), 0x40, 4, 0x00ff);
    own(plug(profile, "fake2", "{}"), 0x40, 4, 0x0fff);
    own(plug(profile, "fake-raw", "{}"), 0x44, 4, 0xff);
    own(plug(profile, "fake-trace", "{}"), 0x40, 4, 0xffff0000);
    start();
    f->access = answering;
    add = 0x08;
    (void)read_it(0x40, 4, 0, 0x1111);
    assert_int_equal(f2->last.value, 0x0119); /* what the first one made of it */
    assert_int_equal(raw->accesses, 0);
    assert_int_equal(tracer->accesses, 1);
    verdict = PCIBACKD_DENY;
    (void)write_it(0x40, 4, 0x1111);
    assert_int_equal(f2->last.mask, 0x0f00); /* what the first one denied is over */
    assert_int_equal(denied, 0x00ff);
    (void)write_it(0x40, 1, 0x11);
    assert_int_equal(f2->accesses, 2); /* nothing is left for it */
}

/* --- slow and faulty --- */

static void a_call_of_more_than_a_millisecond_is_slow(void **state)
{
    (void)state;
    own(plug(profile, "fake", "{}"), 0x40, 4, UINT32_MAX);
    start();
    f->access = just_fast;
    (void)read_it(0x40, 4, 0, 0);
    assert_int_equal(view_of(0).slow, 0);
    assert_int_equal(view_of(0).longest_us, 1000);
    f->access = slow;
    (void)read_it(0x40, 4, 0, 0);
    assert_int_equal(view_of(0).slow, 1);
    assert_int_equal(view_of(0).longest_us, 1001);
    assert_int_equal(view_of(0).calls, 3); /* and attach */
}

/* The clock also runs while somebody else has the processor: a guest that asks often finds that. */
static void prompt_calls_make_up_for_slow_ones(void **state)
{
    (void)state;
    own(plug(profile, "fake", "{}"), 0x40, 4, UINT32_MAX);
    start();
    for (unsigned i = 0; i < 4 * PB_PLUGIN_FAULTS_MAX; i++) {
        f->access = slow;
        (void)read_it(0x40, 4, 0, 0);
        f->access = just_fast;
        for (unsigned n = 0; n < PB_PLUGIN_PROMPT; n++)
            (void)read_it(0x40, 4, 0, 0);
    }
    assert_false(view_of(0).disabled);
    assert_int_equal(view_of(0).slow, 4 * PB_PLUGIN_FAULTS_MAX);
    f->access = slow;
    for (unsigned i = 0; i < PB_PLUGIN_FAULTS_MAX; i++)
        (void)read_it(0x40, 4, 0, 0);
    assert_true(view_of(0).disabled);
}

static void after_eight_slow_calls_and_faults_it_is_switched_off(void **state)
{
    struct pb_hook_view v;

    (void)state;
    own(plug(profile, "fake", "{}"), 0x40, 4, UINT32_MAX);
    own(plug(profile, "fake2", "{}"), 0x48, 4, UINT32_MAX);
    start();
    f->access = slow;
    for (unsigned i = 1; i < PB_PLUGIN_FAULTS_MAX; i++)
        (void)write_it(0x40, 4, 0);
    assert_false(view_of(0).disabled);
    assert_null(view_of(0).why_disabled);
    f->access = answering;
    verdict = 77;
    (void)write_it(0x40, 4, 0);
    v = view_of(0);
    assert_true(v.disabled);
    assert_int_equal(v.slow, 7);
    assert_int_equal(v.faults, 1);
    assert_string_equal(v.why_disabled, "7 slow calls (the slowest 1001 us), 1 faults; the last: "
                                        "a verdict that does not exist");
    assert_string_equal(v.plugin, "fake");
    assert_string_equal(v.quirk, "some-quirk");
    /* It is not asked any more, the other one is. */
    assert_false(pb_hooks_cover(hooks, 0x40, 4));
    (void)write_it(0x40, 4, 0);
    (void)read_it(0x40, 4, 0, 0);
    assert_int_equal(f->accesses, PB_PLUGIN_FAULTS_MAX);
    assert_true(pb_hooks_cover(hooks, 0x48, 1));
    assert_false(view_of(1).disabled);
    pb_hooks_free(hooks);
    hooks = NULL;
    assert_int_equal(f->detaches, 1); /* what it holds, it can still give up */
    /* The next guest finds it on. */
    start();
    assert_true(pb_hooks_cover(hooks, 0x40, 4));
}

/* --- attach and detach --- */

static void each_guest_gets_a_state_of_its_own(void **state)
{
    (void)state;
    own(plug(profile, "fake", "{}"), 0x40, 4, UINT32_MAX);
    start();
    (void)read_it(0x40, 4, 0, 0);
    assert_ptr_equal(f->state, (void *)1);
    pb_hooks_free(hooks);
    assert_int_equal(f->detaches, 1);
    assert_ptr_equal(f->state, (void *)1);
    start();
    (void)read_it(0x40, 4, 0, 0);
    assert_ptr_equal(f->state, (void *)2);
    assert_int_equal(f->loads, 1);
}

static void a_failed_attach_undoes_the_others(void **state)
{
    (void)state;
    own(plug(profile, "fake", "{}"), 0x40, 4, UINT32_MAX);
    own(plug(profile, "fake2", "{}"), 0x44, 4, UINT32_MAX);
    f2->attach_rc = -ENOSPC;
    assert_int_equal(pb_hooks_new(profile, &hooks, why, sizeof(why)), -ENOSPC);
    assert_null(hooks);
    assert_why("plugin fake2 of quirk some-quirk: attach: No space left");
    assert_int_equal(f->attaches, 1);
    assert_int_equal(f->detaches, 1);
    assert_int_equal(f2->detaches, 0); /* it has nothing */
    f2->attach_rc = 3;
    assert_int_equal(pb_hooks_new(profile, &hooks, why, sizeof(why)), -EPROTO);
    f2->attach_rc = 0;
    start();
}

static void a_failed_load_refuses_the_guest(void **state)
{
    (void)state;
    own(plug(profile, "fake", "{}"), 0x40, 4, UINT32_MAX);
    f->load_rc = -ENODEV;
    assert_int_equal(pb_hooks_new(profile, &hooks, why, sizeof(why)), -ENODEV);
    assert_why("plugin fake of quirk some-quirk: plugin fake: load: No such device");
    assert_int_equal(f->attaches, 0);
}

static void parameters_that_are_no_object_are_refused(void **state)
{
    (void)state;
    plug(profile, "fake", "[1]");
    assert_int_equal(pb_hooks_new(profile, &hooks, why, sizeof(why)), -EINVAL);
    assert_why("params");
}

/* --- services --- */

static void look_at_services(const struct pcibackd_device *dev, const char *callback)
{
    const struct pcibackd_host *host = f->host;
    const struct pcibackd_info *info;
    uint64_t value64;
    uint32_t value;

    if (strcmp(callback, "attach") != 0)
        return;
    info = host->info(dev);
    assert_int_equal(info->struct_size, sizeof(*info));
    assert_int_equal(info->bus, 3);
    assert_int_equal(info->vendor, 0x8086);
    assert_int_equal(info->device, 0x10d3);
    assert_int_equal(info->class_code, 0x020000);
    assert_int_equal(info->config_size, 0x600);
    assert_string_equal(host->param(dev, "text"), "as \"it\" is");
    assert_string_equal(host->param(dev, "number"), "5");
    assert_string_equal(host->param(dev, "list"), "[1,{\"a\":null}]");
    assert_null(host->param(dev, "absent"));
    assert_int_equal(host->image(dev, 0x42, 4), 0x45444342 ^ 0);
    assert_int_equal(host->image(dev, 0x700, 1), 0x07);
    assert_int_equal(host->image(dev, 0xffe, 2), 0xf0f1);
    assert_int_equal(host->image(dev, 0xffe, 4), UINT32_MAX);
    assert_int_equal(host->image(dev, 0x1000, 1), 0xff);
    assert_int_equal(host->image(dev, 0xffff, 2), 0xffff);
    assert_int_equal(host->image(dev, 0, 3), UINT32_MAX);
    /* Registers are out of reach on the loop, and nobody sleeps there. */
    assert_int_equal(host->config_read(dev, 0, 4, &value), -EPERM);
    assert_int_equal(host->config_write(dev, 4, 2, 0), -EPERM);
    assert_int_equal(host->bar_read(dev, 0, 0, 4, &value64), -EPERM);
    assert_int_equal(host->bar_write(dev, 0, 0, 4, 0), -EPERM);
    host->sleep_ms(100000);
    host->log(dev, PCIBACKD_INFO, "seen");
    host->log(NULL, PCIBACKD_DEBUG, NULL);
}

static void the_services_tell_what_was_true_at_claim(void **state)
{
    (void)state;
    profile->traits.set[PB_TRAIT_CONFIG_SIZE] = true;
    profile->traits.config_size = 0x600;
    own(plug(profile, "fake",
             "{\"text\":\"as \\\"it\\\" is\",\"number\":5,\"list\":[1,{\"a\":null}]}"),
        0x40, 4, UINT32_MAX);
    f->call = look_at_services;
    start();
    assert_int_equal(f->attaches, 1);
    f->call = NULL;
}

static unsigned lines;

static void count_line(void *ctx, const char *name, uint64_t value)
{
    unsigned *sum = ctx;

    *sum += (unsigned)value;
    if (strcmp(name, "fake.accesses") == 0)
        lines++;
}

static void tell(const struct pcibackd_device *dev, const char *callback)
{
    (void)callback;
    f->host->log(dev, PCIBACKD_ERR, "something that a guest can bring about");
}

/* A frontend that begins anew all the time starts the device's plugins anew each time. */
static void plugins_that_begin_anew_do_not_log_more_for_it(void **state)
{
    FILE *file = tmpfile();
    int old_stderr = dup(STDERR_FILENO), told = 0;

    (void)state;
    assert_non_null(file);
    own(plug(profile, "fake", "{}"), 0x40, 4, UINT32_MAX);
    f->call = tell;
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    for (unsigned i = 0; i < 50; i++) {
        start();
        pb_hooks_free(hooks);
        hooks = NULL;
    }
    assert_true(dup2(old_stderr, STDERR_FILENO) >= 0);
    (void)close(old_stderr);
    f->call = NULL;
    rewind(file);
    for (int c = getc(file); c != EOF; c = getc(file))
        told += c == '\n';
    (void)fclose(file);
    assert_in_range(told, 2, 10 + 1); /* one of load, which is about no device */
}

static void numbers_carry_their_plugins_name(void **state)
{
    unsigned sum = 0;

    (void)state;
    own(plug(profile, "fake", "{}"), 0x40, 4, UINT32_MAX);
    start();
    (void)read_it(0x40, 4, 0, 0);
    (void)read_it(0x40, 4, 0, 0);
    lines = 0;
    pb_hooks_stats(hooks, count_line, &sum);
    assert_int_equal(lines, 1);
    assert_int_equal(sum, 3);
    assert_int_equal(view_of(0).calls, 4);
    pb_hooks_stats(NULL, count_line, &sum);
}

/* --- who is called (T16) --- */

static struct {
    bool off;
    unsigned entered, left, calls;
    char name[PB_PLUGIN_NAME_MAX + 1];
    uint64_t file;
} guarded;

static void entered(void *ctx, const char *name, uint64_t file)
{
    assert_ptr_equal(ctx, &guarded);
    assert_int_equal(guarded.entered++, guarded.left);
    (void)snprintf(guarded.name, sizeof(guarded.name), "%s", name);
    guarded.file = file;
}

static void left(void *ctx)
{
    assert_ptr_equal(ctx, &guarded);
    assert_int_equal(++guarded.left, guarded.entered);
}

static bool is_off(void *ctx, const char *name, uint64_t file)
{
    assert_ptr_equal(ctx, &guarded);
    (void)name;
    (void)file;
    return guarded.off;
}

static const struct pb_plugin_guard plugin_guard = {
    .enter = entered, .leave = left, .is_off = is_off, .ctx = &guarded
};

static void inside(const struct pcibackd_device *dev, const char *callback)
{
    (void)dev;
    (void)callback;
    assert_int_equal(guarded.entered, guarded.left + 1);
    guarded.calls++;
}

static int inside_access(const struct pcibackd_device *dev, void *state,
                         struct pcibackd_access *access)
{
    (void)state;
    (void)access;
    inside(dev, "access");
    return PCIBACKD_PASS;
}

static void t16_each_call_is_told_before_and_after(void **state)
{
    unsigned sum = 0;

    (void)state;
    memset(&guarded, 0, sizeof(guarded));
    own(plug(profile, "fake", "{}"), 0x40, 4, UINT32_MAX);
    f->call = inside;
    f->access = inside_access;
    pb_plugin_set_guard(&plugin_guard);
    start();
    (void)read_it(0x40, 4, 0, 0);
    (void)write_it(0x40, 4, 0);
    pb_hooks_stats(hooks, count_line, &sum);
    pb_hooks_free(hooks);
    hooks = NULL;
    assert_string_equal(guarded.name, "fake");
    assert_int_not_equal(guarded.file, 0);
    assert_int_equal(guarded.entered, guarded.left);
    assert_in_range(guarded.calls, 6,
                    guarded.entered); /* load, attach, 2 accesses, stats, detach */
    pb_plugin_set_guard(NULL);
    f->call = NULL;
}

static void t16_one_that_ended_the_daemon_is_never_called(void **state)
{
    unsigned sum = 0;

    (void)state;
    memset(&guarded, 0, sizeof(guarded));
    guarded.off = true;
    own(plug(profile, "fake", "{}"), 0x40, 4, UINT32_MAX);
    f->attach_rc = -EIO;
    pb_plugin_set_guard(&plugin_guard);
    start();
    assert_false(pb_hooks_cover(hooks, 0x40, 4));
    assert_int_equal(read_it(0x40, 4, 0, 0x1234), 0x1234);
    pb_hooks_stats(hooks, count_line, &sum);
    assert_true(view_of(0).disabled);
    assert_non_null(strstr(view_of(0).why_disabled, "ended the daemon"));
    pb_hooks_free(hooks);
    hooks = NULL;
    assert_int_equal(guarded.entered, 0);
    assert_int_equal(f->attaches + f->detaches + f->accesses, 0);
    pb_plugin_set_guard(NULL);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        RULE(only_listed_registers_reach_a_plugin),
        RULE(masks_follow_an_access_that_is_split_or_spans),
        RULE(accesses_that_are_none_cover_nothing),
        RULE(raw_is_for_those_who_asked_and_masked),
        RULE(without_callbacks_nothing_happens),
        RULE(plugins_may_be_written_in_strict_C11_and_Cxx17),
        RULE(a_device_without_plugins_has_hooks_that_do_nothing),
        RULE(a_write_is_passed_handled_or_denied_within_the_mask),
        RULE(a_read_is_changed_or_denied_within_the_mask),
        RULE(bits_outside_the_mask_never_change),
        RULE(unknown_verdicts_are_faults_and_mean_nothing),
        RULE(a_plugin_that_spoils_the_access_harms_only_its_own_bits),
        RULE(plugins_of_a_device_are_asked_in_order),
        RULE(a_call_of_more_than_a_millisecond_is_slow),
        RULE(prompt_calls_make_up_for_slow_ones),
        RULE(after_eight_slow_calls_and_faults_it_is_switched_off),
        RULE(each_guest_gets_a_state_of_its_own),
        RULE(a_failed_attach_undoes_the_others),
        RULE(a_failed_load_refuses_the_guest),
        RULE(parameters_that_are_no_object_are_refused),
        RULE(the_services_tell_what_was_true_at_claim),
        RULE(plugins_that_begin_anew_do_not_log_more_for_it),
        RULE(numbers_carry_their_plugins_name),
        RULE(t16_each_call_is_told_before_and_after),
        RULE(t16_one_that_ended_the_daemon_is_never_called),
    };

    pb_log_setup(PB_LOG_TEXT, PB_LOG_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
