/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/json.h"

static struct pb_json_error error;
static json_t *value;

static int setup(void **state)
{
    (void)state;
    memset(&error, 0, sizeof(error));
    value = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(value);
    value = NULL;
    return 0;
}

static struct pb_json root(const char *text)
{
    json_decref(value);
    memset(&error, 0, sizeof(error));
    value = pb_json_parse(text, strlen(text), "f.json", &error);
    assert_non_null(value);
    assert_false(error.set);
    return pb_json_root(value, "f.json", &error);
}

/* ---- syntax ------------------------------------------------------------------------------------
 */

static void bad_text_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text;
        size_t length; /* 0: all of it */
        const char *place;
    } bad[] = {
        { "{\n  \"a\": 1,\n}", 0, "f.json:3:" },
        { "{ \"a\": 1, \"a\": 2 }", 0, "f.json:1:" },
        { "{} {}", 0, "f.json:1:" },
        { "{}x", 0, "f.json:1:" },
        { "", 0, "f.json:1:" },
        { "{ \"a\0b\": 1 }", 12, "f.json:1:" },
        { "{ \"a\": \"\\u0000\" }", 0, "f.json:1:" },
        { "{ \"a\\u0000\": 1 }", 0, "f.json:1:" },
        { "{}\0", 3, "f.json:1:" },
        { "[ 99999999999999999999 ]", 0, "f.json:1:" },
        { "\"\xff\"", 0, "f.json:1:" },
    };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(bad); i++) {
        size_t length = bad[i].length ? bad[i].length : strlen(bad[i].text);

        memset(&error, 0, sizeof(error));
        if (pb_json_parse(bad[i].text, length, "f.json", &error))
            fail_msg("text %zu was accepted", i);
        assert_true(error.set);
        assert_memory_equal(error.text, bad[i].place, strlen(bad[i].place));
    }
}

