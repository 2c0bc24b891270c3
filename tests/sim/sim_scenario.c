/* SPDX-License-Identifier: MIT */
#include "sim_scenario.h"

#include "sim_command.h"
#include "sim_world.h"

#define FILE_MAX (4u << 20)

static void load_device(struct sim_world *w, const struct pb_json *at, const char *dump_dir)
{
    struct sim_device *dev = sim_device_new(at, dump_dir);

    if (!dev)
        return;
    if (sim_device_find(w, dev->sbdf))
        pb_json_fail(at, "%s stands here twice", dev->text);
    sim_device_add(w, dev);
}

static void load_domain(struct sim_world *w, const struct pb_json *at)
{
    static const char *const keys[] = { "id", "name", "hvm", "passthrough", NULL };
    uint32_t domid;

    if (!pb_json_object(at, keys))
        return;
    domid = (uint32_t)sim_number(at, "id", 1, 0x7fef, 0);
    if (domid == 0 ||
        !sim_domain_create(w, domid, sim_text(at, "name", "guest"), sim_bool(at, "hvm", false),
                           sim_bool(at, "passthrough", true)))
        pb_json_fail(at, "needs an id of its own");
}

/* What happens before the daemon looks at this world for the first time. */
static void run_command(struct sim_world *w, const struct pb_json *at)
{
    json_t *reply = sim_command_run(w, at->value, NULL);

    if (!json_object_get(reply, "ok"))
        pb_json_fail(at, "%s", json_string_value(json_object_get(reply, "error")));
    json_decref(reply);
}

bool sim_scenario_apply(struct sim_world *w, const json_t *value, const char *source,
                        const char *dump_dir, struct pb_json_error *error)
{
    static const char *const keys[] = {
        "devices",      "domains", "quarantine",         "msi_pirqs", "job_delay_ms",
        "kernel_takes", "large",   "kernel_takes_domid", "do",        NULL
    };
    struct pb_json root = pb_json_root(value, source, error);
    struct pb_json devices = pb_json_member(&root, "devices");
    struct pb_json domains = pb_json_member(&root, "domains");
    struct pb_json commands = pb_json_member(&root, "do");

    w->dump_dir = dump_dir;
    if (!pb_json_object(&root, keys))
        return false;
    w->large = sim_bool(&root, "large", false);
    for (size_t i = 0; i < pb_json_array(&devices); i++) {
        struct pb_json at = pb_json_element(&devices, i);

        load_device(w, &at, dump_dir);
    }
    for (size_t i = 0; i < pb_json_array(&domains); i++) {
        struct pb_json at = pb_json_element(&domains, i);

        load_domain(w, &at);
    }
    w->quarantine = sim_bool(&root, "quarantine", true);
    w->msi_pirqs = (uint32_t)sim_number(&root, "msi_pirqs", 0, SIM_PIRQS_MAX - w->gsi_count, 32);
    w->job_delay_ms = (unsigned)sim_number(&root, "job_delay_ms", 0, 60000, 0);
    w->kernel_takes = sim_bool(&root, "kernel_takes", false);
    w->kernel_takes_domid = (uint32_t)sim_number(&root, "kernel_takes_domid", 0, 0x7fef, 0);
    for (size_t i = 0; !error->set && i < pb_json_array(&commands); i++) {
        struct pb_json at = pb_json_element(&commands, i);

        run_command(w, &at);
    }
    return !error->set;
}

bool sim_scenario_load(struct sim_world *w, const char *path, const char *dump_dir,
                       struct pb_json_error *error)
{
    json_t *value = pb_json_load(path, FILE_MAX, true, error);
    bool ok = value && sim_scenario_apply(w, value, path, dump_dir, error);

    json_decref(value);
    return ok;
}
