/* SPDX-License-Identifier: MIT */
/* The simulated tables by themselves: the semantics that the daemon's tests rely on. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "pci/regs.h"
#include "sim_command.h"
#include "sim_hyper.h"
#include "sim_scenario.h"
#include "sim_world.h"

#define NIC  ((struct pb_sbdf){ 0, 0, PB_DEVFN(5, 0) })
#define OLD  ((struct pb_sbdf){ 0, 0, PB_DEVFN(6, 0) })
#define MSIX 0xa0

static const char scenario[] =
    "{ \"devices\": ["
    "{ \"bdf\": \"0000:00:05.0\", \"dump\": \"e1000e.txt\", \"driver\": \"e1000e\", \"irq\": 21,"
    "  \"resources\": [[\"0xfea20000\", \"0xfea3ffff\", \"0x40200\"],"
    "    [\"0xfea40000\", \"0xfea5ffff\", \"0x40200\"], [\"0xc040\", \"0xc05f\", \"0x40101\"],"
    "    [\"0xfea60000\", \"0xfea63fff\", \"0x40200\"]] },"
    "{ \"bdf\": \"0000:00:06.0\", \"dump\": \"e1000.txt\", \"driver\": \"\", \"irq\": 22,"
    "  \"resources\": [[\"0xfea00000\", \"0xfea1ffff\", \"0x40200\"]] } ],"
    "\"domains\": [ { \"id\": 5, \"name\": \"netvm\" }, { \"id\": 6, \"passthrough\": false } ] }";

struct fixture {
    struct sim_world *w;
    struct ev_loop *loop;
    struct pb_xen *xen;
    struct pb_host *host;
    unsigned fired, pending, connected;
    uint32_t port;
    int rc;
    char value[64];
};

static void on_ports(void *ctx, const uint32_t *ports, size_t count)
{
    struct fixture *f = ctx;

    f->pending += (unsigned)count;
    f->port = ports[0];
}

static void on_store(void *ctx, bool connected)
{
    struct fixture *f = ctx;

    f->connected = connected ? 2 : 1;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct pb_json_error error = { 0 };
    json_t *value = pb_json_parse(scenario, strlen(scenario), "scenario", &error);

    assert_non_null(f);
    assert_non_null(value);
    f->w = sim_world_new();
    f->w->log.act = sim_command_act;
    if (!sim_scenario_apply(f->w, value, "scenario", SIM_DEVICES_DIR, &error))
        fail_msg("%s", error.text);
    json_decref(value);
    f->loop = ev_loop_new(EVFLAG_AUTO);
    f->host = sim_host_open(f->w, f->loop);
    f->xen = sim_xen_open(f->w, f->loop);
    f->xen->events = (struct pb_xen_events){ on_ports, on_store, f };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    f->xen->ops->close(f->xen);
    f->host->ops->close(f->host);
    sim_world_free(f->w);
    ev_loop_destroy(f->loop);
    free(f);
    return 0;
}

static void spin(struct fixture *f)
{
    for (unsigned i = 0; i < 200 && !(i > 3 && sim_world_idle(f->w)); i++)
        ev_run(f->loop,
               ev_is_active(&f->w->turn) || f->w->tasks.tqh_first ? EVRUN_ONCE : EVRUN_NOWAIT);
}

static size_t violations(const struct fixture *f)
{
    return json_array_size(f->w->log.violations);
}

/* Store */

static void store_done(struct pb_store_req *req, void *ctx)
{
    struct fixture *f = ctx;
    const char *value = pb_store_value(req, 0);

    f->rc = req->rc;
    (void)snprintf(f->value, sizeof(f->value), "%s", value ? value : "(none)");
    f->fired++;
}

static void test_store_answers_later_and_in_order(void **state)
{
    struct fixture *f = *state;
    struct pb_store_req *req = pb_store_req_new(false, store_done, f);

    (void)pb_store_write(req, "1", "/a/b");
    f->xen->ops->store_submit(f->xen, req);
    req = pb_store_req_new(false, store_done, f);
    (void)pb_store_read(req, "/a/%s", "b");
    f->xen->ops->store_submit(f->xen, req);
    assert_int_equal(f->fired, 0);
    spin(f);
    assert_int_equal(f->fired, 2);
    assert_string_equal(f->value, "1");
}

