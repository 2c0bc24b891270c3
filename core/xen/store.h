/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous xenstore: a request is a list of steps, carried out in order by whoever owns the
 * connection (a thread in production), optionally as one transaction. There is no way to look and
 * then decide inside of a transaction; instead a request *expects* values: read, decide on the
 * loop, then write with the expectation that what was read still stands. -ECANCELED says that it
 * did not, nothing was written, and the caller reads again.
 */
#ifndef PB_XEN_STORE_H
#define PB_XEN_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define PB_STORE_PATH_MAX  256  /* bytes, with the NUL: ours are far shorter than xenstore's 3072 */
#define PB_STORE_VALUE_MAX 1024 /* a longer value is refused, -E2BIG: none of ours is */

enum pb_store_verb {
    PB_STORE_READ,  /* -> value; absent: rc -ENOENT, the request goes on */
    PB_STORE_LIST,  /* -> names; absent: rc -ENOENT, the request goes on */
    PB_STORE_WRITE, /* creates parents */
    PB_STORE_MKDIR,
    PB_STORE_REMOVE, /* absent is success */
    PB_STORE_PERMS,  /* owner 0 without others, DOMID may read; or owner DOMID, 0 may read */
    PB_STORE_EXPECT, /* the value is this (NULL: absent), else the request ends, -ECANCELED */
    PB_STORE_PRUNE,  /* remove a directory if it is empty; -ENOTEMPTY and absent are success */
};

struct pb_store_step {
    enum pb_store_verb verb;
    char path[PB_STORE_PATH_MAX];
    char *value; /* WRITE, EXPECT: input; READ: result, NUL-terminated; owned by the request */
    size_t length;
    char **names; /* LIST: result, one allocation, owned by the request */
    unsigned name_count;
    uint16_t domid;  /* PERMS */
    bool guest_owns; /* PERMS */
    int rc;          /* READ, LIST; READ also: -E2BIG, or -EINVAL when there is a NUL inside */
};

struct pb_store_req;
/* Runs on the loop; the request and its results are freed when it returns. */
typedef void (*pb_store_fn)(struct pb_store_req *req, void *ctx);

struct pb_store_req {
    TAILQ_ENTRY(pb_store_req) link; /* the carrier's, as is deadline_ms */
    uint64_t deadline_ms;
    bool transaction;
    /* Out of memory in a builder, or a path did not fit: submit answers -ENOMEM, does nothing. */
    bool failed_alloc;
    unsigned count, room;
    struct pb_store_step *step;
    int rc; /* 0; -ECANCELED (an expectation failed), -ETIMEDOUT (no xenstored), -errno of a step */
    unsigned failed; /* the step that ended it, when rc != 0; count: none of them */
    pb_store_fn done;
    void *ctx;
};
TAILQ_HEAD(pb_store_queue, pb_store_req);

/*
 * Building. DONE may be NULL when nobody waits (a failure is then logged by the carrier). Builders
 * return the step's index. NULL from _new is -ENOMEM; otherwise step[0] may be read, whatever came
 * after.
 */
struct pb_store_req *pb_store_req_new(bool transaction, pb_store_fn done, void *ctx);
void pb_store_req_free(struct pb_store_req *req);

#define PB_STORE_FMT(f, a) __attribute__((format(printf, f, a)))
PB_STORE_FMT(2, 3) unsigned pb_store_read(struct pb_store_req *req, const char *path, ...);
PB_STORE_FMT(2, 3) unsigned pb_store_list(struct pb_store_req *req, const char *path, ...);
PB_STORE_FMT(2, 3) unsigned pb_store_mkdir(struct pb_store_req *req, const char *path, ...);
PB_STORE_FMT(2, 3) unsigned pb_store_remove(struct pb_store_req *req, const char *path, ...);
PB_STORE_FMT(2, 3) unsigned pb_store_prune(struct pb_store_req *req, const char *path, ...);
PB_STORE_FMT(3, 4)
unsigned pb_store_write(struct pb_store_req *req, const char *value, const char *path, ...);
PB_STORE_FMT(3, 4)
unsigned pb_store_write_number(struct pb_store_req *req, uint64_t value, const char *path, ...);
/* VALUE NULL: the path must not exist. */
PB_STORE_FMT(3, 4)
unsigned pb_store_expect(struct pb_store_req *req, const char *value, const char *path, ...);
PB_STORE_FMT(4, 5)
unsigned pb_store_perms(struct pb_store_req *req, uint16_t domid, bool guest_owns, const char *path,
                        ...);

/* Result of a READ. NULL when the step failed or the path is absent. */
const char *pb_store_value(const struct pb_store_req *req, unsigned step);
/* Strict decimal, whole string, at most MAX; -ENOENT (absent), -EINVAL or -ERANGE. */
__attribute__((warn_unused_result)) int pb_store_number(const struct pb_store_req *req,
                                                        unsigned step, uint64_t max, uint64_t *ret);

/*
 * A watch is level-triggered: FIRED runs on the loop at least once after anything at or below PATH
 * changed, once for however many changes (XSA-349), once after it was added, and once after
 * xenstored came back. It says nothing about what changed: read again.
 */
struct pb_watch {
    char path[PB_STORE_PATH_MAX];
    void (*fired)(struct pb_watch *watch);
    TAILQ_ENTRY(pb_watch) link; /* the carrier's, as is all below */
    unsigned long serial;
    bool dirty, registered, removed;
};
TAILQ_HEAD(pb_watch_list, pb_watch);

#endif
