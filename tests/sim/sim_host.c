/* SPDX-License-Identifier: MIT */
/* The table of the host's hardware (host/host.h): configuration cycles and jobs. */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "pci/regs.h"
#include "pci/traits.h"
#include "sim_host.h"
#include "sim_hyper.h"
#include "sim_kernel.h"
#include "sim_world.h"

struct pb_hw {
    TAILQ_ENTRY(pb_hw) link;
    struct sim_device *dev;
    unsigned plugged; /* which time of being there it was opened in */
    unsigned late;    /* cycles that complete later */
};

/* A job or a late cycle under way. */
struct sim_task {
    TAILQ_ENTRY(sim_task) link;
    struct sim_timer timer;
    struct sim_world *w;
    struct pb_job *job; /* one of both */
    struct pb_hw_cycle *cycle;
    struct pb_job *copy; /* supervised: what the helper's child has of the job */
    int error;
    bool orphan; /* whoever waited for it is dead */
};

static const char *const job_names[PB_JOB_KIND_COUNT] = {
    [PB_JOB_PROBE] = "job_probe",
    [PB_JOB_CLAIM] = "job_claim",
    [PB_JOB_RELEASE] = "job_release",
    [PB_JOB_OPEN] = "job_open",
    [PB_JOB_ADOPT] = "job_adopt",
    [PB_JOB_RESET] = "job_reset",
    [PB_JOB_REMEMBERED] = "job_remembered",
    [PB_JOB_LIST] = "job_list",
    [PB_JOB_KERNEL_STAYS_AWAY] = "job_kernel_stays_away",
    [PB_JOB_SAVE_SLOTS] = "job_save_slots",
};

static struct sim_world *world_of(struct pb_host *h)
{
    return PB_CONTAINER_OF(h, struct sim_world, host);
}

/* Cycles */

/* What may never happen to a device that a guest can reach (XSA-120), and what Xen drops (H13). */
static void judge_write(struct sim_world *w, const struct sim_device *dev,
                        const struct pb_hw_cycle *cycle)
{
    uint8_t msix = sim_device_cap(dev, SIM_CAP_MSIX);
    uint16_t before = sim_device_command(dev), command = (uint16_t)cycle->value;
    uint16_t decode = before & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY);

    if (msix && cycle->offset + cycle->size > msix && cycle->offset < msix + PCI_MSIX_SIZE &&
        (cycle->offset != msix + PCI_MSIX_FLAGS || cycle->size != 2))
        sim_log_violation(w, "%s: write of %u bytes at %#x inside of MSI-X is dropped (H13)",
                          dev->text, cycle->size, cycle->offset);
    if (cycle->offset != PCI_COMMAND || cycle->size < 2 || !sim_hyper_reachable(w, dev))
        return;
    if ((command & decode) != decode)
        sim_log_violation(w, "%s: decode is turned off while a guest reaches it", dev->text);
    if (command & ~before & (PCI_COMMAND_SERR | PCI_COMMAND_PARITY))
        sim_log_violation(w, "%s: SERR or PARITY is turned on while a guest reaches it", dev->text);
}

static bool sane(struct sim_world *w, const struct sim_device *dev, const struct pb_hw_cycle *cycle)
{
    bool size = cycle->size == 1 || cycle->size == 2 || cycle->size == 4;

    if (size && cycle->offset % cycle->size == 0 &&
        cycle->offset + cycle->size <= dev->facts.config_size)
        return true;
    sim_log_violation(w, "%s: cycle of %u bytes at %#x", dev->text, cycle->size, cycle->offset);
    return false;
}

static void cycle_run(struct sim_world *w, struct pb_hw_cycle *cycle, int error)
{
    struct sim_device *dev = cycle->hw->dev;
    uint8_t msix = sim_device_cap(dev, SIM_CAP_MSIX);
    bool dropped;

    cycle->rc = error ? error : dev->cycle_error;
    if (cycle->rc == 0 && cycle->hw->plugged != dev->plugged)
        cycle->rc = -ENODEV; /* a descriptor of a device that is gone, whoever came after it */
    if (cycle->rc == 0 && !sane(w, dev, cycle))
        cycle->rc = -EINVAL;
    if (dev->resetting)
        sim_log_violation(w, "%s: configuration cycle during its reset (H6)", dev->text);
    if (cycle->rc == 0 && cycle->write) {
        judge_write(w, dev, cycle);
        dropped = msix && cycle->offset >= msix && cycle->offset < msix + PCI_MSIX_SIZE &&
                  (cycle->size != 2 || cycle->offset != msix + PCI_MSIX_FLAGS);
        if (!dropped)
            sim_device_write(dev, cycle->offset, cycle->size, cycle->value);
    } else if (cycle->rc == 0) {
        cycle->value = sim_device_read(dev, cycle->offset, cycle->size);
    }
    (void)sim_log_leave(w, cycle->write ? "cycle_write" : "cycle_read",
                        json_pack("{s:s, s:i, s:i, s:I}", "device", dev->text, "offset",
                                  (int)cycle->offset, "size", (int)cycle->size, "value",
                                  (json_int_t)cycle->value),
                        cycle->rc);
}

