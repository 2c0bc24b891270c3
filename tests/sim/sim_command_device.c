/* SPDX-License-Identifier: MIT */
/* Commands for devices: what their hardware does, and what they are. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "sim_command.h"
#include "sim_kernel.h"
#include "sim_world.h"

#define KEYS(...) ((const char *const[]){ "do", "device", __VA_ARGS__, NULL })
#define NO_KEYS   ((const char *const[]){ "do", "device", NULL })

static json_t *device(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    const struct sim_device *dev = sim_device_at(w, at);
    json_t *report;

    (void)client;
    if (!dev)
        return sim_error(" ");
    report = sim_report_device(w, dev);
    (void)json_object_set_new(report, "ok", json_true());
    return report;
}

static json_t *device_read(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    const struct sim_device *dev = sim_device_at(w, at);
    uint8_t size = (uint8_t)sim_number(at, "size", 1, 4, 4);
    uint16_t offset = (uint16_t)sim_number(at, "offset", 0, PB_CONFIG_SIZE_PCIE - 4u, 0);

    (void)client;
    if (!dev)
        return sim_error(" ");
    return json_pack("{s:b, s:I}", "ok", 1, "value",
                     (json_int_t)sim_device_read(dev, offset, size));
}

/* "raw": behind the write masks, as a device changes its own registers. */
static json_t *device_write(struct sim_world *w, const struct pb_json *at,
                            struct sim_client *client)
{
    struct sim_device *dev = sim_device_at(w, at);
    uint8_t size = (uint8_t)sim_number(at, "size", 1, 4, 4);
    uint16_t offset = (uint16_t)sim_number(at, "offset", 0, PB_CONFIG_SIZE_PCIE - 4u, 0);
    uint32_t value = (uint32_t)sim_number(at, "value", 0, UINT32_MAX, 0);

    (void)client;
    if (!dev)
        return sim_error(" ");
    if (sim_bool(at, "raw", true))
        pb_le_put(&dev->config[offset], size, value);
    else
        sim_device_write(dev, offset, size, value);
    return sim_ok();
}

/* [[offset, size, value], ...] */
static void read_patch(const struct pb_json *at, struct sim_device *dev)
{
    struct pb_json list = pb_json_member(at, "after_reset");

    for (size_t i = 0; i < pb_json_array(&list) && i < PB_ARRAY_SIZE(dev->patch); i++) {
        struct pb_json triple = pb_json_element(&list, i);
        uint32_t v[3] = { 0 };

        for (size_t k = 0; k < 3; k++) {
            struct pb_json number = pb_json_element(&triple, k);

            v[k] = (uint32_t)pb_json_number(&number, 0, UINT32_MAX, 0);
        }
        if (v[1] < 1 || v[1] > 4 || v[0] > dev->facts.config_size - v[1])
            pb_json_fail(&triple, "is outside of the registers");
        dev->patch[i] =
            (struct sim_patch){ .offset = (uint16_t)v[0], .size = (uint8_t)v[1], .value = v[2] };
    }
    if (list.value && !at->error->set)
        dev->patch_count = (unsigned)pb_json_array(&list);
}

static json_t *device_set(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct sim_device *dev = sim_device_at(w, at);
    const char *error = sim_text(at, "error", NULL), *methods = sim_text(at, "reset", NULL);

    (void)client;
    if (!dev)
        return sim_error(" ");
    dev->gone = sim_bool(at, "gone", dev->gone);
    dev->dead = sim_bool(at, "dead", dev->dead);
    dev->dies_in_reset = sim_bool(at, "dies_in_reset", dev->dies_in_reset);
    dev->reset_ms = (unsigned)sim_number(at, "reset_ms", 0, 600000, dev->reset_ms);
    read_patch(at, dev);
    dev->slow_ms = (unsigned)sim_number(at, "slow_ms", 0, 600000, dev->slow_ms);
    dev->resetting = sim_bool(at, "resetting", dev->resetting);
    dev->forgets = sim_bool(at, "forgets", dev->forgets);
    dev->leaves_maskall = sim_bool(at, "leaves_maskall", dev->leaves_maskall);
    dev->keeps_maskall = sim_bool(at, "keeps_maskall", dev->keeps_maskall);
    if (error)
        dev->cycle_error = sim_log_errno(error); /* "" is none */
    if (methods)
        (void)snprintf(dev->facts.reset_methods, sizeof(dev->facts.reset_methods), "%s", methods);
    return sim_ok();
}

static json_t *device_unplug(struct sim_world *w, const struct pb_json *at,
                             struct sim_client *client)
{
    struct sim_device *dev = sim_device_at(w, at);

    (void)client;
    if (!dev || dev->gone)
        return sim_error("it is not there");
    sim_kernel_unplug(w, dev);
    return sim_ok();
}

static json_t *device_plug(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct sim_device *dev = sim_device_at(w, at), *as = NULL;
    struct pb_json other = pb_json_member(at, "as");

    (void)client;
    if (!dev || !dev->gone)
        return sim_error("it is there");
    if (other.value)
        as = sim_device_new(&other, w->dump_dir);
    if (at->error->set) {
        sim_free(as);
        return sim_error(" ");
    }
    sim_kernel_plug(w, dev, as, (unsigned)sim_number(at, "bind_ms", 0, 600000, 0));
    sim_free(as);
    return sim_ok();
}

static json_t *device_bind(struct sim_world *w, const struct pb_json *at, struct sim_client *client)
{
    struct sim_device *dev = sim_device_at(w, at);

    (void)client;
    if (!dev || dev->gone)
        return sim_error("it is not there");
    sim_kernel_bind(w, dev, sim_text(at, "driver", ""));
    return sim_ok();
}

const struct sim_command sim_commands_device[] = {
    { "device", NO_KEYS, device },
    { "device-read", KEYS("offset", "size"), device_read },
    { "device-write", KEYS("offset", "size", "value", "raw"), device_write },
    { "device-set",
      KEYS("gone", "slow_ms", "error", "reset", "resetting", "forgets", "leaves_maskall",
           "keeps_maskall", "dead", "dies_in_reset", "reset_ms", "after_reset"),
      device_set },
    { "device-unplug", NO_KEYS, device_unplug },
    { "device-plug", KEYS("as", "bind_ms"), device_plug },
    { "device-bind", KEYS("driver"), device_bind },
    { NULL, NULL, NULL },
};
