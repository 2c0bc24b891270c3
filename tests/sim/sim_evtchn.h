/* SPDX-License-Identifier: MIT */
/* Event channels between guests and the daemon, and pages that guests grant. */
#ifndef SIM_EVTCHN_H
#define SIM_EVTCHN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sim_memory.h"

#define SIM_PORTS_MAX  16384
#define SIM_PORT_FIRST 16 /* the lower ones are dom0's own */
#define SIM_PAGE_SIZE  4096u

struct sim_world;
struct sim_domain;

/* A guest's end. */
struct sim_guest_port {
    TAILQ_ENTRY(sim_guest_port) link;
    uint32_t port;
    uint32_t local; /* the daemon's end, 0: unbound, reserved for it */
};
TAILQ_HEAD(sim_guest_ports, sim_guest_port);

/* The daemon's end: an event while masked stays pending. */
struct sim_local_ports {
    struct sim_local_port {
        bool used, pending, masked;
        uint32_t domid, remote;
    } port[SIM_PORTS_MAX];
    uint32_t top;       /* above all that were ever bound */
    uint32_t free_from; /* the lower ones are used */
    uint32_t stray;     /* delivered once though it is nobody's, 0: none */
};

/*
 * A page lives in a file; the guest and every mapping of the daemon's see it at another address,
 * so that a use after the unmap faults, as it does in production.
 */
struct sim_page {
    TAILQ_ENTRY(sim_page) link;
    uint32_t ref;
    struct sim_frame frame;
    void *guest;
    unsigned maps;
    uint32_t domid;
};
TAILQ_HEAD(sim_pages, sim_page);

struct sim_map {
    TAILQ_ENTRY(sim_map) link;
    struct sim_page *page;
    void *address;
};
TAILQ_HEAD(sim_maps, sim_map);

/* The daemon's calls: 0 or negative errno. */
int sim_port_bind(struct sim_world *w, uint32_t domid, uint32_t remote, uint32_t *ret_port);
int sim_port_unbind(struct sim_world *w, uint32_t port);
int sim_port_notify(struct sim_world *w, uint32_t port);
int sim_port_unmask(struct sim_world *w, uint32_t port);
void sim_port_unbind_all(struct sim_world *w);
int sim_page_map(struct sim_world *w, uint32_t domid, uint32_t ref, void **ret_page);
int sim_page_unmap(struct sim_world *w, void *page);
void sim_page_unmap_all(struct sim_world *w);

/* The guest's. */
uint32_t sim_guest_port_alloc(struct sim_domain *dom);
void sim_guest_port_notify(struct sim_world *w, struct sim_domain *dom, uint32_t port);
void sim_guest_port_close(struct sim_world *w, struct sim_domain *dom, uint32_t port);
void sim_guest_port_close_all(struct sim_world *w, struct sim_domain *dom);
struct sim_page *sim_guest_page_alloc(struct sim_domain *dom);
/* Frees it unless it is mapped. */
void sim_guest_page_free_all(struct sim_domain *dom);
bool sim_guest_pages_mapped(const struct sim_domain *dom);

/* Tells the daemon of every port that is pending and not masked. */
void sim_port_deliver(struct sim_world *w);
bool sim_port_waiting(const struct sim_world *w);

#endif
