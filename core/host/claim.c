/* SPDX-License-Identifier: MIT */
/* Taking a device from its driver, and giving it back. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "host/bind.h"
#include "host/file.h"
#include "host/remember.h"
#include "host/surroundings.h"
#include "host/work.h"
#include "pci/regs.h"

/* What the file of an earlier claim means for the device that is there now. */
enum known {
    KNOWN_NOT,     /* there is none */
    KNOWN_TAKEN,   /* taken in this boot of the host: what it says was before */
    KNOWN_EARLIER, /* another boot's: it may know the driver */
    KNOWN_OTHER,   /* another device was at this address then */
};

static bool stub_driver(const struct pb_work *work, const char *driver)
{
    if (pb_bind_is_stub(driver))
        return true;
    return driver[0] && strcmp(driver, work->request->driver) == 0;
}

static void read_override(const struct pb_sysfs *fs, char ret[PB_DRIVER_NAME])
{
    if (pb_sysfs_read(fs, "driver_override", ret, PB_DRIVER_NAME) != 0 ||
        strcmp(ret, "(null)") == 0)
        ret[0] = '\0';
}

static bool of_this_boot(const struct pb_work *work, const struct pb_remembered *was)
{
    char boot[PB_BOOT_ID_TEXT], driver[PB_DRIVER_NAME], override[PB_DRIVER_NAME];

    pb_remember_boot(work->options->proc, boot);
    if (was->boot[0] && boot[0])
        return strcmp(was->boot, boot) == 0;
    /* Not said: a boot undoes what we do to a device. */
    pb_sysfs_driver(&work->fs, driver);
    read_override(&work->fs, override);
    return strcmp(driver, was->driver) != 0 || strcmp(override, was->override) != 0;
}

/* 0, or the error of a file that is not ours. */
static int recall(struct pb_work *work, struct pb_remembered *ret, enum known *ret_known)
{
    const char *lib_dir = work->options->lib_dir;
    int rc = pb_remember_load(lib_dir, work->fs.address, ret);
    uint16_t vendor, device;

    *ret_known = KNOWN_NOT;
    if (rc == -ENOENT)
        return 0;
    if (rc) {
        (void)pb_work_next(work, rc, "remove the file; %s keeps its driver as it is",
                           work->fs.address);
        return pb_work_fail(work, rc, "%s/devices/%s is not readable as ours: %s", lib_dir,
                            work->fs.address, strerror(-rc));
    }
    if (ret->has_ids && pb_sysfs_ids(&work->fs, &vendor, &device) == 0 &&
        (vendor != ret->vendor || device != ret->device))
        *ret_known = KNOWN_OTHER;
    else
        *ret_known = of_this_boot(work, ret) ? KNOWN_TAKEN : KNOWN_EARLIER;
    return 0;
}

bool pb_work_is_taken(const struct pb_work *work, struct pb_sbdf sbdf)
{
    struct pb_wire_reply unused;
    struct pb_work one = { .request = work->request, .options = work->options, .reply = &unused };
    struct pb_remembered was;
    char driver[PB_DRIVER_NAME];
    enum known known;

    pb_sysfs_init(&one.fs, work->options->sysfs, sbdf);
    /* One that is away may come back: claiming it tells that it is absent. */
    if (recall(&one, &was, &known) != 0 || known != KNOWN_TAKEN)
        return false;
    /* Somebody may have given it back by hand since: this host needs it, then. */
    pb_sysfs_driver(&one.fs, driver);
    return !driver[0] || stub_driver(&one, driver) || strcmp(driver, was.driver) != 0;
}

static bool kept_by_boot_script(const struct pb_work *work)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", work->options->boot_dir, work->fs.address);
    return access(path, F_OK) == 0;
}

/* What it is now, which is what it was before: WAS holds what another boot's file said. */
static void look(const struct pb_work *work, enum known known, struct pb_remembered *was)
{
    const struct pb_remembered earlier = *was;
    const struct pb_sysfs *fs = &work->fs;
    bool held_back;

    memset(was, 0, sizeof(*was));
    pb_sysfs_driver(fs, was->driver);
    read_override(fs, was->override);
    if (pb_sysfs_read(fs, "power/control", was->power, sizeof(was->power)) != 0)
        was->power[0] = '\0';
    /* Bound drivers enable for themselves; only a driverless device's count is somebody's wish. */
    was->enabled = !was->driver[0] && pb_bind_enable_count(fs) > 0;
    held_back = !was->driver[0] || stub_driver(work, was->driver);
    if (kept_by_boot_script(work)) {
        was->override[0] = '\0'; /* the script's, for us */
        was->chosen = held_back;
    }
    if (held_back && known == KNOWN_EARLIER) {
        memcpy(was->driver, earlier.driver, sizeof(was->driver));
        if (stub_driver(work, was->override) || strcmp(was->override, "none") == 0)
            memcpy(was->override, earlier.override, sizeof(was->override));
    } else if (was->chosen) {
        was->driver[0] = '\0';
    }
    was->vendor = work->reply->facts.vendor;
    was->device = work->reply->facts.device;
    was->has_ids = true;
    was->command = work->reply->host_command;
    was->has_command = true;
    pb_remember_boot(work->options->proc, was->boot);
}

