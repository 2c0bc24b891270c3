/* SPDX-License-Identifier: MIT */
/* Plugins around a reset: their order, their errors, and how they reach the device. */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/log.h"
#include "machine.h"
#include "plugins/fake.h"
#include "quirk/reset.h"

static struct fake *f, *f2;
static struct pb_reset_hooks *hooks;
static char why[200];
static char calls[256];

static struct fake *control(const char *name)
{
    char path[256];
    struct fake *ret;
    void *library;

    (void)snprintf(path, sizeof(path), PB_FIXTURE_DIR "/%s.so", name);
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* stays, for its counters */
    ret = library ? dlsym(library, "fake") : NULL;
    assert_non_null(ret);
    memset(ret, 0, sizeof(*ret));
    return ret;
}

static int setup(void **state)
{
    (void)state;
    f = control("fake");
    f2 = control("fake2");
    machine_init();
    hooks = NULL;
    why[0] = calls[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pb_reset_hooks_close(hooks);
    return 0;
}

static int open_plugins(const char *first, const char *second)
{
    struct pb_reset_plugin plugins[2] = { 0 };

    (void)snprintf(plugins[0].path, sizeof(plugins[0].path), "%s", machine_plugin(first));
    (void)snprintf(plugins[0].params, sizeof(plugins[0].params), "{}");
    if (second) {
        (void)snprintf(plugins[1].path, sizeof(plugins[1].path), "%s", machine_plugin(second));
        (void)snprintf(plugins[1].params, sizeof(plugins[1].params), "{\"name\":\"two\"}");
    }
    return pb_reset_hooks_open(plugins, second ? 2 : 1, true, &machine.facts, &machine_io, &hooks,
                               why, sizeof(why));
}

static int before(void)
{
    why[0] = '\0';
    return pb_reset_hooks_before(hooks, why, sizeof(why));
}

static int after(int rc)
{
    why[0] = '\0';
    return pb_reset_hooks_after(hooks, rc, why, sizeof(why));
}

static void assert_why(const char *part)
{
    if (!strstr(why, part))
        fail_msg("\"%s\" does not say \"%s\"", why, part);
}

/* --- order and errors --- */

static void note_first(const struct pcibackd_device *dev, const char *callback)
{
    size_t n = strlen(calls);

    (void)dev;
    (void)snprintf(calls + n, sizeof(calls) - n, "1:%s ", callback);
}

static void note_second(const struct pcibackd_device *dev, const char *callback)
{
    size_t n = strlen(calls);

    (void)dev;
    (void)snprintf(calls + n, sizeof(calls) - n, "2:%s ", callback);
}

static void open_noting(void)
{
    f->call = note_first;
    f2->call = note_second;
    assert_int_equal(open_plugins("fake", "fake2"), 0);
    assert_string_equal(calls, "1:load 2:load ");
    calls[0] = '\0';
}

static void plugins_are_asked_in_order_and_told_in_reverse(void **state)
{
    (void)state;
    open_noting();
    assert_int_equal(before(), 0);
    assert_int_equal(after(-EIO), 0);
    assert_string_equal(calls, "1:before_reset 2:before_reset 2:after_reset 1:after_reset ");
    assert_int_equal(f->told, -EIO);
    assert_int_equal(f2->told, -EIO);
    pb_reset_hooks_close(hooks);
    hooks = NULL;
    assert_int_equal(f->unloads, 1);
    assert_int_equal(f->attaches, 0);
}

static void a_plugin_that_has_reset_the_device_is_the_last_that_is_asked(void **state)
{
    (void)state;
    open_noting();
    f->before_rc = PCIBACKD_RESET_DONE;
    assert_int_equal(before(), PCIBACKD_RESET_DONE);
    assert_int_equal(after(0), 0);
    assert_string_equal(calls, "1:before_reset 2:after_reset 1:after_reset ");
}

static void an_error_before_ends_it_and_those_that_began_are_told(void **state)
{
    (void)state;
    open_noting();
    f2->before_rc = -EBUSY;
    assert_int_equal(before(), -EBUSY);
    assert_why("plugin fake2: before_reset: Device or resource busy");
    assert_int_equal(after(-EBUSY), 0);
    assert_string_equal(calls, "1:before_reset 2:before_reset 1:after_reset ");
    calls[0] = '\0';
    f->before_rc = 7; /* no such answer */
    assert_int_equal(before(), -EPROTO);
    assert_why("plugin fake: before_reset");
    assert_int_equal(after(-EPROTO), 0);
    assert_string_equal(calls, "1:before_reset ");
}

static void the_first_error_after_counts_and_all_are_told(void **state)
{
    (void)state;
    open_noting();
    assert_int_equal(before(), 0);
    f->after_rc = -EIO;
    f2->after_rc = 3;
    assert_int_equal(after(0), -EPROTO);
    assert_why("plugin fake2: after_reset");
    assert_int_equal(f->afters, 1);
    f2->after_rc = 0;
    assert_int_equal(before(), 0);
    assert_int_equal(after(0), -EIO);
    assert_why("plugin fake: after_reset: Input/output error");
}

static void a_plugin_without_these_callbacks_takes_no_part(void **state)
{
    (void)state;
    assert_int_equal(open_plugins("bare", NULL), 0);
    assert_int_equal(before(), 0);
    assert_int_equal(after(0), 0);
}

static void what_cannot_be_opened_is_told_and_nothing_is_done(void **state)
{
    struct pb_reset_plugin bad = { .params = "{}" };

    (void)state;
    f->load_rc = -EACCES;
    assert_int_equal(open_plugins("fake", NULL), -EACCES);
    assert_why("plugin fake: load");
    assert_int_equal(open_plugins("fake2", "magic"), -ENOEXEC);
    assert_why("plugin magic");
    assert_int_equal(f2->unloads, 1);
    assert_int_equal(open_plugins("nobody", NULL), -ENOENT);
    (void)snprintf(bad.path, sizeof(bad.path), "%s", machine_plugin("fake2"));
    (void)snprintf(bad.params, sizeof(bad.params), "[]");
    assert_int_equal(
        pb_reset_hooks_open(&bad, 1, true, &machine.facts, &machine_io, &hooks, why, sizeof(why)),
        -EINVAL);
    assert_why("params");
    assert_null(hooks);
    assert_int_equal(f2->unloads, 2);
}

/* In the helper these come from a daemon that may have been taken over. */
static void paths_that_name_no_plugin_are_refused(void **state)
{
    static const char *const paths[] = { "",        "/",           "fake.so",  "/x/.so",
                                         "/x/fake", "/x/fake.so/", "/x/a b.so" };
    struct pb_reset_plugin plugins[PB_RESET_PLUGINS_MAX + 1] = { { .params = "{}" } };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(paths); i++) {
        (void)snprintf(plugins[0].path, sizeof(plugins[0].path), "%s", paths[i]);
        assert_int_equal(pb_reset_hooks_open(plugins, 1, true, &machine.facts, &machine_io, &hooks,
                                             why, sizeof(why)),
                         -EINVAL);
    }
    memset(plugins[0].path, 'a', sizeof(plugins[0].path));
    assert_int_equal(pb_reset_hooks_open(plugins, 1, true, &machine.facts, &machine_io, &hooks, why,
                                         sizeof(why)),
                     -EINVAL);
    (void)snprintf(plugins[0].path, sizeof(plugins[0].path), "%s", machine_plugin("fake"));
    memset(plugins[0].params, ' ', sizeof(plugins[0].params));
    assert_int_equal(pb_reset_hooks_open(plugins, 1, true, &machine.facts, &machine_io, &hooks, why,
                                         sizeof(why)),
                     -EINVAL);
    assert_int_equal(pb_reset_hooks_open(plugins, PB_ARRAY_SIZE(plugins), true, &machine.facts,
                                         &machine_io, &hooks, why, sizeof(why)),
                     -EINVAL);
    assert_int_equal(f->loads, 0);
}

