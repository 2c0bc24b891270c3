/* SPDX-License-Identifier: MIT */
/* What survives the daemon's end: a test may start another one in the same world. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "sim_kernel.h"
#include "sim_world.h"

static json_t *config_text(const struct sim_device *dev)
{
    char hex[2 * PB_CONFIG_SIZE_PCIE + 1];

    for (unsigned i = 0; i < dev->facts.config_size; i++)
        (void)snprintf(hex + 2 * (size_t)i, 3, "%02x", dev->config[i]);
    return json_string(hex);
}

void sim_state_save(const struct sim_world *w)
{
    const struct sim_device *dev;
    char path[4096];
    json_t *state;

    if (!w->state_path)
        return;
    state = json_object();
    TAILQ_FOREACH (dev, &w->devices, link) {
        (void)json_object_set_new(
            state, dev->text,
            json_pack("{s:b, s:s, s:s, s:s, s:i, s:b, s:i, s:b, s:b, s:o}", "gone",
                      dev->gone ? 1 : 0, "driver", dev->driver, "override", dev->override,
                      "host_driver", dev->host_driver, "host_command", (int)dev->host_command,
                      "claimed", dev->claimed ? 1 : 0, "owner", (int)dev->owner, "quarantined",
                      dev->quarantined ? 1 : 0, "prepared", dev->prepared ? 1 : 0, "config",
                      config_text(dev)));
    }
    /* whole at any time: a test may kill us while it is written */
    (void)snprintf(path, sizeof(path), "%s.new", w->state_path);
    if (json_dump_file(state, path, JSON_INDENT(1)) != 0 || rename(path, w->state_path) != 0)
        (void)fprintf(stderr, "sim: %s cannot be written\n", w->state_path);
    json_decref(state);
}

static void text(const json_t *at, const char *key, char *buf, size_t size)
{
    const char *value = json_string_value(json_object_get(at, key));

    (void)snprintf(buf, size, "%s", value ? value : "");
}

static void load_config(struct sim_device *dev, const char *hex)
{
    char pair[3] = "";

    for (unsigned i = 0; hex && i < dev->facts.config_size && 2 * (size_t)i + 1 < strlen(hex);
         i++) {
        memcpy(pair, hex + 2 * (size_t)i, 2);
        dev->config[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
}

static void load_device(struct sim_device *dev, const json_t *at)
{
    dev->gone = json_is_true(json_object_get(at, "gone"));
    dev->claimed = json_is_true(json_object_get(at, "claimed"));
    dev->quarantined = json_is_true(json_object_get(at, "quarantined"));
    dev->prepared = json_is_true(json_object_get(at, "prepared"));
    dev->owner = (uint32_t)json_integer_value(json_object_get(at, "owner"));
    text(at, "driver", dev->driver, sizeof(dev->driver));
    text(at, "override", dev->override, sizeof(dev->override));
    dev->host_command = (uint16_t)json_integer_value(json_object_get(at, "host_command"));
    text(at, "host_driver", dev->host_driver, sizeof(dev->host_driver));
    load_config(dev, json_string_value(json_object_get(at, "config")));
}

void sim_state_load(struct sim_world *w, const char *path)
{
    json_t *state = json_load_file(path, 0, NULL);
    struct sim_device *dev;

    w->state_path = path;
    if (!state)
        return;
    TAILQ_FOREACH (dev, &w->devices, link) {
        const json_t *at = json_object_get(state, dev->text);

        if (at)
            load_device(dev, at);
    }
    json_decref(state);
}
