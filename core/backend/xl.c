/* SPDX-License-Identifier: MIT */
/*
 * The toolstack's directories: which there are, and which are ours to serve.
 *
 * Linux' xenbus makes a device pci-DOMID-0 of a directory whose state is 1, and offers it to
 * drivers. We write 2 as soon as we see one, and from then on Linux does not look at it; but both
 * see it at the same time, and Linux is often first. So this alone would be a race: what decides it
 * is that no driver takes the device, because there is none or because the bus does not offer
 * devices to drivers (drivers_autoprobe is 0). That is checked at the start, and again for each
 * directory; the state that was read has to stand when 2 is written.
 */
#include "backend/xl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/failure.h"
#include "backend/guest.h"
#include "backend/record.h"
#include "backend/xl_dir.h"
#include "base/log.h"

#define ROOT      "/local/domain/0/backend/" PB_KIND_XL
#define DOMID_MAX 0x7fefu
#define RETRY_S   0.1
#define LOOKS     10 /* at one directory in LOOKS_MS */
#define LOOKS_MS  200

/* --- directories --- */

static struct pb_xl_dir *dir_find(struct pb_xl *xl, uint32_t domid)
{
    struct pb_xl_dir *dir;

    TAILQ_FOREACH (dir, &xl->dirs, link) {
        if (dir->domid == domid)
            return dir;
    }
    return NULL;
}

static void dir_fired(struct pb_watch *watch)
{
    pb_xl_look(PB_CONTAINER_OF(watch, struct pb_xl_dir, watch));
}

/* A guest that does not let go of what xl has taken from it in Xen already. */
static void deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct pb_xl_dir *dir = PB_CONTAINER_OF(timer, struct pb_xl_dir, deadline);
    struct pb_device *dev;

    (void)events;
    ev_timer_stop(loop, timer);
    if (!dir->g)
        return;
    TAILQ_FOREACH (dev, &dir->g->devices, sibling) {
        if (dev->node_state != PB_XENBUS_CLOSING || dev->leaving)
            continue;
        pb_notice("%s: domain %u does not let go; taking it by force", pb_device_text(dev),
                  dir->domid);
        pb_xl_return(dev);
    }
}

static struct pb_xl_dir *dir_new(struct pb_xl *xl, uint32_t domid)
{
    struct pb_xl_dir *dir = calloc(1, sizeof(*dir));

    if (!dir) {
        pb_err("domain %u: out of memory: what xl gives it is not served", domid);
        return NULL;
    }
    dir->b = xl->b;
    dir->domid = domid;
    dir->listed = true;
    (void)snprintf(dir->path, sizeof(dir->path), ROOT "/%u/0", domid);
    (void)snprintf(dir->fe_path, sizeof(dir->fe_path), "/local/domain/%u/device/pci/0", domid);
    (void)snprintf(dir->watch.path, sizeof(dir->watch.path), "%s", dir->path);
    dir->watch.fired = dir_fired;
    ev_init(&dir->deadline, deadline);
    TAILQ_INIT(&dir->errands);
    TAILQ_INSERT_TAIL(&xl->dirs, dir, link);
    xl->b->xen->ops->watch_add(xl->b->xen, &dir->watch);
    return dir;
}

static void list(struct pb_xl *xl);

static void dir_free(struct pb_xl_dir *dir)
{
    struct pb_xl *xl = dir->b->xl;
    struct pb_xl_errand *errand, *next;

    ev_timer_stop(xl->b->loop, &dir->deadline);
    for (errand = TAILQ_FIRST(&dir->errands); errand; errand = next) {
        next = TAILQ_NEXT(errand, link);
        pb_xl_errand_forget(errand);
    }
    xl->b->xen->ops->watch_remove(xl->b->xen, &dir->watch);
    TAILQ_REMOVE(&xl->dirs, dir, link);
    free(dir);
    /* one that found no place has it now, and nothing else would tell */
    if (xl->full && !xl->b->stopping)
        list(xl);
}

void pb_xl_dir_check_end(struct pb_xl_dir *dir)
{
    if (!dir->listed && !dir->g && !dir->reading && !dir->writing && !pb_xl_busy(dir))
        dir_free(dir);
}

