/* SPDX-License-Identifier: MIT */
#include "sim_kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "pci/regs.h"
#include "pci/traits.h"
#include "sim_hyper.h"
#include "sim_world.h"

/* Uevents */

struct sim_uevent {
    TAILQ_ENTRY(sim_uevent) link;
    enum pb_uevent what;
    struct pb_sbdf sbdf;
    char driver[PB_DRIVER_NAME];
};

/* A native driver whose probe begins later. */
struct sim_probe {
    TAILQ_ENTRY(sim_probe) link;
    struct sim_timer timer;
    struct sim_world *w;
    struct sim_device *dev;
    unsigned plugged;
};

static const char *const uevent_names[] = {
    [PB_UEVENT_ADD] = "add",       [PB_UEVENT_REMOVE] = "remove", [PB_UEVENT_BIND] = "bind",
    [PB_UEVENT_UNBIND] = "unbind", [PB_UEVENT_LOST] = "lost",
};

enum pb_uevent sim_kernel_uevent(const char *name)
{
    unsigned what = 0;

    while (what < PB_ARRAY_SIZE(uevent_names) && strcmp(uevent_names[what], name) != 0)
        what++;
    return (enum pb_uevent)what;
}

void sim_kernel_tell(struct sim_world *w, enum pb_uevent what, struct pb_sbdf sbdf,
                     const char *driver)
{
    struct sim_uevent *event = sim_alloc(sizeof(*event));

    event->what = what;
    event->sbdf = sbdf;
    (void)snprintf(event->driver, sizeof(event->driver), "%s", driver);
    TAILQ_INSERT_TAIL(&w->uevents, event, link);
    sim_world_kick(w);
}

static void tell(struct sim_world *w, enum pb_uevent what, const struct sim_device *dev,
                 const char *driver)
{
    if (!w->deaf)
        sim_kernel_tell(w, what, dev->sbdf, driver);
}

void sim_kernel_deliver(struct sim_world *w)
{
    struct sim_uevent *event;
    char text[PB_SBDF_TEXT];

    while ((event = TAILQ_FIRST(&w->uevents)) != NULL) {
        TAILQ_REMOVE(&w->uevents, event, link);
        (void)sim_log_leave(w, "uevent",
                            json_pack("{s:s, s:s, s:s}", "what", uevent_names[event->what],
                                      "device", pb_sbdf_format(event->sbdf, text), "driver",
                                      event->driver),
                            0);
        if (w->host.events.device) {
            SIM_AS_DAEMON;

            w->host.events.device(w->host.events.ctx, event->what, event->sbdf, event->driver);
        }
        sim_free(event);
    }
}

bool sim_kernel_waiting(const struct sim_world *w)
{
    return !TAILQ_EMPTY(&w->uevents) || !TAILQ_EMPTY(&w->probes);
}

static void probe_free(struct sim_probe *probe)
{
    sim_timer_stop(&probe->timer);
    TAILQ_REMOVE(&probe->w->probes, probe, link);
    sim_free(probe);
}

void sim_kernel_stop(struct sim_world *w)
{
    struct sim_probe *probe = TAILQ_FIRST(&w->probes), *next;

    for (; probe; probe = next) {
        next = TAILQ_NEXT(probe, link);
        probe_free(probe);
    }
    sim_kernel_forget(w);
}

void sim_kernel_forget(struct sim_world *w)
{
    struct sim_uevent *event;

    while ((event = TAILQ_FIRST(&w->uevents)) != NULL) {
        TAILQ_REMOVE(&w->uevents, event, link);
        sim_free(event);
    }
}

/* Drivers */

/* What pci_enable_device does: decode of every kind of BAR that the device has. */
static void enable(struct sim_device *dev)
{
    uint16_t decode = 0;

    for (unsigned i = 0; i < PB_PCI_BARS; i++) {
        if (dev->facts.resource[i].flags & PB_RES_IO)
            decode |= PCI_COMMAND_IO;
        else if (dev->facts.resource[i].flags & PB_RES_MEM)
            decode |= PCI_COMMAND_MEMORY;
    }
    sim_device_change(dev, PCI_COMMAND, PCI_COMMAND_MASTER, decode);
}

static bool is_stub(const char *driver)
{
    return strcmp(driver, "pci-stub") == 0 || strcmp(driver, "pciback") == 0 ||
           strcmp(driver, "vfio-pci") == 0;
}

