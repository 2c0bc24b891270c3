/* SPDX-License-Identifier: MIT */
#include "daemon/boot_rules.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

/*
 * A device's own "add" is not enough: udev handles several devices at once, and the event of
 * another card may load the driver that both have. So the first PCI event of all sets every
 * device's override; an assignment to ATTR happens while rules are read, and modules are loaded
 * only after the last rule.
 *
 * A device that has a driver already is left to the daemon, which knows whether the host needs it.
 * One that has its mark was set before: who released it since then wants it to stay released. The
 * mark goes with the device, so that a new card in its place is taken again.
 */

/* One key of a rule about the device ADDRESS, by its own event or (OTHER) by another device's. */
static void attribute(FILE *out, bool other, const char *address, const char *name, const char *op,
                      const char *value)
{
    if (other)
        (void)fprintf(out, ", ATTR{[pci/%s]%s}%s\"%s\"", address, name, op, value);
    else
        (void)fprintf(out, ", ATTR{%s}%s\"%s\"", name, op, value);
}

static void identity(FILE *out, bool other, const char *address,
                     const struct pb_device_policy *device)
{
    const struct {
        const char *name;
        uint16_t value;
        bool has;
    } ids[] = {
        { "vendor", device->vendor, device->has_vendor },
        { "device", device->device, device->has_device },
        { "subsystem_vendor", device->subsystem_vendor, device->has_subsystem_vendor },
        { "subsystem_device", device->subsystem_device, device->has_subsystem_device },
    };

    for (unsigned i = 0; i < PB_ARRAY_SIZE(ids); i++) {
        char value[8];

        if (!ids[i].has)
            continue;
        (void)snprintf(value, sizeof(value), "0x%04x", ids[i].value);
        attribute(out, other, address, ids[i].name, "==", value);
    }
}

/*
 * "0000:00:1c.0/00.0" as udev's pattern of the device's path in sysfs. Bus numbers behind bridges
 * are whatever the host gave them, which is why the configuration has none.
 */
static void way(FILE *out, const char *path)
{
    const char *rest = strchr(path, '/');
    int first = rest ? (int)(rest - path) : (int)strlen(path);

    (void)fprintf(out, ", DEVPATH==\"/devices/pci*/%.*s", first, path);
    while (rest && rest[1]) {
        const char *end = strchr(rest + 1, '/');
        int length = end ? (int)(end - rest - 1) : (int)strlen(rest + 1);

        (void)fprintf(out, "/????:??:%.*s", length, rest + 1);
        rest = end;
    }
    (void)fputc('"', out);
}

static void set(FILE *out, bool other, const char *address, const struct pb_device_policy *device)
{
    attribute(out, other, address, "driver_override", "=", device->driver);
    (void)fprintf(out, ", RUN+=\"/bin/sh -c 'mkdir -p " PB_BOOT_DIR "; : >" PB_BOOT_DIR "/%s'\"\n",
                  address);
}

static void device_rules(FILE *out, struct pb_sbdf sbdf, const struct pb_device_policy *device)
{
    char address[PB_SBDF_TEXT];

    (void)pb_sbdf_format(sbdf, address);
    (void)fprintf(out,
                  "KERNEL==\"%s\", ACTION==\"remove\", RUN+=\"/bin/rm -f " PB_BOOT_DIR "/%s\"\n",
                  address, address);
    (void)fprintf(out, "KERNEL==\"%s\", ACTION==\"add\", TEST!=\"" PB_BOOT_DIR "/%s\"", address,
                  address);
    (void)fputs(", TEST!=\"driver\"", out);
    if (device->path[0])
        way(out, device->path);
    identity(out, false, address, device);
    set(out, false, address, device);
    /* The way to another device is nothing that a rule can compare. */
    if (device->path[0])
        return;
    (void)fprintf(out, "KERNEL!=\"%s\", ACTION==\"add\", TEST==\"/sys/bus/pci/devices/%s\"",
                  address, address);
    (void)fprintf(out, ", TEST!=\"" PB_BOOT_DIR "/%s\", TEST!=\"/sys/bus/pci/devices/%s/driver\"",
                  address, address);
    identity(out, true, address, device);
    set(out, true, address, device);
}

/*
 * A star for a whole bus may cover what the host boots from. The daemon refuses that when it
 * claims; a rule cannot, and the host would not come up. So only devices with an entry have rules
 * then.
 */
static bool covers(const struct pb_policy *policy, const struct pb_slot *slot, struct pb_sbdf sbdf)
{
    return pb_slot_matches(slot, sbdf) && (slot->device >= 0 || pb_policy_device(policy, sbdf));
}

/* Did one of the first COUNT slots have it? */
static bool seen(const struct pb_policy *policy, size_t count, struct pb_sbdf sbdf)
{
    for (size_t i = 0; i < count; i++) {
        if (covers(policy, &policy->slots[i].slot, sbdf))
            return true;
    }
    return false;
}

static void address_rules(const struct pb_policy *policy, size_t slots_done, struct pb_sbdf sbdf,
                          FILE *out)
{
    const struct pb_device_policy *listed = pb_policy_device(policy, sbdf);
    struct pb_device_policy device = listed ? *listed : pb_policy_device_default(sbdf);

    if (!seen(policy, slots_done, sbdf))
        device_rules(out, sbdf, &device);
}

static void slot_rules(const struct pb_policy *policy, size_t index, FILE *out)
{
    const struct pb_slot *slot = &policy->slots[index].slot;
    char text[PB_SLOT_TEXT];

    (void)fprintf(
        out, "\n# slot %s%s\n", pb_slot_format(slot, text),
        slot->device < 0 ? ": devices with an entry in `devices`; the others are taken later" : "");
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        struct pb_sbdf sbdf = { slot->segment, slot->bus, (uint8_t)devfn };

        if (covers(policy, slot, sbdf))
            address_rules(policy, index, sbdf, out);
    }
}

/* An assignment takes its device too. */
static void assignment_rules(const struct pb_policy *policy, const struct pb_assignment *assignment,
                             FILE *out)
{
    struct pb_sbdf sbdf;
    bool found = pb_sbdf_parse(assignment->device, &sbdf);

    for (size_t i = 0; i < policy->device_count && !found; i++) {
        found = strcmp(policy->devices[i].name, assignment->device) == 0;
        sbdf = policy->devices[i].sbdf;
    }
    if (!found || seen(policy, policy->slot_count, sbdf))
        return;
    (void)fprintf(out, "\n# %s of guest %s\n", assignment->device, assignment->guest);
    address_rules(policy, policy->slot_count, sbdf, out);
}

int pb_boot_rules_print(const struct pb_policy *policy, FILE *out)
{
    (void)fputs("# Made by pcibackd --boot-rules from its configuration.\n"
                "SUBSYSTEM!=\"pci\", GOTO=\"pcibackd_end\"\n"
                "ACTION!=\"add|remove\", GOTO=\"pcibackd_end\"\n",
                out);
    for (size_t i = 0; i < policy->slot_count; i++)
        slot_rules(policy, i, out);
    for (size_t i = 0; i < policy->assignment_count; i++)
        assignment_rules(policy, &policy->assignments[i], out);
    (void)fputs("\nLABEL=\"pcibackd_end\"\n", out);
    return fflush(out) == 0 && !ferror(out) ? 0 : -EIO;
}
