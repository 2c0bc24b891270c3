/* SPDX-License-Identifier: MIT */
/*
 * A clock for short times that is rarely a system call: the processor's cycle counter, set right by
 * the monotonic clock. Where that clock is a system call, as in most control domains, it costs as
 * much as a third of a register's cycle.
 *
 * Not for what has to be exact: when the thread moves to a processor whose counter is another's, it
 * is wrong by up to PB_CYCLE_EXACT_NS, until it is set right. It never goes back.
 */
#ifndef PB_BASE_CYCLES_H
#define PB_BASE_CYCLES_H

#include <stdint.h>

#define PB_CYCLE_EXACT_NS UINT64_C(1000000) /* no longer without the monotonic clock */
#define PB_CYCLE_LEARN_NS UINT64_C(100000)  /* no shorter to learn the counter's rate from */

/* All zero at first. */
struct pb_cycle_clock {
    uint64_t base_ns, base_cycles; /* read together */
    uint64_t told_ns;
    uint32_t scale; /* nanoseconds of 65536 cycles; 0: not known yet */
};

/* The processor's counter; 0 where none is known that a program may read. */
uint64_t pb_cycles(void);

/* As pb_now_ns(), see above. */
uint64_t pb_cycle_clock_ns(struct pb_cycle_clock *c);

#endif
