/* SPDX-License-Identifier: MIT */
#include "backend/guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/detach.h"
#include "backend/nodes.h"
#include "backend/profile.h"
#include "backend/record.h"
#include "backend/serve.h"
#include "backend/strip.h"
#include "backend/xl.h"
#include "base/assert.h"
#include "base/log.h"

/* Long enough for one that waits to see Closed (mini-os does), short for one that is loaded again.
 */
#define REST_S 0.5

/* What xenstore refused is asked for again after 0.1, 0.2, 0.4 ... seconds, so many times. */
#define AGAIN_S   0.1
#define AGAIN_MAX 6

static void rested(struct ev_loop *loop, ev_timer *timer, int events);
static void try_again(struct ev_loop *loop, ev_timer *timer, int events);

static void fe_fired(struct pb_watch *watch)
{
    struct pb_guest *g = PB_CONTAINER_OF(watch, struct pb_guest, fe_watch);

    if (g->failures > AGAIN_MAX)
        g->failures = 0; /* given up, until now */
    pb_guest_refresh(g);
}

struct pb_guest *pb_guest_find(const struct pb_backend *b, uint32_t domid)
{
    struct pb_index_link *link = pb_index_first(&b->guest_domid, domid);

    return link ? PB_CONTAINER_OF(link, struct pb_guest, by_domid) : NULL;
}

const char *pb_guest_kind(const struct pb_guest *g)
{
    return g->xl ? PB_KIND_XL : PB_KIND;
}

struct pb_guest *pb_guest_get(struct pb_backend *b, const struct pb_domain *domain,
                              const char *name, bool xl)
{
    struct pb_guest *g = pb_guest_find(b, domain->domid), *before;

    if (g)
        return g;
    g = calloc(1, sizeof(*g));
    if (!g)
        return NULL;
    g->b = b;
    g->domid = domain->domid;
    memcpy(g->handle, domain->handle, sizeof(g->handle));
    g->xl = xl;
    g->topology = pb_policy_topology(b->policy, name);
    (void)snprintf(g->name, sizeof(g->name), "%s", name);
    (void)snprintf(g->be_path, sizeof(g->be_path), "/local/domain/0/backend/%s/%u/0",
                   pb_guest_kind(g), g->domid);
    (void)snprintf(g->fe_path, sizeof(g->fe_path), "/local/domain/%u/device/pci/0", g->domid);
    (void)snprintf(g->fe_watch.path, sizeof(g->fe_watch.path), "%s/state", g->fe_path);
    g->fe_watch.fired = fe_fired;
    TAILQ_INIT(&g->devices);
    TAILQ_INIT(&g->queue);
    ev_timer_init(&g->rest, rested, REST_S, 0.);
    g->rest.data = g;
    ev_timer_init(&g->again, try_again, AGAIN_S, 0.);
    g->again.data = g;
    pb_serve_init(g);
    b->guest_count++;
    pb_index_add(&b->guest_domid, &g->by_domid, g->domid);
    /* From the end: a new domain mostly has the highest number. */
    TAILQ_FOREACH_REVERSE(before, &b->guests, pb_guest_list, link)
    {
        if (before->domid < g->domid) {
            TAILQ_INSERT_AFTER(&b->guests, before, g, link);
            return g;
        }
    }
    TAILQ_INSERT_HEAD(&b->guests, g, link);
    return g;
}

bool pb_guest_may_log(struct pb_guest *g)
{
    unsigned suppressed;

    if (!g)
        return true;
    if (!pb_ratelimit_allow(&g->chatter, pb_now_ms(), g->b->policy->limits.guest_log_lines, 60000,
                            &suppressed))
        return false;
    if (suppressed)
        pb_notice("domain %u: %u lines suppressed", g->domid, suppressed);
    return true;
}

bool pb_guest_lives(const struct pb_backend *b, uint32_t domid, const uint8_t handle[16])
{
    struct pb_domain domain;
    int rc = b->xen->ops->domain_get(b->xen, domid, &domain);

    if (rc)
        return rc != -ENOENT;
    if (memcmp(domain.handle, handle, sizeof(domain.handle)) != 0 || domain.dying)
        return false;
    return !domain.shutdown || domain.shutdown_reason == PB_SHUTDOWN_SUSPEND;
}

