/* SPDX-License-Identifier: MIT */
/* The shipped quirks: each one is loaded, linted and applied, and does what it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/json.h"
#include "quirk/dump.h"
#include "quirk/set.h"
#include "samples.h"

static struct pb_quirk_set *load(const char *dir)
{
    const char *dirs[] = { dir }, *plugin_dirs[] = { PLUGINS_DIR };
    const struct pb_quirk_sources sources = {
        .dirs = dirs,
        .dir_count = 1,
        .plugin_dirs = plugin_dirs,
        .plugin_dir_count = 1,
        .any_owner = true,
    };
    const struct pb_quirk_problem *problem;
    struct pb_quirk_set *set = pb_quirk_set_load(&sources);

    assert_non_null(set);
    if (pb_quirk_set_problems(set, &problem) != 0)
        fail_msg("%s", problem[0].text);
    return set;
}

static const struct sample *sample_of(const char *id)
{
    for (size_t i = 0; i < sample_count; i++) {
        if (strcmp(samples[i].id, id) == 0)
            return &samples[i];
    }
    return NULL;
}

struct census {
    unsigned quirks, disabled, without_sample;
};

static void count_one(void *ctx, const struct pb_quirk_view *view)
{
    struct census *census = ctx;

    census->quirks++;
    census->disabled += view->disabled;
    if (!sample_of(view->id)) {
        print_message("no sample of %s (%s)\n", view->id, view->file);
        census->without_sample++;
    }
    assert_true(strncmp(view->source, "https://", 8) == 0);
    assert_true(strlen(view->reason) > 10);
}

static void each_shipped_quirk_loads_and_has_a_sample(void **state)
{
    struct pb_quirk_set *set = load(QUIRKS_DIR);
    struct census census = { 0 };

    (void)state;
    pb_quirk_set_each(set, count_one, &census);
    assert_int_equal(census.without_sample, 0);
    assert_int_equal(census.quirks, sample_count);
    assert_int_equal(pb_quirk_set_count(set), census.quirks - census.disabled);
    print_message("%u quirks in %zu files, %u of them opt-in\n", census.quirks,
                  pb_quirk_set_files(set), census.disabled);
    pb_quirk_set_unref(set);
}

/* ---- the table for people ----------------------------------------------------------------------
 */

static char readme[64 * 1024];

static void is_listed(void *ctx, const struct pb_quirk_view *view)
{
    char quoted[80];

    ++*(unsigned *)ctx;
    (void)snprintf(quoted, sizeof(quoted), "`%s`", view->id);
    if (!strstr(readme, quoted))
        fail_msg("quirks.d/README.md does not list %s", view->id);
}

