/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

/* A text cut by its buffer may end within a character; the rest of it must still be UTF-8. */
static void trim_utf8(char *text)
{
    size_t end = strlen(text), start = end, need;
    unsigned char lead;

    while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0)
        return;
    lead = (unsigned char)text[start - 1];
    need = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    if (end - start < need)
        text[start - 1] = '\0';
}

void pb_json_error_set(struct pb_json_error *error, const char *fmt, ...)
{
    va_list ap;

    if (error->set)
        return;
    error->set = true;
    va_start(ap, fmt);
    (void)vsnprintf(error->text, sizeof(error->text), fmt, ap);
    va_end(ap);
    trim_utf8(error->text);
}

/*
 * jansson's own bound on depth (2048) is deeper than anything we read; a message that is nested
 * deeper than ours is refused before the parser recurses into it.
 */
static bool too_deep(const char *text, size_t length)
{
    unsigned depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < length; i++) {
        char c = text[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > PB_JSON_DEPTH_MAX)
                return true;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return false;
}

json_t *pb_json_parse(const char *text, size_t length, const char *source,
                      struct pb_json_error *error)
{
    const char *name = source ? source : "message";
    json_error_t je;
    json_t *value;

    if (too_deep(text, length)) {
        pb_json_error_set(error, "%s: nested deeper than %d levels", name, PB_JSON_DEPTH_MAX);
        return NULL;
    }
    value = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
    if (!value)
        pb_json_error_set(error, "%s:%d:%d: %s", name, je.line, je.column, je.text);
    return value;
}

static char *read_file(int fd, size_t max, size_t *ret_length)
{
    char *text = malloc(max + 1);
    size_t n = 0;
    ssize_t r;

    if (!text)
        return NULL;
    while ((r = read(fd, text + n, max + 1 - n)) != 0) {
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0) {
            int saved = errno;

            free(text);
            errno = saved;
            return NULL;
        }
        n += (size_t)r;
        if (n > max) {
            free(text);
            errno = EFBIG;
            return NULL;
        }
    }
    *ret_length = n;
    return text;
}

const char *pb_json_mistrust(const struct stat *st, bool any_owner)
{
    if (!any_owner && st->st_uid != 0)
        return "is not root's";
    if (!any_owner && (st->st_mode & 022))
        return "others than root may write to it";
    return NULL;
}