static void test_failed_expectation_undoes_the_transaction(void **state)
{
    struct fixture *f = *state;
    struct pb_store_req *req = pb_store_req_new(true, store_done, f);

    (void)pb_store_write(req, "1", "/a/b");
    (void)pb_store_expect(req, "x", "/a/c");
    f->xen->ops->store_submit(f->xen, req);
    spin(f);
    assert_int_equal(f->rc, -ECANCELED);
    assert_null(sim_store_find(&f->w->store, "/a"));
    req = pb_store_req_new(true, store_done, f);
    (void)pb_store_expect(req, NULL, "/a");
    (void)pb_store_write(req, "2", "/a/b");
    f->xen->ops->store_submit(f->xen, req);
    spin(f);
    assert_int_equal(f->rc, 0);
    assert_string_equal(sim_store_read(f->w, 0, "/a/b"), "2");
}

static void test_any_step_of_a_transaction_can_be_made_to_fail(void **state)
{
    struct fixture *f = *state;
    struct pb_store_req *req = pb_store_req_new(true, store_done, f);

    assert_true(sim_log_fault(&f->w->log, "store_write", 2, 1, "EIO", NULL));
    (void)pb_store_write(req, "1", "/a");
    (void)pb_store_write(req, "1", "/b");
    f->xen->ops->store_submit(f->xen, req);
    spin(f);
    assert_int_equal(f->rc, -EIO);
    assert_null(sim_store_find(&f->w->store, "/a"));
}

struct counter {
    struct pb_watch watch;
    unsigned count;
};

static void counted(struct pb_watch *watch)
{
    ((struct counter *)(void *)watch)->count++;
}

static void test_watch_fires_after_add_once_a_batch_and_for_a_removed_parent(void **state)
{
    struct fixture *f = *state;
    struct counter c = { .watch = { .path = "/a/b", .fired = counted } };

    f->xen->ops->watch_add(f->xen, &c.watch);
    assert_int_equal(c.count, 0);
    spin(f);
    assert_int_equal(c.count, 1);
    (void)sim_store_write(f->w, 0, "/a/b/c", "1", 1);
    (void)sim_store_write(f->w, 0, "/a/b/d", "1", 1);
    (void)sim_store_write(f->w, 0, "/a/bc", "1", 1);
    spin(f);
    assert_int_equal(c.count, 2);
    (void)sim_store_write(f->w, 0, "/a/bd", "1", 1);
    spin(f);
    assert_int_equal(c.count, 2);
    (void)sim_store_remove(f->w, 0, "/a");
    spin(f);
    assert_int_equal(c.count, 3);
    f->xen->ops->watch_remove(f->xen, &c.watch);
}

static void test_store_dies_and_returns(void **state)
{
    struct fixture *f = *state;
    struct counter c = { .watch = { .path = "/a", .fired = counted } };
    struct pb_store_req *req;

    f->xen->ops->watch_add(f->xen, &c.watch);
    spin(f);
    sim_store_kill(f->w);
    spin(f);
    assert_int_equal(f->connected, 1);
    req = pb_store_req_new(false, store_done, f);
    (void)pb_store_write(req, "1", "/a");
    f->xen->ops->store_submit(f->xen, req);
    spin(f);
    assert_int_equal(f->rc, -ETIMEDOUT);
    sim_store_return(f->w, false);
    spin(f);
    assert_int_equal(f->connected, 2);
    assert_int_equal(c.count, 2);
    assert_null(sim_store_find(&f->w->store, "/local"));
    f->xen->ops->watch_remove(f->xen, &c.watch);
}

static void test_guest_writes_only_what_it_owns(void **state)
{
    struct fixture *f = *state;

    (void)sim_store_write(f->w, 0, "/local/domain/5/device/pci/0/state", "1", 1);
    assert_int_equal(sim_store_write(f->w, 5, "/local/domain/5/device/pci/0/state", "3", 1),
                     -EACCES);
    (void)sim_store_perms(f->w, 0, "/local/domain/5/device/pci/0", 5, 0);
    assert_int_equal(sim_store_write(f->w, 5, "/local/domain/5/device/pci/0/x", "3", 1), 0);
    sim_store_remove_owned(f->w, 5);
    assert_null(sim_store_find(&f->w->store, "/local/domain/5/device/pci/0"));
    assert_non_null(sim_store_find(&f->w->store, "/local/domain/5/device/pci"));
}