static int store(struct pb_work *work, const struct pb_remembered *was)
{
    const char *lib_dir = work->options->lib_dir;
    int rc = pb_remember_store(lib_dir, work->fs.address, was);

    if (rc == 0)
        return 0;
    (void)pb_work_next(work, rc, "make room there, or make it writable");
    return pb_work_fail(work, rc, "%s/devices/%s cannot be written: %s", lib_dir, work->fs.address,
                        strerror(-rc));
}

/* --- giving back --- */

static int unbind(struct pb_work *work)
{
    char driver[PB_DRIVER_NAME];
    int rc;

    pb_sysfs_driver(&work->fs, driver);
    rc = pb_bind_unbind(&work->fs);
    if (rc == 0)
        return 0;
    return pb_work_fail(work, rc, "driver %s does not let go: %s", driver, strerror(-rc));
}

/* The driver of before has it, or the kernel's choice. */
static int rebind(struct pb_work *work, const struct pb_remembered *was)
{
    char driver[PB_DRIVER_NAME];
    int rc = 0;

    for (int tries = 0; tries < PB_BIND_TRIES; tries++) {
        pb_sysfs_driver(&work->fs, driver);
        if (strcmp(driver, was->driver) == 0)
            return 0;
        if (!pb_sysfs_has_driver(&work->fs, was->driver)) {
            (void)pb_work_next(work, -ENOENT, "modprobe %s, then release it again", was->driver);
            return pb_work_fail(work, -ENOENT, "its driver %s is not loaded any more", was->driver);
        }
        rc = pb_bind_unbind(&work->fs);
        if (rc == 0)
            rc = pb_bind_to(&work->fs, was->driver);
        if (rc != PB_BIND_STOLEN)
            break;
    }
    pb_sysfs_driver(&work->fs, driver);
    if (rc == PB_BIND_STOLEN)
        return pb_work_fail(work, -EBUSY, "driver %s takes it each time before its own, %s", driver,
                            was->driver);
    if (rc)
        (void)pb_work_next(work, rc, "see the kernel's log for what %s says of it", was->driver);
    return rc ? pb_work_fail(work, rc, "its driver %s does not take it back: %s", was->driver,
                             strerror(-rc))
              : 0;
}

static int write_override(struct pb_work *work, const char *value)
{
    int rc = pb_sysfs_write(&work->fs, "driver_override", value[0] ? value : "\n");

    return rc ? pb_work_fail(work, rc, "driver_override cannot be restored: %s", strerror(-rc)) : 0;
}

static int restore(struct pb_work *work, const struct pb_remembered *was)
{
    const struct pb_sysfs *fs = &work->fs;
    /* An override that came after its driver was bound would keep it from that one now. */
    bool later = was->driver[0] && was->override[0] && strcmp(was->driver, was->override) != 0;
    char driver[PB_DRIVER_NAME];
    int rc = 0;

    pb_sysfs_driver(fs, driver);
    if (driver[0] && (was->chosen ? stub_driver(work, driver) : strcmp(driver, was->driver) != 0)) {
        rc = unbind(work);
        driver[0] = '\0';
    }
    if (rc)
        return rc;
    if (!driver[0] && !was->enabled && pb_bind_enable_count(fs) > 0)
        (void)pb_sysfs_write(fs, "enable", "0");
    rc = write_override(work, later ? was->driver : was->override);
    if (rc)
        return rc;
    if (was->power[0])
        (void)pb_sysfs_write(fs, "power/control", was->power);
    if (!was->chosen && was->driver[0]) {
        rc = rebind(work, was);
        return rc || !later ? rc : write_override(work, was->override);
    }
    rc = was->chosen && !driver[0] ? pb_bind_any(fs) : 0;
    return rc ? pb_work_fail(work, rc, "drivers_probe fails: %s", strerror(-rc)) : 0;
}

