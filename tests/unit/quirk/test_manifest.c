/* SPDX-License-Identifier: MIT */
#include "quirk/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

static void DESIGN_5_example_is_read_in_full(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(DESIGN_5_example_is_read_in_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
