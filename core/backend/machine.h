/* SPDX-License-Identifier: MIT */
/*
 * The machine's objects, for the files of core/backend only. Ownership: the backend owns devices,
 * guests and tasks; a device and its guest point at each other while the device is assigned; a
 * guest owns its page and its port.
 */
#ifndef PB_BACKEND_MACHINE_H
#define PB_BACKEND_MACHINE_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "backend/backend.h"
#include "backend/poll.h"
#include "backend/script.h"
#include "backend/taint.h"
#include "backend/task.h"
#include "base/bytes.h"
#include "base/cycles.h"
#include "base/index.h"
#include "base/ratelimit.h"
#include "pci/access.h"
#include "proto/pciif.h"
#include "proto/topology.h"
#include "proto/xenbus.h"

/* Directories below /local/domain/0/backend. */
#define PB_KIND    "pcibackd" /* ours */
#define PB_KIND_XL "pci"      /* the toolstack's, which we serve in xl mode */

enum pb_interrupt_mode { PB_INTERRUPT_NONE, PB_INTERRUPT_MSI, PB_INTERRUPT_MSIX };

/* What the device's message interrupts are mapped to in its guest. */
struct pb_interrupts {
    enum pb_interrupt_mode mode;
    bool block; /* vectors of one MSI mapping: only the first is unmapped, and that unmaps all (H18)
                 */
    unsigned count;
    struct {
        uint16_t entry;
        uint32_t pirq;
    } vector[PB_MSIX_ENTRIES_MAX];
};

/* What was granted to the guest for this device, and so has to be revoked. */
struct pb_grants {
    bool resource[PB_PCI_RESOURCES];
    bool gsi_mapped, irq_allowed;
};

struct pb_journal;
struct pb_journal_record;
struct pb_journal_op;
struct pb_adoption;

struct pb_identity {
    bool known;
    uint16_t vendor, device, subsystem_vendor, subsystem_device;
};

struct pb_device {
    TAILQ_ENTRY(pb_device) link;
    struct pb_index_link by_address, by_name; /* by_name: if its policy has one */
    struct pb_backend *b;
    struct pb_sbdf sbdf;
    struct pb_device_policy policy;
    enum pb_device_state state;
    struct pb_task *task; /* the verb that has it now */
    /* why it is where it is: a sentence, a code of why.c's list ("": none), what to do ("") */
    char cause[240], cause_next[160];
    const char *cause_code;
    bool gone;       /* removed from the machine while a verb or a guest had it (H1) */
    bool look_again; /* something happened to it while a verb had it */
    bool taken_back; /* from whoever unbound it: once since it was claimed */
    bool retry;      /* a guest has it from before this run: claimed when domains end */
    struct pb_journal_record *record; /* NULL: it is not in the journal */
    /* The journal has lost what its guest did with it, or even what it was at claim: it is taken
     * back, and says so. */
    bool lost, baseline_lost;
    uint8_t begun;  /* enum pb_journal_phase that an earlier process has left; 0: it is settled */
    uint64_t rules; /* a hash of those that its guest's view was begun under */
    bool interrupts_open; /* Xen may have mapped vectors that `interrupts` does not name (H10) */
    /* the one that was claimed last, until it is released: another one here is not taken for it */
    struct pb_identity identity;

    /* from claim to release */
    bool known;
    struct pb_facts facts;
    struct pb_layout layout;
    struct pb_profile *profile;
    struct pb_profile *next_profile; /* replaces it when the access under way is answered */
    /* by the reload under way, and what it is to replace; NULL: not compiled yet */
    struct pb_profile *prepared, *prepared_from;
    struct pb_hw *hw;
    struct pb_surroundings surroundings; /* as of the last look */
    /* another program claimed it (xl pci-assignable-add): that one releases it, and uevents of it
     * are not ours */
    bool adopted;
    char driver_before[PB_DRIVER_NAME], driver_now[PB_DRIVER_NAME];
    bool driver_lost;      /* it was released, but is not yet what it was before */
    uint16_t host_command; /* COMMAND as the host had it: given back at release */
    bool quarantined, msix_prepared;
    bool masked; /* its MSI-X did not come back from a reset: to be prepared anew */
    uint64_t resets, reset_ms, guest_resets;
    struct pb_denied denied[PB_DENIED_MAX];
    unsigned denied_count;
    uint64_t denied_lost; /* of further registers */

