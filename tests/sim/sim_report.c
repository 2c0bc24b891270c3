/* SPDX-License-Identifier: MIT */
/* What the world holds on behalf of guests and of the daemon. */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "pci/regs.h"
#include "sim_command.h"
#include "sim_hyper.h"
#include "sim_world.h"

static json_t *permissions(const struct sim_world *w)
{
    json_t *list = json_array();
    const struct sim_domain *dom;

    TAILQ_FOREACH (dom, &w->domains, link) {
        for (unsigned kind = 0; kind < SIM_ALLOW_COUNT; kind++) {
            for (size_t i = 0; i < dom->allowed[kind].count; i++)
                (void)json_array_append_new(
                    list, json_pack("{s:i, s:s, s:I, s:I}", "domid", (int)dom->domid, "kind",
                                    sim_permission_names[kind], "first",
                                    (json_int_t)dom->allowed[kind].item[i].first, "count",
                                    (json_int_t)dom->allowed[kind].item[i].count));
        }
    }
    return list;
}

static json_t *pirqs(const struct sim_world *w)
{
    json_t *list = json_array();
    const struct sim_domain *dom;

    TAILQ_FOREACH (dom, &w->domains, link) {
        for (unsigned i = 0; i < SIM_PIRQS_MAX; i++) {
            const struct sim_pirq *p = &dom->pirq[i];

            if (p->used)
                (void)json_array_append_new(
                    list, json_pack("{s:i, s:i, s:s?, s:b, s:i}", "domid", (int)dom->domid, "pirq",
                                    (int)i, "device", p->device ? p->device->text : NULL, "msix",
                                    p->msix ? 1 : 0, "entry", (int)p->entry));
        }
    }
    return list;
}

static json_t *ports(const struct sim_world *w)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < w->ports.top; i++) {
        if (w->ports.port[i].used)
            (void)json_array_append_new(list, json_pack("{s:i, s:i}", "port", (int)i, "domid",
                                                        (int)w->ports.port[i].domid));
    }
    return list;
}

static json_t *pages(const struct sim_world *w)
{
    json_t *list = json_array();
    const struct sim_map *map;

    TAILQ_FOREACH (map, &w->maps, link) {
        (void)json_array_append_new(list, json_pack("{s:i, s:i}", "domid", (int)map->page->domid,
                                                    "ref", (int)map->page->ref));
    }
    return list;
}

static void add_nodes(const struct sim_node *node, const char *path, json_t *list)
{
    char below[PB_STORE_PATH_MAX];
    const struct sim_node *child;

    TAILQ_FOREACH (child, &node->children, link) {
        int n = snprintf(below, sizeof(below), "%s/%s", path, child->name);

        if (n < 0 || (size_t)n >= sizeof(below))
            continue;
        (void)json_array_append_new(list, json_string(below));
        add_nodes(child, below, list);
    }
}

/* Everything that an attachment leaves in the store: nodes of both ends, errors, reservations. */
static json_t *nodes(const struct sim_world *w)
{
    static const char *const roots[] = { "/local/domain/0/backend", "/local/domain/0/error",
                                         "/libxl/pci" };
    const struct sim_domain *dom;
    json_t *list = json_array();
    char path[PB_STORE_PATH_MAX];

    for (size_t i = 0; i < PB_ARRAY_SIZE(roots); i++) {
        const struct sim_node *node = sim_store_find(&w->store, roots[i]);

        if (node)
            add_nodes(node, roots[i], list);
    }
    TAILQ_FOREACH (dom, &w->domains, link) {
        const struct sim_node *node;

        (void)snprintf(path, sizeof(path), "/local/domain/%u/device/pci", dom->domid);
        node = sim_store_find(&w->store, path);
        if (node) {
            (void)json_array_append_new(list, json_string(path));
            add_nodes(node, path, list);
        }
    }
    return list;
}

json_t *sim_report_device(const struct sim_world *w, const struct sim_device *dev)
{
    return json_pack(
        "{s:s, s:i, s:b, s:b, s:b, s:s, s:b, s:i, s:i, s:i, s:i, s:b, s:b, s:s, s:b, s:b}",
        "device", dev->text, "owner", (int)dev->owner, "quarantined", dev->quarantined ? 1 : 0,
        "prepared", dev->prepared ? 1 : 0, "maskall", dev->maskall_stuck ? 1 : 0, "driver",
        dev->driver, "claimed", dev->claimed ? 1 : 0, "open", (int)dev->open, "resets",
        (int)dev->resets, "command", (int)sim_device_command(dev), "vectors",
        (int)sim_hyper_vectors(w, dev), "resetting", dev->resetting ? 1 : 0, "msi_lost",
        dev->msi_lost ? 1 : 0, "override", dev->override, "gone", dev->gone ? 1 : 0, "assignable",
        dev->assignable ? 1 : 0);
}

static json_t *devices(const struct sim_world *w)
{
    const struct sim_device *dev;
    json_t *object = json_object();

    TAILQ_FOREACH (dev, &w->devices, link) {
        (void)json_object_set_new(object, dev->text, sim_report_device(w, dev));
    }
    return object;
}

static json_t *domains(const struct sim_world *w)
{
    const struct sim_domain *dom;
    json_t *list = json_array();

    TAILQ_FOREACH (dom, &w->domains, link) {
        (void)json_array_append_new(
            list, json_pack("{s:i, s:s, s:b, s:b}", "domid", (int)dom->domid, "name", dom->name,
                            "dying", dom->dying ? 1 : 0, "shutdown", dom->shutdown ? 1 : 0));
    }
    return list;
}

json_t *sim_report_leaks(const struct sim_world *w)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:O}", "permissions", permissions(w),
                     "pirqs", pirqs(w), "ports", ports(w), "pages", pages(w), "nodes", nodes(w),
                     "devices", devices(w), "domains", domains(w), "violations", w->log.violations);
}
