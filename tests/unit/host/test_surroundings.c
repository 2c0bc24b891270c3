/* SPDX-License-Identifier: MIT */
/* Where a device sits, what the host needs it for, and what it shares with whom. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "host/surroundings.h"
#include "kernel.h"
#include "pci/regs.h"

#define ROOT    "sys/devices/pci0000:00/"
#define PORT    ROOT "0000:00:1c.0/"
#define NIC     "0000:03:00.0"
#define NIC_DIR PORT NIC
#define BIT(id) (1U << PB_##id)

static struct pb_surroundings s;

static struct pb_sbdf at(const char *address)
{
    struct pb_sbdf sbdf;

    assert_true(pb_sbdf_parse(address, &sbdf));
    return sbdf;
}

/* Moves a device of the bus to WAY, as the real one, where its bridges are above it. */
static void move(const char *address, const char *way)
{
    char from[256], to[256], mark[300];

    (void)snprintf(mark, sizeof(mark), "%smark", way);
    kernel_put(mark, "");
    (void)snprintf(from, sizeof(from), "%s/bus/pci/devices/%s", kernel_sysfs, address);
    (void)snprintf(to, sizeof(to), "%s/%s%s", kernel_dir, way, address);
    assert_return_code(rename(from, to), errno);
    assert_return_code(symlink(to, from), errno);
}

/* A function with no BARs and no line, at WAY, which ends in a slash. */
static void add(const char *address, const char *way)
{
    kernel_add_device(at(address), PB_CONFIG_SIZE_PCIE);
    kernel_set(at(address), "resource",
               "0x0 0x0 0x0\n0x0 0x0 0x0\n0x0 0x0 0x0\n0x0 0x0 0x0\n"
               "0x0 0x0 0x0\n0x0 0x0 0x0\n0x0 0x0 0x0\n");
    kernel_set_config(at(address), PCI_INTERRUPT_PIN, 1, 0);
    move(address, way);
}

static void express(const char *address, unsigned type)
{
    kernel_set_config(at(address), PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
    kernel_set_config(at(address), PCI_CAPABILITIES, 1, 0x40);
    kernel_set_config(at(address), 0x40, 4, (type << 4 | 2) << 16 | PCI_CAP_EXP);
    kernel_set_config(at(address), 0x100, 4, 0);
}

static void acs(const char *address, unsigned capable, unsigned control)
{
    kernel_set_config(at(address), 0x100, 4, 0x0001000d);
    kernel_set_config(at(address), 0x104, 4, capable | control << 16);
}

static void add_bridge(const char *address, const char *way)
{
    add(address, way);
    kernel_set_config(at(address), PCI_HEADER_TYPE, 1, PCI_HEADER_TYPE_BRIDGE);
    kernel_set(at(address), "class", "0x060400\n");
}

static int setup(void **state)
{
    int rc = kernel_setup(state);

    if (rc)
        return rc;
    kernel_add_device(at("0000:00:1c.0"), PB_CONFIG_SIZE_PCIE);
    kernel_set_config(at("0000:00:1c.0"), PCI_HEADER_TYPE, 1, PCI_HEADER_TYPE_BRIDGE);
    kernel_set(at("0000:00:1c.0"), "class", "0x060400\n");
    move("0000:00:1c.0", ROOT);
    express("0000:00:1c.0", 4);
    acs("0000:00:1c.0", 0x1f, 0x1d);
    move(NIC, PORT);
    express(NIC, 0);
    return 0;
}

static void look(const char *address)
{
    struct pb_sysfs fs;

    memset(&s, 0xff, sizeof(s));
    pb_sysfs_init(&fs, kernel_sysfs, at(address));
    pb_surroundings_read(&fs, kernel_proc, &s);
}

/* What NEIGHBOUR shares with the device that was looked at; 0: it is none. */
static unsigned shared_with(const char *neighbour)
{
    for (unsigned i = 0; i < s.neighbour_count; i++) {
        if (pb_sbdf_equal(s.neighbour[i].sbdf, at(neighbour)))
            return s.neighbour[i].shares;
    }
    return 0;
}

/* --- where --- */

static void the_path_names_the_bridges(void **state)
{
    (void)state;
    look(NIC);
    assert_string_equal(s.path, "0000:00:1c.0/00.0");
    add_bridge("0000:04:01.0", PORT);
    add("0000:05:1f.7", PORT "0000:04:01.0/");
    look("0000:05:1f.7");
    assert_string_equal(s.path, "0000:00:1c.0/01.0/1f.7");
    look("0000:00:1c.0");
    assert_string_equal(s.path, "0000:00:1c.0");
}

static void a_path_that_does_not_fit_is_none(void **state)
{
    char way[256] = PORT, address[16];

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        (void)snprintf(address, sizeof(address), "0000:%02x:00.0", 0x10 + i);
        add_bridge(address, way);
        (void)snprintf(way + strlen(way), sizeof(way) - strlen(way), "%s/", address);
    }
    add("0000:30:00.0", way);
    look("0000:30:00.0");
    assert_string_equal(s.path, "");
}