/* --- which there are --- */

static bool is_domid(const char *text, uint32_t *ret)
{
    size_t n = strspn(text, "0123456789");

    if (n == 0 || n > 5 || text[n] || text[0] == '0')
        return false;
    *ret = (uint32_t)strtoul(text, NULL, 10);
    return *ret <= DOMID_MAX;
}

static unsigned dir_count(const struct pb_xl *xl)
{
    const struct pb_xl_dir *dir;
    unsigned count = 0;

    TAILQ_FOREACH (dir, &xl->dirs, link)
        count++;
    return count;
}

static void listed(struct pb_store_req *req, void *ctx)
{
    struct pb_xl *xl = ctx;
    unsigned max = xl->b->policy->limits.guests;
    uint32_t domid;
    bool full = false;

    xl->listing = false;
    if (req->rc) {
        xl->failed = true;
        ev_timer_again(xl->b->loop, &xl->retry);
    }
    for (unsigned i = 0; req->rc == 0 && i < req->step[0].name_count; i++) {
        if (!is_domid(req->step[0].names[i], &domid) || dir_find(xl, domid))
            continue;
        if (dir_count(xl) < max) {
            (void)dir_new(xl, domid);
        } else if (!full) {
            full = true;
            if (!xl->full)
                pb_warn("domain %u: what xl gives it is not served: limits.guests is %u", domid,
                        max);
        }
    }
    xl->full = req->rc ? xl->full : full;
    if (xl->again) {
        xl->again = false;
        list(xl);
    }
}

static void list(struct pb_xl *xl)
{
    struct pb_store_req *req;

    if (xl->listing) {
        xl->again = true;
        return;
    }
    req = pb_store_req_new(false, listed, xl);
    if (!req) {
        pb_err("xl mode: out of memory");
        return;
    }
    xl->listing = true;
    pb_store_list(req, ROOT);
    xl->b->xen->ops->store_submit(xl->b->xen, req);
}

static void root_fired(struct pb_watch *watch)
{
    list(PB_CONTAINER_OF(watch, struct pb_xl, watch));
}

static void retry(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct pb_xl *xl = PB_CONTAINER_OF(timer, struct pb_xl, retry);
    struct pb_xl_dir *dir, *next;

    (void)events;
    ev_timer_stop(loop, timer);
    if (xl->failed) {
        xl->failed = false;
        list(xl);
    }
    for (dir = TAILQ_FIRST(&xl->dirs); dir; dir = next) {
        next = TAILQ_NEXT(dir, link);
        if (dir->failed) {
            dir->failed = false;
            pb_xl_look(dir);
        }
    }
}

void pb_xl_retry(struct pb_xl_dir *dir)
{
    dir->failed = true;
    ev_timer_again(dir->b->loop, &dir->b->xl->retry);
}

void pb_xl_failed(struct pb_guest *g)
{
    if (!g->b->stopping)
        pb_xl_retry(g->dir);
}

/* --- which are ours --- */

/* Told once: the directory is left as it is until it goes. */
static void leave(struct pb_xl_dir *dir, const char *why, const char *next)
{
    dir->left = true;
    pb_warn("domain %u: what xl gives it is not served: %s; next: %s", dir->domid, why, next);
}

enum { SEEN_FRONTEND, SEEN_STATE, SEEN_NUM_DEVS, SEEN_DOMAIN, SEEN_BACKEND, SEEN_NAME };

static bool domain_ended(const struct pb_xl_dir *dir)
{
    struct pb_domain domain;
    int rc = dir->b->xen->ops->domain_get(dir->b->xen, dir->domid, &domain);

    return rc == -ENOENT || (rc == 0 && domain.dying);
}

/* It was not there, or is no more. */
static void vanished(struct pb_xl_dir *dir, bool domain_has_nodes)
{
    struct pb_guest *g = dir->g;

    if (!domain_has_nodes && !domain_ended(dir)) {
        /* Xenstored came back without its tree: the guest keeps what it has. */
        if (g && !g->store_lost)
            pb_warn("domain %u: xenstore has lost xl's nodes; the guest keeps its devices until it "
                    "ends",
                    dir->domid);
        if (g)
            g->store_lost = true;
        if (g)
            return;
    }
    dir->listed = false;
    if (dir->errors)
        pb_xl_forget_errors(dir);
    if (g)
        pb_xl_end_guest(g, "xl has removed its nodes");
    else
        pb_xl_dir_check_end(dir);
}

