/* SPDX-License-Identifier: MIT */
/*
 * The simulated host: a hypervisor, a xenstored, PCI devices and guests, all in memory and all on
 * one loop. The daemon sees it through the two tables (xen/xen.h, host/host.h), a test through the
 * simulator's socket (sim_command.h).
 *
 * Nothing calls the daemon from inside of one of its own calls: every event is remembered, and
 * delivered by sim_world_turn on the next round of the loop.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <ev.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "host/host.h"
#include "sim_device.h"
#include "sim_domain.h"
#include "sim_evtchn.h"
#include "sim_log.h"
#include "sim_memory.h"
#include "sim_store.h"
#include "sim_timer.h"
#include "xen/xen.h"

TAILQ_HEAD(sim_task_list, sim_task);
TAILQ_HEAD(sim_uevent_list, sim_uevent);
TAILQ_HEAD(sim_probe_list, sim_probe);
TAILQ_HEAD(sim_hw_list, pb_hw);

struct sim_world {
    struct ev_loop *loop; /* NULL until the daemon has opened a table */
    ev_timer turn;
    struct pb_xen xen;
    struct pb_host host;
    bool xen_open, host_open;

    struct sim_timer_list timers;
    struct sim_hw_list hws;  /* opened devices: descriptors of the daemon's */
    uint32_t created;        /* domains, so far */
    unsigned lives, planned; /* of the daemon: how many before this one, how many were ended */
    bool dying;              /* it dies now: what it does in its last moment */
    volatile bool ended;     /* on purpose */
    char next_argument[32];  /* one more, of the next daemon alone; "": none */
    json_t *meanwhile; /* commands for when this daemon is dead and the next not there; NULL */
    struct sim_log log;
    struct sim_store store;
    struct sim_domain_list domains;
    struct sim_domain *domain_by_id[SIM_DOMIDS]; /* the same */
    /* Thousands of guests: of who may reach a device its owner alone is looked at, and the log
     * counts, but keeps nothing. */
    bool large;
    struct sim_device_list devices;
    struct sim_device *device_bucket[SIM_DEVICE_BUCKETS]; /* the same, by address */
    struct sim_local_ports ports;
    struct sim_maps maps;

    bool quarantine;                /* iommu=quarantine: a deassigned device goes to DOMID_IO */
    uint32_t gsi_count;             /* pirqs below are GSIs */
    uint32_t msi_pirqs;             /* how many pirqs a guest has for MSI (nr_pirqs - nr_gsis) */
    bool remapping;                 /* interrupt remapping: several vectors of MSI are possible */
    unsigned job_delay_ms;          /* how long a job takes */
    struct sim_task_list tasks;     /* jobs and late cycles under way */
    struct sim_uevent_list uevents; /* to be told */
    struct sim_probe_list probes;   /* native drivers that come later */
    bool deaf;                      /* uevents are lost */
    bool kernel_takes;              /* xl's nodes: Linux's backend would serve them … */
    uint32_t kernel_takes_domid;    /* … of this domain only, 0: of all */
    json_t *saved_slots;            /* as the last SAVE_SLOTS had them, NULL: there was none */
    char *config_dir;               /* where they are written, NULL: nowhere */
    const char *state_path;         /* see sim_state_load; NULL: nothing is kept */
    const char *dump_dir;
    /* called when the loop is known: the simulator's own socket needs it too */
    void (*started)(struct sim_world *w, void *ctx);
    void (*stopped)(struct sim_world *w, void *ctx);
    void *started_ctx;
};

struct sim_world *sim_world_new(void);
void sim_world_free(struct sim_world *w);

/* Both tables are on LOOP from now on (called by whichever is opened first). */
void sim_world_start(struct sim_world *w, struct ev_loop *loop);
/* A table was closed: without any open table the world leaves its loop. */
void sim_world_closed(struct sim_world *w);
/* Something is to be delivered on the next round of the loop. */
void sim_world_kick(struct sim_world *w);
/* Nothing is under way or waits for delivery. */
bool sim_world_idle(const struct sim_world *w);

/* The tables, as pb_xen_open and pb_host_open would return them. */
struct pb_xen *sim_xen_open(struct sim_world *w, struct ev_loop *loop);
struct pb_host *sim_host_open(struct sim_world *w, struct ev_loop *loop);

#endif
