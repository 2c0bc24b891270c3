/* SPDX-License-Identifier: MIT */
/*
 * Each entry of the policy is a record with a state. Xenstore's special watches do not say which
 * domain came or went, so all names are read when one fires; a domain is known by number and
 * handle, so that a guest that was rebooted is a new one. All devices of a guest are claimed before
 * the first is attached: they may be each other's neighbours (H12). One is attached at a time: its
 * virtual addresses follow the order of the configuration.
 */
#include "backend/assign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/claim.h"
#include "backend/guest.h"
#include "backend/machine.h"
#include "base/index.h"
#include "base/log.h"

#define PAUSE_MAX_S 60

enum state {
    NO_GUEST, /* nobody of that name runs, or more than one */
    READY,    /* to be tried when the guest has no other under way */
    CLAIMING,
    TRYING,
    WAITING, /* for its timer, or for the device */
    REFUSED, /* until the guest's next incarnation */
    DONE,
};

struct incarnation {
    bool there, hvm;
    uint32_t domid;
    uint8_t handle[16];
};

/* Of one guest's name: what is asked for when something happens concerns no other's. */
struct party {
    TAILQ_ENTRY(party) link;
    struct pb_index_link by_name;
    char name[PB_NAME_MAX + 1];
    TAILQ_HEAD(, record) records; /* in the policy's order */
};
TAILQ_HEAD(party_list, party);

struct record {
    TAILQ_ENTRY(record) link, sibling;
    struct pb_index_link by_device;
    struct pb_assigner *assigner;
    struct party *party;
    struct pb_assignment what;
    enum state state;
    bool gone; /* the policy has it no more; freed when what is under way is answered */
    struct incarnation guest, tried;
    unsigned attempts;
    ev_timer timer;
    char text[640];
};
TAILQ_HEAD(record_list, record);

struct pb_assigner {
    struct pb_backend *b;
    struct record_list records; /* in the policy's order */
    struct party_list parties;
    struct pb_index party_name, device;
    struct pb_watch introduced, released;
    bool looking, look_again;
};

static void record_free(struct record *r)
{
    ev_timer_stop(r->assigner->b->loop, &r->timer);
    TAILQ_REMOVE(&r->assigner->records, r, link);
    TAILQ_REMOVE(&r->party->records, r, sibling);
    pb_index_remove(&r->assigner->device, &r->by_device);
    free(r);
}

static struct party *party_find(const struct pb_assigner *a, const char *name)
{
    struct pb_index_link *link = pb_index_first(&a->party_name, pb_index_text(name));

    for (; link; link = pb_index_next(link)) {
        struct party *p = PB_CONTAINER_OF(link, struct party, by_name);

        if (strcmp(p->name, name) == 0)
            return p;
    }
    return NULL;
}

static void party_free(struct pb_assigner *a, struct party *p)
{
    TAILQ_REMOVE(&a->parties, p, link);
    pb_index_remove(&a->party_name, &p->by_name);
    free(p);
}

/* Where a device that is named so is looked for. */
static uint64_t device_key(const char *text)
{
    struct pb_sbdf sbdf;

    return pb_sbdf_parse(text, &sbdf) ? pb_sbdf_machine(sbdf) : pb_index_text(text);
}

static struct pb_device *device_of(const struct record *r)
{
    struct pb_sbdf sbdf;
    bool is_address;

    return pb_device_resolve(r->assigner->b, r->what.device, &is_address, &sbdf);
}

static bool same(const struct incarnation *a, const struct incarnation *b)
{
    return a->there == b->there && a->domid == b->domid &&
           memcmp(a->handle, b->handle, sizeof(a->handle)) == 0;
}

/* --- trying --- */

static void try_ready(struct party *p);

static void again(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct record *r = timer->data;

    (void)loop;
    (void)events;
    r->state = READY;
    try_ready(r->party);
}

static void pause_before_next(struct record *r)
{
    unsigned seconds = r->attempts < 6 ? 1u << r->attempts : PAUSE_MAX_S;

    r->state = WAITING;
    r->attempts++;
    ev_timer_stop(r->assigner->b->loop, &r->timer);
    ev_timer_set(&r->timer, seconds, 0.);
    ev_timer_start(r->assigner->b->loop, &r->timer);
}