/* Event channels and grants */

static void test_port_is_masked_from_its_event_to_unmask(void **state)
{
    struct fixture *f = *state;
    struct sim_domain *dom = sim_domain_find(f->w, 5);
    uint32_t remote = sim_guest_port_alloc(dom), port;

    assert_int_equal(f->xen->ops->port_bind(f->xen, 5, remote + 1, &port), -EINVAL);
    assert_int_equal(f->xen->ops->port_bind(f->xen, 5, remote, &port), 0);
    assert_int_equal(f->xen->ops->port_bind(f->xen, 5, remote, &port), -EINVAL);
    assert_int_equal(f->pending, 0);
    spin(f);
    assert_int_equal(f->pending, 1); /* a bind sets it pending (H15) */
    assert_int_equal(f->port, port);
    sim_guest_port_notify(f->w, dom, remote);
    sim_guest_port_notify(f->w, dom, remote);
    spin(f);
    assert_int_equal(f->pending, 1);
    (void)f->xen->ops->port_unmask(f->xen, port);
    spin(f);
    assert_int_equal(f->pending, 2);
    assert_int_equal(f->xen->ops->port_unbind(f->xen, port), 0);
    assert_int_equal(f->xen->ops->port_bind(f->xen, 5, remote, &port), 0);
}

static void test_mapped_page_keeps_a_zombie(void **state)
{
    struct fixture *f = *state;
    struct sim_domain *dom = sim_domain_find(f->w, 5);
    struct sim_page *page = sim_guest_page_alloc(dom);
    struct pb_domain info;
    void *map;

    assert_int_equal(f->xen->ops->page_map(f->xen, 5, page->ref + 1, &map), -EINVAL);
    assert_int_equal(f->xen->ops->page_map(f->xen, 5, page->ref, &map), 0);
    memcpy(page->guest, "hello", 6);
    assert_string_equal(map, "hello");
    sim_domain_destroy(f->w, dom, false);
    assert_int_equal(f->xen->ops->domain_get(f->xen, 5, &info), 0);
    assert_true(info.dying);
    assert_int_equal(f->xen->ops->page_unmap(f->xen, map), 0);
    assert_int_equal(f->xen->ops->domain_get(f->xen, 5, &info), -ENOENT);
}

/* Devices */

static void test_assignment(void **state)
{
    struct fixture *f = *state;
    const struct pb_xen_ops *ops = f->xen->ops;

    assert_int_equal(ops->device_assign(f->xen, 6, NIC), -EOPNOTSUPP);
    assert_int_equal(ops->device_assign(f->xen, 7, NIC), -ESRCH);
    assert_int_equal(ops->device_assign(f->xen, PB_DOMID_IO, NIC), 0);
    assert_int_equal(ops->device_assign(f->xen, PB_DOMID_IO, NIC), 0);
    assert_int_equal(ops->device_assign(f->xen, 5, NIC), 0);
    assert_int_equal(ops->device_test(f->xen, 6, NIC), -EBUSY);
    assert_int_equal(ops->device_assign(f->xen, 6, NIC), -EBUSY);
    assert_int_equal(ops->device_deassign(f->xen, 6, NIC), -ENODEV);
    assert_int_equal(ops->device_deassign(f->xen, 5, NIC), 0);
    assert_int_equal(sim_device_find(f->w, NIC)->owner, PB_DOMID_IO);
    assert_int_equal(ops->device_deassign(f->xen, PB_DOMID_IO, NIC), 0);
    assert_int_equal(sim_device_find(f->w, NIC)->owner, 0);
}

