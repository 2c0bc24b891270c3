/* SPDX-License-Identifier: MIT */
/* What guests were refused on a device, by register: for `denied` and `suggest-quirk`. */
#ifndef PB_BACKEND_DENIED_H
#define PB_BACKEND_DENIED_H

#include <stdint.h>

struct pb_device;

/* A write of VALUE (SIZE bytes at OFFSET) of which BITS were refused. Allocates nothing. */
void pb_denied_note(struct pb_device *dev, uint16_t offset, uint8_t size, uint32_t value,
                    uint32_t bits);
void pb_denied_clear(struct pb_device *dev);

#endif
