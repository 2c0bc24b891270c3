/* SPDX-License-Identifier: MIT */
/* A device from the text of `lspci -xxxx` (or -xxx, -x), so that a quirk can be written elsewhere.
 */
#ifndef PB_QUIRK_DUMP_H
#define PB_QUIRK_DUMP_H

#include <stddef.h>

#include "pci/facts.h"

/*
 * The device at ADDRESS ("03:00.0", "0000:03:00.0"), or with NULL the only one in the text. Lines
 * of registers are read strictly; the others, which `lspci -v` prints, are passed over, and lines
 * may end as DOS ends them. 0, or -EINVAL, -ENOENT, -EEXIST (several devices and no ADDRESS) with
 * "line N: reason" in WHY. Also the format of tests/sim/devices/FILE.txt.
 *
 * What a dump does not say is guessed: each BAR has a page, or what its address leaves of one;
 * resets are what the capabilities promise; the interrupt is what the register says. A virtual
 * function has no ids in its registers: they are taken from the line of `lspci -nn`.
 */
int pb_dump_parse(const char *text, size_t length, const char *address, struct pb_facts *ret,
                  char *why, size_t why_size);

#endif