enum pb_run pb_guest_enter(struct pb_guest *g, struct pb_task *task)
{
    task->guest = g;
    if (!g->turn) {
        g->turn = task;
        return PB_RUN_NEXT;
    }
    task->queued = true;
    TAILQ_INSERT_TAIL(&g->queue, task, waiting);
    return PB_RUN_WAIT;
}

void pb_guest_leave(struct pb_guest *g, struct pb_task *task)
{
    if (task->queued) {
        TAILQ_REMOVE(&g->queue, task, waiting);
        task->queued = false;
    }
    task->guest = NULL;
    if (g->turn != task)
        return;
    g->turn = TAILQ_FIRST(&g->queue);
    if (g->turn) {
        TAILQ_REMOVE(&g->queue, g->turn, waiting);
        g->turn->queued = false;
        pb_task_next(g->turn);
    }
}

void pb_guest_link(struct pb_guest *g, struct pb_device *dev)
{
    PB_ASSERT(!dev->guest);
    dev->guest = g;
    dev->node_state = PB_XENBUS_INITIALISING;
    dev->ready = false;
    dev->let_go = false;
    dev->serving = false;
    TAILQ_INSERT_TAIL(&g->devices, dev, sibling);
    (void)pb_record_guest(g); /* its roots */
    pb_record_device(dev);
}

void pb_guest_set_state(struct pb_guest *g, unsigned state)
{
    g->be_state = state;
    (void)pb_record_guest(g);
}

void pb_guest_unlink(struct pb_device *dev)
{
    struct pb_guest *g = dev->guest;

    if (dev->has_vaddr)
        pb_vslots_remove(&g->slots, dev->vaddr);
    dev->has_vaddr = false;
    dev->permissive = dev->permissive_asked = false;
    pb_profile_unplug(dev);
    TAILQ_REMOVE(&g->devices, dev, sibling);
    dev->guest = NULL;
    dev->begun = 0;
    pb_record_device(dev);
}

void pb_guest_watch(struct pb_guest *g)
{
    if (g->watching)
        return;
    g->watching = true;
    g->b->xen->ops->watch_add(g->b->xen, &g->fe_watch);
}

void pb_guest_hold(struct pb_guest *g)
{
    g->holds++;
}

void pb_guest_drop(struct pb_guest *g)
{
    PB_ASSERT(g->holds > 0);
    g->holds--;
    pb_guest_check_end(g);
}

void pb_guest_submit(struct pb_guest *g, struct pb_store_req *req)
{
    pb_guest_hold(g);
    g->b->xen->ops->store_submit(g->b->xen, req);
}

static void act(struct pb_guest *g, enum pb_xenbus_action action)
{
    if (g->xl && !pb_xl_may(g, action))
        return;
    g->acting = true;
    switch (action) {
    case PB_ACT_SETUP:
    case PB_ACT_RESCAN:
        pb_frontend_publish(g, PB_XENBUS_INITIALISED);
        return;
    case PB_ACT_CONNECT:
        pb_frontend_connect(g);
        return;
    case PB_ACT_RECONFIGURE:
        pb_frontend_publish(g, PB_XENBUS_RECONFIGURED);
        return;
    case PB_ACT_SETTLE:
        pb_frontend_settle(g);
        return;
    case PB_ACT_CLOSE:
        pb_frontend_close(g, PB_XENBUS_CLOSED);
        return;
    case PB_ACT_CLOSING:
        pb_frontend_close(g, PB_XENBUS_CLOSING);
        return;
    case PB_ACT_REOPEN:
        pb_frontend_reopen(g);
        return;
    case PB_ACT_RELEASE:
        g->acting = false;
        pb_guest_end(g, "its frontend's node is gone");
        return;
    case PB_ACT_IGNORE:
        g->counters.ignored_events++;
        break;
    case PB_ACT_NONE:
    case PB_ACT_COUNT:
        break;
    }
    g->acting = false;
}

/*
 * A frontend that has closed finds InitWait again. It need not say first that it comes back:
 * Linux's pcifront, loaded again, publishes at once and closes for good when it still sees Closed.
 */