void pb_xl_end_guest(struct pb_guest *g, const char *why)
{
    g->nodes_exist = false;
    (void)pb_record_guest(g);
    pb_guest_hold(g);
    if (TAILQ_EMPTY(&g->devices))
        g->ending = true; /* nothing to tell */
    else
        pb_guest_end(g, why);
    pb_guest_drop(g);
}

static void kernel_asked(struct pb_job *job, void *ctx)
{
    struct pb_xl_dir *dir = ctx;

    dir->reading = false;
    if (dir->b->stopping)
        return;
    if (job->rc == 0) {
        dir->checked = true;
        dir->again = true;
    } else if (job->rc == -EBUSY) {
        dir->kernels = true;
        leave(dir, job->reason, job->next[0] ? job->next : "unload xen-pciback's backend");
    } else {
        pb_warn("domain %u: is the kernel's backend away? %s", dir->domid, job->reason);
        pb_xl_retry(dir);
    }
    if (dir->again)
        pb_xl_look(dir);
}

static void ask_kernel(struct pb_xl_dir *dir)
{
    struct pb_job *job = &dir->job;

    memset(job, 0, sizeof(*job));
    job->kind = PB_JOB_KERNEL_STAYS_AWAY;
    job->domid = dir->domid;
    job->deadline_ms = dir->b->policy->limits.reset_timeout_ms;
    job->done = kernel_asked;
    job->ctx = dir;
    dir->reading = true;
    dir->b->host->ops->job_submit(dir->b->host, job);
}

static void begin_guest(struct pb_xl_dir *dir, const struct pb_domain *domain, const char *name)
{
    struct pb_guest *g = pb_guest_get(dir->b, domain, name, true);

    if (!g) {
        pb_err("domain %u: out of memory", dir->domid);
        pb_xl_retry(dir);
        return;
    }
    dir->g = g;
    dir->hvm = domain->hvm;
    g->dir = dir;
    g->nodes_exist = true;
    g->be_state = PB_XENBUS_INIT_WAIT;
    if (pb_record_guest(g) != 0) {
        leave(dir, "it cannot be kept in the journal", "make room where state_dir is");
        g->nodes_exist = false;
        g->ending = true;
        pb_guest_check_end(g);
        return;
    }
    pb_info("domain %u (%s): served for xl%s", dir->domid, g->name,
            dir->hvm ? ", prepared only: it is no PV guest" : "");
    pb_guest_watch(g);
}

static void taken(struct pb_store_req *req, void *ctx)
{
    struct pb_xl_dir *dir = ctx;
    struct pb_domain domain;

    dir->reading = false;
    if (req->rc == 0 && dir->b->xen->ops->domain_get(dir->b->xen, dir->domid, &domain) == 0)
        begin_guest(dir, &domain, pb_store_value(req, 0) ? pb_store_value(req, 0) : "");
    else if (req->rc != -ECANCELED)
        pb_xl_retry(dir);
    dir->checked = dir->g != NULL; /* whoever changed it: ask again */
    pb_xl_look(dir);
}

static void take(struct pb_xl_dir *dir, const char *state)
{
    struct pb_store_req *req = pb_store_req_new(true, taken, dir);

    if (!req) {
        pb_err("domain %u: out of memory", dir->domid);
        pb_xl_retry(dir);
        return;
    }
    pb_store_read(req, "/local/domain/%u/name", dir->domid);
    pb_store_expect(req, dir->fe_path, "%s/frontend", dir->path);
    pb_store_expect(req, state, "%s/state", dir->path);
    pb_store_write_number(req, PB_XENBUS_INIT_WAIT, "%s/state", dir->path);
    dir->reading = true;
    dir->b->xen->ops->store_submit(dir->b->xen, req);
}

