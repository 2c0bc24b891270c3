/* SPDX-License-Identifier: MIT */
#include "sim_toolstack.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "pci/regs.h"
#include "sim_hyper.h"
#include "sim_world.h"

#define KEYS(...) ((const char *const[]){ "do", __VA_ARGS__, NULL })
#define POLLS     100
#define MAX       64

struct run;
typedef void (*step_fn)(struct run *run);

/* A call into libxl that is under way. */
struct run {
    struct sim_timer timer;
    struct sim_world *w;
    struct sim_client *client;
    unsigned domid, poll_ms, polls;
    step_fn next, gave_up_step; /* after a wait: it was long enough, or it was not */
    struct sim_device *device[MAX];
    unsigned count, at, index;
    bool destroy, permissive;
    unsigned vdevfn;
    bool gave_up;
    json_t *waits;
};

/* --- the store --- */

__attribute__((format(printf, 1, 2))) static const char *path_of(const char *fmt, ...)
{
    static char path[2][PB_STORE_PATH_MAX];
    static unsigned turn;
    va_list ap;

    turn ^= 1;
    va_start(ap, fmt);
    (void)vsnprintf(path[turn], sizeof(path[turn]), fmt, ap);
    va_end(ap);
    return path[turn];
}

static const char *be(unsigned domid)
{
    static char path[64];

    (void)snprintf(path, sizeof(path), "/local/domain/0/backend/pci/%u/0", domid);
    return path;
}

static const char *read_node(struct sim_world *w, const char *path)
{
    return sim_store_read(w, 0, path);
}

static void write_node(struct sim_world *w, const char *path, const char *value)
{
    (void)sim_store_write(w, 0, path, value, strlen(value));
}

static void write_number(struct sim_world *w, const char *path, unsigned value)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "%u", value);
    write_node(w, path, text);
}

static unsigned num_devs(struct sim_world *w, unsigned domid)
{
    const char *text = read_node(w, path_of("%s/num_devs", be(domid)));

    return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}

static void reservation(const struct sim_device *dev, char path[PB_STORE_PATH_MAX])
{
    char text[PB_SBDF_TEXT];

    (void)snprintf(text, sizeof(text), "%s", dev->text);
    for (char *p = text; *p; p++)
        *p = *p == ':' || *p == '.' ? '-' : *p;
    (void)snprintf(path, PB_STORE_PATH_MAX, "/libxl/pci/%s/domid", text);
}

/* --- the end of a call, and waiting --- */

static void note(const struct run *run, const char *what, const struct sim_device *dev)
{
    (void)sim_log_leave(
        run->w, what,
        json_pack("{s:i, s:s?}", "domid", (int)run->domid, "device", dev ? dev->text : NULL), 0);
}

static void end(struct run *run, int rc)
{
    sim_timer_stop(&run->timer);
    sim_client_reply(run->client, json_pack("{s:b, s:i, s:o, s:b}", "ok", 1, "rc", rc, "waits",
                                            run->waits, "gave_up", run->gave_up ? 1 : 0));
    sim_free(run);
}

static void poll_state(struct run *run)
{
    const char *state = read_node(run->w, path_of("%s/state", be(run->domid)));
    bool there = state && strcmp(state, "4") == 0;

    if (!there && ++run->polls < POLLS)
        return;
    sim_timer_stop(&run->timer);
    (void)json_array_append_new(run->waits, json_integer((json_int_t)run->polls * run->poll_ms));
    if (!there)
        run->gave_up = true;
    (there ? run->next : run->gave_up_step)(run);
}

static void polled(struct sim_timer *timer)
{
    poll_state(PB_CONTAINER_OF(timer, struct run, timer));
}

/* libxl__wait_for_backend: "4", and nothing else; only for PV guests. */
static void wait_connected(struct run *run, step_fn next, step_fn gave_up)
{
    const struct sim_domain *dom = sim_domain_find(run->w, run->domid);

    if (dom && dom->hvm) {
        next(run);
        return;
    }
    run->polls = 0;
    run->next = next;
    run->gave_up_step = gave_up;
    sim_timer_start(&run->timer, run->poll_ms / 1000.0, run->poll_ms / 1000.0);
    poll_state(run);
}

