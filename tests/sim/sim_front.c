/* SPDX-License-Identifier: MIT */
#include "sim_front.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "sim_loop.h"
#include "sim_world.h"

/* xenbus states */
enum {
    INITIALISING = 1,
    INITIALISED = 3,
    CONNECTED,
    CLOSING,
    CLOSED,
    RECONFIGURING,
    RECONFIGURED,
};

static void front_path(const struct sim_domain *dom, const char *node, char path[PB_STORE_PATH_MAX])
{
    (void)snprintf(path, PB_STORE_PATH_MAX, "/local/domain/%u/device/pci/0%s%s", dom->domid,
                   node[0] ? "/" : "", node);
}

static int put(struct sim_world *w, struct sim_domain *dom, const char *node, const char *value)
{
    char path[PB_STORE_PATH_MAX];

    front_path(dom, node, path);
    return sim_store_write(w, (uint16_t)dom->domid, path, value, strlen(value));
}

/* The number in a node of the frontend's or of its backend's directory, -1 when there is none. */
static int number(struct sim_world *w, const struct sim_domain *dom, bool backend, const char *node)
{
    char path[PB_STORE_PATH_MAX + 64];
    const char *value;

    front_path(dom, backend ? "backend" : node, path);
    value = sim_store_read(w, (uint16_t)dom->domid, path);
    if (value && backend) {
        (void)snprintf(path, sizeof(path), "%.*s/%s", PB_STORE_PATH_MAX, value, node);
        value = sim_store_read(w, (uint16_t)dom->domid, path);
    }
    return value && *value ? (int)strtol(value, NULL, 10) : -1;
}

static bool has_node(struct sim_world *w, const struct sim_domain *dom)
{
    char path[PB_STORE_PATH_MAX];

    front_path(dom, "", path);
    return sim_store_find(&w->store, path) != NULL;
}

void sim_front_alloc(struct sim_domain *dom)
{
    struct sim_front *front = &dom->front;

    if (!front->page) {
        front->page = sim_guest_page_alloc(dom);
        front->ref = front->page->ref;
    }
    if (!front->port)
        front->port = sim_guest_port_alloc(dom);
}

int sim_front_state(struct sim_world *w, struct sim_domain *dom, int state)
{
    char text[16];

    dom->front.state = state;
    (void)snprintf(text, sizeof(text), "%d", state);
    return put(w, dom, "state", text);
}

int sim_front_publish(struct sim_world *w, struct sim_domain *dom, const struct sim_publish *what)
{
    int rc = 0;

    if (what->ref)
        rc = put(w, dom, "pci-op-ref", what->ref);
    if (rc == 0 && what->port)
        rc = put(w, dom, "event-channel", what->port);
    if (rc == 0 && what->magic)
        rc = put(w, dom, "magic", what->magic);
    if (rc == 0 && what->state >= 0)
        rc = sim_front_state(w, dom, what->state);
    dom->front.probed = true;
    return rc;
}

static void op_end(struct sim_domain *dom, bool done)
{
    sim_op_fn fn = dom->front.op_done;

    dom->front.op_done = NULL;
    if (fn)
        fn(dom->front.op_ctx, dom, done);
}

void sim_front_unpublish(struct sim_world *w, struct sim_domain *dom)
{
    struct sim_front *front = &dom->front;

    op_end(dom, false);
    if (front->port)
        sim_guest_port_close(w, dom, front->port);
    front->port = 0;
    front->page = NULL;
    sim_guest_page_free_all(dom); /* a page that is still mapped stays */
    front->probed = false;
    front->backend = 0;
    front->state = 0;
}

static void forget_script(struct sim_domain *dom);

void sim_front_gone(struct sim_world *w, struct sim_domain *dom)
{
    (void)w;
    forget_script(dom);
    op_end(dom, false);
    sim_loop_free(dom);
    dom->front.follow = false;
    json_decref(dom->front.roots);
    dom->front.roots = NULL;
}

/* The followed frontend */

