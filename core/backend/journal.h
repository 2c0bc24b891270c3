/* SPDX-License-Identifier: MIT */
/*
 * The journal: what a new process cannot derive again from xenstore, sysfs or the hypervisor. One
 * file of fixed records, one a guest and one a device, preallocated and mapped shared, so that what
 * was stored is there after a SIGKILL of this process, without a system call. It is not for the
 * host's own crash: another boot's journal is recognised and dropped (H11).
 *
 * A record has parts. Each part is written as a whole, into the older of its two copies, and counts
 * from the moment in which its sequence number is stored: a process that dies in between leaves the
 * part as it was before. Both copies carry a checksum; a part of which no copy is right is lost,
 * and says so.
 *
 * All functions are for the loop's thread. Those that change something allocate nothing and cannot
 * fail, but for the two that make a record, which may need room on the file system.
 *
 * Versions: a MAJOR that is not ours is foreign. Within one, parts only grow at their end: what an
 * older process did not write reads as zeros, what a newer one wrote besides is ignored.
 */
#ifndef PB_BACKEND_JOURNAL_H
#define PB_BACKEND_JOURNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/taint.h"
#include "host/host.h"
#include "pci/access.h"
#include "pci/facts.h"
#include "proto/pciif.h"
#include "proto/topology.h"

#define PB_JOURNAL_MAJOR 1
#define PB_JOURNAL_MINOR 0
#define PB_JOURNAL_FILE  "journal" /* in the state directory */

struct pb_journal;
struct pb_journal_record; /* a device's or a guest's place in the file */

/* What had the device when its record was written last. */
enum pb_journal_phase {
    PB_JOURNAL_CLAIMED,   /* nobody's: idle or failed */
    PB_JOURNAL_ATTACHING, /* anything of an attach may have been done: to be undone */
    PB_JOURNAL_ASSIGNED,  /* a guest has it */
    PB_JOURNAL_RENEWING,  /* being made fresh for a frontend that begins anew; or by the verb */
    PB_JOURNAL_ASKED,     /* a detach waits for its guest; nothing was taken back yet */
    PB_JOURNAL_DETACHING, /* anything of a detach may have been done: to be done to its end */
    PB_JOURNAL_PHASE_COUNT
};

/* What is known of a device besides facts and shadow. Plain data of fixed layout: no pointers. */
struct pb_journal_device {
    struct pb_sbdf sbdf;
    uint32_t phase; /* enum pb_journal_phase */
    /* the guest; nothing of it counts in PB_JOURNAL_CLAIMED */
    uint32_t domid; /* 0: nobody, and it is made fresh by the verb */
    uint8_t handle[16];
    struct pb_sbdf vaddr;
    int32_t node; /* its number in the toolstack's nodes, -1 none */
    uint32_t node_state;
    uint8_t has_vaddr, serving, ready, let_go, permissive, permissive_asked;
    uint8_t assigned_in_xen, reserved, quarantined, msix_prepared, masked, adopted;
    uint8_t gsi_mapped, irq_allowed, resource[PB_PCI_RESOURCES];
    uint8_t ours;   /* claimed; else only its taint is remembered */
    uint8_t flr;    /* its guest's reset is under way, by flr_method: it reads all ones */
    uint8_t failed; /* state `failed`, with the cause below */
    uint8_t interrupt_mode, interrupt_block;
    /*
     * A pirq may be mapped that vectors do not name: set before a map or an unmap, cleared when
     * the result is in the vectors (H10).
     */
    uint8_t interrupts_open;
    uint8_t flr_method; /* enum pb_reset_method */
    uint16_t host_command;
    uint32_t interrupt_count;
    uint64_t resets, guest_resets, denied_writes;
    uint64_t rules; /* a hash of the rules that its shadow was written under, 0 none */
    char driver_before[PB_DRIVER_NAME], driver_now[PB_DRIVER_NAME];
    char cause[240], cause_next[160], cause_code[32];
    struct pb_taint taint;
    struct {
        uint16_t entry, reserved;
        uint32_t pirq;
    } vector[PB_MSIX_ENTRIES_MAX];
};

struct pb_journal_guest {
    uint32_t domid;
    uint8_t handle[16];
    char name[65];
    uint8_t xl, connected, nodes_exist, ending;
    uint8_t fenced; /* an operation of its ended two processes: nothing of it is carried out */
    uint32_t topology;
    uint32_t be_state, fe_state;
    uint32_t fe_ref, fe_port; /* of the ring, if connected */
    uint64_t connects;
    uint32_t root_count;
    struct {
        uint16_t segment;
        uint8_t bus, reserved;
    } root[PB_VROOTS];
};

/* How far the operation under way is. */
enum pb_op_stage {
    PB_OP_IDLE,    /* none, or answered and told */
    PB_OP_BEGUN,   /* taken; what it does may be done again */
    PB_OP_ONCE,    /* the next cycle may not be repeated: it was done, or it is lost (H9) */
    PB_OP_ANSWERED /* err and value are known; page, flag and event may still be without them */
};

/* What of it an earlier process has done, or begun, and what follows for the next one. */
enum pb_op_did {
    PB_DID_CALL = 1,   /* plugins were called for the write: not again */
    PB_DID_ASK = 2,    /* a reset by the guest was asked for */
    PB_DID_ENABLE = 4, /* interrupts are being enabled: to be undone if nobody waits */
    PB_DID_MAP = 8,    /* all of its vectors are mapped and on record */
    PB_DID_WAKE = 16,  /* the device was woken for it, and may have lost its registers */
    PB_DID_CHANGE = 32 /* the device is in between two states: to be brought to the end */
};

