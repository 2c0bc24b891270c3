/* SPDX-License-Identifier: MIT */
#include "quirk/sxp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "quirk/lint.h"

static char why[200];

static json_t *import(const char *text)
{
    size_t length = strlen(text);
    char *copy = malloc(length + 1);
    json_t *json;

    assert_non_null(copy);
    memcpy(copy, text, length);
    memset(why, 0, sizeof(why));
    json = pb_sxp_import(copy, length, why, sizeof(why));
    free(copy);
    assert_true((json != NULL) == (why[0] == 0));
    return json;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    assert_non_null(text);
    return text;
}

static const json_t *quirk(const json_t *file, size_t i)
{
    assert_int_equal(json_integer_value(json_object_get(file, "schema")), 1);
    assert_true(i < json_array_size(json_object_get(file, "quirks")));
    return json_array_get(json_object_get(file, "quirks"), i);
}

/* In the shape of the file that Xen shipped: quotes, comments within lists, tabs. */
static const char sample[] = "# (new_quirky_dev_name\n"
                             "#    (pci_ids ('0123:4567:890A:BCEF')))\n"
                             "(Tg3_x\n"
                             "    (pci_ids\n"
                             "\t# <vendor>:<device>[:<subvendor>:<subdevice>]\n"
                             "        ('14e4:1644'   # Tigon3 5700\n"
                             "    \t '14e4:1645'\n"
                             "         \"1148:4400\" 14E4:1644)\n"
                             "    )\n"
                             "    (pci_config_space_fields\n"
                             "        ('00000078:4:00000000'   # REG_BASE_ADDR\n"
                             "         '0000009C:2:00000000')\n"
                             "    )\n"
                             ")\n";

static void count_error(void *ctx, bool error, const char *text)
{
    unsigned *errors = ctx;

    (void)text;
    *errors += error;
}

static void each_vendor_of_an_entry_becomes_a_quirk(void **state)
{
    json_t *file = import(sample);
    const json_t *first, *second, *devices, *fields;

    (void)state;
    assert_non_null(file);
    assert_int_equal(json_array_size(json_object_get(file, "quirks")), 2);
    first = quirk(file, 0);
    second = quirk(file, 1);
    assert_string_equal(text_of(first, "id"), "xend-tg3-x-14e4");
    assert_string_equal(text_of(second, "id"), "xend-tg3-x-1148");
    assert_string_equal(text_of(json_object_get(second, "match"), "vendor"), "0x1148");
    devices = json_object_get(json_object_get(first, "match"), "device");
    assert_int_equal(json_array_size(devices), 2); /* one was there twice */
    assert_string_equal(json_string_value(json_array_get(devices, 1)), "0x1645");
    fields = json_object_get(first, "fields");
    assert_int_equal(json_array_size(fields), 2);
    assert_string_equal(text_of(json_array_get(fields, 0), "at"), "0x78");
    assert_string_equal(text_of(json_array_get(fields, 0), "write"), "0xffffffff");
    assert_string_equal(text_of(json_array_get(fields, 1), "at"), "0x9c");
    assert_string_equal(text_of(json_array_get(fields, 1), "write"), "0xffff");
    json_decref(file);
}

static void subsystems_are_kept_and_wildcards_are_not(void **state)
{
    json_t *file = import("(a (pci_ids (1234:5678:9abc:def0 1234:5679:9abc:def0 1234:567a"
                          " 1234:567b:0000:0000 1234:567c:1111:ffff 1234:567d:ffff:2222))"
                          " (pci_config_space_fields (40:1:0)))");
    const json_t *match;

    (void)state;
    assert_non_null(file);
    assert_int_equal(json_array_size(json_object_get(file, "quirks")), 3);
    match = json_object_get(quirk(file, 0), "match");
    assert_string_equal(text_of(match, "subsystem_vendor"), "0x9abc");
    assert_string_equal(text_of(match, "subsystem_device"), "0xdef0");
    assert_int_equal(json_array_size(json_object_get(match, "device")), 2);
    match = json_object_get(quirk(file, 1), "match");
    assert_null(json_object_get(match, "subsystem_vendor"));
    assert_null(json_object_get(match, "subsystem_device"));
    assert_int_equal(json_array_size(json_object_get(match, "device")), 3);
    match = json_object_get(quirk(file, 2), "match");
    assert_string_equal(text_of(match, "subsystem_vendor"), "0x1111");
    assert_null(json_object_get(match, "subsystem_device"));
    json_decref(file);
}

static void registers_that_lie_upon_one_another_become_the_widest(void **state)
{
    json_t *file = import("(a (pci_ids (1234:5678)) (pci_config_space_fields"
                          " (40:1:0 42:2:0 40:4:0 43:1:0 44:2:0 44:2:0 46:1:0 ffc:4:0)))");
    const json_t *fields;

    (void)state;
    assert_non_null(file);
    fields = json_object_get(quirk(file, 0), "fields");
    assert_int_equal(json_array_size(fields), 4);
    assert_string_equal(text_of(json_array_get(fields, 0), "at"), "0x40");
    assert_string_equal(text_of(json_array_get(fields, 1), "at"), "0x44");
    assert_string_equal(text_of(json_array_get(fields, 2), "at"), "0x46");
    assert_string_equal(text_of(json_array_get(fields, 3), "at"), "0xffc");
    json_decref(file);
}

