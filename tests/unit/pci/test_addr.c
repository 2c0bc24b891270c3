/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "pci/addr.h"

static void full_and_short_forms_parse(void **state)
{
    static const struct {
        const char *text;
        struct pb_sbdf sbdf;
    } good[] = {
        { "0000:03:00.0", { 0, 3, PB_DEVFN(0, 0) } },
        { "03:00.0", { 0, 3, PB_DEVFN(0, 0) } },
        { "0000:00:00.0", { 0, 0, 0 } },
        { "ABCD:fe:1f.7", { 0xabcd, 0xfe, PB_DEVFN(0x1f, 7) } },
        { "1:2:3.4", { 1, 2, PB_DEVFN(3, 4) } },
        { "2:3.4", { 0, 2, PB_DEVFN(3, 4) } },
        { "ffff:ff:1f.7", { 0xffff, 0xff, 0xff } },
    };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(good); i++) {
        struct pb_sbdf sbdf = { 1, 1, 1 };

        assert_true(pb_sbdf_parse(good[i].text, &sbdf));
        assert_true(pb_sbdf_equal(sbdf, good[i].sbdf));
    }
}

static void anything_else_is_refused_and_leaves_the_result_alone(void **state)
{
    static const char *const bad[] = {
        "",
        "0",
        ":",
        "00.0",
        "0000:03:00",
        "03:00.",
        "03:.0",
        ":00.0",
        "0000::00.0",
        "00000:03:00.0",
        "003:00.0",
        "03:000.0",
        "03:00.00",
        "03:20.0",
        "03:00.8",
        "03:00.f",
        " 03:00.0",
        "03:00.0 ",
        "03:00.0\n",
        "+3:00.0",
        "-3:00.0",
        "0x3:00.0",
        "03: 0.0",
        "0:0000:03:00.0",
        "03:00:0",
        "03.00.0",
        "03:00.*",
        "*:*.*",
        "100:00.0",
        "0000:100:00.0",
        "g0:00.0",
        "0000:03:00.0x",
        "0000-03-00.0",
        "03:00.0:",
        ":03:00.0",
    };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(bad); i++) {
        struct pb_sbdf sbdf = { 7, 7, 7 };

        if (pb_sbdf_parse(bad[i], &sbdf))
            fail_msg("\"%s\" was accepted", bad[i]);
        assert_true(pb_sbdf_equal(sbdf, (struct pb_sbdf){ 7, 7, 7 }));
    }
}

static void format_and_parse_are_inverse(void **state)
{
    char text[PB_SBDF_TEXT];

    (void)state;
    for (unsigned segment = 0; segment <= 0xffff; segment += 0x5555) {
        for (unsigned bdf = 0; bdf <= 0xffff; bdf++) {
            struct pb_sbdf in = { (uint16_t)segment, (uint8_t)(bdf >> 8), (uint8_t)bdf }, out;

            assert_true(pb_sbdf_parse(pb_sbdf_format(in, text), &out));
            assert_true(pb_sbdf_equal(in, out));
        }
    }
    assert_string_equal(pb_sbdf_format((struct pb_sbdf){ 0, 3, PB_DEVFN(0x1f, 2) }, text),
                        "0000:03:1f.2");
}

static void machine_form_is_what_xen_takes(void **state)
{
    (void)state;
    assert_int_equal(pb_sbdf_machine((struct pb_sbdf){ 1, 2, PB_DEVFN(3, 4) }), 0x0001021c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_and_short_forms_parse),
        cmocka_unit_test(anything_else_is_refused_and_leaves_the_result_alone),
        cmocka_unit_test(format_and_parse_are_inverse),
        cmocka_unit_test(machine_form_is_what_xen_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
