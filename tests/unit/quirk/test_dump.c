/* SPDX-License-Identifier: MIT */
#include "quirk/dump.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "pci/map.h"
#include "pci/regs.h"

static struct pb_facts facts;
static char why[200];

/* Text that is put together line by line. */
static char text[64 * 1024];
static size_t used;

__attribute__((format(printf, 1, 2))) static void put(const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text + used, sizeof(text) - used, fmt, ap);
    va_end(ap);
    assert_true(n >= 0 && used + (size_t)n < sizeof(text));
    used += (size_t)n;
}

static void put_hex(const uint8_t *config, unsigned size, const char *end)
{
    for (unsigned at = 0; at < size; at += 16) {
        put("%02x:", at);
        for (unsigned i = 0; i < 16; i++)
            put(" %02x", config[at + i]);
        put("%s", end);
    }
}

/* An image with a type 0 header and these ids. */
static void image(uint8_t *config, uint32_t ids)
{
    memset(config, 0, PB_CONFIG_SIZE_PCIE);
    pb_le_put(config, 4, ids);
    pb_le_put(config + PCI_REVISION, 4, 0x02000007);
    pb_le_put(config + PCI_SUBSYSTEM, 4, 0xa01f8086);
    config[PCI_INTERRUPT_LINE] = 11;
    config[PCI_INTERRUPT_PIN] = 1;
}

static int parse(const char *address)
{
    /* Exactly as long as it is: a read beyond the end is found by the sanitizers. */
    char *copy = malloc(used + 1);
    int rc;

    assert_non_null(copy);
    memcpy(copy, text, used);
    memset(why, 0, sizeof(why));
    rc = pb_dump_parse(copy, used, address, &facts, why, sizeof(why));
    free(copy);
    assert_true((rc == 0) == (why[0] == 0));
    return rc;
}

static int begin(void **state)
{
    (void)state;
    used = 0;
    return 0;
}

static void expect_error(const char *address, int rc, const char *reason)
{
    assert_int_equal(parse(address), rc);
    if (!strstr(why, reason))
        fail_msg("'%s' does not say '%s'", why, reason);
}

static void read_dump(const char *name)
{
    char path[300];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s.txt", DUMPS, name);
    file = fopen(path, "re");
    assert_non_null(file);
    used = fread(text, 1, sizeof(text), file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(parse(NULL), 0);
}

static void the_dumps_of_the_simulation_are_read(void **state)
{
    static const struct {
        const char *name;
        uint16_t vendor, device, size;
        uint32_t class_code;
    } rows[] = {
        { "e1000e", 0x8086, 0x10d3, 4096, 0x020000 },
        { "e1000", 0x8086, 0x100e, 256, 0x020000 },
        { "nvme", 0x1b36, 0x0010, 4096, 0x010802 },
        { "intel-hda", 0x8086, 0x2668, 256, 0x040300 },
    };

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(rows); i++) {
        struct pb_layout layout;

        read_dump(rows[i].name);
        assert_int_equal(facts.vendor, rows[i].vendor);
        assert_int_equal(facts.device, rows[i].device);
        assert_int_equal(facts.config_size, rows[i].size);
        assert_int_equal(facts.class_code, rows[i].class_code);
        assert_int_equal(pb_layout_read(&facts, &layout), 0);
    }
}

/* Bits that are answered from memory are hardware's, and a capability's or the header's. */
static void known_bits_of_real_devices_are_hardwares(void **state)
{
    static const char *const names[] = { "e1000e", "e1000",     "rtl8139",
                                         "nvme",   "intel-hda", "virtio-net" };

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(names); i++) {
        struct pb_layout layout;
        struct pb_map *map;
        int rc;

        read_dump(names[i]);
        assert_int_equal(pb_layout_read(&facts, &layout), 0);
        map = pb_map_baseline(&facts, &layout, &rc);
        assert_non_null(map);
        assert_int_equal(pb_le16(map->known + PCI_MIN_GNT), 0xffff);
        for (unsigned at = 0; at < PB_CONFIG_SIZE_PCIE; at++) {
            unsigned other = map->write[at] | map->w1c[at] | map->virt[at] | map->fixed[at];

            assert_int_equal(map->known[at] & (other | map->raw[at]), 0);
            assert_int_equal((map->value[at] ^ facts.config[at]) & map->known[at], 0);
            assert_true(!map->known[at] || at < map->size);
        }
        free(map);
    }
}