static void ids_of_quirks_are_unique(void **state)
{
    json_t *file = import("(a (pci_ids (1:2)) (pci_config_space_fields (40:1:0)))"
                          "(a (pci_ids (1:3)) (pci_config_space_fields (40:1:0)))"
                          "(a-2 (pci_ids (1:4)) (pci_config_space_fields (40:1:0)))");

    (void)state;
    assert_non_null(file);
    assert_string_equal(text_of(quirk(file, 0), "id"), "xend-a");
    assert_string_equal(text_of(quirk(file, 1), "id"), "xend-a-2");
    assert_string_equal(text_of(quirk(file, 2), "id"), "xend-a-2-2");
    json_decref(file);
}

/* Whatever an entry is called, the loader takes what it becomes. */
static void what_is_imported_is_a_manifest(void **state)
{
    static const char *const texts[] = {
        sample,
        "(A_Name.that/is@as-long-as-a-word-of-this-file_0123456789_xyz"
        " (pci_ids (1:2 3:4:5:6 3:4:5:7 ffff:ffff)) (pci_config_space_fields (40:1:0 fff:1:0)))",
        "(- (pci_ids (1:2)) (pci_config_space_fields (40:4:0 100:4:0)))",
        "(a (pci_ids (1:2:ffff:3 1:3:0:4)) (pci_config_space_fields (40:1:0)))",
    };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(texts); i++) {
        json_t *file = import(texts[i]);
        struct pb_json_error error = { 0 };
        struct pb_manifest *manifest;
        unsigned errors = 0;
        char *text;

        if (!file)
            fail_msg("%s", why);
        text = json_dumps(file, JSON_COMPACT);
        assert_non_null(text);
        manifest = pb_manifest_parse(text, strlen(text), "FILE", &error);
        if (!manifest)
            fail_msg("%s", error.text);
        pb_lint_manifest(manifest, count_error, &errors);
        assert_int_equal(errors, 0);
        pb_manifest_free(manifest);
        free(text);
        json_decref(file);
    }
}

static void what_is_wrong_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text, *reason;
    } rows[] = {
        { "", "line 1: the file has no entry" },
        { "# nothing\n\n", "line 3: the file has no entry" },
        { "a", "line 1: an entry begins with" },
        { ")", "line 1: an entry begins with" },
        { "(", "the name of an entry" },
        { "((", "the name of an entry" },
        { "(a", "ends within an entry" },
        { "(a b", "a list is expected" },
        { "(a)", "has no pci_ids" },
        { "(a (pci_ids (1:2)))", "has no pci_config_space_fields" },
        { "(a (pci_ids () ) (pci_config_space_fields (40:1:0)))", "has no pci_ids" },
        { "(a\n(x (1:2)))", "line 2: 'x' is neither" },
        { "(a ((1:2)))", "pci_ids or" },
        { "(a (pci_ids (1:2)", "ends within a list" },
        { "(a (pci_ids (1)))", "is not vendor:device" },
        { "(a (pci_ids (1:2:3)))", "is not vendor:device" },
        { "(a (pci_ids (1:2:3:4:5)))", "is not vendor:device" },
        { "(a (pci_ids (1:)))", "is not vendor:device" },
        { "(a (pci_ids (x:2)))", "is not vendor:device" },
        { "(a (pci_ids (10000:2)))", "at most four digits" },
        { "(a (pci_ids (123456789:2)))", "is not vendor:device" },
        { "(a (pci_ids ('1:2)))", "does not end" },
        { "(a (pci_ids ('1:2", "does not end" },
        { "(a (pci_ids (1:2;)))", "neither a list nor a word" },
        { "(a (pci_ids ((((((((((1:2)))))))))))", "deeper" },
        { "(a (pci_config_space_fields (40:1)))", "is not register:size:mask" },
        { "(a (pci_config_space_fields (40:3:0)))", "the size is" },
        { "(a (pci_config_space_fields (41:2:0)))", "no register" },
        { "(a (pci_config_space_fields (1000:1:0)))", "no register" },
        { "(a (pci_config_space_fields (fffffffc:4:0)))", "no register" },
        { "(a (pci_config_space_fields (04:2:0)))", "of the header" },
        { "(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          "a word of" },
    };

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(rows); i++) {
        assert_null(import(rows[i].text));
        if (!strstr(why, rows[i].reason))
            fail_msg("'%s': '%s' does not say '%s'", rows[i].text, why, rows[i].reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_vendor_of_an_entry_becomes_a_quirk),
        cmocka_unit_test(subsystems_are_kept_and_wildcards_are_not),
        cmocka_unit_test(registers_that_lie_upon_one_another_become_the_widest),
        cmocka_unit_test(ids_of_quirks_are_unique),
        cmocka_unit_test(what_is_imported_is_a_manifest),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
