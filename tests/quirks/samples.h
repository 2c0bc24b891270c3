/* SPDX-License-Identifier: MIT */
/*
 * A device for each shipped quirk, and what the quirk does to it: written down a second time, from
 * the sources that the manifests name, so that a slip in either shows.
 */
#ifndef PB_TEST_QUIRKS_SAMPLES_H
#define PB_TEST_QUIRKS_SAMPLES_H

#include "quirk/profile.h"

/* Bits of a register, and their class: w write, c w1c, v virtual, f fixed, p a plugin's. */
struct bits {
    uint16_t offset;
    uint8_t size; /* 0 ends a list */
    char class;
    uint32_t mask, value;
};

struct sample {
    const char *id; /* of the quirk */
    uint16_t vendor, device;
    uint32_t class_code;
    uint8_t revision;
    uint16_t subsystem_vendor, subsystem_device;
    void (*shape)(struct pb_facts *facts); /* NULL: an ordinary device will do */
    void (*check)(const struct pb_profile *profile, const struct sample *sample);
    uint32_t want;
    const struct bits *bits;
    const char *plugin;
    bool any_device; /* it is for whatever its class or plugin is about */
};

extern const struct sample samples[];
extern const size_t sample_count;

void sample_facts(const struct sample *sample, struct pb_facts *ret);

#endif
