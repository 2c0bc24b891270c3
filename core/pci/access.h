/* SPDX-License-Identifier: MIT */
/*
 * One guest access to one device's configuration space, as a resumable sequence of hardware cycles.
 *
 * The engine does no I/O. It says which cycle it needs next; the caller performs it (at once, or
 * much later when the device is in doubt) and resumes with the result:
 *
 *     step = pb_access_begin(&acc, &view, write, offset, size, value);
 *     while (step != PB_STEP_DONE) {
 *         ... do acc.cycle ...
 *         step = pb_access_resume(&acc, rc, value);
 *     }
 *     ... acc.err, acc.value ...
 *
 * It allocates nothing. A register is read at most once and written at most once an access, at its
 * natural width, and only if the access covers a bit of it that the guest may write. Bytes that no
 * rule names are no register: they are touched, if at all, in the largest aligned pieces.
 *
 * An error (of the device, or a refusal by an effect) ends the access: registers behind the one
 * that failed stay as they are, those before it keep what they got, and nothing counts as denied.
 * A register that has to be merged with what it holds, and reads all ones where a guest may never
 * write, belongs to a device that does not answer: it is not written, which is such an error.
 *
 * Between map->size and map->space nothing is touched: reads give all ones, writes are lost.
 */
#ifndef PB_PCI_ACCESS_H
#define PB_PCI_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "pci/view.h"

/* The error numbers of the protocol (xen/include/public/io/pciif.h). */
enum pb_guest_error {
    PB_GUEST_OK = 0,
    PB_GUEST_NOT_FOUND = -1,
    PB_GUEST_INVALID_OFFSET = -2,
    PB_GUEST_ACCESS_DENIED = -3,
    PB_GUEST_NOT_IMPLEMENTED = -4,
    PB_GUEST_OP_FAILED = -5,
};

enum pb_step {
    PB_STEP_DONE,
    PB_STEP_READ,  /* read cycle.size bytes at cycle.offset */
    PB_STEP_WRITE, /* write cycle.value */
    PB_STEP_WAIT,  /* let cycle.wait_ms pass (never sleeping on the loop), resume with rc 0 */
    PB_STEP_RESET, /* begin a managed reset by cycle.reset, resume at once with rc 0: the access is
                      answered before the reset ends; or with -EBUSY: it may not have one now.
                      Always the last step of an access */
};

struct pb_cycle {
    uint16_t offset;
    uint8_t size;
    uint16_t wait_ms;
    uint8_t reset; /* enum pb_reset_method */
    bool once;     /* of a write: to do it twice is not the same as to do it once */
    uint32_t value;
};

/*
 * What of an access that was begun must be known to begin it again in another process: what a
 * register was before it was written, and which writes may not be repeated. Plain data.
 */
struct pb_access_kept {
    uint16_t once_end; /* of the registers below, those that are written once were, or are lost */
    uint16_t power, command; /* PMCSR and COMMAND before the power state changed */
    uint8_t has_power, has_command;
};

#define PB_ACCESS_QUEUE 19 /* cycles that one effect may ask for: all BARs, ROM, command, … */

struct pb_access {
    /* the next thing to do, valid while the step is not PB_STEP_DONE */
    struct pb_cycle cycle;
    /* the result, valid after PB_STEP_DONE */
    int err;         /* enum pb_guest_error */
    uint32_t value;  /* of a read */
    uint32_t raw;    /* of a read that touched hardware: what it said, before virtual bits */
    uint32_t denied; /* bits of the access whose change was refused */
    bool restored;   /* registers were lost in D3hot and written back: MSI state needs the same */
    bool shadowed;   /* a shadow has changed */
    bool unlike;     /* a register that cannot change is not what it was at claim */
    struct pb_access_kept kept; /* to be stored before each write and each reset */
    /* private to the engine */
    struct pb_view *view;
    uint16_t offset, at;
    uint8_t size, phase;
    bool write;
    uint32_t data, mine;
    uint32_t forgotten;  /* the view's, when the read began */
    uint16_t again_end;  /* kept.once_end of the process that began it */
    uint32_t reset_bits; /* that asked for a reset; 0: none is to follow */
    uint8_t reset;
    struct pb_reg reg; /* a copy: bytes that no rule names are a register made up on the way */
    uint32_t old;
    unsigned queue_head, queue_count;
    struct {
        enum pb_step step;
        struct pb_cycle cycle;
    } queue[PB_ACCESS_QUEUE];
};

/* OFFSET, SIZE and VALUE are the guest's, unchecked. */
enum pb_step pb_access_begin(struct pb_access *acc, struct pb_view *view, bool write,
                             int32_t offset, int32_t size, uint32_t value);
/*
 * A write of which only the bits in MINE are carried out: the others were taken care of (by a
 * plugin), are left as they are, and do not count as denied. DENIED starts as the result's. A
 * register without a bit in MINE is not touched at all.
 */
enum pb_step pb_access_begin_write(struct pb_access *acc, struct pb_view *view, int32_t offset,
                                   int32_t size, uint32_t value, uint32_t mine, uint32_t denied);
/*
 * The same for a write that another process has begun and did not end, with what it kept. Whatever
 * may be repeated is done again; what may not be is done only if it was certainly not.
 */
enum pb_step pb_access_begin_again(struct pb_access *acc, struct pb_view *view, int32_t offset,
                                   int32_t size, uint32_t value, uint32_t mine, uint32_t denied,
                                   const struct pb_access_kept *kept);
/* The result of the last cycle: RC 0 or a negative errno; VALUE of a read. */
enum pb_step pb_access_resume(struct pb_access *acc, int rc, uint32_t value);

#endif
