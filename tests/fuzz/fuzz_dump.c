/* SPDX-License-Identifier: MIT */
/*
 * What people paste: dumps of lspci, and quirk files of xend. Both parsers get every input; what
 * they take is taken by the next stage, too, and what is suggested for such a device is a manifest.
 */
#include "quirk/dump.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "fuzz.h"
#include "quirk/lint.h"
#include "quirk/profile.h"
#include "quirk/suggest.h"
#include "quirk/sxp.h"

#define DENIED 6

static void no_error(void *ctx, bool error, const char *text)
{
    (void)ctx;
    (void)text;
    PB_ASSERT(!error);
}

/* Loads and has no errors. */
static void is_manifest(json_t *file)
{
    struct pb_json_error error = { 0 };
    char *text = json_dumps(file, JSON_COMPACT);
    struct pb_manifest *manifest;

    PB_ASSERT(text);
    manifest = pb_manifest_parse(text, strlen(text), "FILE", &error);
    PB_ASSERT(manifest && !error.set);
    pb_lint_manifest(manifest, no_error, NULL);
    pb_manifest_free(manifest);
    free(text);
    json_decref(file);
}

/* Writes that could have been refused, from bytes of the input. */
static void suggest(const struct pb_profile *profile, const uint8_t *data, size_t size)
{
    struct pb_denied denied[DENIED];
    json_t *left_out, *file;

    for (unsigned i = 0; i < DENIED; i++) {
        uint32_t seed = (uint32_t)(i + 1) * 2654435761U;

        for (size_t n = i; n < size; n += 97)
            seed = (seed ^ data[n]) * 16777619U;
        denied[i] = (struct pb_denied){ .size = (uint8_t)(1U << (seed >> 8) % 3), .count = 1 };
        denied[i].offset = (uint16_t)((seed >> 12) % PB_CONFIG_SIZE_PCIE & ~(denied[i].size - 1U));
        denied[i].bits = seed & pb_ones(denied[i].size);
    }
    file = pb_suggest(profile, denied, DENIED, &left_out);
    PB_ASSERT(left_out);
    json_decref(left_out);
    if (file)
        is_manifest(file);
}

static void dump(const uint8_t *data, size_t size, const char *address)
{
    static struct pb_facts facts;
    static struct pb_layout layout;
    struct pb_quirk_set *set;
    struct pb_profile *profile;
    char why[200] = "";
    int rc = pb_dump_parse((const char *)data, size, address, &facts, why, sizeof(why));

    PB_ASSERT((rc == 0) == (why[0] == 0));
    if (rc < 0)
        return;
    PB_ASSERT(facts.config_size == PB_CONFIG_SIZE_PCI || facts.config_size == PB_CONFIG_SIZE_PCIE);
    if (pb_layout_read(&facts, &layout) != 0)
        return;
    set = pb_quirk_set_empty();
    if (pb_profile_build(set, &facts, &layout, NULL, &profile, why, sizeof(why)) == 0) {
        suggest(profile, data, size);
        pb_profile_unref(profile);
    } else {
        PB_ASSERT(why[0]);
    }
    pb_quirk_set_unref(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[200] = "";
    json_t *file = pb_sxp_import((const char *)data, size, why, sizeof(why));

    PB_ASSERT((file != NULL) == (why[0] == 0));
    if (file)
        is_manifest(file);
    dump(data, size, NULL);
    dump(data, size, "00:05.0");
    return 0;
}
