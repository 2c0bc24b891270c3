/* SPDX-License-Identifier: MIT */
/* A device from the text of `lspci -xxxx` (or -xxx, -x), so that a quirk can be written elsewhere.
 */
#ifndef PB_QUIRK_DUMP_H
#define PB_QUIRK_DUMP_H

#include <stddef.h>

#include "pci/facts.h"

/*
 * The device at ADDRESS ("03:00.0", "0000:03:00.0"), or with NULL the only one in the text. Sizes
 * of BARs are not in a dump: each counts as a page. 0, or -EINVAL, -ENOENT, -EEXIST (several
 * devices and no ADDRESS) with "line N: reason" in WHY. Also the format of tests/sim/devices/
 * FILE.txt.
 */
int pb_dump_parse(const char *text, size_t length, const char *address, struct pb_facts *ret,
                  char *why, size_t why_size);

#endif
