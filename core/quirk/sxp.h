/* SPDX-License-Identifier: MIT */
/* Importing xend-pci-quirks.sxp, the quirk file of the xend toolstack. */
#ifndef PB_QUIRK_SXP_H
#define PB_QUIRK_SXP_H

#include <jansson.h>
#include <stddef.h>

/*
 * A whole manifest, or NULL with "line N: reason" in WHY. Each entry becomes a quirk with all
 * registers writable, as xend's were, and "unsafe", because nobody has checked them.
 */
json_t *pb_sxp_import(const char *text, size_t length, char *why, size_t why_size);

#endif
