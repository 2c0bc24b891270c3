/* SPDX-License-Identifier: MIT */
/*
 * Any sequence of accesses of a guest: the engine ends, its cycles are well-formed, and what the
 * guest must never reach stays as it was. Ten bytes an access: flags, offset (4), size, value (4).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "device.h"
#include "fuzz.h"
#include "pci/regs.h"

static void check_cycle(const struct pb_test_device *dev, const struct pb_cycle *c)
{
    PB_ASSERT(c->size == 1 || c->size == 2 || c->size == 4);
    PB_ASSERT(c->offset % c->size == 0);
    PB_ASSERT((unsigned)c->offset + c->size <= dev->map->size);
}

static void check_device(const struct pb_test_device *dev)
{
    unsigned command = pb_le16(dev->hw.config + PCI_COMMAND);

    /* XSA-120: decode is never turned off under a guest, errors never reach the host */
    PB_ASSERT((command & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY)) ==
              (pb_le16(dev->facts.config + PCI_COMMAND) & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY)));
    PB_ASSERT(!(command & (PCI_COMMAND_SERR | PCI_COMMAND_PARITY)));
    PB_ASSERT(dev->hw.discarded == 0);
}

static void access_once(struct pb_test_device *dev, const uint8_t *in)
{
    struct pb_access acc;
    enum pb_step step;
    unsigned cycles = 0;

    step = pb_access_begin(&acc, &dev->view, in[0] & 1, (int32_t)pb_le32(in + 1), (int8_t)in[5],
                           pb_le32(in + 6));
    while (step != PB_STEP_DONE) {
        uint32_t value = 0;

        PB_ASSERT(++cycles < 64);
        if (step != PB_STEP_WAIT)
            check_cycle(dev, &acc.cycle);
        if (step == PB_STEP_READ)
            value = pb_test_hw_read(&dev->hw, acc.cycle.offset, acc.cycle.size);
        else if (step == PB_STEP_WRITE)
            pb_test_hw_write(&dev->hw, acc.cycle.offset, acc.cycle.size, acc.cycle.value);
        step = pb_access_resume(&acc, in[0] & 0x80 ? -5 : 0, value);
    }
    PB_ASSERT(acc.err <= PB_GUEST_OK && acc.err >= PB_GUEST_OP_FAILED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pb_test_device *dev;

    if (size < 1)
        return 0;
    dev = pb_test_device_new(data[0] & 1 ? pb_test_e1000 : pb_test_e1000e);
    dev->view.permissive = data[0] & 2;
    dev->view.allow_interrupt_control = data[0] & 4;
    for (size_t at = 1; at + 10 <= size; at += 10) {
        access_once(dev, data + at);
        /* A failing cycle may leave a device that lost its registers in D3hot without them. */
        if (data[at] & 0x80)
            pb_test_device_reset(dev);
        check_device(dev);
    }
    pb_test_device_free(dev);
    return 0;
}
