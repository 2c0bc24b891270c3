/* SPDX-License-Identifier: MIT */
/* A manifest that would allow exactly the writes that were denied. */
#ifndef PB_QUIRK_SUGGEST_H
#define PB_QUIRK_SUGGEST_H

#include <jansson.h>

#include "quirk/profile.h"

struct pb_denied {
    uint16_t offset;
    uint8_t size;
    uint32_t bits;  /* refused at one time or another */
    uint32_t value; /* of the last such write */
    uint64_t count;
};

/*
 * The whole file's JSON, which loads and validates as it is: registers relative to their
 * capability, "unsafe" where a register is dangerous, with a note for each in "why". Denied bits
 * that no manifest can open (locked ones) are left out and named in *ret_left_out (an array of
 * strings, new reference). NULL when nothing remains or out of memory.
 */
json_t *pb_suggest(const struct pb_profile *profile, const struct pb_denied *denied, size_t count,
                   json_t **ret_left_out);

/* What is dangerous about writing these bits there; NULL: nothing that is known. */
const char *pb_danger(const struct pb_facts *facts, const struct pb_layout *layout, unsigned offset,
                      unsigned size, uint32_t bits);

#endif