static void port_and_functions_are_told(void **state)
{
    (void)state;
    look(NIC);
    assert_string_equal(s.port, "");
    assert_false(s.has_physical_function);
    assert_int_equal(s.virtual_functions, 0);
    kernel_set_config(at("0000:00:1c.0"), 0x42, 2, 0x0142);
    kernel_set_config(at("0000:00:1c.0"), 0x54, 4, 0x40);
    kernel_set(kernel_nic, "sriov_numvfs", "3\n");
    assert_int_equal(symlink("../0000:03:00.5", kernel_path(kernel_nic, "physfn")), 0);
    look(NIC);
    assert_string_equal(s.port, "0000:00:1c.0");
    assert_int_equal(s.virtual_functions, 3);
    assert_true(s.has_physical_function);
    assert_true(pb_sbdf_equal(s.physical_function, at("0000:03:00.5")));
}

static void odd_attributes_are_not_there(void **state)
{
    (void)state;
    kernel_set(kernel_nic, "sriov_numvfs", "many\n");
    assert_int_equal(symlink("purple", kernel_path(kernel_nic, "physfn")), 0);
    kernel_put("proc/1/mountinfo", "\n\n1\n1 2 3\n1 2 8:x / / rw - a b c\n1 2 8:1 / / rw -\n"
                                   "1 2 8:1 / /\\777\\0 rw - ext4 /dev/\\ rw\n");
    kernel_put("proc/swaps", "");
    kernel_put("proc/1/net/route", "\n*\neth0 0\n");
    kernel_put("proc/1/net/ipv6_route", "0\n\n");
    kernel_put("sys/class/tty/console/active", "\n");
    kernel_put("sys/class/input/input1/capabilities/key", "\n");
    kernel_put("sys/bus/pci/devices/purple", "");
    look(NIC);
    assert_int_equal(s.virtual_functions, 0);
    assert_false(s.has_physical_function);
    assert_int_equal(s.uses, 0);
    assert_string_equal(s.uses_text, "");
    assert_int_equal(s.neighbour_count, 0);
    look("0000:0a:00.0"); /* absent */
    assert_string_equal(s.path, "");
    assert_int_equal(s.neighbour_count, 0);
}

/* --- uses --- */

static void disk(const char *number, const char *dir)
{
    char path[256], name[64];

    (void)snprintf(path, sizeof(path), "%s/dev", dir);
    kernel_put(path, "");
    (void)snprintf(path, sizeof(path), "sys/dev/block/%s", number);
    kernel_link(path, dir);
    (void)snprintf(name, sizeof(name), "%s", strrchr(dir, '/') + 1);
    (void)snprintf(path, sizeof(path), "sys/class/block/%s", name);
    kernel_link(path, dir);
}

static void slave(const char *dir, const char *of)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/slaves/%s", dir, strrchr(of, '/') + 1);
    kernel_link(path, of);
}

#define SDA  NIC_DIR "/ata1/host0/target0:0:0/block/sda"
#define SDA1 SDA "/sda1"
#define SDA2 SDA "/sda2"
#define VIRT "sys/devices/virtual/block/"

static void mounts(const char *text)
{
    kernel_put("proc/1/mountinfo", text);
    look(NIC);
}

static void disks(void)
{
    disk("8:0", SDA);
    disk("8:1", SDA1);
    disk("8:2", SDA2);
    kernel_put(SDA1 "/partition", "1\n");
    kernel_put(SDA2 "/partition", "2\n");
}

