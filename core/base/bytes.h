/* SPDX-License-Identifier: MIT */
/* Little-endian access to byte images (PCI is little-endian everywhere) and masks by width. */
#ifndef PB_BASE_BYTES_H
#define PB_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>

#define PB_ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))

#define PB_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline uint16_t pb_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | (unsigned)p[1] << 8);
}

static inline uint32_t pb_le32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The value of SIZE (1..4) bytes at P. No loop: an access asks for a dozen of them. */
static inline uint32_t pb_le_get(const uint8_t *p, unsigned size)
{
    switch (size) {
    case 1:
        return p[0];
    case 2:
        return pb_le16(p);
    case 3:
        return pb_le16(p) | (uint32_t)p[2] << 16;
    default:
        return pb_le32(p);
    }
}

static inline void pb_le_put(uint8_t *p, unsigned size, uint32_t value)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = (uint8_t)(value >> (8 * i));
}

/* All ones in SIZE (1..4) bytes: also what a read of an absent device gives. */
static inline uint32_t pb_ones(unsigned size)
{
    return size >= 4 ? UINT32_MAX : (UINT32_C(1) << (8 * size)) - 1;
}

#endif
