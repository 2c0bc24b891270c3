/* SPDX-License-Identifier: MIT */
#include "daemon/daemon.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/backend.h"
#include "base/log.h"
#include "daemon/boot_rules.h"
#include "daemon/config.h"
#include "daemon/control.h"
#include "daemon/generation.h"
#include "daemon/journal_start.h"
#include "daemon/lock.h"
#include "daemon/names.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "daemon/privilege.h"
#include "daemon/reload.h"
#include "daemon/verbs.h"

struct daemon {
    const struct pb_platform *platform;
    struct pb_options options;
    struct pb_source source;
    struct pb_generation generation;
    struct ev_loop *loop;
    int lock;
    struct pb_journal *journal; /* the backend's once there is one */
    uint64_t began_ms;
    struct pb_host *host;
    struct pb_xen *xen;
    struct pb_backend *backend;
    struct pb_control *control;
    struct pb_verbs verbs;
    ev_signal term, interrupt, hangup;
    char summary[PB_GENERATION_TEXT], socket[PB_CONFIG_SOCKET_MAX + 1];
    bool started; /* requests may come */
    bool refused; /* the backend cannot work here */
    bool helper_gone;
    struct pb_user user; /* whom it becomes */
    bool hangup_waits;   /* for the start */
    bool over;           /* --detach-all has ended, and whether it did what it was asked for: */
    bool all_detached;
};

static void on_stop(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)events;
    pb_notice("stopping on signal %d; guests stay connected", watcher->signum);
    ev_break(loop, EVBREAK_ALL);
}

static void on_hangup(struct ev_loop *loop, ev_signal *watcher, int events)
{
    struct daemon *d = watcher->data;

    (void)loop;
    (void)events;
    if (d->started)
        pb_reloader_hangup(d->verbs.reloader);
    else
        d->hangup_waits = true;
}

static void watch_signal(struct daemon *d, ev_signal *watcher, int number,
                         void (*callback)(struct ev_loop *, ev_signal *, int))
{
    ev_signal_init(watcher, callback, number);
    watcher->data = d;
    ev_signal_start(d->loop, watcher);
}

/* A closed stdin, stdout or stderr would become a device's descriptor, and a log line a write to
 * it. */
static bool open_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        (void)close(fd);
    return fd >= 0;
}

/*
 * No other helper can be started: exec is over with root. What was asked of it stays unanswered, so
 * that nothing is undone or given up for it; a new daemon finds what is in the journal.
 */
static void on_helper_gone(void *ctx)
{
    struct daemon *d = ctx;

    pb_err("the helper process is gone: ending, so that a new start brings another; guests stay "
           "connected");
    d->helper_gone = true;
    ev_break(d->loop, EVBREAK_ALL);
}

/* What devices may be claimed for, as the configuration says at the start. */
static const char **list_drivers(const struct pb_policy *policy)
{
    const char **drivers = calloc(policy->device_count + 1, sizeof(*drivers));

    for (size_t i = 0; drivers && i < policy->device_count; i++)
        drivers[i] = policy->devices[i].driver;
    return drivers;
}

static bool start_host(struct daemon *d)
{
    const struct pb_config *config = d->generation.config;
    const char **drivers = list_drivers(config->policy);
    char self[PATH_MAX], *config_dir;
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    int rc = drivers ? 0 : -ENOMEM;

    if (length < 0) {
        pb_err("cannot find this program's path: %s; is /proc mounted?", strerror(errno));
        free(drivers);
        return false;
    }
    self[length] = '\0';
    config_dir = pb_config_dir(d->options.config);
    if (rc == 0) {
        const struct pb_host_options options = {
            .config_dir = config_dir ? config_dir : "",
            .run_dir = config->state_dir,
            .uid = d->user.uid,
            .plugin_dirs = (const char *const *)config->plugin_dirs.word,
            .plugin_dir_count = config->plugin_dirs.count,
            .drivers = drivers,
            .driver_count = config->policy->device_count,
            .self = self,
        };

        rc = d->platform->open_host(d->loop, &options, &d->host);
    }
    free(config_dir);
    free(drivers);
    if (rc != 0) {
        pb_err("cannot start the helper process: %s; it needs root and a mounted /sys",
               strerror(-rc));
        d->host = NULL;
        return false;
    }
    d->host->gone = on_helper_gone;
    d->host->gone_ctx = d;
    return true;
}

/* What follows has threads. */
static bool bound_privileges(struct daemon *d)
{
    int rc = d->platform->drops_root ? pb_privilege_bound() : 0;

    if (rc != 0)
        pb_err("cannot give capabilities up: %s; CAP_SETPCAP is needed", strerror(-rc));
    return rc == 0;
}

/* Everything that takes root is open. */
static bool drop_privileges(struct daemon *d, const struct pb_config *config)
{
    char why[300];

    if (!d->platform->drops_root)
        return true;
    if (pb_privilege_drop(&d->user, d->platform->ioctls, why, sizeof(why)) != 0) {
        pb_err("cannot give root up: %s", why);
        return false;
    }
    pb_privilege_check_files(d->options.config, config);
    return true;
}

