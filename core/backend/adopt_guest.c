/* SPDX-License-Identifier: MIT */
/* A guest of an earlier process: from its record to being served. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/adopt_parts.h"
#include "backend/guest.h"
#include "backend/inflight.h"
#include "backend/record.h"
#include "backend/xl.h"
#include "base/log.h"

/* How a domain is that had devices when the last process ended. */
enum fate {
    FATE_LIVES,
    FATE_ENDS, /* dying or shut down: its devices come back in H2's order */
    FATE_GONE, /* it is no more, or its number is another one's: nothing is done to that (H11) */
};

static enum fate fate_of(struct pb_backend *b, struct pb_domain *domain, const uint8_t handle[16],
                         const char **ret_why)
{
    int rc = b->xen->ops->domain_get(b->xen, domain->domid, domain);

    *ret_why = "";
    if (rc == -ENOENT) {
        *ret_why = "the domain has gone while no daemon ran";
        return FATE_GONE;
    }
    if (rc) {
        *ret_why = ""; /* it says nothing (H20) */
        return FATE_LIVES;
    }
    if (memcmp(domain->handle, handle, sizeof(domain->handle)) != 0) {
        *ret_why = "its number belongs to another domain now";
        return FATE_GONE;
    }
    if (domain->dying)
        *ret_why = "the domain is dying";
    else if (domain->shutdown && domain->shutdown_reason != PB_SHUTDOWN_SUSPEND)
        *ret_why = "the domain has shut down while no daemon ran";
    return **ret_why ? FATE_ENDS : FATE_LIVES;
}

static struct pb_guest *build(struct pb_backend *b, uint32_t domid, const uint8_t handle[16],
                              const char *name, bool xl)
{
    struct pb_domain domain = { .domid = domid };
    const char *why;
    enum fate fate = fate_of(b, &domain, handle, &why);
    struct pb_guest *g;

    domain.domid = domid;
    memcpy(domain.handle, handle, sizeof(domain.handle));
    g = pb_guest_find(b, domid) ? NULL : pb_guest_get(b, &domain, name, xl);
    if (!g) {
        pb_err("domain %u: its devices are not taken up again: %s", domid,
               pb_guest_find(b, domid) ? "two guests have its number" : "out of memory");
        return NULL;
    }
    if (xl && !pb_xl_adopt(g, domain.hvm)) {
        pb_err("domain %u: out of memory: its devices are not taken up again", domid);
        pb_guest_abandon(g);
        return NULL;
    }
    pb_guest_hold(g);
    g->held = true;
    g->nodes_exist = true;
    g->other_domain = fate == FATE_GONE;
    if (fate != FATE_LIVES) {
        g->ending = true;
        pb_notice("domain %u (%s): %s; taking its devices back", domid, name, why);
    }
    return g;
}

struct pb_guest *pb_adopt_guest(struct pb_backend *b, const struct pb_journal_read *read)
{
    const struct pb_journal_guest *r = read->guest;
    struct pb_guest *g;
    char name[PB_NAME_MAX + 1];

    if (!r) {
        pb_warn("journal: a guest's record is damaged; its devices are taken back");
        b->adoption->lost++;
        pb_journal_remove(b->journal, read->record);
        return NULL;
    }
    (void)snprintf(name, sizeof(name), "%.*s", (int)sizeof(r->name), r->name);
    g = build(b, r->domid, r->handle, name, r->xl);
    if (!g) {
        pb_journal_remove(b->journal, read->record);
        return NULL;
    }
    g->record = read->record;
    if (r->topology < PB_TOPOLOGY_COUNT)
        g->topology = (enum pb_topology)r->topology;
    g->nodes_exist = r->nodes_exist;
    g->ending = g->ending || r->ending;
    g->fenced = r->fenced;
    g->be_state = r->be_state < PB_XENBUS_COUNT ? r->be_state : PB_XENBUS_UNKNOWN;
    g->fe_state = r->fe_state < PB_XENBUS_COUNT ? r->fe_state : PB_XENBUS_UNKNOWN;
    g->fe_ref = r->fe_ref;
    g->fe_port = r->fe_port;
    g->was_connected = r->connected;
    g->counters.connects = r->connects;
    for (unsigned i = 0; i < r->root_count; i++) {
        if (pb_vslots_restore_root(&g->slots, r->root[i].segment, r->root[i].bus) != 0)
            break; /* no record has more than there is room for */
    }
    return g;
}

struct pb_guest *pb_adopt_unknown(struct pb_backend *b, uint32_t domid, const uint8_t handle[16])
{
    return build(b, domid, handle, "", false);
}

/* --- its page and port --- */

/*
 * It may have closed, or begun anew with another ring, while nobody was there: then it is not
 * served before xenstore was asked.
 */
static void bind_ring(struct pb_guest *g)
{
    const char *reason = "";
    int rc;

    if (!g->was_connected || g->ending)
        return;
    g->was_connected = false;
    rc = pb_frontend_attach_ring(g, g->fe_ref, g->fe_port, &reason);
    if (rc)
        pb_notice("domain %u (%s): its ring is not there any more (%s): %s", g->domid, g->name,
                  reason, strerror(-rc));
}

static void served(struct pb_guest *g)
{
    struct pb_adoption *a = g->b->adoption;
    const struct pb_device *dev;

    g->adopted_ms = pb_now_ms();
    a->served++;
    TAILQ_FOREACH (dev, &g->devices, sibling)
        a->devices++;
}

static void all_open(struct pb_guest *g)
{
    bind_ring(g);
    if (!g->ending) {
        pb_inflight_resume(g);
        served(g);
    }
    pb_adopt_one_done(g->b);
    pb_adopt_look(g);
}

void pb_adopt_guest_begin(struct pb_guest *g)
{
    if (!g->record && pb_record_guest(g) != 0)
        pb_warn("domain %u: it cannot be kept in the journal", g->domid);
    g->opening++; /* so that none is the last before all are counted */
    pb_adopt_guest_opened(g);
}

void pb_adopt_guest_opened(struct pb_guest *g)
{
    if (--g->opening == 0 && !g->b->stopping)
        all_open(g);
}
