/* SPDX-License-Identifier: MIT */
/*
 * The configuration: one JSON file, then each file of its directory in the order of their names.
 * Objects merge key by key, arrays of devices, slots, guests, assignments, directories and quirk
 * ids concatenate. The first error ends the reading and names its place.
 */
#ifndef PB_DAEMON_CONFIG_H
#define PB_DAEMON_CONFIG_H

#include "backend/policy.h"
#include "base/json.h"

#define PB_CONFIG_SOCKET_MAX 107 /* sun_path without its NUL */
#define PB_CONFIG_GROUP_MAX  64
#define PB_CONFIG_PATH_MAX   200
#define PB_CONFIG_ID_MAX     64                    /* of a quirk */
#define PB_CONFIG_SAVED      "90-slots.json"       /* in that directory: what `--save` writes */
#define PB_CONFIG_FILE_MAX   ((size_t)1024 * 1024) /* bytes of one file */

/* Words in the order in which they were read. */
struct pb_config_words {
    bool given; /* some file has the key: the default does not count then */
    char **word;
    size_t count;
};

struct pb_config {
    char socket[PB_CONFIG_SOCKET_MAX + 1];
    char group[PB_CONFIG_GROUP_MAX + 1];
    char state_dir[PB_CONFIG_PATH_MAX + 1];
    struct pb_config_words quirk_dirs;  /* in rising order */
    struct pb_config_words plugin_dirs; /* searched from the last to the first */
    struct pb_config_words disable;     /* ids of quirks */
    /* Allocated apart, because the backend takes it over: set it to NULL then. */
    struct pb_policy *policy;
    unsigned files_read;
};

/*
 * Reads PATH, which may be absent unless REQUIRED, and PATH with ".json" replaced by ".d". Unless
 * ANY_OWNER, files and directory have to be root's alone to write, because they say who gets which
 * device. Returns NULL with *error set.
 */
struct pb_config *pb_config_load(const char *path, bool required, bool any_owner,
                                 struct pb_json_error *error);
/* PATH's directory: "/etc/pcibackd.json" has "/etc/pcibackd.d". To be freed; NULL: it has none. */
char *pb_config_dir(const char *path);
void pb_config_free(struct pb_config *config);

#endif