static void the_list_of_what_is_covered_is_complete(void **state)
{
    struct pb_quirk_set *set = load(QUIRKS_DIR);
    unsigned quirks = 0, rows = 0, covered = 0, built_in = 0;
    FILE *file = fopen(QUIRKS_DIR "/README.md", "re");
    char *line, *save = NULL, text[200];
    size_t length;

    (void)state;
    assert_non_null(file);
    length = fread(readme, 1, sizeof(readme) - 1, file);
    assert_int_equal(fclose(file), 0);
    readme[length] = 0;
    pb_quirk_set_each(set, is_listed, &quirks);
    (void)snprintf(text, sizeof(text), "%u quirks in %zu files.", quirks, pb_quirk_set_files(set));
    assert_non_null(strstr(readme, text));
    for (line = strtok_r(strstr(readme, "|---"), "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, "| ", 2) != 0 || strncmp(line, "| **", 4) == 0)
            continue;
        rows++;
        covered += strstr(line, " | `") != NULL;
        built_in += strstr(line, " | – | built in") != NULL;
    }
    print_message("%u quirks in %zu files; %u of %u rows of the catalogue, %u of them built in\n",
                  quirks, pb_quirk_set_files(set), covered + built_in, rows, built_in);
    assert_int_equal(rows, 59);
    assert_int_equal(covered + built_in, 54);
    pb_quirk_set_unref(set);
}

static struct pb_profile *apply(struct pb_quirk_set *set, const struct pb_facts *facts)
{
    struct pb_profile *profile = NULL;
    struct pb_layout layout;
    char why[400];

    assert_int_equal(pb_layout_read(facts, &layout), 0);
    if (pb_profile_build(set, facts, &layout, NULL, &profile, why, sizeof(why)) != 0)
        fail_msg("%s", why);
    return profile;
}

static const struct pb_applied *applied(const struct pb_profile *profile, const char *id)
{
    for (size_t i = 0; i < profile->applied_count; i++) {
        if (strcmp(profile->applied[i].id, id) == 0)
            return &profile->applied[i];
    }
    return NULL;
}

/* Only this quirk, switched on: in a directory of its own, from the file that ships it. */
static struct pb_quirk_set *only(const char *file, const char *id)
{
    char dir[] = "/tmp/pb-catalogue-XXXXXX", path[64];
    struct pb_json_error error = { 0 };
    json_t *root = pb_json_load(file, 1U << 20, true, &error), *quirks, *quirk;
    struct pb_quirk_set *set;
    size_t i;

    assert_non_null(root);
    quirks = json_object_get(root, "quirks");
    for (i = json_array_size(quirks); i-- > 0;) {
        quirk = json_array_get(quirks, i);
        (void)json_object_del(quirk, "disabled");
        if (strcmp(json_string_value(json_object_get(quirk, "id")), id) != 0)
            assert_int_equal(json_array_remove(quirks, i), 0);
    }
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/50-one.json", dir);
    assert_int_equal(json_dump_file(root, path, 0), 0);
    json_decref(root);
    set = load(dir);
    assert_int_equal(pb_quirk_set_count(set), 1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    return set;
}

static void check_alone(const struct sample *sample, const struct pb_facts *facts, const char *file)
{
    struct pb_quirk_set *set = only(file, sample->id);
    struct pb_profile *profile = apply(set, facts);

    assert_int_equal(profile->applied_count, 1);
    if (profile->applied[0].without_effect)
        fail_msg("%s: %s", sample->id, profile->applied[0].without_effect);
    sample->check(profile, sample);
    pb_profile_unref(profile);
    pb_quirk_set_unref(set);
}

static void each_shipped_quirk_does_what_it_says(void **state)
{
    struct pb_quirk_set *set = load(QUIRKS_DIR);

    (void)state;
    for (size_t i = 0; i < sample_count; i++) {
        const struct sample *sample = &samples[i];
        const struct pb_applied *mine;
        struct pb_profile *profile;
        struct pb_facts facts;

        print_message("%s\n", sample->id);
        sample_facts(sample, &facts);
        /* among all others it fits the device, and counts unless it is opt-in */
        profile = apply(set, &facts);
        mine = applied(profile, sample->id);
        assert_non_null(mine);
        assert_true(!mine->without_effect || strcmp(mine->without_effect, "disabled") == 0);
        check_alone(sample, &facts, mine->file);
        pb_profile_unref(profile);
    }
    pb_quirk_set_unref(set);
}

static void quirks_keep_to_their_own_devices(void **state)
{
    struct pb_quirk_set *set = load(QUIRKS_DIR);

    (void)state;
    for (size_t i = 0; i < sample_count; i++) {
        struct sample other = samples[i];
        struct pb_profile *profile;
        struct pb_facts facts;

        if (other.any_device)
            continue;
        /* another vendor's device of another class, otherwise the same */
        other.vendor = 0xfffd;
        other.class_code = 0x118000;
        sample_facts(&other, &facts);
        profile = apply(set, &facts);
        assert_null(applied(profile, other.id));
        pb_profile_unref(profile);
    }
    pb_quirk_set_unref(set);
}

/* ---- the lists of ids --------------------------------------------------------------------------
 */

struct query {
    const char *id;
    bool found;
};

static void look_for(void *ctx, const struct pb_quirk_view *view)
{
    struct query *query = ctx;

    query->found |= strcmp(view->id, query->id) == 0;
}

static bool matches(const struct pb_quirk_set *set, const char *id, const struct pb_quirk_ids *ids)
{
    struct query query = { .id = id };

    pb_quirk_set_query(set, ids, look_for, &query);
    return query.found;
}

static void tg3_has_its_45_ids_and_11_registers(void **state)
{
    static const struct {
        const char *quirk;
        uint16_t vendor, device[40];
    } rows[] = {
        { "tg3-broadcom", 0x14e4, { 0x1644, 0x1645, 0x1646, 0x1647, 0x1648, 0x164d, 0x1653, 0x1654,
                                    0x165d, 0x165e, 0x16a6, 0x16a7, 0x16a8, 0x16c6, 0x16c7, 0x1696,
                                    0x169c, 0x169d, 0x170d, 0x1649, 0x166e, 0x1658, 0x1659, 0x1676,
                                    0x1677, 0x167c, 0x167d, 0x167e, 0x1600, 0x1601, 0x16f7, 0x16fd,
                                    0x16fe, 0x1668, 0x1678, 0x166a, 0x166b, 0x16dd } },
        { "tg3-syskonnect", 0x1148, { 0x4400, 0x4500 } },
        { "tg3-altima", 0x173b, { 0x03e8, 0x03e9, 0x03eb, 0x03ea } },
        { "tg3-apple", 0x106b, { 0x1645 } },
    };
    struct pb_quirk_set *set = load(QUIRKS_DIR);
    unsigned ids = 0, registers = 0;

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(rows); i++) {
        for (unsigned n = 0; n < 40 && rows[i].device[n]; n++, ids++) {
            const struct pb_quirk_ids device = { .vendor = rows[i].vendor,
                                                 .device = rows[i].device[n] };

            assert_true(matches(set, rows[i].quirk, &device));
        }
        for (const struct bits *b = sample_of(rows[i].quirk)->bits; b->size; b++)
            registers++;
    }
    assert_int_equal(ids, 45);
    assert_int_equal(registers, 4 * 11);
    pb_quirk_set_unref(set);
}

static void masks_and_ranges_end_where_they_should(void **state)
{
    static const struct {
        const char *quirk;
        struct pb_quirk_ids ids;
        bool match;
    } rows[] = {
        { "nvidia-no-bus-reset", { .vendor = 0x10de, .device = 0x2340 }, true },
        { "nvidia-no-bus-reset", { .vendor = 0x10de, .device = 0x237f }, true },
        { "nvidia-no-bus-reset", { .vendor = 0x10de, .device = 0x233f }, false },
        { "nvidia-no-bus-reset", { .vendor = 0x10de, .device = 0x2380 }, false },
        { "chelsio-t3-vpd-size", { .vendor = 0x1425, .device = 0x001f }, false },
        { "chelsio-t3-vpd-size", { .vendor = 0x1425, .device = 0x0020 }, true },
        { "chelsio-t3-vpd-size", { .vendor = 0x1425, .device = 0x0fff }, true },
        { "chelsio-t3-vpd-size", { .vendor = 0x1425, .device = 0x1020 }, false },
        { "chelsio-t4-vpd-size", { .vendor = 0x1425, .device = 0x3400 }, false },
        { "chelsio-t4-vpd-size", { .vendor = 0x1425, .device = 0x4000 }, true },
        { "chelsio-t4-vpd-size", { .vendor = 0x1425, .device = 0x67ff }, true },
        { "chelsio-t4-vpd-size", { .vendor = 0x1425, .device = 0x6800 }, false }, /* a VF */
        { "chelsio-t4-reset", { .vendor = 0x1425, .device = 0x4fff }, true },
        { "chelsio-t4-reset", { .vendor = 0x1425, .device = 0x5000 }, false },
        { "attansic-qca-intx-with-msi",
          { .vendor = 0x1969, .device = 0x1091, .revision = 0x18 },
          false },
        { "intel-e2000-no-ats", { .vendor = 0x8086, .device = 0x1451, .revision = 0x20 }, false },
        { "intel-e2000-no-ats", { .vendor = 0x8086, .device = 0x1456 }, false },
        { "i219-v-link-af", { .vendor = 0x8086, .device = 0x15bc, .revision = 0x11 }, false },
        { "solidrun-snet-no-flr", { .vendor = 0xd063, .device = 0x1000, .revision = 2 }, false },
        { "amd-raven-no-ats",
          { .vendor = 0x1002,
            .device = 0x15d8,
            .revision = 0xcf,
            .subsystem_vendor = 0xea50,
            .subsystem_device = 0xcc09 },
          false },
        { "apex-class", { .vendor = 0x1ac1, .device = 0x089a, .class_code = 0x0880ff }, false },
        { "amd-dwc-usb-class",
          { .vendor = 0x1022, .device = 0x163a, .class_code = 0x0c03fe },
          false },
    };
    struct pb_quirk_set *set = load(QUIRKS_DIR);

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(rows); i++) {
        if (matches(set, rows[i].quirk, &rows[i].ids) != rows[i].match)
            fail_msg("%s: %04x:%04x", rows[i].quirk, rows[i].ids.vendor, rows[i].ids.device);
    }
    pb_quirk_set_unref(set);
}

