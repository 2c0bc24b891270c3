/* SPDX-License-Identifier: MIT */
/*
 * claim: the stub driver gets the device, its facts are taken, and it ends in quarantine.
 * Everything that is later decided about it uses what is read here, before any guest had it
 * (XSA-337).
 */
#include "backend/claim.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/assign.h"
#include "backend/denied.h"
#include "backend/failure.h"
#include "backend/groups.h"
#include "backend/machine.h"
#include "backend/profile.h"
#include "backend/record.h"
#include "backend/release.h"
#include "backend/strip.h"
#include "base/log.h"
#include "pci/regs.h"

#define FAIL(task, code, next, ...) \
    (pb_fail(&(task)->failure, PB_FAIL_##code, (task)->device_text, next, __VA_ARGS__), PB_RUN_FAIL)

static enum pb_run find(struct pb_task *task)
{
    struct pb_sbdf sbdf;
    bool is_address;
    struct pb_device *dev = pb_device_resolve(task->b, task->device_text, &is_address, &sbdf);

    if (!dev && !is_address)
        return FAIL(task, NOT_FOUND, "use an address such as 0000:03:00.0, or name it in `devices`",
                    "no device has this name");
    if (!dev)
        dev = pb_device_admit(task->b, sbdf, &task->failure);
    if (!dev)
        return PB_RUN_FAIL;
    if (!pb_task_take_device(task, dev))
        return PB_RUN_FAIL;
    if (dev->state == PB_DEVICE_CLAIMED || dev->state == PB_DEVICE_ASSIGNED)
        return PB_RUN_END; /* already in the wanted state */
    if (dev->guest)
        return FAIL(task, STATE, "detach it first", "domain %u (%s) has it", dev->guest->domid,
                    dev->guest->name);
    if (dev->state == PB_DEVICE_FAILED)
        return FAIL(task, STATE, "reset it, or release it first", "the device failed: %s",
                    dev->cause);
    dev->retry = false;
    return PB_RUN_NEXT;
}

static void refused(struct pb_task *task, enum pb_device_state state)
{
    struct pb_device *dev = task->dev;
    const char *code = task->failure.code == PB_FAIL_REFUSED ? "refused-claim" : "claim-failed";

    if (dev->cause_code[0] && strcmp(dev->cause, task->failure.reason) == 0)
        code = dev->cause_code; /* it is known better */
    pb_device_set_reason(dev, code, task->failure.next, "%s", task->failure.reason);
    pb_device_set_state(dev, state);
}

void pb_claim_refused(struct pb_task *task)
{
    refused(task, PB_DEVICE_PRESENT);
}

/* Nobody has looked at the device: it may be there or not. */
static bool says_nothing(int rc)
{
    return rc == -ETIMEDOUT || rc == -EBUSY || rc == -EAGAIN || rc == -EPIPE;
}

static void taken_failed(struct pb_task *task, const struct pb_job *job)
{
    struct pb_device *dev = task->dev;
    enum pb_fail code = job->rc == -EACCES || job->rc == -EOPNOTSUPP ? PB_FAIL_REFUSED
                        : job->rc == -ETIMEDOUT                      ? PB_FAIL_TIMEOUT
                                                                     : PB_FAIL_HOST;

    if (job->rc == -ENODEV) {
        pb_device_set_reason(dev, "", "", "it is not in the machine");
        pb_device_set_state(dev, PB_DEVICE_ABSENT);
        pb_fail(&task->failure, PB_FAIL_NOT_FOUND, task->device_text, "see `lspci -D`",
                "there is no such device in the machine");
    } else {
        pb_fail(&task->failure, code, task->device_text,
                job->next[0]           ? job->next
                : job->rc == -EACCES   ? "claim --force, and never pull it before `release`"
                : code == PB_FAIL_HOST ? "see the kernel's log"
                                       : "see `lspci -nn`",
                "%s", job->reason);
        refused(task, dev->state == PB_DEVICE_ABSENT && says_nothing(job->rc) ? PB_DEVICE_ABSENT
                                                                              : PB_DEVICE_PRESENT);
    }
    pb_task_failed(task);
}

void pb_claim_took(struct pb_device *dev, struct pb_job *job)
{
    dev->facts = job->facts;
    dev->surroundings = job->surroundings;
    dev->known = true;
    dev->driver_lost = false;
    dev->taken_back = false;
    dev->gone = false; /* the one that is claimed is there: its registers are read next */
    dev->failing = false;
    dev->stuck = false;
    dev->masked = false;
    pb_denied_clear(dev);
    memset(&dev->interrupts, 0, sizeof(dev->interrupts)); /* none */
    dev->host_command = job->host_command;
    if (dev->hw)
        dev->b->host->ops->hw_close(dev->b->host, dev->hw);
    dev->hw = job->hw;
    memcpy(dev->driver_before, job->driver_before, sizeof(dev->driver_before));
    memcpy(dev->driver_now, job->driver_now, sizeof(dev->driver_now));
}

static void taken(struct pb_job *job, void *ctx)
{
    struct pb_task *task = ctx;

    if (job->rc) {
        if (task->dev->state == PB_DEVICE_ABSENT)
            pb_device_set_state(task->dev, PB_DEVICE_PRESENT); /* it was seen */
        taken_failed(task, job);
        return;
    }
    pb_claim_took(task->dev, job);
    pb_task_next(task);
}

static void seen(struct pb_job *job, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_device *dev = task->dev;
    struct pb_xen *xen = task->b->xen;

    if (job->rc) {
        taken_failed(task, job);
        return;
    }
    dev->facts = job->facts;
    dev->surroundings = job->surroundings;
    dev->known = true;
    memcpy(dev->driver_now, job->driver_now, sizeof(dev->driver_now));
    /* Before anything of it is touched: a guest may have it from before this daemon started. */
    if (xen->ops->device_test(xen, PB_DOMID_IO, dev->sbdf) == -EBUSY) {
        pb_fail(&task->failure, PB_FAIL_STATE, task->device_text,
                task->options.quiet ? "end the guest that has it: then it is claimed"
                                    : "end the guest that has it, then claim it again",
                "a guest has it from before this daemon started");
        pb_device_set_reason(dev, "owned-before", task->failure.next, "%s", task->failure.reason);
        pb_device_set_state(dev, PB_DEVICE_PRESENT);
        dev->retry = task->options.quiet; /* nobody else would try it again */
        pb_task_failed(task);
        return;
    }
    pb_task_next(task);
}

bool pb_claim_owned_before(const struct pb_device *dev)
{
    struct pb_xen *xen = dev->b->xen;

    return strcmp(dev->cause_code, "owned-before") == 0 &&
           xen->ops->device_test(xen, PB_DOMID_IO, dev->sbdf) == -EBUSY;
}

static enum pb_run see(struct pb_task *task)
{
    pb_task_job(task, PB_JOB_PROBE, seen);
    return PB_RUN_WAIT;
}

static enum pb_run take(struct pb_task *task)
{
    pb_task_job(task, PB_JOB_CLAIM, taken);
    return PB_RUN_WAIT;
}

/* H21: what we would grant must be what the hardware decodes. */
static int compare_resources(const struct pb_facts *facts, unsigned *ret_bar)
{
    for (unsigned i = 0; i < PB_PCI_BARS; i++) {
        const struct pb_resource *res = &facts->resource[i];
        uint64_t mask = res->flags & PB_RES_IO ? ~UINT64_C(3) : ~UINT64_C(15), bar;
        const uint8_t *at = facts->config + PCI_BAR0 + 4 * (size_t)i;

        if (facts->virtual_function || res->start == 0 || !(res->flags & (PB_RES_IO | PB_RES_MEM)))
            continue;
        bar = pb_le32(at);
        if (res->flags & PB_RES_MEM_64)
            bar |= (uint64_t)pb_le32(at + 4) << 32;
        *ret_bar = i;
        if ((bar & mask) != res->start)
            return -ESTALE;
    }
    return 0;
}

/* An id that is as wanted, whatever it is when nothing is wanted. */
static bool is(bool wanted, uint16_t value, uint16_t have)
{
    return !wanted || value == have;
}

static enum pb_run wrong(struct pb_task *task, const char *next, uint16_t instead_vendor,
                         uint16_t instead_device, const char *what)
{
    const struct pb_facts *facts = &task->dev->facts;
    bool subsystem = what[0] != '\0';

    pb_fail(&task->failure, PB_FAIL_REFUSED, task->device_text, next,
            "another device is there: %s%04x:%04x instead of %04x:%04x", what,
            subsystem ? facts->subsystem_vendor : facts->vendor,
            subsystem ? facts->subsystem_device : facts->device, instead_vendor, instead_device);
    pb_device_set_reason(task->dev, "wrong-identity", task->failure.next, "%s",
                         task->failure.reason);
    return PB_RUN_FAIL;
}

/* What was claimed here before and never released: the same slot may hold another card now. */
static enum pb_run as_remembered(struct pb_task *task)
{
    const struct pb_identity *was = &task->dev->identity;
    const struct pb_facts *facts = &task->dev->facts;
    static const char next[] = "claim --force if that is what you want";

    if (!was->known || task->force)
        return PB_RUN_NEXT;
    if (was->vendor != facts->vendor || was->device != facts->device)
        return wrong(task, next, was->vendor, was->device, "");
    if (was->subsystem_vendor != facts->subsystem_vendor ||
        was->subsystem_device != facts->subsystem_device)
        return wrong(task, next, was->subsystem_vendor, was->subsystem_device, "subsystem ");
    return PB_RUN_NEXT;
}

enum pb_run pb_claim_identity(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    const struct pb_device_policy *policy = &dev->policy;
    const struct pb_facts *facts = &dev->facts;
    static const char next[] = "correct `devices` in the configuration";

    if (!is(policy->has_vendor, policy->vendor, facts->vendor) ||
        !is(policy->has_device, policy->device, facts->device))
        return wrong(task, next, policy->has_vendor ? policy->vendor : facts->vendor,
                     policy->has_device ? policy->device : facts->device, "");
    if (!is(policy->has_subsystem_vendor, policy->subsystem_vendor, facts->subsystem_vendor) ||
        !is(policy->has_subsystem_device, policy->subsystem_device, facts->subsystem_device))
        return wrong(
            task, next,
            policy->has_subsystem_vendor ? policy->subsystem_vendor : facts->subsystem_vendor,
            policy->has_subsystem_device ? policy->subsystem_device : facts->subsystem_device,
            "subsystem ");
    if (policy->path[0] && strcmp(policy->path, dev->surroundings.path) != 0) {
        pb_fail(
            &task->failure, PB_FAIL_REFUSED, task->device_text, next, "it sits at %s instead of %s",
            dev->surroundings.path[0] ? dev->surroundings.path : "an unknown place", policy->path);
        pb_device_set_reason(dev, "wrong-identity", next, "%s", task->failure.reason);
        return PB_RUN_FAIL;
    }
    return PB_RUN_NEXT;
}

/* Before anything of it is changed, so that a refusal leaves it as it was. */
static enum pb_run identify(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    uint8_t header = dev->facts.config[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK;
    enum pb_run run = pb_claim_identity(task);

    if (run == PB_RUN_NEXT)
        run = as_remembered(task);
    if (run == PB_RUN_NEXT &&
        (dev->facts.class_code >> 16 == PCI_CLASS_BRIDGE || header == PCI_HEADER_TYPE_BRIDGE ||
         header == PCI_HEADER_TYPE_CARDBUS))
        run = FAIL(task, REFUSED, "assign the devices behind it instead",
                   "bridges cannot be assigned");
    if (run == PB_RUN_FAIL)
        pb_claim_refused(task);
    return run;
}

enum pb_run pb_claim_examine(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    struct pb_profile *profile;
    char why[200] = "";
    unsigned bar = 0;
    int rc;

    rc = pb_layout_read(&dev->facts, &dev->layout);
    if (rc == -ENODEV)
        return FAIL(task, HOST, "power the machine off and on", "it does not answer (all ones)");
    if (rc)
        return FAIL(task, REFUSED, "report its `lspci -xxxx`",
                    "its list of capabilities is malformed");
    if (compare_resources(&dev->facts, &bar) != 0)
        return FAIL(task, REFUSED, "reboot, or remove and rescan the device",
                    "BAR %u is not where the kernel believes it to be", bar);
    rc = pb_profile_of(dev, task->b->quirks, &dev->policy, &task->b->policy->limits, &profile, why,
                       sizeof(why));
    if (rc == -EOPNOTSUPP)
        return FAIL(task, REFUSED, "assign the devices behind it instead",
                    "bridges cannot be assigned");
    if (rc == -ENOMEM)
        return FAIL(task, INTERNAL, "", "out of memory");
    if (rc)
        return FAIL(task, REFUSED, "correct or disable that quirk, and reload", "%s", why);
    pb_profile_put(dev, profile);
    return PB_RUN_NEXT;
}

static void quiet_done(struct pb_script *s, void *ctx)
{
    struct pb_task *task = ctx;

    if (s->rc) {
        pb_fail(&task->failure, PB_FAIL_HOST, task->device_text, "see the kernel's log",
                "its configuration space cannot be written: %s", strerror(-s->rc));
        pb_task_failed(task);
        return;
    }
    pb_task_next(task);
}

/* No DMA from here on, D0, and decode on: Xen maps the MSI-X table when it prepares it (H16). */
enum pb_run pb_claim_quiet(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    struct pb_script *s = &task->script;
    uint32_t decode = 0;

    for (unsigned i = 0; i < PB_PCI_BARS && !dev->facts.virtual_function; i++) {
        const struct pb_resource *res = &dev->facts.resource[i];

        if (res->start && (res->flags & PB_RES_IO))
            decode |= PCI_COMMAND_IO;
        if (res->start && (res->flags & PB_RES_MEM))
            decode |= PCI_COMMAND_MEMORY;
    }
    pb_script_begin(s, dev);
    pb_script_modify(s, PCI_COMMAND, 2, PCI_COMMAND_MASTER, 0);
    if (dev->layout.pm) {
        pb_script_modify(s, (uint16_t)(dev->layout.pm + PCI_PM_CTRL), 2,
                         PCI_PM_CTRL_STATE | PCI_PM_CTRL_PME_STATUS | PCI_PM_CTRL_PME_ENABLE, 0);
        pb_script_pause(s, dev->profile->map->d3_delay_ms);
    }
    pb_script_modify(s, PCI_COMMAND, 2, 0, decode);
    pb_script_run(s, quiet_done, task);
    /* The baseline is the device as it is handed over, not as its driver left it. */
    pb_le_put(
        dev->facts.config + PCI_COMMAND, 2,
        (pb_le16(dev->facts.config + PCI_COMMAND) &
         ~(PCI_COMMAND_MASTER | PCI_COMMAND_SERR | PCI_COMMAND_PARITY | PCI_COMMAND_INTX_DISABLE)) |
            decode);
    return PB_RUN_WAIT;
}

/*
 * H16: only with MSI-X in the raw capability list; otherwise Xen dereferences NULL and the host is
 * lost. The kernel's half of xen-pciback does it itself when it binds.
 */
static enum pb_run prepare(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    struct pb_xen *xen = task->b->xen;
    int rc;

    if (!dev->layout.msix || strcmp(dev->driver_now, "pciback") == 0)
        return PB_RUN_NEXT;
    rc = xen->ops->msix_prepare(xen, dev->sbdf);
    if (rc == 0 || rc == -EALREADY || rc == -EBUSY) {
        /* busy: prepared by us before a restart, which is as good */
        dev->msix_prepared = true;
        return PB_RUN_NEXT;
    }
    return FAIL(task, XEN, "see `xl dmesg`", "Xen does not prepare its MSI-X: %s", strerror(-rc));
}

enum pb_run pb_claim_record(struct pb_task *task)
{
    int rc = pb_record_claimed(task->dev);

    if (rc == 0)
        return PB_RUN_NEXT;
    return FAIL(task, HOST, "make room where state_dir is", "it cannot be kept in the journal: %s",
                strerror(-rc));
}

enum pb_run pb_claim_unrecord(struct pb_task *task)
{
    pb_record_released(task->dev);
    return PB_RUN_NEXT;
}

static enum pb_run quarantine(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    struct pb_xen *xen = task->b->xen;
    int rc = xen->ops->device_assign(xen, PB_DOMID_IO, dev->sbdf);

    if (rc == -EBUSY && xen->ops->device_test(xen, PB_DOMID_IO, dev->sbdf) != 0)
        return FAIL(task, STATE, "end the guest that has it, then claim it again",
                    "a guest still has it, from before this daemon started");
    dev->quarantined = rc == 0 || rc == -EALREADY || rc == -EBUSY;
    if (dev->quarantined)
        pb_device_set_cause(dev, "%s", "");
    else
        pb_device_set_reason(dev, "quarantine-missing", "boot Xen with iommu=1",
                             "not in quarantine: Xen says: %s (is there an IOMMU?)", strerror(-rc));
    dev->identity = (struct pb_identity){ .known = true,
                                          .vendor = dev->facts.vendor,
                                          .device = dev->facts.device,
                                          .subsystem_vendor = dev->facts.subsystem_vendor,
                                          .subsystem_device = dev->facts.subsystem_device };
    pb_device_set_state(dev, PB_DEVICE_CLAIMED);
    pb_groups_tell(dev);
    pb_assign_device_ready(dev);
    return PB_RUN_NEXT;
}

static const struct pb_task_step steps[] = {
    { "find", find, NULL },
    { "see", see, NULL },
    { "identify", identify, NULL },
    { "take", take, pb_release_give_back },
    { "identity", pb_claim_identity, NULL },
    { "examine", pb_claim_examine, NULL },
    { "quiet", pb_claim_quiet, NULL },
    { "prepare", prepare, pb_release_unprepare },
    { "record", pb_claim_record, pb_claim_unrecord },
    { "quarantine", quarantine, NULL },
};
static const struct pb_task_kind kind = { "claim", steps, PB_ARRAY_SIZE(steps) };

void pb_backend_claim(struct pb_backend *b, const char *dev, bool force, pb_verb_fn done, void *ctx)
{
    (void)pb_task_verb(b, &kind, dev, force, done, ctx);
}

void pb_claim_quietly(struct pb_backend *b, struct pb_sbdf sbdf, pb_verb_fn done, void *ctx)
{
    char text[PB_SBDF_TEXT];
    struct pb_task *task = pb_task_verb(b, &kind, pb_sbdf_format(sbdf, text), false, done, ctx);

    if (task)
        task->options.quiet = true;
}