static int give_back(struct pb_work *work, const struct pb_remembered *was)
{
    const char *lib_dir = work->options->lib_dir;
    int rc = restore(work, was);

    if (!pb_sysfs_present(&work->fs)) {
        /* What comes to its place is a new device to the kernel: nothing of ours is left. */
        (void)pb_remember_forget(lib_dir, work->fs.address);
        return pb_work_fail(work, -ENODEV, "it went while it was given back");
    }
    if (rc)
        return rc;
    (void)pb_file_remove(work->options->boot_dir, work->fs.address);
    rc = pb_remember_forget(lib_dir, work->fs.address);
    return rc ? pb_work_fail(work, rc, "%s/devices/%s cannot be removed: %s", lib_dir,
                             work->fs.address, strerror(-rc))
              : 0;
}

int pb_work_release(struct pb_work *work)
{
    struct pb_remembered was;
    enum known known;
    int rc;

    if (!pb_sysfs_present(&work->fs)) {
        (void)pb_remember_forget(work->options->lib_dir, work->fs.address);
        return pb_work_fail(work, -ENODEV, "it is not in the machine any more");
    }
    rc = recall(work, &was, &known);
    if (rc == 0 && (known == KNOWN_TAKEN || (known == KNOWN_EARLIER && !was.boot[0]))) {
        rc = give_back(work, &was);
    } else if (rc == 0 && known == KNOWN_OTHER) {
        (void)pb_remember_forget(work->options->lib_dir, work->fs.address);
        (void)pb_work_next(work, 0, "nothing: this one was never taken");
        rc = pb_work_fail(work, -ESTALE,
                          "another device (%04x:%04x) was taken at this address: nothing is "
                          "restored",
                          was.vendor, was.device);
    }
    pb_sysfs_driver(&work->fs, work->reply->driver_now);
    return rc;
}

/* --- refusals --- */

static int refuse_bridges(struct pb_work *work)
{
    const struct pb_facts *facts = &work->reply->facts;
    uint8_t header = facts->config[0x0e] & 0x7f;

    if (header != 0 || facts->class_code >> 16 == 0x06)
        return pb_work_fail(work, -EOPNOTSUPP,
                            "bridges cannot be assigned (class %06x, header type %u)",
                            facts->class_code, header);
    return 0;
}

/* Under lockdown the kernel opens config for writing, and then refuses each write. */
static int refuse_lockdown(struct pb_work *work)
{
    char mode[64];

    if (!pb_sysfs_lockdown(&work->fs, mode, sizeof(mode)))
        return 0;
    (void)pb_work_next(work, 0, "boot without lockdown (and without secure boot)");
    return pb_work_fail(work, -EPERM,
                        "the kernel is locked down (%s) and forbids configuration writes", mode);
}

/*
 * Removing an assigned device with MSI from the machine crashes the hypervisor once its guest ends
 * (H1). A guest may be able to take a link down by itself; a virtual function goes with its
 * physical function's driver, which only xen-pciback's mark keeps from that.
 */
static int refuse_pluggable(struct pb_work *work)
{
    const struct pb_surroundings *s = &work->reply->surroundings;

    if (work->reply->facts.virtual_function && strcmp(work->request->driver, "pciback") != 0) {
        (void)pb_work_next(work, 0,
                           "set \"driver\": \"pciback\" for it, or claim it with --force and never "
                           "remove it while a guest has it");
        return pb_work_fail(work, -EACCES,
                            "its physical function's driver can remove it: without detaching it "
                            "first that crashes the host (the stub driver pciback prevents it)");
    }
    if (!s->port[0])
        return 0;
    (void)pb_work_next(work, 0, "claim it with --force, and never pull it while a guest has it");
    return pb_work_fail(work, -EACCES,
                        "it can be pulled out of port %s: without detaching it first that crashes "
                        "the host",
                        s->port);
}

static int refuse_used(struct pb_work *work)
{
    const struct pb_surroundings *s = &work->reply->surroundings;

    if (s->virtual_functions) {
        (void)pb_work_next(work, 0,
                           "write 0 to its sriov_numvfs, or claim it with --force: whoever has it "
                           "rules them");
        return pb_work_fail(work, -EACCES, "%u virtual functions of it are enabled",
                            s->virtual_functions);
    }
    if (!s->uses)
        return 0;
    (void)pb_work_next(work, 0, "claim it with --force if this host can do without it");
    return pb_work_fail(work, -EACCES, "%s", s->uses_text);
}

/* --- taking --- */

/*
 * The kernel routes an interrupt line when a device is enabled, and enables only what no driver
 * has: so between two drivers, and `irq` is right only afterwards. xen-pciback's half does so
 * itself.
 */
