/* SPDX-License-Identifier: MIT */
/*
 * A backend without a machine: it has two devices and a guest, remembers what it was asked and
 * answers when it is told. Linked instead of core/backend's functions. Its quirks, the profile of
 * its nic and its plugins are real ones; with each verb the nic's guest writes and reads register
 * 0x40.
 */
#ifndef FAKE_BACKEND_H
#define FAKE_BACKEND_H

#include "backend/backend.h"

/* Names that make a verb behave. */
#define FAKE_SLOW    "slow"    /* is answered by fake_backend_complete only */
#define FAKE_MISSING "missing" /* fails: not found */

#define FAKE_NIC     "0000:03:00.0" /* "nic0" */
#define FAKE_DISK    "0000:04:00.0" /* no name, its ids are not known */

/* A reload with a device of this name in its policy cannot be prepared. */
#define FAKE_UNFIT "unfit"

struct fake_calls {
    unsigned count, pending;
    unsigned prepared; /* reloads */
    unsigned steps;    /* of them */
    bool xl_mode;      /* of the policy of the last one */
    char last[16];     /* verb */
    char dev[PB_NAME_MAX + 1], guest[PB_NAME_MAX + 1];
    bool force, only_serves;
    struct pb_attach_options options;
    bool save;
};

const struct fake_calls *fake_backend_calls(const struct pb_backend *b);
/* Answers all slow verbs with success. */
void fake_backend_complete(struct pb_backend *b);
/* `list` shows this many more devices, to make it long. */
void fake_backend_multiply(struct pb_backend *b, unsigned count);
/* The next reload has this many more devices to compile, which end well. */
void fake_backend_lengthen_reload(struct pb_backend *b, unsigned count);
/* What `why` says of its nic, beside that its line is shared: NULL for nothing. */
void fake_backend_block(struct pb_backend *b, const char *text);
void fake_backend_set_state(struct pb_backend *b, enum pb_device_state state, const char *cause);
/* What its nic's `assign` is. */
void fake_backend_assign(struct pb_backend *b, enum pb_assign assign, const char *reason);
/* The name of its guest, which may be anything that a domain can be called. */
void fake_backend_name_guest(struct pb_backend *b, const char *name);

#endif
