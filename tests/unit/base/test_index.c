/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/index.h"

#define COUNT 5000u

struct thing {
    struct pb_index_link link;
    unsigned number;
};

static struct thing things[COUNT];
static struct pb_index index_;

static unsigned found(uint64_t key)
{
    unsigned count = 0;

    for (struct pb_index_link *link = pb_index_first(&index_, key); link;
         link = pb_index_next(link)) {
        assert_int_equal(link->key, key);
        count++;
    }
    return count;
}

static void what_was_added_is_found_until_it_is_removed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        things[i].number = i;
        pb_index_add(&index_, &things[i].link, i * UINT64_C(256));
    }
    assert_int_equal(index_.count, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        struct pb_index_link *link = pb_index_first(&index_, i * UINT64_C(256));

        assert_non_null(link);
        assert_int_equal(PB_CONTAINER_OF(link, struct thing, link)->number, i);
    }
    assert_int_equal(found(1), 0);
    for (unsigned i = 0; i < COUNT; i += 2)
        pb_index_remove(&index_, &things[i].link);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(found(i * UINT64_C(256)), i % 2);
    pb_index_fini(&index_);
    assert_int_equal(found(256), 0);
}

static void several_may_have_one_key(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++)
        pb_index_add(&index_, &things[i].link, i % 3);
    assert_int_equal(found(0), 34);
    assert_int_equal(found(1), 33);
    pb_index_remove(&index_, &things[3].link);
    assert_int_equal(found(0), 33);
    pb_index_fini(&index_);
}

/* Multiples of a power of two, as addresses are, must not meet in one bucket. */
static void no_bucket_has_many(void **state)
{
    unsigned most = 0;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++)
        pb_index_add(&index_, &things[i].link, i * UINT64_C(256));
    assert_true(index_.size >= COUNT);
    for (size_t i = 0; i < index_.size; i++) {
        unsigned count = 0;

        for (const struct pb_index_link *link = index_.many[i]; link; link = link->next)
            count++;
        most = count > most ? count : most;
    }
    assert_in_range(most, 1, 8);
    pb_index_fini(&index_);
}

static void texts_have_keys_of_their_own(void **state)
{
    char text[16];

    (void)state;
    assert_true(pb_index_text("") != pb_index_text("a"));
    assert_true(pb_index_text("ab") != pb_index_text("ba"));
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(text, sizeof(text), "guest%u", i);
        pb_index_add(&index_, &things[i].link, pb_index_text(text));
    }
    assert_int_equal(found(pb_index_text("guest77")), 1);
    assert_int_equal(found(pb_index_text("guest5000")), 0);
    pb_index_fini(&index_);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_found_until_it_is_removed),
        cmocka_unit_test(several_may_have_one_key),
        cmocka_unit_test(no_bucket_has_many),
        cmocka_unit_test(texts_have_keys_of_their_own),
    };

    return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
