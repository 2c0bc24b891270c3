/* SPDX-License-Identifier: MIT */
/*
 * Any manifest: it is refused with a reason, or compiles for two devices or is refused there with a
 * reason; and whatever it says, what is locked stays locked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "device.h"
#include "fuzz.h"
#include "pci/regs.h"
#include "quirk/explain.h"

#define TYPE_BITS (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_SERR | PCI_COMMAND_PARITY)

static const struct pb_quirk_sources without_plugins = { .no_plugins = true };
static const struct pb_operator nothing_said;

static void ignore(void *ctx, const char *text)
{
    unsigned *lines = ctx;

    PB_ASSERT(text[0]);
    ++*lines;
}

static uint32_t opened(const struct pb_map *map, unsigned offset, unsigned size)
{
    return pb_le_get(map->write + offset, size) | pb_le_get(map->w1c + offset, size);
}

/* Hidden, shown, linked or not: these are never a guest's. */
static void check_locks(const struct pb_profile *p, const struct pb_layout *own)
{
    const struct pb_map *map = p->map;

    PB_ASSERT(map->size >= 64 && map->size <= PB_CONFIG_SIZE_PCIE);
    for (unsigned i = 0; i < PB_CONFIG_SIZE_PCIE; i++) {
        PB_ASSERT(!((map->write[i] | map->w1c[i]) & map->lock[i]));
        PB_ASSERT(!(map->write[i] & map->w1c[i]) && !(map->virt[i] & map->fixed[i]));
        PB_ASSERT(!((map->write[i] | map->w1c[i]) & (map->virt[i] | map->fixed[i])));
    }
    PB_ASSERT(!(opened(map, PCI_COMMAND, 2) & TYPE_BITS));
    for (unsigned i = 0; i < PB_PCI_BARS; i++)
        PB_ASSERT(!opened(map, PCI_BAR0 + 4 * i, 4));
    if (own->msi && map->size == p->facts.config_size)
        PB_ASSERT(!opened(map, own->msi + PCI_MSI_BODY, 4));
    if (own->exp && map->size == p->facts.config_size)
        PB_ASSERT(!(opened(map, own->exp + PCI_EXP_DEVCTL, 2) &
                    (PCI_EXP_DEVCTL_FLR | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_PHANTOM)));
}

static void explain(const struct pb_profile *p, const struct pb_profile *before)
{
    json_t *all = pb_explain(p), *map = pb_explain_map(p);
    unsigned lines = 0;

    PB_ASSERT(all && map);
    PB_ASSERT(json_string_length(json_object_get(map, "classes")) == p->map->size);
    json_decref(all);
    json_decref(map);
    pb_profile_diff(before, p, ignore, &lines);
    pb_profile_diff(p, before, ignore, &lines);
    for (size_t i = 0; i < p->applied_count; i++)
        PB_ASSERT(p->applied[i].id && p->applied[i].file);
}

static void apply(struct pb_quirk_set *set, void (*fill)(struct pb_facts *facts))
{
    static struct pb_facts facts;
    static struct pb_layout layout;
    struct pb_quirk_set *none = pb_quirk_set_empty();
    struct pb_profile *p = NULL, *before = NULL;
    char why[500];
    int rc;

    fill(&facts);
    rc = pb_layout_read(&facts, &layout);
    PB_ASSERT(rc == 0 && none);
    rc = pb_profile_build(none, &facts, &layout, &nothing_said, &before, why, sizeof(why));
    PB_ASSERT(rc == 0 && !why[0]);
    rc = pb_profile_build(set, &facts, &layout, &nothing_said, &p, why, sizeof(why));
    PB_ASSERT(rc == 0 ? p && !why[0] : !p && rc < 0 && why[0]);
    if (p) {
        check_locks(p, &layout);
        explain(p, before);
    }
    pb_profile_unref(p);
    pb_profile_unref(before);
    pb_quirk_set_unref(none);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pb_quirk_set *set =
        pb_quirk_set_parse((const char *)data, size, "FILE", &without_plugins);
    const struct pb_quirk_problem *problem;
    json_t *list;

    PB_ASSERT(set);
    for (size_t i = pb_quirk_set_problems(set, &problem); i > 0; i--)
        PB_ASSERT(strncmp(problem[i - 1].text, "FILE", 4) == 0);
    PB_ASSERT(pb_quirk_set_errors(set) == 0 || pb_quirk_set_files(set) == 0);
    list = pb_explain_set(set);
    PB_ASSERT(list);
    json_decref(list);
    if (pb_quirk_set_errors(set) == 0) {
        apply(set, pb_test_e1000e);
        apply(set, pb_test_e1000);
    }
    pb_quirk_set_unref(set);
    return 0;
}
