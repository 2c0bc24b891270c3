/* SPDX-License-Identifier: MIT */
/* What becomes of a guest's shadows when the rules change under it, and after a reset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "device.h"
#include "pci/regs.h"

static struct pb_test_device *dev;
static struct pb_map *next; /* the map of the next generation */

static int setup(void (*fill)(struct pb_facts *facts))
{
    int rc;

    dev = pb_test_device_new(fill);
    next = pb_map_baseline(&dev->facts, &dev->layout, &rc);
    assert_non_null(next);
    return 0;
}

static int e1000e(void **state)
{
    (void)state;
    return setup(pb_test_e1000e);
}

static int vf(void **state)
{
    (void)state;
    return setup(pb_test_vf);
}

static int teardown(void **state)
{
    (void)state;
    pb_test_device_free(dev);
    free(next);
    dev = NULL;
    next = NULL;
    return 0;
}

static void add(struct pb_map *map, struct pb_rule rule)
{
    size_t bad;

    assert_int_equal(pb_map_apply(map, &rule, 1, &bad), 0);
}

/* From the present generation to the next, which is then the present one. */
static void move(void)
{
    struct pb_map *old = dev->map;

    pb_view_move(&dev->view, next);
    dev->map = next;
    next = old;
}

static void a_fresh_view_shows_what_the_map_says(void **state)
{
    (void)state;
    add(dev->map, (struct pb_rule){
                      .offset = 0x48, .size = 2, .virt = 0xff00, .fixed = 0xf, .value = 0xaa05 });
    memset(&dev->view, 0xff, sizeof(dev->view));
    pb_view_init(&dev->view, dev->map);
    assert_false(dev->view.permissive);
    assert_false(dev->view.allow_interrupt_control);
    assert_int_equal(pb_test_read(dev, 0x48, 2), 0xaa05);
}

static void a_moved_view_keeps_what_the_guest_wrote(void **state)
{
    (void)state;
    add(dev->map, (struct pb_rule){ .offset = 0x48, .size = 2, .virt = 0x0ff0, .value = 0x0110 });
    add(next,
        (struct pb_rule){ .offset = 0x48, .size = 4, .virt = 0xff00ff00, .value = 0x77002200 });
    pb_view_init(&dev->view, dev->map);
    dev->view.permissive = true;
    assert_int_equal(pb_test_write(dev, 0x48, 2, 0x0ab0), 0);
    assert_int_equal(pb_test_write(dev, PCI_COMMAND, 2, 0x0547), 0);
    assert_int_equal(pb_test_write(dev, PCI_LATENCY_TIMER, 1, 0x40), 0);
    pb_le_put(dev->hw.config + 0x48, 4, 0);
    move();
    assert_true(dev->view.permissive);
    assert_false(dev->view.allow_interrupt_control);
    /* bits 8 to 11 were and are virtual, 12 to 15 and 24 to 31 are new, 4 to 7 are hardware's */
    assert_int_equal(pb_test_read(dev, 0x48, 4), 0x77002a00);
    assert_int_equal(pb_test_read(dev, PCI_COMMAND, 2), 0x0547);
    assert_int_equal(pb_test_read(dev, PCI_LATENCY_TIMER, 1), 0x40);
    /* and when they are virtual again, nothing old is left in them */
    move();
    assert_int_equal(pb_test_read(dev, 0x48, 2), 0x0a10);
}

static void a_move_to_the_same_rules_changes_nothing(void **state)
{
    static uint8_t before[sizeof(dev->view.shadow)];
    uint32_t seed = 0x165667b1;

    (void)state;
    for (unsigned n = 0; n < 2000; n++) {
        uint32_t r = pb_test_random(&seed);

        (void)pb_test_write(dev, (int32_t)(r % 64 * 4), 4, pb_test_random(&seed));
        if (n % 10 != 0)
            continue;
        memcpy(before, dev->view.shadow, sizeof(before));
        move();
        for (unsigned at = 0; at < sizeof(before); at++)
            assert_int_equal(before[at] & dev->map->virt[at],
                             dev->view.shadow[at] & dev->map->virt[at]);
    }
}

