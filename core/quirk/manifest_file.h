/* SPDX-License-Identifier: MIT */
/* A manifest as a file: who may have written it. */
#ifndef PB_QUIRK_MANIFEST_FILE_H
#define PB_QUIRK_MANIFEST_FILE_H

#include "quirk/manifest.h"

/*
 * Reads and parses a manifest. A regular file that is root's and that nobody else can write, unless
 * ANY_OWNER. *ret is NULL for one that masks: empty, or a link to /dev/null. False: *error is set.
 */
bool pb_manifest_load(const char *path, bool any_owner, struct pb_manifest **ret,
                      struct pb_json_error *error);

#endif