static int route_and_read(struct pb_work *work)
{
    const struct pb_sysfs *fs = &work->fs;
    char driver[PB_DRIVER_NAME];
    int rc = 0;

    pb_sysfs_driver(fs, driver);
    if (pb_bind_enable_count(fs) == 0 && strcmp(driver, "pciback") != 0) {
        rc = unbind(work);
        if (rc)
            return rc;
        rc = pb_sysfs_write(fs, "enable", "1");
        pb_sysfs_driver(fs, driver);
        if (rc == -EBUSY && driver[0])
            return PB_BIND_STOLEN;
        if (rc)
            return pb_work_fail(work, rc, "it cannot be enabled: %s", strerror(-rc));
    }
    /* Suspended, it would answer nothing; its own power states are the guest's business. */
    (void)pb_sysfs_write(fs, "power/control", "on");
    rc = pb_sysfs_facts(fs, &work->reply->facts);
    return rc ? pb_work_fail(work, rc, "its attributes cannot be read: %s", strerror(-rc)) : 0;
}

/* WANTED is "" for none. PB_BIND_STOLEN: somebody else has bound it meanwhile. */
static int try_to_take(struct pb_work *work, const char *wanted)
{
    const struct pb_sysfs *fs = &work->fs;
    char driver[PB_DRIVER_NAME], power[16];
    int rc = pb_sysfs_write(fs, "driver_override", work->request->driver);

    if (rc)
        return pb_work_fail(work, rc, "driver_override cannot be written: %s", strerror(-rc));
    pb_sysfs_driver(fs, driver);
    if (strcmp(driver, wanted) != 0)
        rc = unbind(work);
    if (rc == 0)
        rc = route_and_read(work);
    pb_sysfs_driver(fs, driver);
    if (rc || strcmp(driver, wanted) == 0)
        return rc;
    if (driver[0])
        return PB_BIND_STOLEN;
    rc = pb_bind_to(fs, wanted);
    if (rc && rc != PB_BIND_STOLEN) {
        (void)pb_work_next(work, rc, "see the kernel's log, or configure another \"driver\"");
        return pb_work_fail(work, rc, "driver %s does not take it: %s", wanted, strerror(-rc));
    }
    /* vfio-pci lets a device sleep as soon as it has it. */
    if (rc == 0 && pb_sysfs_read(fs, "power/control", power, sizeof(power)) == 0 &&
        strcmp(power, "on") != 0)
        (void)pb_sysfs_write(fs, "power/control", "on");
    return rc;
}

static int take(struct pb_work *work)
{
    const char *wanted = strcmp(work->request->driver, "none") == 0 ? "" : work->request->driver;
    char driver[PB_DRIVER_NAME];
    int rc = PB_BIND_STOLEN;

    if (wanted[0] && !pb_sysfs_has_driver(&work->fs, wanted))
        pb_bind_load_module(wanted);
    if (wanted[0] && !pb_sysfs_has_driver(&work->fs, wanted)) {
        (void)pb_work_next(work, 0, "modprobe %s, or configure another \"driver\"",
                           pb_bind_module(wanted));
        return pb_work_fail(work, -ENOENT, "driver %s is not loaded", wanted);
    }
    for (int tries = 0; rc == PB_BIND_STOLEN && tries < PB_BIND_TRIES; tries++)
        rc = try_to_take(work, wanted);
    if (rc != PB_BIND_STOLEN)
        return rc;
    pb_sysfs_driver(&work->fs, driver);
    (void)pb_work_next(work, 0, "find what binds it (a udev rule, driverctl, xl) and stop that");
    return pb_work_fail(work, -EBUSY, "driver %s takes it each time that it is free",
                        driver[0] ? driver : "of somebody else");
}

static int open_config(struct pb_work *work)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/config", work->fs.device);
    *work->fd = open(path, O_RDWR | O_CLOEXEC);
    if (*work->fd >= 0)
        return 0;
    if (errno == EPERM)
        return pb_work_fail(work, -EPERM,
                            "the kernel is locked down and forbids configuration writes");
    return pb_work_fail(work, -errno, "its config file cannot be opened: %s", strerror(errno));
}

