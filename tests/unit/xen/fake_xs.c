/* SPDX-License-Identifier: MIT */
#include "fake_xs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NODES  64
#define EVENTS 256 /* the fake's own queue: how many a connection may have pending */

struct node {
    char path[PB_STORE_PATH_MAX];
    char value[2048];
    size_t length;
};

struct tree {
    struct node node[NODES];
    unsigned count;
};

struct watch {
    char path[PB_STORE_PATH_MAX];
    unsigned long serial;
};

struct fake_xs {
    pthread_mutex_t lock;
    pthread_cond_t unhung;
    struct tree tree, tx;
    struct watch watch[NODES];
    unsigned watches;
    unsigned long event[EVENTS];
    unsigned first, events;
    unsigned storm; /* events still to come, spread over all watches */
    unsigned generation, opens, commits, conflicts;
    unsigned break_at;
    int break_error;
    bool alive, hung, in_tx, refuse_watches, tells_its_end;
    unsigned looks; /* for events */
    int life;       /* our end of the last connection's, or -1 */
};

struct conn {
    struct fake_xs *f;
    unsigned generation;
    int pipe[2];
};

static void lock(struct fake_xs *f)
{
    (void)pthread_mutex_lock(&f->lock);
}

static void unlock(struct fake_xs *f)
{
    (void)pthread_mutex_unlock(&f->lock);
}

/* Every call's start: the lock, unless the connection is dead. */
static int enter(struct conn *c)
{
    struct fake_xs *f = c->f;

    lock(f);
    while (f->hung)
        (void)pthread_cond_wait(&f->unhung, &f->lock);
    if (f->alive && c->generation == f->generation)
        return 0;
    unlock(f);
    return -EPIPE;
}

static int leave(struct conn *c, int rc)
{
    unlock(c->f);
    return rc;
}

static struct node *find(struct tree *t, const char *path)
{
    for (unsigned i = 0; i < t->count; i++) {
        if (strcmp(t->node[i].path, path) == 0)
            return &t->node[i];
    }
    return NULL;
}

