/* SPDX-License-Identifier: MIT */
/*
 * The machine: devices, guests, and the verbs that move devices between them. It knows nothing of
 * sockets, JSON or files. Everything runs on the loop's thread; verbs complete later, by a
 * callback, exactly once, and inside of the call that started them only when there is no memory to
 * start.
 */
#ifndef PB_BACKEND_BACKEND_H
#define PB_BACKEND_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/policy.h"
#include "host/host.h"
#include "quirk/hooks.h"
#include "quirk/profile.h"
#include "quirk/suggest.h"
#include "xen/xen.h"

struct ev_loop;
struct pb_backend;
struct pb_journal;

/* Why a verb failed: code, name (JSON: the error's `data.code`), JSON-RPC number, meaning. */
#define PB_FAILS(X)                                                                          \
    X(NOT_FOUND, "not-found", -32001, "no such device or guest")                             \
    X(STATE, "wrong-state", -32002, "the device's or guest's state does not allow it")       \
    X(REFUSED, "refused", -32003, "policy or safety forbids it")                             \
    X(TIMEOUT, "timeout", -32004, "a guest, the kernel or xenstored did not answer in time") \
    X(HOST, "host-error", -32005, "the kernel refused a step")                               \
    X(XEN, "xen-error", -32006, "the hypervisor or xenstored refused a step")                \
    X(LIMIT, "limit", -32007, "a limit of the configuration is reached")                     \
    X(DENIED, "permission", -32008, "the caller may read but not change")                    \
    X(CONFIG, "bad-config", -32009, "the configuration or a quirk is wrong")                 \
    X(INTERNAL, "internal", -32603, "out of memory or descriptors")

enum pb_fail {
#define X(id, name, rpc, help) PB_FAIL_##id,
    PB_FAILS(X)
#undef X
};

struct pb_failure {
    enum pb_fail code;
    char device[PB_NAME_MAX + 1]; /* the device or guest as it is best known, may be "" */
    char reason[240];             /* one sentence */
    char next[240];               /* what to do now, may be "" */
};

/* FAILURE NULL: done. */
typedef void (*pb_verb_fn)(void *ctx, const struct pb_failure *failure);

/*
 * POLICY is taken over (freed with the backend), and one reference of QUIRKS. The tables stay the
 * caller's.
 */
int pb_backend_new(struct ev_loop *loop, struct pb_xen *xen, struct pb_host *host,
                   struct pb_policy *policy, struct pb_quirk_set *quirks, struct pb_backend **ret);
/*
 * Before the start: J is taken over. Guests that it knows are adopted; what they have is kept in it
 * for the next process. Without a journal nothing is.
 */
void pb_backend_use_journal(struct pb_backend *b, struct pb_journal *j);
/* When this process began (pb_now_ms): from there the time is counted until guests are served. */
void pb_backend_began(struct pb_backend *b, uint64_t ms);
/*
 * Begins to work: serves again whom an earlier process of this boot served, watches for the end of
 * guests, takes up again what an earlier run has claimed, claims the slots, serves assignments.
 * STARTED is told once, when requests may come: without a failure, or with the reason why the
 * daemon has to end (xl mode that the kernel's backend would disturb).
 */
void pb_backend_start(struct pb_backend *b, pb_verb_fn started, void *ctx);
/*
 * Leaves guests connected and xenstore as it is. Verbs under way are answered with a failure. Frees
 * all memory, closes ports and mappings.
 */
void pb_backend_free(struct pb_backend *b);

struct pb_attach_options {
    bool claim;      /* claim the device first if it is not ours */
    bool permissive; /* for this guest only */
    bool force;      /* overrides taint and warnings */
    bool quiet;      /* who asked tells of a failure himself */
    uint32_t domid;  /* of the guest that is given by its name: looked at first; 0: not known */
    unsigned wait_s; /* 0: done when the nodes are written; else: when the frontend is connected */
};

/* DEV is an address or a configured name, GUEST a domid or a domain's name. */
void pb_backend_claim(struct pb_backend *b, const char *dev, bool force, pb_verb_fn done,
                      void *ctx);
void pb_backend_release(struct pb_backend *b, const char *dev, bool force, pb_verb_fn done,
                        void *ctx);
void pb_backend_attach(struct pb_backend *b, const char *guest, const char *dev,
                       const struct pb_attach_options *options, pb_verb_fn done, void *ctx);
void pb_backend_detach(struct pb_backend *b, const char *guest, const char *dev, bool force,
                       pb_verb_fn done, void *ctx);

/* Before pb_backend_start: no slot is claimed, nothing is assigned, what guests have is served. */
void pb_backend_only_serve(struct pb_backend *b);

/* How many devices came back, and how many their guests keep. */
struct pb_detached {
    unsigned taken, kept;
};
typedef void (*pb_detached_fn)(void *ctx, const struct pb_detached *result);

/*
 * Takes all devices back from all guests at once, each as pb_backend_detach does without force; why
 * one stays is logged. DONE is called once, maybe at once. -ENOMEM: nothing was begun.
 */
