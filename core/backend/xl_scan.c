/* SPDX-License-Identifier: MIT */
/*
 * The devices of a directory that we serve. The toolstack numbers them, and numbers them anew when
 * it removes one: a device is known by the address in dev-N, never by N.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/guest.h"
#include "backend/record.h"
#include "backend/xl_dir.h"
#include "base/log.h"

#define STEPS_BEFORE 3 /* of the request that reads the entries */
#define STEPS_EACH   4

static const char *value_of(const struct pb_store_req *req, unsigned n, unsigned which)
{
    return pb_store_value(req, STEPS_BEFORE + n * STEPS_EACH + which);
}

/* "permissive=1" as one of the words between commas. */
static bool is_permissive(const char *opts)
{
    static const char word[] = "permissive=1";

    while (opts) {
        size_t n = strcspn(opts, ",");

        if (n == sizeof(word) - 1 && strncmp(opts, word, n) == 0)
            return true;
        opts = opts[n] ? opts + n + 1 : NULL;
    }
    return false;
}

static int wanted_devfn(const char *text)
{
    size_t n = text ? strspn(text, "0123456789abcdefABCDEF") : 0;

    if (n == 0 || n > 8 || text[n] || strtoul(text, NULL, 16) > 0xff)
        return PB_VDEVFN_ANY;
    return (int)strtoul(text, NULL, 16);
}

static void read_entry(const struct pb_store_req *req, unsigned n, struct pb_xl_entry *e)
{
    const char *dev = value_of(req, n, 0);
    uint64_t state;

    *e = (struct pb_xl_entry){ .state = PB_XL_NO_STATE };
    e->absent = req->step[STEPS_BEFORE + n * STEPS_EACH].rc == -ENOENT;
    if (dev && strlen(dev) < sizeof(e->text)) {
        (void)snprintf(e->text, sizeof(e->text), "%s", dev);
        e->good = pb_sbdf_parse(dev, &e->sbdf);
    }
    if (pb_store_number(req, STEPS_BEFORE + n * STEPS_EACH + 1, PB_XENBUS_COUNT - 1, &state) == 0)
        e->state = (unsigned)state;
    e->permissive = is_permissive(value_of(req, n, 2));
    e->wanted = wanted_devfn(value_of(req, n, 3));
}

/* --- what follows of it --- */

static struct pb_device *device_of(const struct pb_guest *g, struct pb_sbdf sbdf)
{
    struct pb_device *dev;

    TAILQ_FOREACH (dev, &g->devices, sibling) {
        if (pb_sbdf_equal(dev->sbdf, sbdf))
            return dev;
    }
    return NULL;
}

/* The toolstack's word about a device that the guest has, or is about to have. */
static void compare(struct pb_guest *g, struct pb_device *dev, const struct pb_xl_entry *e)
{
    unsigned was = dev->node_state;

    if (e->state == PB_XENBUS_CLOSING && dev->node_state != PB_XENBUS_CLOSING) {
        dev->node_state = PB_XENBUS_CLOSING;
        dev->let_go = false;
        ev_timer_stop(g->b->loop, &g->dir->deadline);
        ev_timer_set(&g->dir->deadline, g->b->policy->limits.detach_timeout_ms / 1000.0, 0.);
        ev_timer_start(g->b->loop, &g->dir->deadline);
    }
    if (dev->node_state == PB_XENBUS_CLOSING && !g->page && !dev->let_go) {
        /* No frontend is connected that could be asked. */
        dev->let_go = true;
        pb_xl_return(dev);
    }
    /* What we wrote before did not arrive. */
    if (e->state == PB_XENBUS_INITIALISING && dev->node_state == PB_XENBUS_INITIALISED &&
        dev->ready && !g->acting)
        dev->node_state = PB_XENBUS_INITIALISING;
    if (dev->node_state != was)
        pb_record_device(dev);
}

static void look_at_entry(struct pb_xl_dir *dir, unsigned n)
{
    const struct pb_xl_entry *e = &dir->entry[n];
    const struct pb_xl_errand *errand;
    struct pb_device *dev;

    if (!e->good) {
        if (e->state == PB_XENBUS_INITIALISING)
            pb_xl_mark_bad(dir, n, "its dev is no address");
        return;
    }
    dev = device_of(dir->g, e->sbdf);
    if (dev && dev->node < 0) {
        dev->node = (int)n;
        compare(dir->g, dev, e);
    } else if (dev && e->state == PB_XENBUS_INITIALISING) {
        pb_xl_mark_bad(dir, n, "the same device stands in the directory twice");
    } else if (!dev && e->state == PB_XENBUS_INITIALISING) {
        errand = pb_xl_errand_of(dir, e->sbdf);
        if (!errand)
            pb_xl_prepare(dir, e);
        else if (errand->failed)
            pb_xl_mark_bad(dir, n, errand->reason);
    }
}

/* Without an entry any more: the toolstack took it, and did not wait for the guest. */
static void take_lost(struct pb_guest *g)
{
    struct pb_device *dev;

    TAILQ_FOREACH (dev, &g->devices, sibling) {
        if (dev->node < 0)
            pb_xl_return(dev);
    }
}