static void root_and_other_mounts_are_told_apart(void **state)
{
    (void)state;
    disks();
    mounts("21 1 0:20 / /proc rw shared:3 master:4 - proc proc rw\n"
           "20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n");
    assert_int_equal(s.uses, BIT(USE_ROOT));
    assert_string_equal(s.uses_text, "the root file system is on it (sda1)");
    mounts("20 1 8:1 / / rw - ext4 /dev/sda1 rw\n20 1 8:2 / /srv/a\\040b rw - ext4 /dev/sda2 rw\n"
           "20 1 8:2 / /home rw - ext4 /dev/sda2 rw\n");
    assert_int_equal(s.uses, BIT(USE_ROOT) | BIT(USE_DISK));
    assert_string_equal(s.uses_text, "the root file system is on it (sda1); a mounted file system "
                                     "or swap is on it (sda2)");
    mounts("20 1 8:3 / / rw - ext4 /dev/sda3 rw\n");
    assert_int_equal(s.uses, 0);
    look("0000:00:1c.0"); /* the bridge above carries it too */
    mounts("20 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
    look("0000:00:1c.0");
    assert_int_equal(s.uses, BIT(USE_ROOT));
}

static void disks_that_are_made_of_others_lead_to_them(void **state)
{
    (void)state;
    disks();
    disk("253:0", VIRT "dm-0");
    disk("9:0", VIRT "md0");
    disk("259:9", VIRT "md0/md0p1");
    kernel_put(VIRT "md0/md0p1/partition", "1\n");
    slave(VIRT "dm-0", VIRT "md0/md0p1"); /* LVM over a partition of a RAID */
    slave(VIRT "md0", SDA1);
    mounts("20 1 253:0 / / rw - ext4 /dev/mapper/vg-root rw\n");
    assert_string_equal(s.uses_text, "the root file system is on it (sda1)");
    slave(VIRT "md0", VIRT "dm-0"); /* a circle */
    mounts("20 1 253:0 / / rw - ext4 /dev/mapper/vg-root rw\n");
    assert_int_equal(s.uses, BIT(USE_ROOT));
}

static void many_names_are_cut(void **state)
{
    static const char *const parts[] = { "a", "b", "c", "d", "e" };

    (void)state;
    disk("9:0", VIRT "md0");
    for (unsigned i = 0; i < PB_ARRAY_SIZE(parts); i++) {
        char dir[160], number[16];

        (void)snprintf(dir, sizeof(dir), NIC_DIR "/ata1/block/disk-%s", parts[i]);
        (void)snprintf(number, sizeof(number), "8:%u", 16 * i);
        disk(number, dir);
        slave(VIRT "md0", dir);
    }
    mounts("20 1 9:0 / / rw - ext4 /dev/md0 rw\n");
    assert_int_equal(s.uses, BIT(USE_ROOT));
    assert_non_null(strstr(s.uses_text, ", ...)"));
}

/* The number of the file system that this test's own files are on. */
static void own_number(char text[32])
{
    struct stat st;

    assert_int_equal(stat(kernel_dir, &st), 0);
    (void)snprintf(text, 32, "%u:%u", major(st.st_dev), minor(st.st_dev));
}

static void files_lead_to_the_file_system_that_they_are_on(void **state)
{
    char number[32], text[512], image[128];

    (void)state;
    own_number(number);
    kernel_put("image", "");
    (void)snprintf(image, sizeof(image), "%s/image\n", kernel_dir);
    if (strncmp(number, "0:", 2) != 0)
        disk(number, SDA1);
    else
        disk("8:1", SDA1);
    disk("7:0", VIRT "loop0");
    kernel_put(VIRT "loop0/loop/backing_file", image);
    (void)snprintf(text, sizeof(text),
                   "20 1 7:0 / / rw - ext4 /dev/loop0 rw\n"
                   "20 1 %s / /none rw - btrfs /dev/sda1 rw\n",
                   number);
    mounts(text);
    assert_int_equal(s.uses, BIT(USE_ROOT) | BIT(USE_DISK));
    /* swap in a file there */
    (void)snprintf(text, sizeof(text), "Filename Type Size Used Priority\n%s/image file 1 0 -2\n",
                   kernel_dir);
    kernel_put("proc/swaps", text);
    (void)snprintf(text, sizeof(text), "20 1 %s / / rw - btrfs /dev/sda1 rw\n", number);
    mounts(text);
    assert_int_equal(s.uses, BIT(USE_ROOT) | BIT(USE_DISK));
    /* layers of an overlay */
    kernel_put("proc/swaps", "Filename Type Size Used Priority\n");
    kernel_put("lower/x", "");
    (void)snprintf(text, sizeof(text),
                   "20 1 %s / /none rw - btrfs /dev/sda1 rw\n"
                   "20 1 0:999 / / rw - overlay overlay rw,lowerdir=/none:%s/lower,workdir=/w\n",
                   number, kernel_dir);
    mounts(text);
    assert_int_equal(s.uses, BIT(USE_ROOT) | BIT(USE_DISK));
}

static void a_btrfs_is_on_all_its_disks(void **state)
{
    (void)state;
    disks();
    disk("8:16", "sys/devices/pci0000:00/0000:00:1f.2/block/sdb");
    mounts("20 1 0:30 /@ / rw - btrfs /dev/sdb rw,subvol=/@\n");
    assert_int_equal(s.uses, 0);
    kernel_link("sys/fs/btrfs/1234/devices/sdb", "sys/devices/pci0000:00/0000:00:1f.2/block/sdb");
    kernel_link("sys/fs/btrfs/1234/devices/sda2", SDA2);
    kernel_link("sys/fs/btrfs/5678/devices/sda1", SDA1);
    mounts("20 1 0:30 /@ / rw - btrfs /dev/sdb rw,subvol=/@\n");
    assert_string_equal(s.uses_text, "the root file system is on it (sda2)");
}

static void a_namespace_of_several_paths_is_on_each_controller(void **state)
{
    (void)state;
    disk("259:0", "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1");
    kernel_put(NIC_DIR "/nvme/nvme0/model", "");
    kernel_link("sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0", NIC_DIR "/nvme/nvme0");
    mounts("20 1 259:0 / / rw - ext4 /dev/nvme0n1 rw\n");
    assert_string_equal(s.uses_text, "the root file system is on it (nvme0)");
}

static void swap_counts_as_a_disk_in_use(void **state)
{
    (void)state;
    disks();
    kernel_put("proc/swaps", "Filename\tType\n/dev/sda2                partition\t1\t0\t-2\n");
    look(NIC);
    assert_string_equal(s.uses_text, "a mounted file system or swap is on it (sda2)");
}

#define ROUTES "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n"

static void interface(const char *dir)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/address", dir);
    kernel_put(path, "");
    (void)snprintf(path, sizeof(path), "sys/class/net/%s", strrchr(dir, '/') + 1);
    kernel_link(path, dir);
}