static void what_lspci_v_prints_in_between_is_passed_over(void **state)
{
    uint8_t config[PB_CONFIG_SIZE_PCIE];

    (void)state;
    image(config, 0x10d38086);
    put("$ lspci -vvxxx -s 03:00.1\n\n");
    put("03:00.1 Ethernet controller [0200]: Intel 82574L [8086:10d3] (rev 07)\n");
    put("\tSubsystem: Intel Corporation Device [8086:a01f]\n");
    put("\tControl: I/O+ Mem+ BusMaster+ SpecCycle- MemWINV- VGASnoop- ParErr-\n");
    put("\tRegion 0: Memory at fea20000 (32-bit, non-prefetchable) [size=128K]\n");
    put("\tCapabilities: [c8] Power Management version 2\n");
    put("\tKernel driver in use: e1000e\n");
    put_hex(config, 256, "\n");
    put("\n");
    assert_int_equal(parse(NULL), 0);
    assert_int_equal(facts.sbdf.bus, 3);
    assert_int_equal(facts.sbdf.devfn, PB_DEVFN(0, 1));
    assert_int_equal(facts.device, 0x10d3);
    assert_int_equal(facts.subsystem_vendor, 0x8086);
    assert_int_equal(facts.subsystem_device, 0xa01f);
    assert_int_equal(facts.revision, 7);
    assert_int_equal(facts.class_code, 0x020000);
    assert_int_equal(facts.irq, 11);
    assert_int_equal(facts.config_size, 256);
    assert_memory_equal(facts.config, config, 256);
}

static void lines_may_end_as_dos_ends_them_and_the_last_not_at_all(void **state)
{
    uint8_t config[PB_CONFIG_SIZE_PCIE];

    (void)state;
    image(config, 0x10d38086);
    put("0000:03:00.0 Ethernet controller\r\n");
    put_hex(config, 256, "  \r\n");
    used -= 4;
    assert_int_equal(parse("03:00.0"), 0);
    assert_int_equal(facts.device, 0x10d3);
}

static void one_of_several_devices_is_chosen_by_its_address(void **state)
{
    uint8_t config[PB_CONFIG_SIZE_PCIE];

    (void)state;
    image(config, 0x00011111);
    put("00:01.0 Class 0200\n");
    put_hex(config, 64, "\n"); /* short, and nobody asked for it */
    image(config, 0x00021111);
    put("\n0001:00:02.0 Class 0200\n");
    put_hex(config, 4096, "\n");
    image(config, 0x00031111);
    put("\n10000:00:03.0 Class 0200\n"); /* a domain that no address of ours can name */
    put_hex(config, 256, "\n");
    assert_int_equal(parse("0001:00:02.0"), 0);
    assert_int_equal(facts.device, 2);
    assert_int_equal(facts.sbdf.segment, 1);
    assert_int_equal(facts.config_size, 4096);
    expect_error("00:02.0", -ENOENT, "00:02.0");
    expect_error("00:01.0", -EINVAL, "line 1: only 64 bytes");
    expect_error("00:01.0", -EINVAL, "lspci -xxx");
    expect_error(NULL, -EEXIST, "line 7: a second device");
    expect_error("zz", -EINVAL, "zz is not an address");
}