/* What was tried before says the same again for hours: one line for each reason. */
static void tell(struct record *r, const struct pb_failure *failure, const char *outlook)
{
    char text[sizeof(r->text)];

    (void)snprintf(text, sizeof(text), "%s %s: %s%s%s", r->what.device,
                   r->state == REFUSED ? "refused" : "waits", failure->reason,
                   failure->next[0] ? "; next: " : "", failure->next);
    if (strcmp(text, r->text) != 0)
        pb_warn("assignment to %s: %s (%s)", r->what.guest, text, outlook);
    memcpy(r->text, text, sizeof(text));
}

/* Does it share something with another one of its guest's that is not there yet? */
static bool waits_for_another(const struct record *r)
{
    const struct pb_device *dev = device_of(r), *other;
    const struct record *o;

    TAILQ_FOREACH (o, &r->party->records, sibling) {
        if (o == r || o->gone || o->state == REFUSED || o->state == DONE)
            continue;
        other = device_of(o);
        for (unsigned i = 0; dev && other && i < dev->surroundings.neighbour_count; i++) {
            if (pb_sbdf_equal(dev->surroundings.neighbour[i].sbdf, other->sbdf) &&
                !pb_device_is_idle(other))
                return true;
        }
    }
    return false;
}

static void failed(struct record *r, const struct pb_failure *failure)
{
    if (failure->code == PB_FAIL_REFUSED && waits_for_another(r)) {
        pause_before_next(r);
        tell(r, failure, "tried again when the other one is there");
    } else if (failure->code == PB_FAIL_REFUSED || failure->code == PB_FAIL_CONFIG) {
        r->state = REFUSED;
        tell(r, failure, "not tried again until the guest starts anew");
    } else {
        pause_before_next(r);
        tell(r, failure, "tried again, later and later");
    }
}

/* Of a claim or an attach: what comes of R. */
static void answered(struct record *r, const struct pb_failure *failure, enum state worked)
{
    struct party *p = r->party;

    r->state = NO_GUEST;
    if (r->assigner->b->stopping)
        return;
    if (r->gone) {
        record_free(r);
    } else if (!same(&r->guest, &r->tried)) {
        r->state = r->guest.there ? READY : NO_GUEST; /* the one that was tried is gone */
    } else if (failure) {
        failed(r, failure);
    } else {
        r->state = worked;
        if (worked == DONE)
            r->text[0] = '\0';
    }
    try_ready(p);
}

static void attached(void *ctx, const struct pb_failure *failure)
{
    answered(ctx, failure, DONE);
}

static void claimed(void *ctx, const struct pb_failure *failure)
{
    answered(ctx, failure, READY);
}

static bool has_it_already(const struct record *r)
{
    const struct pb_device *dev = device_of(r);

    return dev && dev->guest && dev->state == PB_DEVICE_ASSIGNED &&
           dev->guest->domid == r->guest.domid &&
           memcmp(dev->guest->handle, r->guest.handle, sizeof(r->guest.handle)) == 0;
}

static bool is_under_way(const struct record *r)
{
    return r->state == CLAIMING || r->state == TRYING;
}

static bool guest_is_busy(const struct party *p)
{
    const struct record *r;

    TAILQ_FOREACH (r, &p->records, sibling) {
        if (is_under_way(r))
            return true;
    }
    return false;
}

static bool to_be_claimed(const struct record *r, struct pb_sbdf *ret_sbdf)
{
    bool is_address;
    const struct pb_device *dev =
        pb_device_resolve(r->assigner->b, r->what.device, &is_address, ret_sbdf);

    if (r->guest.hvm)
        return false; /* attach says why */
    if (dev)
        *ret_sbdf = dev->sbdf;
    return dev ? dev->state == PB_DEVICE_PRESENT || dev->state == PB_DEVICE_ABSENT : is_address;
}

/* A slot's claim at the start is no trouble to tell of; what is under way later on is. */
static bool leaves_it_to_others(struct record *r)
{
    const struct pb_device *dev = device_of(r);

    if (r->attempts > 0 || !dev || !dev->task)
        return false;
    pause_before_next(r);
    return true;
}

static void claim_ready(struct party *p)
{
    struct pb_sbdf sbdf;
    struct record *r;

    TAILQ_FOREACH (r, &p->records, sibling) {
        struct pb_backend *b = r->assigner->b;

        if (r->state != READY || !to_be_claimed(r, &sbdf) || leaves_it_to_others(r))
            continue;
        ev_timer_stop(b->loop, &r->timer);
        r->tried = r->guest;
        r->state = CLAIMING;
        pb_claim_quietly(b, sbdf, claimed, r);
    }
}