static void the_default_route_leads_to_its_card(void **state)
{
    (void)state;
    interface(NIC_DIR "/net/eth0");
    kernel_put("proc/1/net/route", ROUTES "eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\n");
    look(NIC);
    assert_int_equal(s.uses, 0); /* a network, not the default */
    kernel_put("proc/1/net/route", ROUTES "eth0\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\n");
    look(NIC);
    assert_string_equal(s.uses_text, "the default route leads over it (eth0)");
    kernel_put("proc/1/net/route", ROUTES "eth0\t00000000\t00000000\t0200\t0\t0\t0\t00000000\t0\n");
    look(NIC);
    assert_int_equal(s.uses, 0);
    kernel_put("proc/1/net/ipv6_route",
               "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
               "fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n");
    look(NIC);
    assert_string_equal(s.uses_text, "the default route leads over it (eth0)");
    kernel_put("proc/1/net/ipv6_route",
               "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
               "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200     eth0\n"
               "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 "
               "00000000000000000000000000000000 00000400 00000001 00000000 00000001     eth0\n");
    look(NIC);
    assert_int_equal(s.uses, 0);
}

static void bridge_bond_and_vlan_lead_to_the_card_below(void **state)
{
    (void)state;
    interface(NIC_DIR "/virtio0/net/eth0");
    interface("sys/devices/virtual/net/bond0");
    interface("sys/devices/virtual/net/bond0.7");
    interface("sys/devices/virtual/net/xenbr0");
    interface("sys/devices/virtual/net/vif1.0");
    kernel_link("sys/devices/virtual/net/xenbr0/lower_vif1.0", "sys/devices/virtual/net/vif1.0");
    kernel_link("sys/devices/virtual/net/xenbr0/lower_bond0.7", "sys/devices/virtual/net/bond0.7");
    kernel_link("sys/devices/virtual/net/bond0.7/lower_bond0", "sys/devices/virtual/net/bond0");
    kernel_link("sys/devices/virtual/net/bond0/lower_eth0", NIC_DIR "/virtio0/net/eth0");
    kernel_link("sys/devices/virtual/net/bond0/upper_bond0.7", "sys/devices/virtual/net/bond0.7");
    kernel_put("proc/1/net/route",
               ROUTES "xenbr0\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\n");
    look(NIC);
    assert_string_equal(s.uses_text, "the default route leads over it (eth0)");
}