void sim_kernel_bind(struct sim_world *w, struct sim_device *dev, const char *driver)
{
    if (strcmp(dev->driver, driver) == 0)
        return;
    if (dev->driver[0])
        tell(w, PB_UEVENT_UNBIND, dev, "");
    (void)snprintf(dev->driver, sizeof(dev->driver), "%s", driver);
    if (!driver[0])
        return;
    if (!is_stub(driver)) {
        if (dev->owner != 0)
            sim_log_violation(w, "%s: given to its driver while dom%u owns it (H3)", dev->text,
                              dev->owner);
        if (dev->prepared)
            sim_log_violation(w, "%s: given to its driver while MSI-X is prepared (H3)", dev->text);
        enable(dev);
        sim_device_change(dev, PCI_COMMAND, 0, PCI_COMMAND_MASTER);
    }
    tell(w, PB_UEVENT_BIND, dev, driver);
}

/* The kernel looks for a driver: the override's, if there is one. */
static void probe_drivers(struct sim_world *w, struct sim_device *dev)
{
    const char *driver = dev->override[0] ? dev->override : dev->native;

    if (!dev->driver[0] && strcmp(driver, "none") != 0)
        sim_kernel_bind(w, dev, driver);
}

static void probe_later(struct sim_timer *timer)
{
    struct sim_probe *probe = PB_CONTAINER_OF(timer, struct sim_probe, timer);

    if (!probe->dev->gone && probe->dev->plugged == probe->plugged)
        probe_drivers(probe->w, probe->dev);
    probe_free(probe);
}

void sim_kernel_unplug(struct sim_world *w, struct sim_device *dev)
{
    (void)sim_log_leave(w, "world.unplug", json_pack("{s:s}", "device", dev->text), 0);
    if (dev->driver[0])
        tell(w, PB_UEVENT_UNBIND, dev, "");
    sim_hyper_device_removed(w, dev);
    dev->gone = true;
    dev->plugged++;
    dev->driver[0] = dev->override[0] = '\0';
    dev->claimed = false; /* of a device that is not there */
    dev->resetting = false;
    tell(w, PB_UEVENT_REMOVE, dev, "");
}

void sim_kernel_plug(struct sim_world *w, struct sim_device *dev, const struct sim_device *as,
                     unsigned bind_ms)
{
    struct sim_probe *probe = sim_alloc(sizeof(*probe));

    (void)sim_log_leave(w, "world.plug", json_pack("{s:s}", "device", dev->text), 0);
    if (as)
        sim_device_replace(dev, as);
    dev->gone = dev->dead = false;
    dev->plugged++;
    dev->driver[0] = dev->override[0] = '\0';
    dev->claimed = false;
    sim_hyper_device_added(dev);
    tell(w, PB_UEVENT_ADD, dev, "");
    probe->w = w;
    probe->dev = dev;
    probe->plugged = dev->plugged;
    TAILQ_INSERT_TAIL(&w->probes, probe, link);
    sim_timer_init(&probe->timer, w, probe_later);
    if (bind_ms > 0)
        sim_timer_start(&probe->timer, bind_ms / 1000.0, 0.0);
    else
        probe_later(&probe->timer);
}

/* Jobs */

int sim_kernel_refuse(struct pb_job *job, int rc, const char *reason)
{
    (void)snprintf(job->reason, sizeof(job->reason), "%s", reason);
    return rc;
}

static void read_facts(const struct sim_world *w, const struct sim_device *dev, struct pb_job *job)
{
    job->facts = dev->facts;
    if (dev->dead)
        memset(job->facts.config, 0xff, dev->facts.config_size);
    else
        memcpy(job->facts.config, dev->config, dev->facts.config_size);
    memcpy(job->driver_now, dev->driver, sizeof(job->driver_now));
    job->host_command = pb_le16(dev->config + PCI_COMMAND) & (uint16_t)~PCI_COMMAND_INTX_DISABLE;
    job->surroundings = dev->surroundings;
    for (unsigned i = 0; i < job->surroundings.neighbour_count; i++) {
        struct pb_neighbour *n = &job->surroundings.neighbour[i];
        const struct sim_device *other = sim_device_find(w, n->sbdf);

        if (other)
            memcpy(n->driver, other->driver, sizeof(n->driver));
    }
}

