/* SPDX-License-Identifier: MIT */
#include "quirk/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "quirk/text.h"

static struct pb_manifest *parse(const char *text, struct pb_json_error *error)
{
    *error = (struct pb_json_error){ 0 };
    return pb_manifest_parse(text, strlen(text), "FILE", error);
}

/* A file with one quirk whose members are REST; NULL is not an answer. */
static struct pb_manifest *one(const char *rest)
{
    struct pb_json_error error;
    struct pb_manifest *m;
    char text[4000];

    (void)snprintf(
        text, sizeof(text),
        "{\"schema\":1,\"quirks\":[{\"id\":\"ab\",\"reason\":\"r\",\"source\":\"s\",%s}]}", rest);
    m = parse(text, &error);
    if (!m)
        fail_msg("%s", error.text);
    return m;
}

static void an_example_of_every_member_is_read_in_full(void **state)
{
    struct pb_manifest *m;
    struct pb_quirk *q;

    (void)state;
    m = one("\"match\":{\"vendor\":\"0x14e4\",\"device\":[\"0x1659\"],\"subsystem_vendor\":\"0x1\","
            "\"subsystem_device\":\"0x2\",\"device_mask\":\"0xffff\",\"class\":\"0x020000\","
            "\"class_mask\":\"0xffff00\",\"revision\":{\"min\":0,\"max\":255},"
            "\"virtual_function\":false},"
            "\"fields\":[{\"at\":\"0x68\",\"size\":4,\"write\":\"0xffffffff\",\"why\":\"w\"},"
            "{\"at\":{\"cap\":\"pcix\",\"offset\":2},\"size\":2,\"virtual\":\"0x7f\",\"value\":"
            "\"0x0\"}],"
            "\"capabilities\":{\"hide\":[\"vpd\"],\"hide_extended\":[\"ats\"],"
            "\"link\":[{\"at\":\"0xe0\",\"id\":\"af\",\"after\":\"msi\"}]},"
            "\"device\":{\"reset_method\":[\"flr\"],\"no_reset\":[\"bus\"],"
            "\"delay_after_reset_ms\":250,\"config_size\":160,\"msi\":\"deny\","
            "\"msix_max_vectors\":32,\"intx\":\"deny\",\"class\":\"0x20000\",\"assign\":\"warn\"},"
            "\"plugin\":{\"name\":\"nvme-quiesce\",\"params\":{},"
            "\"registers\":[{\"at\":\"0x40\",\"size\":4,\"mask\":\"0x1\"}]},\"unsafe\":false");
    assert_int_equal(m->count, 1);
    q = &m->quirk[0];
    assert_int_equal(q->specificity, PB_MATCH_SUBSYSTEM);
    assert_int_equal(q->field_count, 2);
    assert_int_equal(q->field[0].at.offset, 0x68);
    assert_int_equal(q->field[0].write, UINT32_MAX);
    assert_int_equal(q->field[1].at.kind, PB_AT_CAP);
    assert_int_equal(q->field[1].at.cap, 0x07);
    assert_int_equal(q->field[1].virt, 0x7f);
    assert_int_equal(q->edit_count, 3);
    assert_int_equal(q->edit[0].kind, PB_CAP_HIDE);
    assert_int_equal(q->edit[0].id, 0x03);
    assert_int_equal(q->edit[1].kind, PB_CAP_HIDE_EXT);
    assert_int_equal(q->edit[1].id, 0x0f);
    assert_int_equal(q->edit[2].kind, PB_CAP_LINK);
    assert_int_equal(q->edit[2].at, 0xe0);
    assert_int_equal(q->edit[2].after, 0x05);
    assert_int_equal(q->traits.config_size, 160);
    assert_int_equal(q->traits.reset_method[0], PB_RESET_BY_FLR);
    assert_int_equal(q->traits.no_reset, 1U << PB_RESET_BY_BUS);
    assert_int_equal(q->traits.assign, PB_ASSIGN_WARN);
    assert_string_equal(q->plugin.name, "nvme-quiesce");
    assert_string_equal(q->plugin.params, "{}");
    assert_int_equal(q->plugin.reg[0].mask, 1);
    pb_manifest_free(m);
}

