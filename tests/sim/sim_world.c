/* SPDX-License-Identifier: MIT */
#include "sim_world.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "sim_kernel.h"

static void world_turn(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct sim_world *w = PB_CONTAINER_OF(timer, struct sim_world, turn);
    SIM_AS_WORLD;

    (void)loop;
    (void)revents;
    if (w->xen_open) {
        sim_store_run(w);
        sim_store_fire(w);
    }
    sim_kernel_deliver(w);
    sim_front_turn(w);
    if (w->xen_open)
        sim_port_deliver(w);
    if (w->xen_open && (sim_store_waiting(w) || sim_port_waiting(w)))
        sim_world_kick(w);
}

struct sim_world *sim_world_new(void)
{
    SIM_AS_WORLD;
    struct sim_world *w = sim_alloc(sizeof(*w));

    w->quarantine = true;
    w->remapping = true;
    w->gsi_count = 48;
    w->msi_pirqs = 32;
    w->ports.free_from = SIM_PORT_FIRST;
    sim_log_init(&w->log);
    sim_store_init(&w->store);
    TAILQ_INIT(&w->domains);
    TAILQ_INIT(&w->devices);
    TAILQ_INIT(&w->tasks);
    TAILQ_INIT(&w->uevents);
    TAILQ_INIT(&w->probes);
    TAILQ_INIT(&w->maps);
    TAILQ_INIT(&w->timers);
    TAILQ_INIT(&w->hws);
    ev_timer_init(&w->turn, world_turn, 0.0, 0.0);
    return w;
}

void sim_world_free(struct sim_world *w)
{
    SIM_AS_WORLD;
    struct sim_device *dev;

    sim_state_save(w);
    json_decref(w->saved_slots);
    sim_free(w->config_dir);
    w->loop = NULL; /* nothing is delivered any more */
    sim_page_unmap_all(w);
    sim_domain_free_all(w);
    while ((dev = TAILQ_FIRST(&w->devices)) != NULL) {
        TAILQ_REMOVE(&w->devices, dev, link);
        sim_free(dev);
    }
    sim_store_finish(&w->store);
    sim_log_finish(&w->log);
    sim_free(w);
}

void sim_world_start(struct sim_world *w, struct ev_loop *loop)
{
    if (w->loop)
        return;
    w->loop = loop;
    ev_timer_init(&w->turn, world_turn, 0.0, 0.0);
    sim_timers_resume(w);
    sim_world_kick(w);
    if (w->started)
        w->started(w, w->started_ctx);
}

void sim_world_closed(struct sim_world *w)
{
    struct sim_domain *dom;

    if (w->xen_open || w->host_open || !w->loop)
        return;
    if (!sim_memory_shared()) {
        TAILQ_FOREACH (dom, &w->domains, link) {
            sim_front_gone(w, dom);
        }
    }
    sim_timers_park(w, false);
    ev_timer_stop(w->loop, &w->turn);
    if (w->stopped)
        w->stopped(w, w->started_ctx);
    w->loop = NULL;
}

void sim_world_kick(struct sim_world *w)
{
    if (w->loop && !ev_is_active(&w->turn))
        ev_timer_start(w->loop, &w->turn);
}

bool sim_world_idle(const struct sim_world *w)
{
    return TAILQ_EMPTY(&w->tasks) && !sim_store_waiting(w) && !sim_port_waiting(w) &&
           !sim_kernel_waiting(w) && !sim_front_waiting(w);
}
