/* SPDX-License-Identifier: MIT */
/* Which quirks are for which device. Pure. */
#ifndef PB_QUIRK_MATCH_H
#define PB_QUIRK_MATCH_H

#include "quirk/manifest.h"

/*
 * The offset of a place in this device's configuration space; -1: it has no such capability, or the
 * place lies behind the LIMIT of the space. Capabilities are the device's own.
 */
int pb_place_find(const struct pb_place *place, unsigned size, const struct pb_layout *layout,
                  unsigned limit);

/* Conditions on the claim image included. */
bool pb_match_device(const struct pb_quirk_match *match, const struct pb_facts *facts,
                     const struct pb_layout *layout);
/* Could it match a device with these ids? Conditions on the image are taken to hold. */
bool pb_match_ids(const struct pb_quirk_match *match, const struct pb_quirk_ids *ids);
/* All of a set in rising precedence; disabled ones too. */
const struct pb_quirk *const *pb_quirk_set_quirks(const struct pb_quirk_set *set,
                                                  size_t *ret_count);

#endif
