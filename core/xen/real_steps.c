/* SPDX-License-Identifier: MIT */
/* One request, on a connection. Runs on the store thread. */
#include "xen/real_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool pb_real_store_lost(int rc)
{
    return rc == -EPIPE || rc == -EBADF || rc == -ECONNRESET || rc == -ENOTCONN ||
           rc == -ECONNREFUSED;
}

static int step_read(const struct pb_real_xs *xs, void *conn, uint32_t tx,
                     struct pb_store_step *step)
{
    char *value = NULL;
    size_t length = 0;
    int rc = xs->read(conn, tx, step->path, &value, &length);

    if (rc == 0 && length > PB_STORE_VALUE_MAX)
        step->rc = -E2BIG;
    else if (rc == 0 && memchr(value, '\0', length))
        step->rc = -EINVAL;
    else if (rc == -ENOENT)
        step->rc = rc;
    else if (rc)
        return rc;
    if (step->rc) {
        free(value);
        return 0;
    }
    step->value = value;
    step->length = length;
    return 0;
}

static int step_list(const struct pb_real_xs *xs, void *conn, uint32_t tx,
                     struct pb_store_step *step)
{
    int rc = xs->list(conn, tx, step->path, &step->names, &step->name_count);

    if (rc != -ENOENT)
        return rc;
    step->rc = rc;
    return 0;
}

static int step_expect(const struct pb_real_xs *xs, void *conn, uint32_t tx,
                       const struct pb_store_step *step)
{
    char *value = NULL;
    size_t length = 0;
    int rc = xs->read(conn, tx, step->path, &value, &length);
    bool same;

    if (rc == -ENOENT)
        return step->value ? -ECANCELED : 0;
    if (rc)
        return rc;
    same = step->value && length == step->length && memcmp(value, step->value, length) == 0;
    free(value);
    return same ? 0 : -ECANCELED;
}

static int prune_in(const struct pb_real_xs *xs, void *conn, uint32_t tx, const char *path)
{
    char **names = NULL;
    unsigned count = 0;
    int rc = xs->list(conn, tx, path, &names, &count);

    free(names);
    if (rc == 0 && count == 0)
        rc = xs->remove(conn, tx, path);
    return rc == -ENOENT ? 0 : rc;
}

/*
 * Somebody may create a child between the look and the removal, which would remove it too: outside
 * of a transaction the step makes its own.
 */
static int step_prune(const struct pb_real_xs *xs, void *conn, uint32_t tx, const char *path)
{
    int rc = -EAGAIN;

    if (tx)
        return prune_in(xs, conn, tx, path);
    for (unsigned i = 0; i < PB_REAL_STORE_TRIES && rc == -EAGAIN; i++) {
        int end;

        rc = xs->begin(conn, &tx);
        if (rc)
            return rc;
        rc = prune_in(xs, conn, tx, path);
        end = xs->end(conn, tx, rc != 0);
        if (rc == 0)
            rc = end;
    }
    return rc;
}

static int run_step(const struct pb_real_xs *xs, void *conn, uint32_t tx,
                    struct pb_store_step *step)
{
    int rc;

    switch (step->verb) {
    case PB_STORE_READ:
        return step_read(xs, conn, tx, step);
    case PB_STORE_LIST:
        return step_list(xs, conn, tx, step);
    case PB_STORE_WRITE:
        return xs->write(conn, tx, step->path, step->value ? step->value : "", step->length);
    case PB_STORE_MKDIR:
        return xs->mkdir(conn, tx, step->path);
    case PB_STORE_REMOVE:
        rc = xs->remove(conn, tx, step->path);
        return rc == -ENOENT ? 0 : rc;
    case PB_STORE_PERMS:
        return xs->perms(conn, tx, step->path, step->domid, step->guest_owns);
    case PB_STORE_EXPECT:
        return step_expect(xs, conn, tx, step);
    case PB_STORE_PRUNE:
        return step_prune(xs, conn, tx, step->path);
    }
    return -EINVAL;
}

static void forget_results(struct pb_store_req *req)
{
    for (unsigned i = 0; i < req->count; i++) {
        struct pb_store_step *step = &req->step[i];

        if (step->verb == PB_STORE_READ) {
            free(step->value);
            step->value = NULL;
            step->length = 0;
        }
        free(step->names);
        step->names = NULL;
        step->name_count = 0;
        step->rc = 0;
    }
}

static int run_once(const struct pb_real_xs *xs, void *conn, struct pb_store_req *req)
{
    uint32_t tx = 0;
    int rc = 0, end;

    forget_results(req);
    req->failed = req->count;
    if (req->transaction) {
        rc = xs->begin(conn, &tx);
        if (rc)
            return rc;
    }
    for (unsigned i = 0; i < req->count; i++) {
        rc = run_step(xs, conn, tx, &req->step[i]);
        if (rc) {
            req->failed = i;
            break;
        }
    }
    if (req->transaction) {
        end = xs->end(conn, tx, rc != 0);
        if (rc == 0)
            rc = end;
    }
    return rc;
}

void pb_real_steps_run(const struct pb_real_xs *xs, void *conn, struct pb_store_req *req)
{
    unsigned tries = 0;

    do {
        req->rc = run_once(xs, conn, req);
        tries++;
    } while (req->rc == -EAGAIN && req->transaction && tries < PB_REAL_STORE_TRIES);
}