static struct run *run_new(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct run *run = sim_alloc(sizeof(*run));

    run->w = w;
    run->client = client;
    run->domid = (unsigned)sim_number(at, "domid", 1, 0x7fef, 0);
    run->poll_ms = (unsigned)sim_number(at, "poll_ms", 1, 1000, 5);
    run->waits = json_array();
    sim_timer_init(&run->timer, w, polled);
    sim_client_hold(client);
    return run;
}

/* --- attach --- */

static void grant(const struct run *run, const struct sim_device *dev, bool allow)
{
    for (unsigned i = 0; i < PB_PCI_RESOURCES; i++) {
        const struct pb_resource *res = &dev->facts.resource[i];
        uint64_t size = res->end - res->start + 1;

        if (res->start == 0)
            continue;
        if (res->flags & PB_RES_IO)
            (void)sim_hyper_allow(run->w, run->domid, SIM_ALLOW_PORTS, res->start, size, allow);
        else
            (void)sim_hyper_allow(run->w, run->domid, SIM_ALLOW_MEMORY, res->start >> 12,
                                  (size + 4095) >> 12, allow);
    }
    if (dev->facts.irq == 0)
        return;
    if (allow)
        (void)sim_hyper_map_gsi(run->w, run->domid, dev->facts.irq);
    else
        (void)sim_hyper_unmap_pirq(run->w, run->domid, dev->facts.irq);
    (void)sim_hyper_allow(run->w, run->domid, SIM_ALLOW_IRQ, dev->facts.irq, 1, allow);
}

static void create_dirs(struct run *run)
{
    struct sim_world *w = run->w;
    const char *dir = be(run->domid);
    char fe[64], number[16];

    (void)snprintf(fe, sizeof(fe), "/local/domain/%u/device/pci/0", run->domid);
    (void)snprintf(number, sizeof(number), "%u", run->domid);
    (void)sim_store_remove(w, 0, dir);
    (void)sim_store_mkdir(w, 0, dir);
    (void)sim_store_perms(w, 0, dir, 0, (uint16_t)run->domid);
    write_node(w, path_of("%s/frontend", dir), fe);
    write_node(w, path_of("%s/frontend-id", dir), number);
    write_node(w, path_of("%s/online", dir), "1");
    write_node(w, path_of("%s/state", dir), "1");
    write_node(w, path_of("%s/domain", dir), "guest");
    (void)sim_store_remove(w, 0, fe);
    (void)sim_store_mkdir(w, 0, fe);
    (void)sim_store_perms(w, 0, fe, (uint16_t)run->domid, 0);
    write_node(w, path_of("%s/backend", fe), dir);
    write_node(w, path_of("%s/backend-id", fe), "0");
    write_node(w, path_of("%s/state", fe), "1");
}

static void write_device(struct run *run, unsigned n)
{
    struct sim_world *w = run->w;
    const struct sim_device *dev = run->device[0];
    char value[80];

    write_node(w, path_of("%s/key-%u", be(run->domid), n), dev->text);
    write_node(w, path_of("%s/dev-%u", be(run->domid), n), dev->text);
    if (run->vdevfn) {
        (void)snprintf(value, sizeof(value), "%x", run->vdevfn);
        write_node(w, path_of("%s/vdevfn-%u", be(run->domid), n), value);
    }
    (void)snprintf(value, sizeof(value),
                   "msitranslate=0,power_mgmt=0,permissive=%d,rdm_policy=strict",
                   run->permissive ? 1 : 0);
    write_node(w, path_of("%s/opts-%u", be(run->domid), n), value);
    write_node(w, path_of("%s/state-%u", be(run->domid), n), "1");
    write_number(w, path_of("%s/num_devs", be(run->domid)), n + 1);
    note(run, "xl.added", dev);
}

static void add_first(struct run *run)
{
    create_dirs(run);
    write_device(run, 0);
    end(run, 0);
}

static void add_further(struct run *run)
{
    write_device(run, num_devs(run->w, run->domid));
    end(run, 0);
}

static void add_plugged(struct run *run)
{
    write_device(run, num_devs(run->w, run->domid));
    write_node(run->w, path_of("%s/state", be(run->domid)), "7");
    end(run, 0);
}

static void add_refused(struct run *run)
{
    end(run, -ETIMEDOUT);
}