static struct sim_task *task_new(struct sim_world *w, void (*run)(struct sim_timer *),
                                 unsigned delay_ms)
{
    struct sim_task *task = sim_alloc(sizeof(*task));

    task->w = w;
    TAILQ_INSERT_TAIL(&w->tasks, task, link);
    sim_timer_init(&task->timer, w, run);
    sim_timer_start(&task->timer, delay_ms / 1000.0, 0.0);
    return task;
}

static void task_free(struct sim_task *task)
{
    sim_timer_stop(&task->timer);
    TAILQ_REMOVE(&task->w->tasks, task, link);
    if (task->copy)
        sim_free((void *)(uintptr_t)task->copy->slots);
    sim_free(task->copy);
    sim_free(task);
}

static void cycle_late(struct sim_timer *timer)
{
    struct sim_task *task = PB_CONTAINER_OF(timer, struct sim_task, timer);
    struct pb_hw_cycle *cycle = task->cycle;
    struct sim_world *w = task->w;
    int error = task->error;

    cycle->hw->late--;
    task_free(task);
    cycle_run(w, cycle, error);
    SIM_AS_DAEMON;
    cycle->done(cycle, cycle->ctx);
}

static enum pb_hw_when host_cycle_submit(struct pb_host *h, struct pb_hw_cycle *cycle)
{
    SIM_AS_WORLD;
    struct sim_world *w = world_of(h);
    int rc = sim_log_enter(w, cycle->write ? "cycle_write" : "cycle_read");
    struct sim_task *task;

    if (cycle->hw->dev->slow_ms == 0) {
        cycle_run(w, cycle, rc);
        return PB_HW_NOW;
    }
    task = task_new(w, cycle_late, cycle->hw->dev->slow_ms);
    task->cycle = cycle;
    task->error = rc;
    cycle->hw->late++;
    return PB_HW_LATER;
}

static void cancel(struct pb_hw_cycle *cycle)
{
    SIM_AS_DAEMON;

    cycle->rc = -ECANCELED;
    cycle->done(cycle, cycle->ctx);
}

static void hw_free(struct sim_world *w, struct pb_hw *hw)
{
    hw->dev->open--;
    TAILQ_REMOVE(&w->hws, hw, link);
    sim_free(hw);
}

static void host_hw_close(struct pb_host *h, struct pb_hw *hw)
{
    SIM_AS_WORLD;
    struct sim_world *w = world_of(h);
    struct sim_task *task;

    while (hw->late > 0) {
        struct pb_hw_cycle *cycle;

        TAILQ_FOREACH (task, &w->tasks, link) {
            if (task->cycle && task->cycle->hw == hw)
                break;
        }
        if (!task)
            abort();
        cycle = task->cycle;
        hw->late--;
        task_free(task);
        cancel(cycle);
    }
    (void)sim_log_record(w, "hw_close", json_pack("{s:s}", "device", hw->dev->text), 0);
    hw_free(w, hw);
    sim_log_point(w, "hw_close");
}

/* Jobs */

static void open_config(struct sim_world *w, struct sim_device *dev, struct pb_job *job)
{
    job->hw = sim_alloc(sizeof(*job->hw));
    job->hw->dev = dev;
    job->hw->plugged = dev->plugged;
    TAILQ_INSERT_TAIL(&w->hws, job->hw, link);
    dev->open++;
}

static json_t *job_args(const struct pb_job *job)
{
    char text[PB_SBDF_TEXT];
    json_t *plugins = json_array();

    for (unsigned i = 0; i < job->plugin_count; i++)
        (void)json_array_append_new(plugins, json_pack("{s:s, s:s}", "path", job->plugin[i].path,
                                                       "params", job->plugin[i].params));
    return json_pack("{s:s, s:s, s:b, s:i, s:s, s:i, s:i, s:o}", "device",
                     pb_sbdf_format(job->sbdf, text), "driver", job->driver, "force", job->force,
                     "domid", (int)job->domid, "method", job->method, "settle_ms",
                     (int)job->settle_ms, "deadline_ms", (int)job->deadline_ms, "plugins", plugins);
}

static void job_run(struct sim_world *w, struct pb_job *job, int error, bool orphan)
{
    struct sim_device *dev = sim_device_find(w, job->sbdf);

    /* an abandoned child still sits in the kernel: the device stays as it is */
    if (dev && job->kind == PB_JOB_RESET && error != -ETIMEDOUT)
        dev->resetting = false;
    if (error)
        job->rc = sim_kernel_refuse(job, error, "the simulator was told to fail");
    else
        job->rc = sim_kernel_run(w, job);
    if (job->rc == 0 && pb_job_opens(job->kind) && !orphan)
        open_config(w, dev, job);
    if (orphan)
        (void)sim_log_record(w, "world.orphan", json_pack("{s:s}", "job", job_names[job->kind]),
                             job->rc);
    else
        (void)sim_log_leave(w, job_names[job->kind], job_args(job), job->rc);
}

