/* SPDX-License-Identifier: MIT */
/* Guests as the hypervisor knows them: life, permissions, interrupts. */
#ifndef SIM_DOMAIN_H
#define SIM_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sim_evtchn.h"
#include "sim_front.h"

#define SIM_PIRQS_MAX 256
#define SIM_DOMIDS    0x8000u

struct sim_world;
struct sim_device;

enum sim_permission { SIM_ALLOW_PORTS, SIM_ALLOW_MEMORY, SIM_ALLOW_IRQ, SIM_ALLOW_COUNT };

/* Disjoint ranges, unsorted. */
struct sim_ranges {
    struct sim_range {
        uint64_t first, count;
    } * item;
    size_t count, room;
};

struct sim_pirq {
    bool used, msix;
    uint16_t entry;
    uint8_t
        block; /* the first of this many that were mapped at once; their others have 1 in `inner` */
    bool inner;
    struct sim_device *device; /* NULL: a GSI */
    bool orphan;               /* its device was taken out of Xen's list meanwhile (H1) */
};

struct sim_domain {
    TAILQ_ENTRY(sim_domain) link;
    uint32_t domid;
    char name[64];
    uint8_t handle[16];
    bool hvm, iommu; /* iommu: created with passthrough="enabled" */
    bool dying, shutdown;
    uint8_t shutdown_reason;
    struct sim_ranges allowed[SIM_ALLOW_COUNT];
    struct sim_pirq pirq[SIM_PIRQS_MAX]; /* index: pirq */
    struct sim_guest_ports ports;
    struct sim_pages pages;
    struct sim_front front;
};
TAILQ_HEAD(sim_domain_list, sim_domain);

extern const char *const sim_permission_names[SIM_ALLOW_COUNT];

/* With its nodes in the store, as a toolstack writes them; @introduceDomain fires. NULL: exists. */
struct sim_domain *sim_domain_create(struct sim_world *w, uint32_t domid, const char *name,
                                     bool hvm, bool iommu);
/* Any that the hypervisor still knows, also a dying one; NULL when there is none. */
struct sim_domain *sim_domain_find(const struct sim_world *w, uint32_t domid);
/* The same, but not one that is dying. */
struct sim_domain *sim_domain_live(const struct sim_world *w, uint32_t domid);

/*
 * The end. Devices leave the guest, its ports close, its nodes vanish, then @releaseDomain fires.
 * While one of its pages is mapped it stays a zombie that answers "dying". BY_TOOLSTACK: the whole
 * directory of the domain goes first, as xl does it; otherwise only the nodes that the guest owns.
 */
void sim_domain_destroy(struct sim_world *w, struct sim_domain *dom, bool by_toolstack);
/* Powered off, rebooted, suspended or crashed (REASON), but not yet destroyed. */
void sim_domain_shutdown(struct sim_world *w, struct sim_domain *dom, uint8_t reason);
/* A page was unmapped: a zombie without mapped pages is gone now, silently. */
void sim_domain_reap(struct sim_world *w, struct sim_domain *dom);
void sim_domain_free_all(struct sim_world *w);

int sim_ranges_change(struct sim_ranges *ranges, uint64_t first, uint64_t count, bool allow);
bool sim_ranges_touch(const struct sim_ranges *ranges, uint64_t first, uint64_t count);

#endif
