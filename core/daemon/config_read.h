/* SPDX-License-Identifier: MIT */
/* The keys of one configuration file, for config*.c only. */
#ifndef PB_DAEMON_CONFIG_READ_H
#define PB_DAEMON_CONFIG_READ_H

#include "daemon/config.h"

/* Where an entry was read: "SOURCE: /devices/INDEX". SOURCE lives as long as the reader. */
struct pb_config_place {
    const char *source;
    size_t index;
    size_t inner;    /* of an assignment: its device's index */
    bool by_default; /* of a guest: no topology stands there */
};

/* What is remembered from file to file, to find entries that conflict. */
struct pb_config_reader {
    struct pb_config *config;
    struct pb_json_error *error;
    bool any_owner;                        /* of files */
    bool saved;                            /* the file is that of saved slots */
    struct pb_config_place *device_places; /* one for each entry of the policy, as the others */
    struct pb_config_place *guest_places;
    struct pb_config_place *assignment_places;
};

/* Adds a file's content to the configuration. Errors are in reader->error. */
void pb_config_read(struct pb_config_reader *reader, const json_t *root, const char *source);
/*
 * When all files are read: what depends on the others. Guests without a topology get the default;
 * each assignment
 * is left with its device's address; a name that no device has and a device with two guests are
 * errors.
 */
void pb_config_resolve(struct pb_config_reader *reader);

/* --- what the parts share --- */

/* Index of the word at AT among WORDS; FALLBACK when it is absent or wrong. */
unsigned pb_config_word(const struct pb_json *at, const char *const *words, size_t count,
                        unsigned fallback);
/* A required key of AT. */
bool pb_config_need(const struct pb_json *at, const struct pb_json *member);
/* A device's or a guest's name, NULL when it is absent or wrong. */
const char *pb_config_name(const struct pb_json *at);
enum pb_topology pb_config_topology(const struct pb_json *at, enum pb_topology fallback);
/*
 * Room for one more of SIZE bytes in *ARRAY, which has COUNT, and for its place in *PLACES (NULL:
 * it has none). False after an error at AT: no memory.
 */
bool pb_config_grow(const struct pb_json *at, void **array, size_t count, size_t size,
                    struct pb_config_place **places);

void pb_config_read_devices(struct pb_config_reader *reader, const struct pb_json *at);
void pb_config_read_slots(struct pb_config_reader *reader, const struct pb_json *at);
void pb_config_read_guests(struct pb_config_reader *reader, const struct pb_json *at);
void pb_config_read_assignments(struct pb_config_reader *reader, const struct pb_json *at);

#endif