/* What is linked or opened only on a condition is left alone where it does not hold. */
static void conditions_on_registers_are_obeyed(void **state)
{
    struct pb_quirk_set *set = load(QUIRKS_DIR);
    const struct {
        const char *id;
        unsigned at;
        uint8_t value;
    } rows[] = {
        { "i219-lm-link-af", 0xd1, 0xe0 },          /* the list goes on */
        { "i219-v-link-af", 0xe0, 0x05 },           /* something else is there */
        { "qat-dh895xcc-vf-link-exp", 0x50, 0x11 }, /* the same */
        { "intel-ehci-legacy", 0x68, 0x00 },        /* no legacy support */
        { "intel-ahci-pcs", 0xd3, 0x01 },           /* MSI's masks may lie there */
        { "intel-hda-tcsel", 0x34, 0x40 },          /* a capability may lie there */
    };

    (void)state;
    for (size_t i = 0; i < PB_ARRAY_SIZE(rows); i++) {
        struct pb_profile *profile;
        struct pb_facts facts;

        sample_facts(sample_of(rows[i].id), &facts);
        facts.config[rows[i].at] = rows[i].value;
        profile = apply(set, &facts);
        assert_null(applied(profile, rows[i].id));
        pb_profile_unref(profile);
    }
    pb_quirk_set_unref(set);
}

