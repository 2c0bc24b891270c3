/* SPDX-License-Identifier: MIT */
#include "parity.h"

#include "base/bytes.h"
#include "pci/regs.h"

struct pb_facts facts;
struct pb_test_device *dev;

void renew(void)
{
    pb_test_device_free(dev);
    dev = pb_test_device_of(&facts);
}

int setup(void **state)
{
    (void)state;
    pb_test_e1000e(&facts);
    pb_test_add_cap(&facts, VPD, PCI_CAP_VPD);
    pb_test_add_cap(&facts, AF, PCI_CAP_AF);
    renew();
    return 0;
}

int teardown(void **state)
{
    (void)state;
    pb_test_device_free(dev);
    dev = NULL;
    return 0;
}

uint32_t hw(unsigned at, unsigned size)
{
    return pb_test_hw_read(&dev->hw, at, size);
}

void set_hw(unsigned at, unsigned size, uint32_t value)
{
    pb_le_put(dev->hw.config + at, size, value);
}

uint32_t read_as_guest(unsigned at, unsigned size)
{
    return pb_test_read(dev, (int32_t)at, (int32_t)size);
}

int write_as_guest(unsigned at, unsigned size, uint32_t value)
{
    return pb_test_write(dev, (int32_t)at, (int32_t)size, value);
}

unsigned written(void)
{
    return pb_test_count(&dev->hw, PB_STEP_WRITE);
}

void check_dropped(unsigned at, unsigned size)
{
    static const uint32_t values[] = { 0, UINT32_MAX, 0xa5a5a5a5, 0x5a5a5a5a };

    for (size_t i = 0; i < PB_ARRAY_SIZE(values); i++) {
        assert_int_equal(write_as_guest(at, size, values[i]), PB_GUEST_OK);
        assert_int_equal(written(), 0);
    }
}

void check_live(unsigned at, unsigned size, uint32_t mask)
{
    set_hw(at, size, 0xa5a5a5a5 & mask);
    assert_int_equal(read_as_guest(at, size) & mask, 0xa5a5a5a5 & mask & pb_ones(size));
    set_hw(at, size, 0x5a5a5a5a & mask);
    assert_int_equal(read_as_guest(at, size) & mask, 0x5a5a5a5a & mask & pb_ones(size));
}