static void every_trait_is_read_from_its_key(void **state)
{
    static const struct {
        enum pb_trait trait;
        const char *json, *text;
    } values[] = {
        { PB_TRAIT_CONFIG_SIZE, "\"0xa0\"", "160" },
        { PB_TRAIT_CLASS, "\"0x020000\"", "0x020000" },
        { PB_TRAIT_MSI, "\"deny\"", "deny" },
        { PB_TRAIT_MSI, "\"allow\"", "allow" },
        { PB_TRAIT_MSIX, "\"deny\"", "deny" },
        { PB_TRAIT_MSIX, "\"allow\"", "allow" },
        { PB_TRAIT_MSIX_MAX_VECTORS, "2048", "2048" },
        { PB_TRAIT_INTX, "\"deny\"", "deny" },
        { PB_TRAIT_INTX, "\"warn\"", "warn" },
        { PB_TRAIT_INTX, "\"allow\"", "allow" },
        { PB_TRAIT_INTX_WITH_MSI, "\"keep\"", "keep" },
        { PB_TRAIT_INTX_WITH_MSI, "\"disable\"", "disable" },
        { PB_TRAIT_ROM, "\"hide\"", "hide" },
        { PB_TRAIT_ROM, "\"show\"", "show" },
        { PB_TRAIT_VPD_SIZE, "32767", "32767" },
        { PB_TRAIT_RESET_METHOD, "[\"pm\",\"device_specific\"]", "pm device_specific" },
        { PB_TRAIT_NO_RESET, "[\"cxl_bus\",\"acpi\"]", "acpi cxl_bus" },
        { PB_TRAIT_RESET_DELAY, "60000", "60000" },
        { PB_TRAIT_D3_DELAY, "0", "0" },
        { PB_TRAIT_ASSIGN, "\"deny\"", "deny" },
        { PB_TRAIT_ASSIGN, "\"warn\"", "warn" },
        { PB_TRAIT_ASSIGN, "\"allow\"", "allow" },
    };
    unsigned seen = 0;

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(values); i++) {
        enum pb_trait trait = values[i].trait;
        char text[200], buf[PB_TRAIT_TEXT_MAX];
        const struct pb_traits *traits;
        struct pb_manifest *m;

        (void)snprintf(text, sizeof(text), "\"match\":{\"vendor\":1},\"device\":{\"%s\":%s}",
                       pb_text_trait_name(trait), values[i].json);
        m = one(text);
        traits = &m->quirk[0].traits;
        for (unsigned t = 0; t < PB_TRAIT_COUNT; t++)
            assert_int_equal(traits->set[t], t == trait);
        assert_string_equal(pb_text_trait(traits, trait, buf), values[i].text);
        assert_string_equal(traits->origin[trait], "ab");
        assert_string_equal(traits->reason[trait], "r");
        assert_string_equal(traits->file[trait], "FILE");
        seen |= 1U << trait;
        pb_manifest_free(m);
    }
    assert_int_equal(seen, (1U << PB_TRAIT_COUNT) - 1);
}

static void numbers_may_be_written_both_ways(void **state)
{
    struct pb_manifest *m = one("\"match\":{\"vendor\":32902,\"device\":\"0x10d3\"},"
                                "\"fields\":[{\"at\":104,\"size\":\"0x4\",\"write\":4294967295},"
                                "{\"at\":{\"cap\":\"0x05\",\"offset\":\"0x8\"},\"size\":2,"
                                "\"virtual\":1}]");
    const struct pb_quirk *q = &m->quirk[0];

    (void)state;
    assert_int_equal(q->match.vendor.range[0].min, 0x8086);
    assert_int_equal(q->match.device.range[0].max, 0x10d3);
    assert_int_equal(q->field[0].at.offset, 0x68);
    assert_int_equal(q->field[0].size, 4);
    assert_int_equal(q->field[0].write, UINT32_MAX);
    assert_int_equal(q->field[1].at.cap, 5);
    assert_int_equal(q->field[1].at.offset, 8);
    pb_manifest_free(m);
}

static void an_added_capability_grows_to_hold_its_copies(void **state)
{
    struct pb_manifest *m =
        one("\"match\":{\"vendor\":1},\"capabilities\":{\"add\":[{\"at\":\"0xe8\",\"id\":9,"
            "\"bytes\":\"18 01 57444853\",\"copy\":[{\"to\":8,\"from\":24,\"bytes\":16}]}]}");
    const struct pb_cap_edit *e = &m->quirk[0].edit[0];

    (void)state;
    assert_int_equal(e->size, 24);
    assert_int_equal(e->at, 0xe8);
    assert_memory_equal(e->bytes + 2, "\x18\x01\x57\x44\x48\x53\0\0", 8);
    assert_int_equal(e->copy[0].to, 8);
    assert_int_equal(e->copy[0].from, 0x18);
    assert_int_equal(e->copy[0].size, 16);
    assert_int_equal(e->copy[1].size, 0);
    assert_string_equal(e->origin, "ab");
    pb_manifest_free(m);
}

static void errors_say_line_and_column_or_pointer(void **state)
{
    struct pb_json_error error;

    (void)state;
    assert_null(parse("{\"schema\":1,\n \"quirks\": [ } ]", &error));
    assert_string_equal(error.text, "FILE:2:14: unexpected token near '}'");
    assert_null(parse("{\"schema\":1,\"quirks\":[{\"id\":\"ab\",\"reason\":\"r\",\"source\":\"s\","
                      "\"match\":{\"vendor\":[1,{\"min\":2,\"max\":\"x\"}]}}]}",
                      &error));
    assert_string_equal(error.text, "FILE: /quirks/0/match/vendor/1/max: must be a number, or a "
                                    "string like \"0x1f\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_example_of_every_member_is_read_in_full),
        cmocka_unit_test(every_trait_is_read_from_its_key),
        cmocka_unit_test(numbers_may_be_written_both_ways),
        cmocka_unit_test(an_added_capability_grows_to_hold_its_copies),
        cmocka_unit_test(errors_say_line_and_column_or_pointer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
