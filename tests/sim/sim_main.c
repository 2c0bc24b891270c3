/* SPDX-License-Identifier: MIT */
/* pcibackd-sim: the daemon over simulated tables. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/daemon.h"
#include "sim_command.h"
#include "sim_kernel.h"
#include "sim_life.h"
#include "sim_scenario.h"
#include "sim_world.h"

#ifndef SIM_DEVICES_DIR
#define SIM_DEVICES_DIR "."
#endif

#define ARGUMENTS_MAX 32

static const char *scenario_path, *socket_path, *state_path, *boot;
static bool supervised;
static struct sim_world *world;
static struct sim_server *server;

static enum pb_option_use option(const char *name, const char *value)
{
    const char **place;

    if (strcmp(name, "--supervise") == 0) {
        supervised = true;
        return PB_OPTION_FLAG;
    }
    if (strcmp(name, "--scenario") == 0)
        place = &scenario_path;
    else if (strcmp(name, "--sim-socket") == 0)
        place = &socket_path;
    else if (strcmp(name, "--sim-state") == 0)
        place = &state_path;
    else if (strcmp(name, "--sim-boot") == 0)
        place = &boot;
    else
        return PB_OPTION_UNKNOWN;
    if (!value) {
        (void)fprintf(stderr, "pcibackd-sim: %s needs a value\n", name);
        return PB_OPTION_BAD;
    }
    *place = value;
    return PB_OPTION_WITH_VALUE;
}

/* Two hosts share the directory of a test, one after the other. */
static const char *boot_id(void)
{
    return boot ? boot : "simulated";
}

static int open_world(void)
{
    struct pb_json_error error = { 0 };
    SIM_AS_WORLD;

    world = sim_world_new();
    world->log.act = sim_command_act;
    if (scenario_path && !sim_scenario_load(world, scenario_path, SIM_DEVICES_DIR, &error)) {
        (void)fprintf(stderr, "pcibackd-sim: %s\n", error.text);
        return -EINVAL;
    }
    if (state_path)
        sim_state_load(world, state_path);
    if (socket_path) {
        server = sim_server_new(world, socket_path);
        if (!server) {
            int rc = -errno;

            (void)fprintf(stderr, "pcibackd-sim: %s: %s\n", socket_path, strerror(-rc));
            return rc;
        }
    }
    return 0;
}

static int open_host(struct ev_loop *loop, const struct pb_host_options *options,
                     struct pb_host **ret)
{
    SIM_AS_WORLD;
    int rc = world ? 0 : open_world();

    if (rc != 0)
        return rc;
    sim_free(world->config_dir);
    world->config_dir = options->config_dir[0] ? sim_strdup(options->config_dir) : NULL;
    *ret = sim_host_open(world, loop);
    return 0;
}

static int open_xen(struct ev_loop *loop, struct pb_xen **ret, const char **ret_what)
{
    SIM_AS_WORLD;

    *ret_what = "the simulated hypervisor";
    *ret = sim_xen_open(world, loop);
    return 0;
}

struct arguments {
    int argc;
    char **argv;
};

static int run(void *ctx)
{
    static const struct pb_platform platform = {
        .name = "pcibackd-sim",
        .extra_usage =
            "  --scenario FILE    devices and domains of the simulated host\n"
            "  --sim-socket PATH  where tests drive the simulated host\n"
            "  --sim-state FILE   what of it survives the daemon's end\n"
            "  --sim-boot ID      the boot of the host that it stands for\n"
            "  --supervise        the host survives the daemon, which is started again\n",
        .any_owner = true,
        .option = option,
        .boot_id = boot_id,
        .open_host = open_host,
        .open_xen = open_xen,
    };
    const struct arguments *arguments = ctx;
    char *argv[ARGUMENTS_MAX + 2], more[sizeof(world->next_argument)];
    int argc = arguments->argc;

    if (!world || !world->next_argument[0] || argc > ARGUMENTS_MAX)
        return pb_daemon_run(argc, arguments->argv, &platform);
    memcpy(argv, arguments->argv, (size_t)argc * sizeof(*argv));
    memcpy(more, world->next_argument, sizeof(more));
    world->next_argument[0] = '\0';
    argv[argc++] = more;
    argv[argc] = NULL;
    return pb_daemon_run(argc, argv, &platform);
}

static int supervise(struct arguments *arguments)
{
    for (int i = 1; i < arguments->argc; i++)
        (void)option(arguments->argv[i], arguments->argv[i + 1]);
    sim_memory_share();
    if (open_world() != 0)
        return 1;
    return sim_life_supervise(world, run, arguments);
}

int main(int argc, char **argv)
{
    struct arguments arguments = { argc, argv };
    int status;

    sim_memory_serve_json();
    for (int i = 1; i < argc; i++)
        supervised = supervised || strcmp(argv[i], "--supervise") == 0;
    status = supervised ? supervise(&arguments) : run(&arguments);
    if (supervised && sim_life_child())
        return status;
    if (server)
        sim_server_free(server);
    if (world)
        sim_world_free(world);
    return status;
}
