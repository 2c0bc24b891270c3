/* SPDX-License-Identifier: MIT */
/* The input of a fuzz target as a stream of little-endian numbers; at its end there are zeros. */
#ifndef PB_TEST_FUZZ_BYTES_IN_H
#define PB_TEST_FUZZ_BYTES_IN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"

struct bytes_in {
    const uint8_t *data;
    size_t left;
};

/* 1, 2 or 4 bytes. */
static inline uint32_t bytes_take(struct bytes_in *in, unsigned size)
{
    uint8_t bytes[4] = { 0 };
    unsigned n = in->left < size ? (unsigned)in->left : size;

    if (n > 0)
        memcpy(bytes, in->data, n);
    in->data += n;
    in->left -= n;
    return pb_le_get(bytes, size);
}

/* SIZE bytes. */
static inline void bytes_copy(struct bytes_in *in, void *ret, size_t size)
{
    size_t n = in->left < size ? in->left : size;

    memset(ret, 0, size);
    if (n > 0)
        memcpy(ret, in->data, n);
    in->data += n;
    in->left -= n;
}

#endif
