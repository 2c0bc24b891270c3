/* SPDX-License-Identifier: MIT */
#include "sim_device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "sim_world.h"

struct sim_device *sim_device_find(const struct sim_world *w, struct pb_sbdf sbdf)
{
    struct sim_device *dev = w->device_bucket[pb_sbdf_machine(sbdf) % SIM_DEVICE_BUCKETS];

    while (dev && !pb_sbdf_equal(dev->sbdf, sbdf))
        dev = dev->same;
    return dev;
}

void sim_device_add(struct sim_world *w, struct sim_device *dev)
{
    struct sim_device **bucket = &w->device_bucket[pb_sbdf_machine(dev->sbdf) % SIM_DEVICE_BUCKETS];

    dev->same = *bucket;
    *bucket = dev;
    TAILQ_INSERT_TAIL(&w->devices, dev, link);
}

/* One line "1a0: 01 02 …"; the other lines of a dump are for people. */
static int dump_line(const char *line, uint8_t *config, size_t size, size_t *length)
{
    char *end;
    unsigned long at = strtoul(line, &end, 16);

    if (end == line || end - line > 3 || end[0] != ':' || end[1] != ' ')
        return 0;
    for (const char *p = end + 1; *p == ' ';) {
        unsigned long byte = strtoul(p, &end, 16);

        if (end != p + 3 || byte > 0xff || at >= size)
            return *p && end != p ? -EINVAL : 0;
        config[at++] = (uint8_t)byte;
        p = end;
        if (at > *length)
            *length = at;
    }
    return 0;
}

int sim_dump_read(const char *path, uint8_t *config, size_t size)
{
    FILE *file = fopen(path, "re");
    char line[256];
    size_t length = 0;
    int rc = 0;

    if (!file)
        return -errno;
    while (rc == 0 && fgets(line, sizeof(line), file))
        rc = dump_line(line, config, size, &length);
    (void)fclose(file);
    return rc ? rc : (int)length;
}

static void read_resources(const struct pb_json *at, struct sim_device *dev)
{
    struct pb_json list = pb_json_member(at, "resources");
    size_t count = pb_json_array(&list);

    if (count > PB_PCI_RESOURCES)
        pb_json_fail(&list, "has more than %d elements", PB_PCI_RESOURCES);
    for (size_t i = 0; i < count && i < PB_PCI_RESOURCES; i++) {
        struct pb_json triple = pb_json_element(&list, i);
        uint64_t v[3] = { 0 };

        if (pb_json_array(&triple) != 3) {
            pb_json_fail(&triple, "must be [start, end, flags]");
            return;
        }
        for (size_t k = 0; k < 3; k++) {
            struct pb_json number = pb_json_element(&triple, k);

            v[k] = pb_json_number(&number, 0, UINT64_MAX, 0);
        }
        dev->facts.resource[i] = (struct pb_resource){ .start = v[0], .end = v[1], .flags = v[2] };
    }
}

static void read_identity(struct sim_device *dev)
{
    const uint8_t *c = dev->config;

    dev->facts.vendor = pb_le16(c);
    dev->facts.device = pb_le16(c + 2);
    dev->facts.revision = c[8];
    dev->facts.class_code = pb_le32(c + 8) >> 8;
    dev->facts.subsystem_vendor = pb_le16(c + 0x2c);
    dev->facts.subsystem_device = pb_le16(c + 0x2e);
}

static bool read_dump(const struct pb_json *at, const char *dir, struct sim_device *dev)
{
    struct pb_json dump = pb_json_member(at, "dump");
    const char *name = pb_json_text(&dump, 200, "");
    char path[512];
    int length;

    (void)snprintf(path, sizeof(path), "%s%s%s", name[0] == '/' ? "" : dir,
                   name[0] == '/' ? "" : "/", name);
    length = sim_dump_read(path, dev->config, sizeof(dev->config));
    if (length != (int)PB_CONFIG_SIZE_PCI && length != (int)PB_CONFIG_SIZE_PCIE) {
        pb_json_fail(&dump, "%s: %s", path,
                     length < 0 ? strerror(-length) : "not 256 or 4096 bytes");
        return false;
    }
    dev->facts.config_size = (uint16_t)length;
    return true;
}

static void read_text(const struct pb_json *at, const char *key, const char *fallback, char *buf,
                      size_t size)
{
    struct pb_json member = pb_json_member(at, key);

    (void)snprintf(buf, size, "%s", pb_json_text(&member, size - 1, fallback));
}

/* "patch": [[offset, size, value], ...]: what this device has other than the one of the dump. */
static void read_patch(const struct pb_json *at, struct sim_device *dev)
{
    struct pb_json list = pb_json_member(at, "patch");

    for (size_t i = 0; i < pb_json_array(&list); i++) {
        struct pb_json triple = pb_json_element(&list, i);
        uint32_t v[3] = { 0 };

        for (size_t k = 0; k < 3; k++) {
            struct pb_json number = pb_json_element(&triple, k);

            v[k] = (uint32_t)pb_json_number(&number, 0, UINT32_MAX, 0);
        }
        if (v[1] < 1 || v[1] > 4 || v[0] > dev->facts.config_size - v[1])
            pb_json_fail(&triple, "is outside of the registers");
        else
            pb_le_put(&dev->config[v[0]], v[1], v[2]);
    }
}