static void test_msix_needs_owner_preparation_and_decode(void **state)
{
    struct fixture *f = *state;
    const struct pb_xen_ops *ops = f->xen->ops;
    struct sim_device *dev = sim_device_find(f->w, NIC);
    struct pb_msi_request r = { .sbdf = NIC, .msix = true, .table_base = 0xfea60000 };
    uint32_t pirq;

    assert_int_equal(ops->map_msi(f->xen, 5, &r, &pirq), -ENODEV);
    (void)ops->device_assign(f->xen, 5, NIC);
    assert_int_equal(ops->map_msi(f->xen, 5, &r, &pirq), -ENODATA);
    assert_int_equal(ops->msix_prepare(f->xen, NIC), 0);
    assert_int_equal(ops->msix_prepare(f->xen, NIC), -EALREADY);
    sim_device_change(dev, PCI_COMMAND, PCI_COMMAND_MEMORY, PCI_COMMAND_INTX_DISABLE);
    assert_int_equal(ops->map_msi(f->xen, 5, &r, &pirq), -ENXIO);
    sim_device_change(dev, PCI_COMMAND, 0, PCI_COMMAND_MEMORY);
    assert_int_equal(ops->map_msi(f->xen, 5, &r, &pirq), 0);
    assert_int_equal(pirq, f->w->gsi_count + f->w->msi_pirqs - 1);
    r.entry = 5;
    assert_int_equal(ops->map_msi(f->xen, 5, &r, &pirq), -EINVAL);
    assert_int_equal(ops->msix_release(f->xen, NIC), -EBUSY);
    assert_int_equal(ops->unmap_pirq(f->xen, 5, 3), -EINVAL);
    assert_int_equal(ops->unmap_pirq(f->xen, 5, f->w->gsi_count + f->w->msi_pirqs - 1), 0);
    assert_int_equal(sim_device_command(dev) & PCI_COMMAND_INTX_DISABLE, 0); /* H17 */
    assert_int_equal(ops->msix_release(f->xen, NIC), 0);
    assert_int_equal(violations(f), 0);
}

#define MSI_CAP 0xd0 /* of e1000e */

static void test_H18_rows_of_msi_are_as_xen_makes_them(void **state)
{
    struct fixture *f = *state;
    const struct pb_xen_ops *ops = f->xen->ops;
    struct sim_device *dev = sim_device_find(f->w, NIC);
    uint32_t first = 0;
    unsigned count = 0;

    dev->config[MSI_CAP + PCI_MSI_FLAGS] |= 2u << 1; /* four vectors */
    (void)ops->device_assign(f->xen, 5, NIC);
    assert_int_equal(ops->map_multi_msi(f->xen, 5, NIC, 5, &first, &count), -ENFILE);
    assert_int_equal(count, 4);
    f->w->remapping = false;
    assert_int_equal(ops->map_multi_msi(f->xen, 5, NIC, 3, &first, &count), -EOPNOTSUPP);
    f->w->remapping = true;
    assert_int_equal(ops->map_multi_msi(f->xen, 5, NIC, 3, &first, &count), 0);
    assert_int_equal(count, 4);
    assert_int_equal(first, f->w->gsi_count + f->w->msi_pirqs - 4);
    assert_int_equal(sim_hyper_vectors(f->w, dev), 4);
    assert_int_equal(dev->config[MSI_CAP + PCI_MSI_FLAGS] & PCI_MSI_FLAGS_QSIZE, 2u << 4);
    assert_int_equal(violations(f), 0);
    assert_int_equal(ops->unmap_pirq(f->xen, 5, first + 1), -EINVAL);
    assert_int_equal(violations(f), 1);
    assert_int_equal(ops->unmap_pirq(f->xen, 5, first), 0);
    assert_int_equal(sim_hyper_vectors(f->w, dev), 0);
    /* with ENABLE set it must not be asked for */
    sim_device_change(dev, MSI_CAP + PCI_MSI_FLAGS, 0, PCI_MSI_FLAGS_ENABLE);
    assert_int_equal(ops->map_multi_msi(f->xen, 5, NIC, 2, &first, &count), 0);
    assert_int_equal(violations(f), 2);
}

