/* SPDX-License-Identifier: MIT */
#include "sim_domain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_hyper.h"
#include "sim_world.h"

const char *const sim_permission_names[SIM_ALLOW_COUNT] = {
    [SIM_ALLOW_PORTS] = "ports",
    [SIM_ALLOW_MEMORY] = "memory",
    [SIM_ALLOW_IRQ] = "irq",
};

/* Ranges */

static void range_add(struct sim_ranges *ranges, uint64_t first, uint64_t count)
{
    if (ranges->count == ranges->room) {
        size_t room = ranges->room ? 2 * ranges->room : 8;

        ranges->item = sim_grow(ranges->item, room, sizeof(*ranges->item));
        ranges->room = room;
    }
    ranges->item[ranges->count++] = (struct sim_range){ .first = first, .count = count };
}

static void range_cut(struct sim_ranges *ranges, uint64_t first, uint64_t count)
{
    uint64_t end = first + count;

    for (size_t i = 0; i < ranges->count;) {
        struct sim_range r = ranges->item[i];
        uint64_t r_end = r.first + r.count;

        if (r_end <= first || end <= r.first) {
            i++;
            continue;
        }
        ranges->item[i] = ranges->item[--ranges->count];
        if (r.first < first)
            range_add(ranges, r.first, first - r.first);
        if (r_end > end)
            range_add(ranges, end, r_end - end);
    }
}

int sim_ranges_change(struct sim_ranges *ranges, uint64_t first, uint64_t count, bool allow)
{
    if (count == 0 || first + count < first)
        return -EINVAL;
    range_cut(ranges, first, count);
    if (allow)
        range_add(ranges, first, count);
    return 0;
}

bool sim_ranges_touch(const struct sim_ranges *ranges, uint64_t first, uint64_t count)
{
    for (size_t i = 0; i < ranges->count; i++) {
        const struct sim_range *r = &ranges->item[i];

        if (r->first < first + count && first < r->first + r->count)
            return true;
    }
    return false;
}

/* Life */

struct sim_domain *sim_domain_find(const struct sim_world *w, uint32_t domid)
{
    return domid < SIM_DOMIDS ? w->domain_by_id[domid] : NULL;
}

struct sim_domain *sim_domain_live(const struct sim_world *w, uint32_t domid)
{
    struct sim_domain *dom = sim_domain_find(w, domid);

    return dom && !dom->dying ? dom : NULL;
}

__attribute__((format(printf, 3, 4))) static void put(struct sim_world *w, const char *value,
                                                      const char *fmt, ...)
{
    char path[PB_STORE_PATH_MAX];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(path, sizeof(path), fmt, ap);
    va_end(ap);
    (void)sim_store_write(w, 0, path, value, strlen(value));
}

/* What libxl writes for every domain, as far as a backend may look at it. */
static void write_nodes(struct sim_world *w, const struct sim_domain *dom)
{
    char path[PB_STORE_PATH_MAX], number[16];

    if (w->store.dead)
        return;
    (void)snprintf(number, sizeof(number), "%u", dom->domid);
    (void)snprintf(path, sizeof(path), "/local/domain/%u", dom->domid);
    put(w, "", "%s", path);
    (void)sim_store_perms(w, 0, path, 0, (uint16_t)dom->domid);
    if (dom->name[0])
        put(w, dom->name, "%s/name", path);
    put(w, number, "%s/domid", path);
    put(w, "", "%s/device", path);
    put(w, "", "%s/data", path);
    (void)snprintf(path, sizeof(path), "/local/domain/%u/data", dom->domid);
    (void)sim_store_perms(w, 0, path, (uint16_t)dom->domid, 0);
}

struct sim_domain *sim_domain_create(struct sim_world *w, uint32_t domid, const char *name,
                                     bool hvm, bool iommu)
{
    struct sim_domain *dom;

    if (domid >= SIM_DOMIDS || sim_domain_find(w, domid))
        return NULL;
    dom = sim_alloc(sizeof(*dom));
    dom->domid = domid;
    dom->hvm = hvm;
    dom->iommu = iommu;
    (void)snprintf(dom->name, sizeof(dom->name), "%s", name);
    memset(dom->handle, 0x5a, sizeof(dom->handle));
    w->created++;
    memcpy(dom->handle, &w->created, sizeof(w->created));
    sim_front_init(dom);
    TAILQ_INIT(&dom->ports);
    TAILQ_INIT(&dom->pages);
    TAILQ_INSERT_TAIL(&w->domains, dom, link);
    w->domain_by_id[domid] = dom;
    write_nodes(w, dom);
    sim_store_special(w, "@introduceDomain");
    return dom;
}

static void domain_free(struct sim_world *w, struct sim_domain *dom)
{
    sim_front_gone(w, dom);
    sim_guest_port_close_all(w, dom);
    sim_guest_page_free_all(dom);
    TAILQ_REMOVE(&w->domains, dom, link);
    w->domain_by_id[dom->domid] = NULL;
    for (unsigned i = 0; i < SIM_ALLOW_COUNT; i++)
        sim_free(dom->allowed[i].item);
    sim_free(dom);
}

void sim_domain_reap(struct sim_world *w, struct sim_domain *dom)
{
    if (!dom->dying || sim_guest_pages_mapped(dom))
        return;
    sim_hyper_domain_gone(w, dom);
    (void)sim_log_leave(w, "world.domain_gone", json_pack("{s:i}", "domid", (int)dom->domid), 0);
    domain_free(w, dom);
}

void sim_domain_destroy(struct sim_world *w, struct sim_domain *dom, bool by_toolstack)
{
    char path[PB_STORE_PATH_MAX];

    (void)sim_log_leave(w, "world.domain_destroy", json_pack("{s:i}", "domid", (int)dom->domid), 0);
    sim_front_gone(w, dom);
    if (by_toolstack) {
        (void)snprintf(path, sizeof(path), "/local/domain/%u", dom->domid);
        (void)sim_store_remove(w, 0, path);
    }
    dom->dying = true;
    sim_hyper_domain_dying(w, dom);
    sim_guest_port_close_all(w, dom);
    for (unsigned i = 0; i < SIM_ALLOW_COUNT; i++)
        dom->allowed[i].count = 0;
    sim_store_remove_owned(w, (uint16_t)dom->domid);
    sim_store_special(w, "@releaseDomain");
    sim_domain_reap(w, dom);
}

void sim_domain_shutdown(struct sim_world *w, struct sim_domain *dom, uint8_t reason)
{
    (void)sim_log_leave(w, "world.domain_shutdown",
                        json_pack("{s:i, s:i}", "domid", (int)dom->domid, "reason", reason), 0);
    sim_front_gone(w, dom);
    dom->shutdown = true;
    dom->shutdown_reason = reason;
    sim_store_special(w, "@releaseDomain");
}

void sim_domain_free_all(struct sim_world *w)
{
    while (!TAILQ_EMPTY(&w->domains))
        domain_free(w, TAILQ_FIRST(&w->domains));
}
