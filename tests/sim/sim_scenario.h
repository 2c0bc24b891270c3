/* SPDX-License-Identifier: MIT */
/*
 * The world at its beginning, from JSON:
 *
 *     { "devices": [ { "bdf": "0000:00:05.0", "dump": "e1000e.txt", "driver": "e1000e", "irq": 21,
 *                      "resources": [ [start, end, flags], ... ], "reset": "flr bus",
 *                      "present": true, "virtual_function": false, "patch": [[offset, size,
 * value]], "native": "e1000e" (what the kernel binds by itself; else "driver"), "path": "…",
 * "port": "…", "uses": ["root", …], "uses_text": "…", "physical_function": "BDF",
 * "virtual_functions": 0, "neighbours": [ { "bdf": "…", "shares": ["reset", …], "driver": "…" } ],
 *                      "assignable": false (true: xl pci-assignable-add was there) } ],
 *       "domains": [ { "id": 5, "name": "netvm", "hvm": false, "passthrough": true } ],
 *       "quarantine": true, "msi_pirqs": 32, "job_delay_ms": 0,
 *       "kernel_takes": false, "kernel_takes_domid": 0 (all), "large": false (see sim_world.h),
 *       "do": [ { "do": COMMAND, … } ]  (of sim_command.h: what happened before the daemon starts)
 * }
 *
 * A neighbour's driver is the one that it has, if it is a device of the scenario.
 */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "base/json.h"

struct sim_world;

/* False with ERROR set. Dumps are looked for in DUMP_DIR. */
bool sim_scenario_load(struct sim_world *w, const char *path, const char *dump_dir,
                       struct pb_json_error *error);
bool sim_scenario_apply(struct sim_world *w, const json_t *value, const char *source,
                        const char *dump_dir, struct pb_json_error *error);

#endif
