/* SPDX-License-Identifier: MIT */
/*
 * The host's hardware, behind one table of functions: configuration cycles and jobs. core/host
 * implements it with sysfs and the root helper, tests/sim in memory.
 *
 * Both are submit/complete. A cycle on a healthy device completes inside of submit; on a device in
 * doubt (one access was slower than PB_HW_SLOW_MS) it is carried out by a child of the helper and
 * completes later. A job (anything that takes a path in sysfs or may block) always completes later.
 */
#ifndef PB_HOST_HOST_H
#define PB_HOST_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "pci/facts.h"
#include "quirk/reset.h"

#define PB_HW_SLOW_MS 10

/* An open device: its configuration space can be accessed. */
struct pb_hw;

struct pb_hw_cycle {
    struct pb_hw *hw;
    bool write;
    uint8_t size;
    uint16_t offset;                                    /* naturally aligned, inside of the space */
    uint32_t value;                                     /* in of a write, out of a read */
    int rc;                                             /* 0 or negative errno */
    void (*done)(struct pb_hw_cycle *cycle, void *ctx); /* only after PB_HW_LATER */
    void *ctx;
};

enum pb_hw_when { PB_HW_NOW, PB_HW_LATER };

enum pb_job_kind {
    PB_JOB_PROBE,   /* read `facts`, change nothing */
    PB_JOB_CLAIM,   /* take the device for `driver`: facts, driver before, opened `hw` */
    PB_JOB_RELEASE, /* give it back to the driver that it had */
    PB_JOB_RESET, /* reset by `method` ("" = the kernel's order); then facts->config is read anew */
    PB_JOB_KIND_COUNT
};

#define PB_DRIVER_NAME 32
#define PB_JOB_PLUGINS 2

struct pb_job {
    enum pb_job_kind kind;
    struct pb_sbdf sbdf;
    char driver[PB_DRIVER_NAME]; /* CLAIM: stub driver ("none": stays without one) */
    bool force;                  /* CLAIM: also below a port that cards may be pulled from (H1) */
    char method[64];             /* RESET: reset_method to set first, "" leaves it */
    unsigned settle_ms;          /* RESET: wait before the device is touched again */
    unsigned plugin_count;       /* RESET: plugins whose before_reset and after_reset run */
    struct pb_reset_plugin plugin[PB_JOB_PLUGINS];
    /* RESET with plugins: as it was at claim, valid until `done`; NULL: as it is now */
    const struct pb_facts *claimed;
    unsigned deadline_ms;
    /* result */
    int rc; /* 0; -ENODEV absent; -ETIMEDOUT: abandoned in the kernel; other negative errno */
    char reason[160];                   /* when rc != 0: what failed, for the operator */
    char driver_before[PB_DRIVER_NAME]; /* PROBE, CLAIM: the bound driver, "" none */
    char driver_now[PB_DRIVER_NAME];
    struct pb_facts facts;                       /* PROBE, CLAIM, RESET */
    struct pb_hw *hw;                            /* CLAIM: new, the receiver's to close */
    void (*done)(struct pb_job *job, void *ctx); /* the job is the submitter's memory until then */
    void *ctx;
    /* private to the carrier */
    TAILQ_ENTRY(pb_job) link;
    uint64_t id, due_ms;
    bool sent;
};

struct pb_host;

struct pb_host_ops {
    void (*close)(struct pb_host *h);
    enum pb_hw_when (*cycle_submit)(struct pb_host *h, struct pb_hw_cycle *cycle);
    /* Pending cycles of HW complete with -ECANCELED before this returns. */
    void (*hw_close)(struct pb_host *h, struct pb_hw *hw);
    /* Always completes later, also on failure to start. */
    void (*job_submit)(struct pb_host *h, struct pb_job *job);
};

struct pb_host {
    const struct pb_host_ops *ops;
};

struct ev_loop;
struct pb_host_options {
    const char *sysfs;   /* "/sys" */
    const char *lib_dir; /* "/var/lib/pcibackd": what must survive a restart */
    const char *self;    /* path of this binary: the helper is exec'ed from it */
};
/*
 * Starts the helper process (exec of options->self with --helper) and connects to it. Must be
 * called before anything of Xen's is opened (H5).
 */
int pb_host_open(struct ev_loop *loop, const struct pb_host_options *options, struct pb_host **ret);
/* The helper's whole life: runs until its socket closes; returns an exit status. */
int pb_helper_main(int socket_fd, const char *sysfs, const char *lib_dir);

#endif