static bool below(const char *path, const char *root)
{
    size_t n = strlen(root);

    return strncmp(path, root, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

static void emit(struct fake_xs *f, unsigned long serial)
{
    if (f->events < EVENTS)
        f->event[(f->first + f->events++) % EVENTS] = serial;
}

static void changed(struct fake_xs *f, const char *path)
{
    for (unsigned i = 0; i < f->watches; i++) {
        if (below(path, f->watch[i].path))
            emit(f, f->watch[i].serial);
    }
}

static void put(struct tree *t, const char *path, const void *value, size_t length)
{
    struct node *n = find(t, path);

    if (!n) {
        if (t->count == NODES)
            abort();
        n = &t->node[t->count++];
        (void)snprintf(n->path, sizeof(n->path), "%s", path);
    }
    memcpy(n->value, value, length);
    n->length = length;
}

static int delete (struct tree *t, const char *path)
{
    unsigned kept = 0;
    bool any = false;

    for (unsigned i = 0; i < t->count; i++) {
        if (below(t->node[i].path, path))
            any = true;
        else
            t->node[kept++] = t->node[i];
    }
    t->count = kept;
    return any ? 0 : -ENOENT;
}

static struct tree *tree_of(struct fake_xs *f, uint32_t tx)
{
    return tx ? &f->tx : &f->tree;
}

static int fake_open(void *ctx, void **ret)
{
    struct fake_xs *f = ctx;
    struct conn *c;
    int rc = -ECONNREFUSED;

    lock(f);
    f->opens++;
    if (f->alive) {
        c = calloc(1, sizeof(*c));
        if (!c || pipe2(c->pipe, O_CLOEXEC))
            abort();
        c->f = f;
        c->generation = f->generation;
        *ret = c;
        rc = 0;
    }
    unlock(f);
    return rc;
}

static void fake_close(void *conn)
{
    struct conn *c = conn;

    (void)close(c->pipe[0]);
    (void)close(c->pipe[1]);
    free(c);
}

static void hang_up(struct fake_xs *f)
{
    if (f->life >= 0)
        (void)close(f->life);
    f->life = -1;
}

static int fake_life(void *conn)
{
    struct conn *c = conn;
    int ends[2];

    if (!c->f->tells_its_end)
        return -1;
    if (pipe2(ends, O_CLOEXEC))
        abort();
    lock(c->f);
    hang_up(c->f);
    c->f->life = ends[1];
    unlock(c->f);
    return ends[0];
}

/* Never readable, as libxenstore's is after a death. */
static int fake_fileno(void *conn)
{
    struct conn *c = conn;

    return c->pipe[0];
}

static int fake_check_watch(void *conn, unsigned long *ret_serial)
{
    struct conn *c = conn;
    struct fake_xs *f = c->f;

    if (enter(c))
        return -EINVAL;
    f->looks++;
    if (f->events) {
        *ret_serial = f->event[f->first];
        f->first = (f->first + 1) % EVENTS;
        f->events--;
        return leave(c, 0);
    }
    if (f->storm && f->watches) {
        f->storm--;
        *ret_serial = f->watch[f->storm % f->watches].serial;
        return leave(c, 0);
    }
    return leave(c, -EAGAIN);
}

static int fake_watch(void *conn, const char *path, unsigned long serial)
{
    struct conn *c = conn;
    struct fake_xs *f = c->f;
    struct watch *w;

    if (enter(c))
        return -EPIPE;
    if (f->refuse_watches)
        return leave(c, -ENOSPC);
    if (f->watches == NODES)
        abort();
    w = &f->watch[f->watches++];
    (void)snprintf(w->path, sizeof(w->path), "%s", path);
    w->serial = serial;
    emit(f, serial);
    return leave(c, 0);
}

static int fake_unwatch(void *conn, const char *path, unsigned long serial)
{
    struct conn *c = conn;
    struct fake_xs *f = c->f;

    (void)path;
    if (enter(c))
        return -EPIPE;
    for (unsigned i = 0; i < f->watches; i++) {
        if (f->watch[i].serial == serial) {
            f->watch[i] = f->watch[--f->watches];
            return leave(c, 0);
        }
    }
    return leave(c, -ENOENT);
}

static int fake_begin(void *conn, uint32_t *ret_tx)
{
    struct conn *c = conn;

    if (enter(c))
        return -EPIPE;
    if (c->f->in_tx)
        abort();
    c->f->in_tx = true;
    c->f->tx = c->f->tree;
    *ret_tx = 1;
    return leave(c, 0);
}

static int fake_end(void *conn, uint32_t tx, bool abort_it)
{
    struct conn *c = conn;
    struct fake_xs *f = c->f;

    if (enter(c))
        return -EPIPE;
    if (!f->in_tx || tx != 1)
        abort();
    f->in_tx = false;
    if (abort_it)
        return leave(c, 0);
    f->commits++;
    if (f->conflicts) {
        f->conflicts--;
        return leave(c, -EAGAIN);
    }
    f->tree = f->tx;
    for (unsigned i = 0; i < f->tree.count; i++)
        changed(f, f->tree.node[i].path);
    return leave(c, 0);
}

static int fake_read(void *conn, uint32_t tx, const char *path, char **ret, size_t *ret_length)
{
    struct conn *c = conn;
    const struct node *n;

    if (enter(c))
        return -EPIPE;
    if (*path != '/')
        return leave(c, -EINVAL);
    n = find(tree_of(c->f, tx), path);
    if (!n)
        return leave(c, -ENOENT);
    *ret = malloc(n->length + 1);
    if (!*ret)
        abort();
    memcpy(*ret, n->value, n->length);
    (*ret)[n->length] = '\0';
    *ret_length = n->length;
    return leave(c, 0);
}

/* All paths below, not only the children: enough for the tests, whose trees are flat. */
static int fake_list(void *conn, uint32_t tx, const char *path, char ***ret, unsigned *ret_count)
{
    struct conn *c = conn;
    struct tree *t;
    char *text;
    bool any = false;

    if (enter(c))
        return -EPIPE;
    t = tree_of(c->f, tx);
    *ret = calloc(NODES, sizeof(char *) + PB_STORE_PATH_MAX);
    if (!*ret)
        abort();
    text = (char *)(*ret + NODES);
    *ret_count = 0;
    for (unsigned i = 0; i < t->count; i++) {
        if (!below(t->node[i].path, path))
            continue;
        any = true;
        if (strcmp(t->node[i].path, path) == 0)
            continue;
        (void)snprintf(text, PB_STORE_PATH_MAX, "%s", t->node[i].path + strlen(path) + 1);
        (*ret)[(*ret_count)++] = text;
        text += PB_STORE_PATH_MAX;
    }
    if (any)
        return leave(c, 0);
    free(*ret);
    *ret = NULL;
    return leave(c, -ENOENT);
}

static int fake_write(void *conn, uint32_t tx, const char *path, const void *value, size_t length)
{
    struct conn *c = conn;
    struct fake_xs *f = c->f;

    if (enter(c))
        return -EPIPE;
    if (f->break_at && --f->break_at == 0) {
        f->generation++;
        f->watches = f->events = 0;
        f->in_tx = false;
        return leave(c, f->break_error);
    }
    put(tree_of(f, tx), path, value, length);
    if (!tx)
        changed(f, path);
    return leave(c, 0);
}

static int fake_mkdir(void *conn, uint32_t tx, const char *path)
{
    struct conn *c = conn;
    struct tree *t;

    if (enter(c))
        return -EPIPE;
    t = tree_of(c->f, tx);
    if (!find(t, path))
        put(t, path, "", 0);
    return leave(c, 0);
}

static int fake_remove(void *conn, uint32_t tx, const char *path)
{
    struct conn *c = conn;
    int rc;

    if (enter(c))
        return -EPIPE;
    rc = delete (tree_of(c->f, tx), path);
    if (!tx && rc == 0)
        changed(c->f, path);
    return leave(c, rc);
}

static int fake_perms(void *conn, uint32_t tx, const char *path, uint16_t domid, bool guest_owns)
{
    struct conn *c = conn;
    struct tree *t;
    char name[PB_STORE_PATH_MAX], text[32];

    if (enter(c))
        return -EPIPE;
    t = tree_of(c->f, tx);
    if (!find(t, path))
        return leave(c, -ENOENT);
    (void)snprintf(name, sizeof(name), "perms:%.200s", path);
    (void)snprintf(text, sizeof(text), "%u %d", domid, guest_owns);
    put(t, name, text, strlen(text));
    return leave(c, 0);
}

struct fake_xs *fake_xs_new(struct pb_real_xs *ret_calls)
{
    struct fake_xs *f = calloc(1, sizeof(*f));

    if (!f)
        abort();
    (void)pthread_mutex_init(&f->lock, NULL);
    (void)pthread_cond_init(&f->unhung, NULL);
    f->alive = true;
    f->life = -1;
    *ret_calls = (struct pb_real_xs){
        .ctx = f,
        .open = fake_open,
        .close = fake_close,
        .fileno = fake_fileno,
        .check_watch = fake_check_watch,
        .life = fake_life,
        .watch = fake_watch,
        .unwatch = fake_unwatch,
        .begin = fake_begin,
        .end = fake_end,
        .read = fake_read,
        .list = fake_list,
        .write = fake_write,
        .mkdir = fake_mkdir,
        .remove = fake_remove,
        .perms = fake_perms,
    };
    return f;
}

void fake_xs_free(struct fake_xs *f)
{
    hang_up(f);
    (void)pthread_cond_destroy(&f->unhung);
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
}

void fake_xs_set(struct fake_xs *f, const char *path, const void *value, size_t length)
{
    lock(f);
    put(&f->tree, path, value, length);
    changed(f, path);
    unlock(f);
}

void fake_xs_storm(struct fake_xs *f, unsigned count)
{
    lock(f);
    f->storm = count;
    unlock(f);
}

char *fake_xs_get(struct fake_xs *f, const char *path)
{
    const struct node *n;
    char *copy = NULL;

    lock(f);
    n = find(&f->tree, path);
    if (n)
        copy = strndup(n->value, n->length);
    unlock(f);
    return copy;
}

void fake_xs_die(struct fake_xs *f)
{
    lock(f);
    f->alive = false;
    f->generation++;
    f->watches = f->events = f->storm = 0;
    f->in_tx = false;
    hang_up(f);
    unlock(f);
}

void fake_xs_tell_end(struct fake_xs *f)
{
    lock(f);
    f->tells_its_end = true;
    unlock(f);
}

void fake_xs_hang_up(struct fake_xs *f)
{
    lock(f);
    hang_up(f);
    unlock(f);
}

void fake_xs_return(struct fake_xs *f)
{
    lock(f);
    f->alive = true;
    unlock(f);
}

void fake_xs_hang(struct fake_xs *f, bool on)
{
    lock(f);
    f->hung = on;
    (void)pthread_cond_broadcast(&f->unhung);
    unlock(f);
}

void fake_xs_conflict(struct fake_xs *f, unsigned commits)
{
    lock(f);
    f->conflicts = commits;
    unlock(f);
}

void fake_xs_break_at_write(struct fake_xs *f, unsigned n, int error)
{
    lock(f);
    f->break_at = n;
    f->break_error = error;
    unlock(f);
}

void fake_xs_refuse_watches(struct fake_xs *f, bool on)
{
    lock(f);
    f->refuse_watches = on;
    unlock(f);
}

#define COUNTER(name, member)        \
    unsigned name(struct fake_xs *f) \
    {                                \
        unsigned value;              \
                                     \
        lock(f);                     \
        value = f->member;           \
        unlock(f);                   \
        return value;                \
    }

COUNTER(fake_xs_storm_left, storm)
COUNTER(fake_xs_watches, watches)
COUNTER(fake_xs_opens, opens)
COUNTER(fake_xs_looks, looks)
COUNTER(fake_xs_commits, commits)