    /* with a guest */
    TAILQ_ENTRY(pb_device) sibling;
    struct pb_guest *guest;
    bool assigned_in_xen, reserved;
    struct pb_taint taint;
    struct pb_sbdf vaddr;
    bool has_vaddr;
    int node;     /* its number in the toolstack's nodes, -1 none; only with a guest of xl's */
    bool leaving; /* it is being taken back from a guest of xl's, or is about to be */
    unsigned node_state; /* our state-N: PB_XENBUS_INITIALISING, _INITIALISED or _CLOSING */
    bool ready;          /* all grants are made: it may be published */
    bool serving;        /* accesses reach it */
    bool let_go;         /* the guest has removed it */
    bool stuck;          /* a reset of it did not end: its registers are not to be touched */
    uint8_t flr_method;  /* of the reset that its guest asked for last */
    bool flr;            /* its guest has asked for a reset: until its end nothing reaches it */
    bool failing;        /* something went wrong while it was taken back */
    struct pb_script stop_script;
    bool permissive, permissive_asked;
    struct pb_view view; /* its map is NULL until a guest has the device */
    struct pb_hooks *hooks;
    struct pb_interrupts interrupts;
    struct pb_grants grants;
    struct pb_watch reservation; /* /libxl/pci/BDF/domid (H4) */
    uint64_t reservation_rewrites;
    struct pb_ratelimit warn_denied, flr_limit;
    uint64_t denied_writes;
};
TAILQ_HEAD(pb_device_list, pb_device);

struct pb_guest;
struct pb_xl;
struct pb_xl_dir;

/* What a guest's operation needs while it is under way. */

struct pb_running_op {
    bool busy;     /* waits for hardware */
    bool starting; /* inside of the call that starts it */
    bool inside;   /* of the call that brings interrupts back */
    bool parked;   /* waits for the end of a reset: nothing of it has begun */
    bool again;    /* an earlier process may have begun it: the journal says how far it came */
    bool unwanted; /* nobody waits for it: carried out for the device's sake alone */
    struct pb_journal_op *mark; /* its place in the journal, NULL: none */
    uint32_t did;               /* enum pb_op_did of that process */
    uint32_t before;            /* processes that carried it out before this one */
    bool hooked;                /* plugins have a bit of it */
    struct pb_op op;
    uint64_t connection; /* the frontend's connect that it came by */
    struct pb_device *dev;
    struct pb_access access;
    struct pb_hw_cycle cycle;
    ev_timer wait;
    struct pb_script script;
    void (*script_done)(struct pb_guest *g);
    int err;
    uint32_t value;
    unsigned entry_count;
    struct pb_msix_entry entries[PB_MSIX_ENTRIES_MAX];
};

struct pb_guest {
    TAILQ_ENTRY(pb_guest) link;
    struct pb_index_link by_domid;
    struct pb_backend *b;
    uint32_t domid;
    uint8_t handle[16];
    char name[PB_NAME_MAX + 1];
    char be_path[80], fe_path[80];
    struct pb_journal_record *record; /* NULL: it is not in the journal */
    uint64_t
        adopted_ms;    /* pb_now_ms() when it was served again; 0: it is not an earlier process's */
    bool other_domain; /* its number is another domain's by now: nothing is done to that (H11) */
    bool held;         /* it is being adopted: nothing of it is served before pb_inflight_resume */
    bool fenced; /* an operation of its ended two processes: nothing of it is carried out (H9) */
    bool xl;     /* its nodes are the toolstack's: it numbers the devices and makes the grants */
    struct pb_xl_dir *dir; /* those nodes; only if xl */
    enum pb_topology topology;

    /* the handshake */
    bool nodes_exist;
    unsigned be_state; /* what we wrote last */
    unsigned fe_state;
    unsigned node_count; /* devices in our nodes */
    struct pb_watch fe_watch;
    bool watching;
    bool acting; /* an action's request is with the store: events wait */
    bool refresh_again;
    bool ending; /* the domain is dying, dead or shut down, or its frontend is gone */
    bool store_lost;
    bool forgetting;     /* our nodes are being removed */
    unsigned refreshing; /* devices that are being made fresh for a frontend that begins anew */
    ev_timer rest;       /* how long a frontend that has closed sees Closed */
    ev_timer again;      /* an action that failed for xenstore's sake is repeated ... */
    unsigned failures;   /* ... after so many in a row */
    bool taken_up;       /* what an earlier process has begun for it is under way, or done */
    bool was_connected;  /* an earlier process had its ring, which is not bound again yet */
    unsigned opening;    /* devices that an earlier process had and that are not open yet */
    bool untold;         /* the devices that were published last are not in our nodes */
    unsigned holds;      /* callbacks to come that point here */
    struct pb_device_list devices;
    struct pb_vslots slots;
    struct pb_task *turn; /* the attach or detach that talks to this guest now */
    struct pb_task_list queue;

    /* the ring */
    void *page;
    bool bound;
    uint32_t port;
    uint32_t fe_ref, fe_port; /* the frontend's numbers of both */
    bool masked;
    bool in_turn;
    TAILQ_ENTRY(pb_guest) turn_link, poll_link;
    struct pb_poll poll;
    unsigned looks;    /* at its flag since its last answer */
    uint64_t spun_ns;  /* that looks took in all */
    bool expect_empty; /* the next event may be one that polling has served already (H15) */
    unsigned spurious;
    ev_timer back_off;
    struct pb_running_op run;
    struct pb_counters counters;
    struct pb_ratelimit warn, chatter;
};

