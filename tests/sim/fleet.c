/* SPDX-License-Identifier: MIT */
#include "fleet.h"

#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backend/journal.h"
#include "backend/serve.h"
#include "base/bytes.h"
#include "base/log.h"
#include "proto/pciif.h"
#include "sim_command.h"
#include "sim_scenario.h"

#define AT_ONCE 256u /* verbs under way */

__attribute__((format(printf, 1, 2), noreturn)) static void wrong(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
    exit(2);
}

/* --- the host --- */

static const char *address(unsigned n, char text[PB_SBDF_TEXT])
{
    struct pb_sbdf sbdf = { .segment = (uint16_t)(n >> 13),
                            .bus = (uint8_t)(n >> 5),
                            .devfn = (uint8_t)(n << 3) };

    return pb_sbdf_format(sbdf, text);
}

static void name_of(unsigned n, char name[16])
{
    (void)snprintf(name, 16, "guest%u", n);
}

/* The same model, each with memory of its own, above 4 GiB. */
static json_t *device(unsigned n)
{
    json_int_t start = INT64_C(0x100000000) + (json_int_t)n * 0x4000;
    char bdf[PB_SBDF_TEXT];

    return json_pack("{s:s, s:s, s:s, s:i, s:[[I, I, i]]}", "bdf", address(n, bdf), "dump",
                     "nvme.txt", "driver", "nvme", "irq", 20, "resources", start, start + 0x3fff,
                     0x140204);
}

static json_t *scenario(unsigned count)
{
    json_t *devices = json_array(), *domains = json_array();

    for (unsigned n = 0; n < count; n++) {
        char name[16];

        name_of(n, name);
        (void)json_array_append_new(devices, device(n));
        (void)json_array_append_new(
            domains, json_pack("{s:i, s:s}", "id", (int)(FLEET_FIRST + n), "name", name));
    }
    return json_pack("{s:o, s:o, s:b}", "devices", devices, "domains", domains, "large", 1);
}

static void build_world(struct fleet *f)
{
    struct pb_json_error error = { 0 };
    json_t *value = scenario(f->count);
    SIM_AS_WORLD;

    f->w = sim_world_new();
    f->w->log.act = sim_command_act;
    if (!sim_scenario_apply(f->w, value, "fleet", SIM_DEVICES_DIR, &error))
        wrong("%s", error.text);
    sim_in_world = false;
    json_decref(value);
}

static void keep_journal(struct fleet *f)
{
    struct pb_journal_options options = { .boot = "11111111-2222-3333-4444-555555555555",
                                          .guests = f->count,
                                          .devices = f->count,
                                          .reserve_guests = 1,
                                          .reserve_devices = 1,
                                          .dir = f->dir };
    enum pb_journal_found found;
    struct pb_journal *journal;
    char why[300] = "";

    if (pb_journal_open(&options, &found, &journal, why, sizeof(why)) != 0)
        wrong("%s: %s", f->dir, why);
    pb_backend_use_journal(f->b, journal);
}

static void done(void *ctx, const struct pb_failure *failure)
{
    struct fleet *f = ctx;

    if (failure)
        wrong("%s: %s", failure->device, failure->reason);
    f->waiting--;
}

static void await(struct fleet *f, unsigned left)
{
    while (f->waiting > left)
        ev_run(f->loop, EVRUN_ONCE);
}

static struct pb_policy *policy_of(const struct fleet *f)
{
    struct pb_policy *policy = pb_policy_copy(f->b->policy);

    if (!policy)
        wrong("out of memory");
    return policy;
}

static void begin(struct fleet *f, struct pb_policy *policy)
{
    f->loop = ev_loop_new(EVFLAG_AUTO);
    f->host = sim_host_open(f->w, f->loop);
    f->xen = sim_xen_open(f->w, f->loop);
    if (pb_backend_new(f->loop, f->xen, f->host, policy, NULL, &f->b) != 0)
        wrong("out of memory");
    keep_journal(f);
    f->waiting = 1;
    pb_backend_start(f->b, done, f);
    await(f, 0);
}