int pb_backend_detach_all(struct pb_backend *b, pb_detached_fn done, void *ctx);

/*
 * Resets a device that no guest has, verifies that it is the same as at claim and restores its
 * baseline. A `failed` device is `claimed` again when all of that worked.
 */
void pb_backend_reset(struct pb_backend *b, const char *dev, pb_verb_fn done, void *ctx);

/*
 * Slots: what is claimed as soon as it is there. Adding one claims what is present, and is done
 * when that is; removing releases nothing. SAVE: also in the file of saved slots. One that the
 * configuration lists elsewhere cannot be removed here.
 */
void pb_backend_slot_add(struct pb_backend *b, const struct pb_slot *slot, bool save,
                         pb_verb_fn done, void *ctx);
void pb_backend_slot_remove(struct pb_backend *b, const struct pb_slot *slot, bool save,
                            pb_verb_fn done, void *ctx);

enum pb_slot_origin { PB_SLOT_CONFIG, PB_SLOT_SAVED, PB_SLOT_VERB };
struct pb_slot_view {
    struct pb_slot slot;
    enum pb_slot_origin origin;
    unsigned devices; /* that match and are in the machine */
    unsigned claimed; /* of those: claimed or with a guest */
};
/* In the order in which they were listed. */
void pb_backend_each_slot(const struct pb_backend *b,
                          void (*visit)(void *ctx, const struct pb_slot_view *view), void *ctx);

/*
 * Why a device is where it is and what stands in the way of giving it to a guest, the most
 * important first: codes are stable words ("tainted", "shares-line", ...), the list of them is in
 * why.c.
 */
struct pb_reason {
    const char *code;
    bool blocks; /* attach --claim is refused because of it, without --force */
    const char *text, *next;
};
bool pb_backend_why(const struct pb_backend *b, const char *dev,
                    void (*visit)(void *ctx, const struct pb_reason *reason), void *ctx,
                    struct pb_failure *failure);

/*
 * Reload. Devices are compiled under the new policy and quirks a few at a time, over as many turns
 * of the loop as that takes; until all of them are, the old generation is in force and nothing is
 * changed. POLICY and QUIRKS stay the caller's. One at a time. NULL: out of memory.
 */
struct pb_reload;
struct pb_reload *pb_backend_reload_begin(struct pb_backend *b, struct pb_policy *policy,
                                          struct pb_quirk_set *quirks);
struct pb_device_view;
/* What it means to a device: old and new profile, both valid during the call. */
typedef void (*pb_reload_visit)(void *ctx, const struct pb_device_view *view,
                                const struct pb_profile *old_profile,
                                const struct pb_profile *new_profile);
/*
 * Compiles MAX devices at most, and visits each: a second time one that was claimed anew since. 1:
 * there are more; 0: all are compiled, and whoever wants that commits before the loop goes on;
 * negative errno with a sentence in WHY: one cannot be, which leaves only to discard.
 */
int pb_backend_reload_step(struct pb_reload *reload, unsigned max, pb_reload_visit visit, void *ctx,
                           char *why, size_t why_size);
/*
 * Takes POLICY and a reference of QUIRKS over and cannot fail: each device changes between two
 * accesses of its guest, and slots that are new are claimed. Nothing is ever detached or released
 * by it.
 */
void pb_backend_reload_commit(struct pb_reload *reload);
void pb_backend_reload_discard(struct pb_reload *reload);
/* How many reloads were committed: the number of the generation in force, from 1. */
uint64_t pb_backend_generation(const struct pb_backend *b);
struct pb_quirk_set *pb_backend_quirks(const struct pb_backend *b); /* borrowed */

/* The states of a device : id, name, meaning. */
#define PB_DEVICE_STATES(X)                                                             \
    X(ABSENT, "absent", "listed, not in the machine")                                   \
    X(PRESENT, "present", "in the machine, not ours")                                   \
    X(CLAIMED, "claimed", "bound to the stub driver, in quarantine, ready for a guest") \
    X(ASSIGNED, "assigned", "a guest has it")                                           \
    X(RESETTING, "resetting", "between owners, or a guest's reset")                     \
    X(FAILED, "failed", "given to nobody until it is released")

enum pb_device_state {
#define X(id, name, help) PB_DEVICE_##id,
    PB_DEVICE_STATES(X)
#undef X
        PB_DEVICE_STATE_COUNT
};
const char *pb_device_state_name(enum pb_device_state state);