static void test_H8_vectors_are_lost_in_a_reset_until_they_are_restored(void **state)
{
    struct fixture *f = *state;
    const struct pb_xen_ops *ops = f->xen->ops;
    struct sim_device *dev = sim_device_find(f->w, NIC);
    struct pb_msi_request r = { .sbdf = NIC };
    uint32_t pirq;

    (void)ops->device_assign(f->xen, 5, NIC);
    assert_int_equal(ops->map_msi(f->xen, 5, &r, &pirq), 0);
    sim_device_change(dev, MSI_CAP + PCI_MSI_FLAGS, 0, PCI_MSI_FLAGS_ENABLE);
    sim_device_reset(dev);
    assert_true(dev->msi_lost);
    assert_int_equal(dev->config[MSI_CAP + PCI_MSI_FLAGS] & PCI_MSI_FLAGS_ENABLE, 0);
    dev->resetting = true;
    assert_int_equal(ops->msi_restore(f->xen, NIC), 0);
    assert_int_equal(violations(f), 1);
    dev->resetting = false;
    sim_device_reset(dev);
    assert_true(dev->msi_lost);
    assert_int_equal(ops->msi_restore(f->xen, NIC), 0);
    assert_false(dev->msi_lost);
    assert_int_equal(dev->config[MSI_CAP + PCI_MSI_FLAGS] & PCI_MSI_FLAGS_ENABLE,
                     PCI_MSI_FLAGS_ENABLE);
    assert_int_equal(violations(f), 1);
}

static void test_pirqs_run_out(void **state)
{
    struct fixture *f = *state;
    struct pb_msi_request r = { .sbdf = NIC, .msix = true, .table_base = 0xfea60000 };
    uint32_t pirq;

    f->w->msi_pirqs = 2;
    (void)f->xen->ops->msix_prepare(f->xen, NIC);
    (void)f->xen->ops->device_assign(f->xen, 5, NIC);
    for (r.entry = 0; r.entry < 2; r.entry++)
        assert_int_equal(f->xen->ops->map_msi(f->xen, 5, &r, &pirq), 0);
    assert_int_equal(f->xen->ops->map_msi(f->xen, 5, &r, &pirq), -ENOSPC);
}

static void test_pirq_that_outlives_its_guest_harms_the_next(void **state)
{
    struct fixture *f = *state;
    struct sim_domain *dom = sim_domain_find(f->w, 5);
    struct pb_msi_request r = { .sbdf = NIC, .msix = true, .table_base = 0xfea60000 };
    struct sim_page *page = sim_guest_page_alloc(dom);
    uint32_t pirq;
    void *map;

    assert_non_null(sim_domain_create(f->w, 7, "next", false, true));
    (void)f->xen->ops->msix_prepare(f->xen, NIC);
    (void)f->xen->ops->device_assign(f->xen, 5, NIC);
    assert_int_equal(f->xen->ops->map_msi(f->xen, 5, &r, &pirq), 0);
    assert_int_equal(f->xen->ops->page_map(f->xen, 5, page->ref, &map), 0);
    sim_domain_destroy(f->w, dom, true);
    assert_int_equal(f->xen->ops->device_assign(f->xen, 7, NIC), 0);
    assert_int_equal(violations(f), 0);
    assert_int_equal(f->xen->ops->page_unmap(f->xen, map), 0);
    assert_int_equal(violations(f), 1);
}

static void test_permissions_are_ranges(void **state)
{
    struct fixture *f = *state;
    struct sim_domain *dom = sim_domain_find(f->w, 5);

    assert_int_equal(f->xen->ops->allow_memory(f->xen, 5, 0xfea20, 0x20, true), 0);
    assert_true(sim_hyper_reachable(f->w, sim_device_find(f->w, NIC)));
    assert_int_equal(f->xen->ops->allow_memory(f->xen, 5, 0xfea28, 1, false), 0);
    assert_int_equal(dom->allowed[SIM_ALLOW_MEMORY].count, 2);
    assert_int_equal(f->xen->ops->allow_memory(f->xen, 5, 0xfea20, 0x20, false), 0);
    assert_int_equal(dom->allowed[SIM_ALLOW_MEMORY].count, 0);
    assert_int_equal(f->xen->ops->allow_ports(f->xen, 9, 1, 1, true), -ESRCH);
}

/* Hardware */

static void job_done(struct pb_job *job, void *ctx)
{
    struct fixture *f = ctx;

    f->fired++;
    f->rc = job->rc;
}

static struct pb_job claim(struct fixture *f)
{
    struct pb_job job = { .kind = PB_JOB_CLAIM,
                          .sbdf = NIC,
                          .driver = "pci-stub",
                          .deadline_ms = 50,
                          .done = job_done,
                          .ctx = f };

