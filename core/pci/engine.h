/* SPDX-License-Identifier: MIT */
/* Between access.c, which walks the registers of an access, and effect.c, which knows a few of
 * them. */
#ifndef PB_PCI_ENGINE_H
#define PB_PCI_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "pci/access.h"
#include "pci/traits.h"

/* What an access wants of the register in acc->reg: all masks are relative to the register. */
struct pb_piece {
    uint32_t all;     /* every bit of the register */
    uint32_t covered; /* the bits that the guest writes and that are ours to carry out … */
    uint32_t data;    /* … and what it writes there, 0 elsewhere */
    uint32_t write;   /* classes; write includes what permissive mode opens */
    uint32_t w1c, virt, fixed, hw;
    uint32_t lock;
    uint32_t value;  /* of fixed bits */
    uint32_t shadow; /* of virtual bits */
};

struct pb_piece pb_engine_piece(const struct pb_access *acc);

/* Cycles that are to be done in this order before the register is finished. */
void pb_engine_push_write(struct pb_access *acc, unsigned offset, unsigned size, uint32_t value);
/* One that may not be done twice: not at all if an earlier process has begun it. */
void pb_engine_push_once(struct pb_access *acc, unsigned offset, unsigned size, uint32_t value);
void pb_engine_push_wait(struct pb_access *acc, unsigned wait_ms);

enum pb_verdict {
    PB_VERDICT_GO,     /* do what was pushed, if anything */
    PB_VERDICT_LOOK,   /* read acc->cycle first, then ask `looked` */
    PB_VERDICT_REFUSE, /* end the access: PB_GUEST_ACCESS_DENIED */
    PB_VERDICT_BROKEN, /* end the access: PB_GUEST_OP_FAILED */
};

/* One effect. All take the register's value in acc->old, if needs_old said so. */
struct pb_effect_ops {
    bool (*needs_old)(const struct pb_access *acc, const struct pb_piece *piece);
    enum pb_verdict (*decide)(struct pb_access *acc, const struct pb_piece *piece);
    enum pb_verdict (*looked)(struct pb_access *acc, const struct pb_piece *piece, uint32_t value);
    /* hw bits that are neither opened by their class nor refused: the effect takes care of them */
    uint32_t handles;
    /* bits of any class that are the effect's alone: shadow, refusal and all */
    uint32_t owns;
};

/* What a register without effect does; effects use it for the bits that they leave to the classes.
 */
bool pb_engine_plain_needs_old(const struct pb_access *acc, const struct pb_piece *piece);
enum pb_verdict pb_engine_plain_decide(struct pb_access *acc, const struct pb_piece *piece);

/* The change of these bits of the register is refused. */
void pb_engine_deny(struct pb_access *acc, uint32_t bits);
/*
 * A managed reset, after all other cycles of the access: nothing touches the hardware during it.
 * BITS of the register are denied if it may not be.
 */
void pb_engine_ask_reset(struct pb_access *acc, enum pb_reset_method method, uint32_t bits);

/* NULL for PB_EFFECT_NONE. */
const struct pb_effect_ops *pb_effect_ops_of(enum pb_effect effect);

#endif