static bool start_xen(struct daemon *d)
{
    const char *what = "the hypervisor";
    int rc = d->platform->open_xen(d->loop, &d->xen, &what);

    if (rc != 0) {
        pb_err("cannot open %s: %s; run in a Xen control domain with xenfs and xenstored up", what,
               strerror(-rc));
        d->xen = NULL;
    }
    return rc == 0;
}

/*
 * What takes longest of the start: meanwhile the helper gets ready, and the store's thread. A
 * manifest that is wrong is left out, and must not keep the others' devices from guests.
 */
static bool load_quirks(struct daemon *d)
{
    pb_generation_load_quirks(&d->source, &d->generation);
    if (!d->generation.config) {
        pb_err("%s", d->generation.error.text);
        return false;
    }
    pb_generation_log(&d->generation);
    (void)pb_generation_summary(d->generation.quirks, d->summary);
    return true;
}

static bool start_backend(struct daemon *d)
{
    const struct pb_policy *in_force = d->generation.config->policy;
    struct pb_policy *policy = pb_policy_copy(in_force);
    int rc = -ENOMEM;

    d->verbs.limits = in_force->limits;
    if (policy)
        rc = pb_backend_new(d->loop, d->xen, d->host, policy, d->generation.quirks, &d->backend);
    if (rc == 0) {
        d->generation.quirks = NULL; /* the backend's now, as the policy */
        pb_backend_began(d->backend, d->began_ms);
        pb_backend_use_journal(d->backend, d->journal);
        if (d->options.detach_all)
            pb_backend_only_serve(d->backend);
        d->journal = NULL;
        return true;
    }
    pb_err("cannot start the backend: %s", strerror(-rc));
    d->backend = NULL;
    if (policy)
        pb_policy_free(policy);
    free(policy);
    return false;
}

/* Takes the configuration over: it is what later ones are compared with. */
static bool start_reloader(struct daemon *d)
{
    struct pb_reloader_options options = { .loop = d->loop,
                                           .source = d->source,
                                           .verbs = &d->verbs };

    d->verbs.backend = d->backend;
    d->verbs.reloader = pb_reloader_new(&options, d->generation.config);
    if (!d->verbs.reloader) {
        pb_err("cannot start: %s", strerror(ENOMEM));
        return false;
    }
    d->generation.config = NULL;
    return true;
}

static bool start_control(struct daemon *d)
{
    struct pb_control_options options = {
        .path = d->generation.config->socket,
        .group = d->generation.config->group,
        .limits = &d->verbs.limits,
        .held = true,
        .message = pb_verbs_message,
        .ctx = &d->verbs,
    };
    char why[300];

    d->verbs.names = pb_names_open();
    d->verbs.started_ms = pb_now_ms();
    if (pb_control_open(d->loop, &options, &d->control, why, sizeof(why)) != 0) {
        pb_err("control: %s; see `control` in the configuration", why);
        d->control = NULL;
        return false;
    }
    d->verbs.control = d->control;
    return true;
}

static bool take_lock(struct daemon *d)
{
    char why[300];

    d->lock = pb_lock_take(d->generation.config->state_dir, why, sizeof(why));
    if (d->lock == -EBUSY)
        pb_err("%s; stop it first", why);
    else if (d->lock < 0)
        pb_err("%s; see `state_dir` in the configuration", why);
    return d->lock >= 0;
}

static bool open_journal(struct daemon *d)
{
    const char *boot = d->platform->boot_id ? d->platform->boot_id() : "";

    d->journal = pb_journal_start(d->generation.config, boot, d->platform->any_owner);
    return d->journal != NULL;
}

/* A claimed device has one open; the usual 1024 are meant for users of select(). */
static void allow_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* else a claim says that there are no more */
    }
}

