/* SPDX-License-Identifier: MIT */
/*
 * What a profile means, as JSON: the same text serves the daemon's verbs and the tools that need no
 * daemon. The shapes are in schemas/reply-quirks.explain.schema.json and reply-map.schema.json.
 */
#ifndef PB_QUIRK_EXPLAIN_H
#define PB_QUIRK_EXPLAIN_H

#include <jansson.h>

#include "quirk/profile.h"

/*
 * { "size": 4096, "ids": "8086:10d3", "class": "0x020000",
 *   "quirks": [ { "id", "file", "reason", "source", "match": "device", "effect": null or "why none"
 * } ], "traits": [ { "name": "msix_max_vectors", "value": "32", "origin", "file" or null, "reason"
 * } ], "capabilities": [ { "at": "0xc8", "id": "0x01", "name": "pm" or null, "extended": false,
 *                       "how": "own" | "linked" | "added" | "hidden", "origin", "file", "why" } ],
 *   "plugins": [ { "name", "quirk", "bytes": 12 } ],
 *   "registers": [ { "at": "0x04", "size": 2, "name": "COMMAND" or null, "effect": "none" | "bar"
 * …, "parts": [ { "mask": "0x0543", "class": "hw" | "write" | "w1c" | "virtual" | "fixed",
 *                    "locked": "0x0540", "value": "0x0002" or null, "origin": "header",
 *                    "file": null or "…", "why": "…" } ] } ] }
 *
 * Bytes that no rule names are not listed: they are class hw, origin "default". NULL: out of
 * memory.
 */
json_t *pb_explain(const struct pb_profile *profile);
/*
 * One letter a byte: h hw, w write, c w1c, v virtual, f fixed, m several, p a plugin's, . hidden:
 * { "size": 256, "classes": "ffff…", "origins": [ "default", "header", … ],
 *   "origin_of": [ [ count, index into origins ], … ] }    (run lengths over the bytes)
 */
json_t *pb_explain_map(const struct pb_profile *profile);
/* { "quirks": [ view … ], "problems": [ { "error": true, "file", "text" } ], "files": 12 } */
json_t *pb_explain_set(const struct pb_quirk_set *set);
/* The same without "quirks". */
json_t *pb_explain_set_rest(const struct pb_quirk_set *set);
/* One quirk of such a list. */
json_t *pb_explain_quirk(const struct pb_quirk_view *view);

#endif
