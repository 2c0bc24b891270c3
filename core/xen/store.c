/* SPDX-License-Identifier: MIT */
#include "xen/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 8u

struct pb_store_req *pb_store_req_new(bool transaction, pb_store_fn done, void *ctx)
{
    struct pb_store_req *req = calloc(1, sizeof(*req));

    if (!req)
        return NULL;
    req->step = calloc(FIRST_ROOM, sizeof(*req->step));
    if (!req->step) {
        free(req);
        return NULL;
    }
    req->room = FIRST_ROOM;
    req->transaction = transaction;
    req->done = done;
    req->ctx = ctx;
    return req;
}

void pb_store_req_free(struct pb_store_req *req)
{
    if (!req)
        return;
    for (unsigned i = 0; i < req->count; i++) {
        free(req->step[i].value);
        free(req->step[i].names);
    }
    free(req->step);
    free(req);
}

/* A zeroed step at the end, not yet counted; NULL when there is no memory or was none before. */
static struct pb_store_step *next_step(struct pb_store_req *req)
{
    struct pb_store_step *grown;
    unsigned room;

    if (req->failed_alloc)
        return NULL;
    if (req->count == req->room) {
        room = 2 * req->room;
        grown = reallocarray(req->step, room, sizeof(*grown));
        if (!grown) {
            req->failed_alloc = true;
            return NULL;
        }
        req->step = grown;
        req->room = room;
    }
    memset(&req->step[req->count], 0, sizeof(req->step[0]));
    return &req->step[req->count];
}

/*
 * Counts the new step; its index. A request that could not be built in full must never run in part:
 * from the first failure on nothing is added, and submit answers -ENOMEM.
 */
PB_STORE_FMT(4, 0)
static unsigned add_step(struct pb_store_req *req, enum pb_store_verb verb, const char *value,
                         const char *path, va_list ap)
{
    struct pb_store_step *step = next_step(req);
    int n;

    if (!step)
        return req->count;
    step->verb = verb;
    n = vsnprintf(step->path, sizeof(step->path), path, ap);
    if (n < 0 || (size_t)n >= sizeof(step->path)) {
        req->failed_alloc = true;
        return req->count;
    }
    if (value) {
        step->length = strlen(value);
        step->value = strdup(value);
        if (!step->value) {
            req->failed_alloc = true;
            return req->count;
        }
    }
    return req->count++;
}

#define SIMPLE_BUILDER(name, verb)                                 \
    unsigned name(struct pb_store_req *req, const char *path, ...) \
    {                                                              \
        unsigned at;                                               \
        va_list ap;                                                \
                                                                   \
        va_start(ap, path);                                        \
        at = add_step(req, verb, NULL, path, ap);                  \
        va_end(ap);                                                \
        return at;                                                 \
    }

SIMPLE_BUILDER(pb_store_read, PB_STORE_READ)
SIMPLE_BUILDER(pb_store_list, PB_STORE_LIST)
SIMPLE_BUILDER(pb_store_mkdir, PB_STORE_MKDIR)
SIMPLE_BUILDER(pb_store_remove, PB_STORE_REMOVE)
SIMPLE_BUILDER(pb_store_prune, PB_STORE_PRUNE)

unsigned pb_store_write(struct pb_store_req *req, const char *value, const char *path, ...)
{
    unsigned at;
    va_list ap;

    va_start(ap, path);
    at = add_step(req, PB_STORE_WRITE, value, path, ap);
    va_end(ap);
    return at;
}

unsigned pb_store_write_number(struct pb_store_req *req, uint64_t value, const char *path, ...)
{
    char text[24];
    unsigned at;
    va_list ap;

    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    va_start(ap, path);
    at = add_step(req, PB_STORE_WRITE, text, path, ap);
    va_end(ap);
    return at;
}

unsigned pb_store_expect(struct pb_store_req *req, const char *value, const char *path, ...)
{
    unsigned at;
    va_list ap;

    va_start(ap, path);
    at = add_step(req, PB_STORE_EXPECT, value, path, ap);
    va_end(ap);
    return at;
}

unsigned pb_store_perms(struct pb_store_req *req, uint16_t domid, bool guest_owns, const char *path,
                        ...)
{
    unsigned at;
    va_list ap;

    va_start(ap, path);
    at = add_step(req, PB_STORE_PERMS, NULL, path, ap);
    va_end(ap);
    if (!req->failed_alloc) {
        req->step[at].domid = domid;
        req->step[at].guest_owns = guest_owns;
    }
    return at;
}

const char *pb_store_value(const struct pb_store_req *req, unsigned step)
{
    const struct pb_store_step *s;

    if (step >= req->count)
        return NULL;
    s = &req->step[step];
    return s->verb == PB_STORE_READ && s->rc == 0 ? s->value : NULL;
}

int pb_store_number(const struct pb_store_req *req, unsigned step, uint64_t max, uint64_t *ret)
{
    const char *text = pb_store_value(req, step);
    uint64_t value = 0;

    if (!text) /* absent, or there but not a value of ours: too long, or with a NUL inside */
        return step < req->count && req->step[step].rc && req->step[step].rc != -ENOENT ? -EINVAL
                                                                                        : -ENOENT;
    if (!*text)
        return -EINVAL;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9')
            return -EINVAL;
    }
    for (const char *p = text; *p; p++) {
        unsigned digit = (unsigned)(*p - '0');

        if (value > (UINT64_MAX - digit) / 10)
            return -ERANGE;
        value = value * 10 + digit;
    }
    if (value > max)
        return -ERANGE;
    *ret = value;
    return 0;
}