/* In this order: the helper is exec'ed before a descriptor of Xen's exists (H5). */
static bool start(struct daemon *d)
{
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes is an error like a full disk */
    allow_descriptors();
    if (d->platform->drops_root && !pb_privilege_user(&d->user))
        return false;
    if (!take_lock(d) || !open_journal(d))
        return false;
    d->loop = ev_default_loop(EVFLAG_AUTO);
    if (!d->loop) {
        pb_err("cannot create the event loop: %s", strerror(errno));
        return false;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    watch_signal(d, &d->term, SIGTERM, on_stop);
    watch_signal(d, &d->interrupt, SIGINT, on_stop);
    watch_signal(d, &d->hangup, SIGHUP, on_hangup);
    return start_host(d) && bound_privileges(d) && start_xen(d) && load_quirks(d) &&
           start_backend(d) && start_control(d) && drop_privileges(d, d->generation.config) &&
           start_reloader(d);
}

/* Guests stay connected: xenstore is left as it is, and Xen keeps what they have. */
static void stop(struct daemon *d)
{
    if (d->control)
        pb_control_quiesce(d->control); /* no verb may find a backend that is half gone */
    pb_reloader_free(d->verbs.reloader);
    if (d->backend)
        pb_backend_free(d->backend);
    pb_journal_close(d->journal);
    pb_control_close(d->control);
    if (d->xen)
        d->xen->ops->close(d->xen);
    if (d->host)
        d->host->ops->close(d->host);
    pb_names_close(d->verbs.names);
    if (d->loop) {
        ev_signal_stop(d->loop, &d->term);
        ev_signal_stop(d->loop, &d->interrupt);
        ev_signal_stop(d->loop, &d->hangup);
        ev_loop_destroy(d->loop);
    }
    if (d->lock >= 0)
        (void)close(d->lock);
}

static void on_detached(void *ctx, const struct pb_detached *result)
{
    struct daemon *d = ctx;

    if (result->kept)
        pb_err(
            "%u device%s came back, %u did not; see above, then `pcibackctl detach --force` with "
            "the daemon running, or end those guests",
            result->taken, result->taken == 1 ? "" : "s", result->kept);
    else
        pb_notice("%u device%s came back; no guest has one", result->taken,
                  result->taken == 1 ? "" : "s");
    d->all_detached = result->kept == 0;
    d->over = true;
    ev_break(d->loop, EVBREAK_ALL);
}

static void detach_all(struct daemon *d)
{
    int rc = pb_backend_detach_all(d->backend, on_detached, d);

    if (rc == 0)
        return;
    pb_err("cannot take devices back: %s", strerror(-rc));
    d->over = true;
    ev_break(d->loop, EVBREAK_ALL);
}

/* Until now nobody was answered: what was claimed before is known only now. */
static void backend_started(void *ctx, const struct pb_failure *failure)
{
    struct daemon *d = ctx;
    char status[PB_GENERATION_TEXT + 32];

    if (failure) {
        pb_err("cannot start: %s%s%s", failure->reason, failure->next[0] ? "; " : "",
               failure->next);
        d->refused = true;
        ev_break(d->loop, EVBREAK_ALL);
        return;
    }
    if (d->options.detach_all) {
        detach_all(d);
        return;
    }
    d->started = true;
    pb_control_serve(d->control);
    pb_notice("pcibackd %s serves; control socket %s; %s", PB_VERSION, d->socket, d->summary);
    (void)snprintf(status, sizeof(status), "generation %llu: %s",
                   (unsigned long long)pb_backend_generation(d->backend), d->summary);
    pb_notify_ready(status);
    if (d->hangup_waits)
        pb_reloader_hangup(d->verbs.reloader);
}

static bool serve(struct daemon *d)
{
    pb_backend_start(d->backend, backend_started, d);
    if (!d->refused && !d->helper_gone && !d->over)
        ev_run(d->loop, 0);
    pb_notify_stopping();
    return !d->refused && (!d->options.detach_all || d->all_detached);
}

static int run(struct daemon *d)
{
    bool started;

    (void)snprintf(d->socket, sizeof(d->socket), "%s", d->generation.config->socket);
    started = start(d) && serve(d);
    stop(d);
    if (d->helper_gone)
        return PB_EXIT_HELPER;
    return started ? 0 : 1;
}

static int check_config(struct daemon *d)
{
    const struct pb_generation *generation = &d->generation;
    char summary[PB_GENERATION_TEXT];

    pb_generation_load_quirks(&d->source, &d->generation);
    pb_generation_log(generation);
    if (pb_generation_errors(generation) > 0)
        return 1;
    if (generation->config->files_read == 0)
        (void)printf("%s: absent, the defaults are used\n", d->options.config);
    else
        (void)printf("%s: valid, %u file%s read\n", d->options.config,
                     generation->config->files_read,
                     generation->config->files_read == 1 ? "" : "s");
    (void)printf("%s\n", pb_generation_summary(generation->quirks, summary));
    return fflush(stdout) == 0 ? 0 : 1;
}

static int print_boot_rules(const struct daemon *d)
{
    int rc = pb_boot_rules_print(d->generation.config->policy, stdout);

    if (rc != 0)
        pb_err("the rules cannot be written: %s", strerror(-rc));
    return rc == 0 ? 0 : 1;
}

static int run_with_files(struct daemon *d)
{
    int status = 1;

    d->source = (struct pb_source){ .config_path = d->options.config,
                                    .config_required = d->options.config_required,
                                    .any_owner = d->platform->any_owner,
                                    .any_config_owner = d->platform->any_owner || geteuid() != 0 };
    pb_generation_load_config(&d->source, &d->generation);
    pb_log_setup(d->options.log_format, d->options.log_level);
    if (!d->generation.config)
        pb_err("%s; correct it and try again", d->generation.error.text);
    else if (d->options.boot_rules)
        status = print_boot_rules(d);
    else
        status = d->options.check_config ? check_config(d) : run(d);
    pb_generation_fini(&d->generation);
    return status;
}

int pb_daemon_run(int argc, char **argv, const struct pb_platform *platform)
{
    struct daemon d = { .platform = platform, .lock = -1, .began_ms = pb_now_ms() };

    if (!open_standard_descriptors())
        return 1;
    (void)umask(022);
    if (!pb_options_parse(argc, argv, platform, &d.options))
        return 2;
    if (d.options.help) {
        pb_options_usage(platform);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    if (d.options.version) {
        (void)printf("%s %s\n", platform->name, PB_VERSION);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    return run_with_files(&d);
}
