/* SPDX-License-Identifier: MIT */
/* What both halves of the parity list use: an 82574L that has VPD and Advanced Features as well. */
#ifndef PB_TEST_PCI_PARITY_H
#define PB_TEST_PCI_PARITY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "device.h"

#define VPD 0x60
#define AF  0x70

extern struct pb_facts facts;
extern struct pb_test_device *dev;

/* The device anew, from facts that the test has changed. */
void renew(void);
int setup(void **state);
int teardown(void **state);

uint32_t hw(unsigned at, unsigned size);
void set_hw(unsigned at, unsigned size, uint32_t value);
/* The guest's: a read must succeed, a write returns its error. */
uint32_t read_as_guest(unsigned at, unsigned size);
int write_as_guest(unsigned at, unsigned size, uint32_t value);
/* Writes of hardware in the last access. */
unsigned written(void);
/* Any write of the guest succeeds and nothing of it reaches hardware. */
void check_dropped(unsigned at, unsigned size);
/* The guest reads what hardware says at this moment, in the bits of MASK. */
void check_live(unsigned at, unsigned size, uint32_t mask);

#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