static void the_only_console_is_a_use(void **state)
{
    (void)state;
    kernel_put("sys/class/tty/console/active", "tty0\n");
    look(NIC);
    assert_int_equal(s.uses, 0);
    kernel_set(kernel_nic, "boot_vga", "1\n");
    look(NIC);
    assert_string_equal(s.uses_text, "it is the only console (tty0)");
    kernel_put("sys/class/tty/console/active", "tty0 hvc0\n");
    look(NIC);
    assert_int_equal(s.uses, 0);
    kernel_set(kernel_nic, "boot_vga", "0\n");
    kernel_put(NIC_DIR "/tty/ttyS4/dev", "");
    kernel_link("sys/class/tty/ttyS4", NIC_DIR "/tty/ttyS4");
    kernel_put("sys/class/tty/console/active", "ttyS4\n");
    look(NIC);
    assert_string_equal(s.uses_text, "it is the only console (ttyS4)");
    kernel_put("sys/class/tty/console/active", "tty0 ttyS4\n");
    look(NIC);
    assert_int_equal(s.uses, 0);
}

#define KEYS "402000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe\n"

static void input(const char *dir, const char *keys)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/capabilities/key", dir);
    kernel_put(path, keys);
    (void)snprintf(path, sizeof(path), "sys/class/input/%s", strrchr(dir, '/') + 1);
    kernel_link(path, dir);
}

static void the_only_keyboard_is_a_use(void **state)
{
    (void)state;
    input(NIC_DIR "/usb1/1-1/input/input2", "1f0000 0 0 0 0\n");         /* a mouse */
    input("sys/devices/LNXSYSTM:00/input/input0", "10000000000000 0\n"); /* the power button */
    look(NIC);
    assert_int_equal(s.uses, 0);
    input(NIC_DIR "/usb1/1-2/input/input3", KEYS);
    input("sys/devices/virtual/input/input4", KEYS);
    look(NIC);
    assert_string_equal(s.uses_text, "it is the only input, or leads to it (input3)");
    input("sys/devices/platform/i8042/serio0/input/input5", KEYS);
    look(NIC);
    assert_int_equal(s.uses, 0);
}

/* --- neighbours --- */

static void ports_with_access_control_keep_cards_apart(void **state)
{
    (void)state;
    add_bridge("0000:00:1c.1", ROOT);
    express("0000:00:1c.1", 4);
    acs("0000:00:1c.1", 0x1f, 0x1d);
    add("0000:04:00.0", ROOT "0000:00:1c.1/");
    express("0000:04:00.0", 0);
    look(NIC);
    assert_int_equal(s.neighbour_count, 0);
    assert_false(s.more_neighbours);
}

static void H12_a_port_without_access_control_makes_one_of_all_below(void **state)
{
    (void)state;
    add_bridge("0000:04:00.0", PORT); /* a switch */
    express("0000:04:00.0", 5);
    add_bridge("0000:05:00.0", PORT "0000:04:00.0/");
    express("0000:05:00.0", 6);
    acs("0000:05:00.0", 0x1d, 0x1d);
    add_bridge("0000:05:01.0", PORT "0000:04:00.0/");
    express("0000:05:01.0", 6);
    acs("0000:05:01.0", 0x1d, 0x1d);
    add("0000:06:00.0", PORT "0000:04:00.0/0000:05:00.0/");
    express("0000:06:00.0", 0);
    add("0000:07:00.0", PORT "0000:04:00.0/0000:05:01.0/");
    express("0000:07:00.0", 0);
    look("0000:06:00.0");
    assert_int_equal(shared_with("0000:07:00.0"), 0);
    acs("0000:05:01.0", 0x1d, 0x1c); /* of the other one: its own business */
    look("0000:06:00.0");
    assert_int_equal(shared_with("0000:07:00.0"), 0);
    acs("0000:05:01.0", 0x1d, 0x1d);
    acs("0000:00:1c.0", 0x1f, 0x00); /* the root port lets all talk */
    look("0000:06:00.0");
    assert_int_equal(shared_with("0000:07:00.0"), BIT(SHARE_REQUESTER));
    assert_int_equal(s.neighbour_count, 2);
    /* what it cannot control need not be on */
    acs("0000:00:1c.0", 0x01, 0x01);
    look("0000:06:00.0");
    assert_int_equal(shared_with("0000:07:00.0"), 0);
}

