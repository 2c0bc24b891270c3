/* SPDX-License-Identifier: MIT */
/* The keys of one configuration file, for config.c only. */
#ifndef PB_DAEMON_CONFIG_READ_H
#define PB_DAEMON_CONFIG_READ_H

#include "daemon/config.h"

/* Where an entry was read: "SOURCE: /devices/INDEX". SOURCE lives as long as the reader. */
struct pb_config_place {
    const char *source;
    size_t index;
};

struct pb_config_guest {
    char name[PB_NAME_MAX + 1];
    struct pb_config_place place;
};

/* What is remembered from file to file, to find entries that conflict. */
struct pb_config_reader {
    struct pb_config *config;
    struct pb_json_error *error;
    struct pb_config_place *device_places; /* one for each device of the policy */
    struct pb_config_guest *guests;
    size_t guest_count;
};

/* Adds a file's content to the configuration. Errors are in reader->error. */
void pb_config_read(struct pb_config_reader *reader, const json_t *root, const char *source);

#endif