/* --- registers --- */

static int result; /* of the last service */
static uint64_t got;

static void read_registers(const struct pcibackd_device *dev, const char *callback)
{
    const struct pcibackd_host *host = f->host;
    uint32_t value = 0;

    if (strcmp(callback, "before_reset") != 0)
        return;
    assert_int_equal(host->config_read(dev, 0x08, 4, &value), 0);
    assert_int_equal(value, pb_le32(machine.config + 8));
    assert_int_equal(host->config_write(dev, 0x44, 2, 0xabcd), 0);
    assert_int_equal(pb_le16(machine.config + 0x44), 0xabcd);
    assert_int_equal(host->config_read(dev, 0x44, 1, &value), 0);
    assert_int_equal(value, 0xcd);
    assert_int_equal(host->config_read(dev, 0x42, 4, &value), -EINVAL);
    assert_int_equal(host->config_read(dev, 0x40, 3, &value), -EINVAL);
    assert_int_equal(host->config_read(dev, 0x1000, 1, &value), -EINVAL);
    assert_int_equal(host->config_write(dev, 0x1000, 1, 0), -EINVAL);
    assert_int_equal(host->config_write(dev, 0x41, 2, 0), -EINVAL);
    assert_int_equal(host->image(dev, 0x44, 2), 0); /* as at claim */
}