static void H12_ports_of_one_slot_without_access_control_are_one(void **state)
{
    (void)state;
    add_bridge("0000:00:1c.1", ROOT);
    express("0000:00:1c.1", 4);
    add("0000:04:00.0", ROOT "0000:00:1c.1/");
    express("0000:04:00.0", 0);
    look(NIC);
    assert_int_equal(shared_with("0000:04:00.0"), 0); /* ours isolates */
    kernel_set_config(at("0000:00:1c.0"), 0x100, 4, 0);
    look(NIC);
    assert_int_equal(shared_with("0000:04:00.0"), BIT(SHARE_REQUESTER));
}

static void H12_all_behind_a_conventional_bridge_are_one(void **state)
{
    (void)state;
    add_bridge("0000:00:1e.0", ROOT); /* no PCI Express capability */
    add("0000:08:01.0", ROOT "0000:00:1e.0/");
    add("0000:08:02.0", ROOT "0000:00:1e.0/");
    look("0000:08:01.0");
    assert_int_equal(shared_with("0000:08:02.0"), BIT(SHARE_REQUESTER) | BIT(SHARE_RESET));
    add_bridge("0000:09:00.0", PORT); /* from PCI Express to PCI */
    express("0000:09:00.0", 7);
    acs("0000:09:00.0", 0x1d, 0x1d);
    add("0000:0a:01.0", PORT "0000:09:00.0/");
    add("0000:0a:02.0", PORT "0000:09:00.0/");
    look("0000:0a:01.0");
    assert_int_equal(shared_with("0000:0a:02.0"), BIT(SHARE_REQUESTER) | BIT(SHARE_RESET));
    assert_int_equal(s.neighbour_count, 1);
}

static void functions_of_one_device_share_it(void **state)
{
    (void)state;
    add("0000:03:00.1", PORT);
    express("0000:03:00.1", 0);
    look(NIC);
    assert_int_equal(shared_with("0000:03:00.1"),
                     BIT(SHARE_FUNCTION) | BIT(SHARE_RESET) | BIT(SHARE_REQUESTER));
    acs(NIC, 0x1c, 0x1c);
    look(NIC);
    assert_int_equal(shared_with("0000:03:00.1"), BIT(SHARE_FUNCTION) | BIT(SHARE_RESET));
    assert_string_equal(s.neighbour[0].driver, "");
    look("0000:03:00.1");
    assert_string_equal(s.neighbour[0].driver, "e1000e");
}

static void H12_ports_of_cards_that_are_known_to_isolate_may_be_split(void **state)
{
    static const uint32_t known[] = { 0x15218086, 0x10fb8086, 0x072010df };

    (void)state;
    add("0000:03:00.1", PORT);
    express("0000:03:00.1", 0);
    for (unsigned i = 0; i < PB_ARRAY_SIZE(known); i++) {
        kernel_set_config(kernel_nic, 0, 4, known[i]);
        kernel_set_config(at("0000:03:00.1"), 0, 4, known[i]);
        look(NIC);
        assert_int_equal(shared_with("0000:03:00.1"), BIT(SHARE_FUNCTION) | BIT(SHARE_RESET));
    }
    kernel_set_config(kernel_nic, 0, 4, 0x15211af4); /* another maker's number */
    kernel_set_config(at("0000:03:00.1"), 0, 4, 0x15211af4);
    look(NIC);
    assert_true(shared_with("0000:03:00.1") & BIT(SHARE_REQUESTER));
}