/* Asked is everything but the kernel: may it be served? */
static void decide(struct pb_xl_dir *dir, const struct pb_store_req *req)
{
    const char *frontend = pb_store_value(req, SEEN_FRONTEND);
    const char *backend = pb_store_value(req, SEEN_BACKEND);
    struct pb_backend *b = dir->b;
    struct pb_guest *g = pb_guest_find(b, dir->domid);
    uint64_t state;
    char why[200];

    if (domain_ended(dir)) {
        pb_xl_collect(dir);
    } else if (g && (g->forgetting || TAILQ_EMPTY(&g->devices))) {
        pb_xl_retry(dir); /* what it had by our own kind is just going */
    } else if (g) {
        dir->left = true;
        pb_xl_refuse(dir, g);
    } else if (!frontend || strcmp(frontend, dir->fe_path) != 0) {
        leave(dir, "its `frontend` is not the domain's", "remove the directory, attach again");
    } else if (!backend || strcmp(backend, dir->path) != 0) {
        (void)snprintf(why, sizeof(why), "another backend serves its frontend: %s",
                       backend ? backend : "");
        leave(dir, why, "detach its devices there first");
    } else if (b->guest_count >= b->policy->limits.guests) {
        leave(dir, "limits.guests is reached", "raise limits.guests, attach again");
    } else if (pb_store_number(req, SEEN_STATE, PB_XENBUS_COUNT - 1, &state) != 0 || state == 0 ||
               state > PB_XENBUS_INITIALISED) {
        (void)snprintf(why, sizeof(why), "its state is \"%s\", from before this daemon started",
                       pb_store_value(req, SEEN_STATE) ? pb_store_value(req, SEEN_STATE) : "");
        leave(dir, why, "end the guest and start it again");
    } else {
        take(dir, pb_store_value(req, SEEN_STATE));
    }
}

static void looked(struct pb_store_req *req, void *ctx)
{
    struct pb_xl_dir *dir = ctx;

    dir->reading = false;
    dir->listed = dir->listed || req->rc == 0;
    if (req->rc) {
        pb_xl_retry(dir);
    } else if (!pb_store_value(req, SEEN_FRONTEND) && !pb_store_value(req, SEEN_STATE)) {
        dir->again = false;
        vanished(dir, req->step[SEEN_DOMAIN].rc == 0);
        return;
    } else if (dir->g && !dir->g->nodes_exist) {
        /* made anew: it is looked at when the guest that had it before is gone */
    } else if (dir->left) {
        if (!dir->kernels && domain_ended(dir))
            pb_xl_collect(dir);
    } else if (dir->g) {
        pb_xl_scan(dir, pb_store_value(req, SEEN_NUM_DEVS));
    } else if (!dir->checked) {
        ask_kernel(dir);
    } else {
        decide(dir, req);
    }
    if (dir->again)
        pb_xl_look(dir);
}

void pb_xl_look(struct pb_xl_dir *dir)
{
    struct pb_store_req *req;
    unsigned suppressed;

    if (dir->reading) {
        dir->again = true;
        return;
    }
    dir->again = false;
    if (!pb_ratelimit_allow(&dir->looks, pb_now_ms(), LOOKS, LOOKS_MS, &suppressed)) {
        pb_xl_retry(dir);
        return;
    }
    req = pb_store_req_new(false, looked, dir);
    if (!req) {
        pb_err("domain %u: out of memory", dir->domid);
        pb_xl_retry(dir);
        return;
    }
    dir->reading = true;
    pb_store_read(req, "%s/frontend", dir->path);
    pb_store_read(req, "%s/state", dir->path);
    pb_store_read(req, "%s/num_devs", dir->path);
    pb_store_read(req, "/local/domain/%u", dir->domid);
    pb_store_read(req, "%s/backend", dir->fe_path);
    dir->b->xen->ops->store_submit(dir->b->xen, req);
}

void pb_xl_domains_changed(struct pb_backend *b)
{
    struct pb_xl_dir *dir, *next;

    for (dir = TAILQ_FIRST(&b->xl->dirs); dir; dir = next) {
        next = TAILQ_NEXT(dir, link);
        if (!dir->g)
            pb_xl_look(dir);
        else if (dir->g->ending)
            pb_guest_check_end(dir->g);
    }
}

