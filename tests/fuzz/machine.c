/* SPDX-License-Identifier: MIT */
#include "machine.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "backend/journal.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "sim_command.h"
#include "sim_scenario.h"

/* ---- time --------------------------------------------------------------------------------------
 */

#define LOOK_NS 20000u /* what a look at the clock takes: loops that wait for it end */

static uint64_t now_ns = UINT64_C(1000000000000);

/* In place of the C library's, for libev and the daemon. */
int clock_gettime(clockid_t id, struct timespec *ret)
{
    if (id != CLOCK_MONOTONIC)
        return (int)syscall(SYS_clock_gettime, id, ret);
    now_ns += LOOK_NS;
    ret->tv_sec = (time_t)(now_ns / 1000000000u);
    ret->tv_nsec = (long)(now_ns % 1000000000u);
    return 0;
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    if (timeout_ms > 0)
        now_ns += (uint64_t)timeout_ms * 1000000u;
    return (int)syscall(SYS_poll, fds, count, 0);
}

static void time_is_up(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)timer;
    (void)events;
    ev_break(loop, EVBREAK_ONE);
}

void machine_run(struct machine *m, unsigned ms)
{
    ev_timer timer;

    ev_now_update(m->loop);
    ev_timer_init(&timer, time_is_up, ms / 1000.0, 0.);
    ev_timer_start(m->loop, &timer);
    ev_run(m->loop, 0);
    ev_timer_stop(m->loop, &timer);
    sim_log_clear(&m->w->log);
}

void machine_finish(struct machine *m)
{
    for (unsigned seconds = 0; m->verbs > 0; seconds++) {
        PB_ASSERT(seconds < 120 && "a verb does not end");
        machine_run(m, 1000);
    }
}

/* ---- the world ---------------------------------------------------------------------------------
 */

static const char scenario[] =
    "{\"devices\":[{\"bdf\":\"" MACHINE_NIC "\",\"dump\":\"e1000e.txt\",\"driver\":\"e1000e\","
    "\"irq\":21,\"resources\":[[4271013888,4271144959,262656],[4271144960,4271276031,262656],"
    "[49216,49247,262401],[4271276032,4271292415,262656]]},"
    "{\"bdf\":\"" MACHINE_DISK "\",\"dump\":\"nvme.txt\",\"driver\":\"nvme\",\"irq\":20,"
    "\"resources\":[[4271308800,4271325183,1311236]]}],"
    "\"domains\":[{\"id\":5,\"name\":\"netvm\"},{\"id\":6,\"name\":\"other\"}]}";

static void apply(struct sim_world *w)
{
    struct pb_json_error error = { 0 };
    json_t *value = pb_json_parse(scenario, sizeof(scenario) - 1, NULL, &error);
    bool ok = value && sim_scenario_apply(w, value, NULL, SIM_DEVICES_DIR, &error);

    if (!ok)
        (void)fprintf(stderr, "%s\n", error.text);
    PB_ASSERT(ok);
    json_decref(value);
}

static struct pb_policy *policy_of(const struct machine_options *options)
{
    struct pb_policy *policy = malloc(sizeof(*policy));
    struct pb_sbdf nic;

    PB_ASSERT(policy && pb_sbdf_parse(MACHINE_NIC, &nic));
    pb_policy_init(policy);
    policy->xl_mode = options->xl_mode;
    policy->topology = options->topology;
    policy->busy_poll_us = options->no_polling ? 0 : PB_BUSY_POLL_US;
    policy->limits.attach_timeout_ms = 3000;
    policy->limits.detach_timeout_ms = 600;
    policy->limits.reset_timeout_ms = 1000;
    policy->devices = malloc(sizeof(*policy->devices));
    PB_ASSERT(policy->devices);
    policy->devices[0] = pb_policy_device_default(nic);
    policy->devices[0].permissive = options->permissive;
    policy->devices[0].allow_interrupt_control = options->allow_interrupt_control;
    policy->device_count = 1;
    return policy;
}

void machine_verb_done(void *ctx, const struct pb_failure *failure)
{
    struct machine *m = ctx;

    m->failed = failure != NULL;
    m->verbs--;
}

/* ---- the daemon --------------------------------------------------------------------------------
 */

static char state_dir[] = "/tmp/pcibackd-fuzz-XXXXXX";
static bool has_state_dir;