static bool is_wanted(const struct pb_xl_dir *dir, struct pb_sbdf sbdf)
{
    for (unsigned n = 0; n < dir->count; n++) {
        const struct pb_xl_entry *e = &dir->entry[n];

        if (e->good && e->state == PB_XENBUS_INITIALISING && pb_sbdf_equal(e->sbdf, sbdf))
            return true;
    }
    return false;
}

/* Failures that their entries say, or whose entries are gone. */
static void forget_failures(struct pb_xl_dir *dir)
{
    struct pb_xl_errand *errand = TAILQ_FIRST(&dir->errands), *next;

    for (; errand; errand = next) {
        next = TAILQ_NEXT(errand, link);
        if (errand->failed && !is_wanted(dir, errand->sbdf))
            pb_xl_errand_forget(errand);
    }
}

static void compare_all(struct pb_xl_dir *dir)
{
    struct pb_device *dev;

    dir->unread = false;
    TAILQ_FOREACH (dev, &dir->g->devices, sibling)
        dev->node = -1;
    for (unsigned n = 0; n < dir->count; n++)
        look_at_entry(dir, n);
    take_lost(dir->g);
    forget_failures(dir);
    pb_xl_settle(dir);
}

/* Ready, but the frontend was connected before it could be told. */
static bool any_late(const struct pb_guest *g)
{
    const struct pb_device *dev;

    TAILQ_FOREACH (dev, &g->devices, sibling) {
        if (dev->ready && dev->node >= 0 && dev->node_state == PB_XENBUS_INITIALISING)
            return true;
    }
    return false;
}

void pb_xl_settle(struct pb_xl_dir *dir)
{
    struct pb_guest *g = dir->g;

    if (!g || g->ending || pb_xl_busy(dir))
        return;
    if (dir->hvm && g->be_state == PB_XENBUS_RECONFIGURING && !g->acting) {
        /* Nobody answers that, and xl does not wait for it. */
        g->acting = true;
        pb_frontend_publish(g, PB_XENBUS_INITIALISED);
    } else if (g->be_state == PB_XENBUS_CONNECTED && any_late(g) && !g->acting)
        pb_xl_reconfigure(dir);
    else
        pb_guest_nodes_changed(g);
}

static void entries_read(struct pb_store_req *req, void *ctx)
{
    struct pb_xl_dir *dir = ctx;
    struct pb_guest *g = dir->g;
    uint64_t state = 0;

    dir->reading = false;
    if (req->rc)
        pb_xl_retry(dir);
    if (req->rc == 0 && g && g->nodes_exist &&
        pb_store_number(req, 2, PB_XENBUS_COUNT - 1, &state) == 0 && state) {
        for (unsigned n = 0; n < dir->count; n++)
            read_entry(req, n, &dir->entry[n]);
        if (state == PB_XENBUS_INITIALISING) {
            /* Nobody but the toolstack writes that, and only into a new directory. */
            pb_xl_end_guest(g, "xl has made its nodes anew");
        } else if (g->ending) {
            pb_guest_set_state(g, (unsigned)state);
            if (TAILQ_EMPTY(&g->devices) && !pb_xl_busy(dir))
                pb_xl_rest(dir);
        } else {
            pb_guest_set_state(g, (unsigned)state);
            compare_all(dir);
        }
    }
    if (dir->again)
        pb_xl_look(dir);
    else
        pb_xl_dir_check_end(dir);
}

void pb_xl_scan(struct pb_xl_dir *dir, const char *num_devs)
{
    unsigned max = dir->b->policy->limits.devices_per_guest;
    size_t digits = num_devs ? strspn(num_devs, "0123456789") : 0;
    struct pb_store_req *req;

    if (!num_devs)
        return; /* the directory went between two reads: its watch says so */
    if (digits == 0 || digits > 4 || num_devs[digits]) {
        if (pb_guest_may_log(dir->g))
            pb_warn("domain %u: num_devs of what xl gives it is no number; nothing is changed",
                    dir->domid);
        return;
    }
    dir->count = (unsigned)strtoul(num_devs, NULL, 10);
    if (dir->count > max) {
        if (pb_guest_may_log(dir->g))
            pb_warn("domain %u: xl gives it %u devices; limits.devices_per_guest is %u, the others "
                    "are not served",
                    dir->domid, dir->count, max);
        dir->count = max;
    }
    req = pb_store_req_new(true, entries_read, dir);
    if (!req) {
        pb_err("domain %u: out of memory", dir->domid);
        pb_xl_retry(dir);
        return;
    }
    dir->reading = true;
    pb_store_expect(req, dir->fe_path, "%s/frontend", dir->path);
    pb_store_expect(req, num_devs, "%s/num_devs", dir->path);
    pb_store_read(req, "%s/state", dir->path);
    for (unsigned n = 0; n < dir->count; n++) {
        pb_store_read(req, "%s/dev-%u", dir->path, n);
        pb_store_read(req, "%s/state-%u", dir->path, n);
        pb_store_read(req, "%s/opts-%u", dir->path, n);
        pb_store_read(req, "%s/vdevfn-%u", dir->path, n);
    }
    dir->b->xen->ops->store_submit(dir->b->xen, req);
}