/* Counters a guest and the whole backend: id, help. All count since the daemon started. */
#define PB_COUNTERS(X)                                                                    \
    X(ops, "operations answered")                                                         \
    X(conf_reads, "configuration reads")                                                  \
    X(conf_writes, "configuration writes")                                                \
    X(msi_ops, "enable and disable of MSI and MSI-X")                                     \
    X(hw_cycles, "configuration cycles that reached hardware")                            \
    X(snapshot_misses, "reads of a constant register that is not what it was at claim")   \
    X(denied_writes, "writes of which some bits were refused")                            \
    X(guest_resets, "function level resets that guests asked for")                        \
    X(refused_resets, "of those, refused: too many, or no such method")                   \
    X(bad_ops, "operations with a field out of range or an unknown command")              \
    X(failed_ops, "operations that the host failed")                                      \
    X(fenced_ops, "operations failed because one of the guest's has ended two processes") \
    X(late_ops, "answers dropped because the guest had given up")                         \
    X(events, "event channel wake-ups")                                                   \
    X(spurious_events, "wake-ups with nothing to do")                                     \
    X(polled_ops, "operations found by polling, without a wake-up")                       \
    X(missed_polls, "times that polling found nothing more and ended")                    \
    X(poll_us, "microseconds spent on polling before something was found")                \
    X(ignored_events, "states of the frontend that mean nothing here")                    \
    X(bad_frontend, "frontends refused for their magic, port or grant")                   \
    X(connects, "times that a frontend was connected")                                    \
    X(disconnects, "times that a frontend was disconnected")

struct pb_counters {
#define X(name, help) uint64_t name;
    PB_COUNTERS(X)
#undef X
};

/* What the faces show of a device. Strings are valid until the loop runs again. */
struct pb_device_view {
    const char *name; /* "" when it has none */
    struct pb_sbdf sbdf;
    enum pb_device_state state;
    bool known; /* the ids below were read */
    uint16_t vendor, device, subsystem_vendor, subsystem_device;
    uint32_t class_code;
    uint8_t revision;
    bool virtual_function;
    const char *driver;        /* bound now, "" none */
    const char *driver_before; /* what it had before claim, "" none */
    const char *reset_methods; /* "" none */
    bool quarantined, permissive, msix_prepared, tainted;
    uint32_t irq;
    const char *interrupt; /* "none", "intx", "msi", "msi-x" */
    unsigned vectors;      /* mapped now */
    int64_t owner;         /* domid, -1 nobody */
    const char *owner_name;
    struct pb_sbdf virtual_address; /* in the guest, when assigned */
    const char *cause;              /* of `failed`, or why it is where it is; "" */
    uint64_t denied_writes;
    uint64_t resets, reset_ms;        /* how many, and how long the last one took */
    uint64_t guest_resets;            /* that a guest asked for by FLR, and got */
    uint64_t reservation_rewrites;    /* that others changed in /libxl/pci while a guest had it */
    const struct pb_profile *profile; /* NULL: it was never claimed */
    struct pb_hooks *hooks;           /* NULL: no guest has it, or no plugins */
    const struct pb_surroundings *surroundings; /* NULL: it was never looked at */
    bool adopted;                               /* the toolstack has claimed it, we only serve it */
    uint32_t tainted_by;     /* if tainted: the first domain that it was taken from */
    const char *assigned_to; /* the guest that an assignment gives it to, "" none */
    const char *assignment;  /* and what became of that */
    enum pb_assign assign;   /* by quirks and policy, with the reason, "" none */
    const char *assign_reason;
};

struct pb_guest_view {
    uint32_t domid;
    const char *name;
    const char *backend_state; /* xenbus state names: "Connected" … */
    const char *frontend_state;
    const char *kind;     /* "pcibackd"; "pci": the toolstack made its nodes */
    const char *topology; /* "vpci" ... */
    unsigned device_count;
    unsigned pirqs; /* mapped for it */
    bool connected;
    bool fenced;            /* an operation of its has ended two processes (H9) */
    uint64_t adopted_ms;    /* pb_now_ms() when it was taken over, 0: it is this process's own */
    const char *assignment; /* what became of its assignments: "", "done", or why they wait */
    struct pb_counters counters;
};

/*
 * Visits MAX of them at most, in order of address or domid, from *FROM on, which is 0 for the first
 * call and is changed for the next one. False: these were the last. What is visited must not be
 * changed meanwhile; between two calls anything may.
 */
bool pb_backend_some_devices(const struct pb_backend *b, uint64_t *from, unsigned max,
                             void (*visit)(void *ctx, const struct pb_device_view *view),
                             void *ctx);
bool pb_backend_some_guests(const struct pb_backend *b, uint64_t *from, unsigned max,
                            void (*visit)(void *ctx, const struct pb_guest_view *view), void *ctx);
/* One device by address or name; false when it is not known here (FAILURE says why). */
bool pb_backend_device(const struct pb_backend *b, const char *dev, struct pb_device_view *ret,
                       struct pb_failure *failure);
void pb_backend_counters(const struct pb_backend *b, struct pb_counters *ret);
struct pb_journal_stats;
/* False: nothing is kept for the next process. */
bool pb_backend_journal_stats(const struct pb_backend *b, struct pb_journal_stats *ret);

/* Writes that were denied, by register; kept from claim to release, for all guests together. */
#define PB_DENIED_MAX 128
/* *ret_lost: writes to further registers than PB_DENIED_MAX. False: as pb_backend_device. */
bool pb_backend_denied(const struct pb_backend *b, const char *dev,
                       void (*visit)(void *ctx, const struct pb_denied *denied), void *ctx,
                       uint64_t *ret_lost, struct pb_failure *failure);

#endif
