/* SPDX-License-Identifier: MIT */
/*
 * One manifest, parsed: quirks.d/NN-vendor-model.json (schemas/quirks.schema.json). What
 * a file says is here as it says it; whether it makes sense is lint.h's business, and to which
 * device it applies match.h's.
 */
#ifndef PB_QUIRK_MANIFEST_H
#define PB_QUIRK_MANIFEST_H

#include "base/json.h"
#include "pci/caps.h"
#include "quirk/plugin.h"
#include "quirk/set.h"

#define PB_MANIFEST_MAX     (1U << 20) /* bytes of a file */
#define PB_QUIRKS_MAX       4096       /* of a set */
#define PB_QUIRK_FIELDS_MAX 512        /* of a quirk */
#define PB_QUIRK_EDITS_MAX  64
#define PB_QUIRK_IDS_MAX    512 /* of one key of "match" */
#define PB_QUIRK_TEXT_MAX   1000
#define PB_QUIRK_PARAMS_MAX 511 /* bytes of JSON, so that a reset can carry them along */
#define PB_CONDITIONS_MAX   16
#define PB_QUIRK_ID_PATTERN "^[a-z0-9][a-z0-9-]{1,63}$"

enum pb_place_kind { PB_AT_OFFSET, PB_AT_CAP, PB_AT_EXT_CAP };

/* Where a register is: an offset from 0, or from the first instance of a capability. */
struct pb_place {
    enum pb_place_kind kind;
    uint16_t cap; /* capability id, unless PB_AT_OFFSET */
    uint16_t offset;
};

struct pb_quirk_field {
    struct pb_place at;
    uint8_t size; /* 1, 2 or 4 */
    uint32_t hw, write, w1c, virt, fixed, value, image;
    const char *name, *why; /* name: NULL when not given */
};

struct pb_quirk_register {
    struct pb_place at;
    uint8_t size;
    uint32_t mask;
};

/* A condition on the claim image: the bits of MASK equal those of EQUALS. */
struct pb_quirk_condition {
    struct pb_place at;
    uint8_t size;
    uint32_t mask, equals;
};

struct pb_id_range {
    uint32_t min, max;
};

/* Ids that match: (id & mask) lies in one of the ranges. No ranges: any id. */
struct pb_id_set {
    struct pb_id_range *range;
    size_t count;
    uint32_t mask;
};

struct pb_quirk_match {
    struct pb_id_set vendor, device, subsystem_vendor, subsystem_device, class_code, revision;
    bool has_virtual_function, virtual_function;
    bool has_device_mask;
    struct pb_quirk_condition *condition; /* all must hold */
    size_t condition_count;
    struct pb_quirk_match *except; /* "not": devices that match this do not; NULL: none */
};

struct pb_quirk_plugin {
    const char *name; /* NULL: none */
    char *params;     /* JSON text of an object; own */
    bool all;         /* all of configuration space instead of the registers */
    size_t count;
    struct pb_quirk_register *reg;
    struct pb_plugin *opened; /* by the set; NULL: not (yet) */
};

struct pb_manifest;

/* All strings, unless said otherwise, are the manifest's JSON's. */
struct pb_quirk {
    const struct pb_manifest *manifest;
    size_t index; /* in "quirks" */
    const char *id, *reason, *source;
    enum pb_specificity specificity;
    bool unsafe;
    bool off;      /* "disabled" in the manifest … */
    bool disabled; /* … or by it, or by the configuration */
    struct pb_quirk_match match;
    struct pb_quirk_field *field;
    size_t field_count;
    struct pb_cap_edit *edit; /* origin, file and why are filled in */
    size_t edit_count;
    struct pb_traits traits; /* the same */
    struct pb_quirk_plugin plugin;
};

struct pb_manifest {
    char *path;
    size_t rank; /* of its directory */
    json_t *root;
    struct pb_quirk *quirk;
    size_t count;
};

/* NULL with the first error in *error. PATH names the file; it is copied. */
struct pb_manifest *pb_manifest_parse(const char *text, size_t length, const char *path,
                                      struct pb_json_error *error);
void pb_manifest_free(struct pb_manifest *manifest); /* NULL is allowed */

/* The parts, each in a file of its own. Errors are in AT's error. */
void pb_manifest_read_match(const struct pb_json *at, struct pb_quirk_match *ret,
                            enum pb_specificity *ret_specificity);
void pb_manifest_free_match(struct pb_quirk_match *match);
void pb_manifest_read_fields(const struct pb_json *at, struct pb_quirk *quirk);
void pb_manifest_read_plugin(const struct pb_json *at, struct pb_quirk_plugin *ret);
void pb_manifest_read_caps(const struct pb_json *at, struct pb_quirk *quirk);
void pb_manifest_read_device(const struct pb_json *at, struct pb_quirk *quirk);

/*
 * A copy for terminals and JSON, which take no control characters and only UTF-8: a file's name may
 * be anything. Free it; NULL when out of memory.
 */
char *pb_manifest_printable(const char *text);

/* Shared by the parts. */
bool pb_manifest_need(const struct pb_json *at, const struct pb_json *member);
/* Index of the word at AT in WORDS; an error if it is none of them; FALLBACK then or if absent. */
unsigned pb_manifest_word(const struct pb_json *at, const char *const *words, size_t count,
                          unsigned fallback);
/* A text for people: no control characters, not empty. NULL when absent or wrong. */
const char *pb_manifest_text(const struct pb_json *at, size_t max);
uint8_t pb_manifest_size(const struct pb_json *object);
/* A mask member of OBJECT that fits SIZE bytes. */
uint32_t pb_manifest_mask(const struct pb_json *object, const char *key, uint8_t size,
                          uint32_t fallback);
/* A capability's name or number; 0 when it is wrong. */
uint16_t pb_manifest_cap(const struct pb_json *at, bool extended);
/* The place at OBJECT's "at", of SIZE bytes; checked: aligned, and inside of the space. */
struct pb_place pb_manifest_place(const struct pb_json *object, uint8_t size);
/* COUNT zeroed elements; NULL, with an error at AT, when there are more than MAX or no memory. */
void *pb_manifest_array(const struct pb_json *at, size_t count, size_t max, size_t size);

#endif