json_t *pb_json_load(const char *path, size_t max, bool any_owner, struct pb_json_error *error)
{
    json_t *value = NULL;
    const char *why;
    struct stat st;
    size_t length;
    char *text;
    int fd;

    /* O_NONBLOCK: opening a FIFO that somebody left here must not hang. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        pb_json_error_set(error, "%s: %s", path, strerror(errno));
        return NULL;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        pb_json_error_set(error, "%s: not a regular file", path);
    } else if ((why = pb_json_mistrust(&st, any_owner)) != NULL) {
        pb_json_error_set(error, "%s: %s", path, why);
    } else {
        text = read_file(fd, max, &length);
        if (!text)
            pb_json_error_set(error, "%s: %s", path, strerror(errno));
        else
            value = pb_json_parse(text, length, path, error);
        free(text);
    }
    (void)close(fd);
    return value;
}

struct pb_json pb_json_root(const json_t *value, const char *source, struct pb_json_error *error)
{
    return (struct pb_json){ .value = value, .source = source, .error = error };
}

struct pb_json pb_json_member(const struct pb_json *object, const char *key)
{
    return (struct pb_json){ .value = object->value ? json_object_get(object->value, key) : NULL,
                             .parent = object,
                             .key = key,
                             .source = object->source,
                             .error = object->error };
}

struct pb_json pb_json_element(const struct pb_json *array, size_t index)
{
    return (struct pb_json){ .value = array->value ? json_array_get(array->value, index) : NULL,
                             .parent = array,
                             .index = index,
                             .source = array->source,
                             .error = array->error };
}

/* Appends KEY escaped as RFC 6901 says; returns the new length. */
static size_t write_key(const char *key, char *buf, size_t n, size_t size)
{
    for (; *key && n + 2 < size; key++) {
        if (*key == '~' || *key == '/') {
            buf[n++] = '~';
            buf[n++] = *key == '~' ? '0' : '1';
        } else {
            buf[n++] = *key;
        }
    }
    buf[n] = '\0';
    return n;
}

static size_t write_pointer(const struct pb_json *at, char *buf, size_t size)
{
    size_t n = 0;
    int r;

    if (!at->parent)
        return 0;
    n = write_pointer(at->parent, buf, size);
    if (n + 3 > size)
        return n;
    if (at->key) {
        buf[n++] = '/';
        return write_key(at->key, buf, n, size);
    }
    r = snprintf(buf + n, size - n, "/%zu", at->index);
    return r < 0 || (size_t)r >= size - n ? size - 1 : n + (size_t)r;
}

void pb_json_fail(const struct pb_json *at, const char *fmt, ...)
{
    char pointer[160] = "", reason[200];
    va_list ap;

    (void)write_pointer(at, pointer, sizeof(pointer));
    trim_utf8(pointer);
    va_start(ap, fmt);
    (void)vsnprintf(reason, sizeof(reason), fmt, ap);
    va_end(ap);
    trim_utf8(reason);
    pb_json_error_set(at->error, "%s%s%s: %s", at->source ? at->source : "", at->source ? ": " : "",
                      pointer[0] ? pointer : "/", reason);
}

bool pb_json_object(const struct pb_json *at, const char *const *keys)
{
    const char *key;
    json_t *value;

    if (!at->value)
        return false;
    if (!json_is_object(at->value)) {
        pb_json_fail(at, "must be an object");
        return false;
    }
    /* json_object_foreach needs a non-const object only for its C++ friends */
    for (void *it = json_object_iter((json_t *)(uintptr_t)at->value); it;
         it = json_object_iter_next((json_t *)(uintptr_t)at->value, it)) {
        const char *const *known = keys;

        key = json_object_iter_key(it);
        value = json_object_iter_value(it);
        (void)value;
        while (*known && strcmp(*known, key) != 0)
            known++;
        if (!*known) {
            struct pb_json member = pb_json_member(at, key);

            pb_json_fail(&member, "unknown key");
            return false;
        }
    }
    return true;
}

size_t pb_json_array(const struct pb_json *at)
{
    if (!at->value)
        return 0;
    if (!json_is_array(at->value)) {
        pb_json_fail(at, "must be an array");
        return 0;
    }
    return json_array_size(at->value);
}

bool pb_json_bool(const struct pb_json *at, bool fallback)
{
    if (!at->value)
        return fallback;
    if (!json_is_boolean(at->value)) {
        pb_json_fail(at, "must be true or false");
        return fallback;
    }
    return json_is_true(at->value);
}

static bool number_of(const json_t *value, uint64_t *ret)
{
    const char *text;
    char *end;

    if (json_is_integer(value)) {
        if (json_integer_value(value) < 0)
            return false;
        *ret = (uint64_t)json_integer_value(value);
        return true;
    }
    text = json_string_value(value);
    if (!text || text[0] != '0' || text[1] != 'x' || strlen(text) > 18 ||
        text[2 + strspn(text + 2, "0123456789abcdefABCDEF")] || !text[2])
        return false;
    *ret = strtoull(text + 2, &end, 16);
    return true;
}

uint64_t pb_json_number(const struct pb_json *at, uint64_t min, uint64_t max, uint64_t fallback)
{
    uint64_t value;

    if (!at->value)
        return fallback;
    if (!number_of(at->value, &value)) {
        pb_json_fail(at, "must be a number, or a string like \"0x1f\"");
        return fallback;
    }
    if (value < min || value > max) {
        if (min == max)
            pb_json_fail(at, "must be %llu", (unsigned long long)min);
        else
            pb_json_fail(at, "must be from %llu to %llu", (unsigned long long)min,
                         (unsigned long long)max);
        return fallback;
    }
    return value;
}

const char *pb_json_text(const struct pb_json *at, size_t max, const char *fallback)
{
    if (!at->value)
        return fallback;
    if (!json_is_string(at->value)) {
        pb_json_fail(at, "must be a string");
        return fallback;
    }
    if (json_string_length(at->value) > max) {
        pb_json_fail(at, "is longer than %zu bytes", max);
        return fallback;
    }
    return json_string_value(at->value);
}

struct text {
    char *bytes;
    size_t length, room;
    bool failed;
};

static int append(const char *piece, size_t length, void *ctx)
{
    struct text *text = ctx;

    if (text->failed)
        return -1;
    if (text->room - text->length <= length) { /* the NUL, too */
        size_t room = 2 * (text->room + length) + 1;
        char *grown = realloc(text->bytes, room);

        if (!grown) {
            text->failed = true;
            return -1;
        }
        text->bytes = grown;
        text->room = room;
    }
    memcpy(text->bytes + text->length, piece, length);
    text->length += length;
    text->bytes[text->length] = '\0';
    return 0;
}

char *pb_json_dumps(const json_t *value, size_t flags)
{
    struct text text = { 0 };

    /* its own result leaves out the names of members */
    if (json_dump_callback(value, append, &text, flags) != 0 || text.failed) {
        free(text.bytes);
        return NULL;
    }
    return text.bytes;
}
