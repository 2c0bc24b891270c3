/* SPDX-License-Identifier: MIT */
#include "sim_evtchn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim_world.h"

#define REF_FIRST  8u
#define BATCH_SIZE 32u

static struct sim_guest_port *guest_port(struct sim_domain *dom, uint32_t port)
{
    struct sim_guest_port *p;

    TAILQ_FOREACH (p, &dom->ports, link) {
        if (p->port == port)
            return p;
    }
    return NULL;
}

static struct sim_local_port *local_port(struct sim_world *w, uint32_t port)
{
    if (port >= SIM_PORTS_MAX || !w->ports.port[port].used)
        return NULL;
    return &w->ports.port[port];
}

int sim_port_bind(struct sim_world *w, uint32_t domid, uint32_t remote, uint32_t *ret_port)
{
    struct sim_domain *dom = sim_domain_live(w, domid);
    struct sim_guest_port *guest = dom ? guest_port(dom, remote) : NULL;

    if (!dom)
        return -ESRCH;
    if (!guest || guest->local)
        return -EINVAL;
    /* the lowest free number, as Xen does it: an event of an earlier owner may still be under way
     */
    for (uint32_t port = w->ports.free_from; port < SIM_PORTS_MAX; port++) {
        struct sim_local_port *local = &w->ports.port[port];

        if (local->used)
            continue;
        *local = (struct sim_local_port){
            .used = true, .pending = true, .domid = domid, .remote = remote
        };
        w->ports.free_from = port + 1;
        if (w->ports.top < port + 1)
            w->ports.top = port + 1;
        guest->local = port;
        *ret_port = port;
        sim_world_kick(w);
        return 0;
    }
    return -ENOSPC;
}

int sim_port_unbind(struct sim_world *w, uint32_t port)
{
    struct sim_local_port *local = local_port(w, port);
    struct sim_domain *dom;
    struct sim_guest_port *guest;

    if (!local) {
        sim_log_violation(w, "unbind of port %u, which is not bound", port);
        return -EINVAL;
    }
    dom = sim_domain_find(w, local->domid);
    guest = dom ? guest_port(dom, local->remote) : NULL;
    if (guest && guest->local == port)
        guest->local = 0;
    memset(local, 0, sizeof(*local));
    if (port < w->ports.free_from)
        w->ports.free_from = port;
    return 0;
}

void sim_port_unbind_all(struct sim_world *w)
{
    for (uint32_t port = 0; port < w->ports.top; port++) {
        if (w->ports.port[port].used)
            (void)sim_port_unbind(w, port);
    }
}

int sim_port_notify(struct sim_world *w, uint32_t port)
{
    struct sim_local_port *local = local_port(w, port);
    struct sim_domain *dom;

    if (!local) {
        sim_log_violation(w, "notify on port %u, which is not bound", port);
        return -EINVAL;
    }
    dom = sim_domain_live(w, local->domid);
    if (dom && guest_port(dom, local->remote)) /* else unbound: dropped in silence */
        sim_front_event(w, dom);
    return 0;
}

int sim_port_unmask(struct sim_world *w, uint32_t port)
{
    struct sim_local_port *local = local_port(w, port);

    if (!local) {
        sim_log_violation(w, "unmask of port %u, which is not bound", port);
        return -EINVAL;
    }
    local->masked = false;
    if (local->pending)
        sim_world_kick(w);
    return 0;
}

bool sim_port_waiting(const struct sim_world *w)
{
    for (uint32_t port = 0; port < w->ports.top; port++) {
        const struct sim_local_port *local = &w->ports.port[port];

        if (local->used && local->pending && !local->masked)
            return true;
    }
    return w->ports.stray != 0;
}

void sim_port_deliver(struct sim_world *w)
{
    uint32_t batch[BATCH_SIZE];
    size_t count = 0;

    if (!w->xen.events.ports_pending)
        return;
    if (w->ports.stray) {
        batch[count++] = w->ports.stray;
        w->ports.stray = 0;
    }
    for (uint32_t port = 0; port < w->ports.top && count < BATCH_SIZE; port++) {
        struct sim_local_port *local = &w->ports.port[port];

        if (!local->used || !local->pending || local->masked)
            continue;
        local->pending = false;
        local->masked = true;
        batch[count++] = port;
    }
    if (count > 0) {
        SIM_AS_DAEMON;

        w->xen.events.ports_pending(w->xen.events.ctx, batch, count);
    }
}

