/* SPDX-License-Identifier: MIT */
#include "quirk/match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device.h"

static struct pb_facts facts;
static struct pb_layout layout;

static void take(void (*fill)(struct pb_facts *facts))
{
    fill(&facts);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
}

/* Does a quirk with this "match" apply to the device that was taken? */
static bool matches(const char *match)
{
    struct pb_json_error error = { 0 };
    struct pb_manifest *m;
    char text[1000];
    bool result;

    (void)snprintf(text, sizeof(text),
                   "{\"schema\":1,\"quirks\":[{\"id\":\"ab\",\"reason\":\"r\",\"source\":\"s\","
                   "\"match\":{%s}}]}",
                   match);
    m = pb_manifest_parse(text, strlen(text), "FILE", &error);
    if (!m)
        fail_msg("%s", error.text);
    result = pb_match_device(&m->quirk[0].match, &facts, &layout);
    pb_manifest_free(m);
    return result;
}

static void every_key_must_hold(void **state)
{
    (void)state;
    take(pb_test_e1000e);
    facts.revision = 3;
    assert_true(matches("\"vendor\":\"0x8086\""));
    assert_false(matches("\"vendor\":\"0x8087\""));
    assert_true(matches("\"vendor\":[1,\"0x8086\"],\"device\":[\"0x10d3\",2]"));
    assert_false(matches("\"vendor\":\"0x8086\",\"device\":\"0x10d4\""));
    assert_false(matches("\"vendor\":1,\"device\":\"0x10d3\""));
    assert_true(matches("\"subsystem_vendor\":\"0x8086\",\"subsystem_device\":\"0xa01f\""));
    assert_false(matches("\"subsystem_vendor\":\"0x8086\",\"subsystem_device\":\"0xa01e\""));
    assert_true(matches("\"class\":\"0x020000\""));
    assert_false(matches("\"class\":\"0x020001\""));
    assert_true(matches("\"revision\":{\"min\":3,\"max\":3}"));
    assert_false(matches("\"revision\":{\"min\":4,\"max\":255}"));
    assert_false(matches("\"revision\":{\"min\":0,\"max\":2}"));
    assert_true(matches("\"virtual_function\":false"));
    assert_false(matches("\"virtual_function\":true"));
    take(pb_test_vf);
    assert_true(matches("\"virtual_function\":true"));
    /* its own registers read all ones: the ids are the facts' */
    assert_true(matches("\"vendor\":\"0x8086\",\"device\":\"0x10ca\""));
}

static void masks_and_ranges_include_their_ends(void **state)
{
    (void)state;
    take(pb_test_e1000e);
    assert_true(matches("\"vendor\":\"0x8086\",\"device\":\"0x10d0\",\"device_mask\":\"0xfff0\""));
    assert_false(matches("\"vendor\":\"0x8086\",\"device\":\"0x10c0\",\"device_mask\":\"0xfff0\""));
    assert_true(matches("\"vendor\":\"0x8086\",\"device\":{\"min\":\"0x1000\",\"max\":\"0x2000\"},"
                        "\"device_mask\":\"0xf000\""));
    assert_true(
        matches("\"vendor\":\"0x8086\",\"device\":{\"min\":\"0x10d3\",\"max\":\"0x10d4\"}"));
    assert_true(
        matches("\"vendor\":\"0x8086\",\"device\":{\"min\":\"0x10d2\",\"max\":\"0x10d3\"}"));
    assert_false(
        matches("\"vendor\":\"0x8086\",\"device\":{\"min\":\"0x10d4\",\"max\":\"0xffff\"}"));
    assert_true(matches("\"class\":\"0x020000\",\"class_mask\":\"0xff0000\""));
    facts.class_code = 0x028000;
    assert_true(matches("\"class\":\"0x020000\",\"class_mask\":\"0xff0000\""));
    assert_false(matches("\"class\":\"0x030000\",\"class_mask\":\"0xff0000\""));
}

