/* SPDX-License-Identifier: MIT */
/* A daemon of a later minor version: what it makes of plugins that were built before it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "quirk/plugin.h"

static char why[400];

static int open_it(const char *name)
{
    const char *const dirs[] = { PB_FIXTURE_DIR };
    struct pb_plugin *plugin;
    int rc = pb_plugin_open(dirs, 1, true, name, &plugin, why, sizeof(why));

    if (rc == 0) {
        assert_string_equal(pb_plugin_name(plugin), name);
        assert_int_equal(pb_plugin_load(plugin, why, sizeof(why)), 0);
        pb_plugin_unref(plugin);
    }
    return rc;
}

static void an_older_minor_version_is_accepted(void **state)
{
    (void)state;
    assert_int_equal(open_it("bare"), 0);   /* 1.0 */
    assert_int_equal(open_it("minor3"), 0); /* 1.3, its own */
}

static void a_newer_minor_version_is_refused(void **state)
{
    (void)state;
    assert_int_equal(open_it("minor"), -EPROTO);
    assert_non_null(strstr(why, "version 1.99 of the interface, this is 1.3"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_older_minor_version_is_accepted),
        cmocka_unit_test(a_newer_minor_version_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
