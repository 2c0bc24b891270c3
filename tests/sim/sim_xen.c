/* SPDX-License-Identifier: MIT */
/* The table of the hypervisor (xen/xen.h): each call is counted, may be made to fail, is recorded.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "sim_hyper.h"
#include "sim_kernel.h"
#include "sim_world.h"

static struct sim_world *world_of(struct pb_xen *x)
{
    return PB_CONTAINER_OF(x, struct sim_world, xen);
}

static json_t *device_args(uint32_t domid, struct pb_sbdf sbdf)
{
    char text[PB_SBDF_TEXT];

    return json_pack("{s:i, s:s}", "domid", (int)domid, "device", pb_sbdf_format(sbdf, text));
}

static int xen_domain_get(struct pb_xen *x, uint32_t domid, struct pb_domain *ret)
{
    SIM_AS_WORLD;
    struct sim_world *w = world_of(x);
    const struct sim_domain *dom;
    int rc = sim_log_enter(w, "domain_get");

    dom = sim_domain_find(w, domid);
    if (rc == 0 && !dom)
        rc = -ENOENT;
    if (rc == 0) {
        *ret = (struct pb_domain){ .domid = domid,
                                   .dying = dom->dying,
                                   .shutdown = dom->shutdown,
                                   .shutdown_reason = dom->shutdown_reason,
                                   .hvm = dom->hvm };
        memcpy(ret->handle, dom->handle, sizeof(ret->handle));
    }
    return sim_log_leave(w, "domain_get", json_pack("{s:i}", "domid", (int)domid), rc);
}

static int xen_port_bind(struct pb_xen *x, uint32_t domid, uint32_t remote_port, uint32_t *ret_port)
{
    SIM_AS_WORLD;
    struct sim_world *w = world_of(x);
    int rc = sim_log_enter(w, "port_bind");

    if (rc == 0)
        rc = sim_port_bind(w, domid, remote_port, ret_port);
    return sim_log_leave(w, "port_bind",
                         json_pack("{s:i, s:I, s:I}", "domid", (int)domid, "remote",
                                   (json_int_t)remote_port, "port",
                                   rc ? (json_int_t)-1 : (json_int_t)*ret_port),
                         rc);
}

#define PORT_CALL(name)                                                                           \
    static int xen_port_##name(struct pb_xen *x, uint32_t port)                                   \
    {                                                                                             \
        SIM_AS_WORLD;                                                                             \
        struct sim_world *w = world_of(x);                                                        \
        int rc = sim_log_enter(w, "port_" #name);                                                 \
                                                                                                  \
        if (rc == 0)                                                                              \
            rc = sim_port_##name(w, port);                                                        \
        return sim_log_leave(w, "port_" #name, json_pack("{s:I}", "port", (json_int_t)port), rc); \
    }
PORT_CALL(unbind)
PORT_CALL(notify)
PORT_CALL(unmask)

static int xen_page_map(struct pb_xen *x, uint32_t domid, uint32_t ref, void **ret_page)
{
    SIM_AS_WORLD;
    struct sim_world *w = world_of(x);
    int rc = sim_log_enter(w, "page_map");

    if (rc == 0)
        rc = sim_page_map(w, domid, ref, ret_page);
    return sim_log_leave(w, "page_map",
                         json_pack("{s:i, s:I}", "domid", (int)domid, "ref", (json_int_t)ref), rc);
}

static int xen_page_unmap(struct pb_xen *x, void *page)
{
    SIM_AS_WORLD;
    struct sim_world *w = world_of(x);
    int rc = sim_log_enter(w, "page_unmap");

    /* recorded first: it may be what a zombie waits for */
    (void)sim_log_record(w, "page_unmap", NULL, rc);
    if (rc == 0)
        rc = sim_page_unmap(w, page);
    sim_log_after(w, "page_unmap");
    return rc;
}

