/* SPDX-License-Identifier: MIT */
/*
 * PB_ASSERT states what only a bug in this program can break. It is always compiled in and must be
 * unreachable from bytes that a guest, a client of the control socket or a JSON file supplies.
 */
#ifndef PB_BASE_ASSERT_H
#define PB_BASE_ASSERT_H

#include <stdio.h>
#include <stdlib.h>

#define PB_ASSERT(cond)                                                                     \
    do {                                                                                    \
        if (!(cond)) {                                                                      \
            (void)fprintf(stderr, "pcibackd: bug: %s:%d: %s\n", __FILE__, __LINE__, #cond); \
            abort();                                                                        \
        }                                                                                   \
    } while (0)

#endif
