/* SPDX-License-Identifier: MIT */
/* What the files of adoption share. */
#ifndef PB_BACKEND_ADOPT_PARTS_H
#define PB_BACKEND_ADOPT_PARTS_H

#include "backend/adopt.h"
#include "backend/journal.h"
#include "backend/machine.h"

struct pb_adoption {
    struct pb_backend *b;
    pb_verb_fn adopted;
    void *ctx;
    ev_timer patience; /* what hangs does not keep the others waiting */
    unsigned waiting;  /* guests to be served, devices of nobody, and the start itself */
    unsigned served, devices, lost;
    bool told;
};

/* --- adopt.c --- */
/* One less is waited for. */
void pb_adopt_one_done(struct pb_backend *b);

/* --- adopt_guest.c --- */
/* The guest of a record, linked with nothing yet and held; NULL: the record is dropped. */
struct pb_guest *pb_adopt_guest(struct pb_backend *b, const struct pb_journal_read *read);
/* A guest of which no record is left. */
struct pb_guest *pb_adopt_unknown(struct pb_backend *b, uint32_t domid, const uint8_t handle[16]);
/* All its devices are known; those that are to be opened are under way. */
void pb_adopt_guest_begin(struct pb_guest *g);
/* One of its devices is open, or cannot be opened. */
void pb_adopt_guest_opened(struct pb_guest *g);

/* --- adopt_look.c --- */
/* It is served, if it can be: now what xenstore says counts. Drops G in the end. */
void pb_adopt_look(struct pb_guest *g);
/* What was begun for DEV is undone, or done to its end. */
void pb_adopt_follow(struct pb_device *dev);

/* --- adopt_device.c --- */
/* The device of a record, with what it had; its guest has been adopted before. */
void pb_adopt_device(struct pb_backend *b, const struct pb_journal_read *read);

/* --- adopt_lost.c --- */
/* Nothing of it is known but that G has it: it is opened, linked, and taken back. */
void pb_adopt_lost_device(struct pb_guest *g, struct pb_sbdf sbdf);
/* The nodes of domain DOMID do not say what we have: devices of theirs are looked up. */
void pb_adopt_compare(struct pb_backend *b, uint32_t domid);
/* What the journal does not know: guests and devices that our nodes in xenstore name. */
void pb_adopt_find_lost(struct pb_backend *b);

#endif
