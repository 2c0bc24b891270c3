/* SPDX-License-Identifier: MIT */
/*
 * What the operator decided, as plain data. core/daemon fills it from the configuration; the
 * backend only reads it. One allocation owns nothing but itself: arrays are owned by the policy and
 * freed by pb_policy_free.
 */
#ifndef PB_BACKEND_POLICY_H
#define PB_BACKEND_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/host.h"
#include "pci/addr.h"
#include "pci/slot.h"
#include "pci/traits.h"
#include "proto/topology.h"

#define PB_NAME_MAX 64 /* of a device or a guest, without the NUL */

/* Of warnings about what one guest does, so many in so long a time. */
#define PB_GUEST_WARNINGS    5
#define PB_GUEST_WARNINGS_MS 10000
#define PB_DENIED_WARNINGS   3 /* a minute, about refused writes to one device */

/* In xenstore: its frontend's state, and its directory if that is xl's. Each device has one more.
 */
#define PB_GUEST_WATCHES    2

#define PB_BUSY_POLL_US     1000 /* default of busy_poll_us */
#define PB_BUSY_POLL_US_MAX 10000

enum pb_reset_policy { PB_RESET_BEST_EFFORT, PB_RESET_REQUIRED, PB_RESET_NONE };

struct pb_device_policy {
    char name[PB_NAME_MAX + 1]; /* "" when it has none */
    struct pb_sbdf sbdf;
    /* its identity: what is given has to be true of the device, else it is refused */
    char path[PB_PATH_TEXT]; /* bridges above it, see struct pb_surroundings; "": any */
    bool has_vendor, has_device, has_subsystem_vendor, has_subsystem_device;
    uint16_t vendor, device, subsystem_vendor, subsystem_device;
    char driver[PB_DRIVER_NAME]; /* stub driver, default "pci-stub" */
    bool permissive, allow_interrupt_control;
    enum pb_reset_policy reset;
    char reset_method[64]; /* "" = the kernel's order */
    bool has_assign;       /* the operator said something of it, which beats the quirks */
    enum pb_assign assign;
    bool reassign_while_alive; /* may be given on although its last guest still lives (H7) */
};

/* A slot of the configuration. */
struct pb_policy_slot {
    struct pb_slot slot;
    bool saved; /* from the file that `slot add --save` writes */
};

struct pb_guest_policy {
    char name[PB_NAME_MAX + 1];
    enum pb_topology topology;
};

/* One device for one guest, by name, whenever such a guest is there. */
struct pb_assignment {
    char guest[PB_NAME_MAX + 1];
    char device[PB_NAME_MAX + 1]; /* an address or a configured name */
};

/*
 * Every limit, once: name, default, minimum, maximum, what it bounds. The configuration's `limits`
 * object, the `stats` verb and the manual page follow this list.
 */
#define PB_LIMITS(X)                                                                          \
    X(guests, 128, 1, 10000, "guests served at once")                                         \
    X(devices, 1024, 1, 16384, "devices known at once")                                       \
    X(devices_per_guest, 32, 1, 32, "devices of one guest (vpci has 32 slots)")               \
    X(pirqs_per_guest, 256, 1, 4096, "interrupts mapped for one guest")                       \
    X(ops_per_turn, 16, 1, 1024, "operations of one guest before others are served")          \
    X(spurious_backoff_max_ms, 1000, 1, 1000,                                                 \
      "pause of a guest whose events are about nothing, at most")                             \
    X(guest_log_lines, 60, 1, 6000,                                                           \
      "lines a minute in the log about what one guest does, beside warnings")                 \
    X(attach_timeout_ms, 30000, 100, 600000, "time for the steps of attach, in milliseconds") \
    X(detach_timeout_ms, 10000, 100, 600000, "time for a guest to let go of a device")        \
    X(reset_timeout_ms, 65000, 1000, 600000, "time for one reset or driver binding")          \
    X(control_clients, 64, 1, 1024, "connections to the control socket")                      \
    X(control_clients_per_uid, 16, 1, 1024, "connections of one user, except root")           \
    X(control_message_bytes, 16384, 256, 65536, "length of one control message")              \
    X(control_answer_bytes, 8388608, 65536, 16777215, "length of one answer")                 \
    X(control_unread_bytes, 33554432, 65536, 1073741824,                                      \
      "answers that wait to be read by clients other than root")                              \
    X(control_requests_per_s, 200, 1, 100000, "requests a second of one client, except root") \
    X(control_readers_requests_per_s, 1000, 1, 100000, "requests a second of all clients but root")

/* Those that something was made for at the start: a change of them needs a restart. */
#define PB_LIMITS_AT_START(X) \
    X(devices)                \
    X(control_message_bytes)

struct pb_limits {
#define X(name, fallback, min, max, help) uint32_t name;
    PB_LIMITS(X)
#undef X
};

enum pb_limit_max {
#define X(name, fallback, min, max, help) PB_LIMIT_MAX_##name = (max),
    PB_LIMITS(X)
#undef X
};

struct pb_policy {
    uint32_t busy_poll_us; /* how long a guest in a burst is polled after an operation, at most; 0:
                              never */
    struct pb_device_policy *devices;
    size_t device_count;
    struct pb_policy_slot *slots;
    size_t slot_count;
    bool xl_mode;              /* "pci" is among the kinds; in force from the start only */
    enum pb_topology topology; /* of guests without an entry */
    struct pb_guest_policy *guests;
    size_t guest_count;
    struct pb_assignment *assignments; /* no device twice */
    size_t assignment_count;
    struct pb_limits limits;
};

/* Defaults of everything; no devices, no slots. */
void pb_policy_init(struct pb_policy *policy);
void pb_policy_free(struct pb_policy *policy);
/* A copy to be released by pb_policy_free and free; NULL: out of memory. */
struct pb_policy *pb_policy_copy(const struct pb_policy *policy);
/* The entry for a device, NULL when there is none. */
const struct pb_device_policy *pb_policy_device(const struct pb_policy *policy,
                                                struct pb_sbdf sbdf);
/* What applies where the operator said nothing of SBDF. */
struct pb_device_policy pb_policy_device_default(struct pb_sbdf sbdf);

/* How a guest of this name sees its devices, unless it has some already. */
enum pb_topology pb_policy_topology(const struct pb_policy *policy, const char *guest);

/*
 * May a device or a guest have this name? 1 to PB_NAME_MAX graphic characters that look neither
 * like a domid nor like an address. When not, *ret_why ends the sentence "the name ...".
 */
bool pb_name_check(const char *text, const char **ret_why);

#endif