static void registers_are_read_strictly(void **state)
{
    static const struct {
        const char *line, *reason;
    } rows[] = {
        { "00: 86 80 d3 10 03 00 10 00 00 00 00 02 00 00 00", "sixteen" },
        { "00: 86 80 d3 10 03 00 10 00 00 00 00 02 00 00 00 0", "sixteen" },
        { "00: 86 80 d3 10 03 00 10 00 00 00 00 02 00 00 00 000", "sixteen" },
        { "00: 86 80 d3 10 03 00 10 00 00 00 00 02 00 00 00 0g", "sixteen" },
        { "00: 86 80 d3 10 03 00 10 00 00 00 00 02 00 00 00 00 00", "more than sixteen" },
        { "00: 86 80 d3 10 03 00 10 00 00 00 00 02 00 00 00 00x", "more than sixteen" },
        { "00: 86  80 d3 10 03 00 10 00 00 00 00 02 00 00 00 00", "sixteen" },
        { "00:", "sixteen" },
        { "10: 86 80 d3 10 03 00 10 00 00 00 00 02 00 00 00 00", "0x010 where 0x000" },
        { "08: 86 80 d3 10 03 00 10 00 00 00 00 02 00 00 00 00", "0x008 where 0x000" },
    };

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(rows); i++) {
        used = 0;
        put("03:00.0 Ethernet controller\n%s\n", rows[i].line);
        expect_error(NULL, -EINVAL, "line 2: ");
        expect_error(NULL, -EINVAL, rows[i].reason);
    }
}

static void what_is_not_one_whole_device_is_refused(void **state)
{
    uint8_t config[PB_CONFIG_SIZE_PCIE];

    (void)state;
    expect_error(NULL, -ENOENT, "without a device");
    image(config, 0x10d38086);
    put_hex(config, 256, "\n");
    expect_error(NULL, -EINVAL, "line 1: registers before");
    used = 0;
    put("03:00.0 x\n");
    expect_error(NULL, -EINVAL, "only 0 bytes");
    put_hex(config, 128, "\n");
    expect_error(NULL, -EINVAL, "only 128 bytes");
    used = 0;
    put("03:00.0 x\n");
    put_hex(config, 512, "\n");
    expect_error(NULL, -EINVAL, "512 bytes");
    used = 0;
    put("03:00.0 x\n");
    put_hex(config, 4096, "\n");
    put("1000: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n");
    assert_int_equal(parse(NULL), 0); /* four digits are no line of registers */
    put("03:00.0 x\n");
    expect_error("03:00.0", -EINVAL, "a second time");
    used = 0;
    put("03:20.0 x\n");
    put_hex(config, 256, "\n");
    expect_error(NULL, -EINVAL, "out of range");
}

static void resources_follow_from_the_registers(void **state)
{
    uint8_t config[PB_CONFIG_SIZE_PCIE];

    (void)state;
    image(config, 0x10d38086);
    pb_le_put(config + 0x10, 4, 0xfea20000);
    pb_le_put(config + 0x14, 4, 0x0000c041);
    pb_le_put(config + 0x18, 4, 0x8000000c);
    pb_le_put(config + 0x1c, 4, 0x00000002);
    pb_le_put(config + 0x20, 4, 0x00000000);
    pb_le_put(config + 0x24, 4, 0xfeb00004); /* 64-bit without an upper half */
    pb_le_put(config + PCI_ROM_ADDRESS, 4, 0xfec00001);
    put("03:00.0 x\n");
    put_hex(config, 256, "\n");
    assert_int_equal(parse(NULL), 0);
    assert_int_equal(facts.resource[0].start, 0xfea20000);
    assert_int_equal(facts.resource[0].end, 0xfea20fff);
    assert_int_equal(facts.resource[0].flags, PB_RES_MEM | 0x40000);
    assert_int_equal(facts.resource[1].start, 0xc040);
    assert_int_equal(facts.resource[1].end, 0xc07f);
    assert_int_equal(facts.resource[1].flags, PB_RES_IO | 0x40001);
    assert_true(facts.resource[2].start == 0x280000000);
    assert_int_equal(facts.resource[2].flags,
                     PB_RES_MEM | PB_RES_MEM_64 | PB_RES_PREFETCH | 0x4000c);
    assert_int_equal(facts.resource[3].flags, 0);
    assert_int_equal(facts.resource[4].flags, 0);
    assert_int_equal(facts.resource[5].flags, PB_RES_MEM | 0x40004);
    assert_int_equal(facts.resource[PB_PCI_ROM].start, 0xfec00000);
    assert_int_equal(facts.resource[PB_PCI_ROM].flags, PB_RES_MEM | 0x44001);
}

