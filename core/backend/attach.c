/* SPDX-License-Identifier: MIT */
/*
 * attach: the toolstack's part and the backend's. The order is H4's: reservation, test, reset,
 * assignment, nodes, and only then the grants; nothing is published before they are all made.
 */
#include "backend/attach.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/choose.h"
#include "backend/detach.h"
#include "backend/failure.h"
#include "backend/grants.h"
#include "backend/groups.h"
#include "backend/guest.h"
#include "backend/machine.h"
#include "backend/nodes.h"
#include "backend/profile.h"
#include "backend/record.h"
#include "backend/reserve.h"
#include "backend/strip.h"
#include "base/log.h"
#include "pci/regs.h"

static const char *text_of(struct pb_task *task)
{
    return task->dev ? pb_device_text(task->dev) : task->device_text;
}

#define FAIL(task, code, next, ...) \
    (pb_fail(&(task)->failure, PB_FAIL_##code, text_of(task), next, __VA_ARGS__), PB_RUN_FAIL)

static void other_backend(struct pb_task *task, const char *path)
{
    pb_fail(&task->failure, PB_FAIL_REFUSED, text_of(task),
            "detach its other devices with `xl pci-detach`, or give it this one, too, with `xl "
            "pci-attach`",
            "another backend serves domain %u: %s", task->domid, path);
}

static void backend_read(struct pb_store_req *req, void *ctx)
{
    struct pb_task *task = ctx;
    const char *path = pb_store_value(req, 0);

    if (req->rc) {
        pb_fail(&task->failure, PB_FAIL_XEN, text_of(task), "is xenstored running?", "xenstore: %s",
                strerror(-req->rc));
        pb_task_failed(task);
    } else if (path && strcmp(path, task->guest->be_path) != 0) {
        other_backend(task, path);
        pb_task_failed(task);
    } else {
        pb_task_next(task);
    }
}

/* A frontend has one directory, and that names one backend: is it free, or ours? */
static enum pb_run check_frontend(struct pb_task *task)
{
    struct pb_guest *g = task->guest;
    struct pb_store_req *req;

    if (g->nodes_exist)
        return PB_RUN_NEXT;
    req = pb_store_req_new(false, backend_read, task);
    if (!req)
        return FAIL(task, INTERNAL, "", "out of memory");
    pb_store_read(req, "%s/backend", g->fe_path);
    task->b->xen->ops->store_submit(task->b->xen, req);
    return PB_RUN_WAIT;
}

static enum pb_run link_device(struct pb_task *task)
{
    struct pb_guest *g = task->guest;
    struct pb_device *dev = task->dev, *other;
    unsigned count = 0;
    int rc;

    if (g->ending)
        return FAIL(task, STATE, "try again when it runs again", "domain %u is ending", g->domid);
    if (g->forgetting) {
        /* The nodes of what it had before are just being removed. */
        pb_task_arm(task, 5, pb_task_repeat);
        return PB_RUN_WAIT;
    }
    TAILQ_FOREACH (other, &g->devices, sibling)
        count++;
    if (count >= task->b->policy->limits.devices_per_guest)
        return FAIL(task, LIMIT, "raise limits.devices_per_guest",
                    "domain %u has %u devices already", g->domid, count);
    rc = pb_vslots_add(&g->slots, g->topology, dev->sbdf, dev->facts.virtual_function,
                       PB_VDEVFN_ANY, &dev->vaddr);
    if (rc)
        return FAIL(task, LIMIT, "detach another device from it",
                    "the virtual bus of domain %u (%s) is full", g->domid,
                    pb_topology_name(g->topology));
    dev->has_vaddr = true;
    dev->failing = false;
    dev->permissive_asked = task->options.permissive;
    dev->permissive = dev->policy.permissive || dev->permissive_asked;
    task->phase = PB_JOURNAL_ATTACHING;
    pb_guest_link(g, dev);
    return PB_RUN_NEXT;
}

static enum pb_run unlink_device(struct pb_task *task)
{
    pb_guest_unlink(task->dev);
    return PB_RUN_NEXT;
}

/* --- the device --- */

static void script_done(struct pb_script *s, void *ctx)
{
    struct pb_task *task = ctx;

    if (s->rc == 0) {
        pb_task_next(task);
        return;
    }
    if (s->rc == -ESTALE)
        pb_fail(&task->failure, PB_FAIL_HOST, text_of(task), "release it and claim it again",
                "its ids or BARs are not what they were at claim: somebody changed it");
    else
        pb_fail(&task->failure, PB_FAIL_HOST, text_of(task), "release it and claim it again",
                "its configuration space does not answer (%s)", strerror(-s->rc));
    pb_task_failed(task);
}

/* H21: the permissions that we grant are those of the BARs that the hardware has now. */
enum pb_run pb_attach_check_hardware(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    struct pb_script *s = &task->script;

    pb_script_begin(s, dev);
    if (!dev->facts.virtual_function)
        pb_script_expect(s, PCI_VENDOR_ID, 4, UINT32_MAX, pb_le32(dev->facts.config));
    for (uint16_t at = PCI_BAR0; at < PCI_CARDBUS_CIS && !dev->facts.virtual_function;
         at = (uint16_t)(at + 4))
        pb_script_expect(s, at, 4, UINT32_MAX, pb_le32(dev->facts.config + at));
    pb_script_run(s, script_done, task);
    return PB_RUN_WAIT;
}

static enum pb_run test_assign(struct pb_task *task)
{
    struct pb_xen *xen = task->b->xen;
    /* `xl pci-assignable-remove` takes a device out of quarantine behind our back. */
    int rc = pb_strip_quarantine(task->dev);

    if (rc == 0)
        rc = xen->ops->device_test(xen, task->domid, task->dev->sbdf);
    if (rc == 0)
        return PB_RUN_NEXT;
    if (rc == -EBUSY || rc == -EINVAL)
        return FAIL(task, STATE, "see `xl pci-list`; end the guest that has it",
                    "Xen says that another domain has it");
    if (rc == -ENODEV || rc == -EOPNOTSUPP || rc == -ENOSYS)
        return FAIL(task, REFUSED, "boot Xen with iommu=1 on a machine with an IOMMU",
                    "Xen has no IOMMU for it: its DMA could reach the host's memory");
    return FAIL(task, XEN, "see `xl dmesg`", "Xen does not let it be assigned: %s", strerror(-rc));
}

static enum pb_run after_reset(struct pb_task *task)
{
    if (!task->dev->failing) {
        pb_device_set_state(task->dev, PB_DEVICE_CLAIMED);
        return PB_RUN_NEXT;
    }
    pb_device_set_state(task->dev, PB_DEVICE_FAILED);
    return FAIL(task, HOST, "release it, find the cause, claim it again", "%s", task->dev->cause);
}

static enum pb_run assign(struct pb_task *task)
{
    struct pb_xen *xen = task->b->xen;
    int rc = xen->ops->device_assign(xen, task->domid, task->dev->sbdf);

    if (rc == 0) {
        task->dev->assigned_in_xen = true;
        return PB_RUN_NEXT;
    }
    if (rc == -EOPNOTSUPP)
        return FAIL(task, REFUSED,
                    "add passthrough=\"enabled\" and e820_host=1 to its configuration and start it "
                    "again",
                    "domain %u was created without an IOMMU context", task->domid);
    if (rc == -EBUSY)
        return FAIL(task, STATE, "see `xl dmesg`; release the device and claim it again",
                    "Xen says that the device or its interrupts are in use");
    return FAIL(task, XEN, "see `xl dmesg`", "Xen does not assign it: %s", strerror(-rc));
}

static enum pb_run deassign(struct pb_task *task)
{
    bool failed = task->dev->state == PB_DEVICE_FAILED;

    (void)pb_strip_deassign(task);
    if (failed)
        pb_device_set_state(task->dev, PB_DEVICE_FAILED);
    return PB_RUN_NEXT;
}

static void enabled(struct pb_script *s, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_device *dev = s->dev;

    if (s->rc == 0) {
        pb_view_init(&dev->view, dev->profile->map);
        dev->view.permissive = dev->permissive;
        dev->view.allow_interrupt_control = dev->policy.allow_interrupt_control;
        pb_record_view(dev);
    }
    script_done(s, task);
}

/*
 * Decode on for as long as a guest has it (XSA-120), the line usable if there is one, and no PME:
 * the guest cannot receive it.
 */
enum pb_run pb_attach_enable(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    struct pb_script *s = &task->script;
    uint32_t decode =
        pb_le16(dev->facts.config + PCI_COMMAND) & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
    bool line = pb_profile_line(dev);

    pb_script_begin(s, dev);
    if (dev->layout.pm)
        pb_script_modify(s, (uint16_t)(dev->layout.pm + PCI_PM_CTRL), 2,
                         PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS, 0);
    pb_script_modify(s, PCI_COMMAND, 2, PCI_COMMAND_MASTER | (line ? PCI_COMMAND_INTX_DISABLE : 0),
                     decode);
    pb_script_run(s, enabled, task);
    return PB_RUN_WAIT;
}

enum pb_run pb_attach_plug(struct pb_task *task)
{
    char why[200] = "";

    if (pb_profile_plug(task->dev, why, sizeof(why)) != 0)
        return FAIL(task, REFUSED, "correct the plugin, or disable its quirk and reload", "%s",
                    why);
    return PB_RUN_NEXT;
}

/* --- the guest --- */

static void nodes_written(struct pb_store_req *req, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_guest *g = task->guest;
    struct pb_device *dev;

    if (req->rc == 0) {
        g->node_count = 0;
        TAILQ_FOREACH (dev, &g->devices, sibling)
            g->node_count++;
        if (!g->nodes_exist) {
            g->nodes_exist = true;
            g->fe_state = PB_XENBUS_UNKNOWN;
            pb_guest_set_state(g, PB_XENBUS_INIT_WAIT);
            pb_guest_watch(g);
        }
        pb_guest_written(g);
        pb_task_next(task);
        return;
    }
    pb_guest_written(g);
    pb_fail(&task->failure, PB_FAIL_XEN, text_of(task), "try again", "%s%s",
            req->rc == -ECANCELED ? "the guest's PCI nodes changed meanwhile" : "xenstore: ",
            req->rc == -ECANCELED ? "" : strerror(-req->rc));
    pb_task_failed(task);
}

static void frontend_looked_at(struct pb_store_req *req, void *ctx)
{
    struct pb_task *task = ctx;
    const char *backend = pb_store_value(req, 0);
    struct pb_store_req *next;

    next = req->rc == 0 ? pb_store_req_new(true, nodes_written, task) : NULL;
    if (next && (!backend || strcmp(backend, task->guest->be_path) == 0)) {
        pb_store_expect(next, backend, "%s/backend", task->guest->fe_path);
        pb_nodes_create(next, task->guest);
        pb_nodes_write_devices(next, task->guest);
        task->b->xen->ops->store_submit(task->b->xen, next);
        return;
    }
    if (next) {
        pb_store_req_free(next);
        other_backend(task, backend);
    } else {
        pb_fail(&task->failure, PB_FAIL_XEN, text_of(task), "is xenstored running?", "xenstore: %s",
                strerror(req->rc ? -req->rc : ENOMEM));
    }
    pb_guest_written(task->guest);
    pb_task_failed(task);
}

static enum pb_run write_nodes(struct pb_task *task)
{
    struct pb_guest *g = task->guest;
    struct pb_store_req *req;

    if (pb_guest_write(g, task) == PB_RUN_WAIT)
        return PB_RUN_WAIT;
    req =
        pb_store_req_new(g->nodes_exist, g->nodes_exist ? nodes_written : frontend_looked_at, task);
    if (!req) {
        pb_guest_written(g);
        return FAIL(task, INTERNAL, "", "out of memory");
    }
    if (g->nodes_exist) {
        pb_nodes_expect_ours(req, g);
        pb_nodes_write_devices(req, g);
    } else {
        pb_store_read(req, "%s/backend", g->fe_path);
    }
    task->b->xen->ops->store_submit(task->b->xen, req);
    return PB_RUN_WAIT;
}

static void nodes_taken_back(struct pb_store_req *req, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_guest *g = task->guest;

    if (req->rc) {
        pb_warn("domain %u: taking nodes back: %s", g->domid, strerror(-req->rc));
    } else {
        g->node_count--;
        if (pb_guest_reconfigures(g))
            pb_guest_set_state(g, PB_XENBUS_CONNECTED);
    }
    pb_guest_written(g);
    pb_task_next(task);
}

/* Without the device, and Connected again if the guest was asked to reconfigure. */
static enum pb_run unwrite_nodes(struct pb_task *task)
{
    struct pb_guest *g = task->guest;
    struct pb_device *dev = task->dev;
    struct pb_store_req *req;

    /* The last one's nodes go with the guest's record. */
    if (g->ending || (TAILQ_FIRST(&g->devices) == dev && !TAILQ_NEXT(dev, sibling)))
        return PB_RUN_NEXT;
    if (pb_guest_write(g, task) == PB_RUN_WAIT)
        return PB_RUN_WAIT;
    req = pb_store_req_new(true, nodes_taken_back, task);
    if (!req) {
        pb_guest_written(g);
        return PB_RUN_NEXT;
    }
    pb_nodes_expect_ours(req, g);
    /* The record goes without its device; unlink_device, the last undo, finds it at the end again.
     */
    TAILQ_REMOVE(&g->devices, dev, sibling);
    pb_nodes_write_devices(req, g);
    TAILQ_INSERT_TAIL(&g->devices, dev, sibling);
    if (pb_guest_reconfigures(g))
        pb_nodes_write_state(req, g, PB_XENBUS_CONNECTED);
    task->b->xen->ops->store_submit(task->b->xen, req);
    return PB_RUN_WAIT;
}

static enum pb_run grant(struct pb_task *task)
{
    const char *what = "";
    int rc;

    if (task->guest->ending)
        return FAIL(task, STATE, "try again when it runs again", "the guest ended meanwhile");
    rc = pb_grants_make(task->dev, &what);
    if (rc == 0)
        return PB_RUN_NEXT;
    /* This step's own undo does not run: give back what it granted before it failed. */
    pb_taint(task->dev);
    (void)pb_grants_revoke(task->dev);
    return FAIL(task, XEN, "see `xl dmesg`", "%s: %s", what, strerror(-rc));
}

/* --- published --- */

static void not_in_time(struct pb_task *task)
{
    const struct pb_guest *g = task->guest;

    if (g->acting || task->dev->task != task) {
        /* What is under way for the guest has deadlines of its own. */
        pb_task_arm(task, 50, not_in_time);
        return;
    }
    task->poke = NULL;
    pb_fail(&task->failure, PB_FAIL_TIMEOUT, text_of(task),
            "is xen-pcifront loaded in the guest? see `pcibackctl guests`",
            "the guest did not answer in time (backend %s, frontend %s)",
            pb_xenbus_name(g->be_state), pb_xenbus_name(g->fe_state));
    pb_task_failed(task);
}

static void look(struct pb_task *task);

static void asked(struct pb_store_req *req, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_guest *g = task->guest;

    if (req->rc == 0) {
        pb_guest_set_state(g, PB_XENBUS_RECONFIGURING);
        g->refresh_again = true; /* it may have answered already */
        pb_guest_written(g);
        return;
    }
    task->poke = NULL;
    pb_guest_written(g);
    pb_fail(&task->failure, PB_FAIL_XEN, text_of(task), "try again",
            "the guest cannot be told of it: %s", strerror(-req->rc));
    pb_task_failed(task);
}

/* A connected frontend looks at its nodes again when it finds Reconfiguring. */
static void ask_to_reconfigure(struct pb_task *task)
{
    struct pb_guest *g = task->guest;
    struct pb_store_req *req = pb_store_req_new(true, asked, task);

    if (!req) {
        pb_err("domain %u: out of memory", g->domid);
        return; /* until its deadline, or the guest does something */
    }
    g->acting = true;
    pb_nodes_expect_ours(req, g);
    pb_nodes_write_state(req, g, PB_XENBUS_RECONFIGURING);
    g->b->xen->ops->store_submit(g->b->xen, req);
}

/* A frontend that is connected has to take part; one that is not finds the device later. */
static bool is_told(const struct pb_task *task)
{
    const struct pb_guest *g = task->guest;
    bool published = task->dev->node_state == PB_XENBUS_INITIALISED;

    if (g->be_state == PB_XENBUS_CONNECTED)
        return published;
    if (task->options.wait_s)
        return false;
    return (g->be_state == PB_XENBUS_INITIALISED && published) ||
           g->be_state == PB_XENBUS_CLOSING || g->be_state == PB_XENBUS_CLOSED;
}

static void look(struct pb_task *task)
{
    struct pb_guest *g = task->guest;
    struct pb_device *dev = task->dev;

    if (dev->task != task || g->acting)
        return; /* made fresh for a frontend that begins anew; something is being written */
    if (g->ending || dev->state == PB_DEVICE_FAILED) {
        task->poke = NULL;
        if (g->ending)
            pb_fail(&task->failure, PB_FAIL_STATE, text_of(task), "try again when it runs again",
                    "the guest ended meanwhile");
        else
            pb_fail(&task->failure, PB_FAIL_HOST, text_of(task),
                    "release it, find the cause, claim it again", "%s", dev->cause);
        pb_task_failed(task);
        return;
    }
    if (g->be_state == PB_XENBUS_CONNECTED && dev->node_state == PB_XENBUS_INITIALISING) {
        ask_to_reconfigure(task);
        return;
    }
    if (!is_told(task))
        return;
    task->poke = NULL;
    pb_task_next(task);
}

bool pb_attach_waits(const struct pb_task *task)
{
    return task->poke == look;
}

static void first_look(struct pb_task *task)
{
    unsigned ms = task->options.wait_s ? task->options.wait_s * 1000
                                       : task->b->policy->limits.attach_timeout_ms;

    pb_task_arm(task, ms, not_in_time);
    pb_guest_nodes_changed(task->guest);
}

static enum pb_run publish(struct pb_task *task)
{
    struct pb_device *dev = task->dev;

    dev->cause[0] = '\0';
    dev->ready = true;
    task->phase = 0; /* from here on the guest keeps it, should the daemon end */
    pb_device_set_state(dev, PB_DEVICE_ASSIGNED);
    task->poke = look;
    /* From the loop: what it finds may end the task. */
    pb_task_arm(task, 0, first_look);
    return PB_RUN_WAIT;
}

static enum pb_run ungrant(struct pb_task *task)
{
    bool failed = task->dev->state == PB_DEVICE_FAILED;
    enum pb_run run;

    task->poke = NULL;
    task->phase = PB_JOURNAL_ATTACHING;
    run = pb_strip_revoke(task);
    if (failed)
        task->dev->failing = true; /* it did not come back from its reset */
    if (run == PB_RUN_NEXT)
        pb_taint(task->dev); /* it had the grants, whatever it did with them */
    return run;
}

static const struct pb_task_step steps[] = {
    { "find device", pb_choose_device, NULL },
    { "find guest", pb_choose_guest, NULL },
    { "look at guest", pb_choose_look_at_guest, NULL },
    { "claim", pb_choose_claim, pb_choose_unclaim },
    { "take device", pb_choose_take_device, pb_choose_leave_device },
    { "check guest", pb_choose_check_guest, NULL },
    { "check frontend", check_frontend, NULL },
    { "link", link_device, unlink_device },
    /* Linked, so that of two that are attached at once the second one is seen. */
    { "check neighbours", pb_groups_check, NULL },
    { "reserve", pb_reserve, pb_unreserve },
    { "check hardware", pb_attach_check_hardware, NULL },
    { "test", test_assign, NULL },
    { "reset", pb_strip_reset, NULL },
    { "restore", pb_strip_restore, NULL },
    { "after reset", after_reset, NULL },
    { "assign", assign, deassign },
    { "enable", pb_attach_enable, pb_strip_quiet },
    { "plugins", pb_attach_plug, NULL },
    { "nodes", write_nodes, unwrite_nodes },
    { "grant", grant, ungrant },
    { "publish", publish, NULL },
};
static const struct pb_task_kind kind = { "attach", steps, PB_ARRAY_SIZE(steps) };

void pb_backend_attach(struct pb_backend *b, const char *guest, const char *dev,
                       const struct pb_attach_options *options, pb_verb_fn done, void *ctx)
{
    struct pb_task *task = pb_task_verb(b, &kind, dev, options->force, done, ctx);

    if (!task)
        return;
    task->options = *options;
    (void)snprintf(task->guest_text, sizeof(task->guest_text), "%s", guest);
}
