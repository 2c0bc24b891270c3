/* SPDX-License-Identifier: MIT */
#include "pci/slot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"

static struct pb_sbdf address(const char *text)
{
    struct pb_sbdf sbdf;

    assert_true(pb_sbdf_parse(text, &sbdf));
    return sbdf;
}

static void slot_texts(void **state)
{
    static const struct {
        const char *text;
        struct pb_slot slot;
    } good[] = {
        { "0000:05:02.0", { 0, 5, 2, 0 } },          { "05:02.0", { 0, 5, 2, 0 } },
        { "0000:06:00.*", { 0, 6, 0, -1 } },         { "06:1f.*", { 0, 6, 0x1f, -1 } },
        { "0000:06:*.*", { 0, 6, -1, -1 } },         { "6:*.*", { 0, 6, -1, -1 } },
        { "ffff:ff:*.*", { 0xffff, 0xff, -1, -1 } },
    };
    static const char *const bad[] = {
        "",         "*",           "*.*",           ":*.*",     "06:*.3",      "06:1*.*",
        "06:*1.*",  "06:**.*",     "06:00.**",      "*:00.0",   "0000:*:00.0", "06:00",
        "06:20.*",  "06:00.8",     " 06:00.0",      "06:00.0 ", "06:00.*x",    "0x06:00.0",
        "06:-1.0",  "0000:06:*:*", "06:*.",         "06:.*",    "10000:6:0.0", "0000:06:00.0\n",
        "100:00.*", "06:*",        "000:0:06:00.*",
    };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(good); i++) {
        struct pb_slot slot;

        if (!pb_slot_parse(good[i].text, &slot))
            fail_msg("%s was refused", good[i].text);
        assert_int_equal(slot.segment, good[i].slot.segment);
        assert_int_equal(slot.bus, good[i].slot.bus);
        assert_int_equal(slot.device, good[i].slot.device);
        assert_int_equal(slot.function, good[i].slot.function);
    }
    for (size_t i = 0; i < PB_ARRAY_SIZE(bad); i++) {
        struct pb_slot slot;

        if (pb_slot_parse(bad[i], &slot))
            fail_msg("\"%s\" was taken", bad[i]);
    }
}

static void slot_matches_what_it_says(void **state)
{
    struct pb_slot one, functions, bus;

    (void)state;
    assert_true(pb_slot_parse("5:2.1", &one));
    assert_true(pb_slot_parse("5:2.*", &functions));
    assert_true(pb_slot_parse("5:*.*", &bus));

    assert_true(pb_slot_matches(&one, address("5:2.1")));
    assert_false(pb_slot_matches(&one, address("5:2.0")));
    assert_false(pb_slot_matches(&one, address("5:3.1")));
    assert_true(pb_slot_matches(&functions, address("5:2.7")));
    assert_false(pb_slot_matches(&functions, address("5:3.0")));
    assert_true(pb_slot_matches(&bus, address("5:1f.7")));
    assert_false(pb_slot_matches(&bus, address("6:2.1")));
    assert_false(pb_slot_matches(&bus, address("1:5:2.1")));
}

static void a_slot_is_written_as_it_is_read(void **state)
{
    static const char *const texts[] = { "0000:05:02.0", "0000:06:1f.*", "ffff:ff:*.*" };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(texts); i++) {
        char buf[PB_SLOT_TEXT];
        struct pb_slot slot, again;

        assert_true(pb_slot_parse(texts[i], &slot));
        assert_string_equal(pb_slot_format(&slot, buf), texts[i]);
        assert_true(pb_slot_parse(buf, &again));
        assert_true(pb_slot_equal(&slot, &again));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slot_texts),
        cmocka_unit_test(slot_matches_what_it_says),
        cmocka_unit_test(a_slot_is_written_as_it_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
