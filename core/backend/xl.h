/* SPDX-License-Identifier: MIT */
/*
 * xl mode: the toolstack makes a guest's nodes below backend/pci, reserves, resets, assigns and
 * grants; we publish, connect, hot-plug, unplug, and take the device back. Hooks for guest.c,
 * nodes.c and detach.c; a hook with a guest is called only when g->xl.
 */
#ifndef PB_BACKEND_XL_H
#define PB_BACKEND_XL_H

#include "backend/machine.h"

struct pb_store_req;

/*
 * Asks whether Linux's backend stays away, and watches the toolstack's directories if so. STARTED
 * is told once, later; a failure says why xl mode is not possible.
 */
void pb_xl_start(struct pb_backend *b, pb_verb_fn started, void *ctx);
/* The loop ends: all guests are gone. */
void pb_xl_stop(struct pb_backend *b);
/*
 * An earlier process has served G: its directory is ours, also when xl mode is off by now, but it
 * is not looked at before pb_xl_adopted. False: out of memory.
 */
bool pb_xl_adopt(struct pb_guest *g, bool hvm);
void pb_xl_adopted(struct pb_guest *g);
/* DEV was being prepared: nobody has it, and its entry says whether it is prepared again. */
void pb_xl_adopt_undo(struct pb_device *dev);
/* DEV was being taken back. */
void pb_xl_adopt_return(struct pb_device *dev);
/* A domain ended, or may have. */
void pb_xl_domains_changed(struct pb_backend *b);

/*
 * May ACTION be carried out now? Not while devices that it tells the frontend of are being prepared
 * or taken back; then the frontend is looked at again when that is done.
 */
bool pb_xl_may(struct pb_guest *g, enum pb_xenbus_action action);
/* A request of an action failed, or the nodes were not as we know them: to be repeated. */
void pb_xl_failed(struct pb_guest *g);
/* All its devices are back: may its record go, and its nodes if they exist? */
bool pb_xl_may_end(struct pb_guest *g);
void pb_xl_guest_freed(struct pb_guest *g);

/* The toolstack numbers the devices: theirs stay, and only vdev-N and state-N are written. */
void pb_xl_write_devices(struct pb_store_req *req, const struct pb_guest *g);
/* A state that the toolstack wrote meanwhile is not overwritten. */
void pb_xl_expect_state(struct pb_store_req *req, const struct pb_guest *g);

/* The steps by which a device comes back from a guest of the toolstack's. */
extern const struct pb_task_kind pb_xl_return_kind;
/* Such a task is about to start; one has ended. */
void pb_xl_returning(struct pb_device *dev);
void pb_xl_returned(struct pb_guest *g);

#endif
