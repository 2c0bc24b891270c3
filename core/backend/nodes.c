/* SPDX-License-Identifier: MIT */
#include "backend/nodes.h"

#include <stdio.h>

#include "backend/guest.h"
#include "backend/machine.h"
#include "backend/xl.h"

void pb_nodes_create(struct pb_store_req *req, const struct pb_guest *g)
{
    uint16_t domid = (uint16_t)g->domid;

    pb_store_remove(req, "%s", g->be_path);
    pb_store_mkdir(req, "%s", g->be_path);
    pb_store_perms(req, domid, false, "%s", g->be_path);
    pb_store_write(req, g->fe_path, "%s/frontend", g->be_path);
    pb_store_write_number(req, g->domid, "%s/frontend-id", g->be_path);
    pb_store_write_number(req, 1, "%s/online", g->be_path);
    pb_store_write(req, g->name, "%s/domain", g->be_path);
    /* Linux creates a device on its xen-backend bus for state 1 only: 2 keeps it out of our way. */
    pb_store_write_number(req, PB_XENBUS_INIT_WAIT, "%s/state", g->be_path);

    pb_store_remove(req, "%s", g->fe_path);
    pb_store_mkdir(req, "%s", g->fe_path);
    pb_store_perms(req, domid, true, "%s", g->fe_path);
    pb_store_write(req, g->be_path, "%s/backend", g->fe_path);
    pb_store_write_number(req, 0, "%s/backend-id", g->fe_path);
    pb_store_write_number(req, PB_XENBUS_INITIALISING, "%s/state", g->fe_path);
}

static void write_device(struct pb_store_req *req, const struct pb_guest *g,
                         const struct pb_device *dev, unsigned n)
{
    char address[PB_SBDF_TEXT], vdev[PB_VDEV_TEXT];

    (void)pb_sbdf_format(dev->sbdf, address);
    pb_store_write(req, address, "%s/key-%u", g->be_path, n);
    pb_store_write(req, address, "%s/dev-%u", g->be_path, n);
    pb_store_write(req, dev->permissive ? "permissive=1" : "permissive=0", "%s/opts-%u", g->be_path,
                   n);
    if (dev->has_vaddr && dev->node_state != PB_XENBUS_INITIALISING)
        pb_store_write(req, pb_vdev_format(dev->vaddr, vdev), "%s/vdev-%u", g->be_path, n);
    else
        pb_store_remove(req, "%s/vdev-%u", g->be_path, n);
    pb_store_write_number(req, dev->node_state, "%s/state-%u", g->be_path, n);
}

void pb_nodes_write_devices(struct pb_store_req *req, const struct pb_guest *g)
{
    static const char *const names[] = { "key", "dev", "opts", "vdev", "state" };
    const struct pb_device *dev;
    unsigned n = 0;

    if (g->xl) {
        pb_xl_write_devices(req, g);
        return;
    }
    TAILQ_FOREACH (dev, &g->devices, sibling)
        write_device(req, g, dev, n++);
    pb_store_write_number(req, n, "%s/num_devs", g->be_path);
    for (; n < g->node_count; n++) {
        for (unsigned i = 0; i < PB_ARRAY_SIZE(names); i++)
            pb_store_remove(req, "%s/%s-%u", g->be_path, names[i], n);
    }
}

void pb_nodes_write_roots(struct pb_store_req *req, const struct pb_guest *g)
{
    char root[PB_VROOT_TEXT];

    for (unsigned k = 0; k < g->slots.root_count; k++)
        pb_store_write(req, pb_vroot_format(&g->slots, k, root), "%s/root-%u", g->be_path, k);
    pb_store_write_number(req, g->slots.root_count, "%s/root_num", g->be_path);
}

void pb_nodes_expect_ours(struct pb_store_req *req, const struct pb_guest *g)
{
    pb_store_expect(req, g->fe_path, "%s/frontend", g->be_path);
    if (g->xl)
        pb_xl_expect_state(req, g);
}

void pb_nodes_write_state(struct pb_store_req *req, const struct pb_guest *g, unsigned state)
{
    pb_store_write_number(req, state, "%s/state", g->be_path);
}

void pb_nodes_remove(struct pb_store_req *req, const struct pb_guest *g)
{
    const char *kind = pb_guest_kind(g);

    pb_store_remove(req, "%s", g->be_path);
    pb_store_prune(req, "/local/domain/0/backend/%s/%u", kind, g->domid);
    pb_store_prune(req, "/local/domain/0/backend/%s", kind);
    pb_store_remove(req, "/local/domain/0/error/backend/%s/%u", kind, g->domid);
    pb_store_prune(req, "/local/domain/0/error/backend/%s", kind);
    pb_store_prune(req, "/local/domain/0/error/backend");
    pb_store_prune(req, "/local/domain/0/error");
    if (g->other_domain)
        return;
    pb_store_remove(req, "%s", g->fe_path);
    pb_store_prune(req, "/local/domain/%u/device/pci", g->domid);
}

void pb_nodes_reservation_path(const struct pb_device *dev, char *path, size_t size)
{
    (void)snprintf(path, size, "/libxl/pci/%04x-%02x-%02x-%x", dev->sbdf.segment, dev->sbdf.bus,
                   (unsigned)PB_DEVFN_DEV(dev->sbdf.devfn), PB_DEVFN_FN(dev->sbdf.devfn));
}