#define DEVICE_CALL(name)                                                               \
    static int xen_device_##name(struct pb_xen *x, uint32_t domid, struct pb_sbdf sbdf) \
    {                                                                                   \
        SIM_AS_WORLD;                                                                   \
        struct sim_world *w = world_of(x);                                              \
        int rc = sim_log_enter(w, "device_" #name);                                     \
                                                                                        \
        if (rc == 0)                                                                    \
            rc = sim_hyper_##name(w, domid, sbdf);                                      \
        sim_state_save(w);                                                              \
        return sim_log_leave(w, "device_" #name, device_args(domid, sbdf), rc);         \
    }
DEVICE_CALL(test)
DEVICE_CALL(assign)
DEVICE_CALL(deassign)

static int change_permission(struct pb_xen *x, const char *call, uint32_t domid,
                             enum sim_permission what, struct sim_range range, bool allow)
{
    struct sim_world *w = world_of(x);
    int rc = sim_log_enter(w, call);

    if (rc == 0)
        rc = sim_hyper_allow(w, domid, what, range.first, range.count, allow);
    if (rc == 0 && allow)
        sim_hyper_judge_grant(w, domid, what, range);
    return sim_log_leave(w, call,
                         json_pack("{s:i, s:I, s:I, s:b}", "domid", (int)domid, "first",
                                   (json_int_t)range.first, "count", (json_int_t)range.count,
                                   "allow", allow ? 1 : 0),
                         rc);
}

static int xen_allow_ports(struct pb_xen *x, uint32_t domid, uint32_t first, uint32_t count,
                           bool allow)
{
    SIM_AS_WORLD;
    return change_permission(x, "allow_ports", domid, SIM_ALLOW_PORTS,
                             (struct sim_range){ first, count }, allow);
}

static int xen_allow_memory(struct pb_xen *x, uint32_t domid, uint64_t first_frame, uint64_t count,
                            bool allow)
{
    SIM_AS_WORLD;
    return change_permission(x, "allow_memory", domid, SIM_ALLOW_MEMORY,
                             (struct sim_range){ first_frame, count }, allow);
}

static int xen_allow_irq(struct pb_xen *x, uint32_t domid, uint32_t gsi, bool allow)
{
    SIM_AS_WORLD;
    return change_permission(x, "allow_irq", domid, SIM_ALLOW_IRQ, (struct sim_range){ gsi, 1 },
                             allow);
}

static int xen_map_gsi(struct pb_xen *x, uint32_t domid, uint32_t gsi)
{
    SIM_AS_WORLD;
    struct sim_world *w = world_of(x);
    int rc = sim_log_enter(w, "map_gsi");

    if (rc == 0)
        rc = sim_hyper_map_gsi(w, domid, gsi);
    return sim_log_leave(w, "map_gsi",
                         json_pack("{s:i, s:I}", "domid", (int)domid, "gsi", (json_int_t)gsi), rc);
}

static int xen_map_msi(struct pb_xen *x, uint32_t domid, const struct pb_msi_request *request,
                       uint32_t *ret_pirq)
{
    SIM_AS_WORLD;
    struct sim_world *w = world_of(x);
    json_t *args = device_args(domid, request->sbdf);
    int rc = sim_log_enter(w, "map_msi");

    if (rc == 0)
        rc = sim_hyper_map_msi(w, domid, request, ret_pirq);
    (void)json_object_set_new(args, "msix", json_boolean(request->msix));
    (void)json_object_set_new(args, "entry", json_integer(request->entry));
    (void)json_object_set_new(args, "pirq", json_integer(rc ? -1 : (json_int_t)*ret_pirq));
    return sim_log_leave(w, "map_msi", args, rc);
}

static int xen_map_multi_msi(struct pb_xen *x, uint32_t domid, struct pb_sbdf sbdf, unsigned count,
                             uint32_t *ret_first, unsigned *ret_count)
{
    SIM_AS_WORLD;
    struct sim_world *w = world_of(x);
    json_t *args = device_args(domid, sbdf);
    int rc = sim_log_enter(w, "map_multi_msi");

    (void)json_object_set_new(args, "asked", json_integer((json_int_t)count));
    if (rc == 0)
        rc = sim_hyper_map_multi_msi(w, domid, sbdf, count, ret_first, ret_count);
    (void)json_object_set_new(args, "pirq", json_integer(rc ? -1 : (json_int_t)*ret_first));
    (void)json_object_set_new(args, "count", json_integer(rc ? 0 : (json_int_t)*ret_count));
    return sim_log_leave(w, "map_multi_msi", args, rc);
}

static int xen_unmap_pirq(struct pb_xen *x, uint32_t domid, uint32_t pirq)
{
    SIM_AS_WORLD;
    struct sim_world *w = world_of(x);
    int rc = sim_log_enter(w, "unmap_pirq");

    if (rc == 0)
        rc = sim_hyper_unmap_pirq(w, domid, pirq);
    return sim_log_leave(w, "unmap_pirq",
                         json_pack("{s:i, s:I}", "domid", (int)domid, "pirq", (json_int_t)pirq),
                         rc);
}

#define MSI_CALL(name)                                                                           \
    static int xen_##name(struct pb_xen *x, struct pb_sbdf sbdf)                                 \
    {                                                                                            \
        SIM_AS_WORLD;                                                                            \
        struct sim_world *w = world_of(x);                                                       \
        char text[PB_SBDF_TEXT];                                                                 \
        int rc = sim_log_enter(w, #name);                                                        \
                                                                                                 \
        if (rc == 0)                                                                             \
            rc = sim_hyper_##name(w, sbdf);                                                      \
        sim_state_save(w);                                                                       \
        return sim_log_leave(w, #name, json_pack("{s:s}", "device", pb_sbdf_format(sbdf, text)), \
                             rc);                                                                \
    }
MSI_CALL(msix_prepare)
MSI_CALL(msix_release)
MSI_CALL(msi_restore)

static void xen_store_submit(struct pb_xen *x, struct pb_store_req *req)
{
    SIM_AS_WORLD;
    sim_store_submit(world_of(x), req);
}

static void xen_watch_add(struct pb_xen *x, struct pb_watch *watch)
{
    SIM_AS_WORLD;
    sim_store_watch_add(world_of(x), watch);
}

static void xen_watch_remove(struct pb_xen *x, struct pb_watch *watch)
{
    SIM_AS_WORLD;
    sim_store_watch_remove(world_of(x), watch);
}

/* As the end of the process: ports close, mappings go, pending requests are dropped. */
static void xen_close(struct pb_xen *x)
{
    SIM_AS_WORLD;
    struct sim_world *w = world_of(x);

    sim_store_disconnect(w);
    sim_port_unbind_all(w);
    sim_page_unmap_all(w);
    memset(&w->xen.events, 0, sizeof(w->xen.events));
    w->xen_open = false;
    sim_world_closed(w);
}

static const struct pb_xen_ops xen_ops = {
    .close = xen_close,
    .domain_get = xen_domain_get,
    .port_bind = xen_port_bind,
    .port_unbind = xen_port_unbind,
    .port_notify = xen_port_notify,
    .port_unmask = xen_port_unmask,
    .page_map = xen_page_map,
    .page_unmap = xen_page_unmap,
    .device_test = xen_device_test,
    .device_assign = xen_device_assign,
    .device_deassign = xen_device_deassign,
    .allow_ports = xen_allow_ports,
    .allow_memory = xen_allow_memory,
    .allow_irq = xen_allow_irq,
    .map_gsi = xen_map_gsi,
    .map_msi = xen_map_msi,
    .map_multi_msi = xen_map_multi_msi,
    .unmap_pirq = xen_unmap_pirq,
    .msix_prepare = xen_msix_prepare,
    .msix_release = xen_msix_release,
    .msi_restore = xen_msi_restore,
    .store_submit = xen_store_submit,
    .watch_add = xen_watch_add,
    .watch_remove = xen_watch_remove,
};

struct pb_xen *sim_xen_open(struct sim_world *w, struct ev_loop *loop)
{
    sim_world_start(w, loop);
    w->xen.ops = &xen_ops;
    w->xen_open = true;
    return &w->xen;
}