static void virtual_functions_are_apart_also_in_one_slot(void **state)
{
    (void)state;
    add("0000:03:00.1", PORT);
    express("0000:03:00.1", 0);
    add("0000:03:00.2", PORT);
    express("0000:03:00.2", 0);
    assert_int_equal(symlink("../" NIC, kernel_path(at("0000:03:00.1"), "physfn")), 0);
    assert_int_equal(symlink("../" NIC, kernel_path(at("0000:03:00.2"), "physfn")), 0);
    look("0000:03:00.1");
    assert_int_equal(shared_with(NIC), BIT(SHARE_RESET));
    assert_int_equal(shared_with("0000:03:00.2"), BIT(SHARE_RESET));
}

static void one_that_does_not_answer_shares_what_it_may(void **state)
{
    (void)state;
    add("0000:03:00.1", PORT);
    for (unsigned i = 0; i < 256; i += 4)
        kernel_set_config(at("0000:03:00.1"), i, 4, UINT32_MAX);
    look(NIC);
    assert_int_equal(shared_with("0000:03:00.1"),
                     BIT(SHARE_FUNCTION) | BIT(SHARE_RESET) | BIT(SHARE_REQUESTER));
}

static void a_root_bus_has_no_reset(void **state)
{
    (void)state;
    add("0000:00:02.0", ROOT);
    add("0000:00:03.0", ROOT);
    look("0000:00:02.0");
    assert_int_equal(s.neighbour_count, 0);
}

static void lines(const char *a, const char *b)
{
    kernel_set(at("0000:00:02.0"), "irq", a);
    kernel_set(at("0000:00:03.0"), "irq", b);
    look("0000:00:02.0");
}

static void XSA_461_one_line_is_told_once_both_are_routed(void **state)
{
    (void)state;
    add("0000:00:02.0", ROOT);
    add("0000:00:03.0", ROOT);
    kernel_set_config(at("0000:00:02.0"), PCI_INTERRUPT_PIN, 1, 1);
    kernel_set(at("0000:00:02.0"), "enable", "1\n");
    kernel_set(at("0000:00:03.0"), "enable", "1\n");
    lines("17\n", "17\n");
    assert_int_equal(shared_with("0000:00:03.0"), 0); /* it has no pin */
    kernel_set_config(at("0000:00:03.0"), PCI_INTERRUPT_PIN, 1, 2);
    lines("17\n", "17\n");
    assert_int_equal(shared_with("0000:00:03.0"), BIT(SHARE_LINE));
    lines("17\n", "18\n");
    assert_int_equal(shared_with("0000:00:03.0"), 0);
    lines("0\n", "0\n");
    assert_int_equal(shared_with("0000:00:03.0"), 0);
    kernel_set(at("0000:00:03.0"), "enable", "0\n");
    lines("17\n", "17\n"); /* the firmware's number */
    assert_int_equal(shared_with("0000:00:03.0"), 0);
}

static void bars(const char *a, const char *b)
{
    kernel_set(at("0000:00:02.0"), "resource", a);
    kernel_set(at("0000:00:03.0"), "resource", b);
    look("0000:00:02.0");
}

static void XSA_461_registers_in_one_page_are_told(void **state)
{
    static const char small[] = "0x0 0x0 0x0\n0xfebf1000 0xfebf107f 0x40200\n";

    (void)state;
    add("0000:00:02.0", ROOT);
    add("0000:00:03.0", ROOT);
    bars(small, "0xfebf1080 0xfebf10ff 0x40200\n");
    assert_int_equal(shared_with("0000:00:03.0"), BIT(SHARE_PAGE));
    bars(small, "0xfebf0800 0xfebf17ff 0x40200\n"); /* reaches into it */
    assert_int_equal(shared_with("0000:00:03.0"), BIT(SHARE_PAGE));
    bars(small, "0xfebf2000 0xfebf2fff 0x40200\n");
    assert_int_equal(shared_with("0000:00:03.0"), 0);
    bars(small, "0xfebf1080 0xfebf10ff 0x40101\n"); /* ports */
    assert_int_equal(shared_with("0000:00:03.0"), 0);
    bars(small, "0xfebf1080 0xfebf10ff 0x20040200\n"); /* not assigned */
    assert_int_equal(shared_with("0000:00:03.0"), 0);
    bars(small, "purple\n0xfebf10ff 0xfebf1080 0x40200\n");
    assert_int_equal(shared_with("0000:00:03.0"), 0);
}

