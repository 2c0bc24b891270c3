/* SPDX-License-Identifier: MIT */
/*
 * Taint: guests that a device was taken from while they lived, and that may still have it mapped
 * (H7). A device can be taken from several, one after the other; it is tainted until the last of
 * them is gone.
 */
#ifndef PB_BACKEND_TAINT_H
#define PB_BACKEND_TAINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pb_device;
struct pb_guest;

/* A device that so many living guests had goes to no other one, so the list is never too short. */
#define PB_TAINT_MAX 4

/* Nobody's number: no domain is excepted. */
#define PB_TAINT_NOBODY UINT32_MAX

/* Room for pb_taint_text. */
#define PB_TAINT_TEXT 100

struct pb_taint {
    unsigned count;
    struct {
        uint32_t domid;
        uint8_t handle[16];
    } by[PB_TAINT_MAX];
};

/* DEV is being taken from its guest: tainted, if that lives. */
void pb_taint(struct pb_device *dev);
/* Forgets who is gone, and says so. */
void pb_taint_refresh(struct pb_device *dev);

/*
 * May a guest other than domain EXCEPT hold mappings of it, so that it may be given to nobody else?
 * Hypercalls, if it was taken from one at all.
 */
bool pb_taint_by_others(const struct pb_device *dev, uint32_t except);
bool pb_device_tainted(const struct pb_device *dev);
/* Forgets who is gone. Can one more be remembered then, should it be taken from domain DOMID? */
bool pb_taint_make_room(struct pb_device *dev, uint32_t domid);
/* The first of those that live; PB_TAINT_NOBODY. */
uint32_t pb_taint_first(const struct pb_device *dev);
/* "domain 5, which still lives" or "domains 5 and 6, which still live", all but EXCEPT. */
const char *pb_taint_text(const struct pb_device *dev, uint32_t except, char *buf, size_t size);

#endif
