/* SPDX-License-Identifier: MIT */
/*
 * H9: a write that ended with its process is begun again by the next one. Each access is cut off
 * before and after each of its cycles; what the second process makes of it is compared with an
 * access that nothing has cut off.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "device.h"
#include "pci/regs.h"

#define PMCSR (E1000E_PM + PCI_PM_CTRL)
#define VPD   0x60
#define OPEN  0x4c /* nobody's bytes, opened by a quirk */

static struct pb_test_device *dev, *whole; /* the one that is cut off, and its twin */

/* What there was of it when it began. */
static uint8_t config[PB_CONFIG_SIZE_PCIE], shadow[PB_CONFIG_SIZE_PCIE];

static struct pb_test_device *make(void)
{
    const struct pb_rule rule = {
        .offset = OPEN, .size = 2, .write = 0xffff, .origin = "test", .file = "50-test.json"
    };
    struct pb_facts facts;
    struct pb_test_device *made;
    size_t bad;

    pb_test_e1000e(&facts);
    pb_test_add_cap(&facts, VPD, PCI_CAP_VPD);
    facts.config[PCI_BIST] = 0x80;
    made = pb_test_device_of(&facts);
    assert_int_equal(pb_map_apply(made->map, &rule, 1, &bad), 0);
    memset(made->hw.rw + OPEN, 0xff, 2);
    return made;
}

static int setup(void **state)
{
    (void)state;
    dev = make();
    whole = make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pb_test_device_free(dev);
    pb_test_device_free(whole);
    return 0;
}

static void remember(void)
{
    memcpy(config, dev->hw.config, sizeof(config));
    memcpy(shadow, dev->view.shadow, sizeof(shadow));
}

static void put_back(struct pb_test_device *d)
{
    memcpy(d->hw.config, config, sizeof(config));
    memcpy(d->view.shadow, shadow, sizeof(shadow));
}

/* How often each byte was written by a cycle of once. */
static uint8_t once[PB_CONFIG_SIZE_PCIE];

static void perform(const struct pb_access *acc, enum pb_step step, uint32_t *value)
{
    const struct pb_cycle *c = &acc->cycle;

    if (step == PB_STEP_READ)
        *value = pb_test_hw_read(&dev->hw, c->offset, c->size);
    if (step == PB_STEP_WRITE) {
        once[c->offset] = (uint8_t)(once[c->offset] + c->once);
        pb_test_hw_write(&dev->hw, c->offset, c->size, c->value);
    }
}

/* Until cycle number CUT, which is done only if DONE. False: it ended before. */
static bool run(struct pb_access *acc, enum pb_step step, unsigned cut, bool done,
                struct pb_access_kept *kept)
{
    for (unsigned n = 0; step != PB_STEP_DONE; n++) {
        uint32_t value = 0;

        if (step == PB_STEP_WRITE)
            *kept = acc->kept;
        if (n != cut || done)
            perform(acc, step, &value);
        if (n == cut)
            return true;
        step = pb_access_resume(acc, 0, value);
    }
    return false;
}

struct write {
    unsigned offset, size;
    uint32_t value;
};

/* The end of both must be the same but for bytes [but, but + size) that are written once. */
static void compare(const struct write *w, unsigned cut, const struct pb_access *acc,
                    const struct pb_access *expected, bool may_be_lost)
{
    for (unsigned i = 0; i < PB_CONFIG_SIZE_PCIE; i++) {
        bool lost = may_be_lost && i >= w->offset && i < w->offset + w->size;

        if (dev->hw.config[i] != whole->hw.config[i] && !lost)
            fail_msg("write of 0x%x to 0x%x (%u): cut at %u: hardware at 0x%x is 0x%x, not 0x%x",
                     w->value, w->offset, w->size, cut, i, dev->hw.config[i], whole->hw.config[i]);
        if (dev->view.shadow[i] != whole->view.shadow[i])
            fail_msg("write of 0x%x to 0x%x (%u): cut at %u: shadow at 0x%x", w->value, w->offset,
                     w->size, cut, i);
        if (once[i] > 1)
            fail_msg("write of 0x%x to 0x%x (%u): cut at %u: 0x%x is written %u times", w->value,
                     w->offset, w->size, cut, i, once[i]);
    }
    assert_int_equal(acc->err, expected->err);
}

/* True when the access has a cycle with that number. */
static bool cut_off(const struct write *w, unsigned cut, bool done)
{
    struct pb_access_kept kept = { 0 }, unused;
    struct pb_access acc, expected;
    bool reached;

    memset(once, 0, sizeof(once));
    put_back(dev);
    put_back(whole);
    expected = pb_test_run(whole, true, (int32_t)w->offset, (int32_t)w->size, w->value);
    reached =
        run(&acc,
            pb_access_begin(&acc, &dev->view, true, (int32_t)w->offset, (int32_t)w->size, w->value),
            cut, done, &kept);
    if (!reached)
        return false;
    memcpy(dev->view.shadow, shadow, sizeof(shadow)); /* what was on record */
    (void)run(&acc,
              pb_access_begin_again(&acc, &dev->view, (int32_t)w->offset, (int32_t)w->size,
                                    w->value, UINT32_MAX, 0, &kept),
              UINT32_MAX, false, &unused);
    compare(w, cut, &acc, &expected, kept.once_end != 0 && !done);
    return true;
}