/* Whoever reads its registers waits for ever, as while the kernel hangs in a reset of it. */
static void hang(const char *address)
{
    const char *config = kernel_path(at(address), "config");

    assert_return_code(unlink(config), errno);
    assert_return_code(mkfifo(config, 0600), errno);
}

static void H6_a_device_that_hangs_elsewhere_is_not_waited_for(void **state)
{
    (void)state;
    add_bridge("0000:00:1d.0", ROOT);
    express("0000:00:1d.0", 4);
    add("0000:09:00.0", ROOT "0000:00:1d.0/");
    add("0000:09:00.1", ROOT "0000:00:1d.0/");
    kernel_set(kernel_nic, "enable", "1\n");
    kernel_set(kernel_nic, "irq", "17\n");
    kernel_set(at("0000:09:00.0"), "enable", "1\n");
    kernel_set(at("0000:09:00.0"), "irq", "18\n");
    hang("0000:09:00.0");
    hang("0000:09:00.1");
    (void)alarm(10);
    look(NIC);
    (void)alarm(0);
    assert_int_equal(s.neighbour_count, 0);
}

static void bridges_are_nobodys_neighbours(void **state)
{
    (void)state;
    add_bridge("0000:03:00.1", PORT);
    add("0000:03:00.2", PORT);
    kernel_set(at("0000:03:00.2"), "class", "0x060100\n");
    look(NIC);
    assert_int_equal(s.neighbour_count, 0);
}

static void of_too_many_neighbours_the_weightier_stay(void **state)
{
    char address[16];

    (void)state;
    acs(NIC, 0x1c, 0x1c);
    for (unsigned i = 1; i < 30; i++) {
        (void)snprintf(address, sizeof(address), "0000:03:%02x.0", i);
        add(address, PORT);
        express(address, 0);
    }
    kernel_set(kernel_nic, "resource", "0xfebf1000 0xfebf107f 0x40200\n");
    kernel_set(at("0000:03:1d.0"), "resource", "0xfebf1080 0xfebf10ff 0x40200\n");
    look(NIC);
    assert_int_equal(s.neighbour_count, PB_NEIGHBOURS_MAX);
    assert_true(s.more_neighbours);
    assert_int_equal(shared_with("0000:03:01.0"), BIT(SHARE_RESET));
    assert_int_equal(shared_with("0000:03:1d.0"), BIT(SHARE_RESET) | BIT(SHARE_PAGE));
    for (unsigned i = 1; i < s.neighbour_count; i++)
        assert_true(s.neighbour[i - 1].sbdf.devfn < s.neighbour[i].sbdf.devfn);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, kernel_teardown)
    const struct CMUnitTest tests[] = {
        RULE(the_path_names_the_bridges),
        RULE(a_path_that_does_not_fit_is_none),
        RULE(port_and_functions_are_told),
        RULE(odd_attributes_are_not_there),
        RULE(root_and_other_mounts_are_told_apart),
        RULE(disks_that_are_made_of_others_lead_to_them),
        RULE(many_names_are_cut),
        RULE(files_lead_to_the_file_system_that_they_are_on),
        RULE(a_btrfs_is_on_all_its_disks),
        RULE(a_namespace_of_several_paths_is_on_each_controller),
        RULE(swap_counts_as_a_disk_in_use),
        RULE(the_default_route_leads_to_its_card),
        RULE(bridge_bond_and_vlan_lead_to_the_card_below),
        RULE(the_only_console_is_a_use),
        RULE(the_only_keyboard_is_a_use),
        RULE(ports_with_access_control_keep_cards_apart),
        RULE(H12_a_port_without_access_control_makes_one_of_all_below),
        RULE(H12_ports_of_one_slot_without_access_control_are_one),
        RULE(H12_all_behind_a_conventional_bridge_are_one),
        RULE(functions_of_one_device_share_it),
        RULE(H12_ports_of_cards_that_are_known_to_isolate_may_be_split),
        RULE(virtual_functions_are_apart_also_in_one_slot),
        RULE(one_that_does_not_answer_shares_what_it_may),
        RULE(a_root_bus_has_no_reset),
        RULE(XSA_461_one_line_is_told_once_both_are_routed),
        RULE(XSA_461_registers_in_one_page_are_told),
        RULE(H6_a_device_that_hangs_elsewhere_is_not_waited_for),
        RULE(bridges_are_nobodys_neighbours),
        RULE(of_too_many_neighbours_the_weightier_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
