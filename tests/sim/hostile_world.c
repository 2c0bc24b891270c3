/* SPDX-License-Identifier: MIT */
#include "hostile_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/journal.h"
#include "base/log.h"
#include "sim_command.h"
#include "sim_hyper.h"
#include "sim_scenario.h"

/* Its MSI can do 8 vectors and it has FLR, so that both are something to ask for. */
static const char scenario[] =
    "{ \"devices\": ["
    "{ \"bdf\": \"0000:00:05.0\", \"dump\": \"e1000e.txt\", \"driver\": \"e1000e\", \"irq\": 21,"
    "  \"resources\": [[\"0xfea20000\", \"0xfea3ffff\", \"0x40200\"],"
    "    [\"0xfea40000\", \"0xfea5ffff\", \"0x40200\"], [\"0xc040\", \"0xc05f\", \"0x40101\"],"
    "    [\"0xfea60000\", \"0xfea63fff\", \"0x40200\"]],"
    "  \"patch\": [[210, 2, 134], [228, 4, 268468224]] },"
    "{ \"bdf\": \"0000:00:06.0\", \"dump\": \"nvme.txt\", \"driver\": \"nvme\", \"irq\": 20,"
    "  \"resources\": [[\"0xfea68000\", \"0xfea6bfff\", \"0x140204\"]] } ],"
    "\"domains\": [ { \"id\": 5, \"name\": \"hostile\" }, { \"id\": 6, \"name\": \"other\" } ] }";

/* The tables with `inside` in front of each call that a guest can cause. */
static struct hostile *current;
struct pb_quirk_set *hostile_quirks;
static struct pb_xen_ops xen_ops;
static struct pb_host_ops host_ops;
static const struct pb_xen_ops *real_xen;
static const struct pb_host_ops *real_host;

static void inside(void)
{
    if (current->inside)
        current->inside(current);
}

static enum pb_hw_when cycle_submit(struct pb_host *host, struct pb_hw_cycle *cycle)
{
    inside();
    return real_host->cycle_submit(host, cycle);
}

static int map_msi(struct pb_xen *x, uint32_t domid, const struct pb_msi_request *request,
                   uint32_t *ret_pirq)
{
    inside();
    return real_xen->map_msi(x, domid, request, ret_pirq);
}

static int unmap_pirq(struct pb_xen *x, uint32_t domid, uint32_t pirq)
{
    inside();
    return real_xen->unmap_pirq(x, domid, pirq);
}

static int port_notify(struct pb_xen *x, uint32_t port)
{
    int rc = real_xen->port_notify(x, port);

    if (current->answered)
        current->answered(current);
    return rc;
}

static void wrap(struct hostile *h)
{
    real_xen = h->xen->ops;
    real_host = h->host->ops;
    xen_ops = *real_xen;
    host_ops = *real_host;
    xen_ops.map_msi = map_msi;
    xen_ops.unmap_pirq = unmap_pirq;
    xen_ops.port_notify = port_notify;
    host_ops.cycle_submit = cycle_submit;
    h->xen->ops = &xen_ops;
    h->host->ops = &host_ops;
    current = h;
}

/* As in production: every operation leaves its mark there before it is carried out. */
static void keep_journal(struct hostile *h)
{
    struct pb_journal_options options = { .boot = "11111111-2222-3333-4444-555555555555",
                                          .guests = 4,
                                          .reserve_guests = 1,
                                          .reserve_devices = 1,
                                          .devices = 4 };
    enum pb_journal_found found;
    struct pb_journal *journal;
    char why[300] = "";

    (void)snprintf(h->dir, sizeof(h->dir), "%s", "/dev/shm/pcibackd-hostile-XXXXXX");
    assert_non_null(mkdtemp(h->dir));
    options.dir = h->dir;
    if (pb_journal_open(&options, &found, &journal, why, sizeof(why)) != 0)
        fail_msg("%s", why);
    pb_backend_use_journal(h->b, journal);
}

static void remove_journal(const struct hostile *h)
{
    char path[sizeof(h->dir) + 16];

    (void)snprintf(path, sizeof(path), "%s/journal", h->dir);
    (void)unlink(path);
    assert_int_equal(rmdir(h->dir), 0);
}

static void done(void *ctx, const struct pb_failure *failure)
{
    bool *flag = ctx;

    if (failure)
        fail_msg("%s: %s", failure->device, failure->reason);
    *flag = true;
}

static void run_until(struct hostile *h, const bool *flag)
{
    for (unsigned i = 0; i < 100000 && !*flag; i++)
        ev_run(h->loop, EVRUN_ONCE);
    assert_true(*flag);
}

static void give(struct hostile *h, struct sim_domain *dom, const char *guest, const char *bdf)
{
    const struct pb_attach_options options = { .wait_s = 5, .claim = true };
    bool flag = false;

    sim_front_follow(h->w, dom, true);
    pb_backend_attach(h->b, guest, bdf, &options, done, &flag);
    run_until(h, &flag);
}

void hostile_settle(struct hostile *h)
{
    for (unsigned i = 0; i < 100000; i++) {
        bool idle = sim_world_idle(h->w) && !h->dev->flr && !hostile_waits(h->dom);

        ev_run(h->loop, idle ? EVRUN_NOWAIT : EVRUN_ONCE);
        if (idle && sim_world_idle(h->w))
            return;
    }
    fail_msg("the world does not come to rest");
}