static void a_bar_that_is_being_sized_stays_so(void **state)
{
    (void)state;
    assert_int_equal(pb_test_write(dev, 0x10, 4, ~0U), 0);
    assert_int_equal(pb_test_write(dev, 0x14, 4, ~0U), 0);
    move();
    assert_int_equal(pb_test_read(dev, 0x10, 4), 0xffffc00c);
    assert_int_equal(pb_test_read(dev, 0x14, 4), 0xffffffff);
    assert_int_equal(pb_test_read(dev, 0x1c, 4), 0x8002000c);
    assert_int_equal(pb_test_write(dev, 0x10, 4, 0x8000000c), 0);
    assert_int_equal(pb_test_write(dev, 0x14, 4, 2), 0);
    move();
    assert_int_equal(pb_test_read(dev, 0x10, 4), 0x8000000c);
    assert_int_equal(pb_test_read(dev, 0x14, 4), 2);
}

static void what_a_bar_answers_follows_the_new_map(void **state)
{
    (void)state;
    assert_int_equal(pb_test_write(dev, 0x10, 4, ~0U), 0);
    next->bar[0].length[0] = 0xfffff000;
    move();
    assert_int_equal(pb_test_read(dev, 0x10, 4), 0xfffff000);
}

static void a_bar_that_was_something_else_begins_as_the_new_map_says(void **state)
{
    (void)state;
    /* the ROM is a plain shadow in the present generation */
    for (unsigned i = 0; i < dev->map->reg_count; i++) {
        if (dev->map->reg[i].offset == PCI_ROM_ADDRESS)
            dev->map->reg[i].effect = PB_EFFECT_NONE;
    }
    assert_int_equal(pb_test_write(dev, PCI_ROM_ADDRESS, 4, 0x12345678), 0);
    assert_int_equal(pb_test_read(dev, PCI_ROM_ADDRESS, 4), 0x12345678);
    move();
    assert_int_equal(pb_test_read(dev, PCI_ROM_ADDRESS, 4), 0xfea00000);
    assert_int_equal(pb_test_write(dev, PCI_ROM_ADDRESS, 4, ~0U), 0);
    move();
    assert_int_equal(pb_test_read(dev, PCI_ROM_ADDRESS, 4), 0xfea00000);
}

static void after_a_reset_shadows_are_fresh_except_sizing(void **state)
{
    (void)state;
    dev->view.allow_interrupt_control = true;
    assert_int_equal(pb_test_write(dev, PCI_COMMAND, 2, 0x0144), 0);
    assert_int_equal(pb_test_write(dev, PCI_LATENCY_TIMER, 1, 0x40), 0);
    assert_int_equal(pb_test_write(dev, 0x14, 4, ~0U), 0);
    pb_view_reset(&dev->view);
    assert_true(dev->view.allow_interrupt_control);
    assert_int_equal(pb_test_read(dev, PCI_COMMAND, 2) & ~PCI_COMMAND_MASTER, 0x0003);
    assert_int_equal(pb_test_read(dev, PCI_LATENCY_TIMER, 1), 0);
    assert_int_equal(pb_test_read(dev, 0x10, 4), 0xfebc0000);
    assert_int_equal(pb_test_read(dev, 0x14, 4), 0xfffc0000);
}

#define ON(device, test) cmocka_unit_test_setup_teardown(test, device, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(e1000e, a_fresh_view_shows_what_the_map_says),
        ON(e1000e, a_moved_view_keeps_what_the_guest_wrote),
        ON(e1000e, a_move_to_the_same_rules_changes_nothing),
        ON(vf, a_bar_that_is_being_sized_stays_so),
        ON(e1000e, what_a_bar_answers_follows_the_new_map),
        ON(e1000e, a_bar_that_was_something_else_begins_as_the_new_map_says),
        ON(e1000e, after_a_reset_shadows_are_fresh_except_sizing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
