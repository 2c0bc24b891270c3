/* SPDX-License-Identifier: MIT */
#include "xen/store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void builds_every_verb(void **state)
{
    int ctx;
    struct pb_store_req *req = pb_store_req_new(true, NULL, &ctx);

    (void)state;
    assert_non_null(req);
    assert_true(req->transaction);
    assert_ptr_equal(req->ctx, &ctx);
    assert_int_equal(pb_store_read(req, "/a/%d", 1), 0);
    assert_int_equal(pb_store_list(req, "/a"), 1);
    assert_int_equal(pb_store_mkdir(req, "/b"), 2);
    assert_int_equal(pb_store_remove(req, "/c"), 3);
    assert_int_equal(pb_store_prune(req, "/d"), 4);
    assert_int_equal(pb_store_write(req, "%d", "/e/%s", "x"), 5);
    assert_int_equal(pb_store_write_number(req, UINT64_MAX, "/f"), 6);
    assert_int_equal(pb_store_expect(req, NULL, "/g"), 7);
    assert_int_equal(pb_store_expect(req, "", "/h"), 8);
    assert_int_equal(pb_store_perms(req, 5, true, "/i"), 9);
    assert_false(req->failed_alloc);
    assert_int_equal(req->count, 10);

    assert_string_equal(req->step[0].path, "/a/1");
    assert_int_equal(req->step[1].verb, PB_STORE_LIST);
    assert_int_equal(req->step[2].verb, PB_STORE_MKDIR);
    assert_int_equal(req->step[3].verb, PB_STORE_REMOVE);
    assert_int_equal(req->step[4].verb, PB_STORE_PRUNE);
    assert_string_equal(req->step[5].path, "/e/x");
    assert_string_equal(req->step[5].value, "%d");
    assert_int_equal(req->step[5].length, 2);
    assert_string_equal(req->step[6].value, "18446744073709551615");
    assert_null(req->step[7].value);
    assert_string_equal(req->step[8].value, "");
    assert_int_equal(req->step[8].length, 0);
    assert_int_equal(req->step[9].domid, 5);
    assert_true(req->step[9].guest_owns);
    pb_store_req_free(req);
    pb_store_req_free(NULL);
}

static void a_path_that_does_not_fit_spoils_the_request(void **state)
{
    struct pb_store_req *req = pb_store_req_new(false, NULL, NULL);
    char path[PB_STORE_PATH_MAX + 1];

    (void)state;
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[PB_STORE_PATH_MAX - 1] = '\0';
    assert_int_equal(pb_store_read(req, "%s", path), 0);
    assert_false(req->failed_alloc);
    path[PB_STORE_PATH_MAX - 1] = 'a';
    path[PB_STORE_PATH_MAX] = '\0';
    assert_int_equal(pb_store_perms(req, 1, true, "%s", path), 1);
    assert_true(req->failed_alloc);
    assert_int_equal(pb_store_write(req, "x", "/fits"), 1);
    assert_int_equal(req->count, 1);
    pb_store_req_free(req);
}

/* Memory runs out at the FAIL_AT'th allocation from now on; 0: never. */
static unsigned fail_at;

static bool out_of_memory(void)
{
    return fail_at && --fail_at == 0;
}

/* The linker's names for what --wrap replaces. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_reallocarray(void *p, size_t count, size_t size);
void *__wrap_reallocarray(void *p, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

void *__wrap_reallocarray(void *p, size_t count, size_t size)
{
    return out_of_memory() ? NULL : __real_reallocarray(p, count, size);
}

char *__wrap_strdup(const char *text)
{
    return out_of_memory() ? NULL : __real_strdup(text);
}
/* NOLINTEND(bugprone-reserved-identifier) */

static void out_of_memory_spoils_the_request(void **state)
{
    (void)state;
    for (unsigned at = 1; at <= 23; at++) {
        struct pb_store_req *req = pb_store_req_new(false, NULL, NULL);

        fail_at = at;
        for (unsigned i = 0; i < 20; i++)
            (void)pb_store_write(req, "value", "/path/%u", i);
        /* 20 values and 2 more sizes of the array; with one failure nothing follows it */
        assert_int_equal(req->failed_alloc, at <= 22);
        assert_non_null(req->step); /* callbacks name the first path in their message */
        assert_true(at > 22 ? req->count == 20 : req->count < 20);
        fail_at = 0;
        pb_store_req_free(req);
    }
}

static void give_value(struct pb_store_req *req, unsigned step, const char *value)
{
    free(req->step[step].value);
    req->step[step].value = strdup(value);
    req->step[step].length = strlen(value);
}

static void numbers_are_strict(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
        int rc;
        uint64_t value;
    } cases[] = {
        { "0", 10, 0, 0 },
        { "10", 10, 0, 10 },
        { "007", 10, 0, 7 },
        { "11", 10, -ERANGE, 0 },
        { "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
        { "18446744073709551616", UINT64_MAX, -ERANGE, 0 },
        { "99999999999999999999999999999", UINT64_MAX, -ERANGE, 0 },
        { "", 10, -EINVAL, 0 },
        { " 1", 10, -EINVAL, 0 },
        { "1 ", 10, -EINVAL, 0 },
        { "1\n", 10, -EINVAL, 0 },
        { "+1", 10, -EINVAL, 0 },
        { "-1", 10, -EINVAL, 0 },
        { "0x1", 10, -EINVAL, 0 },
        { "99999999999999999999999999999x", UINT64_MAX, -EINVAL, 0 },
    };
    struct pb_store_req *req = pb_store_req_new(false, NULL, NULL);
    unsigned at = pb_store_read(req, "/n");

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = 0;

        give_value(req, at, cases[i].text);
        assert_int_equal(pb_store_number(req, at, cases[i].max, &value), cases[i].rc);
        assert_true(value == cases[i].value);
    }
    pb_store_req_free(req);
}

static void results_of_steps_that_failed_are_absent(void **state)
{
    struct pb_store_req *req = pb_store_req_new(false, NULL, NULL);
    unsigned read = pb_store_read(req, "/n"), write = pb_store_write(req, "1", "/m");
    uint64_t value = 77;

    (void)state;
    assert_null(pb_store_value(req, read)); /* not reached */
    assert_int_equal(pb_store_number(req, read, 10, &value), -ENOENT);
    assert_null(pb_store_value(req, write)); /* not a result */
    assert_null(pb_store_value(req, 2));
    assert_int_equal(pb_store_number(req, 2, 10, &value), -ENOENT);
    req->step[read].rc = -ENOENT;
    assert_int_equal(pb_store_number(req, read, 10, &value), -ENOENT);
    req->step[read].rc = -E2BIG;
    assert_int_equal(pb_store_number(req, read, 10, &value), -EINVAL);
    assert_int_equal(value, 77);
    give_value(req, read, "text");
    req->step[read].rc = 0;
    assert_string_equal(pb_store_value(req, read), "text");
    pb_store_req_free(req);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builds_every_verb),
        cmocka_unit_test(a_path_that_does_not_fit_spoils_the_request),
        cmocka_unit_test(out_of_memory_spoils_the_request),
        cmocka_unit_test(numbers_are_strict),
        cmocka_unit_test(results_of_steps_that_failed_are_absent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