static void rested(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct pb_guest *g = timer->data;

    (void)events;
    if (g->ending || g->forgetting || g->be_state != PB_XENBUS_CLOSED ||
        g->fe_state != PB_XENBUS_CLOSED)
        return;
    if (!g->acting) {
        g->acting = true;
        pb_frontend_await(g);
        return;
    }
    ev_timer_set(timer, REST_S, 0.);
    ev_timer_start(loop, timer);
}

static void rest(struct pb_guest *g)
{
    if (g->be_state != PB_XENBUS_CLOSED) {
        ev_timer_stop(g->b->loop, &g->rest); /* the next close has a time of its own */
        return;
    }
    if (ev_is_active(&g->rest))
        return;
    ev_timer_set(&g->rest, REST_S, 0.);
    ev_timer_start(g->b->loop, &g->rest);
}

/* Those whose end could not be begun. */
static void end_devices(struct pb_guest *g)
{
    struct pb_device *dev, *next;

    pb_guest_hold(g);
    for (dev = TAILQ_FIRST(&g->devices); dev; dev = next) {
        next = TAILQ_NEXT(dev, sibling);
        if (!dev->task)
            pb_detach_ended(dev);
    }
    pb_guest_drop(g);
}

static void try_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct pb_guest *g = timer->data;

    (void)loop;
    (void)events;
    if (g->ending)
        end_devices(g);
    else if (g->nodes_exist && !g->forgetting)
        pb_guest_nodes_changed(g);
}

void pb_guest_end_again(struct pb_guest *g)
{
    ev_timer_set(&g->again, AGAIN_S, 0.);
    ev_timer_start(g->b->loop, &g->again);
}

/*
 * A request of an action failed, but xenstored lives: nobody would fire the watch once more, and
 * the frontend may wait for our answer before it says anything else. What it says and what our
 * nodes say is looked at anew, so that what is done then is right then.
 */
static void repeat(struct pb_guest *g, int rc)
{
    if (rc == 0)
        g->failures = 0;
    if (rc == 0 || rc == -ECANCELED || g->xl || ev_is_active(&g->again))
        return;
    if (g->failures >= AGAIN_MAX) {
        if (g->failures == AGAIN_MAX && pb_guest_may_log(g))
            pb_err("domain %u: xenstore fails again and again; what its frontend waits for is not "
                   "written before that says something else",
                   g->domid);
        g->failures = AGAIN_MAX + 1;
        return;
    }
    ev_timer_set(&g->again, AGAIN_S * (double)(1U << g->failures++), 0.);
    ev_timer_start(g->b->loop, &g->again);
}

/* G is held by the caller. */
static void acted(struct pb_guest *g, int rc)
{
    g->acting = false;
    if (rc && g->xl)
        pb_xl_failed(g);
    /* The toolstack may change its own nodes at any time. */
    if (rc == -ECANCELED && !g->xl && pb_guest_may_log(g))
        pb_warn("domain %u: its backend nodes are not ours any more; not touched", g->domid);
    else if (rc && rc != -ECANCELED && pb_guest_may_log(g))
        pb_warn("domain %u: xenstore: %s", g->domid, strerror(-rc));
    rest(g);
    repeat(g, rc);
    pb_guest_wake(g);
    if (g->refresh_again && !g->ending) {
        g->refresh_again = false;
        pb_guest_refresh(g);
    }
}

void pb_guest_acted(struct pb_guest *g, int rc)
{
    pb_guest_hold(g);
    acted(g, rc);
    pb_guest_drop(g);
}

enum pb_run pb_guest_write(struct pb_guest *g, struct pb_task *task)
{
    if (g->acting) {
        pb_task_arm(task, 5, pb_task_repeat);
        return PB_RUN_WAIT;
    }
    g->acting = true;
    return PB_RUN_NEXT;
}

bool pb_guest_reconfigures(const struct pb_guest *g)
{
    return g->be_state == PB_XENBUS_RECONFIGURING || g->be_state == PB_XENBUS_RECONFIGURED;
}