static void try_ready(struct party *p)
{
    struct pb_attach_options options = { .claim = true, .quiet = true };
    struct record *r, *next;

    claim_ready(p);
    for (r = TAILQ_FIRST(&p->records); r; r = next) {
        struct pb_backend *b = r->assigner->b;

        next = TAILQ_NEXT(r, sibling);
        if (r->state != READY || guest_is_busy(p))
            continue;
        ev_timer_stop(b->loop, &r->timer);
        r->tried = r->guest;
        if (has_it_already(r)) {
            r->state = DONE;
            continue;
        }
        r->state = TRYING;
        /* By name: a number may be another domain's by now. */
        options.domid = r->guest.domid;
        pb_backend_attach(b, r->what.guest, r->what.device, &options, attached, r);
    }
}

/* --- which guests there are --- */

static void look(struct pb_assigner *a);

static bool runs(const struct pb_backend *b, uint32_t domid, struct incarnation *ret)
{
    struct pb_domain domain;

    if (domid == 0 || b->xen->ops->domain_get(b->xen, domid, &domain) != 0 || domain.dying)
        return false;
    if (domain.shutdown && domain.shutdown_reason != PB_SHUTDOWN_SUSPEND)
        return false;
    *ret = (struct incarnation){ .there = true, .hvm = domain.hvm, .domid = domid };
    memcpy(ret->handle, domain.handle, sizeof(ret->handle));
    return true;
}

static void two_of_one_name(struct record *r, uint32_t one, uint32_t other)
{
    struct pb_failure failure = { .next = "rename one of them" };

    (void)snprintf(failure.reason, sizeof(failure.reason), "domains %u and %u both have this name",
                   one < other ? one : other, one < other ? other : one);
    r->guest = (struct incarnation){ 0 };
    if (is_under_way(r))
        return;
    r->state = REFUSED;
    tell(r, &failure, "not tried until only one of them runs");
}

/* Domains by their names. */
struct named {
    struct pb_index_link link;
    const char *name;
    uint32_t domid;
};

static void judge(struct record *r, const struct pb_index *names)
{
    struct pb_index_link *link = pb_index_first(names, pb_index_text(r->what.guest));
    struct incarnation found = { 0 }, one;

    for (; link; link = pb_index_next(link)) {
        const struct named *named = PB_CONTAINER_OF(link, struct named, link);
        uint32_t domid = named->domid;

        if (strcmp(named->name, r->what.guest) != 0)
            continue;
        if (!runs(r->assigner->b, domid, &one))
            continue;
        if (found.there) {
            two_of_one_name(r, found.domid, domid);
            return;
        }
        found = one;
    }
    if (same(&found, &r->guest) && (found.there || r->state == NO_GUEST))
        return;
    r->guest = found;
    r->attempts = 0;
    if (is_under_way(r))
        return; /* its answer sees to it */
    ev_timer_stop(r->assigner->b->loop, &r->timer);
    r->text[0] = '\0';
    r->state = found.there ? READY : NO_GUEST;
}

static void looked(struct pb_assigner *a)
{
    struct party *p;

    a->looking = false;
    if (a->look_again) {
        look(a);
        return;
    }
    TAILQ_FOREACH (p, &a->parties, link)
        try_ready(p);
}

static void judge_all(struct pb_assigner *a, const struct pb_store_req *req)
{
    struct named *named = calloc(req->count + 1U, sizeof(*named));
    struct pb_index names = { 0 };
    struct record *r;

    if (!named) {
        pb_err("assignments: out of memory");
        return;
    }
    for (unsigned i = 0; i < req->count; i++) {
        struct named *one = &named[i];

        one->name = pb_store_value(req, i);
        one->domid = (uint32_t)strtoul(req->step[i].path + strlen("/local/domain/"), NULL, 10);
        if (one->name)
            pb_index_add(&names, &one->link, pb_index_text(one->name));
    }
    TAILQ_FOREACH (r, &a->records, link)
        judge(r, &names);
    pb_index_fini(&names);
    free(named);
}

static void names_read(struct pb_store_req *req, void *ctx)
{
    struct pb_assigner *a = ctx;

    /* Without xenstored nothing is known; its watches fire when it is back. */
    if (req->rc == 0)
        judge_all(a, req);
    looked(a);
}

static void domains_read(struct pb_store_req *req, void *ctx)
{
    struct pb_assigner *a = ctx;
    struct pb_store_req *next = NULL;

    if (req->rc == 0 && req->step[0].rc == 0)
        next = pb_store_req_new(false, names_read, a);
    if (!next) {
        looked(a);
        return;
    }
    for (unsigned i = 0; i < req->step[0].name_count; i++)
        pb_store_read(next, "/local/domain/%s/name", req->step[0].names[i]);
    a->b->xen->ops->store_submit(a->b->xen, next);
}

