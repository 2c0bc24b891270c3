/* SPDX-License-Identifier: MIT */
/* The daemon's side of the store: requests, transactions, watches, loss and return. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim_life.h"
#include "sim_world.h"

static const char *const verb_names[] = {
    [PB_STORE_READ] = "store_read",     [PB_STORE_LIST] = "store_list",
    [PB_STORE_WRITE] = "store_write",   [PB_STORE_MKDIR] = "store_mkdir",
    [PB_STORE_REMOVE] = "store_remove", [PB_STORE_PERMS] = "store_perms",
    [PB_STORE_EXPECT] = "store_expect", [PB_STORE_PRUNE] = "store_prune",
};

static void set_dirty(struct sim_world *w, struct pb_watch *watch, bool dirty)
{
    if (watch->dirty != dirty)
        w->store.dirty += dirty ? 1 : -1U;
    watch->dirty = dirty;
}

static struct sim_watching **watching_at(struct sim_world *w, const char *path, size_t length)
{
    uint32_t hash = 2166136261;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)path[i]) * 16777619;
    return &w->store.watching[hash % SIM_STORE_BUCKETS];
}

static void mark_at(struct sim_world *w, const char *path, size_t length)
{
    for (struct sim_watching *x = *watching_at(w, path, length); x; x = x->next) {
        if (strncmp(x->watch->path, path, length) == 0 && x->watch->path[length] == '\0')
            set_dirty(w, x->watch, true);
    }
}

/* Is B the path A or below it? */
static bool covers(const char *a, const char *b)
{
    size_t n = strlen(a);

    return strncmp(a, b, n) == 0 && (b[n] == '\0' || b[n] == '/');
}

static void mark(struct sim_world *w, const char *path, bool removed)
{
    struct pb_watch *watch;

    for (size_t n = 1; path[n - 1]; n++) {
        if (path[n] == '/' || path[n] == '\0')
            mark_at(w, path, n);
    }
    if (removed) {
        TAILQ_FOREACH (watch, &w->store.watches, link) {
            if (covers(path, watch->path))
                set_dirty(w, watch, true);
        }
    }
    sim_front_store_changed(w, path);
    sim_world_kick(w);
}

void sim_store_changed(struct sim_world *w, const char *path, bool removed)
{
    if (w->store.held)
        (void)json_array_append_new(w->store.held, json_pack("[s, b]", path, removed ? 1 : 0));
    else
        mark(w, path, removed);
}

/* The request's, and so the daemon's. */
static void *daemon_alloc(size_t size)
{
    SIM_AS_DAEMON;

    return malloc(size);
}

static int step_read(struct sim_world *w, struct pb_store_step *step)
{
    const struct sim_node *node = sim_store_find(&w->store, step->path);

    if (!node)
        return -ENOENT;
    if (node->length > PB_STORE_VALUE_MAX)
        return -E2BIG;
    step->value = daemon_alloc(node->length + 1);
    if (!step->value)
        return -ENOMEM;
    memcpy(step->value, node->value, node->length + 1);
    step->length = node->length;
    if (memchr(step->value, '\0', step->length))
        return -EINVAL;
    return 0;
}

static int step_list(struct sim_world *w, struct pb_store_step *step)
{
    const struct sim_node *node = sim_store_find(&w->store, step->path), *child;
    size_t bytes = 0;
    unsigned count = 0;
    char *text;

    if (!node)
        return -ENOENT;
    TAILQ_FOREACH (child, &node->children, link) {
        bytes += strlen(child->name) + 1;
        count++;
    }
    step->names = daemon_alloc(count * sizeof(*step->names) + bytes + 1);
    if (!step->names)
        return -ENOMEM;
    text = (char *)(step->names + count);
    TAILQ_FOREACH (child, &node->children, link) {
        step->names[step->name_count++] = text;
        text = stpcpy(text, child->name) + 1;
    }
    return 0;
}

static int step_expect(struct sim_world *w, const struct pb_store_step *step)
{
    const struct sim_node *node = sim_store_find(&w->store, step->path);

    if (!step->value)
        return node ? -ECANCELED : 0;
    if (!node || node->length != step->length ||
        memcmp(node->value, step->value, step->length) != 0)
        return -ECANCELED;
    return 0;
}

static int step_prune(struct sim_world *w, const struct pb_store_step *step)
{
    const struct sim_node *node = sim_store_find(&w->store, step->path);

    if (!node || !TAILQ_EMPTY(&node->children))
        return 0;
    return sim_store_remove(w, 0, step->path);
}

/* What nobody set is no text (the sanitizers' build fills it so that it shows). */
static int step_write(struct sim_world *w, const struct pb_store_step *step)
{
    for (size_t i = 0; i < step->length; i++) {
        if (step->value[i] < ' ' || step->value[i] > '~') {
            sim_log_violation(w, "%s: byte %zu of what is written is no text", step->path, i);
            return -EINVAL;
        }
    }
    return sim_store_write(w, 0, step->path, step->value, step->length);
}