static json_t *attach(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct sim_device *dev = sim_device_at(w, at);
    bool starting = sim_bool(at, "starting", false), unchecked = sim_bool(at, "unchecked", false);
    char path[PB_STORE_PATH_MAX];
    struct run *run;
    int rc;

    if (!dev || !client)
        return sim_error(" ");
    reservation(dev, path);
    if (!unchecked && (strcmp(dev->driver, "pciback") != 0 || read_node(w, path)))
        return sim_error("%s is not assignable", dev->text);
    run = run_new(w, at, client);
    run->device[0] = dev;
    run->permissive = sim_bool(at, "permissive", false);
    run->vdevfn = (unsigned)sim_number(at, "vdevfn", 0, 255, 0);
    write_number(w, path, run->domid);
    sim_device_reset(dev);
    grant(run, dev, true);
    dev->owner = dev->owner == PB_DOMID_IO ? 0 : dev->owner;
    rc = sim_hyper_assign(w, run->domid, dev->sbdf);
    note(run, "xl.assign", dev);
    if (rc)
        end(run, rc);
    else if (!read_node(w, path_of("%s/num_devs", be(run->domid))))
        add_first(run);
    else if (starting)
        add_further(run);
    else
        wait_connected(run, add_plugged, add_refused);
    return NULL;
}

/* --- detach --- */

static void remove_next(struct run *run);

static void unreserve(struct run *run)
{
    char path[PB_STORE_PATH_MAX];

    reservation(run->device[run->at], path);
    (void)sim_store_remove(run->w, 0, path);
    *strrchr(path, '/') = '\0';
    (void)sim_store_remove(run->w, 0, path);
    note(run, "xl.removed", run->device[run->at]);
    run->at++;
    remove_next(run);
}

static const char *const node_names[] = { "state", "dev", "key", "vdev", "vdevfn", "opts", "name" };

/* N becomes TO. The first three are used without a look whether they are there. */
static void move(struct run *run, unsigned n, unsigned to)
{
    for (unsigned i = 0; i < PB_ARRAY_SIZE(node_names); i++) {
        const char *from = path_of("%s/%s-%u", be(run->domid), node_names[i], n);
        const char *value = read_node(run->w, from);

        if (i < 3 && !value)
            sim_log_violation(run->w, "xl crashes: %s-%u is missing", node_names[i], n);
        if (value)
            write_node(run->w, path_of("%s/%s-%u", be(run->domid), node_names[i], to), value);
        else
            (void)sim_store_remove(run->w, 0,
                                   path_of("%s/%s-%u", be(run->domid), node_names[i], to));
        (void)sim_store_remove(run->w, 0, path_of("%s/%s-%u", be(run->domid), node_names[i], n));
    }
}

static void remove_dirs(struct run *run)
{
    struct sim_world *w = run->w;
    const struct sim_node *node;

    (void)sim_store_remove(w, 0, path_of("/local/domain/%u/device/pci/0", run->domid));
    (void)sim_store_remove(w, 0, path_of("/local/domain/%u/device/pci", run->domid));
    (void)sim_store_remove(w, 0, path_of("/local/domain/0/backend/pci/%u", run->domid));
    node = sim_store_find(&w->store, "/local/domain/0/backend/pci");
    if (node && TAILQ_EMPTY(&node->children))
        (void)sim_store_remove(w, 0, "/local/domain/0/backend/pci");
}

static void second_transaction(struct run *run)
{
    unsigned count = num_devs(run->w, run->domid);

    if (count == 1) {
        remove_dirs(run);
    } else {
        for (unsigned i = 0; i < PB_ARRAY_SIZE(node_names); i++)
            (void)sim_store_remove(run->w, 0,
                                   path_of("%s/%s-%u", be(run->domid), node_names[i], run->index));
        for (unsigned n = run->index + 1; n < count; n++)
            move(run, n, n - 1);
        write_number(run->w, path_of("%s/num_devs", be(run->domid)), count - 1);
    }
    unreserve(run);
}

static void first_transaction(struct run *run)
{
    write_node(run->w, path_of("%s/state-%u", be(run->domid), run->index), "5");
    write_node(run->w, path_of("%s/state", be(run->domid)), "7");
    note(run, "xl.unplug", run->device[run->at]);
    wait_connected(run, second_transaction, unreserve);
}

static bool find_index(struct run *run)
{
    unsigned count = num_devs(run->w, run->domid);

    for (run->index = 0; run->index < count; run->index++) {
        const char *dev = read_node(run->w, path_of("%s/dev-%u", be(run->domid), run->index));

        if (dev && strcmp(dev, run->device[run->at]->text) == 0)
            return true;
    }
    return false;
}

