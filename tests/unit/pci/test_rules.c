/* SPDX-License-Identifier: MIT */
/* Rules as data: who decides a bit, and what `explain` can say of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "device.h"
#include "pci/regs.h"

static void every_rule_says_what_it_is_and_why(void **state)
{
    static void (*const fills[])(struct pb_facts *) = { pb_test_e1000e, pb_test_e1000, pb_test_vf };
    static const struct pb_traits none;
    static struct pb_caps caps;

    (void)state;
    for (size_t n = 0; n < PB_ARRAY_SIZE(fills); n++) {
        struct pb_rules rules = { 0 };
        struct pb_layout layout;
        struct pb_facts facts;
        size_t bad;

        fills[n](&facts);
        assert_int_equal(pb_layout_read(&facts, &layout), 0);
        assert_int_equal(pb_caps_edit(&facts, &layout, &none, NULL, 0, &caps, &bad), 0);
        assert_int_equal(pb_baseline_rules(&facts, &caps, &none, &rules), 0);
        assert_true(rules.count > 20);
        for (size_t i = 0; i < rules.count; i++) {
            assert_true(rules.rule[i].name && rules.rule[i].origin && rules.rule[i].why);
            assert_null(rules.rule[i].file);
        }
        pb_rules_fini(&rules);
        assert_int_equal(rules.count, 0);
    }
}

static void what_a_trait_or_an_edit_decides_is_theirs(void **state)
{
    const struct pb_cap_edit hide = {
        .kind = PB_CAP_HIDE, .id = PCI_CAP_PM, .origin = "q1", .file = "f1", .why = "w1"
    };
    struct pb_traits traits = { .deny_msi = true, .hide_rom = true, .msix_max_vectors = 2 };
    static const enum pb_trait of[] = { PB_TRAIT_MSI, PB_TRAIT_ROM, PB_TRAIT_MSIX_MAX_VECTORS };
    static const struct {
        unsigned at;
        const char *origin, *file, *why;
    } expected[] = { { E1000E_PM + 4, "q1", "f1", "w1" },
                     { E1000E_MSI, "q2", "f2", "w2" },
                     { PCI_ROM_ADDRESS, "q2", "f2", "w2" },
                     { E1000E_MSIX + 2, "q2", "f2", "w2" },
                     { PCI_VENDOR_ID, "header", NULL, NULL } };
    static struct pb_caps caps;
    struct pb_rules rules = { 0 };
    struct pb_layout layout;
    struct pb_facts facts;
    size_t bad;

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(of); i++) {
        traits.origin[of[i]] = "q2";
        traits.file[of[i]] = "f2";
        traits.reason[of[i]] = "w2";
    }
    pb_test_e1000e(&facts);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    assert_int_equal(pb_caps_edit(&facts, &layout, &traits, &hide, 1, &caps, &bad), 0);
    assert_int_equal(pb_baseline_rules(&facts, &caps, &traits, &rules), 0);
    for (size_t i = 0; i < PB_ARRAY_SIZE(expected); i++) {
        const struct pb_rule *rule = pb_rules_deciding(&rules, expected[i].at, 0);

        assert_non_null(rule);
        assert_string_equal(rule->origin, expected[i].origin);
        if (expected[i].file) {
            assert_string_equal(rule->file, expected[i].file);
            assert_string_equal(rule->why, expected[i].why);
        }
    }
    assert_null(pb_rules_deciding(&rules, 0x40, 0));
    pb_rules_fini(&rules);
}

static void the_last_rule_that_names_a_bit_decides_it(void **state)
{
    const struct pb_rule list[] = {
        { .offset = 0x40, .size = 4, .hw = 0xffffffff, .name = "a" },
        { .offset = 0x42, .size = 2, .write = 0x0100, .name = "b" },
        { .offset = 0x43, .size = 1, .lock = 0xff, .name = "c" },
    };
    struct pb_rules rules = { 0 };

    (void)state;
    for (unsigned n = 0; n < 100; n++) /* more than there is room for at first */
        pb_rules_add(&rules, &list[0]);
    pb_rules_add(&rules, &list[1]);
    pb_rules_add(&rules, &list[2]);
    assert_false(rules.no_memory);
    assert_int_equal(rules.count, 102);
    assert_ptr_equal(pb_rules_deciding(&rules, 0x40, 7), &rules.rule[99]);
    assert_ptr_equal(pb_rules_deciding(&rules, 0x43, 0), &rules.rule[100]);
    assert_ptr_equal(pb_rules_deciding(&rules, 0x43, 1), &rules.rule[99]);
    assert_null(pb_rules_deciding(&rules, 0x44, 0));
    assert_null(pb_rules_deciding(&rules, 0x3f, 7));
    pb_rules_fini(&rules);
}

static void rules_that_do_not_fit_name_their_index(void **state)
{
    static const struct pb_traits none;
    static struct pb_caps caps;
    const struct pb_rule open = { .offset = PCI_COMMAND, .size = 2, .write = PCI_COMMAND_SERR };
    struct pb_rules rules = { 0 };
    struct pb_layout layout;
    struct pb_facts facts;
    size_t bad, count;
    int rc;

    (void)state;
    pb_test_e1000e(&facts);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    assert_int_equal(pb_caps_edit(&facts, &layout, &none, NULL, 0, &caps, &bad), 0);
    assert_int_equal(pb_baseline_rules(&facts, &caps, &none, &rules), 0);
    count = rules.count;
    pb_rules_add(&rules, &open);
    assert_null(pb_map_compile(&facts, &caps, &none, &rules, &rc, &bad));
    assert_int_equal(rc, -EPERM);
    assert_int_equal(bad, count);
    rules.no_memory = true;
    assert_null(pb_map_compile(&facts, &caps, &none, &rules, &rc, &bad));
    assert_int_equal(rc, -ENOMEM);
    pb_rules_fini(&rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_says_what_it_is_and_why),
        cmocka_unit_test(what_a_trait_or_an_edit_decides_is_theirs),
        cmocka_unit_test(the_last_rule_that_names_a_bit_decides_it),
        cmocka_unit_test(rules_that_do_not_fit_name_their_index),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