uint32_t sim_guest_port_alloc(struct sim_domain *dom)
{
    struct sim_guest_port *p = sim_alloc(sizeof(*p));
    uint32_t port = SIM_PORT_FIRST;

    while (guest_port(dom, port))
        port++;
    p->port = port;
    TAILQ_INSERT_TAIL(&dom->ports, p, link);
    return port;
}

void sim_guest_port_notify(struct sim_world *w, struct sim_domain *dom, uint32_t port)
{
    struct sim_guest_port *guest = guest_port(dom, port);
    struct sim_local_port *local = guest && guest->local ? local_port(w, guest->local) : NULL;

    if (!local)
        return;
    local->pending = true;
    sim_world_kick(w);
}

void sim_guest_port_close(struct sim_world *w, struct sim_domain *dom, uint32_t port)
{
    struct sim_guest_port *guest = guest_port(dom, port);
    struct sim_local_port *local;

    if (!guest)
        return;
    local = guest->local ? local_port(w, guest->local) : NULL;
    if (local)
        local->remote = 0;
    TAILQ_REMOVE(&dom->ports, guest, link);
    sim_free(guest);
}

void sim_guest_port_close_all(struct sim_world *w, struct sim_domain *dom)
{
    while (!TAILQ_EMPTY(&dom->ports))
        sim_guest_port_close(w, dom, TAILQ_FIRST(&dom->ports)->port);
}

/* Pages */

static struct sim_page *find_page(struct sim_domain *dom, uint32_t ref)
{
    struct sim_page *page;

    TAILQ_FOREACH (page, &dom->pages, link) {
        if (page->ref == ref)
            return page;
    }
    return NULL;
}

struct sim_page *sim_guest_page_alloc(struct sim_domain *dom)
{
    struct sim_page *page = sim_alloc(sizeof(*page));

    page->ref = REF_FIRST;
    while (find_page(dom, page->ref))
        page->ref++;
    page->domid = dom->domid;
    page->frame = sim_frame_alloc();
    page->guest = page->frame.address;
    TAILQ_INSERT_TAIL(&dom->pages, page, link);
    return page;
}

void sim_guest_page_free_all(struct sim_domain *dom)
{
    struct sim_page *page = TAILQ_FIRST(&dom->pages), *next;

    for (; page; page = next) {
        next = TAILQ_NEXT(page, link);
        if (page->maps > 0)
            continue;
        TAILQ_REMOVE(&dom->pages, page, link);
        sim_frame_free(&page->frame);
        sim_free(page);
    }
}

bool sim_guest_pages_mapped(const struct sim_domain *dom)
{
    const struct sim_page *page;

    TAILQ_FOREACH (page, &dom->pages, link) {
        if (page->maps > 0)
            return true;
    }
    return false;
}

int sim_page_map(struct sim_world *w, uint32_t domid, uint32_t ref, void **ret_page)
{
    struct sim_domain *dom = sim_domain_live(w, domid);
    struct sim_page *page = dom ? find_page(dom, ref) : NULL;
    struct sim_map *map;

    if (!page)
        return dom ? -EINVAL : -ESRCH;
    map = sim_alloc(sizeof(*map));
    map->page = page;
    map->address = mmap(NULL, SIM_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, page->frame.fd,
                        page->frame.offset);
    if (map->address == MAP_FAILED)
        abort();
    page->maps++;
    TAILQ_INSERT_TAIL(&w->maps, map, link);
    *ret_page = map->address;
    return 0;
}

static void unmap(struct sim_world *w, struct sim_map *map)
{
    struct sim_domain *dom = sim_domain_find(w, map->page->domid);

    TAILQ_REMOVE(&w->maps, map, link);
    if (w->loop || !sim_memory_shared()) /* else it went with its process */
        (void)munmap(map->address, SIM_PAGE_SIZE);
    map->page->maps--;
    sim_free(map);
    if (dom)
        sim_domain_reap(w, dom);
}

int sim_page_unmap(struct sim_world *w, void *address)
{
    struct sim_map *map;

    TAILQ_FOREACH (map, &w->maps, link) {
        if (map->address == address) {
            unmap(w, map);
            return 0;
        }
    }
    sim_log_violation(w, "unmap of a page that is not mapped");
    return -EINVAL;
}

void sim_page_unmap_all(struct sim_world *w)
{
    while (!TAILQ_EMPTY(&w->maps))
        unmap(w, TAILQ_FIRST(&w->maps));
}