static void job_done(struct sim_timer *timer)
{
    struct sim_task *task = PB_CONTAINER_OF(timer, struct sim_task, timer);
    struct sim_world *w = task->w;
    struct pb_job *job = task->job;
    int error = task->error;

    if (task->orphan) {
        job_run(w, task->copy, error, true);
        task_free(task);
        return;
    }
    task_free(task);
    job_run(w, job, error, false);
    SIM_AS_DAEMON;
    job->done(job, job->ctx);
}

/* What a child of the helper knows, and still does when nobody waits for it any more. */
static struct pb_job *job_copy(const struct pb_job *job)
{
    struct pb_job *copy = sim_alloc(sizeof(*copy));
    struct pb_slot *slots = NULL;

    *copy = *job;
    if (job->slot_count > 0) {
        slots = sim_alloc(job->slot_count * sizeof(*slots));
        memcpy(slots, job->slots, job->slot_count * sizeof(*slots));
    }
    copy->slots = slots;
    copy->claimed = NULL;
    return copy;
}

/* The reset that a dead daemon's helper began still runs: how long, or for ever (UINT_MAX). */
static unsigned orphan_ms(const struct sim_world *w, const struct sim_device *dev)
{
    const struct sim_task *task;

    TAILQ_FOREACH (task, &w->tasks, link) {
        if (task->orphan && task->copy->kind == PB_JOB_RESET &&
            pb_sbdf_equal(task->copy->sbdf, dev->sbdf))
            return (unsigned)(sim_timer_left(&task->timer) * 1000.0) + 2;
    }
    return dev->abandoned ? UINT_MAX : 0;
}

static unsigned job_ms(const struct sim_world *w, const struct sim_device *dev,
                       const struct pb_job *job, int error)
{
    unsigned ms = w->job_delay_ms;

    /* a fault of ETIMEDOUT means a kernel that does not come back: the deadline passes first */
    if (error == -ETIMEDOUT)
        return job->deadline_ms;
    if (dev && job->kind == PB_JOB_RESET && dev->reset_ms > ms)
        ms = dev->reset_ms;
    return ms;
}

static void host_job_submit(struct pb_host *h, struct pb_job *job)
{
    SIM_AS_WORLD;
    struct sim_world *w = world_of(h);
    struct sim_device *dev = sim_device_find(w, job->sbdf);
    int rc = sim_log_enter(w, job_names[job->kind]);
    unsigned wait_ms = dev ? orphan_ms(w, dev) : 0, ms;
    struct sim_task *task;
    char name[32];

    (void)snprintf(name, sizeof(name), "%s.start", job_names[job->kind]);
    (void)sim_log_record(w, name, job_args(job), 0);
    if (dev && dev->resetting && wait_ms == 0)
        sim_log_violation(w, "%s: a job starts during its reset", dev->text);
    if (dev && job->kind == PB_JOB_RESET)
        dev->resetting = true;
    /* the helper abandons what lasts longer than that: the kernel goes on for ever */
    if (rc == 0 && (wait_ms > job->deadline_ms || job_ms(w, dev, job, 0) > job->deadline_ms))
        rc = -ETIMEDOUT;
    ms = job_ms(w, dev, job, rc);
    task = task_new(w, job_done, rc == -ETIMEDOUT ? ms : ms + wait_ms);
    task->job = job;
    task->copy = sim_memory_shared() ? job_copy(job) : NULL;
    task->error = rc;
    sim_log_point(w, name);
}

void sim_host_forget(struct sim_world *w)
{
    struct sim_task *task = TAILQ_FIRST(&w->tasks), *next;

    for (; task; task = next) {
        next = TAILQ_NEXT(task, link);
        if (task->cycle) {
            task_free(task);
            continue;
        }
        task->orphan = true;
        if (task->error == -ETIMEDOUT && task->copy->kind == PB_JOB_RESET) {
            struct sim_device *dev = sim_device_find(w, task->copy->sbdf);

            if (dev) /* the kernel never comes back from it, whoever waits */
                dev->abandoned = true;
            task_free(task);
        }
    }
    while (!TAILQ_EMPTY(&w->hws))
        hw_free(w, TAILQ_FIRST(&w->hws));
}

static void host_close(struct pb_host *h)
{
    SIM_AS_WORLD;
    struct sim_world *w = world_of(h);

    if (!sim_memory_shared()) {
        while (!TAILQ_EMPTY(&w->tasks))
            task_free(TAILQ_FIRST(&w->tasks));
        sim_kernel_stop(w);
    }
    memset(&w->host.events, 0, sizeof(w->host.events));
    w->host_open = false;
    sim_world_closed(w);
}

static const struct pb_host_ops host_ops = {
    .close = host_close,
    .cycle_submit = host_cycle_submit,
    .hw_close = host_hw_close,
    .job_submit = host_job_submit,
};

struct pb_host *sim_host_open(struct sim_world *w, struct ev_loop *loop)
{
    sim_world_start(w, loop);
    w->host.ops = &host_ops;
    w->host_open = true;
    return &w->host;
}