    f->host->ops->job_submit(f->host, &job);
    assert_int_equal(f->fired, 0);
    spin(f);
    assert_int_equal(f->fired, 1);
    f->fired = 0;
    return job;
}

static uint32_t cycle(struct fixture *f, struct pb_hw *hw, bool write, uint16_t offset,
                      uint8_t size, uint32_t value)
{
    struct pb_hw_cycle c = {
        .hw = hw, .write = write, .size = size, .offset = offset, .value = value
    };

    assert_int_equal(f->host->ops->cycle_submit(f->host, &c), PB_HW_NOW);
    assert_int_equal(c.rc, 0);
    return c.value;
}

static void test_claim_and_registers(void **state)
{
    struct fixture *f = *state;
    struct pb_job job = claim(f);

    assert_int_equal(job.rc, 0);
    assert_string_equal(job.driver_before, "e1000e");
    assert_string_equal(job.driver_now, "pci-stub");
    assert_int_equal(job.facts.vendor, 0x8086);
    assert_int_equal(job.facts.config_size, 4096);
    assert_int_equal(cycle(f, job.hw, false, 0, 4, 0), 0x10d38086);
    assert_int_equal(cycle(f, job.hw, false, 4, 2, 0), 3);
    (void)cycle(f, job.hw, true, 0x10, 4, 0xffffffff);
    assert_int_equal(cycle(f, job.hw, false, 0x10, 4, 0), 0xfffe0000);
    (void)cycle(f, job.hw, true, 0x18, 4, 0xffffffff);
    assert_int_equal(cycle(f, job.hw, false, 0x18, 4, 0), 0xffffffe1);
    (void)cycle(f, job.hw, true, 0x00, 2, 0x1234);
    assert_int_equal(cycle(f, job.hw, false, 0, 2, 0), 0x8086);
    assert_int_equal(violations(f), 0);
    (void)cycle(f, job.hw, true, MSIX, 4, 0xffffffff); /* dropped by Xen */
    assert_int_equal(cycle(f, job.hw, false, MSIX + 2, 2, 0), 4);
    assert_int_equal(violations(f), 1);
    f->host->ops->hw_close(f->host, job.hw);
}

/* What the kernel told, as text: "add unbind:e1000e …". */
static char told[256];

static void on_uevent(void *ctx, enum pb_uevent what, struct pb_sbdf sbdf, const char *driver)
{
    static const char *const names[] = { "add", "remove", "bind", "unbind", "lost" };
    size_t at = strlen(told);

    (void)ctx;
    assert_true(pb_sbdf_equal(sbdf, NIC));
    (void)snprintf(told + at, sizeof(told) - at, "%s%s%s ", names[what], driver[0] ? ":" : "",
                   driver);
}

static void command(const struct fixture *f, const char *text)
{
    struct pb_json_error error = { 0 };
    json_t *value = pb_json_parse(text, strlen(text), NULL, &error);

    sim_command_act(f->w, value);
    json_decref(value);
}

static void test_uevents_tell_what_became_of_a_device(void **state)
{
    struct fixture *f = *state;
    struct pb_hw_cycle c = { .size = 2 };
    struct pb_job job;

    told[0] = '\0';
    f->host->events = (struct pb_host_events){ on_uevent, f };
    job = claim(f);
    assert_string_equal(told, "unbind bind:pci-stub ");
    told[0] = '\0';
    command(f, "{\"do\": \"device-unplug\", \"device\": \"0000:00:05.0\"}");
    command(f, "{\"do\": \"device-plug\", \"device\": \"0000:00:05.0\"}");
    spin(f);
    assert_string_equal(told, "unbind remove add bind:e1000e ");
    c.hw = job.hw;
    (void)f->host->ops->cycle_submit(f->host, &c);
    assert_int_equal(c.rc, -ENODEV); /* of the one that was pulled */
    f->host->ops->hw_close(f->host, job.hw);
    assert_int_equal(violations(f), 0);
}