static void end(struct fleet *f)
{
    pb_backend_free(f->b);
    f->xen->ops->close(f->xen);
    f->host->ops->close(f->host);
    ev_loop_destroy(f->loop);
}

struct fleet *fleet_open(unsigned count)
{
    struct fleet *f = calloc(1, sizeof(*f));
    struct pb_policy *policy = calloc(1, sizeof(*policy));

    if (!f || !policy)
        wrong("out of memory");
    if (!sim_memory_shared()) {
        sim_memory_serve_json();
        sim_memory_share();
    }
    pb_log_setup(PB_LOG_TEXT, PB_LOG_ERR);
    f->count = count;
    pb_policy_init(policy);
    policy->limits.guests = PB_LIMIT_MAX_guests;
    policy->limits.devices = PB_LIMIT_MAX_devices;
    (void)snprintf(f->dir, sizeof(f->dir), "%s", "/dev/shm/pcibackd-fleet-XXXXXX");
    if (!mkdtemp(f->dir))
        wrong("%s cannot be made", f->dir);
    build_world(f);
    begin(f, policy);
    return f;
}

void fleet_restart(struct fleet *f)
{
    struct pb_policy *policy = policy_of(f);

    end(f);
    begin(f, policy);
}

void fleet_close(struct fleet *f)
{
    char path[sizeof(f->dir) + 16];

    end(f);
    sim_world_free(f->w);
    (void)snprintf(path, sizeof(path), "%s/journal", f->dir);
    (void)unlink(path);
    (void)rmdir(f->dir);
    free(f);
}

/* --- verbs --- */

static bool is_idle(const struct fleet *f)
{
    return sim_world_idle(f->w) && TAILQ_EMPTY(&f->b->tasks);
}

void fleet_settle(struct fleet *f)
{
    for (bool idle = false; !idle;) {
        idle = is_idle(f);
        ev_run(f->loop, idle ? EVRUN_NOWAIT : EVRUN_ONCE);
        idle = idle && is_idle(f);
    }
}

uint64_t fleet_calls(const struct fleet *f)
{
    return f->w->log.entered;
}

static void all(struct fleet *f, unsigned first, unsigned count,
                void (*verb)(struct fleet *f, unsigned n))
{
    for (unsigned n = first; n < first + count; n++) {
        await(f, AT_ONCE - 1);
        f->waiting++;
        verb(f, n);
    }
    await(f, 0);
    fleet_settle(f);
}

static void claim(struct fleet *f, unsigned n)
{
    char bdf[PB_SBDF_TEXT];

    pb_backend_claim(f->b, address(n, bdf), false, done, f);
}

static void attach(struct fleet *f, unsigned n)
{
    const struct pb_attach_options options = { .wait_s = 5 };
    char bdf[PB_SBDF_TEXT], guest[12];

    sim_front_follow(f->w, sim_domain_find(f->w, FLEET_FIRST + n), true);
    (void)snprintf(guest, sizeof(guest), "%u", FLEET_FIRST + n);
    pb_backend_attach(f->b, guest, address(n, bdf), &options, done, f);
}

static void detach(struct fleet *f, unsigned n)
{
    char bdf[PB_SBDF_TEXT], guest[12];

    (void)snprintf(guest, sizeof(guest), "%u", FLEET_FIRST + n);
    pb_backend_detach(f->b, guest, address(n, bdf), false, done, f);
}

void fleet_claim(struct fleet *f, unsigned first, unsigned count)
{
    all(f, first, count, claim);
}

void fleet_attach(struct fleet *f, unsigned first, unsigned count)
{
    all(f, first, count, attach);
}

void fleet_detach(struct fleet *f, unsigned first, unsigned count)
{
    all(f, first, count, detach);
}