static void remove_journal(void)
{
    static const char *const names[] = { "journal", "journal.new", "journal.bad" };
    char path[64];

    for (size_t i = 0; i < PB_ARRAY_SIZE(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", state_dir, names[i]);
        (void)unlink(path);
    }
}

static void remove_state_dir(void)
{
    remove_journal();
    (void)rmdir(state_dir);
}

static void make_state_dir(void)
{
    if (!has_state_dir) {
        PB_ASSERT(mkdtemp(state_dir));
        has_state_dir = true;
        (void)atexit(remove_state_dir);
    }
    remove_journal();
}

static void use_journal(struct machine *m, bool again)
{
    const struct pb_journal_options options = {
        .dir = state_dir, .boot = "11111111-2222-3333-4444-555555555555", .guests = 4, .devices = 4
    };
    enum pb_journal_found found;
    struct pb_journal *j = NULL;
    char why[300] = "";

    if (pb_journal_open(&options, &found, &j, why, sizeof(why)) != 0)
        (void)fprintf(stderr, "%s\n", why);
    PB_ASSERT(j && found == (again ? PB_JOURNAL_FOUND_KEPT : PB_JOURNAL_FOUND_NEW));
    pb_backend_use_journal(m->b, j);
}

static void start(struct machine *m, bool again)
{
    PB_ASSERT(pb_backend_new(m->loop, m->xen, m->host, policy_of(&m->options), NULL, &m->b) == 0);
    if (m->options.journal)
        use_journal(m, again);
    m->verbs++;
    pb_backend_start(m->b, machine_verb_done, m);
    machine_finish(m);
    PB_ASSERT(!m->failed);
}

struct machine *machine_new(const struct machine_options *options)
{
    struct machine *m = calloc(1, sizeof(*m));

    PB_ASSERT(m);
    m->options = *options;
    m->loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_POLL);
    m->w = sim_world_new();
    m->w->log.act = sim_command_act;
    apply(m->w);
    m->host = sim_host_open(m->w, m->loop);
    m->xen = sim_xen_open(m->w, m->loop);
    if (options->journal)
        make_state_dir();
    start(m, false);
    return m;
}

void machine_restart(struct machine *m)
{
    struct sim_device *dev;

    PB_ASSERT(m->options.journal);
    pb_backend_free(m->b);
    PB_ASSERT(m->verbs == 0);
    /* One table is always open: the world goes on. */
    m->host->ops->close(m->host);
    m->host = sim_host_open(m->w, m->loop);
    m->xen->ops->close(m->xen);
    m->xen = sim_xen_open(m->w, m->loop);
    TAILQ_FOREACH (dev, &m->w->devices, link)
        dev->resetting = false; /* what the helper began has ended meanwhile */
    start(m, true);
}

void machine_free(struct machine *m)
{
    pb_backend_free(m->b);
    m->xen->ops->close(m->xen);
    m->host->ops->close(m->host);
    sim_world_free(m->w);
    ev_loop_destroy(m->loop);
    free(m);
}

bool machine_do(struct machine *m, const char *command)
{
    struct pb_json_error error = { 0 };
    json_t *message = pb_json_parse(command, strlen(command), NULL, &error), *reply;
    bool ok;

    PB_ASSERT(message);
    reply = sim_command_run(m->w, message, NULL);
    ok = json_object_get(reply, "ok") != NULL;
    json_decref(reply);
    json_decref(message);
    return ok;
}

bool machine_connect(struct machine *m, unsigned domid, const char *dev)
{
    struct pb_attach_options options = { .claim = true, .wait_s = 5 };
    char guest[12];

    (void)snprintf(guest, sizeof(guest), "%u", domid);
    sim_front_follow(m->w, sim_domain_find(m->w, domid), true);
    m->verbs++;
    pb_backend_attach(m->b, guest, dev, &options, machine_verb_done, m);
    machine_finish(m);
    return !m->failed;
}

/* ---- what always holds -------------------------------------------------------------------------
 */

void machine_check(const struct machine *m)
{
    PB_ASSERT(json_array_size(m->w->log.violations) == 0);
}

static void nothing_in(const json_t *leaks, const char *kind)
{
    const json_t *list = json_object_get(leaks, kind);
    char *text;

    if (json_array_size(list) == 0)
        return;
    text = json_dumps(list, JSON_INDENT(1));
    (void)fprintf(stderr, "%s left behind: %s\n", kind, text);
    free(text);
    PB_ASSERT(json_array_size(list) == 0);
}

void machine_check_clean(struct machine *m, bool nodes)
{
    struct sim_domain *dom, *next;
    json_t *leaks;

    for (dom = TAILQ_FIRST(&m->w->domains); dom; dom = next) {
        next = TAILQ_NEXT(dom, link);
        sim_domain_destroy(m->w, dom, true);
    }
    machine_run(m, 20000);
    machine_finish(m);
    machine_check(m);
    leaks = sim_report_leaks(m->w);
    nothing_in(leaks, "permissions");
    nothing_in(leaks, "pirqs");
    nothing_in(leaks, "ports");
    nothing_in(leaks, "pages");
    if (nodes)
        nothing_in(leaks, "nodes");
    json_decref(leaks);
}
