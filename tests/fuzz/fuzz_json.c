/* SPDX-License-Identifier: MIT */
/* Any bytes as a message: a value or an error with a place, and the getters stand every type. */
#include "base/json.h"

#include "base/assert.h"
#include "fuzz.h"

static void visit(const struct pb_json *at)
{
    static const char *const keys[] = { "a", "devices", NULL };
    struct pb_json member = pb_json_member(at, "a");

    (void)pb_json_object(at, keys);
    (void)pb_json_bool(&member, false);
    PB_ASSERT(pb_json_number(&member, 1, 4096, 7) <= 4096);
    (void)pb_json_text(&member, 64, "");
    for (size_t i = 0; i < pb_json_array(at); i++) {
        struct pb_json element = pb_json_element(at, i);

        visit(&element);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pb_json_error error = { 0 };
    json_t *value = pb_json_parse((const char *)data, size, "fuzz", &error);

    PB_ASSERT((value != NULL) == !error.set);
    if (value) {
        struct pb_json root = pb_json_root(value, "fuzz", &error);

        visit(&root);
        PB_ASSERT(!error.set || error.text[0]);
    }
    json_decref(value);
    return 0;
}