/* A list of names as bits. */
static unsigned read_bits(const struct pb_json *at, const char *key, unsigned count,
                          const char *(*name)(unsigned bit))
{
    struct pb_json list = pb_json_member(at, key);
    unsigned bits = 0;

    for (size_t i = 0; i < pb_json_array(&list); i++) {
        struct pb_json item = pb_json_element(&list, i);
        const char *text = pb_json_text(&item, 32, "");
        unsigned bit = 0;

        while (bit < count && strcmp(name(bit), text) != 0)
            bit++;
        if (bit == count)
            pb_json_fail(&item, "is no name of this list");
        bits |= 1U << bit;
    }
    return bits;
}

static const char *share_name(unsigned bit)
{
    return pb_share_name((enum pb_share)bit);
}

static const char *use_name(unsigned bit)
{
    return pb_use_name((enum pb_use)bit);
}

static void read_neighbour(const struct pb_json *at, struct pb_surroundings *ret)
{
    static const char *const keys[] = { "bdf", "shares", "driver", NULL };
    struct pb_json bdf = pb_json_member(at, "bdf");
    struct pb_neighbour *n = &ret->neighbour[ret->neighbour_count++];

    (void)pb_json_object(at, keys);
    if (!pb_sbdf_parse(pb_json_text(&bdf, 16, ""), &n->sbdf))
        pb_json_fail(&bdf, "is not an address");
    n->shares = (uint8_t)read_bits(at, "shares", PB_SHARE_COUNT, share_name);
    read_text(at, "driver", "", n->driver, sizeof(n->driver));
}

static void read_surroundings(const struct pb_json *at, const struct sim_device *dev,
                              struct pb_surroundings *ret)
{
    struct pb_json list = pb_json_member(at, "neighbours");
    struct pb_json physical = pb_json_member(at, "physical_function");
    struct pb_json vfs = pb_json_member(at, "virtual_functions");

    read_text(at, "path", dev->text, ret->path, sizeof(ret->path));
    read_text(at, "port", "", ret->port, sizeof(ret->port));
    ret->has_physical_function = physical.value != NULL;
    if (physical.value && !pb_sbdf_parse(pb_json_text(&physical, 16, ""), &ret->physical_function))
        pb_json_fail(&physical, "is not an address");
    ret->virtual_functions = (uint16_t)pb_json_number(&vfs, 0, 256, 0);
    ret->uses = (uint8_t)read_bits(at, "uses", PB_USE_COUNT, use_name);
    read_text(at, "uses_text", ret->uses ? "the host uses it" : "", ret->uses_text,
              sizeof(ret->uses_text));
    for (size_t i = 0; i < pb_json_array(&list) && !at->error->set; i++) {
        struct pb_json item = pb_json_element(&list, i);

        if (i == PB_NEIGHBOURS_MAX) {
            ret->more_neighbours = true;
            break;
        }
        read_neighbour(&item, ret);
    }
}

void sim_device_replace(struct sim_device *dev, const struct sim_device *by)
{
    dev->facts = by->facts;
    dev->surroundings = by->surroundings;
    memcpy(dev->config, by->config, sizeof(dev->config));
    memcpy(dev->wmask, by->wmask, sizeof(dev->wmask));
    memcpy(dev->w1c, by->w1c, sizeof(dev->w1c));
    memcpy(dev->native, by->native, sizeof(dev->native));
}

/* As `xl pci-assignable-add` leaves it. */
static void make_assignable(struct sim_device *dev)
{
    dev->assignable = true;
    dev->owner = PB_DOMID_IO;
    dev->quarantined = true;
    dev->prepared = sim_device_cap(dev, SIM_CAP_MSIX) != 0; /* the kernel's half does it */
    (void)snprintf(dev->driver, sizeof(dev->driver), "pciback");
}

struct sim_device *sim_device_new(const struct pb_json *at, const char *dir)
{
    static const char *const keys[] = {
        "bdf",        "dump",       "driver",    "irq",
        "resources",  "reset",      "present",   "virtual_function",
        "patch",      "path",       "port",      "physical_function",
        "uses",       "native",     "uses_text", "virtual_functions",
        "neighbours", "assignable", NULL
    };
    struct pb_json bdf = pb_json_member(at, "bdf"), irq = pb_json_member(at, "irq");
    struct pb_json present = pb_json_member(at, "present");
    struct pb_json vf = pb_json_member(at, "virtual_function"), assignable;
    struct sim_device *dev = sim_alloc(sizeof(*dev));

    (void)pb_json_object(at, keys);
    if (!pb_sbdf_parse(pb_json_text(&bdf, 16, ""), &dev->sbdf))
        pb_json_fail(&bdf, "is not an address");
    (void)pb_sbdf_format(dev->sbdf, dev->text);
    dev->facts.sbdf = dev->sbdf;
    dev->facts.irq = (uint32_t)pb_json_number(&irq, 0, 255, 0);
    dev->facts.virtual_function = pb_json_bool(&vf, false);
    dev->gone = !pb_json_bool(&present, true);
    dev->plugged = 1;
    read_text(at, "driver", "", dev->driver, sizeof(dev->driver));
    read_text(at, "native", dev->driver, dev->native, sizeof(dev->native));
    read_text(at, "reset", "flr bus", dev->facts.reset_methods, sizeof(dev->facts.reset_methods));
    read_resources(at, dev);
    read_surroundings(at, dev, &dev->surroundings);
    if (!read_dump(at, dir, dev) || at->error->set) {
        sim_free(dev);
        return NULL;
    }
    read_patch(at, dev);
    read_identity(dev);
    sim_device_place(dev);
    sim_device_masks(dev);
    assignable = pb_json_member(at, "assignable");
    if (pb_json_bool(&assignable, false))
        make_assignable(dev);
    return dev;
}
