/* SPDX-License-Identifier: MIT */
/* How what a profile says is written: shared by `explain` and the differences of a reload. */
#ifndef PB_QUIRK_TEXT_H
#define PB_QUIRK_TEXT_H

#include "pci/rule.h"
#include "quirk/profile.h"

#define PB_TRAIT_TEXT_MAX 80

/* Its key in "device". */
const char *pb_text_trait_name(enum pb_trait trait);
/* Its value as a manifest would say it, in BUF. */
const char *pb_text_trait(const struct pb_traits *traits, enum pb_trait trait,
                          char buf[PB_TRAIT_TEXT_MAX]);
/* "write" … */
const char *pb_text_class(enum pb_bits bits);
/* A capability's name, or its number in BUF. */
const char *pb_text_cap(bool extended, uint16_t id, char buf[8]);
/* The bits of class BITS in SIZE (1 to 4) bytes at OFFSET. */
uint32_t pb_text_bits(const struct pb_map *map, enum pb_bits bits, unsigned offset, unsigned size);

#endif