void pb_guest_written(struct pb_guest *g)
{
    pb_guest_acted(g, 0);
}

unsigned pb_guest_state_read(const struct pb_store_req *req, unsigned step)
{
    uint64_t state;

    /* Only a node that does not exist is gone; one that cannot be read as a state means nothing. */
    if (req->step[step].rc == -ENOENT)
        return PB_XENBUS_UNKNOWN;
    if (pb_store_number(req, step, PB_XENBUS_COUNT - 1, &state) != 0)
        return PB_XENBUS_COUNT;
    return (unsigned)state;
}

/* Xenstored came back without its tree: guests keep what they have (only dom0 removes our nodes).
 */
static bool store_lost(struct pb_guest *g, const struct pb_store_req *req)
{
    struct pb_domain domain;

    if (pb_store_value(req, PB_GUEST_FRONTEND) || pb_store_value(req, PB_GUEST_FE_STATE))
        return false;
    if (g->xl)
        return true; /* the toolstack removes them, too: xl.c looks */
    if (g->b->xen->ops->domain_get(g->b->xen, g->domid, &domain) != 0 || domain.dying)
        return false;
    if (!g->store_lost)
        pb_warn("domain %u: xenstore has lost our nodes; the guest keeps its devices until it ends",
                g->domid);
    g->store_lost = true;
    return true;
}

static bool other_ring(const struct pb_guest *g, const struct pb_store_req *req)
{
    uint64_t ref, port;

    return pb_store_number(req, PB_GUEST_FE_REF, UINT32_MAX, &ref) == 0 &&
           pb_store_number(req, PB_GUEST_FE_PORT, UINT32_MAX, &port) == 0 &&
           (ref != g->fe_ref || port != g->fe_port);
}

/*
 * A frontend may begin anew without a word: a crash kernel, a second mini-os. Then Initialised
 * follows on Connected, or comes with another page or port than those that we have.
 */
static bool began_anew(const struct pb_guest *g, unsigned was, const struct pb_store_req *req)
{
    return g->page && g->fe_state == PB_XENBUS_INITIALISED &&
           (was == PB_XENBUS_CONNECTED || was == PB_XENBUS_RECONFIGURING || other_ring(g, req));
}

/* xl has made the frontend's directory anew, for a backend of its own: it does not mean us. */
static bool is_anothers(const struct pb_guest *g, const struct pb_store_req *req)
{
    const char *backend = pb_store_value(req, PB_GUEST_BACKEND);

    return backend && strcmp(backend, g->be_path) != 0;
}

static void look_at_frontend(struct pb_guest *g, const struct pb_store_req *req)
{
    unsigned was = g->fe_state, state = pb_guest_state_read(req, PB_GUEST_FE_STATE);

    if (state >= PB_XENBUS_COUNT || is_anothers(g, req)) {
        g->counters.ignored_events++;
        return;
    }
    g->fe_state = state;
    if (was != state)
        (void)pb_record_guest(g);
    if (began_anew(g, was, req))
        state = PB_XENBUS_INITIALISING;
    act(g, pb_xenbus_next(g->be_state, PB_EVENT_FRONTEND + state));
}

static void refreshed(struct pb_store_req *req, void *ctx)
{
    struct pb_guest *g = ctx;

    g->acting = false;
    if (req->rc == 0 && g->nodes_exist && !g->ending && !g->forgetting && !store_lost(g, req))
        look_at_frontend(g, req);
    if (!g->acting)
        acted(g, req->rc);
    pb_guest_drop(g);
}

void pb_guest_take_up(struct pb_guest *g, const struct pb_store_req *req,
                      enum pb_xenbus_action instead)
{
    pb_guest_hold(g);
    if (store_lost(g, req)) {
        /* it keeps what it has */
    } else if (instead == PB_ACT_COUNT) {
        look_at_frontend(g, req);
    } else {
        unsigned state = pb_guest_state_read(req, PB_GUEST_FE_STATE);

        if (state < PB_XENBUS_COUNT)
            g->fe_state = state;
        act(g, instead);
    }
    if (!g->acting)
        acted(g, 0);
    pb_guest_drop(g);
}