static void read_roots(struct sim_world *w, struct sim_domain *dom)
{
    int count = number(w, dom, true, "root_num");
    char path[PB_STORE_PATH_MAX + 64];
    const char *backend, *root;

    json_decref(dom->front.roots);
    dom->front.roots = json_array();
    front_path(dom, "backend", path);
    backend = sim_store_read(w, (uint16_t)dom->domid, path);
    for (int i = 0; backend && i < count; i++) {
        (void)snprintf(path, sizeof(path), "%.*s/root-%d", PB_STORE_PATH_MAX, backend, i);
        root = sim_store_read(w, (uint16_t)dom->domid, path);
        if (root)
            (void)json_array_append_new(dom->front.roots, json_string(root));
    }
}

static void probe(struct sim_world *w, struct sim_domain *dom)
{
    char ref[16], port[16];
    struct sim_publish what = { .ref = ref, .port = port, .magic = "7", .state = INITIALISED };

    sim_front_alloc(dom);
    (void)snprintf(ref, sizeof(ref), "%u", dom->front.ref);
    (void)snprintf(port, sizeof(port), "%u", dom->front.port);
    (void)sim_front_publish(w, dom, &what);
    dom->front.backend = 0;
}

static void connect(struct sim_world *w, struct sim_domain *dom, int state)
{
    read_roots(w, dom);
    dom->front.connects++;
    (void)sim_front_state(w, dom, state);
}

/* What Linux' pcifront does when the state of its backend changes to BE. */
static void backend_changed(struct sim_world *w, struct sim_domain *dom, int be)
{
    int fe = dom->front.state;

    switch (be) {
    case CONNECTED:
        if (fe == INITIALISED)
            connect(w, dom, CONNECTED);
        break;
    case CLOSING:
    case CLOSED:
        if (fe < CLOSED)
            (void)sim_front_state(w, dom, CLOSED);
        break;
    case RECONFIGURING:
        if (fe == INITIALISED)
            connect(w, dom, RECONFIGURING);
        else if (fe == CONNECTED)
            (void)sim_front_state(w, dom, RECONFIGURING);
        break;
    case RECONFIGURED:
        if (fe == RECONFIGURING)
            connect(w, dom, CONNECTED);
        break;
    default:
        break;
    }
}

/* A reaction that was put off. */
struct sim_late {
    TAILQ_ENTRY(sim_late) link;
    struct sim_timer timer;
    struct sim_world *w;
    struct sim_domain *dom;
    const json_t *write; /* of the script */
    int be;
};

static void late_free(struct sim_late *late)
{
    sim_timer_stop(&late->timer);
    TAILQ_REMOVE(&late->dom->front.late, late, link);
    sim_free(late);
}

static void react(struct sim_world *w, struct sim_domain *dom, const json_t *write, int be)
{
    if (!write) {
        backend_changed(w, dom, be);
    } else if (json_is_string(write)) {
        dom->front.state = (int)strtol(json_string_value(write), NULL, 10);
        (void)put(w, dom, "state", json_string_value(write));
    }
}

static void late_react(struct sim_timer *timer)
{
    struct sim_late *late = PB_CONTAINER_OF(timer, struct sim_late, timer);
    const json_t *write = late->write;
    struct sim_domain *dom = late->dom;
    struct sim_world *w = late->w;
    int be = late->be;

    late_free(late);
    react(w, dom, write, be);
}

/* The rule for BE, which is used up by it. */
static const json_t *rule_for(const struct sim_domain *dom, int be)
{
    for (size_t i = 0; i < json_array_size(dom->front.script); i++) {
        json_t *rule = json_array_get(dom->front.script, i);
        json_int_t count = json_integer_value(json_object_get(rule, "count"));

        if (json_integer_value(json_object_get(rule, "backend")) != be || count < 0)
            continue;
        if (count > 0) /* -1: used up */
            (void)json_object_set_new(rule, "count", json_integer(count > 1 ? count - 1 : -1));
        return rule;
    }
    return NULL;
}

static void react_by_script(struct sim_world *w, struct sim_domain *dom, int be)
{
    const json_t *rule = rule_for(dom, be), *write = json_object_get(rule, "write");
    json_int_t ms = json_integer_value(json_object_get(rule, "after_ms"));
    struct sim_late *late;

    if (ms <= 0) {
        react(w, dom, write, be);
        return;
    }
    late = sim_alloc(sizeof(*late));
    *late = (struct sim_late){ .w = w, .dom = dom, .write = write, .be = be };
    TAILQ_INSERT_TAIL(&dom->front.late, late, link);
    sim_timer_init(&late->timer, w, late_react);
    sim_timer_start(&late->timer, (double)ms / 1000.0, 0.0);
}

