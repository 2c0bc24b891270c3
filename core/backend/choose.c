/* SPDX-License-Identifier: MIT */
#include "backend/choose.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/failure.h"
#include "backend/guest.h"
#include "backend/machine.h"
#include "backend/profile.h"
#include "backend/record.h"
#include "base/log.h"

static const char *text_of(const struct pb_task *task)
{
    return task->dev ? pb_device_text(task->dev) : task->device_text;
}

#define FAIL(task, code, next, ...) \
    (pb_fail(&(task)->failure, PB_FAIL_##code, text_of(task), next, __VA_ARGS__), PB_RUN_FAIL)

/* --- the device --- */

static void claimed(void *ctx, const struct pb_failure *failure)
{
    struct pb_task *task = ctx;

    task->claimed_here = !failure;
    pb_task_child_done(task, failure);
}

static bool is_to_be_claimed(const struct pb_task *task)
{
    struct pb_sbdf sbdf;
    bool is_address;
    const struct pb_device *dev = pb_device_resolve(task->b, task->device_text, &is_address, &sbdf);

    return task->options.claim &&
           (!dev || dev->state == PB_DEVICE_PRESENT || dev->state == PB_DEVICE_ABSENT);
}

enum pb_run pb_choose_claim(struct pb_task *task)
{
    if (task->dev || !is_to_be_claimed(task))
        return PB_RUN_NEXT;
    pb_backend_claim(task->b, task->device_text, task->options.force, claimed, task);
    return PB_RUN_WAIT;
}

static void released(void *ctx, const struct pb_failure *failure)
{
    struct pb_task *task = ctx;
    size_t used = strlen(task->failure.next);

    if (failure && !task->b->stopping) {
        pb_warn("%s: it stays claimed: %s", task->device_text, failure->reason);
        (void)snprintf(task->failure.next + used, sizeof(task->failure.next) - used,
                       "%sit stays claimed (%s): `pcibackctl release` gives it back",
                       used ? "; " : "", failure->reason);
    }
    pb_task_next(task);
}

enum pb_run pb_choose_unclaim(struct pb_task *task)
{
    if (!task->claimed_here || task->options.quiet)
        return PB_RUN_NEXT;
    pb_backend_release(task->b, task->device_text, false, released, task);
    return PB_RUN_WAIT;
}

/* An operator's `deny` is final, and his `warn` asks for --force; a quirk's is advice. */
static enum pb_run may_assign(struct pb_task *task)
{
    struct pb_assign_rule rule = pb_profile_assign(task->dev);

    if (rule.assign == PB_ASSIGN_ALLOW)
        return PB_RUN_NEXT;
    if (rule.by_operator && rule.assign == PB_ASSIGN_DENY)
        return FAIL(task, REFUSED, "change `assign` of the device in the configuration",
                    "the configuration denies assigning it");
    if (rule.by_operator && !task->options.force)
        return FAIL(task, REFUSED, "attach --force when that is acceptable",
                    "the configuration warns of assigning it");
    if (rule.assign == PB_ASSIGN_DENY && !task->options.force)
        return FAIL(task, REFUSED, "attach --force when that is acceptable", "quirk %s: %s",
                    rule.quirk, rule.reason);
    if (!rule.by_operator)
        pb_warn("%s: quirk %s: %s", text_of(task), rule.quirk, rule.reason);
    return PB_RUN_NEXT;
}

static enum pb_run take_device(struct pb_task *task)
{
    struct pb_sbdf sbdf;
    bool is_address;
    struct pb_device *dev = pb_device_resolve(task->b, task->device_text, &is_address, &sbdf);

    if (task->dev)
        return PB_RUN_NEXT;
    if (!dev)
        return FAIL(task, NOT_FOUND, "pcibackctl claim DEVICE, or see `pcibackctl list`",
                    is_address ? "the device is not claimed" : "no device has this name");
    if (!pb_task_take_device(task, dev))
        return PB_RUN_FAIL;
    if (dev->state == PB_DEVICE_ASSIGNED)
        return FAIL(task, STATE, "detach it there first", "domain %u (%s) has it",
                    dev->guest->domid, dev->guest->name);
    if (dev->state == PB_DEVICE_FAILED)
        return FAIL(task, STATE, "release it, find the cause, claim it again",
                    "the device failed: %s", dev->cause);
    if (dev->state != PB_DEVICE_CLAIMED)
        return FAIL(task, STATE, "pcibackctl claim DEVICE, or attach --claim", "the device is %s",
                    pb_device_state_name(dev->state));
    return may_assign(task);
}

/* A step that fails is not undone: what was claimed here is let go at once, to be released. */
enum pb_run pb_choose_take_device(struct pb_task *task)
{
    enum pb_run run = take_device(task);

    if (run == PB_RUN_FAIL)
        (void)pb_choose_leave_device(task);
    return run;
}

enum pb_run pb_choose_device(struct pb_task *task)
{
    return is_to_be_claimed(task) ? PB_RUN_NEXT : pb_choose_take_device(task);
}

enum pb_run pb_choose_leave_device(struct pb_task *task)
{
    if (task->claimed_here && !task->options.quiet && task->dev && task->dev->task == task) {
        task->dev->task = NULL;
        task->dev = NULL;
    }
    return PB_RUN_NEXT;
}

/* --- the guest --- */

static bool has_ended(const struct pb_domain *domain)
{
    return domain->dying || (domain->shutdown && domain->shutdown_reason != PB_SHUTDOWN_SUSPEND);
}

static bool runs(const struct pb_task *task, uint32_t domid)
{
    struct pb_domain domain;

    return task->b->xen->ops->domain_get(task->b->xen, domid, &domain) == 0 && !has_ended(&domain);
}

/* Of domains with this name the one that runs counts: its predecessor may still be on its way out.
 */
static void names_read(struct pb_store_req *req, void *ctx)
{
    struct pb_task *task = ctx;
    unsigned found = 0, running = 0;

    for (unsigned i = 0; req->rc == 0 && i < req->count; i++) {
        const char *name = pb_store_value(req, i);
        uint32_t domid;

        if (!name || strcmp(name, task->guest_text) != 0)
            continue;
        domid = (uint32_t)strtoul(req->step[i].path + strlen("/local/domain/"), NULL, 10);
        if (!runs(task, domid)) {
            if (!found++)
                task->domid = domid;
            continue;
        }
        if (running++) {
            pb_fail(&task->failure, PB_FAIL_REFUSED, text_of(task), "name the guest by its number",
                    "domains %u and %u are both named %s", task->domid, domid, task->guest_text);
            pb_task_failed(task);
            return;
        }
        found++;
        task->domid = domid;
    }
    if (!found) {
        pb_fail(&task->failure, PB_FAIL_NOT_FOUND, text_of(task), "see `xl list`",
                "no domain is named %s", task->guest_text);
        pb_task_failed(task);
        return;
    }
    (void)snprintf(task->name, sizeof(task->name), "%s", task->guest_text);
    pb_task_next(task);
}

static void domains_read(struct pb_store_req *req, void *ctx)
{
    struct pb_task *task = ctx;
    struct pb_store_req *next = NULL;

    if (req->rc == 0 && req->step[0].rc == 0)
        next = pb_store_req_new(false, names_read, task);
    if (!next) {
        pb_fail(&task->failure, PB_FAIL_XEN, text_of(task), "is xenstored running?",
                "the list of domains cannot be read: %s", strerror(req->rc ? -req->rc : ENOENT));
        pb_task_failed(task);
        return;
    }
    for (unsigned i = 0; i < req->step[0].name_count; i++)
        pb_store_read(next, "/local/domain/%s/name", req->step[0].names[i]);
    task->b->xen->ops->store_submit(task->b->xen, next);
}

static enum pb_run read_domains(struct pb_task *task)
{
    struct pb_store_req *req = pb_store_req_new(false, domains_read, task);

    if (!req)
        return FAIL(task, INTERNAL, "", "out of memory");
    pb_store_list(req, "/local/domain");
    task->b->xen->ops->store_submit(task->b->xen, req);
    return PB_RUN_WAIT;
}

static void name_read(struct pb_store_req *req, void *ctx)
{
    struct pb_task *task = ctx;
    const char *name = req->rc == 0 ? pb_store_value(req, 0) : NULL;

    if (task->options.domid && (!name || strcmp(name, task->guest_text) != 0 ||
                                !runs(task, task->options.domid))) { /* it is another one by now */
        if (read_domains(task) == PB_RUN_FAIL)
            pb_task_failed(task);
        return;
    }
    (void)snprintf(task->name, sizeof(task->name), "%s", name ? name : "");
    pb_task_next(task);
}

enum pb_run pb_choose_guest(struct pb_task *task)
{
    const char *text = task->guest_text;
    bool number = text[strspn(text, "0123456789")] == '\0' && strlen(text) <= 5;
    struct pb_store_req *req;

    if (!number && !task->options.domid)
        return read_domains(task);
    req = pb_store_req_new(false, name_read, task);
    if (!req)
        return FAIL(task, INTERNAL, "", "out of memory");
    task->domid = number ? (uint32_t)strtoul(text, NULL, 10) : task->options.domid;
    pb_store_read(req, "/local/domain/%u/name", task->domid);
    task->b->xen->ops->store_submit(task->b->xen, req);
    return PB_RUN_WAIT;
}

/* More than can be remembered cannot be had, whoever permits it: it would become clean too early.
 */
static enum pb_run check_taint(struct pb_task *task)
{
    struct pb_device *dev = task->dev;
    char who[PB_TAINT_TEXT];
    bool room = pb_taint_make_room(dev, task->domid);

    (void)pb_taint_text(dev, task->domid, who, sizeof(who));
    if (!room)
        return FAIL(task, REFUSED, "end one of these domains first",
                    "it was taken from %s: no more of them can be remembered", who);
    if (pb_taint_by_others(dev, task->domid) && !task->options.force &&
        !dev->policy.reassign_while_alive)
        return FAIL(task, REFUSED, "wait until that domain is gone, or attach --force",
                    "it was taken from %s and may hold its memory", who);
    return PB_RUN_NEXT;
}

static enum pb_run may_have_devices(struct pb_task *task, struct pb_domain *ret)
{
    int rc = task->b->xen->ops->domain_get(task->b->xen, task->domid, ret);
    const struct pb_guest *g = pb_guest_find(task->b, task->domid);

    if (rc)
        return FAIL(task, NOT_FOUND, "see `xl list`", "there is no domain %u", task->domid);
    if (task->domid == 0)
        return FAIL(task, REFUSED, "pcibackctl release gives it back to the host",
                    "domain 0 is the host itself");
    if (ret->hvm)
        return FAIL(task, REFUSED, "use a PV guest",
                    "domain %u is an HVM or PVH guest: it has no PCI frontend", task->domid);
    if (has_ended(ret))
        return FAIL(task, STATE, "start it again", "domain %u has ended", task->domid);
    if (g && g->xl && memcmp(g->handle, ret->handle, sizeof(g->handle)) == 0)
        return FAIL(task, REFUSED, "xl pci-attach", "xl gives domain %u (%s) its devices", g->domid,
                    g->name);
    return PB_RUN_NEXT;
}

enum pb_run pb_choose_look_at_guest(struct pb_task *task)
{
    struct pb_domain domain;

    return may_have_devices(task, &domain);
}

enum pb_run pb_choose_check_guest(struct pb_task *task)
{
    struct pb_backend *b = task->b;
    struct pb_domain domain;
    struct pb_guest *g;

    if (may_have_devices(task, &domain) != PB_RUN_NEXT || check_taint(task) != PB_RUN_NEXT)
        return PB_RUN_FAIL;
    g = pb_guest_find(b, task->domid);
    if (g && memcmp(g->handle, domain.handle, sizeof(g->handle)) != 0) {
        pb_guest_end(g, "its number belongs to another domain now");
        return FAIL(task, STATE, "try again", "an earlier domain %u is still being taken apart",
                    task->domid);
    }
    if (!g && b->guest_count >= b->policy->limits.guests)
        return FAIL(task, LIMIT, "raise limits.guests", "%u guests are served already",
                    b->guest_count);
    g = pb_guest_get(b, &domain, task->name, false);
    if (!g)
        return FAIL(task, INTERNAL, "", "out of memory");
    if (pb_record_guest(g) != 0) {
        pb_guest_check_end(g);
        return FAIL(task, HOST, "make room where state_dir is",
                    "domain %u cannot be kept in the journal", task->domid);
    }
    return pb_guest_enter(g, task);
}