/* Does it, or may it? */
static bool changes(const struct sim_world *w, const struct pb_store_step *step)
{
    const struct sim_node *node = sim_store_find(&w->store, step->path);

    switch (step->verb) {
    case PB_STORE_WRITE:
        return true;
    case PB_STORE_MKDIR:
        return !node;
    case PB_STORE_REMOVE:
    case PB_STORE_PERMS:
        return node;
    case PB_STORE_PRUNE:
        return node && TAILQ_EMPTY(&node->children);
    case PB_STORE_READ:
    case PB_STORE_LIST:
    case PB_STORE_EXPECT:
    default:
        return false;
    }
}

/* READ and LIST keep their result to themselves; the others end the request when they fail. */
static int step_run(struct sim_world *w, struct pb_store_step *step)
{
    if (w->store.held && changes(w, step))
        sim_store_note(&w->store, step->path);
    switch (step->verb) {
    case PB_STORE_READ:
        step->rc = step_read(w, step);
        return 0;
    case PB_STORE_LIST:
        step->rc = step_list(w, step);
        return 0;
    case PB_STORE_WRITE:
        if (step->length > PB_STORE_VALUE_MAX)
            return -E2BIG;
        return step_write(w, step);
    case PB_STORE_MKDIR:
        return sim_store_mkdir(w, 0, step->path);
    case PB_STORE_REMOVE:
        return sim_store_remove(w, 0, step->path);
    case PB_STORE_PERMS:
        return sim_store_perms(w, 0, step->path, step->guest_owns ? step->domid : 0,
                               step->guest_owns ? 0 : step->domid);
    case PB_STORE_EXPECT:
        return step_expect(w, step);
    case PB_STORE_PRUNE:
        return step_prune(w, step);
    default:
        sim_log_violation(w, "store request with the unknown verb %u", (unsigned)step->verb);
        return -EINVAL;
    }
}

static void log_step(struct sim_world *w, const struct pb_store_step *step, int rc)
{
    json_t *args = json_pack("{s:s}", "path", step->path);

    if (step->value)
        (void)json_object_set_new(args, "value", json_string(step->value));
    if (step->verb == PB_STORE_READ || step->verb == PB_STORE_LIST)
        rc = step->rc;
    (void)sim_log_leave(w, verb_names[step->verb], args, rc);
}

static void steps_run(struct sim_world *w, struct pb_store_req *req)
{
    for (unsigned i = 0; i < req->count && req->rc == 0; i++) {
        struct pb_store_step *step = &req->step[i];
        int rc = sim_log_enter(w, verb_names[step->verb]);

        if (rc == 0)
            rc = step_run(w, step);
        log_step(w, step, rc);
        req->rc = rc;
        req->failed = i;
    }
}

/* All or nothing. */
static void transaction_run(struct sim_world *w, struct pb_store_req *req)
{
    json_t *held;

    w->store.held = json_array();
    steps_run(w, req);
    held = w->store.held;
    w->store.held = NULL;
    if (req->rc != 0) {
        sim_store_undo(&w->store);
    } else {
        sim_store_keep(&w->store);
        for (size_t i = 0; i < json_array_size(held); i++) {
            json_t *change = json_array_get(held, i);

            mark(w, json_string_value(json_array_get(change, 0)),
                 json_is_true(json_array_get(change, 1)));
        }
    }
    json_decref(held);
    sim_log_act(w);
}

static void request_do(struct sim_world *w, struct pb_store_req *req)
{
    req->rc = 0;
    w->store.running = true;
    if (req->failed_alloc)
        req->rc = -ENOMEM;
    else if (w->store.dead)
        req->rc = -ETIMEDOUT;
    else if (req->transaction)
        transaction_run(w, req);
    else
        steps_run(w, req);
    w->store.running = false;
}

static void request_run(struct sim_world *w, struct pb_store_req *req)
{
    request_do(w, req);
    if (w->store.dies)
        sim_life_die(w, true);
    SIM_AS_DAEMON;
    if (req->done)
        req->done(req, req->ctx);
    pb_store_req_free(req);
}

void sim_store_flush(struct sim_world *w)
{
    struct pb_store_req *req;

    while ((req = TAILQ_FIRST(&w->store.queue)) != NULL) {
        TAILQ_REMOVE(&w->store.queue, req, link);
        request_do(w, req);
    }
}

void sim_store_submit(struct sim_world *w, struct pb_store_req *req)
{
    TAILQ_INSERT_TAIL(&w->store.queue, req, link);
    sim_world_kick(w);
}

void sim_store_run(struct sim_world *w)
{
    struct pb_store_req *req;
    unsigned count = 0;

    if (w->store.hold)
        return;
    TAILQ_FOREACH (req, &w->store.queue, link) {
        count++;
    }
    /* what the answers submit waits for the next round */
    while (count-- > 0 && (req = TAILQ_FIRST(&w->store.queue)) != NULL) {
        TAILQ_REMOVE(&w->store.queue, req, link);
        request_run(w, req);
    }
}