static void look(struct pb_assigner *a)
{
    struct pb_store_req *req;

    a->look_again = a->looking;
    if (a->looking || TAILQ_EMPTY(&a->records))
        return;
    req = pb_store_req_new(false, domains_read, a);
    if (!req) {
        pb_err("assignments: out of memory");
        return;
    }
    a->looking = true;
    pb_store_list(req, "/local/domain");
    a->b->xen->ops->store_submit(a->b->xen, req);
}

static void introduced(struct pb_watch *watch)
{
    look(PB_CONTAINER_OF(watch, struct pb_assigner, introduced));
}

static void released(struct pb_watch *watch)
{
    look(PB_CONTAINER_OF(watch, struct pb_assigner, released));
}

/* --- the policy --- */

static struct record *find(const struct pb_assigner *a, const struct pb_assignment *what)
{
    struct pb_index_link *link = pb_index_first(&a->device, device_key(what->device));

    for (; link; link = pb_index_next(link)) {
        struct record *r = PB_CONTAINER_OF(link, struct record, by_device);

        if (strcmp(r->what.guest, what->guest) == 0 && strcmp(r->what.device, what->device) == 0)
            return r;
    }
    return NULL;
}

static struct party *party_get(struct pb_assigner *a, const char *name)
{
    struct party *p = party_find(a, name);

    if (p)
        return p;
    p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    (void)snprintf(p->name, sizeof(p->name), "%s", name);
    TAILQ_INIT(&p->records);
    TAILQ_INSERT_TAIL(&a->parties, p, link);
    pb_index_add(&a->party_name, &p->by_name, pb_index_text(name));
    return p;
}

static struct record *record_new(struct pb_assigner *a, const struct pb_assignment *what)
{
    struct party *p = party_get(a, what->guest);
    struct record *r = p ? calloc(1, sizeof(*r)) : NULL;

    if (!r)
        return NULL;
    r->assigner = a;
    r->party = p;
    r->what = *what;
    ev_init(&r->timer, again);
    r->timer.data = r;
    TAILQ_INSERT_TAIL(&a->records, r, link);
    TAILQ_INSERT_TAIL(&p->records, r, sibling);
    pb_index_add(&a->device, &r->by_device, device_key(what->device));
    return r;
}

/* The records as the policy has them, in its order; what was there keeps its state. */
static void follow_policy(struct pb_assigner *a)
{
    const struct pb_policy *policy = a->b->policy;
    struct party *p, *next_party;
    struct record *r, *next;

    TAILQ_FOREACH (r, &a->records, link)
        r->gone = true;
    for (size_t i = 0; i < policy->assignment_count; i++) {
        r = find(a, &policy->assignments[i]);
        if (!r)
            r = record_new(a, &policy->assignments[i]);
        if (!r) {
            pb_err("assignments: out of memory");
            break;
        }
        r->gone = false;
        TAILQ_REMOVE(&a->records, r, link);
        TAILQ_INSERT_TAIL(&a->records, r, link);
        TAILQ_REMOVE(&r->party->records, r, sibling);
        TAILQ_INSERT_TAIL(&r->party->records, r, sibling);
    }
    for (r = TAILQ_FIRST(&a->records); r; r = next) {
        next = TAILQ_NEXT(r, link);
        if (r->gone && !is_under_way(r))
            record_free(r);
    }
    for (p = TAILQ_FIRST(&a->parties); p; p = next_party) {
        next_party = TAILQ_NEXT(p, link);
        if (TAILQ_EMPTY(&p->records))
            party_free(a, p);
    }
}

void pb_assign_begin(struct pb_backend *b)
{
    struct pb_assigner *a = calloc(1, sizeof(*a));

    if (!a) {
        pb_err("assignments: out of memory");
        return;
    }
    a->b = b;
    b->assigner = a;
    TAILQ_INIT(&a->records);
    TAILQ_INIT(&a->parties);
    follow_policy(a);
    (void)snprintf(a->introduced.path, sizeof(a->introduced.path), "@introduceDomain");
    a->introduced.fired = introduced;
    (void)snprintf(a->released.path, sizeof(a->released.path), "@releaseDomain");
    a->released.fired = released;
    /* A watch fires once when it is added: guests that are there already are found by that. */
    b->xen->ops->watch_add(b->xen, &a->introduced);
    b->xen->ops->watch_add(b->xen, &a->released);
}