static void test_H1_unmap_after_removal_is_a_violation(void **state)
{
    struct fixture *f = *state;
    struct pb_job job = claim(f);
    struct pb_msi_request request = {
        .sbdf = NIC, .msix = true, .table_base = 0xfea60000, .entry = 1
    };
    uint32_t pirq = 0;

    assert_int_equal(f->xen->ops->msix_prepare(f->xen, NIC), 0);
    assert_int_equal(f->xen->ops->device_assign(f->xen, 5, NIC), 0);
    assert_int_equal(f->xen->ops->map_msi(f->xen, 5, &request, &pirq), 0);
    command(f, "{\"do\": \"device-unplug\", \"device\": \"0000:00:05.0\"}");
    assert_int_equal(violations(f), 0);
    (void)f->xen->ops->unmap_pirq(f->xen, 5, pirq);
    assert_int_equal(violations(f), 1);
    f->host->ops->hw_close(f->host, job.hw);
}

static void test_claim_is_refused_unless_forced(void **state)
{
    struct fixture *f = *state;
    struct sim_device *dev = sim_device_find(f->w, NIC);
    struct pb_job job;

    dev->surroundings.uses = 1U << PB_USE_ROOT;
    job = claim(f);
    assert_int_equal(job.rc, -EACCES);
    assert_true(job.reason[0] && job.next[0]);
    assert_string_equal(dev->driver, "e1000e");
    job = (struct pb_job){ .kind = PB_JOB_CLAIM,
                           .sbdf = NIC,
                           .driver = "none",
                           .force = true,
                           .done = job_done,
                           .ctx = f };
    f->host->ops->job_submit(f->host, &job);
    spin(f);
    assert_int_equal(job.rc, 0);
    assert_string_equal(job.driver_now, "");
    f->host->ops->hw_close(f->host, job.hw);
}

static void test_decode_off_under_a_guest_is_a_violation(void **state)
{
    struct fixture *f = *state;
    struct pb_job job = claim(f);

    (void)cycle(f, job.hw, true, 4, 2, 0);
    (void)cycle(f, job.hw, true, 4, 2, 3);
    assert_int_equal(violations(f), 0);
    assert_int_equal(f->xen->ops->device_assign(f->xen, 5, NIC), 0);
    (void)f->xen->ops->allow_memory(f->xen, 5, 0xfea20, 0x20, true);
    (void)cycle(f, job.hw, true, 4, 2, 1);
    assert_int_equal(violations(f), 1);
    f->host->ops->hw_close(f->host, job.hw);
}

static void cycle_done(struct pb_hw_cycle *cycle, void *ctx)
{
    struct fixture *f = ctx;

    f->fired++;
    f->rc = cycle->rc;
}

static void test_slow_device_answers_later_and_close_cancels(void **state)
{
    struct fixture *f = *state;
    struct pb_job job = claim(f);
    struct pb_hw_cycle c = { .hw = job.hw, .size = 4, .done = cycle_done, .ctx = f };

    sim_device_find(f->w, NIC)->slow_ms = 5;
    assert_int_equal(f->host->ops->cycle_submit(f->host, &c), PB_HW_LATER);
    spin(f);
    assert_int_equal(f->fired, 1);
    assert_int_equal(c.value, 0x10d38086);
    assert_int_equal(f->host->ops->cycle_submit(f->host, &c), PB_HW_LATER);
    f->host->ops->hw_close(f->host, job.hw);
    assert_int_equal(f->rc, -ECANCELED);
    assert_int_equal(f->fired, 2);
}

static void test_jobs_fail_and_hang(void **state)
{
    struct fixture *f = *state;
    struct pb_job job;

    assert_true(sim_log_fault(&f->w->log, "job_*", 1, 1, "EBUSY", NULL));
    assert_int_equal(claim(f).rc, -EBUSY);
    assert_true(sim_log_fault(&f->w->log, "job_claim", 1, 1, "ETIMEDOUT", NULL));
    assert_int_equal(claim(f).rc, -ETIMEDOUT);
    sim_device_find(f->w, NIC)->gone = true;
    assert_int_equal(claim(f).rc, -ENODEV);
    sim_device_find(f->w, NIC)->gone = false;
    job = claim(f);
    f->host->ops->hw_close(f->host, job.hw);
    job.kind = PB_JOB_RESET;
    f->host->ops->job_submit(f->host, &job);
    spin(f);
    assert_int_equal(job.rc, 0);
    assert_int_equal(sim_device_find(f->w, NIC)->resets, 1);
}

