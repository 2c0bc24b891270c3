/* SPDX-License-Identifier: MIT */
#include "quirk/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "device.h"
#include "pci/regs.h"
#include "quirk/text.h"

static char dir[] = "/tmp/pcibackd-test-profile-XXXXXX";
static struct pb_facts facts;
static struct pb_layout layout;
static const struct pb_operator nothing_said;
static char why[500];

static int setup(void **state)
{
    (void)state;
    memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
    why[0] = '\0';
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[100];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

static void take(void (*fill)(struct pb_facts *facts))
{
    fill(&facts);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
}

/* Quirks: "ID: MEMBERS" in one file, all for Intel's devices unless they say otherwise. */
static void put(const char *const *quirks)
{
    char path[100], text[8000] = "{\"schema\":1,\"quirks\":[";
    size_t n = strlen(text);
    int fd;

    for (unsigned i = 0; quirks[i]; i++) {
        const char *rest = strchr(quirks[i], ':');

        assert_non_null(rest);
        n += (size_t)snprintf(text + n, sizeof(text) - n,
                              "%s{\"id\":\"%.*s\",\"reason\":\"reason\",\"source\":\"s\",%s%s}",
                              i ? "," : "", (int)(rest - quirks[i]), quirks[i],
                              strstr(rest, "\"match\"") ? "" : "\"match\":{\"vendor\":\"0x8086\"},",
                              rest + 1);
        assert_true(n < sizeof(text));
    }
    (void)snprintf(text + n, sizeof(text) - n, "]}");
    (void)snprintf(path, sizeof(path), "%s/50-test.json", dir);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static struct pb_quirk_set *load(void)
{
    const char *const dirs[] = { dir }, *const plugin_dirs[] = { PB_FIXTURE_DIR };
    const struct pb_quirk_sources sources = { .dirs = dirs,
                                              .dir_count = 1,
                                              .plugin_dirs = plugin_dirs,
                                              .plugin_dir_count = 1,
                                              .any_owner = true };
    struct pb_quirk_set *set = pb_quirk_set_load(&sources);
    const struct pb_quirk_problem *problem;

    assert_non_null(set);
    if (pb_quirk_set_problems(set, &problem))
        fail_msg("%s", problem[0].text);
    return set;
}

static int try_build(const struct pb_operator *op, const char *const *quirks,
                     struct pb_profile **ret)
{
    struct pb_quirk_set *set;
    int rc;

    put(quirks);
    set = load();
    rc = pb_profile_build(set, &facts, &layout, op, ret, why, sizeof(why));
    pb_quirk_set_unref(set); /* the profile has its own reference */
    return rc;
}

/* The profile of the device that was taken, under these quirks. */
#define BUILD(...) build_with(&nothing_said, (const char *const[]){ __VA_ARGS__, NULL })

static struct pb_profile *build_with(const struct pb_operator *op, const char *const *quirks)
{
    struct pb_profile *p = NULL;

    if (try_build(op, quirks, &p) != 0)
        fail_msg("%s", why);
    assert_non_null(p);
    assert_string_equal(why, "");
    return p;
}

#define REFUSED(...) refused((const char *const[]){ __VA_ARGS__, NULL })

static int refused(const char *const *quirks)
{
    struct pb_profile *p = NULL;
    int rc = try_build(&nothing_said, quirks, &p);

    assert_true(rc < 0);
    assert_null(p);
    return rc;
}

static void expect_why(const char *expected)
{
    char text[500];

    (void)snprintf(text, sizeof(text),
                   "quirk \"bad\" of %s/50-test.json does not fit this device: %s", dir, expected);
    assert_string_equal(why, text);
}

static const char *without_effect(const struct pb_profile *p, const char *id)
{
    for (size_t i = 0; i < p->applied_count; i++) {
        if (strcmp(p->applied[i].id, id) == 0)
            return p->applied[i].without_effect;
    }
    fail_msg("%s did not match", id);
    return NULL;
}

static uint32_t writable(const struct pb_profile *p, unsigned offset, unsigned size)
{
    return pb_le_get(p->map->write + offset, size);
}

static void without_quirks_a_profile_is_the_baseline(void **state)
{
    struct pb_profile *p = NULL;
    struct pb_quirk_set *set = pb_quirk_set_empty();
    struct pb_map *map;
    int rc;

    (void)state;
    take(pb_test_e1000e);
    map = pb_map_baseline(&facts, &layout, &rc);
    assert_non_null(map);
    assert_int_equal(pb_profile_build(set, &facts, &layout, &nothing_said, &p, why, sizeof(why)),
                     0);
    assert_memory_equal(p->map->write, map->write, sizeof(map->write));
    assert_memory_equal(p->map->virt, map->virt, sizeof(map->virt));
    assert_memory_equal(p->map->fixed, map->fixed, sizeof(map->fixed));
    assert_memory_equal(p->map->value, map->value, sizeof(map->value));
    assert_memory_equal(p->map->lock, map->lock, sizeof(map->lock));
    assert_int_equal(p->applied_count, 0);
    pb_profile_unref(p);
    pb_quirk_set_unref(set);
    free(map);
}

static void a_field_opens_exactly_its_bits(void **state)
{
    struct pb_profile *p;
    const struct pb_rule *rule;

    (void)state;
    take(pb_test_e1000e);
    p = BUILD("one:\"fields\":[{\"at\":\"0x68\",\"size\":4,\"write\":\"0x00ff00f0\",\"fixed\":1,"
              "\"value\":1,\"name\":\"MISC\",\"why\":\"because\"}]");
    assert_int_equal(writable(p, 0x68, 4), 0x00ff00f0);
    assert_int_equal(pb_le_get(p->map->fixed + 0x68, 4), 1);
    assert_int_equal(pb_le_get(p->map->value + 0x68, 4), 1);
    assert_int_equal(writable(p, 0x64, 4), 0);
    assert_int_equal(writable(p, 0x6c, 4), 0);
    rule = pb_rules_deciding(&p->rules, 0x68, 0);
    assert_string_equal(rule->origin, "one");
    assert_string_equal(rule->name, "MISC");
    assert_string_equal(rule->why, "because");
    assert_string_equal(rule->file, p->applied[0].file);
    assert_null(p->applied[0].without_effect);
    pb_profile_unref(p);
}

static void the_more_specific_quirk_wins_per_bit_wherever_it_stands(void **state)
{
    struct pb_profile *p;

    (void)state;
    take(pb_test_e1000e);
    p = BUILD("special:\"match\":{\"vendor\":\"0x8086\",\"device\":\"0x10d3\"},"
              "\"fields\":[{\"at\":\"0x68\",\"size\":4,\"hw\":\"0xff\"}]",
              "general:\"fields\":[{\"at\":\"0x68\",\"size\":4,\"write\":\"0xffff\"}]",
              "later:\"fields\":[{\"at\":\"0x68\",\"size\":4,\"virtual\":\"0xf000\"}]");
    assert_int_equal(writable(p, 0x68, 4), 0x0f00);
    assert_int_equal(pb_le_get(p->map->virt + 0x68, 4), 0xf000);
    assert_string_equal(pb_rules_deciding(&p->rules, 0x68, 0)->origin, "special");
    assert_string_equal(pb_rules_deciding(&p->rules, 0x69, 0)->origin, "general");
    assert_string_equal(pb_rules_deciding(&p->rules, 0x69, 7)->origin, "later");
    assert_int_equal(p->applied_count, 3);
    assert_string_equal(p->applied[2].id, "special");
    pb_profile_unref(p);
}

static void a_field_in_a_capability_that_is_missing_is_skipped_with_a_note(void **state)
{
    struct pb_profile *p;

    (void)state;
    take(pb_test_e1000e);
    p = BUILD("none:\"fields\":[{\"at\":{\"cap\":\"pcix\",\"offset\":2},\"size\":2,\"write\":1}]",
              "some:\"fields\":[{\"at\":{\"cap\":\"pcix\",\"offset\":2},\"size\":2,\"write\":1},"
              "{\"at\":{\"ext_cap\":\"dsn\",\"offset\":4},\"size\":4,\"fixed\":\"0xffffffff\"}]",
              "off:\"disabled\":true,\"fields\":[{\"at\":\"0x68\",\"size\":4,\"write\":1}]");
    assert_string_equal(without_effect(p, "none"), "the device has no such capability");
    assert_null(without_effect(p, "some"));
    assert_string_equal(without_effect(p, "off"), "disabled");
    assert_int_equal(pb_le_get(p->map->value + 0x144, 4), 0);
    assert_int_equal(pb_le_get(p->map->fixed + 0x144, 4), UINT32_MAX);
    assert_int_equal(writable(p, 0x68, 4), 0);
    pb_profile_unref(p);

    take(pb_test_e1000);
    p = BUILD("far:\"fields\":[{\"at\":\"0x200\",\"size\":4,\"write\":1}]",
              "pcix:\"fields\":[{\"at\":{\"cap\":\"pcix\",\"offset\":2},\"size\":2,\"write\":1}]");
    assert_string_equal(without_effect(p, "far"),
                        "its register lies outside of the device's space");
    assert_int_equal(writable(p, 0xe6, 2), 1);
    pb_profile_unref(p);
}

static void what_does_not_fit_the_device_is_refused_with_quirk_and_file(void **state)
{
    (void)state;
    take(pb_test_e1000e);
    /* the same registers that lint knows by their capability, at their offsets */
    assert_int_equal(
        REFUSED("bad:\"fields\":[{\"at\":\"0xd4\",\"size\":4,\"write\":1}],\"unsafe\":true"),
        -EINVAL);
    expect_why("0xd4 size 4 can never be opened: with MSI's address and data a guest can raise any "
               "interrupt");
    assert_int_equal(REFUSED("bad:\"fields\":[{\"at\":\"0xf0\",\"size\":2,\"write\":2}]"), -EINVAL);
    expect_why("0xf0 size 2 is dangerous, which takes \"unsafe\": true: Link Control is an "
               "agreement with the port above: ASPM, retraining, link disable");
    /* what only the tables lock */
    assert_int_equal(
        REFUSED("good:\"fields\":[{\"at\":\"0x68\",\"size\":4,\"write\":1}]",
                "bad:\"fields\":[{\"at\":\"0xf2\",\"size\":2,\"w1c\":\"0x4000\"}],\"unsafe\":true"),
        -EINVAL);
    expect_why("0xf2 size 2 can never be opened");
    assert_int_equal(REFUSED("bad:\"fields\":[{\"at\":\"0xcc\",\"size\":4,\"virtual\":1}]"),
                     -EINVAL);
    expect_why("0xcc size 4 cuts through another register");
    assert_int_equal(REFUSED("bad:\"fields\":[{\"at\":\"0xd0\",\"size\":1,\"fixed\":255}]"),
                     -EINVAL);
    expect_why("0xd0 size 1 is a capability's header");
}

/* At the register's offset, where lint cannot know what it is, and whatever is said of safety. */
static void H14_no_quirk_opens_payload_phantom_functions_flr_or_error_reporting(void **state)
{
    const unsigned never = PCI_EXP_DEVCTL_ERRORS | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_PHANTOM |
                           PCI_EXP_DEVCTL_FLR;

    (void)state;
    take(pb_test_e1000e);
    for (unsigned bit = 0; bit < 16; bit++) {
        const char *list[2] = { NULL };
        struct pb_profile *p = NULL;
        char text[200];
        int rc;

        (void)snprintf(text, sizeof(text),
                       "bad:\"unsafe\":true,\"fields\":[{\"at\":%u,\"size\":2,\"write\":%u}]",
                       E1000E_EXP + PCI_EXP_DEVCTL, 1U << bit);
        list[0] = text;
        rc = try_build(&nothing_said, list, &p);
        assert_int_equal(rc, never >> bit & 1 ? -EINVAL : 0);
        if (p)
            assert_int_equal(writable(p, E1000E_EXP + PCI_EXP_DEVCTL, 2),
                             PCI_EXP_DEVCTL_RELAX | PCI_EXP_DEVCTL_NOSNOOP | 1U << bit);
        pb_profile_unref(p);
    }
}

static void an_absolute_register_behind_a_short_capability_is_not_its(void **state)
{
    struct pb_profile *p;

    (void)state;
    take(pb_test_e1000);
    /* MSI of 32 bits without masks, 10 bytes long: as Broadcom's, with a register behind it */
    pb_test_add_cap(&facts, 0x5c, PCI_CAP_MSI);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    p = BUILD("one:\"fields\":[{\"at\":\"0x68\",\"size\":4,\"write\":\"0xffffffff\"}]");
    assert_int_equal(writable(p, 0x68, 4), UINT32_MAX);
    pb_profile_unref(p);
    assert_int_equal(REFUSED("bad:\"fields\":[{\"at\":\"0x64\",\"size\":4,\"write\":1}]"), -EINVAL);
}

static void traits_come_from_quirks_and_the_operator_has_the_last_word(void **state)
{
    const struct pb_operator op = { .has_assign = true,
                                    .assign = PB_ASSIGN_ALLOW,
                                    .reset_method = { PB_RESET_BY_PM, PB_RESET_BY_BUS },
                                    .reset_method_count = 2,
                                    .msix_vectors_max = 3 };
    const char *const quirks[] = {
        "special:\"match\":{\"vendor\":\"0x8086\",\"device\":\"0x10d3\"},"
        "\"device\":{\"no_reset\":[\"bus\"],\"delay_after_reset_ms\":100,\"msix_max_vectors\":2}",
        "general:\"device\":{\"no_reset\":[\"flr\"],\"delay_after_reset_ms\":250,\"assign\":"
        "\"deny\","
        "\"reset_method\":[\"flr\"],\"class\":\"0x028000\",\"d3_delay_ms\":20,\"msi\":\"deny\"}",
        NULL
    };
    struct pb_profile *p;

    (void)state;
    take(pb_test_e1000e);
    p = build_with(&nothing_said, quirks);
    assert_int_equal(p->traits.no_reset, 1U << PB_RESET_BY_BUS | 1U << PB_RESET_BY_FLR);
    assert_int_equal(p->traits.reset_delay_ms, 100);
    assert_string_equal(p->traits.origin[PB_TRAIT_RESET_DELAY], "special");
    assert_int_equal(p->traits.assign, PB_ASSIGN_DENY);
    assert_string_equal(p->traits.origin[PB_TRAIT_ASSIGN], "general");
    assert_string_equal(p->traits.reason[PB_TRAIT_ASSIGN], "reason");
    assert_int_equal(p->traits.reset_method[0], PB_RESET_BY_FLR);
    assert_int_equal(p->traits.msix_max_vectors, 2);
    assert_int_equal(p->caps.seen.msix_vectors, 2);
    assert_int_equal(p->caps.seen.msi, 0);
    assert_int_equal(pb_le_get(p->map->value + PCI_REVISION, 4) >> 8, 0x028000);
    assert_int_equal(p->facts.class_code, 0x020000); /* the device's own stays known */
    assert_false(p->traits.set[PB_TRAIT_ROM]);
    pb_profile_unref(p);

    p = build_with(&op, quirks);
    assert_int_equal(p->traits.assign, PB_ASSIGN_ALLOW);
    assert_string_equal(p->traits.origin[PB_TRAIT_ASSIGN], "configuration");
    assert_null(p->traits.file[PB_TRAIT_ASSIGN]);
    assert_int_equal(p->traits.reset_method_count, 2);
    assert_int_equal(p->traits.reset_method[0], PB_RESET_BY_PM);
    assert_int_equal(p->traits.msix_max_vectors, 2); /* a quirk's, that is less anyway */
    assert_string_equal(p->traits.origin[PB_TRAIT_MSIX_MAX_VECTORS], "special");
    pb_profile_unref(p);

    p = build_with(&op, quirks + 1);
    assert_int_equal(p->caps.seen.msix_vectors, 3);
    assert_string_equal(p->traits.origin[PB_TRAIT_MSIX_MAX_VECTORS], "configuration");
    pb_profile_unref(p);
}

static void every_trait_reaches_the_profile(void **state)
{
    static const char all[] =
        "aa:\"device\":{\"config_size\":1024,\"class\":\"0x028000\",\"msi\":\"deny\",\"msix\":"
        "\"deny\","
        "\"msix_max_vectors\":2,\"intx\":\"warn\",\"intx_with_msi\":\"keep\",\"rom\":\"hide\","
        "\"vpd_size\":8,\"reset_method\":[\"bus\",\"pm\"],\"no_reset\":[\"flr\"],"
        "\"delay_after_reset_ms\":5,\"d3_delay_ms\":6,\"assign\":\"deny\"}";
    static const char *const expected[PB_TRAIT_COUNT] = {
        "1024", "0x028000", "deny",   "deny", "2", "warn", "keep",
        "hide", "8",        "bus pm", "flr",  "5", "6",    "deny",
    };
    char buf[PB_TRAIT_TEXT_MAX];
    struct pb_profile *p;

    (void)state;
    take(pb_test_e1000e);
    p = BUILD(all);
    for (unsigned i = 0; i < PB_TRAIT_COUNT; i++) {
        assert_true(p->traits.set[i]);
        assert_string_equal(pb_text_trait(&p->traits, (enum pb_trait)i, buf), expected[i]);
    }
    assert_int_equal(p->map->size, 1024);
    assert_int_equal(p->map->d3_delay_ms, 6);
    pb_profile_unref(p);
}

static void capabilities_are_hidden_linked_and_added(void **state)
{
    struct pb_profile *p;

    (void)state;
    take(pb_test_e1000e);
    facts.config[0xe1] = 0;    /* the list ends with PCI Express … */
    facts.config[0x40] = 0x13; /* … and AF is there, but no list leads to it */
    facts.config[0x42] = 6;
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    p = BUILD("one:\"capabilities\":{\"hide\":[\"pm\"],\"hide_extended\":[\"dsn\"],"
              "\"link\":[{\"at\":\"0x40\",\"id\":\"af\",\"after\":\"exp\"}],"
              "\"add\":[{\"at\":\"0x50\",\"id\":\"vendor\",\"bytes\":\"0c00\","
              "\"copy\":[{\"to\":4,\"from\":\"0x10\",\"bytes\":8}]}]},"
              "\"fields\":[{\"at\":{\"cap\":\"af\",\"offset\":3},\"size\":1,\"fixed\":1,"
              "\"value\":1}]",
              "vain:\"capabilities\":{\"link\":[{\"at\":\"0x60\",\"id\":\"vpd\"}]}");
    assert_string_equal(without_effect(p, "vain"),
                        "the capability to link or add is not as expected");
    assert_null(without_effect(p, "one"));
    assert_int_equal(p->caps.seen.pm, 0);
    assert_int_equal(p->caps.seen.af, 0x40);
    assert_int_equal(p->map->value[PCI_CAPABILITIES], 0xd0);
    assert_int_equal(p->map->value[0xe1], 0x40);
    assert_int_equal(p->map->value[0x41], 0x50);
    assert_int_equal(p->map->value[0x50], 0x09);
    assert_int_equal(p->map->value[0x52], 0x0c);
    assert_memory_equal(p->map->value + 0x54, facts.config + PCI_BAR0, 8);
    /* a field of what this very quirk has linked */
    assert_int_equal(p->map->value[0x43], 1);
    assert_int_equal(p->caps.seen.ext_count, 1);
    pb_profile_unref(p);

    assert_int_equal(
        REFUSED("bad:\"capabilities\":{\"add\":[{\"at\":\"0xd4\",\"id\":\"vendor\"}]}"), -EINVAL);
    expect_why("its capability at 0xd4 lies upon another one");
}

static void a_bridge_and_malformed_capabilities_are_refused(void **state)
{
    struct pb_profile *p = NULL;
    struct pb_quirk_set *set = pb_quirk_set_empty();

    (void)state;
    take(pb_test_e1000e);
    facts.class_code = 0x060400;
    assert_int_equal(pb_profile_build(set, &facts, &layout, NULL, &p, why, sizeof(why)),
                     -EOPNOTSUPP);
    assert_string_equal(why, "it is a bridge, which no guest can have");
    take(pb_test_e1000e);
    pb_test_add_cap(&facts, E1000E_MSI + 4, 0x09);
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    assert_int_equal(pb_profile_build(set, &facts, &layout, NULL, &p, why, sizeof(why)), -EPROTO);
    assert_null(p);
    assert_true(why[0] != '\0');
    pb_quirk_set_unref(set);
}

static void plugins_get_the_bits_that_their_manifest_lists(void **state)
{
    struct pb_profile *p;

    (void)state;
    take(pb_test_e1000e);
    p = BUILD("one:\"plugin\":{\"name\":\"fake\",\"params\":{\"a\":[1,2]},\"registers\":["
              "{\"at\":\"0x68\",\"size\":4,\"mask\":\"0xff00ff\"},"
              "{\"at\":{\"cap\":\"vpd\",\"offset\":4},\"size\":4},"
              "{\"at\":{\"cap\":\"msi\",\"offset\":4},\"size\":4}]}",
              "two:\"plugin\":{\"name\":\"fake-raw\",\"registers\":\"all\"}",
              "three:\"plugin\":{\"name\":\"fake\",\"params\":{\"a\":[1,2]},\"registers\":["
              "{\"at\":\"0x6c\",\"size\":1}]}",
              "four:\"plugin\":{\"name\":\"fake\"}", "five:\"plugin\":{\"name\":\"fake2\"}");
    assert_int_equal(p->binding_count, 4);
    /* the same plugin with the same parameters is there once */
    assert_string_equal(pb_plugin_name(p->binding[0]->plugin), "fake");
    assert_string_equal(p->binding[0]->params, "{\"a\":[1,2]}");
    assert_int_equal(pb_le_get(p->binding[0]->mask + 0x68, 4), 0xff00ff);
    assert_int_equal(pb_le_get(p->binding[0]->mask + 0x6c, 4), 0xff);
    assert_int_equal(pb_le_get(p->binding[0]->mask + E1000E_MSI + 4, 4), UINT32_MAX);
    assert_int_equal(pb_le_get(p->binding[0]->mask, 4), 0);
    for (unsigned i = 0; i < 4096; i++)
        assert_int_equal(p->binding[1]->mask[i], 0xff);
    assert_string_equal(p->binding[2]->params, "{}");
    assert_int_equal(p->map->raw[0xffc], 0xff);
    pb_profile_unref(p);

    p = BUILD("one:\"plugin\":{\"name\":\"fake-raw\",\"registers\":[{\"at\":8,\"size\":4,"
              "\"mask\":\"0xff00\"}]}");
    assert_int_equal(pb_le_get(p->map->raw + 8, 4), 0xff00);
    assert_int_equal(pb_le_get(p->map->raw + 12, 4), 0);
    pb_profile_unref(p);

    assert_int_equal(REFUSED("a1:\"plugin\":{\"name\":\"fake\",\"params\":{\"n\":1}}",
                             "a2:\"plugin\":{\"name\":\"fake\",\"params\":{\"n\":2}}",
                             "a3:\"plugin\":{\"name\":\"fake\",\"params\":{\"n\":3}}",
                             "a4:\"plugin\":{\"name\":\"fake\",\"params\":{\"n\":4}}",
                             "bad:\"plugin\":{\"name\":\"fake\",\"params\":{\"n\":5}}"),
                     -EINVAL);
    expect_why("it has 4 plugins already");
}

/* ---- differences -------------------------------------------------------------------------------
 */

struct lines {
    char text[4000];
};

static void add_line(void *ctx, const char *text)
{
    struct lines *lines = ctx;
    size_t n = strlen(lines->text);

    (void)snprintf(lines->text + n, sizeof(lines->text) - n, "%s\n", text);
}

/* Frees both. */
static void expect_diff(struct pb_profile *old, struct pb_profile *new, const char *expected)
{
    struct lines lines = { "" };

    pb_profile_diff(old, new, add_line, &lines);
    assert_string_equal(lines.text, expected);
    pb_profile_unref(old);
    pb_profile_unref(new);
}

#define NOTHING "zz:\"match\":{\"vendor\":1},\"device\":{\"msi\":\"deny\"}"

static void no_change_has_no_lines(void **state)
{
    (void)state;
    take(pb_test_e1000e);
    expect_diff(BUILD(NOTHING), BUILD(NOTHING), "");
    expect_diff(BUILD("aa:\"plugin\":{\"name\":\"fake\",\"registers\":\"all\"}"),
                BUILD("aa:\"plugin\":{\"name\":\"fake\",\"registers\":\"all\"}"), "");
}

static void a_line_says_what_changes_and_who_did_it(void **state)
{
    static const char quirk[] =
        "tg3:\"fields\":[{\"at\":\"0x68\",\"size\":4,\"write\":\"0xffffffff\"},"
        "{\"at\":\"0x70\",\"size\":1,\"virtual\":\"0xf\",\"fixed\":\"0x30\",\"value\":\"0x10\"}]";

    (void)state;
    take(pb_test_e1000e);
    expect_diff(BUILD(NOTHING), BUILD(quirk),
                "quirk tg3 applies now\n"
                "0x68 size 4: 0xffffffff becomes writable (tg3)\n"
                "0x70 size 1: 0x0f becomes virtual (tg3)\n"
                "0x70 size 1: 0x30 becomes fixed (tg3)\n");
    expect_diff(BUILD(quirk), BUILD(NOTHING),
                "quirk tg3 applies no more\n"
                "0x68 size 4: 0xffffffff becomes read-only (default)\n"
                "0x70 size 1: 0x3f becomes read-only (default)\n");
    expect_diff(
        BUILD("aa:\"fields\":[{\"at\":\"0x68\",\"size\":4,\"fixed\":\"0xff\",\"value\":1}]"),
        BUILD("aa:\"fields\":[{\"at\":\"0x68\",\"size\":4,\"fixed\":\"0xff\",\"value\":2}]"),
        "0x68 size 4: 0x00000003 now reads 0x00000002 (aa)\n");
}

static void traits_capabilities_and_plugins_have_lines_too(void **state)
{
    (void)state;
    take(pb_test_e1000);
    facts.config[0x41] = 0;
    pb_test_add_cap(&facts, 0x40, 0x09);
    facts.config[0x42] = 8;
    assert_int_equal(pb_layout_read(&facts, &layout), 0);
    expect_diff(BUILD("aa:\"device\":{\"d3_delay_ms\":20,\"assign\":\"warn\"}"),
                BUILD("aa:\"device\":{\"d3_delay_ms\":30},\"capabilities\":{\"add\":["
                      "{\"at\":\"0x50\",\"id\":\"ht\",\"bytes\":\"0000\"}]}"),
                "trait d3_delay_ms 30 (aa)\n"
                "trait assign is as the device's again\n"
                "capability ht at 0x50 is added\n"
                "0x50 size 4: 0xffffffff becomes fixed (aa)\n"
                "0xe4 size 2: 0x5000 now reads 0x5000 (capability)\n");
    expect_diff(BUILD("aa:\"plugin\":{\"name\":\"fake\"}", "bb:\"plugin\":{\"name\":\"fake2\"}"),
                BUILD("aa:\"plugin\":{\"name\":\"fake\",\"params\":{\"x\":1}}",
                      "cc:\"plugin\":{\"name\":\"fake-trace\"}"),
                "quirk cc applies now\n"
                "quirk bb applies no more\n"
                "plugin fake has other parameters (aa)\n"
                "plugin fake-trace is attached (cc)\n"
                "plugin fake2 is detached\n");
}

#define WITH_DIR(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIR(without_quirks_a_profile_is_the_baseline),
        WITH_DIR(a_field_opens_exactly_its_bits),
        WITH_DIR(the_more_specific_quirk_wins_per_bit_wherever_it_stands),
        WITH_DIR(a_field_in_a_capability_that_is_missing_is_skipped_with_a_note),
        WITH_DIR(what_does_not_fit_the_device_is_refused_with_quirk_and_file),
        WITH_DIR(H14_no_quirk_opens_payload_phantom_functions_flr_or_error_reporting),
        WITH_DIR(an_absolute_register_behind_a_short_capability_is_not_its),
        WITH_DIR(traits_come_from_quirks_and_the_operator_has_the_last_word),
        WITH_DIR(every_trait_reaches_the_profile),
        WITH_DIR(capabilities_are_hidden_linked_and_added),
        WITH_DIR(a_bridge_and_malformed_capabilities_are_refused),
        WITH_DIR(plugins_get_the_bits_that_their_manifest_lists),
        WITH_DIR(no_change_has_no_lines),
        WITH_DIR(a_line_says_what_changes_and_who_did_it),
        WITH_DIR(traits_capabilities_and_plugins_have_lines_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