static void resets_are_what_the_capabilities_promise(void **state)
{
    static const struct {
        bool flr, af, pm;
        const char *methods;
    } rows[] = {
        { false, false, false, "" },         { true, false, false, "flr" },
        { false, true, false, "af_flr" },    { false, false, true, "pm" },
        { true, true, false, "flr af_flr" }, { true, false, true, "flr pm" },
        { false, true, true, "af_flr pm" },  { true, true, true, "flr af_flr pm" },
    };

    (void)state;
    for (unsigned i = 0; i < PB_ARRAY_SIZE(rows); i++) {
        uint8_t config[PB_CONFIG_SIZE_PCIE];

        image(config, 0x10d38086);
        pb_le_put(config + PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
        config[PCI_CAPABILITIES] = 0x40;
        pb_le_put(config + 0x40, 4, 0x00025001);
        pb_le_put(config + 0x44, 4, rows[i].pm ? 0 : PCI_PM_CTRL_NO_SOFT_RST);
        pb_le_put(config + 0x50, 4, 0x00028010);
        pb_le_put(config + 0x54, 4, rows[i].flr ? 0x10008fc1 : 0x00008fc1);
        pb_le_put(config + 0x80, 4, rows[i].af ? 0x03060013 : 0x01060013);
        used = 0;
        put("03:00.0 x\n");
        put_hex(config, 256, "\n");
        assert_int_equal(parse(NULL), 0);
        assert_string_equal(facts.reset_methods, rows[i].methods);
    }
}

static void ids_of_a_virtual_function_come_from_the_line_above(void **state)
{
    uint8_t config[PB_CONFIG_SIZE_PCIE];

    (void)state;
    image(config, 0xffffffff);
    put("03:10.0 Ethernet controller [0200]: Intel 82599 [8086:10ed] (rev 01)\n");
    put_hex(config, 4096, "\n");
    assert_int_equal(parse(NULL), 0);
    assert_true(facts.virtual_function);
    assert_int_equal(facts.vendor, 0x8086);
    assert_int_equal(facts.device, 0x10ed);
    assert_int_equal(facts.irq, 0);
    used = 0;
    put("03:10.0 0200: 8086:10ed (rev 01)\n");
    put_hex(config, 4096, "\n");
    assert_int_equal(parse(NULL), 0);
    assert_int_equal(facts.device, 0x10ed);
    used = 0;
    put("03:10.0 Ethernet controller: Intel 82599\n");
    put_hex(config, 4096, "\n");
    expect_error(NULL, -EINVAL, "line 1: a virtual function");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(known_bits_of_real_devices_are_hardwares, begin),
        cmocka_unit_test_setup(the_dumps_of_the_simulation_are_read, begin),
        cmocka_unit_test_setup(what_lspci_v_prints_in_between_is_passed_over, begin),
        cmocka_unit_test_setup(lines_may_end_as_dos_ends_them_and_the_last_not_at_all, begin),
        cmocka_unit_test_setup(one_of_several_devices_is_chosen_by_its_address, begin),
        cmocka_unit_test_setup(registers_are_read_strictly, begin),
        cmocka_unit_test_setup(what_is_not_one_whole_device_is_refused, begin),
        cmocka_unit_test_setup(resources_follow_from_the_registers, begin),
        cmocka_unit_test_setup(resets_are_what_the_capabilities_promise, begin),
        cmocka_unit_test_setup(ids_of_a_virtual_function_come_from_the_line_above, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
