/* SPDX-License-Identifier: MIT */
/*
 * Counts what the code under test asks of the system: the linker sends its calls here (--wrap,
 * pb_counted() in tests/CMakeLists.txt). libev's and jansson's memory comes by count_init().
 */
#ifndef TEST_COUNT_H
#define TEST_COUNT_H

#include <stdbool.h>

struct count {
    unsigned memory;    /* allocated or freed */
    unsigned locks;     /* taken or left */
    unsigned lines;     /* calls of pb_log, whatever becomes of them */
    unsigned clocks;    /* read, but for the coarse one: each may be a system call */
    unsigned cycles;    /* pread, pwrite */
    unsigned transfers; /* every other system call of a file or socket */
};

extern struct count counted;
extern bool count_off; /* while the test's own world is at work */

/* Before anything else: no memory of the libraries' is there yet. */
void count_init(void);
void count_reset(void);

#endif