static void nothing_to_say(void *ctx, const struct pb_device_view *view,
                           const struct pb_profile *old_profile,
                           const struct pb_profile *new_profile)
{
    (void)ctx;
    (void)view;
    (void)old_profile;
    (void)new_profile;
}

static void commit(struct fleet *f, struct pb_policy *policy)
{
    struct pb_reload *reload =
        pb_backend_reload_begin(f->b, policy, pb_quirk_set_ref(pb_backend_quirks(f->b)));
    char why[300] = "out of memory";

    if (!reload ||
        pb_backend_reload_step(reload, UINT32_MAX, nothing_to_say, NULL, why, sizeof(why)) != 0)
        wrong("%s", why);
    pb_backend_reload_commit(reload);
}

void fleet_reload(struct fleet *f)
{
    commit(f, policy_of(f));
}

void fleet_assign(struct fleet *f)
{
    char bdf[PB_SBDF_TEXT], name[16];
    struct pb_policy *policy = policy_of(f);

    policy->assignments = calloc(f->count, sizeof(*policy->assignments));
    policy->assignment_count = f->count;
    for (unsigned n = 0; n < f->count; n++) {
        name_of(n, name);
        memcpy(policy->assignments[n].guest, name, sizeof(name));
        (void)address(n, bdf);
        memcpy(policy->assignments[n].device, bdf, sizeof(bdf));
        sim_front_follow(f->w, sim_domain_find(f->w, FLEET_FIRST + n), true);
    }
    commit(f, policy);
    fleet_settle(f);
}

/* --- accesses --- */

static int no_port(struct pb_xen *x, uint32_t port)
{
    (void)x;
    (void)port;
    return 0;
}

static enum pb_hw_when no_cycle(struct pb_host *h, struct pb_hw_cycle *c)
{
    (void)h;
    c->rc = 0;
    c->value = 0x00100406;
    return PB_HW_NOW;
}

void fleet_quiet(struct fleet *f)
{
    f->xen_ops = *f->xen->ops;
    f->host_ops = *f->host->ops;
    f->xen_ops.port_notify = f->xen_ops.port_unmask = no_port;
    f->host_ops.cycle_submit = no_cycle;
    f->xen->ops = &f->xen_ops;
    f->host->ops = &f->host_ops;
}

bool fleet_access(struct fleet *f, unsigned n)
{
    static const struct pb_op op = { .cmd = PB_CMD_CONF_READ, .offset = 4, .size = 4, .err = 99 };
    const struct sim_domain *dom = sim_domain_find(f->w, FLEET_FIRST + n);
    uint32_t port = pb_guest_find(f->b, FLEET_FIRST + n)->port;
    struct pb_op answer;

    memcpy((char *)dom->front.page->guest + PB_PAGE_OP, &op, sizeof(op));
    sim_front_set_flags(dom, SIM_FLAG_ACTIVE, 0);
    pb_serve_ports(f->b, &port, 1);
    memcpy(&answer, (char *)dom->front.page->guest + PB_PAGE_OP, sizeof(answer));
    return !(sim_front_flags(dom) & SIM_FLAG_ACTIVE) && answer.err == 0;
}

/* --- measuring --- */

uint64_t fleet_cpu_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

size_t fleet_heap(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static uint64_t step_until_it_stops(pid_t child)
{
    uint64_t steps = 0;
    int status = 0;

    do {
        if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0 ||
            waitpid(child, &status, 0) != child)
            wrong("it cannot be stepped");
        steps++;
    } while (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGSTOP)
        wrong("it ends while it is stepped");
    return steps;
}

uint64_t fleet_steps(void (*work)(struct fleet *f), struct fleet *f)
{
    pid_t child = fork();
    uint64_t steps;
    int status;

    if (child < 0)
        wrong("no process");
    if (child == 0) {
        (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        (void)raise(SIGSTOP);
        work(f);
        (void)raise(SIGSTOP);
        _exit(0);
    }
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
        wrong("it does not begin");
    steps = step_until_it_stops(child);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, &status, 0);
    return steps;
}
