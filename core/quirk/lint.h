/* SPDX-License-Identifier: MIT */
/*
 * What is wrong with a manifest that can be read: registers that overlap, registers that no guest
 * may ever have, dangerous ones that are opened without "unsafe". Pure.
 */
#ifndef PB_QUIRK_LINT_H
#define PB_QUIRK_LINT_H

#include "quirk/manifest.h"

/* TEXT: "FILE: /json/pointer: reason". */
typedef void (*pb_lint_fn)(void *ctx, bool error, const char *text);

void pb_lint_manifest(const struct pb_manifest *manifest, pb_lint_fn problem, void *ctx);

/*
 * Why it is dangerous that a guest writes BITS of the SIZE bytes at PLACE; NULL: nothing is known
 * against it. *ret_never: no manifest can allow it, they are the backend's or locked.
 */
const char *pb_lint_danger(const struct pb_place *place, unsigned size, uint32_t bits,
                           bool *ret_never);
/* The same for an offset of a device with these capabilities. */
const char *pb_lint_danger_at(const struct pb_facts *facts, const struct pb_layout *layout,
                              unsigned offset, unsigned size, uint32_t bits, bool *ret_never);

#endif
