/* SPDX-License-Identifier: MIT */
/*
 * Which addresses are meant: one function, all functions of a device, or all of a bus. The syntax
 * is that of xen-pciback's new_slot.
 */
#ifndef PB_PCI_SLOT_H
#define PB_PCI_SLOT_H

#include "pci/addr.h"

struct pb_slot {
    uint16_t segment;
    uint8_t bus;
    int8_t device, function; /* -1 is a star */
};

/*
 * "0000:05:02.0", "05:02.0", "0000:06:00.*", "06:*.*": strict, the whole string; a star for the
 * device needs one for the function.
 */
bool pb_slot_parse(const char *text, struct pb_slot *ret);
bool pb_slot_matches(const struct pb_slot *slot, struct pb_sbdf sbdf);
bool pb_slot_equal(const struct pb_slot *a, const struct pb_slot *b);

#define PB_SLOT_TEXT 16
/* "0000:06:00.*" in BUF; returns BUF. */
const char *pb_slot_format(const struct pb_slot *slot, char buf[PB_SLOT_TEXT]);

#endif