/* The first failure is the one to tell. What a guest may have is not for its former driver. */
static int undo(struct pb_work *work, int rc, const struct pb_remembered *was, bool taken)
{
    struct pb_wire_reply *reply = work->reply;
    char reason[sizeof(reply->reason)], next[sizeof(reply->next)];

    if (!pb_sysfs_present(&work->fs)) {
        (void)pb_remember_forget(work->options->lib_dir, work->fs.address);
        reply->next[0] = '\0';
        return pb_work_fail(work, -ENODEV, "it went while it was claimed");
    }
    if (taken)
        return rc;
    memcpy(reason, reply->reason, sizeof(reason));
    memcpy(next, reply->next, sizeof(next));
    (void)give_back(work, was);
    memcpy(reply->reason, reason, sizeof(reason));
    memcpy(reply->next, next, sizeof(next));
    return rc;
}

/* Ours already: an earlier run of this boot took it, and no other driver has it since. */
static bool still_ours(const struct pb_work *work, enum known known)
{
    char driver[PB_DRIVER_NAME];

    pb_sysfs_driver(&work->fs, driver);
    return known == KNOWN_TAKEN && (!driver[0] || stub_driver(work, driver));
}

int pb_work_claim(struct pb_work *work)
{
    struct pb_wire_reply *reply = work->reply;
    struct pb_remembered was = { .enabled = false };
    enum known known = KNOWN_NOT;
    bool ours;
    int rc = pb_work_probe(work);

    if (rc == 0)
        rc = refuse_bridges(work);
    if (rc == 0)
        rc = refuse_lockdown(work);
    if (rc == 0)
        rc = recall(work, &was, &known);
    ours = still_ours(work, known);
    if (rc == 0 && !work->request->force && !ours) {
        rc = refuse_pluggable(work);
        if (rc == 0)
            rc = refuse_used(work);
    }
    if (rc)
        return rc;
    if (known != KNOWN_TAKEN) {
        look(work, known, &was);
        rc = store(work, &was);
    }
    memcpy(reply->driver_before, was.driver, sizeof(was.driver));
    if (was.has_command)
        reply->host_command = was.command;
    if (rc)
        return rc;
    rc = take(work);
    if (rc == 0)
        rc = open_config(work);
    if (rc)
        rc = undo(work, rc, &was, ours);
    else
        pb_neighbours_read(&work->fs, &reply->surroundings); /* its line is routed now */
    pb_sysfs_driver(&work->fs, reply->driver_now);
    return rc;
}

int pb_work_open(struct pb_work *work)
{
    struct pb_remembered was;
    enum known known = KNOWN_NOT;
    int rc = pb_work_probe(work);

    if (rc == 0)
        rc = refuse_bridges(work);
    if (rc == 0)
        rc = refuse_lockdown(work);
    if (rc)
        return rc;
    /* One that we claimed ourselves, and lost from the journal: it goes back as it came. A file
     * that is not ours concerns the claim alone. */
    if (recall(work, &was, &known) != 0) {
        work->reply->reason[0] = work->reply->next[0] = '\0';
    } else if (known == KNOWN_TAKEN) {
        memcpy(work->reply->driver_before, was.driver, sizeof(was.driver));
        if (was.has_command)
            work->reply->host_command = was.command;
    }
    return open_config(work);
}

/* All of it is in the kernel's memory: no device is asked, no lock of a driver's is waited for. */
int pb_work_adopt(struct pb_work *work)
{
    struct pb_facts *facts = &work->reply->facts;
    int rc;

    if (!pb_sysfs_present(&work->fs))
        return pb_work_fail(work, -ENODEV, "it is not in the machine");
    facts->sbdf = work->request->sbdf;
    pb_sysfs_driver(&work->fs, work->reply->driver_now);
    rc = pb_sysfs_ids(&work->fs, &facts->vendor, &facts->device);
    if (rc)
        return pb_work_fail(work, rc, "its attributes cannot be read: %s", strerror(-rc));
    return open_config(work);
}

int pb_work_probe(struct pb_work *work)
{
    struct pb_wire_reply *reply = work->reply;
    int rc = pb_sysfs_facts(&work->fs, &reply->facts);

    pb_sysfs_driver(&work->fs, reply->driver_before);
    pb_sysfs_driver(&work->fs, reply->driver_now);
    if (rc && !pb_sysfs_present(&work->fs))
        return pb_work_fail(work, -ENODEV, "it is not in the machine");
    if (rc)
        return pb_work_fail(work, rc, "its attributes cannot be read: %s", strerror(-rc));
    /* A driver that uses MSI has set INTX_DISABLE, and clears it when it goes. */
    reply->host_command =
        (uint16_t)(pb_le16(reply->facts.config + PCI_COMMAND) & ~PCI_COMMAND_INTX_DISABLE);
    pb_surroundings_read(&work->fs, work->options->proc, &reply->surroundings);
    return 0;
}
