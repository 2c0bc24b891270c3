/* SPDX-License-Identifier: MIT */
/*
 * template_check QUIRKS PLUGINS: does the manifest there match its device, is its plugin opened,
 * and does it do what it says? "ok", or what is wrong.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "quirk/hooks.h"
#include "quirk/profile.h"
#include "quirk/set.h"

static int fail(const char *what)
{
    printf("%s\n", what);
    return 1;
}

static void a_device(struct pb_facts *facts)
{
    memset(facts, 0, sizeof(*facts));
    facts->vendor = 0x1234;
    facts->device = 0x11e8;
    facts->class_code = 0x00ff00;
    facts->config_size = PB_CONFIG_SIZE_PCI;
    pb_le_put(facts->config, 4, 0x11e81234);
    pb_le_put(facts->config + 8, 4, 0x00ff0000);
}

static void find_number(void *ctx, const char *name, uint64_t value)
{
    uint64_t *ret = ctx;

    if (strcmp(name, "example.writes") == 0)
        *ret = value;
}

static int use(struct pb_hooks *hooks)
{
    uint32_t handled, denied, value = 0x12345678, half = 0xffff;
    uint64_t writes = 0;

    if (!pb_hooks_cover(hooks, 0xc0, 4) || pb_hooks_cover(hooks, 0xc4, 4))
        return fail("its registers are not those of the manifest");
    pb_hooks_write(hooks, 0xc0, 4, &value, &handled, &denied);
    if (handled != UINT32_MAX || denied)
        return fail("a write was not handled");
    value = 0xab;
    pb_hooks_write(hooks, 0xc1, 1, &value, &handled, &denied);
    value = 0;
    pb_hooks_read(hooks, 0xc0, 4, 0, &value);
    pb_hooks_read(hooks, 0xc2, 2, 0, &half);
    if (value != 0x1234ab78 || half != 0x1234)
        return fail("what was written is not read");
    pb_hooks_stats(hooks, find_number, &writes);
    return writes == 2 ? 0 : fail("its numbers are wrong");
}

static int check(struct pb_quirk_set *set)
{
    struct pb_operator op = { 0 };
    struct pb_layout layout;
    struct pb_profile *profile;
    struct pb_hooks *hooks;
    struct pb_facts facts;
    char why[400];
    int rc = 0;

    a_device(&facts);
    if (pb_layout_read(&facts, &layout) != 0)
        return fail("the device is malformed");
    if (pb_profile_build(set, &facts, &layout, &op, &profile, why, sizeof(why)) != 0)
        return fail(why);
    if (profile->binding_count != 1)
        rc = fail("the plugin is not used");
    else if (pb_hooks_new(profile, &hooks, why, sizeof(why)) != 0)
        rc = fail(why);
    if (rc == 0) {
        rc = use(hooks);
        pb_hooks_free(hooks);
    }
    pb_profile_unref(profile);
    return rc;
}

int main(int argc, char **argv)
{
    const struct pb_quirk_problem *problems;
    struct pb_quirk_sources sources = { .dir_count = 1, .plugin_dir_count = 1, .any_owner = true };
    const char *dirs[1], *plugin_dirs[1];
    struct pb_quirk_set *set;
    int rc;

    if (argc != 3)
        return fail("usage: template_check QUIRKS PLUGINS");
    dirs[0] = argv[1];
    plugin_dirs[0] = argv[2];
    sources.dirs = dirs;
    sources.plugin_dirs = plugin_dirs;
    set = pb_quirk_set_load(&sources);
    if (!set)
        return fail("out of memory");
    if (pb_quirk_set_problems(set, &problems) > 0)
        rc = fail(problems[0].text);
    else
        rc = check(set);
    pb_quirk_set_unref(set);
    if (rc == 0)
        printf("ok\n");
    return rc;
}
