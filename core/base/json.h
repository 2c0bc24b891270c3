/* SPDX-License-Identifier: MIT */
/*
 * Reading JSON that somebody else wrote, with errors that name the place.
 *
 * Syntax errors say file:line:column. Errors of meaning say a JSON pointer (RFC 6901), which is
 * built while descending: a struct pb_json is a value together with the path that led to it. The
 * first error wins and sticks in the shared pb_json_error; getters after an error do nothing and
 * return their default, so that a caller checks once, at the end.
 */
#ifndef PB_BASE_JSON_H
#define PB_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pb_json_error {
    bool set;
    char text[400]; /* "FILE:LINE:COLUMN: reason" or "FILE: /json/pointer: reason" */
};

struct pb_json {
    const json_t *value; /* borrowed; NULL: absent */
    const struct pb_json *parent;
    const char *key; /* member of parent, or NULL: element INDEX of it */
    size_t index;
    const char *source; /* file name, or NULL for a message */
    struct pb_json_error *error;
};

/*
 * Parses LENGTH bytes; refuses duplicate keys, NUL bytes, trailing text and nesting beyond
 * PB_JSON_DEPTH_MAX. Returns a new reference, or NULL with *error set.
 */
#define PB_JSON_DEPTH_MAX 32
json_t *pb_json_parse(const char *text, size_t length, const char *source,
                      struct pb_json_error *error);
/* The same for a regular file of at most MAX bytes; of whose, see below. */
json_t *pb_json_load(const char *path, size_t max, bool any_owner, struct pb_json_error *error);

struct stat;
/* Why a file that decides something may not be believed; NULL: it is root's alone to write. */
const char *pb_json_mistrust(const struct stat *st, bool any_owner);

struct pb_json pb_json_root(const json_t *value, const char *source, struct pb_json_error *error);
/* A member; its .value is NULL when it is absent. */
struct pb_json pb_json_member(const struct pb_json *object, const char *key);
struct pb_json pb_json_element(const struct pb_json *array, size_t index);

/* Keeps the text, cut to fit, unless there is an error already. */
__attribute__((format(printf, 2, 3))) void pb_json_error_set(struct pb_json_error *error,
                                                             const char *fmt, ...);

/* Reports an error at this place (only the first one is kept). */
__attribute__((format(printf, 2, 3))) void pb_json_fail(const struct pb_json *at, const char *fmt,
                                                        ...);

/* An object whose keys all stand in KEYS (NULL-terminated), else an error; false on error. */
bool pb_json_object(const struct pb_json *at, const char *const *keys);
/* Number of elements; 0 when absent or not an array (the latter is an error). */
size_t pb_json_array(const struct pb_json *at);

/* Typed getters: absent gives FALLBACK; a wrong type or range is an error and gives FALLBACK. */
bool pb_json_bool(const struct pb_json *at, bool fallback);
/* An integer, or a string "0x…": both ways are allowed for every number. */
uint64_t pb_json_number(const struct pb_json *at, uint64_t min, uint64_t max, uint64_t fallback);
/* Borrowed. MAX is the longest allowed length in bytes. */
const char *pb_json_text(const struct pb_json *at, size_t max, const char *fallback);

/*
 * As json_dumps, which gives a text with holes when it runs out of memory on its way. NULL then; to
 * be freed.
 */
char *pb_json_dumps(const json_t *value, size_t flags);

#endif