/* The domain with its number is another one by now. */
static bool is_anothers(const struct pb_guest *g)
{
    struct pb_domain domain;

    return g->b->xen->ops->domain_get(g->b->xen, g->domid, &domain) == 0 &&
           memcmp(domain.handle, g->handle, sizeof(g->handle)) != 0;
}

bool pb_xl_may_end(struct pb_guest *g)
{
    if (g->dir->writing || pb_xl_busy(g->dir))
        return false;
    if (!g->nodes_exist)
        return true;
    if (!g->ending)
        return false;
    if (domain_ended(g->dir))
        return true;
    if (is_anothers(g)) {
        g->nodes_exist = false; /* so are the nodes */
        return true;
    }
    /* Shut down, but still there: the toolstack takes its nodes apart and waits for answers. */
    pb_frontend_disconnect(g);
    pb_xl_look(g->dir);
    return false;
}

void pb_xl_guest_freed(struct pb_guest *g)
{
    struct pb_xl_dir *dir = g->dir;

    dir->g = NULL;
    dir->checked = false;
    if (!dir->b->stopping)
        pb_xl_look(dir);
}

/* --- start and end --- */

static void may_start(struct pb_job *job, void *ctx)
{
    struct pb_xl *xl = ctx;
    struct pb_failure failure = { 0 };

    if (xl->b->stopping)
        return;
    if (job->rc) {
        pb_fail(&failure, PB_FAIL_REFUSED, "",
                job->next[0] ? job->next
                             : "write 0 to /sys/bus/xen-backend/drivers_autoprobe before any guest "
                               "starts, or remove \"pci\" from backend.kinds",
                "xl mode is not possible: %s", job->reason);
        xl->started(xl->started_ctx, &failure);
        return;
    }
    xl->watching = true;
    xl->b->xen->ops->watch_add(xl->b->xen, &xl->watch);
    xl->started(xl->started_ctx, NULL);
}

/* NULL: out of memory. */
static struct pb_xl *xl_get(struct pb_backend *b)
{
    struct pb_xl *xl = b->xl ? b->xl : calloc(1, sizeof(*xl));

    if (!xl || b->xl)
        return xl;
    b->xl = xl;
    xl->b = b;
    TAILQ_INIT(&xl->dirs);
    ev_timer_init(&xl->retry, retry, RETRY_S, RETRY_S);
    (void)snprintf(xl->watch.path, sizeof(xl->watch.path), ROOT);
    xl->watch.fired = root_fired;
    return xl;
}

bool pb_xl_adopt(struct pb_guest *g, bool hvm)
{
    struct pb_xl *xl = xl_get(g->b);
    struct pb_xl_dir *dir = xl ? dir_new(xl, g->domid) : NULL;

    if (!dir)
        return false;
    dir->checked = true;
    dir->reading = true; /* until it is adopted */
    dir->unread = true;
    dir->hvm = hvm;
    dir->g = g;
    g->dir = dir;
    return true;
}

void pb_xl_adopted(struct pb_guest *g)
{
    g->dir->reading = false;
    pb_xl_look(g->dir);
}

void pb_xl_start(struct pb_backend *b, pb_verb_fn started, void *ctx)
{
    struct pb_xl *xl = xl_get(b);
    struct pb_failure failure = { 0 };

    if (!xl) {
        pb_fail(&failure, PB_FAIL_INTERNAL, "", "", "out of memory");
        started(ctx, &failure);
        return;
    }
    xl->started = started;
    xl->started_ctx = ctx;
    xl->job.kind = PB_JOB_KERNEL_STAYS_AWAY;
    xl->job.deadline_ms = b->policy->limits.reset_timeout_ms;
    xl->job.done = may_start;
    xl->job.ctx = xl;
    b->host->ops->job_submit(b->host, &xl->job);
}

void pb_xl_stop(struct pb_backend *b)
{
    struct pb_xl *xl = b->xl;
    struct pb_xl_dir *dir, *next;

    if (!xl)
        return;
    for (dir = TAILQ_FIRST(&xl->dirs); dir; dir = next) {
        next = TAILQ_NEXT(dir, link);
        dir_free(dir);
    }
    ev_timer_stop(b->loop, &xl->retry);
    if (xl->watching)
        b->xen->ops->watch_remove(b->xen, &xl->watch);
    free(xl);
    b->xl = NULL;
}