int hostile_setup(void **state)
{
    struct hostile *h = calloc(1, sizeof(*h));
    struct pb_json_error error = { 0 };
    json_t *value = pb_json_parse(scenario, strlen(scenario), "scenario", &error);
    struct pb_policy *policy = calloc(1, sizeof(*policy));
    bool started = false;

    assert_non_null(h);
    assert_non_null(value);
    assert_non_null(policy);
    *state = h;
    pb_log_setup(PB_LOG_TEXT, PB_LOG_ERR);
    pb_policy_init(policy);
    policy->busy_poll_us = 0; /* the port is unmasked at once: nothing waits for the loop */
    h->w = sim_world_new();
    h->w->log.act = sim_command_act;
    if (!sim_scenario_apply(h->w, value, "scenario", SIM_DEVICES_DIR, &error))
        fail_msg("%s", error.text);
    json_decref(value);
    h->loop = ev_loop_new(EVFLAG_AUTO);
    h->host = sim_host_open(h->w, h->loop);
    h->xen = sim_xen_open(h->w, h->loop);
    wrap(h);
    assert_int_equal(pb_backend_new(h->loop, h->xen, h->host, policy, hostile_quirks, &h->b), 0);
    hostile_quirks = NULL;
    keep_journal(h);
    pb_backend_start(h->b, done, &started);
    run_until(h, &started);
    h->dom = sim_domain_find(h->w, HOSTILE);
    h->other = sim_domain_find(h->w, OTHER);
    give(h, h->dom, "hostile", "0000:00:05.0");
    give(h, h->other, "other", "0000:00:06.0");
    h->dev = TAILQ_FIRST(&pb_guest_find(h->b, HOSTILE)->devices);
    h->nic = sim_device_find(h->w, h->dev->sbdf);
    h->page = h->dom->front.page->guest;
    hostile_settle(h);
    assert_int_equal(hostile_access(h, false, 0, 4, 0), 0);
    assert_int_equal(h->last.value, 0x10d38086);
    return 0;
}

int hostile_teardown(void **state)
{
    struct hostile *h = *state;

    h->inside = h->answered = NULL;
    hostile_settle(h);
    hostile_quiet(h);
    pb_backend_free(h->b);
    h->xen->ops->close(h->xen);
    h->host->ops->close(h->host);
    sim_world_free(h->w);
    ev_loop_destroy(h->loop);
    remove_journal(h);
    free(h);
    return 0;
}

bool hostile_waits(const struct sim_domain *dom)
{
    return dom->front.page && sim_front_flags(dom) & SIM_FLAG_ACTIVE;
}

void hostile_post(struct hostile *h, const struct sim_domain *dom, const struct pb_op *op)
{
    uint32_t *page = dom->front.page->guest, word;

    (void)h;
    for (size_t i = 0; i < sizeof(*op) / sizeof(word); i++) { /* other threads may write it, too */
        memcpy(&word, (const char *)op + i * sizeof(word), sizeof(word));
        __atomic_store_n(page + PB_PAGE_OP / sizeof(word) + i, word, __ATOMIC_RELAXED);
    }
    sim_front_set_flags(dom, SIM_FLAG_ACTIVE, 0);
}

void hostile_notify(struct hostile *h, struct sim_domain *dom)
{
    sim_guest_port_notify(h->w, dom, dom->front.port);
    sim_port_deliver(h->w);
}

int hostile_op(struct hostile *h, const struct pb_op *op)
{
    hostile_post(h, h->dom, op);
    hostile_notify(h, h->dom);
    for (unsigned i = 0; hostile_waits(h->dom) && i < 100000; i++)
        ev_run(h->loop, EVRUN_ONCE);
    if (hostile_waits(h->dom))
        fail_msg("no answer to command %u", op->cmd);
    memcpy(&h->last, h->page + PB_PAGE_OP, sizeof(h->last));
    return h->last.err;
}

int hostile_access(struct hostile *h, bool write, int32_t offset, int32_t size, uint32_t value)
{
    const struct pb_op op = { .cmd = write ? PB_CMD_CONF_WRITE : PB_CMD_CONF_READ,
                              .offset = offset,
                              .size = size,
                              .value = value,
                              .err = 0x55 };

    return hostile_op(h, &op);
}

void hostile_quiet(struct hostile *h)
{
    const json_t *first = json_array_get(h->w->log.violations, 0);

    if (first)
        fail_msg("%s", json_string_value(json_object_get(first, "text")));
}

unsigned hostile_vectors(const struct hostile *h)
{
    return sim_hyper_vectors(h->w, h->nic);
}

uint32_t hostile_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

uint32_t hostile_word(uint32_t *state)
{
    static const uint32_t edges[] = { 0,          1,          2,          3,         4,
                                      5,          8,          0x3f,       0x7f,      0x80,
                                      0x81,       0xff,       0x100,      0xffc,     0xfff,
                                      0x1000,     0xffff,     0x10000,    0x1ffc,    0x7ffffffc,
                                      0x7fffffff, 0x80000000, 0xfffff000, 0xffffffff };
    uint32_t r = hostile_random(state);

    return r % 4 ? edges[r / 4 % PB_ARRAY_SIZE(edges)] : hostile_random(state);
}
