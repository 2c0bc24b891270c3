/* SPDX-License-Identifier: MIT */
#include "quirk/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "device.h"
#include "pci/regs.h"

#define LTR_AT 0x150

/* An 82574L, and a capability that is dangerous but not locked: latency tolerance. */
static void nic(struct pb_facts *facts)
{
    pb_test_e1000e(facts);
    pb_le_put(facts->config + 0x140, 4, 0x15010003);
    pb_le_put(facts->config + LTR_AT, 4, 0x00010018);
}

static struct pb_profile *profile_of(const struct pb_facts *facts, struct pb_quirk_set *set)
{
    struct pb_profile *profile = NULL;
    struct pb_layout layout;
    char why[300];

    assert_int_equal(pb_layout_read(facts, &layout), 0);
    if (pb_profile_build(set, facts, &layout, NULL, &profile, why, sizeof(why)) != 0)
        fail_msg("%s", why);
    return profile;
}

static struct pb_profile *plain_profile(const struct pb_facts *facts)
{
    struct pb_quirk_set *set = pb_quirk_set_empty();
    struct pb_profile *profile;

    assert_non_null(set);
    profile = profile_of(facts, set);
    pb_quirk_set_unref(set);
    return profile;
}

/* The manifest as an operator would install it: a file in a directory of its own. */
static struct pb_quirk_set *load(const json_t *file)
{
    char dir[] = "/tmp/pb-suggest-XXXXXX", path[64];
    const char *dirs[] = { dir };
    const struct pb_quirk_sources sources = { .dirs = dirs, .dir_count = 1, .any_owner = true };
    const struct pb_quirk_problem *problem;
    struct pb_quirk_set *set;

    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/90-local.json", dir);
    assert_int_equal(json_dump_file(file, path, JSON_INDENT(2)), 0);
    set = pb_quirk_set_load(&sources);
    assert_non_null(set);
    if (pb_quirk_set_problems(set, &problem) != 0)
        fail_msg("%s", problem[0].text);
    assert_int_equal(pb_quirk_set_count(set), 1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    return set;
}

static json_t *quirk_of(const json_t *file)
{
    return json_array_get(json_object_get(file, "quirks"), 0);
}

static const json_t *field_with(const json_t *file, const char *text)
{
    const json_t *fields = json_object_get(quirk_of(file), "fields"), *found = NULL;

    for (size_t i = 0; i < json_array_size(fields); i++) {
        char *dump = json_dumps(json_array_get(fields, i), JSON_COMPACT);

        assert_non_null(dump);
        if (strstr(dump, text))
            found = json_array_get(fields, i);
        free(dump);
    }
    if (!found)
        fail_msg("no field has %s", text);
    return found;
}

static bool names(const json_t *left_out, const char *text)
{
    for (size_t i = 0; i < json_array_size(left_out); i++) {
        if (strstr(json_string_value(json_array_get(left_out, i)), text))
            return true;
    }
    return false;
}

/* What a guest was refused, and of it what a manifest can open. */
static const struct row {
    struct pb_denied denied;
    uint32_t open;
} rows[] = {
    { { .offset = 0x48, .size = 4, .bits = 0x00ff0001, .value = 0x00ff0001, .count = 3 },
      0x00ff0001 },
    { { .offset = 0x50, .size = 2, .bits = 0x8001, .value = 0x8001, .count = 1 }, 0x8001 },
    { { .offset = 0x50, .size = 1, .bits = 0x10, .value = 0x10, .count = 2 }, 0x10 },
    { { .offset = 0x57, .size = 1, .bits = 0xff, .value = 0xff, .count = 1 }, 0xff },
    /* a constant of the header */
    { { .offset = PCI_CARDBUS_CIS, .size = 4, .bits = 0x2, .value = 0x2, .count = 1 }, 0x2 },
    /* behind the body of the serial number: nobody's */
    { { .offset = 0x14c, .size = 4, .bits = 0x80000000, .value = 0x80000000, .count = 9 },
      0x80000000 },
    { { .offset = LTR_AT + 4, .size = 2, .bits = 0x1003, .value = 0x1003, .count = 1 }, 0x1003 },
    { { .offset = 0xffc, .size = 4, .bits = 0xf0, .value = 0xf0, .count = 1 }, 0xf0 },
    /* locked, of an effect, a link of the list */
    { { .offset = PCI_COMMAND, .size = 2, .bits = 0x8000, .value = 0x8147, .count = 1 }, 0 },
    { { .offset = E1000E_MSI + 4, .size = 4, .bits = 0xffffffff, .value = 1, .count = 1 }, 0 },
    { { .offset = E1000E_MSIX + 2, .size = 2, .bits = 0x8000, .value = 0x8000, .count = 1 }, 0 },
    { { .offset = E1000E_PM + 4, .size = 2, .bits = 0x0108, .value = 0x0108, .count = 1 }, 0 },
    { { .offset = E1000E_PM, .size = 2, .bits = 0xffff, .value = 0xffff, .count = 1 }, 0 },
    { { .offset = 0x100, .size = 4, .bits = 0xff, .value = 0xff, .count = 1 }, 0 },
};

static void denials(struct pb_denied *ret)
{
    for (size_t i = 0; i < PB_ARRAY_SIZE(rows); i++)
        ret[i] = rows[i].denied;
}

static void a_suggestion_allows_exactly_what_was_refused(void **state)
{
    struct pb_denied denied[PB_ARRAY_SIZE(rows)];
    uint8_t open[PB_CONFIG_SIZE_PCIE] = { 0 };
    struct pb_profile *before, *after;
    struct pb_quirk_set *set;
    struct pb_facts facts;
    json_t *file, *left_out;

    (void)state;
    nic(&facts);
    before = plain_profile(&facts);
    denials(denied);
    file = pb_suggest(before, denied, PB_ARRAY_SIZE(rows), &left_out);
    assert_non_null(file);
    set = load(file);
    after = profile_of(&facts, set);

    for (size_t i = 0; i < PB_ARRAY_SIZE(rows); i++) {
        for (unsigned n = 0; n < rows[i].denied.size; n++)
            open[rows[i].denied.offset + n] |= (uint8_t)(rows[i].open >> (8 * n));
    }
    for (unsigned at = 0; at < PB_CONFIG_SIZE_PCIE; at++) {
        uint8_t same = (uint8_t)~open[at];

        /* bit by bit the same, but for what was asked for */
        assert_int_equal(after->map->write[at], before->map->write[at] | open[at]);
        assert_int_equal(after->map->w1c[at], before->map->w1c[at]);
        assert_int_equal(after->map->virt[at], before->map->virt[at] & same);
        assert_int_equal(after->map->fixed[at], before->map->fixed[at] & same);
        assert_int_equal(after->map->lock[at], before->map->lock[at]);
        assert_int_equal(after->map->value[at] & same, before->map->value[at] & same);
    }
    json_decref(file);
    json_decref(left_out);

    /* and then nothing is left to suggest */
    file = pb_suggest(after, denied, PB_ARRAY_SIZE(rows), &left_out);
    assert_null(file);
    assert_true(json_array_size(left_out) > 0);
    json_decref(left_out);
    pb_profile_unref(before);
    pb_profile_unref(after);
    pb_quirk_set_unref(set);
}

/* Whatever was refused, wherever: the manifest loads, fits, and opens bits of that and no others.
 */
static void a_suggestion_from_any_refusals_opens_no_other_bits(void **state)
{
    uint32_t seed = 20150331;

    (void)state;
    for (unsigned round = 0; round < 60; round++) {
        struct pb_denied denied[12];
        uint8_t refused[PB_CONFIG_SIZE_PCIE] = { 0 };
        struct pb_profile *before, *after;
        struct pb_quirk_set *set;
        struct pb_facts facts;
        json_t *file, *left_out;

        nic(&facts);
        before = plain_profile(&facts);
        for (size_t i = 0; i < PB_ARRAY_SIZE(denied); i++) {
            unsigned size = 1U << pb_test_random(&seed) % 3;
            unsigned space = i % 2 ? PB_CONFIG_SIZE_PCI : 0x180;

            denied[i] = (struct pb_denied){
                .offset = (uint16_t)(pb_test_random(&seed) % space & ~(size - 1)),
                .size = (uint8_t)size,
                .bits = pb_test_random(&seed) & pb_test_random(&seed) & pb_ones(size),
                .count = 1,
            };
            for (unsigned n = 0; n < size; n++)
                refused[denied[i].offset + n] |= (uint8_t)(denied[i].bits >> (8 * n));
        }
        file = pb_suggest(before, denied, PB_ARRAY_SIZE(denied), &left_out);
        assert_non_null(file);
        set = load(file);
        after = profile_of(&facts, set);
        for (unsigned at = 0; at < PB_CONFIG_SIZE_PCIE; at++) {
            uint8_t opened = after->map->write[at] & (uint8_t)~before->map->write[at];

            assert_int_equal(opened & ~refused[at], 0);
            assert_int_equal(opened & before->map->lock[at], 0);
            assert_int_equal(before->map->write[at] & ~after->map->write[at], 0);
            assert_int_equal(after->map->w1c[at], before->map->w1c[at]);
            assert_int_equal(after->map->virt[at], before->map->virt[at]);
            assert_int_equal(after->map->fixed[at], before->map->fixed[at] & ~opened);
        }
        json_decref(file);
        json_decref(left_out);
        pb_profile_unref(before);
        pb_profile_unref(after);
        pb_quirk_set_unref(set);
    }
}

static void the_writes_are_denied_no_more(void **state)
{
    struct pb_denied denied[PB_ARRAY_SIZE(rows)];
    struct pb_profile *before, *after;
    struct pb_quirk_set *set;
    struct pb_facts facts;
    json_t *file, *left_out;

    (void)state;
    nic(&facts);
    before = plain_profile(&facts);
    denials(denied);
    file = pb_suggest(before, denied, PB_ARRAY_SIZE(rows), &left_out);
    set = load(file);
    after = profile_of(&facts, set);
    for (size_t i = 0; i < PB_ARRAY_SIZE(rows); i++) {
        const struct pb_denied *d = &rows[i].denied;
        struct pb_view view;
        struct pb_access acc;
        enum pb_step step;

        pb_view_init(&view, after->map);
        step = pb_access_begin(&acc, &view, true, d->offset, d->size, d->bits);
        while (step != PB_STEP_DONE)
            step = pb_access_resume(&acc, 0, 0);
        assert_int_equal(acc.denied & rows[i].open, 0);
    }
    json_decref(file);
    json_decref(left_out);
    pb_profile_unref(before);
    pb_profile_unref(after);
    pb_quirk_set_unref(set);
}

static void dangerous_registers_say_so(void **state)
{
    struct pb_denied denied[PB_ARRAY_SIZE(rows)];
    const json_t *field;
    struct pb_profile *profile;
    struct pb_facts facts;
    json_t *file, *left_out;

    (void)state;
    nic(&facts);
    profile = plain_profile(&facts);
    denials(denied);
    file = pb_suggest(profile, denied, PB_ARRAY_SIZE(rows), &left_out);
    assert_true(json_is_true(json_object_get(quirk_of(file), "unsafe")));
    /* relative to its capability, so that it fits the same card elsewhere */
    field = field_with(file, "{\"ext_cap\":\"ltr\",\"offset\":\"0x4\"}");
    assert_non_null(strstr(json_string_value(json_object_get(field, "why")), "DANGER: "));
    field = field_with(file, "\"at\":\"0x48\"");
    assert_null(strstr(json_string_value(json_object_get(field, "why")), "DANGER"));
    assert_string_equal(json_string_value(json_object_get(field, "why")),
                        "refused 3 times, last 0x00ff0001 to 0x48");
    field = field_with(file, "\"at\":\"0x28\"");
    assert_string_equal(json_string_value(json_object_get(field, "name")), "CARDBUS_CIS");
    json_decref(file);
    json_decref(left_out);

    /* without it the manifest is not marked */
    file = pb_suggest(profile, denied, 4, &left_out);
    assert_null(json_object_get(quirk_of(file), "unsafe"));
    assert_int_equal(json_array_size(left_out), 0);
    json_decref(file);
    json_decref(left_out);
    pb_profile_unref(profile);
}

static void what_no_manifest_can_open_is_left_out_and_named(void **state)
{
    struct pb_denied denied[PB_ARRAY_SIZE(rows)];
    struct pb_profile *profile;
    struct pb_facts facts;
    json_t *file, *left_out;

    (void)state;
    nic(&facts);
    profile = plain_profile(&facts);
    denials(denied);
    file = pb_suggest(profile, denied, PB_ARRAY_SIZE(rows), &left_out);
    assert_true(names(left_out, "0x04: bits 0x8000 can never be opened: "));
    assert_true(names(left_out, "0xd4: bits 0xffffffff can never"));
    assert_true(names(left_out, "0xa2: bits 0x8000 can never"));
    assert_true(names(left_out, "0xcc: bits 0x0108 can never"));
    assert_true(names(left_out, "0xc8: bits 0xffff can never"));
    assert_true(names(left_out, "0x100: bits 0x000000ff can never"));
    assert_int_equal(json_array_size(left_out), 6);
    json_decref(file);
    json_decref(left_out);

    /* nothing but such bits: no manifest at all */
    file = pb_suggest(profile, &rows[8].denied, 1, &left_out);
    assert_null(file);
    assert_int_equal(json_array_size(left_out), 1);
    json_decref(left_out);
    file = pb_suggest(profile, NULL, 0, &left_out);
    assert_null(file);
    assert_int_equal(json_array_size(left_out), 0);
    json_decref(left_out);
    pb_profile_unref(profile);
}

static void a_write_that_crosses_registers_is_split_at_them(void **state)
{
    /* the interrupt pin and its neighbours; and the end of PM's body with what lies behind */
    const struct pb_denied denied[] = {
        { .offset = 0x3c, .size = 4, .bits = 0xffff0000, .value = 0xffffffff, .count = 1 },
    };
    struct pb_profile *profile;
    const json_t *field;
    struct pb_facts facts;
    json_t *file, *left_out;

    (void)state;
    nic(&facts);
    profile = plain_profile(&facts);
    file = pb_suggest(profile, denied, 1, &left_out);
    assert_non_null(file);
    assert_int_equal(json_array_size(json_object_get(quirk_of(file), "fields")), 1);
    field = field_with(file, "\"at\":\"0x3e\"");
    assert_int_equal(json_integer_value(json_object_get(field, "size")), 2);
    assert_string_equal(json_string_value(json_object_get(field, "write")), "0xffff");
    json_decref(file);
    json_decref(left_out);
    pb_profile_unref(profile);
}

static void what_lies_behind_the_space_is_named(void **state)
{
    const struct pb_denied denied = { .offset = 0x200, .size = 4, .bits = 1, .count = 1 };
    struct pb_profile *profile;
    struct pb_facts facts;
    json_t *left_out;

    (void)state;
    pb_test_e1000(&facts);
    profile = plain_profile(&facts);
    assert_null(pb_suggest(profile, &denied, 1, &left_out));
    assert_true(names(left_out, "0x200: "));
    json_decref(left_out);
    pb_profile_unref(profile);
}

static void windows_to_all_of_a_chip_are_known(void **state)
{
    struct pb_facts facts;
    struct pb_layout layout;

    (void)state;
    pb_test_e1000(&facts);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    assert_null(pb_danger(&facts, &layout, 0x78, 4, 0xffffffff));
    facts.vendor = 0x14e4;
    facts.device = 0x1659;
    assert_non_null(pb_danger(&facts, &layout, 0x78, 4, 0x1));
    assert_non_null(pb_danger(&facts, &layout, 0x84, 4, 0xffffffff));
    assert_non_null(pb_danger(&facts, &layout, 0x86, 2, 0x8000));
    assert_null(pb_danger(&facts, &layout, 0x88, 4, 0xffffffff));
    assert_null(pb_danger(&facts, &layout, 0x74, 4, 0xffffffff));
    facts.vendor = 0x1148;
    facts.device = 0x9521; /* another family of the same vendor */
    assert_null(pb_danger(&facts, &layout, 0x78, 4, 0x1));
    assert_non_null(pb_danger(&facts, &layout, PCI_BAR0, 4, 0xfffffff0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_suggestion_allows_exactly_what_was_refused),
        cmocka_unit_test(a_suggestion_from_any_refusals_opens_no_other_bits),
        cmocka_unit_test(the_writes_are_denied_no_more),
        cmocka_unit_test(dangerous_registers_say_so),
        cmocka_unit_test(what_no_manifest_can_open_is_left_out_and_named),
        cmocka_unit_test(a_write_that_crosses_registers_is_split_at_them),
        cmocka_unit_test(what_lies_behind_the_space_is_named),
        cmocka_unit_test(windows_to_all_of_a_chip_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