/*
 * The operation under way, in the guest's record, written in place: first everything else, then
 * STAGE. The access path pays a few stores for it.
 */
struct pb_journal_op {
    _Atomic uint32_t stage;
    uint32_t processes; /* that carried it out: 2 means that it ended one */
    uint32_t connection;
    uint32_t did;               /* enum pb_op_did, together */
    struct pb_access_kept kept; /* by the access engine, before each write */
    struct {
        uint32_t value, mine, denied; /* what is left of a write after its plugins; PB_DID_CALL */
    } hooks;
    uint32_t fled; /* operations that ended a process and were gone when the next one came */
    int32_t err;   /* the answer; PB_OP_ANSWERED */
    uint32_t value;
    struct pb_op op; /* entries only of PB_CMD_ENABLE_MSIX */
};

struct pb_journal_options {
    const char *dir;          /* the state directory: the caller's, and only his to write */
    const char *boot;         /* of the kernel that runs now (boot_id) */
    unsigned guests, devices; /* so many records at most */
    /* Room for so many is reserved at once, so that a full file system is met at the start. */
    unsigned reserve_guests, reserve_devices;
};

/* What was there. */
#define PB_JOURNAL_FOUND(X)                                  \
    X(NEW, "there was none")                                 \
    X(KEPT, "it is taken up")                                \
    X(OTHER_BOOT, "it is of another boot of the host")       \
    X(FOREIGN, "it is not a journal, or of another version") \
    X(DAMAGED, "its header is damaged or it is cut off")
enum pb_journal_found {
#define X(id, help) PB_JOURNAL_FOUND_##id,
    PB_JOURNAL_FOUND(X)
#undef X
};
const char *pb_journal_found_text(enum pb_journal_found found);

/*
 * Opens or makes the file. What cannot be used is kept beside it as journal.bad (the last one only)
 * and a new one begins. 0, or a negative errno with a sentence in WHY: -ENOSPC when the file system
 * is full.
 */
int pb_journal_open(const struct pb_journal_options *options, enum pb_journal_found *ret_found,
                    struct pb_journal **ret, char *why, size_t why_size);
void pb_journal_close(struct pb_journal *j); /* NULL is allowed; the file stays */

/* NULL with errno: ENOSPC (no record left, or no room on the file system). Empty parts. */
struct pb_journal_record *pb_journal_add_device(struct pb_journal *j);
struct pb_journal_record *pb_journal_add_guest(struct pb_journal *j);
/* Its place is free again. */
void pb_journal_remove(struct pb_journal *j, struct pb_journal_record *record);

void pb_journal_put_device(struct pb_journal_record *record,
                           const struct pb_journal_device *device);
void pb_journal_put_guest(struct pb_journal_record *record, const struct pb_journal_guest *guest);
/* As they were at claim, and where it sits. */
void pb_journal_put_facts(struct pb_journal_record *record, const struct pb_facts *facts,
                          const struct pb_surroundings *surroundings);
/* The first SIZE bytes of a shadow: all of them are compared with those of the last time. */
void pb_journal_put_shadow(struct pb_journal_record *record, const uint8_t *shadow, unsigned size);
/* The same where only the register at OFFSET has changed: costs no more than that. */
void pb_journal_put_register(struct pb_journal_record *record, const uint8_t *shadow, unsigned size,
                             unsigned offset);
/* In place; of a guest's record. */
struct pb_journal_op *pb_journal_op(struct pb_journal_record *record);

/* The parts that are right; NULL: lost, or never written. Valid until the record is removed. */
struct pb_journal_read {
    struct pb_journal_record *record;
    const struct pb_journal_device *device;
    const struct pb_facts *facts;
    const struct pb_surroundings *surroundings;
    const uint8_t *shadow;
    unsigned shadow_size;
    const struct pb_journal_guest *guest; /* then all above are NULL but RECORD */
    bool is_guest;
};
/* All records in use, guests first. VISIT may remove the one that it is told of. */
void pb_journal_each(struct pb_journal *j,
                     void (*visit)(void *ctx, const struct pb_journal_read *read), void *ctx);

/*
 * The highest pirq that Xen has ever given for a message interrupt in this boot of the host, 0:
 * none yet. Xen hands them out from the top, and the top is every guest's.
 */
uint32_t pb_journal_pirq_top(const struct pb_journal *j);
/* And the lowest, 0: none yet. A GSI is below it. */
uint32_t pb_journal_pirq_bottom(const struct pb_journal *j);
void pb_journal_note_pirq(struct pb_journal *j, uint32_t pirq);

/*
 * The plugin that is being called now, stored before and after each call; FILE tells its file from
 * one that replaced it. A process that finds one here at its start knows whose call ended the last
 * one, and that is not forgotten (T16).
 */
void pb_journal_enter_plugin(struct pb_journal *j, const char *name, uint64_t file);
void pb_journal_leave_plugin(struct pb_journal *j);
/* Who ended the last process, "" nobody. */
const char *pb_journal_crashed_plugin(const struct pb_journal *j);
/* Has a call of this one ever ended a process? */
bool pb_journal_has_crashed(const struct pb_journal *j, const char *name, uint64_t file);

struct pb_journal_stats {
    unsigned guests, devices;         /* records in use */
    unsigned guests_max, devices_max; /* that there may be */
    unsigned lost_parts;              /* found lost at open */
    uint64_t bytes;                   /* of the file system */
};
struct pb_journal_stats pb_journal_stats(const struct pb_journal *j);

#endif