static void count_line(void *ctx, const char *text)
{
    unsigned *lines = ctx;

    (void)text;
    ++*lines;
}

/* Whole devices, as real ones look: no shipped quirk is in the way of one. */
static void real_devices_fit(void **state)
{
    static const struct {
        const char *name;
        bool changed; /* by a quirk */
    } rows[] = {
        { "e1000", false },    { "e1000e", false },  { "nvme", false },
        { "intel-hda", true }, { "rtl8139", false }, { "virtio-net", false },
    };
    struct pb_quirk_set *set = load(QUIRKS_DIR), *none = pb_quirk_set_empty();

    (void)state;
    assert_non_null(none);
    for (size_t i = 0; i < PB_ARRAY_SIZE(rows); i++) {
        static char text[64 * 1024];
        struct pb_profile *with, *without;
        struct pb_facts facts;
        char path[300], why[200];
        unsigned lines = 0;
        size_t length;
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/%s.txt", DUMPS_DIR, rows[i].name);
        file = fopen(path, "re");
        assert_non_null(file);
        length = fread(text, 1, sizeof(text), file);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(pb_dump_parse(text, length, NULL, &facts, why, sizeof(why)), 0);
        with = apply(set, &facts);
        without = apply(none, &facts);
        pb_profile_diff(without, with, count_line, &lines);
        assert_int_equal(lines > 0, rows[i].changed);
        pb_profile_unref(with);
        pb_profile_unref(without);
    }
    pb_quirk_set_unref(set);
    pb_quirk_set_unref(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_shipped_quirk_loads_and_has_a_sample),
        cmocka_unit_test(the_list_of_what_is_covered_is_complete),
        cmocka_unit_test(each_shipped_quirk_does_what_it_says),
        cmocka_unit_test(quirks_keep_to_their_own_devices),
        cmocka_unit_test(tg3_has_its_45_ids_and_11_registers),
        cmocka_unit_test(masks_and_ranges_end_where_they_should),
        cmocka_unit_test(conditions_on_registers_are_obeyed),
        cmocka_unit_test(real_devices_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