void sim_store_watch_add(struct sim_world *w, struct pb_watch *watch)
{
    struct sim_watching **at = watching_at(w, watch->path, strlen(watch->path));
    struct sim_watching *watching = sim_alloc(sizeof(*watching));

    watching->watch = watch;
    watching->next = *at;
    *at = watching;
    watch->dirty = false;
    set_dirty(w, watch, true);
    watch->registered = true;
    watch->removed = false;
    watch->serial = 0;
    TAILQ_INSERT_TAIL(&w->store.watches, watch, link);
    sim_world_kick(w);
}

void sim_store_watch_remove(struct sim_world *w, struct pb_watch *watch)
{
    struct sim_watching **at = watching_at(w, watch->path, strlen(watch->path)), *gone;

    while ((*at)->watch != watch)
        at = &(*at)->next;
    gone = *at;
    *at = gone->next;
    sim_free(gone);
    if (w->store.cursor == watch)
        w->store.cursor = TAILQ_NEXT(watch, link);
    set_dirty(w, watch, false);
    TAILQ_REMOVE(&w->store.watches, watch, link);
    watch->registered = false;
}

static void forget_watches(struct sim_world *w)
{
    for (unsigned i = 0; i < SIM_STORE_BUCKETS; i++) {
        struct sim_watching *x = w->store.watching[i], *next;

        for (; x; x = next) {
            next = x->next;
            sim_free(x);
        }
        w->store.watching[i] = NULL;
    }
    TAILQ_INIT(&w->store.watches);
    w->store.dirty = 0;
    w->store.cursor = NULL;
}

static struct pb_watch *next_dirty(struct sim_world *w)
{
    struct pb_watch *watch = w->store.dirty > 0 ? w->store.cursor : NULL;

    while (watch && (!watch->dirty || watch->serial == w->store.round))
        watch = TAILQ_NEXT(watch, link);
    w->store.cursor = watch ? TAILQ_NEXT(watch, link) : NULL;
    return watch;
}

/* Once through all of them; a callback may add and remove watches, also its own. */
static bool fire_some(struct sim_world *w)
{
    struct pb_watch *watch;
    bool any = false;

    w->store.cursor = TAILQ_FIRST(&w->store.watches);
    while ((watch = next_dirty(w)) != NULL) {
        any = true;
        set_dirty(w, watch, false);
        watch->serial = w->store.round;
        (void)sim_log_record(w, "watch", json_pack("{s:s}", "path", watch->path), 0);
        SIM_AS_DAEMON;
        watch->fired(watch);
    }
    return any;
}

/* Each at most once a round. */
void sim_store_fire(struct sim_world *w)
{
    if (w->store.tell) {
        w->store.tell = false;
        w->store.told = !w->store.dead;
        if (w->xen.events.store_connected) {
            SIM_AS_DAEMON;

            w->xen.events.store_connected(w->xen.events.ctx, !w->store.dead);
        }
    }
    if (w->store.dead)
        return;
    w->store.round++;
    while (fire_some(w))
        ;
}

bool sim_store_waiting(const struct sim_world *w)
{
    if (w->store.tell || (!TAILQ_EMPTY(&w->store.queue) && !w->store.hold))
        return true;
    return !w->store.dead && w->store.dirty > 0;
}

void sim_store_disconnect(struct sim_world *w)
{
    struct pb_store_req *req;

    while ((req = TAILQ_FIRST(&w->store.queue)) != NULL) {
        TAILQ_REMOVE(&w->store.queue, req, link);
        pb_store_req_free(req);
    }
    if (!TAILQ_EMPTY(&w->store.watches))
        sim_log_violation(w, "watch on %s is still there at close",
                          TAILQ_FIRST(&w->store.watches)->path);
    forget_watches(w);
}

void sim_store_forget(struct sim_world *w)
{
    struct sim_store *store = &w->store;

    sim_store_undo(store);
    json_decref(store->held);
    store->held = NULL;
    forget_watches(w);
    TAILQ_INIT(&store->queue);
    store->running = store->dies = false;
    store->tell = store->dead;
    store->told = true;
}

void sim_store_kill(struct sim_world *w)
{
    w->store.dead = true;
    w->store.tell = true;
    sim_world_kick(w);
}

void sim_store_return(struct sim_world *w, bool keep)
{
    struct pb_watch *watch;

    if (!keep) {
        sim_store_free_root(&w->store);
        sim_store_reset_root(&w->store);
    }
    w->store.dead = false;
    w->store.tell = true;
    TAILQ_FOREACH (watch, &w->store.watches, link) {
        set_dirty(w, watch, true);
    }
    sim_front_store_changed(w, "");
    sim_world_kick(w);
}