static void H8_configuration_alone_touches_no_decode(void **state)
{
    (void)state;
    f->call = read_registers;
    assert_int_equal(open_plugins("fake", NULL), 0);
    assert_int_equal(before(), 0);
    assert_int_equal(f->befores, 1);
    assert_int_equal(machine.command_writes, 0);
}

static void read_bar(const struct pcibackd_device *dev, const char *callback)
{
    if (strcmp(callback, "before_reset") != 0 && strcmp(callback, "after_reset") != 0)
        return;
    result = f->host->bar_read(dev, 0, 0x14, 4, &got);
    assert_true(result != 0 || (pb_le16(machine.config + 4) & 2));
}

static void H8_decode_is_on_for_a_bar_and_off_again_after_the_callback(void **state)
{
    (void)state;
    f->call = read_bar;
    pb_le_put(machine.bar + 0x14, 4, 0x12345678);
    assert_int_equal(open_plugins("fake", NULL), 0);
    assert_int_equal(before(), 0);
    assert_int_equal(result, 0);
    assert_int_equal(got, 0x12345678);
    assert_int_equal(machine.command_writes, 2);
    assert_int_equal(pb_le16(machine.config + 4), 0x0400);
    assert_int_equal(after(0), 0);
    assert_int_equal(machine.command_writes, 4);
    assert_int_equal(pb_le16(machine.config + 4), 0x0400);
    assert_int_equal(machine.maps, 1);
    /* What was on, stays on and is not written. */
    pb_le_put(machine.config + 4, 2, 0x0002);
    assert_int_equal(before(), 0);
    assert_int_equal(machine.command_writes, 4);
    assert_int_equal(pb_le16(machine.config + 4), 0x0002);
}

static void read_bar_of_vf(const struct pcibackd_device *dev, const char *callback)
{
    if (strcmp(callback, "before_reset") == 0)
        result = f->host->bar_read(dev, 0, 0x14, 4, &got);
}

static void a_virtual_functions_decode_is_not_its_own(void **state)
{
    (void)state;
    machine.facts.virtual_function = true;
    memset(machine.config + 0x10, 0, 24);
    pb_le_put(machine.config + 4, 2, 0);
    pb_le_put(machine.bar + 0x14, 4, 0x87654321);
    f->call = read_bar_of_vf;
    assert_int_equal(open_plugins("fake", NULL), 0);
    assert_int_equal(before(), 0);
    assert_int_equal(result, 0);
    assert_int_equal(got, 0x87654321);
    assert_int_equal(machine.command_writes, 0);
}

static void sizes_of_bars(const struct pcibackd_device *dev, const char *callback)
{
    const struct pcibackd_host *host = f->host;
    static const unsigned sizes[] = { 1, 2, 4, 8 };
    uint64_t value = 0;

    if (strcmp(callback, "before_reset") != 0)
        return;
    for (size_t i = 0; i < PB_ARRAY_SIZE(sizes); i++) {
        uint64_t all = sizes[i] == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * sizes[i])) - 1;

        assert_int_equal(host->bar_write(dev, 0, 0x20, 8, 0), 0);
        assert_int_equal(host->bar_write(dev, 0, 0x20, sizes[i], UINT64_MAX), 0);
        assert_int_equal(host->bar_read(dev, 0, 0x20, 8, &value), 0);
        assert_int_equal(value, all);
        assert_int_equal(host->bar_read(dev, 0, 0x20, sizes[i], &value), 0);
        assert_int_equal(value, all);
        assert_int_equal(host->bar_read(dev, 0, 0x1000 - sizes[i], sizes[i], &value), 0);
        assert_int_equal(host->bar_read(dev, 0, 0x1000, sizes[i], &value), -ENXIO);
        assert_int_equal(host->bar_read(dev, 0, UINT64_MAX & ~UINT64_C(7), sizes[i], &value),
                         -ENXIO);
        if (sizes[i] > 1)
            assert_int_equal(host->bar_write(dev, 0, 0x21, sizes[i], 0), -EINVAL);
    }
    assert_int_equal(host->bar_read(dev, 0, 0, 3, &value), -EINVAL);
    assert_int_equal(host->bar_read(dev, 0, 0, 16, &value), -EINVAL);
    assert_int_equal(host->bar_read(dev, 6, 0, 4, &value), -EINVAL);
    assert_int_equal(host->bar_read(dev, UINT32_MAX, 0, 4, &value), -EINVAL);
    assert_int_equal(host->bar_read(dev, 2, 0, 4, &value), -ENXIO); /* ports */
    assert_int_equal(host->bar_read(dev, 3, 0, 4, &value), -ENXIO); /* none */
}

