/* SPDX-License-Identifier: MIT */
/* A device for each test of a program: cmocka's setups and teardown. After cmocka.h. */
#ifndef PB_TEST_PCI_FIXTURE_H
#define PB_TEST_PCI_FIXTURE_H

#include "device.h"

static struct pb_test_device *dev;

static inline int e1000e(void **state)
{
    (void)state;
    dev = pb_test_device_new(pb_test_e1000e);
    return 0;
}

static inline int e1000(void **state)
{
    (void)state;
    dev = pb_test_device_new(pb_test_e1000);
    return 0;
}

static inline int vf(void **state)
{
    (void)state;
    dev = pb_test_device_new(pb_test_vf);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    pb_test_device_free(dev);
    dev = NULL;
    return 0;
}

#endif
