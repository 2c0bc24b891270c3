/* SPDX-License-Identifier: MIT */
/* Any configuration image: the walk ends, and a baseline is compiled or refused. */
#include "pci/layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "fuzz.h"
#include "pci/map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pb_facts facts;
    static struct pb_layout layout;
    struct pb_map *map;
    int rc = 0;

    memset(&facts, 0, sizeof(facts));
    memcpy(facts.config, data, size < sizeof(facts.config) ? size : sizeof(facts.config));
    facts.config_size = size > PB_CONFIG_SIZE_PCI ? PB_CONFIG_SIZE_PCIE : PB_CONFIG_SIZE_PCI;
    if (pb_layout_read(&facts, &layout) != 0)
        return 0;
    PB_ASSERT(layout.cap_count <= PB_CAPS_MAX && layout.ext_count <= PB_EXT_CAPS_MAX);
    map = pb_map_baseline(&facts, &layout, &rc);
    PB_ASSERT(map || rc < 0);
    free(map);
    return 0;
}