static int refuse_next(struct pb_job *job, const char *next, const char *reason)
{
    (void)snprintf(job->next, sizeof(job->next), "%s", next);
    return sim_kernel_refuse(job, -EACCES, reason);
}

/* What the helper does not claim unless it is told to. */
static int may_claim(const struct sim_device *dev, struct pb_job *job)
{
    const struct pb_surroundings *s = &dev->surroundings;
    char text[200];

    /* Ours already, and nobody else's since. */
    if (job->force || (dev->claimed && (!dev->driver[0] || is_stub(dev->driver))))
        return 0;
    if (s->port[0]) {
        (void)snprintf(text, sizeof(text), "a card may be pulled out of port %s (H1)", s->port);
        return refuse_next(job, "claim --force, and never pull it before `release`", text);
    }
    if (dev->facts.virtual_function && strcmp(job->driver, "pciback") != 0)
        return refuse_next(job, "claim it with driver pciback, or claim --force",
                           "it is a virtual function (H1)");
    if (s->virtual_functions > 0)
        return refuse_next(job, "write 0 to its sriov_numvfs, or claim --force",
                           "its virtual functions are enabled (H12)");
    if (s->uses) {
        (void)snprintf(text, sizeof(text), "the host needs it: %s", s->uses_text);
        return refuse_next(job, "claim --force when that is acceptable", text);
    }
    return 0;
}

static int job_claim(struct sim_world *w, struct sim_device *dev, struct pb_job *job)
{
    int rc = may_claim(dev, job);

    if (rc)
        return rc;
    if (!dev->claimed && strcmp(dev->driver, job->driver) != 0)
        memcpy(dev->host_driver, dev->driver, sizeof(dev->host_driver));
    read_facts(w, dev, job);
    if (!dev->claimed)
        dev->host_command = job->host_command;
    dev->claimed = true;
    memcpy(dev->override, job->driver, sizeof(dev->override));
    if (strcmp(dev->driver, job->driver) != 0)
        sim_kernel_bind(w, dev, "");
    enable(dev);
    probe_drivers(w, dev);
    memcpy(job->driver_before, dev->host_driver, sizeof(job->driver_before));
    read_facts(w, dev, job);
    job->host_command = dev->host_command;
    return 0;
}

static int job_release(struct sim_world *w, struct sim_device *dev, struct pb_job *job)
{
    dev->claimed = false;
    dev->override[0] = '\0';
    sim_kernel_bind(w, dev, dev->host_driver);
    dev->host_driver[0] = '\0';
    memcpy(job->driver_now, dev->driver, sizeof(job->driver_now));
    return 0;
}

/* The kernel takes a list, and refuses it when one of its methods is not there. */
static bool has_methods(const struct sim_device *dev, const char *list)
{
    char name[PB_RESET_METHODS_TEXT];

    for (const char *p = list; *(p += strspn(p, " ")); p += strcspn(p, " ")) {
        (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(p, " "), p);
        if (!strstr(dev->facts.reset_methods, name))
            return false;
    }
    return true;
}

/* A reset of the bus: whoever else is on it loses his registers, too. */
static void reset_siblings(struct sim_world *w, const struct sim_device *dev)
{
    for (unsigned i = 0; i < dev->surroundings.neighbour_count; i++) {
        const struct pb_neighbour *n = &dev->surroundings.neighbour[i];
        struct sim_device *other = sim_device_find(w, n->sbdf);

        if (!(n->shares & (1U << PB_SHARE_RESET)) || !other || other->gone)
            continue;
        if (other->owner != 0 && other->owner != PB_DOMID_IO && other->owner != dev->owner)
            sim_log_violation(w, "%s: a reset of its bus hits %s of dom%u (H12)", dev->text,
                              other->text, other->owner);
        else if (other->driver[0] && !is_stub(other->driver))
            sim_log_violation(w, "%s: a reset of its bus hits %s of driver %s (H12)", dev->text,
                              other->text, other->driver);
        sim_device_reset(other);
    }
}

static int job_reset(struct sim_world *w, struct sim_device *dev, struct pb_job *job)
{
    const char *methods = job->method[0] ? job->method : dev->facts.reset_methods;
    unsigned vectors = sim_hyper_vectors(w, dev);

    if (!dev->facts.reset_methods[0])
        return sim_kernel_refuse(job, -ENOTTY, "the device has no reset method");
    if (!has_methods(dev, job->method))
        return sim_kernel_refuse(job, -EINVAL, "the device does not have this reset method");
    /* A guest's own reset keeps them; whatever else resets the device must unmap them before. */
    if (vectors > 0 && strcmp(job->method, "flr") != 0 && strcmp(job->method, "af_flr") != 0)
        sim_log_violation(w, "%s: reset with %u vectors mapped (H8)", dev->text, vectors);
    sim_device_reset(dev);
    if (strncmp(methods, "bus", 3) == 0)
        reset_siblings(w, dev);
    read_facts(w, dev, job);
    return 0;
}