void pb_assign_reloaded(struct pb_backend *b)
{
    if (!b->assigner)
        return;
    follow_policy(b->assigner);
    look(b->assigner);
}

/* What a neighbour of R's was refused for is gone when R's device is there. */
static bool concerns(const struct record *r, const struct pb_device *dev)
{
    const struct pb_device *own = device_of(r);
    const struct record *o;

    for (unsigned i = 0; own && own != dev && i < own->surroundings.neighbour_count; i++) {
        if (!pb_sbdf_equal(own->surroundings.neighbour[i].sbdf, dev->sbdf))
            continue;
        TAILQ_FOREACH (o, &r->party->records, sibling) {
            if (!o->gone && device_of(o) == dev)
                return true;
        }
    }
    return own == dev;
}

/* The record of DEV under KEY. */
static struct record *record_under(const struct pb_assigner *a, uint64_t key,
                                   const struct pb_device *dev)
{
    struct pb_index_link *link = pb_index_first(&a->device, key);

    for (; link; link = pb_index_next(link)) {
        struct record *r = PB_CONTAINER_OF(link, struct record, by_device);

        if (!r->gone && device_of(r) == dev)
            return r;
    }
    return NULL;
}

/* Its record in the policy, which names it by address or by name. */
static struct record *record_of(const struct pb_device *dev)
{
    const struct pb_assigner *a = dev->b->assigner;
    struct record *r = a ? record_under(a, pb_sbdf_machine(dev->sbdf), dev) : NULL;

    if (!r && a && dev->policy.name[0])
        r = record_under(a, pb_index_text(dev->policy.name), dev);
    return r;
}

/* Whom it concerns has the same guest. */
void pb_assign_device_ready(const struct pb_device *dev)
{
    const struct record *own = record_of(dev);
    struct record *r;
    bool any = false;

    if (!own)
        return;
    TAILQ_FOREACH (r, &own->party->records, sibling) {
        if (r->state != WAITING || !concerns(r, dev))
            continue;
        r->state = READY;
        r->attempts = 0;
        any = true;
    }
    if (any)
        try_ready(own->party);
}

bool pb_assign_wants(const struct pb_backend *b, struct pb_sbdf sbdf)
{
    struct pb_index_link *link =
        b->assigner ? pb_index_first(&b->assigner->device, pb_sbdf_machine(sbdf)) : NULL;
    struct pb_sbdf named;

    for (; link; link = pb_index_next(link)) {
        const struct record *r = PB_CONTAINER_OF(link, struct record, by_device);

        if (!r->gone && pb_sbdf_parse(r->what.device, &named) && pb_sbdf_equal(named, sbdf))
            return true;
    }
    return false;
}

void pb_assign_end(struct pb_backend *b)
{
    struct pb_assigner *a = b->assigner;
    struct record *r, *next;

    if (!a)
        return;
    b->assigner = NULL;
    b->xen->ops->watch_remove(b->xen, &a->introduced);
    b->xen->ops->watch_remove(b->xen, &a->released);
    for (r = TAILQ_FIRST(&a->records); r; r = next) {
        next = TAILQ_NEXT(r, link);
        record_free(r);
    }
    while (!TAILQ_EMPTY(&a->parties))
        party_free(a, TAILQ_FIRST(&a->parties));
    pb_index_fini(&a->party_name);
    pb_index_fini(&a->device);
    free(a);
}

/* --- what the faces show --- */

static const char *text_of(const struct record *r)
{
    static const char *const texts[] = {
        [NO_GUEST] = "waits for the guest",
        [READY] = "under way",
        [CLAIMING] = "under way",
        [TRYING] = "under way",
        [WAITING] = "waits",
        [REFUSED] = "refused",
        [DONE] = "done",
    };

    return r->text[0] ? r->text : texts[r->state];
}

const char *pb_assign_text(const struct pb_guest *g)
{
    const struct party *p = g->b->assigner ? party_find(g->b->assigner, g->name) : NULL;
    const struct record *r;
    bool any = false;

    if (!p)
        return "";
    TAILQ_FOREACH (r, &p->records, sibling) {
        if (r->gone)
            continue;
        if (r->state != DONE)
            return text_of(r);
        any = true;
    }
    return any ? "done" : "";
}

const char *pb_assign_of_device(const struct pb_device *dev, const char **ret_text)
{
    const struct record *r = record_of(dev);

    if (!r)
        return NULL;
    *ret_text = text_of(r);
    return r->what.guest;
}