static void remove_nodes(struct run *run)
{
    if (find_index(run))
        first_transaction(run);
    else
        unreserve(run);
}

static void remove_next(struct run *run)
{
    struct sim_domain *dom = sim_domain_find(run->w, run->domid);
    struct sim_device *dev;

    if (run->at == run->count) {
        if (run->destroy && dom)
            sim_domain_destroy(run->w, dom, true);
        end(run, 0);
        return;
    }
    dev = run->device[run->at];
    grant(run, dev, false);
    sim_device_reset(dev);
    if (dev->owner == run->domid)
        dev->owner = PB_DOMID_IO;
    note(run, "xl.deassign", dev);
    wait_connected(run, remove_nodes, unreserve);
}

static json_t *detach(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct sim_device *dev = sim_device_at(w, at);
    struct run *run;

    if (!dev || !client)
        return sim_error(" ");
    run = run_new(w, at, client);
    run->device[0] = dev;
    run->count = 1;
    if (!find_index(run)) {
        end(run, -ENODEV);
        return NULL;
    }
    remove_next(run);
    return NULL;
}

/* libxl__device_pci_list: NULL into sscanf when a node is missing. */
static json_t *list_of(struct sim_world *w, unsigned domid)
{
    json_t *list = json_array();
    unsigned count = num_devs(w, domid);

    for (unsigned n = 0; n < count; n++) {
        const char *dev = read_node(w, path_of("%s/dev-%u", be(domid), n));

        if (!dev)
            sim_log_violation(w, "xl crashes: dev-%u of domain %u is missing", n, domid);
        else
            (void)json_array_append_new(list, json_string(dev));
    }
    return list;
}

static json_t *list(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    (void)client;
    return json_pack("{s:b, s:o}", "ok", 1, "devices",
                     list_of(w, (unsigned)sim_number(at, "domid", 1, 0x7fef, 0)));
}

static json_t *destroy(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct run *run;
    json_t *devices, *name;
    size_t i;

    if (!client)
        return sim_error(" ");
    run = run_new(w, at, client);
    run->destroy = true;
    devices = list_of(w, run->domid);
    json_array_foreach (devices, i, name) {
        struct pb_sbdf sbdf;

        if (pb_sbdf_parse(json_string_value(name), &sbdf) && run->count < MAX &&
            sim_device_find(w, sbdf))
            run->device[run->count++] = sim_device_find(w, sbdf);
    }
    json_decref(devices);
    remove_next(run);
    return NULL;
}

/* --- assignable devices --- */

static json_t *assignable_add(struct sim_world *w, const struct pb_json *at,
                              struct sim_client *client)
{
    struct sim_device *dev = sim_device_at(w, at);

    (void)client;
    if (!dev)
        return sim_error(" ");
    if (strcmp(dev->driver, "pciback") == 0)
        return sim_ok();
    memcpy(dev->host_driver, dev->driver, sizeof(dev->host_driver));
    (void)snprintf(dev->driver, sizeof(dev->driver), "pciback");
    dev->prepared = sim_device_cap(dev, SIM_CAP_MSIX) != 0;
    sim_device_change(dev, PCI_COMMAND, PCI_COMMAND_MASTER, 0);
    return sim_result(sim_hyper_assign(w, PB_DOMID_IO, dev->sbdf));
}

static json_t *assignable_remove(struct sim_world *w, const struct pb_json *at,
                                 struct sim_client *client)
{
    struct sim_device *dev = sim_device_at(w, at);

    (void)client;
    if (!dev)
        return sim_error(" ");
    if (sim_hyper_deassign(w, PB_DOMID_IO, dev->sbdf) != 0)
        return sim_error("it is not in quarantine");
    dev->prepared = false;
    memcpy(dev->driver, dev->host_driver, sizeof(dev->driver));
    return sim_ok();
}

const struct sim_command sim_commands_toolstack[] = {
    { "xl-assignable-add", KEYS("device"), assignable_add },
    { "xl-assignable-remove", KEYS("device"), assignable_remove },
    { "xl-attach",
      KEYS("domid", "device", "permissive", "vdevfn", "starting", "unchecked", "poll_ms"), attach },
    { "xl-detach", KEYS("domid", "device", "poll_ms"), detach },
    { "xl-destroy", KEYS("domid", "poll_ms"), destroy },
    { "xl-list", KEYS("domid"), list },
    { NULL, NULL, NULL },
};
