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
#include "pci/slot.h"
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
    PB_JOB_PROBE,   /* read `facts` and `surroundings`, change nothing */
    PB_JOB_CLAIM,   /* take the device for `driver`: as PROBE, driver before, opened `hw` */
    PB_JOB_OPEN,    /* only what PROBE does, and opened `hw`: another program has claimed it */
    PB_JOB_ADOPT,   /* a guest uses it: only opened `hw`, `driver_now` and the ids of `facts`; reads
                       nothing of the hardware, and is quick */
    PB_JOB_RELEASE, /* give it back to the driver that it had */
    PB_JOB_RESET, /* reset by `method` ("" = the kernel's order); then facts->config is read anew */
    PB_JOB_REMEMBERED, /* `listed`: what an earlier run of this boot of the host has claimed, and
                          nobody has given back by hand since */
    PB_JOB_KERNEL_STAYS_AWAY, /* rc -EBUSY, reason and next: Linux's backend would serve domain
                                 `domid`, or any guest of xl's when that is 0 */
    PB_JOB_LIST,              /* `listed`: what is in the machine of the slot at `slots` */
    PB_JOB_SAVE_SLOTS,        /* write `slots` to CONFIG_DIR/90-slots.json; none removes the file */
    PB_JOB_KIND_COUNT
};

#define PB_DRIVER_NAME 32
#define PB_JOB_PLUGINS 2

/* What the host itself needs a device for: id, name, meaning. */
#define PB_USES(X)                                            \
    X(ROOT, "root", "the root file system is on it")          \
    X(DISK, "disk", "a mounted file system or swap is on it") \
    X(ROUTE, "route", "the default route leads over it")      \
    X(CONSOLE, "console", "it is the only console")           \
    X(INPUT, "input", "it is the only input, or leads to it")

enum pb_use {
#define X(id, name, help) PB_USE_##id,
    PB_USES(X)
#undef X
        PB_USE_COUNT
};
const char *pb_use_name(enum pb_use use);

/* What a device has in common with a neighbour: id, name, meaning. */
#define PB_SHARES(X)                                                                     \
    X(RESET, "reset", "a reset of the bus or slot hits both")                            \
    X(REQUESTER, "requester", "the IOMMU cannot tell them apart, or ACS lets them talk") \
    X(LINE, "line", "one interrupt line (XSA-461)")                                      \
    X(PAGE, "page", "a page of memory has registers of both (XSA-461)")                  \
    X(FUNCTION, "function", "functions of one device")

enum pb_share {
#define X(id, name, help) PB_SHARE_##id,
    PB_SHARES(X)
#undef X
        PB_SHARE_COUNT
};
const char *pb_share_name(enum pb_share share);

struct pb_neighbour {
    struct pb_sbdf sbdf;
    uint8_t shares;              /* bits 1 << enum pb_share */
    char driver[PB_DRIVER_NAME]; /* bound now, "" none */
};

#define PB_NEIGHBOURS_MAX 24
#define PB_PATH_TEXT      64

/* Where a device sits, and who else depends on it. Plain data, as struct pb_facts. */
struct pb_surroundings {
    /*
     * The way to it from its host bridge, in the spelling of Linux's `pci=` parameter:
     * "0000:00:1c.0/00.0" is function 00.0 behind bridge 0000:00:1c.0. It does not change when bus
     * numbers do. "" when it does not fit.
     */
    char path[PB_PATH_TEXT];
    char port[PB_SBDF_TEXT]; /* the port that it may be pulled out of (H1), "" none */
    bool has_physical_function;
    struct pb_sbdf physical_function; /* of a virtual function */
    uint16_t virtual_functions;       /* enabled now */
    uint8_t uses;                     /* bits 1 << enum pb_use */
    char uses_text[160];              /* "the root file system is on it (nvme0n1p2); ..." */
    bool more_neighbours;             /* there are more than fit */
    uint8_t neighbour_count;
    struct pb_neighbour neighbour[PB_NEIGHBOURS_MAX];
};

/* Of the helper: children at work at once; requests that it takes and keeps. */
#define PB_HELPER_CHILDREN 16
#define PB_HELPER_REQUESTS 4096

#define PB_SLOTS_SAVED_MAX 256
#define PB_LISTED_MAX      256

