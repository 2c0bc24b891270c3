/* SPDX-License-Identifier: MIT */
/*
 * Any configuration image, any edits of its capabilities, any traits: the walk ends, and rules are
 * compiled or refused. The last bytes of the input are the edits.
 */
#include "pci/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "fuzz.h"
#include "pci/map.h"
#include "pci/regs.h"

#define EDITS     6
#define EDIT_SIZE 8
#define TAIL      (EDITS * EDIT_SIZE + 8)

static struct pb_facts facts;
static struct pb_layout layout;
static struct pb_caps caps;

static void read_edits(const uint8_t *tail, struct pb_cap_edit *edits, struct pb_traits *traits)
{
    for (unsigned i = 0; i < EDITS; i++, tail += EDIT_SIZE) {
        edits[i] = (struct pb_cap_edit){ .kind = (enum pb_cap_edit_kind)(tail[0] % 7),
                                         .id = pb_le16(tail + 1) & 0x1ff,
                                         .at = tail[3],
                                         .after = tail[4],
                                         .size = tail[5],
                                         .copy = { { tail[6], tail[7], tail[4] } } };
        memset(edits[i].bytes, tail[7], sizeof(edits[i].bytes));
    }
    traits->config_size = pb_le16(tail);
    traits->msix_max_vectors = tail[2];
    traits->deny_msi = tail[3] & 1;
    traits->deny_msix = tail[3] & 2;
    traits->hide_rom = tail[3] & 4;
    traits->intx = tail[3] & 8 ? PB_INTX_DENY : PB_INTX_ALLOW;
}

static void check(const struct pb_map *map, const struct pb_traits *traits)
{
    const unsigned never = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_PARITY |
                           PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE;

    PB_ASSERT(map->size <= map->space && map->size >= PCI_HEADER_END);
    PB_ASSERT((pb_le16(map->write + PCI_COMMAND) & never) == 0);
    for (unsigned i = 0; i < PB_CONFIG_SIZE_PCIE; i++) {
        PB_ASSERT(((map->write[i] | map->w1c[i]) & map->lock[i]) == 0);
        PB_ASSERT(i < map->size || map->reg_of[i] == 0);
    }
    PB_ASSERT(!traits->deny_msi || map->layout.msi == 0);
    for (unsigned n = 0; n < caps.count; n++) {
        const struct pb_cap_seen *cap = &caps.cap[n];

        PB_ASSERT(cap->offset + cap->size <= PB_CONFIG_SIZE_PCIE);
        for (unsigned i = cap->offset; i < (unsigned)cap->offset + cap->size; i++)
            PB_ASSERT(cap->how != PB_CAP_HIDDEN || map->fixed[i] == 0xff);
    }
}

static void compile(const struct pb_traits *traits)
{
    struct pb_rules rules = { 0 };
    struct pb_map *map = NULL;
    size_t bad;
    int rc = pb_baseline_rules(&facts, &caps, traits, &rules);

    PB_ASSERT(rc == 0 || rc == -EPROTO || rc == -EOPNOTSUPP);
    if (rc == 0) {
        map = pb_map_compile(&facts, &caps, traits, &rules, &rc, &bad);
        PB_ASSERT(map || rc == -ENOSPC);
    }
    if (map)
        check(map, traits);
    free(map);
    pb_rules_fini(&rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t tail[TAIL];
    struct pb_cap_edit edits[EDITS];
    struct pb_traits traits = { 0 };
    size_t image, count, bad = 0;
    struct pb_map *map;
    int rc = 0;

    count = size < TAIL ? size : TAIL;
    memset(tail, 0, sizeof(tail));
    memcpy(tail, data + size - count, count);
    image = size - count < sizeof(facts.config) ? size - count : sizeof(facts.config);
    memset(&facts, 0, sizeof(facts));
    memcpy(facts.config, data, image);
    facts.config_size = image > PB_CONFIG_SIZE_PCI ? PB_CONFIG_SIZE_PCIE : PB_CONFIG_SIZE_PCI;
    if (pb_layout_read(&facts, &layout) != 0)
        return 0;
    PB_ASSERT(layout.cap_count <= PB_CAPS_MAX && layout.ext_count <= PB_EXT_CAPS_MAX);
    map = pb_map_baseline(&facts, &layout, &rc);
    PB_ASSERT(map || rc == -EPROTO || rc == -EOPNOTSUPP);
    free(map);
    read_edits(tail, edits, &traits);
    if (pb_caps_edit(&facts, &layout, &traits, edits, EDITS, &caps, &bad) == 0)
        compile(&traits);
    else
        PB_ASSERT(bad < EDITS);
    return 0;
}