void pb_guest_read_frontend(struct pb_store_req *req, const struct pb_guest *g)
{
    pb_store_read(req, "%s/state", g->fe_path);
    pb_store_read(req, "%s/frontend", g->be_path);
    pb_store_read(req, "%s/pci-op-ref", g->fe_path);
    pb_store_read(req, "%s/event-channel", g->fe_path);
    pb_store_read(req, "%s/backend", g->fe_path);
}

void pb_guest_refresh(struct pb_guest *g)
{
    struct pb_store_req *req;

    if (g->acting) {
        g->refresh_again = true;
        return;
    }
    req = pb_store_req_new(false, refreshed, g);
    if (!req) {
        pb_err("domain %u: out of memory", g->domid);
        return;
    }
    g->acting = true;
    pb_guest_read_frontend(req, g);
    pb_guest_submit(g, req);
}

void pb_guest_nodes_changed(struct pb_guest *g)
{
    if (!g->acting)
        act(g, pb_xenbus_next(g->be_state, PB_EVENT_NODES));
    if (!g->acting)
        pb_guest_refresh(g);
    else
        g->refresh_again = true;
}

void pb_guest_wake(struct pb_guest *g)
{
    if (g->turn && g->turn->poke)
        g->turn->poke(g->turn);
}

void pb_guest_end(struct pb_guest *g, const char *why)
{
    struct pb_device *dev;

    if (g->ending)
        return;
    pb_guest_hold(g);
    g->ending = true;
    (void)pb_record_guest(g);
    pb_notice("domain %u (%s): %s; taking its devices back", g->domid, g->name, why);
    TAILQ_FOREACH (dev, &g->devices, sibling) {
        dev->serving = false;
        /* Before anything else, and whatever else is under way: no DMA any more (H2, H3). */
        pb_strip_stop_dma(dev);
        if (!dev->task)
            pb_detach_ended(dev);
        pb_serve_unpark(g, dev);
    }
    pb_guest_wake(g);
    pb_guest_drop(g);
}

static void guest_free(struct pb_guest *g)
{
    struct pb_backend *b = g->b;

    pb_frontend_disconnect(g);
    ev_timer_stop(b->loop, &g->rest);
    ev_timer_stop(b->loop, &g->again);
    if (g->watching)
        b->xen->ops->watch_remove(b->xen, &g->fe_watch);
    pb_serve_fini(g);
    TAILQ_REMOVE(&b->guests, g, link);
    pb_index_remove(&b->guest_domid, &g->by_domid);
    b->guest_count--;
    pb_serve_keep_counters(g);
    if (g->xl)
        pb_xl_guest_freed(g);
    pb_record_guest_freed(g);
    free(g);
}

static void nodes_removed(struct pb_store_req *req, void *ctx)
{
    struct pb_guest *g = ctx;

    if (req->rc)
        pb_warn("domain %u: removing its nodes: %s", g->domid, strerror(-req->rc));
    g->nodes_exist = false;
    g->forgetting = false;
    (void)pb_record_guest(g);
    pb_guest_drop(g);
}

/*
 * The last device is gone: page and port go first (H2: only now may the domain's number be reused),
 * then the nodes.
 */
void pb_guest_check_end(struct pb_guest *g)
{
    struct pb_store_req *req;

    if (g->b->stopping || !TAILQ_EMPTY(&g->devices) || g->turn || !TAILQ_EMPTY(&g->queue) ||
        g->holds || g->acting || g->run.busy)
        return;
    if (g->xl && !pb_xl_may_end(g))
        return;
    pb_frontend_disconnect(g);
    if (!g->nodes_exist) {
        guest_free(g);
        return;
    }
    req = pb_store_req_new(false, nodes_removed, g);
    if (!req) {
        pb_err("domain %u: out of memory: its nodes in %s stay", g->domid, g->be_path);
        guest_free(g);
        return;
    }
    g->forgetting = true;
    pb_nodes_remove(req, g);
    pb_guest_submit(g, req);
}

void pb_guest_abandon(struct pb_guest *g)
{
    struct pb_device *dev;

    while ((dev = TAILQ_FIRST(&g->devices)))
        pb_guest_unlink(dev);
    guest_free(g);
}