struct pb_job {
    enum pb_job_kind kind;
    struct pb_sbdf sbdf;
    char driver[PB_DRIVER_NAME]; /* CLAIM: stub driver ("none": stays without one) */
    /*
     * CLAIM: also what the host needs itself, what may be pulled (H1), is a virtual function or has
     * some (H12). Without it these are -EACCES with `reason` and `next`, unless an earlier run of
     * this boot has claimed it.
     */
    bool force;
    uint32_t domid;              /* KERNEL_STAYS_AWAY */
    const struct pb_slot *slots; /* SAVE_SLOTS, at most PB_SLOTS_SAVED_MAX; LIST: one */
    size_t slot_count;
    char method[64];       /* RESET: reset_method to set first, "" leaves it */
    unsigned settle_ms;    /* RESET: wait before the device is touched again */
    unsigned plugin_count; /* RESET: plugins whose before_reset and after_reset run */
    struct pb_reset_plugin plugin[PB_JOB_PLUGINS];
    /* RESET with plugins: as it was at claim, valid until `done`; NULL: as it is now */
    const struct pb_facts *claimed;
    unsigned deadline_ms;
    /* result */
    int rc; /* 0; -ENODEV absent; -ETIMEDOUT: abandoned in the kernel; other negative errno */
    char reason[240]; /* when rc != 0: what failed, for the operator */
    char next[160];   /* what he may do, "" when nothing special */
    /* PROBE: the bound driver, "" none. CLAIM: that of before; "" also: the kernel's choice. */
    /* PROBE, OPEN: COMMAND now; CLAIM: as the host had it, without INTX_DISABLE. */
    uint16_t host_command;
    char driver_before[PB_DRIVER_NAME];
    char driver_now[PB_DRIVER_NAME];
    struct pb_facts facts;                /* PROBE, CLAIM, OPEN, RESET; ADOPT: ids alone */
    struct pb_surroundings surroundings;  /* PROBE, CLAIM, OPEN */
    struct pb_sbdf listed[PB_LISTED_MAX]; /* REMEMBERED, LIST: by address */
    unsigned listed_count;
    struct pb_hw *hw; /* CLAIM, OPEN, ADOPT: new, the receiver's to close */
    void (*done)(struct pb_job *job, void *ctx); /* the job is the submitter's memory until then */
    void *ctx;
    /* private to the carrier */
    TAILQ_ENTRY(pb_job) link;
    uint64_t id, due_ms;
    bool sent;
};

/* Does a job of this kind end with an opened device? */
static inline bool pb_job_opens(enum pb_job_kind kind)
{
    return kind == PB_JOB_CLAIM || kind == PB_JOB_OPEN || kind == PB_JOB_ADOPT;
}

struct pb_host;

struct pb_host_ops {
    void (*close)(struct pb_host *h);
    enum pb_hw_when (*cycle_submit)(struct pb_host *h, struct pb_hw_cycle *cycle);
    /* Pending cycles of HW complete with -ECANCELED before this returns. */
    void (*hw_close)(struct pb_host *h, struct pb_hw *hw);
    /* Always completes later, also on failure to start. */
    void (*job_submit)(struct pb_host *h, struct pb_job *job);
};

/* What the kernel says of a PCI device: id, meaning. Always late: the device may be elsewhere. */
enum pb_uevent {
    PB_UEVENT_ADD,    /* it appeared; its driver may not be there yet */
    PB_UEVENT_REMOVE, /* it is gone */
    PB_UEVENT_BIND,   /* a driver has it now */
    PB_UEVENT_UNBIND, /* no driver has it now */
    PB_UEVENT_LOST,   /* events were lost (SBDF says nothing): look at everything */
};

struct pb_host_events {
    /* On the loop. DRIVER: of BIND, "" otherwise. */
    void (*device)(void *ctx, enum pb_uevent what, struct pb_sbdf sbdf, const char *driver);
    void *ctx;
};

struct pb_host {
    const struct pb_host_ops *ops;
    struct pb_host_events events; /* set by the user; nothing is told before */
    /*
     * The helper is gone, and nobody can start another one any more. When it is set, what was asked
     * of the helper stays without an answer: whoever takes over does it again. Otherwise it fails.
     */
    void (*gone)(void *ctx);
    void *gone_ctx;
};

struct ev_loop;
struct pb_host_options {
    const char *sysfs;   /* "/sys" */
    const char *proc;    /* "/proc": mounts, routes */
    const char *lib_dir; /* "/var/lib/pcibackd": what must survive a restart */
    /* "/run/pcibackd-boot": a file BDF there says that a boot script has set that override */
    const char *boot_dir;
    const char *config_dir; /* "/etc/pcibackd.d"; "": the configuration has none */
    /* "/run/pcibackd": the relay's socket, and which jobs run; "": none is kept */
    const char *run_dir;
    const char *store; /* xenstored's socket; "": there is no relay to it */
    uint32_t uid;      /* of the daemon once it has no privileges: may use the relay, as root may */
    /* Where plugins of a reset may be. */
    const char *const *plugin_dirs;
    size_t plugin_dir_count;
    /* What devices may be claimed for, besides "none" and the stub drivers. */
    const char *const *drivers;
    size_t driver_count;
    const char *self; /* path of this binary: the helper is exec'ed from it */
};
/* The relay: whoever may connect to it (see `uid`) talks to xenstored. In RUN_DIR. */
#define PB_HOST_RELAY "xenstored.sock"
/*
 * Starts the helper process (exec of options->self with --helper) and connects to it. Must be
 * called before anything of Xen's is opened (H5). An exec that fails is the error returned.
 */
int pb_host_open(struct ev_loop *loop, const struct pb_host_options *options, struct pb_host **ret);
/*
 * The helper's whole life: runs until its socket closes; returns an exit status. The arguments are
 * those that pb_host_open() gave it: "--helper FD", then an option and a value for each of
 * `options` but self.
 */
int pb_helper_main(int argc, char **argv);

#endif