static void not_leaves_out_what_matches_all_of_it(void **state)
{
    (void)state;
    take(pb_test_e1000e);
    assert_false(matches("\"vendor\":\"0x8086\",\"not\":{\"device\":\"0x10d3\"}"));
    assert_true(matches("\"vendor\":\"0x8086\",\"not\":{\"device\":\"0x10d3\",\"revision\":9}"));
    assert_true(matches("\"vendor\":\"0x8086\",\"not\":{\"device\":\"0x10d4\"}"));
    assert_false(matches("\"vendor\":\"0x8086\",\"not\":{\"image\":[{\"at\":{\"cap\":\"msi\","
                         "\"offset\":0},\"size\":1,\"equals\":5}]}"));
}

static void conditions_look_at_the_claim_image(void **state)
{
    (void)state;
    take(pb_test_e1000e);
    assert_true(
        matches("\"vendor\":\"0x8086\",\"image\":[{\"at\":\"0xd0\",\"size\":1,\"equals\":5},"
                "{\"at\":{\"cap\":\"pm\",\"offset\":4},\"size\":2,\"mask\":\"0x8000\","
                "\"equals\":\"0x8000\"}]"));
    assert_false(
        matches("\"vendor\":\"0x8086\",\"image\":[{\"at\":\"0xd0\",\"size\":1,\"equals\":5},"
                "{\"at\":{\"cap\":\"pm\",\"offset\":4},\"size\":2,\"mask\":\"0x8000\","
                "\"equals\":0}]"));
    assert_true(
        matches("\"vendor\":\"0x8086\",\"image\":[{\"at\":{\"ext_cap\":\"dsn\",\"offset\":4},"
                "\"size\":4,\"equals\":\"0x12ab34cd\"}]"));
    /* a capability that is not there, a register outside of the space: the condition fails */
    assert_false(matches("\"vendor\":\"0x8086\",\"image\":[{\"at\":{\"cap\":\"vpd\",\"offset\":4},"
                         "\"size\":4,\"mask\":1,\"equals\":0}]"));
    take(pb_test_e1000);
    assert_false(matches("\"vendor\":\"0x8086\",\"image\":[{\"at\":\"0x100\",\"size\":4,\"mask\":1,"
                         "\"equals\":0}]"));
}

static void a_place_is_found_in_the_first_capability_of_its_kind(void **state)
{
    struct pb_place pm = { .kind = PB_AT_CAP, .cap = 1, .offset = 4 };
    struct pb_place aer = { .kind = PB_AT_EXT_CAP, .cap = 1, .offset = 8 };
    struct pb_place plain = { .kind = PB_AT_OFFSET, .offset = 0xfc };

    (void)state;
    take(pb_test_e1000e);
    assert_int_equal(pb_place_find(&pm, 2, &layout, 4096), E1000E_PM + 4);
    assert_int_equal(pb_place_find(&aer, 4, &layout, 4096), 0x108);
    assert_int_equal(pb_place_find(&plain, 4, &layout, 256), 0xfc);
    assert_int_equal(pb_place_find(&plain, 4, &layout, 0xfc), -1);
    assert_int_equal(pb_place_find(&aer, 4, &layout, 0x108), -1);
    /* a standard capability ends where the first 256 bytes do */
    pm.offset = 0x38;
    assert_int_equal(pb_place_find(&pm, 4, &layout, 4096), -1);
    pm.cap = 3;
    assert_int_equal(pb_place_find(&pm, 2, &layout, 4096), -1);
    aer.cap = 0x10;
    assert_int_equal(pb_place_find(&aer, 2, &layout, 4096), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_must_hold),
        cmocka_unit_test(masks_and_ranges_include_their_ends),
        cmocka_unit_test(not_leaves_out_what_matches_all_of_it),
        cmocka_unit_test(conditions_look_at_the_claim_image),
        cmocka_unit_test(a_place_is_found_in_the_first_capability_of_its_kind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