static void cut_everywhere(struct write w)
{
    remember();
    for (unsigned cut = 0; cut_off(&w, cut, false); cut++)
        assert_true(cut_off(&w, cut, true));
    put_back(dev);
}

static const uint32_t values[] = { 0, UINT32_MAX, 0x00000147, 0x01000003, 0x8000c003, 0x55aa55aa };

static void cut_all(void)
{
    for (unsigned size = 1; size <= 4; size *= 2) {
        for (unsigned at = 0; at < PB_CONFIG_SIZE_PCIE; at += at < 0x160 ? size : 0x100) {
            for (size_t i = 0; i < PB_ARRAY_SIZE(values); i++)
                cut_everywhere((struct write){ at, size, values[i] });
        }
    }
}

static void h9_each_write_cut_off_at_each_cycle(void **state)
{
    (void)state;
    cut_all();
}

static void h9_also_while_the_device_sleeps(void **state)
{
    (void)state;
    pb_le_put(dev->hw.config + PMCSR, 2, pb_le16(dev->hw.config + PMCSR) | PCI_PM_CTRL_STATE);
    cut_all();
}

static void h9_also_under_permissive(void **state)
{
    (void)state;
    dev->view.permissive = whole->view.permissive = true;
    cut_all();
}

/* Registers are lost on the way to D0, and nothing in the device says so afterwards. */
static void h9_waking_restores_registers_whoever_ends_it(void **state)
{
    const struct write wake = { PMCSR, 2, 0 };
    struct pb_access acc;
    struct pb_access_kept kept = { 0 };

    (void)state;
    assert_int_equal(pb_test_write(dev, PMCSR, 2, 3), 0);
    remember();
    assert_true(run(&acc, pb_access_begin(&acc, &dev->view, true, PMCSR, 2, 0), 2, true, &kept));
    assert_int_equal(pb_le32(dev->hw.config + PCI_BAR0), 0); /* and so they must not stay */
    put_back(dev);
    cut_everywhere(wake);
    put_back(dev);
    assert_true(cut_off(&wake, 2, true));
    assert_int_equal(pb_le32(dev->hw.config + PCI_BAR0), 0xfebc0000);
}

/* Cut off before the first write of a register that a quirk has opened, it is done after all. */
static void h9_what_was_not_begun_is_done(void **state)
{
    const struct write w = { OPEN, 2, 0x1234 };

    (void)state;
    remember();
    assert_true(cut_off(&w, 0, false));
    assert_int_equal(once[OPEN], 0); /* its first cycle was that write, and it may be lost */
    assert_true(cut_off(&w, 0, true));
    assert_int_equal(once[OPEN], 1);
    assert_int_equal(pb_le16(dev->hw.config + OPEN), 0x1234);
}

/* Two registers in one access: the first was written, the second was not yet begun. */
static void h9_the_rest_of_an_access_is_done(void **state)
{
    const struct pb_rule rule = {
        .offset = OPEN + 2, .size = 2, .write = 0xffff, .origin = "test", .file = "50-test.json"
    };
    const struct write w = { OPEN, 4, 0x56781234 };
    size_t bad;

    (void)state;
    assert_int_equal(pb_map_apply(dev->map, &rule, 1, &bad), 0);
    assert_int_equal(pb_map_apply(whole->map, &rule, 1, &bad), 0);
    memset(dev->hw.rw + OPEN, 0xff, 4);
    memset(whole->hw.rw + OPEN, 0xff, 4);
    remember();
    assert_true(cut_off(&w, 0, true));
    assert_int_equal(once[OPEN], 1);
    assert_int_equal(once[OPEN + 2], 1);
    assert_int_equal(pb_le32(dev->hw.config + OPEN), 0x56781234);
    assert_true(cut_off(&w, 1, false));
    assert_int_equal(once[OPEN], 1);
    assert_int_equal(once[OPEN + 2], 0);
}

/* A read of VPD that is lost would leave the data of another address: the address tells. */
static void h9_an_address_of_vpd_is_written_exactly_once(void **state)
{
    const struct write w = { VPD + PCI_VPD_ADDR, 2, 0x14 };

    (void)state;
    remember();
    assert_true(cut_off(&w, 0, false));
    assert_int_equal(pb_le16(dev->hw.config + VPD + PCI_VPD_ADDR), 0x14);
    assert_true(cut_off(&w, 0, true));
    assert_int_equal(pb_test_count(&whole->hw, PB_STEP_WRITE), 1);
    assert_int_equal(once[VPD + PCI_VPD_ADDR], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(h9_each_write_cut_off_at_each_cycle, setup, teardown),
        cmocka_unit_test_setup_teardown(h9_also_while_the_device_sleeps, setup, teardown),
        cmocka_unit_test_setup_teardown(h9_also_under_permissive, setup, teardown),
        cmocka_unit_test_setup_teardown(h9_waking_restores_registers_whoever_ends_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(h9_what_was_not_begun_is_done, setup, teardown),
        cmocka_unit_test_setup_teardown(h9_the_rest_of_an_access_is_done, setup, teardown),
        cmocka_unit_test_setup_teardown(h9_an_address_of_vpd_is_written_exactly_once, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