static int job_remembered(const struct sim_world *w, struct pb_job *job)
{
    const struct sim_device *dev;

    TAILQ_FOREACH (dev, &w->devices, link) {
        if (dev->claimed && job->listed_count < PB_LISTED_MAX)
            job->listed[job->listed_count++] = dev->sbdf;
    }
    return 0;
}

static int job_list(const struct sim_world *w, struct pb_job *job)
{
    const struct sim_device *dev;

    TAILQ_FOREACH (dev, &w->devices, link) {
        if (!dev->gone && pb_slot_matches(job->slots, dev->sbdf) &&
            job->listed_count < PB_LISTED_MAX)
            job->listed[job->listed_count++] = dev->sbdf;
    }
    return 0;
}

static int job_kernel_stays_away(const struct sim_world *w, struct pb_job *job)
{
    if (!w->kernel_takes || (w->kernel_takes_domid && w->kernel_takes_domid != job->domid))
        return 0;
    (void)snprintf(job->next, sizeof(job->next),
                   "write 0 to /sys/bus/xen-backend/drivers_autoprobe, or unload xen-pciback");
    return sim_kernel_refuse(job, -EBUSY, "the kernel's xen-pciback would serve it");
}

static int job_save_slots(struct sim_world *w, const struct pb_job *job)
{
    json_t *slots = json_array(), *file;
    char text[PB_SLOT_TEXT], path[512];
    int rc = 0;

    for (size_t i = 0; i < job->slot_count; i++)
        (void)json_array_append_new(slots, json_string(pb_slot_format(&job->slots[i], text)));
    json_decref(w->saved_slots);
    w->saved_slots = slots;
    if (!w->config_dir)
        return 0;
    (void)mkdir(w->config_dir, 0755);
    file = json_pack("{s:O}", "slots", slots);
    (void)snprintf(path, sizeof(path), "%s/90-slots.json", w->config_dir);
    if (job->slot_count == 0)
        (void)remove(path);
    else if (json_dump_file(file, path, JSON_COMPACT) != 0)
        rc = -EIO;
    json_decref(file);
    return rc;
}

static int job_device(struct sim_world *w, struct sim_device *dev, struct pb_job *job)
{
    switch (job->kind) {
    case PB_JOB_PROBE:
        memcpy(job->driver_before, dev->claimed ? dev->host_driver : dev->driver,
               sizeof(job->driver_before));
        read_facts(w, dev, job);
        return 0;
    case PB_JOB_OPEN:
    case PB_JOB_ADOPT:
        read_facts(w, dev, job);
        return 0;
    case PB_JOB_CLAIM:
        return job_claim(w, dev, job);
    case PB_JOB_RELEASE:
        return job_release(w, dev, job);
    case PB_JOB_RESET:
        return job_reset(w, dev, job);
    case PB_JOB_REMEMBERED:
    case PB_JOB_LIST:
    case PB_JOB_KERNEL_STAYS_AWAY:
    case PB_JOB_SAVE_SLOTS:
    case PB_JOB_KIND_COUNT:
    default:
        return sim_kernel_refuse(job, -EINVAL, "unknown kind of job");
    }
}

int sim_kernel_run(struct sim_world *w, struct pb_job *job)
{
    struct sim_device *dev = sim_device_find(w, job->sbdf);
    int rc;

    if (job->kind == PB_JOB_REMEMBERED)
        return job_remembered(w, job);
    if (job->kind == PB_JOB_LIST)
        return job_list(w, job);
    if (job->kind == PB_JOB_KERNEL_STAYS_AWAY)
        return job_kernel_stays_away(w, job);
    if (job->kind == PB_JOB_SAVE_SLOTS)
        return job_save_slots(w, job);
    if (!dev || dev->gone)
        return sim_kernel_refuse(job, -ENODEV, "there is no such device");
    rc = job_device(w, dev, job);
    sim_state_save(w);
    return rc;
}