static void test_action_of_a_fault_runs_at_its_call(void **state)
{
    struct fixture *f = *state;
    struct pb_domain info;

    assert_true(sim_log_fault(&f->w->log, "device_*", 2, 1, NULL,
                              json_pack("{s:s, s:i}", "do", "domain-destroy", "domid", 5)));
    assert_int_equal(f->xen->ops->device_test(f->xen, 5, NIC), 0);
    assert_int_equal(f->xen->ops->device_assign(f->xen, 5, NIC), -ESRCH);
    assert_int_equal(f->xen->ops->domain_get(f->xen, 5, &info), -ENOENT);
}

/* The frontend */

static void write_number(struct fixture *f, const char *path, const char *value)
{
    assert_int_equal(sim_store_write(f->w, 0, path, value, strlen(value)), 0);
    spin(f);
}

static void test_follow_does_what_pcifront_does(void **state)
{
    static const char be[] = "/local/domain/0/backend/pcibackd/5/0";
    static const char fe[] = "/local/domain/5/device/pci/0";
    struct fixture *f = *state;
    struct sim_domain *dom = sim_domain_find(f->w, 5);

    sim_front_follow(f->w, dom, true);
    write_number(f, "/local/domain/0/backend/pcibackd/5/0/state", "1");
    (void)sim_store_perms(f->w, 0, be, 0, 5);
    write_number(f, "/local/domain/0/backend/pcibackd/5/0/state", "1");
    (void)sim_store_perms(f->w, 0, "/local/domain/0/backend/pcibackd/5/0/state", 0, 5);
    (void)sim_store_mkdir(f->w, 0, fe);
    (void)sim_store_perms(f->w, 0, fe, 5, 0);
    write_number(f, "/local/domain/5/device/pci/0/backend", be);
    write_number(f, "/local/domain/5/device/pci/0/state", "1");
    assert_string_equal(sim_store_read(f->w, 0, "/local/domain/5/device/pci/0/state"), "3");
    assert_string_equal(sim_store_read(f->w, 0, "/local/domain/5/device/pci/0/magic"), "7");
    write_number(f, "/local/domain/0/backend/pcibackd/5/0/state", "4");
    assert_int_equal(dom->front.state, 4);
    write_number(f, "/local/domain/0/backend/pcibackd/5/0/state", "7");
    assert_int_equal(dom->front.state, 7);
    write_number(f, "/local/domain/0/backend/pcibackd/5/0/state", "8");
    assert_int_equal(dom->front.state, 4);
    assert_int_equal(dom->front.connects, 2);
    write_number(f, "/local/domain/0/backend/pcibackd/5/0/state", "5");
    assert_int_equal(dom->front.state, 6);
    (void)sim_store_remove(f->w, 0, fe);
    spin(f);
    assert_false(dom->front.probed);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(store_answers_later_and_in_order),
        T(failed_expectation_undoes_the_transaction),
        T(any_step_of_a_transaction_can_be_made_to_fail),
        T(watch_fires_after_add_once_a_batch_and_for_a_removed_parent),
        T(store_dies_and_returns),
        T(guest_writes_only_what_it_owns),
        T(port_is_masked_from_its_event_to_unmask),
        T(mapped_page_keeps_a_zombie),
        T(assignment),
        T(msix_needs_owner_preparation_and_decode),
        T(H18_rows_of_msi_are_as_xen_makes_them),
        T(H8_vectors_are_lost_in_a_reset_until_they_are_restored),
        T(pirqs_run_out),
        T(pirq_that_outlives_its_guest_harms_the_next),
        T(permissions_are_ranges),
        T(claim_and_registers),
        T(uevents_tell_what_became_of_a_device),
        T(H1_unmap_after_removal_is_a_violation),
        T(claim_is_refused_unless_forced),
        T(decode_off_under_a_guest_is_a_violation),
        T(slow_device_answers_later_and_close_cancels),
        T(jobs_fail_and_hang),
        T(action_of_a_fault_runs_at_its_call),
        T(follow_does_what_pcifront_does),
    };

    return cmocka_run_group_tests_name("sim tables", tests, NULL, NULL);
}
