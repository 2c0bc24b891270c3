/* SPDX-License-Identifier: MIT */
#include "quirk/lint.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "pci/regs.h"
#include "quirk/manifest_file.h"

#define TEXT_MAX 4000

/* What is said of a file, a line each. */
struct verdict {
    const char *path;
    char text[TEXT_MAX];
};

/* TEXT with "FILE" for its path at the beginning. */
static void add_line(struct verdict *v, const char *kind, const char *text)
{
    size_t n = strlen(v->text), length = strlen(v->path);

    assert_memory_equal(text, v->path, length);
    (void)snprintf(v->text + n, sizeof(v->text) - n, "%sFILE%s\n", kind, text + length);
}

static void add_problem(void *ctx, bool error, const char *text)
{
    add_line(ctx, error ? "" : "warning: ", text);
}

static void judge(const char *path, struct verdict *ret)
{
    struct pb_json_error error = { 0 };
    struct pb_manifest *m;

    *ret = (struct verdict){ .path = path };
    if (!pb_manifest_load(path, true, &m, &error)) {
        assert_null(m);
        add_line(ret, "", error.text);
        return;
    }
    assert_non_null(m);
    pb_lint_manifest(m, add_problem, ret);
    pb_manifest_free(m);
}

static int is_manifest(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');

    return dot && strcmp(dot, ".json") == 0;
}

static unsigned each(const char *dir, void (*visit)(const char *path))
{
    struct dirent **names;
    int count = scandir(dir, &names, is_manifest, alphasort);

    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        char path[500];

        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
        visit(path);
        free(names[i]);
    }
    free(names);
    return (unsigned)count;
}

static void is_refused_as_expected(const char *path)
{
    char expected[TEXT_MAX] = "", name[500];
    struct verdict v;
    FILE *file;

    (void)snprintf(name, sizeof(name), "%.*s.expect", (int)(strlen(path) - strlen(".json")), path);
    judge(path, &v);
    file = fopen(name, "r");
    if (!file)
        fail_msg("%s is missing; it is said: %s", name, v.text);
    expected[fread(expected, 1, sizeof(expected) - 1, file)] = '\0';
    (void)fclose(file);
    if (strcmp(v.text, expected) != 0)
        fail_msg("%s\nexpected: %s\nbut: %s", path, expected, v.text);
    assert_true(expected[0] != '\0');
}

static void a_bad_file_is_refused_with_place_and_reason(void **state)
{
    (void)state;
    assert_true(each(PB_CORPUS "/bad", is_refused_as_expected) > 100);
}

static void is_accepted(const char *path)
{
    struct verdict v;

    judge(path, &v);
    if (v.text[0])
        fail_msg("%s: %s", path, v.text);
}

static void a_good_file_has_no_problems(void **state)
{
    (void)state;
    assert_true(each(PB_CORPUS "/good", is_accepted) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_file_is_refused_with_place_and_reason),
        cmocka_unit_test(a_good_file_has_no_problems),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