TAILQ_HEAD(pb_guest_list, pb_guest);

struct pb_assigner;
/* What is claimed as soon as it is there (slots.c). */
struct pb_slot_entry {
    TAILQ_ENTRY(pb_slot_entry) link;
    struct pb_slot slot;
    enum pb_slot_origin origin;
    bool listed;  /* false: taken off the list, but still in the file of saved ones */
    bool by_verb; /* of this run: a reload keeps it, whatever the configuration says */
    bool fresh;   /* by the reload under way: its devices are to be claimed */
};
TAILQ_HEAD(pb_slot_list, pb_slot_entry);

struct pb_backend {
    struct ev_loop *loop;
    struct pb_xen *xen;
    struct pb_host *host;
    struct pb_policy *policy;
    struct pb_quirk_set *quirks;
    struct pb_journal *journal; /* NULL: nothing is kept for the next process */
    uint64_t generation;
    struct pb_device_list devices; /* by address */
    struct pb_index device_address, device_name;
    unsigned device_count;
    struct pb_guest_list guests; /* by domid */
    struct pb_index guest_domid;
    unsigned guest_count;
    struct pb_slot_list slots; /* in the order in which they were listed */
    struct pb_task_list tasks;
    struct pb_watch release_watch;
    struct pb_xl *xl;             /* NULL: not in xl mode */
    struct pb_assigner *assigner; /* NULL before pb_assign_begin */
    struct pb_adoption *adoption; /* NULL: over, or nothing was adopted */
    uint64_t began_ms;            /* this process: pb_now_ms() then, 0 unknown */
    bool started;
    pb_verb_fn tell_started; /* who waits for the start */
    void *tell_started_ctx;
    bool only_serves; /* guests of an earlier process: nothing is claimed or given to a guest */
    bool stopping;    /* memory is being freed: callbacks do nothing */
    struct pb_counters counters;
    /* service: guests to look at, guests whose burst is polled */
    struct pb_guest_list turn;
    struct pb_guest_list poll;
    unsigned polled;             /* how many they are */
    unsigned looks;              /* at flags before the next one at the clock */
    uint64_t look_ns;            /* what one takes, about */
    struct pb_cycle_clock clock; /* of turn.c */
    uint64_t now_ns;             /* the clock when it was looked at last */
    uint64_t slice_ns;           /* of looking before the loop has its round */
    bool quiet;                  /* nothing else was ready in this round */
    ev_idle idle;
    ev_check round;            /* of the loop: they have a turn each */
    struct pb_guest **by_port; /* port -> guest */
    uint32_t by_port_size;
};

/* why.c: the code of its list that equals TEXT, "" when none does */
const char *pb_why_code(const char *text);
/* backend.c */
struct pb_guest *pb_guest_find(const struct pb_backend *b, uint32_t domid);
/* device.c */
struct pb_device *pb_device_find(const struct pb_backend *b, struct pb_sbdf sbdf);
/* By address or name. NULL: not in the list; *ret_sbdf is set when TEXT is an address. */
struct pb_device *pb_device_resolve(const struct pb_backend *b, const char *text,
                                    bool *ret_is_address, struct pb_sbdf *ret_sbdf);
/* What the faces show of it (views.c). */
struct pb_device_view pb_device_view_of(const struct pb_device *dev);
/* The same for a face: NULL with FAILURE when it is not in the list. */
const struct pb_device *pb_device_known(const struct pb_backend *b, const char *text,
                                        struct pb_failure *failure);
/*
 * Adds it (state absent) if it is not in the list; NULL when out of memory. For what is ours
 * already, from before this run: nothing bounds it.
 */
struct pb_device *pb_device_add(struct pb_backend *b, struct pb_sbdf sbdf);
/* The same for what is new: NULL with FAILURE when limits.devices is reached, too. */
struct pb_device *pb_device_admit(struct pb_backend *b, struct pb_sbdf sbdf,
                                  struct pb_failure *failure);
void pb_device_free(struct pb_device *dev);
/* The only way to change its policy: its name is found by it. */
void pb_device_set_policy(struct pb_device *dev, const struct pb_device_policy *policy);
void pb_device_set_state(struct pb_device *dev, enum pb_device_state state);
__attribute__((format(printf, 2, 3))) void pb_device_set_cause(struct pb_device *dev,
                                                               const char *fmt, ...);
/* The same with a code of why.c's list and what to do. */
__attribute__((format(printf, 4, 5))) void pb_device_set_reason(struct pb_device *dev,
                                                                const char *code, const char *next,
                                                                const char *fmt, ...);
/* Ours, and no guest's: nobody but us can do anything to it or by it. */
bool pb_device_is_idle(const struct pb_device *dev);
/* "0000:03:00.0" or "nic0 (0000:03:00.0)" in a static buffer: for one log line. */
const char *pb_device_text(const struct pb_device *dev);

#endif