static void depth_is_bounded_before_the_parser_recurses(void **state)
{
    static char text[100000];

    (void)state;
    for (unsigned depth = 1; depth <= 40; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        memset(&error, 0, sizeof(error));
        value = pb_json_parse(text, 2 * (size_t)depth, NULL, &error);
        assert_int_equal(value != NULL, depth <= PB_JSON_DEPTH_MAX);
        json_decref(value);
    }
    memset(text, '{', sizeof(text));
    memset(&error, 0, sizeof(error));
    value = pb_json_parse(text, sizeof(text), NULL, &error);
    assert_null(value);
    assert_string_equal(error.text, "message: nested deeper than 32 levels");
    /* brackets in strings are no depth */
    memset(&error, 0, sizeof(error));
    (void)snprintf(text, sizeof(text), "\"%.*s\\\"[\"", 64,
                   "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                   "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[");
    value = pb_json_parse(text, strlen(text), NULL, &error);
    assert_non_null(value);
}

/* ---- files -------------------------------------------------------------------------------------
 */

static char dir[64], path[128];

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void files_are_read_whole_or_refused(void **state)
{
    (void)state;
    (void)strcpy(dir, "/tmp/pb-json-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/a.json", dir);

    assert_null(pb_json_load(path, 100, true, &error));
    assert_non_null(strstr(error.text, "a.json: No such file"));
    setup(NULL);
    assert_null(pb_json_load(dir, 100, true, &error));
    assert_non_null(strstr(error.text, "not a regular file"));
    setup(NULL);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_null(pb_json_load(path, 100, true, &error)); /* does not hang */
    assert_non_null(strstr(error.text, "not a regular file"));
    assert_int_equal(unlink(path), 0);

    write_file("{ \"a\": 10 }");
    setup(NULL);
    assert_null(pb_json_load(path, 10, true, &error));
    assert_non_null(strstr(error.text, "a.json: File too large"));
    setup(NULL);
    value = pb_json_load(path, 11, true, &error);
    assert_non_null(value);
    assert_false(error.set);
    write_file("{ \"a\" }");
    assert_null(pb_json_load(path, 100, true, &error));
    assert_non_null(strstr(error.text, "a.json:1:"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

/* ---- meaning -----------------------------------------------------------------------------------
 */

static const char *const keys[] = { "a", "b", NULL };

static void errors_name_the_pointer(void **state)
{
    struct pb_json at = root("{ \"a\": [ 1, { \"b\": true } ] }"), a, b, element;

    (void)state;
    assert_true(pb_json_object(&at, keys));
    a = pb_json_member(&at, "a");
    assert_int_equal(pb_json_array(&a), 2);
    element = pb_json_element(&a, 1);
    b = pb_json_member(&element, "b");
    assert_int_equal(pb_json_number(&b, 0, 9, 7), 7);
    assert_string_equal(error.text, "f.json: /a/1/b: must be a number, or a string like \"0x1f\"");
}

static void pointers_escape_as_rfc_6901_says(void **state)
{
    struct pb_json at = root("{ \"a/b~c\": 1 }");

    (void)state;
    assert_false(pb_json_object(&at, keys));
    assert_string_equal(error.text, "f.json: /a~1b~0c: unknown key");
}

static void the_root_is_named_as_a_slash(void **state)
{
    struct pb_json at = root("[]");

    (void)state;
    assert_false(pb_json_object(&at, keys));
    assert_string_equal(error.text, "f.json: /: must be an object");
}

static void a_message_without_source_has_no_file_name(void **state)
{
    struct pb_json at;

    (void)state;
    value = pb_json_parse("[]", 2, NULL, &error);
    at = pb_json_root(value, NULL, &error);
    assert_false(pb_json_object(&at, keys));
    assert_string_equal(error.text, "/: must be an object");
}

static void the_first_error_sticks(void **state)
{
    struct pb_json at = root("{ \"a\": 1, \"b\": 2 }");
    struct pb_json a = pb_json_member(&at, "a"), b = pb_json_member(&at, "b");

    (void)state;
    pb_json_fail(&a, "first %d", 1);
    pb_json_fail(&b, "second");
    assert_null(pb_json_text(&b, 10, NULL));
    assert_string_equal(error.text, "f.json: /a: first 1");
}

/* The text goes into a JSON reply, so it must be UTF-8 however it is cut. */
static void a_long_error_is_cut_between_characters(void **state)
{
    static char text[1024];

    (void)state;
    for (unsigned pad = 0; pad < 8; pad++) {
        struct pb_json at;
        json_t *reply;
        size_t n = (size_t)snprintf(text, sizeof(text), "{ \"%.*s", (int)pad, "xxxxxxxx");

        for (unsigned i = 0; i < 100; i++)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "\xf0\x9f\x92\xa9");
        (void)snprintf(text + n, sizeof(text) - n, "\": 1 }");
        at = root(text);
        assert_false(pb_json_object(&at, keys));
        reply = json_string(error.text);
        assert_non_null(reply);
        json_decref(reply);
    }
}

static void unknown_keys_are_errors(void **state)
{
    struct pb_json at = root("{ \"a\": 1, \"c\": 1 }");

    (void)state;
    assert_false(pb_json_object(&at, keys));
    assert_string_equal(error.text, "f.json: /c: unknown key");
}

static void what_is_absent_gives_the_fallback_and_no_error(void **state)
{
    struct pb_json at = root("{}"), a = pb_json_member(&at, "a"), b = pb_json_member(&a, "b");
    struct pb_json element = pb_json_element(&a, 3);

    (void)state;
    assert_null(b.value);
    assert_null(element.value);
    assert_false(pb_json_object(&a, keys));
    assert_int_equal(pb_json_array(&a), 0);
    assert_true(pb_json_bool(&a, true));
    assert_int_equal(pb_json_number(&b, 5, 6, 77), 77);
    assert_string_equal(pb_json_text(&element, 1, "fallback"), "fallback");
    assert_false(error.set);
}

static void numbers_are_integers_or_hexadecimal_text(void **state)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t number;
    } cases[] = {
        { "0", true, 0 },
        { "4660", true, 4660 },
        { "9223372036854775807", true, INT64_MAX },
        { "\"0x0\"", true, 0 },
        { "\"0xaBcD\"", true, 0xabcd },
        { "\"0xffffffffffffffff\"", true, UINT64_MAX },
        { "\"0x10000000000000000\"", false, 0 },
        { "-1", false, 0 },
        { "1.0", false, 0 },
        { "true", false, 0 },
        { "null", false, 0 },
        { "\"\"", false, 0 },
        { "\"0\"", false, 0 },
        { "\"0x\"", false, 0 },
        { "\"0X1\"", false, 0 },
        { "\"12\"", false, 0 },
        { "\"0x1g\"", false, 0 },
        { "\" 0x1\"", false, 0 },
        { "\"0x1 \"", false, 0 },
        { "\"0x-1\"", false, 0 },
        { "\"-0x1\"", false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(cases); i++) {
        struct pb_json at = root(cases[i].text);
        uint64_t number = pb_json_number(&at, 0, UINT64_MAX, 42);

        assert_int_equal(error.set, !cases[i].good);
        assert_true(number == (cases[i].good ? cases[i].number : 42));
    }
}

static void ranges_include_their_ends(void **state)
{
    static const uint64_t numbers[] = { 4, 5, 6, 7 };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(numbers); i++) {
        char text[32];
        struct pb_json at;

        (void)snprintf(text, sizeof(text), "%d", (int)numbers[i]);
        at = root(text);
        assert_int_equal(pb_json_number(&at, 5, 6, 1), i == 1 ? 5 : i == 2 ? 6 : 1);
        assert_int_equal(error.set, i == 0 || i == 3);
    }
    assert_string_equal(error.text, "f.json: /: must be from 5 to 6");
}

static void wrong_types_are_errors(void **state)
{
    struct pb_json at = root("{ \"a\": 1 }"), a = pb_json_member(&at, "a");

    (void)state;
    assert_true(pb_json_bool(&a, true));
    assert_string_equal(error.text, "f.json: /a: must be true or false");
    memset(&error, 0, sizeof(error));
    assert_int_equal(pb_json_array(&a), 0);
    assert_string_equal(error.text, "f.json: /a: must be an array");
    memset(&error, 0, sizeof(error));
    assert_null(pb_json_text(&a, 10, NULL));
    assert_string_equal(error.text, "f.json: /a: must be a string");
}

static void text_has_a_longest_length(void **state)
{
    struct pb_json at = root("\"abcd\"");

    (void)state;
    assert_string_equal(pb_json_text(&at, 4, NULL), "abcd");
    assert_false(error.set);
    assert_null(pb_json_text(&at, 3, NULL));
    assert_string_equal(error.text, "f.json: /: is longer than 3 bytes");
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(bad_text_is_refused_with_its_place),
        T(depth_is_bounded_before_the_parser_recurses),
        T(files_are_read_whole_or_refused),
        T(errors_name_the_pointer),
        T(pointers_escape_as_rfc_6901_says),
        T(the_root_is_named_as_a_slash),
        T(a_message_without_source_has_no_file_name),
        T(the_first_error_sticks),
        T(a_long_error_is_cut_between_characters),
        T(unknown_keys_are_errors),
        T(what_is_absent_gives_the_fallback_and_no_error),
        T(numbers_are_integers_or_hexadecimal_text),
        T(ranges_include_their_ends),
        T(wrong_types_are_errors),
        T(text_has_a_longest_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