static void bars_are_read_and_written_inside_of_their_memory(void **state)
{
    (void)state;
    f->call = sizes_of_bars;
    assert_int_equal(open_plugins("fake", NULL), 0);
    assert_int_equal(before(), 0);
    assert_int_equal(f->befores, 1);
}

static void CVE_2020_12888_a_bar_that_does_not_decode_is_not_touched(void **state)
{
    (void)state;
    f->call = read_bar;
    assert_int_equal(open_plugins("fake", NULL), 0);
    /* The device was reset and has no address. */
    pb_le_put(machine.config + 0x10, 4, 0x4);
    pb_le_put(machine.config + 0x14, 4, 0);
    assert_int_equal(before(), 0);
    assert_int_equal(result, -ENXIO);
    assert_int_equal(machine.command_writes, 0);
    machine_init();
    /* It does not answer at all. */
    pb_le_put(machine.config + 4, 2, 0xffff);
    assert_int_equal(before(), 0);
    assert_int_equal(result, -ENXIO);
    machine_init();
    machine.fail = -EIO;
    assert_int_equal(before(), 0);
    assert_int_equal(result, -EIO);
    machine_init();
    machine.no_map = true;
    pb_reset_hooks_close(hooks);
    assert_int_equal(open_plugins("fake", NULL), 0);
    assert_int_equal(before(), 0);
    assert_int_equal(result, -EACCES);
    assert_int_equal(machine.command_writes, 0);
}

static void decode_that_cannot_be_turned_off_fails_the_reset(void **state)
{
    (void)state;
    f->call = read_bar;
    machine.fail_off = -EIO;
    assert_int_equal(open_plugins("fake", NULL), 0);
    assert_int_equal(before(), -EIO);
    assert_why("plugin fake: decode");
}

/* --- time and parameters --- */

static void look_and_wait(const struct pcibackd_device *dev, const char *callback)
{
    if (strcmp(callback, "before_reset") == 0) {
        assert_string_equal(f2->host->param(dev, "name"), "two");
        f2->host->sleep_ms(1250);
    }
    if (strcmp(callback, "load") == 0)
        f2->host->sleep_ms(77); /* only a reset waits */
}

static void waiting_and_parameters_are_the_plugins(void **state)
{
    (void)state;
    f2->host = f->host;
    f2->call = look_and_wait;
    assert_int_equal(open_plugins("fake", "fake2"), 0);
    assert_int_equal(machine.slept_ms, 0);
    assert_int_equal(before(), 0);
    assert_int_equal(machine.slept_ms, 1250);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        RULE(plugins_are_asked_in_order_and_told_in_reverse),
        RULE(a_plugin_that_has_reset_the_device_is_the_last_that_is_asked),
        RULE(an_error_before_ends_it_and_those_that_began_are_told),
        RULE(the_first_error_after_counts_and_all_are_told),
        RULE(a_plugin_without_these_callbacks_takes_no_part),
        RULE(what_cannot_be_opened_is_told_and_nothing_is_done),
        RULE(paths_that_name_no_plugin_are_refused),
        RULE(H8_configuration_alone_touches_no_decode),
        RULE(H8_decode_is_on_for_a_bar_and_off_again_after_the_callback),
        RULE(a_virtual_functions_decode_is_not_its_own),
        RULE(bars_are_read_and_written_inside_of_their_memory),
        RULE(CVE_2020_12888_a_bar_that_does_not_decode_is_not_touched),
        RULE(decode_that_cannot_be_turned_off_fails_the_reset),
        RULE(waiting_and_parameters_are_the_plugins),
    };

    pb_log_setup(PB_LOG_TEXT, PB_LOG_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