static void forget_script(struct sim_domain *dom)
{
    struct sim_late *late = TAILQ_FIRST(&dom->front.late), *next;

    for (; late; late = next) {
        next = TAILQ_NEXT(late, link);
        late_free(late);
    }
    json_decref(dom->front.script);
    dom->front.script = NULL;
}

void sim_front_script(struct sim_domain *dom, json_t *script)
{
    forget_script(dom);
    dom->front.script = script;
}

void sim_front_init(struct sim_domain *dom)
{
    TAILQ_INIT(&dom->front.late);
}

static void follow(struct sim_world *w, struct sim_domain *dom)
{
    int fe = number(w, dom, false, "state"), be = number(w, dom, true, "state");

    if (!has_node(w, dom)) { /* the toolstack removed it */
        if (dom->front.probed)
            sim_front_unpublish(w, dom);
        return;
    }
    if (fe == INITIALISING && dom->front.state != INITIALISING) { /* a new device */
        sim_front_unpublish(w, dom);
        probe(w, dom);
    }
    if (be == dom->front.backend)
        return;
    dom->front.backend = be;
    react_by_script(w, dom, be);
}

void sim_front_follow(struct sim_world *w, struct sim_domain *dom, bool on)
{
    dom->front.follow = on;
    dom->front.stale = true;
    dom->front.backend = 0;
    sim_world_kick(w);
}

void sim_front_event(struct sim_world *w, struct sim_domain *dom)
{
    dom->front.event = true;
    sim_world_kick(w);
}

/* Whose frontend may look at PATH? NULL: anybody's. */
static struct sim_domain *concerned(const struct sim_world *w, const char *path)
{
    unsigned domid = 0;
    int used = 0;

    if (sscanf(path, "/local/domain/0/backend/%*[^/]/%u%n", &domid, &used) < 1 &&
        (sscanf(path, "/local/domain/%u%n", &domid, &used) < 1 || domid == 0))
        return NULL;
    return path[used] == '/' ? sim_domain_find(w, domid) : NULL;
}

void sim_front_store_changed(struct sim_world *w, const char *path)
{
    struct sim_domain *dom = concerned(w, path);

    if (dom) {
        dom->front.stale = dom->front.follow;
        sim_world_kick(w);
        return;
    }
    TAILQ_FOREACH (dom, &w->domains, link) {
        dom->front.stale = dom->front.follow;
    }
    sim_world_kick(w);
}

uint32_t sim_front_flags(const struct sim_domain *dom)
{
    const _Atomic uint32_t *flags = dom->front.page->guest;

    return atomic_load(flags);
}

void sim_front_set_flags(const struct sim_domain *dom, uint32_t set, uint32_t clear)
{
    _Atomic uint32_t *flags = dom->front.page->guest;

    if (clear)
        (void)atomic_fetch_and(flags, ~clear);
    if (set)
        (void)atomic_fetch_or(flags, set);
}

static void turn(struct sim_world *w, struct sim_domain *dom)
{
    struct sim_front *front = &dom->front;

    if (front->follow && front->stale && !w->store.dead) {
        front->stale = false;
        follow(w, dom);
    }
    if (front->event) {
        front->event = false;
        if (front->op_done && !(sim_front_flags(dom) & SIM_FLAG_ACTIVE))
            op_end(dom, true);
    }
}

void sim_front_turn(struct sim_world *w)
{
    struct sim_domain *dom;

    TAILQ_FOREACH (dom, &w->domains, link) {
        turn(w, dom);
    }
}

bool sim_front_waiting(const struct sim_world *w)
{
    const struct sim_domain *dom;

    TAILQ_FOREACH (dom, &w->domains, link) {
        if (dom->front.event || (dom->front.follow && dom->front.stale && !w->store.dead) ||
            !TAILQ_EMPTY(&dom->front.late))
            return true;
    }
    return false;
}
